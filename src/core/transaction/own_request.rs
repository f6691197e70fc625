//! Requests of our own: OPTIONS that asks a server whether it is there, BYE that ends a leg. One client transaction each (RFC 3261
//! 17.1.2), with no server side: nobody has asked for it, so an answer only ends its repetitions, or tells of the server's health.
//!
//! Only states and timers. What is sent is made elsewhere and kept here for repetition; what an answer means is decided elsewhere.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{ListenerId, Timers};
use crate::core::forwarding::branch::OWN_SLOT;
use crate::core::io::Attempt;
use crate::core::keys::Keyed;
use crate::core::routing::egress::Egress;
use crate::core::routing::place::Place;
use crate::core::transaction::forwarded::attempt;
use crate::core::transaction::timer::{Resend, Timer};

/// Legs remembered. Beyond: each BYE is sent once, and again whenever what led to it comes again.
const BYES: usize = 1024;

/// What it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OwnKind {
    /// Whether a server is there.
    Ping(Place),
    /// The end of a leg. Remembered as long as what led to it may be repeated, so that one leg gets one BYE.
    Bye,
}

/// One request.
#[derive(Debug)]
pub(crate) struct OwnRequest {
    pub(crate) kind: OwnKind,
    pub(crate) egress: Egress,
    /// The request as sent.
    pub(crate) bytes: Bytes,
    /// When it was sent first.
    pub(crate) sent: Instant,
    /// Timer E. `None`: over a stream, or something has come back.
    resend: Option<Resend>,
    /// Timer F while it is open, timer K afterwards.
    until: Instant,
    open: bool,
    armed: Option<Instant>,
}

impl OwnRequest {
    /// One that is being sent now. A final response must have come by `until`.
    pub(crate) fn new(kind: OwnKind, egress: Egress, bytes: Bytes, now: Instant, until: Instant, timers: &Timers) -> Self {
        let resend = (!egress.transport.reliable()).then(|| Resend::after(now, timers));
        Self { kind, egress, bytes, sent: now, resend, until, open: true, armed: None }
    }

    /// Whether a final response is waited for.
    pub(crate) fn is_open(&self) -> bool {
        self.open
    }

    fn deadline(&self) -> Instant {
        self.resend.map_or(self.until, |resend| resend.at.min(self.until))
    }

    /// Something provisional has come: it is there, so nothing is repeated any more.
    pub(crate) fn provisional(&mut self) {
        self.resend = None;
    }

    /// A final response has come, or none is waited for any more: repetitions of it are absorbed for a while.
    fn close(&mut self, now: Instant, timers: &Timers) {
        (self.open, self.resend) = (false, None);
        if matches!(self.kind, OwnKind::Ping(_)) {
            self.until = now + timers.t4;
        }
    }

    /// The timer that fires now. Timer E is set again; its cap is T2, or nothing for a ping, whose time is short anyway.
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
    /// Send it again. A ping has a name by which its failure is told.
    Resend(Egress, Bytes, Option<Attempt>),
    /// A ping was not answered in time: the place, and when it was sent.
    Silent(Place, Instant),
}

/// All of one core, by the nonce in their branch.
#[derive(Debug, Default)]
pub(crate) struct OwnRequests {
    all: HashMap<u64, OwnRequest, Keyed>,
    byes: usize,
    /// Those that the wheel does not know of yet.
    fresh: Vec<u64>,
}

impl OwnRequests {
    /// Whether a request with this nonce was sent a moment ago.
    pub(crate) fn knows(&self, nonce: u64) -> bool {
        self.all.contains_key(&nonce)
    }

    /// Takes in one that is being sent. A BYE for which there is no room is sent once.
    pub(crate) fn begin(&mut self, nonce: u64, request: OwnRequest) {
        if self.knows(nonce) || request.kind == OwnKind::Bye && self.byes >= BYES {
            return;
        }
        self.byes += usize::from(request.kind == OwnKind::Bye);
        self.all.insert(nonce, request);
        self.fresh.push(nonce);
    }

    /// The open ping that an attempt names: its nonce, its place, and when it was sent.
    pub(crate) fn ping_of(&self, name: Attempt) -> Option<(u64, Place, Instant)> {
        let is = |(nonce, request): (&u64, &OwnRequest)| match request.kind {
            OwnKind::Ping(place) if request.open && attempt(OWN_SLOT, *nonce) == name => Some((*nonce, place, request.sent)),
            _ => None,
        };
        self.all.iter().find_map(is)
    }

    /// The one with this nonce.
    pub(crate) fn get_mut(&mut self, nonce: u64) -> Option<&mut OwnRequest> {
        self.all.get_mut(&nonce)
    }

    /// A final response has come to it, or it did not get there. Only the first time does it tell anything.
    pub(crate) fn close(&mut self, nonce: u64, now: Instant, timers: &Timers) {
        if let Some(request) = self.all.get_mut(&nonce).filter(|request| request.open) {
            request.close(now, timers);
            // It may be woken earlier now.
            self.fresh.push(nonce);
        }
    }

    /// Those to be armed: nonce and deadline. The wheel tells when it will really wake them.
    pub(crate) fn arm(&mut self, mut set: impl FnMut(u64, Instant) -> Instant) {
        while let Some(nonce) = self.fresh.pop() {
            let Some(request) = self.all.get_mut(&nonce) else { continue };
            let deadline = request.deadline();
            if request.armed.is_none_or(|armed| deadline < armed) {
                request.armed = Some(set(nonce, deadline));
            }
        }
    }

    /// The wheel wakes one of them.
    pub(crate) fn wake(&mut self, nonce: u64, now: Instant, timers: &Timers) -> Option<OwnDue> {
        let request = self.all.get_mut(&nonce)?;
        request.armed = None;
        self.fresh.push(nonce);
        match request.fire(now, timers)? {
            Timer::E => {
                let name = matches!(request.kind, OwnKind::Ping(_)).then(|| attempt(OWN_SLOT, nonce));
                Some(OwnDue::Resend(request.egress.clone(), request.bytes.clone(), name))
            }
            Timer::F if let OwnKind::Ping(place) = request.kind => {
                let sent = request.sent;
                request.close(now, timers);
                Some(OwnDue::Silent(place, sent))
            }
            _ => {
                self.forget(nonce);
                None
            }
        }
    }

    fn forget(&mut self, nonce: u64) -> Option<OwnRequest> {
        let gone = self.all.remove(&nonce)?;
        self.byes -= usize::from(gone.kind == OwnKind::Bye);
        Some(gone)
    }

    /// BYEs that wait for an answer.
    pub(crate) fn open_byes(&self) -> usize {
        if self.byes == 0 {
            return 0;
        }
        self.all.values().filter(|request| request.open && request.kind == OwnKind::Bye).count()
    }

    /// No more pings: the daemon ends.
    pub(crate) fn end_pings(&mut self) {
        self.all.retain(|_, request| request.kind == OwnKind::Bye);
    }

    /// The listeners that they leave by.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.all.values().map(|request| request.egress.listener)
    }

    /// Another configuration: the same requests by its numbers of listeners. Returns the places of pings that have no listener any
    /// more: they and BYEs like them are ended.
    pub(crate) fn renumber(&mut self, listener: impl Fn(ListenerId) -> Option<ListenerId>) -> Vec<Place> {
        let mut gone = Vec::new();
        for (&nonce, request) in &mut self.all {
            match listener(request.egress.listener) {
                Some(id) => request.egress.listener = id,
                None => gone.push(nonce),
            }
        }
        let ended = gone.into_iter().filter_map(|nonce| self.forget(nonce));
        ended.filter_map(|request| if let OwnKind::Ping(place) = request.kind { Some(place) } else { None }).collect()
    }
}
