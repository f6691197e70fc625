//! Unbound, a recursive name server in front of another one.

use std::net::SocketAddr;
use std::process::Command;

use super::await_udp;
use crate::harness::Site;
use crate::harness::process::Process;

/// A running Unbound that asks another name server about `internal.example`.
pub(super) struct Unbound {
    process: Process,
    /// Where it answers.
    pub(super) addr: SocketAddr,
}

impl Unbound {
    /// Starts it in front of that name server and returns when its port is open. It gives up on a silent one within a second.
    pub(super) fn before(site: &Site, authority: SocketAddr) -> Self {
        let addr = SocketAddr::new(site.eu(52).ip(), 5353);
        let directory = site.directory().display();
        let config = format!(
            "server:\n  interface: {ip}@{port}\n  do-daemonize: no\n  username: \"\"\n  chroot: \"\"\n  directory: \"{directory}\"\n  \
             pidfile: \"{directory}/unbound.pid\"\n  use-syslog: no\n  num-threads: 1\n  do-ip6: no\n  do-not-query-localhost: no\n  \
             access-control: 127.0.0.0/8 allow\n  module-config: \"iterator\"\n  cache-max-negative-ttl: 1\n  infra-host-ttl: 1\n  \
             infra-keep-probing: yes\n  outbound-msg-retry: 1\n  infra-cache-max-rtt: 1000\n  infra-cache-min-rtt: 50\n\
             remote-control:\n  control-enable: no\nstub-zone:\n  name: internal.example\n  stub-addr: {}@{}\n",
            authority.ip(),
            authority.port(),
            ip = addr.ip(),
            port = addr.port(),
        );
        let config = site.write("unbound.conf", &config);
        let mut command = Command::new("unbound");
        command.env("PATH", super::path()).args(["-d", "-p", "-c"]).arg(config);
        let mut process = Process::start("unbound", site.directory(), &mut command);
        await_udp(&mut process, addr);
        Self { process, addr }
    }

    /// Sends it a signal by its name.
    pub(super) fn signal(&self, signal: &str) {
        self.process.signal(signal);
    }
}
