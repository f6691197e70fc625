//! The addresses that media could go to in a session description (RFC 8866), read only.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::number::decimal;
use crate::fence::canonical;

/// Why a session description does not pass.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Objection<'a> {
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
        /// The offending text, at most 64 octets.
        text: &'a [u8],
    },
}

/// Longest session description, in octets.
pub const MAX_BODY: usize = 16 * 1024;
/// Most streams.
pub const MAX_STREAMS: usize = 64;
/// Most lines.
pub const MAX_LINES: usize = 2000;

/// Asks `inside` about every address that media could go to; the first that is outside, or anything that cannot be checked, is
/// the objection.
///
/// Judged: session and stream `c=` (a stream's overrides the session's; a session `c=` that every active stream overrides is
/// unused), `a=rtcp`, `a=candidate` with `raddr`, `a=remote-candidates`. Skipped: `o=`, streams with port 0, hold addresses
/// (0.0.0.0, `::`, `.invalid`). Unreadable: hostnames, multicast, several session `c=`, malformed or ambiguous literals, a stream
/// that is active and has no `c=`, too long. LF line ends and a missing last one are tolerated. Linear time.
pub fn judge(body: &[u8], inside: impl Fn(IpAddr) -> bool) -> Result<(), Objection<'_>> {
    if body.len() > MAX_BODY {
        return unreadable("size", body);
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
        if blank || memchr::memchr2(b'\r', 0, line).is_some() {
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

/// The pieces between line ends; one more than there are line ends.
fn lines(body: &[u8]) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(body);
    std::iter::from_fn(move || {
        let text = rest?;
        let Some(end) = memchr::memchr(b'\n', text) else { return rest.take() };
        rest = text.get(end.saturating_add(1)..);
        text.get(..end)
    })
}

/// What is known at one line.
struct Reader<F> {
    inside: F,
    /// The session's `c=`, judged only when a stream uses it.
    session: Option<Place>,
    stream: Option<Stream>,
    streams: usize,
}

/// One `m=` section.
struct Stream {
    active: bool,
    /// Whether it has a `c=` of its own.
    connected: bool,
}

/// Where a `c=` points.
#[derive(Clone, Copy)]
enum Place {
    /// Nowhere: on hold.
    Hold,
    /// There.
    At(IpAddr),
}

impl<F: Fn(IpAddr) -> bool> Reader<F> {
    fn line<'a>(&mut self, kind: u8, value: &'a [u8]) -> Result<(), Objection<'a>> {
        match kind {
            b'm' => {
                self.end_of_stream()?;
                self.streams = self.streams.saturating_add(1);
                if self.streams > MAX_STREAMS {
                    return unreadable("streams", value);
                }
                let Some(active) = active(value) else { return unreadable("m=", value) };
                self.stream = Some(Stream { active, connected: false });
                Ok(())
            }
            b'c' => {
                let place = connection(value)?;
                match &mut self.stream {
                    // 8866 5.7: at most one for the session.
                    None if self.session.is_some() => unreadable("c=", value),
                    None => {
                        self.session = Some(place);
                        Ok(())
                    }
                    Some(stream) => {
                        stream.connected = true;
                        if stream.active { self.judge("c=", place) } else { Ok(()) }
                    }
                }
            }
            b'a' if self.stream.as_ref().is_none_or(|stream| stream.active) => self.attribute(value),
            _ => Ok(()),
        }
    }

    fn attribute<'a>(&self, text: &'a [u8]) -> Result<(), Objection<'a>> {
        let colon = memchr::memchr(b':', text).unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon).unwrap_or_default();
        let value = value.get(1..).unwrap_or_default();
        let mut words = value.split(|&octet| octet == b' ').filter(|word| !word.is_empty());
        if name.eq_ignore_ascii_case(b"rtcp") {
            // RFC 3605: the port, and the address if it is another.
            return match (words.next(), words.next()) {
                (_, None) => Ok(()),
                (_, Some(first)) => {
                    let at = memchr::memmem::find(value, first).unwrap_or_default();
                    self.judge("a=rtcp", connection(value.get(at..).unwrap_or_default()).map_err(|_| objection("a=rtcp", text))?)
                }
            };
        }
        if name.eq_ignore_ascii_case(b"candidate") {
            // RFC 8839 5.1: foundation component transport priority address port typ …
            let Some(address) = words.nth(4) else { return unreadable("a=candidate", text) };
            self.literal("a=candidate", address, text)?;
            while let Some(word) = words.next() {
                if word.eq_ignore_ascii_case(b"raddr") {
                    let Some(address) = words.next() else { return unreadable("a=candidate", text) };
                    self.literal("a=candidate raddr", address, text)?;
                }
            }
        } else if name.eq_ignore_ascii_case(b"remote-candidates") {
            // RFC 8839 5.2: component address port, again and again.
            while words.next().is_some() {
                let (Some(address), Some(_)) = (words.next(), words.next()) else {
                    return unreadable("a=remote-candidates", text);
                };
                self.literal("a=remote-candidates", address, text)?;
            }
        }
        Ok(())
    }

    /// An address without its family.
    fn literal<'a>(&self, field: &'static str, address: &'a [u8], text: &'a [u8]) -> Result<(), Objection<'a>> {
        let parsed = std::str::from_utf8(address).ok().and_then(|text| text.parse::<IpAddr>().ok());
        match parsed {
            Some(ip) if canonical(ip).is_multicast() => unreadable(field, text),
            Some(ip) => self.judge(field, if ip.is_unspecified() { Place::Hold } else { Place::At(ip) }),
            None => unreadable(field, text),
        }
    }

    fn judge<'a>(&self, field: &'static str, place: Place) -> Result<(), Objection<'a>> {
        match place {
            Place::At(address) if !(self.inside)(address) => Err(Objection::Outside { field, address }),
            Place::At(_) | Place::Hold => Ok(()),
        }
    }

    /// A stream that is active and has no `c=` of its own uses the session's.
    fn end_of_stream<'a>(&mut self) -> Result<(), Objection<'a>> {
        match self.stream.take() {
            Some(Stream { active: true, connected: false }) => match self.session {
                Some(place) => self.judge("c=", place),
                None => unreadable("c=", b"missing"),
            },
            _ => Ok(()),
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
    (count && !media.is_empty() && !protocol.is_empty()).then_some(number != 0)
}

/// Reads `IN IP4 address` or `IN IP6 address`.
fn connection(value: &[u8]) -> Result<Place, Objection<'_>> {
    let mut words = value.split(|&octet| octet == b' ');
    let (Some(b"IN"), Some(family), Some(address), None) = (words.next(), words.next(), words.next(), words.next()) else {
        return unreadable("c=", value);
    };
    // 6157 4.1: an IPv6 hold is a name that cannot exist.
    if address.len() > 8
        && address.get(address.len().saturating_sub(8)..).is_some_and(|end| end.eq_ignore_ascii_case(b".invalid"))
    {
        return Ok(Place::Hold);
    }
    let text = std::str::from_utf8(address).unwrap_or_default();
    let ip = match family {
        b"IP4" => text.parse::<Ipv4Addr>().ok().map(IpAddr::V4),
        b"IP6" => text.parse::<Ipv6Addr>().ok().map(IpAddr::V6),
        _ => None,
    };
    match ip {
        Some(ip) if canonical(ip).is_multicast() => unreadable("c=", value),
        Some(ip) if ip.is_unspecified() => Ok(Place::Hold),
        Some(ip) => Ok(Place::At(ip)),
        None => unreadable("c=", value),
    }
}

fn objection<'a>(field: &'static str, text: &'a [u8]) -> Objection<'a> {
    Objection::Unreadable { field, text: text.get(..64).unwrap_or(text) }
}

fn unreadable<'a, T>(field: &'static str, text: &'a [u8]) -> Result<T, Objection<'a>> {
    Err(objection(field, text))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Judges a description of these lines after `v=0`; inside is 10.0.0.0/8 and `2001:db8::/32`.
    fn verdict(lines: &str) -> String {
        let body = format!("v=0\r\n{}", lines.replace('|', "\r\n"));
        let inside = |ip: IpAddr| match canonical(ip) {
            IpAddr::V4(ip) => ip.octets()[0] == 10,
            IpAddr::V6(ip) => ip.segments()[..2] == [0x2001, 0xdb8],
        };
        match judge(body.as_bytes(), inside) {
            Ok(()) => "ok".to_owned(),
            Err(Objection::Outside { field, address }) => format!("{field} {address}"),
            Err(Objection::Unreadable { field, .. }) => format!("? {field}"),
        }
    }

    #[test]
    fn judges_what_media_could_go_to() {
        for (lines, expected) in [
            ("o=- 1 1 IN IP4 192.0.2.1|s=-|c=IN IP4 10.0.0.1|t=0 0|m=audio 4000 RTP/AVP 0|", "ok"),
            ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|", "c= 192.0.2.1"),
            ("c=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0|c=IN IP4 10.0.0.1|", "ok"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|c=IN IP4 192.0.2.1|", "c= 192.0.2.1"),
            ("c=IN IP4 192.0.2.1|m=audio 0 RTP/AVP 0|", "ok"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|m=video 5000 RTP/AVP 96|c=IN IP4 192.0.2.1", "c= 192.0.2.1"),
            ("m=audio 4000 RTP/AVP 0|", "? c="),
            ("", "ok"),
            ("c=IN IP4 0.0.0.0|m=audio 4000 RTP/AVP 0", "ok"),
            ("c=IN IP6 ::|m=audio 9 RTP/AVP 0", "ok"),
            ("c=IN IP6 hold.invalid|m=audio 9 RTP/AVP 0", "ok"),
            ("c=IN IP6 2001:DB8::0:1|m=audio 9 RTP/AVP 0", "ok"),
            ("c=IN IP6 ::ffff:10.0.0.1|m=audio 9 RTP/AVP 0", "ok"),
            ("c=IN IP6 64:ff9b::c000:201|m=audio 9 RTP/AVP 0", "c= 64:ff9b::c000:201"),
            ("c=IN IP4 host.example.com|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 010.0.0.1|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 10.1|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 0x0a.0.0.1|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 224.0.0.1/127|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 10.0.0.1/127|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 2001:db8::1|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP6 fe80::1%eth0|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 10.0.0.1|c=IN IP4 10.0.0.1|m=audio 9 RTP/AVP 0", "? c="),
            ("c=IN IP4 10.0.0.1|m=audio RTP/AVP 0", "? m="),
            ("c=IN IP4 10.0.0.1|m=audio 4000/2 RTP/AVP 0", "ok"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=rtcp:4001 IN IP4 192.0.2.1", "a=rtcp 192.0.2.1"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=rtcp:4001 IN IP4 10.0.0.2", "ok"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=rtcp:4001", "ok"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=rtcp:4001 IN IP4 x", "? a=rtcp"),
            (
                "c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=candidate:1 1 UDP 2130706431 192.0.2.1 8998 typ host",
                "a=candidate 192.0.2.1",
            ),
            (
                "c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=Candidate:1 1 UDP 1 10.0.0.1 8 typ srflx raddr 192.0.2.1 rport 9",
                "a=candidate raddr 192.0.2.1",
            ),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=candidate:1 1 UDP 1 x.local 8 typ host", "? a=candidate"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=candidate:1 1", "? a=candidate"),
            ("c=IN IP4 10.0.0.1|m=audio 0 RTP/AVP 0|a=candidate:1 1", "ok"),
            (
                "c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|a=remote-candidates:1 10.0.0.1 9 2 192.0.2.1 9",
                "a=remote-candidates 192.0.2.1",
            ),
            ("c=IN IP4 10.0.0.1||m=audio 4000 RTP/AVP 0", "? line"),
            ("c=IN IP4 10.0.0.1\rx|m=audio 4000 RTP/AVP 0", "? line"),
            ("c=IN IP4 10.0.0.1|C=IN IP4 192.0.2.1|m=audio 4000 RTP/AVP 0", "? line"),
            ("c=IN IP4 10.0.0.1|m=audio 4000 RTP/AVP 0|||", "ok"),
        ] {
            assert_eq!(verdict(lines), expected, "{lines}");
        }
    }

    #[test]
    fn bounds_and_line_ends() {
        let inside = |_: IpAddr| true;
        assert!(judge(b"v=0\nc=IN IP4 10.0.0.1\nm=audio 1 RTP/AVP 0", inside).is_ok());
        assert!(judge(b"x=0\n", inside).is_err());
        assert!(judge(b"v=0\n1", inside).is_err());
        let streams = |count: usize| format!("v=0\nc=IN IP4 10.0.0.1\n{}", "m=audio 1 RTP/AVP 0\n".repeat(count));
        assert!(judge(streams(MAX_STREAMS).as_bytes(), inside).is_ok());
        assert!(judge(streams(MAX_STREAMS + 1).as_bytes(), inside).is_err());
        assert!(judge(format!("v=0\n{}", "a=x\n".repeat(MAX_LINES)).as_bytes(), inside).is_err());
        assert!(judge(&vec![b'v'; MAX_BODY + 1], inside).is_err());
    }
}
