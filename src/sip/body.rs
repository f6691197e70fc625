//! Finds the session descriptions in a message's body (RFC 5621), wherever a reader could find one. `sdp` judges them.
//!
//! The type that a body names is not enough: servers read the body of an INVITE, whatever its type says. A body that two readers
//! could split differently is refused, not repaired. Only a part in base64 or quoted-printable, or one with NULs, is copied, one
//! at a time and up to a limit.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::ops::Range;

use memchr::memchr;

use super::Method;
use super::header::{Name, is_space, is_token, trimmed};
use super::multipart::{self, LineEnd, Piece};
use super::number::decimal;
use super::parameter::{closes, each_param};
use super::request::cseq;
use super::scan::{MAX_MESSAGE, Message, Start};
use super::sdp::{self, Excerpt, Extent, Inside, SdpObjection, excerpt, first_sign};
use super::transfer::{self, Encoding};

/// Deepest nesting of multiparts.
pub(crate) const MAX_DEPTH: usize = 4;
/// Most parts, in all multiparts of a body.
pub const MAX_PARTS: usize = 16;

/// What was found in a body that passes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// How many session descriptions it holds; each was judged. 0: the message does not say where media goes.
    pub descriptions: usize,
}

/// Why a body does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection {
    /// A session description in it does not pass.
    Description(SdpObjection),
    /// The body cannot be read, so its content is not known.
    Body {
        /// What could not be read: `Content-Type`, `multipart without an end` …
        field: &'static str,
        /// The beginning of the offending text, if one can be named.
        text: Excerpt,
    },
}

impl From<SdpObjection> for Objection {
    fn from(objection: SdpObjection) -> Self {
        Self::Description(objection)
    }
}

/// Asks `inside` about every address that media could go to by the message's body.
///
/// A session description is `application/sdp`, in any spelling and in any part of a multipart, a trickle-ICE fragment, or a text
/// with a line that could begin one. If the message may carry an offer or an answer, its body counts as one too, unless its type
/// is known to be another. No other body is judged. Unreadable: a Content-Encoding, S/MIME, an encrypted, broken or ambiguous
/// multipart, a body stored elsewhere or in pieces, a body without a type.
pub fn judge(message: &Message<'_>, inside: impl Inside) -> Result<Checked, Objection> {
    Ok(read(message, inside)?.checked)
}

/// Where a message's session description stands, so that another can replace it. `Ok(None)`: it has none. `Err`: it cannot be
/// replaced: there are several, it is unreadable or encoded, its type is another, or its part has a Content-Length.
pub fn only_description(message: &Message<'_>) -> Result<Option<Range<usize>>, Irreplaceable> {
    let anywhere = |_: IpAddr| true;
    let BodyReader { checked, place, .. } = read(message, anywhere).map_err(|_| Irreplaceable)?;
    let start = message.bytes().as_ptr().addr();
    match (checked.descriptions, place) {
        (0, _) => Ok(None),
        (1, Some(place)) => {
            let offset = |at: usize| at.checked_sub(start);
            let place = offset(place.start).zip(offset(place.end)).map(|(from, to)| from..to);
            // A decoded description is not part of the message itself.
            place.filter(|place| message.bytes().get(place.clone()).is_some()).map(Some).ok_or(Irreplaceable)
        }
        _ => Err(Irreplaceable),
    }
}

/// No other session description can be put into this message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Irreplaceable;

fn read<F: Inside>(message: &Message<'_>, inside: F) -> Result<BodyReader<F>, Objection> {
    let body = message.body();
    let mut reader = BodyReader { inside, checked: Checked::default(), parts: 0, place: None };
    if body.is_empty() {
        return Ok(reader);
    }
    let mut head = Head::default();
    for header in message.headers() {
        match header.name {
            Name::ContentType | Name::ContentEncoding => head.row(header.name, b"", message.value(header))?,
            // RFC 3261 has no such header. A reader that knows it from mail would decode the body.
            Name::Other => {
                let row = message.slice(&header.row());
                if matches!(row.first(), Some(b'c' | b'C')) {
                    let end = row.iter().position(|&octet| !is_token(octet)).unwrap_or(row.len());
                    head.row(header.name, row.get(..end).unwrap_or_default(), message.value(header))?;
                }
            }
            _ => {}
        }
    }
    match (head.encoding, head.kind) {
        (Encoding::Identity, Some(_)) => match head.kind()? {
            Kind::Unknown | Kind::Enclosed if negotiates(message) => reader.taken_for_description(body)?,
            kind => reader.content(kind, body, 0)?,
        },
        (Encoding::Identity, None) => match description(body) {
            Some(text) => reader.description(text)?,
            None => return unreadable("body without Content-Type", body),
        },
        _ => return unreadable("Content-Transfer-Encoding of a message", b""),
    }
    Ok(reader)
}

/// Whether a message may carry an offer or an answer (RFC 6337 2).
fn negotiates(message: &Message<'_>) -> bool {
    let method = match message.start() {
        Start::Request { method, .. } => Some(*method),
        Start::Response { code: ..300 } => cseq(message).map(|(_, token)| Method::of(token)),
        Start::Response { .. } => None,
    };
    matches!(method, Some(Method::Invite | Method::Ack | Method::Prack | Method::Update))
}

/// What the rows of a message or of a part say about its content.
#[derive(Default)]
struct Head<'a> {
    kind: Option<&'a [u8]>,
    /// Whether Content-Transfer-Encoding was there.
    encoded: bool,
    encoding: Encoding,
    length: Option<&'a [u8]>,
}

impl<'a> Head<'a> {
    /// Takes in a row. `spelled` is its name as written, for a `name` that is `Other`.
    fn row(&mut self, name: Name, spelled: &[u8], value: &'a [u8]) -> Result<(), Objection> {
        match name {
            Name::ContentType => match self.kind.replace(value) {
                Some(_) => unreadable("second Content-Type", value),
                None => Ok(()),
            },
            Name::ContentEncoding if !value.eq_ignore_ascii_case(b"identity") => unreadable("Content-Encoding", value),
            Name::ContentLength => match self.length.replace(value) {
                Some(_) => unreadable("second Content-Length", value),
                None => Ok(()),
            },
            Name::Other if spelled.eq_ignore_ascii_case(b"Content-Transfer-Encoding") => {
                match (Encoding::of(value), self.encoded) {
                    (Some(encoding), false) => {
                        (self.encoded, self.encoding) = (true, encoding);
                        Ok(())
                    }
                    _ => unreadable("Content-Transfer-Encoding", value),
                }
            }
            _ => Ok(()),
        }
    }

    fn kind(&self) -> Result<Kind<'a>, Objection> {
        match self.kind {
            Some(value) => Kind::of(value),
            None => Ok(Kind::Unknown),
        }
    }
}

/// A content type, as far as types are told apart.
#[derive(Clone, Copy)]
enum Kind<'a> {
    Description,
    /// Candidates that follow a description (RFC 8840).
    Fragment,
    /// With its boundary.
    Multipart(&'a [u8]),
    /// A SIP message inside this one (3261 23.4.1). Its body is not judged if it is one of several parts.
    Enclosed,
    /// No reader takes it for a description.
    Other,
    /// A reader could take it for a description.
    Unknown,
}

impl<'a> Kind<'a> {
    fn of(value: &'a [u8]) -> Result<Self, Objection> {
        if value == b"application/sdp" || value.eq_ignore_ascii_case(b"application/sdp") {
            return Ok(Self::Description);
        }
        let end = memchr(b';', value).unwrap_or(value.len());
        let (essence, params) = value.split_at_checked(end).unwrap_or_default();
        let slash = memchr(b'/', essence).unwrap_or(0);
        let (main, sub) = essence.split_at_checked(slash).unwrap_or_default();
        let (main, sub) = (trimmed(main), trimmed(sub.get(1..).unwrap_or_default()));
        let token = |text: &[u8]| !text.is_empty() && text.iter().all(|&octet| is_token(octet));
        if !token(main) || !token(sub) {
            return unreadable("Content-Type", essence);
        }
        let is = |text: &[u8], name: &[u8]| text.eq_ignore_ascii_case(name);
        if is(main, b"application") {
            if is(sub, b"sdp") {
                return Ok(Self::Description);
            }
            // S/MIME (8551) and its parts (7193).
            if is(sub, b"pkcs7-mime") || is(sub, b"x-pkcs7-mime") || is(sub, b"cms") {
                return unreadable("Content-Type", essence);
            }
            // `trickle-ice-sdpfrag`, and names that others may have given it.
            if ends_with(sub, b"sdpfrag") {
                return Ok(Self::Fragment);
            }
        }
        // The content is elsewhere, or in several messages (2046 5.2).
        if is(main, b"message") && (is(sub, b"external-body") || is(sub, b"partial")) {
            return unreadable("Content-Type", essence);
        }
        if is(main, b"message") && is(sub, b"sip") {
            return Ok(Self::Enclosed);
        }
        if !is(main, b"multipart") {
            return Ok(if is_known(main, sub) { Self::Other } else { Self::Unknown });
        }
        if is(sub, b"encrypted") {
            return unreadable("Content-Type", essence);
        }
        // 2046 5.1.3: a multipart of an unknown kind is read as mixed. A signed one (1847) can be read too.
        match boundary(params.get(1..).unwrap_or_default()) {
            Some(boundary) => Ok(Self::Multipart(boundary)),
            None => unreadable("boundary", params),
        }
    }
}

/// Other types in messages that may carry an offer or an answer. No server takes them for a description.
fn is_known(main: &[u8], sub: &[u8]) -> bool {
    let is = |name: &&str| sub.eq_ignore_ascii_case(name.as_bytes());
    let applications = ["isup", "qsig", "x-q931", "q931", "dtmf", "dtmf-relay", "x-hotsip-filetransfer+xml", "pkcs7-signature"];
    ends_with(sub, b"+xml")
        || main.eq_ignore_ascii_case(b"application") && applications.iter().any(is)
        || main.eq_ignore_ascii_case(b"message") && is(&"sipfrag")
        || ["image", "audio", "video"].iter().any(|media| main.eq_ignore_ascii_case(media.as_bytes()))
}

fn ends_with(text: &[u8], end: &[u8]) -> bool {
    let at = text.len().checked_sub(end.len());
    at.and_then(|at| text.get(at..)).is_some_and(|tail| tail.eq_ignore_ascii_case(end))
}

/// The boundary that the parameters name. `None`: they name none or several, it is in pieces (RFC 2231), or readers could cut it
/// differently.
fn boundary(params: &[u8]) -> Option<&[u8]> {
    if !closes(params) {
        return None;
    }
    let mut found = None;
    for (_, name, value) in each_param(params) {
        let Some((plain, rest)) = name.split_at_checked(8).filter(|(name, _)| name.eq_ignore_ascii_case(b"boundary")) else {
            continue;
        };
        if rest.first() == Some(&b'*') || (rest.is_empty() && found.replace((plain, value?)).is_some()) {
            return None;
        }
    }
    let (_, value) = found?;
    let boundary = match value.strip_prefix(b"\"") {
        Some(quoted) => {
            let inner = quoted.strip_suffix(b"\"")?;
            let plain = |&octet: &u8| (octet.is_ascii_graphic() || octet == b' ') && !matches!(octet, b'"' | b'\\');
            (inner.iter().all(plain) && trimmed(inner).len() == inner.len()).then_some(inner)?
        }
        None => value.iter().all(|&octet| is_token(octet)).then_some(value)?,
    };
    // 2046 5.1.1
    (1..=70).contains(&boundary.len()).then_some(boundary)
}

/// The session description that begins a text, after white space and a byte order mark.
fn description(text: &[u8]) -> Option<&[u8]> {
    let mut text = text;
    loop {
        text = match text {
            [0xef, 0xbb, 0xbf, rest @ ..] => rest,
            [first, rest @ ..] if is_space(*first) || matches!(first, 0 | 0x0b | 0x0c) => rest,
            _ => return text.starts_with(b"v=0").then_some(text),
        }
    }
}

/// What was found so far.
struct BodyReader<F> {
    inside: F,
    checked: Checked,
    parts: usize,
    /// The memory that the last description takes, if another could replace it.
    place: Option<Range<usize>>,
}

impl<F: Inside> BodyReader<F> {
    fn content(&mut self, kind: Kind<'_>, content: &[u8], depth: usize) -> Result<(), Objection> {
        match kind {
            Kind::Description => {
                self.description(content)?;
                let Range { start, end } = content.as_ptr_range();
                self.place = Some(start.addr()..end.addr());
                Ok(())
            }
            Kind::Multipart(boundary) => {
                let depth = depth.saturating_add(1);
                if depth > MAX_DEPTH {
                    return unreadable("multipart nested too deep", b"");
                }
                multipart::split(content, boundary, |piece| match piece {
                    // 2046 5.1.1: to be ignored. But a reader that searches for a description would find one here.
                    Piece::Around(text) => self.content(Kind::Other, text, depth),
                    Piece::Part(part, line_end) => self.part(part, line_end, depth),
                })
            }
            Kind::Fragment => {
                self.place = None;
                self.fragment(content)
            }
            Kind::Enclosed if depth > 0 && description(content).is_none() => Ok(()),
            Kind::Enclosed | Kind::Other | Kind::Unknown => self.hidden(content),
        }
    }

    /// A text of another type. A reader that ignores the type takes it for a description.
    fn taken_for_description(&mut self, content: &[u8]) -> Result<(), Objection> {
        self.place = None;
        self.description(description(content).unwrap_or(content))
    }

    /// A text of another type. It counts as a description from the first line that looks like one.
    fn hidden(&mut self, content: &[u8]) -> Result<(), Objection> {
        if let Some(text) = description(content) {
            return self.taken_for_description(text);
        }
        if let Some(text) = first_sign(content) {
            self.place = None;
            return if text.starts_with(b"v=") { self.description(text) } else { self.fragment(text) };
        }
        // UTF-16 and UTF-32 put NULs between the letters.
        if memchr(0, content).is_some() {
            let dense: Vec<u8> = content.iter().copied().filter(|&octet| octet != 0).collect();
            if first_sign(&dense).is_some() {
                return unreadable("text in an encoding of its own", b"");
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &[u8], line_end: LineEnd, depth: usize) -> Result<(), Objection> {
        self.parts = self.parts.saturating_add(1);
        if self.parts > MAX_PARTS {
            return unreadable("multipart of too many parts", b"");
        }
        let mut head = Head::default();
        let content = multipart::rows(part, line_end, |name, value| head.row(Name::of(name), name, value))?;
        // A reader that trusts Content-Length must find the same end. Some senders also count the line end before the delimiter.
        if let Some(length) = head.length {
            let over = decimal(length, MAX_MESSAGE as u64).and_then(|said| said.checked_sub(content.len() as u64));
            if over.is_none_or(|over| over > 2) {
                return unreadable("Content-Length", length);
            }
        }
        let kind = head.kind()?;
        if head.encoding == Encoding::Identity {
            self.content(kind, content, depth)?;
            if head.length.is_some() {
                self.place = None;
            }
            return Ok(());
        }
        // 2045 6.4
        if matches!(kind, Kind::Multipart(_)) {
            return unreadable("Content-Transfer-Encoding of a multipart", b"");
        }
        match transfer::decoded(head.encoding, content) {
            Some(content) => self.content(kind, &content, depth),
            None => unreadable("Content-Transfer-Encoding", content),
        }
    }

    fn description(&mut self, text: &[u8]) -> Result<(), Objection> {
        self.checked.descriptions = self.checked.descriptions.saturating_add(1);
        Ok(sdp::read(text, &self.inside, Extent::Whole)?)
    }

    fn fragment(&mut self, text: &[u8]) -> Result<(), Objection> {
        self.checked.descriptions = self.checked.descriptions.saturating_add(1);
        Ok(sdp::read(text, &self.inside, Extent::Piece)?)
    }
}

#[cold]
pub(super) fn unreadable<T>(field: &'static str, text: &[u8]) -> Result<T, Objection> {
    Err(Objection::Body { field, text: excerpt(text) })
}
