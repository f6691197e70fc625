//! Questions of reverse proxies, and every way in which two readers could read one differently.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;

use super::*;

fn token(issuer: &str) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2ln", part(r#"{"alg":"HS256"}"#), part(&format!(r#"{{"iss":"{issuer}"}}"#)))
}

fn headers(rows: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in rows {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

/// What is read of a question by Caddy's rows: `twirp` and issuer, or nothing for what is exempt.
fn read(method: &str, uri: &str, more: &[(&str, &str)]) -> Result<Option<(bool, String)>, GateFault> {
    let rows = [&[("X-Forwarded-Method", method), ("X-Forwarded-Uri", uri)], more].concat();
    said(GateQuestion::read(&headers(&rows), false))
}

/// The same of a question that was read.
fn said(question: GateQuestion) -> Result<Option<(bool, String)>, GateFault> {
    match question {
        GateQuestion::Exempt => Ok(None),
        GateQuestion::Token { twirp, token } => token.map(|token| Some((twirp, token.issuer))),
    }
}

/// What is read where a token is found.
fn of(twirp: bool, issuer: &str) -> (bool, String) {
    (twirp, issuer.to_owned())
}

#[test]
fn a_token_stands_in_the_row_or_in_the_query() {
    let (a, bearer) = (token("a"), format!("Bearer {}", token("a")));
    let uri = format!("/rtc/v1?access_token={a}&auto_subscribe=1");
    assert_eq!(read("GET", &uri, &[]), Ok(Some(of(false, "a"))));
    assert_eq!(read("GET", "/rtc", &[("Authorization", &bearer)]), Ok(Some(of(false, "a"))));
    assert_eq!(read("GET", &uri, &[("Authorization", &bearer)]), Ok(Some(of(false, "a"))), "the same in both");
    assert_eq!(read("POST", "/twirp/livekit.RoomService/ListRooms", &[("Authorization", &bearer)]), Ok(Some(of(true, "a"))));
    for path in ["/agent", "/whip/x", "/rtc/v1/validate", "/what/is/this", "//twirp/x", "/%74wirp/x", "/twirp", "/."] {
        assert_eq!(read("GET", path, &[("Authorization", &bearer)]), Ok(Some(of(false, "a"))), "{path}");
        assert_eq!(read("GET", path, &[]), Err(GateFault::NoToken), "{path}");
    }
}

#[test]
fn health_and_preflights_pass_without_a_token_and_nothing_that_begins_a_session() {
    let preflight = ("Access-Control-Request-Method", "GET");
    assert_eq!(read("GET", "/", &[]), Ok(None));
    assert_eq!(read("GET", "/?x=1", &[]), Ok(None));
    assert_eq!(read("OPTIONS", "/rtc/v1/validate", &[preflight]), Ok(None));
    for (method, uri, rows) in [
        ("OPTIONS", "/rtc", &[][..]),
        ("OPTIONS", "/rtc", &[preflight, ("Upgrade", "websocket")]),
        ("OPTIONS", "/rtc", &[preflight, ("Upgrade", "")]),
        // A reverse proxy may leave Upgrade out of its question.
        ("OPTIONS", "/rtc", &[preflight, ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]),
        ("OPTIONS", "/rtc", &[preflight, ("Sec-WebSocket-Version", "13")]),
        ("GET", "/", &[("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")]),
        // The server behind takes these for no preflights, and looks for a token in their query.
        ("OPTIONS", "/rtc/validate", &[("Access-Control-Request-Method", "")]),
        ("OPTIONS", "/rtc/validate", &[("Access-Control-Request-Method", ""), preflight]),
        ("OPTIONS", "/rtc/validate", &[preflight, preflight]),
        ("options", "/rtc", &[preflight]),
        ("GET", "/rtc", &[preflight]),
        ("GET", "/", &[("Upgrade", "websocket")]),
        ("POST", "/", &[]),
        ("HEAD", "/", &[]),
        ("GET", "//", &[]),
        ("GET", "/%2f", &[]),
    ] {
        assert_eq!(read(method, uri, rows), Err(GateFault::NoToken), "{method} {uri}");
    }
}

#[test]
fn what_two_readers_read_differently_is_refused() {
    let [a, b] = ["a", "b"].map(|issuer| format!("Bearer {}", token(issuer)));
    let [uri, other] = ["a", "b"].map(|issuer| format!("/rtc?access_token={}", token(issuer)));
    for (what, uri, rows, fault) in [
        ("two rows", "/rtc", &[("Authorization", &*a), ("Authorization", &*a)][..], GateFault::Authorization),
        ("no Bearer", "/rtc", &[("Authorization", "Basic YTpi")], GateFault::Authorization),
        ("other letters", "/rtc", &[("Authorization", &*a.replace("Bearer", "bearer"))], GateFault::Authorization),
        ("an empty row", &*uri, &[("Authorization", "")], GateFault::Authorization),
        ("row and query differ", &*other, &[("Authorization", &*a)], GateFault::Differ),
        ("an empty parameter", "/rtc?access_token=", &[("Authorization", &*a)], GateFault::Differ),
        ("a form", &*uri, &[("Content-Type", "application/x-www-form-urlencoded")], GateFault::Form),
        (
            "a form in other letters",
            &*uri,
            &[("Content-Type", "Application/X-WWW-Form-Urlencoded; charset=utf-8")],
            GateFault::Form,
        ),
        ("a form in parts", &*uri, &[("Content-Type", "multipart/form-data; boundary=x")], GateFault::Form),
        ("two types", &*uri, &[("Content-Type", "application/sdp"), ("Content-Type", "application/sdp")], GateFault::Form),
        ("no path", "rtc", &[("Authorization", &*a)], GateFault::BadUri),
        ("a whole URL", "http://x/rtc", &[("Authorization", &*a)], GateFault::BadUri),
        ("a fragment", "/rtc#?x", &[("Authorization", &*a)], GateFault::Semicolon),
        ("a space", "/rtc x", &[("Authorization", &*a)], GateFault::Octets),
        ("double space", "/rtc", &[("Authorization", &*a.replace(' ', "  "))], GateFault::NoJwt),
    ] {
        assert_eq!(read("GET", uri, rows), Err(fault), "{what}");
    }
    let _ = b;
}

#[test]
fn a_client_cannot_say_what_the_reverse_proxy_was_asked() {
    let bearer = format!("Bearer {}", token("a"));
    let caddy = [("X-Forwarded-Uri", "/rtc"), ("X-Forwarded-Method", "GET")];
    let nginx = [("X-Original-URI", "/twirp/x"), ("X-Original-Method", "POST")];
    let with = |rows: &[(&str, &str)]| headers(&[rows, &[("Authorization", &bearer)]].concat());
    assert!(matches!(GateQuestion::read(&with(&caddy), false), GateQuestion::Token { twirp: false, token: Ok(_) }));
    assert!(matches!(GateQuestion::read(&with(&nginx), true), GateQuestion::Token { twirp: true, token: Ok(_) }));
    for (rows, by_nginx, fault) in [
        (&[&caddy[..], &nginx].concat()[..], false, GateFault::TwoUris),
        (&[&caddy[..], &nginx].concat(), true, GateFault::TwoUris),
        (&[&caddy[..], &nginx[..1]].concat(), false, GateFault::TwoUris),
        (&caddy, true, GateFault::TwoUris),
        (&nginx, false, GateFault::TwoUris),
        (&caddy[..1], false, GateFault::NoUri),
        (&caddy[1..], false, GateFault::NoUri),
        (&[], false, GateFault::NoUri),
        (&[&caddy[..], &caddy[..1]].concat(), false, GateFault::NoUri),
        (&[&nginx[..], &nginx[1..]].concat(), true, GateFault::NoUri),
    ] {
        assert_eq!(said(GateQuestion::read(&with(rows), by_nginx)), Err(fault), "{rows:?}");
    }
}

#[test]
fn a_person_may_give_a_url_or_a_token() {
    let a = token("a");
    let text = |text: &str| said(GateQuestion::of_text(text));
    for (given, twirp) in [
        (a.clone(), false),
        (format!("wss://eu.rtc.example.com/rtc/v1?access_token={a}"), false),
        (format!("https://x:7880/twirp/y?access_token={a}"), true),
        (format!("/rtc?access_token={a}"), false),
        (format!("wss://x?access_token={a}&from=/twirp/"), false),
    ] {
        assert_eq!(text(&given), Ok(Some(of(twirp, "a"))), "{given}");
    }
    assert_eq!(text("wss://x"), Err(GateFault::NoToken));
    assert_eq!(text("hello"), Err(GateFault::NoJwt));
    assert_eq!(text("/"), Ok(None));
}

#[test]
fn a_client_asks_where_it_may_go_in_its_own_words() {
    let (a, bearer) = (token("a"), format!("Bearer {}", token("a")));
    let asked = |rows: &[(&str, &str)], uri: &str| ClientToken::of_client(&headers(rows), uri).map(|token| token.issuer);
    assert_eq!(asked(&[("Authorization", &bearer)], "/settings/regions").as_deref(), Ok("a"));
    assert_eq!(asked(&[], &format!("/settings/regions?access_token={a}")).as_deref(), Ok("a"));
    assert_eq!(asked(&[], "/settings/regions"), Err(GateFault::NoToken));
    assert_eq!(asked(&[("Authorization", &bearer)], "/settings/regions?x=%"), Err(GateFault::Escape));
}

#[test]
fn who_speaks_twirp_is_known_without_a_token_too() {
    let twirp = |uri: &str| {
        let rows = [("X-Forwarded-Method", "POST"), ("X-Forwarded-Uri", uri)];
        matches!(GateQuestion::read(&headers(&rows), false), GateQuestion::Token { twirp: true, token: Err(_) })
    };
    assert!(twirp("/twirp/livekit.RoomService/ListRooms") && twirp("/twirp/x?access_token=;"));
    assert!(!twirp("/rtc") && !twirp("/twirp"));
}
