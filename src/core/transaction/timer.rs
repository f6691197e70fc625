//! The timers of RFC 3261, and one wheel that wakes the forwarded requests that wait for one.
//!
//! Most SIP timers are stopped before they fire, so nothing is ever removed from the wheel. If an entry fires, its transaction
//! says what is really due, and the entry is set again for the next timer. Inserting costs a push; the precision is one slot. An
//! entry is four octets, because there is one for each transaction. If it finds another transaction in its slot, that one is not due
//! yet.

use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::Timers;

/// Slots in one turn of the wheel.
const SLOTS: usize = 16_384;
/// The width of a slot. 16 384 slots are 65 s. An entry that is due later is woken at the end and set again.
const TICK: Duration = Duration::from_millis(4);

/// A message that is sent again and again.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Resend {
    /// When it is sent next.
    pub(crate) at: Instant,
    /// The time since the last sending.
    pub(crate) interval: Duration,
}

impl Resend {
    /// The first repetition after T1.
    pub(crate) fn after(now: Instant, timers: &Timers) -> Self {
        Self { at: now + timers.t1, interval: timers.t1 }
    }

    /// Sets the next sending, after twice the time but at most `cap`.
    pub(crate) fn double(&mut self, cap: Duration) {
        self.interval = (self.interval * 2).min(cap);
        self.at += self.interval;
    }
}

/// The timers of RFC 3261 17 (table 4), RFC 6026 and a proxy's own, by their letters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timer {
    /// An INVITE over UDP is sent again: after T1, then after twice the time each (17.1.1.2).
    A,
    /// Nothing has come back to an INVITE: 64*T1 (17.1.1.2).
    B,
    /// An INVITE has rung too long: `timers.c`, above 3 minutes (16.6 step 11). It is cancelled.
    C,
    /// Repetitions of the final response to an INVITE are acknowledged until then: 64*T1, 0 on a stream (17.1.1.2).
    D,
    /// Another request over UDP is sent again: after T1, then after twice the time up to T2 (17.1.2.2).
    E,
    /// Nothing final has come back to another request: 64*T1 (17.1.2.2).
    F,
    /// Our final response to an INVITE over UDP is sent again: after T1, then after twice the time up to T2 (17.2.1).
    G,
    /// Our final response to an INVITE was not acknowledged: 64*T1 (17.2.1).
    H,
    /// Repetitions of that ACK are absorbed until then: T4, 0 on a stream (17.2.1).
    I,
    /// Repetitions of another request are answered until then: 64*T1, 0 on a stream (17.2.2).
    J,
    /// Repetitions of the response to another request are absorbed until then: T4, 0 on a stream (17.1.2.2).
    K,
    /// Repetitions of an INVITE that was answered 2xx are absorbed until then: 64*T1 (RFC 6026 7.1).
    L,
    /// More 2xx responses to an INVITE pass until then: 64*T1 (RFC 6026 7.2).
    M,
    /// Another request gets a 100 when its sender's timer E has grown to T2: 7*T1 (RFC 4320 4.1).
    Trying,
    /// A CANCEL was followed by no final response: 64*T1 (9.1).
    CancelIgnored,
}

/// A timer that has fired, with the bytes to send again.
#[derive(Debug)]
pub(crate) struct Fired {
    pub(crate) timer: Timer,
    /// The bytes that are sent again; empty if the timer repeats nothing.
    pub(crate) again: Bytes,
}

/// Where a side stands that sends nothing of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rest {
    /// An INVITE was answered 2xx.
    Accepted,
    /// A final response was passed on.
    Completed,
    /// Its ACK has come.
    Confirmed,
    /// Its time is over.
    Ended,
}

impl Timer {
    /// Fired, with nothing to send again.
    pub(crate) const fn fired(self) -> Fired {
        Fired { timer: self, again: Bytes::new() }
    }

    /// Fired, with these bytes to send again.
    pub(crate) const fn repeats(self, again: Bytes) -> Fired {
        Fired { timer: self, again }
    }
}

/// Entries for which a slot keeps its memory when they have fired.
const KEPT: usize = 16;

/// The wake-ups of the forwarded requests of one core, by their slots in the table.
#[derive(Debug)]
pub(crate) struct Wheel {
    start: Instant,
    slots: Vec<Vec<u32>>,
    occupied: Vec<u64>,
    /// Every tick before this one has been fired.
    next: u64,
    /// The earliest tick with an entry, if any.
    earliest: Option<u64>,
}

impl Wheel {
    pub(crate) fn new(now: Instant) -> Self {
        Self { start: now, slots: vec![Vec::new(); SLOTS], occupied: vec![0; SLOTS / 64], next: 0, earliest: None }
    }

    /// Wakes `one` at or shortly after `at`; returns the time it really will be.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the number of slots, whose 64th part is the length of the bitmap")]
    pub(crate) fn set(&mut self, at: Instant, one: u32) -> Instant {
        let tick = self.tick_after(at).clamp(self.next, self.next + (SLOTS as u64 - 1));
        let place = place(tick);
        self.slots[place].push(one);
        self.occupied[place / 64] |= 1 << (place % 64);
        self.earliest = Some(self.earliest.map_or(tick, |earliest| earliest.min(tick)));
        self.time(tick)
    }

    /// The next time at which it turns, from this one on.
    pub(crate) fn turn(&self, at: Instant) -> Instant {
        self.time(self.tick_after(at).max(self.next))
    }

    /// When the first entry is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.earliest.map(|tick| self.time(tick))
    }

    /// Takes out everything that is due.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the number of slots, whose 64th part is the length of the bitmap")]
    pub(crate) fn due(&mut self, now: Instant, due: &mut Vec<u32>) {
        while let Some(tick) = self.earliest.filter(|&tick| self.time(tick) <= now) {
            let place = place(tick);
            due.append(&mut self.slots[place]);
            // Memory of a burst is given back.
            if self.slots[place].capacity() > KEPT {
                self.slots[place] = Vec::new();
            }
            self.occupied[place / 64] &= !(1 << (place % 64));
            self.next = tick + 1;
            self.earliest = self.first_from(self.next);
        }
        if self.earliest.is_none() {
            // Nothing waits, so the wheel may turn on to the present.
            self.next = self.next.max(self.tick_before(now));
        }
    }

    /// The first occupied tick at or after `from`; all entries are within one turn.
    #[expect(clippy::indexing_slicing, reason = "taken modulo the length of the bitmap")]
    fn first_from(&self, from: u64) -> Option<u64> {
        let words = self.occupied.len();
        let begin = place(from);
        for step in 0..=words {
            let at = (begin / 64 + step) % words;
            let mut word = self.occupied[at];
            if step == 0 {
                word &= u64::MAX << (begin % 64);
            } else if step == words {
                word &= !(u64::MAX << (begin % 64));
            }
            if word != 0 {
                let found = at * 64 + word.trailing_zeros() as usize;
                let ahead = (found + SLOTS - begin) % SLOTS;
                return Some(from + ahead as u64);
            }
        }
        None
    }

    fn time(&self, tick: u64) -> Instant {
        self.start + Duration::from_millis(tick.saturating_mul(4))
    }

    fn tick_before(&self, at: Instant) -> u64 {
        u64::try_from(at.saturating_duration_since(self.start).as_nanos() / TICK.as_nanos()).unwrap_or(u64::MAX)
    }

    fn tick_after(&self, at: Instant) -> u64 {
        let nanos = at.saturating_duration_since(self.start).as_nanos();
        u64::try_from(nanos.div_ceil(TICK.as_nanos())).unwrap_or(u64::MAX)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "less than the number of slots")]
fn place(tick: u64) -> usize {
    (tick % SLOTS as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fires_in_order_and_never_early() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let mut expected: Vec<u32> = (0..5000).map(|at| at * 37 % 60_000).collect();
        for &millis in &expected {
            wheel.set(start + Duration::from_millis(millis.into()), millis);
        }
        expected.sort_unstable();
        let mut fired = Vec::new();
        while let Some(now) = wheel.deadline() {
            let mut due = Vec::new();
            wheel.due(now, &mut due);
            assert!(!due.is_empty());
            for millis in due {
                let at = start + Duration::from_millis(millis.into());
                assert!(at <= now && now < at + TICK, "{millis}");
                fired.push(millis);
            }
        }
        fired.sort_unstable();
        assert_eq!(fired, expected);
    }

    #[test]
    fn beyond_the_turn_is_woken_at_its_end() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let really = wheel.set(start + Duration::from_secs(185), 7);
        assert!(really < start + Duration::from_secs(66) && really > start + Duration::from_secs(65));
        assert_eq!(wheel.deadline(), Some(really));
    }

    #[test]
    fn idle_time_does_not_shorten_the_turn() {
        let start = Instant::now();
        let mut wheel = Wheel::new(start);
        let later = start + Duration::from_secs(3600);
        wheel.due(later, &mut Vec::new());
        let at = later + Duration::from_secs(32);
        assert!(wheel.set(at, 7) >= at);
    }
}
