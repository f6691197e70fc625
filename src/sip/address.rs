//! From, To, Contact, Route and Record-Route values: display name, URI, parameters (RFC 3261 20.10, 25.1).

use std::ops::Range;

use memchr::memchr;

use super::header::{are_quoted, has_control, is_control, is_space, trim};
use super::parameter::{are_plain, each_param, hides_semicolon, param, quoted_end};
use super::quick;
use super::uri::Uri;

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
    /// Reads one value. `None`: quotes or brackets are unbalanced, the URI is missing or text follows it, or readers could
    /// understand parameters or control characters differently.
    pub fn parse(text: &'a [u8]) -> Option<Self> {
        if has_control(text) && !are_quoted(text, is_control) {
            return None;
        }
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
            Some((b';', params)) if are_plain(params) => params,
            Some(_) => return None,
        };
        let uri_span = uri_start..uri_end;
        // RFC 4475 3.1.2.14 allows both, repair or refuse. We refuse.
        let odd = |&octet: &u8| is_space(octet) || octet == b'<';
        let uri = text.get(uri_span.clone()).filter(|uri| !uri.is_empty() && !uri.iter().any(odd))?;
        Some(Self { uri, uri_span, params })
    }

    /// Reads a value of Route or Record-Route. Some senders leave out the brackets that 25.1 wants. Then the parameters count as
    /// the URI's, since a Route header has none with a meaning.
    pub fn route(text: &'a [u8]) -> Option<Self> {
        let address = Self::parse(text)?;
        if address.params.is_empty() || memchr(b'<', text).is_some() {
            return Some(address);
        }
        let uri_span = address.uri_span.start..text.len();
        let uri = text.get(uri_span.clone()).filter(|uri| !uri.iter().copied().any(is_space))?;
        Some(Self { uri, uri_span, params: &[] })
    }

    /// The same, with the URI read: as written, and its parts. `None` too if it is no URI that a request could be sent to.
    pub(crate) fn route_uri(text: &'a [u8]) -> Option<(&'a [u8], Uri<'a>)> {
        // What we write ourselves is always so.
        if let Some((uri, span)) = quick::bracketed(text) {
            return Some((text.get(span)?, uri));
        }
        let address = Self::route(text)?;
        Some((address.uri, Uri::parse(address.uri).ok()?))
    }

    fn bare(text: &'a [u8], start: usize) -> Option<Self> {
        let end = memchr(b';', text).unwrap_or(text.len());
        let uri_span = trim(text, start..end);
        let uri = text.get(uri_span.clone()).filter(|uri| !uri.is_empty())?;
        // 20.10: a URI with a comma, question mark or semicolon must stand in brackets.
        if uri.iter().any(|&octet| is_space(octet) || matches!(octet, b'"' | b'>' | b',' | b'?')) {
            return None;
        }
        let params = end.checked_add(1).and_then(|at| text.get(at..));
        if params.is_some_and(|params| !are_plain(params)) {
            return None;
        }
        Some(Self { uri, uri_span, params: params.unwrap_or_default() })
    }

    /// The `tag` parameter. An empty one counts as none.
    pub fn tag(&self) -> Option<&'a [u8]> {
        param(self.params, "tag").flatten().filter(|tag| !tag.is_empty())
    }

    /// The tag, if all readers find the same. `Err`: there are two (RFC 3261 7.3.1), or it is empty or holds an octet that could
    /// end it.
    pub(super) fn plain_tag(&self) -> Result<Option<&'a [u8]>, AmbiguousTag> {
        if self.params.is_empty() {
            return Ok(None);
        }
        let ends = |octet: &u8| matches!(octet, b'"' | b'=');
        let mut tags = each_param(self.params).filter(|(_, key, _)| key.eq_ignore_ascii_case(b"tag"));
        let Some((_, _, value)) = tags.next() else { return Ok(None) };
        let tag = value.filter(|tag| !tag.is_empty() && !tag.iter().any(ends)).ok_or(AmbiguousTag)?;
        if tags.next().is_some() { Err(AmbiguousTag) } else { Ok(Some(tag)) }
    }

    /// Whether some readers would find a parameter inside a quoted string of the parameters.
    pub(super) fn hides_semicolon(&self) -> bool {
        hides_semicolon(self.params)
    }
}

/// A tag that two parsers could read differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AmbiguousTag;

/// Whether an unquoted display name is free of octets that separate values, parameters or parts of a URI (RFC 4475 3.1.2.15:
/// repair or refuse). Octets beyond ASCII pass: deployed stacks send such names.
fn plain_name(name: &[u8]) -> bool {
    !name.iter().any(|octet| matches!(octet, b',' | b';' | b':' | b'@' | b'"' | b'\\' | b'>'))
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
            ("\"a\tb \\\u{8}\" <sip:a@b>\t;\ttag=1", "sip:a@b", Some("1")),
            ("<sip:a@b>;+sip.instance=\"<urn:x;y>\";received=[::1]:9;x=a/b=", "sip:a@b", None),
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
            "<sip:<sip:a@b>;tag=1",
            "R <<<<sip:a@b>",
            "<sip:a@b> <sip:c@d>;tag=1",
            "<sip:a@b>;",
            "<sip:a@b>;tag=1;",
            "<sip:a@b>;;tag=1",
            "<sip:a@b>;tag====1",
            "<sip:a@b>;tag=a b",
            "<sip:a@b>;tag=a<b",
            "<sip:a@b>;x=\"y\"z",
            "<sip:a@b>;x y",
            "<sip:a@b>;x=\u{e9}",
            "<sip:a@b>;x=",
            "sip:a@b?x=y",
            "sip:a@b;",
            "\"a\u{8}b\" <sip:a@b>",
            "a\u{8} <sip:a@b>",
            "<sip:a@b>;x=\"\u{7f}\"",
            "<sip:\u{1b}a@b>",
        ] {
            assert_eq!(Address::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_route_without_brackets_is_its_uri() {
        for (text, uri) in [
            ("<sip:a;lr>;x", "sip:a;lr"),
            ("sip:a;lr;rf=1", "sip:a;lr;rf=1"),
            (" sip:a", "sip:a"),
            ("sip:a;x=\"\"", "sip:a;x=\"\""),
        ] {
            assert_eq!(Address::route(text.as_bytes()).unwrap().uri, uri.as_bytes());
        }
        for text in ["sip:a ;lr", "sip:a; lr", "sip:a;lr;"] {
            assert_eq!(Address::route(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn a_tag_that_others_could_read_otherwise() {
        let tag = |text: &'static str| Address::parse(text.as_bytes()).unwrap().plain_tag();
        assert_eq!(tag("<sip:a@b>;x;tag=1"), Ok(Some(&b"1"[..])));
        assert_eq!(tag("<sip:a@b>;x=tag"), Ok(None));
        for text in ["<sip:a>;tag", "<sip:a>;tag=\"1\"", "<sip:a>;tag=1;TAG=1", "<sip:a>;tag=1=2", "<sip:a>;tag=1;tag"] {
            assert_eq!(tag(text), Err(AmbiguousTag), "{text}");
        }
        let hides = |text: &str| Address::parse(text.as_bytes()).unwrap().hides_semicolon();
        assert!(hides("<sip:a>;x=\"a;tag=1\"") && hides("<sip:a>;x=\"a\\\";tag=1\";y"));
        assert!(!hides("\"a;b\" <sip:a;b>;x=\"a\";y=\"b\""));
    }
}
