//! The daemon among other people's software: `SIPp` as trunk and server, Kamailio on either side, NSD behind the names,
//! promtool as the reader of its metrics.
//!
//! Built with the feature `peers`. Each peer is a process of its test, on that test's addresses.

mod calls;
mod kamailio;
mod names;
mod nsd;
mod proxies;
mod scrape;
mod sipp;

use std::net::{IpAddr, SocketAddr};

use crate::harness::await_some;
use crate::harness::process::Process;

/// Waits until a process has bound a UDP socket to this address.
fn await_udp(process: &mut Process, addr: SocketAddr) {
    await_bound(process, addr, "udp", "07");
}

/// Waits until a process listens on this address.
fn await_tcp(process: &mut Process, addr: SocketAddr) {
    await_bound(process, addr, "tcp", "0A");
}

/// Reads the kernel's socket table: asking the socket itself would take its messages, or its place.
fn await_bound(process: &mut Process, addr: SocketAddr, table: &str, state: &str) {
    let IpAddr::V4(ip) = addr.ip() else { panic!("IPv4 alone") };
    let local = format!("{:08X}:{:04X}", u32::from_ne_bytes(ip.octets()), addr.port());
    await_some(&format!("{table} {addr}"), || {
        process.must_run();
        let sockets = std::fs::read_to_string(format!("/proc/net/{table}")).unwrap();
        let bound = |line: &str| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            fields.get(1) == Some(&local.as_str()) && fields.get(3) == Some(&state)
        };
        sockets.lines().any(bound).then_some(())
    });
}
