//! Reads the usual spellings of the rows that every element reads, from mark to mark.
//!
//! It accepts only texts that the readers in [`super::address`], [`super::uri`] and [`super::via`] accept, and finds the same in
//! them. It refuses nothing: a spelling that it does not know is left to those readers. Property tests compare both.

#![expect(clippy::inline_always, reason = "so that what a caller does not need is not computed")]

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::header::is_token;
use super::marks::{self, MarkAt, Marks};
use super::uri::{Host, Scheme, Uri};
use super::via::{COOKIE, Via};

/// Beginnings of values, as words: whole texts would be compared octet by octet.
const SIP: u32 = u32::from_le_bytes(*b"sip:");
const SIPS: u32 = u32::from_le_bytes(*b"sips");
const VERSION: u64 = u64::from_le_bytes(*b"SIP/2.0/");
const TRANSPORTS: [u32; 3] = [u32::from_le_bytes(*b"UDP "), u32::from_le_bytes(*b"TCP "), u32::from_le_bytes(*b"TLS ")];

/// Reads a text that is one `sip:` or `sips:` URI.
pub(super) fn uri(text: &[u8]) -> Option<Uri<'_>> {
    let mut reader = Reader { text, marks: Marks::from(text, 0), hides: false };
    let (uri, end) = reader.uri(0)?;
    (end.at == text.len()).then_some(uri)
}

/// A `name-addr` with such a URI, and its parameters.
pub(super) struct NameAddr<'a> {
    /// The value of its one `tag`.
    pub(super) tag: Option<&'a [u8]>,
    /// Where the URI stands in the text.
    span: Range<usize>,
    uri: Uri<'a>,
    /// Whether a parameter of the URI begins as `maddr` does.
    hides: bool,
}

impl<'a> NameAddr<'a> {
    /// The host that a request to its URI goes to.
    #[inline(always)]
    fn reached(&self) -> Option<Host<'a>> {
        if self.hides { self.uri.reached() } else { self.uri.host }
    }
}

/// The tag of a text that is one value with a URI in brackets. No other value follows after a comma.
#[expect(clippy::option_option, reason = "the outer one says whether it is known here")]
pub(super) fn tag(text: &[u8]) -> Option<Option<&[u8]>> {
    name_addr(text).map(|read| read.tag)
}

/// The host that a request to such a value goes to.
#[expect(clippy::option_option, reason = "the outer one says whether it is known here")]
pub(super) fn reached(text: &[u8]) -> Option<Option<Host<'_>>> {
    name_addr(text).map(|read| read.reached())
}

/// The URI of such a value, and where it stands.
pub(super) fn bracketed(text: &[u8]) -> Option<(Uri<'_>, Range<usize>)> {
    name_addr(text).map(|read| (read.uri, read.span))
}

/// Whether a text is such a value.
pub(super) fn is_name_addr(text: &[u8]) -> bool {
    name_addr(text).is_some()
}

/// Reads such a value. What a caller does not need of it costs nothing.
#[inline(always)]
fn name_addr(text: &[u8]) -> Option<NameAddr<'_>> {
    let mut reader = Reader { text, marks: Marks::from(text, 0), hides: false };
    let start = reader.name()?.wrapping_add(1);
    let (uri, close) = reader.uri(start)?;
    if close.octet != b'>' {
        return None;
    }
    let mut tag = None;
    let mut mark = reader.behind(close)?;
    while mark.at < text.len() {
        let Param { name, value, end, .. } = reader.param(mark)?;
        if name == b"tag" {
            if tag.replace(value?).is_some() {
                return None;
            }
        } else if !is_another(name, &["tag"]) {
            return None;
        }
        mark = end;
    }
    Some(NameAddr { tag, span: start..close.at, uri, hides: reader.hides })
}

/// Reads the Via value at `span`, if no other value follows it.
pub(super) fn via(bytes: &[u8], span: Range<usize>) -> Option<Via<'_>> {
    read_via(bytes, span)
}

/// Whether a text is one Via value.
pub(super) fn is_via(text: &[u8]) -> bool {
    read_via(text, 0..text.len()).is_some()
}

#[inline(always)]
fn read_via(bytes: &[u8], span: Range<usize>) -> Option<Via<'_>> {
    let text = bytes.get(span.clone())?;
    let (version, rest) = text.split_first_chunk::<8>()?;
    let sent_protocol = (u64::from_le_bytes(*version), u32::from_le_bytes(*rest.first_chunk()?));
    if sent_protocol.0 != VERSION || !TRANSPORTS.contains(&sent_protocol.1) {
        return None;
    }
    let mut reader = Reader { text, marks: Marks::from(text, 12), hides: false };
    let transport = reader.slice(8, 11);
    let first = reader.marks.next();
    let (sent_by, host, port, mut mark) = reader.host_port(12, first)?;
    let (mut branch, mut rport, mut received) = (None, None, None);
    while mark.at < text.len() {
        let Param { start, name, value, end } = reader.param(mark)?;
        let place = || span.start.wrapping_add(start)..span.start.wrapping_add(end.at);
        let again = if name == b"branch" {
            // The cookie and nothing behind it is left to the other readers.
            branch.replace(value.filter(|value| value.len() != COOKIE.len())?).is_some()
        } else if name == b"rport" {
            rport.replace(place()).is_some()
        } else if name == b"received" {
            received.replace(place()).is_some()
        } else {
            !is_another(name, &["branch", "rport", "received"])
        };
        if again {
            return None;
        }
        mark = end;
    }
    Some(Via { span, transport, sent_by, host, port, branch, rport, received })
}

/// Reads a `CSeq`: a number of at most nine digits, a space, a method.
pub(super) fn cseq(text: &[u8]) -> Option<(u32, &[u8])> {
    let (mut number, mut rest) = (0_u32, text);
    while let [octet, behind @ ..] = rest {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            break;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
        rest = behind;
    }
    let [b' ', method @ ..] = rest else { return None };
    let digits = text.len().wrapping_sub(rest.len());
    let whole = (1..=9).contains(&digits) && !method.is_empty() && method.iter().copied().all(is_token);
    whole.then_some((number, method))
}

/// Whether a name is a token, and none of these in other letters.
#[cold]
fn is_another(name: &[u8], known: &[&str]) -> bool {
    name.iter().copied().all(is_token) && !known.iter().any(|known| name.eq_ignore_ascii_case(known.as_bytes()))
}

/// A parameter of a header.
struct Param<'a> {
    /// Where its `;` stands.
    start: usize,
    name: &'a [u8],
    /// Never empty.
    value: Option<&'a [u8]>,
    /// The mark behind it.
    end: MarkAt,
}

/// A text, and the marks that were not read yet.
struct Reader<'a> {
    text: &'a [u8],
    marks: Marks<'a>,
    /// Whether a parameter of the URI begins as `maddr` does.
    hides: bool,
}

impl<'a> Reader<'a> {
    /// A part of the text between two marks, the second behind the first.
    #[inline(always)]
    fn slice(&self, start: usize, end: usize) -> &'a [u8] {
        self.text.get(start..end).unwrap_or_default()
    }

    /// Reads a display name, and returns where the bracket behind it stands.
    #[inline(always)]
    fn name(&mut self) -> Option<usize> {
        let mut mark = self.marks.next();
        if mark.octet == b'"' && mark.at == 0 {
            mark = self.quoted()?;
        } else {
            // Words, with spaces between. The other readers let any octet pass here that is no mark.
            while matches!(mark.octet, b' ' | b'!') {
                mark = self.marks.next();
            }
        }
        (mark.octet == b'<').then_some(mark.at)
    }

    /// Reads a quoted string whose first quote was read, and one space behind it. Returns the mark that stands there.
    #[inline(always)]
    fn quoted(&mut self) -> Option<MarkAt> {
        let close = loop {
            let mark = self.marks.next();
            match mark.octet {
                b'"' => break mark,
                b'\\' => return None,
                b' '..=b'~' => {}
                _ => return None,
            }
        };
        let mark = self.behind(close)?;
        if mark.octet == b' ' { self.behind(mark) } else { Some(mark) }
    }

    /// The next mark, or the end, if no other octet stands before it.
    #[inline(always)]
    fn behind(&mut self, before: MarkAt) -> Option<MarkAt> {
        let mark = self.marks.next();
        (mark.at == before.at.wrapping_add(1)).then_some(mark)
    }

    /// Reads a URI, and returns the first mark that cannot be part of it.
    #[inline(always)]
    fn uri(&mut self, from: usize) -> Option<(Uri<'a>, MarkAt)> {
        let text = self.text.get(from..)?;
        // As one word, since texts are compared octet by octet.
        let (scheme, length) = match u32::from_le_bytes(*text.first_chunk()?) {
            SIP => (Scheme::Sip, 4),
            SIPS if text.get(4) == Some(&b':') => (Scheme::Sips, 5),
            _ => return None,
        };
        // The colon.
        if !self.marks.skip() {
            return None;
        }
        let start = from.wrapping_add(length);
        let first = self.marks.next();
        let (user, (hostport, host, port, mut end)) = if first.octet == b'@' {
            let behind = self.marks.next();
            (Some(self.slice(start, first.at)), self.host_port(first.at.wrapping_add(1), behind)?)
        } else {
            (None, self.host_port(start, first)?)
        };
        let mut params = &b""[..];
        if end.octet == b';' {
            (params, end) = self.uri_params(end.at.wrapping_add(1))?;
        }
        Some((Uri { scheme, user, host: Some(host), hostport, port, params, headers: b"" }, end))
    }

    /// Reads the parameters of a URI. Those that route begin with one of three letters. If two do, the other readers decide.
    #[inline(always)]
    fn uri_params(&mut self, start: usize) -> Option<(&'a [u8], MarkAt)> {
        let (mut at, mut seen) = (start, 0_u8);
        loop {
            let first = match self.text.get(at).map(u8::to_ascii_lowercase) {
                Some(b'm') => 1,
                Some(b't') => 2,
                Some(b'l') => 4,
                _ => 0,
            };
            if seen & first != 0 {
                return None;
            }
            seen |= first;
            self.hides |= first == 1;
            let mut end = self.marks.next();
            while matches!(end.octet, b'=' | b':' | b',' | b'!') {
                end = self.marks.next();
            }
            if end.octet != b';' {
                return Some((self.slice(start, end.at), end));
            }
            at = end.at.wrapping_add(1);
        }
    }

    /// Reads a host that is no IPv6 reference, and a port. `end` is the next mark. Returns the mark behind them.
    #[inline(always)]
    fn host_port(&mut self, start: usize, mut end: MarkAt) -> Option<(&'a [u8], Host<'a>, Option<u16>, MarkAt)> {
        let text = self.text.get(start..end.at)?;
        let host = match text {
            [b'0'..=b'9', ..] => Host::Address(IpAddr::V4(quad(text)?)),
            _ => Host::Name(is_name(text).then_some(text)?),
        };
        if end.octet != b':' {
            return Some((text, host, None, end));
        }
        let from = end.at.wrapping_add(1);
        end = self.marks.next();
        let port = port(self.text.get(from..end.at)?)?;
        Some((self.slice(start, end.at), host, Some(port), end))
    }

    /// Reads the parameter of a header that begins with this mark.
    #[inline(always)]
    fn param(&mut self, mark: MarkAt) -> Option<Param<'a>> {
        if mark.octet != b';' {
            return None;
        }
        let mut end = self.marks.next();
        let name = self.slice(mark.at.wrapping_add(1), end.at);
        let mut value = None;
        if end.octet == b'=' {
            let from = end.at.wrapping_add(1);
            end = self.marks.next();
            while matches!(end.octet, b':' | b'?' | b'!') {
                end = self.marks.next();
            }
            value = Some(self.slice(from, end.at)).filter(|value| !value.is_empty());
            value?;
        }
        (!name.is_empty()).then_some(Param { start: mark.at, name, value, end })
    }
}

/// Whether a text is a host name whose last label is no number.
fn is_name(text: &[u8]) -> bool {
    if text.len() >= marks::BLOCK {
        return false;
    }
    let [legal, dots] = marks::block(text, |octets| {
        let dots = octets.are(b'.');
        let letters = octets.folded().within(b'a', b'z');
        [dots | octets.within(b'0', b'9') | letters | octets.are(b'-') | octets.are(b'_'), dots]
    });
    // Where a label begins.
    let begins = (dots << 1) | 1;
    let last = text.get(63_u32.wrapping_sub(begins.leading_zeros()) as usize);
    legal == marks::low(text.len()) && begins & dots == 0 && last.is_some_and(|first| !first.is_ascii_digit())
}

/// Reads four numbers, and nothing else.
pub(super) fn quad(text: &[u8]) -> Option<Ipv4Addr> {
    let (a, rest) = number(text)?;
    let (b, rest) = number(rest.strip_prefix(b".")?)?;
    let (c, rest) = number(rest.strip_prefix(b".")?)?;
    let (d, rest) = number(rest.strip_prefix(b".")?)?;
    rest.is_empty().then(|| Ipv4Addr::new(a, b, c, d))
}

/// A number up to 255 without leading zeros, and what stands behind it.
#[inline(always)]
fn number(text: &[u8]) -> Option<(u8, &[u8])> {
    let digit = |octet: u8| Some(octet.wrapping_sub(b'0')).filter(|digit| *digit <= 9);
    let (&first, rest) = text.split_first()?;
    let first = digit(first)?;
    let Some((second, behind)) = rest.split_first().and_then(|(octet, rest)| Some((digit(*octet)?, rest))) else {
        return Some((first, rest));
    };
    if first == 0 {
        return None;
    }
    let two = first.wrapping_mul(10).wrapping_add(second);
    let Some((third, last)) = behind.split_first().and_then(|(octet, rest)| Some((digit(*octet)?, rest))) else {
        return Some((two, behind));
    };
    Some((two.checked_mul(10)?.checked_add(third)?, last))
}

/// Reads a port: 1 to 65535, without leading zeros.
fn port(digits: &[u8]) -> Option<u16> {
    if digits.len() > 5 || matches!(digits, [] | [b'0', ..]) {
        return None;
    }
    let mut number = 0_u32;
    for octet in digits {
        let digit = octet.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        number = number.wrapping_mul(10).wrapping_add(digit.into());
    }
    u16::try_from(number).ok()
}
