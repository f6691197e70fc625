//! The addresses that media could go to in a session description (RFC 8866), read only.

mod attribute;
mod place;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use arrayvec::ArrayVec;
use memchr::memchr;
use memchr::memmem;

use self::attribute::Attribute;
use self::place::MediaPlace;
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
pub const MAX_STREAMS: usize = 64;
/// Most lines of a session description; with more it is unreadable.
pub const MAX_LINES: usize = 2000;

/// Asks `inside` about every address that media could go to; the first that is outside, or anything that cannot be checked, is
/// the objection.
///
/// Judged: session and stream `c=` (a stream's overrides the session's; a session `c=` that every active stream overrides is
/// unused), `a=rtcp`, `a=candidate` with `raddr`, `a=remote-candidates`, `a=source-filter`, `a=path`, and what stands behind `IP4`
/// or `IP6` in any other attribute. Skipped: `o=`, streams with port 0 that are not bundle-only, hold addresses (0.0.0.0, `::`,
/// `.invalid`). Unreadable: hostnames, multicast, several `c=` of the session or of one stream, malformed or ambiguous literals, a
/// stream that is active and has no `c=`, too long. LF line ends and a missing last one are tolerated. Linear time.
pub fn judge(body: &[u8], inside: impl Fn(IpAddr) -> bool) -> Result<(), SdpObjection> {
    if body.len() > MAX_BODY {
        return unreadable("size", body);
    }
    if has_odd_line_end(body) {
        return unreadable("line", body);
    }
    let mut reader = Reader { inside, session: None, stream: None, streams: 0 };
    let mut lines = lines(body).map(|line| line.strip_suffix(b"\r").unwrap_or(line));
    // A last line end leaves an empty piece behind; blank lines at the end are tolerated, blank lines between are not.
    let mut blank = false;
    for (number, line) in lines.by_ref().enumerate() {
        if number >= MAX_LINES {
            return unreadable("lines", line);
        }
        if line.is_empty() {
            blank = true;
            continue;
        }
        if blank || memchr(b'\r', line).is_some() {
            return unreadable("line", line);
        }
        match (number, line) {
            (0, b"v=0") => {}
            (0, _) => return unreadable("v=", line),
            (_, [kind, b'=', value @ ..]) if kind.is_ascii_lowercase() => reader.line(*kind, value)?,
            _ => return unreadable("line", line),
        }
    }
    reader.end_of_stream()
}

/// Whether it holds control characters other than HTAB, CR and LF, or a line end of Unicode's: some readers begin a line there.
fn has_odd_line_end(body: &[u8]) -> bool {
    let (mut control, mut all) = (false, 0);
    for &octet in body {
        control |= octet.is_ascii_control() && !matches!(octet, b'\t' | b'\n' | b'\r');
        all |= octet;
    }
    let ends = || ["\u{85}", "\u{2028}", "\u{2029}"].iter().any(|end| memmem::find(body, end.as_bytes()).is_some());
    control || (!all.is_ascii() && ends())
}

/// The pieces between line ends; one more than there are line ends.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr(b'\n', text) else { return rest.take() };
        rest = text.get(end.saturating_add(1)..);
        text.get(..end)
    })
}

/// What is known at one line.
struct Reader<F> {
    inside: F,
    /// The session's `c=`, judged only when a stream uses it.
    session: Option<MediaPlace>,
    stream: Option<Stream>,
    streams: usize,
}

/// One `m=` section.
struct Stream {
    /// Port 0: nothing of it counts, unless it turns out to be bundle-only.
    off: bool,
    /// `a=bundle-only` stands in it.
    bundled: bool,
    /// Whether it has a `c=` of its own.
    connected: bool,
    /// What counts if it is bundle-only.
    held_back: Option<SdpObjection>,
}

impl<F: Fn(IpAddr) -> bool> Reader<F> {
    fn line(&mut self, kind: u8, value: &[u8]) -> Result<(), SdpObjection> {
        let read = match kind {
            b'm' => return self.begin_stream(value),
            b'c' => self.connection(value),
            b'a' => self.attribute(value),
            _ => return Ok(()),
        };
        match (read, &mut self.stream) {
            (Err(objection), Some(stream)) if stream.off => {
                stream.held_back.get_or_insert(objection);
                Ok(())
            }
            (read, _) => read,
        }
    }

    fn begin_stream(&mut self, value: &[u8]) -> Result<(), SdpObjection> {
        self.end_of_stream()?;
        self.streams = self.streams.saturating_add(1);
        if self.streams > MAX_STREAMS {
            return unreadable("streams", value);
        }
        let Some(active) = active(value) else { return unreadable("m=", value) };
        self.stream = Some(Stream { off: !active, bundled: false, connected: false, held_back: None });
        Ok(())
    }

    fn connection(&mut self, value: &[u8]) -> Result<(), SdpObjection> {
        let Some(place) = MediaPlace::connection(value) else { return unreadable("c=", value) };
        match &mut self.stream {
            // 8866 5.7: at most one for the session, and several for a stream only if they are multicast.
            None if self.session.is_some() => unreadable("c=", value),
            Some(Stream { connected: true, .. }) => unreadable("c=", value),
            None => {
                self.session = Some(place);
                Ok(())
            }
            Some(stream) => {
                stream.connected = true;
                self.judge("c=", place)
            }
        }
    }

    fn attribute(&mut self, text: &[u8]) -> Result<(), SdpObjection> {
        let attribute = Attribute::of(text);
        if let Some(stream) = &mut self.stream {
            stream.bundled |= stream.off && attribute.is_bundle_only();
        }
        attribute.places(&|field, place| self.judge(field, place))
    }

    fn judge(&self, field: &'static str, place: MediaPlace) -> Result<(), SdpObjection> {
        match place {
            MediaPlace::At(address) if !(self.inside)(address) => Err(SdpObjection::Outside { field, address }),
            MediaPlace::At(_) | MediaPlace::Hold => Ok(()),
        }
    }

    /// A stream that is active and has no `c=` of its own uses the session's. One that is bundle-only may have none at all: it goes
    /// where the bundle goes.
    fn end_of_stream(&mut self) -> Result<(), SdpObjection> {
        match (self.stream.take(), self.session) {
            (None | Some(Stream { off: true, bundled: false, .. }), _) => Ok(()),
            (Some(Stream { held_back: Some(objection), .. }), _) => Err(objection),
            (Some(Stream { connected: true, .. }), _) | (Some(Stream { bundled: true, .. }), None) => Ok(()),
            (Some(_), Some(place)) => self.judge("c=", place),
            (Some(_), None) => unreadable("c=", b"missing"),
        }
    }
}

/// Whether an `m=` value has a port other than 0; `None`: malformed.
fn active(value: &[u8]) -> Option<bool> {
    let mut words = value.split(|&octet| octet == b' ');
    let (media, port, protocol) = (words.next()?, words.next()?, words.next()?);
    let mut numbers = port.splitn(2, |&octet| octet == b'/');
    let number = decimal(numbers.next()?, 65_535)?;
    let count = numbers.next().is_none_or(|count| decimal(count, 65_535).is_some());
    let plain = |word: &[u8]| !word.is_empty() && word.iter().all(u8::is_ascii_graphic);
    (count && plain(media) && plain(protocol)).then_some(number != 0)
}

/// The beginning of a text, as long as an excerpt may be.
pub(super) fn excerpt(text: &[u8]) -> Excerpt {
    text.iter().copied().take(64).collect()
}

#[cold]
fn unreadable<T>(field: &'static str, text: &[u8]) -> Result<T, SdpObjection> {
    Err(SdpObjection::Unreadable { field, text: excerpt(text) })
}
