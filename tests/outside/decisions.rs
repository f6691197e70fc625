//! The decision log as an operator greps it.

use serde_json::Value;

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

/// The lines about a call, as they are found by its Call-ID.
fn lines(daemon: &Daemon, call_id: &str, count: usize) -> Vec<Value> {
    await_some("the lines of a call", || {
        let log = daemon.log();
        let lines: Vec<Value> = log
            .split_inclusive('\n')
            // The last one may still be written.
            .filter(|line| line.ends_with('\n'))
            .map(|line| serde_json::from_str::<Value>(line).unwrap_or_else(|error| panic!("{error}: {line}")))
            .filter(|line| line["target"] == "ringfence::decision" && line["call_id"] == call_id)
            .collect();
        (lines.len() == count).then_some(lines)
    })
}

fn invite(site: &Site, caller: &Leg, host: &str) -> Ask {
    Ask::invite(&format!("sip:+4930222@{host}.sip.example.com"), caller.addr, "udp", site.carrier(20).ip())
}

#[test]
fn a_refusal_is_one_line_without_the_number() {
    let site = Site::claim();
    let daemon = Daemon::start_logging(&site, &Plan::new(&site), "info");
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let refused = invite(&site, &caller, "acme.us");
    caller.ask(&refused);
    caller.expect(603);
    let line = lines(&daemon, &refused.call_id, 1).remove(0);
    for (key, value) in [
        ("level", "INFO"),
        ("verdict", "refuse"),
        ("reason", "foreign-endpoint"),
        ("region", "eu"),
        ("source", &site.carrier(20).to_string()),
        ("method", "INVITE"),
        ("from", "sip:+493…@carrier.example.net"),
        ("uri", "sip:+493…@acme.us.sip.example.com"),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert_eq!((&line["id"], &line["code"], &line["left_out"]), (&110.into(), &603.into(), &0.into()), "{line}");
    assert_eq!(line["transport"], "udp", "{line}");
    assert_eq!(line["why"], "Request-URI host acme.us.sip.example.com is an endpoint of region us, not eu", "{line}");
    assert!(!daemon.log().contains("4930222") && !daemon.log().contains("4930111"), "{}", daemon.log());
}

#[test]
fn accepted_calls_are_shown_to_whoever_asks_and_so_is_what_a_timer_decides() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"sip:{};transport=udp\"", site.eu(10));
    plan.more.push_str("[timers]\nt1 = \"10ms\"\n[log]\nnumbers = \"plain\"\n");
    let daemon = Daemon::start_logging(&site, &plan, "info,ringfence::decision=debug");
    // Bound, and silent.
    let _server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = invite(&site, &caller, "acme.eu");
    caller.ask(&ask);
    let down = caller.expect(503);
    caller.ask(&ask.ack(&down));
    let lines = lines(&daemon, &ask.call_id, 2);
    let (accepted, refused) = (&lines[0], &lines[1]);
    let server = format!("udp:{}", site.eu(10));
    assert_eq!((&accepted["verdict"], &accepted["sent_to"]), (&"accept".into(), &server.into()), "{accepted}");
    assert_eq!((&accepted["project"], &accepted["trunk"]), (&"acme".into(), &"carrier".into()), "{accepted}");
    assert_eq!(accepted["uri"], "sip:+4930222@acme.eu.sip.example.com", "numbers were asked for");
    assert_eq!(accepted.get("why"), None, "{accepted}");
    assert_eq!(refused["why"], "every server of the region failed or timed out", "{refused}");
    assert_eq!((&refused["reason"], &refused["code"]), (&"targets-down".into(), &503.into()), "{refused}");
    assert_eq!((&refused["source"], &refused["method"]), (&site.carrier(20).to_string().into(), &"INVITE".into()), "{refused}");
}

#[test]
fn nothing_from_the_wire_breaks_a_line_and_strangers_write_few() {
    let site = Site::claim();
    let daemon = Daemon::start_logging(&site, &Plan::new(&site), "debug");
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut evil = invite(&site, &caller, "acme.us");
    evil.call_id = "\"\\u001b[2J\u{202e}\u{9b}\"%0a{}".to_owned();
    evil.from = "\"\u{1f4a3}\\\"\" <sip:+49\u{7f}30111@x\"y>;tag=1".to_owned();
    evil.uri = "sip:+4930222;x=\"{}\"@acme.us.sip.example.com".to_owned();
    caller.ask(&evil);
    let answered = caller.response();
    let mut stranger = Leg::udp(site.stranger(66), site.door());
    for _ in 0..20 {
        let ask = invite(&site, &stranger, "acme.eu");
        stranger.ask(&ask);
        stranger.expect(403);
    }
    daemon.metrics();
    let log = await_some("the flood's lines", || Some(daemon.log()).filter(|log| log.contains("unknown-source")));
    let harmless = |c: char| c == '\n' || c == '…' || (' '..='~').contains(&c);
    assert!(log.chars().all(harmless), "{:?} was answered {}", log.chars().find(|&c| !harmless(c)), answered.start);
    for line in log.lines() {
        let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        assert!(line["message"].is_string() || line["target"].is_string(), "{line}");
    }
    let strangers = log.matches("unknown-source").count();
    assert!((1..20).contains(&strangers), "{strangers} lines of 20");
}

#[test]
fn a_caller_that_no_server_can_reach_is_warned_of() {
    let site = Site::claim();
    let daemon = Daemon::start_logging(&site, &Plan::new(&site), "info");
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut ask = invite(&site, &caller, "acme.eu");
    ask.rows[0] = "Contact: <sip:pbx@203.0.113.9:5062>".into();
    caller.ask(&ask);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let answer = caller.expect(486);
    caller.ask(&ask.ack(&answer));
    let line = lines(&daemon, &ask.call_id, 1).remove(0);
    assert_eq!(
        (&line["level"], &line["verdict"], &line["message"]),
        (&"WARN".into(), &"accept".into(), &"decided".into()),
        "{line}"
    );
    let why = line["why"].as_str().unwrap();
    assert!(why.starts_with("no request of a server can reach the caller") && why.contains("203.0.113.9:5062"), "{line}");
}

#[test]
fn no_filter_shows_a_number_and_the_configuration_does() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start_logging(&site, &plan, "trace,ringfence::numbers=debug");
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut refuse = || {
        let refused = invite(&site, &caller, "acme.us");
        caller.ask(&refused);
        caller.expect(603);
        lines(&daemon, &refused.call_id, 1).remove(0)
    };
    assert_eq!(refuse()["uri"], "sip:+493…@acme.us.sip.example.com");
    let plain = plan.text(&site) + "[log]\nnumbers = \"plain\"\n";
    daemon.reload(&site, &plain);
    assert_eq!(refuse()["uri"], "sip:+4930222@acme.us.sip.example.com");
    daemon.reload(&site, &plan.text(&site));
    assert_eq!(refuse()["uri"], "sip:+493…@acme.us.sip.example.com");
}

#[test]
fn an_answer_outside_is_one_line_with_why() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = invite(&site, &caller, "acme.eu");
    caller.ask(&ask);
    let seen = server.request("INVITE");
    let outside = site.us(20).ip();
    let contact = format!("Contact: <sip:{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(outside)));
    let refused = caller.expect(603);
    caller.ask(&ask.ack(&refused));
    let line = lines(&daemon, &ask.call_id, 1).remove(0);
    let why = format!("SDP c= address {outside} is outside");
    assert_eq!((&line["id"], &line["why"]), (&141.into(), &why.clone().into()), "{line}");
    assert!(refused.get("Warning").ends_with(&format!(" \"{why}\"")), "{}", refused.get("Warning"));
    assert_eq!((&line["source"], &line["method"]), (&site.carrier(20).to_string().into(), &"INVITE".into()), "{line}");
}

#[test]
fn a_stranger_is_told_nothing_and_the_log_says_why() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut stranger = Leg::udp(site.stranger(66), site.door());
    let ask = invite(&site, &stranger, "acme.eu");
    stranger.ask(&ask);
    let answer = stranger.expect(403);
    assert!(["Warning", "Reason", "X-Ringfence"].iter().all(|name| answer.all(name).is_empty()), "{}", answer.start);
    let line = lines(&daemon, &ask.call_id, 1).remove(0);
    let ip = site.stranger(66).ip();
    assert_eq!((&line["id"], &line["why"]), (&120.into(), &format!("source {ip} is no trunk and no server of region eu").into()));
}

#[test]
fn a_name_that_nobody_resolves_is_named_with_what_dns_says() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = "\"sip:lk.eu.internal;transport=udp\"".into();
    // Bound, and no name server.
    let silent = std::net::UdpSocket::bind((site.eu(53).ip(), 53)).unwrap();
    plan.more = format!("[dns]\nservers = [\"{}\"]\n", silent.local_addr().unwrap());
    let daemon = Daemon::launch(&site, &plan.text(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    // Before that no call has an answer to tell of, and one after the other they would fill their trunk's share of the log.
    await_some("the end of the look-up", || daemon.log().contains("does not resolve").then_some(()));
    let line = await_some("what DNS says", || {
        let ask = invite(&site, &caller, "acme.eu");
        caller.ask(&ask);
        caller.expect(503);
        let line = lines(&daemon, &ask.call_id, 1).remove(0);
        assert_eq!(line["id"], 151, "{line}");
        let why = line["why"].as_str().unwrap();
        assert!(why.starts_with("next hop lk.eu.internal was not found: "), "{line}");
        (!why.contains("no name server has answered")).then_some(line)
    });
    assert_eq!(line["why"], "next hop lk.eu.internal was not found: SRV _sip._udp.lk.eu.internal: no answer in time", "{line}");
}
