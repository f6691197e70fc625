//! One message: what was read can be edited, answered and read again to the same effect.
#![no_main]

use std::net::SocketAddr;

use libfuzzer_sys::fuzz_target;
use ringfence::sip::edit::Edit;
use ringfence::sip::reply::LocalResponse;
use ringfence::sip::{Fault, Message, Name, Request, Response, list};

fuzz_target!(|bytes: &[u8]| {
    let Ok(message) = Message::datagram(bytes) else { return };
    tiles(&message);
    let source = SocketAddr::from(([192, 0, 2, 1], 5060));
    let mut out = Vec::new();
    let reply = LocalResponse { code: 400, phrase: "Bad Request", to_tag: Some("t"), rows: b"" };
    let answered = reply.write(&message, source, &mut Edit::default(), &mut out);
    let _ = Response::read(&message);
    let Ok(request) = Request::read(&message) else { return };
    assert!(answered, "a valid request can be answered");
    let answer = Message::framed(&out).expect("an answer is a message");
    assert_eq!(answer.fault(), None);
    assert_eq!(Response::read(&answer).expect("an answer is a response").token, request.token);

    // The smuggling rule: what goes out is read as what came in.
    let (mut edit, mut sent) = (Edit::default(), Vec::new());
    request.via.stamp(source, &mut edit);
    for item in list::items(&message, Name::Route).take(1) {
        list::remove(&message, &item, &mut edit);
    }
    edit.insert(message.head_end(), &[b"X-Ringfence: 100\r\n"]);
    edit.apply(message.bytes(), &mut sent);
    let after = Message::datagram(&sent).expect("what was edited is a message");
    // Our own row can push a message over a limit that it was just below.
    let size = |fault| matches!(fault, Fault::HeadTooLong | Fault::TooManyHeaders | Fault::RowTooLong | Fault::TooLarge);
    assert!(after.fault().is_none_or(size), "{:?}", after.fault());
    if after.fault().is_none() {
        let again = Request::read(&after).expect("what was edited is a request");
        assert_eq!((again.uri_text, again.call_id, again.to_tag), (request.uri_text, request.call_id, request.to_tag));
        assert_eq!(again.via.branch, request.via.branch);
        assert_eq!(after.body(), message.body());
    }
});

/// The rows follow each other without a gap, up to the empty line.
fn tiles(message: &Message<'_>) {
    if message.fault().is_some() {
        return;
    }
    let rows = message.headers().windows(2).all(|pair| pair[0].row().end == pair[1].row().start);
    assert!(rows && message.headers().last().is_none_or(|header| header.row().end == message.head_end()));
}
