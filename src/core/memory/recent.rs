//! A bounded memory of the last minute. Forgets by age and, if full, the oldest things.

use crate::core::keys::Keyed;
use std::collections::HashMap;
use std::time::{Duration, Instant};

/// How long anything is remembered.
const KEEP: Duration = Duration::from_secs(60);

/// A bounded memory of the last minute, by keyed hash, in two generations. If the younger one is full, the older one is
/// forgotten.
#[derive(Debug)]
pub(crate) struct Recent<T> {
    young: HashMap<u128, (Instant, T), Keyed>,
    old: HashMap<u128, (Instant, T), Keyed>,
    half: usize,
}

impl<T> Recent<T> {
    /// A memory of up to `most` things.
    pub(crate) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: (most / 2).max(1) }
    }

    /// Whether nothing is remembered: then no key has to be computed.
    pub(crate) fn is_empty(&self) -> bool {
        self.young.is_empty() && self.old.is_empty()
    }

    /// What is remembered under a key, if it is less than a minute old.
    pub(crate) fn get(&self, now: Instant, key: u128) -> Option<&T> {
        let (at, thing) = self.young.get(&key).or_else(|| self.old.get(&key))?;
        (now.saturating_duration_since(*at) < KEEP).then_some(thing)
    }

    /// The same, to change it. It is forgotten no later for that.
    pub(crate) fn get_mut(&mut self, key: u128) -> Option<&mut T> {
        self.young.get_mut(&key).or_else(|| self.old.get_mut(&key)).map(|(_, thing)| thing)
    }

    /// Remembers a thing under a key.
    pub(crate) fn put(&mut self, now: Instant, key: u128, thing: T) {
        if self.young.len() >= self.half && !self.young.contains_key(&key) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, (now, thing));
    }

    /// Remembers up to `most` things from now on. A thing that is remembered stays until its room is needed.
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
