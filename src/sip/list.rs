//! Comma-separated header values: `A: 1, 2` is the same as `A: 1` and `A: 2` (RFC 3261 7.3.1).

use std::ops::Range;

use super::edit::Edit;
use super::scan::Message;
use super::{Header, Name};

/// One value of a header, and the row that it stands in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Index of the row in [`Message::headers`].
    pub row: usize,
    /// The value without surrounding white space.
    pub span: Range<usize>,
}

/// All values of a name over all its rows, in order. Commas inside quotes and angle brackets do not separate.
pub fn items<'m>(message: &'m Message<'_>, name: Name) -> impl Iterator<Item = Item> + 'm {
    let _ = (message, name);
    std::iter::empty()
}

/// The values of one row.
pub fn row_items<'m>(message: &'m Message<'_>, row: usize, header: &Header) -> impl Iterator<Item = Item> + 'm {
    let _ = (message, row, header);
    std::iter::empty()
}

/// Removes one value: the whole row if it stands there alone, otherwise the value and one comma beside it. Several values may be
/// removed by one edit as long as they are the first ones of the header (which is all that routing ever removes) or the last one.
pub fn remove(message: &Message<'_>, item: &Item, edit: &mut Edit) {
    let _ = (message, item, edit);
    todo!()
}
