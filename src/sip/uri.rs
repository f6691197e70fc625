//! A borrowed view of SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966), and of the service that stands for emergencies (RFC 5031).

use std::net::{IpAddr, Ipv6Addr};

use memchr::{memchr, memchr_iter, memchr3, memrchr};

use super::number::{decimal, quad};
use super::parameter::{closes, each_param, hides_semicolon, param};
use super::quick;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`; has no host.
    Tel,
    /// `urn:service:sos` or one of its sub-services; has no host. Any other URN is a scheme that we do not know.
    Sos,
}

/// The host part of a URI or of a Via's sent-by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Host<'a> {
    /// A name, as written. Never empty, at most 253 octets, letters, digits, `-`, `.`, `_`.
    Name(&'a [u8]),
    /// An address: a strict dotted quad or an IPv6 reference in brackets (no zone).
    Address(IpAddr),
}

/// A parsed URI. Slices point into the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uri<'a> {
    /// The scheme, compared without case.
    pub scheme: Scheme,
    /// The text before the `@` (with any password), if there is an `@`. For `tel:` the number with its parameters, for `urn:` the rest.
    pub user: Option<&'a [u8]>,
    /// The host; `None` for `tel:` and `urn:`.
    pub host: Option<Host<'a>>,
    /// The host and port as written, in brackets for IPv6; empty for `tel:` and `urn:`.
    pub hostport: &'a [u8],
    /// The port, if written. 1 to 65535.
    pub port: Option<u16>,
    /// The parameters, without the first `;`; empty if none.
    pub params: &'a [u8],
    /// The headers, without the `?`; empty if none.
    pub headers: &'a [u8],
}

/// Why a text is not a URI that can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UriFault {
    /// A well-formed scheme that we do not know; answered 416.
    Scheme,
    /// It cannot be read; answered 400.
    Syntax,
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone (no angle brackets, no white space).
    pub fn parse(text: &'a [u8]) -> Result<Self, UriFault> {
        quick::uri(text).map_or_else(|| Self::parse_any(text), Ok)
    }

    /// The same for all spellings, the unusual ones too.
    pub(super) fn parse_any(text: &'a [u8]) -> Result<Self, UriFault> {
        if text.iter().any(|&octet| ends_uri(octet)) {
            return Err(UriFault::Syntax);
        }
        let colon = memchr(b':', text).ok_or(UriFault::Syntax)?;
        let (scheme, rest) = text.split_at_checked(colon).ok_or(UriFault::Syntax)?;
        let rest = rest.get(1..).unwrap_or_default();
        let scheme = scheme_of(scheme)?;
        if scheme == Scheme::Sos {
            let uri = Self { scheme, user: Some(rest), host: None, hostport: b"", port: None, params: b"", headers: b"" };
            return (is_emergency_service(text) && !holds_odd(rest)).then_some(uri).ok_or(UriFault::Scheme);
        }
        if scheme == Scheme::Tel {
            let number =
                rest.first().is_some_and(|&octet| octet == b'+' || octet.is_ascii_hexdigit() || matches!(octet, b'*' | b'#'));
            let uri = Self { scheme, user: Some(rest), host: None, hostport: b"", port: None, params: b"", headers: b"" };
            return number.then_some(uri).ok_or(UriFault::Syntax);
        }
        // Elsewhere an `@` must be escaped (25.1), so this one ends the user part.
        let mut ats = memchr_iter(b'@', rest);
        let (user, rest) = match (ats.next(), ats.next()) {
            (None, _) => (None, rest),
            (Some(at), None) => (rest.get(..at), rest.get(at.saturating_add(1)..).unwrap_or_default()),
            (Some(_), Some(_)) => return Err(UriFault::Syntax),
        };
        let end = rest.iter().position(|&octet| matches!(octet, b';' | b'?')).unwrap_or(rest.len());
        let (hostport, tail) = rest.split_at_checked(end).ok_or(UriFault::Syntax)?;
        let (host, port) = host_port(hostport).ok_or(UriFault::Syntax)?;
        let (params, headers) = match memchr(b'?', tail) {
            Some(at) => (tail.get(..at).unwrap_or_default(), tail.get(at.saturating_add(1)..).unwrap_or_default()),
            None => (tail, &b""[..]),
        };
        let params = params.strip_prefix(b";").unwrap_or_default();
        if holds_odd(user.unwrap_or_default()) || holds_odd(headers) || !params_are_plain(params) {
            return Err(UriFault::Syntax);
        }
        Ok(Self { scheme, user, host: Some(host), hostport, port, params, headers })
    }

    /// The value of a parameter (name compared without case): `Some(Some(value))`, `Some(None)` for a flag like `lr`,
    /// `None` if absent.
    pub fn param(&self, name: &str) -> Option<Option<&'a [u8]>> {
        param(self.params, name)
    }

    /// The host that `maddr` names.
    pub(crate) fn maddr(&self) -> Option<Host<'a>> {
        maddr(self.params)
    }

    /// The host that a request to it goes to: that of `maddr`, or else its own. `None`: a `tel:` URI and a URN have none.
    pub(crate) fn reached(&self) -> Option<Host<'a>> {
        self.maddr().or(self.host)
    }

    /// Each parameter: its name, and the whole of it as written.
    pub fn parameters(&self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> + use<'a> {
        let params = self.params;
        each_param(params).map(|(span, name, _)| (name, params.get(span).unwrap_or_default()))
    }

    /// Whether the name of a parameter is written with escapes. It is the same name (19.1.4), and many readers do not see that.
    pub(crate) fn escapes_a_name(&self) -> bool {
        memchr(b'%', self.params).is_some() && each_param(self.params).any(|(_, name, _)| memchr(b'%', name).is_some())
    }
}

/// The host that `maddr` names among a URI's parameters.
pub(super) fn maddr(params: &[u8]) -> Option<Host<'_>> {
    if params.is_empty() {
        return None;
    }
    let maddr = param(params, "maddr").flatten()?;
    let ip = std::str::from_utf8(maddr).ok().and_then(|text| text.trim_matches(['[', ']']).parse().ok());
    Some(ip.map_or(Host::Name(maddr), Host::Address))
}

/// Whether a text is a URI, of any scheme, that all readers cut alike. From and To may have any scheme, since they do not route.
pub(super) fn is_sound(text: &[u8]) -> bool {
    match Uri::parse(text) {
        Ok(_) => true,
        Err(UriFault::Scheme) => !holds_odd(text),
        Err(UriFault::Syntax) => {
            let tel = text.get(..4).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel:"));
            tel && text.len() > 4 && !holds_odd(text) && !text.iter().any(|&octet| ends_uri(octet))
        }
    }
}

/// Whether a text holds quotes or brackets. Some readers take the text between brackets for the host, wherever they stand.
fn holds_odd(text: &[u8]) -> bool {
    memchr3(b'[', b']', b'"', text).is_some()
}

/// Whether all readers cut a URI's parameters alike: brackets stand only around an IPv6 `maddr`, quotes (which deployed gateways
/// write, against 25.1) hold no separator, and a parameter that routes stands once (19.1.1).
fn params_are_plain(params: &[u8]) -> bool {
    if holds_odd(params) {
        let quotes = closes(params) && !hides_semicolon(params) && memchr(b'\\', params).is_none();
        let bracketed = |name: &[u8], value: Option<&[u8]>| {
            let host = value.and_then(host_port).filter(|(_, port)| port.is_none());
            name.eq_ignore_ascii_case(b"maddr") && host.is_some()
        };
        let sound = each_param(params).all(|(span, name, value)| {
            let text = params.get(span).unwrap_or_default();
            memchr::memchr2(b'[', b']', text).is_none() || bracketed(name, value)
        });
        if !quotes || !sound {
            return false;
        }
    }
    if memchr(b';', params).is_none() {
        return true;
    }
    let mut seen = [false; ONCE.len()];
    each_param(params).all(|(_, name, _)| {
        let known = ONCE.iter().zip(&mut seen).find(|(known, _)| name.eq_ignore_ascii_case(known.as_bytes()));
        known.is_none_or(|(_, seen)| !std::mem::replace(seen, true))
    })
}

/// Parameters that say where and how a request goes.
const ONCE: [&str; 4] = ["maddr", "transport", "lr", "ttl"];

/// The service of RFC 5031 4.2 that stands for all emergency services, before its sub-services.
const SERVICE: &[u8] = b"urn:service:sos";

/// Whether a URN is that service or one of its sub-services, in any case of letters (RFC 8141 3.1). Behind it may stand components that
/// do not count for equality.
fn is_emergency_service(urn: &[u8]) -> bool {
    urn.split_at_checked(SERVICE.len()).is_some_and(|(service, rest)| {
        service.eq_ignore_ascii_case(SERVICE) && matches!(rest.first(), None | Some(b'.' | b'?' | b'#'))
    })
}

fn scheme_of(text: &[u8]) -> Result<Scheme, UriFault> {
    let legal = |&octet: &u8| octet.is_ascii_alphanumeric() || matches!(octet, b'+' | b'-' | b'.');
    if text.eq_ignore_ascii_case(b"sip") {
        Ok(Scheme::Sip)
    } else if text.eq_ignore_ascii_case(b"sips") {
        Ok(Scheme::Sips)
    } else if text.eq_ignore_ascii_case(b"tel") {
        Ok(Scheme::Tel)
    } else if text.eq_ignore_ascii_case(b"urn") {
        Ok(Scheme::Sos)
    } else if text.first().is_some_and(u8::is_ascii_alphabetic) && text.iter().all(legal) {
        Err(UriFault::Scheme)
    } else {
        Err(UriFault::Syntax)
    }
}

/// Reads a text that is exactly `host[:port]`. `None`: it is not.
pub fn host_port(text: &[u8]) -> Option<(Host<'_>, Option<u16>)> {
    let (host, rest) = if text.first() == Some(&b'[') {
        let end = memchr(b']', text)?;
        let inner = std::str::from_utf8(text.get(1..end)?).ok()?;
        (Host::Address(IpAddr::V6(inner.parse::<Ipv6Addr>().ok()?)), text.get(end.checked_add(1)?..)?)
    } else {
        let end = memchr(b':', text).unwrap_or(text.len());
        let (name, rest) = text.split_at_checked(end)?;
        (host(name)?, rest)
    };
    let port = match rest.split_first() {
        None => None,
        Some((b':', digits)) => Some(port(digits)?),
        Some(_) => return None,
    };
    Some((host, port))
}

/// Reads a host that is not an IPv6 reference. If its last label looks like a number, it must be a strict dotted quad: resolvers
/// disagree about `010.0.0.1`, `1.2.3` and `0x7f.1`.
fn host(text: &[u8]) -> Option<Host<'_>> {
    let name = text.strip_suffix(b".").unwrap_or(text);
    let last = memrchr(b'.', name).map_or(Some(name), |dot| name.get(dot.saturating_add(1)..)).unwrap_or_default();
    if last.first().is_some_and(u8::is_ascii_digit) {
        return Some(Host::Address(IpAddr::V4(quad(text)?)));
    }
    // No label is empty: no dot follows a dot, or nothing.
    let mut before = b'.';
    for &octet in name {
        if !is_host(octet) || (octet == b'.' && before == b'.') {
            return None;
        }
        before = octet;
    }
    (!name.is_empty() && name.len() <= 253).then_some(Host::Name(text))
}

/// Whether an octet can stand in no URI.
const fn ends_uri(octet: u8) -> bool {
    octet <= b' ' || octet == 0x7f || matches!(octet, b'<' | b'>')
}

/// Whether an octet may stand in a host name.
#[expect(clippy::indexing_slicing, reason = "an octet is always within 256 entries")]
const fn is_host(octet: u8) -> bool {
    HOST[octet as usize]
}

#[expect(clippy::indexing_slicing, reason = "computed while compiling")]
const HOST: [bool; 256] = {
    let (mut table, mut octet) = ([false; 256], 0_u8);
    while octet < 128 {
        table[octet as usize] = octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.' | b'_');
        octet += 1;
    }
    table
};

/// Reads a port: 1 to 65535, without leading zeros.
fn port(digits: &[u8]) -> Option<u16> {
    let number = decimal(digits, u64::from(u16::MAX))?;
    u16::try_from(number).ok().filter(|&port| port != 0 && digits.first() != Some(&b'0'))
}

/// Whether a text that is a URI is a `sips:` one.
pub(crate) fn is_sips(text: &[u8]) -> bool {
    text.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"sips:"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_is_legal() {
        let uri = Uri::parse(b"sip:user;par=u%40example.net@example.com:5070;transport=TCP;lr?Subject=x").unwrap();
        assert_eq!(uri.user, Some(&b"user;par=u%40example.net"[..]));
        assert_eq!(uri.host, Some(Host::Name(b"example.com")));
        assert_eq!((uri.port, uri.hostport, uri.headers), (Some(5070), &b"example.com:5070"[..], &b"Subject=x"[..]));
        assert_eq!(uri.param("Transport"), Some(Some(&b"TCP"[..])));
        assert_eq!(uri.param("lr"), Some(None));
        assert_eq!(uri.param("maddr"), None);
        let six = Uri::parse(b"SIPS:[2001:db8::1]:5061").unwrap();
        assert_eq!(
            (six.scheme, six.host, six.port),
            (Scheme::Sips, Some(Host::Address("2001:db8::1".parse().unwrap())), Some(5061))
        );
        assert_eq!(Uri::parse(b"tel:+49-30-123;phone-context=x").unwrap().host, None);
        assert_eq!(Uri::parse(b"sip:first.last@192.0.2.1").unwrap().host, Some(Host::Address("192.0.2.1".parse().unwrap())));
        assert_eq!(Uri::parse(b"sip:+1;npdi;rn=+2@h").unwrap().host, Some(Host::Name(b"h")));
        assert_eq!(Uri::parse(b"sip:@h").unwrap().host, Some(Host::Name(b"h")));
        let tagged = Uri::parse(b"sip:a@h:5060;x-tiu=\"VGhd=\";lr").unwrap();
        assert_eq!((tagged.host, tagged.param("lr")), (Some(Host::Name(b"h")), Some(None)));
        assert_eq!(Uri::parse(b"sip:h;maddr=[2001:db8::1];lr").unwrap().param("maddr"), Some(Some(&b"[2001:db8::1]"[..])));
        assert_eq!(Uri::parse(b"sip:sip%3Auser@example.com").unwrap().host, Some(Host::Name(b"example.com")));
    }

    #[test]
    fn soundness_whatever_the_scheme() {
        for text in ["sip:a@b", "tel:+1", "tel:Anonymous", "http://www.example.com", "isbn:2983792873"] {
            assert!(is_sound(text.as_bytes()), "{text}");
        }
        for text in ["", "*", "/", "x", "sip:", "sip:h:x", "tel:", "tel:a b", "http://[::1]/", "isbn:\"1\""] {
            assert!(!is_sound(text.as_bytes()), "{text}");
        }
    }

    #[test]
    fn refuses_what_others_read_differently() {
        for text in [
            "sip:",
            "sip:a@",
            "sip:a@b@c",
            "sip:a@h:0",
            "sip:a@h:65536",
            "sip:a@h:",
            "sip:a@h:05060",
            "sip:a@h:50 60",
            "sip:a@010.0.0.1",
            "sip:a@1.2.3",
            "sip:a@0x7f.1",
            "sip:a@300.1.1.1",
            "sip:a@[::1",
            "sip:a@::1",
            "sip:a@[fe80::1%25eth0]",
            "sip:a@[::1]x",
            "<sip:a@h>",
            "nocolon",
            "sip:a@h..x",
            "sip:a@.h",
            "sip:a@h%65",
            "tel:",
            "sip: a@h",
            "1x:y",
            "sip:x[192.0.2.9]@h",
            "sip:[192.0.2.9]x@h",
            "sip:[::1]@h",
            "sip:h:5060[::1]",
            "sip:h;x=[::1]",
            "sip:h;[maddr=::1]",
            "sip:h;maddr=[192.0.2.1]",
            "sip:h;maddr=[::1]:5060",
            "sip:h?x=[::1]",
            "sip:\"a\"@h",
            "sip:\"h\"",
            "sip:h;x=\"a",
            "sip:h;x=\"a\\\"\"",
            "sip:h;x=\"a;maddr=b\"",
            "sip:h;x=\"a?b\"",
            "sip:h?x=\"a\"",
            "sip:h;maddr=a;MADDR=b",
            "sip:h;lr;x;lr",
        ] {
            assert_eq!(Uri::parse(text.as_bytes()), Err(UriFault::Syntax), "{text}");
        }
        for text in [
            "http://x",
            "urn:service:so",
            "urn:service:sosx",
            "urn:service:counseling",
            "urn:uuid:1",
            "nobodyKnowsThisScheme:totallyopaque",
        ] {
            assert_eq!(Uri::parse(text.as_bytes()), Err(UriFault::Scheme), "{text}");
        }
    }

    #[test]
    fn the_emergency_service_has_sub_services() {
        for urn in ["urn:service:sos", "URN:Service:SOS", "urn:service:sos.fire", "urn:service:SOS.Animal-control"] {
            let uri = Uri::parse(urn.as_bytes()).unwrap();
            assert_eq!((uri.scheme, uri.host, uri.reached()), (Scheme::Sos, None, None), "{urn}");
        }
        assert_eq!(Uri::parse(b"urn:service:test.sos"), Err(UriFault::Scheme));
        assert_eq!(Uri::parse(b"urn:service:sos[x]"), Err(UriFault::Scheme));
    }
}
