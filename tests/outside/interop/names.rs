//! An upstream by name: what a real name server says, and what the fence lets through of it.

use std::net::IpAddr;
use std::time::Duration;

use super::nsd::Nsd;
use super::{invite, reaches, zone};
use crate::harness::{Daemon, Leg, Plan, Site, await_some};
use crate::refusals::assert_refusal;

fn plan(site: &Site, nsd: &Nsd, name: &str) -> Plan {
    super::plan(site, nsd.addr, &format!("sip:{name}.internal.example:{}", site.port))
}

#[test]
fn a_name_is_resolved_and_what_lies_outside_is_dropped_from_it() {
    let site = Site::claim();
    let (inside, outside) = (site.eu(10).ip(), site.us(10).ip());
    let nsd = Nsd::start(&site, 60, &[("lk", &[outside, inside])]);
    let daemon = Daemon::start(&site, &plan(&site, &nsd, "lk"));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let (mut server, mut abroad) = (Leg::udp(site.eu(10), site.door()), Leg::udp(site.us(10), site.door()));
    for _ in 0..5 {
        reaches(&site, &mut caller, &mut server);
    }
    assert!(abroad.recv_within(Duration::from_millis(1)).is_none(), "an address outside was used");
    let metrics = daemon.metrics();
    assert!(metrics.sum("ringfence_dns_outside_total", &[("region", "eu")]) >= 1, "{}", metrics.text());
    assert!(metrics.sum("ringfence_dns_lookups_total", &[]) >= 1);
}

#[test]
fn a_name_with_addresses_outside_alone_is_150() {
    let site = Site::claim();
    let outside: [IpAddr; 3] = [site.us(10).ip(), "192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
    let nsd = Nsd::start(&site, 60, &[("lk", &outside)]);
    let _daemon = Daemon::start(&site, &plan(&site, &nsd, "lk"));
    let mut abroad = Leg::udp(site.us(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = invite(&site, &caller);
    let answer = caller.asked(&ask);
    assert_refusal(&answer, 603, 150, "foreign-target");
    caller.ask(&ask.ack(&answer));
    assert!(abroad.recv_within(Duration::from_millis(1)).is_none(), "an address outside was used");
}

#[test]
fn a_name_without_addresses_is_151() {
    for name in ["empty", "absent"] {
        let site = Site::claim();
        let nsd = Nsd::start(&site, 60, &[("empty", &[])]);
        let _daemon = Daemon::start(&site, &plan(&site, &nsd, name));
        let mut caller = Leg::udp(site.carrier(20), site.door());
        let ask = invite(&site, &caller);
        let answer = caller.asked(&ask);
        assert_refusal(&answer, 503, 151, "no-target");
        caller.ask(&ask.ack(&answer));
    }
}

#[test]
fn a_name_that_changes_is_followed_and_one_whose_server_is_gone_still_serves() {
    let site = Site::claim();
    let nsd = Nsd::start(&site, 1, &[("lk", &[site.eu(10).ip()])]);
    let daemon = Daemon::start(&site, &plan(&site, &nsd, "lk"));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let (mut first, mut second) = (Leg::udp(site.eu(10), site.door()), Leg::udp(site.eu(11), site.door()));
    reaches(&site, &mut caller, &mut first);
    nsd.change(&site, 1, &[("lk", &[site.eu(11).ip()])]);
    await_some("calls at the new address", || {
        let ask = invite(&site, &caller);
        caller.ask(&ask);
        let moved = second.recv_within(Duration::from_millis(100));
        let server = if moved.is_some() { &mut second } else { &mut first };
        let seen = moved.clone().unwrap_or_else(|| server.request("INVITE"));
        server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        server.request("ACK");
        let busy = caller.expect(486);
        caller.ask(&ask.ack(&busy));
        moved
    });
    drop(nsd);
    // The answer lived for a second; after a look-up in vain it still serves.
    let failed = [("type", "A"), ("result", "failed")];
    daemon.metrics_when("a look-up in vain", |metrics| metrics.sum("ringfence_dns_lookups_total", &failed) >= 1);
    reaches(&site, &mut caller, &mut second);
    assert_eq!(daemon.get("/readyz").0, 200);
}

#[test]
fn a_daemon_that_cannot_resolve_is_alive_but_not_ready() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = "\"sip:lk.internal.example\"".into();
    plan.more = format!("[dns]\nservers = [\"{}\"]\n", site.eu(53));
    let daemon = Daemon::launch(&site, &plan.text(&site));
    assert_eq!(daemon.get("/readyz").0, 503);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = invite(&site, &caller);
    let answer = caller.asked(&ask);
    assert_refusal(&answer, 503, 151, "no-target");
    caller.ask(&ask.ack(&answer));
    assert_eq!(daemon.get("/healthz").0, 200);
    let nsd = Nsd::serve_at(&site, site.eu(53), 60, &zone::addresses("lk", &[site.eu(10).ip()]));
    await_some("readiness", || (daemon.get("/readyz").0 == 200).then_some(()));
    drop(nsd);
}
