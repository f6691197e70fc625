//! Session descriptions, read by others too: what any of them would send media to was judged.
//!
//! Those of `tests/messages/readers.rs`, and one more, which takes a host as browsers take that of a URL.
#![no_main]

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ringfence::sip::sdp;

#[expect(dead_code, reason = "written for the tests too")]
#[path = "../../tests/messages/readers.rs"]
mod readers;

use readers::{Stream, Understood};

/// What stands before the octets: with little in front they seldom come to be a description that the others read.
const BEGINNINGS: [&[u8]; 3] = [
    b"",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nt=0 0\r\n",
    b"v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\nm=audio 9 RTP/AVP 0\r\n",
];

fuzz_target!(|bytes: &[u8]| {
    let Some((first, rest)) = bytes.split_first() else { return };
    let text = [BEGINNINGS[usize::from(*first) % BEGINNINGS.len()], rest].concat();
    let asked = RefCell::new(BTreeSet::new());
    let inside = |ip: IpAddr| {
        asked.borrow_mut().insert(ip);
        true
    };
    if sdp::judge(&text, inside).is_err() {
        return;
    }
    let asked = asked.into_inner();
    for ip in readers::places(&text).into_iter().chain(by_webrtc_sdp(&text)) {
        assert!(ip.is_unspecified() || asked.contains(&ip), "{ip} in {}", String::from_utf8_lossy(&text));
        // It decides, too: with this one outside, the description does not pass.
        assert!(ip.is_unspecified() || sdp::judge(&text, |one| one != ip).is_err(), "{ip} in {}", String::from_utf8_lossy(&text));
    }
});

/// Crate `webrtc-sdp`, of Firefox, as far as it knows every line. An `m=` line of a type or protocol that it does not know it would
/// leave out, and take the closed stream's lines below for the stream's above: no server of a region reads so.
fn by_webrtc_sdp(text: &[u8]) -> BTreeSet<IpAddr> {
    let Some(session) = std::str::from_utf8(text).ok().and_then(|text| webrtc_sdp::parse_sdp(text, true).ok()) else {
        return BTreeSet::new();
    };
    let connections = |connection: &Option<webrtc_sdp::SdpConnection>| -> Vec<String> {
        connection.iter().map(|connection| connection.address.to_string()).collect()
    };
    let stream = |media: &webrtc_sdp::media_type::SdpMedia| Stream {
        open: media.get_port() != 0,
        connections: connections(media.get_connection()),
        attributes: media.get_attributes().iter().map(ToString::to_string).collect(),
    };
    let understood = Understood {
        connections: connections(&session.connection),
        attributes: session.attribute.iter().map(ToString::to_string).collect(),
        streams: session.media.iter().map(stream).collect(),
    };
    understood.places()
}
