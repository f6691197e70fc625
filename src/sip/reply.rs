//! A response made from a request's own spans (RFC 3261 8.2.6).

use std::net::SocketAddr;

use super::scan::Message;

/// What to answer.
#[derive(Clone, Copy, Debug)]
pub struct Reply<'a> {
    /// The status code.
    pub code: u16,
    /// The reason phrase.
    pub phrase: &'a str,
    /// Added to To where the request has no tag; `None` for 100 (which adds none).
    pub to_tag: Option<&'a str>,
    /// Whole extra rows, each ending in CRLF; empty if none.
    pub rows: &'a [u8],
}

impl Reply<'_> {
    /// Appends the response to `out`: status line, all Via rows as they came (the topmost value stamped with `source` as
    /// [`super::via::Via::stamp`] does), From, To, Call-ID, CSeq, a Timestamp for a 100 (8.2.6.1), the extra rows,
    /// `Content-Length: 0`. Folded and compact rows are copied as they came.
    ///
    /// Works on messages with a fault as long as those headers can be found; `false` (and nothing written) if one is missing or
    /// the topmost Via cannot be read: such a request cannot be answered.
    pub fn write(&self, message: &Message<'_>, source: SocketAddr, out: &mut Vec<u8>) -> bool {
        let _ = (message, source, out);
        todo!()
    }
}
