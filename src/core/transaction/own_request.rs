//! Requests of our own: OPTIONS asks a server whether it is there, BYE ends a leg. Each is a client transaction (RFC 3261 17.1.2)
//! without a server side, because nobody has asked for it. An answer only ends its retransmission, or says something of the
//! server's health.
//!
//! Only states and timers. The bytes are made elsewhere and kept here for retransmission. What an answer means is decided
//! elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{ListenerId, RegionId, Timers, TrunkId};
use crate::core::forwarding::branch::OWN_SLOT;
use crate::core::io::{Attempt, EndTold};
use crate::core::keys::Keyed;
use crate::core::routing::egress::Egress;
use crate::core::routing::place::Place;
use crate::core::rules::side::Side;
use crate::core::transaction::forwarded::attempt;
use crate::core::transaction::timer::{Resend, Timer};

/// Legs remembered. Beyond that, each BYE is sent once, and sent again each time its cause comes again.
const BYES: usize = 1024;

/// The purpose of an own request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnKind {
    /// Asks whether the server at this place is there.
    Ping(Place),
    /// Ends a leg. It is remembered as long as its cause may be repeated, so that one leg gets one BYE.
    Bye,
}

/// Whose leg a BYE ends: what its address is judged by if another configuration takes effect.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LegOf {
    /// The side that the leg leads to.
    pub(crate) side: Side,
    /// The region that was called.
    pub(crate) region: RegionId,
    /// The region whose servers have the call.
    pub(crate) serving: RegionId,
    /// The trunk of the call, if the configuration has it.
    pub(crate) trunk: Option<TrunkId>,
}

/// One own request.
#[derive(Debug)]
pub(crate) struct OwnRequest {
    pub(crate) kind: OwnKind,
    /// The leg that a BYE ends.
    pub(crate) leg: Option<LegOf>,
    pub(crate) egress: Egress,
    /// The request as sent.
    pub(crate) bytes: Bytes,
    /// What is told when a BYE has its answer, if an audit record is kept.
    pub(crate) end: Option<Box<EndTold>>,
    /// When it was sent first.
    pub(crate) sent: Instant,
    /// Timer E. `None`: the request went over a stream, or a response has come.
    resend: Option<Resend>,
    /// Timer F while it is open, timer K afterwards.
    until: Instant,
    open: bool,
    armed: Option<Instant>,
}

impl OwnRequest {
    /// A request that is being sent now. A final response must have come by `until`.
    pub(crate) fn new(kind: OwnKind, egress: Egress, bytes: Bytes, now: Instant, until: Instant, timers: &Timers) -> Self {
        let resend = (!egress.transport.reliable()).then(|| Resend::after(now, timers));
        Self { kind, leg: None, egress, bytes, end: None, sent: now, resend, until, open: true, armed: None }
    }

    /// The same, for this leg. `end`: what is told when it has its answer.
    pub(crate) fn of(self, leg: LegOf, end: Option<Box<EndTold>>) -> Self {
        Self { leg: Some(leg), end, ..self }
    }

    /// Whether a final response may still come.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    fn octets(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }

    fn deadline(&self) -> Instant {
        self.resend.map_or(self.until, |resend| resend.at.min(self.until))
    }

    /// Notes a provisional response: the server is there, so nothing is retransmitted any more.
    pub(crate) fn provisional(&mut self) {
        self.resend = None;
    }

    /// Ends the wait for a final response, because it has come or its time is over. Repetitions of it are absorbed for a while.
    fn close(&mut self, now: Instant, timers: &Timers) {
        (self.open, self.resend) = (false, None);
        if matches!(self.kind, OwnKind::Ping(_)) {
            self.until = now + timers.t4;
        }
    }

    /// The timer that fires now. Timer E is set again, with T2 as its cap. For a ping it has no cap, because a ping's time is
    /// short.
    fn fire(&mut self, now: Instant, timers: &Timers) -> Option<Timer> {
        if self.until <= now {
            return Some(if self.open { Timer::F } else { Timer::K });
        }
        let resend = self.resend.as_mut().filter(|resend| resend.at <= now)?;
        resend.double(if self.kind == OwnKind::Bye { timers.t2 } else { Duration::MAX });
        Some(Timer::E)
    }
}

/// What a timer of an own request asks for.
pub(crate) enum OwnDue {
    /// Send the request again. The attempt is the one by which the shell reports a failure.
    Resend(Egress, Bytes, Option<Attempt>),
    /// A ping was not answered in time: its place, and when it was sent.
    Silent(Place, Instant),
    /// A BYE was not answered in time: what is told of it.
    Unanswered(Box<EndTold>),
}

/// All own requests of one core, by the nonce in their branch.
#[derive(Debug, Default)]
pub(crate) struct OwnRequests {
    all: HashMap<u64, OwnRequest, Keyed>,
    byes: usize,
    /// BYEs that wait for an answer.
    open_byes: usize,
    /// What all of them hold.
    octets: usize,
    /// Requests that the wheel does not know yet.
    fresh: Vec<u64>,
}

impl OwnRequests {
    /// Whether a request with this nonce was sent lately.
    pub(crate) fn knows(&self, nonce: u64) -> bool {
        self.all.contains_key(&nonce)
    }

    /// Takes in a request that is being sent. If there is no room for a BYE, it is sent only once, and its end is told now: it is returned.
    pub(crate) fn begin(&mut self, nonce: u64, request: OwnRequest) -> Option<Box<EndTold>> {
        if self.knows(nonce) || request.kind == OwnKind::Bye && self.byes >= BYES {
            return request.end;
        }
        self.byes += usize::from(request.kind == OwnKind::Bye);
        self.open_byes += usize::from(request.kind == OwnKind::Bye);
        self.octets += request.octets();
        self.all.insert(nonce, request);
        self.fresh.push(nonce);
        None
    }

    /// The open ping that an attempt names: its nonce, its place, and when it was sent.
    pub(crate) fn ping_of(&self, name: Attempt) -> Option<(u64, Place, Instant)> {
        let is = |(nonce, request): (&u64, &OwnRequest)| match request.kind {
            OwnKind::Ping(place) if request.open && attempt(OWN_SLOT, *nonce) == name => Some((*nonce, place, request.sent)),
            _ => None,
        };
        self.all.iter().find_map(is)
    }

    /// The bytes of the open request that an attempt names.
    pub(crate) fn open_request(&self, name: Attempt) -> Option<Bytes> {
        let is = |nonce: u64, request: &OwnRequest| request.open && attempt(OWN_SLOT, nonce) == name;
        self.all.iter().find(|&(&nonce, request)| is(nonce, request)).map(|(_, request)| request.bytes.clone())
    }

    /// The request with this nonce.
    pub(crate) fn get_mut(&mut self, nonce: u64) -> Option<&mut OwnRequest> {
        self.all.get_mut(&nonce)
    }

    /// Notes that a final response has come to it, or that it could not be delivered. Only the first call has an effect.
    pub(crate) fn close(&mut self, nonce: u64, now: Instant, timers: &Timers) {
        if let Some(request) = self.all.get_mut(&nonce).filter(|request| request.open) {
            self.open_byes -= usize::from(request.kind == OwnKind::Bye);
            request.close(now, timers);
            // Now it may have to be woken earlier.
            self.fresh.push(nonce);
        }
    }

    /// Sets the wheel for new requests: `set` takes nonce and deadline, and returns when the wheel will really wake them.
    pub(crate) fn arm(&mut self, mut set: impl FnMut(u64, Instant) -> Instant) {
        while let Some(nonce) = self.fresh.pop() {
            let Some(request) = self.all.get_mut(&nonce) else { continue };
            let deadline = request.deadline();
            if request.armed.is_none_or(|armed| deadline < armed) {
                request.armed = Some(set(nonce, deadline));
            }
        }
    }

    /// Handles a wake-up of one of them by the wheel.
    pub(crate) fn wake(&mut self, nonce: u64, now: Instant, timers: &Timers) -> Option<OwnDue> {
        let request = self.all.get_mut(&nonce)?;
        // An entry that was superseded by an earlier one.
        if request.armed.is_none_or(|armed| armed > now) {
            return None;
        }
        request.armed = None;
        self.fresh.push(nonce);
        match request.fire(now, timers)? {
            Timer::E => Some(OwnDue::Resend(request.egress.clone(), request.bytes.clone(), Some(attempt(OWN_SLOT, nonce)))),
            Timer::F if let OwnKind::Ping(place) = request.kind => {
                let sent = request.sent;
                request.close(now, timers);
                Some(OwnDue::Silent(place, sent))
            }
            _ => self.forget(nonce)?.end.map(OwnDue::Unanswered),
        }
    }

    /// All of them, by their nonce.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &OwnRequest)> {
        self.all.iter().map(|(&nonce, request)| (nonce, request))
    }

    /// Ends a request at once: nothing more is sent for it.
    pub(crate) fn end(&mut self, nonce: u64) {
        self.forget(nonce);
    }

    fn forget(&mut self, nonce: u64) -> Option<OwnRequest> {
        let gone = self.all.remove(&nonce)?;
        self.octets -= gone.octets();
        self.byes -= usize::from(gone.kind == OwnKind::Bye);
        self.open_byes -= usize::from(gone.open && gone.kind == OwnKind::Bye);
        Some(gone)
    }

    /// The octets that they hold.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// BYEs that wait for an answer.
    pub(crate) fn open_byes(&self) -> usize {
        self.open_byes
    }

    /// Ends all pings, because the daemon ends.
    pub(crate) fn end_pings(&mut self) {
        self.all.retain(|_, request| request.kind == OwnKind::Bye);
        self.octets = self.all.values().map(OwnRequest::octets).sum();
    }

    /// Ends the open pings that `is_wanted` does not know any more, by place and the time of sending: nothing is sent to them again.
    pub(crate) fn keep_pings(&mut self, is_wanted: impl Fn(Place, Instant) -> bool) {
        self.all.retain(|_, request| match request.kind {
            OwnKind::Ping(place) => !request.open || is_wanted(place, request.sent),
            OwnKind::Bye => true,
        });
        self.octets = self.all.values().map(OwnRequest::octets).sum();
    }

    /// The listeners that they leave by.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.all.values().map(|request| request.egress.listener)
    }

    /// The listeners that BYEs leave by.
    pub(crate) fn bye_listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.all.values().filter(|request| request.kind == OwnKind::Bye).map(|request| request.egress.listener)
    }

    /// Takes in another configuration: `moved` gives a request its new numbers. A request whose listener or region is gone is ended.
    /// Returns the places of the pings among those.
    pub(crate) fn renumber(&mut self, moved: impl Fn(&mut OwnRequest) -> Option<()>) -> Vec<Place> {
        let gone: Vec<u64> =
            self.all.iter_mut().filter_map(|(&nonce, request)| moved(request).is_none().then_some(nonce)).collect();
        let ended = gone.into_iter().filter_map(|nonce| self.forget(nonce));
        ended.filter_map(|request| if let OwnKind::Ping(place) = request.kind { Some(place) } else { None }).collect()
    }
}
