//! The addresses that media could go to in a session description (RFC 8866), read only.

use std::net::IpAddr;

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
pub fn judge<'a>(body: &'a [u8], inside: impl Fn(IpAddr) -> bool) -> Result<(), Objection<'a>> {
    let _ = (body, inside);
    todo!()
}
