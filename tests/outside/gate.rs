//! The realtime gate of the built daemon: what a reverse proxy is answered, and what the operator sees of it.
//!
//! What the proxies and the clients make of the answers is tried under `interop`.

use std::collections::VecDeque;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use serde_json::Value;

use crate::audit::Audited;
use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

/// How long an answer may take.
const LIMIT: Duration = Duration::from_secs(10);

/// Where the gate of a site is.
fn gate(site: &Site) -> SocketAddr {
    (site.eu(1).ip(), 9100).into()
}

/// A token with this issuer, which nobody has signed.
fn token(issuer: &str) -> String {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    format!("{}.{}.c2lnbmF0dXJl", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&format!(r#"{{"iss":"{issuer}","sub":"ana"}}"#)))
}

/// An answer of the gate.
#[derive(Debug)]
struct Told {
    code: u16,
    rows: Vec<(String, String)>,
    body: String,
}

impl Told {
    fn get(&self, name: &str) -> Option<&str> {
        self.rows.iter().find(|(of, _)| of == name).map(|(_, value)| value.as_str())
    }
}

/// A connection to the gate, as a reverse proxy keeps one.
struct Proxy(BufReader<TcpStream>);

impl Proxy {
    fn of(from: IpAddr, gate: SocketAddr) -> Self {
        let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
        socket.connect(&gate.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(LIMIT)).unwrap();
        Self(BufReader::new(stream))
    }

    fn ask(&mut self, method: &str, target: &str, rows: &[&str]) -> Told {
        self.try_ask(method, target, rows).expect("the gate closed the connection")
    }

    fn try_ask(&mut self, method: &str, target: &str, rows: &[&str]) -> Option<Told> {
        let rows = [&["Host: gate"], rows].concat().join("\r\n");
        let text = format!("{method} {target} HTTP/1.1\r\n{rows}\r\n\r\n");
        self.0.get_mut().write_all(text.as_bytes()).ok()?;
        let mut line = || {
            let mut line = String::new();
            self.0.read_line(&mut line).ok().filter(|&length| length > 0)?;
            Some(line.trim_end().to_owned())
        };
        let code = line()?.split(' ').nth(1)?.parse().ok()?;
        let mut rows = Vec::new();
        loop {
            let row = line()?;
            let Some((name, value)) = row.split_once(": ") else { break };
            rows.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let mut told = Told { code, rows, body: String::new() };
        let length = told.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; if code == 204 { 0 } else { length }];
        self.0.read_exact(&mut body).ok()?;
        told.body = String::from_utf8(body).unwrap();
        Some(told)
    }

    /// Asks as Caddy does, for a client that sends its token in the query.
    fn decide(&mut self, uri: &str) -> Told {
        self.ask("GET", "/decide", &[&format!("X-Forwarded-Uri: {uri}"), "X-Forwarded-Method: GET"])
    }
}

/// A site whose daemon has a gate, with projects that are pinned to `eu`, to `us`, to nothing, and one that is only watched.
fn plan(site: &Site) -> Plan {
    let mut plan = Plan::new(site);
    let carrier = Site::network(site.carrier(0));
    plan.eu = "realtime = \"wss://eu.rtc.example.com\"".into();
    plan.us = "realtime = \"wss://us.rtc.example.com\"".into();
    plan.projects = format!(
        "[project.acme]\npin = [\"eu\"]\napi_keys = [\"APIacme\"]\n[project.acme.trunk.carrier]\nnetworks = [\"{carrier}\"]\nmedia = [\"{carrier}\"]\n\
         [project.other]\npin = [\"us\"]\napi_keys = [\"APIother\"]\n\
         [project.watched]\npin = [\"us\"]\nmode = \"shadow\"\napi_keys = [\"APIwatched\"]\n\
         [project.free]\napi_keys = [\"APIfree\"]\n"
    );
    plan.more = format!("[gate]\nlisten = \"{}\"\nconnections = 32\n{}", gate(site), plan.more);
    plan
}

fn rtc(issuer: &str) -> String {
    format!("/rtc/v1?access_token={}&auto_subscribe=1", token(issuer))
}

#[test]
fn a_client_is_let_in_or_told_why_not_and_the_operator_sees_it() {
    let audited = Audited::claim();
    let site = &audited.site;
    let mut with = plan(site);
    with.more.push_str(&audited.plan("").more);
    let mut daemon = Daemon::start(site, &with);
    let mut watch = daemon.watch("").unwrap();
    let mut proxy = Proxy::of(site.eu(20).ip(), gate(site));

    let told = proxy.decide(&rtc("APIacme"));
    assert_eq!((told.code, told.get("x-ringfence")), (200, Some("100; reason=in-region; region=eu; project=acme")));
    assert_eq!(told.get("authorization"), Some(&*format!("Bearer {}", token("APIacme"))), "the very token that was judged");

    let told = proxy.decide(&rtc("APIother"));
    assert_eq!((told.code, &*told.body), (403, "project not allowed in this region."));
    assert_eq!(told.get("x-ringfence"), Some("130; reason=pinned-elsewhere; region=eu"));
    assert_eq!((told.get("access-control-allow-origin"), told.get("authorization")), (Some("*"), None));

    let bearer = format!("Authorization: Bearer {}", token("APIother"));
    let twirp = "/twirp/livekit.RoomService/ListRooms";
    let rows = [&*format!("X-Original-URI: {twirp}"), "X-Original-Method: POST", &bearer];
    let told = proxy.ask("GET", "/decide?nginx", &rows);
    assert_eq!((told.code, &*told.body), (451, r#"{"code":"permission_denied","msg":"project not allowed in this region."}"#));

    let told = proxy.decide(&rtc("APIwatched"));
    assert_eq!(told.code, 200);
    let shadow = "130; reason=pinned-elsewhere; region=eu; project=watched; verdict=shadow; why=\"project watched is pinned to us, not eu\"";
    assert_eq!(told.get("x-ringfence"), Some(shadow));
    for uri in [rtc("APInobody"), "/rtc".to_owned(), "/rtc?access_token=a.b.c".to_owned()] {
        let told = proxy.decide(&uri);
        assert_eq!((told.code, told.get("x-ringfence"), told.get("access-control-allow-origin")), (401, None, Some("*")));
    }
    let told = proxy.decide("/twirp/livekit.RoomService/ListRooms");
    let body: Value = serde_json::from_str(&told.body).unwrap();
    assert_eq!((told.code, &body["code"]), (401, &"unauthenticated".into()), "{told:?}");
    assert_eq!(proxy.decide("/").code, 200, "health needs no token");
    assert_eq!(
        proxy.ask("GET", "/decide?", &["X-Forwarded-Uri: /", "X-Forwarded-Method: GET"]).code,
        200,
        "an empty query is none"
    );

    // Everybody else who is told of verdicts.
    let metrics = daemon.metrics();
    let count = |project, verdict, reason| {
        let labels = [("region", "eu"), ("project", project), ("verdict", verdict), ("reason", reason)];
        metrics.sum("ringfence_verdicts_total", &labels)
    };
    assert_eq!(count("acme", "accept", "in-region"), 1);
    assert_eq!(count("other", "refuse", "pinned-elsewhere"), 2);
    assert_eq!(count("watched", "shadow", "pinned-elsewhere"), 1);
    assert_eq!(count("none", "refuse", "unknown-source"), 4);
    let asked = [("region", "eu"), ("transport", "http"), ("method", "REALTIME")];
    assert_eq!(metrics.sum("ringfence_requests_total", &asked), 8);
    assert_eq!(metrics.sum("ringfence_gate_connections", &[]), 1);
    let seen: Vec<Value> = (0..8).map(|_| watch.next()).collect();
    assert!(seen.iter().all(|line| line["method"] == "REALTIME" && line["transport"] == "http"), "{seen:?}");
    let first = &seen[1];
    assert_eq!((&first["project"], &first["reason"], &first["code"]), (&"other".into(), &"pinned-elsewhere".into(), &403.into()));
    assert_eq!(first["why"], "project other is pinned to us, not eu");
    assert!(first["source"].as_str().unwrap().starts_with(&format!("{}:", site.eu(20).ip())));
    let page: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
    let refused = page["decisions"].as_array().or_else(|| page["refused"].as_array()).map_or(0, Vec::len);
    assert!(refused >= 3 || page.to_string().contains("pinned-elsewhere"), "{page:#}");

    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let lines = audited.lines();
    let kept: Vec<_> = lines.iter().filter(|line| line["kind"] == "verdict").collect();
    assert_eq!(kept.len(), 8, "{lines:#?}");
    assert!(
        kept.iter().all(|line| line["method"] == "REALTIME" && line.get("transport").is_none() && line.get("call").is_none())
    );
    let short = |line: &&Value| format!("{} {} {} {}", line["project"], line["verdict"], line["id"], line["code"]);
    assert_eq!(
        kept.iter().take(3).map(short).collect::<Vec<_>>(),
        ["\"acme\" \"accept\" 100 null", "\"other\" \"refuse\" 130 403", "\"other\" \"refuse\" 130 451",]
    );
}

#[test]
fn a_client_that_was_refused_learns_where_it_may_go() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &plan(&site));
    let mut proxy = Proxy::of(site.eu(20).ip(), gate(&site));
    let mut listed = |issuer: &str| {
        let told = proxy.ask("GET", "/settings/regions", &[&format!("Authorization: Bearer {}", token(issuer))]);
        assert_eq!(
            (told.get("access-control-allow-origin"), told.code != 200 || told.get("cache-control") == Some("max-age=60")),
            (Some("*"), true)
        );
        (told.code, told.body)
    };
    let us = r#"{"region":"us","url":"wss://us.rtc.example.com","distance":"0"}"#;
    let eu = us.replace("us", "eu");
    assert_eq!(listed("APIother"), (200, format!("{{\"regions\":[{us}]}}")));
    assert_eq!(listed("APIfree"), (200, format!("{{\"regions\":[{eu},{us}]}}")));
    assert_eq!(listed("APInobody").0, 401);
    let asks = [
        "Origin: https://app.example.com",
        "Access-Control-Request-Method: GET",
        "Access-Control-Request-Headers: authorization",
    ];
    let told = proxy.ask("OPTIONS", "/settings/regions", &asks);
    assert_eq!((told.code, told.get("access-control-allow-origin")), (204, Some("*")));
    assert!(told.get("access-control-allow-headers").unwrap().contains("authorization"));
}

#[test]
fn only_a_reverse_proxy_of_the_region_is_answered() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &plan(&site));
    for outside in [site.carrier(5), site.us(5), site.stranger(5)] {
        let mut proxy = Proxy::of(outside.ip(), gate(&site));
        let told = proxy.decide(&rtc("APIacme"));
        assert_eq!((told.code, told.get("x-ringfence"), told.get("authorization")), (403, None, None), "{outside}");
        assert_ne!(told.code, 404);
    }
    daemon.metrics_when("the sources outside are counted", |metrics| {
        metrics.sum("ringfence_gate_turned_away_total", &[("cause", "outside")]) == 3
    });
    // What is no question of a proxy is refused, and never as 404.
    let ask = |method: &str, target: &str| Proxy::of(site.eu(20).ip(), gate(&site)).ask(method, target, &[]).code;
    for target in ["/", "/rtc/v1", "/decide/", "/decide?apache", "/decide?nginx&nginx", "/decide?region=us", "/metrics"] {
        assert_eq!(ask("GET", target), 403, "{target}");
    }
    assert_eq!(ask("POST", "/settings/regions"), 405);
    assert_eq!(daemon.metrics().sum("ringfence_verdicts_total", &[("verdict", "accept")]), 0);
}

#[test]
fn a_reload_changes_what_is_decided_and_where() {
    let site = Site::claim();
    let mut with = plan(&site);
    let mut daemon = Daemon::start(&site, &with);
    let mut proxy = Proxy::of(site.eu(20).ip(), gate(&site));
    assert_eq!(proxy.decide(&rtc("APIother")).code, 403);
    with.projects = with.projects.replace("[project.other]\npin = [\"us\"]", "[project.other]\npin = [\"us\", \"eu\"]");
    daemon.reload(&site, &with.text(&site));
    assert_eq!(proxy.decide(&rtc("APIother")).code, 200, "on the connection that was open");
    // It moves, and what was open goes on to its end.
    let moved = SocketAddr::new(gate(&site).ip(), 9101);
    with.more = with.more.replace(&gate(&site).to_string(), &moved.to_string());
    daemon.reload(&site, &with.text(&site));
    assert_eq!(Proxy::of(site.eu(20).ip(), moved).decide(&rtc("APIacme")).code, 200);
    assert!(TcpStream::connect(gate(&site)).is_err(), "nobody listens there any more");
    let table = format!("[gate]\nlisten = \"{moved}\"\nconnections = 32\n");
    let without = with.more.replace(&table, "");
    let before = std::mem::replace(&mut with.more, without);
    daemon.reload(&site, &with.text(&site));
    assert!(TcpStream::connect(moved).is_err());
    with.more = before;
    daemon.reload(&site, &with.text(&site));
    assert_eq!(Proxy::of(site.eu(20).ip(), moved).decide(&rtc("APIacme")).code, 200);
    daemon.must_run();
}

#[test]
fn while_the_daemon_drains_clients_are_told_to_come_again() {
    let site = Site::claim();
    let mut with = plan(&site);
    with.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\ndrain = \"20s\"\n");
    let mut daemon = Daemon::start(&site, &with);
    let mut proxy = Proxy::of(site.eu(20).ip(), gate(&site));
    assert_eq!(proxy.decide(&rtc("APIacme")).code, 200);
    // A call that rings keeps the daemon from its end.
    let mut caller = Leg::udp(site.carrier(1), site.door());
    let mut server = Leg::udp(site.eu(10), site.door());
    let ask = Ask::invite("sip:bob@acme.eu.sip.example.com", site.carrier(1), "UDP", site.carrier(2).ip());
    caller.ask(&ask);
    let invite = server.request("INVITE");
    server.send(&invite.answer("180 Ringing", "t", &[], ""));
    caller.expect(180);
    daemon.signal("TERM");
    let told = await_some("the gate says that the daemon drains", || {
        let told = proxy.decide(&rtc("APIacme"));
        (told.code != 200).then_some(told)
    });
    assert_eq!((told.code, told.get("x-ringfence")), (503, Some("161; reason=draining; region=eu")));
    assert_eq!(proxy.decide(&rtc("APIother")).code, 403, "what is final stays final");
    server.send(&invite.answer("486 Busy Here", "t", &[], ""));
    let busy = caller.expect(486);
    caller.send(&ask.ack(&busy).bytes());
    assert!(daemon.wait().success());
}

#[test]
fn connections_that_ask_nothing_keep_no_reverse_proxy_out() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &plan(&site));
    let mut proxy = Proxy::of(site.eu(20).ip(), gate(&site));
    assert_eq!(proxy.decide(&rtc("APIacme")).code, 200);
    // Nobody closes these but the gate; this end lets them go when it must have given them up.
    let mut idle = VecDeque::new();
    for at in 0..5000u32 {
        let mut stream = Proxy::of(site.eu(21).ip(), gate(&site));
        if at % 2 == 0 {
            // Half of them begin to speak, and stop.
            let _ = stream.0.get_mut().write_all(b"GET /decide HTTP/1.1\r\nX-Forwarded-Uri: /rtc");
        }
        idle.push_back(stream);
        idle.drain(..idle.len().saturating_sub(400));
        if at % 100 == 0 {
            assert_eq!(proxy.decide(&rtc("APIacme")).code, 200, "beside {at}");
            assert_eq!(Proxy::of(site.eu(22).ip(), gate(&site)).decide(&rtc("APIacme")).code, 200, "a new one beside {at}");
        }
    }
    assert_eq!(proxy.decide(&rtc("APIacme")).code, 200);
    assert!(daemon.metrics().sum("ringfence_gate_connections", &[]) <= 32);
    // From outside nobody takes a place of theirs.
    let outside: Vec<Proxy> = (0..100).map(|_| Proxy::of(site.stranger(5).ip(), gate(&site))).collect();
    assert_eq!(proxy.decide(&rtc("APIacme")).code, 200);
    drop((idle, outside));
}
