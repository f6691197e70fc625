//! BYEs of our own: each repeated until it is answered or its time is over (RFC 3261 17.1.2).
//!
//! Nobody asked for them, so there is nobody to tell: an answer only ends the repetitions. What was said of a leg is remembered as
//! long as whatever led to it may be repeated, so that one leg gets one BYE.

use std::collections::{BTreeSet, HashMap};
use std::time::Instant;

use crate::config::{ListenerId, Timers};
use crate::core::io::{Destination, Outcome, Output, Send};
use crate::core::reload::renumber::Moved;
use crate::core::state::Core;
use crate::core::transaction::timer::Resend;
use crate::sip::{Method, Response};

/// Legs remembered. Beyond: each BYE is sent once, and again whenever what led to it comes again.
const MOST: usize = 1024;

/// All of one core, by the nonce in their branch.
#[derive(Debug, Default)]
pub(crate) struct Byes {
    legs: HashMap<u64, OwnBye>,
    due: BTreeSet<(Instant, u64)>,
    /// Those that wait for an answer.
    open: usize,
}

#[derive(Debug)]
struct OwnBye {
    send: Send,
    /// `None`: over a stream, or answered.
    resend: Option<Resend>,
    open: bool,
    until: Instant,
}

impl OwnBye {
    fn deadline(&self) -> Instant {
        self.resend.map_or(self.until, |resend| resend.at.min(self.until))
    }
}

impl Byes {
    /// Whether a leg was ended a moment ago.
    pub(crate) fn knows(&self, nonce: u64) -> bool {
        self.legs.contains_key(&nonce)
    }

    /// A BYE is being sent for the first time.
    pub(crate) fn begin(&mut self, now: Instant, nonce: u64, send: &Send, timers: &Timers) {
        if self.legs.len() >= MOST || self.knows(nonce) {
            return;
        }
        let resend = (!send.transport.reliable()).then(|| Resend::after(now, timers));
        let bye = OwnBye { send: send.clone(), resend, open: true, until: now + timers.t1 * 64 };
        self.due.insert((bye.deadline(), nonce));
        self.legs.insert(nonce, bye);
        self.open += 1;
    }

    /// An answer has come; `false` if it is to none of these.
    fn answered(&mut self, nonce: u64, code: u16) -> bool {
        let Some(bye) = self.legs.get_mut(&nonce) else { return false };
        if code >= 200 && bye.open {
            self.due.remove(&(bye.deadline(), nonce));
            (bye.open, bye.resend) = (false, None);
            self.due.insert((bye.until, nonce));
            self.open -= 1;
        }
        true
    }

    /// Repeats what is due, forgets what is over.
    pub(crate) fn expire(&mut self, now: Instant, timers: &Timers, out: &mut Vec<Output>) {
        while let Some((_, nonce)) = self.due.first().copied().filter(|&(at, _)| at <= now) {
            self.due.pop_first();
            let Some(bye) = self.legs.get_mut(&nonce) else { continue };
            if bye.until <= now {
                self.open -= usize::from(bye.open);
                self.legs.remove(&nonce);
                continue;
            }
            if let Some(resend) = &mut bye.resend {
                resend.double(timers.t2);
                out.push(Output::Send(bye.send.clone()));
            }
            self.due.insert((bye.deadline(), nonce));
        }
    }

    /// When something is due next.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at)
    }

    /// The listeners that they are sent from, and that asked for them.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.legs.values().flat_map(|OwnBye { send, .. }| {
            let asked = match send.to {
                Destination::Peer(peer) => peer.listener(),
                Destination::Fenced(_) => send.listener,
            };
            [send.listener, asked]
        })
    }

    /// Another configuration: the same legs under its numbers.
    pub(crate) fn renumber(&mut self, moved: &Moved) {
        for bye in self.legs.values_mut() {
            moved.renumber_send(&mut bye.send);
        }
    }

    /// How many wait for an answer.
    pub(crate) fn open(&self) -> usize {
        self.open
    }
}

impl Core {
    /// A response to a BYE of ours, if it is that.
    pub(crate) fn parted(&mut self, nonce: u64, response: &Response<'_>) -> Outcome {
        if response.method == Method::Bye && self.byes.answered(nonce, response.code) {
            return Outcome::Absorbed;
        }
        Outcome::Stray
    }
}
