//! A realtime client's request: where the gate finds a token, the server behind finds the same one, in the request as the client sent it and
//! with the row that the gate hands on.
//!
//! The server here reads as Go's packages do: leniently. It shares no code with the gate.
#![no_main]

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use hyper::header::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use ringfence::gate::{ClientToken, GateQuestion};
use serde::de::{Deserializer as _, MapAccess, Visitor};

/// What a query or a row holds in the place of a token.
const PLACE: &str = "TOKEN";

fuzz_target!(|bytes: &[u8]| {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    // The claims, the URI, and rows. The row `method` says the method.
    let mut fields = text.split('\u{1}');
    let (claims, uri) = (fields.next().unwrap_or_default(), fields.next().unwrap_or_default());
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let token = format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(claims));
    let uri = uri.replace(PLACE, &token);
    let mut headers = HeaderMap::new();
    for row in fields {
        let Some((name, value)) = row.split_once(": ") else { continue };
        let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value.replace(PLACE, &token))) else {
            continue;
        };
        headers.append(name, value);
    }
    let _ = GateQuestion::of_text(text);
    let _ = ClientToken::of_client(&headers, &uri);
    let mut asked = headers.clone();
    let Ok(value) = HeaderValue::try_from(&uri) else { return };
    asked.append("x-forwarded-uri", value);
    let method = headers.get("method").cloned().unwrap_or(HeaderValue::from_static("GET"));
    asked.append("x-forwarded-method", method.clone());
    let token = match GateQuestion::read(&asked, false) {
        GateQuestion::Token { token: Err(_), .. } => return,
        GateQuestion::Exempt => {
            return assert!(needs_no_token(&method, &uri, &headers), "exempt, and no health or preflight");
        }
        GateQuestion::Token { token: Ok(token), .. } => token,
    };
    assert!(!reads_body(&method, &headers), "the body could name another token");

    let query = uri.split_once('?').map_or("", |(_, query)| query);
    let row = headers.get("authorization").map(|row| row.to_str().expect("the gate took a row that is no text"));
    let found = server(row, query).expect("the gate found a token, and the server none");
    assert_eq!(found, token.text, "as the client sent it");
    assert_eq!(issuer(&found).as_deref(), Some(&*token.issuer));
    assert_eq!(server(Some(&format!("Bearer {}", token.text)), query).as_deref(), Some(&*token.text), "as the gate hands it on");
});

/// Whether the server answers this without a look at tokens: it is asked for its health, or by a browser.
fn needs_no_token(method: &HeaderValue, uri: &str, headers: &HeaderMap) -> bool {
    let asks = headers.get("access-control-request-method").is_some_and(|row| !row.as_bytes().is_empty());
    let health = method == "GET" && uri.split('?').next() == Some("/");
    !headers.contains_key("upgrade") && (health || method == "OPTIONS" && asks)
}

/// Whether the server reads a form out of the body. It reads types in small letters, those of other alphabets too.
fn reads_body(method: &HeaderValue, headers: &HeaderMap) -> bool {
    let kind = headers.get("content-type").map_or(String::new(), |row| String::from_utf8_lossy(row.as_bytes()).to_lowercase());
    // The small letter of a dotted I is i alone there.
    let kind = kind.replace('\u{307}', "");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    (method == "POST" || method == "PUT" || method == "PATCH")
        && (kind == "application/x-www-form-urlencoded" || kind == "multipart/form-data")
}

/// The token that the server takes: of the row, if there is one, else the first of the query.
fn server(row: Option<&str>, query: &str) -> Option<String> {
    match row {
        Some(row) if !row.is_empty() => row.strip_prefix("Bearer ").map(str::to_owned),
        _ => {
            let pairs = query.split('&').filter(|pair| !pair.contains(';'));
            pairs
                .filter_map(|pair| {
                    let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
                    Some((unescaped(name)?, unescaped(value)?))
                })
                .find(|(name, _)| name == b"access_token")
                .and_then(|(_, value)| String::from_utf8(value).ok())
        }
    }
}

fn unescaped(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.bytes();
    while let Some(octet) = rest.next() {
        match octet {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits =
                    std::str::from_utf8(&digits).ok().filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
                out.push(u8::from_str_radix(digits, 16).ok()?);
            }
            b'+' => out.push(b' '),
            octet => out.push(octet),
        }
    }
    Some(out)
}

/// The issuer that the server reads: of names that fold to `iss` the last.
fn issuer(token: &str) -> Option<String> {
    let payload = token.split('.').nth(1)?;
    let json = BASE64_URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::Deserializer::from_slice(&json).deserialize_map(Issuer).ok()?
}

struct Issuer;

impl<'de> Visitor<'de> for Issuer {
    type Value = Option<String>;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut last = None;
        while let Some((name, value)) = map.next_entry::<String, serde_json::Value>()? {
            let folded: String =
                name.chars().map(|letter| if letter == '\u{17f}' { 's' } else { letter.to_ascii_lowercase() }).collect();
            if folded == "iss" && !value.is_null() {
                last = value.as_str().map(str::to_owned);
            }
        }
        Ok(last)
    }
}
