//! What an operator is told of a region without a server: in the log, at `/readyz`, in `/status`, on the page and by `ringfence status`.

use std::net::SocketAddr;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Daemon, Plan, Site, await_some};
use crate::names::name_server;

/// A daemon whose server is found by this name, which leads to these addresses.
fn daemon(site: &Site, name: &str, zone: &[(&'static str, SocketAddr)]) -> (Daemon, SocketAddr) {
    let server = name_server(site, zone, &<_>::default());
    let mut plan = Plan::new(site);
    plan.upstream = format!("\"sip:{name}:5060\"");
    plan.more = format!("[dns]\nservers = [\"{server}\"]\n");
    (Daemon::launch(site, &plan.text(site)), server)
}

/// Waits until the log, `/readyz`, `/status` and the page say this.
fn told(daemon: &Daemon, trouble: &str) {
    await_some("its warning", || daemon.log().lines().any(|line| line.contains("WARN") && line.contains(trouble)).then_some(()));
    await_some("/readyz", || daemon.get("/readyz").1.contains(trouble).then_some(()));
    let status: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
    assert!(status["troubles"].as_array().unwrap().iter().any(|of| of == trouble), "{status}");
    assert!(daemon.get("/").1.contains(trouble.split(';').next().unwrap()));
    assert_eq!(daemon.log().matches(trouble).count(), 1, "once");
}

#[test]
fn a_name_that_there_is_not_is_named_with_its_name_server_and_what_calls_are_told() {
    let site = Site::claim();
    let (daemon, server) = daemon(&site, "no.example.net", &[]);
    let trouble = format!(
        "region eu: sip:no.example.net:5060 resolves to nothing (asked {server}); calls to it are told 503 (151 no-target)"
    );
    told(&daemon, &trouble);
    assert_eq!(daemon.get("/readyz"), (200, format!("ready; {trouble}\n")));
}

#[test]
fn what_names_resolve_to_is_logged_in_words() {
    let site = Site::claim();
    let server = name_server(&site, &[("in.example.net", site.eu(10))], &<_>::default());
    let mut plan = Plan::new(&site);
    plan.upstream = "\"sip:in.example.net:5060\"".into();
    plan.more = format!("[dns]\nservers = [\"{server}\"]\n");
    let daemon = Daemon::start_logging(&site, &plan, "info,ringfence=debug");
    let log = await_some("its servers in the log", || Some(daemon.log()).filter(|log| log.contains("\"resolved\"")));
    let addr = SocketAddr::new(site.eu(10).ip(), 5060);
    assert!(log.lines().any(|line| line.contains("\"resolved\"") && line.contains(&addr.to_string())), "{log}");
    for line in log.lines() {
        assert!(!["Some(", "None", "Server {", "RecordSet", "Ok("].iter().any(|rust| line.contains(rust)), "{line}");
    }
}

#[test]
fn a_name_that_leads_outside_is_named_with_its_addresses() {
    let site = Site::claim();
    let (daemon, _) = daemon(&site, "out.example.net", &[("out.example.net", site.us(10))]);
    let outside = SocketAddr::new(site.us(10).ip(), 5060);
    let trouble = format!(
        "region eu: sip:out.example.net:5060 leads only outside its networks: {outside}; calls to it are told 603 (150 foreign-target)"
    );
    told(&daemon, &trouble);
}

#[test]
fn a_name_server_that_says_nothing_is_named() {
    let site = Site::claim();
    let (daemon, server) = daemon(&site, "silent.example.net", &[]);
    let told = await_some("its warning", || {
        daemon
            .log()
            .lines()
            .find(|line| line.contains("WARN") && line.contains("region eu: sip:silent.example.net:5060"))
            .map(str::to_owned)
    });
    assert!(told.contains(&format!("(asked {server}); calls to it are told 503 (151 no-target)")), "{told}");
    let (code, body) = daemon.get("/readyz");
    assert!(
        code == 503 && body.contains("not every upstream name has been resolved yet\nregion eu: sip:silent.example.net:5060"),
        "{body}"
    );
}

#[test]
fn a_server_that_is_down_is_counted_where_the_daemon_says_that_it_is_ready() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.health = "interval = \"100ms\"\nfall = 1".into();
    let daemon = Daemon::start(&site, &plan);
    let trouble = "region eu: 0 of 1 servers up; calls to it are told 503 (152 targets-down)";
    await_some("/readyz", || (daemon.get("/readyz") == (200, format!("ready; {trouble}\n"))).then_some(()));
    let status: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
    assert_eq!((&status["regions"][0]["servers_up"], &status["regions"][0]["servers_known"]), (&0.into(), &1.into()));
    assert_eq!(status["troubles"][0], trouble);
    await_some("its warning", || daemon.log().contains("target is down; if none is up, calls are told 503").then_some(()));
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["status", "--admin", &Plan::admin(&site).to_string()])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("region eu: 0 of 1 servers up\n"), "{text}");
}
