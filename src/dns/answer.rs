//! How long an answer holds, when to ask again, and what to do when nobody answers. Pure: time comes in as an argument.

use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Addresses kept for one name and family; the rest are not used.
pub(super) const ADDRESSES: usize = 32;
/// The shortest wait between two look-ups of a name, whatever its TTL.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest.
const LONGEST: Duration = Duration::from_secs(3600);
/// "No such name" and "no such record" hold no longer than this, whatever the zone says: a new server must come into use.
const NEGATIVE: Duration = Duration::from_secs(30);
/// The longest wait after failures.
const BACK_OFF: Duration = Duration::from_secs(30);

/// What a look-up came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// Addresses, and how long they hold.
    Addresses(Vec<IpAddr>, Duration),
    /// No such name, or none of this type; and how long that holds, if the zone says so.
    Nothing(Option<Duration>),
    /// Nobody answered, or not to the question.
    Failure,
}

/// The answer for one name and one family of addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    addresses: Option<Vec<IpAddr>>,
    expires: Instant,
    due: Option<Instant>,
    failures: u32,
}

impl Answer {
    /// Nothing known; due at once.
    pub(super) fn unknown(now: Instant) -> Self {
        Self { addresses: None, expires: now, due: Some(now), failures: 0 }
    }

    /// The addresses; `None`: there was no answer yet.
    pub(super) fn addresses(&self) -> Option<&[IpAddr]> {
        self.addresses.as_deref()
    }

    /// When to look it up next; `None` while a look-up is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// A look-up is under way.
    pub(super) fn asked(&mut self) {
        self.due = None;
    }

    /// A look-up is lost with whoever made it: due at once.
    pub(super) fn again(&mut self, now: Instant) {
        self.due.get_or_insert(now);
    }

    /// Takes in what a look-up came to. `stale`: how long an expired answer may serve while there is no other.
    pub(super) fn take(&mut self, now: Instant, found: Found, stale: Duration) {
        let (addresses, ttl) = match found {
            Found::Addresses(addresses, ttl) => (addresses, ttl),
            Found::Nothing(ttl) => (Vec::new(), ttl.unwrap_or(NEGATIVE).min(NEGATIVE)),
            Found::Failure => return self.fail(now, stale),
        };
        self.failures = 0;
        self.expires = now + ttl.min(LONGEST);
        // Before it expires: a call must not find it gone (80 % of the TTL).
        self.due = Some(now + (ttl * 4 / 5).clamp(SHORTEST, LONGEST));
        self.addresses = Some(addresses.into_iter().take(ADDRESSES).collect());
    }

    fn fail(&mut self, now: Instant, stale: Duration) {
        let wait = SHORTEST.saturating_mul(1 << self.failures.min(5)).min(BACK_OFF);
        self.failures = self.failures.saturating_add(1);
        self.due = Some(now + wait);
        if let Some(addresses) = &mut self.addresses {
            let end = self.expires + stale;
            if end <= now {
                addresses.clear();
            } else if !addresses.is_empty() {
                // The end of a stale answer must not wait for a retry that comes later.
                self.due = Some((now + wait).min(end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(600);

    fn addresses() -> Vec<IpAddr> {
        vec!["127.0.0.2".parse().unwrap(), "127.0.0.3".parse().unwrap()]
    }

    fn after(answer: &Answer, now: Instant) -> Duration {
        answer.due().unwrap() - now
    }

    #[test]
    fn asked_again_before_it_expires() {
        let now = Instant::now();
        for (ttl, due) in [(300, 240), (0, 1), (1, 1), (7200, 3600), (u32::MAX, 3600)] {
            let mut answer = Answer::unknown(now);
            assert_eq!((answer.addresses(), answer.due()), (None, Some(now)));
            answer.asked();
            assert_eq!(answer.due(), None);
            answer.take(now, Found::Addresses(addresses(), Duration::from_secs(ttl.into())), STALE);
            assert_eq!(answer.addresses(), Some(&*addresses()));
            assert_eq!(after(&answer, now), Duration::from_secs(due), "TTL {ttl}");
        }
    }

    #[test]
    fn no_such_name_is_an_answer_that_holds_briefly() {
        let now = Instant::now();
        for (ttl, due) in [(None, 24), (Some(86_400), 24), (Some(10), 8), (Some(0), 1)] {
            let mut answer = Answer::unknown(now);
            answer.take(now, Found::Addresses(addresses(), STALE), STALE);
            answer.take(now, Found::Nothing(ttl.map(Duration::from_secs)), STALE);
            assert_eq!(answer.addresses(), Some(&[][..]), "no stale address serves where DNS says that there is none");
            assert_eq!(after(&answer, now), Duration::from_secs(due));
        }
    }

    #[test]
    fn the_old_answer_serves_until_it_is_too_old() {
        let mut now = Instant::now();
        let start = now;
        let mut answer = Answer::unknown(now);
        answer.take(now, Found::Addresses(addresses(), Duration::from_secs(60)), STALE);
        let mut waits = Vec::new();
        while answer.addresses() == Some(&*addresses()) {
            now = answer.due().unwrap();
            answer.take(now, Found::Failure, STALE);
            waits.push(answer.due().unwrap() - now);
        }
        assert_eq!(now - start, Duration::from_secs(660), "exactly the TTL and the time for stale answers");
        assert_eq!(answer.addresses(), Some(&[][..]));
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 30].map(Duration::from_secs));
        answer.take(now, Found::Addresses(addresses(), Duration::from_secs(60)), STALE);
        assert_eq!(answer.addresses(), Some(&*addresses()), "and it comes back");
    }

    #[test]
    fn what_was_never_answered_stays_unknown() {
        let now = Instant::now();
        let mut answer = Answer::unknown(now);
        for _ in 0..40 {
            answer.take(now, Found::Failure, STALE);
            assert_eq!(answer.addresses(), None);
            assert!(after(&answer, now) <= BACK_OFF);
        }
    }

    #[test]
    fn an_endless_answer_is_cut_off() {
        let now = Instant::now();
        let mut answer = Answer::unknown(now);
        let many = (0..=255).map(|last| IpAddr::from([127, 0, 0, last])).collect();
        answer.take(now, Found::Addresses(many, STALE), STALE);
        assert_eq!(answer.addresses().map(<[IpAddr]>::len), Some(ADDRESSES));
    }
}
