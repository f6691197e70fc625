//! Bodies: types, multiparts, encodings, session descriptions. Whatever stands around a description, its address outside is seen.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ringfence::sip::body::{self, Checked, MAX_PARTS, Objection};
use ringfence::sip::{Message, sdp};

const OUTSIDE: &[u8] = b"v=0\r\nc=IN IP4 192.0.2.1\r\nm=audio 9 RTP/AVP 0\r\n";
const MULTIPART: &[u8] = b"multipart/mixed;boundary=x";

fuzz_target!(|bytes: &[u8]| {
    if let Ok(message) = Message::datagram(bytes) {
        check(&message);
    }
    // As a body, and as a part before one that is outside.
    with(MULTIPART, bytes);
    let body = [b"--x\r\n", bytes, b"\r\n--x\r\nContent-Type: application/sdp\r\n\r\n", OUTSIDE, b"\r\n--x--\r\n"].concat();
    assert!(with(MULTIPART, &body).is_none_or(|passed| passed.is_none()));
    // As what stands before and behind the part.
    for body in [
        [bytes, b"\r\n--x\r\n\r\n", OUTSIDE, b"\r\n--x--\r\n"].concat(),
        [b"--x\r\n\r\n", OUTSIDE, b"\r\n--x--\r\n", bytes].concat(),
    ] {
        assert!(with(MULTIPART, &body).is_none_or(|passed| passed.is_none()));
    }
    // As the type of a description, and as its first lines.
    let line = &bytes[..bytes.iter().position(|octet| matches!(octet, b'\r' | b'\n' | 0)).unwrap_or(bytes.len())];
    assert!(with(line, OUTSIDE).is_none_or(|passed| passed.is_none()));
    let text = [bytes, b"\r\nm=audio 9 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\n"].concat();
    assert!(sdp::judge(&text, |ip| ip != IpAddr::from([192, 0, 2, 1])).is_err());
});

/// Judges a body under a type; `None` if that makes no message.
fn with(kind: &[u8], body: &[u8]) -> Option<Option<Checked>> {
    let text = [b"INVITE sip:a@b SIP/2.0\r\nContent-Type: ", kind, b"\r\n\r\n", body].concat();
    let message = Message::datagram(&text).ok()?;
    if message.fault().is_some() || message.headers().len() != 1 {
        return None;
    }
    Some(check(&message))
}

/// What passes with one address outside passes with all inside, and holds as much.
fn check(message: &Message<'_>) -> Option<Checked> {
    match body::judge(message, |ip| ip != IpAddr::from([192, 0, 2, 1])) {
        Ok(checked) => {
            assert_eq!(body::judge(message, |_| true), Ok(checked));
            assert!(checked.descriptions <= 3 * MAX_PARTS);
            // Where one can be replaced, what stands there is the one that was judged.
            if let Ok(place) = body::only_description(message) {
                assert_eq!(place.is_some(), checked.descriptions == 1);
                assert!(place.is_none_or(|place| sdp::judge(message.slice(&place), |_| true).is_ok()));
            }
            Some(checked)
        }
        Err(Objection::Description(sdp::SdpObjection::Outside { address, .. })) => {
            assert_eq!(address, IpAddr::from([192, 0, 2, 1]));
            None
        }
        Err(_) => None,
    }
}
