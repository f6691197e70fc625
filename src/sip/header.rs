//! Header names, long and compact, and the place of one header in a message.

use std::ops::Range;

/// A header as far as any rule tells headers apart; long and compact spelling and case are the same (RFC 3261 7.3.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "each variant is the header of its name")]
pub enum Name {
    Via,
    From,
    To,
    CallId,
    CSeq,
    MaxForwards,
    MaxBreadth,
    Route,
    RecordRoute,
    Contact,
    ContentLength,
    ContentType,
    ContentEncoding,
    ContentDisposition,
    ProxyRequire,
    Reason,
    RetryAfter,
    Timestamp,
    /// `X-Ringfence`: ours; one that came from outside is removed.
    Ringfence,
    /// Any other.
    Other,
}

/// One header row. Ranges are offsets into the message's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// Which header.
    pub name: Name,
    /// The whole row, from the name's first octet to the end of its last CRLF (folded lines included).
    pub row: Range<usize>,
    /// The value without surrounding white space; may hold folds (CRLF and white space), which count as one space.
    pub value: Range<usize>,
}

impl Name {
    /// What a header name says.
    pub fn of(name: &[u8]) -> Self {
        let candidates: &[(&str, Self)] = match name.len() {
            1 => return Self::compact(name),
            2 => &[("to", Self::To)],
            3 => &[("via", Self::Via)],
            4 => &[("from", Self::From), ("cseq", Self::CSeq)],
            5 => &[("route", Self::Route)],
            6 => &[("reason", Self::Reason)],
            7 => &[("call-id", Self::CallId), ("contact", Self::Contact)],
            9 => &[("timestamp", Self::Timestamp)],
            11 => &[("x-ringfence", Self::Ringfence), ("max-breadth", Self::MaxBreadth), ("retry-after", Self::RetryAfter)],
            12 => {
                &[("max-forwards", Self::MaxForwards), ("record-route", Self::RecordRoute), ("content-type", Self::ContentType)]
            }
            13 => &[("proxy-require", Self::ProxyRequire)],
            14 => &[("content-length", Self::ContentLength)],
            16 => &[("content-encoding", Self::ContentEncoding)],
            19 => &[("content-disposition", Self::ContentDisposition)],
            _ => &[],
        };
        // The first letter tells most of them apart.
        let first = name.first().map_or(0, u8::to_ascii_lowercase);
        let same = |known: &str| known.as_bytes().first() == Some(&first) && name.eq_ignore_ascii_case(known.as_bytes());
        let found = candidates.iter().find(|(known, _)| same(known));
        found.map_or(Self::Other, |&(_, name)| name)
    }

    fn compact(name: &[u8]) -> Self {
        match name {
            b"v" | b"V" => Self::Via,
            b"f" | b"F" => Self::From,
            b"t" | b"T" => Self::To,
            b"i" | b"I" => Self::CallId,
            b"m" | b"M" => Self::Contact,
            b"l" | b"L" => Self::ContentLength,
            b"c" | b"C" => Self::ContentType,
            b"e" | b"E" => Self::ContentEncoding,
            _ => Self::Other,
        }
    }

    /// Whether a second row of the name makes the message ambiguous (RFC 4475 3.3.8, 3.3.9).
    pub(super) const fn single(self) -> bool {
        matches!(self, Self::From | Self::To | Self::CallId | Self::CSeq | Self::MaxForwards | Self::ContentLength)
    }
}

/// Whether an octet may stand in a token (RFC 3261 25.1).
#[expect(clippy::indexing_slicing, reason = "an octet is always within 256 entries")]
pub(super) const fn is_token(octet: u8) -> bool {
    TOKEN[octet as usize]
}

#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
const TOKEN: [bool; 256] = {
    let (mut table, mut octet) = ([false; 256], 0_u8);
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric()
            || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~');
        octet += 1;
    }
    table
};

/// Whether an octet is white space inside a value; CR and LF are there only as part of a fold.
pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// A range without the white space at its ends.
pub(super) fn trim(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = bytes.get(range.clone()).unwrap_or_default();
    let Some(first) = text.iter().position(|&octet| !is_space(octet)) else { return range.start..range.start };
    let last = text.iter().rposition(|&octet| !is_space(octet)).unwrap_or(first);
    range.start.saturating_add(first)..range.start.saturating_add(last).saturating_add(1)
}

/// A text without the white space at its ends: the grammar's, not ASCII's, which has a form feed more.
pub(super) fn trimmed(text: &[u8]) -> &[u8] {
    text.get(trim(text, 0..text.len())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_in_every_spelling() {
        for (name, expected) in [
            ("Via", Name::Via),
            ("v", Name::Via),
            ("CALL-ID", Name::CallId),
            ("i", Name::CallId),
            ("cSeq", Name::CSeq),
            ("l", Name::ContentLength),
            ("x-RINGFENCE", Name::Ringfence),
            ("X-Ringfences", Name::Other),
            ("", Name::Other),
        ] {
            assert_eq!(Name::of(name.as_bytes()), expected, "{name}");
        }
    }

    #[test]
    fn trims_folds() {
        assert_eq!(trim(b"ab \r\n cd \r\n", 2..11), 6..8);
        assert_eq!(trim(b"   ", 0..3), 0..0);
        assert_eq!(trimmed(b"\t \x0cx\r\n "), b"\x0cx");
    }
}
