//! Instruction counts of the message layer and of the core, which do not change with the machine's mood.
//!
//! Needs valgrind and `gungraun-runner` of the version in Cargo.lock. Run with `cargo bench --bench instructions`.
#![expect(missing_docs, unused_qualifications, reason = "what the macros make")]
#![expect(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::hint::black_box;
use std::net::{IpAddr, SocketAddr};

use gungraun::{library_benchmark, library_benchmark_group, main};
use ringfence::sip::edit::Edit;
use ringfence::sip::reply::LocalResponse;
use ringfence::sip::{Message, Name, Request, body};

mod call;

use call::{HERE, Scene, Step, invite};

fn scanned() -> Message<'static> {
    Message::datagram(invite(HERE, 1000).leak()).unwrap()
}

fn edited() -> (Message<'static>, Request<'static>, Edit, Vec<u8>) {
    let message = scanned();
    let request = Request::read(&message).unwrap();
    // As in the core, which reuses it from message to message.
    let mut edit = Edit::default();
    (0..8).for_each(|_| edit.splice(0..0, &[&[0; 64]]));
    edit.clear();
    (message, request, edit, Vec::with_capacity(4096))
}

/// The same offer as the first of two parts.
fn in_multipart() -> Message<'static> {
    let text = String::from_utf8(invite(HERE, 1000)).unwrap();
    let (head, sdp) = text.split_once("\r\n\r\n").unwrap();
    let head = head.split_once("\r\nContent-Type").unwrap().0;
    let parts = format!(
        "--simple\r\nContent-Type: application/sdp\r\n\r\n{sdp}\r\n--simple\r\nContent-Type: application/isup\r\n\r\n1\r\n--simple--"
    );
    let text =
        format!("{head}\r\nContent-Type: multipart/mixed;boundary=simple\r\nContent-Length: {}\r\n\r\n{parts}", parts.len());
    let message = Message::datagram(text.leak().as_bytes()).unwrap();
    assert_eq!(body::judge(&message, |_| true).map(|checked| checked.descriptions), Ok(1));
    message
}

fn source() -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1], 5070))
}

#[library_benchmark]
#[bench::invite(invite(HERE, 1000).leak())]
fn scan(bytes: &'static [u8]) {
    let _ = black_box(&Message::datagram(black_box(bytes)));
}

#[library_benchmark]
#[bench::invite(scanned())]
fn read(message: Message<'static>) -> Message<'static> {
    let _ = black_box(&Request::read(black_box(&message)));
    message
}

#[library_benchmark]
#[bench::invite(edited())]
fn forward(
    (message, request, mut edit, mut out): (Message<'static>, Request<'static>, Edit, Vec<u8>),
) -> (Message<'static>, Edit, Vec<u8>) {
    request.via.stamp(source(), &mut edit);
    let hops = message.first(Name::MaxForwards).map_or(0..0, ringfence::sip::Header::value);
    edit.splice(hops, &[b"69"]);
    edit.insert(message.head_end(), &[b"X-Ringfence: 100; reason=in-region; region=eu; project=acme; trunk=twilio-ie\r\n"]);
    let via = message.first(Name::Via).map_or(0, |header| header.row().start);
    edit.insert(via, &[b"Via: SIP/2.0/UDP 203.0.113.10:5060;rport;branch=z9hG4bK00000000000112233445566778899aabbccdd\r\n"]);
    edit.insert(via, &[b"Record-Route: <sip:203.0.113.10:5060;lr;rf=0100112233445566778899aabbccddeeff>\r\n"]);
    edit.apply(message.bytes(), &mut out);
    (message, edit, out)
}

#[library_benchmark]
#[bench::refusal(edited())]
fn reply(
    (message, _, mut edit, mut out): (Message<'static>, Request<'static>, Edit, Vec<u8>),
) -> (Message<'static>, Edit, Vec<u8>) {
    let rows = b"Reason: Q.850;cause=21;text=\"foreign-endpoint\"\r\n";
    let reply = LocalResponse { code: 603, phrase: "Decline", to_tag: Some("0011223344556677"), rows };
    let _ = black_box(reply.write(&message, source(), &mut edit, &mut out));
    (message, edit, out)
}

#[library_benchmark]
#[bench::offer(scanned())]
#[bench::offer_in_multipart(in_multipart())]
fn judge(message: Message<'static>) -> Message<'static> {
    let inside = |ip: IpAddr| matches!(ip, IpAddr::V4(ip) if ip.octets()[0] == 192);
    let _ = black_box(&body::judge(black_box(&message), inside));
    message
}

#[library_benchmark]
#[bench::invite_forwarded(Scene::at(Step::Invite, "INVITE sip:"))]
#[bench::invite_forwarded_by_name(Scene::by_name())]
#[bench::ringing_relayed(Scene::at(Step::Ringing, "SIP/2.0 180"))]
#[bench::answer_relayed(Scene::at(Step::Answer, "SIP/2.0 200"))]
#[bench::ack_forwarded(Scene::at(Step::Ack, "ACK sip:"))]
#[bench::bye_forwarded(Scene::at(Step::Bye, "BYE sip:"))]
#[bench::bye_answer_relayed(Scene::at(Step::ByeAnswer, "SIP/2.0 200"))]
#[bench::invite_refused(Scene::refusal("SIP/2.0 603"))]
#[bench::invite_refused_last_of_many(Scene::refusal_of_many("SIP/2.0 603"))]
fn handle(mut scene: Scene) -> Scene {
    scene.handle();
    scene
}

library_benchmark_group!(name = messages; benchmarks = scan, read, forward, reply, judge);
library_benchmark_group!(name = core; benchmarks = handle);
main!(library_benchmark_groups = messages, core);
