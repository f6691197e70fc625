//! A request whose rows the proxy core can rely on: each is there and well formed (RFC 3261 16.3 step 1).

use super::Method;
use super::rows::Rows;
pub(crate) use super::rows::cseq;
use super::scan::{Fault, Message, Start};
use super::uri::{Host, Uri, UriFault};
use super::via::Via;

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
    /// The topmost Via value, of the element that sent the request here (RFC 3261 18.2.1).
    pub via: Via<'a>,
    /// Whether another Via stands below it.
    pub further_vias: bool,
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
    /// The host that a request to the sender inside the dialog goes to first (RFC 3261 12.1.1): of the first Record-Route, or else of the
    /// first Contact.
    pub way_back: Option<Host<'a>>,
}

impl<'a> Request<'a> {
    /// Reads a request. The fault says why it is none: [`Message::fault`] if the scan found one, else the first of: Request-URI,
    /// method, Via, From, To, Call-ID, `CSeq` (its method must be the request's), Max-Forwards, in that order, and then the other
    /// rows of `super::rows`.
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
        if *method == Method::Other && Method::is_known_otherwise(token) {
            return Err(Fault::Method);
        }
        let rows = Rows::read(message)?;
        let to_tag = rows.to_tag;
        if rows.method != token {
            return Err(Fault::CSeqMethod);
        }
        // 19.1.1: a Request-URI may hold no headers, since a next hop could take them for the request's. Inside a dialog it is
        // the other side's Contact, as that side wrote it.
        if !uri.headers.is_empty() && to_tag.is_none() {
            return Err(Fault::Uri);
        }
        // Inside a dialog, another reading of From would mean another dialog.
        if rows.from_hides && to_tag.is_some() {
            return Err(Fault::From);
        }
        let max_forwards = rows.max_forwards()?;
        rows.lists(method.has_one_contact())?;
        let way_back = rows.way_back();
        let Rows { via, further_vias, from_tag, call_id, cseq, .. } = rows;
        let from_tag = from_tag.unwrap_or_default();
        Ok(Self {
            method: *method,
            token,
            uri_text,
            uri,
            via,
            further_vias,
            from_tag,
            to_tag,
            call_id,
            cseq,
            max_forwards,
            way_back,
        })
    }
}
