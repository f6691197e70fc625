//! A request that was forwarded: one server side, the attempts on its client side, and what both still need.
//!
//! It is a few timers and the bytes that may have to be sent again. It knows nothing of regions' rules; those were
//! applied before it was opened.

use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{ProjectId, RegionId, TrunkId};
use crate::core::io::Attempt;
use crate::core::routing::route_token::Token;
use crate::core::routing::serving::Serving;
use crate::core::routing::target::TargetSet;
use crate::core::rules::sides::Side;
use crate::core::transaction::client::Client;
use crate::core::transaction::server::Server;
use crate::sip::Method;

/// What a transaction knows of the relay of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallRelay {
    /// The relay that took the offer, or is to take it.
    pub(crate) relay: SocketAddr,
    /// Whether the request brought the offer: then its answers bring the answer.
    pub(crate) offered: bool,
    /// Whether the call has been counted as one that goes through a relay.
    pub(crate) counted: bool,
    /// Whether it has been told that the call is over.
    pub(crate) released: bool,
}

/// What is known of the call that a request belongs to. Decided once, before the transaction is opened.
#[derive(Debug)]
pub(crate) struct CallFacts {
    /// The region that was called.
    pub(crate) region: RegionId,
    /// Whose call. `None`: gone in a reload.
    pub(crate) project: Option<ProjectId>,
    /// Whose call. `None`: gone in a reload.
    pub(crate) trunk: Option<TrunkId>,
    /// Which side asked; the other one answers.
    pub(crate) asks: Side,
    /// Where a new request is served; `None` inside a dialog, where the next hop is given.
    pub(crate) serving: Option<Serving>,
    /// The request's method.
    pub(crate) method: Method,
    /// The relay that its media goes through, if any.
    pub(crate) call_relay: Option<CallRelay>,
    /// What the Record-Route carries, if it gets one.
    pub(crate) token: Option<Token>,
    /// What detects loops (RFC 5393 4.2).
    pub(crate) loop_hash: u32,
    /// When the request came.
    pub(crate) since: Instant,
}

impl CallFacts {
    /// The relay's address.
    pub(crate) fn relay(&self) -> Option<SocketAddr> {
        self.call_relay.map(|of| of.relay)
    }
}

/// One request that was forwarded, until nothing can be asked about it any more.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Tells it from the one that had the same slot before. Given by the table.
    pub(crate) serial: u64,
    pub(crate) call: CallFacts,
    /// The side of the party that asked.
    pub(crate) server: Server,
    /// The present attempt.
    pub(crate) client: Client,
    /// Where the present attempt's own rows stand in what was sent (Via, Record-Route, X-Ringfence): the next attempt has others.
    pub(crate) own_rows: (usize, usize),
    /// Attempts left or given up: answers may still come.
    pub(crate) earlier: Vec<Client>,
    /// Where it may still go, in order.
    pub(crate) targets: TargetSet,
    /// Whether the first response above 100 is still to be measured.
    pub(crate) unmeasured: bool,
    /// Whether the caller has cancelled.
    pub(crate) cancelled: bool,
    /// Whether its answer was refused: every call that comes of it is ended.
    pub(crate) refused: bool,
    /// When the wheel will wake it first.
    pub(crate) armed: Option<Instant>,
}

/// Names one attempt of one transaction: the place in the high half, the low half of the nonce in the low one.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
pub(crate) fn attempt(slot: u32, nonce: u64) -> Attempt {
    Attempt(u64::from(slot) << 32 | u64::from(nonce as u32))
}

impl Transaction {
    /// A transaction whose first attempt is under way.
    pub(crate) fn new(call: CallFacts, server: Server, client: Client, own_rows: (usize, usize), targets: TargetSet) -> Self {
        let (serial, earlier, armed) = (0, Vec::new(), None);
        let unmeasured = call.method == Method::Invite;
        let (cancelled, refused) = (false, false);
        Self { serial, call, server, client, own_rows, earlier, targets, unmeasured, cancelled, refused, armed }
    }

    /// Whether it is an INVITE's.
    pub(crate) fn is_invite(&self) -> bool {
        self.call.method == Method::Invite
    }

    /// Whether no call is left once it has ended without success (a BYE: however it has ended).
    pub(crate) fn ends_call(&self) -> bool {
        self.is_invite() && self.call.serving.is_some() || self.call.method == Method::Bye
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_settled(&self) -> bool {
        let attempted = self.client.is_open() || self.is_invite() && self.earlier.iter().any(Client::is_open);
        !self.server.is_open() && !self.server.awaits_ack() && !attempted
    }

    /// The attempt of a nonce: the present one or an earlier one.
    pub(crate) fn by_nonce(&mut self, nonce: u64) -> Option<&mut Client> {
        if self.client.nonce == nonce {
            return Some(&mut self.client);
        }
        self.earlier.iter_mut().find(|client| client.nonce == nonce)
    }

    /// When its next timer fires; `None`: it waits for nothing any more and can be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let clients = std::iter::once(&self.client).chain(&self.earlier).filter_map(Client::deadline);
        clients.chain(self.server.deadline()).min()
    }

    /// Everything that must hold between two inputs.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert!(!self.server.is_open() || self.client.is_open(), "an open server side waits for an attempt: {self:?}");
        assert!(!self.client.is_open() || !self.client.request.is_empty(), "an open attempt can be repeated: {self:?}");
        assert!(self.earlier.len() <= crate::core::routing::place::MAX_ATTEMPTS * 2, "attempts are bounded: {self:?}");
        assert!(self.armed.is_some(), "every transaction is woken some time: {self:?}");
    }
}
