//! NSD, an authoritative name server, on an address of the test.

use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::await_udp;
use crate::harness::Site;
use crate::harness::process::Process;

/// A running NSD with one zone, `internal.example`.
pub(super) struct Nsd {
    process: Process,
    /// Where it answers.
    pub(super) addr: SocketAddr,
}

impl Nsd {
    /// Starts it with these names below `internal.example` and returns when its port is open.
    pub(super) fn start(site: &Site, ttl: u32, names: &[(&str, &[IpAddr])]) -> Self {
        Self::start_at(site, SocketAddr::new(site.eu(53).ip(), 5353), ttl, names)
    }

    /// Starts it at this address.
    pub(super) fn start_at(site: &Site, addr: SocketAddr, ttl: u32, names: &[(&str, &[IpAddr])]) -> Self {
        zone(site, 1, ttl, names);
        let directory = site.directory().display();
        let config = format!(
            "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: \"{directory}\"\n  \
             pidfile: \"{directory}/nsd.pid\"\n  xfrdfile: \"{directory}/nsd.xfrd\"\n  zonelistfile: \"{directory}/nsd.zones\"\n  \
             zonefiles-check: yes\nremote-control:\n  control-enable: no\nzone:\n  name: internal.example\n  zonefile: internal.zone\n",
            ip = addr.ip(),
            port = addr.port()
        );
        let config = site.write("nsd.conf", &config);
        let mut command = Command::new("nsd");
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/sbin")).arg("-d").arg("-c").arg(config);
        let mut process = Process::start("nsd", site.directory(), &mut command);
        await_udp(&mut process, addr);
        Self { process, addr }
    }

    /// Serves other addresses from now on.
    pub(super) fn change(&self, site: &Site, ttl: u32, names: &[(&str, &[IpAddr])]) {
        zone(site, 2, ttl, names);
        self.process.signal("HUP");
    }
}

fn zone(site: &Site, serial: u32, ttl: u32, names: &[(&str, &[IpAddr])]) {
    let mut zone = format!(
        "$ORIGIN internal.example.\n$TTL {ttl}\n@ IN SOA ns hostmaster {serial} 3600 600 86400 1\n@ IN NS ns\nns IN A 127.0.0.1\n"
    );
    for (name, addresses) in names {
        for address in *addresses {
            let kind = if address.is_ipv4() { "A" } else { "AAAA" };
            writeln!(zone, "{name} IN {kind} {address}").unwrap();
        }
        if addresses.is_empty() {
            writeln!(zone, "{name} IN TXT \"no address\"").unwrap();
        }
    }
    site.write("internal.zone", &zone);
}
