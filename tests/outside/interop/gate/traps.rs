//! Requests that two readers read differently, and requests that lie to the gate about what they are. The forger has a valid token of
//! `beta`, which is refused in `eu`, and knows the name of `acme`'s key.

use serde_json::{Value, json};

use super::raw::{Answer, ask};
use super::scene::{PROXIES, Proxy, claims, door, on_stage, server, signed, token};

const WEB: &str =
    "Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Version: 13\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
const ASKS: &str = "Access-Control-Request-Method: GET\nOrigin: http://page.example.com";

/// A request, what livekit-server alone makes of it, and what the client hears if the gate is asked.
struct Trap {
    what: &'static str,
    method: &'static str,
    target: String,
    rows: String,
    body: String,
    /// The token that livekit-server takes: its source and issuer. Empty: it takes none.
    alone: &'static str,
    through: u16,
}

impl Trap {
    fn new(what: &'static str, method: &'static str, target: &str, alone: &'static str, through: u16) -> Self {
        Self { what, method, target: target.to_owned(), rows: String::new(), body: String::new(), alone, through }
    }

    fn with(mut self, rows: &str) -> Self {
        rows.clone_into(&mut self.rows);
        self
    }

    fn body(mut self, kind: &str, body: &str) -> Self {
        self.rows = format!("Content-Type: {kind}");
        body.clone_into(&mut self.body);
        self
    }

    fn ask(&self, to: std::net::SocketAddr) -> Answer {
        let rows: Vec<&str> = self.rows.lines().collect();
        ask(to, self.method, &self.target, &rows, &self.body)
    }
}

/// A token of `beta`'s whose claims are these.
fn forged(claims: &str) -> String {
    signed(&json!({ "alg": "HS256" }).to_string(), claims, "APIbeta")
}

/// What the forger has: its own token, and one of `acme`'s name.
fn traps() -> Vec<Trap> {
    let beta = token("APIbeta");
    let lie = forged(&claims("APIacme").to_string());
    let bearer = |token: &str| format!("Authorization: Bearer {token}");
    let named = |first: &str, second: &str| {
        let Value::Object(mut rest) = claims("x") else { unreachable!() };
        rest.remove("iss");
        let rest = Value::Object(rest).to_string();
        bearer(&forged(&format!("{{{first},{second},{}", &rest[1..])))
    };
    let form = format!("--b\r\nContent-Disposition: form-data; name=\"access_token\"\r\n\r\n{beta}\r\n--b--\r\n");
    let form_type = "application/x-www-form-urlencoded";
    let of_beta = format!("/rtc/v1/validate?access_token={beta}");
    let forwarded = |target: &str| {
        let names = ["X-Forwarded-Uri", "X-Forwarded-URI", "X-Original-URI", "X-Original-Url", "X-Rewrite-Url"];
        let rows = names.map(|name| format!("{name}: {target}\n"));
        format!("{}X-Forwarded-Method: GET\nX-Original-Method: GET", rows.concat())
    };
    vec![
        Trap::new("two tokens", "GET", &format!("/rtc/v1/validate?access_token={beta}&access_token={lie}"), "query APIbeta", 401),
        Trap::new(
            "the other way round",
            "GET",
            &format!("/rtc/v1/validate?access_token={lie}&access_token={beta}"),
            "query APIacme",
            401,
        ),
        Trap::new(
            "a name in escapes",
            "GET",
            &format!("/rtc/v1/validate?access%5Ftoken={beta}&access_token={lie}"),
            "query APIbeta",
            401,
        ),
        Trap::new(
            "a semicolon",
            "GET",
            &format!("/rtc/v1/validate?access_token={lie};&access_token={beta}"),
            "query APIbeta",
            401,
        ),
        Trap::new(
            "a bad escape",
            "GET",
            &format!("/rtc/v1/validate?access_token={lie}%zz&access_token={beta}"),
            "query APIbeta",
            401,
        ),
        Trap::new("a form", "POST", &format!("/rtc?access_token={lie}"), "form APIbeta", 401)
            .body(form_type, &format!("access_token={beta}")),
        Trap::new("a form alone", "POST", "/rtc", "form APIbeta", 401).body(form_type, &format!("access_token={beta}")),
        Trap::new("a form of parts", "POST", "/rtc", "multipart APIbeta", 401).body("multipart/form-data; boundary=b", &form),
        Trap::new("header and query differ", "GET", &of_beta, "header APIacme", 401).with(&bearer(&lie)),
        Trap::new("an empty header", "GET", &of_beta, "query APIbeta", 401).with("Authorization: "),
        Trap::new("another scheme", "GET", &of_beta, "header undefined", 401).with(&format!("Authorization: bearer {lie}")),
        Trap::new("a claim twice", "GET", "/rtc/v1/validate", "header APIbeta", 401)
            .with(&named("\"iss\":\"APIacme\"", "\"iss\":\"APIbeta\"")),
        Trap::new("a claim in capitals", "GET", "/rtc/v1/validate", "header APIbeta", 401)
            .with(&named("\"iss\":\"APIacme\"", "\"Iss\":\"APIbeta\"")),
        Trap::new("a claim in letters that fold", "GET", "/rtc/v1/validate", "header APIbeta", 401)
            .with(&named("\"iss\":\"APIacme\"", "\"i\u{17f}s\":\"APIbeta\"")),
        Trap::new("no signature wanted", "GET", "/rtc/v1/validate", "header APIacme", 401).with(&bearer(&signed(
            "{\"alg\":\"none\"}",
            &claims("APIacme").to_string(),
            "APIbeta",
        ))),
        Trap::new("a forged token alone", "GET", "/rtc/v1/validate", "header APIacme", 401).with(&bearer(&lie)),
        Trap::new("an unknown key", "GET", "/rtc/v1/validate", "header APInone", 401).with(&bearer(&token("APInone"))),
        Trap::new("no token", "GET", "/rtc/v1/validate", "none undefined", 401),
        Trap::new("a forwarded URI", "GET", &of_beta, "query APIbeta", 403).with(&forwarded(&format!("/rtc?access_token={lie}"))),
        Trap::new("a forwarded health check", "GET", &of_beta, "query APIbeta", 403).with(&forwarded("/")),
        Trap::new("headers of the way", "GET", &of_beta, "query APIbeta", 403)
            .with("Connection: close, X-Original-URI, X-Original-Method, X-Forwarded-Uri, X-Forwarded-Method"),
        Trap::new("OPTIONS that begin a session", "OPTIONS", &format!("/rtc?access_token={beta}"), "query APIbeta", 403)
            .with(WEB),
        Trap::new("and ask as a preflight does", "OPTIONS", &format!("/rtc?access_token={beta}"), "query APIbeta", 403)
            .with(&format!("{WEB}\n{ASKS}")),
        Trap::new("OPTIONS alone", "OPTIONS", &of_beta, "query APIbeta", 403),
        Trap::new("HEAD of the root", "HEAD", "/", "none undefined", 401),
        Trap::new("an agent", "GET", "/agent", "header APIbeta", 403).with(&bearer(&beta)),
        Trap::new("WHIP", "POST", "/whip/v1", "header APIbeta", 403).with(&bearer(&beta)),
        Trap::new("a path in escapes", "GET", "/%72tc", "header APIbeta", 403).with(&bearer(&beta)),
        Trap::new("a path that nobody knows", "GET", "/none/../settings/regions/x", "header APIbeta", 403).with(&bearer(&beta)),
        Trap::new("Twirp", "POST", "/twirp/livekit.RoomService/ListRooms", "header APIbeta", 451).with(&bearer(&beta)),
        Trap::new("Twirp with an unknown key", "POST", "/twirp/livekit.RoomService/ListRooms", "header APInone", 401)
            .with(&bearer(&token("APInone"))),
        Trap::new("Twirp in other letters", "POST", "/Twirp/livekit.RoomService/ListRooms", "header APIbeta", 403)
            .with(&bearer(&beta)),
    ]
}

/// Every refusal is whole, so that a browser and an operator can read it: code, body, its type and headers, behind each proxy the same.
fn assert_told(trap: &str, answer: &Answer, twirp: bool) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{trap}: {answer:?}");
    // livekit-server's own.
    if answer.header("x-took").is_some() {
        return assert_eq!((answer.code, answer.body.as_str()), (401, "invalid token"), "{trap}: {answer:?}");
    }
    let (code, text) = match answer.code {
        401 => ("unauthenticated", "token missing, unreadable or of no project here."),
        503 => ("unavailable", "shutting down, try again."),
        _ => ("permission_denied", "project not allowed in this region."),
    };
    let (kind, body) = if twirp {
        ("application/json", format!("{{\"code\":\"{code}\",\"msg\":\"{text}\"}}"))
    } else {
        ("text/plain", text.to_owned())
    };
    // HEAD has none.
    assert!(answer.body == body || answer.body.is_empty() && trap.starts_with("HEAD"), "{trap}: {answer:?}");
    assert!(answer.header("content-type").is_some_and(|of| of.starts_with(kind)), "{trap}: {answer:?}");
    let reason = answer.header("x-ringfence").and_then(|row| row.split_once("; "));
    let number = if let Some((number, _)) = reason { number } else { "none" };
    assert_eq!(number, if answer.code == 401 { "none" } else { "130" }, "{trap}: {answer:?}");
}

#[test]
fn the_server_takes_the_token_that_the_gate_has_judged() {
    on_stage(|scene| {
        let traps = traps();
        // Without the gate each is what it is meant to be.
        for trap in &traps {
            let answer = trap.ask(server(1));
            assert_eq!(answer.header("x-took").unwrap_or(""), trap.alone, "{}: {answer:?}", trap.what);
        }
        scene.forget();
        let mut verdicts = Vec::new();
        for proxy in PROXIES {
            scene.begin(proxy);
            let decided =
                || scene.gates[0].metrics_when("a count", |_| true).sum("ringfence_requests_total", &[("method", "REALTIME")]);
            let before = decided();
            for trap in &traps {
                let answer = trap.ask(door(1));
                let what = format!("{}, {proxy:?}", trap.what);
                assert_eq!(answer.code, trap.through, "{what}: {answer:?}");
                assert_told(&what, &answer, trap.target.starts_with("/twirp/"));
            }
            verdicts.push(decided() - before);
            passes(proxy);
            large(proxy);
        }
        // One question for each, also where nginx has to say anew what it was told.
        assert_eq!(verdicts, [traps.len() as u64; 2]);
        scene.assert_pinned();
    });
}

/// What must pass, and what needs no token.
fn passes(proxy: Proxy) {
    let eu = door(1);
    let (acme, beta) = (token("APIacme"), token("APIbeta"));
    let bearer = format!("Authorization: Bearer {acme}");
    let by_query = format!("/rtc/v1/validate?access_token={acme}");
    for (target, rows) in [(by_query.as_str(), vec![]), ("/rtc/validate", vec![bearer.as_str()]), (&by_query, vec![&bearer])] {
        let answer = ask(eu, "GET", target, &rows, "");
        let took = (answer.code, answer.header("x-took"), answer.header("x-region"));
        assert_eq!(took, (200, Some("header APIacme"), Some("eu")), "{proxy:?}: {answer:?}");
    }
    // A client may name headers that the way takes off.
    for way in ["Connection: Authorization", "Connection: close, Authorization, Content-Type"] {
        let answer = ask(eu, "GET", &by_query, &[way], "");
        assert_eq!((answer.code, answer.header("x-took")), (200, Some("header APIacme")), "{proxy:?}, {way}: {answer:?}");
    }
    let twirp =
        ask(eu, "POST", "/twirp/livekit.RoomService/ListRooms", &[&bearer, "Content-Type: application/json"], "{\"names\":[]}");
    assert_eq!(
        (twirp.code, twirp.header("x-octets"), twirp.body.as_str()),
        (200, Some("12"), "{}"),
        "the body has come along: {twirp:?}"
    );
    let session = ask(eu, "GET", &format!("/rtc?access_token={acme}"), &WEB.lines().collect::<Vec<_>>(), "");
    assert_eq!(session.code, 101, "{proxy:?}: {session:?}");

    // Nobody has judged what comes with these, so that it does not get there.
    let stranger = format!("Authorization: Bearer {beta}");
    let health = ask(eu, "GET", "/", &[&stranger], "");
    assert_eq!((health.code, health.header("x-took"), health.body.as_str()), (200, Some("nothing"), "OK"), "{proxy:?}");
    let preflight = [&[stranger.as_str()][..], &ASKS.lines().collect::<Vec<_>>()].concat();
    let preflight = ask(eu, "OPTIONS", "/twirp/livekit.RoomService/ListRooms", &preflight, "");
    assert_eq!((preflight.code, preflight.header("x-took")), (204, Some("nothing")), "{proxy:?}");

    // Where it may go, told to a refused one too; the gate answers the preflight of this one.
    let regions = ask(eu, "GET", "/settings/regions", &[&stranger, "Origin: http://page.example.com"], "");
    let told = json!({ "regions": [{ "region": "us", "url": "ws://us.rtc.example.com", "distance": "0" }] });
    assert_eq!((regions.code, serde_json::from_str::<Value>(&regions.body).unwrap()), (200, told), "{proxy:?}: {regions:?}");
    let cors = (regions.header("access-control-allow-origin"), regions.header("cache-control"));
    assert_eq!(cors, (Some("*"), Some("max-age=60")), "{proxy:?}");
    let asks = [
        "Origin: http://page.example.com",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Headers: authorization",
    ];
    let may = ask(eu, "OPTIONS", "/settings/regions", &asks, "");
    let allowed = may.header("access-control-allow-headers").unwrap_or("").to_ascii_lowercase();
    assert_eq!((may.code, may.header("access-control-allow-origin")), (204, Some("*")), "{proxy:?}: {may:?}");
    assert!(allowed.contains("authorization"), "{proxy:?}: {may:?}");
}

/// A token that livekit-server refreshes carries what the participant says of itself. Both limits, the token's and the headers'.
fn large(proxy: Proxy) {
    let sized = |size: usize| {
        let mut claims = claims("APIacme");
        claims["metadata"] = "m".repeat(size).into();
        signed("{\"alg\":\"HS256\"}", &claims.to_string(), "APIacme")
    };
    let asked = |token: &str| {
        let header = ask(door(1), "GET", "/rtc/v1/validate", &[&format!("Authorization: Bearer {token}")], "");
        let query = ask(door(1), "GET", &format!("/rtc/v1/validate?access_token={token}"), &[], "");
        (header.code, query.code)
    };
    // Three quarters of a token's octets are text.
    assert_eq!(asked(&sized(40_000)), (200, 200), "{proxy:?}: 54 KB");
    assert_eq!(asked(&sized(50_000)), (401, 401), "{proxy:?}: more than 64 KiB");
    let too_much = asked(&sized(150_000));
    assert_eq!(too_much, if proxy == Proxy::Nginx { (400, 414) } else { (431, 431) }, "{proxy:?}");
}
