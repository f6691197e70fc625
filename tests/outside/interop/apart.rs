//! A network namespace of a test's own, with a filter in it that counts and cuts off; and mounts of a test's own. Needs root.

use std::fmt::Write;
use std::net::SocketAddr;

use nix::sched::{CloneFlags, unshare};

use super::run;

/// Runs a test in a network of its own, where nothing but the loopback exists: what it binds and starts is there.
pub(super) fn apart<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    // The namespace belongs to the thread, and to what the thread starts.
    let apart = move || {
        unshare(CloneFlags::CLONE_NEWNET).expect("a network namespace of its own: needs root (CAP_SYS_ADMIN)");
        run("ip", &["link", "set", "lo", "up"], "");
        test()
    };
    let ended = std::thread::scope(|scope| scope.spawn(apart).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Runs a test with mounts of its own.
pub(super) fn with_mounts<T: Send>(test: impl FnOnce() -> T + Send) -> T {
    let apart = move || {
        unshare(CloneFlags::CLONE_NEWNS).expect("mounts of its own: needs root (CAP_SYS_ADMIN)");
        run("mount", &["--make-rprivate", "/"], "");
        test()
    };
    let ended = std::thread::scope(|scope| scope.spawn(apart).join());
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Sees every INVITE that is sent to some servers, whether it gets there or not, and can cut them off. In a namespace alone.
pub(super) struct Filter {
    servers: Vec<SocketAddr>,
}

impl Filter {
    /// Watches these servers.
    pub(super) fn over(servers: &[SocketAddr]) -> Self {
        let (mut counters, mut rules) = (String::new(), String::new());
        for (at, server) in servers.iter().enumerate() {
            writeln!(counters, "  counter invites_{at} {{ }}").unwrap();
            // The first six octets behind the UDP header.
            let to = format!("ip daddr {} udp dport {}", server.ip(), server.port());
            writeln!(rules, "    {to} @th,64,48 0x494e56495445 counter name invites_{at}").unwrap();
        }
        // Counted when sent, dropped when received: the sender notices nothing.
        let table = format!(
            "table inet test {{\n{counters}  set gone {{ type ipv4_addr; }}\n  \
             chain sent {{\n    type filter hook output priority 0; policy accept;\n{rules}  }}\n  \
             chain received {{\n    type filter hook input priority 0; policy accept;\n    ip daddr @gone drop\n    ip saddr @gone drop\n  }}\n}}\n"
        );
        run("nft", &["-f", "-"], &table);
        Self { servers: servers.to_vec() }
    }

    /// How many INVITEs have been sent to a server, repetitions among them.
    pub(super) fn invites(&self, server: SocketAddr) -> u64 {
        count(self.at(server))
    }

    /// How many have been sent to all of them.
    pub(super) fn invites_to_all(&self) -> u64 {
        (0..self.servers.len()).map(count).sum()
    }

    /// Nothing comes to a server's address nor from it any more, and nobody is told.
    pub(super) fn cut_off(&self, server: SocketAddr) {
        self.gone("add", server);
    }

    /// It can be reached again.
    pub(super) fn let_through(&self, server: SocketAddr) {
        self.gone("delete", server);
    }

    fn gone(&self, command: &str, server: SocketAddr) {
        let ip = self.servers[self.at(server)].ip();
        run("nft", &[command, "element", "inet", "test", "gone", &format!("{{ {ip} }}")], "");
    }

    fn at(&self, server: SocketAddr) -> usize {
        self.servers.iter().position(|of| *of == server).expect("a server that is watched")
    }
}

fn count(at: usize) -> u64 {
    let text = run("nft", &["list", "counter", "inet", "test", &format!("invites_{at}")], "");
    let (_, rest) = text.split_once("packets ").unwrap_or_else(|| panic!("no counter: {text}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}
