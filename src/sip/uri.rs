//! A borrowed view of SIP, SIPS and tel URIs (RFC 3261 19.1, RFC 3966).

use std::net::IpAddr;

/// The scheme of a URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// `sip:`
    Sip,
    /// `sips:`
    Sips,
    /// `tel:`; has no host.
    Tel,
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
    /// The scheme.
    pub scheme: Scheme,
    /// What stands before the `@`, if there is one (with any password); for `tel:` the number with its parameters.
    pub user: Option<&'a [u8]>,
    /// The host; `None` for `tel:` alone.
    pub host: Option<Host<'a>>,
    /// The host and port as written, in brackets for IPv6; empty for `tel:`.
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
    /// A well-formed scheme that is none of ours: 416.
    Scheme,
    /// Anything else: 400.
    Syntax,
}

impl<'a> Uri<'a> {
    /// Reads a URI that stands alone (no angle brackets, no white space).
    pub fn parse(text: &'a [u8]) -> Result<Self, UriFault> {
        let _ = text;
        todo!()
    }

    /// The value of a parameter (name compared without case): `Some(Some(value))`, `Some(None)` for a flag like `lr`,
    /// `None` if absent.
    pub fn param(&self, name: &str) -> Option<Option<&'a [u8]>> {
        let _ = name;
        todo!()
    }
}
