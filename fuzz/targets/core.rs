//! A conversation with the core on a virtual clock: datagrams from a trunk, a server of the region and a stranger.
//!
//! The input is a list of steps, each ended by 0x1e. The first octet of a step that is below 0x20 says who sends it and how much
//! later (a step that begins otherwise is sent by the trunk at once, so that plain messages are good seeds). `{route}` stands
//! for the Record-Route that the core sent to its sender last. A step of the server that begins with three digits is completed to the response
//! to what was forwarded last. A step with 0x10 in its first octet is no message: the oldest question of the core, to a name server or a
//! media relay, gets its answer, by the octet that follows.
#![no_main]

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use libfuzzer_sys::fuzz_target;
use ringfence::config::{Config, ListenerId, NextHop, parse};
use ringfence::core::Core;
use ringfence::core::io::{Arrival, Destination, Input, Note, Output, RelayReply, RelayRequestId, Unanswered};
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
relay = ["udp:203.0.113.30:2223", "udp:203.0.113.31:2223"]

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

[project.led]
pin = ["eu"]
media = "relay"

[project.led.trunk.carrier]
networks = ["192.0.2.0/28"]
media = ["192.0.2.0/24"]

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
    let core = Core::new(SHARED.clone(), targets, [7; 16], now);
    let mut scene = Scene { core, now, forwarded: Vec::new(), told: Vec::new(), asked: VecDeque::new(), sent: 0, ended: 0 };
    for step in bytes.split(|&octet| octet == 0x1e).take(STEPS) {
        scene.step(step);
    }
    scene.run_out();
});

/// What the core has asked and was not told yet.
enum Asked {
    Name(NextHop),
    Relay(RelayRequestId),
}

struct Scene {
    core: Core,
    now: Instant,
    /// The last request that left.
    forwarded: Vec<u8>,
    /// The last response with a Record-Route.
    told: Vec<u8>,
    asked: VecDeque<Asked>,
    /// Messages that were handed in, and those that have an outcome.
    sent: usize,
    ended: usize,
}

impl Scene {
    fn step(&mut self, step: &[u8]) {
        let (control, bytes) = match step.split_first() {
            Some((&control, rest)) if control < 0x20 && !b"\r\n".contains(&control) => (control, rest),
            _ => (0, step),
        };
        let later = [0, 300, 4_000, 33_000][usize::from(control >> 2 & 3)];
        self.wait(Duration::from_millis(later));
        if control & 0x10 != 0 {
            return self.tell(bytes.first().copied().unwrap_or(0));
        }
        let (from, bytes) = match control & 3 {
            1 => (SERVER, self.response(bytes).unwrap_or_else(|| fill(&self.forwarded, bytes))),
            2 => (STRANGER, fill(&self.told, bytes)),
            _ => (TRUNK, fill(&self.told, bytes)),
        };
        let arrival = Arrival {
            listener: ListenerId(0),
            from: SocketAddr::from((from, 5060)),
            local: SocketAddr::from(([203, 0, 113, 10], 5060)),
            connection: None,
            shown: None,
        };
        self.sent += 1;
        let before = self.ended;
        let out = self.input(Input::Message { arrival, bytes: &bytes }, Some(IpAddr::from(from)));
        assert!(self.ended <= before + 1, "no more than one outcome for each message");
        if self.ended == before {
            let said = out.iter().any(|output| matches!(output, Output::Send(_) | Output::Note(_)));
            assert!(!said, "nothing is said of a message that waits: {out:?}");
        }
        if from == STRANGER {
            let sent = out.iter().filter(|output| matches!(output, Output::Send(_))).count();
            assert!(sent <= 1 && self.ended == before + 1, "a stranger is a reflector's victim, and waits for nothing");
        }
    }

    /// Hands something in, and keeps what is asked.
    fn input(&mut self, input: Input<'_>, from: Option<IpAddr>) -> Vec<Output> {
        let mut out = Vec::new();
        self.core.handle(self.now, input, &mut out);
        for output in &out {
            match output {
                Output::LookUp(next_hop) => self.asked.push_back(Asked::Name(next_hop.clone())),
                Output::Relay(request) => self.asked.push_back(Asked::Relay(request.id)),
                Output::Note(Note::Arrived { .. }) => self.ended += 1,
                _ => {}
            }
        }
        assert!(self.ended <= self.sent, "an outcome that belongs to no message");
        self.check(&out, from);
        out
    }

    /// The oldest question is answered, well or badly.
    fn tell(&mut self, how: u8) {
        match self.asked.pop_front() {
            None => {}
            Some(Asked::Name(next_hop)) => {
                // A server on each side, and one outside; or nothing.
                let addresses = [[192, 0, 2, 99], SERVER, TRUNK].map(|ip| SocketAddr::from((ip, 5060))).to_vec();
                let servers = vec![Server { rank: 0, weight: 0, transport: None, addresses }];
                let servers = if how & 1 == 0 { servers } else { Vec::new() };
                if how & 2 == 0 {
                    self.input(Input::LookUpTakesLong { next_hop: next_hop.clone() }, None);
                }
                let failed = how & 4 == 0;
                self.input(Input::LookedUp { next_hop, servers, hold: Duration::from_secs(1), failed }, None);
            }
            Some(Asked::Relay(id)) => {
                let sdp =
                    |ip: &str| format!("v=0\r\no=- 1 1 IN IP4 {ip}\r\ns=-\r\nc=IN IP4 {ip}\r\nt=0 0\r\nm=audio 4 RTP/AVP 0\r\n");
                let reply = match how % 6 {
                    0 | 1 => Ok(RelayReply::Done(Some(sdp("203.0.113.30").into()))),
                    2 => Ok(RelayReply::Done(Some(sdp("8.8.8.8").into()))),
                    3 => Ok(RelayReply::Done(None)),
                    4 => Ok(RelayReply::Refused),
                    _ => Err(Unanswered::Silent),
                };
                self.input(Input::Relayed { id, reply }, None);
            }
        }
    }

    /// Time passes, timers fire.
    fn wait(&mut self, time: Duration) {
        let end = self.now + time;
        let mut rounds = 0;
        while let Some(due) = self.core.deadline().filter(|&due| due <= end) {
            self.now = self.now.max(due);
            self.input(Input::Timeout, None);
            rounds += 1;
            assert!(rounds < 100_000, "a timer that never rests");
        }
        self.now = end;
    }

    /// Nothing stays for ever.
    fn run_out(&mut self) {
        self.tell(0);
        self.input(Input::Drain { successor: false }, None);
        self.input(Input::EndWaiting, None);
        assert_eq!(self.ended, self.sent, "each message has ended in one outcome");
        self.asked.clear();
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
            } else if message.first(Name::RecordRoute).is_some() {
                self.told = send.bytes.to_vec();
            }
        }
    }

    /// `180…`: the response to what was forwarded last, with the rest as its further rows and body.
    fn response(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let code = bytes.get(..3).filter(|code| code.iter().all(u8::is_ascii_digit))?;
        let message = Message::datagram(&self.forwarded).ok()?;
        let mut text = [b"SIP/2.0 ", code, b" x\r\n"].concat();
        for name in [Name::Via, Name::RecordRoute, Name::From, Name::CallId, Name::CSeq] {
            for header in message.all(name) {
                text.extend_from_slice(message.slice(&header.row()));
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

/// A step with the Record-Route of a message in it.
fn fill(of: &[u8], bytes: &[u8]) -> Vec<u8> {
    let Some(at) = bytes.windows(7).position(|window| window == b"{route}") else { return bytes.to_vec() };
    let route = Message::datagram(of).ok();
    let route = route.as_ref().and_then(|message| Some(message.value(message.first(Name::RecordRoute)?)));
    [&bytes[..at], route.unwrap_or_default(), &bytes[at + 7..]].concat()
}
