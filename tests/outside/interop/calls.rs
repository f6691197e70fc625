//! `SIPp` calls `SIPp` through the daemon.

use super::sipp::{self, Load, Sipp};
use crate::harness::metrics::Metrics;
use crate::harness::{Daemon, Plan, Site};

const PAIRS: [(&str, &str); 4] = [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")];

/// A daemon whose upstream is spoken to over this transport.
fn daemon(site: &Site, outer: &str, more: &str) -> Daemon {
    let mut plan = Plan::new(site);
    plan.upstream = format!("\"sip:{};transport={outer}\"", site.eu(10));
    plan.more.push_str(more);
    Daemon::start(site, &plan)
}

fn all_pairs(caller: &'static str, server: &'static str) {
    for pair in PAIRS {
        println!("{} to {}", pair.0, pair.1);
        let site = Site::claim();
        let daemon = daemon(&site, pair.1, "");
        sipp::run(&site, (caller, server), pair, Load { calls: 10, rate: 20 });
        let metrics = daemon.metrics();
        let (received, ended) = (metrics.sum("ringfence_received_total", &[]), metrics.sum("ringfence_messages_total", &[]));
        assert_eq!(received, ended, "{received} received, {ended} ended");
        assert!(metrics.verdicts("accept", "in-region") >= 10);
    }
}

#[test]
fn callers_talk_hold_resume_and_hang_up() {
    all_pairs("caller_hangs_up", "callee");
}

#[test]
fn callees_change_the_session_and_hang_up() {
    all_pairs("caller_hung_up", "callee_hangs_up");
}

#[test]
fn callers_give_up() {
    all_pairs("caller_gives_up", "callee_rings");
}

#[test]
fn callees_are_busy() {
    all_pairs("caller_is_turned_down", "callee_busy");
}

#[test]
fn a_thousand_calls_at_a_hundred_a_second_leave_nothing_behind() {
    let site = Site::claim();
    let daemon = daemon(&site, "udp", "[timers]\nt1 = \"100ms\"\nt2 = \"400ms\"\nt4 = \"500ms\"\n");
    let load = Load { calls: 1000, rate: 100 };
    sipp::run(&site, ("caller_hangs_up", "callee"), ("udp", "udp"), load);
    let metrics = daemon.metrics_when("release of all transactions", Metrics::released);
    let accepted = metrics.sum("ringfence_verdicts_total", &[("verdict", "accept")]);
    assert!(accepted >= 1000, "{accepted}");
    let refused = metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]);
    assert_eq!(refused, 0, "{}", metrics.text());
}

#[test]
fn a_thousand_refusals_reach_sipp_with_their_reason() {
    for transport in ["udp", "tcp"] {
        let site = Site::claim();
        let daemon = daemon(&site, "udp", "");
        Sipp::refused(&site, transport, Load { calls: 1000, rate: 500 }).succeeds();
        let refused = daemon.metrics().verdicts("refuse", "foreign-endpoint");
        assert!(refused >= 1000, "{refused}");
        let open = daemon.metrics().sum("ringfence_transactions", &[]);
        assert_eq!(open, 0, "a refusal keeps no transaction, {open} are open");
    }
}
