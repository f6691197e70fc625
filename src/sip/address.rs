//! From, To, Contact, Route and Record-Route values: display name, URI, parameters (RFC 3261 20.10, 25.1).

use std::ops::Range;

/// One name-addr or addr-spec with its parameters. Ranges are relative to the text read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address<'a> {
    /// The URI, without angle brackets.
    pub uri: &'a [u8],
    /// Where the URI is in the text.
    pub uri_span: Range<usize>,
    /// The header parameters, without the first `;`. (In the form without brackets every parameter is the header's.)
    pub params: &'a [u8],
}

impl<'a> Address<'a> {
    /// Reads one value. `None`: unbalanced quotes or brackets, or no URI.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        let _ = text;
        todo!()
    }

    /// The `tag` parameter.
    pub fn tag(&self) -> Option<&'a [u8]> {
        todo!()
    }
}

/// The value of a parameter in a `;`-separated list, by name without case: `Some(Some(value))`, `Some(None)` for a flag. Quoted
/// values may hold `;`.
pub fn param<'a>(params: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    let _ = (params, name);
    todo!()
}
