//! Which certificate a listener shows, what it takes for a client's, and new ones without a restart.

use super::{EU, HOST, Scene, secure};
use crate::harness::metrics::Metrics;
use crate::harness::secure::Authority;
use crate::harness::{Ask, Leg, PATIENCE, await_some};

/// The end of the certificate in force, as scraped.
fn expiry(metrics: &Metrics) -> u64 {
    metrics.sum("ringfence_tls_certificate_expiry_seconds", &[("region", "eu")])
}

/// A scene with two regions that are served, each by a listener and a certificate of its own.
fn two() -> Scene {
    Scene::new(|plan, site, authority| {
        authority.paper(&["us.sip.example.com", "*.us.sip.example.com"]).write(site, "us");
        plan.serve = "[\"eu\", \"us\"]".into();
        plan.us = format!("listen = [\"tls:{}\"]\ntls = {{ certificate = \"us.pem\", key = \"us.key\" }}", secure(site.us(1)));
    })
}

fn shown(scene: &Scene, door: std::net::SocketAddr, name: &str) -> bool {
    let mut leg = Leg::tls(scene.site.carrier(20), door, &scene.client, name);
    leg.shake().is_ok()
}

#[test]
fn the_certificate_is_the_one_of_the_name_that_is_asked_for() {
    let scene = two();
    for door in [scene.door(), secure(scene.site.us(1))] {
        for name in ["eu.sip.example.com", HOST, "us.sip.example.com", "acme.us.sip.example.com"] {
            assert!(shown(&scene, door, name), "{name} at {door}");
        }
        assert!(!shown(&scene, door, "acme.uk.sip.example.com"), "nobody's: the listener's own is shown, and is for others");
        assert!(!shown(&scene, door, &door.ip().to_string()), "without a name too");
    }
    // And the other way round: they believed us, or not.
    assert_eq!(scene.shaken("in", "done"), 4);
    assert_eq!(scene.shaken("in", "refused") + scene.shaken("in", "failed"), 2);
}

#[test]
fn a_name_of_another_region_is_refused() {
    let scene = two();
    let code = |name: &str, host: &str| {
        let mut leg = scene.carrier(name);
        let ask = Ask::invite(&format!("sip:1@{host}"), leg.addr, "tls", scene.site.carrier(20).ip());
        leg.ask(&ask);
        // What passes goes to a server that is not there.
        let answer = await_some("an answer", || leg.any_within(PATIENCE).filter(|seen| seen.code() != 100));
        answer.all("X-Ringfence").first().map_or_else(String::new, |row| row.split(';').next().unwrap().to_owned())
    };
    assert_eq!(code("us.sip.example.com", HOST), "112");
    assert_eq!(code("acme.us.sip.example.com", HOST), "112");
    assert_eq!(code("us.sip.example.com", "acme.us.sip.example.com"), "112", "the listener is eu's all the same");
    for name in ["eu.sip.example.com", HOST] {
        assert_ne!(code(name, HOST), "112", "{name}");
    }
    let log =
        await_some("the lines of the log", || Some(scene.daemon.log()).filter(|log| log.matches("wrong-listener").count() >= 3));
    let why = format!("Request-URI host {HOST} is not in the region that TLS was asked for: SNI names us.sip.example.com");
    assert!(log.contains(&format!("\"why\":\"{why}\"")), "{log}");
}

#[test]
fn a_probe_verifies_whom_it_calls() {
    let scene = Scene::new(|_, site, authority| {
        authority.paper(&[&EU[..], &[&site.door().ip().to_string()]].concat()).write(site, "eu");
    });
    let probe = |ca: &str| {
        let uri = format!("sips:{}", scene.door());
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_ringfence"));
        let output = command.args(["probe", &uri, "--ca", ca]).current_dir(scene.site.directory()).output().unwrap();
        (output.status.code().unwrap(), String::from_utf8_lossy(&output.stdout).into_owned())
    };
    // It is nobody we know, and is told so: over TLS.
    let (code, said) = probe("ca.pem");
    assert!(code == 1 && said.contains("403"), "{code} {said}");
    assert_eq!(scene.shaken("in", "done"), 1);
    scene.site.write("other.pem", &Authority::new().pem());
    let (code, said) = probe("other.pem");
    assert!(code == 2 && said.contains("certificate"), "{code} {said}");
}

#[test]
fn clients_without_a_certificate_are_taken_or_not() {
    let scene = Scene::new(|_, _, _| {});
    let stranger = Authority::new();
    let mut leg = Leg::tls(scene.site.carrier(20), scene.door(), &scene.client, HOST);
    assert_eq!(leg.asked(&Scene::options(&leg)).code(), 200, "none is needed");
    // Signed by somebody else: it proves nothing, and pretends to.
    let paper = stranger.paper(&["sbc.carrier.example"]);
    let mut leg = scene.from(scene.site.carrier(20), Some(&paper));
    leg.shake().ok();
    assert!(leg.closed_within(PATIENCE));
    assert_eq!(scene.shaken("in", "certificate"), 1);

    let scene = Scene::new(|plan, _, _| plan.eu = plan.eu.replace("client_ca", "client_auth = \"required\", client_ca"));
    let mut leg = scene.from(scene.site.carrier(20), None);
    leg.shake().ok();
    assert!(leg.closed_within(PATIENCE), "one is needed");
    let paper = scene.authority.paper(&["sbc.carrier.example"]);
    let mut leg = scene.from(scene.site.carrier(20), Some(&paper));
    assert_eq!(leg.asked(&Scene::options(&leg)).code(), 200);
    assert_eq!(scene.shaken("in", "certificate"), 1);
}

#[test]
fn a_new_certificate_holds_from_the_next_connection_on() {
    let scene = Scene::new(|_, site, authority| {
        authority.paper_until(&EU, 2080).write(site, "eu");
    });
    let mut before = scene.carrier(HOST);
    assert_eq!(before.asked(&Scene::options(&before)).code(), 200);
    let old = before.peer().0;
    assert_eq!(expiry(&scene.daemon.metrics()), 3_471_292_800);
    let status = scene.daemon.get("/status").1;
    assert!(status.contains("\"ends\": \"2080-01-01T00:00:00Z\""), "{status}");
    scene.authority.paper_until(&EU, 2081).write(&scene.site, "eu");
    scene.daemon.signal("HUP");
    scene.daemon.metrics_when("the new certificate", |metrics| expiry(metrics) == 3_502_915_200);
    assert_eq!(before.asked(&Scene::options(&before)).code(), 200, "what was open goes on");
    let mut after = scene.carrier(HOST);
    assert_eq!(after.asked(&Scene::options(&after)).code(), 200);
    assert_ne!(after.peer().0, old);
    // A key that is not the certificate's changes nothing.
    let other = scene.authority.paper(&EU);
    scene.site.write("eu.key", &other.key);
    scene.daemon.signal("HUP");
    let failed = |metrics: &Metrics| metrics.sum("ringfence_config_reloads_total", &[("result", "failed")]) == 1;
    scene.daemon.metrics_when("the reload that failed", failed);
    let mut last = scene.carrier(HOST);
    assert_eq!(last.asked(&Scene::options(&last)).code(), 200);
    assert_eq!(last.peer().0, after.peer().0);
    assert!(scene.daemon.log().contains("the key is not this certificate's"));
    assert!(!scene.daemon.log().contains("PRIVATE KEY") && !scene.daemon.get("/status").1.contains("PRIVATE"));
}
