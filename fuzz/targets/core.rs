//! A conversation with the core on a virtual clock: datagrams from a trunk, a server of the region and a stranger.
//!
//! The input is a list of steps, each ended by 0x1e. The first octet of a step that is below 0x20 says who sends it and how much
//! later (a step that begins otherwise is sent by the trunk at once, so that plain messages are good seeds). `{route}` stands
//! for the Record-Route that the core sent last. A step of the server that begins with three digits is completed to the response
//! to what was forwarded last.
#![no_main]

use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ringfence::config::{Config, ListenerId, parse};
use ringfence::core::Core;
use ringfence::core::io::{Arrival, Destination, Input, Note, Output};
use ringfence::dns::{Resolved, Server};
use ringfence::sip::{Fault, Message, Name, Start};

const CONFIG: &str = r#"
serve = ["eu"]
global = "sip.example.com"

[region.eu]
hostname = "eu.sip.example.com"
listen = ["udp:203.0.113.10:5060"]
networks = ["203.0.113.0/24"]
upstream = ["203.0.113.20:5060", "203.0.113.21:5060"]

[region.us]
hostname = "us.sip.example.com"
networks = ["198.51.100.0/24"]
upstream = "198.51.100.20:5060"

[project.acme]
pin = ["eu"]
media = "enforce"

[project.acme.trunk.carrier]
networks = ["192.0.2.0/28"]
media = ["192.0.2.0/24"]
uri = "sip:192.0.2.2"
outbound_networks = ["192.0.2.0/28"]

# What was forwarded last is a step's doing, not the clock's.
[health]
interval = "0s"
"#;

static SHARED: LazyLock<Arc<Config>> =
    LazyLock::new(|| Arc::new(parse(Path::new("fuzz.toml"), CONFIG).expect("the configuration is good")));

const TRUNK: [u8; 4] = [192, 0, 2, 1];
const SERVER: [u8; 4] = [203, 0, 113, 20];
const STRANGER: [u8; 4] = [8, 8, 8, 8];
const STEPS: usize = 12;

fuzz_target!(|bytes: &[u8]| {
    let now = Instant::now();
    let targets = Arc::new(Resolved::unknown(SHARED.names.len()));
    let mut scene = Scene { core: Core::new(SHARED.clone(), targets, [7; 16], 0, now), now, forwarded: Vec::new() };
    for step in bytes.split(|&octet| octet == 0x1e).take(STEPS) {
        scene.step(step);
    }
    scene.run_out();
});

struct Scene {
    core: Core,
    now: Instant,
    /// The last request that left.
    forwarded: Vec<u8>,
}

impl Scene {
    fn step(&mut self, step: &[u8]) {
        let (control, bytes) = match step.split_first() {
            Some((&control, rest)) if control < 0x20 && !b"\r\n".contains(&control) => (control, rest),
            _ => (0, step),
        };
        let later = [0, 300, 4_000, 33_000][usize::from(control >> 2 & 3)];
        self.wait(Duration::from_millis(later));
        let (from, bytes) = match control & 3 {
            1 => (SERVER, self.response(bytes).unwrap_or_else(|| self.fill(bytes))),
            2 => (STRANGER, self.fill(bytes)),
            _ => (TRUNK, self.fill(bytes)),
        };
        let arrival = Arrival {
            listener: ListenerId(0),
            from: SocketAddr::from((from, 5060)),
            local: SocketAddr::from(([203, 0, 113, 10], 5060)),
            connection: None,
            shown: None,
        };
        let mut out = Vec::new();
        self.core.handle(self.now, Input::Message { arrival, bytes: &bytes }, &mut out);
        if let [Output::LookUp(next_hop)] = &out[..] {
            // The shell's part: a name of which nothing is known has a server on each side, and one outside.
            let addresses = [[192, 0, 2, 99], SERVER, TRUNK].map(|ip| SocketAddr::from((ip, 5060))).to_vec();
            let servers = vec![Server { rank: 0, weight: 0, transport: None, addresses }];
            let (next_hop, hold) = (next_hop.clone(), Duration::from_secs(1));
            out.clear();
            self.core.handle(self.now, Input::LookedUp { next_hop, servers, hold }, &mut out);
            assert!(out.is_empty(), "an answer alone does nothing");
            self.core.handle(self.now, Input::Message { arrival, bytes: &bytes }, &mut out);
        }
        let arrived = out.iter().filter(|output| matches!(output, Output::Note(Note::Arrived { .. }))).count();
        assert_eq!(arrived, 1, "one outcome for each message");
        self.check(&out, Some(IpAddr::from(from)));
        if from == STRANGER {
            let sent = out.iter().filter(|output| matches!(output, Output::Send(_))).count();
            assert!(sent <= 1, "a stranger is a reflector's victim");
        }
    }

    /// Time passes, timers fire.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(due) = self.core.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            let mut out = Vec::new();
            self.core.handle(self.now, Input::Timeout, &mut out);
            self.check(&out, None);
            rounds += 1;
            assert!(rounds < 100_000, "a timer that never rests");
        }
        self.now = end;
    }

    /// Nothing stays for ever.
    fn run_out(&mut self) {
        self.wait(Duration::from_mins(10));
        assert_eq!(self.core.transactions(), 0, "transactions that never end");
    }

    /// Nothing leaves the fence, and what leaves can be read.
    fn check(&mut self, out: &[Output], asked: Option<IpAddr>) {
        for output in out {
            let Output::Send(send) = output else { continue };
            let to = match send.to {
                Destination::Peer(peer) => peer.addr().ip(),
                Destination::Fenced(fenced) => fenced.addr().ip(),
            };
            let inside = SHARED.regions[0].networks.contains(to) || SHARED.trunks[0].networks.contains(to);
            assert!(inside || Some(to) == asked, "{to} is outside");
            let message = Message::datagram(&send.bytes).expect("what is sent is SIP");
            if matches!(send.to, Destination::Fenced(_)) && matches!(message.start(), Start::Request { .. }) {
                let fault = message.fault();
                assert!(fault.is_none_or(is_size), "{fault:?}: {}", String::from_utf8_lossy(&send.bytes));
                self.forwarded = send.bytes.to_vec();
            }
        }
    }

    fn fill(&self, bytes: &[u8]) -> Vec<u8> {
        let Some(at) = bytes.windows(7).position(|window| window == b"{route}") else { return bytes.to_vec() };
        let route = Message::datagram(&self.forwarded).ok();
        let route = route.as_ref().and_then(|message| Some(message.value(message.first(Name::RecordRoute)?)));
        [&bytes[..at], route.unwrap_or_default(), &bytes[at + 7..]].concat()
    }

    /// `180…`: the response to what was forwarded last, with the rest as its further rows and body.
    fn response(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let code = bytes.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
        let message = Message::datagram(&self.forwarded).ok()?;
        let mut text = [b"SIP/2.0 ", code, b" x\r\n"].concat();
        for name in [Name::Via, Name::RecordRoute, Name::From, Name::CallId, Name::CSeq] {
            for header in message.all(name) {
                text.extend_from_slice(message.slice(&header.row));
            }
        }
        text.extend_from_slice(b"To: ");
        text.extend_from_slice(message.value(message.first(Name::To)?));
        if code != b"100" {
            text.extend_from_slice(b";tag=s");
        }
        text.extend_from_slice(b"\r\n");
        let rest = &bytes[3..];
        text.extend_from_slice(if rest.is_empty() { b"Content-Length: 0\r\n\r\n" } else { rest });
        Some(text)
    }
}

/// What our own rows can push over a limit that the message was just below.
fn is_size(fault: Fault) -> bool {
    matches!(fault, Fault::HeadTooLong | Fault::RowTooLong | Fault::TooManyHeaders | Fault::TooLarge)
}
