//! When the shell was told last that calls go out to a trunk's name. It keeps a name fresh for a while after that, and then forgets it.
//! Remembers only that.

use std::time::{Duration, Instant};

use crate::config::NameId;

/// How often that is said while calls go on. It is much less than the time for which a name is kept.
const AGAIN: Duration = Duration::from_secs(30);

/// A place for each name of the configuration.
#[derive(Debug)]
pub(crate) struct NamesInUse {
    told: Vec<Option<Instant>>,
}

impl NamesInUse {
    pub(crate) fn new(names: usize) -> Self {
        Self { told: vec![None; names] }
    }

    /// Notes that a call goes out to a name. Returns whether that is to be said now.
    pub(crate) fn used(&mut self, now: Instant, NameId(at): NameId) -> bool {
        let Some(told) = self.told.get_mut(at as usize) else { return false };
        let due = told.is_none_or(|told| now.saturating_duration_since(told) >= AGAIN);
        if due {
            *told = Some(now);
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_at_once_and_then_from_time_to_time() {
        let (mut names, start) = (NamesInUse::new(2), Instant::now());
        assert!(names.used(start, NameId(1)));
        assert!(!names.used(start + AGAIN / 2, NameId(1)));
        assert!(names.used(start, NameId(0)) && names.used(start + AGAIN, NameId(1)));
        assert!(!names.used(start, NameId(2)), "none of ours");
    }
}
