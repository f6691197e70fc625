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

    /// Takes out the questions that are due, at most `room`, and counts them as under way. Also returns when the next one is due.
    pub(super) fn due(&mut self, now: Instant, room: usize) -> (Vec<Question>, Option<Instant>) {
        let (mut due_now, mut next): (Vec<Question>, Option<Instant>) = (Vec::new(), None);
        for (question, entry) in &mut self.entries {
            match entry.answer.due() {
                Some(due) if due <= now && due_now.len() < room => {
                    entry.answer.asked();
                    due_now.push(question.clone());
                }
                // What does not fit now is started when one of those under way is done.
                Some(due) if due <= now => {}
                Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                None => {}
            }
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
        assert_eq!(cache.due(now, 64).0.len(), 2, "each is asked once, whoever needs it");
        assert_eq!(cache.due(now, 64).0.len(), 0, "they are under way");
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
        assert_eq!(cache.due(now, 64).0.len(), 64);
        assert!(cache.due(now, 0).0.is_empty());
    }

    #[test]
    fn another_cache_takes_over_what_is_known_and_asks_for_what_was_under_way() {
        let (now, none) = (Instant::now(), BTreeSet::new());
        let needed = questions(&["a", "b"]);
        let mut old = Cache::new(1);
        old.need(NameId(0), &none, &needed, now);
        let (asked, _) = old.due(now, 64);
        let set = RecordSet { aliases: Vec::new(), end: End::NoName(None) };
        old.take(&asked[0], Ok(set), now, Duration::ZERO);
        let mut new = Cache::new(1);
        new.inherit(NameId(7), &needed, &old, now);
        assert!(matches!(new.known(&asked[0]), Known::Answer(_)));
        assert_eq!(new.due(now, 64).0, [asked[1].clone()]);
    }
}
