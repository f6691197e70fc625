//! The whole contract between the core and its shell, on one page: what the shell may hand in, and what the core may ask for.
//!
//! The shell hands in an [`Input`] with the time, then carries out every [`Output`] in order before the next input. A transport
//! takes a [`Destination`]: an address that the fence passed, or the peer that a message came from. A [`Peer`] cannot be made
//! from an address either: only the core makes one, from the arrival of a message:
//!
//! ```compile_fail,E0451
//! use ringfence::core::io::Peer;
//! let addr = "192.0.2.1:5060".parse().unwrap();
//! let outside = Peer { listener: ringfence::config::ListenerId(0), addr, port: 5060, local: addr, connection: None };
//! ```

use std::net::{SocketAddr, SocketAddrV4};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::config::{ListenerId, NextHop, Transport, TrunkId};
use crate::dns::{Resolved, Server};
use crate::fence::Fenced;
use crate::sip::Fault;
use crate::sip::via::Via;
use crate::tls::{PartyNames, Shown};

pub use super::audit_note::{AnswerTold, EndTold, EndedBy, MediaNamed, PartyTold, RequestTold, ToldText};
pub use super::note::{
    Direction, DropCause, Failure, GatewayStatus, Health, Note, Outcome, Share, Spoken, TargetStatus, Verdict,
};
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
    /// For a TLS connection that we accepted: the region that the client asked for (SNI), and the names that it proved.
    pub shown: Option<Shown>,
}

/// Something that happened.
#[derive(Debug)]
pub enum Input<'a> {
    /// A datagram, or one framed message of a stream.
    Message {
        /// Where the message came from, and to which listener.
        arrival: Arrival,
        /// The message, whole.
        bytes: &'a [u8],
    },
    /// A stream on which the next message cannot be found any more. The message is answered if possible, then the stream is
    /// closed.
    Broken {
        /// Where the message came from, and to which listener.
        arrival: Arrival,
        /// The part of the message that arrived.
        bytes: &'a [u8],
        /// The syntax error.
        fault: Fault,
    },
    /// An attempt did not reach its target: connection refused, ICMP error, full queue, or time-out of the connect.
    Failed(Attempt),
    /// An attempt was not sent, for a reason that says nothing about its target: a trunk's share of connections is used up, a
    /// connection made room for another one, or the peer did not prove to be the party that is meant.
    Unsent(Attempt),
    /// The connection that an attempt went by has ended, and so has the fresh one on which it was repeated. Nothing came back.
    /// This message or another may have broken them, so only a ping can tell whether the target is there.
    Lost(Attempt),
    /// The deadline of `Core::deadline` has come.
    Timeout,
    /// The names of the configuration have new servers or addresses.
    Resolved(Arc<Resolved>),
    /// The answer to an [`Output::LookUp`].
    LookedUp {
        /// The next hop of the question.
        next_hop: NextHop,
        /// Its servers, sorted by rank. Empty: it has none, or none was found in time.
        servers: Vec<Server>,
        /// How long the answer holds: 1 s to 60 s, or 5 s at most if there are no servers.
        hold: Duration,
        /// Whether a question that matters was not answered. Then it says nothing that there are no servers, and what was known before
        /// is better than what was found without it.
        failed: bool,
    },
    /// The answer to an [`Output::LookUp`] takes long; it is still to come. What was known of the name before serves meanwhile, if it may.
    LookUpTakesLong {
        /// The next hop of the question.
        next_hop: NextHop,
    },
    /// The answer to an [`Output::Relay`]. If a message waits for it, that message goes on, and then those behind it, in order.
    Relayed {
        /// The number of the question.
        id: RelayRequestId,
        /// What the relay said, or why no answer came.
        reply: Result<RelayReply, Unanswered>,
    },
    /// Ends all waiting. A message that waits for a name is decided as if no name server answered. One that waits for a relay is
    /// decided as if no relay answered.
    EndWaiting,
    /// Refuse new calls with 161 from now on.
    Drain {
        /// Whether another process takes over the sockets. If so, a request in a datagram that would open a transaction is left
        /// to it, as if not read yet: its sender retransmits it. After `timers.try_for` such a request is refused all the same,
        /// because a carrier takes a longer silence for an outage.
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
    /// Look up a name, then hand in [`Input::LookedUp`] in any case. A message waits for it and has no outcome yet.
    LookUp(NextHop),
    /// Calls go out to this name of a trunk's `uri`, and it has servers: keep it resolved for a while. Said again while they do.
    Keep(NextHop),
    /// Ask a relay, then hand in [`Input::Relayed`] in any case.
    Relay(RelayRequest),
    /// The outputs that follow are about this message, which has waited since it came.
    Resumed {
        /// Where it came from, and to which listener.
        arrival: Arrival,
        /// The message, whole.
        bytes: Bytes,
    },
}

/// Bytes and where they go.
#[derive(Clone, Debug)]
pub struct Send {
    /// The address to send to.
    pub to: Destination,
    /// The transport. For a peer: the one that its message came by.
    pub transport: Transport,
    /// Over TLS, for a fenced address: the name that the server must prove. `None`: the server must prove its address.
    pub tls_name: Option<Arc<str>>,
    /// Over TLS, without a name: names of the party that the address belongs to. The server may prove one of them instead of its
    /// address.
    pub party: Option<PartyNames>,
    /// Whether it is for a next hop inside a dialog.
    pub in_dialog: bool,
    /// Over TLS, towards the side that began the dialog: from where its connection came. That very connection will do too.
    pub origin: Option<Arc<Fenced>>,
    /// The trunk of its call, if it has one.
    pub trunk: Option<TrunkId>,
    /// The listener whose socket sends a datagram, and whose region a connection is opened for.
    pub listener: ListenerId,
    /// The source address to send a datagram from, if the socket is bound to a wildcard address.
    pub local: Option<std::net::IpAddr>,
    /// The message, whole.
    pub bytes: Bytes,
    /// The attempt to name in [`Input::Failed`] or [`Input::Unsent`] if the bytes cannot be delivered.
    pub attempt: Option<Attempt>,
    /// What to send in its place if no connection to its address can be made: the same message to where else it could go. For an ACK, which
    /// has no attempt. Nothing that was written on a connection is sent in another way.
    pub instead: Option<Box<Self>>,
}

/// The only kinds of address that a transport takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Destination {
    /// The sender of the message that is answered.
    Peer(Peer),
    /// An address that the fence passed.
    Fenced(Fenced),
}

/// The source of a message that arrived. Answers go to its address and nowhere else, not to the address in Via.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Peer {
    listener: ListenerId,
    addr: SocketAddr,
    /// The port at its address that answers in datagrams go to.
    port: u16,
    local: SocketAddr,
    connection: Option<ConnectionId>,
}

impl Peer {
    /// The peer of an arrival. Private to the core: `super` is where inputs are taken in. `via`: the topmost Via of its request, if that
    /// can be read. Without `rport` a client listens where its sent-by says (RFC 3261 18.2.2, RFC 3581 4), and some send from another
    /// port.
    pub(crate) fn of(arrival: &Arrival, via: Option<&Via<'_>>) -> Self {
        let &Arrival { listener, from, local, connection, .. } = arrival;
        let named = via.filter(|via| via.rport.is_none()).map(|via| via.port.unwrap_or_else(|| Transport::Udp.port()));
        Self { listener, addr: from, port: named.unwrap_or_else(|| from.port()), local, connection }
    }

    /// The same peer after a reload that renumbered its listener.
    pub(crate) fn at(self, listener: ListenerId) -> Self {
        Self { listener, ..self }
    }

    /// The same in little room, if it is one of IPv4 and of datagrams.
    pub(crate) fn v4(&self) -> Option<PeerV4> {
        match *self {
            Self { listener, addr: SocketAddr::V4(addr), port, local: SocketAddr::V4(local), connection: None } => {
                Some(PeerV4 { listener, addr, port, local })
            }
            _ => None,
        }
    }

    /// Its address and the port that it sent from, for `received` and `rport`.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Where an answer goes in a datagram, for the system call that sends it: the same address, and the port that the client asked for.
    pub fn answers(&self) -> SocketAddr {
        let mut to = self.addr;
        if self.connection.is_none() {
            to.set_port(self.port);
        }
        to
    }

    /// The address that it called: answers leave from there.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// The listener that it called.
    pub fn listener(&self) -> ListenerId {
        self.listener
    }

    /// Its connection, for streams. If that is closed the answer is dropped: we never connect back (standards TR-08).
    pub fn connection(&self) -> Option<ConnectionId> {
        self.connection
    }
}

/// A peer of IPv4 and of datagrams, in little room.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PeerV4 {
    listener: ListenerId,
    addr: SocketAddrV4,
    port: u16,
    local: SocketAddrV4,
}

impl PeerV4 {
    /// The same peer after a reload that renumbered its listener.
    pub(crate) fn at(self, listener: ListenerId) -> Self {
        Self { listener, ..self }
    }

    /// The listener that it called.
    pub(crate) fn listener(&self) -> ListenerId {
        self.listener
    }
}

impl From<PeerV4> for Peer {
    fn from(PeerV4 { listener, addr, port, local }: PeerV4) -> Self {
        Self { listener, addr: addr.into(), port, local: local.into(), connection: None }
    }
}
