//! Compares sixteen octets of a short text at a time, and finds those that matter.
//!
//! A text is read in blocks of 64 octets. A comparison of a block is a word with a bit for each octet. Nothing here knows a grammar.

#![expect(clippy::inline_always, reason = "a call for each octet would cost more than the comparison")]

use std::ops::BitOr;

use wide::{CmpEq, CmpLt, i8x16};

/// Octets that are compared at once.
const WIDTH: usize = 16;
/// Octets whose bits fit into a word.
pub(super) const BLOCK: usize = 64;

/// Sixteen octets, or what a comparison says of each of them.
#[derive(Clone, Copy)]
pub(super) struct Octets(i8x16);

impl Octets {
    /// Which are this one.
    #[inline(always)]
    pub(super) fn are(self, octet: u8) -> Self {
        Self(self.0.cmp_eq(i8x16::splat(octet.cast_signed())))
    }

    /// Which are below this one, which is ASCII, or are beyond ASCII.
    #[inline(always)]
    pub(super) fn below(self, octet: u8) -> Self {
        Self(self.0.cmp_lt(i8x16::splat(octet.cast_signed())))
    }

    /// Which are one of these, both included.
    #[expect(clippy::arithmetic_side_effects, reason = "each octet wraps on its own")]
    #[inline(always)]
    pub(super) fn within(self, first: u8, last: u8) -> Self {
        // Moved so that the first of them is the least number with a sign.
        let moved = self.0 + i8x16::splat(0x80_u8.wrapping_sub(first).cast_signed());
        let end = 0x81_u8.wrapping_add(last.wrapping_sub(first));
        Self(moved.cmp_lt(i8x16::splat(end.cast_signed())))
    }

    /// The octets with capitals as small letters. Others change too, but none becomes a letter.
    #[inline(always)]
    pub(super) fn folded(self) -> Self {
        Self(self.0 | i8x16::splat(0x20))
    }

    #[inline(always)]
    fn bits(self) -> u64 {
        u64::from(self.0.move_mask().cast_unsigned())
    }
}

impl BitOr for Octets {
    type Output = Self;

    #[inline(always)]
    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

/// What comparisons say of the first octets of a text, at most 64. Bits behind its end are 0.
#[inline(always)]
pub(super) fn block<const N: usize>(text: &[u8], compare: impl Fn(Octets) -> [Octets; N]) -> [u64; N] {
    let text = text.get(..BLOCK).unwrap_or(text);
    let bits = |octets: &[u8; WIDTH]| compare(Octets(i8x16::new(octets.map(u8::cast_signed)))).map(Octets::bits);
    let (whole, rest) = text.as_chunks::<WIDTH>();
    let mut all = [0; N];
    // From the end, so that each step moves the bits by the same.
    if !rest.is_empty() {
        all = match text.last_chunk() {
            Some(last) => bits(last).map(|word| word.wrapping_shr(shift(WIDTH.wrapping_sub(rest.len())))),
            None => bits(&padded(rest)).map(|word| word & low(rest.len())),
        };
    }
    for octets in whole.iter().rev() {
        for (word, one) in all.iter_mut().zip(bits(octets)) {
            *word = (*word << WIDTH) | one;
        }
    }
    all
}

/// As many low bits, fewer than 64.
#[inline(always)]
pub(super) const fn low(count: usize) -> u64 {
    1_u64.wrapping_shl(shift(count)).wrapping_sub(1)
}

/// A number below 64, as shifts want it.
#[inline(always)]
const fn shift(count: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "it is below 64")]
    let count = count as u32;
    count
}

/// Fewer than sixteen octets, and zeros behind them.
#[inline(always)]
fn padded(text: &[u8]) -> [u8; WIDTH] {
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let behind = shift(text.len().wrapping_sub(8)).wrapping_mul(8);
        let first = u128::from(u64::from_le_bytes(*first));
        return (first | u128::from(u64::from_le_bytes(*last)).wrapping_shl(behind)).to_le_bytes();
    }
    let mut octets = [0; WIDTH];
    for (octet, from) in octets.iter_mut().zip(text) {
        *octet = *from;
    }
    octets
}

/// Goes through the octets of a text that separate its parts, or that few texts hold.
///
/// These are white space, control characters, octets beyond ASCII, and `! " , : ; < = > ? @ [ \ ]`.
pub(super) struct Marks<'a> {
    text: &'a [u8],
    /// Where the block begins.
    start: usize,
    /// The marks of the block that are still to come.
    bits: u64,
}

/// One mark: where it stands, and the octet.
#[derive(Clone, Copy)]
pub(super) struct MarkAt {
    pub(super) at: usize,
    /// [`END`] behind the last one.
    pub(super) octet: u8,
}

/// Stands for the end of the text. A NUL looks like it, but stands before the end.
pub(super) const END: u8 = 0;

impl<'a> Marks<'a> {
    /// The marks from `start` on.
    #[inline(always)]
    pub(super) fn from(text: &'a [u8], start: usize) -> Self {
        Self { text, start, bits: marks(text.get(start..).unwrap_or_default()) }
    }

    /// The next mark. Behind the last one, the end of the text.
    #[inline(always)]
    pub(super) fn next(&mut self) -> MarkAt {
        if self.bits == 0 {
            (self.start, self.bits) = further(self.text, self.start);
            if self.bits == 0 {
                return MarkAt { at: self.text.len(), octet: END };
            }
        }
        let at = self.start.wrapping_add(self.bits.trailing_zeros() as usize);
        self.bits &= self.bits.wrapping_sub(1);
        MarkAt { at, octet: self.text.get(at).copied().unwrap_or(END) }
    }

    /// Leaves out the next mark. `false`: it is not in this block.
    #[inline(always)]
    pub(super) fn skip(&mut self) -> bool {
        let there = self.bits != 0;
        self.bits &= self.bits.wrapping_sub(1);
        there
    }
}

/// The next block that has marks, and these.
#[inline(never)]
fn further(text: &[u8], start: usize) -> (usize, u64) {
    let mut start = start;
    loop {
        start = start.wrapping_add(BLOCK);
        let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) else { return (start, 0) };
        let bits = marks(rest);
        if bits != 0 {
            return (start, bits);
        }
    }
}

/// The marks among the first octets of a text.
#[inline(never)]
fn marks(text: &[u8]) -> u64 {
    let [bits] = block(text, |octets| {
        let separators = octets.within(b':', b'@') | octets.below(b'#') | octets.are(b',');
        [separators | octets.within(b'[', b']') | octets.are(0x7f)]
    });
    bits
}
