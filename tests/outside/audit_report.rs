//! What `audit report` adds up of a daemon's own record: held to what the telephones did and to the metrics.

use std::process::Command;

use serde_json::Value;

use crate::audit::Audited;
use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Leg, establish};
use crate::refusals::assert_refusal;

#[test]
fn a_report_says_what_the_telephones_did() {
    let audited = Audited::claim();
    let site = &audited.site;
    let mut daemon = Daemon::start(site, &audited.plan("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\""));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    // The callee ends it: its token says only when the INVITE came.
    let (_, mut callee) = establish(site, &mut caller, &mut server);
    server.ask(&callee.next("BYE"));
    let bye = caller.request("BYE");
    caller.send(&bye.answer("200 OK", "", &[], ""));
    server.expect(200);
    // The answer names media outside: the caller is refused, and the callee's call is ended for it.
    let invite = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.us(20).ip())));
    let refused = caller.response();
    assert_refusal(&refused, 603, 141, "foreign-media-answer");
    caller.ask(&invite.ack(&refused));
    server.request("ACK");
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    let metrics = daemon.metrics_when("release of all transactions", Metrics::released);
    let verdicts = metrics.sum("ringfence_verdicts_total", &[]);
    daemon.signal("INT");
    assert!(daemon.wait().success());
    let lines = audited.lines();
    let ends: Vec<(&Value, bool, bool)> = lines
        .iter()
        .filter(|line| line["kind"] == "end")
        .map(|line| (&line["by"], line["seconds"].is_u64(), line["since_invite"].is_u64()))
        .collect();
    assert_eq!(ends, [(&"callee".into(), false, true), (&"daemon".into(), false, false)], "neither says how long it was");
    let year = &lines[0]["at"].as_str().unwrap()[..4];
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    let command = command.args(["audit", "report", "--json", "--period", year]).arg(site.directory().join("audit"));
    let report: Value = serde_json::from_slice(&command.output().unwrap().stdout).unwrap();
    assert_eq!((&report["whole"], &report["ends_without_answer"]), (&true.into(), &0.into()), "{report:#}");
    let row = &report["rows"][0];
    for (key, count) in [
        ("verdicts", verdicts),
        ("offered", 2),
        ("accepted_here", 2),
        ("refused", 1),
        ("answered", 1),
        ("ended", 1),
        ("length_unknown", 0),
        ("end_unknown", 0),
        ("other_verdicts", 0),
        ("outside", 0),
    ] {
        assert_eq!(row[key], count, "{key}: {row:#}");
    }
    assert_eq!(row["refused_by"].to_string(), "{\"141 foreign-media-answer\":1}");
}
