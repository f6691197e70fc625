//! One decision with all that is told of it: in the log, to whoever watches, and on the page. One place makes the words for all of them.
//!
//! It is made only if somebody reads it. Text from the wire is escaped and cut, and numbers are masked, before it leaves here.

use std::borrow::Cow;
use std::fmt::Display;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::SystemTime;

use serde_json::{Map, Value};

use super::log::{Escaped, Redacted};
use super::seen::Seen;
use super::timestamp;
use crate::audit::record::REALTIME;
use crate::config::{Config, Numbers, ProjectId, RegionId, Transport, TrunkId};
use crate::core::io::{Destination, Note, Output, Send, Verdict};
use crate::reason::Reason;
use crate::sip::address::Address;
use crate::sip::{Message, Name, Start};

/// What reverse proxies ask the gate by, in the place of a transport of SIP.
pub(super) const GATE_TRANSPORT: &str = "http";
/// Most octets of the words that say why.
const WORDS: usize = 400;

/// What a verdict is about, as the core notes it.
#[derive(Clone, Debug)]
pub(super) struct Ruled {
    pub(super) region: RegionId,
    pub(super) project: Option<ProjectId>,
    pub(super) trunk: Option<TrunkId>,
    pub(super) verdict: Verdict,
    pub(super) reason: Reason,
    pub(super) unreachable: Option<SocketAddr>,
    pub(super) why: Option<Arc<str>>,
}

impl Ruled {
    /// The verdict in an output, if it is one.
    pub(super) fn of(output: &Output) -> Option<Self> {
        let Output::Note(Note::Verdict { region, project, trunk, verdict, reason, ref why, unreachable, .. }) = *output else {
            return None;
        };
        Some(Self { region, project, trunk, verdict, reason, unreachable, why: why.clone() })
    }
}

impl Ruled {
    /// Who has a share of what is told. `None`: it is a stranger's, whose reason is nobody else's.
    pub(super) fn sharer(&self) -> Option<Sharer> {
        (self.reason != Reason::UnknownSource).then_some(match (self.trunk, self.project) {
            (Some(trunk), _) => Sharer::Trunk(trunk),
            (None, Some(project)) => Sharer::Project(project),
            (None, None) => Sharer::Nobody,
        })
    }
}

/// Who has a share of what is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Sharer {
    Trunk(TrunkId),
    /// Of which no trunk is known.
    Project(ProjectId),
    /// All of which not even that is known.
    Nobody,
}

/// What is known of a decision without reading its message: little work, and little to hand to another thread.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    /// The address that the message came from, or that asked.
    pub(super) source: Option<SocketAddr>,
    /// The transport of its listener. `None`: a reverse proxy asked the gate.
    pub(super) transport: Option<Transport>,
    /// The next hop that it was sent to.
    pub(super) sent_to: Option<(Transport, SocketAddr)>,
    /// The status code of the answer.
    pub(super) code: Option<u16>,
}

impl Facts {
    /// The facts of the decision that stands at this place of a message's outputs, and the message that names the call.
    pub(super) fn of<'a>(
        config: &Config,
        out: &'a [Output],
        at: usize,
        ruled: &Ruled,
        seen: Option<&Seen<'a>>,
    ) -> (Self, &'a [u8]) {
        let sent = Sent::of(out, at, ruled.verdict, ruled.reason);
        // A timer has no message at hand: what was sent for it names the call too.
        let bytes = seen.map(|seen| seen.bytes).or_else(|| sent.any().map(|send| &*send.bytes)).unwrap_or_default();
        let arrival = seen.filter(|seen| !is_response(seen.bytes)).map(|seen| seen.arrival);
        let listener = arrival.map(|arrival| arrival.listener).or_else(|| sent.any().map(|send| send.listener));
        let facts = Self {
            source: arrival.map(|arrival| arrival.from).or_else(|| sent.asker()),
            transport: Some(listener.map_or(Transport::Udp, |id| config.listener(id).transport)),
            sent_to: sent.target(),
            code: sent.code(),
        };
        (facts, bytes)
    }
}

/// Whether a message begins as a response does, behind line ends that may stand before it.
fn is_response(bytes: &[u8]) -> bool {
    bytes.trim_ascii_start().get(..4).is_some_and(|version| version.eq_ignore_ascii_case(b"SIP/"))
}

/// A decision, ready to be told.
pub(super) struct Decided<'a> {
    pub(super) ruled: &'a Ruled,
    pub(super) region: &'a str,
    pub(super) project: Option<&'a str>,
    pub(super) trunk: Option<&'a str>,
    /// The address that the message came from, or that asked.
    pub(super) source: Option<SocketAddr>,
    /// The transport of its listener.
    pub(super) transport: &'static str,
    pub(super) said: Said<'a>,
    /// The next hop that it was sent to: `udp:10.20.0.5:5060`.
    pub(super) sent_to: Option<String>,
    /// The status code of the answer.
    pub(super) code: Option<u16>,
    /// The failing field and its value.
    pub(super) why: Option<Cow<'a, str>>,
    pub(super) numbers: Numbers,
}

impl<'a> Decided<'a> {
    /// A decision with what its message says.
    pub(super) fn of(config: &'a Config, ruled: &'a Ruled, facts: Facts, bytes: &'a [u8]) -> Self {
        let Facts { source, transport, sent_to, code } = facts;
        Self {
            ruled,
            region: &config.region(ruled.region).name,
            project: ruled.project.map(|id| &*config.project(id).name),
            trunk: ruled.trunk.map(|id| &*config.trunk(id).name),
            source,
            transport: transport.map_or(GATE_TRANSPORT, Transport::token),
            said: match transport {
                Some(_) => Message::datagram(bytes).ok().map(|message| Said::by(&message)).unwrap_or_default(),
                None => Said { method: Some(REALTIME.as_bytes()), ..Said::default() },
            },
            sent_to: sent_to.map(|(transport, addr)| format!("{}:{addr}", transport.token())),
            code,
            why: why(ruled, source, &config.region(ruled.region).name),
            numbers: config.log.numbers,
        }
    }

    /// The same as an object of JSON: the keys of its line in the log, in their order, without those that it has no value for. `left_out`
    /// is for the reader's end to add.
    pub(super) fn object(&self, at: SystemTime) -> Map<String, Value> {
        let Self { ruled, said, .. } = self;
        let escaped = |text: Option<&[u8]>| text.map(|text| Escaped(text).to_string().into());
        let uri = |text: Option<&[u8]>| text.map(|text| Redacted(text, self.numbers).to_string().into());
        let plain = |text: Option<&str>| text.map(Value::from);
        let all: [(&str, Option<Value>); 17] = [
            ("timestamp", Some(timestamp::exactly(at).into())),
            ("verdict", Some(ruled.verdict.label().into())),
            ("id", Some(ruled.reason.id().into())),
            ("reason", Some(ruled.reason.token().into())),
            ("region", Some(self.region.into())),
            ("project", plain(self.project)),
            ("trunk", plain(self.trunk)),
            ("source", self.source.map(|source| source.to_string().into())),
            ("transport", Some(self.transport.into())),
            ("method", escaped(said.method)),
            ("call_id", escaped(said.call_id)),
            ("from", uri(said.from)),
            ("to", uri(said.to)),
            ("uri", uri(said.uri)),
            ("sent_to", plain(self.sent_to.as_deref())),
            ("code", self.code.map(Value::from)),
            ("why", plain(self.why.as_deref())),
        ];
        all.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
    }

    /// A URI of its message, for a log line.
    pub(super) fn shown(&self, uri: Option<&'a [u8]>) -> Option<impl Display + 'a> {
        let numbers = self.numbers;
        uri.map(|uri| Redacted(uri, numbers))
    }
}

/// Why, in words: those of the refusal's `Warning`, if it has one.
fn why<'a>(ruled: &'a Ruled, source: Option<SocketAddr>, region: &str) -> Option<Cow<'a, str>> {
    let words = ruled.why.as_deref().map(|words| words.get(..WORDS).unwrap_or(words));
    if let Some(to) = ruled.unreachable {
        let what = "no request of a server can reach the caller: its Contact or Record-Route leads to";
        let before = words.map_or_else(String::new, |words| format!("{words}; "));
        return Some(format!("{before}{what} {to}, which is outside").into());
    }
    if let Some(words) = words {
        return Some(words.into());
    }
    let stranger = source.filter(|_| ruled.reason == Reason::UnknownSource)?;
    Some(format!("source {} is no trunk and no server of region {region}", stranger.ip()).into())
}

/// What was sent because of a verdict.
struct Sent<'a> {
    /// The answer to the asker.
    answer: Option<&'a Send>,
    /// The request to the next hop.
    forward: Option<&'a Send>,
}

impl<'a> Sent<'a> {
    /// Finds what belongs to a verdict. The core first says what it sends and then why. Only the note that a call moves to
    /// another region comes before the sending.
    fn of(out: &'a [Output], at: usize, verdict: Verdict, reason: Reason) -> Self {
        let (before, after) = out.split_at_checked(at).unwrap_or_default();
        let send = |output: &'a Output| if let Output::Send(send) = output { Some(send) } else { None };
        let forwarded = |send: &&Send| matches!(send.to, Destination::Fenced(_));
        let mut sent = before.iter().rev().filter_map(send);
        match (verdict, reason) {
            (Verdict::Refuse, _) => Self { answer: sent.find(|send| !forwarded(send)), forward: None },
            (_, Reason::Failover) => Self { answer: None, forward: after.iter().filter_map(send).find(forwarded) },
            _ => Self { answer: None, forward: sent.find(forwarded) },
        }
    }

    fn any(&self) -> Option<&'a Send> {
        self.answer.or(self.forward)
    }

    /// The asker's address, as it sent from.
    fn asker(&self) -> Option<SocketAddr> {
        match self.answer?.to {
            Destination::Peer(peer) => Some(peer.addr()),
            Destination::Fenced(_) => None,
        }
    }

    /// The next hop.
    fn target(&self) -> Option<(Transport, SocketAddr)> {
        let send = self.forward?;
        let Destination::Fenced(to) = send.to else { return None };
        Some((send.transport, to.addr()))
    }

    /// The status code of the answer, which was written here.
    fn code(&self) -> Option<u16> {
        let digits = self.answer?.bytes.strip_prefix(b"SIP/2.0 ")?.get(..3)?;
        std::str::from_utf8(digits).ok()?.parse().ok()
    }
}

/// The parts of a message that name its call.
#[derive(Clone, Copy, Default)]
pub(super) struct Said<'a> {
    pub(super) method: Option<&'a [u8]>,
    pub(super) uri: Option<&'a [u8]>,
    pub(super) call_id: Option<&'a [u8]>,
    pub(super) from: Option<&'a [u8]>,
    pub(super) to: Option<&'a [u8]>,
}

impl<'a> Said<'a> {
    fn by(message: &Message<'a>) -> Self {
        let value = |name| message.first(name).map(|header| message.value(header));
        let uri_of = |name| value(name).and_then(Address::parse).map(|address| address.uri);
        let (method, uri) = match message.start() {
            Start::Request { token, uri, .. } => (Some(message.slice(token)), Some(message.slice(uri))),
            Start::Response { .. } => (value(Name::CSeq).and_then(|cseq| cseq.rsplit(u8::is_ascii_whitespace).next()), None),
        };
        Self { method, uri, call_id: value(Name::CallId), from: uri_of(Name::From), to: uri_of(Name::To) }
    }
}
