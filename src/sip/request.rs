//! A request in which everything that the proxy core reads is known to be there and well formed (RFC 3261 16.3 step 1).

use super::Method;
use super::scan::{Fault, Message};
use super::uri::Uri;
use super::via::Via;

/// A valid request: parse, don't validate. Slices are of the message's bytes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method.
    pub method: Method,
    /// The method's token, for methods that have no variant.
    pub token: &'a [u8],
    /// The Request-URI as written.
    pub uri_text: &'a [u8],
    /// The Request-URI.
    pub uri: Uri<'a>,
    /// The topmost Via.
    pub via: Via<'a>,
    /// The From tag; empty if there is none (RFC 2543 clients).
    pub from_tag: &'a [u8],
    /// The To tag, if any: then the request is inside a dialog.
    pub to_tag: Option<&'a [u8]>,
    /// The Call-ID.
    pub call_id: &'a [u8],
    /// The CSeq number, below 2^31.
    pub cseq: u32,
    /// Max-Forwards, if present. 0 to 255.
    pub max_forwards: Option<u8>,
}

impl<'a> Request<'a> {
    /// Reads a request. The fault says why it is none: [`Message::fault`] if the scan found one, else the first of: Request-URI,
    /// Via, From, To, Call-ID, CSeq (its method must be the request's), Max-Forwards, in that order.
    pub fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let _ = message;
        todo!()
    }
}
