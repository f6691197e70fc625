//! Decides whether the message thread rests before it waits for the next datagram, and for how long. It reads no clock and never rests
//! itself.
//!
//! To sleep until a datagram comes, and to wake up for it with cold caches, costs more than the datagram's own work. Between a few hundred
//! calls a second and the rate at which the queues are never empty, each wake-up finds one or two datagrams. A rest of less than a
//! millisecond lets several gather for one wake-up. The next elements' wake-ups become fewer too, because what is sent to them comes
//! together.
//!
//! While calls are few there is no rest. A call's set-up passes here twice, so it takes at most two rests longer.

use std::time::{Duration, Instant};

/// The longest rest. Everything on the message thread waits for it: connections, timers, commands.
const MOST: Duration = Duration::from_micros(500);
/// So many datagrams are to gather in a rest. More would cost time and save little.
const WANTED: f64 = 10.0;
/// If fewer are to be expected in the longest rest, there is none.
const LEAST: f64 = 2.5;
/// How far back the pace is remembered, in seconds: many bursts of a caller whose clock ticks in milliseconds.
const MEMORY: f64 = 0.05;

/// How fast datagrams come.
#[derive(Debug, Default)]
pub(super) struct ArrivalRate {
    /// Datagrams a second, averaged over [`MEMORY`].
    rate: f64,
    last: Option<Instant>,
}

impl ArrivalRate {
    /// Notes that so many datagrams were taken, and that no more wait. Returns how long to rest for more.
    pub(super) fn emptied(&mut self, now: Instant, taken: u32) -> Option<Duration> {
        let since = self.last.replace(now).map_or(MEMORY, |last| now.saturating_duration_since(last).as_secs_f64());
        self.rate = (self.rate * MEMORY + f64::from(taken)) / (since + MEMORY);
        if self.rate * MOST.as_secs_f64() < LEAST {
            return None;
        }
        Some(MOST.min(Duration::from_secs_f64(WANTED / self.rate)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The last rest after a second of datagrams, `burst` at a time.
    fn rest_at(pace: &mut ArrivalRate, begin: Instant, a_second: u32, burst: u32) -> Option<Duration> {
        let bursts = a_second / burst;
        (1..=bursts).map(|at| pace.emptied(begin + Duration::from_secs(1) * at / bursts, burst)).last().flatten()
    }

    #[test]
    fn there_is_no_rest_while_datagrams_are_few() {
        let (mut pace, begin) = (ArrivalRate::default(), Instant::now());
        assert_eq!(pace.emptied(begin, 1), None, "the first one");
        assert_eq!(pace.emptied(begin, 1), None, "another at the same moment");
        // 500 calls a second, and in bursts.
        assert_eq!(rest_at(&mut ArrivalRate::default(), begin, 3500, 1), None);
        assert_eq!(rest_at(&mut ArrivalRate::default(), begin, 3500, 14), None);
        assert_eq!(rest_at(&mut pace, begin, 1, 1), None);
    }

    #[test]
    fn the_rest_is_as_long_as_several_take_to_gather() {
        let begin = Instant::now();
        let rest = |a_second, burst| rest_at(&mut ArrivalRate::default(), begin, a_second, burst).unwrap();
        // A thousand calls a second are seven thousand datagrams.
        assert_eq!((rest(7000, 1), rest(7000, 28)), (MOST, MOST));
        for (a_second, expected) in [(35_000, 286), (70_000, 143), (140_000, 71)] {
            let (rest, expected) = (rest(a_second, 7), Duration::from_micros(expected));
            assert!(rest.abs_diff(expected) < expected / 20, "{rest:?}, not {expected:?}");
        }
        assert!(rest(10_000_000, 50) < Duration::from_micros(5));
    }

    #[test]
    fn it_follows_the_pace_within_a_moment() {
        let (mut pace, mut now) = (ArrivalRate::default(), Instant::now());
        let mut rests = |every: Duration, count: u32| {
            let mut out = Vec::new();
            for _ in 0..count {
                now += every;
                out.push(pace.emptied(now, 1).is_some());
            }
            out
        };
        assert!(!rests(Duration::from_secs(3600), 1)[0], "after an hour without any");
        let busy = rests(Duration::from_micros(100), 1500);
        assert!(busy.iter().position(|&rests| rests).is_some_and(|at| at < 500) && busy[500..].iter().all(|&rests| rests));
        // The traffic stops: whoever calls a second later waits for nothing.
        assert!(!rests(Duration::from_secs(1), 1)[0]);
    }

    #[test]
    fn a_clock_that_stands_still_is_no_harm() {
        let (mut pace, now) = (ArrivalRate::default(), Instant::now());
        let rests: Vec<_> = (0..100_000).map(|_| pace.emptied(now, u32::MAX)).collect();
        assert!(rests.iter().flatten().all(|&rest| rest <= MOST));
        assert_eq!(pace.emptied(now + Duration::from_secs(u64::from(u32::MAX) * 1_000_000), 1), None);
    }
}
