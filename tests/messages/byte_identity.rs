//! What no rule meant to change leaves as it came.

use std::net::SocketAddr;
use std::ops::Range;

use proptest::collection::vec;
use proptest::prelude::{any, prop_assert, prop_assert_eq, prop_assume, proptest};
use proptest::sample::Index;
use ringfence::sip::edit::Edit;
use ringfence::sip::list;
use ringfence::sip::reply::LocalResponse;
use ringfence::sip::via::Via;
use ringfence::sip::{Message, Name, Request, Response};

use crate::fixtures;
use crate::generate::request;

/// The rows of a message, one after the other.
fn rows<'a>(message: &Message<'a>) -> Vec<&'a [u8]> {
    message.headers().iter().map(|header| message.slice(&header.row())).collect()
}

fn values<'a>(message: &Message<'a>, name: Name) -> Vec<&'a [u8]> {
    list::items(message, name).map(|item| message.slice(&item.span)).collect()
}

/// What stands between white space.
fn words(row: &[u8]) -> Vec<String> {
    String::from_utf8_lossy(row).split_ascii_whitespace().map(str::to_owned).collect()
}

/// Start line, rows, empty line and body are the message, without a gap and without an overlap.
fn assert_tiles(message: &Message<'_>) {
    let bytes = message.bytes();
    let mut at = bytes.iter().position(|&octet| octet == b'\n').unwrap() + 1;
    for header in message.headers() {
        assert_eq!(header.row().start, at);
        assert!(header.row().start < header.value().start.max(at + 1) && header.value().end <= header.row().end);
        at = header.row().end;
    }
    assert_eq!(at, message.head_end());
    assert_eq!(bytes.len() - message.body().len(), at + 2);
}

fn edited(message: &Message<'_>, edit: &Edit) -> Vec<u8> {
    let mut out = Vec::new();
    edit.apply(message.bytes(), &mut out);
    out
}

/// A Via row without the parameters that a stamp may touch.
fn unstamped(row: &[u8]) -> String {
    let text = String::from_utf8(row.to_vec()).unwrap();
    let (top, rest) = text.split_once(", SIP").unwrap_or((&text, ""));
    let touched = |part: &&str| !part.trim_end().starts_with("rport") && !part.trim_end().starts_with("received");
    let end = top.len() - top.trim_end().len();
    let kept: Vec<_> = top.trim_end().split(';').filter(touched).map(str::trim_end).collect();
    format!("{}{}{rest}", kept.join(";"), &top[top.len() - end..])
}

#[test]
fn the_scan_alters_nothing_and_misses_nothing() {
    for fixture in fixtures::all().iter().filter(|fixture| fixture.is_ok()) {
        let message = Message::datagram(&fixture.bytes).unwrap();
        assert_tiles(&message);
        let trimmed = fixture.bytes.iter().position(|octet| !b"\r\n".contains(octet)).unwrap();
        assert!(fixture.bytes[trimmed..].starts_with(message.bytes()), "{}", fixture.name);
    }
}

proptest! {
    #[test]
    fn generated_messages_are_whole(bytes in request()) {
        let message = Message::datagram(&bytes).unwrap();
        prop_assert_eq!(message.fault(), None);
        prop_assert_eq!(message.bytes(), &bytes[..]);
        assert_tiles(&message);
        prop_assert!(Request::read(&message).is_ok(), "{:?}", Request::read(&message));
    }

    /// Against the obvious way to do it: replace from the end backwards.
    #[test]
    fn an_edit_is_its_splices(source in vec(any::<u8>(), 0..50), cuts in vec((any::<Index>(), vec(any::<u8>(), 0..4)), 0..8)) {
        let mut places: Vec<_> = cuts.iter().map(|(at, _)| at.index(source.len() + 1)).collect();
        places.sort_unstable();
        let splices: Vec<(Range<usize>, &[u8])> =
            places.chunks_exact(2).zip(&cuts).map(|(pair, (_, text))| (pair[0]..pair[1], &text[..])).collect();
        // Made in any order, as rules do; at one place the order of making counts.
        prop_assume!(splices.windows(2).all(|pair| pair[0].0.end < pair[1].0.start || pair[0].0.start < pair[1].0.start));
        let (mut edit, mut out, mut expected) = (Edit::default(), Vec::new(), source.clone());
        for (range, text) in splices.iter().rev() {
            edit.splice(range.clone(), &[&text[..text.len() / 2], &text[text.len() / 2..]]);
            expected.splice(range.clone(), text.iter().copied());
        }
        edit.apply(&source, &mut out);
        prop_assert_eq!(out, expected);
    }

    #[test]
    fn a_forwarded_request_differs_in_nothing_else(bytes in request(), octets: [u8; 4], port: u16) {
        let message = Message::datagram(&bytes).unwrap();
        let via = Via::top(&message).unwrap();
        let first = message.first(Name::Via).unwrap();
        let mut edit = Edit::default();
        let source = SocketAddr::from((octets, port));
        via.stamp(source, &mut edit);
        edit.insert(first.row().start, &[b"Via: SIP/2.0/UDP ours;", b"branch=z9hG4bKours\r\n"]);
        let place = edit.place(first.row().start);
        edit.insert(message.head_end(), &[b"X-Ringfence: 100\r\n"]);
        let out = edited(&message, &edit);
        prop_assert!(out[place..].starts_with(b"Via: SIP/2.0/UDP ours;"));

        let after = Message::datagram(&out).unwrap();
        let stamped = message.headers().iter().position(|header| header.name == Name::Via).unwrap();
        let mut left = rows(&after);
        prop_assert_eq!(left.remove(stamped), b"Via: SIP/2.0/UDP ours;branch=z9hG4bKours\r\n");
        prop_assert_eq!(left.pop(), Some(&b"X-Ringfence: 100\r\n"[..]));
        let mut before = rows(&message);
        prop_assert_eq!(unstamped(left.remove(stamped)), unstamped(before.remove(stamped)));
        prop_assert_eq!(left, before);
        prop_assert_eq!(after.body(), message.body());
        prop_assert_eq!(after.slice(&(0..after.headers()[0].row().start)), message.slice(&(0..message.headers()[0].row().start)));

        // And what it says now is the truth.
        let second = list::items(&after, Name::Via).nth(1).unwrap();
        let value = String::from_utf8(after.slice(&second.span).to_vec()).unwrap();
        prop_assert_eq!(value.matches(&format!(";rport={port}")).count(), usize::from(via.rport.is_some()), "{}", value);
        let names_it = via.host == ringfence::sip::uri::Host::Address(source.ip()) && via.rport.is_none();
        prop_assert_eq!(value.contains(&format!(";received={}", source.ip())), !names_it, "{}", value);
    }

    #[test]
    fn removed_values_are_gone_and_no_others(bytes in request(), chosen in vec(any::<bool>(), 12)) {
        let message = Message::datagram(&bytes).unwrap();
        for name in [Name::Route, Name::Via] {
            let items: Vec<_> = list::items(&message, name).collect();
            let gone: Vec<_> = items.iter().zip(&chosen).filter(|(_, gone)| **gone).map(|(item, _)| item.clone()).collect();
            let mut edit = Edit::default();
            list::remove_many(&message, &gone, &mut edit);
            let out = edited(&message, &edit);
            let after = Message::datagram(&out).unwrap();
            prop_assert_eq!(after.fault(), None);
            let kept: Vec<_> =
                items.iter().filter(|item| !gone.contains(item)).map(|item| message.slice(&item.span)).collect();
            prop_assert_eq!(values(&after, name), kept);
            let others = |message: &Message<'_>| -> Vec<Vec<u8>> {
                let of_others = message.headers().iter().filter(|header| header.name != name);
                of_others.map(|header| message.slice(&header.row()).to_vec()).collect()
            };
            prop_assert_eq!(others(&after), others(&message));
            prop_assert_eq!(after.body(), message.body());
        }
    }

    #[test]
    fn an_answer_names_its_request(bytes in request(), port: u16) {
        let message = Message::datagram(&bytes).unwrap();
        let asked = Request::read(&message).unwrap();
        let mut out = Vec::new();
        let reply = LocalResponse { code: 603, phrase: "Decline", to_tag: Some("ours"), rows: b"X: y\r\n" };
        prop_assert!(reply.write(&message, SocketAddr::from(([192, 0, 2, 1], port)), &mut Edit::default(), &mut out));
        let answer = Message::framed(&out).unwrap();
        prop_assert_eq!(answer.fault(), None);
        prop_assert!(answer.is_plain(), "{}", String::from_utf8_lossy(&out));
        let read = Response::read(&answer).unwrap();
        prop_assert_eq!((read.code, read.token, read.via.branch), (603, asked.token, asked.via.branch));
        prop_assert_eq!(read.to_tag, asked.to_tag.or(Some(b"ours")));
        prop_assert_eq!(values(&answer, Name::Via).len(), values(&message, Name::Via).len());
        for name in [Name::From, Name::CallId, Name::CSeq] {
            // But for folds: each is one space.
            let row = |message: &Message<'_>| words(message.slice(&message.first(name).unwrap().row()));
            prop_assert_eq!(row(&answer), row(&message));
        }
    }
}
