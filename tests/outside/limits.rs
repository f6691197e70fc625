//! Too much: 160 for what is above a limit, silence for a flood, and recovery afterwards.

use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Leg, Plan, Site};
use crate::refusals::assert_refusal;

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

#[test]
fn more_open_transactions_than_allowed_is_160_and_passes() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[limits]\ntransactions = 8\n[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
    let daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let mut ringing = Vec::new();
    let refused = loop {
        let ask = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
        caller.ask(&ask);
        let first = caller.recv();
        if first.code() != 100 {
            break (ask, first);
        }
        let seen = server.request("INVITE");
        server.send(&seen.answer("180 Ringing", "callee", &[], ""));
        caller.expect(180);
        ringing.push((ask, seen));
        assert!(ringing.len() <= 8, "no limit holds");
    };
    assert!(!ringing.is_empty());
    assert_refusal(&refused.1, 503, 160, "overloaded");
    caller.ask(&refused.0.ack(&refused.1));
    for (ask, seen) in ringing {
        server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        let busy = caller.expect(486);
        caller.ask(&ask.ack(&busy));
        server.request("ACK");
    }
    daemon.metrics_when("release of all transactions", Metrics::released);
    let ask = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    assert_eq!(server.request("INVITE").get("Call-ID"), ask.call_id, "and the limit is a limit, not an end");
}

#[test]
fn a_source_above_its_rate_is_160_then_dropped_and_others_do_not_feel_it() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[limits]\nper_source = \"10/s\"\n");
    let daemon = Daemon::start(&site, &plan);
    let mut loud = Leg::udp(site.carrier(20), site.door());
    let mut calm = Leg::udp(site.carrier(21), site.door());
    let _server = Leg::udp(site.eu(10), site.door());
    for _ in 0..200 {
        loud.ask(&Ask::invite(URI, loud.addr, "udp", site.carrier(20).ip()));
    }
    let answer = calm.asked(&Ask::invite("sip:1@acme.us.sip.example.com", calm.addr, "udp", site.carrier(20).ip()));
    assert_refusal(&answer, 603, 110, "foreign-endpoint");
    let mut codes = Vec::new();
    while let Some(seen) = loud.recv_within(std::time::Duration::from_millis(200)) {
        codes.push(seen.code());
    }
    let count = |code: u16| codes.iter().filter(|&&seen| seen == code).count();
    assert!((5..=30).contains(&count(100)), "{codes:?}");
    assert!(count(503) >= 1 && codes.len() < 100, "{codes:?}");
    let metrics = daemon.metrics();
    let dropped = metrics.sum("ringfence_dropped_total", &[("cause", "flood")]);
    assert!(dropped + u64::try_from(codes.len()).unwrap() >= 199, "{dropped} dropped, {} answered", codes.len());
    assert!(metrics.verdicts("refuse", "overloaded") >= 1);
}
