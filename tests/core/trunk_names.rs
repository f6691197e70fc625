//! The name of a trunk's `uri`: asked for when the trunk is called, with its own share of the waiting, and nobody else's matter. And what
//! names that only dialogs know serve while no name server answers.

use std::sync::Arc;
use std::time::Duration;

use ringfence::config::{NameId, NextHop, Transport};
use ringfence::core::io::{Input, Note, Outcome, Share};
use ringfence::dns::{Resolved, Server};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond};

const PSTN: &str = "acme.pstn.example.net";

/// The trunk's name is not resolved. Nothing else is: the regions' servers are addresses.
fn site() -> Site {
    let mut site = Site::usual();
    let unknown = Resolved::unknown(site.config.names.len());
    site.input(Input::Resolved(Arc::new(unknown)));
    site
}

fn pstn() -> NextHop {
    NextHop { host: PSTN.to_owned(), port: Some(5080), transport: Some(Transport::Udp), secure: false }
}

fn at(addresses: &[&str]) -> Vec<Server> {
    let addresses = addresses.iter().map(|addr| addr.parse().unwrap()).collect();
    vec![Server { rank: 0, weight: 0, transport: Some(Transport::Udp), addresses }]
}

/// A call out by the trunk.
fn out(id: &str) -> String {
    invite("carrier.acme.eu.sip.example.com", "10.1.0.20", id).replace("198.51.100.7:5060", SERVER)
}

fn went(sent: &[Sent]) -> Vec<String> {
    sent.iter().filter(|sent| sent.fenced).map(|sent| sent.to.to_string()).collect()
}

fn told(sent: &[Sent]) -> String {
    sent.last().expect("an answer").headers("Warning").join(" ")
}

fn answers(site: &mut Site, servers: Vec<Server>, failed: bool) -> Vec<Sent> {
    site.input(Input::LookedUp { next_hop: pstn(), servers, hold: Duration::from_secs(30), failed })
}

#[test]
fn the_first_call_waits_and_the_name_is_kept_while_calls_go_out() {
    let mut site = site();
    site.mute = true;
    assert!(site.from(SERVER, &out("one")).is_empty() && site.from(SERVER, &out("two")).is_empty());
    assert_eq!((&site.asked[..], site.kept.len()), (&[pstn()][..], 0), "one question");
    let sent = answers(&mut site, at(&["198.51.100.9:5080"]), false);
    assert_eq!(site.kept, [pstn()]);
    assert_eq!(went(&sent), ["198.51.100.9:5080"; 2]);
    assert_eq!(went(&site.from(SERVER, &out("three"))), ["198.51.100.9:5080"], "known by now");
    assert_eq!((site.asked.len(), site.kept.len()), (1, 1));
    // What the shell keeps counts before what was asked for once, and as long as it is called it is kept.
    let mut kept = Resolved::unknown(site.config.names.len());
    kept.set(NameId(0), at(&["198.51.100.10:5080"]));
    site.input(Input::Resolved(Arc::new(kept)));
    site.pass(Duration::from_secs(60));
    assert_eq!(went(&site.from(SERVER, &out("four"))), ["198.51.100.10:5080"]);
    assert_eq!((site.asked.len(), site.kept.len()), (1, 2));
}

#[test]
fn a_broken_name_is_refused_with_what_is_wrong_and_nobody_elses_matter() {
    for (servers, failed, says) in [
        (Vec::new(), true, "the uri of trunk carrier of acme was not found: no name server has answered"),
        (Vec::new(), false, "the uri of trunk carrier of acme resolves to nothing"),
    ] {
        let mut site = site();
        site.mute = true;
        site.from(SERVER, &out("one"));
        // Meanwhile everybody is served, and the daemon is ready.
        let ping = request("OPTIONS", "sip:acme.eu.sip.example.com", "ping");
        assert!(site.core.knows_its_names() && site.from(TRUNK, &ping)[0].line().starts_with("SIP/2.0 200"));
        assert_eq!(went(&site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "in"))).len(), 1);
        let sent = answers(&mut site, servers, failed);
        assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
        assert!(told(&sent).contains(says), "{}", told(&sent));
        // For a few seconds nobody is asked again.
        let sent = site.from(SERVER, &out("two"));
        assert!(told(&sent).contains(says) && site.asked.len() == 1);
        assert!(site.kept.is_empty(), "and it costs no question while nobody calls");
    }
}

#[test]
fn the_fence_judges_what_a_trunks_name_resolves_to() {
    let mut site = site();
    site.mute = true;
    site.from(SERVER, &out("one"));
    assert!(went(&answers(&mut site, at(&["203.0.113.9:5080"]), false)).is_empty());
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignTarget));
    assert_eq!(site.kept, [pstn()], "so that addresses outside are counted and told of");
}

#[test]
fn a_trunk_finds_no_room_beyond_its_share_and_is_told_so() {
    let mut site = site();
    site.mute = true;
    let mut sent = Vec::new();
    let waits = (0..300).take_while(|at| {
        sent = site.from(SERVER, &out(&format!("c{at}")));
        sent.is_empty()
    });
    assert_eq!(waits.count(), 192, "three quarters of the calls that may wait");
    assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
    assert!(told(&sent).contains("was not looked up"), "{}", told(&sent));
    let share = site.notes.iter().any(|note| matches!(note, Note::ShareUsedUp { share: Share::Names, .. }));
    assert!(share);
}

#[test]
fn a_reload_while_a_call_waits_decides_it_anew() {
    let uri = "uri      = \"sip:acme.pstn.example.net:5080;transport=udp\"\noutbound_networks = [\"198.51.100.0/24\"]\n";
    // The trunk goes, its name changes, or its networks do.
    let other = CONFIG.replace(PSTN, "other.example.net");
    for (text, asked, end) in [
        (CONFIG.replace(uri, ""), 1, Some(Outcome::Refused(Reason::UnknownEndpoint))),
        (other, 2, None),
        (
            CONFIG.replace("outbound_networks = [\"198.51.100.0/24\"]", "outbound_networks = [\"203.0.113.0/24\"]"),
            1,
            Some(Outcome::Refused(Reason::ForeignTarget)),
        ),
        (CONFIG.to_owned(), 1, Some(Outcome::Forwarded)),
    ] {
        let mut site = site();
        site.mute = true;
        site.from(SERVER, &out("one"));
        let config = ringfence::config::parse("new.toml".as_ref(), &text).unwrap();
        let unknown = Resolved::unknown(config.names.len());
        assert!(site.reload_with(config, unknown).is_empty());
        let before = site.handled.len();
        answers(&mut site, at(&["198.51.100.9:5080"]), false);
        assert_eq!((site.asked.len(), site.handled.get(before).map(|(_, outcome)| *outcome)), (asked, end), "{text}");
        // Whatever still waits ends with the daemon.
        site.input(Input::EndWaiting);
        assert_eq!(site.core.transactions(), usize::from(end == Some(Outcome::Forwarded)));
    }
}

#[test]
fn a_call_that_waits_outlives_the_beginning_of_a_drain() {
    let mut site = site();
    site.mute = true;
    site.from(SERVER, &out("one"));
    site.input(Input::Drain { successor: false });
    assert_eq!(site.core.transactions(), 1, "the drain waits for it");
    assert_eq!(went(&answers(&mut site, at(&["198.51.100.9:5080"]), false)), ["198.51.100.9:5080"]);
}

/// An established call: the Record-Route.
fn call(site: &mut Site) -> String {
    let seen = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    seen.header("Record-Route").unwrap()
}

/// A request of the server inside that call.
fn inside(method: &str, uri: &str, route: &str, cseq: u32) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:+4930123@acme.eu.sip.example.com>;tag=u\r\nTo: <sip:+49891@trunk.example.net>;tag=fone\r\n\
         Call-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

#[test]
fn what_a_dialogs_name_was_serves_while_nobody_answers() {
    let mut site = Site::usual();
    site.zone.insert("pbx_1.example.net", at(&["198.51.100.8:5060"]));
    let route = call(&mut site);
    let info = |cseq| inside("INFO", "sip:trunk@pbx_1.example.net", &route, cseq);
    assert_eq!(went(&site.from(SERVER, &info(2))), ["198.51.100.8:5060"]);
    site.dns_down = true;
    site.zone.clear();
    site.pass(Duration::from_secs(31));
    assert_eq!(went(&site.from(SERVER, &info(3))), ["198.51.100.8:5060"], "nobody answered: as it was");
    assert_eq!(went(&site.from(SERVER, &info(4))), ["198.51.100.8:5060"]);
    assert_eq!(site.asked.len(), 2, "and no message after it waits for that");
    // An answer that does not come is not waited for either, if something was known.
    site.mute = true;
    site.pass(Duration::from_secs(6));
    assert!(site.from(SERVER, &info(5)).is_empty());
    let next_hop = site.asked[2].clone();
    assert_eq!(went(&site.input(Input::LookUpTakesLong { next_hop: next_hop.clone() })), ["198.51.100.8:5060"]);
    assert_eq!(went(&site.from(SERVER, &info(6))), ["198.51.100.8:5060"]);
    // The same look-up is still under way: a second one is not begun, however long it takes.
    site.pass(Duration::from_secs(6));
    assert!(site.from(SERVER, &info(7)).is_empty());
    assert_eq!(site.asked.len(), 3);
    let sent = site.input(Input::LookedUp {
        next_hop,
        servers: at(&["198.51.100.9:5060"]),
        hold: Duration::from_secs(30),
        failed: false,
    });
    assert_eq!(went(&sent), ["198.51.100.9:5060"], "what it is now");
    // After `[dns] stale` there is nothing left.
    site.mute = false;
    site.pass(Duration::from_secs(3600 + 31));
    let sent = site.from(SERVER, &info(8));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
    assert!(told(&sent).contains("no name server has answered"), "{}", told(&sent));
}

#[test]
fn what_the_domain_said_is_better_than_a_guess() {
    let mut site = Site::usual();
    site.zone.insert("pbx.example.net", at(&["198.51.100.8:5070"]));
    let route = call(&mut site);
    let info = |cseq| inside("INFO", "sip:trunk@pbx.example.net", &route, cseq);
    assert_eq!(went(&site.from(SERVER, &info(2))), ["198.51.100.8:5070"]);
    // Its SRV records cannot be asked for any more, but it has an address of its own.
    (site.dns_down, site.zone) = (true, [("pbx.example.net", at(&["198.51.100.9:5060"]))].into());
    site.pass(Duration::from_secs(31));
    assert_eq!(went(&site.from(SERVER, &info(3))), ["198.51.100.8:5070"]);
    site.pass(Duration::from_secs(3600 + 31));
    assert_eq!(went(&site.from(SERVER, &info(4))), ["198.51.100.9:5060"], "there is nothing better any more");
    // Of two guesses the later one counts: the host has moved.
    site.zone.insert("pbx.example.net", at(&["198.51.100.10:5060"]));
    site.pass(Duration::from_secs(61));
    assert_eq!(went(&site.from(SERVER, &info(5))), ["198.51.100.10:5060"]);
}

#[test]
fn that_there_is_no_such_name_is_an_answer() {
    let mut site = Site::usual();
    site.zone.insert("pbx.example.net", at(&["198.51.100.8:5060"]));
    let route = call(&mut site);
    let info = |cseq| inside("INFO", "sip:trunk@pbx.example.net", &route, cseq);
    assert_eq!(went(&site.from(SERVER, &info(2))), ["198.51.100.8:5060"]);
    site.zone.clear();
    site.pass(Duration::from_secs(31));
    let sent = site.from(SERVER, &info(3));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
    assert!(told(&sent).contains("next hop pbx.example.net resolves to nothing"), "{}", told(&sent));
}

#[test]
fn what_nobody_was_asked_for_does_not_resolve_to_nothing() {
    let mut site = Site::usual();
    let route = call(&mut site);
    for (uri, says) in [
        ("sip:x@1.2.3", "next hop 1.2.3 is no host name"),
        ("sip:x@pbx.example.net;transport=ws", "has a transport that is not supported"),
        ("tel:+49301", "has no host"),
    ] {
        let sent = site.from(SERVER, &inside("BYE", uri, &route, 5));
        assert!(matches!(site.outcome(), Outcome::Refused(Reason::NoTarget) | Outcome::Malformed(_)), "{uri}");
        let told = sent.last().expect("an answer").text();
        assert!(told.contains(says) || told.contains("SIP/2.0 400"), "{uri}: {told}");
    }
    assert!(site.asked.is_empty());
    // What container networks make of names is asked for.
    for (at, host) in ["lk_1.eu.internal", "pod-.eu.internal", "-gw.eu.internal"].into_iter().enumerate() {
        site.from(SERVER, &inside("BYE", &format!("sip:x@{host}"), &route, 10 + u32::try_from(at).unwrap()));
        assert_eq!(site.asked.last().map(|asked| asked.host.as_str()), Some(host));
    }
}
