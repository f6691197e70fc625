//! A response in which everything that the proxy core reads is known to be there and well formed.

use super::request::{cseq, tag};
use super::scan::{Fault, Message, Start};
use super::via::Via;
use super::{Method, Name};

/// A valid response. Slices are of the message's bytes.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status code, 100 to 699.
    pub code: u16,
    /// The topmost Via: ours, if the response is for us.
    pub via: Via<'a>,
    /// The `CSeq` method: a CANCEL shares its branch with the INVITE.
    pub method: Method,
    /// The `CSeq` method's token.
    pub token: &'a [u8],
    /// The From tag; empty if there is none.
    pub from_tag: &'a [u8],
    /// The To tag, if any.
    pub to_tag: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    /// Reads a response; any fault means that it is dropped.
    pub fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let Start::Response { code } = message.start() else { return Err(Fault::StartLine) };
        if let Some(fault) = message.fault() {
            return Err(fault);
        }
        let via = Via::top(message)?;
        let from_tag = tag(message, Name::From, Fault::From)?.unwrap_or_default();
        let to_tag = tag(message, Name::To, Fault::To)?;
        message.first(Name::CallId).ok_or(Fault::CallId)?;
        let (_, token) = cseq(message).ok_or(Fault::CSeq)?;
        Ok(Self { code: *code, via, method: Method::of(token), token, from_tag, to_tag })
    }
}
