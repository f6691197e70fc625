//! How fast each side of a trunk's calls sends inside dialogs. Holds at most the trunks that have calls: one that has been slower than it
//! may be is forgotten. The caller passes the time in.
//!
//! Judging only reads, because a decision may have to wait and is then made again. A request is counted when it goes on.

use std::collections::HashMap;
use std::time::Instant;

use foldhash::fast::RandomState;

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

/// Fewest trunks that are looked through for those that can be forgotten.
const FEW: usize = 1024;

/// The pace of all trunks. One that is not in it is on time.
#[derive(Debug, Default)]
pub(crate) struct DialogPace {
    trunks: HashMap<TrunkId, TrunkPace, RandomState>,
    /// When there are so many, those on time are forgotten.
    full: usize,
}

impl TrunkPace {
    fn is_on_time(&self, now: Instant) -> bool {
        self.told <= now && self.served.iter().all(|&due| due <= now)
    }
}

impl DialogPace {
    /// Judges one more request.
    pub(crate) fn judge(&self, now: Instant, sender: Sender, limits: &Limits) -> Pace {
        let interval = per_second(sender.rate(limits));
        let Some(due) = self.trunks.get(&sender.trunk) else { return Pace::Within };
        let served = due.served.get(sender.place()).is_none_or(|&served| next_due(served, now, interval).is_some());
        match served {
            true => Pace::Within,
            false if next_due(due.told, now, interval).is_some() => Pace::Over,
            false => Pace::Flood,
        }
    }

    /// Counts one that goes on.
    pub(crate) fn served(&mut self, now: Instant, sender: Sender, limits: &Limits) {
        count(self.of(now, sender.trunk).served.get_mut(sender.place()), now, sender, limits);
    }

    /// Counts one that was refused.
    pub(crate) fn told(&mut self, now: Instant, sender: Sender, limits: &Limits) {
        count(Some(&mut self.of(now, sender.trunk).told), now, sender, limits);
    }

    fn of(&mut self, now: Instant, trunk: TrunkId) -> &mut TrunkPace {
        if self.trunks.len() >= self.full.max(FEW) {
            self.trunks.retain(|_, due| !due.is_on_time(now));
            self.full = self.trunks.len().saturating_mul(2);
        }
        self.trunks.entry(trunk).or_insert(TrunkPace { served: [now; 4], told: now })
    }

    /// Takes in another configuration, with other numbers of the trunks.
    pub(crate) fn renumber(&mut self, moved: impl Fn(TrunkId) -> Option<TrunkId>) {
        self.trunks = self.trunks.drain().filter_map(|(id, due)| Some((moved(id)?, due))).collect();
    }
}

fn count(due: Option<&mut Instant>, now: Instant, sender: Sender, limits: &Limits) {
    if let Some(due) = due {
        *due = next_due(*due, now, per_second(sender.rate(limits))).unwrap_or(*due);
    }
}
