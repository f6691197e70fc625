//! The start line and the header index, in one pass over the received bytes.
//!
//! Strict where leniency would let two parsers disagree (RFC 4475 "repair or refuse": refuse): bare CR or LF and NUL in the
//! header section, a name that is not a token, repeated single-valued headers, any Content-Length that is not one plain number.

use std::ops::Range;

use arrayvec::ArrayVec;

use super::{Header, Method, Name};

/// Most header rows in one message.
pub const MAX_HEADERS: usize = 256;
/// Longest header row, in octets.
pub const MAX_ROW: usize = 8 * 1024;
/// Longest header section, in octets.
pub const MAX_HEAD: usize = 32 * 1024;
/// Longest Request-URI, in octets.
pub const MAX_URI: usize = 2 * 1024;
/// Longest message, in octets: what fits into one datagram.
pub const MAX_MESSAGE: usize = 65_535;

/// What is wrong with a message. Each has a metric label, a status code and a sentence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fault {
    /// Not a SIP message: no start line that could be one.
    NotSip,
    /// The start line is broken (400).
    StartLine,
    /// SIP, but not 2.0 (505).
    Version,
    // … the implementer completes the list
}

impl Fault {
    /// Every fault, for metric tables.
    pub const ALL: &'static [Self] = &[Self::NotSip, Self::StartLine, Self::Version];

    /// The metric label, for example `content-length`.
    pub const fn label(self) -> &'static str {
        todo!()
    }

    /// The status code that a request with this fault is answered with.
    pub const fn code(self) -> u16 {
        todo!()
    }

    /// The reason phrase: what was wrong, for a person. Plain ASCII without quotes, fits a reason phrase.
    pub const fn sentence(self) -> &'static str {
        todo!()
    }
}

/// The start line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request line.
    Request {
        /// The method.
        method: Method,
        /// Where the method's token is.
        token: Range<usize>,
        /// Where the Request-URI is.
        uri: Range<usize>,
    },
    /// A status line; `code` is 100 to 699.
    Response {
        /// The status code.
        code: u16,
    },
}

/// A scanned message: the received bytes and an index into them.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: Start,
    headers: ArrayVec<Header, MAX_HEADERS>,
    head_end: usize,
    fault: Option<Fault>,
}

impl<'a> Message<'a> {
    /// Scans one datagram. Leading CRLFs are skipped (RFC 3261 7.5); octets beyond Content-Length are cut off (18.3); without
    /// Content-Length the body runs to the end of the datagram.
    ///
    /// `Err` only where no start line could be found: nothing can be answered. Any other fault is kept in
    /// [`Message::fault`], the first one found, with whatever could be indexed, so that a request can be answered.
    pub fn datagram(bytes: &'a [u8]) -> Result<Self, Fault> {
        let _ = bytes;
        todo!()
    }

    /// Scans one message of a stream, of exactly the length that [`super::frame::Framer`] found.
    pub fn framed(bytes: &'a [u8]) -> Result<Self, Fault> {
        let _ = bytes;
        todo!()
    }

    /// The message's bytes, from the start line to the end of the body.
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// The start line.
    pub fn start(&self) -> &Start {
        &self.start
    }

    /// The header rows in order.
    pub fn headers(&self) -> &[Header] {
        &self.headers
    }

    /// The first row of a name.
    pub fn first(&self, name: Name) -> Option<&Header> {
        self.headers.iter().find(|header| header.name == name)
    }

    /// All rows of a name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &Header> + '_ {
        self.headers.iter().filter(move |header| header.name == name)
    }

    /// The bytes of a range of this message; empty if it is not one.
    pub fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The value of a row.
    pub fn value(&self, header: &Header) -> &'a [u8] {
        self.slice(&header.value)
    }

    /// Where the header section ends: the offset of the empty line's CRLF. New rows may be inserted here.
    pub fn head_end(&self) -> usize {
        self.head_end
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        todo!()
    }

    /// The first fault found, if any.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}
