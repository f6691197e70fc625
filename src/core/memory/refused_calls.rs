//! What was refused lately: calls, to recognise one that comes again, and requests whose ACK is still to come.
//!
//! A refusal keeps no transaction. This is all that is remembered of it, for a minute and within a bound.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::{ProjectId, TrunkId};
use crate::core::keys::Keyed;
use crate::core::rules::admit::Refusal;
use crate::reason::Reason;

/// How long anything is remembered.
const KEEP: Duration = Duration::from_secs(60);

/// What a call was told, so that it is told the same again: the carrier retries although it was told not to.
#[derive(Clone, Debug)]
pub(crate) struct RefusedCall {
    /// The status code.
    pub(crate) code: u16,
    /// Why.
    pub(crate) reason: Reason,
    /// Whose call, if known.
    pub(crate) project: Option<ProjectId>,
    /// Whose call, if known.
    pub(crate) trunk: Option<TrunkId>,
    /// The rows that explain it.
    pub(crate) rows: Box<[u8]>,
    /// The request that was told: its branch, sent-by and `CSeq`. The same again is a retransmission, not a repeat.
    pub(crate) request: u128,
}

impl RefusedCall {
    /// What a refusal comes to on the wire: its code and the rows that explain it, for this request.
    pub(crate) fn of(refusal: &Refusal, code: u16, rows: Vec<u8>, request: u128) -> Self {
        let &Refusal { reason, project, trunk, detail: _ } = refusal;
        Self { code, reason, project, trunk, rows: rows.into_boxed_slice(), request }
    }
}

/// A bounded memory of the last minute, by keyed hash. Two generations: when the younger one is full the older one is forgotten.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    young: HashMap<u128, (Instant, T), Keyed>,
    old: HashMap<u128, (Instant, T), Keyed>,
    half: usize,
}

impl<T> Recent<T> {
    /// Remembers up to `most` things.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: (most / 2).max(1) }
    }

    /// What is remembered under a key, if it is less than a minute old.
    pub(crate) fn get(&self, now: Instant, key: u128) -> Option<&T> {
        let (at, thing) = self.young.get(&key).or_else(|| self.old.get(&key))?;
        (now.saturating_duration_since(*at) < KEEP).then_some(thing)
    }

    /// Remembers something.
    pub(crate) fn put(&mut self, now: Instant, key: u128, thing: T) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, (now, thing));
    }

    /// Remembers up to `most` things from now on; whatever is remembered stays until there is no room for it.
    pub(crate) fn bound(&mut self, most: usize) {
        self.half = (most / 2).max(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forgets_after_a_minute_and_when_full() {
        let (mut lately, start) = (Recent::new(4), Instant::now());
        lately.put(start, 1, ());
        assert!(lately.get(start + Duration::from_secs(59), 1).is_some());
        assert!(lately.get(start + KEEP, 1).is_none());
        for key in 2..100 {
            lately.put(start, key, ());
        }
        assert!(lately.get(start, 1).is_none());
        assert!(lately.get(start, 99).is_some());
        assert!(lately.young.len() + lately.old.len() <= 4);
    }
}
