//! `ringfence explain` beside the daemon: the same messages to both, the same answers to the last octet, the same targets.

use std::process::{Command, Stdio};

use serde_json::{Value, json};

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

/// What the command says of a message that this leg sends to the site's daemon.
fn explained(site: &Site, leg: &Leg, bytes: &[u8]) -> Value {
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["explain", "--json", "-c"])
        .arg(site.directory().join("ringfence.toml"))
        .args(["--transport", leg.transport(), "--source", &leg.addr.to_string(), "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), bytes).unwrap();
    let output = child.wait_with_output().unwrap();
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

#[test]
fn refusals_are_the_daemon_s_to_the_last_octet() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    for transport in ["udp", "tcp"] {
        let mut carrier = Leg::caller(transport, site.carrier(20), site.door());
        let inside = site.eu(10).ip();
        let uri = "sip:1@acme.eu.sip.example.com";
        let invite = |uri: &str, media| Ask::invite(uri, carrier.addr, transport, media);
        let asks = [
            invite("sip:1@acme.us.sip.example.com", inside),
            invite("sip:1@nobody.eu.sip.example.com", inside),
            invite(uri, site.us(10).ip()),
            invite(uri, inside).session("v=0\r\nc=nonsense\r\n"),
            invite(uri, inside).with("Route: <sip:198.51.100.1;lr>"),
            invite(uri, inside).with("Proxy-Require: tea"),
            Ask::new("REGISTER", uri, carrier.addr, transport),
            Ask::new("OPTIONS", "sip:eu.sip.example.com", carrier.addr, transport),
            Ask { max_forwards: "x".to_owned(), ..invite(uri, inside) },
        ];
        for ask in asks {
            let told = explained(&site, &carrier, &ask.bytes());
            carrier.ask(&ask);
            let answer = carrier.response();
            assert_eq!(told["answer"]["text"].as_str().map(str::as_bytes), Some(&answer.raw[..]), "{told:#}");
            assert_eq!(told["verdict"] == "refuse", answer.code() >= 300, "{told:#}");
            assert_eq!((&told["targets"], &told["repairs"]), (&json!([]), &json!([])), "{told:#}");
        }
    }
}

#[test]
fn a_call_and_what_follows_it_go_where_the_daemon_sends_them() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("[\"sip:{}\", \"sip:{}\"]", site.eu(10), site.eu(11));
    let _daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let invite = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    let told = explained(&site, &caller, &invite.bytes());
    let addresses: Vec<&str> = told["targets"].as_array().unwrap().iter().map(|of| of["address"].as_str().unwrap()).collect();
    assert_eq!(addresses, [site.eu(10).to_string(), site.eu(11).to_string()], "{told:#}");
    caller.ask(&invite);
    let seen = server.request("INVITE");
    // Branches are of one process each, and a token says when its call began, which only a daemon knows; all else of the request is the same.
    let without_branch = |text: &str| {
        let rows = text
            .split("\r\n")
            .map(|row| row.split_once(";branch=").filter(|_| row.contains("z9hG4bK-")).map_or(row, |(row, _)| row))
            .map(|row| row.split_once(";rf=").filter(|_| row.starts_with("Record-Route: ")).map_or(row, |(row, _)| row));
        rows.collect::<Vec<_>>().join("\r\n")
    };
    let ours = seen.get("via").split_once(";branch=").unwrap().0.to_owned();
    let request = told["targets"][0]["request"].as_str().unwrap();
    assert!(request.contains(&ours), "{request}");
    let rows = |text: &str| -> Vec<String> {
        let head = without_branch(text);
        head.split("\r\n").filter(|row| !row.contains(&ours)).map(str::to_owned).collect()
    };
    assert_eq!(rows(request), rows(std::str::from_utf8(&seen.raw).unwrap()));
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.eu(10).ip())));
    let mut dialog = Dialog::of_caller(&caller.expect(200), &caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    let bye = dialog.next("BYE");
    let told = explained(&site, &caller, &bye.bytes());
    assert_eq!(
        (&told["verdict"], &told["targets"][0]["address"]),
        (&json!("accept"), &json!(site.eu(10).to_string())),
        "{told:#}"
    );
    assert_eq!((&told["tests"][1]["test"], &told["tests"][1]["result"]), (&json!("dialog"), &json!("pass")), "{told:#}");
    // From elsewhere the token is worth nothing, and the daemon says the same.
    let mut thief = Leg::udp(site.rival(1), site.door());
    let told = explained(&site, &thief, &bye.bytes());
    thief.ask(&bye);
    assert_eq!(told["answer"]["text"].as_str().map(str::as_bytes), Some(&thief.response().raw[..]), "{told:#}");
}
