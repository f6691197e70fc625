//! A response whose rows the proxy core can rely on: each is there and well formed.

use std::time::Duration;

use super::number::decimal;
use super::rows::{Rows, SeveralRoutes};
use super::scan::{Fault, Message, Start};
use super::uri::Host;
use super::via::Via;
use super::{Method, Name};

/// A valid response. Slices are of the message's bytes.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status code, 100 to 699.
    pub code: u16,
    /// The topmost Via: ours, if the response is for us.
    pub via: Via<'a>,
    /// Whether a Via stands below it, of the element that the response goes to next.
    pub goes_on: bool,
    /// The `CSeq` method: a CANCEL shares its branch with the INVITE.
    pub method: Method,
    /// The `CSeq` method's token.
    pub token: &'a [u8],
    /// The From tag; empty if there is none.
    pub from_tag: &'a [u8],
    /// The To tag, if any.
    pub to_tag: Option<&'a [u8]>,
    /// The host that a request to its first Contact goes to.
    pub(crate) contact: Option<Host<'a>>,
    /// The same of its only Record-Route. `Err`: there are several.
    pub(crate) only_route: Result<Option<Host<'a>>, SeveralRoutes>,
}

impl<'a> Response<'a> {
    /// Reads a response. One with a fault is dropped.
    pub fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let Start::Response { code } = message.start() else { return Err(Fault::StartLine) };
        if let Some(fault) = message.fault() {
            return Err(fault);
        }
        let rows = Rows::read(message)?;
        let (token, method) = (rows.method, Method::of(rows.method));
        if method == Method::Other && Method::is_known_otherwise(token) {
            return Err(Fault::CSeq);
        }
        // A redirection may name several.
        rows.lists(*code < 300 && method.has_one_contact())?;
        let (contact, only_route) = (rows.contact(), rows.only_route());
        let Rows { via, further_vias: goes_on, from_tag, to_tag, .. } = rows;
        Ok(Self { code: *code, via, goes_on, method, token, from_tag: from_tag.unwrap_or_default(), to_tag, contact, only_route })
    }
}

/// Whether a message is a provisional response (RFC 3261 21.1).
pub(crate) fn is_provisional(message: &Message<'_>) -> bool {
    matches!(message.start(), Start::Response { code: ..=199 })
}

/// Whether the sender waits for a PRACK (RFC 3262 3). Either sign of it is enough: a call that ends is better than one that
/// hangs.
pub(crate) fn is_reliable(message: &Message<'_>) -> bool {
    let rows = message.headers().iter().filter(|header| header.name == Name::Other);
    rows.into_iter().any(|header| {
        let row = message.slice(&header.row());
        let name = row.split(|&octet| octet == b':').next().unwrap_or_default().trim_ascii();
        let mut tags = message.value(header).split(|&octet| octet == b',').map(<[u8]>::trim_ascii);
        name.eq_ignore_ascii_case(b"RSeq")
            || name.eq_ignore_ascii_case(b"Require") && tags.any(|tag| tag.eq_ignore_ascii_case(b"100rel"))
    })
}

/// The seconds of a Retry-After (RFC 3261 20.33), if it can be read. A comment or parameters after them are ignored.
pub(crate) fn retry_after(message: &Message<'_>) -> Option<Duration> {
    let value = message.value(message.first(Name::RetryAfter)?);
    let digits = value.iter().take_while(|octet| octet.is_ascii_digit()).count();
    decimal(value.get(..digits)?, u64::from(u32::MAX)).map(Duration::from_secs)
}
