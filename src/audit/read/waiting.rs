//! Calls of which only the answer or only the end has been read: the other may stand in another node's record, or never come.
//!
//! Only joins what has the same name. Counts nothing.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};

use foldhash::fast::RandomState;

/// How much the clocks of two nodes may differ, in seconds.
const CLOCKS: i32 = 60;
/// Most calls that are remembered. What is told of a call after it has failed comes within a minute.
const REMEMBERED: usize = 1 << 16;

/// The name of a call.
pub(crate) type CallKey = [u8; 16];

/// The name of a call as a record has it: 32 hexadecimal digits.
pub(crate) fn call_key(text: &str) -> Option<CallKey> {
    let mut key = CallKey::default();
    let (pairs, rest) = text.as_bytes().as_chunks();
    if pairs.len() != key.len() || !rest.is_empty() {
        return None;
    }
    for (octet, &[high, low]) in key.iter_mut().zip(pairs) {
        let digit = |digit: u8| char::from(digit).to_digit(16);
        *octet = u8::try_from(digit(high)? << 4 | digit(low)?).ok()?;
    }
    Some(key)
}

/// An answer of 2xx.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answered {
    /// Where its counts are.
    pub(crate) place: u32,
    /// When, in seconds since the period began.
    pub(crate) at: i32,
    /// Milliseconds from the INVITE to it.
    pub(crate) setup_ms: Option<u32>,
}

/// The end of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ended {
    /// When, in seconds since the period began.
    pub(crate) at: i32,
    pub(crate) length: LengthSaid,
}

/// How long a call was, as its end says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LengthSaid {
    /// From its answer.
    Seconds(u32),
    /// From its INVITE.
    SinceInvite(u32),
    Nothing,
}

impl Ended {
    /// Whether it can be the end of a call that was answered so.
    pub(crate) fn is_after(&self, answered: &Answered) -> bool {
        self.at.saturating_add(CLOCKS) >= answered.at
    }

    /// How many seconds a call was long that was answered so and ended so.
    pub(crate) fn length_after(&self, answered: &Answered) -> u32 {
        match (self.length, answered.setup_ms) {
            (LengthSaid::Seconds(seconds), _) => seconds,
            (LengthSaid::SinceInvite(seconds), Some(setup)) => seconds.saturating_sub(setup.saturating_add(500) / 1000),
            _ => u32::try_from(self.at.saturating_sub(answered.at)).unwrap_or_default(),
        }
    }
}

/// What waits for something of the same name.
#[derive(Debug)]
pub(crate) struct Waiting<T> {
    by_name: HashMap<CallKey, T, RandomState>,
    /// Several calls may have one name at the same time: those that came when another one waited.
    more: HashMap<CallKey, Vec<T>, RandomState>,
}

impl<T> Default for Waiting<T> {
    fn default() -> Self {
        Self { by_name: HashMap::default(), more: HashMap::default() }
    }
}

impl<T> Waiting<T> {
    pub(crate) fn put(&mut self, call: CallKey, waits: T) {
        match self.by_name.entry(call) {
            Entry::Vacant(place) => drop(place.insert(waits)),
            Entry::Occupied(_) => self.more.entry(call).or_default().push(waits),
        }
    }

    /// Takes what has come last.
    pub(crate) fn take(&mut self, call: &CallKey) -> Option<T> {
        if !self.more.is_empty()
            && let Some(more) = self.more.get_mut(call)
        {
            let last = more.pop();
            if more.is_empty() {
                self.more.remove(call);
            }
            return last;
        }
        if self.by_name.is_empty() { None } else { self.by_name.remove(call) }
    }

    /// How many wait.
    pub(crate) fn count(&self) -> u64 {
        let more: usize = self.more.values().map(Vec::len).sum();
        (self.by_name.len() + more) as u64
    }
}

/// The latest calls of which something was told.
#[derive(Debug, Default)]
pub(crate) struct RecentCalls {
    names: HashSet<CallKey, RandomState>,
    in_order: VecDeque<CallKey>,
}

impl RecentCalls {
    /// Remembers a call, and forgets the oldest one. `false`: it was known.
    pub(crate) fn insert(&mut self, call: CallKey) -> bool {
        let is_new = self.names.insert(call);
        if is_new {
            self.in_order.push_back(call);
        }
        if self.in_order.len() > REMEMBERED
            && let Some(oldest) = self.in_order.pop_front()
        {
            self.names.remove(&oldest);
        }
        is_new
    }

    pub(crate) fn contains(&self, call: &CallKey) -> bool {
        self.names.contains(call)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_is_named_by_32_digits() {
        assert_eq!(call_key("000000000000000000000000000000aa"), Some(0xaa_u128.to_be_bytes()));
        for text in [
            "",
            "aa",
            "+00000000000000000000000000000aa",
            "0000000000000000000000000000000aa",
            "g00000000000000000000000000000aa",
        ] {
            assert_eq!(call_key(text), None, "{text}");
        }
    }

    #[test]
    fn a_length_is_what_the_records_say_best() {
        let length = |at, length, setup_ms| Ended { at, length }.length_after(&Answered { place: 0, at: 100, setup_ms });
        assert_eq!(length(500, LengthSaid::Seconds(61), Some(5000)), 61);
        assert_eq!(length(500, LengthSaid::SinceInvite(66), Some(5400)), 61);
        assert_eq!(length(500, LengthSaid::SinceInvite(66), Some(5500)), 60);
        assert_eq!(length(500, LengthSaid::SinceInvite(3), Some(u32::MAX)), 0);
        assert_eq!(length(161, LengthSaid::SinceInvite(66), None), 61);
        assert_eq!(length(161, LengthSaid::Nothing, Some(5000)), 61);
        assert_eq!(length(99, LengthSaid::Nothing, None), 0, "the clocks of two nodes differ a little");
    }

    #[test]
    fn several_calls_of_one_name_wait_side_by_side() {
        let mut waiting = Waiting::default();
        let [one, other] = [[1; 16], [2; 16]];
        (0..3).for_each(|at| waiting.put(one, at));
        waiting.put(other, 9);
        assert_eq!(waiting.count(), 4);
        assert_eq!([one, one, one, one, other].map(|call| waiting.take(&call)), [Some(2), Some(1), Some(0), None, Some(9)]);
        assert_eq!((waiting.count(), waiting.more.len()), (0, 0));
    }

    #[test]
    fn only_the_latest_calls_are_remembered() {
        let mut recent = RecentCalls::default();
        let call = |at: u128| at.to_be_bytes();
        (0..=REMEMBERED as u128).for_each(|at| assert!(recent.insert(call(at))));
        assert!(!recent.contains(&call(0)) && recent.contains(&call(1)) && !recent.insert(call(1)));
        assert_eq!((recent.names.len(), recent.in_order.len()), (REMEMBERED, REMEMBERED));
    }
}
