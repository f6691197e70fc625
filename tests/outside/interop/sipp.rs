//! `SIPp` with this suite's scenarios: its exit code is a verdict on every message of every call.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{await_tcp, await_udp};
use crate::harness::Site;
use crate::harness::process::Process;

const HOME: &str = "acme.eu.sip.example.com";

/// One side of a run.
pub(super) struct Sipp {
    name: &'static str,
    process: Process,
    errors: PathBuf,
}

/// How many calls, and how quickly.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) calls: u32,
    pub(super) rate: u32,
}

impl Sipp {
    /// The server's side; returns when its port is open.
    pub(super) fn server(site: &Site, name: &'static str, transport: &str, addr: SocketAddr, load: Load) -> Self {
        Self::server_with(site, name, transport, addr, load, &[])
    }

    /// The same with more arguments.
    pub(super) fn server_with(
        site: &Site,
        name: &'static str,
        transport: &str,
        addr: SocketAddr,
        load: Load,
        more: &[&str],
    ) -> Self {
        let mut process = start(site, &scenario(name), transport, addr, load, HOME, more);
        if transport == "tcp" {
            await_tcp(&mut process, addr);
        } else {
            await_udp(&mut process, addr);
        }
        Self::of(site, name, process)
    }

    /// The caller's side, towards `to`.
    pub(super) fn caller(site: &Site, name: &'static str, transport: &str, ends: (SocketAddr, SocketAddr), load: Load) -> Self {
        Self::caller_with(site, name, transport, ends, load, &[])
    }

    /// The same with more arguments.
    pub(super) fn caller_with(
        site: &Site,
        name: &'static str,
        transport: &str,
        (from, to): (SocketAddr, SocketAddr),
        load: Load,
        more: &[&str],
    ) -> Self {
        let (rate, to) = (load.rate.to_string(), to.to_string());
        let process = start(site, &scenario(name), transport, from, load, HOME, &[&[&to, "-r", &rate], more].concat());
        Self::of(site, name, process)
    }

    /// A caller whose calls belong to another region.
    pub(super) fn refused(site: &Site, transport: &str, load: Load) -> Self {
        let (rate, to) = (load.rate.to_string(), site.door().to_string());
        let abroad = "acme.us.sip.example.com";
        let process = start(site, &scenario("caller_is_refused"), transport, site.carrier(20), load, abroad, &[&to, "-r", &rate]);
        Self::of(site, "caller_is_refused", process)
    }

    /// One call by a written scenario, on UDP: of the caller's side, towards `to`, or of the server's; then it returns when its port is
    /// open.
    pub(super) fn written(site: &Site, name: &'static str, text: &str, addr: SocketAddr, to: Option<(SocketAddr, &str)>) -> Self {
        let path = site.write(&format!("{name}.xml"), text);
        let (to, domain) = to.map_or((None, HOME), |(to, domain)| (Some(to.to_string()), domain));
        let more: Vec<&str> = to.iter().map(String::as_str).collect();
        let mut process = start(site, &path, "udp", addr, Load { calls: 1, rate: 1 }, domain, &more);
        if to.is_none() {
            await_udp(&mut process, addr);
        }
        Self::of(site, name, process)
    }

    /// Calls one after the other until `end`: each must be answered.
    pub(super) fn calls(site: &Site, rate: u32) -> Self {
        let load = Load { calls: 1_000_000, rate };
        Self::caller(site, "caller_is_served", "udp", (site.carrier(20), site.door()), load)
    }

    /// A server that answers every call, and sends its media back to where it came from.
    pub(super) fn echoing_server(site: &Site, addr: SocketAddr) -> Server {
        Server::run(site, addr, &["-rtp_echo", "-mp", "6000"])
    }

    /// Callers who are answered and speak for a while, one after the other; `silence.pcma` is what they say.
    pub(super) fn speaker(site: &Site, calls: u32) -> Self {
        Self::caller(site, "caller_speaks", "udp", (site.carrier(20), site.door()), Load { calls, rate: 5 })
    }

    /// No more calls; every one must have gone as the scenario says.
    pub(super) fn end(mut self) {
        self.process.must_run();
        self.process.signal("USR1");
        self.succeeds();
    }

    /// Waits for the end; every call must have gone as the scenario says.
    pub(super) fn succeeds(mut self) {
        // Its own time limit ends it.
        let status = self.process.join();
        let errors = std::fs::read(&self.errors).unwrap_or_default();
        let errors = String::from_utf8_lossy(errors.get(..4000).unwrap_or(&errors)).into_owned();
        assert!(status.success(), "{}: {status}\n{}\n{errors}", self.name, self.process.output());
    }

    fn of(site: &Site, name: &'static str, process: Process) -> Self {
        Self { name, process, errors: site.directory().join(format!("{name}.errors")) }
    }
}

/// A server behind somebody who takes TLS for it on the port above, and is to be reached there inside its calls.
pub(super) fn server_behind_tls(site: &Site, name: &'static str, addr: SocketAddr, load: Load) -> Sipp {
    let text = std::fs::read_to_string(scenario(name)).unwrap();
    let above = format!("[local_ip]:{};transport=tls>", addr.port() + 1);
    let text = text.replace("[local_ip]:[local_port];transport=[transport]>", &above);
    assert!(!text.contains("transport=[transport]"), "every Contact leads to it");
    let file = site.write(&format!("{name}.xml"), &text);
    let mut process = start(site, &file, "tcp", addr, load, HOME, &[]);
    await_tcp(&mut process, addr);
    Sipp::of(site, name, process)
}

/// A server that answers every call and every probe until it is killed, and counts.
pub(super) struct Server {
    process: Process,
    counts: PathBuf,
}

impl Server {
    /// Starts it and returns when its port is open.
    pub(super) fn start(site: &Site, addr: SocketAddr) -> Self {
        Self::run(site, addr, &[])
    }

    fn run(site: &Site, addr: SocketAddr, more: &[&str]) -> Self {
        let IpAddr::V4(ip) = addr.ip() else { panic!("IPv4 alone") };
        let (name, ip) = (format!("server-{}", ip.octets()[3]), ip.to_string());
        let mut command = Command::new("sipp");
        command.arg("-sf").arg(scenario("server")).args(["-i", &ip, "-mi", &ip, "-p", &addr.port().to_string()]);
        command.args(["-nostdin", "-trace_counts", "-fd", "1"]).args(more);
        let mut process = Process::start(&name, site.directory(), &mut command);
        await_udp(&mut process, addr);
        let counts = site.directory().join(format!("server_{}_counts.csv", process.id()));
        Self { process, counts }
    }

    /// Sends it a signal by its name.
    pub(super) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }

    /// How many calls have come to it, as it last said; it says so every second.
    pub(super) fn calls(&self) -> u64 {
        self.count("1_INVITE_Recv")
    }

    /// How many probes have come to it, likewise.
    pub(super) fn probes(&self) -> u64 {
        self.count("0_OPTIONS_Recv")
    }

    fn count(&self, column: &str) -> u64 {
        let text = std::fs::read_to_string(&self.counts).unwrap_or_default();
        let mut lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let Some(at) = lines.next().and_then(|head| head.split(';').position(|name| name == column)) else { return 0 };
        lines.next_back().and_then(|line| line.split(';').nth(at)).map_or(0, |count| count.parse().unwrap())
    }
}

fn scenario(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/outside/interop/sipp").join(format!("{name}.xml"))
}

fn start(site: &Site, scenario: &Path, transport: &str, addr: SocketAddr, load: Load, domain: &str, more: &[&str]) -> Process {
    let (ip, name) = (addr.ip().to_string(), scenario.file_stem().unwrap().to_str().unwrap());
    let mut command = Command::new("sipp");
    command.args(more).arg("-sf").arg(scenario);
    command.args(["-i", &ip, "-mi", &ip, "-p", &addr.port().to_string()]);
    command.args(["-t", if transport == "tcp" { "t1" } else { "u1" }, "-m", &load.calls.to_string(), "-nostdin"]);
    command.args(["-timeout", "40s", "-timeout_error", "-key", "domain", domain, "-trace_err"]);
    command.args(["-error_file", &format!("{name}.errors")]);
    Process::start(name, site.directory(), &mut command)
}

/// A run of calls between two scenarios through `door`; both sides must be content.
pub(super) fn run(site: &Site, scenarios: (&'static str, &'static str), transports: (&str, &str), load: Load) {
    run_at(site, scenarios, transports, site.eu(10), load);
}

/// The same with the server at this address.
pub(super) fn run_at(
    site: &Site,
    (caller, server): (&'static str, &'static str),
    (inner, outer): (&str, &str),
    addr: SocketAddr,
    load: Load,
) {
    let callee = Sipp::server(site, server, outer, addr, load);
    let trunk = Sipp::caller(site, caller, inner, (site.carrier(20), site.door()), load);
    trunk.succeeds();
    callee.succeeds();
}
