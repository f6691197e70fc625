//! What nobody should send, in datagrams: the daemon answers once or not at all, sends nothing on that it did not
//! understand, and serves the next call.

use std::time::Duration;

use crate::harness::message::fresh;
use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// A daemon, an attacker at a known trunk's address (a stranger would be refused before anything is read), and the upstream.
pub(crate) struct Range {
    pub(crate) site: Site,
    pub(crate) daemon: Daemon,
    pub(crate) caller: Leg,
    pub(crate) server: Leg,
}

impl Range {
    pub(crate) fn new(change: impl Fn(&mut Plan, &Site)) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        change(&mut plan, &site);
        let daemon = Daemon::start(&site, &plan);
        let caller = Leg::udp(site.carrier(20), site.door());
        let server = Leg::udp(site.eu(10), site.door());
        Self { site, daemon, caller, server }
    }

    pub(crate) fn invite(&self) -> Ask {
        Ask::invite(URI, self.caller.addr, "udp", self.site.carrier(20).ip())
    }

    /// Sends octets and returns every answer to them; a canary behind them must be answered too.
    fn provoke(&mut self, bytes: &[u8]) -> Vec<Seen> {
        self.caller.send(bytes);
        self.canary()
    }

    /// An OPTIONS that must be answered; returns what came before its answer.
    fn canary(&mut self) -> Vec<Seen> {
        let canary = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", self.caller.addr, "udp");
        self.caller.ask(&canary);
        let (mut before, mut tries) = (Vec::new(), 0);
        loop {
            let Some(seen) = self.caller.any_within(Duration::from_secs(1)) else {
                // The kernel drops what comes while a buffer is full: once more, as any telephone would.
                tries += 1;
                assert!(tries < 10, "the canary is dead");
                self.caller.ask(&canary);
                continue;
            };
            if seen.find("Call-ID") == Some(canary.call_id.as_str()) {
                assert_eq!(seen.code(), 200);
                return before;
            }
            before.push(seen);
        }
    }

    /// What the upstream has received by now.
    fn upstream(&mut self) -> Vec<Seen> {
        std::iter::from_fn(|| self.server.any_within(Duration::from_millis(1))).collect()
    }

    /// One good call over the same daemon.
    pub(crate) fn good_call(&mut self) {
        let ask = self.invite();
        self.caller.ask(&ask);
        let seen = loop {
            let seen = self.server.recv();
            if seen.get("Call-ID") == ask.call_id {
                break seen;
            }
        };
        self.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        loop {
            let seen = self.caller.response();
            if seen.get("Call-ID") == ask.call_id {
                assert_eq!(seen.code(), 486);
                self.caller.ask(&ask.ack(&seen));
                return;
            }
        }
    }

    /// These octets are answered with this code (0: not at all), once, and nothing goes on.
    fn refuses(&mut self, what: &str, bytes: &[u8], code: u16) {
        self.upstream();
        let answers: Vec<u16> = self.provoke(bytes).iter().map(Seen::code).collect();
        let want: &[u16] = if code == 0 { &[] } else { &[code] };
        assert_eq!(answers, want, "{what}: {}", String::from_utf8_lossy(&bytes[..bytes.len().min(600)]));
        let on = self.upstream();
        assert!(on.is_empty(), "{what} went on as {:?}", on[0].start);
    }
}

fn text(ask: &Ask) -> String {
    String::from_utf8(ask.bytes()).unwrap()
}

#[test]
fn a_length_that_is_no_plain_number_of_what_is_there_is_400() {
    let mut range = Range::new(|_, _| {});
    let lengths = [
        "2147483648",
        "2147483609",
        "4294967296",
        "4294967424",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999",
        "-1",
        "+5",
        "0x10",
        "5,5",
        "5;x",
        "",
        "5 5",
        "1e2",
        "٣",
        "100000",
    ];
    for length in lengths {
        let good = range.invite();
        let line = format!("Content-Length: {}", good.body.len());
        let bad = text(&good).replace(&line, &format!("Content-Length: {length}"));
        range.refuses(length, bad.as_bytes(), 400);
    }
    let good = range.invite();
    let line = format!("Content-Length: {}\r\n", good.body.len());
    for twice in
        [format!("{line}{line}"), format!("{line}l: 0\r\n"), format!("l: 0\r\n{line}"), format!("{line}Content-Length : 3\r\n")]
    {
        range.refuses(&twice, text(&range.invite()).replace(&line, &twice).as_bytes(), 400);
    }
    range.good_call();
}

#[test]
fn octets_beyond_the_length_are_not_part_of_the_message() {
    let mut range = Range::new(|_, _| {});
    let first = range.invite();
    let second = range.invite();
    let both = [first.bytes(), second.bytes()].concat();
    let answers = range.provoke(&both);
    assert!(answers.iter().all(|seen| seen.get("Call-ID") == first.call_id), "RFC 3261 18.3: one transaction alone");
    let on = range.upstream();
    assert_eq!(on.len(), 1);
    assert_eq!(on[0].body, first.body);
    let ask = range.invite();
    let bare = text(&ask).replace(&format!("Content-Length: {}\r\n", ask.body.len()), "");
    range.provoke(bare.as_bytes());
    let on = range.upstream();
    let last = on.last().expect("a datagram needs no length");
    assert_eq!((last.get("Call-ID"), &last.body), (ask.call_id.as_str(), &ask.body));
}

#[test]
fn what_smuggles_a_second_meaning_is_400() {
    let mut range = Range::new(|_, _| {});
    let put = |range: &Range, row: &str| text(&range.invite()).replacen("Contact", &format!("{row}\r\nContact"), 1);
    let rows = [
        "X: a\nContent-Length: 4",
        "X: a\rContent-Length: 4",
        "X: a\0b",
        "X\u{1}: a",
        "X y: a",
        ": a",
        "no colon at all",
        "X: a\n\nINVITE sip:x@y SIP/2.0",
    ];
    for row in rows {
        let bytes = put(&range, row);
        range.refuses(row, bytes.as_bytes(), 400);
    }
    range.good_call();
}

#[test]
fn a_header_that_may_stand_once_and_stands_twice_is_400() {
    let mut range = Range::new(|_, _| {});
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards"] {
        let whole = text(&range.invite());
        let row = whole.split("\r\n").find(|row| row.starts_with(&format!("{name}:"))).unwrap().to_owned();
        let twice = whole.replacen(&row, &format!("{row}\r\n{row}"), 1);
        range.refuses(name, twice.as_bytes(), 400);
    }
    let compact = text(&range.invite()).replacen("Call-ID: ", "i: another\r\nCall-ID: ", 1);
    range.refuses("Call-ID and i", compact.as_bytes(), 400);
}

#[test]
fn requests_without_what_every_request_has_are_400_or_unanswerable() {
    let mut range = Range::new(|_, _| {});
    for (name, code) in [("Via", 0), ("From", 400), ("To", 400), ("Call-ID", 400), ("CSeq", 400)] {
        let whole = text(&range.invite());
        let row = whole.split("\r\n").find(|row| row.starts_with(&format!("{name}:"))).unwrap().to_owned();
        let without = whole.replacen(&format!("{row}\r\n"), "", 1);
        range.upstream();
        let answers = range.provoke(without.as_bytes());
        assert!(answers.iter().all(|seen| code != 0 && seen.code() == code) && answers.len() <= 1, "without {name}");
        assert!(range.upstream().is_empty(), "without {name}");
    }
    range.good_call();
}

#[test]
fn values_outside_their_bounds_are_refused_with_the_code_that_says_which() {
    let mut range = Range::new(|_, _| {});
    let cases: [(&str, &str, u16); 26] = [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505),
        ("INVITE sip:+4930222", "INVITE nobody:+4930222", 416),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 4294967297 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: -1 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: INVITE", 400),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Max-Forwards: -1", 400),
        ("Max-Forwards: 70", "Max-Forwards: seventy", 400),
        ("example.com SIP/2.0", "example.com:0 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:65536 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:99999 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:05060 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com: SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com  SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com SIP/2.0 ", 400),
        ("example.com SIP/2.0", "example.com@a@b SIP/2.0", 400),
        ("INVITE sip:", "INVITE  sip:", 400),
        ("INVITE sip:+4930222@", "INVITE sip:+49 30222@", 400),
        ("INVITE sip:+4930222@acme.eu.sip.example.com SIP", "INVITE <sip:+4930222@acme.eu.sip.example.com> SIP", 400),
        ("acme.eu.sip.example.com SIP", "[::1 SIP", 400),
        ("From: \"A. Caller\" <sip", "From: \"A. Caller <sip", 400),
        ("acme.eu.sip.example.com SIP", "010.0.0.1 SIP", 400),
        ("acme.eu.sip.example.com SIP", "256.1.1.1 SIP", 400),
    ];
    for (find, put, code) in cases {
        let good = text(&range.invite());
        let bad = good.replacen(find, put, 1);
        assert_ne!(good, bad, "{find} is not there");
        range.refuses(put, bad.as_bytes(), code);
    }
    range.good_call();
}

#[test]
fn what_is_no_sip_is_not_answered() {
    let mut range = Range::new(|_, _| {});
    let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    let junk: [&[u8]; 9] = [
        stun,
        b"HEP3\0\0",
        b"\r\n\r\n",
        b"\r\n",
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\xfd",
        b"INVITE",
        b"SIP/2.0 200",
    ];
    for bytes in junk {
        range.refuses("junk", bytes, 0);
    }
    // RFC 3261 7.5: line ends before a start line do not count.
    for count in [1, 2, 50] {
        let ask = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", range.caller.addr, "udp");
        let bytes = ["\r\n".repeat(count).into_bytes(), ask.bytes()].concat();
        let answers = range.provoke(&bytes);
        assert_eq!(answers.iter().map(Seen::code).collect::<Vec<_>>(), [200], "{count} line ends");
    }
}

#[test]
fn answers_go_to_the_packets_source_and_nowhere_else() {
    let dns = |plan: &mut Plan, site: &Site| plan.more.push_str(&format!("[dns]\nservers = [\"{}\"]\n", site.eu(53)));
    let mut range = Range::new(dns);
    let mut resolver = Leg::udp(range.site.eu(53), range.site.door());
    let mut victim = Leg::udp(range.site.us(66), range.site.door());
    let (x, us) = (victim.addr, range.site.us(66).ip());
    let vias = [
        format!("SIP/2.0/UDP {x};branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/UDP {x};branch=z9hG4bK{};rport=9", fresh()),
        format!("SIP/2.0/UDP c.invalid;branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/UDP c.invalid;branch=z9hG4bK{};received={us};rport={}", fresh(), x.port()),
        format!("SIP/2.0/UDP c.invalid;maddr={us};branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/UDP 255.255.255.255;branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/UDP 224.0.0.1;maddr=224.0.0.1;ttl=9;branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/TCP {x};branch=z9hG4bK{};rport", fresh()),
        format!("SIP/2.0/TLS {x};branch=z9hG4bK{};rport", fresh()),
    ];
    for via in vias {
        for host in ["acme.us.sip.example.com", "acme.eu.sip.example.com"] {
            let mut ask = Ask::new("OPTIONS", &format!("sip:{host}"), range.caller.addr, "udp");
            ask.via = vec![via.clone()];
            let answers = range.provoke(&ask.bytes());
            assert_eq!(answers.len(), 1, "{via}");
            assert_eq!(answers[0].from, range.site.door(), "RFC 3581 4: from the address that was called");
            let back = answers[0].get("Via");
            assert!(back.contains(&format!("received={}", range.caller.addr.ip())), "{back}");
            assert!(back.contains(&format!("rport={}", range.caller.addr.port())), "{back}");
            assert!(!back.contains(&format!("received={us}")) && !back.contains("rport=9"), "{back}");
        }
    }
    range.good_call();
    assert!(victim.any_within(Duration::from_millis(1)).is_none(), "something went to the victim");
    let socket = resolver.octets_waiting();
    assert!(!socket, "Via made the daemon ask DNS");
}

#[test]
fn the_daemon_relays_to_nobody_but_its_upstream() {
    let mut range = Range::new(|_, _| {});
    let mut victim = Leg::udp(range.site.us(66), range.site.door());
    let own = range.site.door();
    let targets = [
        victim.addr.to_string(),
        own.to_string(),
        "127.0.0.1".into(),
        "127.0.0.1:9090".into(),
        "[::1]:5060".into(),
        "0.0.0.0:5060".into(),
        "169.254.169.254:80".into(),
        "[fe80::1]".into(),
        "[::ffff:127.0.0.1]".into(),
        "localhost".into(),
        "10.0.0.1".into(),
        "255.255.255.255".into(),
        "224.0.0.1".into(),
        "example.org".into(),
        "acme.eu.sip.example.com.example.org".into(),
    ];
    for target in &targets {
        for uri in [
            format!("sip:x@{target}"),
            format!("sip:x@{target};maddr={}", victim.addr.ip()),
            format!("sip:{target};transport=tcp"),
        ] {
            let ask = Ask::invite(&uri, range.caller.addr, "udp", range.site.carrier(20).ip());
            range.refuses(&uri, &ask.bytes(), 404);
        }
    }
    // maddr beside a name of ours must not steer either.
    let uri = format!("sip:x@acme.eu.sip.example.com;maddr={}", victim.addr.ip());
    let ask = Ask::invite(&uri, range.caller.addr, "udp", range.site.carrier(20).ip());
    range.provoke(&ask.bytes());
    range.good_call();
    assert!(victim.any_within(Duration::from_millis(1)).is_none(), "something went to the victim");
}

#[test]
fn an_unacknowledged_refusal_is_sent_once() {
    let mut range = Range::new(|plan, site| {
        plan.project(site, "abroad", "pin = [\"us\"]", "");
        plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
    });
    let mut stranger = Leg::udp(range.site.stranger(1), range.site.door());
    let mut sent = 0;
    let mut got = 0;
    for _ in 0..20 {
        let ask = Ask::invite("sip:x@acme.eu.sip.example.com", stranger.addr, "udp", range.site.carrier(20).ip());
        sent += ask.bytes().len();
        stranger.ask(&ask);
        let other = Ask::invite("sip:x@abroad.eu.sip.example.com", range.caller.addr, "udp", range.site.carrier(20).ip());
        range.caller.ask(&other);
    }
    // 64 T1 is 1.3 s here: a stateful server would have repeated each answer some ten times by then.
    let mut known = 0;
    let end = std::time::Instant::now() + Duration::from_millis(1600);
    while let Some(seen) = stranger.any_within(end.saturating_duration_since(std::time::Instant::now())) {
        assert_eq!(seen.code(), 403);
        got += seen.raw.len();
        known += 1;
    }
    assert_eq!(known, 20, "one answer for each");
    assert!(got * 2 <= sent * 3, "{got} octets out for {sent} in");
    let answers = range.canary();
    assert_eq!(answers.len(), 20, "one answer for each");
    range.good_call();
}

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
fn somebody_elses_cancel_and_bye_do_nothing() {
    let mut range = Range::new(|_, _| {});
    let ask = range.invite();
    range.caller.ask(&ask);
    let seen = range.server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", range.server.addr);
    range.server.send(&seen.answer("180 Ringing", "callee", &[&contact], ""));
    range.caller.expect(180);
    let mut stranger = Leg::udp(range.site.stranger(1), range.site.door());
    assert_eq!(stranger.asked(&ask.cancel()).code(), 403, "an unknown source");
    let mut neighbour = Leg::udp(range.site.carrier(77), range.site.door());
    let mut guess = ask.cancel();
    guess.via[0] = format!("SIP/2.0/UDP {};branch=z9hG4bK{};rport", neighbour.addr, fresh());
    assert_eq!(neighbour.asked(&guess).code(), 481, "no such transaction");
    let ack = Ask { method: "ACK".into(), cseq: "1 ACK".into(), ..guess.clone() };
    neighbour.ask(&ack);
    range.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    range.server.request("ACK");
    let busy = range.caller.expect(486);
    range.caller.ask(&ask.ack(&busy));
    range.good_call();
}

#[test]
fn stray_answers_go_nowhere() {
    let mut range = Range::new(|_, _| {});
    let ask = range.invite();
    range.caller.ask(&ask);
    let seen = range.server.request("INVITE");
    let answer = String::from_utf8(seen.answer("200 OK", "callee", &["Contact: <sip:x@y>"], "")).unwrap();
    let branch = seen.branch().to_owned();
    // Our own sent-by with another branch; the right branch with another method or from another method's transaction.
    for forged in [
        answer.replace(&branch, "z9hG4bK0000"),
        answer.replace("CSeq: 1 INVITE", "CSeq: 1 INFO"),
        answer.replace(&branch, &format!("{branch}0")),
        answer.replace(&branch, &branch[..branch.len() - 1]),
    ] {
        range.server.send(forged.as_bytes());
    }
    let before = range.canary();
    assert!(
        before.iter().all(|seen| seen.code() == 100),
        "{:?}",
        before.iter().map(|seen| seen.start.clone()).collect::<Vec<_>>()
    );
    range.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let busy = range.caller.expect(486);
    range.caller.ask(&ask.ack(&busy));
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
