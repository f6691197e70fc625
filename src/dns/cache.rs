//! The records that the configured names need: each question once, and only as long as some name needs it. Pure.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use super::answer::{Answer, Found};
use super::record::{LookupFailure, Question};
use super::walk::{GIVE_UP, Known};
use crate::config::NameId;

/// Most questions beyond those that every configured name has by itself. Further ones count as failed.
const MORE: usize = 4096;
/// The questions that a name has by itself: NAPTR, SRV twice, A, AAAA, and as many again for one server.
const OF_ONE: usize = 8;
/// Look-ups under way at a time.
const AT_ONCE: usize = 64;
/// Those of the names of trunks: the rest is for the regions' own. The owner of the domain of a trunk's name may have many questions
/// asked, and leave all of them without an answer. So one such name may have half of what is free: alone a third.
const OF_TRUNKS: usize = 48;

/// Questions and their answers.
#[derive(Debug)]
pub(super) struct Cache {
    entries: HashMap<Question, Entry>,
    most: usize,
}

#[derive(Debug)]
struct Entry {
    answer: Answer,
    /// The names whose walks need it.
    names: BTreeSet<NameId>,
}

impl Cache {
    /// A cache for this many names.
    pub(super) fn new(names: usize) -> Self {
        Self { entries: HashMap::new(), most: MORE.saturating_add(names.saturating_mul(OF_ONE)) }
    }

    /// What a walk may know of a question.
    pub(super) fn known(&self, question: &Question) -> Known<'_> {
        match self.entries.get(question) {
            Some(entry) => entry.answer.known(),
            None if self.entries.len() >= self.most => Known::Never(GIVE_UP, Some(LookupFailure::TooMany)),
            None => Known::Never(0, None),
        }
    }

    /// Takes in which questions a name needs now, and which it needed before. A question that no name needs any more is dropped.
    pub(super) fn need(&mut self, id: NameId, before: &BTreeSet<Question>, now_needed: &BTreeSet<Question>, now: Instant) {
        for question in before.difference(now_needed) {
            if let Some(entry) = self.entries.get_mut(question) {
                entry.names.remove(&id);
                if entry.names.is_empty() {
                    self.entries.remove(question);
                }
            }
        }
        for question in now_needed {
            self.insert(id, question, || Answer::unknown(now));
        }
    }

    /// Takes over the answers to a name's questions from another cache. A question that was under way there is asked again.
    pub(super) fn inherit(&mut self, id: NameId, questions: &BTreeSet<Question>, from: &Self, now: Instant) {
        for question in questions {
            let Some(known) = from.entries.get(question) else { continue };
            self.insert(id, question, || {
                let mut answer = known.answer.clone();
                answer.again(now);
                // There may be other name servers now.
                answer.hurry(now);
                answer
            });
        }
    }

    fn insert(&mut self, id: NameId, question: &Question, answer: impl FnOnce() -> Answer) {
        if let Some(entry) = self.entries.get_mut(question) {
            entry.names.insert(id);
        } else if self.entries.len() < self.most {
            self.entries.insert(question.clone(), Entry { answer: answer(), names: BTreeSet::from([id]) });
        }
    }

    /// Takes in the result of a look-up. Returns the names that need it: none if nobody needs it any more.
    pub(super) fn take(&mut self, question: &Question, found: Found, now: Instant, stale: Duration) -> BTreeSet<NameId> {
        match self.entries.get_mut(question) {
            Some(entry) => {
                entry.answer.take(now, found, stale);
                entry.names.clone()
            }
            None => BTreeSet::new(),
        }
    }

    /// Takes out the questions that are due, as far as there is room, and counts them as under way: those of regions first, then those that
    /// have waited longest. Also returns when the next one is due. `of_region`: whether a name is a region's.
    pub(super) fn due(&mut self, now: Instant, of_region: impl Fn(NameId) -> bool) -> (Vec<Question>, Option<Instant>) {
        let (mut waiting, mut next): (Vec<(bool, Instant, &Question)>, Option<Instant>) = (Vec::new(), None);
        let mut under_way = UnderWay::default();
        for (question, entry) in &self.entries {
            let of_trunks = !entry.names.iter().any(|&id| of_region(id));
            match entry.answer.due() {
                // What does not fit now is started when one of those under way is done.
                Some(due) if due <= now => waiting.push((of_trunks, due, question)),
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => under_way.add(of_trunks, &entry.names),
            }
        }
        waiting.sort_unstable();
        let mut due_now = Vec::new();
        for (of_trunks, _, question) in waiting {
            let Some(entry) = self.entries.get(question).filter(|entry| under_way.has_room(of_trunks, &entry.names)) else {
                continue;
            };
            under_way.add(of_trunks, &entry.names);
            due_now.push(question.clone());
        }
        for question in &due_now {
            self.entries.entry(question.clone()).and_modify(|entry| entry.answer.asked());
        }
        (due_now, next)
    }

    /// Notes that all look-ups under way are lost.
    pub(super) fn again(&mut self, now: Instant) {
        for entry in self.entries.values_mut() {
            entry.answer.again(now);
        }
    }

    /// Makes a failed question due at once.
    pub(super) fn hurry(&mut self, question: &Question, now: Instant) {
        if let Some(entry) = self.entries.get_mut(question) {
            entry.answer.hurry(now);
        }
    }

    /// Makes a question that has no records due at this time, if it would be later.
    pub(super) fn soon(&mut self, question: &Question, at: Instant) {
        if let Some(entry) = self.entries.get_mut(question) {
            entry.answer.soon(at);
        }
    }

    /// The answer to a question, if some name needs it.
    pub(super) fn answer(&self, question: &Question) -> Option<&Answer> {
        self.entries.get(question).map(|entry| &entry.answer)
    }

    /// Whether any answer in use is stale.
    pub(super) fn is_stale(&self, now: Instant) -> bool {
        self.entries.values().any(|entry| entry.answer.stale(now).is_some())
    }

    /// How many questions there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }
}

/// The look-ups under way.
#[derive(Default)]
struct UnderWay {
    all: usize,
    of_trunks: usize,
    /// Those of trunks, by name.
    of_name: HashMap<NameId, usize>,
}

impl UnderWay {
    fn add(&mut self, of_trunks: bool, names: &BTreeSet<NameId>) {
        self.all += 1;
        if of_trunks {
            self.of_trunks += 1;
            for &id in names {
                *self.of_name.entry(id).or_default() += 1;
            }
        }
    }

    /// Whether one more has room. What several names need waits for the one that has the fewest.
    fn has_room(&self, of_trunks: bool, names: &BTreeSet<NameId>) -> bool {
        let own = names.iter().map(|id| self.of_name.get(id).copied().unwrap_or_default()).min().unwrap_or_default();
        self.all < AT_ONCE && (!of_trunks || own.saturating_mul(2) < OF_TRUNKS.saturating_sub(self.of_trunks))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::record::{End, RecordSet, RecordType};

    fn questions(names: &[&str]) -> BTreeSet<Question> {
        names.iter().map(|&name| Question { name: name.to_owned(), kind: RecordType::A }).collect()
    }

    #[test]
    fn a_question_stays_as_long_as_somebody_needs_it() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let (a, ab) = (questions(&["a"]), questions(&["a", "b"]));
        let mut cache = Cache::new(2);
        cache.need(NameId(0), &none, &ab, now);
        cache.need(NameId(1), &none, &a, now);
        assert_eq!(cache.due(now, |_| true).0.len(), 2, "each is asked once, whoever needs it");
        assert_eq!(cache.due(now, |_| true).0.len(), 0, "they are under way");
        cache.need(NameId(0), &ab, &none, now);
        assert_eq!(cache.len(), 1);
        let set = RecordSet { aliases: Vec::new(), end: End::NoName(None) };
        let gone = questions(&["b"]).pop_first().unwrap();
        assert!(cache.take(&gone, Ok(set.clone()), now, Duration::ZERO).is_empty(), "an answer that comes too late");
        let left = questions(&["a"]).pop_first().unwrap();
        assert_eq!(cache.take(&left, Ok(set), now, Duration::ZERO), BTreeSet::from([NameId(1)]));
        cache.need(NameId(1), &a, &none, now);
        assert_eq!(cache.len(), 0);
    }

    #[test]
    fn what_does_not_fit_counts_as_failed() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let mut cache = Cache::new(0);
        let names: Vec<String> = (0..=MORE).map(|n| n.to_string()).collect();
        let all = questions(&names.iter().map(String::as_str).collect::<Vec<_>>());
        cache.need(NameId(0), &none, &all, now);
        assert_eq!(cache.len(), MORE);
        let left_out = all.iter().filter(|question| cache.answer(question).is_none()).collect::<Vec<_>>();
        assert_eq!(left_out.len(), 1);
        assert!(matches!(cache.known(left_out[0]), Known::Never(_, Some(LookupFailure::TooMany))));
        assert_eq!(cache.due(now, |_| true).0.len(), 64);
        assert!(cache.due(now, |_| true).0.is_empty(), "as many as may be are under way");
    }

    #[test]
    fn a_trunks_unanswered_questions_hold_up_nobody_elses() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let of_region = |id| id == NameId(0);
        let many = |letter: &str| {
            let names: Vec<String> = (0..128).map(|n| format!("{letter}{n}")).collect();
            questions(&names.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let of = |due: &[Question], letter: &str| due.iter().filter(|question| question.name.starts_with(letter)).count();
        let mut cache = Cache::new(6);
        for (id, letter, least) in [(1, "a", 16), (2, "b", 10), (3, "c", 7), (4, "d", 4)] {
            cache.need(NameId(id), &none, &many(letter), now);
            let (due, _) = cache.due(now, of_region);
            assert!((least..=16).contains(&of(&due, letter)) && of(&due, letter) == due.len(), "{letter}: {}", due.len());
        }
        // None of them is answered. Those of a region and of another trunk are asked all the same.
        let later = now + Duration::from_secs(1);
        cache.need(NameId(0), &none, &many("r"), later);
        cache.need(NameId(5), &none, &questions(&["x1", "x2"]), later);
        let (due, _) = cache.due(later, of_region);
        assert_eq!(of(&due, "x"), 0, "the region's go first: all that is left");
        for question in &due {
            cache.take(question, Err(LookupFailure::Silent), later, Duration::ZERO);
        }
        cache.need(NameId(0), &many("r"), &none, later);
        assert_eq!(of(&cache.due(later, of_region).0, "x"), 2);
    }

    #[test]
    fn another_cache_takes_over_what_is_known_and_asks_for_what_was_under_way() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let needed = questions(&["a", "b"]);
        let mut old = Cache::new(1);
        old.need(NameId(0), &none, &needed, now);
        let (asked, _) = old.due(now, |_| true);
        let set = RecordSet { aliases: Vec::new(), end: End::NoName(None) };
        old.take(&asked[0], Ok(set), now, Duration::ZERO);
        let mut new = Cache::new(1);
        new.inherit(NameId(7), &needed, &old, now);
        assert!(matches!(new.known(&asked[0]), Known::Answer(_)));
        assert_eq!(new.due(now, |_| true).0, [asked[1].clone()]);
    }
}
