//! BIND's named, an authoritative name server whose zone is changed while it runs (RFC 2136).

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::Command;

use super::{await_udp, zone};
use crate::harness::Site;
use crate::harness::process::Process;

/// A running named with one zone, `internal.example`.
pub(super) struct Named {
    _process: Process,
    /// Where it answers.
    pub(super) addr: SocketAddr,
}

impl Named {
    /// Starts it with these records and returns when its port is open.
    pub(super) fn serve(site: &Site, ttl: u32, records: &str) -> Self {
        // It binds addresses of interfaces alone, so the port is what tells the sites apart.
        let IpAddr::V4(ip) = site.eu(53).ip() else { panic!("IPv4 alone") };
        let port = 30_000 + u16::from(ip.octets()[1]);
        let file = zone::write(site, ttl, records);
        let directory = site.directory().display();
        let config = format!(
            "options {{\n  directory \"{directory}\";\n  pid-file \"{directory}/named.pid\";\n  session-keyfile \"{directory}/session.key\";\n  \
             lock-file none;\n  listen-on port {port} {{ 127.0.0.1; }};\n  listen-on-v6 {{ none; }};\n  recursion no;\n  dnssec-validation no;\n  \
             notify no;\n  empty-zones-enable no;\n}};\ncontrols {{ }};\n\
             zone \"internal.example\" {{ type primary; file \"{file}\"; allow-update {{ 127.0.0.1; }}; }};\n"
        );
        let config = site.write("named.conf", &config);
        let mut command = Command::new("named");
        command.env("PATH", super::path()).args(["-4", "-f", "-g", "-n", "1", "-c"]).arg(config);
        let mut process = Process::start("named", site.directory(), &mut command);
        let addr = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), port);
        await_udp(&mut process, addr);
        Self { _process: process, addr }
    }

    /// Changes the zone as one: lines as nsupdate reads them. Returns when the change is in force.
    pub(super) fn update(&self, lines: &str) {
        let script = format!("server {} {}\nzone internal.example\n{lines}\nsend\n", self.addr.ip(), self.addr.port());
        super::run("nsupdate", &[], &script);
    }
}
