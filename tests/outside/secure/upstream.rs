//! Servers over TLS: verified for the name that was asked for, and never another.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::{EU, HOST, Scene};
use crate::harness::secure::Authority;
use crate::harness::{Ask, Leg, Plan, Site, await_some};

/// A call that must be refused because no server proved itself; what the log says of it.
fn refused(scene: &Scene, servers: &mut [Leg]) -> String {
    let lines = servers.len();
    let mut caller = Leg::udp(scene.site.carrier(20), scene.site.door());
    caller.ask(&Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "udp", scene.site.carrier(20).ip()));
    for server in servers {
        // However that ends: nothing of the call may come.
        let _ = server.shake();
        assert!(server.closed_within(crate::harness::PATIENCE));
    }
    let answer = caller.response();
    assert!(answer.get("X-Ringfence").starts_with("152;"), "{}", answer.start);
    // The log is written by a thread of its own.
    await_some("what was wrong", || Some(scene.daemon.log()).filter(|log| log.matches("\"no TLS\"").count() >= lines))
}

#[test]
fn a_server_that_proves_another_name_gets_no_call() {
    let mut servers = Vec::new();
    let scene = Scene::new(|plan, site, authority| {
        plan.upstream = format!("[\"sip:{};transport=tls\", \"sips:{}\"]", site.eu(10), site.eu(11));
        for (last, names) in [(10, &["pbx.eu.internal"][..]), (11, &["192.0.2.7", "127.0.0.1"])] {
            servers.push(Leg::listen_tls(site.eu(last), &authority.server(&authority.paper(names), false)));
        }
    });
    let log = refused(&scene, &mut servers);
    assert!(log.contains(&format!("not valid for name {};", scene.site.eu(10).ip())), "{log}");
    assert!(log.contains("pbx.eu.internal"), "which names it had: {log}");
    assert_eq!(scene.shaken("out", "certificate"), 2);
}

#[test]
fn a_server_that_nobody_vouches_for_gets_no_call() {
    let mut servers = Vec::new();
    let scene = Scene::new(|plan, site, _| {
        plan.upstream = format!("\"sips:{}\"", site.eu(10));
        let stranger = Authority::new();
        let paper = stranger.paper(&[&site.eu(10).ip().to_string()]);
        servers.push(Leg::listen_tls(site.eu(10), &stranger.server(&paper, false)));
    });
    refused(&scene, &mut servers);
    assert_eq!(scene.shaken("out", "certificate"), 1);
}

/// The certificate that a server gets which asks for one.
fn shown(change: impl FnOnce(&mut Plan, &Site, &Authority)) -> (Option<Vec<u8>>, Scene) {
    let mut settings = None;
    let scene = Scene::new(|plan, site, authority| {
        plan.upstream = format!("\"sips:{}\"", site.eu(10));
        settings = Some(authority.server(&authority.paper(&[&site.eu(10).ip().to_string()]), true));
        change(plan, site, authority);
    });
    let mut server = Leg::listen_tls(scene.site.eu(10), &settings.unwrap());
    let mut caller = Leg::udp(scene.site.carrier(20), scene.site.door());
    caller.ask(&Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "udp", scene.site.carrier(20).ip()));
    server.request("INVITE");
    (server.peer().0, scene)
}

fn der(scene: &Scene, file: &str) -> Vec<u8> {
    let pem = std::fs::read_to_string(scene.site.directory().join(file)).unwrap();
    CertificateDer::from_pem_slice(pem.as_bytes()).unwrap().to_vec()
}

#[test]
fn a_server_may_ask_for_our_certificate() {
    let (peer, scene) = shown(|_, _, _| {});
    assert_eq!(peer, Some(der(&scene, "eu.pem")));
    // One for servers alone would be turned away by a server that reads what it is for: none is shown, and the call passes.
    let (peer, _) = shown(|_, site, authority| drop(authority.paper_of_server(&EU).write(site, "eu")));
    assert_eq!(peer, None);
    // One of its own for this.
    let (peer, scene) = shown(|plan, site, authority| {
        authority.paper_of_server(&EU).write(site, "eu");
        authority.paper(&["eu.sip.example.com"]).write(site, "calling");
        plan.eu = plan.eu.replace(" }", ", client_certificate = \"calling.pem\", client_key = \"calling.key\" }");
    });
    assert_eq!(peer, Some(der(&scene, "calling.pem")));
}

#[test]
fn a_server_that_demands_a_certificate_is_named_with_its_alert() {
    let mut servers = Vec::new();
    let scene = Scene::new(|plan, site, authority| {
        authority.paper_of_server(&EU).write(site, "eu");
        plan.upstream = format!("\"sips:{}\"", site.eu(10));
        let paper = authority.paper(&[&site.eu(10).ip().to_string()]);
        servers.push(Leg::listen_tls(site.eu(10), &authority.demanding(&paper)));
    });
    refused(&scene, &mut servers);
    // The log has a thread of its own.
    await_some("its alert in the log", || scene.daemon.log().contains("CertificateRequired").then_some(()));
    assert!(scene.shaken("out", "refused") >= 1);
}
