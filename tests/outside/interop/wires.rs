//! Networks of telephones' own, each wired to the test's, where everything between them passes and can be seen. Needs root.

use std::net::Ipv4Addr;
use std::process::Command;

use super::run;
use crate::harness::process::Process;
use crate::harness::{Site, await_some};

/// A network that whatever is started in it sees and nothing else. Ends with the test.
pub(super) struct Room {
    holder: Process,
}

/// One cable: its name, the address at the test's end, and at the room's. Each a network of 256 addresses.
pub(super) type Wire = (&'static str, Ipv4Addr, Ipv4Addr);

/// Packets go from wire to wire, in the network namespace that the test is in.
pub(super) fn forwards() {
    std::fs::write("/proc/sys/net/ipv4/ip_forward", "1").unwrap();
}

impl Room {
    /// A room with these wires; the first leads everywhere else.
    pub(super) fn wired(site: &Site, name: &str, wires: &[Wire]) -> Self {
        let holder = Process::start(name, site.directory(), Command::new("unshare").args(["--net", "sleep", "infinity"]));
        let of = |process: &str| std::fs::read_link(format!("/proc/{process}/ns/net")).ok();
        let id = holder.id().to_string();
        await_some("a network of its own", || (of(&id)? != of("thread-self")?).then_some(()));
        let room = Self { holder };
        room.run(&["ip", "link", "set", "lo", "up"]);
        for (name, here, there) in wires {
            let far = format!("{name}0");
            run("ip", &["link", "add", name, "type", "veth", "peer", "name", &far, "netns", &id], "");
            run("ip", &["address", "add", &format!("{here}/24"), "dev", name], "");
            run("ip", &["link", "set", name, "up"], "");
            room.run(&["ip", "address", "add", &format!("{there}/24"), "dev", &far]);
            room.run(&["ip", "link", "set", &far, "up"]);
        }
        room.run(&["ip", "route", "add", "default", "via", &wires[0].1.to_string()]);
        room
    }

    fn run(&self, command: &[&str]) {
        let net = self.net();
        run("nsenter", &[&[net.as_str()], command].concat(), "");
    }

    /// A command that is to run in the room.
    pub(super) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(self.net()).arg(program);
        command
    }

    /// A process that is in the room, by its name in /proc.
    pub(super) fn process(&self) -> String {
        self.holder.id().to_string()
    }

    fn net(&self) -> String {
        format!("--net=/proc/{}/ns/net", self.holder.id())
    }
}
