//! The tokens of a line: an object of JSON, written without a space, whose values are taken as they stand.
//!
//! Strict where two readers could take a line differently, because then one of them could be deceived. Knows no key.

use std::borrow::Cow;

/// What is wrong with a line, in words.
pub(crate) type Wrong = Cow<'static, str>;

/// How often eight octets of a text are looked at before a search for long texts begins.
const NEAR: usize = 2;

/// A value as it stands in the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token<'l> {
    /// A text, without its escapes.
    Text(Cow<'l, str>),
    /// A whole number that is not negative.
    Number(u64),
    /// `true` or `false`.
    Flag(bool),
    /// A list or an object, with its brackets.
    Nested(&'l str),
}

/// The keys and values of one object, in their order.
#[derive(Debug)]
pub(crate) struct Tokens<'l> {
    rest: &'l str,
    first: bool,
}

impl<'l> Tokens<'l> {
    /// Those of a line without its line end.
    pub(crate) fn of(line: &'l [u8]) -> Result<Self, Wrong> {
        let text = std::str::from_utf8(line).map_err(|_| Wrong::Borrowed("is no UTF-8"))?;
        // All of them are looked at, because sixteen at once are as quick as one.
        if text.bytes().fold(0, |found, octet| found | u8::from(octet < 0x20)) != 0 {
            return Err("has a control character".into());
        }
        let rest = text.strip_prefix('{').and_then(|text| text.strip_suffix('}'));
        rest.map(|rest| Self { rest, first: true }).ok_or_else(|| "is no object of JSON".into())
    }

    /// The next key with its value. No key has an escape.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<Option<(&'l str, Token<'l>)>, Wrong> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        if !std::mem::take(&mut self.first) {
            self.rest = self.rest.strip_prefix(',').ok_or("is no JSON: a comma is missing")?;
        }
        let (key, is_escaped, rest) = raw_text(self.rest)?;
        if is_escaped {
            return Err("has a key with an escape".into());
        }
        let rest = rest.strip_prefix(':').ok_or("is no JSON: a colon is missing")?;
        let (value, rest) = value(rest)?;
        self.rest = rest;
        Ok(Some((key, value)))
    }
}

/// The texts of a list.
pub(crate) fn texts(list: &str) -> Result<Vec<Cow<'_, str>>, Wrong> {
    let inner = list.strip_prefix('[').and_then(|list| list.strip_suffix(']'));
    let mut rest = inner.ok_or("has something else where a list should stand")?;
    let mut out = Vec::new();
    while !rest.is_empty() {
        if !out.is_empty() {
            rest = rest.strip_prefix(',').ok_or("is no JSON: a comma is missing")?;
        }
        let (item, after) = text(rest)?;
        out.push(item);
        rest = after;
    }
    Ok(out)
}

#[inline]
fn value(rest: &str) -> Result<(Token<'_>, &str), Wrong> {
    match rest.as_bytes().first() {
        Some(b'"') => text(rest).map(|(text, rest)| (Token::Text(text), rest)),
        Some(b'0'..=b'9') => {
            let end = rest.bytes().position(|octet| !octet.is_ascii_digit()).unwrap_or(rest.len());
            let (digits, rest) = rest.split_at(end);
            if digits.len() > 1 && digits.starts_with('0') {
                return Err("has a number that begins with 0".into());
            }
            let number = digits.parse().map_err(|_| Wrong::Borrowed("has a number beyond 64 bits"))?;
            Ok((Token::Number(number), rest))
        }
        Some(b'[' | b'{') => {
            let (nested, rest) = rest.split_at(nested(rest).ok_or("is no JSON: a bracket is missing")?);
            Ok((Token::Nested(nested), rest))
        }
        _ => {
            let flag = [("true", true), ("false", false)];
            let found = flag.into_iter().find_map(|(word, is)| rest.strip_prefix(word).map(|rest| (Token::Flag(is), rest)));
            found.ok_or_else(|| "has a value that no record has".into())
        }
    }
}

/// A text, and what follows it.
#[inline]
fn text(rest: &str) -> Result<(Cow<'_, str>, &str), Wrong> {
    let (content, is_escaped, after) = raw_text(rest)?;
    Ok((if is_escaped { Cow::Owned(decoded(content)?) } else { Cow::Borrowed(content) }, after))
}

/// A text with its escapes, whether it has any, and what follows it.
#[inline]
fn raw_text(rest: &str) -> Result<(&str, bool, &str), Wrong> {
    const MISSING: Wrong = Wrong::Borrowed("is no JSON: a quotation mark is missing");
    let inner = rest.strip_prefix('"').ok_or(MISSING)?;
    let (end, is_escaped) = closing(inner.as_bytes()).ok_or(MISSING)?;
    let (content, after) = inner.split_at_checked(end).ok_or(MISSING)?;
    Ok((content, is_escaped, after.get(1..).ok_or(MISSING)?))
}

/// A text without its escapes.
#[cold]
fn decoded(content: &str) -> Result<String, Wrong> {
    serde_json::from_str(&format!("\"{content}\"")).map_err(|_| Wrong::Borrowed("has an escape that JSON does not know"))
}

/// Where the quotation mark stands that closes a text, and whether an escape stands before it.
#[inline]
fn closing(inner: &[u8]) -> Option<(usize, bool)> {
    // Most texts are short: to call a search for long ones takes longer then.
    let mut near = 0;
    for eight in inner.as_chunks().0.iter().take(NEAR) {
        let at = before_mark(*eight);
        near += at;
        if at < 8 {
            break;
        }
    }
    if inner.get(near) == Some(&b'"') { Some((near, false)) } else { closing_far(inner, near) }
}

/// How many of eight octets stand before the first that is a quotation mark or begins an escape.
#[inline]
fn before_mark(eight: [u8; 8]) -> usize {
    const EACH: u64 = u64::MAX / 255;
    let word = u64::from_le_bytes(eight);
    // The lowest octet that is none has its highest bit left.
    let is = |octet: u8| {
        let differs = word ^ (EACH * u64::from(octet));
        differs.wrapping_sub(EACH) & !differs & (EACH << 7)
    };
    ((is(b'"') | is(b'\\')).trailing_zeros() / 8) as usize
}

/// The same, from an octet on.
fn closing_far(inner: &[u8], from: usize) -> Option<(usize, bool)> {
    let (mut from, mut escaped) = (from, false);
    loop {
        let at = from + memchr::memchr2(b'"', b'\\', inner.get(from..)?)?;
        if inner.get(at) == Some(&b'"') {
            return Some((at, escaped));
        }
        escaped = true;
        from = at + 2;
    }
}

/// How long a list or an object is, with its brackets.
fn nested(rest: &str) -> Option<usize> {
    let octets = rest.as_bytes();
    let (mut depth, mut at) = (0_usize, 0);
    loop {
        match octets.get(at)? {
            b'"' => at += closing(octets.get(at + 1..)?)?.0 + 1,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth = depth.checked_sub(1)?,
            _ => {}
        }
        at += 1;
        if depth == 0 {
            return Some(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(line: &str) -> Result<Vec<(String, Token<'_>)>, Wrong> {
        let mut tokens = Tokens::of(line.as_bytes())?;
        let mut out = Vec::new();
        while let Some((key, value)) = tokens.next()? {
            out.push((key.to_owned(), value));
        }
        Ok(out)
    }

    #[test]
    fn a_line_is_its_keys_and_values() {
        let line = r#"{"n":18446744073709551615,"a":"x\"y\u00e9","l":["a","]"],"o":{"p":["}"]},"t":true,"e":""}"#;
        let text = |text: &'static str| Token::Text(text.into());
        let expected = [
            ("n", Token::Number(u64::MAX)),
            ("a", text("x\"yé")),
            ("l", Token::Nested(r#"["a","]"]"#)),
            ("o", Token::Nested(r#"{"p":["}"]}"#)),
            ("t", Token::Flag(true)),
            ("e", text("")),
        ];
        assert_eq!(all(line), Ok(expected.map(|(key, value)| (key.to_owned(), value)).into()));
        assert_eq!(all("{}"), Ok(Vec::new()));
        assert_eq!(texts(r#"["a","]\u0041"]"#).map(|texts| texts.join(" ")), Ok("a ]A".to_owned()));
        assert_eq!(texts("[]"), Ok(Vec::new()));
    }

    #[test]
    fn a_text_of_every_length_ends_where_it_ends() {
        for length in 0..40 {
            let plain = "é".repeat(length / 2) + &"a".repeat(length % 2);
            for (shown, is) in (0..=length / 2).map(|at| (format!("{}\\\"{}", &plain[..at * 2], &plain[at * 2..]), at * 2)) {
                let line = format!("{{\"{plain}\":\"{shown}\",\"b\":1}}");
                let meant = format!("{}\"{}", &plain[..is], &plain[is..]);
                let expected = [(plain.clone(), Token::Text(meant.into())), ("b".to_owned(), Token::Number(1))];
                assert_eq!(all(&line), Ok(expected.into()), "{line}");
            }
        }
        assert_eq!([*b"01234567", *b"012345\"\"", *b"\\\"234567", *b"0\x221!#234"].map(before_mark), [8, 6, 0, 1]);
    }

    #[test]
    fn what_is_no_line_is_none() {
        for line in [
            "",
            "{",
            "}",
            "[]",
            "{\"a\"}",
            "{\"a\":}",
            "{\"a\":1,}",
            "{,\"a\":1}",
            "{\"a\":1 }",
            "{ \"a\":1}",
            "{\"a\":01}",
            "{\"a\":-1}",
            "{\"a\":1.5}",
            "{\"a\":18446744073709551616}",
            "{\"a\":null}",
            "{\"a\":\"\\\"}",
            "{\"a\":\"\\x\"}",
            "{\"a\":[1}",
            "{\"a\":]}",
            "{\"a\":\"b}",
            "{\"a\":1}}",
            "{\"a\":tru}",
            "{\"a\":\"\t\"}",
            "{\"a\":1\"b\":2}",
            "{\"a\":\"\\ud800\"}",
            "{\"a\":\"x\\",
        ] {
            assert!(all(line).is_err(), "{line}");
        }
        assert!(Tokens::of(b"{\"a\":\"\xff\"}").is_err());
        for list in ["", "[", "[1]", "[\"a\"", "[\"a\",]", "[,\"a\"]", "[\"a\"\"b\"]", "[\"]"] {
            assert!(texts(list).is_err(), "{list}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_serde_json(line in "\\{(\"[a-c\\\\\"]{0,3}\":([0-9]{1,3}|true|\"[a\\\\\"nu0]{0,6}\"|\\[\"[\\[\\]a]{0,2}\"\\]),?){0,3}\\}") {
            if let Ok(found) = all(&line) {
                let read: serde_json::Value = serde_json::from_str(&line).map_err(|error| TestCaseError::fail(format!("{line}: {error}")))?;
                for (key, token) in found.iter().rev().take(1) {
                    match token {
                        Token::Text(text) => prop_assert_eq!(read[key].as_str(), Some(text.as_ref())),
                        Token::Number(number) => prop_assert_eq!(read[key].as_u64(), Some(*number)),
                        Token::Flag(flag) => prop_assert_eq!(read[key].as_bool(), Some(*flag)),
                        Token::Nested(_) => prop_assert!(read[key].is_array()),
                    }
                }
            }
        }

        #[test]
        fn nothing_that_is_read_ends_the_program(octets in prop::collection::vec(any::<u8>(), 0..60), text in "[\\[\\]{}\",:\\\\0-9a]{0,40}") {
            let _ = Tokens::of(&octets).map(|mut tokens| while let Ok(Some(_)) = tokens.next() {});
            let line = format!("{{{text}}}");
            let _ = Tokens::of(line.as_bytes()).map(|mut tokens| while let Ok(Some(_)) = tokens.next() {});
            let _ = texts(&text);
        }
    }
}
