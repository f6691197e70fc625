//! How long an answer holds, when to ask again, and what to do if no name server answers. Pure: the time comes in as an argument.

use std::time::{Duration, Instant};

use super::record::{LookupFailure, RecordSet};
use super::walk::Known;

/// The shortest time between two look-ups of a question, whatever the TTL.
const SHORTEST: Duration = Duration::from_secs(1);
/// The longest time between two look-ups of a question.
pub(super) const LONGEST: Duration = Duration::from_secs(3600);
/// How long "no such name" and "no such record" hold at most, whatever the zone says, so that a new server is soon used.
pub(super) const NEGATIVE: Duration = Duration::from_secs(30);
/// The longest time between a failed look-up and the next one.
const BACK_OFF: Duration = Duration::from_secs(30);

/// The result of a look-up.
pub(super) type Found = Result<RecordSet, LookupFailure>;

/// What is known of one question, and how well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    state: State,
    learnt: Instant,
    expires: Instant,
    due: Option<Instant>,
    failures: u32,
    failed: Option<(LookupFailure, Instant)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum State {
    Never,
    Answered(RecordSet),
    Expired,
}

impl Answer {
    /// No answer is known, and a look-up is due at once.
    pub(super) fn unknown(now: Instant) -> Self {
        Self { state: State::Never, learnt: now, expires: now, due: Some(now), failures: 0, failed: None }
    }

    /// What a walk may know of the answer.
    pub(super) fn known(&self) -> Known<'_> {
        match &self.state {
            State::Never => Known::Never(self.failures, self.failed.map(|(failure, _)| failure)),
            State::Answered(set) => Known::Answer(set),
            State::Expired => Known::Expired,
        }
    }

    /// When to look it up next. `None`: a look-up is under way.
    pub(super) fn due(&self) -> Option<Instant> {
        self.due
    }

    /// Notes that a look-up is under way.
    pub(super) fn asked(&mut self) {
        self.due = None;
    }

    /// Notes that a look-up was lost with the task that made it: due at once.
    pub(super) fn again(&mut self, now: Instant) {
        self.due.get_or_insert(now);
    }

    /// Makes a look-up due at once, although the last one has failed, unless one is under way.
    pub(super) fn hurry(&mut self, now: Instant) {
        if self.failures > 0 {
            self.due = self.due.map(|due| due.min(now));
        }
    }

    /// Makes the look-up of what has no records due at this time, if it would be later.
    pub(super) fn soon(&mut self, at: Instant) {
        if !self.serves() {
            self.due = self.due.map(|due| due.min(at));
        }
    }

    /// How long ago the answer in use was last confirmed. `None`: no answer is in use.
    pub(super) fn age(&self, now: Instant) -> Option<Duration> {
        self.serves().then(|| now.saturating_duration_since(self.learnt))
    }

    /// How far the answer in use is beyond its TTL because look-ups fail.
    pub(super) fn stale(&self, now: Instant) -> Option<Duration> {
        (self.failures > 0 && self.serves() && now > self.expires).then(|| now.saturating_duration_since(self.expires))
    }

    /// Why and when the last look-up failed, unless one has succeeded since.
    pub(super) fn failed(&self) -> Option<(LookupFailure, Instant)> {
        self.failed
    }

    fn serves(&self) -> bool {
        matches!(&self.state, State::Answered(set) if set.serves())
    }

    /// Takes in the result of a look-up. `stale`: how long an expired answer may serve while there is no other.
    pub(super) fn take(&mut self, now: Instant, found: Found, stale: Duration) {
        let set = match found {
            Ok(set) => set,
            Err(failure) => return self.fail(now, failure, stale),
        };
        let ttl = set.ttl(NEGATIVE).min(LONGEST);
        (self.failures, self.failed) = (0, None);
        (self.learnt, self.expires) = (now, now + ttl);
        // Before it expires: a call must not find it gone (80 % of the TTL).
        self.due = Some(now + (ttl * 4 / 5).max(SHORTEST));
        self.state = State::Answered(set);
    }

    fn fail(&mut self, now: Instant, failure: LookupFailure, stale: Duration) {
        let wait = SHORTEST.saturating_mul(1 << self.failures.min(5)).min(BACK_OFF);
        self.failures = self.failures.saturating_add(1);
        self.failed = Some((failure, now));
        self.due = Some(now + wait);
        // "None" has nothing that could be too old to serve: it stays until there is another answer.
        if self.serves() {
            let end = self.expires + stale;
            if end <= now {
                self.state = State::Expired;
            } else {
                // The end of a stale answer must not wait for a retry that comes later.
                self.due = Some((now + wait).min(end));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::record::{Data, End, Record};

    const STALE: Duration = Duration::from_secs(600);

    fn set(ttl: u64) -> RecordSet {
        let data = Data::Address([127, 0, 0, 2].into());
        RecordSet { aliases: Vec::new(), end: End::Records(vec![Record { ttl: Duration::from_secs(ttl), data }]) }
    }

    fn none(ttl: Option<u64>) -> RecordSet {
        RecordSet { aliases: Vec::new(), end: End::NoName(ttl.map(Duration::from_secs)) }
    }

    fn after(answer: &Answer, now: Instant) -> Duration {
        answer.due().unwrap() - now
    }

    fn serves(answer: &Answer, expected: &RecordSet) -> bool {
        matches!(answer.known(), Known::Answer(set) if set == expected)
    }

    #[test]
    fn asked_again_before_it_expires() {
        let now = Instant::now();
        for (ttl, due) in [(300, 240), (0, 1), (1, 1), (7200, 2880), (u64::from(u32::MAX), 2880)] {
            let mut answer = Answer::unknown(now);
            assert!(matches!(answer.known(), Known::Never(0, None)));
            assert_eq!(answer.due(), Some(now));
            answer.asked();
            assert_eq!(answer.due(), None);
            answer.take(now, Ok(set(ttl)), STALE);
            assert!(serves(&answer, &set(ttl)));
            assert_eq!(after(&answer, now), Duration::from_secs(due), "TTL {ttl}");
        }
    }

    #[test]
    fn no_such_name_is_an_answer_that_holds_briefly() {
        let now = Instant::now();
        for (ttl, due) in [(None, 24), (Some(86_400), 24), (Some(10), 8), (Some(0), 1)] {
            let mut answer = Answer::unknown(now);
            answer.take(now, Ok(set(60)), STALE);
            answer.take(now, Ok(none(ttl)), STALE);
            assert!(serves(&answer, &none(ttl)), "no stale address serves where DNS says that there is none");
            assert_eq!(after(&answer, now), Duration::from_secs(due));
        }
    }

    #[test]
    fn the_old_answer_serves_until_it_is_too_old() {
        let mut now = Instant::now();
        let start = now;
        let mut answer = Answer::unknown(now);
        answer.take(now, Ok(set(60)), STALE);
        let mut waits = Vec::new();
        while serves(&answer, &set(60)) {
            now = answer.due().unwrap();
            answer.take(now, Err(LookupFailure::Silent), STALE);
            let late = (now - start).saturating_sub(Duration::from_secs(60));
            let expected = (!late.is_zero() && late < STALE).then_some(late);
            assert_eq!(answer.stale(now), expected);
            waits.push(answer.due().unwrap() - now);
        }
        assert_eq!(now - start, Duration::from_secs(660), "exactly the TTL and the time for stale answers");
        assert!(matches!(answer.known(), Known::Expired));
        assert_eq!((answer.age(now), answer.failed()), (None, Some((LookupFailure::Silent, now))));
        assert_eq!(waits[..6], [1, 2, 4, 8, 16, 30].map(Duration::from_secs));
        answer.take(now, Ok(set(60)), STALE);
        assert!(serves(&answer, &set(60)), "and it comes back");
        assert_eq!((answer.stale(now), answer.failed()), (None, None));
    }

    #[test]
    fn none_does_not_grow_stale() {
        let now = Instant::now();
        let mut answer = Answer::unknown(now);
        answer.take(now, Ok(none(None)), STALE);
        answer.take(now + 2 * STALE, Err(LookupFailure::Refused), STALE);
        assert!(serves(&answer, &none(None)));
        assert_eq!(answer.stale(now + 2 * STALE), None);
    }

    #[test]
    fn what_was_never_answered_stays_unknown() {
        let now = Instant::now();
        let mut answer = Answer::unknown(now);
        for failures in 1..40 {
            answer.take(now, Err(LookupFailure::ServerFailed), STALE);
            let known = answer.known();
            assert!(matches!(known, Known::Never(n, Some(LookupFailure::ServerFailed)) if n == failures), "{known:?}");
            assert!(after(&answer, now) <= BACK_OFF);
        }
    }

    #[test]
    fn only_a_wait_after_a_failure_can_be_cut_short() {
        let now = Instant::now();
        let mut answer = Answer::unknown(now);
        answer.take(now, Ok(set(300)), STALE);
        answer.hurry(now);
        assert_eq!(after(&answer, now), Duration::from_secs(240));
        answer.take(now, Err(LookupFailure::Silent), STALE);
        answer.hurry(now);
        assert_eq!(answer.due(), Some(now));
        answer.asked();
        answer.hurry(now);
        assert_eq!(answer.due(), None, "it is under way");
    }
}
