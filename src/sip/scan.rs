//! Indexes the start line and the header rows, in one pass over the received bytes.
//!
//! It is strict if two parsers could disagree (RFC 4475 "repair or refuse": refuse): a bare CR or LF or a NUL in the header
//! section, a name that is not a token, a second row of a single-valued header, a Content-Length that is not one plain number.

use std::ops::Range;

use super::header::{are_quoted, is_token, trim};
use super::index::Index;
use super::line::{self, Row};
use super::number::decimal;
use super::start::start_line;
use super::{Header, Name};
use memchr::{memchr, memchr2};

pub use super::fault::Fault;
pub use super::start::Start;

/// Most header rows in one message.
pub(crate) const MAX_HEADERS: usize = 256;
/// Longest header row, in octets.
pub(crate) const MAX_ROW: usize = 8 * 1024;
/// Longest header section, in octets.
pub(crate) const MAX_HEAD: usize = 32 * 1024;
/// Longest Request-URI, in octets.
pub(crate) const MAX_URI: usize = 2 * 1024;
/// Longest message, in octets: what fits into one datagram.
pub const MAX_MESSAGE: usize = 65_535;

/// A scanned message: the received bytes and an index into them.
#[derive(Clone, Debug)]
pub struct Message<'a> {
    bytes: &'a [u8],
    start: Start,
    index: Index,
    head_end: usize,
    body_start: usize,
    content_length: Option<usize>,
    fault: Option<Fault>,
    plain: bool,
}

impl<'a> Message<'a> {
    /// Scans one datagram. Leading CRLFs are skipped (RFC 3261 7.5); octets beyond Content-Length are cut off (18.3); without
    /// Content-Length the body runs to the end of the datagram.
    ///
    /// `Err` only if there is no start line, so that nothing can be answered. Any other fault is kept in [`Message::fault`], with
    /// the rows that could be indexed, so that a request can be answered.
    pub fn datagram(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::datagram_by::<true>(bytes)
    }

    /// The same without the short ways of `line`. It finds the same, slowly: tests compare both.
    pub fn datagram_in_full(bytes: &'a [u8]) -> Result<Self, Fault> {
        Self::datagram_by::<false>(bytes)
    }

    #[inline]
    fn datagram_by<const USUAL: bool>(bytes: &'a [u8]) -> Result<Self, Fault> {
        // Changed where it stands: a message is large, and moving it costs more than this.
        let mut scanned = Self::begun::<USUAL>(skip_junk(bytes));
        if let Ok(message) = &mut scanned {
            message.rows::<USUAL>();
            message.cut();
        }
        scanned
    }

    /// Cuts off the octets after the body of a datagram.
    fn cut(&mut self) {
        if let Some(length) = self.content_length {
            match self.body_start.checked_add(length).and_then(|end| self.bytes.get(..end)) {
                Some(whole) => self.bytes = whole,
                None => self.object(Fault::BodyShort),
            }
        }
        if self.bytes.len() > MAX_MESSAGE {
            self.object(Fault::TooLarge);
        }
    }

    /// Scans one message of a stream, of exactly the length that [`super::frame::Framer`] found.
    pub fn framed(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut scanned = Self::begun::<true>(bytes);
        if let Ok(message) = &mut scanned {
            message.rows::<true>();
            match message.content_length {
                None => message.object(Fault::NoContentLength),
                Some(length) if message.bytes.len().checked_sub(message.body_start) != Some(length) => {
                    message.object(Fault::BodyShort);
                }
                Some(_) => {}
            }
        }
        scanned
    }

    /// Scans the start line and the header section. The body's length is not judged.
    pub(super) fn head(bytes: &'a [u8]) -> Result<Self, Fault> {
        let mut scanned = Self::begun::<true>(bytes);
        if let Ok(message) = &mut scanned {
            message.rows::<true>();
        }
        scanned
    }

    /// Scans the start line, in its usual form at first if `USUAL`.
    #[inline]
    fn begun<const USUAL: bool>(bytes: &'a [u8]) -> Result<Self, Fault> {
        let usual = if USUAL { line::start(bytes) } else { None };
        let (start, fault, plain, rows) = match usual {
            Some((start, rows)) => (start, None, true, rows),
            None => any_start(bytes)?,
        };
        Ok(Self {
            bytes,
            start,
            index: Index::new(),
            head_end: rows,
            body_start: bytes.len(),
            content_length: None,
            fault,
            plain,
        })
    }

    /// Indexes the header rows, from what is taken for the end of the header section so far, to the empty line.
    fn rows<const USUAL: bool>(&mut self) {
        let mut at = std::mem::replace(&mut self.head_end, self.bytes.len());
        loop {
            if USUAL {
                at = self.usual_rows(at);
            }
            if let Some([b'\r', b'\n', ..]) = self.bytes.get(at..) {
                break self.end(at, at.saturating_add(2));
            }
            match self.any_row(at) {
                Some(next) => at = next,
                None => break,
            }
        }
    }

    /// Indexes usual rows from `at` on, and tells where the first line begins that is none.
    #[inline]
    fn usual_rows(&mut self, mut at: usize) -> usize {
        let bytes = self.bytes.get(..MAX_MESSAGE).unwrap_or(self.bytes);
        let Some(mut rest) = bytes.get(at..) else { return at };
        while let Some(Row { name, value, end }) = line::row(rest) {
            let Some(behind) = rest.get(end..) else { break };
            if name == Name::ContentLength {
                match rest.get(value.clone()).and_then(content_length) {
                    Some(length) if self.content_length.is_none() => self.content_length = Some(length),
                    _ => break,
                }
            }
            let value = at.wrapping_add(value.start)..at.wrapping_add(value.end);
            let next = at.wrapping_add(end);
            if !self.index.push_usual(Header::new(name, at..next, value)) {
                break;
            }
            at = next;
            rest = behind;
        }
        at
    }

    /// The header section ends at `at`.
    fn end(&mut self, at: usize, body: usize) {
        self.head_end = at;
        self.body_start = body;
        if at > MAX_HEAD {
            self.object(Fault::HeadTooLong);
        }
    }

    /// Indexes a row in any spelling, and tells where the next one begins. `None`: the header section ends here.
    fn any_row(&mut self, mut at: usize) -> Option<usize> {
        let bytes = self.bytes;
        let mut nul = false;
        let start = at;
        at = self.line(at, &mut nul)?;
        if matches!(bytes.get(start..at), Some(b"\r\n" | b"\n")) {
            self.end(start, at);
            return None;
        }
        // A line that starts with white space continues the row before it (7.3.1).
        while matches!(bytes.get(at), Some(b' ' | b'\t')) {
            self.plain = false;
            at = self.line(at, &mut nul)?;
        }
        if nul {
            self.plain = false;
            if !are_quoted(bytes.get(start..at).unwrap_or_default(), |octet| octet == 0) {
                self.object(Fault::BareLineEnd);
            }
        }
        if at.saturating_sub(start) > MAX_ROW {
            self.object(Fault::RowTooLong);
        }
        if at > MAX_MESSAGE {
            self.object(Fault::HeadTooLong);
            return None;
        }
        self.row(start..at);
        if self.headers().len() >= MAX_HEADERS && !matches!(bytes.get(at), Some(b'\r' | b'\n')) {
            self.object(Fault::TooManyHeaders);
            return None;
        }
        Some(at)
    }

    /// The end of the line at `at`, after its LF; `None` if it has no LF. `nul`: the line holds a NUL, which is legal only if it
    /// is quoted.
    fn line(&mut self, at: usize, nul: &mut bool) -> Option<usize> {
        let rest = self.bytes.get(at..).unwrap_or_default();
        let Some(length) = memchr(b'\n', rest) else {
            self.object(Fault::NoHeadEnd);
            return None;
        };
        match rest.get(..length).and_then(|line| line.strip_suffix(b"\r")) {
            // The one CR of a line stands before its LF.
            Some(line) if memchr(b'\r', line).is_none() => *nul |= memchr(0, line).is_some(),
            _ => self.odd(Fault::BareLineEnd),
        }
        at.checked_add(length)?.checked_add(1)
    }

    fn row(&mut self, row: Range<usize>) {
        let text = self.bytes.get(row.clone()).unwrap_or_default();
        let end = text.iter().position(|&octet| !is_token(octet)).unwrap_or(text.len());
        let (name, after) = text.split_at_checked(end).unwrap_or_default();
        // Only SP and HTAB may stand before the colon (25.1 HCOLON), and such a name is the same name.
        let spaces = after.iter().position(|&octet| octet != b' ' && octet != b'\t').unwrap_or(after.len());
        let colon = end.saturating_add(spaces);
        if name.is_empty() || text.get(colon) != Some(&b':') {
            return self.object(Fault::HeaderName);
        }
        let value = trim(self.bytes, row.start.saturating_add(colon).saturating_add(1)..row.end);
        self.add(Header::new(Name::of(name), row, value));
    }

    fn add(&mut self, header: Header) {
        let name = header.name;
        // Of 256 rows the last one is not found so. A second one of its name would be one row too many.
        if name.single() && self.index.has(name) {
            self.object(if name == Name::ContentLength { Fault::ContentLength } else { Fault::Duplicate });
        }
        if name == Name::ContentLength && self.content_length.is_none() {
            self.content_length = content_length(self.value(&header));
            if self.content_length.is_none() {
                self.object(Fault::ContentLength);
            }
        }
        self.index.push(header);
    }

    /// Keeps the first fault. A fault that leaves the message's end unknown replaces one that does not.
    fn object(&mut self, fault: Fault) {
        if self.fault.is_none_or(|first| fault.breaks_framing() && !first.breaks_framing()) {
            self.fault = Some(fault);
        }
    }

    /// A fault that matters to code that copies the row.
    fn odd(&mut self, fault: Fault) {
        self.plain = false;
        self.object(fault);
    }

    /// Whether each row is one line without NUL, CR or LF inside, and the version is in capitals: then the bytes may leave as
    /// they are. Any other message can be straightened (`plain`).
    pub fn is_plain(&self) -> bool {
        self.plain
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
        self.index.headers()
    }

    /// The first row of a name.
    pub fn first(&self, name: Name) -> Option<&Header> {
        self.index.first(name)
    }

    /// All rows of a name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &Header> + '_ {
        self.numbered(name).map(|(_, header)| header)
    }

    /// All rows of a name with their index in [`Message::headers`], in order.
    pub(super) fn numbered(&self, name: Name) -> impl Iterator<Item = (usize, &Header)> + '_ {
        self.index.numbered(name)
    }

    /// The bytes of a range of this message; empty if it is not one.
    pub fn slice(&self, range: &Range<usize>) -> &'a [u8] {
        self.bytes.get(range.clone()).unwrap_or_default()
    }

    /// The value of a row.
    pub fn value(&self, header: &Header) -> &'a [u8] {
        self.slice(&header.value())
    }

    /// Where the header section ends: the offset of the empty line's CRLF. New rows may be inserted here.
    pub fn head_end(&self) -> usize {
        self.head_end
    }

    /// Where the body stands: from after the empty line to the end.
    pub(crate) fn body_range(&self) -> Range<usize> {
        self.body_start..self.bytes.len()
    }

    /// The body.
    pub fn body(&self) -> &'a [u8] {
        self.bytes.get(self.body_start..).unwrap_or_default()
    }

    /// What Content-Length says, if it is there and a number.
    pub fn content_length(&self) -> Option<usize> {
        self.content_length
    }

    /// The first fault found that breaks framing, else the first, if any.
    pub fn fault(&self) -> Option<Fault> {
        self.fault
    }
}

/// Reads a start line in any spelling: what is wrong with it, whether it may leave as it is, and where the next line begins.
#[cold]
fn any_start(bytes: &[u8]) -> Result<(Start, Option<Fault>, bool, usize), Fault> {
    let line_end = memchr(b'\n', bytes).ok_or(Fault::NotSip)?;
    let line = bytes.get(..line_end).unwrap_or_default();
    let (line, bare) = match line.strip_suffix(b"\r") {
        Some(line) => (line, false),
        None => (line, true),
    };
    let (start, mut fault) = start_line(line)?;
    let mut plain = has_plain_version(&start, line);
    if bare || memchr2(b'\r', 0, line).is_some() {
        plain = false;
        // It leaves the end of the message unknown, unlike the faults of a start line.
        fault = Some(Fault::BareLineEnd);
    }
    Ok((start, fault, plain, line_end.saturating_add(1)))
}

/// What a Content-Length says, if it is one plain number.
pub(super) fn content_length(text: &[u8]) -> Option<usize> {
    // More than any message has. It tells "too large" from "no number".
    const MAX: u64 = (1 << 31) - 1;
    usize::try_from(decimal(text, MAX)?).ok()
}

/// Whether a start line writes the version as RFC 3261 7.1 wants it sent.
fn has_plain_version(start: &Start, line: &[u8]) -> bool {
    match start {
        Start::Request { .. } => line.ends_with(b"SIP/2.0"),
        Start::Response { .. } => line.starts_with(b"SIP/2.0"),
    }
}

/// Bytes without the octets that may stand before a message: line ends (RFC 3261 7.5), and octets that some clients send to keep a NAT
/// binding, as between the messages of a stream.
fn skip_junk(bytes: &[u8]) -> &[u8] {
    let junk = |octet: &u8| matches!(octet, 0 | b'\r' | b'\n' | b' ' | b'\t');
    let start = bytes.iter().position(|octet| !junk(octet)).unwrap_or(bytes.len());
    bytes.get(start..).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const INVITE: &[u8] =
        b"INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bKx\r\nf: <sip:a@b>;tag=1\r\nTo:\r\n \
<sip:bob@example.com>\r\nCall-ID : x\r\nCSeq: 1 INVITE\r\nl: 4\r\n\r\nbodyEXTRA";

    #[test]
    fn indexes_folds_compact_names_and_cuts_the_excess() {
        let message = Message::datagram(INVITE).unwrap();
        assert_eq!(message.fault(), None);
        assert_eq!(message.body(), b"body");
        assert_eq!(message.value(message.first(Name::To).unwrap()), b"<sip:bob@example.com>");
        assert_eq!(message.value(message.first(Name::CallId).unwrap()), b"x");
        assert_eq!(message.headers().len(), 6);
        assert!(message.slice(&(message.head_end()..message.bytes().len())).starts_with(b"\r\n"));
    }

    fn fault(text: &str) -> Option<Fault> {
        match Message::datagram(text.as_bytes()) {
            Ok(message) => message.fault(),
            Err(fault) => Some(fault),
        }
    }

    #[test]
    fn faults() {
        let head = |rows: &str| format!("INVITE sip:a@b SIP/2.0\r\n{rows}\r\n");
        for (text, expected) in [
            (head(""), None),
            (head("X: y\r\n"), None),
            ("\r\n\r\n".to_owned() + &head(""), None),
            (head("X: a\nY: b\r\n"), Some(Fault::BareLineEnd)),
            (head("X: a\rY: b\r\n"), Some(Fault::BareLineEnd)),
            (head("X: a\0\r\n"), Some(Fault::BareLineEnd)),
            (head("X: a\0\n"), Some(Fault::BareLineEnd)),
            (head("X: \"a\\\0\"\r\n"), None),
            (head("X: \"a\r\n \\\0\"\r\n"), None),
            (head("X: \"a\\\\\0\"\r\n"), Some(Fault::BareLineEnd)),
            (head("X: a\\\0\r\n"), Some(Fault::BareLineEnd)),
            (head("X\u{1}: a\r\n"), Some(Fault::HeaderName)),
            ("INVITE  sip:a@b SIP/2.0\r\nX: a\nY: b\r\n\r\n".to_owned(), Some(Fault::BareLineEnd)),
            ("INVITE  sip:a@b SIP/2.0\r\nTo: a\r\nt: a\r\n\r\n".to_owned(), Some(Fault::StartLine)),
            (head("no colon\r\n"), Some(Fault::HeaderName)),
            (head(": empty\r\n"), Some(Fault::HeaderName)),
            (head(" X: first line is a fold\r\n"), Some(Fault::HeaderName)),
            (head("Content-Length: 0\r\nl: 0\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: +0\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: 0,0\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: \r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: -1\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: 4294967296\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length: 99999999999999999999\r\n"), Some(Fault::ContentLength)),
            (head("Content-Length:\r\n 0\r\n"), None),
            (head("Content-Length: 1\r\n"), Some(Fault::BodyShort)),
            (head("To: a\r\nt: a\r\n"), Some(Fault::Duplicate)),
            ("INVITE sip:a@b SIP/2.0\r\nX: y\r\n".to_owned(), Some(Fault::NoHeadEnd)),
            ("INVITE sip:a@b SIP/7.0\r\n\r\n".to_owned(), Some(Fault::Version)),
            ("INVITE  sip:a@b SIP/2.0\r\n\r\n".to_owned(), Some(Fault::StartLine)),
            ("INVITE sip:a@b SIP/2.0 \r\n\r\n".to_owned(), Some(Fault::StartLine)),
            ("INVITE SIP/2.0\r\n\r\n".to_owned(), Some(Fault::StartLine)),
            ("INVITE sip:a@b; lr SIP/2.0\r\n\r\n".to_owned(), Some(Fault::StartLine)),
            (format!("INVITE sip:{}@b SIP/2.0\r\n\r\n", "a".repeat(2100)), Some(Fault::UriTooLong)),
            (head(&format!("X: {}\r\n", "a".repeat(9000))), Some(Fault::RowTooLong)),
            (head(&"a: b\r\n".repeat(300)), Some(Fault::TooManyHeaders)),
            ("GET / HTTP/1.1\r\n\r\n".to_owned(), Some(Fault::NotSip)),
            ("HEP3\0\0".to_owned(), Some(Fault::NotSip)),
            ("SIP/2.0 99 No\r\n\r\n".to_owned(), Some(Fault::NotSip)),
            ("SIP/2.0 700 No\r\n\r\n".to_owned(), Some(Fault::NotSip)),
            ("SIP/2.0 0200 No\r\n\r\n".to_owned(), Some(Fault::NotSip)),
            ("SIP/2.0 200\r\n\r\n".to_owned(), None),
            ("INVITE sip:a@b Sip/2.0\r\n\r\n".to_owned(), None),
        ] {
            assert_eq!(fault(&text), expected, "{}", text.get(..text.len().min(80)).unwrap());
        }
    }

    #[test]
    fn exactly_as_many_headers_as_fit() {
        let text = format!("INVITE sip:a@b SIP/2.0\r\n{}\r\n", "a: b\r\n".repeat(MAX_HEADERS));
        assert_eq!(fault(&text), None);
    }
}
