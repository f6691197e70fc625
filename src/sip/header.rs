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
        let _ = name;
        todo!()
    }
}
