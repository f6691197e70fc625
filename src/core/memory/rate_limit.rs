//! How much each source may send. The memory is bounded, and the caller passes the time in.
//!
//! Requests within the rate are served. As many again are answered 503, so that a carrier tries a sibling. Any more are dropped
//! without an answer, because answers feed a flood.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use crate::source::counted_as;

/// What to do with one more request of a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Within the rate: serve it.
    Within,
    /// Above the rate: refuse it.
    Over,
    /// Far above the rate: drop it without an answer.
    Flood,
}

/// The sources seen lately, in two generations. If the young one is full it becomes the old one, and the former old one is
/// forgotten.
#[derive(Debug)]
pub(crate) struct RateLimit {
    young: HashMap<IpAddr, Pair>,
    old: HashMap<IpAddr, Pair>,
    half: usize,
}

/// When the next request would be exactly on time: for served requests, and for refused ones (a leaky bucket each, as GCRA).
#[derive(Clone, Copy, Debug)]
struct Pair {
    served: Instant,
    told: Instant,
}

/// How far ahead of its time a source may be: it may send a second's worth of requests at once.
const BURST: Duration = Duration::from_secs(1);

impl RateLimit {
    /// Remembers up to `sources` sources.
    pub(crate) fn new(sources: usize) -> Self {
        Self { young: HashMap::new(), old: HashMap::new(), half: (sources / 2).max(1) }
    }

    /// Remembers up to `sources` sources from now on. A source that is remembered stays until its room is needed.
    pub(crate) fn bound(&mut self, sources: usize) {
        self.half = (sources / 2).max(1);
    }

    /// Judges one more request from `ip`, which may send `rate` requests a second.
    pub(crate) fn pace(&mut self, now: Instant, ip: IpAddr, rate: u32) -> Pace {
        let ip = counted_as(ip);
        let interval = per_second(rate);
        let known = self.young.get(&ip).or_else(|| self.old.get(&ip)).copied();
        let mut pair = known.unwrap_or(Pair { served: now, told: now });
        let pace = if take(&mut pair.served, now, interval) {
            Pace::Within
        } else if take(&mut pair.told, now, interval) {
            Pace::Over
        } else {
            Pace::Flood
        };
        if self.young.len() >= self.half && !self.young.contains_key(&ip) {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(ip, pair);
        pace
    }
}

fn take(due: &mut Instant, now: Instant, interval: Duration) -> bool {
    let next = next_due(*due, now, interval);
    *due = next.unwrap_or(*due);
    next.is_some()
}

/// The time between two at this rate.
pub(crate) fn per_second(rate: u32) -> Duration {
    Duration::from_secs(1) / rate.max(1)
}

/// When the one after this one would be exactly on time. `None`: this one is not within the rate.
pub(crate) fn next_due(due: Instant, now: Instant, interval: Duration) -> Option<Instant> {
    let next = due.max(now) + interval;
    (next.saturating_duration_since(now) <= BURST).then_some(next)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_the_rate_tells_as_many_and_drops_the_rest() {
        let (mut paces, start, ip) = (RateLimit::new(10), Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let mut counts = [0; 3];
        for _ in 0..50 {
            counts[paces.pace(start, ip, 10) as usize] += 1;
        }
        assert_eq!(counts, [10, 10, 30]);
        assert_eq!(paces.pace(start + Duration::from_millis(100), ip, 10), Pace::Within);
        assert_eq!(paces.pace(start, IpAddr::from([192, 0, 2, 2]), 10), Pace::Within, "another source is not held to it");
    }

    #[test]
    fn steady_overload_still_serves_the_rate() {
        let (mut paces, start, ip) = (RateLimit::new(10), Instant::now(), IpAddr::from([192, 0, 2, 1]));
        let served = (0..4000).filter(|at| paces.pace(start + Duration::from_millis(*at), ip, 10) == Pace::Within).count();
        assert!((45..=50).contains(&served), "{served}");
    }

    #[test]
    fn an_ipv6_network_is_one_source() {
        let (mut paces, start) = (RateLimit::new(100), Instant::now());
        let mut within = |net: u16| {
            let of = |host: u16| IpAddr::from([0x2001, 0xdb8, 0, net, 0, 0, 0, host]);
            (0..50).filter(|&host| paces.pace(start, of(host), 10) == Pace::Within).count()
        };
        assert_eq!((within(1), within(2)), (10, 10));
    }

    #[test]
    fn memory_is_bounded() {
        let (mut paces, start) = (RateLimit::new(100), Instant::now());
        for at in 0..10_000_u32 {
            paces.pace(start, IpAddr::V4(at.into()), 10);
        }
        assert!(paces.young.len() + paces.old.len() <= 100);
    }
}
