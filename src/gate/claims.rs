//! A token to the key that it names as its issuer. Checks no signature and no date: the server behind does, and has the secret.
//!
//! The server reads JSON as Go does: of a name given twice it takes the last, and a name in other letters is the same name. So a token is taken
//! only if no reader could find another issuer in it.

use std::fmt;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde::de::{Deserializer, IgnoredAny, MapAccess, Visitor};

use super::asked::GateFault;

/// Most octets of a token. One that the server renews carries what is known of its participant.
pub(super) const LONGEST: usize = 64 << 10;
/// Most octets of an issuer.
const LONGEST_ISSUER: usize = 256;
/// Most names in the object of a token.
const NAMES: usize = 256;

/// The issuer of a token.
pub(super) fn issuer(token: &str) -> Result<String, GateFault> {
    if token.len() > LONGEST {
        return Err(GateFault::TooLong);
    }
    let mut parts = token.split('.');
    let (Some(header), Some(payload), Some(signature), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(GateFault::NoJwt);
    };
    let decoded = |part: &str| BASE64_URL_SAFE_NO_PAD.decode(part).map_err(|_| GateFault::NoJwt);
    decoded(signature)?;
    object(&decoded(header)?)?;
    object(&decoded(payload)?)?.filter(|issuer| (1..=LONGEST_ISSUER).contains(&issuer.len())).ok_or(GateFault::NoIssuer)
}

/// The `iss` of a JSON object.
fn object(json: &[u8]) -> Result<Option<String>, GateFault> {
    let mut reader = serde_json::Deserializer::from_slice(json);
    let found = reader.deserialize_map(Claims).map_err(|_| GateFault::NoClaims)?;
    reader.end().map_err(|_| GateFault::NoClaims)?;
    found
}

/// Reads the names of an object, and one value.
struct Claims;

impl<'de> Visitor<'de> for Claims {
    type Value = Result<Option<String>, GateFault>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let (mut names, mut issuer) = (Vec::new(), None);
        let mut fault = None;
        while let Some(name) = map.next_key::<String>()? {
            if name == "iss" {
                let serde_json::Value::String(text) = map.next_value::<serde_json::Value>()? else {
                    fault = Some(GateFault::NoIssuer);
                    continue;
                };
                if issuer.replace(text).is_some() {
                    fault = Some(GateFault::TwoIssuers);
                }
            } else {
                if folds_to_iss(&name) {
                    fault = Some(GateFault::TwoIssuers);
                }
                map.next_value::<IgnoredAny>()?;
            }
            if names.len() >= NAMES {
                fault = Some(GateFault::NoClaims);
                continue;
            }
            names.push(name);
        }
        names.sort_unstable();
        if names.windows(2).any(|pair| matches!(pair, [one, other] if one == other)) {
            fault = Some(GateFault::TwoIssuers);
        }
        Ok(fault.map_or(Ok(issuer), Err))
    }
}

/// Whether some reader takes this name for `iss`: in other letters, or with a letter that folds to one of these.
fn folds_to_iss(name: &str) -> bool {
    // U+017F is a long s. The dotted and the dotless i fold to i in some alphabets.
    let fold = |letter: char| match letter {
        'I' | 'ı' | 'İ' => 'i',
        'S' | 'ſ' => 's',
        letter => letter,
    };
    name.chars().filter(|letter| !letter.is_control() && *letter != '\u{307}').map(fold).eq("iss".chars())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(payload: &str) -> String {
        let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
        format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(payload))
    }

    #[test]
    fn the_issuer_is_the_key_of_the_token() {
        for payload in [
            r#"{"iss":"APIacme"}"#,
            r#" {"exp":1,"video":{"iss":"other","room":"r"},"iss":"APIacme","nbf":1.5e3} "#,
            r#"{"\u0069ss":"APIacme"}"#,
            r#"{"iss":"API\u0061cme","xiss":"other","is":1,"isss":2}"#,
        ] {
            assert_eq!(issuer(&token(payload)).as_deref(), Ok("APIacme"), "{payload}");
        }
        // Its algorithm is the server's to refuse.
        let none = format!(
            "{}.{}.",
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"alg":"none"}"#),
            BASE64_URL_SAFE_NO_PAD.encode(r#"{"iss":"a"}"#)
        );
        assert_eq!(issuer(&none).as_deref(), Ok("a"));
    }

    #[test]
    fn what_another_reader_could_read_otherwise_is_a_fault() {
        for (payload, fault) in [
            (r#"{"iss":"a","iss":"b"}"#, GateFault::TwoIssuers),
            (r#"{"iss":"a","iss":"a"}"#, GateFault::TwoIssuers),
            (r#"{"iss":"a","\u0069ss":"b"}"#, GateFault::TwoIssuers),
            (r#"{"iss":"a","Iss":"b"}"#, GateFault::TwoIssuers),
            (r#"{"ISS":"b"}"#, GateFault::TwoIssuers),
            (r#"{"iſs":"b","iss":"a"}"#, GateFault::TwoIssuers),
            (r#"{"iss":"a","i\u017fs":"b"}"#, GateFault::TwoIssuers),
            (r#"{"iss":"a","sub":"x","sub":"y"}"#, GateFault::TwoIssuers),
            (r#"{"iss":["a"]}"#, GateFault::NoIssuer),
            (r#"{"iss":null}"#, GateFault::NoIssuer),
            (r#"{"iss":""}"#, GateFault::NoIssuer),
            (r#"{"sub":"a"}"#, GateFault::NoIssuer),
            (r#"{"iss":"a"}{"iss":"b"}"#, GateFault::NoClaims),
            (r#"{"iss":"a"} x"#, GateFault::NoClaims),
            (r#"[{"iss":"a"}]"#, GateFault::NoClaims),
            (r#"{"iss":"a",}"#, GateFault::NoClaims),
            (r#"{"iss":"\ud800"}"#, GateFault::NoClaims),
            (
                r#"{"iss":"a" //
}"#,
                GateFault::NoClaims,
            ),
            ("null", GateFault::NoClaims),
            ("", GateFault::NoClaims),
        ] {
            assert_eq!(issuer(&token(payload)), Err(fault), "{payload}");
        }
        let deep = format!(r#"{{"iss":"a","x":{}{}}}"#, "[".repeat(5000), "]".repeat(5000));
        assert_eq!(issuer(&token(&deep)).as_deref(), Ok("a"), "what is deep is passed over without recursion");
        let many: Vec<String> = (0..=NAMES).map(|at| format!("\"n{at}\":1")).collect();
        assert_eq!(issuer(&token(&format!(r#"{{{},"iss":"a"}}"#, many.join(",")))), Err(GateFault::NoClaims));
    }

    #[test]
    fn a_token_is_three_parts_of_base64() {
        let good = token(r#"{"iss":"a"}"#);
        let [header, payload, signature]: [&str; 3] = good.split('.').collect::<Vec<_>>().try_into().unwrap();
        for text in [
            format!("{header}.{payload}"),
            format!("{good}.x"),
            format!("{header}.{payload}=.{signature}"),
            format!("{header}.{payload}.c2l"),
            format!("{header}.{payload}.c2 n"),
            format!("{header}.\n{payload}.{signature}"),
            format!("{header}.{}.{signature}", payload.replace(['-', '_'], "+") + "+"),
            format!(" {good}"),
            String::new(),
            "..".to_owned(),
        ] {
            assert!(matches!(issuer(&text), Err(GateFault::NoJwt | GateFault::NoClaims)), "{text}");
        }
        let long = token(&format!(r#"{{"iss":"a","metadata":"{}"}}"#, "m".repeat(46_000)));
        assert!(long.len() < LONGEST && issuer(&long).is_ok());
        let long = token(&format!(r#"{{"iss":"a","metadata":"{}"}}"#, "m".repeat(50_000)));
        assert_eq!(issuer(&long), Err(GateFault::TooLong));
    }
}
