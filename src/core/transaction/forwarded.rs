//! A request that was forwarded: its server side, the attempts on its client side, and what both need.
//!
//! It is a few timers and the bytes that may have to be sent again. It knows no rules: they were applied before it was opened.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;

use crate::config::{ProjectId, RegionId, TrunkId};
use crate::core::io::Attempt;
use crate::core::routing::call_time::CallTime;
use crate::core::routing::place::Gateway;
use crate::core::routing::route_token::Token;
use crate::core::routing::serving::Serving;
use crate::core::routing::target::Target;
use crate::core::rules::side::Side;
use crate::core::transaction::awaited::Awaited;
use crate::core::transaction::client::Client;
use crate::core::transaction::last_answer::RequestText;
use crate::core::transaction::server::Server;
use crate::core::transaction::shares::Holding;
use crate::fence::Fenced;
use crate::sip::Method;

/// What a transaction knows of the relay of its call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallRelay {
    /// The relay that took the offer, or that will take it.
    pub(crate) relay: SocketAddr,
    /// Whether the request held the offer: then its responses hold the answer.
    pub(crate) offered: bool,
    /// Whether the call has been counted as one that goes through a relay.
    pub(crate) counted: bool,
    /// Whether it has been told that the call is over.
    pub(crate) released: bool,
}

/// The facts of the call that a request belongs to. They are decided once, before the transaction is opened.
#[derive(Debug)]
pub(crate) struct CallFacts {
    /// The region that was called.
    pub(crate) region: RegionId,
    /// The project of the call. `None`: a reload has removed it.
    pub(crate) project: Option<ProjectId>,
    /// The trunk of the call. `None`: a reload has removed it.
    pub(crate) trunk: Option<TrunkId>,
    /// The side that sent the request. The other side answers.
    pub(crate) asks: Side,
    /// Where a new request is served. `None` inside a dialog, because the next hop is given there.
    pub(crate) serving: Option<Serving>,
    /// The request's method.
    pub(crate) method: Method,
    /// The relay that its media goes through, if any.
    pub(crate) call_relay: Option<CallRelay>,
    /// The token in our Record-Route, if the request gets one.
    pub(crate) token: Option<Token>,
    /// Over TLS, towards the side that began the dialog: from where its connection came.
    pub(crate) origin: Option<Arc<Fenced>>,
    /// The hash that detects loops (RFC 5393 4.2).
    pub(crate) loop_hash: u32,
    /// What stands for chance in the choice of servers. The call has the same one if it comes again.
    pub(crate) spread: u64,
    /// When the request came.
    pub(crate) since: Instant,
    /// What is known of its dialog.
    pub(crate) dialog: DialogFacts,
}

/// What a request says of its dialog.
#[derive(Debug)]
pub(crate) struct DialogFacts {
    /// Whether the side that asks began it.
    pub(crate) began: bool,
    /// When the call began.
    pub(crate) time: CallTime,
    /// Why a BYE ends the call, if an audit record is kept.
    pub(crate) cause: Option<Box<[u8]>>,
}

impl DialogFacts {
    /// Of a request that may open one.
    pub(crate) const OPENED: Self = Self { began: true, time: CallTime::Unknown, cause: None };
}

/// What decides where the messages of a call may go.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Way {
    pub(crate) region: RegionId,
    pub(crate) project: Option<ProjectId>,
    pub(crate) trunk: Option<TrunkId>,
    pub(crate) asks: Side,
    /// The region that serves a new request.
    pub(crate) serving: Option<RegionId>,
}

impl CallFacts {
    /// What decides where its messages may go.
    pub(crate) fn way(&self) -> Way {
        let &Self { region, project, trunk, asks, .. } = self;
        Way { region, project, trunk, asks, serving: self.serving.as_ref().map(|serving| serving.region) }
    }

    /// The relay's address.
    pub(crate) fn relay(&self) -> Option<SocketAddr> {
        self.call_relay.map(|of| of.relay)
    }
}

/// Octets of a transaction in the tables: slot, key, wheel.
pub(super) const SHARED: usize = 64;
/// What the allocator adds to an open one, and what counts the owners of its messages.
const AROUND: usize = SHARED + 128;

/// One request that was forwarded. It is kept until no message about it can come any more.
#[derive(Debug)]
pub(crate) struct Transaction {
    /// Tells it from the one that had the same slot before. The table gives the number.
    pub(crate) serial: u64,
    pub(crate) call: CallFacts,
    /// The side that faces the party that asked.
    pub(crate) server: Server,
    /// The present attempt.
    pub(crate) client: Client,
    /// The byte range of our own rows (Via, Record-Route, X-Ringfence) behind the start line of what the present attempt sent. The next
    /// attempt has other rows, and perhaps another start line.
    pub(crate) own_rows: (usize, usize),
    /// Of a call out: the best answer of the gateways that were left for it, as the caller would be told (RFC 3261 16.7 step 6).
    pub(crate) best: Option<Box<BestAnswer>>,
    /// Attempts left or given up: a response to one may still come.
    pub(crate) earlier: Vec<Client>,
    /// The targets that are left, in order.
    pub(crate) targets: Vec<Target>,
    /// Of an INVITE: whether there has been a response above 100.
    pub(crate) progress: Progress,
    /// Whether the caller has cancelled.
    pub(crate) cancelled: bool,
    /// Whether a rule has refused its answer: then every call that comes of it is ended.
    pub(crate) refused: bool,
    /// Whether a reload has ended its present attempt, because that led to an address that is outside now.
    pub(crate) outside: bool,
    /// When the wheel will wake it first.
    pub(crate) armed: Option<Instant>,
    /// The answers that it waits for on streams, as the table has counted them.
    pub(crate) counted: Awaited,
    /// What it holds of a trunk's share, as the table has counted it.
    pub(crate) holding: Holding,
    /// The trunk whose share that is, as the table has counted it: a call out may have gone on to another since.
    pub(crate) holder: Option<TrunkId>,
}

/// Where a message's start line ends.
pub(crate) fn start_line(message: &[u8]) -> usize {
    memchr::memchr(b'\n', message).map_or(0, |at| at.saturating_add(1))
}

/// How far an INVITE has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// No response above 100 has come.
    None,
    /// One has come, and went no further.
    Heard,
    /// The caller was told one, and the time to it was measured.
    Told,
}

/// A final answer that is kept while other gateways are tried.
#[derive(Debug)]
pub(crate) struct BestAnswer {
    pub(crate) code: u16,
    /// The gateway that gave it.
    pub(crate) gateway: Option<Gateway>,
    pub(crate) bytes: Bytes,
}

impl BestAnswer {
    /// Whether an answer with this code is to be preferred to one with the other: a 6xx, which speaks for the callee everywhere, else the
    /// lower class, since what the callee says counts more than what a gateway could not do. Among 4xx, what helps the caller to ask again
    /// counts most, and a timeout, which says nothing, least (RFC 3261 16.7 step 6).
    pub(crate) fn is_better(code: u16, than: u16) -> bool {
        let rank = |code: u16| match code {
            600.. => (0, 0),
            401 | 407 | 415 | 420 | 484 => (4, 0),
            408 => (4, 2),
            400..=499 => (4, 1),
            _ => (code / 100, 0),
        };
        rank(code) < rank(than)
    }
}

/// Names one attempt of one transaction: the slot in the high half, the low half of the nonce in the low half.
#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
pub(crate) fn attempt(slot: u32, nonce: u64) -> Attempt {
    Attempt(u64::from(slot) << 32 | u64::from(nonce as u32))
}

impl Transaction {
    /// A transaction whose first attempt is under way.
    pub(crate) fn new(call: CallFacts, server: Server, client: Client, own_rows: (usize, usize), targets: Vec<Target>) -> Self {
        let (serial, earlier, armed, counted, holding) = (0, Vec::new(), None, Awaited::default(), Holding::default());
        let (progress, best, holder) = (Progress::None, None, call.trunk);
        let (cancelled, refused, outside) = (false, false, false);
        Self {
            serial,
            call,
            server,
            client,
            own_rows,
            best,
            earlier,
            targets,
            progress,
            cancelled,
            refused,
            outside,
            armed,
            counted,
            holding,
            holder,
        }
    }

    /// The octets that a transaction holds if it keeps a request of this length.
    pub(crate) const fn octets_of(request: usize) -> usize {
        size_of::<Self>() + AROUND + request
    }

    /// The octets that it holds: itself, its place in the tables, and what may have to be sent again.
    pub(crate) fn octets(&self) -> usize {
        let earlier = self.earlier.capacity() * size_of::<Client>() + self.earlier.iter().map(Client::octets).sum::<usize>();
        let targets = self.targets.capacity() * size_of::<Target>();
        let best = self.best.as_ref().map_or(0, |best| size_of::<BestAnswer>() + best.bytes.len());
        let cause = self.call.dialog.cause.as_ref().map_or(0, |cause| cause.len());
        Self::octets_of(self.client.octets()) + self.server.octets() + earlier + targets + best + cause
    }

    /// Whether it is a call out that may go to no other gateway any more, because it rings.
    pub(crate) fn stays(&self) -> bool {
        self.progress != Progress::None && self.goes_out()
    }

    /// Whether it is a new request that goes out by a trunk.
    pub(crate) fn goes_out(&self) -> bool {
        self.call.asks == Side::Servers && self.call.serving.is_some()
    }

    /// The byte range of our own rows in what an attempt sent.
    pub(crate) fn own_rows_in(&self, sent: &[u8]) -> (usize, usize) {
        let (from, to) = self.own_rows;
        let line = start_line(sent);
        (from.saturating_add(line), to.saturating_add(line))
    }

    /// What was asked, in the bytes of its present attempt.
    pub(crate) fn asked<'a>(&self, sent: &'a [u8]) -> RequestText<'a> {
        let (from, to) = self.own_rows_in(sent);
        RequestText([sent.get(..from).unwrap_or_default(), sent.get(to..).unwrap_or_default()])
    }

    /// Whether it is an INVITE's.
    pub(crate) fn is_invite(&self) -> bool {
        self.call.method == Method::Invite
    }

    /// Whether no call is left if it ends without success. For a BYE: however it ends.
    pub(crate) fn ends_call(&self) -> bool {
        self.is_invite() && self.call.serving.is_some() || self.call.method == Method::Bye
    }

    /// The answers that it waits for on streams now.
    pub(crate) fn awaited(&self) -> Awaited {
        let owed = self.server.peer.connection().filter(|_| self.server.is_open() || self.server.awaits_ack());
        let asked = self.client.is_open().then(|| self.client.place()).filter(|(_, transport)| transport.reliable());
        Awaited { owed, asked }
    }

    /// Whether nobody waits for it any more.
    pub(crate) fn is_settled(&self) -> bool {
        let attempted = self.client.is_open() || self.is_invite() && self.earlier.iter().any(Client::is_open);
        !self.server.is_open() && !self.server.awaits_ack() && !attempted
    }

    /// All its attempts.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = &Client> {
        std::iter::once(&self.client).chain(&self.earlier)
    }

    /// The attempt of a nonce: the present one or an earlier one.
    pub(crate) fn by_nonce(&mut self, nonce: u64) -> Option<&mut Client> {
        if self.client.nonce == nonce {
            return Some(&mut self.client);
        }
        self.earlier.iter_mut().find(|client| client.nonce == nonce)
    }

    /// When its next timer fires. `None`: it waits for nothing and can be forgotten.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.attempts().filter_map(Client::deadline).chain(self.server.deadline()).min()
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
