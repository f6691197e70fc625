//! Calls refused lately, to recognise one that comes again: the carrier retries although it was told not to.
//!
//! The answer is kept with the call, so that a repeat is told the same. Bounded: two generations, the older one is forgotten
//! when the younger one is full.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::{ProjectId, TrunkId};
use crate::reason::Reason;

/// How long a refused call is remembered.
const KEEP: Duration = Duration::from_secs(60);

/// What a call was told.
#[derive(Clone, Debug)]
pub(super) struct Told {
    /// The status code.
    pub(super) code: u16,
    /// Why.
    pub(super) reason: Reason,
    /// Whose call, if known.
    pub(super) project: Option<ProjectId>,
    /// Whose call, if known.
    pub(super) trunk: Option<TrunkId>,
    /// The rows that explain it.
    pub(super) rows: Box<[u8]>,
    /// The request that was told: its branch, sent-by and `CSeq`. The same again is a retransmission, not a repeat.
    pub(super) request: u128,
    /// When.
    pub(super) at: Instant,
}

/// The calls refused in the last minute, by Call-ID and From-tag.
#[derive(Debug)]
pub(super) struct Repeats {
    young: HashMap<u128, Told>,
    old: HashMap<u128, Told>,
    half: usize,
}

impl Repeats {
    /// Remembers up to `calls` calls.
    pub(super) fn new(calls: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (calls / 2).max(1) }
    }

    /// What the call was told, if that is less than a minute ago.
    pub(super) fn told(&self, now: Instant, call: u128) -> Option<&Told> {
        let told = self.young.get(&call).or_else(|| self.old.get(&call))?;
        (now.saturating_duration_since(told.at) < KEEP).then_some(told)
    }

    /// Remembers what a call was told.
    pub(super) fn tell(&mut self, call: u128, told: Told) {
        if self.young.len() >= self.half && !self.young.contains_key(&call) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(call, told);
    }

    /// Forgets everything: the rules have changed.
    pub(super) fn clear(&mut self) {
        self.young.clear();
        self.old.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_a_minute_and_when_full() {
        let (mut repeats, start) = (Repeats::new(4), Instant::now());
        let told = |at| Told {
            code: 603,
            reason: Reason::ForeignEndpoint,
            project: None,
            trunk: None,
            rows: Box::default(),
            request: 0,
            at,
        };
        repeats.tell(1, told(start));
        assert!(repeats.told(start + Duration::from_secs(59), 1).is_some());
        assert!(repeats.told(start + KEEP, 1).is_none());
        for call in 2..100 {
            repeats.tell(call, told(start));
        }
        assert!(repeats.told(start, 1).is_none());
        assert!(repeats.told(start, 99).is_some());
        assert!(repeats.young.len() + repeats.old.len() <= 4);
    }
}
