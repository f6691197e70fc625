//! How fast each side of a trunk's calls sends inside dialogs. As large as the configuration has trunks; the caller passes the time in.
//!
//! Judging only reads, because a decision may have to wait and is then made again. A request is counted when it goes on.

use std::time::Instant;

use crate::config::{Limits, TrunkId};
use crate::core::memory::rate_limit::{Pace, next_due, per_second};
use crate::core::rules::side::Side;
use crate::sip::Method;

/// How many requests inside dialogs a trunk may send for each new one that one of its addresses may send (`per_source`). A call has
/// a few, and a trunk several addresses.
const FOR_EACH_NEW: u32 = 20;
/// Requests a second of the servers in the dialogs of one trunk, at least.
const SERVERS: u32 = 5000;

/// A sender: the side, and whether it sends ACK and BYE. These have their own pace, twice as fast, so that calls end under any
/// load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sender {
    pub(crate) trunk: TrunkId,
    pub(crate) side: Side,
    pub(crate) at_end: bool,
}

impl Sender {
    /// The sender of a request inside a dialog of this trunk.
    pub(crate) fn of(trunk: TrunkId, side: Side, method: Method) -> Self {
        Self { trunk, side, at_end: matches!(method, Method::Ack | Method::Bye) }
    }

    /// How many such requests a second go on.
    pub(crate) fn rate(self, limits: &Limits) -> u32 {
        let rate = limits.per_source.saturating_mul(FOR_EACH_NEW);
        let rate = if self.side == Side::Servers { rate.max(SERVERS) } else { rate };
        if self.at_end { rate.saturating_mul(2) } else { rate }
    }

    fn place(self) -> usize {
        usize::from(self.side == Side::Servers) * 2 + usize::from(self.at_end)
    }
}

/// When the next request of each sender would be exactly on time: for requests that go on, and for refused ones.
#[derive(Clone, Copy, Debug)]
struct TrunkPace {
    served: [Instant; 4],
    told: Instant,
}

/// The pace of all trunks.
#[derive(Debug)]
pub(crate) struct DialogPace(Vec<TrunkPace>);

impl DialogPace {
    /// The pace of this many trunks.
    pub(crate) fn new(now: Instant, trunks: usize) -> Self {
        Self(vec![TrunkPace { served: [now; 4], told: now }; trunks])
    }

    /// Judges one more request.
    pub(crate) fn judge(&self, now: Instant, sender: Sender, limits: &Limits) -> Pace {
        let interval = per_second(sender.rate(limits));
        let Some(due) = self.0.get(sender.trunk.0 as usize) else { return Pace::Within };
        let served = due.served.get(sender.place()).is_none_or(|&served| next_due(served, now, interval).is_some());
        match served {
            true => Pace::Within,
            false if next_due(due.told, now, interval).is_some() => Pace::Over,
            false => Pace::Flood,
        }
    }

    /// Counts one that goes on.
    pub(crate) fn served(&mut self, now: Instant, sender: Sender, limits: &Limits) {
        let due = self.0.get_mut(sender.trunk.0 as usize).and_then(|due| due.served.get_mut(sender.place()));
        count(due, now, sender, limits);
    }

    /// Counts one that was refused.
    pub(crate) fn told(&mut self, now: Instant, sender: Sender, limits: &Limits) {
        count(self.0.get_mut(sender.trunk.0 as usize).map(|due| &mut due.told), now, sender, limits);
    }

    /// Takes in another configuration, with this many trunks and other numbers of them.
    pub(crate) fn renumber(&mut self, now: Instant, trunks: usize, moved: impl Fn(TrunkId) -> Option<TrunkId>) {
        let old = std::mem::replace(self, Self::new(now, trunks));
        for (id, due) in (0..).map(TrunkId).zip(old.0) {
            if let Some(place) = moved(id).and_then(|TrunkId(at)| self.0.get_mut(at as usize)) {
                *place = due;
            }
        }
    }
}

fn count(due: Option<&mut Instant>, now: Instant, sender: Sender, limits: &Limits) {
    if let Some(due) = due {
        *due = next_due(*due, now, per_second(sender.rate(limits))).unwrap_or(*due);
    }
}
