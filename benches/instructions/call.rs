//! A call through one core, message by message: what the carrier and the region's server would send.
#![allow(clippy::unwrap_used, reason = "a bench that cannot be set up has nothing to measure")]

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use ringfence::config::{ListenerId, NameId, Transport, parse};
use ringfence::core::Core;
use ringfence::core::io::{Arrival, Input, Output};
use ringfence::dns::{Resolved, Server};
use ringfence::sip::{Message, Name};

const CONFIG: &str = r#"
serve = ["eu"]

[region.eu]
hostname = "eu.sip.example.com"
listen = ["udp:203.0.113.10:5060", "tcp:203.0.113.10:5060"]
networks = ["203.0.113.0/24", "10.20.0.0/16", "2001:db8:e::/48"]
upstream = "203.0.113.20:5060"

[region.us]
hostname = "us.sip.example.com"
networks = ["198.51.100.0/24"]
upstream = "198.51.100.20:5060"

[project.acme]
pin = ["eu"]
media = "enforce"
reject = "twilio"

[project.acme.trunk.twilio-ie]
networks = ["192.0.2.0/30"]
media = ["192.0.2.0/24"]

[limits]
per_source = "1000000/s"

[health]
interval = "0s"
"#;

const TRUNK: &str = "192.0.2.1:5070";
const SERVER: &str = "203.0.113.20:5060";
/// The region's endpoint.
pub(crate) const HERE: &str = "eu.sip.example.com";
/// Another region's endpoint.
pub(crate) const ELSEWHERE: &str = "us.sip.example.com";

const SDP: &str = "v=0\r\no=sbc 53655765 2353687637 IN IP4 192.0.2.1\r\ns=-\r\nc=IN IP4 192.0.2.1\r\nt=0 0\r\n\
m=audio 6000 RTP/AVP 8 0 18 101\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:18 G729/8000\r\n\
a=fmtp:18 annexb=no\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";

/// A carrier's INVITE to an endpoint: about 1050 octets, 16 rows and a session description.
pub(crate) fn invite(host: &str, number: u32) -> Vec<u8> {
    format!(
        "INVITE sip:+4930{number}@{host} SIP/2.0\r\n\
Via: SIP/2.0/UDP {TRUNK};rport;branch=z9hG4bK-4711-{number}-0\r\n\
From: \"Trunk\" <sip:+4989123456@trunk.example.net>;tag=4711T{number}\r\n\
To: <sip:+4930{number}@{host}>\r\n\
Call-ID: {number}-4711@192.0.2.1\r\n\
CSeq: 1 INVITE\r\n\
Contact: <sip:trunk@{TRUNK};transport=UDP>\r\n\
Max-Forwards: 70\r\n\
Allow: INVITE, ACK, BYE, CANCEL, OPTIONS, UPDATE, PRACK, REFER, NOTIFY\r\n\
Supported: timer, replaces, 100rel\r\n\
User-Agent: trunk-sbc/7.4.2\r\n\
P-Asserted-Identity: <sip:+4989123456@trunk.example.net>\r\n\
Session-Expires: 1800;refresher=uac\r\n\
Min-SE: 90\r\n\
Content-Type: application/sdp\r\n\
Content-Length: {}\r\n\r\n{SDP}",
        SDP.len()
    )
    .into_bytes()
}

/// The answer of the region's server to what was forwarded to it.
fn response(forwarded: &[u8], line: &str, body: &str) -> Vec<u8> {
    let message = Message::datagram(forwarded).unwrap();
    let mut text = format!("SIP/2.0 {line}\r\n").into_bytes();
    for name in [Name::Via, Name::RecordRoute, Name::From, Name::CallId, Name::CSeq] {
        for header in message.all(name) {
            text.extend_from_slice(message.slice(&header.row()));
        }
    }
    let to = message.first(Name::To).unwrap();
    let tag = if message.value(to).ends_with(b">") { ";tag=server1" } else { "" };
    text.extend_from_slice(b"To: ");
    text.extend_from_slice(message.value(to));
    let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
    let rest = format!(
        "{tag}\r\nContact: <sip:{SERVER};transport=udp>\r\n{kind}Content-Length: {}\r\n\r\n{}",
        body.len(),
        body.replace("192.0.2.1", "203.0.113.20")
    );
    text.extend_from_slice(rest.as_bytes());
    text
}

/// The carrier's request inside the dialog that an answer made.
fn within(answer: &[u8], method: &str, number: u32, cseq: u32) -> Vec<u8> {
    let message = Message::datagram(answer).unwrap();
    let route = message.value(message.first(Name::RecordRoute).unwrap());
    format!(
        "{method} sip:{SERVER};transport=udp SIP/2.0\r\n\
Via: SIP/2.0/UDP {TRUNK};rport;branch=z9hG4bK-4711-{number}-{method}\r\n\
Route: {}\r\n\
From: \"Trunk\" <sip:+4989123456@trunk.example.net>;tag=4711T{number}\r\n\
To: <sip:+4930{number}@{HERE}>;tag=server1\r\n\
Call-ID: {number}-4711@192.0.2.1\r\n\
CSeq: {cseq} {method}\r\n\
Max-Forwards: 70\r\n\
Content-Length: 0\r\n\r\n",
        String::from_utf8_lossy(route)
    )
    .into_bytes()
}

/// How far a call has come when the next message arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Step {
    Invite,
    Ringing,
    Answer,
    Ack,
    Bye,
    ByeAnswer,
}

/// A core, and the message that it is about to be handed.
pub(crate) struct Scene {
    core: Core,
    now: Instant,
    from: SocketAddr,
    bytes: Vec<u8>,
    out: Vec<Output>,
}

impl Scene {
    /// A core that has seen nothing.
    pub(crate) fn new() -> Self {
        Self::with(CONFIG)
    }

    /// A name of the configuration has three servers.
    fn with(config: &str) -> Self {
        let config = parse(Path::new("bench.toml"), config).unwrap();
        let mut targets = Resolved::unknown(config.names.len());
        for id in (0..).map(NameId).take(config.names.len()) {
            let server = |(host, weight)| Server {
                rank: 0,
                weight,
                transport: Some(Transport::Udp),
                addresses: vec![SocketAddr::from(([203, 0, 113, host], 5060))],
            };
            targets.set(id, [(20, 10), (21, 20), (22, 70)].map(server).into());
        }
        let now = Instant::now();
        let core = Core::new(Arc::new(config), Arc::new(targets), [7; 16], now);
        Self { core, now, from: TRUNK.parse().unwrap(), bytes: Vec::new(), out: Vec::with_capacity(64) }
    }

    /// A core that has served one call, about to be handed this message of the next; `sends` is what the message comes to.
    pub(crate) fn at(step: Step, sends: &str) -> Self {
        let scene = || {
            let mut scene = Self::new();
            scene.call(1000, Step::ByeAnswer);
            scene.handle();
            scene.call(1001, step);
            scene
        };
        scene().comes_to(sends);
        scene()
    }

    /// The same as [`Scene::at`] an INVITE, where the region's servers are found by a name: three of them, weighted.
    pub(crate) fn by_name() -> Self {
        let scene = || {
            let mut scene = Self::with(&CONFIG.replace("203.0.113.20:5060", "sip:servers.eu.internal"));
            scene.call(1000, Step::Invite);
            scene.handle();
            scene.call(1001, Step::Invite);
            scene
        };
        scene().comes_to("INVITE sip:");
        scene()
    }

    /// A core that has refused one call, about to be handed the next with a wrong region.
    pub(crate) fn refusal(sends: &str) -> Self {
        Self::refusal_with(CONFIG, sends)
    }

    /// The same, where the project is the last of ten thousand whose trunks share its carrier's networks.
    pub(crate) fn refusal_of_many(sends: &str) -> Self {
        let other = |at| format!("[project.p{at}]\n[project.p{at}.trunk.twilio-ie]\nnetworks = [\"192.0.2.0/30\"]\n");
        let (regions, project) = CONFIG.split_once("[project.acme]").unwrap();
        let others: String = (1..10_000).map(other).collect();
        Self::refusal_with(&format!("{regions}{others}[project.acme]{project}"), sends)
    }

    fn refusal_with(config: &str, sends: &str) -> Self {
        let scene = || {
            let mut scene = Self::with(config);
            scene.next(TRUNK, invite(ELSEWHERE, 1000));
            scene.handle();
            scene.next(TRUNK, invite(ELSEWHERE, 1001));
            scene
        };
        scene().comes_to(sends);
        scene()
    }

    /// Panics unless what is measured is what its name says.
    fn comes_to(mut self, sends: &str) {
        self.handle();
        let sent = String::from_utf8_lossy(&self.sent()).into_owned();
        assert!(sent.starts_with(sends), "{sends}: {sent}");
    }

    /// Runs a call up to a message that is left to be handled.
    pub(crate) fn call(&mut self, number: u32, step: Step) {
        self.next(TRUNK, invite(HERE, number));
        let (mut forwarded, mut answer) = (Vec::new(), Vec::new());
        for at in [Step::Ringing, Step::Answer, Step::Ack, Step::Bye, Step::ByeAnswer] {
            if at > step {
                return;
            }
            self.handle();
            if at == Step::Ringing || at == Step::ByeAnswer {
                forwarded = self.sent();
            }
            if at == Step::Ack {
                answer = self.sent();
            }
            match at {
                Step::Ringing => self.next(SERVER, response(&forwarded, "180 Ringing", "")),
                Step::Answer => self.next(SERVER, response(&forwarded, "200 OK", &SDP.replace("192.0.2.1", "203.0.113.20"))),
                Step::Ack => self.next(TRUNK, within(&answer, "ACK", number, 1)),
                Step::Bye => self.next(TRUNK, within(&answer, "BYE", number, 2)),
                Step::ByeAnswer => self.next(SERVER, response(&forwarded, "200 OK", "")),
                Step::Invite => {}
            }
        }
    }

    /// Makes a call for another region the next message.
    #[allow(dead_code, reason = "for the bench of memory")]
    pub(crate) fn next_refused(&mut self, number: u32) {
        self.next(TRUNK, invite(ELSEWHERE, number));
    }

    /// The octets that the core says it holds.
    #[allow(dead_code, reason = "for the bench of memory")]
    pub(crate) fn octets(&self) -> usize {
        self.core.octets()
    }

    fn next(&mut self, from: &str, bytes: Vec<u8>) {
        self.from = from.parse().unwrap();
        self.bytes = bytes;
        self.out.clear();
    }

    /// What was sent last.
    fn sent(&self) -> Vec<u8> {
        let mut sent = self.out.iter().filter_map(|output| match output {
            Output::Send(send) => Some(send.bytes.to_vec()),
            _ => None,
        });
        sent.next_back().unwrap()
    }

    /// Hands the message to the core. Nothing but this is measured.
    pub(crate) fn handle(&mut self) {
        let local = "203.0.113.10:5060".parse().unwrap();
        let arrival = Arrival { listener: ListenerId(0), from: self.from, local, connection: None, shown: None };
        self.core.handle(self.now, Input::Message { arrival, bytes: &self.bytes }, &mut self.out);
    }
}
