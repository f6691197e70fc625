//! Header names, long and compact, and the place of one header in a message.
#![expect(clippy::inline_always, reason = "run once a row: a call would cost as much as what it does")]

use std::ops::Range;

use super::scan::MAX_MESSAGE;

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

/// One header row: where it stands in the message's buffer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The header's name, whether it was written long or compact.
    pub name: Name,
    // No message is longer than two octets can count. Small, since a message holds many and is moved with them.
    start: u16,
    end: u16,
    value_start: u16,
    value_end: u16,
}

impl Header {
    /// The row at `start`, up to `end`. Both are at most [`super::scan::MAX_MESSAGE`].
    #[inline]
    pub(super) fn new(name: Name, row: Range<usize>, value: Range<usize>) -> Self {
        let short = |place: usize| {
            let [low, high, ..] = place.to_le_bytes();
            u16::from_le_bytes([low, high])
        };
        debug_assert!(row.end <= MAX_MESSAGE, "a row outside every message");
        Self { name, start: short(row.start), end: short(row.end), value_start: short(value.start), value_end: short(value.end) }
    }

    /// The whole row, from the name's first octet to the end of its last CRLF (folded lines included).
    #[inline]
    pub fn row(&self) -> Range<usize> {
        self.start.into()..self.end.into()
    }

    /// The value without surrounding white space; may hold folds (CRLF and white space), which count as one space.
    #[inline]
    pub fn value(&self) -> Range<usize> {
        self.value_start.into()..self.value_end.into()
    }
}

impl Name {
    /// The number of names, `Other` included.
    pub(super) const COUNT: usize = Self::Other as usize + 1;

    /// The header that a token names.
    pub fn of(name: &[u8]) -> Self {
        let mut octets = [0; LONGEST];
        let Some((colon, start)) = octets.get_mut(..=name.len()).and_then(<[u8]>::split_last_mut) else { return Self::Other };
        *colon = b':';
        start.copy_from_slice(name);
        spelled(words(&octets)).unwrap_or(Self::Other)
    }

    /// Whether a second row of the name makes the message ambiguous (RFC 4475 3.3.8, 3.3.9).
    pub(super) const fn single(self) -> bool {
        use Name::{CSeq, CallId, ContentLength, From, MaxForwards, ReferTo, ReferredBy, To};
        matches!(self, From | To | CallId | CSeq | MaxForwards | ContentLength | ReferTo | ReferredBy)
    }
}

/// The spellings in which names are looked up: in small letters, long and compact. Those of other headers stand here so that usual
/// names are known to be tokens without a look at their octets.
pub(super) const SPELLINGS: [(&[u8], Name); 50] = [
    (b"via:", Name::Via),
    (b"v:", Name::Via),
    (b"from:", Name::From),
    (b"f:", Name::From),
    (b"to:", Name::To),
    (b"t:", Name::To),
    (b"call-id:", Name::CallId),
    (b"i:", Name::CallId),
    (b"cseq:", Name::CSeq),
    (b"max-forwards:", Name::MaxForwards),
    (b"max-breadth:", Name::MaxBreadth),
    (b"route:", Name::Route),
    (b"record-route:", Name::RecordRoute),
    (b"contact:", Name::Contact),
    (b"m:", Name::Contact),
    (b"content-length:", Name::ContentLength),
    (b"l:", Name::ContentLength),
    (b"content-type:", Name::ContentType),
    (b"c:", Name::ContentType),
    (b"content-encoding:", Name::ContentEncoding),
    (b"e:", Name::ContentEncoding),
    (b"content-disposition:", Name::ContentDisposition),
    (b"proxy-require:", Name::ProxyRequire),
    (b"reason:", Name::Reason),
    (b"retry-after:", Name::RetryAfter),
    (b"timestamp:", Name::Timestamp),
    (b"x-ringfence:", Name::Ringfence),
    (b"refer-to:", Name::ReferTo),
    (b"r:", Name::ReferTo),
    (b"referred-by:", Name::ReferredBy),
    (b"b:", Name::ReferredBy),
    (b"accept:", Name::Other),
    (b"allow:", Name::Other),
    (b"date:", Name::Other),
    (b"diversion:", Name::Other),
    (b"event:", Name::Other),
    (b"expires:", Name::Other),
    (b"k:", Name::Other),
    (b"min-se:", Name::Other),
    (b"organization:", Name::Other),
    (b"p-asserted-identity:", Name::Other),
    (b"privacy:", Name::Other),
    (b"rack:", Name::Other),
    (b"require:", Name::Other),
    (b"rseq:", Name::Other),
    (b"server:", Name::Other),
    (b"session-expires:", Name::Other),
    (b"subject:", Name::Other),
    (b"supported:", Name::Other),
    (b"user-agent:", Name::Other),
];

/// Longer names are none of ours.
pub(super) const LONGEST: usize = 24;

/// The spellings by what [`slot`] makes of them: each stands alone there, so that one comparison tells.
#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
static SLOTS: [([u64; 3], Name); 256] = {
    // No name: it would have octets that no case-folded word has.
    let (mut table, mut at) = ([([u64::MAX; 3], Name::Other); 256], 0);
    while at < SPELLINGS.len() {
        let (spelling, name) = SPELLINGS[at];
        let (mut octets, mut octet) = ([0; LONGEST], 0);
        while octet < spelling.len() {
            octets[octet] = spelling[octet];
            octet += 1;
        }
        let words = words(&octets);
        let slot = &mut table[slot(words) as usize];
        assert!(slot.0[0] == u64::MAX, "two names in one slot: choose another factor");
        *slot = (words, name);
        at += 1;
    }
    table
};

/// Where a name would stand.
const fn slot([first, second, third]: [u64; 3]) -> u8 {
    let [.., highest] = (first ^ second.rotate_left(32) ^ third).wrapping_mul(0x74e0_88a9_b949_2f25).to_le_bytes();
    highest
}

/// The header of a name with its colon, if it is among the known spellings. Words are faster to compare than letters one by one.
#[inline(always)]
#[expect(clippy::indexing_slicing, reason = "an octet is always within 256 entries")]
pub(super) fn spelled([first, second, third]: [u64; 3]) -> Option<Name> {
    let words = [folded(first), folded(second), folded(third)];
    let (known, name) = &SLOTS[slot(words) as usize];
    let differ = (known[0] ^ words[0]) | (known[1] ^ words[1]) | (known[2] ^ words[2]);
    (differ == 0).then_some(*name)
}

/// A name as words, its first octet lowest, zero behind its end.
#[inline(always)]
pub(super) const fn words(octets: &[u8; LONGEST]) -> [u64; 3] {
    let (words, _) = octets.as_chunks::<8>();
    let &[first, second, third] = words else { return [0; 3] };
    [u64::from_le_bytes(first), u64::from_le_bytes(second), u64::from_le_bytes(third)]
}

/// A word in small letters.
///
/// One bit makes every letter small. It changes other octets too, but never into an octet of a known name.
#[inline(always)]
pub(super) const fn folded(word: u64) -> u64 {
    word | ((word & 0x4040_4040_4040_4040) >> 1)
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
