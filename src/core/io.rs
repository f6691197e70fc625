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
use std::time::Duration;

use bytes::Bytes;

use super::Change;
use crate::config::{ListenerId, NextHop, Transport};
use crate::dns::{Resolved, Server};
use crate::fence::Fenced;
use crate::reason::Reason;
use crate::sip::Fault;
use crate::tls::Shown;

pub use super::note::{Direction, Failure, Health, Note, Spoken, TargetStatus, Verdict};
pub use super::relay_request::{
    CallKey, RelayBody, RelayOutcome, RelayReply, RelayRequest, RelayRequestId, RelayVerb, Unanswered,
};

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
    Resolved(Arc<Resolved>),
    /// What was asked for by [`Output::LookUp`].
    LookedUp {
        /// What was asked for.
        next_hop: NextHop,
        /// Its servers, sorted by rank; empty: it has none, or that could not be found out in time.
        servers: Vec<Server>,
        /// How long that holds: at least a second, at most a minute, without servers at most five seconds.
        hold: Duration,
    },
    /// What came of an [`Output::Relay`]. If a message waits for it, that comes next, and then whatever waits behind it, in order.
    Relayed {
        /// Which question.
        exchange: RelayRequestId,
        /// What the relay said, or why it said nothing.
        reply: Result<RelayReply, Unanswered>,
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
    /// The next hop of the message at hand is a name that is not known: keep the message, ask, hand in [`Input::LookedUp`], then the
    /// same message again. Until then nothing has become of it, and nothing else is said of it.
    LookUp(NextHop),
    /// Ask a relay, and hand in [`Input::Relayed`]. If the exchange names a call, the message at hand waits for it: keep it, and hand
    /// it in again after that. Until then nothing has become of it, and nothing else is said of it.
    Relay(RelayRequest),
    /// An earlier message of this call waits for a relay: keep the message at hand behind it. Until it is handed in again nothing has
    /// become of it. The core sees to it that no more wait than there is room for.
    Behind(CallKey),
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
    pub(crate) fn of(arrival: &Arrival) -> Self {
        Self { listener: arrival.listener, addr: arrival.from, local: arrival.local, connection: arrival.connection }
    }

    /// The same peer, whose listener has another number now.
    pub(crate) fn at(self, listener: ListenerId) -> Self {
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
    Dropped(DropCause),
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
pub enum DropCause {
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

impl DropCause {
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
