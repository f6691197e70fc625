//! Finds a transaction's slot by the key of its request (RFC 3261 17.2.3).
//!
//! In many small maps: none of them takes long to grow, and each gives back the memory of a peak.

use std::collections::HashMap;

use crate::core::keys::Keyed;

/// As many maps.
const PARTS: usize = 256;
/// A map that is smaller gives nothing back.
const SMALL: usize = 56;

/// Slots by their keys. A map holds half of each key; the transaction has all of it.
#[derive(Debug)]
pub(crate) struct ByKey(Vec<HashMap<u64, u32, Keyed>>);

impl Default for ByKey {
    fn default() -> Self {
        Self(vec![HashMap::default(); PARTS])
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the low half is what is meant")]
const fn half(key: u128) -> u64 {
    key as u64
}

impl ByKey {
    fn part(&mut self, key: u128) -> Option<&mut HashMap<u64, u32, Keyed>> {
        self.0.get_mut(usize::from(key.to_be_bytes()[0]))
    }

    /// The slot of the transaction that has this key, if any has: the caller compares the whole key.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        self.0.get(usize::from(key.to_be_bytes()[0]))?.get(&half(key)).copied()
    }

    /// Notes a slot.
    pub(crate) fn insert(&mut self, key: u128, slot: u32) {
        if let Some(part) = self.part(key) {
            part.insert(half(key), slot);
        }
    }

    /// Forgets it.
    pub(crate) fn remove(&mut self, key: u128, slot: u32) {
        let Some(part) = self.part(key) else { return };
        if part.get(&half(key)) == Some(&slot) {
            part.remove(&half(key));
            if part.capacity() > SMALL && part.len() < part.capacity() / 4 {
                part.shrink_to(part.len() * 2);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_is_found_until_it_is_removed_and_the_room_is_given_back() {
        let mut by_key = ByKey::default();
        let key = |at: u32| u128::from(at).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (0..100_000).for_each(|at| by_key.insert(key(at), at));
        assert!((0..100_000).all(|at| by_key.find(key(at)) == Some(at)));
        (0..100_000).for_each(|at| by_key.remove(key(at), at + 1));
        assert_eq!(by_key.find(key(7)), Some(7), "another slot's");
        (0..100_000).for_each(|at| by_key.remove(key(at), at));
        assert!((0..100_000).all(|at| by_key.find(key(at)).is_none()));
        assert!(by_key.0.iter().all(|part| part.capacity() <= SMALL));
    }
}
