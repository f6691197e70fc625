//! A request in which everything that the proxy core reads is known to be there and well formed (RFC 3261 16.3 step 1).

use super::address::Address;
use super::header::{is_space, is_token, trimmed};
use super::number::decimal;
use super::scan::{Fault, Message, Start};
use super::uri::{Uri, UriFault};
use super::via::Via;
use super::{Method, Name};

/// A valid request: parse, don't validate. Slices are of the message's bytes.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The method; [`Method::Other`] for one that has no variant.
    pub method: Method,
    /// The method's token, for methods that have no variant.
    pub token: &'a [u8],
    /// The Request-URI as written.
    pub uri_text: &'a [u8],
    /// The Request-URI, read; it has no headers (RFC 3261 19.1.1).
    pub uri: Uri<'a>,
    /// The topmost Via value: who sent the request here (RFC 3261 18.2.1).
    pub via: Via<'a>,
    /// The From tag; empty if there is none (RFC 2543 clients).
    pub from_tag: &'a [u8],
    /// The To tag, if any: then the request is inside a dialog.
    pub to_tag: Option<&'a [u8]>,
    /// The Call-ID as written, without white space around it; never empty.
    pub call_id: &'a [u8],
    /// The `CSeq` number, below 2^31.
    pub cseq: u32,
    /// Max-Forwards, if present. 0 to 255.
    pub max_forwards: Option<u8>,
}

impl<'a> Request<'a> {
    /// Reads a request. The fault says why it is none: [`Message::fault`] if the scan found one, else the first of: Request-URI,
    /// Via, From, To, Call-ID, `CSeq` (its method must be the request's), Max-Forwards, in that order.
    pub fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let Start::Request { method, token, uri } = message.start() else { return Err(Fault::StartLine) };
        if let Some(fault) = message.fault() {
            return Err(fault);
        }
        let (token, uri_text) = (message.slice(token), message.slice(uri));
        let uri = Uri::parse(uri_text).map_err(|fault| match fault {
            UriFault::Scheme => Fault::Scheme,
            UriFault::Syntax => Fault::Uri,
        })?;
        // 19.1.1: headers may not stand in a Request-URI; a next hop could take them for the request's.
        if !uri.headers.is_empty() {
            return Err(Fault::Uri);
        }
        let via = Via::top(message)?;
        let from_tag = tag(message, Name::From, Fault::From)?;
        let to_tag = tag(message, Name::To, Fault::To)?;
        let call_id = call_id(message).ok_or(Fault::CallId)?;
        let (cseq, cseq_token) = cseq(message).ok_or(Fault::CSeq)?;
        if cseq_token != token {
            return Err(Fault::CSeqMethod);
        }
        let max_forwards = match message.first(Name::MaxForwards) {
            None => None,
            Some(header) => {
                let number = decimal(message.value(header), 255).and_then(|number| u8::try_from(number).ok());
                Some(number.ok_or(Fault::MaxForwards)?)
            }
        };
        let from_tag = from_tag.unwrap_or_default();
        Ok(Self { method: *method, token, uri_text, uri, via, from_tag, to_tag, call_id, cseq, max_forwards })
    }
}

/// The tag of From or To, if they have one; `fault` where the header cannot be read. Its URI may have any scheme: it routes nothing.
pub(super) fn tag<'a>(message: &Message<'a>, name: Name, fault: Fault) -> Result<Option<&'a [u8]>, Fault> {
    let address = message.first(name).and_then(|header| Address::parse(message.value(header))).ok_or(fault)?;
    address.plain_tag().map_err(|_| fault)
}

fn call_id<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    let text = message.value(message.first(Name::CallId)?);
    (!text.is_empty() && !text.iter().any(u8::is_ascii_whitespace)).then_some(text)
}

/// The number, below 2^31 (8.1.1.5), and the method.
pub(crate) fn cseq<'a>(message: &Message<'a>) -> Option<(u32, &'a [u8])> {
    let text = message.value(message.first(Name::CSeq)?);
    let end = text.iter().position(|&octet| is_space(octet))?;
    let (number, method) = text.split_at_checked(end)?;
    let method = trimmed(method);
    let number = u32::try_from(decimal(number, (1 << 31) - 1)?).ok()?;
    (!method.is_empty() && method.iter().copied().all(is_token)).then_some((number, method))
}
