//! What an operator does to a daemon while calls run: no call notices. The same under more load: `benches/operations`.

use std::net::{TcpListener, UdpSocket};

use super::sipp::{Load, Sipp};
use crate::harness::{Daemon, Plan, Site, await_some};

const LOAD: Load = Load { calls: 200, rate: 60 };

/// Both sides of calls that ring for up to a second, on a site.
fn load(site: &Site) -> (Sipp, Sipp) {
    let callee = Sipp::server(site, "callee_rings_awhile", "udp", site.eu(10), LOAD);
    (Sipp::caller(site, "caller_loses_nothing", "udp", (site.carrier(20), site.door()), LOAD), callee)
}

fn under_way(daemon: &Daemon) {
    daemon.metrics_when("calls under way", |now| now.verdicts("accept", "in-region") >= 20);
}

#[test]
fn reloads_lose_no_call() {
    let site = Site::claim();
    // What is answered is forgotten soon, so that what is not can be told from it.
    let timers = "[timers]\nt1 = \"50ms\"\nt2 = \"400ms\"\nt4 = \"500ms\"\n";
    let text = Plan::new(&site).text(&site) + timers;
    let daemon = Daemon::start_with(&site, &text);
    let (caller, callee) = load(&site);
    under_way(&daemon);
    for round in 0..5 {
        // Everything gets another number each time: a region and a project come to stand in front.
        let mut other = Plan::new(&site);
        other.top = format!("[region.a{round}]\nhostname = \"a{round}.example.com\"\nnetworks = [\"192.0.2.0/24\"]\n");
        other.projects = format!("[project.b{round}]\npin = [\"eu\"]\n{}", other.projects);
        daemon.reload(&site, &(other.text(&site) + timers));
        daemon.reload(&site, &text);
    }
    caller.succeeds();
    callee.succeeds();
    daemon.metrics_when("no transaction", crate::harness::metrics::Metrics::released);
}

#[test]
fn a_restart_with_passed_sockets_loses_no_call() {
    let site = Site::claim();
    let (udp, tcp) = (UdpSocket::bind(site.door()).unwrap(), TcpListener::bind(site.door()).unwrap());
    let text = Plan::new(&site).text(&site);
    let mut daemon = Daemon::start_on(&site, &text, "first", (&udp, &tcp));
    let (caller, callee) = load(&site);
    for name in ["second", "third"] {
        under_way(&daemon);
        daemon.signal("TERM");
        assert!(daemon.wait().success());
        daemon = Daemon::start_on(&site, &text, name, (&udp, &tcp));
    }
    caller.succeeds();
    callee.succeeds();
}

#[test]
fn a_node_that_is_killed_takes_no_established_call_along() {
    let site = Site::claim();
    let (calls, other) = (15, site.eu(2));
    let mut plan = Plan::new(&site);
    plan.eu.push_str("advertise = \"eu.sip.example.com\"\n");
    let node = Daemon::start(&site, &plan);
    let elsewhere = plan.text(&site).replace(&format!("{}:", site.eu(1).ip()), &format!("{}:", other.ip()));
    let spare = Daemon::start_beside(&site, "beside", &elsewhere, other.ip());
    let load = |calls| Load { calls, rate: 100 };
    let key = other.ip().to_string();
    let more = ["-key", "other", &key, "-d", "2000"];
    let callee = Sipp::server_with(&site, "callee_outlives_node", "udp", site.eu(10), load(2 * calls), &more);
    let sides = [("caller", 20), ("callee", 21)].map(|(who, last)| {
        let more = [&more[..], &["-key", "who", who]].concat();
        let ends = (site.carrier(last), site.door());
        Sipp::caller_with(&site, "caller_outlives_node", "udp", ends, load(calls), &more)
    });
    let acknowledged = [("method", "ACK")];
    node.metrics_when("the calls to be up", |now| now.sum("ringfence_requests_total", &acknowledged) == u64::from(2 * calls));
    node.signal("KILL");
    for side in sides {
        side.succeeds();
    }
    callee.succeeds();
    let byes = |now: &crate::harness::metrics::Metrics| now.sum("ringfence_requests_total", &[("method", "BYE")]);
    await_some("every BYE", || (byes(&spare.metrics()) >= u64::from(2 * calls)).then_some(()));
}
