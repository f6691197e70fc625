//! The daemon among other people's software: `SIPp` as trunk and server, Kamailio on either side, PJSIP as trunk and server that hold and
//! transfer, sippy in front of a server, OpenSSL and stunnel over TLS, NSD, BIND and Unbound behind the names, nftables between, baresip as
//! telephones with media, tshark as a witness, Prometheus as the reader of its metrics, Caddy and nginx that ask its gate for `LiveKit`'s SDKs.
//!
//! Built with the feature `interop`. Each peer is a process of its test, on that test's addresses.

mod apart;
mod baresip;
mod between;
mod bystanders;
mod calls;
mod capture;
mod chromium;
mod commands;
mod contacts;
mod disks;
mod dying;
mod finding;
mod gate;
mod guide;
mod hep;
mod kamailio;
mod ladder;
mod media;
mod moving;
mod named;
mod names;
mod nearest;
mod nsd;
mod operations;
mod outward;
mod page;
mod passes;
mod pjsip;
mod prometheus;
mod proxies;
mod rebinding;
mod relay;
mod scrape;
mod secure;
mod secure_phone;
mod sipp;
mod stale;
mod telephones;
mod unbound;
mod vanishing;
mod voices;
mod watching;
mod wires;
mod zone;

use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::process::{Command, Stdio};

use crate::harness::process::Process;
use crate::harness::{Ask, Dialog, Leg, Plan, Seen, Site, await_some};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// A configuration whose upstream is a name that this name server is asked for.
fn plan(site: &Site, dns: SocketAddr, upstream: &str) -> Plan {
    let mut plan = Plan::new(site);
    plan.upstream = format!("\"{upstream}\"");
    plan.more = format!("[dns]\nservers = [\"{dns}\"]\nstale = \"1h\"\n");
    plan
}

fn invite(site: &Site, caller: &Leg) -> Ask {
    Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip())
}

/// The call is turned down by this server.
fn reaches(site: &Site, caller: &mut Leg, server: &mut Leg) -> Seen {
    let ask = invite(site, caller);
    caller.ask(&ask);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    server.request("ACK");
    let busy = caller.expect(486);
    caller.ask(&ask.ack(&busy));
    seen
}

/// A whole call; returns its final answer. One that was answered is hung up.
fn call(site: &Site, caller: &mut Leg) -> Seen {
    let ask = invite(site, caller);
    let last = caller.asked(&ask);
    if last.code() == 200 {
        let mut dialog = Dialog::of_caller(&last, caller);
        caller.ask(&dialog.ack());
        caller.ask(&dialog.next("BYE"));
        caller.expect(200);
    } else {
        caller.ask(&ask.ack(&last));
    }
    last
}

/// Where commands are looked for: daemons are not in everybody's path.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Runs a command that must succeed, and returns what it says.
fn run(command: &str, arguments: &[&str], input: &str) -> String {
    let mut child = Command::new(command)
        .env("PATH", path())
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{command}: {error}"));
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{command} {arguments:?}: {}\n{input}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits until a process has bound a UDP socket to this address.
fn await_udp(process: &mut Process, addr: SocketAddr) {
    await_bound_in("thread-self", process, addr, UDP.0, UDP.1);
}

/// Waits until a process listens on this address.
fn await_tcp(process: &mut Process, addr: SocketAddr) {
    await_bound_in("thread-self", process, addr, TCP.0, TCP.1);
}

/// The kernel's tables of sockets, and the state of one that waits for others.
const UDP: (&str, &str) = ("udp", "07");
const TCP: (&str, &str) = ("tcp", "0A");

/// Reads the kernel's socket table, of the network that a process (by its name in /proc) is in: asking the socket itself would take
/// its messages, or its place.
fn await_bound_in(network: &str, process: &mut Process, addr: SocketAddr, table: &str, state: &str) {
    let IpAddr::V4(ip) = addr.ip() else { panic!("IPv4 alone") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port());
    await_some(&format!("{table} {addr}"), || {
        process.must_run();
        let sockets = std::fs::read_to_string(format!("/proc/{network}/net/{table}")).unwrap();
        let bound = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&state)
        };
        sockets.lines().any(bound).then_some(())
    });
}

/// Python with the peers that `tests/run` has installed.
fn python() -> Command {
    let peers = tree().join("target/peers");
    let mut command = Command::new(peers.join("python3"));
    command.env("PYTHONPATH", peers).env("PYTHONDONTWRITEBYTECODE", "1");
    command
}

/// Where this repository is.
fn tree() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}
