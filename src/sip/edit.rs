//! A list of insertions and replacements over a received message, applied once into the outgoing buffer.
//!
//! What no splice names is copied as it came.

use std::ops::Range;

/// Pending splices over one message. Reuse it: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Edit {
    splices: Vec<Splice>,
    text: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Splice {
    from: Range<usize>,
    text: Range<usize>,
}

impl Edit {
    /// Forgets all splices.
    pub fn clear(&mut self) {
        self.splices.clear();
        self.text.clear();
    }

    /// Replaces the bytes of `from` by the concatenation of `parts`. An empty range inserts before `from.start`; insertions at
    /// the same place keep the order in which they were made. Replaced ranges must not overlap; of two that do, the later is
    /// left out (and a debug build asserts).
    pub fn splice(&mut self, from: Range<usize>, parts: &[&[u8]]) {
        let start = self.text.len();
        for part in parts {
            self.text.extend_from_slice(part);
        }
        self.splices.push(Splice { from, text: start..self.text.len() });
    }

    /// Inserts before the byte at `at`.
    pub fn insert(&mut self, at: usize, parts: &[&[u8]]) {
        self.splice(at..at, parts);
    }

    /// Removes a range.
    pub fn remove(&mut self, from: Range<usize>) {
        self.splice(from, &[]);
    }

    /// Appends the edited message to `out`.
    pub fn apply(&mut self, source: &[u8], out: &mut Vec<u8>) {
        let _ = (source, out);
        todo!()
    }
}
