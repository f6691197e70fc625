//! Names that DNS loses for a moment, at a real name server: an upstream's serves on, then DNS is believed. And a trunk's name, which is
//! asked for when the trunk is called.

use super::named::Named;
use super::nsd::Nsd;
use super::sipp::Server;
use super::{call, plan, zone};
use crate::harness::{Ask, Daemon, Leg, Site, await_some};
use crate::refusals::assert_refusal;

#[test]
fn a_name_that_is_lost_for_a_moment_costs_no_call() {
    let site = Site::claim();
    let named = Named::serve(&site, 1, &zone::addresses("lk", &[site.eu(10).ip()]));
    let _server = Server::start(&site, site.eu(10));
    let uri = format!("sip:lk.internal.example:{}", site.port);
    let daemon = Daemon::start(&site, &plan(&site, named.addr, &uri));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    assert_eq!(call(&site, &mut caller).code(), 200);
    // NXDOMAIN: the name had no other record.
    named.update("update delete lk.internal.example. A");
    daemon.metrics_when("the loss", |metrics| metrics.sum("ringfence_dns_vanished_total", &[("region", "eu")]) == 1);
    for _ in 0..5 {
        assert_eq!(call(&site, &mut caller).code(), 200, "the server is there, and was a moment ago");
    }
    assert_eq!(daemon.get("/readyz").0, 200);
    assert!(daemon.get("/status").1.contains("\"state\": \"vanished\""));
    let told = |text: &str| daemon.log().lines().any(|line| line.contains(text) && line.contains("lk.internal.example"));
    assert!(told("has no address any more") && daemon.log().contains(&site.eu(10).to_string()), "{}", daemon.log());
    named.update(&format!("update add lk.internal.example. 1 A {}", site.eu(10).ip()));
    await_some("the name", || told("has addresses again").then_some(()));
    // Lost again, and beyond `vanish`.
    let mut plan = plan(&site, named.addr, &uri);
    plan.more.push_str("vanish = \"1s\"\n");
    daemon.reload(&site, &plan.text(&site));
    named.update("update delete lk.internal.example. A");
    let refused = await_some("the end", || {
        let last = call(&site, &mut caller);
        (last.code() != 200).then_some(last)
    });
    assert_refusal(&refused, 503, 151, "no-target");
}

#[test]
fn a_trunks_name_is_asked_for_when_it_is_called() {
    let site = Site::claim();
    // The authority is away while the daemon starts: a name that nobody calls is nobody's matter.
    let nsd = Nsd::serve(&site, 60, &zone::addresses("gw", &[site.carrier(30).ip()]));
    let addr = nsd.addr;
    drop(nsd);
    let mut plan = plan(&site, addr, "unused.internal.example");
    plan.upstream = format!("\"sip:{}\"", site.eu(10));
    let uri = format!("uri = \"sip:gw.internal.example:{}\"\nmedia = [", site.port);
    plan.projects = plan.projects.replace("media = [", &uri);
    let daemon = Daemon::start(&site, &plan);
    assert_eq!(daemon.get("/readyz").0, 200);
    assert!(daemon.get("/status").1.contains("\"state\": \"unasked\""), "{}", daemon.get("/status").1);
    let _nsd = Nsd::serve_at(&site, addr, 60, &zone::addresses("gw", &[site.carrier(30).ip()]));
    let mut gateway = Leg::udp(site.carrier(30), site.door());
    let mut server = Leg::udp(site.eu(10), site.door());
    let ask = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", server.addr, "udp", site.eu(10).ip());
    server.ask(&ask);
    let seen = gateway.request("INVITE");
    gateway.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    assert_eq!(server.expect(486).code(), 486);
    await_some("the name in the resolver's hands", || daemon.get("/status").1.contains("\"state\": \"fresh\"").then_some(()));
}
