//! Via values: sent-by, branch, rport; comma-joined, spaced and folded forms (RFC 3261 20.42, RFC 3581).

use std::net::SocketAddr;
use std::ops::Range;

use memchr::{memchr, memrchr};

use super::Name;
use super::edit::Edit;
use super::header::{are_quoted, has_control, is_control, is_space, is_token, trim, trimmed};
use super::list;
use super::number::{write_decimal, write_ip};
use super::parameter::{are_plain, each_param};
use super::quick;
use super::scan::{Fault, Message};
use super::uri::{Host, host_port};
use crate::fence::canonical;

/// The start of every branch of RFC 3261.
pub(super) const COOKIE: &[u8] = b"z9hG4bK";

/// One Via value. Slices and ranges are of the message it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The value's place in the message.
    pub span: Range<usize>,
    /// The transport's token, as written: `UDP`, `TCP`, `TLS`, anything.
    pub transport: &'a [u8],
    /// The sent-by as written: host, and port if there is one (RFC 3261 18.1.1).
    pub sent_by: &'a [u8],
    /// The host of sent-by.
    pub host: Host<'a>,
    /// The port of sent-by, if one was written.
    pub port: Option<u16>,
    /// The branch parameter's value.
    pub branch: Option<&'a [u8]>,
    /// The place of the whole `;rport` or `;rport=…` parameter, from its `;`.
    pub rport: Option<Range<usize>>,
    /// The place of the whole `;received=…` parameter, from its `;`.
    pub received: Option<Range<usize>>,
}

impl<'a> Via<'a> {
    /// Reads the topmost value of a message. `Err`: [`Fault::Via`], if there is none or it cannot be read.
    pub fn top(message: &Message<'a>) -> Result<Self, Fault> {
        let item = list::items(message, Name::Via).next().ok_or(Fault::Via)?;
        // It must stand in the first row: if that row has no value, an edit of "the first row" would miss the topmost value.
        if message.numbered(Name::Via).next().map(|(row, _)| row) != Some(item.row) {
            return Err(Fault::Via);
        }
        Self::read(message.bytes(), item.span).ok_or(Fault::Via)
    }

    /// Reads the value at `span`.
    pub(super) fn read(bytes: &'a [u8], span: Range<usize>) -> Option<Self> {
        quick::via(bytes, span.clone()).or_else(|| Self::read_any(bytes, span))
    }

    /// The same for all spellings, the unusual ones too.
    pub(super) fn read_any(bytes: &'a [u8], span: Range<usize>) -> Option<Self> {
        let text = bytes.get(span.clone())?;
        if has_control(text) && !are_quoted(text, is_control) {
            return None;
        }
        // sent-protocol: name / version / transport, with white space anywhere around the slashes.
        let (rest, name) = word(text)?;
        let rest = slash(rest)?;
        let (rest, version) = word(rest)?;
        let rest = slash(rest)?;
        let (rest, transport) = word(rest)?;
        if !name.eq_ignore_ascii_case(b"SIP") || version != b"2.0" || !rest.first().copied().is_some_and(is_space) {
            return None;
        }
        let end = memchr(b';', rest).unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at_checked(end)?;
        let sent_by = trimmed(sent_by);
        let (host, port) = match host_port(sent_by) {
            Some(read) => read,
            None => spaced_host_port(sent_by)?,
        };
        let mut via = Self { span: span.clone(), transport, sent_by, host, port, branch: None, rport: None, received: None };
        let params = match params.split_first() {
            // RFC 4475 3.1.2.1, refuse: a separator that separates nothing.
            Some((_, params)) if !are_plain(params) => return None,
            Some((_, params)) => params,
            None => params,
        };
        let offset = span.end.checked_sub(params.len())?;
        for (place, key, value) in each_param(params) {
            let whole = || {
                // From the `;` before it, with the white space between them.
                let before = bytes.get(..offset.saturating_add(place.start)).unwrap_or_default();
                let semicolon = memrchr(b';', before).unwrap_or(before.len());
                semicolon..offset.saturating_add(place.end)
            };
            // 7.3.1: a parameter stands once. Of two, another reader may believe the other.
            let again = if key.eq_ignore_ascii_case(b"branch") {
                // RFC 4475 3.2.1, refuse: the cookie and nothing behind it.
                let branch = value.filter(|value| !value.is_empty() && !value.eq_ignore_ascii_case(COOKIE))?;
                via.branch.replace(branch).is_some()
            } else if key.eq_ignore_ascii_case(b"rport") {
                via.rport.replace(whole()).is_some()
            } else if key.eq_ignore_ascii_case(b"received") {
                via.received.replace(whole()).is_some()
            } else {
                false
            };
            if again {
                return None;
            }
        }
        Some(via)
    }

    /// Whether the branch starts with the magic cookie, in any case (RFC 3261 8.1.1.7). Then more follows it.
    pub fn has_cookie(&self) -> bool {
        let start = self.branch.and_then(|branch| branch.get(..COOKIE.len()));
        start.is_some_and(|start| start.eq_ignore_ascii_case(COOKIE))
    }

    /// Records where the request really came from (RFC 3261 18.2.1, RFC 3581 4). With `rport`, both `rport=` and `received=` are
    /// filled. Without it, `received=` is added if sent-by differs from the source. The client's own values are replaced, never
    /// believed.
    pub fn stamp(&self, source: SocketAddr, edit: &mut Edit) {
        let ip = canonical(source.ip());
        if let Some(rport) = &self.rport {
            edit.write(rport.clone(), |text| {
                text.extend_from_slice(b";rport=");
                write_decimal(u32::from(source.port()), text);
            });
        }
        let wanted = self.rport.is_some() || self.host != Host::Address(ip);
        let place = match (&self.received, wanted) {
            (Some(place), true) => place.clone(),
            (Some(place), false) => return edit.remove(place.clone()),
            (None, true) => self.span.end..self.span.end,
            (None, false) => return,
        };
        edit.write(place, |text| {
            text.extend_from_slice(b";received=");
            write_ip(ip, text);
        });
    }
}

/// The next token, and what follows it.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let text = trimmed(text);
    let end = text.iter().position(|&octet| !is_token(octet)).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    (!word.is_empty()).then_some((rest, word))
}

fn slash(text: &[u8]) -> Option<&[u8]> {
    trimmed(text).strip_prefix(b"/")
}

/// `host : port` with white space around the colon (25.1 COLON).
fn spaced_host_port(text: &[u8]) -> Option<(Host<'_>, Option<u16>)> {
    let colon = memrchr(b':', text)?;
    let host = text.get(trim(text, 0..colon))?;
    let port = text.get(trim(text, colon.checked_add(1)?..text.len()))?;
    let (host, none) = host_port(host)?;
    // Read together by the reader of URIs, so that a port has one meaning.
    let digits = crate::sip::number::decimal(port, 65_535)?;
    let port = u16::try_from(digits).ok().filter(|&number| number != 0 && port.first() != Some(&b'0'))?;
    none.is_none().then_some((host, Some(port)))
}

/// The branches of all Via values below the topmost, for loop detection; values that cannot be read are skipped.
pub fn branches_below<'m, 'a>(message: &'m Message<'a>) -> impl Iterator<Item = &'a [u8]> + use<'m, 'a> {
    list::items(message, Name::Via).skip(1).filter_map(|item| Via::read(message.bytes(), item.span)?.branch)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(via: &str) -> Vec<u8> {
        format!("OPTIONS sip:a@b SIP/2.0\r\n{via}\r\n\r\n").into_bytes()
    }

    fn stamped(via: &str, source: &str) -> String {
        let bytes = message(via);
        let message = Message::datagram(&bytes).unwrap();
        let (mut edit, mut out) = (Edit::default(), Vec::new());
        Via::top(&message).unwrap().stamp(source.parse().unwrap(), &mut edit);
        edit.apply(&bytes, &mut out);
        String::from_utf8(out).unwrap().lines().nth(1).unwrap().to_owned()
    }

    #[test]
    fn reads_spaced_folded_and_joined_forms() {
        let bytes = message(
            "v:  SIP  / 2.0  / TCP     spindle.example.com   ;\r\n  branch  =   z9hG4bK9ikj8  ,\r\n SIP  /    2.0   / UDP  192.168.255.111   ; branch=\r\n z9hG4bK30239",
        );
        let message = Message::datagram(&bytes).unwrap();
        let via = Via::top(&message).unwrap();
        assert_eq!(
            (via.transport, via.host, via.branch),
            (&b"TCP"[..], Host::Name(b"spindle.example.com"), Some(&b"z9hG4bK9ikj8"[..]))
        );
        assert_eq!(branches_below(&message).collect::<Vec<_>>(), [b"z9hG4bK30239"]);
    }

    #[test]
    fn refuses_what_is_no_via() {
        for via in [
            "Via: SIP/2.0/UDP",
            "Via: SIP/2.0/UDP ;branch=x",
            "Via: SIP/3.0/UDP a",
            "Via: a",
            "Via: SIP/2.0/UDP a:0",
            "Via: SIP/2.0/UDP a:99999",
            "X: y",
            "Via:\r\nVia: SIP/2.0/UDP a",
            "Via: ,\r\nVia: SIP/2.0/UDP a",
            "Via: \u{c}SIP/2.0/UDP a",
            "Via: SIP/2.0/UDP\u{c}a",
            "Via: SIP/2.0/UDP a;branch=z9hG4bK",
            "Via: SIP/2.0/UDP a;branch=",
            "Via: SIP/2.0/UDP a;branch",
            "Via: SIP/2.0/UDP a;branch=1;branch=2",
            "Via: SIP/2.0/UDP a;received=192.0.2.1;received=192.0.2.2",
            "Via: SIP/2.0/UDP a;rport;rport=1",
            "Via: SIP/2.0/UDP a;;branch=1",
            "Via: SIP/2.0/UDP a;branch=1;",
            "Via: SIP/2.0/UDP a;",
            "Via: SIP/2.0/UDP a;x=\"1",
            "Via: SIP/2.0/UDP a;branch=1 Max-Forwards: 70",
            "Via: SIP/2.0/UDP a;branch=1 gzip",
            "Via: SIP/2.0/UDP a;x=\u{8}",
            "Via: SIP/2.0/UDP a;x=\"\u{8}\"",
            "Via: SIP/2.0/UDP a;x y=1",
            "Via: SIP/2.0/UDP a;x=\"1\"2",
        ] {
            let bytes = message(via);
            assert_eq!(Via::top(&Message::datagram(&bytes).unwrap()), Err(Fault::Via), "{via}");
        }
    }

    #[test]
    fn stamps_the_truth() {
        for (via, source, expected) in [
            ("Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx", "192.0.2.1:5060", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bKx"),
            ("Via: SIP/2.0/UDP a.invalid;branch=x", "192.0.2.1:9", "Via: SIP/2.0/UDP a.invalid;branch=x;received=192.0.2.1"),
            (
                "Via: SIP/2.0/UDP 192.0.2.1;rport;branch=x",
                "192.0.2.1:9",
                "Via: SIP/2.0/UDP 192.0.2.1;rport=9;branch=x;received=192.0.2.1",
            ),
            (
                "Via: SIP/2.0/UDP a;received=9.9.9.9;rport=1;branch=x",
                "192.0.2.1:9",
                "Via: SIP/2.0/UDP a;received=192.0.2.1;rport=9;branch=x",
            ),
            ("Via: SIP/2.0/UDP 192.0.2.1;received=9.9.9.9", "192.0.2.1:9", "Via: SIP/2.0/UDP 192.0.2.1"),
            (
                "Via: SIP/2.0/TCP [2001:db8::1]:5060;rport, SIP/2.0/UDP b",
                "[2001:db8::2]:7",
                "Via: SIP/2.0/TCP [2001:db8::1]:5060;rport=7;received=2001:db8::2, SIP/2.0/UDP b",
            ),
        ] {
            assert_eq!(stamped(via, source), expected);
        }
    }
}
