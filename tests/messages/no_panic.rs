//! Whatever comes off the wire is read or refused; nothing panics, and nothing takes long.

use std::net::{IpAddr, SocketAddr};

use proptest::collection::vec;
use proptest::prelude::{any, prop_oneof, proptest};
use proptest::sample::Index;
use proptest::strategy::{Just, Strategy};
use ringfence::sip::address::Address;
use ringfence::sip::edit::Edit;
use ringfence::sip::frame::{Frame, Framer};
use ringfence::sip::parameter::param;
use ringfence::sip::reply::LocalResponse;
use ringfence::sip::uri::{Uri, host_port};
use ringfence::sip::{Message, Name, Request, Response, body, list, sdp, via};

use crate::fixtures;

const LISTS: [Name; 5] = [Name::Via, Name::Route, Name::RecordRoute, Name::Contact, Name::ProxyRequire];

/// Everything that the proxy may do with a message.
fn work(message: &Message<'_>) {
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    let mut out = Vec::new();
    let mut edit = Edit::default();
    if let Ok(request) = Request::read(message) {
        request.via.stamp(source, &mut edit);
        let _ = (request.uri.param("lr"), request.via.has_cookie());
    }
    let _ = Response::read(message);
    edit.insert(message.head_end(), &[b"X: y\r\n"]);
    edit.apply(message.bytes(), &mut out);
    let reply = LocalResponse { code: 400, phrase: "Bad Request", to_tag: Some("t"), rows: b"" };
    if reply.write(message, source, &mut Edit::default(), &mut out) {
        reply.write(message, SocketAddr::from(([0; 16], 1)), &mut Edit::default(), &mut out);
    }
    for name in LISTS {
        for item in list::items(message, name) {
            parts(message.slice(&item.span));
            edit.clear();
            list::remove(message, &item, &mut edit);
            edit.apply(message.bytes(), &mut out);
        }
    }
    let _ = via::branches_below(message).count();
    let _ = sdp::judge(message.body(), |ip: IpAddr| ip.is_ipv4());
    let _ = body::judge(message, |ip: IpAddr| ip.is_ipv4());
}

fn parts(text: &[u8]) {
    if let Some(address) = Address::parse(text) {
        let _ = (address.tag(), Uri::parse(address.uri), param(address.params, "x"));
    }
    let _ = Uri::parse(text).map(|uri| uri.param("transport").is_some());
    let _ = (host_port(text), sdp::judge(text, |ip: IpAddr| ip.is_ipv6()));
}

fn feed(bytes: &[u8]) {
    parts(bytes);
    for message in [Message::datagram(bytes), Message::framed(bytes)].into_iter().flatten() {
        work(&message);
    }
    let mut framer = Framer::new(4096);
    for segment in bytes.chunks(300) {
        framer.buffer().extend_from_slice(segment);
        while let Some(frame) = framer.next() {
            match frame {
                Frame::Message(bytes) => drop(Message::framed(&bytes).map(|message| work(&message))),
                Frame::Ping => {}
                Frame::Broken(..) => return,
            }
        }
    }
}

#[test]
fn no_fixture_harms() {
    for fixture in fixtures::all() {
        feed(&fixture.bytes);
        // Cut off at every place, where that does not take long.
        for end in 0..fixture.bytes.len().min(400) {
            feed(&fixture.bytes[..end]);
        }
    }
}

/// One small change: an octet that means something put in, written over or taken out, or a piece doubled or dropped.
pub(crate) fn mutate(bytes: &mut Vec<u8>, at: Index, kind: u8, octet: u8) {
    let at = at.index(bytes.len().max(1));
    let end = at.saturating_add(usize::from(octet)).min(bytes.len());
    match kind {
        0 => bytes.insert(at, octet),
        1 if at < bytes.len() => bytes[at] = octet,
        2 => drop(bytes.drain(at..end)),
        3 => bytes.extend_from_within(at..end),
        _ => bytes.truncate(at),
    }
}

fn octet() -> impl Strategy<Value = u8> {
    prop_oneof![any::<u8>(), proptest::sample::select(&b"\r\n\t \0,;:@<>\"\\/[]%=?.0-"[..])]
}

pub(crate) fn mutations() -> impl Strategy<Value = Vec<(Index, u8, u8)>> {
    vec((any::<Index>(), prop_oneof![8 => 0..4_u8, 1 => Just(4)], octet()), 1..6)
}

proptest! {
    #[test]
    fn random_octets(bytes in vec(octet(), 0..300)) {
        feed(&bytes);
        let mut message = b"INVITE sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP a\r\nRoute: ".to_vec();
        message.extend(&bytes);
        feed(&message);
        let mut body = b"v=0\r\nm=audio 1 RTP/AVP 0\r\nc=IN IP4 192.0.2.1\r\na=candidate:".to_vec();
        body.extend(&bytes);
        parts(&body);
        for (kind, before) in [("multipart/mixed;boundary=-", "-"), ("multipart/mixed;boundary=a", "--a\r\n"), ("", "v=0")] {
            let mut message = format!("INVITE sip:a@b SIP/2.0\r\nc: {kind}\r\n\r\n{before}").into_bytes();
            message.extend(&bytes);
            feed(&message);
        }
    }

    #[test]
    fn fixtures_with_changes(chosen in vec((any::<Index>(), mutations()), 1..12)) {
        let fixtures = fixtures::all();
        for (index, mutations) in &chosen {
            let mut bytes = index.get(fixtures).bytes.clone();
            bytes.truncate(3000);
            for (at, kind, octet) in mutations {
                mutate(&mut bytes, *at, *kind, *octet);
            }
            feed(&bytes);
        }
    }
}
