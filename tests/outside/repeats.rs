//! A connection to a server is lost: what had no answer goes once more on a fresh one, and one trunk's message costs no other trunk a call.

use std::collections::HashMap;
use std::net::TcpListener;

use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site};

/// Two projects, each with a trunk of its own, in front of one server over TCP.
struct Scene {
    // Its addresses are its own while it lives.
    _site: Site,
    daemon: Daemon,
    server: TcpListener,
    acme: Leg,
    rival: Leg,
}

impl Scene {
    fn new() -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        plan.upstream = format!("\"sip:{};transport=tcp\"", site.eu(10));
        let rival = Site::network(site.rival(0));
        let keys = format!("networks = [\"{rival}\"]\nmedia = [\"{rival}\"]\n");
        plan.projects.push_str("[project.rival]\n[project.rival.trunk.carrier]\n");
        plan.projects.push_str(&keys);
        let server = TcpListener::bind(site.eu(10)).unwrap();
        let daemon = Daemon::start(&site, &plan);
        let (acme, rival) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.rival(20), site.door()));
        Self { _site: site, daemon, server, acme, rival }
    }

    fn call(&mut self, project: &str) -> Ask {
        let leg = if project == "acme" { &mut self.acme } else { &mut self.rival };
        let ask = Ask::invite(&format!("sip:1@{project}.eu.sip.example.com"), leg.addr, "udp", leg.addr.ip());
        leg.ask(&ask);
        ask
    }

    /// The next connection that the daemon opens to the server.
    fn connection(&self) -> Leg {
        Leg::next_of(&self.server)
    }

    fn resent(&self) -> u64 {
        self.daemon.metrics().sum("ringfence_resent_total", &[("region", "eu"), ("transport", "tcp")])
    }

    fn server_is_up(&self) -> bool {
        self.daemon.metrics().sum("ringfence_upstream_up", &[("region", "eu")]) == 1
    }
}

/// The answer to a call. Its ACK comes by a connection that is everybody's.
fn is_busy(leg: &mut Leg, seen: &Seen) {
    leg.send(&seen.answer("486 Busy Here", "callee", &[], ""));
}

#[test]
fn what_a_lost_connection_carried_goes_once_more() {
    let mut scene = Scene::new();
    let asks: Vec<Ask> = (0..3).map(|_| scene.call("acme")).collect();
    let mut kept = scene.connection();
    let first: HashMap<String, String> =
        (0..3).map(|_| kept.request("INVITE")).map(|seen| (seen.get("Call-ID").to_owned(), seen.branch().to_owned())).collect();
    drop(kept);
    let mut fresh: Vec<Leg> = (0..3).map(|_| scene.connection()).collect();
    for leg in &mut fresh {
        let seen = leg.request("INVITE");
        assert_eq!(first.get(seen.get("Call-ID")).map(String::as_str), Some(seen.branch()), "the same request");
        is_busy(leg, &seen);
    }
    for _ in &asks {
        let busy = scene.acme.expect(486);
        let ask = asks.iter().find(|ask| ask.call_id == busy.get("Call-ID")).unwrap();
        scene.acme.ask(&ask.ack(&busy));
    }
    assert_eq!((scene.resent(), scene.server_is_up()), (3, true));
    // Connections for repeats carry nothing else.
    let mut next = scene.connection();
    for _ in &asks {
        next.request("ACK");
    }
    scene.call("acme");
    next.request("INVITE");
    for leg in &mut fresh {
        assert!(leg.any_within(std::time::Duration::ZERO).is_none());
    }
}

#[test]
fn what_is_lost_twice_has_failed() {
    let mut scene = Scene::new();
    let ask = scene.call("acme");
    for _ in 0..2 {
        let mut leg = scene.connection();
        assert_eq!(leg.request("INVITE").get("Call-ID"), ask.call_id);
    }
    let failed = scene.acme.response();
    assert_eq!((failed.code(), failed.get("Call-ID")), (503, ask.call_id.as_str()));
    assert_eq!(scene.resent(), 1);
    // Nothing was there to answer: that says nothing of the server, which answers the next call.
    let again = scene.call("acme");
    let mut leg = scene.connection();
    let seen = leg.request("INVITE");
    assert_eq!(seen.get("Call-ID"), again.call_id);
    is_busy(&mut leg, &seen);
    assert!(scene.server_is_up());
}

#[test]
fn what_breaks_a_connection_costs_no_other_trunk_its_calls() {
    let mut scene = Scene::new();
    let good: Vec<Ask> = (0..2).map(|_| scene.call("acme")).collect();
    let bad = scene.call("rival");
    let mut kept = scene.connection();
    for _ in 0..3 {
        kept.request("INVITE");
    }
    // The server does not like one of them, and closes.
    drop(kept);
    let fresh: Vec<(Leg, Seen)> = (0..3)
        .map(|_| {
            let mut leg = scene.connection();
            let seen = leg.request("INVITE");
            (leg, seen)
        })
        .collect();
    let mut broken = 0;
    for (mut leg, seen) in fresh {
        assert!(leg.any_within(std::time::Duration::ZERO).is_none(), "it stands alone");
        if seen.get("Call-ID") == bad.call_id {
            broken += 1;
        } else {
            is_busy(&mut leg, &seen);
        }
    }
    assert_eq!(broken, 1);
    for _ in &good {
        let busy = scene.acme.expect(486);
        let ask = good.iter().find(|ask| ask.call_id == busy.get("Call-ID")).unwrap();
        scene.acme.ask(&ask.ack(&busy));
    }
    assert_eq!(scene.rival.response().code(), 503, "and whoever broke it is told");
    assert!(scene.server_is_up());
}

#[test]
fn a_cancel_and_an_ack_are_repeated_too() {
    let mut scene = Scene::new();
    let ask = scene.call("acme");
    let mut kept = scene.connection();
    let seen = kept.request("INVITE");
    kept.send(&seen.answer("180 Ringing", "callee", &[], ""));
    scene.acme.expect(180);
    scene.acme.ask(&ask.cancel());
    scene.acme.expect(200);
    let cancel = kept.request("CANCEL");
    drop(kept);
    // The INVITE has arrived, as its 180 says. Whether the CANCEL has, nobody knows.
    let mut fresh = scene.connection();
    let again = fresh.request("CANCEL");
    assert_eq!(again.branch(), cancel.branch());
    fresh.send(&again.answer("200 OK", "callee", &[], ""));
    fresh.send(&seen.answer("487 Request Terminated", "callee", &[], ""));
    let ended = scene.acme.expect(487);
    scene.acme.ask(&ask.ack(&ended));
    let mut other = scene.connection();
    assert_eq!(other.request("ACK").branch(), seen.branch());
    drop(other);
    assert_eq!(scene.connection().request("ACK").branch(), seen.branch());
    assert_eq!(scene.resent(), 2);
}

#[test]
fn a_connection_that_is_kept_asks_whether_its_peer_is_there() {
    let mut scene = Scene::new();
    let ask = scene.call("acme");
    let mut kept = scene.connection();
    let seen = kept.request("INVITE");
    is_busy(&mut kept, &seen);
    let busy = scene.acme.expect(486);
    scene.acme.ask(&ask.ack(&busy));
    kept.request("ACK");
    // After half a minute of silence (RFC 5626 4.4.1).
    assert_eq!(kept.octets_within(4, std::time::Duration::from_secs(60)), b"\r\n\r\n");
    kept.send(b"\r\n");
    // The answer is no message, and the connection stays.
    scene.call("acme");
    kept.request("INVITE");
    assert_eq!(scene.daemon.metrics().sum("ringfence_malformed_total", &[]), 0);
}
