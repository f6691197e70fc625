//! Finds the places that one attribute (`a=`) names. Nothing here knows streams, or which places are inside.

use memchr::{memchr, memchr_iter, memmem};

use super::place::{MediaPlace, words};
use super::{SdpObjection, unreadable};
use crate::sip::number::decimal;
use crate::sip::uri::{Host, host_port};

/// Judges a place, with the name of its line.
type PlaceVerdict = Result<(), SdpObjection>;

/// One attribute: its name and its value.
pub(super) struct Attribute<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Cuts `name:value`. White space around the name is not part of it. If there is no colon, white space ends the name.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let text = text.trim_ascii_start();
        // The first test saves most letters the others.
        let ends = |octet: u8| octet <= b':' && (octet == b':' || octet.is_ascii_whitespace());
        let end = text.iter().position(|&octet| ends(octet)).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end).unwrap_or_default();
        let rest = rest.trim_ascii_start();
        Self { name, value: rest.strip_prefix(b":").unwrap_or(rest) }
    }

    /// Whether it names ICE candidates, in a new or old form. Some readers take them even from a stream with port 0.
    pub(super) fn is_candidate(&self) -> bool {
        let name = b"candidate";
        self.name.windows(name.len()).any(|part| part.eq_ignore_ascii_case(name)) && !self.is(b"end-of-candidates")
    }

    /// 8843 6: the stream is active although its port is 0. It shares the bundle's addresses.
    pub(super) fn is_bundle_only(&self) -> bool {
        self.is(b"bundle-only")
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Asks about every place that the attribute names.
    pub(super) fn places(&self, judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> PlaceVerdict {
        // 5939 3.4.1: a number, then an attribute that is used if both sides can. 8864 5.2: the number of a data channel, then an
        // attribute of it.
        if self.is(b"acap") || self.is(b"dcsa") {
            let numbered = self.value.trim_ascii_start();
            let end = numbered.iter().position(|octet| !octet.is_ascii_digit()).unwrap_or(numbered.len());
            return Self::of(numbered.get(end..).unwrap_or_default()).plain_places(judge);
        }
        self.plain_places(judge)
    }

    fn plain_places(&self, judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> PlaceVerdict {
        let (field, read): (_, Option<PlaceVerdict>) = match self.name.len() {
            4 if self.is(b"rtcp") => ("a=rtcp", rtcp(self.value, judge)),
            4 if self.is(b"path") => ("a=path", path(self.value, judge)),
            3 if self.is(b"alt") => ("a=alt", literals("a=alt", self.value, true, judge)),
            7 if self.is(b"control") => ("a=control", authority("a=control", self.value, judge)),
            9 if self.is(b"candidate") => ("a=candidate", candidate(self.value, judge)),
            13 if self.is(b"source-filter") => ("a=source-filter", source_filter(self.value, judge)),
            17 if self.is(b"remote-candidates") => ("a=remote-candidates", remote_candidates(self.value, judge)),
            // Before RFC 5245, and beside it (`x-candidate-ipv6`, `remote-candidate`).
            _ if self.is_candidate() => ("a=candidate", literals("a=candidate", self.value, false, judge)),
            _ => ("a=", other(self.value, judge)),
        };
        read.unwrap_or_else(|| unreadable(field, self.value))
    }
}

/// RFC 3605 2.1: the port, and the address if it is another.
fn rtcp(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?.peekable();
    port(words.next()?)?;
    if words.peek().is_none() {
        return Some(Ok(()));
    }
    Some(judge("a=rtcp", MediaPlace::of_words(&mut words)?))
}

/// RFC 8839 5.1: foundation, component, transport, priority, address, port, `typ`, type, and more in pairs. RFC 6544 4.5: the
/// same for TCP. `raddr` is where the address was derived from; nothing goes there.
fn candidate(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?;
    let (_foundation, component, _transport, priority) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (address, number, typ, _type) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let numbers = (decimal(component, 65_535), decimal(priority, u64::from(u32::MAX)), port(number));
    let (Some(_), Some(_), Some(_)) = numbers else { return None };
    if !typ.eq_ignore_ascii_case(b"typ") {
        return None;
    }
    Some(judge("a=candidate", MediaPlace::of(address)?))
}

/// Any word that is an address. In a candidate the word behind `raddr` is no destination. `alt`: there must be one address, and `raddr` has
/// no meaning.
fn literals(
    field: &'static str,
    value: &[u8],
    alt: bool,
    judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict,
) -> Option<PlaceVerdict> {
    let (mut found, mut related) = (false, false);
    for word in words(value)? {
        let skipped = std::mem::replace(&mut related, word.eq_ignore_ascii_case(b"raddr"));
        if skipped && !alt || !looks_like_address(word) {
            continue;
        }
        found = true;
        if let Err(objection) = judge(field, MediaPlace::of(word)?) {
            return Some(Err(objection));
        }
    }
    (found || !alt).then_some(Ok(()))
}

/// Whether a word is digits and dots, or has two colons and only octets of an IPv6 address.
pub(super) fn looks_like_address(word: &[u8]) -> bool {
    let dotted = memchr(b'.', word).is_some() && word.iter().all(|&octet| octet.is_ascii_digit() || octet == b'.');
    dotted
        || memchr_iter(b':', word).nth(1).is_some()
            && word.iter().all(|&octet| octet.is_ascii_hexdigit() || matches!(octet, b':' | b'.' | b'%'))
}

/// The host of a URI, if it has one.
pub(super) fn authority(
    field: &'static str,
    uri: &[u8],
    judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict,
) -> Option<PlaceVerdict> {
    let Some(at) = memmem::find(uri, b"//") else { return Some(Ok(())) };
    Some(judge(field, host_of(uri.get(at.checked_add(2)?..)?)?))
}

/// The place that a text after `//` names.
fn host_of(rest: &[u8]) -> Option<MediaPlace> {
    let end = rest.iter().position(|octet| matches!(octet, b'/' | b';' | b'?' | b'#') || octet.is_ascii_whitespace());
    match host_port(rest.get(..end.unwrap_or(rest.len()))?)?.0 {
        Host::Address(ip) => MediaPlace::at(ip),
        Host::Name(name) => MediaPlace::of(name),
    }
}

/// RFC 8839 5.2: component, address and port, repeated.
fn remote_candidates(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?.peekable();
    words.peek()?;
    let mut verdict = Ok(());
    while let (Ok(()), Some(component)) = (&verdict, words.next()) {
        let (address, number) = (words.next()?, words.next()?);
        let (Some(_), Some(_)) = (decimal(component, 65_535), port(number)) else { return None };
        verdict = judge("a=remote-candidates", MediaPlace::of(address)?);
    }
    Some(verdict)
}

/// RFC 4570 3: ` incl IN IP4 destination source …`. The destination is judged, and so are sources that may send. Excluded sources
/// are not.
fn source_filter(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?;
    let (mode, b"IN", b"IP4" | b"IP6" | b"*", destination) = (words.next()?, words.next()?, words.next()?, words.next()?) else {
        return None;
    };
    let excludes = mode.eq_ignore_ascii_case(b"excl");
    if !excludes && !mode.eq_ignore_ascii_case(b"incl") {
        return None;
    }
    let mut verdict = if destination == b"*" { Ok(()) } else { judge("a=source-filter", MediaPlace::of(destination)?) };
    let mut source = words.next()?;
    while verdict.is_ok() && !excludes {
        verdict = judge("a=source-filter", MediaPlace::of(source)?);
        let Some(next) = words.next() else { break };
        source = next;
    }
    Some(verdict)
}

/// RFC 4975 8.2: MSRP URIs, relays first.
fn path(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut verdict = Ok(());
    let mut uris = words(value)?.peekable();
    uris.peek()?;
    while let (Ok(()), Some(uri)) = (&verdict, uris.next()) {
        let (scheme, rest) = uri.split_at_checked(memchr(b':', uri)?)?;
        if !(scheme.eq_ignore_ascii_case(b"msrp") || scheme.eq_ignore_ascii_case(b"msrps")) {
            return None;
        }
        verdict = judge("a=path", host_of(rest.strip_prefix(b"://")?)?);
    }
    Some(verdict)
}

/// Any other attribute: the word after `IP4` or `IP6` is an address (RFC 6947 `altc`, RFC 7006 `ccap`, RFC 6284 and others).
fn other(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    // Values are short: a search by many octets at a time would cost more than it saves.
    for (at, _) in value.iter().enumerate().filter(|&(_, octet)| octet | 0x20 == b'i') {
        let Some((family, rest)) = value.get(at..).and_then(|text| text.split_at_checked(3)) else { break };
        let alone = at.checked_sub(1).is_none_or(|before| value.get(before).is_some_and(u8::is_ascii_whitespace));
        let spaced = rest.first().is_some_and(u8::is_ascii_whitespace);
        let family = family.eq_ignore_ascii_case(b"IP4") || family.eq_ignore_ascii_case(b"IP6");
        if !(family && alone && spaced) {
            continue;
        }
        let rest = rest.trim_ascii_start();
        let end = rest.iter().position(u8::is_ascii_whitespace).unwrap_or(rest.len());
        let address = rest.get(..end).unwrap_or_default();
        if let Err(objection) = judge("a=", MediaPlace::of(address)?) {
            return Some(Err(objection));
        }
    }
    Some(Ok(()))
}

fn port(text: &[u8]) -> Option<u64> {
    decimal(text, 65_535)
}
