//! The time of day, which the core is told: it has no clock of its own. Only what leaves this node needs it.

use std::time::{Duration, Instant};

/// What the core was told last.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct WallClock {
    told: Option<(Instant, Duration)>,
}

impl WallClock {
    /// Takes in what time it is: the time since 1970.
    pub(crate) fn tell(&mut self, now: Instant, since_1970: Duration) {
        self.told = Some((now, since_1970));
    }

    /// A moment in seconds since 1970. `None`: nobody has told the time.
    pub(crate) fn seconds(&self, at: Instant) -> Option<u32> {
        let (then, time) = self.told?;
        let time = match at.checked_duration_since(then) {
            Some(since) => time.checked_add(since)?,
            None => time.checked_sub(then.saturating_duration_since(at))?,
        };
        u32::try_from(time.as_secs()).ok().filter(|&seconds| seconds > 0)
    }
}
