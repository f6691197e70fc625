//! A response in which everything that the proxy core reads is known to be there and well formed.

use super::Method;
use super::scan::{Fault, Message};
use super::via::Via;

/// A valid response. Slices are of the message's bytes.
#[derive(Clone, Debug)]
pub struct Response<'a> {
    /// The status code, 100 to 699.
    pub code: u16,
    /// The topmost Via: ours, if the response is for us.
    pub via: Via<'a>,
    /// The CSeq method: a CANCEL shares its branch with the INVITE.
    pub method: Method,
    /// The CSeq method's token.
    pub token: &'a [u8],
    /// The To tag, if any.
    pub to_tag: Option<&'a [u8]>,
}

impl<'a> Response<'a> {
    /// Reads a response; any fault means that it is dropped.
    pub fn read(message: &Message<'a>) -> Result<Self, Fault> {
        let _ = message;
        todo!()
    }
}
