//! The rows of a message in order, and where the first one of each name stands.
#![expect(clippy::inline_always, reason = "run once a row: a call would cost as much as what it does")]

use arrayvec::ArrayVec;

use super::{Header, Name};

/// Rows of usual messages. So many are indexed in place, which keeps a message cheap to move. More take one allocation.
const USUAL: usize = 32;
/// Stands for no place of a row.
const NONE: u8 = u8::MAX;

/// Header rows, in order.
#[derive(Clone, Debug)]
pub(super) struct Index {
    /// All rows, or the first of them if `many` holds all.
    usual: ArrayVec<Header, USUAL>,
    many: Vec<Header>,
    /// Where the first row of each name stands. [`NONE`]: not among the first 255.
    firsts: [u8; Name::COUNT],
}

impl Index {
    pub(super) const fn new() -> Self {
        Self { usual: ArrayVec::new_const(), many: Vec::new(), firsts: [NONE; Name::COUNT] }
    }

    pub(super) fn headers(&self) -> &[Header] {
        if self.many.is_empty() { &self.usual } else { &self.many }
    }

    /// Whether a row of this name is among the first 255.
    #[inline]
    pub(super) fn has(&self, name: Name) -> bool {
        self.firsts.get(name as usize).is_some_and(|&first| first != NONE)
    }

    /// Adds a row, if there is still place for a usual one, and it need not be the only one of its name.
    #[inline(always)]
    pub(super) fn push_usual(&mut self, header: Header) -> bool {
        let number = self.usual.len();
        let Some(first) = self.firsts.get_mut(header.name as usize).filter(|_| number < USUAL) else { return false };
        if *first == NONE {
            *first = u8::try_from(number).unwrap_or(NONE);
        } else if header.name.single() {
            return false;
        }
        self.usual.try_push(header).is_ok()
    }

    /// Adds any row.
    pub(super) fn push(&mut self, header: Header) {
        let number = self.headers().len();
        if let Some(first) = self.firsts.get_mut(header.name as usize).filter(|first| **first == NONE) {
            *first = u8::try_from(number).unwrap_or(NONE);
        }
        if let Err(full) = self.usual.try_push(header) {
            self.push_many(full.element());
        }
    }

    #[cold]
    fn push_many(&mut self, header: Header) {
        if self.many.is_empty() {
            self.many.extend_from_slice(&self.usual);
        }
        self.many.push(header);
    }

    /// The first row of a name.
    pub(super) fn first(&self, name: Name) -> Option<&Header> {
        self.headers().get(self.first_number(name)).filter(|header| header.name == name)
    }

    /// All rows of a name, each with its place among all rows.
    pub(super) fn numbered(&self, name: Name) -> impl Iterator<Item = (usize, &Header)> + '_ {
        self.headers().iter().enumerate().skip(self.first_number(name)).filter(move |(_, header)| header.name == name)
    }

    /// Where the first row of a name stands, if there is one.
    fn first_number(&self, name: Name) -> usize {
        match self.firsts.get(name as usize) {
            Some(&NONE) | None if self.headers().len() <= usize::from(NONE) => self.headers().len(),
            first => first.copied().unwrap_or(NONE).into(),
        }
    }
}
