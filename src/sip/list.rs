//! Comma-separated header values: `A: 1, 2` is the same as `A: 1` and `A: 2` (RFC 3261 7.3.1).

use std::ops::Range;

use memchr::{memchr, memchr3};

use super::edit::Edit;
use super::header::trim;
use super::parameter::quoted_end;
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

/// All values of a name in all its rows, in order. Commas inside quotes and angle brackets do not separate.
pub fn items<'m>(message: &'m Message<'_>, name: Name) -> impl Iterator<Item = Item> + 'm {
    message
        .numbered(name)
        .flat_map(move |(row, header)| Split { bytes: message.bytes(), rest: header.value() }.map(move |span| Item { row, span }))
}

/// The values of all rows with a name that has no [`Name`] of its own, in lower case.
pub fn items_called<'m>(message: &'m Message<'_>, name: &'m [u8]) -> impl Iterator<Item = Range<usize>> + 'm {
    let called = move |header: &&Header| {
        let row = message.slice(&header.row());
        header.name == Name::Other
            && row.split(|&octet| octet == b':').next().is_some_and(|of| of.trim_ascii().eq_ignore_ascii_case(name))
    };
    message.headers().iter().filter(called).flat_map(|header| Split { bytes: message.bytes(), rest: header.value() })
}

/// Gives `each` every value of a row, as a range of the message. `false` as soon as a value is empty or `each` returns `false`.
pub(super) fn all(message: &Message<'_>, header: &Header, mut each: impl FnMut(Range<usize>) -> bool) -> bool {
    let Range { mut start, end } = header.value();
    loop {
        let value_end = start.saturating_add(comma(message.slice(&(start..end))));
        let span = trim(message.bytes(), start..value_end);
        if span.is_empty() || !each(span) {
            return false;
        }
        if value_end >= end {
            return true;
        }
        start = value_end.saturating_add(1);
    }
}

/// The values of one comma-separated text.
struct Split<'a> {
    bytes: &'a [u8],
    rest: Range<usize>,
}

impl Iterator for Split<'_> {
    type Item = Range<usize>;

    fn next(&mut self) -> Option<Range<usize>> {
        while !self.rest.is_empty() {
            let start = self.rest.start;
            let text = self.bytes.get(self.rest.clone()).unwrap_or_default();
            let end = start.saturating_add(comma(text));
            self.rest.start = end.saturating_add(1).min(self.rest.end);
            let span = trim(self.bytes, start..end);
            if !span.is_empty() {
                return Some(span);
            }
        }
        None
    }
}

/// Where the first value of a text ends.
fn comma(text: &[u8]) -> usize {
    // Most rows hold one value.
    if memchr(b',', text).is_none() {
        return text.len();
    }
    let mut at = 0_usize;
    loop {
        let rest = text.get(at..).unwrap_or_default();
        // Only these octets matter, and most values hold none of them.
        let Some(found) = memchr3(b',', b'"', b'<', rest) else { return text.len() };
        at = at.saturating_add(found);
        let behind = match text.get(at) {
            Some(b',') => return at,
            Some(b'"') => quoted_end(text, at),
            _ => text.get(at..).and_then(|rest| memchr(b'>', rest)).map(|end| at.saturating_add(end).saturating_add(1)),
        };
        // If a quote or bracket is not closed, nothing after it separates.
        let Some(behind) = behind else { return text.len() };
        at = behind;
    }
}

/// Removes one value: the whole row if it has no other, otherwise the value and one comma beside it.
pub fn remove(message: &Message<'_>, item: &Item, edit: &mut Edit) {
    remove_many(message, std::slice::from_ref(item), edit);
}

/// Removes several values of one header. A row with no value left goes whole; otherwise the values go with their commas.
pub fn remove_many(message: &Message<'_>, items: &[Item], edit: &mut Edit) {
    let Some(header) = items.first().and_then(|item| message.headers().get(item.row)) else { return };
    for (index, header) in message.numbered(header.name) {
        if !items.iter().any(|item| item.row == index) {
            continue;
        }
        let mut kept_end: Option<usize> = None;
        let mut gone: Option<Range<usize>> = None;
        for span in (Split { bytes: message.bytes(), rest: header.value() }) {
            if items.iter().any(|item| item.span == span) {
                let start = gone.map_or(span.start, |gone| gone.start);
                gone = Some(start..span.end);
                continue;
            }
            // Up to the next value that stays, so that it keeps its spelling.
            if let Some(gone) = gone.take() {
                edit.remove(gone.start..span.start);
            }
            kept_end = Some(span.end);
        }
        match (kept_end, gone) {
            (None, _) => edit.remove(header.row()),
            (Some(end), Some(gone)) => edit.remove(end..gone.end),
            (Some(_), None) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "OPTIONS sip:a@b SIP/2.0\r\nRoute: <sip:a,b>;x=\"1,2\" , <sip:c>,<sip:d>\r\nX: y\r\nroute: <sip:e>\r\n\r\n";

    fn without(gone: &[usize]) -> String {
        let message = Message::datagram(TEXT.as_bytes()).unwrap();
        let all: Vec<_> = items(&message, Name::Route).collect();
        let gone: Vec<_> = gone.iter().map(|&at| all[at].clone()).collect();
        let (mut edit, mut out) = (Edit::default(), Vec::new());
        remove_many(&message, &gone, &mut edit);
        edit.apply(TEXT.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn splits_outside_quotes_and_brackets() {
        let message = Message::datagram(TEXT.as_bytes()).unwrap();
        let found: Vec<_> = items(&message, Name::Route).map(|item| message.slice(&item.span)).collect();
        assert_eq!(found, [&b"<sip:a,b>;x=\"1,2\""[..], b"<sip:c>", b"<sip:d>", b"<sip:e>"]);
    }

    #[test]
    fn removes_without_leaving_commas_or_empty_rows() {
        for (gone, expected) in [
            (&[0][..], "Route: <sip:c>,<sip:d>\r\nX: y\r\nroute: <sip:e>\r\n"),
            (&[0, 1], "Route: <sip:d>\r\nX: y\r\nroute: <sip:e>\r\n"),
            (&[0, 1, 2], "X: y\r\nroute: <sip:e>\r\n"),
            (&[0, 1, 2, 3], "X: y\r\n"),
            (&[2], "Route: <sip:a,b>;x=\"1,2\" , <sip:c>\r\nX: y\r\nroute: <sip:e>\r\n"),
            (&[1, 3], "Route: <sip:a,b>;x=\"1,2\" , <sip:d>\r\nX: y\r\n"),
        ] {
            assert_eq!(without(gone), format!("OPTIONS sip:a@b SIP/2.0\r\n{expected}\r\n"), "{gone:?}");
        }
    }
}
