//! Client transactions: RFC 3261 17.1 with RFC 6026 (timer M). A proxy adds timer C, the CANCEL of an attempt, and leaving an
//! attempt that nothing has come back from.
//!
//! Only the states and their timers. The bytes are made elsewhere and kept here for retransmission.

use std::time::Instant;

use bytes::Bytes;

use crate::config::Timers;
use crate::core::routing::egress::Egress;
use crate::core::routing::place::Place;
use crate::core::transaction::timer::{Fired, Resend, Rest, Timer};

/// One attempt at one target.
#[derive(Debug)]
pub(crate) struct Client {
    /// The unguessable part of its branch.
    pub(crate) nonce: u64,
    /// The egress of the request. A CANCEL, an ACK and every retransmission go there too (RFC 3263 4).
    pub(crate) egress: Egress,
    /// The request as sent. Empty as soon as nobody can need it any more.
    pub(crate) request: Bytes,
    /// When it was sent first.
    pub(crate) sent: Instant,
    invite: bool,
    /// Whether the request has gone on to another target, or is answered. Then it is not retransmitted, and it is cancelled if a
    /// provisional response comes.
    left: bool,
    state: ClientState,
    cancel: Cancel,
    /// The ACK of a final response other than 2xx.
    ack: Bytes,
}

#[derive(Debug)]
enum ClientState {
    /// Nothing has come back: timers A and B, or E and F.
    Calling { resend: Option<Resend>, until: Instant },
    /// A provisional response has come: timer C, or E and F.
    Proceeding { resend: Option<Resend>, until: Instant },
    /// A 2xx to an INVITE has come: more of them pass until timer M (RFC 6026 7.2).
    Accepted { until: Instant },
    /// A final response has come: its repetitions are absorbed until timer D or K.
    Completed { until: Instant },
    /// The transaction is over.
    Ended,
}

#[derive(Debug)]
enum Cancel {
    /// Nobody has asked for a CANCEL.
    No,
    /// A CANCEL was asked for before any provisional response: it is sent after the first one (9.1). Holds the Reason rows to
    /// copy.
    Wanted(Bytes),
    /// The CANCEL was sent. If no final response has come by `until`, the attempt is over (9.1: 64*T1).
    Sent { bytes: Bytes, resend: Option<Resend>, until: Instant },
}

/// What a response means for the attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Heard {
    /// The first of its kind, or a further 1xx or 2xx.
    News,
    /// A repetition of a final response: send the ACK again if there is one; nothing else follows.
    Again,
    /// Too late or out of place: ignore it.
    Late,
}

impl Client {
    /// A request that is being sent now. `until`: when the first response must have come, even a provisional one.
    pub(crate) fn new(
        nonce: u64,
        egress: Egress,
        request: Bytes,
        invite: bool,
        until: Instant,
        now: Instant,
        timers: &Timers,
    ) -> Self {
        let resend = (!egress.transport.reliable()).then(|| Resend::after(now, timers));
        let state = ClientState::Calling { resend, until };
        let (cancel, ack, left) = (Cancel::No, Bytes::new(), false);
        Self { nonce, egress, request, sent: now, invite, left, state, cancel, ack }
    }

    /// The octets that it keeps beside itself.
    pub(crate) fn octets(&self) -> usize {
        let cancel = match &self.cancel {
            Cancel::No => 0,
            Cancel::Wanted(bytes) | Cancel::Sent { bytes, .. } => bytes.len(),
        };
        self.request.len() + self.ack.len() + cancel
    }

    /// Where it stands, and until when, if it sends nothing any more unless a response comes again.
    pub(super) fn rest(&self) -> Option<(Rest, Option<Instant>)> {
        let idle = self.request.is_empty() && matches!(self.cancel, Cancel::No);
        match self.state {
            ClientState::Accepted { until } if idle => Some((Rest::Accepted, Some(until))),
            ClientState::Completed { until } if idle => Some((Rest::Completed, Some(until))),
            ClientState::Ended if idle => Some((Rest::Ended, None)),
            _ => None,
        }
    }

    /// One that stood like this.
    pub(super) fn of_rest(
        nonce: u64,
        egress: Egress,
        sent: Instant,
        (invite, left): (bool, bool),
        (rest, until): (Rest, Instant),
        ack: Bytes,
    ) -> Self {
        let state = match rest {
            Rest::Accepted => ClientState::Accepted { until },
            Rest::Completed | Rest::Confirmed => ClientState::Completed { until },
            Rest::Ended => ClientState::Ended,
        };
        Self { nonce, egress, request: Bytes::new(), sent, invite, left, state, cancel: Cancel::No, ack }
    }

    /// The key under which its target's health is kept.
    pub(crate) fn place(&self) -> Place {
        self.egress.place()
    }

    /// Whether a final response may still come.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, ClientState::Calling { .. } | ClientState::Proceeding { .. })
    }

    /// Whether nothing has come back yet.
    pub(crate) fn is_unheard(&self) -> bool {
        matches!(self.state, ClientState::Calling { .. })
    }

    /// Whether it has been left while nothing had come back.
    pub(crate) fn is_left(&self) -> bool {
        self.left
    }

    /// Notes that the target cannot be reached: no more retransmission, and the attempt ends at `at` at the latest.
    pub(crate) fn hurry(&mut self, at: Instant) {
        if let ClientState::Calling { resend, until } = &mut self.state {
            (*resend, *until) = (None, at.min(*until));
        }
    }

    /// Leaves an attempt that nothing has come back from. Its target may have the request all the same, so the attempt stays
    /// until timer B or F would have ended it. The request is not retransmitted. An INVITE is cancelled if a provisional response
    /// comes (9.1), and its final response is acknowledged.
    pub(crate) fn leave(&mut self, now: Instant, timers: &Timers) {
        let end = self.sent + timers.t1 * 64;
        match &mut self.state {
            ClientState::Calling { resend, until } if now < end => {
                (*resend, *until) = (None, end);
                self.left = true;
                if self.invite && matches!(self.cancel, Cancel::No) {
                    self.cancel = Cancel::Wanted(Bytes::new());
                }
            }
            _ => self.give_up(),
        }
    }

    /// The ACK to send again for a repeated final response; empty if there is none.
    pub(crate) fn ack(&self) -> &Bytes {
        &self.ack
    }

    /// A provisional response.
    pub(crate) fn provisional(&mut self, now: Instant, timers: &Timers, code: u16) -> Heard {
        match &mut self.state {
            ClientState::Calling { resend, .. } => {
                // 17.1.2.2: after a provisional a non-INVITE is repeated every T2; an INVITE no more (17.1.1.2).
                let (resend, until) = if self.invite {
                    (None, now + timers.c)
                } else {
                    (resend.map(|_| Resend { at: now + timers.t2, interval: timers.t2 }), self.sent + timers.t1 * 64)
                };
                self.state = ClientState::Proceeding { resend, until };
                Heard::News
            }
            ClientState::Proceeding { until, .. } => {
                // 16.7 step 2: a 100 does not mean that it rings.
                if self.invite && code > 100 {
                    *until = now + timers.c;
                }
                Heard::News
            }
            _ => Heard::Late,
        }
    }

    /// A 2xx to an INVITE.
    pub(crate) fn success(&mut self, now: Instant, timers: &Timers) -> Heard {
        match self.state {
            ClientState::Calling { .. } | ClientState::Proceeding { .. } => {
                self.state = ClientState::Accepted { until: now + timers.t1 * 64 };
                self.request = Bytes::new();
                self.cancel = Cancel::No;
                Heard::News
            }
            // 16.7 step 5: a fork behind the next hop may be answered 2xx after another one's final answer. That call is up too.
            ClientState::Accepted { .. } | ClientState::Completed { .. } => Heard::News,
            ClientState::Ended => Heard::Late,
        }
    }

    /// Any other final response. `ack`: the ACK for it, if the request is an INVITE.
    pub(crate) fn finish(&mut self, now: Instant, timers: &Timers, ack: Bytes) -> Heard {
        match self.state {
            ClientState::Calling { .. } | ClientState::Proceeding { .. } => {
                // An INVITE waits on a stream too: its final response is not repeated there, but another fork's 2xx may follow.
                let linger = match (self.egress.transport.reliable(), self.invite) {
                    (_, true) => timers.t1 * 64,
                    (true, false) => std::time::Duration::ZERO,
                    (false, false) => timers.t4,
                };
                self.state = ClientState::Completed { until: now + linger };
                self.ack = ack;
                self.request = Bytes::new();
                self.cancel = Cancel::No;
                Heard::News
            }
            ClientState::Completed { .. } => Heard::Again,
            _ => Heard::Late,
        }
    }

    /// Gives the attempt up: every later response is ignored.
    pub(crate) fn give_up(&mut self) {
        self.state = ClientState::Ended;
        self.cancel = Cancel::No;
        self.request = Bytes::new();
    }

    /// Asks for a CANCEL. `reason`: the Reason rows to copy (RFC 3326 2). Returns them if the CANCEL can be sent at once.
    pub(crate) fn want_cancel(&mut self, reason: Bytes) -> Option<Bytes> {
        match (&self.state, &self.cancel) {
            (ClientState::Calling { .. }, Cancel::No | Cancel::Wanted(_)) => {
                self.cancel = Cancel::Wanted(reason);
                None
            }
            (ClientState::Proceeding { .. }, Cancel::No) => Some(reason),
            _ => None,
        }
    }

    /// The Reason rows of a CANCEL that has waited for a provisional response, as soon as that has come.
    pub(crate) fn take_wanted_cancel(&mut self) -> Option<Bytes> {
        match (&self.state, &mut self.cancel) {
            (ClientState::Proceeding { .. }, Cancel::Wanted(reason)) => Some(std::mem::take(reason)),
            _ => None,
        }
    }

    /// A CANCEL is being sent.
    pub(crate) fn cancelled(&mut self, now: Instant, timers: &Timers, bytes: Bytes) {
        let resend = (!self.egress.transport.reliable()).then(|| Resend::after(now, timers));
        self.cancel = Cancel::Sent { bytes, resend, until: now + timers.t1 * 64 };
    }

    /// Notes the answer to the CANCEL itself: the CANCEL is not retransmitted any more.
    pub(crate) fn cancel_answered(&mut self) {
        if let Cancel::Sent { resend, .. } = &mut self.cancel {
            *resend = None;
        }
    }

    /// When the next timer fires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let own = match &self.state {
            ClientState::Calling { resend, until } | ClientState::Proceeding { resend, until } => {
                resend.map_or(*until, |resend| resend.at.min(*until))
            }
            ClientState::Accepted { until } | ClientState::Completed { until } => *until,
            ClientState::Ended => return None,
        };
        Some(match &self.cancel {
            Cancel::Sent { resend, until, .. } => own.min(resend.map_or(*until, |resend| resend.at.min(*until))),
            Cancel::No | Cancel::Wanted(_) => own,
        })
    }

    /// What is due now.
    pub(crate) fn due(&mut self, now: Instant, timers: &Timers) -> Option<Fired> {
        if let Cancel::Sent { bytes, resend, until } = &mut self.cancel {
            if *until <= now {
                return Some(Timer::CancelIgnored.fired());
            }
            if let Some(resend) = resend.as_mut().filter(|resend| resend.at <= now) {
                resend.double(timers.t2);
                return Some(Timer::E.repeats(bytes.clone()));
            }
        }
        match &mut self.state {
            ClientState::Calling { until, .. } if *until <= now => {
                if self.invite {
                    Some(Timer::B.fired())
                } else {
                    Some(Timer::F.fired())
                }
            }
            ClientState::Proceeding { until, .. } if *until <= now => {
                if self.invite {
                    // Not again: from here the CANCEL's own time counts.
                    *until = now + timers.c;
                    Some(Timer::C.fired())
                } else {
                    Some(Timer::F.fired())
                }
            }
            ClientState::Calling { resend: Some(resend), .. } | ClientState::Proceeding { resend: Some(resend), .. }
                if resend.at <= now =>
            {
                // Timer A doubles without a cap, timer E up to T2.
                resend.double(if self.invite { timers.t1 * 64 } else { timers.t2 });
                {
                    let timer = if self.invite { Timer::A } else { Timer::E };
                    Some(timer.repeats(self.request.clone()))
                }
            }
            ClientState::Accepted { until } if *until <= now => {
                self.state = ClientState::Ended;
                Some(Timer::M.fired())
            }
            ClientState::Completed { until } if *until <= now => {
                self.state = ClientState::Ended;
                Some(if self.invite { Timer::D } else { Timer::K }.fired())
            }
            ClientState::Calling { .. }
            | ClientState::Proceeding { .. }
            | ClientState::Accepted { .. }
            | ClientState::Completed { .. }
            | ClientState::Ended => None,
        }
    }
}
