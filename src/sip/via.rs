//! Via values: sent-by, branch, rport; comma-joined, spaced and folded forms (RFC 3261 20.42, RFC 3581).

use std::net::SocketAddr;
use std::ops::Range;

use super::edit::Edit;
use super::scan::{Fault, Message};
use super::uri::Host;

/// One Via value. Slices and ranges are of the message it was read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Via<'a> {
    /// The value's place in the message.
    pub span: Range<usize>,
    /// The transport's token, as written: `UDP`, `TCP`, `TLS`, anything.
    pub transport: &'a [u8],
    /// sent-by host.
    pub host: Host<'a>,
    /// sent-by port, if written.
    pub port: Option<u16>,
    /// The branch parameter's value.
    pub branch: Option<&'a [u8]>,
    /// The place of the whole `;rport` or `;rport=…` parameter, from its `;`.
    pub rport: Option<Range<usize>>,
    /// The place of the whole `;received=…` parameter, from its `;`.
    pub received: Option<Range<usize>>,
}

impl<'a> Via<'a> {
    /// The topmost value.
    pub fn top(message: &Message<'a>) -> Result<Self, Fault> {
        let _ = message;
        todo!()
    }

    /// Whether the branch starts with the magic cookie, case-insensitively (RFC 3261 8.1.1.7).
    pub fn has_cookie(&self) -> bool {
        todo!()
    }

    /// Records where the request really came from (RFC 3261 18.2.1, RFC 3581 4): with `rport` both `rport=` and `received=`
    /// are filled; without it `received=` is added where sent-by differs from the source. What the client wrote there itself is
    /// replaced, never believed.
    pub fn stamp(&self, source: SocketAddr, edit: &mut Edit) {
        let _ = (source, edit);
        todo!()
    }
}

/// The branches of all Via values of a message, topmost first, for loop detection; values that cannot be read are skipped.
pub fn branches<'m, 'a>(message: &'m Message<'a>) -> impl Iterator<Item = &'a [u8]> + use<'m, 'a> {
    let _ = message;
    std::iter::empty()
}
