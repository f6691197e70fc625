//! Which server a call finds by a name: NAPTR, SRV and addresses of a real zone (RFC 3263 4, RFC 2782).

use std::fmt::Write;
use std::net::IpAddr;
use std::time::Duration;

use super::nsd::Nsd;
use super::sipp::{Load, Server, Sipp};
use super::{call, invite, plan, reaches, run, zone};
use crate::harness::{Daemon, Leg, Site, await_some};
use crate::refusals::assert_refusal;

/// A daemon whose upstream is `lk.internal.example`, or what stands behind it in `uri`, in a zone with these records.
fn daemon(site: &Site, uri: &str, records: &str) -> (Daemon, Nsd) {
    let nsd = Nsd::serve(site, 60, records);
    (Daemon::start(site, &plan(site, nsd.addr, uri)), nsd)
}

fn udp(site: &Site, last: u8) -> Leg {
    Leg::udp(site.eu(last), site.door())
}

fn trunk(site: &Site) -> Leg {
    Leg::udp(site.carrier(20), site.door())
}

#[test]
fn naptr_chooses_the_transport() {
    // TCP at eu(10), UDP at eu(11): by order, and within an order by preference.
    for (tcp, expected) in [("10 10", "TCP"), ("20 10", "UDP"), ("15 5", "TCP"), ("15 20", "UDP")] {
        let site = Site::claim();
        let port = site.port;
        let records = format!(
            "lk IN NAPTR {tcp} \"s\" \"SIP+D2T\" \"\" _sip._tcp.lk\nlk IN NAPTR 15 10 \"S\" \"sip+d2u\" \"\" _sip._udp.elsewhere\n\
             lk IN NAPTR 1 1 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.lk\nlk IN NAPTR 2 1 \"u\" \"E2U+sip\" \"!^.*$!sip:x@y!\" .\n\
             _sip._tcp.lk IN SRV 1 1 {port} s10\n_sip._udp.elsewhere IN SRV 1 1 {port} s11\n{}{}",
            zone::addresses("s10", &[site.eu(10).ip()]),
            zone::addresses("s11", &[site.eu(11).ip()]),
        );
        let (mut over_tcp, mut over_udp) = (Leg::listen(site.eu(10)), udp(&site, 11));
        let (_daemon, _nsd) = daemon(&site, "sip:lk.internal.example", &records);
        let server = if expected == "TCP" { &mut over_tcp } else { &mut over_udp };
        let seen = reaches(&site, &mut trunk(&site), server);
        assert!(seen.get("Via").starts_with(&format!("SIP/2.0/{expected} ")), "{tcp}: {}", seen.get("Via"));
    }
}

#[test]
fn the_next_preference_is_tried_when_the_first_fails() {
    let site = Site::claim();
    let port = site.port;
    let records = format!(
        "lk IN NAPTR 10 10 \"s\" \"SIP+D2T\" \"\" _sip._tcp.lk\nlk IN NAPTR 10 20 \"s\" \"SIP+D2U\" \"\" _sip._udp.lk\n\
         _sip._tcp.lk IN SRV 1 1 {port} lk-10\n{}",
        zone::servers("lk", &[(1, 1, site.eu(10))]),
    );
    let mut server = udp(&site, 10);
    let (_daemon, _nsd) = daemon(&site, "sip:lk.internal.example", &records);
    let seen = reaches(&site, &mut trunk(&site), &mut server);
    assert!(seen.get("Via").starts_with("SIP/2.0/UDP "), "{}", seen.get("Via"));
}

#[test]
fn a_transport_that_is_written_or_the_only_service_needs_no_naptr() {
    for (uri, transport) in
        [("sip:lk.internal.example;transport=tcp", "tcp"), ("sip:lk.internal.example", "tcp"), ("sip:lk.internal.example", "udp")]
    {
        let site = Site::claim();
        let records =
            format!("_sip._{transport}.lk IN SRV 1 1 {} s10\n{}", site.port, zone::addresses("s10", &[site.eu(10).ip()]));
        let mut server = Leg::server(transport, site.eu(10), site.door());
        let (_daemon, _nsd) = daemon(&site, uri, &records);
        reaches(&site, &mut trunk(&site), &mut server);
    }
}

#[test]
fn priorities_are_an_order() {
    let site = Site::claim();
    let records = zone::servers("lk", &[(30, 100, site.eu(12)), (10, 0, site.eu(10)), (20, 100, site.eu(11))]);
    let (mut first, mut second, mut third) = (udp(&site, 10), udp(&site, 11), udp(&site, 12));
    let (_daemon, _nsd) = daemon(&site, "sip:lk.internal.example", &records);
    let mut caller = trunk(&site);
    for _ in 0..20 {
        reaches(&site, &mut caller, &mut first);
    }
    assert!(!second.octets_waiting() && !third.octets_waiting(), "a later priority was used");
    drop(first);
    reaches(&site, &mut caller, &mut second);
    drop(second);
    reaches(&site, &mut caller, &mut third);
}

#[test]
fn weights_are_shares() {
    let site = Site::claim();
    let weights = [(10_u16, 10_u8), (20, 11), (70, 12)];
    let servers = weights.map(|(_, last)| Server::start(&site, site.eu(last)));
    let records = zone::servers("lk", &weights.map(|(weight, last)| (1, weight, site.eu(last))));
    let (_daemon, _nsd) = daemon(&site, "sip:lk.internal.example", &records);
    // Chance alone is within 3 points of the largest share in all but one of thirty thousand runs; of 1000 calls, in all but one
    // of twenty-five.
    let load = Load { calls: 4000, rate: 500 };
    Sipp::caller(&site, "caller_is_served", "udp", (site.carrier(20), site.door()), load).succeeds();
    let counts = || servers.each_ref().map(Server::calls);
    let counts = await_some("the servers' counts", || Some(counts()).filter(|counts| counts.iter().sum::<u64>() >= 4000));
    for ((weight, _), count) in weights.iter().zip(counts) {
        let share = u64::from(*weight) * 40;
        assert!(count.abs_diff(share) <= 120, "weights 10, 20, 70 gave {counts:?} of 4000 calls");
    }
}

#[test]
fn a_service_that_is_decidedly_not_there_is_151() {
    let site = Site::claim();
    let records = format!("_sip._udp.lk IN SRV 0 0 0 .\n{}", zone::addresses("lk", &[site.eu(10).ip()]));
    let server = udp(&site, 10);
    let (_daemon, _nsd) = daemon(&site, "sip:lk.internal.example;transport=udp", &records);
    assert_refusal(&call(&site, &mut trunk(&site)), 503, 151, "no-target");
    assert!(!server.octets_waiting(), "the name's own address was used");
}

#[test]
fn a_port_that_is_written_leaves_srv_aside() {
    let site = Site::claim();
    let records = zone::servers("lk", &[(1, 1, site.eu(11))]) + &zone::addresses("lk", &[site.eu(10).ip()]);
    let (mut server, of_srv) = (udp(&site, 10), udp(&site, 11));
    let (_daemon, _nsd) = daemon(&site, &format!("sip:lk.internal.example:{}", site.port), &records);
    reaches(&site, &mut trunk(&site), &mut server);
    assert!(!of_srv.octets_waiting(), "the server of the SRV record was used");
}

#[test]
fn targets_outside_are_counted_and_never_sent_a_packet() {
    let site = Site::claim();
    let port = site.port;
    let records = format!(
        "_sip._udp.lk IN SRV 1 100 {port} out\n_sip._udp.lk IN SRV 1 0 {port} both\n_sip._udp.lk IN SRV 2 0 {port} in\n{}{}{}",
        zone::addresses("out", &[site.us(10).ip()]),
        zone::addresses("both", &[site.us(11).ip(), site.eu(10).ip()]),
        zone::addresses("in", &[site.eu(11).ip()]),
    );
    let abroad = [10, 11].map(|last| Leg::udp(site.us(last), site.door()));
    let servers = [10, 11].map(|last| Server::start(&site, site.eu(last)));
    let nsd = Nsd::serve(&site, 60, &records);
    let mut plan = plan(&site, nsd.addr, "sip:lk.internal.example");
    plan.health = "interval = \"50ms\"".into();
    let daemon = Daemon::start(&site, &plan);
    let mut caller = trunk(&site);
    for _ in 0..20 {
        assert_eq!(call(&site, &mut caller).code(), 200);
    }
    // Also the server of the second priority, which has no calls: so would those outside have been, by now.
    await_some("probes of both servers inside", || servers.iter().all(|server| server.probes() >= 2).then_some(()));
    let metrics = daemon.metrics();
    assert_eq!(metrics.sum("ringfence_dns_outside_total", &[("region", "eu")]), 2, "{}", metrics.text());
    assert!(abroad.iter().all(|leg| !leg.octets_waiting()), "a packet left the region");
}

#[test]
fn an_answer_that_is_cut_off_is_asked_for_again_over_tcp() {
    let site = Site::claim();
    let addresses: Vec<IpAddr> = (20..220).map(|last| site.eu(last).ip()).collect();
    let mut servers: Vec<Leg> = (20..220).map(|last| udp(&site, last)).collect();
    let (_daemon, nsd) = daemon(&site, &format!("sip:lk.internal.example:{}", site.port), &zone::addresses("lk", &addresses));
    let (at, port) = (format!("@{}", nsd.addr.ip()), nsd.addr.port().to_string());
    let over_udp = run("dig", &["+ignore", "+notcp", &at, "-p", &port, "lk.internal.example"], "");
    assert!(over_udp.contains("flags: qr aa tc"), "the answer is cut off: {over_udp}");
    let mut caller = trunk(&site);
    let ask = invite(&site, &caller);
    caller.ask(&ask);
    let (server, seen) = await_some("the INVITE", || {
        servers.iter_mut().find_map(|server| server.recv_within(Duration::ZERO).map(|seen| (server.addr, seen)))
    });
    let server = servers.iter_mut().find(|leg| leg.addr == server).unwrap();
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    server.request("ACK");
    let busy = caller.expect(486);
    caller.ask(&ask.ack(&busy));
}

#[test]
fn aliases_are_followed() {
    let site = Site::claim();
    let port = site.port;
    let mut records = format!(
        "name IN CNAME other\nother IN CNAME s10\n_sip._udp.service IN CNAME _sip._udp.lk\n_sip._udp.lk IN SRV 1 1 {port} s10\n\
         _sip._udp.target IN SRV 1 1 {port} name\nloop IN CNAME pool\npool IN CNAME loop\n"
    );
    write!(records, "{}", zone::addresses("s10", &[site.eu(10).ip()])).unwrap();
    let nsd = Nsd::serve(&site, 60, &records);
    for uri in [&format!("name.internal.example:{port}"), "service.internal.example", "target.internal.example"] {
        let _daemon = Daemon::start(&site, &plan(&site, nsd.addr, &format!("sip:{uri}")));
        reaches(&site, &mut trunk(&site), &mut udp(&site, 10));
    }
    let daemon = Daemon::launch(&site, &plan(&site, nsd.addr, "sip:loop.internal.example").text(&site));
    assert_refusal(&call(&site, &mut trunk(&site)), 503, 151, "no-target");
    assert_eq!(daemon.get("/healthz").0, 200);
}
