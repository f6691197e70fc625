//! Much, long, and random.

use std::time::Duration;

use super::{Range, text};
use crate::harness::message::fresh;
use crate::harness::{Ask, Leg};

#[test]
fn floods_leave_memory_flat_and_calls_served() {
    let mut range = Range::new(|_, _| {});
    range.good_call();
    let before = range.daemon.memory();
    let mut stranger = Leg::udp(range.site.stranger(1), range.site.door());
    for round in 0..20 {
        for _ in 0..250 {
            stranger.ask(&Ask::invite("sip:x@acme.eu.sip.example.com", stranger.addr, "udp", range.site.carrier(20).ip()));
            let answer = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK";
            let answer = format!(
                "{answer}{}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: s\r\nCSeq: 1 INVITE\r\n\r\n",
                fresh()
            );
            stranger.send(answer.as_bytes());
            range.caller.ask(&Ask::invite(
                "sip:x@acme.us.sip.example.com",
                range.caller.addr,
                "udp",
                range.site.carrier(20).ip(),
            ));
        }
        range.canary();
        while stranger.any_within(Duration::from_millis(1)).is_some() {}
        assert!(round < 20);
    }
    range.good_call();
    let grown = range.daemon.memory().saturating_sub(before);
    assert!(grown < 24 << 20, "{grown} octets more after 15000 messages");
}

#[test]
fn long_and_many_headers_end_in_one_answer_and_linear_time() {
    let mut range = Range::new(|_, _| {});
    let rows = |count: usize, row: &str| row.repeat(count);
    let put = |range: &Range, rows: &str| text(&range.invite()).replacen("Max-Forwards", &format!("{rows}Max-Forwards"), 1);
    let cases = [
        rows(12_000, "a:b\r\n"),
        rows(400, "Via: SIP/2.0/UDP h;branch=z9hG4bKa\r\n"),
        rows(300, "Route: <sip:h;lr>\r\n"),
        format!("X: {}\r\n", "a".repeat(60_000)),
        format!("X: {}\r\n", "a;b=c,".repeat(9_000)),
        format!("Subject:{}x\r\n", "\r\n ".repeat(15_000)),
        format!("Via: {}\r\n", "SIP/2.0/UDP h;branch=z9hG4bKa,".repeat(1500)),
    ];
    for case in &cases {
        let start = std::time::Instant::now();
        let bytes = put(&range, case);
        range.caller.send(bytes.as_bytes());
        let answers = range.canary();
        assert!(answers.len() <= 1, "{} answers", answers.len());
        assert!(
            answers.iter().all(|seen| (400..600).contains(&seen.code())),
            "{:?}",
            answers.first().map(|seen| seen.start.clone())
        );
        assert!(start.elapsed() < Duration::from_secs(2), "{:?} for {}", start.elapsed(), &case[..20]);
    }
    let long = format!("sip:{}@acme.eu.sip.example.com", "u".repeat(25_000));
    let ask = Ask::invite(&long, range.caller.addr, "udp", range.site.carrier(20).ip());
    let answers = range.provoke(&ask.bytes());
    assert!(answers.len() == 1 && [400, 414].contains(&answers[0].code()), "a URI of 25 kB");
    let tag = "t".repeat(2000);
    for (find, put) in [
        ("tag=", format!("tag={tag}")),
        ("branch=z9hG4bK", format!("branch=z9hG4bK{tag}")),
        ("Call-ID: ", format!("Call-ID: {tag}")),
    ] {
        let bytes = text(&range.invite()).replacen(find, &put, 1);
        range.provoke(bytes.as_bytes());
    }
    range.good_call();
    range.daemon.must_run();
}

#[test]
fn every_fixture_leaves_the_daemon_alive() {
    let mut range = Range::new(|_, _| {});
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures");
    let mut count = 0;
    for folder in std::fs::read_dir(root).unwrap() {
        for file in std::fs::read_dir(folder.unwrap().path()).unwrap() {
            let path = file.unwrap().path();
            if path.extension().is_none_or(|ending| ending != "sip") {
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            range.caller.send(&bytes[..bytes.len().min(65_507)]);
            // What the fixture names as the sender never gets an answer, so all answers come here.
            let answers = range.canary();
            let finals = answers.iter().filter(|seen| seen.code() >= 200).count();
            assert!(finals <= 1, "{}: {finals} final answers", path.display());
            count += 1;
        }
    }
    assert!(count > 5, "only {count} fixtures");
    range.good_call();
}

#[test]
fn mutated_messages_leave_the_daemon_alive() {
    let mut range = Range::new(|_, _| {});
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).unwrap()
    };
    for round in 0..4000 {
        let mut bytes = range.invite().bytes();
        for _ in 0..=random(4) {
            let at = random(bytes.len());
            match random(4) {
                0 => bytes[at] = u8::try_from(random(256)).unwrap(),
                1 => bytes.truncate(at.max(1)),
                2 => drop(bytes.drain(at..(at + 1 + random(20)).min(bytes.len()))),
                _ => {
                    let piece = bytes[at..(at + 1 + random(40)).min(bytes.len())].to_vec();
                    let to = random(bytes.len());
                    bytes.splice(to..to, piece);
                }
            }
            if bytes.is_empty() {
                bytes.push(b'x');
            }
        }
        range.caller.send(&bytes);
        if round % 50 == 0 {
            range.canary();
            range.upstream();
        }
    }
    range.daemon.must_run();
    range.good_call();
}
