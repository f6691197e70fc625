//! From, To, Contact, Route and Record-Route values: display name, URI, parameters (RFC 3261 20.10, 25.1).

use std::ops::Range;

use memchr::{memchr, memchr2};

use super::header::{is_space, trim, trimmed};

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
        let start = text.iter().position(|&octet| !is_space(octet))?;
        let after_name = if text.get(start) == Some(&b'"') {
            let end = quoted_end(text, start)?;
            let at = text.get(end..)?.iter().position(|&octet| !is_space(octet))?;
            let open = end.checked_add(at)?;
            (text.get(open) == Some(&b'<')).then_some(open)?
        } else {
            match memchr(b'<', text) {
                Some(open) => plain_name(text.get(..open)?).then_some(open)?,
                None => return Self::bare(text, start),
            }
        };
        let uri_start = after_name.checked_add(1)?;
        let uri_end = uri_start.checked_add(memchr(b'>', text.get(uri_start..)?)?)?;
        let rest = trim(text, uri_end.checked_add(1)?..text.len());
        let params = match text.get(rest)?.split_first() {
            None => &[][..],
            Some((b';', params)) => params,
            Some(_) => return None,
        };
        let uri_span = uri_start..uri_end;
        // RFC 4475 3.1.2.14: repair or refuse.
        let uri = text.get(uri_span.clone()).filter(|uri| !uri.is_empty() && !uri.iter().copied().any(is_space))?;
        closes(params).then_some(Self { uri, uri_span, params })
    }

    fn bare(text: &'a [u8], start: usize) -> Option<Self> {
        let end = memchr(b';', text).unwrap_or(text.len());
        let uri_span = trim(text, start..end);
        let uri = text.get(uri_span.clone()).filter(|uri| !uri.is_empty())?;
        if uri.iter().any(|&octet| is_space(octet) || matches!(octet, b'"' | b'>' | b',')) {
            return None;
        }
        let params = end.checked_add(1).and_then(|at| text.get(at..)).unwrap_or_default();
        closes(params).then_some(Self { uri, uri_span, params })
    }

    /// The `tag` parameter; an empty one is none.
    pub fn tag(&self) -> Option<&'a [u8]> {
        param(self.params, "tag").flatten().filter(|tag| !tag.is_empty())
    }

    /// The tag, if nobody can read another one here: none, or one (RFC 3261 7.3.1) that is not empty and holds nothing that could
    /// end it. `Err` otherwise.
    pub(super) fn plain_tag(&self) -> Result<Option<&'a [u8]>, AmbiguousTag> {
        if self.params.is_empty() {
            return Ok(None);
        }
        let ends = |octet: &u8| is_space(*octet) || matches!(octet, b',' | b'"' | b'<' | b'>');
        let mut tags = each_param(self.params).filter(|(_, key, _)| key.eq_ignore_ascii_case(b"tag"));
        let Some((_, _, value)) = tags.next() else { return Ok(None) };
        let tag = value.filter(|tag| !tag.is_empty() && !tag.iter().any(ends)).ok_or(AmbiguousTag)?;
        if tags.next().is_some() { Err(AmbiguousTag) } else { Ok(Some(tag)) }
    }
}

/// A tag that two parsers could read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AmbiguousTag;

/// Whether an unquoted display name holds nothing that separates values, parameters or parts of a URI (RFC 4475 3.1.2.15: repair
/// or refuse). Beyond ASCII everything passes: deployed stacks send names so.
fn plain_name(name: &[u8]) -> bool {
    !name.iter().any(|octet| matches!(octet, b',' | b';' | b':' | b'@' | b'"' | b'\\' | b'>'))
}

/// Whether every quoted string in a parameter list ends.
pub(super) fn closes(params: &[u8]) -> bool {
    let mut at = 0;
    while let Some(quote) = params.get(at..).and_then(|rest| memchr(b'"', rest)) {
        match quoted_end(params, quote.saturating_add(at)) {
            Some(end) => at = end,
            None => return false,
        }
    }
    true
}

/// The offset behind the quoted string that starts at `start`; `None` if it never ends.
pub(super) fn quoted_end(text: &[u8], start: usize) -> Option<usize> {
    let mut at = start.checked_add(1)?;
    loop {
        match text.get(at)? {
            b'"' => return at.checked_add(1),
            b'\\' => at = at.checked_add(2)?,
            _ => at = at.checked_add(1)?,
        }
    }
}

/// The value of a parameter in a `;`-separated list, by name without case: `Some(Some(value))`, `Some(None)` for a flag. Quoted
/// values may hold `;`.
pub fn param<'a>(params: &'a [u8], name: &str) -> Option<Option<&'a [u8]>> {
    each_param(params).find_map(|(_, key, value)| key.eq_ignore_ascii_case(name.as_bytes()).then_some(value))
}

/// The parameters of a `;`-separated list: place, name and value of each.
pub(super) fn each_param(params: &[u8]) -> impl Iterator<Item = (Range<usize>, &[u8], Option<&[u8]>)> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= params.len() {
            return None;
        }
        let start = at;
        let mut end = at;
        while let Some(next) = params.get(end..).and_then(|rest| memchr2(b';', b'"', rest)) {
            end = end.saturating_add(next);
            if params.get(end) == Some(&b';') {
                break;
            }
            // An open quote runs to the end: nothing in it can be a parameter.
            end = quoted_end(params, end).unwrap_or(params.len());
            if end == params.len() {
                break;
            }
        }
        if params.get(end) != Some(&b';') {
            end = params.len();
        }
        at = end.saturating_add(1);
        let span = trim(params, start..end);
        let text = params.get(span.clone()).unwrap_or_default();
        let (key, value) = match memchr(b'=', text) {
            Some(equals) => {
                let (key, value) = text.split_at_checked(equals).unwrap_or_default();
                (trimmed(key), Some(trimmed(value.get(1..).unwrap_or_default())))
            }
            None => (text, None),
        };
        Some((span, key, value))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_every_form() {
        for (text, uri, tag) in [
            ("<sip:a@b>;tag=1", "sip:a@b", Some("1")),
            ("sip:a@b;tag=1", "sip:a@b", Some("1")),
            ("Bob <sip:a@b;x=y> ; tag = 1 ;z", "sip:a@b;x=y", Some("1")),
            (r#""a, <sip:x>;tag=1 \"q" <sip:a@b>;TAG=2"#, "sip:a@b", Some("2")),
            (r#"<sip:a@b>;x=";tag=3";tag=4"#, "sip:a@b", Some("4")),
            ("<sip:a@b>", "sip:a@b", None),
            ("<sip:a@b>;tag=", "sip:a@b", None),
        ] {
            let address = Address::parse(text.as_bytes()).unwrap_or_else(|| panic!("{text}"));
            assert_eq!(address.uri, uri.as_bytes(), "{text}");
            assert_eq!(&text.as_bytes()[address.uri_span.clone()], address.uri);
            assert_eq!(address.tag(), tag.map(str::as_bytes), "{text}");
        }
    }

    #[test]
    fn refuses_what_does_not_balance() {
        for text in [
            "",
            "  ",
            "<>",
            "<sip:a@b",
            "\"Mr. J. User <sip:a@b>",
            "\"x\" sip:a@b",
            "<sip:a@b> x",
            "\"\\",
            "a b@c",
            "sip:a@b,sip:c@d",
            "< sip:a@b>",
            "A, B <sip:a@b>",
            "sip:c@d;tag=2 <sip:a@b>",
            "<sip:a@b>;x=\"never closed;tag=1",
            "sip:a@b;x=\"never closed",
        ] {
            assert_eq!(Address::parse(text.as_bytes()), None, "{text}");
        }
    }
}
