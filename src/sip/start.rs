//! The start line of a request or a response (RFC 3261 7.1, 7.2).

use std::ops::Range;

use memchr::{memchr, memrchr_iter};

use super::Method;
use super::fault::Fault;
use super::header::is_token;
use super::number::decimal;
use super::scan::MAX_URI;

/// A start line (RFC 3261 7.1, 7.2). Ranges are octets of the message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Start {
    /// A request line: method, Request-URI, `SIP/2.0`.
    Request {
        /// The method; [`Method::Other`] for one that has no variant.
        method: Method,
        /// Where the method's token is.
        token: Range<usize>,
        /// Where the Request-URI is.
        uri: Range<usize>,
    },
    /// A status line; `code` is 100 to 699.
    Response {
        /// The status code, 100 to 699.
        code: u16,
    },
}

/// Reads a start line without its CRLF. If the method and the URI can be read, a fault is returned beside them.
pub(super) fn start_line(line: &[u8]) -> Result<(Start, Option<Fault>), Fault> {
    if line.get(..4).is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/")) {
        return status_line(line);
    }
    // 7.1: the version is compared without case.
    let is_version = |&at: &usize| line.get(at..at.saturating_add(5)).is_some_and(|text| text.eq_ignore_ascii_case(b" SIP/"));
    let version_at = memrchr_iter(b' ', line).find(is_version).ok_or(Fault::NotSip)?;
    let version = line.get(version_at.saturating_add(5)..).unwrap_or_default();
    let token_end = memchr(b' ', line).ok_or(Fault::NotSip)?;
    let token = line.get(..token_end).unwrap_or_default();
    if token.is_empty() || !token.iter().copied().all(is_token) {
        return Err(Fault::NotSip);
    }
    let uri = token_end.saturating_add(1)..version_at;
    let text = line.get(uri.clone()).unwrap_or_default();
    let fault = if version.trim_ascii() == b"2.0" {
        // 7.1: single spaces, and none at the end.
        let clean = version == b"2.0" && !text.is_empty() && !text.iter().any(u8::is_ascii_whitespace);
        if clean { (text.len() > MAX_URI).then_some(Fault::UriTooLong) } else { Some(Fault::StartLine) }
    } else {
        let numbers = version.iter().all(|&octet| octet.is_ascii_digit() || octet == b'.');
        Some(if numbers && !version.is_empty() { Fault::Version } else { Fault::StartLine })
    };
    let uri = if text.is_empty() { token_end..token_end } else { uri };
    Ok((Start::Request { method: Method::of(token), token: 0..token_end, uri }, fault))
}

fn status_line(line: &[u8]) -> Result<(Start, Option<Fault>), Fault> {
    let mut parts = line.splitn(3, |&octet| octet == b' ');
    let (version, code) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    let number = decimal(code, 699).filter(|&number| number >= 100 && code.len() == 3).ok_or(Fault::NotSip)?;
    let code = u16::try_from(number).map_err(|_| Fault::NotSip)?;
    let fault = (!version.eq_ignore_ascii_case(b"SIP/2.0")).then_some(Fault::Version);
    Ok((Start::Response { code }, fault))
}
