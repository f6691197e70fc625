//! Copies of messages as sngrep takes them in: the ladder of a call is complete, and nobody waits for who draws it.

use std::net::SocketAddr;
use std::process::Command;

use super::{await_udp, path, run};
use crate::harness::metrics::Metrics;
use crate::harness::process::Process;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site, await_some};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

fn sent(metrics: &Metrics) -> u64 {
    metrics.sum("ringfence_hep_packets_total", &[("result", "sent")])
}

#[test]
fn sngrep_draws_the_whole_ladder() {
    let site = Site::claim();
    let mut collector = site.eu(30);
    collector.set_port(9060);
    let mut sngrep = Command::new("sngrep");
    sngrep.env("PATH", path()).args(["-F", "-N", "-L", &format!("udp:{collector}"), "-O", "ladder.pcap"]);
    let mut sngrep = Process::start("sngrep", site.directory(), &mut sngrep);
    await_udp(&mut sngrep, collector);

    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"sip:{};transport=tcp\"", site.eu(10));
    plan.more = format!("[hep]\nserver = \"udp:{collector}\"\nnode = 101\n");
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::server("tcp", site.eu(10), site.door());
    let ask = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    let invite = server.request("INVITE");
    let session = crate::harness::message::sdp(site.eu(10).ip());
    let contact = format!("Contact: <sip:callee@{};transport=tcp>", server.addr);
    server.send(&invite.answer("180 Ringing", "callee", &[&contact], ""));
    caller.expect(180);
    server.send(&invite.answer("200 OK", "callee", &[&contact], &session));
    let mut dialog = Dialog::of_caller(&caller.expect(200), &caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    let mut stranger = Leg::udp(site.stranger(66), site.door());
    stranger.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", stranger.addr, "udp"));

    daemon.metrics_when("every copy", |metrics| sent(metrics) == 15);
    // It says how many dialogs it has: all that was sent has been read then.
    await_some("both dialogs", || sngrep.output().ends_with("Dialog count: 2").then_some(()));
    sngrep.signal("TERM");
    sngrep.wait();
    let ladder = ladder(&site);
    let (carrier, door, inner) = (site.carrier(20), site.door(), site.eu(10));
    let row = |from: SocketAddr, to: SocketAddr, what: &str| format!("{} {} {what}", from.ip(), to.ip());
    let nobody = stranger.addr;
    assert_eq!(
        ladder,
        [
            row(carrier, door, "INVITE"),
            row(door, carrier, "100"),
            row(door, inner, "INVITE"),
            row(inner, door, "180"),
            row(door, carrier, "180"),
            row(inner, door, "200"),
            row(door, carrier, "200"),
            row(carrier, door, "ACK"),
            row(door, inner, "ACK"),
            row(carrier, door, "BYE"),
            row(door, inner, "BYE"),
            row(inner, door, "200"),
            row(door, carrier, "200"),
            row(nobody, door, "OPTIONS"),
            row(door, nobody, "403"),
        ]
    );

    // With nobody there to take them the copies are lost, and calls are not.
    let ask = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    let invite = server.request("INVITE");
    server.send(&invite.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&ask.ack(&busy));
    let metrics = daemon.metrics_when("copies for nobody", |metrics| sent(metrics) > 15);
    assert_eq!(metrics.sum("ringfence_hep_packets_total", &[("result", "full")]), 0);
}

/// Source, goal and method or code of each message that sngrep has written, in the order of their times.
fn ladder(site: &Site) -> Vec<String> {
    let (file, port) = (site.directory().join("ladder.pcap"), format!("udp.port=={},sip", site.port));
    let fields = ["-e", "ip.src", "-e", "ip.dst", "-e", "sip.Method", "-e", "sip.Status-Code"];
    let read = [&["-r", file.to_str().unwrap(), "-d", &port, "-T", "fields"], &fields[..]].concat();
    let text = run("tshark", &read, "");
    text.lines().map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

#[test]
fn nothing_is_copied_until_a_reload_names_a_collector() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut refused = Ask::invite("sip:1@acme.us.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    refused.rows.push("Subject: nobody's business".into());
    caller.ask(&refused);
    caller.expect(603);
    assert_eq!(daemon.metrics().sum("ringfence_hep_packets_total", &[]), 0);

    let collector = std::net::UdpSocket::bind((site.eu(30).ip(), 9060)).unwrap();
    collector.set_read_timeout(Some(crate::harness::PATIENCE)).unwrap();
    plan.more = format!("[hep]\nserver = \"udp:{}\"\n", collector.local_addr().unwrap());
    site.write("ringfence.toml", &plan.text(&site));
    daemon.signal("HUP");
    daemon.metrics_when("the reload", |metrics| metrics.sum("ringfence_config_reloads_total", &[("result", "ok")]) == 1);
    caller.ask(&refused.again());
    caller.expect(603);
    for part in [&b"INVITE sip:1@"[..], b"SIP/2.0 603"] {
        let mut packet = [0; 4096];
        let length = collector.recv(&mut packet).unwrap();
        assert!(packet.starts_with(b"HEP3") && packet[..length].windows(part.len()).any(|window| window == part));
    }
}
