//! The readers of single values: URI, address, list, Via, session description.
#![no_main]

use std::net::IpAddr;

use libfuzzer_sys::fuzz_target;
use ringfence::sip::address::Address;
use ringfence::sip::edit::Edit;
use ringfence::sip::parameter::param;
use ringfence::sip::sdp::{self, SdpObjection};
use ringfence::sip::uri::{Uri, host_port};
use ringfence::sip::via::{Via, branches_below};
use ringfence::sip::{Message, Name, list};

fuzz_target!(|bytes: &[u8]| {
    if let Ok(uri) = Uri::parse(bytes) {
        let _ = (uri.param("lr"), uri.param("maddr"), host_port(uri.hostport));
        assert!(uri.host.is_none() || host_port(uri.hostport).map(|(host, _)| host) == uri.host);
    }
    if let Some(address) = Address::parse(bytes) {
        assert_eq!(&bytes[address.uri_span.clone()], address.uri);
        assert!(!address.uri.is_empty());
        let _ = (address.tag(), Uri::parse(address.uri), param(address.params, "expires"));
    }
    for name in [Name::Via, Name::Route] {
        row(if name == Name::Via { "Via" } else { "Route" }, name, bytes);
    }
    // An address that nobody calls inside never passes.
    let inside = |ip: IpAddr| ip == IpAddr::from([192, 0, 2, 1]);
    match sdp::judge(bytes, inside) {
        Ok(()) => assert!(sdp::judge(bytes, |_| true).is_ok()),
        Err(SdpObjection::Outside { address, .. }) => assert!(!inside(address)),
        Err(SdpObjection::Unreadable { text, .. }) => assert!(text.len() <= 64),
    }
});

/// The octets as the value of a row: taking out any value leaves the others.
fn row(spelling: &str, name: Name, value: &[u8]) {
    let text = [b"OPTIONS sip:a@b SIP/2.0\r\n", spelling.as_bytes(), b": ", value, b"\r\n\r\n"].concat();
    let Ok(message) = Message::datagram(&text) else { return };
    if message.fault().is_some() || message.headers().len() != 1 {
        return;
    }
    let values = |message: &Message<'_>| -> Vec<Vec<u8>> {
        list::items(message, name).map(|item| message.slice(&item.span).to_vec()).collect()
    };
    let before = values(&message);
    for (at, item) in list::items(&message, name).enumerate().take(4) {
        let (mut edit, mut out) = (Edit::default(), Vec::new());
        list::remove(&message, &item, &mut edit);
        edit.apply(message.bytes(), &mut out);
        let after = Message::datagram(&out).expect("what was edited is a message");
        let mut left = before.clone();
        left.remove(at);
        assert_eq!(values(&after), left);
    }
    if let Ok(via) = Via::top(&message) {
        let (mut edit, mut out) = (Edit::default(), Vec::new());
        via.stamp(([198, 51, 100, 7], 9).into(), &mut edit);
        edit.apply(message.bytes(), &mut out);
        let after = Message::datagram(&out).expect("what was stamped is a message");
        if after.fault().is_none() {
            let stamped = Via::top(&after).expect("what was stamped is a Via");
            assert_eq!((stamped.branch, stamped.sent_by), (via.branch, via.sent_by));
            let received = message_param(after.slice(&stamped.received.expect("another address is written down")));
            assert_eq!(received, b"198.51.100.7");
        }
    }
    let _ = branches_below(&message).count();
}

fn message_param(text: &[u8]) -> &[u8] {
    text.iter().position(|&octet| octet == b'=').map_or(text, |at| &text[at + 1..])
}
