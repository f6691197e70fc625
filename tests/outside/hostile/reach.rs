//! Messages that would make the daemon speak to somebody else, or speak too much.

use std::time::Duration;

use super::Range;
use crate::harness::message::fresh;
use crate::harness::{Ask, Leg, Plan, Site};

#[test]
fn answers_go_to_the_packets_source_and_nowhere_else() {
    let dns = |plan: &mut Plan, site: &Site| plan.more = format!("[dns]\nservers = [\"{}\"]\n", site.eu(53));
    let mut range = Range::new(dns);
    let resolver = Leg::udp(range.site.eu(53), range.site.door());
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
