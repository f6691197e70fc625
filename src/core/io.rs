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

use crate::config::{ListenerId, NextHop, Transport};
use crate::dns::{Resolved, Server};
use crate::fence::Fenced;
use crate::sip::Fault;
use crate::tls::Shown;

pub use super::note::{Direction, DropCause, Failure, Health, Note, Outcome, Spoken, TargetStatus, Verdict};
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
    /// Nothing more is looked up or asked: what waits for a name is decided as if it resolved to nothing, what waits for a relay as if
    /// none answered.
    EndWaiting,
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
    /// Look up a name, and hand in [`Input::LookedUp`], whatever comes of it. A message waits for that; nothing has been said of it.
    LookUp(NextHop),
    /// Ask a relay, and hand in [`Input::Relayed`], whatever comes of it.
    Relay(RelayRequest),
    /// What follows is about this message, which has waited since it came.
    Resumed {
        /// How it came.
        arrival: Arrival,
        /// What came.
        bytes: Bytes,
    },
}

/// Bytes and where they go.
#[derive(Clone, Debug)]
pub struct Send {
    /// Where.
    pub to: Destination,
    /// How. For a peer: as it came.
    pub transport: Transport,
    /// Over TLS, for a fenced address: the name that the server must prove. `None`: its address.
    pub tls_name: Option<Arc<str>>,
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
