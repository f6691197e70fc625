//! Header names, long and compact, and the place of one header in a message.

use std::ops::Range;

/// The headers that rules tell apart. Case and the compact form make no difference (RFC 3261 7.3.3).
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
    /// `X-Ringfence`: ours. One that came from outside is removed.
    Ringfence,
    ReferTo,
    ReferredBy,
    /// Any other.
    Other,
}

/// One header row. Ranges are offsets into the message's buffer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name, whether it was written long or compact.
    pub name: Name,
    /// The whole row, from the name's first octet to the end of its last CRLF (folded lines included).
    pub row: Range<usize>,
    /// The value without surrounding white space; may hold folds (CRLF and white space), which count as one space.
    pub value: Range<usize>,
}

impl Name {
    /// The number of names, `Other` included.
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    /// The header that a token names.
    pub fn of(name: &[u8]) -> Self {
        if name.len() == 1 {
            return Self::compact(name);
        }
        let Some(folded) = Folded::of(name) else { return Self::Other };
        let (known, meant) = match (name.len(), folded.first()) {
            (2, b't') => (const { Folded::known(b"to") }, Self::To),
            (3, b'v') => (const { Folded::known(b"via") }, Self::Via),
            (4, b'f') => (const { Folded::known(b"from") }, Self::From),
            (4, b'c') => (const { Folded::known(b"cseq") }, Self::CSeq),
            (5, b'r') => (const { Folded::known(b"route") }, Self::Route),
            (6, b'r') => (const { Folded::known(b"reason") }, Self::Reason),
            (7, b'c') if folded == const { Folded::known(b"contact") } => return Self::Contact,
            (7, b'c') => (const { Folded::known(b"call-id") }, Self::CallId),
            (9, b't') => (const { Folded::known(b"timestamp") }, Self::Timestamp),
            (8, b'r') => (const { Folded::known(b"refer-to") }, Self::ReferTo),
            (11, b'r') if folded == const { Folded::known(b"referred-by") } => return Self::ReferredBy,
            (11, b'x') => (const { Folded::known(b"x-ringfence") }, Self::Ringfence),
            (11, b'm') => (const { Folded::known(b"max-breadth") }, Self::MaxBreadth),
            (11, b'r') => (const { Folded::known(b"retry-after") }, Self::RetryAfter),
            (12, b'm') => (const { Folded::known(b"max-forwards") }, Self::MaxForwards),
            (12, b'r') => (const { Folded::known(b"record-route") }, Self::RecordRoute),
            (12, b'c') => (const { Folded::known(b"content-type") }, Self::ContentType),
            (13, b'p') => (const { Folded::known(b"proxy-require") }, Self::ProxyRequire),
            (14, b'c') => (const { Folded::known(b"content-length") }, Self::ContentLength),
            (16, b'c') => (const { Folded::known(b"content-encoding") }, Self::ContentEncoding),
            (19, b'c') => (const { Folded::known(b"content-disposition") }, Self::ContentDisposition),
            _ => return Self::Other,
        };
        if folded == known { meant } else { Self::Other }
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
            b"r" | b"R" => Self::ReferTo,
            b"b" | b"B" => Self::ReferredBy,
            _ => Self::Other,
        }
    }

    /// Whether a second row of the name makes the message ambiguous (RFC 4475 3.3.8, 3.3.9).
    pub(super) const fn single(self) -> bool {
        use Name::{CSeq, CallId, ContentLength, From, MaxForwards, ReferTo, ReferredBy, To};
        matches!(self, From | To | CallId | CSeq | MaxForwards | ContentLength | ReferTo | ReferredBy)
    }
}

/// A name without case, as three words: they are faster to compare than letters one by one.
///
/// One bit makes every letter lower case and leaves the hyphen as it is. It may change other octets of a token too, but never
/// into an octet of a known name.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Folded([u64; 3]);

impl Folded {
    const CASE: u64 = 0x2020_2020_2020_2020;

    /// `None`: longer than any known name.
    fn of(name: &[u8]) -> Option<Self> {
        let mut octets = [0; 24];
        octets.get_mut(..name.len())?.copy_from_slice(name);
        Some(Self::fold(&octets))
    }

    #[expect(clippy::indexing_slicing, clippy::arithmetic_side_effects, reason = "computed while compiling")]
    const fn known(name: &[u8]) -> Self {
        let (mut octets, mut at) = ([0; 24], 0);
        while at < name.len() {
            octets[at] = name[at];
            at += 1;
        }
        Self::fold(&octets)
    }

    const fn fold(octets: &[u8; 24]) -> Self {
        let (words, _) = octets.as_chunks::<8>();
        let &[one, two, three] = words else { return Self([0; 3]) };
        Self([u64::from_le_bytes(one) | Self::CASE, u64::from_le_bytes(two) | Self::CASE, u64::from_le_bytes(three) | Self::CASE])
    }

    const fn first(self) -> u8 {
        self.0[0].to_le_bytes()[0]
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

/// Whether an octet is white space inside a value. CR and LF stand there only as part of a fold.
pub(super) const fn is_space(octet: u8) -> bool {
    matches!(octet, b' ' | b'\t' | b'\r' | b'\n')
}

/// Whether an octet is a control character other than white space.
pub(super) const fn is_control(octet: u8) -> bool {
    octet.is_ascii_control() && !is_space(octet)
}

/// Whether a text holds such a character. The loop has no early exit, so that the compiler checks many octets at once.
pub(super) fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |found, &octet| found | is_control(octet))
}

/// Whether every octet of a kind is a quoted-pair inside a quoted string. Only there is a control character legal (RFC 3261 25.1,
/// RFC 4475 3.1.1.2).
#[cold]
pub(super) fn are_quoted(text: &[u8], kind: impl Fn(u8) -> bool) -> bool {
    let (mut quoted, mut escaped) = (false, false);
    for &octet in text {
        match octet {
            _ if escaped => escaped = false,
            b'"' => quoted = !quoted,
            b'\\' => escaped = quoted,
            octet if kind(octet) => return false,
            _ => {}
        }
    }
    true
}

/// A range without the white space at its ends.
pub(super) fn trim(bytes: &[u8], range: Range<usize>) -> Range<usize> {
    let text = bytes.get(range.clone()).unwrap_or_default();
    let Some(first) = text.iter().position(|&octet| !is_space(octet)) else { return range.start..range.start };
    let last = text.iter().rposition(|&octet| !is_space(octet)).unwrap_or(first);
    range.start.saturating_add(first)..range.start.saturating_add(last).saturating_add(1)
}

/// A text without white space at its ends. The grammar's white space has no form feed, unlike ASCII's.
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
            ("refer-To", Name::ReferTo),
            ("r", Name::ReferTo),
            ("Referred-by", Name::ReferredBy),
            ("B", Name::ReferredBy),
            ("Retry-After", Name::RetryAfter),
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
