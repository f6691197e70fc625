//! A list of insertions and replacements over a received message, applied once into the outgoing buffer.
//!
//! Bytes that no splice names are copied as they came.

use std::ops::Range;

/// Pending splices over one message. Reuse it: clearing keeps the memory.
#[derive(Debug, Default)]
pub struct Edit {
    /// In the order of their places.
    splices: Vec<Splice>,
    text: Vec<u8>,
}

#[derive(Clone, Debug)]
struct Splice {
    from: Range<usize>,
    text: Range<usize>,
}

impl Splice {
    /// By this the splices are in order.
    const fn place(&self) -> (usize, usize) {
        (self.from.start, self.from.end)
    }
}

impl Edit {
    /// Forgets all splices; the memory is kept for the next message.
    pub fn clear(&mut self) {
        self.splices.clear();
        self.text.clear();
    }

    /// Replaces the bytes of `from` by the concatenation of `parts`. An empty range inserts before `from.start`; insertions at
    /// the same place keep the order in which they were made. Replaced ranges must not overlap; of two that do, the later is
    /// left out (and a debug build asserts).
    pub fn splice(&mut self, from: Range<usize>, parts: &[&[u8]]) {
        self.write(from, |text| parts.iter().for_each(|part| text.extend_from_slice(part)));
    }

    /// Replaces the bytes of `from` by what `write` appends. Otherwise like [`Edit::splice`].
    #[inline]
    pub(super) fn write(&mut self, from: Range<usize>, write: impl FnOnce(&mut Vec<u8>)) {
        let start = self.text.len();
        write(&mut self.text);
        let splice = Splice { from, text: start..self.text.len() };
        // In the order in which they are applied. Most come in it. Insertions at one place keep their order, and stand before what
        // replaces the bytes there.
        let later = self.splices.iter().rev().take_while(|other| other.place() > splice.place()).count();
        if later == 0 {
            self.splices.push(splice);
        } else {
            self.splices.insert(self.splices.len().saturating_sub(later), splice);
        }
    }

    /// Replaces the bytes of `from` by something else than was said before.
    pub(crate) fn replace(&mut self, from: &Range<usize>, text: &[u8]) {
        self.splices.retain(|splice| splice.from != *from);
        self.splice(from.clone(), &[text]);
    }

    /// Inserts the concatenation of `parts` before the byte at `at`.
    pub fn insert(&mut self, at: usize, parts: &[&[u8]]) {
        self.splice(at..at, parts);
    }

    /// Removes a range of octets of the message.
    pub fn remove(&mut self, from: Range<usize>) {
        self.splice(from, &[]);
    }

    /// Whether a splice replaces this range.
    pub(crate) fn touches(&self, range: &Range<usize>) -> bool {
        self.splices.iter().any(|splice| splice.from == *range)
    }

    /// How long a message of `length` octets will be when edited.
    pub fn length(&self, length: usize) -> usize {
        let gone: usize = self.splices.iter().map(|splice| splice.from.len()).sum();
        length.saturating_add(self.text.len()).saturating_sub(gone)
    }

    /// How long a part of the message will be when edited; splices are within the part or outside.
    pub(crate) fn length_of(&self, part: &Range<usize>) -> usize {
        let within = |splice: &&Splice| splice.from.start >= part.start && splice.from.end <= part.end;
        self.splices
            .iter()
            .filter(within)
            .fold(part.len(), |length, splice| length.saturating_add(splice.text.len()).saturating_sub(splice.from.len()))
    }

    /// Where the first text inserted before `at` begins in the edited message.
    pub fn place(&self, at: usize) -> usize {
        let before = self.splices.iter().filter(|splice| splice.from.start < at);
        let moved = before.fold((at, 0_usize), |(to, gone), splice| {
            (to.saturating_add(splice.text.len()), gone.saturating_add(splice.from.len()))
        });
        moved.0.saturating_sub(moved.1)
    }

    /// Appends the edited message to `out`.
    pub fn apply(&self, source: &[u8], out: &mut Vec<u8>) {
        self.apply_within(source, &(0..source.len()), out);
    }

    /// Appends an edited part of the message to `out`; all splices must be within the part.
    pub(crate) fn apply_within(&self, source: &[u8], part: &Range<usize>, out: &mut Vec<u8>) {
        out.reserve(part.len().saturating_add(self.text.len()));
        let mut copied = part.start;
        for splice in &self.splices {
            let Some(between) = source.get(copied..splice.from.start) else {
                debug_assert!(false, "splices overlap at {:?}", splice.from);
                continue;
            };
            if !between.is_empty() {
                out.extend_from_slice(between);
            }
            out.extend_from_slice(self.text.get(splice.text.clone()).unwrap_or_default());
            copied = splice.from.end;
        }
        out.extend_from_slice(source.get(copied..part.end).unwrap_or_default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn applies_in_order_of_place() {
        let (mut edit, mut out) = (Edit::default(), Vec::new());
        edit.splice(4..5, &[b"E"]);
        edit.insert(4, &[b"1", b"2"]);
        edit.insert(0, &[b">"]);
        edit.insert(4, &[b"3"]);
        edit.remove(1..2);
        edit.insert(6, &[b"<"]);
        edit.apply(b"abcdef", &mut out);
        assert_eq!(out, b">acd123Ef<");
        assert_eq!([0, 4, 6].map(|at| edit.place(at)), [0, 4, 9]);
        assert_eq!(edit.length(6), out.len());
        assert_eq!([edit.length_of(&(0..6)), edit.length_of(&(3..5)), edit.length_of(&(2..3))], [out.len(), 5, 1]);
        edit.clear();
        out.clear();
        edit.apply(b"abcdef", &mut out);
        assert_eq!(out, b"abcdef");
    }
}
