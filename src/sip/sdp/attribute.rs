//! The places that one attribute (`a=`) names. Nothing here knows streams or what is inside.

use memchr::{memchr, memchr_iter};

use super::place::MediaPlace;
use super::{SdpObjection, unreadable};
use crate::sip::number::decimal;
use crate::sip::uri::{Host, host_port};

/// What `judge` says of a place, with the line that it stands in.
type PlaceVerdict = Result<(), SdpObjection>;

/// An attribute, as far as attributes are told apart.
pub(super) struct Attribute<'a> {
    name: &'a [u8],
    value: &'a [u8],
}

impl<'a> Attribute<'a> {
    /// Cuts `name:value`. Space around the name is none of it.
    pub(super) fn of(text: &'a [u8]) -> Self {
        let colon = memchr(b':', text).unwrap_or(text.len());
        let (name, value) = text.split_at_checked(colon).unwrap_or_default();
        Self { name: name.trim_ascii(), value: value.get(1..).unwrap_or_default() }
    }

    /// 8843 6: the stream is not off though its port is 0; it shares the bundle's addresses.
    pub(super) fn is_bundle_only(&self) -> bool {
        self.is(b"bundle-only")
    }

    fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// Asks about every place that the attribute names.
    pub(super) fn places(&self, judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> PlaceVerdict {
        // 5939 3.4.1: an attribute behind its number, to be used if both sides can.
        if self.is(b"acap") {
            let Self { name, value } = Self::of(self.value);
            let name = name.rsplit(u8::is_ascii_whitespace).next().unwrap_or_default();
            return Self { name, value }.plain_places(judge);
        }
        self.plain_places(judge)
    }

    fn plain_places(&self, judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> PlaceVerdict {
        let (field, read): (_, Option<PlaceVerdict>) = match self.name.len() {
            4 if self.is(b"rtcp") => ("a=rtcp", rtcp(self.value, judge)),
            4 if self.is(b"path") => ("a=path", path(self.value, judge)),
            9 if self.is(b"candidate") => ("a=candidate", candidate(self.value, judge)),
            13 if self.is(b"source-filter") => ("a=source-filter", source_filter(self.value, judge)),
            17 if self.is(b"remote-candidates") => ("a=remote-candidates", remote_candidates(self.value, judge)),
            _ => ("a=", other(self.value, judge)),
        };
        read.unwrap_or_else(|| unreadable(field, self.value))
    }
}

/// The words of a value, one space between. `None`: any other white space, where readers would count words differently.
fn words(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let value = value.trim_ascii_end();
    let mut before = b' ';
    for &octet in value {
        if !(octet.is_ascii_graphic() || octet == b' ' && before != b' ') {
            return None;
        }
        before = octet;
    }
    Some(value.split(|&octet| octet == b' '))
}

/// RFC 3605 2.1: the port, and the address if it is another.
fn rtcp(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let value = value.trim_ascii_end();
    let space = memchr(b' ', value).unwrap_or(value.len());
    let (number, rest) = value.split_at_checked(space)?;
    port(number)?;
    if rest.is_empty() {
        return Some(Ok(()));
    }
    Some(judge("a=rtcp", MediaPlace::connection(rest.get(1..)?)?))
}

/// RFC 8839 5.1: foundation, component, transport, priority, address, port, `typ`, type, and more in pairs. RFC 6544 4.5: the
/// same for TCP.
fn candidate(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?;
    let (_foundation, component, _transport, priority) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let (address, number, typ, _type) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let numbers = (decimal(component, 65_535), decimal(priority, u64::from(u32::MAX)), port(number));
    let (Some(_), Some(_), Some(_)) = numbers else { return None };
    if !typ.eq_ignore_ascii_case(b"typ") {
        return None;
    }
    let mut verdict = judge("a=candidate", MediaPlace::of(address)?);
    while let (Ok(()), Some(word)) = (&verdict, words.next()) {
        if word.eq_ignore_ascii_case(b"raddr") {
            // 8839 5.1: all zeros where the sender does not tell.
            verdict = judge("a=candidate raddr", MediaPlace::of(words.next()?)?);
        }
    }
    Some(verdict)
}

/// RFC 8839 5.2: component, address, port, again and again.
fn remote_candidates(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value)?;
    let mut verdict = Ok(());
    while let (Ok(()), Some(component)) = (&verdict, words.next()) {
        let (address, number) = (words.next()?, words.next()?);
        let (Some(_), Some(_)) = (decimal(component, 65_535), port(number)) else { return None };
        verdict = judge("a=remote-candidates", MediaPlace::of(address)?);
    }
    Some(verdict)
}

/// RFC 4570 3: ` incl IN IP4 destination source …`. The destination is judged, and who may send; who may not send is nobody.
fn source_filter(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    let mut words = words(value.strip_prefix(b" ").unwrap_or(value))?;
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
    let mut uris = words(value)?;
    while let (Ok(()), Some(uri)) = (&verdict, uris.next()) {
        let (scheme, rest) = uri.split_at_checked(memchr(b':', uri)?)?;
        if !(scheme.eq_ignore_ascii_case(b"msrp") || scheme.eq_ignore_ascii_case(b"msrps")) {
            return None;
        }
        let rest = rest.strip_prefix(b"://")?;
        let end = rest.iter().position(|octet| matches!(octet, b'/' | b';')).unwrap_or(rest.len());
        let authority = rest.get(..end)?;
        let place = match host_port(authority)?.0 {
            Host::Address(ip) => MediaPlace::at(ip)?,
            Host::Name(name) => MediaPlace::of(name)?,
        };
        verdict = judge("a=path", place);
    }
    Some(verdict)
}

/// Any other attribute: what stands behind `IP4` or `IP6` is an address (RFC 6947 `altc`, RFC 7006 `ccap`, RFC 6284 and others).
fn other(value: &[u8], judge: &impl Fn(&'static str, MediaPlace) -> PlaceVerdict) -> Option<PlaceVerdict> {
    for at in memchr_iter(b'I', value) {
        let Some((family, rest)) = value.get(at..).and_then(|text| text.split_at_checked(3)) else { break };
        let alone = at.checked_sub(1).is_none_or(|before| value.get(before).is_some_and(u8::is_ascii_whitespace));
        let spaced = rest.first().is_some_and(u8::is_ascii_whitespace);
        if !(matches!(family, b"IP4" | b"IP6") && alone && spaced) {
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
