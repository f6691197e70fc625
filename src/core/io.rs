//! The whole contract between the core and its shell, on one page: what may happen, and what may follow.
//!
//! The shell hands in an [`Input`] with the time, then carries out every [`Output`] in order before the next input. A transport
//! takes a [`Destination`]: an address that the fence passed, or the peer that a message came from. A [`Peer`] cannot be made
//! from an address either; only the core makes one, of the arrival that it was handed:
//!
//! ```compile_fail,E0451
//! use ringfence::core::io::Peer;
//! let addr = "192.0.2.1:5060".parse().unwrap();
//! let outside = Peer { listener: ringfence::config::ListenerId(0), addr, local: addr, connection: None };
//! ```

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use super::Change;
use crate::config::{ListenerId, NextHop, ProjectId, RegionId, Transport, TrunkId};
use crate::dns::{Server, Targets};
use crate::fence::Fenced;
use crate::reason::Reason;
use crate::sip::{Fault, Method};
use crate::tls::Shown;

/// A stream connection, as numbered by the shell. Never reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId(pub u64);

/// How a message arrived.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The listener that it belongs to. For a connection that we opened: the listener it was opened for.
    pub listener: ListenerId,
    /// The packet's or connection's source.
    pub from: SocketAddr,
    /// The address that was called; never a wildcard.
    pub local: SocketAddr,
    /// The connection, for streams.
    pub connection: Option<ConnectionId>,
    /// What the other side asked for and proved as the connection began, if it is a TLS connection that we accepted.
    pub shown: Option<Shown>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram, or one framed message of a stream.
    Message {
        /// How it came.
        arrival: Arrival,
        /// What came.
        bytes: &'a [u8],
    },
    /// A stream that cannot be framed any further. Answered if it can be, then closed.
    Broken {
        /// How it came.
        arrival: Arrival,
        /// What came of the message.
        bytes: &'a [u8],
        /// What is wrong with it.
        fault: Fault,
    },
    /// What was sent for this attempt did not get there: refused connection, ICMP, full queue, time-out of the connect.
    Failed(Attempt),
    /// The deadline of `Core::deadline` has come.
    Timeout,
    /// Names resolve otherwise from now on.
    Targets(Arc<Targets>),
    /// What was asked for by [`Output::Ask`].
    Answer {
        /// What was asked for.
        next_hop: NextHop,
        /// Its servers, sorted by rank; empty: it has none, or that could not be found out in time.
        servers: Vec<Server>,
        /// How long that holds: at least a second, at most a minute, without servers at most five seconds.
        hold: Duration,
    },
    /// What came of an [`Output::Anchor`]. If a message waits for it, that comes next, and then whatever waits behind it, in order.
    Anchored {
        /// Which question.
        exchange: Exchange,
        /// What the relay said, or why it said nothing.
        reply: Result<Reply, Unanswered>,
    },
    /// Another configuration holds from now on, and with it what its names resolve to. Holds afterwards what was in force before.
    Config(&'a mut Change),
    /// Refuse new calls with 161 from now on.
    Drain {
        /// Whether another process takes the sockets over: requests in datagrams that would open a transaction are left to it, as if
        /// they had not been read yet, for their senders repeat them. After `timers.try_for` they are refused all the same: a
        /// carrier takes longer silence for an outage.
        successor: bool,
    },
}

/// Names one attempt at one target, so that the shell can report its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Attempt(pub(crate) u64);

/// Something for the shell to do.
#[derive(Clone, Debug)]
pub enum Output {
    /// Send these bytes.
    Send(Send),
    /// Write what is queued and close.
    Close(ConnectionId),
    /// Count this, and log it.
    Note(Note),
    /// The next hop of the message at hand is a name that is not known: keep the message, ask, hand in [`Input::Answer`], then the
    /// same message again. Until then nothing has become of it, and nothing else is said of it.
    Ask(NextHop),
    /// Ask a relay, and hand in [`Input::Anchored`]. If the exchange names a call, the message at hand waits for it: keep it, and hand
    /// it in again after that. Until then nothing has become of it, and nothing else is said of it.
    Anchor(Anchor),
    /// An earlier message of this call waits for a relay: keep the message at hand behind it. Until it is handed in again nothing has
    /// become of it. The core sees to it that no more wait than there is room for.
    Behind(Call),
}

/// A call, as far as messages may not overtake each other: all that has one Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Call(pub(crate) u128);

/// A question to a media relay (rtpengine's ng protocol).
#[derive(Clone, Debug)]
pub struct Anchor {
    /// Where it goes: the fence of the relay's region has passed it.
    pub relay: Fenced,
    /// What its answer is known by.
    pub exchange: Exchange,
    /// What is asked.
    pub command: Command,
}

/// Names a question to a relay. The same message asks the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Exchange {
    /// The call whose message waits for the answer; `None`: none does.
    pub call: Option<Call>,
    /// Which relay.
    pub relay: SocketAddr,
    /// What is asked.
    pub ask: Ask,
    /// The question's number. Nobody can guess it.
    pub cookie: u128,
}

/// What a relay can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Ask {
    /// To take an offer.
    Offer,
    /// To take the answer to an offer.
    Answer,
    /// To forget a call.
    Delete,
    /// Whether it is there.
    Ping,
}

impl Ask {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Offer, Self::Answer, Self::Delete, Self::Ping];

    /// The command's name in the protocol, and the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
            Self::Delete => "delete",
            Self::Ping => "ping",
        }
    }
}

/// A question's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Command {
    /// An offer or an answer.
    Session {
        /// The relay's name for the call.
        call_id: Vec<u8>,
        /// The tag of whoever made the offer.
        from_tag: Vec<u8>,
        /// The tag of the other side, if it has one yet.
        to_tag: Option<Vec<u8>>,
        /// The session description.
        sdp: Vec<u8>,
    },
    /// The end of a call.
    Delete {
        /// The relay's name for the call.
        call_id: Vec<u8>,
    },
    /// Nothing but the question.
    Ping,
}

/// What a relay said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// That it was done; with the session description to be sent on, if it was asked for one.
    Done(Option<Bytes>),
    /// That it was not done.
    Refused,
}

/// Why a relay has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing that can be read came back in time.
    Silent,
    /// ICMP or the transport said that nothing gets there.
    Unreachable,
    /// It was not asked: the daemon ends.
    Unasked,
}

/// How a question to a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Well.
    Ok,
    /// The relay refused.
    Error,
    /// No answer.
    Timeout,
    /// It answered with an address outside the region, or with what cannot be read.
    Outside,
}

impl Asked {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Timeout, Self::Outside];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Outside => "outside",
        }
    }
}

/// Bytes and where they go.
#[derive(Clone, Debug)]
pub struct Send {
    /// Where.
    pub to: Destination,
    /// How. For a peer: as it came.
    pub transport: Transport,
    /// Over TLS, for a fenced address: the name that the server must prove. `None`: its address.
    pub server: Option<Arc<str>>,
    /// The listener whose socket sends a datagram, and whose region a connection is opened for.
    pub listener: ListenerId,
    /// The source address to send a datagram from, where the socket is bound to a wildcard address.
    pub local: Option<std::net::IpAddr>,
    /// What.
    pub bytes: Bytes,
    /// Whom to tell by [`Input::Failed`] if it does not get there.
    pub attempt: Option<Attempt>,
}

/// All that a transport takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// Whoever sent the message that is answered.
    Peer(Peer),
    /// An address that the fence passed.
    Fenced(Fenced),
}

/// The source of a message that arrived; answers go there and nowhere else (not to what Via names).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    listener: ListenerId,
    addr: SocketAddr,
    local: SocketAddr,
    connection: Option<ConnectionId>,
}

impl Peer {
    /// The peer of an arrival. Private to the core: `super` is where inputs are taken in.
    pub(super) fn of(arrival: &Arrival) -> Self {
        Self { listener: arrival.listener, addr: arrival.from, local: arrival.local, connection: arrival.connection }
    }

    /// The same peer, whose listener has another number now.
    pub(super) fn at(self, listener: ListenerId) -> Self {
        Self { listener, ..self }
    }

    /// Its address, for the system call that sends to it, and for `received`.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address that it called: answers leave from there.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The listener that it called.
    pub fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Its connection, for streams. If that is gone the answer is dropped: nobody is dialled back (standards TR-08).
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }
}

/// What became of one message that arrived. Exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A request went on to a next hop.
    Forwarded,
    /// A request was answered here, without refusing a call: OPTIONS, CANCEL, 405, 483 …
    Answered(u16),
    /// A message was refused for this reason: it went no further, and whoever can be told was told.
    Refused(Reason),
    /// A response went back to where its request came from.
    Relayed,
    /// Taken in without a word: a retransmission, an ACK for our own answer, a 100, a response that ends a CANCEL.
    Absorbed,
    /// Understood, but nobody waits for it: a stray response or ACK.
    Stray,
    /// Not understood. Requests are answered where they can be.
    Malformed(Fault),
    /// Thrown away without a word.
    Dropped(Drop),
}

impl Outcome {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered(_) => "answered",
            Self::Refused(_) => "refused",
            Self::Relayed => "relayed",
            Self::Absorbed => "absorbed",
            Self::Stray => "stray",
            Self::Malformed(_) => "malformed",
            Self::Dropped(_) => "dropped",
        }
    }
}

/// Why a message was thrown away without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drop {
    /// Its source sends too much (`per_source`).
    Flood,
    /// An ACK whose next hop is outside or unknown: an ACK cannot be refused.
    AckTarget,
    /// A keep-alive or something shorter than any message.
    Empty,
    /// A provisional response whose media is outside, cannot be read or cannot be led through a relay, and that nobody waits for.
    Media,
    /// Too many messages wait for relays: whoever sent it will send it again.
    Behind,
    /// A request left to the process that takes the sockets over: it gets the repetition.
    Successor,
}

impl Drop {
    /// Every cause, for metric tables.
    pub const ALL: [Self; 6] = [Self::Flood, Self::AckTarget, Self::Empty, Self::Media, Self::Behind, Self::Successor];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::AckTarget => "ack-target",
            Self::Empty => "empty",
            Self::Media => "media",
            Self::Behind => "behind",
            Self::Successor => "successor",
        }
    }
}

/// Something to be counted and logged. Ids are of the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// A message arrived and ended so. The last note of each message.
    Arrived {
        /// The listener's region.
        region: RegionId,
        /// How it came.
        transport: Transport,
        /// The method of a request that could be read that far.
        method: Option<Method>,
        /// The code of a response that could be read that far.
        code: Option<u16>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A verdict on a request.
    Verdict {
        /// The region.
        region: RegionId,
        /// The project, where one is known.
        project: Option<ProjectId>,
        /// The trunk, where one is known.
        trunk: Option<TrunkId>,
        /// What was decided.
        verdict: Verdict,
        /// Why.
        reason: Reason,
    },
    /// A call came again after a final refusal: the carrier retries.
    Repeat {
        /// The region.
        region: RegionId,
        /// The project, where one is known.
        project: Option<ProjectId>,
        /// The trunk, where one is known.
        trunk: Option<TrunkId>,
    },
    /// A response left: relayed or made here.
    Responded {
        /// The region.
        region: RegionId,
        /// Whether it came from a next hop (otherwise it was made here).
        relayed: bool,
        /// Its code.
        code: u16,
    },
    /// The first response above 100 to an INVITE came so long after it.
    Setup {
        /// The region.
        region: RegionId,
        /// INVITE to that response.
        after: Duration,
    },
    /// A server of the region gave its first response to a request, so long after it was sent there.
    Answered {
        /// The region.
        region: RegionId,
        /// The first sending to that response.
        after: Duration,
    },
    /// A target's health has changed.
    Health {
        /// The region whose server it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// How it is reached.
        transport: Transport,
        /// Whether calls go there from now on.
        state: Health,
        /// What failed, if it went down.
        failure: Option<Failure>,
    },
    /// A message was judged by the media that it speaks of.
    Media {
        /// The region that was called.
        region: RegionId,
        /// To which side it was to go.
        direction: Direction,
        /// What it says.
        spoken: Spoken,
    },
    /// A relay was asked something.
    Asked {
        /// The region whose relay it is.
        region: RegionId,
        /// What.
        ask: Ask,
        /// How that ended.
        result: Asked,
    },
    /// A relay's health has changed.
    Relay {
        /// The region whose relay it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// What failed, if it went down; `None`: it is up.
        failure: Option<Failure>,
    },
    /// The first offer of a new call was led through a relay.
    Anchored {
        /// The region that was called.
        region: RegionId,
    },
    /// A transaction was opened or released.
    Transactions {
        /// The region.
        region: RegionId,
        /// Whether it is an INVITE's.
        invite: bool,
        /// Opened or released.
        opened: bool,
    },
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Accept,
    /// It may not.
    Refuse,
    /// It may not, but the project is in shadow mode (or `media = "warn"`): it passed.
    Shadow,
}

impl Verdict {
    /// Every verdict, for metric tables.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Refuse, Self::Shadow];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Refuse => "refuse",
            Self::Shadow => "shadow",
        }
    }
}

/// To which side of a call a message was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the region's servers.
    In,
    /// To the trunk.
    Out,
}

impl Direction {
    /// Both, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What a message says of where media is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Nothing.
    None,
    /// All of it inside.
    Inside,
    /// Some of it outside.
    Outside,
    /// Something that cannot be checked.
    Unreadable,
}

impl Spoken {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::None, Self::Inside, Self::Outside, Self::Unreadable];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Inside => "inside",
            Self::Outside => "outside",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A target or a relay as it stands: what `/status`, `ringfence_upstream_up` and `ringfence_relay_up` show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// The region whose server it is.
    pub region: RegionId,
    /// Its address. Passed by that region's fence when it was learnt.
    pub addr: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// Whether calls go there.
    pub state: Health,
    /// Since when.
    pub since: Instant,
    /// When anything was heard of it last.
    pub heard: Option<Instant>,
    /// What failed last, if anything did.
    pub failure: Option<Failure>,
    /// Whether it is a media relay: no SIP goes there.
    pub relay: bool,
}

/// Whether calls go to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    Up,
    /// It was down and gets its share of calls little by little.
    Rising,
    /// No call goes there while another target is up.
    Down,
}

impl Health {
    /// As in `/status` and the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Rising => "rising",
            Self::Down => "down",
        }
    }
}

/// How a target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came back in time.
    Silent,
    /// The transport or ICMP said that nothing gets there.
    Unreachable,
    /// It answered 503, or 408 to OPTIONS.
    Unavailable,
}

impl Failure {
    /// As in `/status` and the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
        }
    }
}
