//! Calls out: from the region's servers through a trunk, and through nothing else.

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};
use crate::refusals::assert_refusal;

/// A project whose trunk `carrier` takes calls at its address 10.
fn scene() -> (Site, Daemon, Leg, Leg) {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.projects = plan.projects.replace("media = [", &format!("uri = \"sip:{}\"\nmedia = [", site.carrier(10)));
    let daemon = Daemon::start(&site, &plan);
    let (server, carrier) = (Leg::udp(site.eu(10), site.door()), Leg::udp(site.carrier(10), site.door()));
    (site, daemon, server, carrier)
}

#[test]
fn a_server_of_the_region_calls_out_through_the_trunk_that_it_names() {
    let (site, _daemon, mut server, mut carrier) = scene();
    let invite = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", server.addr, "udp", site.eu(20).ip());
    server.ask(&invite);
    let seen = carrier.request("INVITE");
    assert_eq!(seen.uri(), format!("sip:+4930222@{}", site.carrier(10)));
    assert_eq!(seen.body, invite.body);
    let contact = format!("Contact: <sip:callee@{}>", carrier.addr);
    carrier.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.carrier(20).ip())));
    let mut dialog = Dialog::of_caller(&server.expect(200), &server);
    let mut far = Dialog::of_callee(&seen, "callee", &carrier);
    server.ask(&dialog.ack());
    carrier.request("ACK");
    carrier.ask(&far.next("INFO"));
    let info = server.request("INFO");
    server.send(&info.answer("200 OK", "", &[], ""));
    carrier.expect(200);
    server.ask(&dialog.next("BYE"));
    let bye = carrier.request("BYE");
    carrier.send(&bye.answer("200 OK", "", &[], ""));
    server.expect(200);
}

#[test]
fn what_is_the_calls_own_goes_out_with_it() {
    let (site, _daemon, mut server, mut carrier) = scene();
    let uri = "sip:+4930222;npdi@carrier.acme.eu.sip.example.com;transport=tcp;user=phone;cause=302";
    let invite = Ask::invite(uri, server.addr, "udp", site.eu(20).ip());
    server.ask(&invite);
    let seen = carrier.request("INVITE");
    assert_eq!(seen.uri(), format!("sip:+4930222;npdi@{};user=phone;cause=302", site.carrier(10)));
    carrier.send(&seen.answer("486 Busy Here", "callee", &["Retry-After: 3600"], ""));
    let answer = server.expect(486);
    assert!(answer.find("Retry-After").is_none(), "{}", answer.start);
    server.ask(&invite.ack(&answer));
    carrier.request("ACK");
    // OPTIONS asks the carrier, not us.
    server.ask(&Ask::new("OPTIONS", "sip:carrier.acme.eu.sip.example.com", server.addr, "udp"));
    let asked = carrier.request("OPTIONS");
    assert_eq!(asked.uri(), format!("sip:{}", site.carrier(10)));
    carrier.send(&asked.answer("200 OK", "callee", &["X-Who: carrier"], ""));
    assert_eq!(server.expect(200).get("X-Who"), "carrier");
    let ours = server.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", server.addr, "udp"));
    assert_eq!((ours.code(), ours.get("Contact").to_owned()), (200, format!("<sip:{}>", site.door())));
}

#[test]
fn nobody_but_the_regions_servers_calls_out() {
    let (site, daemon, mut server, mut carrier) = scene();
    let mut phone = Leg::udp(site.carrier(20), site.door());
    let mut stranger = Leg::udp(site.stranger(1), site.door());
    for leg in [&mut phone, &mut stranger] {
        let invite = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", leg.addr, "udp", site.eu(20).ip());
        let answer = leg.asked(&invite);
        assert!([403, 404, 603].contains(&answer.code()), "{}", answer.start);
        leg.ask(&invite.ack(&answer));
    }
    let honest = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", server.addr, "udp", site.eu(20).ip());
    server.ask(&honest);
    assert_eq!(carrier.recv().get("Call-ID"), honest.call_id, "a call of somebody else went out");
    assert_eq!(daemon.metrics().sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 2);
}

#[test]
fn media_outside_is_refused_on_the_way_out_too() {
    let (site, _daemon, mut server, mut carrier) = scene();
    let invite = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", server.addr, "udp", site.us(20).ip());
    let answer = server.asked(&invite);
    assert_refusal(&answer, 603, 140, "foreign-media-offer");
    server.ask(&invite.ack(&answer));
    let good = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", server.addr, "udp", site.eu(20).ip());
    server.ask(&good);
    assert_eq!(carrier.recv().get("Call-ID"), good.call_id);
}

#[test]
fn a_server_of_another_region_calls_nobody() {
    let (site, _daemon, _server, mut carrier) = scene();
    let mut abroad = Leg::udp(site.us(10), site.door());
    let invite = Ask::invite("sip:+4930222@carrier.acme.eu.sip.example.com", abroad.addr, "udp", site.eu(20).ip());
    assert_eq!(abroad.asked(&invite).start, "SIP/2.0 403 Forbidden");
    assert!(carrier.recv_within(std::time::Duration::from_millis(1)).is_none());
}

#[test]
fn a_call_to_a_country_that_the_trunk_does_not_allow_stays_here() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    let keys = format!("uri = \"sip:{}\"\ncountries = [\"DE\"]\nmedia = [", site.carrier(10));
    plan.projects = plan.projects.replace("media = [", &keys);
    let daemon = Daemon::start(&site, &plan);
    let (mut server, mut carrier) = (Leg::udp(site.eu(10), site.door()), Leg::udp(site.carrier(10), site.door()));
    let invite = |user: &str, server: &Leg| {
        Ask::invite(&format!("sip:{user}@carrier.acme.eu.sip.example.com"), server.addr, "udp", site.eu(20).ip())
    };
    for user in ["+442079460000", "0044207946", "+490301234567", "alice"] {
        let abroad = invite(user, &server);
        let answer = server.asked(&abroad);
        assert_refusal(&answer, 603, 131, "foreign-number");
        assert!(!answer.get("Warning").contains("7946"), "{}", answer.get("Warning"));
        server.ask(&abroad.ack(&answer));
    }
    for user in ["+4930123456", "112"] {
        server.ask(&invite(user, &server));
        // Nothing came before: what was refused has not reached the carrier.
        let seen = carrier.request("INVITE");
        assert_eq!(seen.uri(), format!("sip:{user}@{}", site.carrier(10)));
        carrier.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        carrier.request("ACK");
        let busy = server.expect(486);
        assert!(busy.start.contains("486"));
    }
    let metrics = daemon.metrics();
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("reason", "foreign-number"), ("verdict", "refuse")]), 4);
    let read = |country| metrics.sum("ringfence_numbers_total", &[("direction", "out"), ("country", country)]);
    assert_eq!([read("GB"), read("DE"), read("none")], [1, 1, 3]);
    assert_eq!(metrics.sum("ringfence_emergency_total", &[("trunk", "carrier")]), 1);
}
