//! Server transactions: RFC 3261 17.2 with RFC 6026 (Accepted) and RFC 4320 (100 to a non-INVITE).
//!
//! Only the states and their timers. What is answered is decided elsewhere.

use std::time::Instant;

use bytes::Bytes;

use crate::config::{Timers, Transport};
use crate::core::io::Peer;
use crate::core::transaction::last_answer::{LastAnswer, RequestText};
use crate::core::transaction::timer::{Fired, Resend, Rest, Timer};

/// Octets of an answer that is kept even if there is no memory left.
const SPARED: usize = 2048;

/// The side of a transaction that faces the sender of the request.
#[derive(Debug)]
pub(crate) struct Server {
    /// The key in the table (17.2.3).
    pub(crate) key: u128,
    /// The peer that sent the request.
    pub(crate) peer: Peer,
    /// The transport by which the request came.
    pub(crate) transport: Transport,
    invite: bool,
    state: ServerState,
    last: Last,
}

/// The last response, to send again for a retransmitted request.
#[derive(Debug)]
enum Last {
    /// None is sent again.
    None,
    /// A provisional one, or the final one of an INVITE, which timer G repeats.
    Whole(Bytes),
    /// The final one of another request.
    Short(LastAnswer),
}

#[derive(Debug)]
enum ServerState {
    /// No final response yet. A non-INVITE gets a 100 when its sender's timer E has grown to T2 (RFC 4320 4.1), not before.
    Proceeding { trying: Option<Instant> },
    /// An INVITE was answered 2xx: its retransmissions are absorbed until timer L (RFC 6026 7.1).
    Accepted { until: Instant },
    /// A final response was sent: timers G and H for an INVITE, J for anything else.
    Completed { resend: Option<Resend>, until: Instant },
    /// The ACK has come: timer I.
    Confirmed { until: Instant },
    /// The transaction is over.
    Ended,
}

impl Server {
    /// A new one. A non-INVITE gets a 100 after 3.5 s with the default T1: when timer E reaches T2.
    pub(crate) fn new(key: u128, peer: Peer, transport: Transport, invite: bool, now: Instant, timers: &Timers) -> Self {
        let trying = (!invite).then(|| now + timers.t1 * 7);
        Self { key, peer, transport, invite, state: ServerState::Proceeding { trying }, last: Last::None }
    }

    /// The octets that it keeps beside itself.
    pub(crate) fn octets(&self) -> usize {
        match &self.last {
            Last::None => 0,
            Last::Whole(bytes) => bytes.len(),
            Last::Short(answer) => answer.len(),
        }
    }

    /// Keeps no long answer. If the request comes again it gets no answer, and the answer is not repeated.
    pub(crate) fn spare(&mut self) {
        if self.octets() > SPARED {
            self.last = Last::None;
        }
    }

    /// Whether no final response has been sent.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, ServerState::Proceeding { .. })
    }

    /// When its INVITE was answered 2xx, if it was.
    pub(crate) fn accepted(&self, timers: &Timers) -> Option<Instant> {
        match self.state {
            ServerState::Accepted { until } => until.checked_sub(timers.t1 * 64),
            _ => None,
        }
    }

    /// Whether a final response to an INVITE, other than 2xx, has not been acknowledged yet.
    pub(crate) fn awaits_ack(&self) -> bool {
        self.invite && matches!(self.state, ServerState::Completed { .. })
    }

    /// A provisional response is being sent.
    pub(crate) fn provisional(&mut self, bytes: &[u8]) {
        if let ServerState::Proceeding { trying } = &mut self.state {
            *trying = None;
            self.last = Last::Whole(Bytes::copy_from_slice(bytes));
        }
    }

    /// A final response is being sent.
    pub(crate) fn finish(&mut self, now: Instant, timers: &Timers, code: u16, bytes: &[u8], asked: RequestText<'_>) {
        let reliable = self.transport.reliable();
        let long = now + timers.t1 * 64;
        if self.invite && code < 300 {
            // The 2xx itself is repeated by the callee, not by us.
            self.last = Last::None;
            self.state = ServerState::Accepted { until: long };
            return;
        }
        let resend = (self.invite && !reliable).then(|| Resend::after(now, timers));
        let until = if self.invite || !reliable { long } else { now };
        self.last =
            if self.invite { Last::Whole(Bytes::copy_from_slice(bytes)) } else { Last::Short(LastAnswer::to(asked, bytes)) };
        self.state = ServerState::Completed { resend, until };
    }

    /// An ACK for a final response that is not 2xx; `false` if it is not one.
    pub(crate) fn acknowledged(&mut self, now: Instant, timers: &Timers) -> bool {
        match self.state {
            ServerState::Completed { .. } if self.invite => {
                let until = if self.transport.reliable() { now } else { now + timers.t4 };
                self.state = ServerState::Confirmed { until };
                self.last = Last::None;
                true
            }
            ServerState::Confirmed { .. } => true,
            _ => false,
        }
    }

    /// Ends the wait for a final response: nothing will be answered (RFC 4320 4.2: a non-INVITE that timed out). Repetitions are
    /// absorbed for a while.
    pub(crate) fn forget(&mut self, now: Instant, timers: &Timers) {
        self.last = Last::None;
        self.state = ServerState::Completed { resend: None, until: now + timers.t4 };
    }

    /// The response to send again for a retransmission of the request, if there is one. `asked`: the retransmission, with its Via
    /// stamped for this peer.
    pub(crate) fn again(&self, asked: impl FnOnce(&Peer) -> Bytes) -> Option<Bytes> {
        match (&self.state, &self.last) {
            (ServerState::Proceeding { .. } | ServerState::Completed { .. }, Last::Whole(bytes)) => Some(bytes.clone()),
            (ServerState::Completed { .. }, Last::Short(answer)) => answer.again(&asked(&self.peer)).map(Bytes::from),
            _ => None,
        }
    }

    /// Where it stands, and until when, if it sends nothing any more unless it is asked again.
    pub(super) fn rest(&self) -> Option<(Rest, Option<Instant>)> {
        match self.state {
            ServerState::Accepted { until } => Some((Rest::Accepted, Some(until))),
            ServerState::Completed { resend: None, until } if !self.invite => Some((Rest::Completed, Some(until))),
            ServerState::Confirmed { until } => Some((Rest::Confirmed, Some(until))),
            ServerState::Ended => Some((Rest::Ended, None)),
            ServerState::Proceeding { .. } | ServerState::Completed { .. } => None,
        }
    }

    /// The last answer, taken out of one that is at rest.
    pub(super) fn take_answer(&mut self) -> Option<LastAnswer> {
        match std::mem::replace(&mut self.last, Last::None) {
            Last::Short(answer) => Some(answer),
            Last::None | Last::Whole(_) => None,
        }
    }

    /// One that stood like this.
    pub(super) fn of_rest(
        key: u128,
        (peer, transport): (Peer, Transport),
        invite: bool,
        (rest, until): (Rest, Instant),
        answer: Option<LastAnswer>,
    ) -> Self {
        let state = match rest {
            Rest::Accepted => ServerState::Accepted { until },
            Rest::Completed => ServerState::Completed { resend: None, until },
            Rest::Confirmed => ServerState::Confirmed { until },
            Rest::Ended => ServerState::Ended,
        };
        Self { key, peer, transport, invite, state, last: answer.map_or(Last::None, Last::Short) }
    }

    /// When the next timer fires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            ServerState::Proceeding { trying } => trying,
            ServerState::Accepted { until } | ServerState::Confirmed { until } => Some(until),
            ServerState::Completed { resend, until } => Some(resend.map_or(until, |resend| resend.at.min(until))),
            ServerState::Ended => None,
        }
    }

    /// What is due now.
    pub(crate) fn due(&mut self, now: Instant, timers: &Timers) -> Option<Fired> {
        match &mut self.state {
            ServerState::Proceeding { trying } if trying.is_some_and(|at| at <= now) => {
                *trying = None;
                Some(Timer::Trying.fired())
            }
            ServerState::Accepted { until } | ServerState::Confirmed { until } | ServerState::Completed { until, .. }
                if *until <= now =>
            {
                let timer = match self.state {
                    ServerState::Accepted { .. } => Timer::L,
                    ServerState::Confirmed { .. } => Timer::I,
                    _ if self.invite => Timer::H,
                    _ => Timer::J,
                };
                self.state = ServerState::Ended;
                self.last = Last::None;
                Some(timer.fired())
            }
            ServerState::Completed { resend: Some(resend), .. } if resend.at <= now => {
                resend.double(timers.t2);
                let Last::Whole(bytes) = &self.last else { return None };
                Some(Timer::G.repeats(bytes.clone()))
            }
            _ => None,
        }
    }
}
