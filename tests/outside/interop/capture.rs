//! What passed a network namespace, captured and read by tshark.

use std::fmt::Write;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;
use std::process::Command;

use super::run;
use crate::harness::process::Process;
use crate::harness::{Site, await_some};

/// A running capture of all IPv4 packets, on every interface of the network that the test is in.
pub(super) struct Capture {
    process: Process,
    file: PathBuf,
    site: Ipv4Addr,
}

/// A packet that passed. One that is forwarded passes twice.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: Ipv4Addr,
    pub(super) to: Ipv4Addr,
    /// As tshark names them, `sll:ethertype:ip:udp:sip`.
    protocols: String,
    /// What UDP carries, in hexadecimal.
    payload: String,
}

impl Packet {
    /// Whether it is of this protocol.
    pub(super) fn is(&self, protocol: &str) -> bool {
        self.protocols.split(':').any(|of| of == protocol)
    }

    /// Whether it carries audio: RTP in A-law (RFC 3551 6). What tshark takes a port's packets for depends on what came there first.
    pub(super) fn is_audio(&self) -> bool {
        self.payload.starts_with("8008") || self.payload.starts_with("8088")
    }

    /// Whether the body of a SIP message names this address.
    pub(super) fn names(&self, addr: IpAddr) -> bool {
        let body = self.payload.split_once("0d0a0d0a").map_or("", |(_, body)| body);
        let mut octets = String::new();
        for octet in addr.to_string().bytes() {
            write!(octets, "{octet:02x}").unwrap();
        }
        self.is("sip") && body.contains(&octets)
    }
}

impl Capture {
    /// Starts it, and returns once it sees what passes.
    pub(super) fn start(site: &Site) -> Self {
        let file = site.directory().join("capture.pcapng");
        let mut command = Command::new("tshark");
        command.args(["-q", "-n", "-i", "any", "-f", "ip", "-w"]).arg(&file);
        let process = Process::start("tshark", site.directory(), &mut command);
        let IpAddr::V4(ip) = site.eu(200).ip() else { panic!("IPv4 alone") };
        let mut capture = Self { process, file, site: ip };
        capture.marked("the beginning");
        capture
    }

    /// Sends something that is to be seen, until it is.
    fn marked(&mut self, mark: &str) {
        let socket = UdpSocket::bind((self.site, 0)).unwrap();
        await_some("the capture", || {
            self.process.must_run();
            let _ = socket.send_to(mark.as_bytes(), (self.site, 9));
            let seen = std::fs::read(&self.file).ok()?;
            seen.windows(mark.len()).any(|octets| octets == mark.as_bytes()).then_some(())
        });
    }

    /// All that has passed until now.
    pub(super) fn packets(mut self) -> Vec<Packet> {
        self.marked("the end");
        self.process.signal("INT");
        self.process.wait();
        let mut arguments =
            vec!["-n", "-r", self.file.to_str().unwrap(), "-T", "fields", "-E", "separator=;", "-E", "occurrence=f"];
        for field in ["ip.src", "ip.dst", "frame.protocols", "udp.payload"] {
            arguments.extend(["-e", field]);
        }
        let text = run("tshark", &arguments, "");
        let packet = |line: &str| {
            let fields: Vec<&str> = line.split(';').collect();
            let [from, to, protocols, payload] = fields.try_into().unwrap_or_else(|_| panic!("{line}"));
            Packet {
                from: from.parse().unwrap(),
                to: to.parse().unwrap(),
                protocols: protocols.to_owned(),
                payload: payload.to_owned(),
            }
        };
        text.lines().map(packet).collect()
    }
}
