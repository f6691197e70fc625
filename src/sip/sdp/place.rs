//! Where one address of a session description points: to a place, or nowhere. An address that readers could take for different
//! places is refused.

use std::net::{IpAddr, Ipv6Addr};

use memchr::memchr;

use crate::fence::canonical;
use crate::sip::number::quad;

/// Where an address points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum MediaPlace {
    /// Nowhere: the stream is on hold, or the address is kept secret.
    Hold,
    /// Nowhere, by a name. A reader that does not know such names keeps the address that was said before.
    HoldByName,
    /// To this address.
    At(IpAddr),
}

impl MediaPlace {
    /// Reads an address. `None`: a name (what it resolves to later cannot be known), multicast, or a form that readers disagree
    /// about: octal, hexadecimal, short, with a zone, with a lifetime.
    pub(super) fn of(text: &[u8]) -> Option<Self> {
        // 6157 4.1: an IPv6 hold is a name that cannot exist.
        if is_invalid(text) {
            return Some(Self::HoldByName);
        }
        let ip = if memchr(b':', text).is_some() {
            IpAddr::V6(std::str::from_utf8(text).ok()?.parse::<Ipv6Addr>().ok()?)
        } else {
            IpAddr::V4(quad(text)?)
        };
        Self::at(ip)
    }

    /// The place of an address that was read before; `None`: multicast.
    pub(super) fn at(ip: IpAddr) -> Option<Self> {
        if canonical(ip).is_multicast() {
            return None;
        }
        // 3264 8.4; ICE uses `::` (8839 4).
        Some(if ip.is_unspecified() { Self::Hold } else { Self::At(ip) })
    }

    /// Reads `IN IP4 address` or `IN IP6 address`: spaces between, and nothing else.
    pub(super) fn connection(value: &[u8]) -> Option<Self> {
        Self::of_words(&mut words(value)?)
    }

    /// The same for the words that are left.
    pub(super) fn of_words<'a>(words: &mut impl Iterator<Item = &'a [u8]>) -> Option<Self> {
        let (b"IN", family, address, None) = (words.next()?, words.next()?, words.next()?, words.next()) else { return None };
        let six = memchr(b':', address).is_some();
        let fits = match family {
            b"IP4" => !six,
            b"IP6" => six || is_invalid(address),
            _ => false,
        };
        if fits { Self::of(address) } else { None }
    }
}

/// The words of a value, with spaces between. `None`: it has other white space, so readers would count words differently.
pub(super) fn words(value: &[u8]) -> Option<impl Iterator<Item = &[u8]>> {
    let value = value.trim_ascii_end();
    let plain = value.iter().all(|&octet| octet == b' ' || octet.is_ascii_graphic());
    plain.then(|| value.split(|&octet| octet == b' ').filter(|word| !word.is_empty()))
}

/// Whether it is a name below `.invalid`. It must begin with a letter, so that no reader finds a number at its start.
pub(super) fn is_invalid(text: &[u8]) -> bool {
    let Some((name, end)) = text.len().checked_sub(8).and_then(|at| text.split_at_checked(at)) else { return false };
    end.eq_ignore_ascii_case(b".invalid")
        && name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|&octet| octet.is_ascii_alphanumeric() || matches!(octet, b'-' | b'.'))
}
