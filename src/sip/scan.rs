//! Indexes the start line and the header rows, in one pass over the received bytes.
//!
//! It is strict if two parsers could disagree (RFC 4475 "repair or refuse": refuse): a bare CR or LF or a NUL in the header
//! section, a name that is not a token, a second row of a single-valued header, a Content-Length that is not one plain number.

use std::ops::Range;

use memchr::{memchr, memchr2, memchr3};
use smallvec::SmallVec;

use super::header::{are_quoted, is_space, is_token, trim};
use super::number::decimal;
use super::start::start_line;
use super::{Header, Name};

pub use super::fault::Fault;
pub use super::start::Start;

/// Most header rows in one message.
pub(crate) const MAX_HEADERS: usize = 256;
/// Header rows of usual messages. So many are indexed in place, which keeps a message cheap to move. More take one allocation.
const USUAL_HEADERS: usize = 24;
/// Stands for no index of a row.
const NONE: u8 = u8::MAX;
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
    headers: SmallVec<[Header; USUAL_HEADERS]>,
    /// Where the first row of each name stands in `headers`. `NONE`: not among the first 255.
    firsts: [u8; Name::COUNT],
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
        // Changed where it stands: a message is large, and moving it costs more than this.
        let mut scanned = Self::head(skip_junk(bytes));
        if let Ok(message) = &mut scanned {
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
        let mut scanned = Self::head(bytes);
        if let Ok(message) = &mut scanned {
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
    #[inline]
    pub(super) fn head(bytes: &'a [u8]) -> Result<Self, Fault> {
        let line_end = memchr(b'\n', bytes).ok_or(Fault::NotSip)?;
        let line = bytes.get(..line_end).unwrap_or_default();
        let (line, bare) = match line.strip_suffix(b"\r") {
            Some(line) => (line, false),
            None => (line, true),
        };
        let (start, fault) = start_line(line)?;
        let plain = has_plain_version(&start, line);
        let mut message = Self {
            bytes,
            start,
            headers: SmallVec::new(),
            firsts: [NONE; Name::COUNT],
            head_end: bytes.len(),
            body_start: bytes.len(),
            content_length: None,
            fault,
            plain,
        };
        if bare || memchr2(b'\r', 0, line).is_some() {
            message.odd(Fault::BareLineEnd);
        }
        message.rows(line_end.saturating_add(1));
        Ok(message)
    }

    /// Indexes the header rows from `at` to the empty line.
    fn rows(&mut self, mut at: usize) {
        let bytes = self.bytes;
        let mut seen = 0_u32;
        loop {
            let mut nul = false;
            let Some(end) = self.line(at, &mut nul) else { return self.object(Fault::NoHeadEnd) };
            if matches!(bytes.get(at..end), Some(b"\r\n" | b"\n")) {
                self.head_end = at;
                self.body_start = end;
                if at > MAX_HEAD {
                    self.object(Fault::HeadTooLong);
                }
                return;
            }
            let start = at;
            at = end;
            // A line that starts with white space continues the row before it (7.3.1).
            while matches!(bytes.get(at), Some(b' ' | b'\t')) {
                self.plain = false;
                let Some(end) = self.line(at, &mut nul) else { return self.object(Fault::NoHeadEnd) };
                at = end;
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
            self.row(start..at, &mut seen);
            if self.headers.len() >= MAX_HEADERS && !matches!(bytes.get(at), Some(b'\r' | b'\n')) {
                return self.object(Fault::TooManyHeaders);
            }
        }
    }

    /// The end of the line at `at`, after its LF; `None` if it has no LF. `nul`: the line holds a NUL, which is legal only if it
    /// is quoted.
    fn line(&mut self, at: usize, nul: &mut bool) -> Option<usize> {
        let rest = self.bytes.get(at..)?;
        let first = memchr3(b'\r', b'\n', 0, rest)?;
        let behind = first.checked_add(2)?;
        // The one CR of a line stands before its LF.
        if rest.get(first..behind) == Some(b"\r\n") {
            return at.checked_add(behind);
        }
        self.odd_line(at, rest, nul)
    }

    /// A line that holds more than text before its CRLF.
    #[cold]
    fn odd_line(&mut self, at: usize, rest: &[u8], nul: &mut bool) -> Option<usize> {
        let length = memchr(b'\n', rest)?;
        match rest.get(..length).and_then(|line| line.strip_suffix(b"\r")) {
            Some(line) if memchr(b'\r', line).is_none() => *nul = true,
            _ => self.odd(Fault::BareLineEnd),
        }
        at.checked_add(length)?.checked_add(1)
    }

    fn row(&mut self, row: Range<usize>, seen: &mut u32) {
        let text = self.bytes.get(row.clone()).unwrap_or_default();
        let end = text.iter().position(|&octet| !is_token(octet)).unwrap_or(text.len());
        let (name, after) = text.split_at_checked(end).unwrap_or_default();
        let colon = match after.first() {
            Some(b':') => end,
            // Only SP and HTAB may stand before the colon (25.1 HCOLON), and such a name is the same name.
            _ => end.saturating_add(after.iter().position(|&octet| octet != b' ' && octet != b'\t').unwrap_or(after.len())),
        };
        if name.is_empty() || text.get(colon) != Some(&b':') {
            return self.object(Fault::HeaderName);
        }
        let name = Name::of(name);
        let value = match after {
            // Nearly every row is written so: one space before the value, and none after it.
            [b':', b' ', first, .., last, b'\r', b'\n'] if !is_space(*first) && !is_space(*last) => {
                row.start.saturating_add(end).saturating_add(2)..row.end.saturating_sub(2)
            }
            _ => trim(self.bytes, row.start.saturating_add(colon).saturating_add(1)..row.end),
        };
        if name.single() {
            let bit = 1_u32.checked_shl(name as u32).unwrap_or(0);
            if *seen & bit != 0 {
                self.object(if name == Name::ContentLength { Fault::ContentLength } else { Fault::Duplicate });
            }
            *seen |= bit;
        }
        if name == Name::ContentLength && self.content_length.is_none() {
            let number = decimal(self.bytes.get(value.clone()).unwrap_or_default(), MAX_CONTENT_LENGTH);
            match number.and_then(|number| usize::try_from(number).ok()) {
                Some(length) => self.content_length = Some(length),
                None => self.object(Fault::ContentLength),
            }
        }
        if let Some(first) = self.firsts.get_mut(name as usize).filter(|first| **first == NONE) {
            *first = u8::try_from(self.headers.len()).unwrap_or(NONE);
        }
        self.headers.push(Header { name, row, value });
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
        &self.headers
    }

    /// The first row of a name.
    pub fn first(&self, name: Name) -> Option<&Header> {
        self.headers.get(self.first_index(name)).filter(|header| header.name == name)
    }

    /// All rows of a name, in order.
    pub fn all(&self, name: Name) -> impl Iterator<Item = &Header> + '_ {
        self.numbered(name).map(|(_, header)| header)
    }

    /// All rows of a name with their index in [`Message::headers`], in order.
    pub(super) fn numbered(&self, name: Name) -> impl Iterator<Item = (usize, &Header)> + '_ {
        self.headers.iter().enumerate().skip(self.first_index(name)).filter(move |(_, header)| header.name == name)
    }

    /// Where the first row of a name stands, if there is one.
    fn first_index(&self, name: Name) -> usize {
        match self.firsts.get(name as usize) {
            Some(&NONE) | None if self.headers.len() <= usize::from(NONE) => self.headers.len(),
            first => first.copied().unwrap_or(NONE).into(),
        }
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

/// More than any message has. It tells "too large" from "no number".
const MAX_CONTENT_LENGTH: u64 = (1 << 31) - 1;

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
