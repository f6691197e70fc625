//! Finds the addresses that media could go to in a session description (RFC 8866).

mod attribute;
mod place;
mod sign;
#[cfg(test)]
mod tests;
mod usual;

use std::net::IpAddr;

use arrayvec::ArrayVec;
use memchr::memchr;
use memchr::memmem;

use self::attribute::{Attribute, authority};
use self::place::{MediaPlace, words};
pub(super) use self::sign::first_sign;
use self::usual::{Line, Lines};
use super::number::decimal;

/// The beginning of a text that could not be read.
pub type Excerpt = ArrayVec<u8, 64>;

/// Why a session description does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SdpObjection {
    /// This address is outside.
    Outside {
        /// The line that holds it: `c=`, `a=rtcp`, `a=candidate` …
        field: &'static str,
        /// The address.
        address: IpAddr,
    },
    /// This cannot be checked.
    Unreadable {
        /// What could not be read: `c=`, `m=`, `size` …
        field: &'static str,
        /// The beginning of the offending text.
        text: Excerpt,
    },
}

/// Longest session description, in octets.
pub const MAX_BODY: usize = 16 * 1024;
/// Most streams (`m=` lines) of a session description; with more it is unreadable.
pub(crate) const MAX_STREAMS: usize = 64;
/// Most lines of a session description; with more it is unreadable.
pub(crate) const MAX_LINES: usize = 2000;

/// Where media may go.
pub trait Inside {
    /// Whether an address is inside.
    fn holds(&self, address: IpAddr) -> bool;

    /// Whether the address may stand in a place that no stream uses, but that some readers take.
    fn holds_unused(&self, address: IpAddr) -> bool {
        self.holds(address)
    }
}

impl<F: Fn(IpAddr) -> bool> Inside for F {
    fn holds(&self, address: IpAddr) -> bool {
        self(address)
    }
}

/// Asks `inside` about every address that media could go to. The objection is the first address that is outside, or the first
/// text that cannot be checked.
///
/// Judged: the `c=` of the session and of each stream (the session's too if all active streams override it, but then less
/// strictly), `a=rtcp`, `a=candidate`, `a=remote-candidates`, `a=source-filter`, `a=path`, `a=alt`, older candidates, `a=control`
/// and `k=uri` with a host, and an address after `IP4` or `IP6` in any other attribute. Skipped: `o=`, `raddr`, hold addresses
/// (0.0.0.0, `::`, `.invalid`), and a stream with port 0 that is not bundle-only, except for its candidates. Unreadable:
/// hostnames, multicast, several `c=` of the session or of one stream, malformed or ambiguous literals, an active stream without
/// `c=`, a description that is too long. Allowed: LF line ends, no last line end, spaces doubled or at the end of a line. Linear
/// time.
#[expect(clippy::needless_pass_by_value, reason = "a closure is handed over where it is written")]
pub fn judge(body: &[u8], inside: impl Inside) -> Result<(), SdpObjection> {
    read(body, &inside, Extent::Whole)
}

/// Whether a text is a whole description.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    Whole,
    /// Candidates that follow later (RFC 8840), or a description without its beginning. A stream may have no `c=`.
    Piece,
}

/// The same for a whole description or a part of one.
pub(super) fn read(body: &[u8], inside: &impl Inside, extent: Extent) -> Result<(), SdpObjection> {
    if body.len() > MAX_BODY {
        return unreadable("size", body);
    }
    // It is long, so it is filled where it stands.
    let mut lines = Lines::new();
    match usual::cut(body, &mut lines) {
        Some(()) => read_lines(lines.iter().map(|line| (line.text, Some(*line))), inside, extent),
        None => read_any(body, inside, extent),
    }
}

/// The same for all descriptions, the unusual ones too.
pub(super) fn read_any(body: &[u8], inside: &impl Inside, extent: Extent) -> Result<(), SdpObjection> {
    if has_odd_line_end(body) || has_bare_return(body) {
        return unreadable("line", body);
    }
    let lines = lines(body).map(|line| line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_end());
    read_lines(lines.map(|line| (line, None)), inside, extent)
}

/// Reads the lines. With a line may stand what is known of it.
fn read_lines<'a>(
    lines: impl Iterator<Item = (&'a [u8], Option<Line<'a>>)>,
    inside: &impl Inside,
    extent: Extent,
) -> Result<(), SdpObjection> {
    let mut reader = Reader { inside, extent, session: None, used: false, overridden: false, stream: None, streams: 0 };
    // A last line end leaves an empty piece. Blank lines are allowed at the end, and nowhere else.
    let mut blank = false;
    for (number, (line, usual)) in lines.enumerate() {
        if number >= MAX_LINES {
            return unreadable("lines", line);
        }
        if line.is_empty() {
            blank = true;
            continue;
        }
        if blank {
            return unreadable("line", line);
        }
        match (number, line) {
            (0, [b'v', b'=', value @ ..]) if value.trim_ascii_start() == b"0" => {}
            (0, _) if extent == Extent::Whole => return unreadable("v=", line),
            (_, [kind, b'=', value @ ..]) if kind.is_ascii_lowercase() => reader.line(*kind, value, usual)?,
            _ => return unreadable("line", line),
        }
    }
    reader.end()
}

/// Whether it holds a control character other than HTAB, CR and LF, or a Unicode line end. Some readers begin a line there.
fn has_odd_line_end(body: &[u8]) -> bool {
    let (mut control, mut all) = (false, 0);
    for &octet in body {
        control |= octet.is_ascii_control() && !matches!(octet, b'\t' | b'\n' | b'\r');
        all |= octet;
    }
    let ends = || ["\u{85}", "\u{2028}", "\u{2029}"].iter().any(|end| memmem::find(body, end.as_bytes()).is_some());
    control || (!all.is_ascii() && ends())
}

/// Whether a CR stands without a LF after it: some readers begin a line there. At the very end it is half a line end. The loop
/// has no early exit, so that the compiler checks many octets at once.
fn has_bare_return(body: &[u8]) -> bool {
    let next = body.get(1..).unwrap_or_default();
    let is_bare = |one, next| one == b'\r' && next != b'\n';
    body.iter().zip(next).fold(false, |found, (&one, &next)| found | is_bare(one, next))
}

/// The pieces between line ends: one more than line ends.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr(b'\n', text) else { return rest.take() };
        rest = text.get(end.saturating_add(1)..);
        text.get(..end)
    })
}

/// What is known when a line is read.
struct Reader<'i, F> {
    inside: &'i F,
    extent: Extent,
    /// The session's `c=`. It is judged later, when it is known which streams use it.
    session: Option<MediaPlace>,
    /// Whether a stream uses the session's `c=`.
    used: bool,
    /// Whether an active stream has one of its own.
    overridden: bool,
    stream: Option<Stream>,
    streams: usize,
}

/// One `m=` section.
struct Stream {
    /// Port 0: only its candidates count, unless the stream is bundle-only.
    off: bool,
    /// `a=bundle-only` stands in it.
    bundled: bool,
    /// Its own `c=`.
    connection: Option<MediaPlace>,
    /// The objection that counts if the stream is bundle-only.
    held_back: Option<SdpObjection>,
}

impl<F: Inside> Reader<'_, F> {
    /// Reads a line. `usual`: what is known of it.
    fn line(&mut self, kind: u8, value: &[u8], usual: Option<Line<'_>>) -> Result<(), SdpObjection> {
        if kind == b'a' && usual.is_some_and(|line| !line.names_family) && usual::is_harmless(value) {
            return Ok(());
        }
        let usual = usual.is_some();
        let attribute = (kind == b'a').then(|| Attribute::of(value));
        let read = match (kind, &attribute) {
            (b'm', _) => return self.begin_stream(value, usual),
            (b'c', _) => self.connection(value, usual),
            (b'k', _) => self.key(value),
            (_, Some(attribute)) => self.attribute(attribute),
            _ => return Ok(()),
        };
        match (read, &mut self.stream) {
            // WebRTC stacks take the candidates of the first section of a bundle, whatever its port.
            (Err(objection), Some(stream)) if stream.off && !attribute.is_some_and(|attribute| attribute.is_candidate()) => {
                stream.held_back.get_or_insert(objection);
                Ok(())
            }
            (read, _) => read,
        }
    }

    fn begin_stream(&mut self, value: &[u8], usual: bool) -> Result<(), SdpObjection> {
        self.end_of_stream()?;
        self.streams = self.streams.saturating_add(1);
        if self.streams > MAX_STREAMS {
            return unreadable("streams", value);
        }
        let quick = if usual { usual::active(value) } else { None };
        let Some(active) = quick.or_else(|| active(value)) else { return unreadable("m=", value) };
        self.stream = Some(Stream { off: !active, bundled: false, connection: None, held_back: None });
        Ok(())
    }

    fn connection(&mut self, value: &[u8], usual: bool) -> Result<(), SdpObjection> {
        let quick = if usual { usual::connection(value) } else { None };
        let Some(place) = quick.or_else(|| MediaPlace::connection(value)) else { return unreadable("c=", value) };
        // 8866 5.7: the session has at most one, and a stream has several only if they are multicast.
        let slot = self.stream.as_mut().map_or(&mut self.session, |stream| &mut stream.connection);
        if slot.replace(place).is_some() {
            return unreadable("c=", value);
        }
        if self.stream.is_some() { self.judge("c=", place) } else { Ok(()) }
    }

    /// 8866 5.12: a key may have to be fetched.
    fn key(&self, value: &[u8]) -> Result<(), SdpObjection> {
        if !value.get(..4).is_some_and(|method| method.eq_ignore_ascii_case(b"uri:")) {
            return Ok(());
        }
        authority("k=", value, &|field, place| self.judge(field, place)).unwrap_or_else(|| unreadable("k=", value))
    }

    fn attribute(&mut self, attribute: &Attribute<'_>) -> Result<(), SdpObjection> {
        if let Some(stream) = &mut self.stream {
            stream.bundled |= stream.off && attribute.is_bundle_only();
        }
        attribute.places(&|field, place| self.judge(field, place))
    }

    fn judge(&self, field: &'static str, place: MediaPlace) -> Result<(), SdpObjection> {
        match place {
            MediaPlace::At(address) if !self.inside.holds(address) => Err(SdpObjection::Outside { field, address }),
            MediaPlace::At(_) | MediaPlace::Hold | MediaPlace::HoldByName => Ok(()),
        }
    }

    /// An active stream without a `c=` uses the session's. For some readers, so does a stream whose `c=` is a hold by name. A
    /// bundle-only stream may have none at all: it goes where the bundle goes.
    fn end_of_stream(&mut self) -> Result<(), SdpObjection> {
        let Some(stream) = self.stream.take().filter(|stream| !stream.off || stream.bundled) else { return Ok(()) };
        if let Some(objection) = stream.held_back {
            return Err(objection);
        }
        match (stream.connection, self.session) {
            (None, None) if !stream.bundled && self.extent == Extent::Whole => return unreadable("c=", b"missing"),
            (None | Some(MediaPlace::HoldByName), _) => self.used = true,
            (Some(_), _) => self.overridden = true,
        }
        Ok(())
    }

    fn end(mut self) -> Result<(), SdpObjection> {
        self.end_of_stream()?;
        match self.session {
            Some(place) if self.used || (self.extent == Extent::Piece && self.streams == 0) => self.judge("c=", place),
            Some(MediaPlace::At(address)) if self.overridden && !self.inside.holds_unused(address) => {
                Err(SdpObjection::Outside { field: "session c=", address })
            }
            _ => Ok(()),
        }
    }
}

/// Whether an `m=` value has a port other than 0; `None`: malformed.
fn active(value: &[u8]) -> Option<bool> {
    let mut words = words(value)?;
    let (_media, port, _protocol) = (words.next()?, words.next()?, words.next()?);
    let mut numbers = port.splitn(2, |&octet| octet == b'/');
    let number = decimal(numbers.next()?, 65_535)?;
    let count = numbers.next().is_none_or(|count| decimal(count, 65_535).is_some());
    count.then_some(number != 0)
}

/// The beginning of a text, as long as an excerpt may be.
pub(super) fn excerpt(text: &[u8]) -> Excerpt {
    text.iter().copied().take(64).collect()
}

#[cold]
fn unreadable<T>(field: &'static str, text: &[u8]) -> Result<T, SdpObjection> {
    Err(SdpObjection::Unreadable { field, text: excerpt(text) })
}
