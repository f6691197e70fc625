//! A core with a configuration, a clock that only the test moves, and eyes on everything that leaves.

use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use ringfence::config::{Audit, AuditNumbers, AuditSeed, Config, ListenerId, NextHop, Transport, parse};
use ringfence::core::io::{
    Arrival, Attempt, ConnectionId, Destination, Input, Note, Outcome, Output, RelayReply, RelayRequest, RelayRequestId, Send,
    Unanswered, Verdict,
};
use ringfence::core::rules::trace::TraceRow;
use ringfence::core::{Change, Core};
use ringfence::dns::{Resolved, Server};
use ringfence::reason::Reason;

/// Two served regions, one known one, and a project for every rule.
pub(crate) const CONFIG: &str = r#"
serve  = ["eu", "uk"]
global = "sip.example.com"

[region.eu]
hostname = "eu.sip.example.com"
listen   = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060", "udp:[2001:db8:e::1]:5060"]
networks = ["10.1.0.0/16", "2001:db8:e::/48", "192.0.2.1/32"]
upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]

[region.uk]
hostname = "uk.sip.example.com"
listen   = ["udp:192.0.2.2:5060", "udp:0.0.0.0:5070"]
networks = ["10.2.0.0/16"]
upstream = "10.2.0.5"

[region.us]
hostname = "us.sip.example.com"
networks = ["10.3.0.0/16"]
upstream = "10.3.0.5"

[project.acme]
pin    = ["eu"]
reject = "twilio"
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["203.0.113.0/24"]
uri      = "sip:acme.pstn.example.net:5080;transport=udp"
outbound_networks = ["198.51.100.0/24"]
[project.acme.trunk.indian]
networks = ["198.51.101.0/24"]
reject   = "thinktel"

[project.globex]
pin = ["us"]
[project.globex.trunk.carrier]
networks = ["198.51.100.0/25"]

[project.local]
source = "in-region"
[project.local.trunk.far]
networks = ["198.51.102.0/24", "10.1.7.0/24"]
reject   = { policy = 604, capacity = 480 }

[project.watcher]
mode = "shadow"
pin  = ["us"]
[project.watcher.trunk.carrier]
networks = ["198.51.103.0/24"]

[project.warner]
media = "warn"
[project.warner.trunk.carrier]
networks = ["198.51.104.0/24"]

[project.quiet]
media = "off"
[project.quiet.trunk.carrier]
networks = ["198.51.105.0/24"]

[limits]
per_source = "50/s"

# What leaves is what a test put in. Probes have tests of their own.
[health]
interval = "0s"
"#;

/// What time it is when a test begins, in seconds since 1970.
pub(crate) const TIME: u64 = 1_780_000_000;

/// The trunk `carrier` of `acme` (and of `globex`).
pub(crate) const TRUNK: &str = "198.51.100.7:5060";
/// The first server of region eu.
pub(crate) const SERVER: &str = "10.1.0.5:5060";
/// The second server of region eu.
pub(crate) const SECOND: &str = "10.1.0.6:5060";

/// A datagram or stream message that left.
#[derive(Clone, Debug)]
pub(crate) struct Sent {
    pub(crate) at: Duration,
    pub(crate) to: SocketAddr,
    pub(crate) transport: Transport,
    pub(crate) connection: Option<ConnectionId>,
    /// Whether it goes to an address that a fence has passed, not to the peer that it answers.
    pub(crate) fenced: bool,
    pub(crate) attempt: Option<Attempt>,
    /// The name that a server must prove.
    pub(crate) tls_name: Option<String>,
    /// Names of the party there, of which one will do.
    pub(crate) party: Vec<String>,
    /// Whether it is for a next hop inside a dialog, and for a call of which trunk.
    pub(crate) in_dialog: bool,
    /// Over TLS: the connection that will do too, by where it came from.
    pub(crate) origin: Option<SocketAddr>,
    pub(crate) trunk: Option<String>,
    pub(crate) bytes: Vec<u8>,
    /// What goes in its place if no connection can be made.
    pub(crate) instead: Option<Box<Self>>,
}

impl Sent {
    pub(crate) fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// The first line.
    pub(crate) fn line(&self) -> String {
        self.text().lines().next().unwrap_or_default().to_owned()
    }

    /// The first value of a header, by its long name as written.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers(name).into_iter().next()
    }

    /// All rows of a header.
    pub(crate) fn headers(&self, name: &str) -> Vec<String> {
        let text = self.text();
        let head = text.split("\r\n\r\n").next().unwrap_or_default().to_owned();
        head.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": ").map(str::to_owned)).collect()
    }
}

/// A name with these addresses and no SRV record.
pub(crate) fn servers(name: &NextHop, addresses: &[&str]) -> Vec<Server> {
    let port = name.port.unwrap_or(5060);
    let addresses = addresses.iter().map(|ip| SocketAddr::new(ip.parse().unwrap(), port)).collect();
    vec![Server { rank: 0, weight: 0, transport: name.transport, addresses }]
}

/// Region eu's name `lk.eu.internal` resolves to these servers from now on: rank, weight, address. Any other name stays.
pub(crate) fn named(site: &mut Site, list: &[(u16, u16, &str)]) {
    let mut targets = Resolved::unknown(site.config.names.len());
    let server = |&(rank, weight, ip): &(u16, u16, &str)| {
        let addresses = vec![SocketAddr::new(ip.parse().unwrap(), 5060)];
        Server { rank, weight, transport: None, addresses }
    };
    for (id, name) in (0..).map(ringfence::config::NameId).zip(&site.config.names) {
        let is = name.host == "lk.eu.internal";
        targets.set(id, if is { list.iter().map(server).collect() } else { servers(name, &["198.51.100.9"]) });
    }
    site.input(Input::Resolved(Arc::new(targets)));
}

pub(crate) struct Site {
    pub(crate) core: Core,
    pub(crate) config: Arc<Config>,
    pub(crate) start: Instant,
    pub(crate) now: Instant,
    pub(crate) notes: Vec<Note>,
    /// Everything that ever left.
    pub(crate) log: Vec<Sent>,
    /// What names resolve to that only dialogs know; others do not exist. TTL 30 s.
    pub(crate) zone: HashMap<&'static str, Vec<Server>>,
    /// Whether questions stay unanswered.
    pub(crate) mute: bool,
    /// Whether nobody answers them, and that is known at once.
    pub(crate) dns_down: bool,
    /// Names of trunks that were to be kept resolved.
    pub(crate) kept: Vec<NextHop>,
    /// What was asked for.
    pub(crate) asked: Vec<NextHop>,
    /// What relays are asked, and what they say to it; `None`: nothing yet, [`Site::relayed`] will.
    pub(crate) relay: Option<Relay>,
    /// What they were asked.
    pub(crate) questions: Vec<RelayRequest>,
    /// Messages that have waited and were handled.
    pub(crate) resumed: usize,
    /// How each message ended since a test emptied this; what came again of it if it has waited.
    pub(crate) handled: Vec<(Option<Bytes>, Outcome)>,
    /// What whoever asked was told, in the telephone that plays it.
    told: Told,
    out: Vec<Output>,
}

/// The route tokens that the telephones of a site were given. A test writes the Record-Route of the INVITE for either side, as the one
/// that answers has it; the one that asked has it as the answer told it.
#[derive(Default)]
struct Told {
    given: HashSet<String>,
    /// By what the token says, Call-ID and the tags of both.
    signed_again: HashMap<[String; 4], String>,
}

impl Told {
    /// What a message gives to whoever gets it.
    fn hear(&mut self, text: &str) {
        for token in tokens(text) {
            if token.starts_with("06") {
                self.given.insert(token.to_owned());
            } else if text.starts_with("SIP/2.0 ") {
                self.signed_again.insert(Self::key(token, text), token.to_owned());
            }
        }
    }

    /// A request of whoever asked, with the tokens that it was told.
    fn bears(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        let text = std::str::from_utf8(bytes).ok().filter(|text| text.contains("rf=06") && !text.starts_with("SIP/2.0 "))?;
        let mut out = text.to_owned();
        for token in tokens(text).filter(|&token| self.given.contains(token)) {
            if let Some(again) = self.signed_again.get(&Self::key(token, text)) {
                out = out.replace(token, again);
            }
        }
        Some(out.into_bytes()).filter(|out| out != bytes)
    }

    fn key(token: &str, text: &str) -> [String; 4] {
        let row = |name: &str| {
            let rows = text.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            rows.map(str::to_owned).next().unwrap_or_default()
        };
        let tag = |row: String| row.split(";tag=").nth(1).unwrap_or_default().to_owned();
        [token[2..23].to_owned(), row("Call-ID"), tag(row("From")), tag(row("To"))]
    }
}

/// The route tokens in a message.
pub(crate) fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let ends = |rest: &str| rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    text.match_indices(";rf=").map(move |(at, _)| &text[at + 4..][..ends(&text[at + 4..])])
}

/// Holds each verdict to its words: whoever is refused, or let pass only because of shadow mode, is told which field failed, and every
/// place that says it has the same words. A stranger's are made where they are read.
fn says_why(note: &Note, sent: &[Sent]) {
    let Note::Verdict { verdict, reason, why, .. } = note else { return };
    let Some(why) = why.as_deref() else {
        let needs_none = *verdict == Verdict::Accept || *reason == Reason::UnknownSource;
        return assert!(needs_none, "{verdict:?} {reason} says nothing");
    };
    assert_ne!(*verdict, Verdict::Accept, "{why}");
    let harmless = |octet: u8| (b' '..=b'~').contains(&octet) && octet != b'"' && octet != b'\\';
    assert!(why.len() > 10 && why.bytes().all(harmless), "{reason}: {why:?}");
    if *verdict == Verdict::Refuse
        && let Some(answer) = sent.iter().rev().find(|sent| !sent.fenced && sent.line().starts_with("SIP/2.0 "))
        && let Some(warning) = answer.header("Warning")
    {
        assert!(warning.ends_with(&format!(" \"{why}\"")), "{warning} is not {why}");
    }
    if *verdict == Verdict::Shadow
        && let Some(row) =
            sent.iter().rev().find_map(|sent| sent.header("X-Ringfence")).filter(|row| row.contains("verdict=shadow"))
    {
        assert!(row.ends_with(&format!("; verdict=shadow; why=\"{why}\"")), "{row} is not {why}");
    }
}

/// The same configuration with an audit record: so each test shows that every verdict is told, and that telling changes nothing else.
pub(crate) fn audited(mut config: Config) -> Config {
    config.audit = Some(Audit {
        path: "audit".into(),
        sign: "audit.key".into(),
        key: AuditSeed([0; 32]),
        retain: Duration::ZERO,
        numbers: AuditNumbers::Plain,
        checkpoint: Duration::from_secs(600),
        spool: "audit.spool".into(),
    });
    config
}

/// Holds what the audit record is told to what it must have: each record says whose call it is.
fn tells_whose(note: &Note, config: &Config) {
    let call = match note {
        Note::Verdict { told: Some(told), .. } => &told.call,
        Note::CallAnswered(told) => &told.call,
        Note::CallEnded(told) => &told.call,
        Note::Verdict { told: None, .. } => return assert!(config.audit.is_none(), "{note:?}"),
        _ => return,
    };
    assert!(config.audit.is_some() && call.iter().position(|&octet| octet == 0).is_some_and(|at| at > 0), "{note:?}");
}

/// A relay: what it says to a question.
pub(crate) type Relay = Box<dyn FnMut(&RelayRequest) -> Result<RelayReply, Unanswered>>;

impl Site {
    pub(crate) fn new(text: &str) -> Self {
        Self::of(audited(parse(Path::new("test.toml"), text).unwrap_or_else(|error| panic!("{error}"))))
    }

    /// The usual one without an audit record.
    pub(crate) fn silent() -> Self {
        Self::of(parse(Path::new("test.toml"), CONFIG).unwrap_or_else(|error| panic!("{error}")))
    }

    fn of(config: Config) -> Self {
        let config = Arc::new(config);
        let mut targets = Resolved::unknown(config.names.len());
        for (id, name) in (0..).map(ringfence::config::NameId).zip(&config.names) {
            targets.set(id, servers(name, &["198.51.100.9"]));
        }
        let start = Instant::now();
        let mut core = Core::new(Arc::clone(&config), Arc::new(targets), [7; 16], start);
        core.tell_time(start, Duration::from_secs(TIME));
        let (notes, log, zone, mute, dns_down, kept, asked, questions, resumed, handled, told, out) = Default::default();
        Self {
            core,
            config,
            start,
            now: start,
            notes,
            log,
            zone,
            mute,
            dns_down,
            kept,
            asked,
            relay: None,
            questions,
            resumed,
            handled,
            told,
            out,
        }
    }

    pub(crate) fn usual() -> Self {
        Self::new(CONFIG)
    }

    /// What the shell is to send, as tests look at it.
    fn seen(&self, send: Send) -> Sent {
        let (to, connection) = match send.to {
            Destination::Peer(peer) => (peer.answers(), peer.connection()),
            Destination::Fenced(fenced) => (fenced.addr(), None),
        };
        Sent {
            at: self.now.duration_since(self.start),
            to,
            transport: send.transport,
            connection,
            fenced: matches!(send.to, Destination::Fenced(_)),
            attempt: send.attempt,
            tls_name: send.tls_name.as_deref().map(str::to_owned),
            party: send.party.iter().flat_map(|party| party.iter()).map(ToString::to_string).collect(),
            in_dialog: send.in_dialog,
            origin: send.origin.map(|origin| origin.addr()),
            trunk: send.trunk.map(|trunk| self.config.trunk(trunk).name.to_string()),
            bytes: send.bytes.to_vec(),
            instead: send.instead.map(|instead| Box::new(self.seen(*instead))),
        }
    }

    /// Another configuration takes effect; its names resolve as in [`Site::new`].
    pub(crate) fn reload(&mut self, text: &str) -> Vec<Sent> {
        let config = audited(parse(Path::new("new.toml"), text).unwrap_or_else(|error| panic!("{error}")));
        let mut targets = Resolved::unknown(config.names.len());
        for (id, name) in (0..).map(ringfence::config::NameId).zip(&config.names) {
            targets.set(id, servers(name, &["198.51.100.9"]));
        }
        self.reload_with(config, targets)
    }

    /// Another configuration takes effect, and its names resolve so.
    pub(crate) fn reload_with(&mut self, config: Config, targets: Resolved) -> Vec<Sent> {
        let config = Arc::new(config.succeeding(&self.config, &self.core.needed()).expect("few are leaving"));
        let mut change = Change::between(&self.config, Arc::clone(&config), [7; 16]);
        change.aim(Arc::new(targets));
        self.config = config;
        self.core.reconfigure(self.now, &mut change, &mut self.out);
        self.follow()
    }

    /// The listener of an address.
    pub(crate) fn listener(&self, addr: &str, transport: Transport) -> ListenerId {
        let addr: SocketAddr = addr.parse().unwrap();
        let at = self.config.listeners.iter().position(|listener| listener.addr == addr && listener.transport == transport);
        ListenerId(u16::try_from(at.unwrap_or_else(|| panic!("no listener {addr}"))).unwrap())
    }

    /// Hands in any input and returns what left. Names are looked up in the zone, relays say what they say.
    pub(crate) fn input(&mut self, input: Input<'_>) -> Vec<Sent> {
        if let Input::Message { arrival, bytes } = &input
            && let Some(bytes) = self.told.bears(bytes)
        {
            return self.exactly(*arrival, &bytes);
        }
        self.core.handle(self.now, input, &mut self.out);
        self.follow()
    }

    /// A message as it stands: a test that writes the token of the other side means it.
    pub(crate) fn exactly(&mut self, arrival: Arrival, bytes: &[u8]) -> Vec<Sent> {
        self.core.handle(self.now, Input::Message { arrival, bytes }, &mut self.out);
        self.follow()
    }

    /// The same, and the rows of what was decided.
    pub(crate) fn explain(&mut self, input: Input<'_>) -> Vec<TraceRow> {
        let rows = match &input {
            Input::Message { arrival, bytes } => {
                let bytes = self.told.bears(bytes).unwrap_or_else(|| bytes.to_vec());
                self.core.explain(self.now, Input::Message { arrival: *arrival, bytes: &bytes }, &mut self.out)
            }
            _ => self.core.explain(self.now, input, &mut self.out),
        };
        self.follow();
        rows
    }

    /// What left, and what follows from what was asked.
    fn follow(&mut self) -> Vec<Sent> {
        let (mut sent, mut next, mut held) = (Vec::new(), Vec::new(), None);
        for output in std::mem::take(&mut self.out) {
            match output {
                Output::Send(send) => {
                    sent.push(self.seen(send));
                }
                Output::Note(note) => {
                    if let Note::Arrived { outcome, .. } = note {
                        self.handled.push((held.take(), outcome));
                    }
                    says_why(&note, &sent);
                    tells_whose(&note, &self.config);
                    self.notes.push(note);
                }
                Output::Close(_) => {}
                Output::LookUp(next_hop) => {
                    self.asked.push(next_hop.clone());
                    if !self.mute {
                        let servers = self.zone.get(next_hop.host.as_str()).cloned().unwrap_or_default();
                        next.push(Input::LookedUp { next_hop, servers, hold: Duration::from_secs(30), failed: self.dns_down });
                    }
                }
                Output::Keep(next_hop) => self.kept.push(next_hop),
                Output::Relay(request) => {
                    let reply = self.relay.as_mut().map(|relay| relay(&request));
                    next.extend(reply.map(|reply| Input::Relayed { id: request.id, reply }));
                    self.questions.push(request);
                }
                Output::Resumed { bytes, .. } => {
                    self.resumed += 1;
                    assert!(held.replace(bytes).is_none(), "what follows is about this message, to its end");
                }
            }
        }
        assert!(held.is_none(), "a message that goes on ends");
        for sent in &sent {
            self.told.hear(&sent.text());
        }
        self.log.extend(sent.iter().cloned());
        for input in next {
            sent.extend(self.input(input));
        }
        sent
    }

    /// A relay says something: what waits for it goes on, and what waits behind that.
    pub(crate) fn relayed(&mut self, id: RelayRequestId, reply: Result<RelayReply, Unanswered>) -> Vec<Sent> {
        self.input(Input::Relayed { id, reply })
    }

    /// A datagram to the usual listener of region eu.
    pub(crate) fn from(&mut self, source: &str, text: &str) -> Vec<Sent> {
        self.to("192.0.2.1:5060", source, text.as_bytes())
    }

    /// A datagram to a listener.
    pub(crate) fn to(&mut self, listener: &str, source: &str, bytes: &[u8]) -> Vec<Sent> {
        let arrival = self.arrival(listener, source);
        self.input(Input::Message { arrival, bytes })
    }

    /// How a datagram comes to a listener.
    pub(crate) fn arrival(&self, listener: &str, source: &str) -> Arrival {
        Arrival {
            listener: self.listener(listener, Transport::Udp),
            from: source.parse().unwrap(),
            local: listener.parse().unwrap(),
            connection: None,
            shown: None,
        }
    }

    /// A message on a stream to region eu.
    pub(crate) fn stream(&mut self, source: &str, connection: u64, text: &str) -> Vec<Sent> {
        let arrival = Arrival {
            listener: self.listener("192.0.2.1:5060", Transport::Tcp),
            from: source.parse().unwrap(),
            local: "192.0.2.1:5060".parse().unwrap(),
            connection: Some(ConnectionId(connection)),
            shown: None,
        };
        self.input(Input::Message { arrival, bytes: text.as_bytes() })
    }

    /// Lets time pass, timer by timer, and returns what left meanwhile.
    pub(crate) fn pass(&mut self, time: Duration) -> Vec<Sent> {
        let end = self.now + time;
        let mut sent = Vec::new();
        while let Some(deadline) = self.core.deadline().filter(|&deadline| deadline <= end) {
            self.now = self.now.max(deadline);
            sent.extend(self.input(Input::Timeout));
        }
        self.now = end;
        sent
    }

    /// What became of the last message.
    pub(crate) fn outcome(&self) -> Outcome {
        let last = self.notes.iter().rev().find_map(|note| match note {
            Note::Arrived { outcome, .. } => Some(*outcome),
            _ => None,
        });
        last.expect("a message has arrived")
    }
}

/// An INVITE to a host, with an SDP that offers these media.
pub(crate) fn invite(host: &str, media: &str, id: &str) -> String {
    let body = sdp(media);
    format!(
        "INVITE sip:+4930123@{host} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK{id}\r\n\
         From: \"Trunk\" <sip:+49891@trunk.example.net>;tag=f{id}\r\nTo: <sip:+4930123@{host}>\r\nCall-ID: {id}@trunk\r\n\
         CSeq: 1 INVITE\r\nContact: <sip:trunk@198.51.100.7:5060>\r\nMax-Forwards: 70\r\nContent-Type: application/sdp\r\n\
         Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

pub(crate) fn sdp(media: &str) -> String {
    format!("v=0\r\no=- 1 1 IN IP4 192.0.2.99\r\ns=-\r\nc=IN IP4 {media}\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
}

/// A request without body, as the trunk sends it.
pub(crate) fn request(method: &str, uri: &str, id: &str) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bK{id}{method}\r\n\
         From: <sip:+49891@trunk.example.net>;tag=f{id}\r\nTo: <{uri}>\r\nCall-ID: {id}@trunk\r\nCSeq: 1 {method}\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The response of a server to a request that it received.
pub(crate) fn respond(request: &Sent, code: u16, tag: &str, rows: &str) -> String {
    let text = request.text();
    let head = text.split("\r\n\r\n").next().unwrap_or_default();
    let mut out = format!("SIP/2.0 {code} Phrase\r\n");
    for line in head.lines() {
        let name = line.split(':').next().unwrap_or_default();
        if matches!(name, "Via" | "Record-Route" | "From" | "Call-ID" | "CSeq") {
            out.push_str(line);
            out.push_str("\r\n");
        } else if name == "To" {
            let tag = if line.contains(";tag=") || code == 100 { String::new() } else { format!(";tag={tag}") };
            out.push_str(&[line, &tag, "\r\n"].concat());
        }
    }
    out + rows + "Content-Length: 0\r\n\r\n"
}

/// A message without a body, with an SDP that names these media.
pub(crate) fn with_sdp(text: &str, media: &str) -> String {
    let body = sdp(media);
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len());
    text.replace("Content-Length: 0", &length) + &body
}
