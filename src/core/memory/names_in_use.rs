//! When the shell was told last that calls go out to a trunk's name. It keeps a name fresh for a while after that, and then forgets it.
//! Remembers only that.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::NameId;

/// How often that is said while calls go on. It is much less than the time for which a name is kept.
const AGAIN: Duration = Duration::from_secs(30);

/// Fewest names that are looked through for those that can be forgotten.
const FEW: usize = 1024;

/// The names that calls go out to, of those of the configuration.
#[derive(Debug, Default)]
pub(crate) struct NamesInUse {
    told: HashMap<NameId, Instant>,
    /// When there are so many, those are forgotten that would be said again.
    full: usize,
}

impl NamesInUse {
    /// Notes that a call goes out to a name. Returns whether that is to be said now.
    pub(crate) fn used(&mut self, now: Instant, name: NameId) -> bool {
        let fresh = |told: Instant| now.saturating_duration_since(told) < AGAIN;
        if self.told.get(&name).is_some_and(|&told| fresh(told)) {
            return false;
        }
        if self.told.len() >= self.full.max(FEW) {
            self.told.retain(|_, told| fresh(*told));
            self.full = self.told.len().saturating_mul(2);
        }
        self.told.insert(name, now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_from_time_to_time() {
        let (mut names, start) = (NamesInUse::default(), Instant::now());
        assert!(names.used(start, NameId(1)));
        assert!(!names.used(start + AGAIN / 2, NameId(1)));
        assert!(names.used(start, NameId(0)) && names.used(start + AGAIN, NameId(1)));
        for at in 0..10_000 {
            names.used(start + AGAIN * 2 + AGAIN * at, NameId(at));
        }
        assert!(names.told.len() <= FEW, "what is said again anyway is forgotten");
    }
}
