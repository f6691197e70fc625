//! Reads the usual spellings of the rows that every element reads, in one pass over a table.
//!
//! It accepts only texts that the readers in [`super::address`], [`super::uri`] and [`super::via`] accept, and finds the same in
//! them. It refuses nothing: a spelling that it does not know is left to those readers. Property tests compare both.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::uri::{self, Host, Scheme, Uri};
use super::via::{COOKIE, Via};

/// Classes of octets: this one may stand in a user part.
const USER: u8 = 1;
/// In a label of a host name.
const LABEL: u8 = 2;
/// In a URI's parameter, name or value.
const URI_PARAM: u8 = 4;
const TOKEN: u8 = 8;
/// In the value of a header's parameter.
const VALUE: u8 = 16;
/// Inside quotes, without a backslash before it.
const QUOTED: u8 = 32;
const DIGIT: u8 = 64;
/// In a display name without quotes.
const WORDS: u8 = 128;

#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
const CLASSES: [u8; 256] = {
    let (mut table, mut octet) = ([0; 256], 0_u8);
    while octet < 127 {
        let letter = octet.is_ascii_alphanumeric();
        let mut classes = 0;
        if letter || matches!(octet, b'-' | b'_') {
            classes |= LABEL;
        }
        if letter || matches!(octet, b'-' | b'.' | b'!' | b'%' | b'*' | b'_' | b'+' | b'`' | b'\'' | b'~') {
            classes |= TOKEN | WORDS;
        }
        if octet == b' ' {
            classes |= WORDS;
        }
        if octet.is_ascii_graphic() && !matches!(octet, b'"' | b'<' | b'>' | b'[' | b']' | b'@' | b'\\') {
            // A user part with parameters is left to the other readers.
            if !matches!(octet, b'?' | b';') {
                classes |= USER | URI_PARAM;
            }
            if !matches!(octet, b',' | b';' | b'=') {
                classes |= VALUE;
            }
        }
        if (octet == b' ' || octet.is_ascii_graphic()) && !matches!(octet, b'"' | b'\\') {
            classes |= QUOTED;
        }
        if octet.is_ascii_digit() {
            classes |= DIGIT;
        }
        table[octet as usize] = classes;
        octet += 1;
    }
    table
};

/// Reads a text that is one `sip:` or `sips:` URI.
pub(super) fn uri(text: &[u8]) -> Option<Uri<'_>> {
    let mut cursor = Cursor { rest: text };
    let uri = cursor.uri()?;
    cursor.rest.is_empty().then_some(uri)
}

/// A `name-addr` with such a URI, and its parameters.
pub(super) struct NameAddr<'a> {
    /// The value of its one `tag`.
    pub(super) tag: Option<&'a [u8]>,
    host: Option<Host<'a>>,
    params: &'a [u8],
}

impl<'a> NameAddr<'a> {
    /// The host that a request to its URI goes to.
    pub(super) fn reached(&self) -> Option<Host<'a>> {
        uri::maddr(self.params).or(self.host)
    }
}

/// Reads a text that is one value with a URI in brackets. No other value follows after a comma.
pub(super) fn name_addr(text: &[u8]) -> Option<NameAddr<'_>> {
    let mut cursor = Cursor { rest: text };
    if cursor.eats(b'"') {
        cursor.run::<QUOTED>();
        if !cursor.eats(b'"') {
            return None;
        }
        cursor.eats(b' ');
    } else {
        cursor.run::<WORDS>();
    }
    if !cursor.eats(b'<') {
        return None;
    }
    let Uri { host, params, .. } = cursor.uri()?;
    if !cursor.eats(b'>') {
        return None;
    }
    let mut tag = None;
    while let Some(Param { name, value, .. }) = cursor.param()? {
        if name.len() == 3 && name.eq_ignore_ascii_case(b"tag") && tag.replace(value?).is_some() {
            return None;
        }
    }
    Some(NameAddr { tag, host, params })
}

/// Reads the Via value at `span`, if no other value follows it.
pub(super) fn via(bytes: &[u8], span: Range<usize>) -> Option<Via<'_>> {
    let text = bytes.get(span.clone())?;
    let mut cursor = Cursor { rest: text.strip_prefix(b"SIP/2.0/")? };
    let transport = cursor.run::<TOKEN>();
    if transport.is_empty() || !cursor.eats(b' ') {
        return None;
    }
    let (sent_by, host, port) = cursor.host_port()?;
    let mut via = Via { span: span.clone(), transport, sent_by, host, port, branch: None, rport: None, received: None };
    while let Some(Param { place, name, value }) = cursor.param()? {
        let place = span.end.wrapping_sub(place.start)..span.end.wrapping_sub(place.end);
        let again = match name.len() {
            6 if name.eq_ignore_ascii_case(b"branch") => {
                let branch = value.filter(|value| !value.eq_ignore_ascii_case(COOKIE))?;
                via.branch.replace(branch).is_some()
            }
            5 if name.eq_ignore_ascii_case(b"rport") => via.rport.replace(place).is_some(),
            8 if name.eq_ignore_ascii_case(b"received") => via.received.replace(place).is_some(),
            _ => false,
        };
        if again {
            return None;
        }
    }
    Some(via)
}

/// A parameter of a header.
struct Param<'a> {
    /// Where it begins, at its `;`, and ends, both counted back from the end of the text.
    place: Range<usize>,
    name: &'a [u8],
    value: Option<&'a [u8]>,
}

/// The text that is still to be read.
struct Cursor<'a> {
    rest: &'a [u8],
}

/// Cuts a text before the first octet of a kind.
#[inline]
fn split(text: &[u8], ends: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let length = text.iter().position(|&octet| ends(octet)).unwrap_or(text.len());
    text.split_at_checked(length).unwrap_or_default()
}

/// The text before its `end`.
fn before<'a>(text: &'a [u8], end: &[u8]) -> &'a [u8] {
    text.len().checked_sub(end.len()).and_then(|length| text.get(..length)).unwrap_or_default()
}

impl<'a> Cursor<'a> {
    #[inline]
    fn eats(&mut self, octet: u8) -> bool {
        match self.rest {
            [first, rest @ ..] if *first == octet => {
                self.rest = rest;
                true
            }
            _ => false,
        }
    }

    /// Reads as many octets of a class as follow here.
    #[expect(clippy::indexing_slicing, reason = "an octet is always within 256 entries")]
    #[inline]
    fn run<const CLASS: u8>(&mut self) -> &'a [u8] {
        let (run, rest) = split(self.rest, |octet| CLASSES[octet as usize] & CLASS == 0);
        self.rest = rest;
        run
    }

    /// Reads a URI, up to the first octet that cannot be part of it.
    fn uri(&mut self) -> Option<Uri<'a>> {
        let scheme = match self.rest {
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', rest @ ..] => {
                self.rest = rest;
                Scheme::Sip
            }
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', rest @ ..] => {
                self.rest = rest;
                Scheme::Sips
            }
            _ => return None,
        };
        let start = self.rest;
        let user = self.run::<USER>();
        let user = if self.eats(b'@') {
            Some(user)
        } else {
            self.rest = start;
            None
        };
        let (hostport, host, port) = self.host_port()?;
        let params = if self.eats(b';') { self.uri_params()? } else { b"" };
        Some(Uri { scheme, user, host: Some(host), hostport, port, params, headers: b"" })
    }

    /// Reads the parameters after the first `;`. Those that route begin with one of three letters; if two do, the other readers
    /// decide.
    fn uri_params(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        let mut seen = 0_u8;
        loop {
            let first = match self.run::<URI_PARAM>().first().map(u8::to_ascii_lowercase) {
                Some(b'm') => 1,
                Some(b't') => 2,
                Some(b'l') => 4,
                _ => 0,
            };
            if seen & first != 0 {
                return None;
            }
            seen |= first;
            if !self.eats(b';') {
                return Some(before(start, self.rest));
            }
        }
    }

    /// Reads a host that is no IPv6 reference, and a port.
    fn host_port(&mut self) -> Option<(&'a [u8], Host<'a>, Option<u16>)> {
        let start = self.rest;
        let host = match self.rest {
            [b'0'..=b'9', ..] => Host::Address(IpAddr::V4(self.quad()?)),
            _ => Host::Name(self.name()?),
        };
        let port = if self.eats(b':') {
            let digits = self.run::<DIGIT>();
            if digits.len() > 5 || matches!(digits, [] | [b'0', ..]) {
                return None;
            }
            let number = digits.iter().fold(0_u32, |sum, digit| sum.wrapping_mul(10).wrapping_add(u32::from(digit & 15)));
            Some(u16::try_from(number).ok()?)
        } else {
            None
        };
        Some((before(start, self.rest), host, port))
    }

    /// Reads four numbers, if no more of a host follows them.
    fn quad(&mut self) -> Option<Ipv4Addr> {
        let mut octets = [0; 4];
        for (place, octet) in octets.iter_mut().enumerate() {
            if place > 0 && !self.eats(b'.') {
                return None;
            }
            let number = match self.run::<DIGIT>() {
                [one] => u32::from(one & 15),
                [ten @ b'1'..=b'9', one] => u32::from(ten & 15).wrapping_mul(10).wrapping_add(u32::from(one & 15)),
                [hundred @ b'1'..=b'2', ten, one] => {
                    let tens = u32::from(hundred & 15).wrapping_mul(10).wrapping_add(u32::from(ten & 15));
                    tens.wrapping_mul(10).wrapping_add(u32::from(one & 15))
                }
                _ => return None,
            };
            *octet = u8::try_from(number).ok()?;
        }
        let goes_on = self.eats(b'.') || !self.run::<LABEL>().is_empty();
        (!goes_on).then(|| octets.into())
    }

    /// Reads a name whose last label is no number.
    fn name(&mut self) -> Option<&'a [u8]> {
        let start = self.rest;
        loop {
            let [first, ..] = self.run::<LABEL>() else { return None };
            if !self.eats(b'.') {
                let name = before(start, self.rest);
                return (!first.is_ascii_digit() && name.len() <= 253).then_some(name);
            }
        }
    }

    /// Reads the next parameter of a header. `Some(None)`: the text has ended. `None`: something else follows.
    #[expect(clippy::option_option, reason = "the outer one is for `?`")]
    fn param(&mut self) -> Option<Option<Param<'a>>> {
        if self.rest.is_empty() {
            return Some(None);
        }
        let start = self.rest.len();
        if !self.eats(b';') {
            return None;
        }
        let name = self.run::<TOKEN>();
        let value = if self.eats(b'=') { Some(self.run::<VALUE>()) } else { None };
        if name.is_empty() || value.is_some_and(<[u8]>::is_empty) {
            return None;
        }
        Some(Some(Param { place: start..self.rest.len(), name, value }))
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::{Strategy, prop_assert, prop_assert_eq, prop_oneof, proptest};
    use proptest::sample::select;

    use super::*;
    use crate::sip::address::Address;
    use crate::sip::uri::is_sound;

    /// Usual and unusual pieces, in any order.
    fn text() -> impl Strategy<Value = String> {
        let pieces = [
            "sip:",
            "SIPS:",
            "tel:",
            "a",
            "bob",
            "+49",
            "@",
            "example.com",
            "192.0.2.1",
            "h-1.x_y",
            "1.2",
            "01.2.3.4",
            "300.1.1.1",
            ".",
            "..",
            ":",
            ":5060",
            ":0",
            ":65536",
            ";",
            ";lr",
            ";transport=udp",
            ";maddr=x",
            ";tag=1",
            ";tag",
            ";x=\"a;b\"",
            ";=",
            "=",
            "?x=y",
            "<",
            ">",
            "\"",
            "\"a, b\" ",
            " ",
            ", ",
            "\\",
            "[::1]",
            "%41",
            "\t",
            "\u{8}",
            "\u{e9}",
            "SIP/2.0/UDP ",
            "SIP/2.0/ ",
            ";branch=z9hG4bK1",
            ";branch=z9hG4bK",
            ";rport",
            ";rport=1",
            ";received=192.0.2.9",
            "\r\n ",
            "9",
        ];
        let usual = select(vec![
            "<sip:a@b.example:5060;lr>;tag=1",
            "\"A B\" <sips:a@192.0.2.1>",
            "SIP/2.0/TCP h.example;rport;branch=z9hG4bKx",
            "sip:+1;npdi@h;user=phone",
        ]);
        (
            prop_oneof![usual.prop_map(str::to_owned), vec(select(pieces.to_vec()), 0..8).prop_map(|pieces| pieces.concat())],
            0..40_usize,
            select(pieces.to_vec()),
        )
            .prop_map(|(mut text, at, piece)| {
                if text.is_char_boundary(at) {
                    text.insert_str(at, piece);
                }
                text
            })
    }

    proptest! {
        #[test]
        fn what_it_knows_is_what_the_readers_find(text in text()) {
            let text = text.as_bytes();
            if let Some(quick) = uri(text) {
                prop_assert_eq!(Uri::parse_any(text), Ok(quick));
            }
            if let Some(quick) = name_addr(text) {
                let address = Address::parse(text).unwrap();
                prop_assert!(is_sound(address.uri) && !address.hides_semicolon());
                prop_assert_eq!(address.plain_tag(), Ok(quick.tag));
                prop_assert_eq!(Address::route(text).unwrap(), address);
            }
            if let Some(quick) = via(text, 0..text.len()) {
                prop_assert_eq!(Via::read_any(text, 0..text.len()), Some(quick));
            }
        }
    }

    #[test]
    fn it_knows_what_is_usual() {
        for text in [
            "sip:+4930123@acme.eu.sip.example.com",
            "sip:203.0.113.20:5060;transport=udp",
            "sip:192.0.2.1:5060;lr;rf=00",
            "SIPS:a:b@h;transport=TLS",
            "sip:h",
        ] {
            assert!(uri(text.as_bytes()).is_some(), "{text}");
            for (before, after) in [("<", ">"), ("\"A, B\" <", ">;x;tag=1-2"), ("A B.C <", ">")] {
                assert!(name_addr([before, text, after].concat().as_bytes()).is_some(), "{before}{text}{after}");
            }
        }
        for text in [
            "SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK-4711-1-0",
            "SIP/2.0/TLS h.example;received=192.0.2.1;rport=9;branch=1;x",
        ] {
            assert!(via(text.as_bytes(), 0..text.len()).is_some(), "{text}");
        }
    }
}
