//! What Prometheus's own checker says of the metrics.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::harness::{Ask, Daemon, Leg, Plan, Site};

#[test]
fn promtool_finds_nothing_to_say() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    for host in ["acme.us", "nobody.eu", "acme.eu"] {
        let ask = Ask::invite(&format!("sip:1@{host}.sip.example.com"), caller.addr, "udp", site.carrier(20).ip());
        let answer = caller.asked(&ask);
        caller.ask(&ask.ack(&answer));
    }
    let metrics = daemon.metrics();
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool");
    child.stdin.take().unwrap().write_all(metrics.text().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    // metrics-process names its series as every Prometheus client does.
    let ours: Vec<&str> = said.lines().filter(|line| !line.starts_with("process_")).collect();
    assert!(ours.is_empty(), "{said}");
}
