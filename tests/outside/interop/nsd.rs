//! NSD, an authoritative name server, on an address of the test.

use std::net::{IpAddr, SocketAddr};
use std::process::Command;

use super::{await_udp, zone};
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
        Self::serve(site, ttl, &records(names))
    }

    /// Starts it with these records.
    pub(super) fn serve(site: &Site, ttl: u32, records: &str) -> Self {
        Self::serve_at(site, SocketAddr::new(site.eu(53).ip(), 5353), ttl, records)
    }

    /// Starts it with these records at this address.
    pub(super) fn serve_at(site: &Site, addr: SocketAddr, ttl: u32, records: &str) -> Self {
        let file = zone::write(site, ttl, records);
        let directory = site.directory().display();
        let config = format!(
            "server:\n  ip-address: {ip}@{port}\n  server-count: 1\n  username: \"\"\n  chroot: \"\"\n  database: \"\"\n  zonesdir: \"{directory}\"\n  \
             pidfile: \"{directory}/nsd.pid\"\n  xfrdfile: \"{directory}/nsd.xfrd\"\n  zonelistfile: \"{directory}/nsd.zones\"\n  \
             zonefiles-check: yes\nremote-control:\n  control-enable: no\nzone:\n  name: internal.example\n  zonefile: {file}\n",
            ip = addr.ip(),
            port = addr.port()
        );
        let config = site.write("nsd.conf", &config);
        let mut command = Command::new("nsd");
        command.env("PATH", super::path()).arg("-d").arg("-c").arg(config);
        let mut process = Process::start("nsd", site.directory(), &mut command);
        await_udp(&mut process, addr);
        Self { process, addr }
    }

    /// Serves other addresses from now on.
    pub(super) fn change(&self, site: &Site, ttl: u32, names: &[(&str, &[IpAddr])]) {
        zone::write(site, ttl, &records(names));
        self.process.signal("HUP");
    }

    /// Sends a signal to all of its processes.
    pub(super) fn signal(&self, signal: &str) {
        self.process.signal_all(signal);
    }
}

fn records(names: &[(&str, &[IpAddr])]) -> String {
    let record = |(name, addresses): &(&str, &[IpAddr])| {
        // A name that exists and has no address.
        let nothing = format!("{name} IN TXT \"no address\"\n");
        if addresses.is_empty() { nothing } else { zone::addresses(name, addresses) }
    };
    names.iter().map(record).collect()
}
