//! The query of a URI, as far as it names a token. Takes only what every reader of queries reads alike: Go's drops a pair that holds a `;` or a
//! broken escape and goes on, others do not.

use std::borrow::Cow;

use memchr::memchr2;

use super::asked::GateFault;

/// The parameter that a token stands in.
const NAME: &[u8] = b"access_token";

/// The token in a query, decoded, if there is one. An empty one is one.
pub(super) fn access_token(query: &str) -> Result<Option<Cow<'_, str>>, GateFault> {
    if !is_visible(query.as_bytes()) {
        return Err(GateFault::Octets);
    }
    if memchr2(b';', b'#', query.as_bytes()).is_some() {
        return Err(GateFault::Semicolon);
    }
    let mut found = None;
    for pair in query.split('&') {
        let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
        let (name, value) = (decoded(name)?, decoded(value)?);
        if *name == *NAME && found.replace(value).is_some() {
            return Err(GateFault::TwoTokens);
        }
    }
    let text = found.map(|value| match value {
        Cow::Borrowed(octets) => std::str::from_utf8(octets).map(Cow::Borrowed).map_err(|_| GateFault::NoJwt),
        Cow::Owned(octets) => String::from_utf8(octets).map(Cow::Owned).map_err(|_| GateFault::NoJwt),
    });
    text.transpose()
}

/// Whether a text holds visible ASCII alone. It is read to its end, many octets at a time.
pub(super) fn is_visible(text: &[u8]) -> bool {
    text.iter().fold(true, |visible, octet| visible & octet.is_ascii_graphic())
}

/// A name or a value without its escapes: `+` is a space, `%41` is `A`.
fn decoded(text: &str) -> Result<Cow<'_, [u8]>, GateFault> {
    let octets = text.as_bytes();
    if memchr2(b'%', b'+', octets).is_none() {
        return Ok(Cow::Borrowed(octets));
    }
    let (mut out, mut rest) = (Vec::with_capacity(octets.len()), octets.iter());
    while let Some(&octet) = rest.next() {
        out.push(match octet {
            b'+' => b' ',
            b'%' => {
                let mut digit = || rest.next().and_then(|&digit| char::from(digit).to_digit(16));
                let (high, low) = (digit().ok_or(GateFault::Escape)?, digit().ok_or(GateFault::Escape)?);
                u8::try_from(high << 4 | low).map_err(|_| GateFault::Escape)?
            }
            octet => octet,
        });
    }
    Ok(Cow::Owned(out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_found_however_it_is_written() {
        for (query, found) in [
            ("access_token=a.b.c", Some("a.b.c")),
            ("x=1&access_token=a.b.c&y", Some("a.b.c")),
            ("%61ccess%5Ftoken=%61.b.c", Some("a.b.c")),
            ("access_token=", Some("")),
            ("access_token", Some("")),
            ("access_token=a=b", Some("a=b")),
            ("access_token=a+b", Some("a b")),
            ("Access_Token=a", None),
            ("access+token=a", None),
            ("access_token%00=a", None),
            ("", None),
            ("&&", None),
        ] {
            assert_eq!(access_token(query).unwrap().as_deref(), found, "{query}");
        }
    }

    #[test]
    fn what_two_readers_read_differently_is_a_fault() {
        for (query, fault) in [
            ("access_token=a&access_token=b", GateFault::TwoTokens),
            ("access_token=a&access_token=a", GateFault::TwoTokens),
            ("access_token=a&%61ccess_token=b", GateFault::TwoTokens),
            ("access_token&access_token=b", GateFault::TwoTokens),
            ("access_token=a;&access_token=b", GateFault::Semicolon),
            ("x=1;access_token=a", GateFault::Semicolon),
            ("access_token=a#b", GateFault::Semicolon),
            ("access_token=a%zz", GateFault::Escape),
            ("x=%&access_token=a", GateFault::Escape),
            ("x%2=1&access_token=a", GateFault::Escape),
            ("access_token=a&x=%+1", GateFault::Escape),
            ("access_token=a b", GateFault::Octets),
            ("access_token=\u{e4}", GateFault::Octets),
            ("access_token=%ff", GateFault::NoJwt),
        ] {
            assert_eq!(access_token(query), Err(fault), "{query}");
        }
    }
}
