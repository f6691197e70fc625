//! Calls over TLS on either side or both, from INVITE to BYE.

use rustls::ServerConfig;
use std::sync::Arc;

use super::{HOST, Scene};
use crate::harness::message::sdp;
use crate::harness::secure::Paper;
use crate::harness::{Ask, Dialog, Leg};

/// A call over one pair of transports, with requests from both sides inside it. `scheme` is the Request-URI's.
fn call(inner: &str, outer: &str, scheme: &str) {
    let mut settings: Option<Arc<ServerConfig>> = None;
    let scene = Scene::new(|plan, site, authority| {
        let hop = site.eu(10);
        let paper: Paper = authority.paper(&[&hop.ip().to_string()]);
        settings = Some(authority.server(&paper, false));
        plan.upstream = format!("\"sip:{hop};transport={outer}\"");
    });
    let site = &scene.site;
    let mut server = match (outer, &settings) {
        ("tls", Some(settings)) => Leg::listen_tls(site.eu(10), settings),
        _ => Leg::server(outer, site.eu(10), site.door()),
    };
    let mut caller = if inner == "tls" { scene.carrier(HOST) } else { Leg::caller(inner, site.carrier(20), site.door()) };
    let mut invite = Ask::invite(&format!("{scheme}:+4930222@{HOST}"), caller.addr, inner, site.carrier(20).ip());
    invite.rows[0] =
        format!("Contact: <{scheme}:caller@{};transport={}>", caller.addr, if scheme == "sips" { "tcp" } else { inner });
    caller.ask(&invite);
    let seen = server.request("INVITE");
    assert!(seen.uri().starts_with(&format!("{scheme}:+4930222@{HOST}")), "{}", seen.start);
    let via = seen.all("Via")[0];
    assert!(via.starts_with(&format!("SIP/2.0/{} ", outer.to_uppercase())), "{via}");
    let routes = seen.all("Record-Route");
    let (port, secured) = (site.port, site.port + 1);
    let face = |transport: &str| match (transport, scheme) {
        ("tls", "sips") => format!("<sips:eu.sip.example.com:{secured};lr;rf="),
        ("tls", _) => format!("<sip:eu.sip.example.com:{secured};transport=tls;lr;rf="),
        ("tcp", _) => format!("<sip:{}:{port};transport=tcp;lr;rf=", site.door().ip()),
        _ => format!("<sip:{}:{port};lr;rf=", site.door().ip()),
    };
    let expected = if inner == outer { vec![face(inner)] } else { vec![face(outer), face(inner)] };
    assert_eq!(routes.len(), expected.len(), "{routes:?}");
    assert!(routes.iter().zip(&expected).all(|(route, start)| route.starts_with(start)), "{routes:?} {expected:?}");
    let hop = site.eu(10);
    let contact = if scheme == "sips" {
        format!("Contact: <sips:server@{hop}>")
    } else {
        format!("Contact: <sip:server@{hop};transport={outer}>")
    };
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(hop.ip())));
    let answer = caller.expect(200);
    let (mut one, mut other) = (Dialog::of_caller(&answer, &caller), Dialog::of_callee(&seen, "callee", &server));
    caller.ask(&one.ack());
    server.request("ACK");
    // From both sides; what the server asks goes down the connection that the caller opened.
    server.ask(&other.next("INFO"));
    let info = caller.request("INFO");
    caller.send(&info.answer("200 OK", "", &[], ""));
    server.expect(200);
    caller.ask(&one.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    let metrics = scene.daemon.metrics();
    let open = metrics.sum("ringfence_connections", &[("region", "eu"), ("transport", "tls")]);
    let secured = [inner, outer].iter().filter(|side| **side == "tls").count();
    assert_eq!(open, u64::try_from(secured).unwrap(), "one connection on each side");
}

#[test]
fn a_call_goes_over_every_pair() {
    for (inner, outer) in [("tls", "udp"), ("tls", "tls"), ("udp", "tls"), ("tls", "tcp"), ("tcp", "tls")] {
        println!("{inner} to {outer}");
        call(inner, outer, "sip");
    }
}

#[test]
fn a_sips_call_is_tls_on_both_sides() {
    call("tls", "tls", "sips");
}

#[test]
fn a_sips_call_is_not_carried_on_without_tls() {
    let scene = Scene::new(|_, _, _| {});
    let mut server = Leg::udp(scene.site.eu(10), scene.site.door());
    let media = scene.site.carrier(20).ip();
    let uri = format!("sips:1@{HOST}");
    let mut caller = scene.carrier(HOST);
    assert_eq!(caller.asked(&Ask::invite(&uri, caller.addr, "tls", media)).code(), 416, "the server has no TLS");
    let mut caller = Leg::udp(scene.site.carrier(20), scene.site.door());
    assert_eq!(caller.asked(&Ask::invite(&uri, caller.addr, "udp", media)).code(), 416, "it came without");
    assert!(!server.octets_waiting());
    caller.ask(&Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "udp", media));
    server.request("INVITE");
}

#[test]
fn what_is_refused_is_refused_the_same() {
    let scene = Scene::new(|_, _, _| {});
    let mut caller = scene.carrier(HOST);
    let ask = Ask::invite("sip:1@acme.us.sip.example.com", caller.addr, "tls", scene.site.carrier(20).ip());
    let answer = caller.asked(&ask);
    assert_eq!((answer.code(), answer.get("X-Ringfence")), (603, "110; reason=foreign-endpoint; region=eu"));
    // And a message that is no message.
    let mut other = scene.carrier(HOST);
    let text = String::from_utf8(Scene::options(&other).bytes()).unwrap().replace("Content-Length: 0", "Content-Length: -1");
    other.send(text.as_bytes());
    assert_eq!(other.response().code(), 400);
    assert!(other.closed_within(crate::harness::PATIENCE));
    assert_eq!(caller.asked(&Scene::options(&caller)).code(), 200, "others go on");
}

#[test]
fn the_side_that_began_is_called_back_by_its_very_connection() {
    let scene = Scene::new(|_, _, _| {});
    let site = &scene.site;
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut other = Leg::tls(site.carrier(21), scene.door(), &scene.client, HOST);
    let mut caller = scene.carrier(HOST);
    // Where nobody listens, where another connection of the trunk came from, and a private one.
    let nobody = site.carrier(30).ip();
    for contact in [format!("{nobody}:5061"), nobody.to_string(), other.addr.to_string(), "192.168.77.7:5061".to_owned()] {
        let mut invite = Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "tls", site.carrier(20).ip());
        invite.rows[0] = format!("Contact: <sip:caller@{contact};transport=tls>");
        caller.ask(&invite);
        let seen = server.request("INVITE");
        let own = format!("Contact: <sip:server@{}>", site.eu(10));
        server.send(&seen.answer("200 OK", "callee", &[&own], &sdp(site.eu(10).ip())));
        let answer = caller.expect(200);
        caller.ask(&Dialog::of_caller(&answer, &caller).ack());
        server.request("ACK");
        let mut callee = Dialog::of_callee(&seen, "callee", &server);
        for method in ["INFO", "BYE"] {
            server.ask(&callee.next(method));
            let came = caller.request(method);
            assert_eq!(came.uri(), format!("sip:caller@{contact};transport=tls"));
            caller.send(&came.answer("200 OK", "", &[], ""));
            server.expect(200);
        }
    }
    let untouched = |other: &mut Leg| assert_eq!(other.asked(&Scene::options(other)).code(), 200, "nothing else came by it");
    untouched(&mut other);
    // With the connection gone, nobody there has proved anything.
    let mut invite = Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "tls", site.carrier(20).ip());
    invite.rows[0] = format!("Contact: <sip:caller@{};transport=tls>", other.addr);
    caller.ask(&invite);
    let seen = server.request("INVITE");
    let own = format!("Contact: <sip:server@{}>", site.eu(10));
    server.send(&seen.answer("200 OK", "callee", &[&own], &sdp(site.eu(10).ip())));
    caller.expect(200);
    let open = || scene.daemon.metrics().sum("ringfence_connections", &[("region", "eu"), ("transport", "tls")]);
    drop(caller);
    while open() > 1 {
        std::thread::yield_now();
    }
    let mut callee = Dialog::of_callee(&seen, "callee", &server);
    assert_eq!(server.asked(&callee.next("BYE")).code(), 503);
    untouched(&mut other);
}

#[test]
fn a_server_that_proved_its_address_is_asked_by_the_connection_that_it_calls_out_on() {
    let scene = Scene::new(|plan, site, _| {
        plan.projects = plan.projects.replace("media = [", &format!("uri = \"sip:{}\"\nmedia = [", site.carrier(10)));
        // Its Contact names the port that it called from, as PJSIP writes it.
        plan.eu = format!("{}\nservers = [\"{}\"]\n", plan.eu, site.eu(10).ip());
    });
    let site = &scene.site;
    let mut gateway = Leg::udp(site.carrier(10), site.door());
    for (proof, code) in [(site.eu(10).ip(), 200), (site.eu(11).ip(), 503)] {
        let paper = scene.authority.paper(&[&proof.to_string()]);
        let mut server = scene.from(site.eu(10), Some(&paper));
        server.ask(&Ask::invite(&format!("sip:1@carrier.{HOST}"), server.addr, "tls", site.eu(10).ip()));
        let seen = gateway.request("INVITE");
        let contact = format!("Contact: <sip:gateway@{}>", gateway.addr);
        gateway.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(gateway.addr.ip())));
        let ok = server.expect(200);
        server.ask(&Dialog::of_caller(&ok, &server).ack());
        gateway.request("ACK");
        gateway.ask(&Dialog::of_callee(&seen, "callee", &gateway).next("BYE"));
        if code == 200 {
            let bye = server.request("BYE");
            server.send(&bye.answer("200 OK", "", &[], ""));
        }
        gateway.expect(code);
    }
}
