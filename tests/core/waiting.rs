//! Messages that wait for a name or a relay: no trace of them until they go on, their order, their bound, their end.

use std::time::Duration;

use ringfence::config::{NextHop, Transport};
use ringfence::core::io::{DropCause, Input, Note, Outcome, RelayReply, Unanswered};
use ringfence::dns::Server;
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond, sdp, with_sdp};

const HOST: &str = "acme.eu.sip.example.com";
const INSIDE: &str = "10.1.0.20";
const RELAYED: &str = "10.1.0.40";
const SERVERS: &str = r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#;

/// The usual site with these requests a second; `relays`: two of them, for the media of its first project.
fn site(rate: &str, relays: bool) -> Site {
    let mut text = CONFIG.replace("per_source = \"50/s\"", rate);
    if relays {
        text = text.replace(SERVERS, &[SERVERS, "\nrelay = [\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]"].concat());
        text = text.replace("pin    = [\"eu\"]", "pin    = [\"eu\"]\nmedia  = \"relay\"");
    }
    let mut site = Site::new(&text);
    site.mute = true;
    site
}

fn done() -> RelayReply {
    RelayReply::Done(Some(sdp(RELAYED).into()))
}

/// The newest question is answered.
fn takes(site: &mut Site) -> Vec<Sent> {
    let id = site.questions.last().unwrap().id;
    site.relayed(id, Ok(done()))
}

/// A call that is up: the Record-Route of its INVITE.
fn established(site: &mut Site, id: &str) -> String {
    let mut sent = site.from(TRUNK, &invite(HOST, INSIDE, id));
    if sent.is_empty() {
        sent = takes(site);
    }
    let seen = sent.remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    seen.header("Record-Route").unwrap()
}

/// A request of the server inside that call.
fn inside(method: &str, host: &str, id: &str, cseq: u32, route: &str) -> String {
    format!(
        "{method} sip:trunk@{host} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{id}{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:b@c>;tag=u\r\nTo: <sip:a@b>;tag=f{id}\r\nCall-ID: {id}@trunk\r\nCSeq: {cseq} {method}\r\nContact: <sip:b@{SERVER}>\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn next_hop(host: &str) -> NextHop {
    NextHop { host: host.to_owned(), port: None, transport: None, secure: false }
}

fn looked_up(site: &mut Site, host: &str) -> Vec<Sent> {
    let servers = vec![Server { rank: 0, weight: 0, transport: None, addresses: vec![TRUNK.parse().unwrap()] }];
    site.input(Input::LookedUp { next_hop: next_hop(host), servers, hold: Duration::from_secs(30), failed: false })
}

/// Methods and codes, in order.
fn words(sent: &[Sent]) -> Vec<String> {
    let word = |sent: &Sent| {
        let line = sent.line();
        line.strip_prefix("SIP/2.0 ").unwrap_or(&line).split(' ').next().unwrap().to_owned()
    };
    sent.iter().map(word).collect()
}

/// Each message that has waited, by its method and `CSeq`, and how it ended.
fn ends(site: &mut Site) -> Vec<(String, Outcome)> {
    let row = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).into_owned();
        text.lines().find_map(|line| line.strip_prefix("CSeq: ")).unwrap().to_owned()
    };
    std::mem::take(&mut site.handled).into_iter().map(|(bytes, outcome)| (row(&bytes.unwrap()), outcome)).collect()
}

#[test]
fn what_waits_leaves_no_trace_and_is_counted_once() {
    let mut site = site("per_source = \"2/s\"", true);
    let status = site.core.status(site.now);
    let text = invite(HOST, INSIDE, "one");
    for _ in 0..8 {
        assert!(site.from(TRUNK, &text).is_empty());
    }
    assert_eq!((site.notes.len(), site.handled.len(), site.questions.len()), (0, 0, 1));
    assert_eq!(
        (site.core.status(site.now), site.core.transactions()),
        (status, 1),
        "a drain waits for it, nothing else is there"
    );
    assert!(!site.core.is_settled());
    assert_eq!(words(&takes(&mut site))[..2], ["100", "INVITE"]);
    let absorbed = site.handled.iter().filter(|(_, outcome)| *outcome == Outcome::Absorbed).count();
    assert_eq!((site.handled.len(), absorbed), (8, 7));
    let opened = site.notes.iter().filter(|note| matches!(note, Note::Transactions { opened: true, .. })).count();
    assert_eq!((opened, site.core.transactions()), (1, 1));
    // Of its source's two a second one is left; neither going on nor a repetition has taken it.
    let outcome = |site: &mut Site, id: &str| {
        site.from(TRUNK, &request("MESSAGE", &format!("sip:x@{HOST}"), id));
        site.outcome()
    };
    assert_eq!(outcome(&mut site, "a"), Outcome::Forwarded);
    assert_eq!(outcome(&mut site, "b"), Outcome::Refused(Reason::Overloaded));
}

#[test]
fn the_order_of_a_call_is_kept_over_two_waits_in_a_row() {
    let mut site = site("per_source = \"1000000/s\"", false);
    let route = established(&mut site, "one");
    site.handled.clear();
    // The first waits for one name, the third for another; what is between and behind them waits too.
    for (cseq, host) in [(2, "a.example.net"), (3, TRUNK), (4, "b.example.net"), (5, TRUNK), (6, "a.example.net")] {
        assert!(site.from(SERVER, &inside("INFO", host, "one", cseq, &route)).is_empty());
    }
    assert_eq!(site.asked, [next_hop("a.example.net")], "only the first has asked");
    assert_eq!(words(&looked_up(&mut site, "a.example.net")), ["INFO", "INFO"]);
    assert_eq!(site.asked[1..], [next_hop("b.example.net")]);
    assert_eq!(ends(&mut site), [("2 INFO".to_owned(), Outcome::Forwarded), ("3 INFO".to_owned(), Outcome::Forwarded)]);
    // One that comes now is behind those that came before.
    assert!(site.from(SERVER, &inside("BYE", TRUNK, "one", 7, &route)).is_empty());
    assert_eq!(words(&looked_up(&mut site, "b.example.net")), ["INFO", "INFO", "INFO", "BYE"]);
    let order: Vec<_> = ends(&mut site).into_iter().map(|(row, _)| row).collect();
    assert_eq!(order, ["4 INFO", "5 INFO", "6 INFO", "7 BYE"]);
}

#[test]
fn one_message_waits_for_a_name_and_then_for_a_relay() {
    let mut site = site("per_source = \"1000000/s\"", true);
    let route = established(&mut site, "one");
    site.handled.clear();
    let asked = site.questions.len();
    let again = with_sdp(&inside("INVITE", "a.example.net", "one", 2, &route), INSIDE);
    assert!(site.from(SERVER, &again).is_empty());
    assert!(site.from(SERVER, &inside("BYE", TRUNK, "one", 3, &route)).is_empty());
    assert!(looked_up(&mut site, "a.example.net").is_empty() && site.handled.is_empty());
    assert_eq!(site.questions.len(), asked + 1);
    // The first relay refuses, the other takes it.
    let first = site.questions.last().unwrap().id;
    assert!(site.relayed(first, Ok(RelayReply::Refused)).is_empty());
    let other = site.questions.last().unwrap().id;
    assert_ne!(first.relay, other.relay);
    assert_eq!(words(&takes(&mut site)), ["100", "INVITE", "BYE"]);
    assert_eq!(ends(&mut site), [("2 INVITE".to_owned(), Outcome::Forwarded), ("3 BYE".to_owned(), Outcome::Forwarded)]);
}

#[test]
fn calls_that_wait_for_one_name_go_on_as_they_came() {
    let mut site = site("per_source = \"1000000/s\"", false);
    let routes: Vec<_> = ["one", "two", "three"].map(|id| (id, established(&mut site, id))).into();
    for (id, route) in &routes {
        assert!(site.from(SERVER, &inside("BYE", "a.example.net", id, 2, route)).is_empty());
    }
    assert_eq!(site.asked, [next_hop("a.example.net")]);
    let sent = looked_up(&mut site, "a.example.net");
    let calls: Vec<_> = sent.iter().map(|sent| sent.header("Call-ID").unwrap()).collect();
    assert_eq!(calls, ["one@trunk", "two@trunk", "three@trunk"]);
}

#[test]
fn where_there_is_no_room_it_is_decided_as_if_nothing_had_been_found() {
    let mut site = site("per_source = \"1000000/s\"", false);
    let routes: Vec<_> = (0..58).map(|id| (format!("c{id}"), established(&mut site, &format!("c{id}")))).collect();
    // One trunk, alone: not all 64.
    for (id, route) in &routes[..56] {
        assert!(site.from(SERVER, &inside("BYE", &format!("{id}.example.net"), id, 2, route)).is_empty());
    }
    let (id, route) = &routes[56];
    let sent = site.from(SERVER, &inside("BYE", "more.example.net", id, 2, route));
    assert_eq!((words(&sent), site.outcome()), (vec!["503".to_owned()], Outcome::Refused(Reason::NoTarget)));
    assert_eq!(site.asked.len(), 56);
    // For a name that is being looked up there is.
    let (id, route) = &routes[57];
    assert!(site.from(SERVER, &inside("BYE", "c0.example.net", id, 2, route)).is_empty());
    assert_eq!(words(&looked_up(&mut site, "c0.example.net")), ["BYE", "BYE"]);
    // And so there is for another now.
    let (id, route) = &routes[56];
    assert!(site.from(SERVER, &inside("BYE", "more.example.net", id, 3, route)).is_empty());

    let mut site = self::site("per_source = \"1000000/s\"", true);
    for id in 0..384 {
        assert!(site.from(TRUNK, &invite(HOST, INSIDE, &format!("c{id}"))).is_empty());
    }
    assert_eq!(words(&site.from(TRUNK, &invite(HOST, INSIDE, "more"))), ["503"]);
    assert_eq!((site.outcome(), site.questions.len()), (Outcome::Refused(Reason::TargetsDown), 384));
    for _ in 0..17 {
        site.from(TRUNK, &invite(HOST, INSIDE, "c0"));
    }
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Behind));
}

#[test]
fn the_end_of_waiting_ends_all_of_it() {
    let mut site = site("per_source = \"1000000/s\"", true);
    let route = established(&mut site, "up");
    site.handled.clear();
    let mut waiting = 3;
    site.from(SERVER, &inside("INFO", "a.example.net", "up", 2, &route));
    site.from(SERVER, &inside("INFO", "b.example.net", "up", 3, &route));
    site.from(SERVER, &inside("BYE", TRUNK, "up", 4, &route));
    for id in 0..5 {
        let text = invite(HOST, INSIDE, &format!("c{id}"));
        site.from(TRUNK, &text);
        site.from(TRUNK, &text);
        waiting += 2;
    }
    assert!(site.handled.is_empty());
    let (asked, questions) = (site.asked.len(), site.questions.clone());
    let sent = site.input(Input::EndWaiting);
    assert_eq!(site.handled.len(), waiting, "each has its end: {:?}", site.handled);
    assert_eq!(words(&sent).iter().filter(|word| *word == "503").count(), 2 + 10, "{:?}", words(&sent));
    assert!(words(&sent).contains(&"BYE".to_owned()), "what waits for nothing goes on");
    assert_eq!(site.asked.len(), asked, "nothing more is looked up");
    assert!(site.questions[questions.len()..].iter().all(|question| question.id.call.is_none()), "nor asked");
    // What comes late moves nothing, and nothing waits any more.
    for question in questions.iter().filter(|question| question.id.call.is_some()) {
        assert!(site.relayed(question.id, Ok(done())).is_empty());
    }
    assert!(looked_up(&mut site, "a.example.net").is_empty());
    assert_eq!(words(&site.from(TRUNK, &invite(HOST, INSIDE, "late"))), ["503"]);
    site.pass(Duration::from_secs(60));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn what_waits_goes_on_under_another_configuration() {
    let mut site = site("per_source = \"1000000/s\"", true);
    let text = invite(HOST, INSIDE, "one");
    site.from(TRUNK, &text);
    site.from(TRUNK, &text.replace("INVITE", "CANCEL"));
    let before = site.listener("192.0.2.1:5060", Transport::Udp);
    let question = site.questions[0].clone();
    let other = CONFIG
        .replace(SERVERS, &[SERVERS, "\nrelay = [\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]"].concat())
        .replace("pin    = [\"eu\"]", "pin    = [\"eu\"]\nmedia  = \"relay\"")
        .replace("[\"udp:192.0.2.1:5060\", ", "[\"udp:192.0.2.1:5062\", \"udp:192.0.2.1:5060\", ");
    assert!(site.reload(&other).is_empty());
    assert_ne!(site.listener("192.0.2.1:5060", Transport::Udp), before, "its listener has another number");
    let sent = site.relayed(question.id, Ok(done()));
    assert_eq!(words(&sent), ["100", "INVITE", "200"]);
    assert!(sent[1].text().contains(RELAYED) && sent[0].to == TRUNK.parse().unwrap());
    // A project that has gone meanwhile is nobody's.
    let mut site = self::site("per_source = \"1000000/s\"", true);
    site.from(TRUNK, &text);
    let question = site.questions[0].clone();
    let gone = other.replace("[project.acme]", "[project.emca]").replace("[project.acme.", "[project.emca.");
    assert!(site.reload(&gone).is_empty());
    assert_eq!(words(&site.relayed(question.id, Err(Unanswered::Silent))), ["404"]);
    assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownEndpoint));
}
