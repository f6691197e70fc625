//! `SIPp` with this suite's scenarios: its exit code is a verdict on every message of every call.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use super::{await_tcp, await_udp};
use crate::harness::Site;
use crate::harness::process::Process;

const HOME: &str = "acme.eu.sip.example.com";

/// One side of a run.
pub(super) struct Sipp {
    name: &'static str,
    process: Process,
}

/// How many calls, and how quickly.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) calls: u32,
    pub(super) rate: u32,
}

impl Sipp {
    /// The server's side; returns when its port is open.
    pub(super) fn server(site: &Site, scenario: &'static str, transport: &str, addr: SocketAddr, load: Load) -> Self {
        let mut process = start(site, scenario, transport, addr, load, HOME, &[]);
        if transport == "tcp" {
            await_tcp(&mut process, addr);
        } else {
            await_udp(&mut process, addr);
        }
        Self { name: scenario, process }
    }

    /// The caller's side, towards `to`.
    pub(super) fn caller(
        site: &Site,
        scenario: &'static str,
        transport: &str,
        (from, to): (SocketAddr, SocketAddr),
        load: Load,
    ) -> Self {
        let rate = load.rate.to_string();
        let process = start(site, scenario, transport, from, load, HOME, &[&to.to_string(), "-r", &rate]);
        Self { name: scenario, process }
    }

    /// A caller whose calls belong to another region.
    pub(super) fn refused(site: &Site, transport: &str, load: Load) -> Self {
        let (rate, to) = (load.rate.to_string(), site.door().to_string());
        let abroad = "acme.us.sip.example.com";
        let process = start(site, "caller_is_refused", transport, site.carrier(20), load, abroad, &[&to, "-r", &rate]);
        Self { name: "caller_is_refused", process }
    }

    /// Waits for the end; every call must have gone as the scenario says.
    pub(super) fn succeeds(mut self) {
        // Its own time limit ends it.
        let status = self.process.join();
        assert!(status.success(), "{}: {status}\n{}", self.name, self.process.output());
    }
}

fn start(site: &Site, scenario: &str, transport: &str, addr: SocketAddr, load: Load, domain: &str, more: &[&str]) -> Process {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/peers/sipp").join(format!("{scenario}.xml"));
    let ip = addr.ip().to_string();
    let mut command = Command::new("sipp");
    command.args(more).arg("-sf").arg(file);
    command.args(["-i", &ip, "-mi", &ip, "-p", &addr.port().to_string()]);
    command.args(["-t", if transport == "tcp" { "t1" } else { "u1" }, "-m", &load.calls.to_string(), "-nostdin"]);
    command.args(["-timeout", "40s", "-timeout_error", "-key", "domain", domain, "-trace_err"]);
    command.args(["-error_file", &format!("{scenario}.errors")]);
    Process::start(scenario, site.directory(), &mut command)
}

/// A run of calls between two scenarios through `door`; both sides must be content.
pub(super) fn run(site: &Site, (caller, server): (&'static str, &'static str), (inner, outer): (&str, &str), load: Load) {
    let callee = Sipp::server(site, server, outer, site.eu(10), load);
    let trunk = Sipp::caller(site, caller, inner, (site.carrier(20), site.door()), load);
    trunk.succeeds();
    callee.succeeds();
}
