//! Several gateways of one trunk: each attempt carries its own gateway's Request-URI, the next one is tried before the call rings and never
//! after, and the caller is told the best answer.

use std::sync::Arc;
use std::time::Duration;

use ringfence::config::{NameId, NextHop};
use ringfence::core::io::{Input, Outcome};
use ringfence::dns::{Resolved, Server};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, invite, respond, with_sdp};

const OUT: &str = "carrier.acme.eu.sip.example.com";
const FIRST: &str = "198.51.100.9:5080";
const SECOND: &str = "198.51.100.10:5060";
const TWO: &str = "[\"sip:198.51.100.9:5080;user=phone\", \"sip:198.51.100.10;tgrp=x\"]";

fn with(uris: &str, keys: &str) -> Site {
    let text = CONFIG.replace("\"sip:acme.pstn.example.net:5080;transport=udp\"", uris);
    Site::new(
        &text.replace("outbound_networks = [\"198.51.100.0/24\"]", &format!("outbound_networks = [\"198.51.100.0/24\"]\n{keys}")),
    )
}

fn call(id: &str) -> String {
    let text = invite(OUT, "10.1.0.5", id).replace("198.51.100.7:5060", SERVER);
    text.replacen(&format!("sip:+4930123@{OUT}"), &format!("sip:+4930123;npdi@{OUT};cause=302;tgrp=own"), 1)
}

/// What goes to a gateway.
fn to<'s>(sent: &'s [Sent], gateway: &str) -> Option<&'s Sent> {
    sent.iter().find(|sent| sent.fenced && sent.to.to_string() == gateway && sent.line().starts_with("INVITE"))
}

/// The final answer to the server.
fn answer(sent: &[Sent]) -> Option<String> {
    let last = sent.iter().rev().find(|sent| !sent.fenced && sent.line().starts_with("SIP/2.0"));
    last.map(Sent::line).filter(|line| !line.starts_with("SIP/2.0 1"))
}

#[test]
fn each_attempt_carries_its_own_gateways_request_uri() {
    let mut site = with(TWO, "");
    let sent = site.from(SERVER, &call("one"));
    let first = to(&sent, FIRST).unwrap();
    assert_eq!(first.line(), "INVITE sip:+4930123;npdi@198.51.100.9:5080;user=phone;cause=302;tgrp=own SIP/2.0");
    let sent = site.from(FIRST, &respond(first, 503, "a", ""));
    let second = to(&sent, SECOND).unwrap();
    // Where both have a parameter, the gateway's counts.
    assert_eq!(second.line(), "INVITE sip:+4930123;npdi@198.51.100.10;tgrp=x;cause=302 SIP/2.0");
    assert_eq!(second.headers("Record-Route").len(), 1);
    assert_ne!(first.header("Via"), second.header("Via"));
    for name in ["From", "To", "Call-ID", "CSeq", "Contact", "X-Ringfence", "Max-Forwards"] {
        assert_eq!(first.header(name), second.header(name), "{name}");
    }
    let (first_text, second_text) = (first.text(), second.text());
    let body = |text: &str| text.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&first_text), body(&second_text));
    // The ACK of the second's refusal and a CANCEL name what the second was asked.
    let second = second.clone();
    let sent = site.from(SECOND, &respond(&second, 486, "b", ""));
    let ack = sent.iter().find(|sent| sent.line().starts_with("ACK")).unwrap();
    assert_eq!(
        (ack.line(), ack.to),
        ("ACK sip:+4930123;npdi@198.51.100.10;tgrp=x;cause=302 SIP/2.0".to_owned(), SECOND.parse().unwrap())
    );
    assert_eq!(answer(&sent).as_deref(), Some("SIP/2.0 486 Phrase"));
}

#[test]
fn silence_and_a_lost_gateway_lead_to_the_next_one() {
    let mut site = with(TWO, "");
    site.from(SERVER, &call("one"));
    let sent = site.pass(Duration::from_secs(10));
    let second = to(&sent, SECOND).unwrap_or_else(|| panic!("{sent:#?}")).clone();
    let sent = site.from(SECOND, &respond(&second, 200, "b", "Contact: <sip:b@198.51.100.10>\r\n"));
    assert_eq!(answer(&sent).as_deref(), Some("SIP/2.0 200 Phrase"));
}

#[test]
fn advance_says_which_answers_lead_to_the_next_one() {
    for (keys, codes, told) in [
        // Only 503, if nothing is said.
        ("", &[500][..], "SIP/2.0 500 Phrase"),
        ("advance = [408, 500, 502, 504]", &[500, 486], "SIP/2.0 486 Phrase"),
        ("advance = [408, 500, 502, 504]", &[404], "SIP/2.0 404 Phrase"),
        // What the callee's side says counts more than what a gateway could not do.
        ("advance = [404, 500]", &[404, 500], "SIP/2.0 404 Phrase"),
        ("advance = [404, 500]", &[500, 404], "SIP/2.0 404 Phrase"),
        ("advance = [500]", &[500, 503], "SIP/2.0 500 Phrase"),
        ("advance = [500]", &[500, 407], "SIP/2.0 407 Phrase"),
        // A challenge can be answered, and a timeout says nothing (RFC 3261 16.7 step 6).
        ("advance = [408]", &[408, 407], "SIP/2.0 407 Phrase"),
        ("advance = [404]", &[404, 401], "SIP/2.0 401 Phrase"),
        ("advance = [408]", &[408, 486], "SIP/2.0 486 Phrase"),
        ("advance = [500]", &[503, 503], "SIP/2.0 503 Gateways Of Trunk Unavailable"),
        ("advance = [500]", &[500, 603], "SIP/2.0 603 Phrase"),
        ("advance = [500]", &[500, 200], "SIP/2.0 200 Phrase"),
    ] {
        let mut site = with(TWO, keys);
        let mut sent = site.from(SERVER, &call("one"));
        for (at, (&code, gateway)) in codes.iter().zip([FIRST, SECOND]).enumerate() {
            let asked = to(&sent, gateway).unwrap_or_else(|| panic!("{keys} {codes:?} {at}: {sent:#?}")).clone();
            sent = site.from(gateway, &respond(&asked, code, "g", "Contact: <sip:g@198.51.100.10>\r\n"));
        }
        let said = answer(&sent).unwrap_or_else(|| panic!("{keys} {codes:?}: {sent:#?}"));
        assert!(said.starts_with(&told[..11]), "{keys} {codes:?}: {said}");
        if told.contains("Phrase") {
            assert_eq!(said, told, "{keys} {codes:?}");
        }
        assert!(to(&sent, FIRST).is_none() && to(&sent, SECOND).is_none(), "no third attempt");
    }
}

#[test]
fn silence_behind_a_kept_answer_tells_that_answer() {
    let mut site = with(TWO, "advance = [500]");
    let sent = site.from(SERVER, &call("one"));
    let first = to(&sent, FIRST).unwrap().clone();
    let sent = site.from(FIRST, &respond(&first, 500, "a", ""));
    assert!(to(&sent, SECOND).is_some());
    let sent = site.pass(Duration::from_secs(40));
    assert_eq!(answer(&sent).as_deref(), Some("SIP/2.0 500 Phrase"));
}

#[test]
fn a_call_that_has_rung_goes_nowhere_else() {
    for code in [500, 503] {
        let mut site = with(TWO, "advance = [500]");
        let sent = site.from(SERVER, &call("one"));
        let first = to(&sent, FIRST).unwrap().clone();
        let ringing = site.from(FIRST, &respond(&first, 180, "a", ""));
        assert!(ringing.iter().any(|sent| sent.line().starts_with("SIP/2.0 180")));
        let sent = site.from(FIRST, &respond(&first, code, "a", ""));
        assert!(to(&sent, SECOND).is_none(), "{sent:#?}");
        assert!(answer(&sent).is_some_and(|line| line.starts_with(&format!("SIP/2.0 {code}"))), "{sent:#?}");
    }
}

#[test]
fn a_cancelled_call_goes_nowhere_else() {
    let mut site = with(TWO, "advance = [500]");
    let text = call("one");
    let sent = site.from(SERVER, &text);
    let first = to(&sent, FIRST).unwrap().clone();
    site.from(FIRST, &respond(&first, 100, "a", ""));
    let cancel = text.replacen("INVITE", "CANCEL", 1).replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL");
    let cancel =
        cancel.split_once("Content-Type").map_or_else(|| cancel.clone(), |(head, _)| format!("{head}Content-Length: 0\r\n\r\n"));
    site.from(SERVER, &cancel);
    let sent = site.from(FIRST, &respond(&first, 500, "a", ""));
    assert!(to(&sent, SECOND).is_none(), "{sent:#?}");
    assert!(answer(&sent).is_some());
}

#[test]
fn gateways_outside_are_never_tried() {
    let mut site = with("[\"sip:one.example.net\", \"sip:two.example.net\"]", "");
    let mut known = Resolved::unknown(site.config.names.len());
    let server = |addr: &str| vec![Server { rank: 0, weight: 0, transport: None, addresses: vec![addr.parse().unwrap()] }];
    known.set(NameId(0), server("203.0.113.66:5060"));
    known.set(NameId(1), server(SECOND));
    site.input(Input::Resolved(Arc::new(known)));
    let sent = site.from(SERVER, &call("one"));
    let second = to(&sent, SECOND).unwrap();
    assert_eq!(second.line(), "INVITE sip:+4930123;npdi@two.example.net;cause=302;tgrp=own SIP/2.0");
    let second = second.clone();
    let sent = site.from(SECOND, &respond(&second, 503, "b", ""));
    assert!(answer(&sent).is_some_and(|line| line.starts_with("SIP/2.0 503")), "{sent:#?}");
    assert!(site.log.iter().all(|sent| sent.to.to_string() != "203.0.113.66:5060"));
    assert_eq!(site.outcome(), Outcome::Absorbed);
}

#[test]
fn the_first_call_waits_for_all_names_so_that_it_can_go_on() {
    let hop = |host: &str| NextHop { host: host.to_owned(), port: None, transport: None, secure: false };
    let mut site = with("[\"sip:one.example.net\", \"sip:two.example.net\"]", "");
    site.mute = true;
    let unknown = Resolved::unknown(site.config.names.len());
    site.input(Input::Resolved(Arc::new(unknown)));
    assert!(site.from(SERVER, &call("one")).is_empty());
    assert_eq!(site.asked, [hop("one.example.net")]);
    assert_eq!(site.kept, [hop("two.example.net")], "both are looked up at once");
    let server = |addr: &str| vec![Server { rank: 0, weight: 0, transport: None, addresses: vec![addr.parse().unwrap()] }];
    let hold = Duration::from_secs(30);
    let looked = |host: &str, servers| Input::LookedUp { next_hop: hop(host), servers, hold, failed: false };
    assert!(site.input(looked("one.example.net", server("198.51.100.9:5060"))).is_empty());
    assert_eq!(site.asked, [hop("one.example.net"), hop("two.example.net")]);
    let sent = site.input(looked("two.example.net", server(SECOND)));
    let first = to(&sent, "198.51.100.9:5060").unwrap_or_else(|| panic!("{sent:#?}")).clone();
    let sent = site.from("198.51.100.9:5060", &respond(&first, 503, "a", ""));
    assert!(to(&sent, SECOND).is_some(), "{sent:#?}");
    // Nobody answers for the second: the call goes by the first.
    let mut site = with("[\"sip:one.example.net\", \"sip:two.example.net\"]", "");
    site.mute = true;
    site.input(Input::Resolved(Arc::new(Resolved::unknown(site.config.names.len()))));
    site.from(SERVER, &call("one"));
    site.input(looked("one.example.net", server("198.51.100.9:5060")));
    let sent = site.input(Input::LookedUp { next_hop: hop("two.example.net"), servers: Vec::new(), hold, failed: true });
    assert!(to(&sent, "198.51.100.9:5060").is_some(), "{sent:#?}");
    // If the first has none, the second is waited for.
    let mut site = with("[\"sip:one.example.net\", \"sip:two.example.net\"]", "");
    site.mute = true;
    let unknown = Resolved::unknown(site.config.names.len());
    site.input(Input::Resolved(Arc::new(unknown)));
    site.from(SERVER, &call("one"));
    site.input(Input::LookedUp { next_hop: hop("one.example.net"), servers: Vec::new(), hold, failed: false });
    assert_eq!(site.asked, [hop("one.example.net"), hop("two.example.net")]);
    let servers = vec![Server { rank: 0, weight: 0, transport: None, addresses: vec![SECOND.parse().unwrap()] }];
    let sent = site.input(Input::LookedUp { next_hop: hop("two.example.net"), servers, hold, failed: false });
    assert!(to(&sent, SECOND).is_some(), "{sent:#?}");
    // Neither has one.
    let mut site = with("[\"sip:one.example.net\", \"sip:two.example.net\"]", "");
    site.mute = true;
    site.input(Input::Resolved(Arc::new(Resolved::unknown(site.config.names.len()))));
    site.from(SERVER, &call("one"));
    for host in ["one.example.net", "two.example.net"] {
        site.input(Input::LookedUp { next_hop: hop(host), servers: Vec::new(), hold, failed: false });
    }
    assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
}

#[test]
fn with_credentials_the_call_goes_to_the_gateway_that_wants_them() {
    for code in [401, 407] {
        let mut site = with(TWO, "advance = [500]");
        let text = call("one");
        let sent = site.from(SERVER, &text);
        let first = to(&sent, FIRST).unwrap().clone();
        let sent = site.from(FIRST, &respond(&first, 500, "a", ""));
        let second = to(&sent, SECOND).unwrap().clone();
        let sent = site.from(SECOND, &respond(&second, code, "b", ""));
        assert_eq!(answer(&sent).as_deref(), Some(format!("SIP/2.0 {code} Phrase").as_str()));
        let again = text.replacen("CSeq: 1", "CSeq: 2", 1).replace("z9hG4bKone", "z9hG4bKtwo");
        let sent = site.from(SERVER, &again);
        let second = to(&sent, SECOND).unwrap_or_else(|| panic!("{sent:#?}"));
        assert!(second.line().contains("@198.51.100.10;tgrp=x"), "{}", second.line());
        // Another call goes where it goes.
        let sent = site.from(SERVER, &call("other"));
        assert!(to(&sent, FIRST).is_some());
    }
}

#[test]
fn with_credentials_it_goes_there_too_if_the_first_gateway_was_down_at_first() {
    let mut site = with(TWO, "");
    let sent = site.from(SERVER, &call("one"));
    let down = to(&sent, FIRST).unwrap().clone();
    site.from(FIRST, &respond(&down, 503, "a", "Retry-After: 1\r\n"));
    let text = call("two");
    let sent = site.from(SERVER, &text);
    let second = to(&sent, SECOND).unwrap_or_else(|| panic!("{sent:#?}")).clone();
    let sent = site.from(SECOND, &respond(&second, 407, "b", ""));
    assert_eq!(answer(&sent).as_deref(), Some("SIP/2.0 407 Phrase"));
    // The first is up again, and serves others.
    site.pass(Duration::from_secs(20));
    let sent = site.from(SERVER, &call("three"));
    let up = to(&sent, FIRST).unwrap_or_else(|| panic!("{sent:#?}")).clone();
    site.from(FIRST, &respond(&up, 486, "a", ""));
    let again = text.replacen("CSeq: 1", "CSeq: 2", 1).replace("z9hG4bKtwo", "z9hG4bKagain");
    let sent = site.from(SERVER, &again);
    assert!(to(&sent, SECOND).is_some(), "{sent:#?}");
}

#[test]
fn a_cancelled_call_is_told_so_whatever_a_gateway_said_before() {
    let mut site = with(TWO, "advance = [408]");
    let text = call("one");
    let sent = site.from(SERVER, &text);
    let first = to(&sent, FIRST).unwrap().clone();
    let sent = site.from(FIRST, &respond(&first, 408, "a", ""));
    let second = to(&sent, SECOND).unwrap().clone();
    site.from(SECOND, &respond(&second, 180, "b", ""));
    let cancel = text.replacen("INVITE", "CANCEL", 1).replace("CSeq: 1 INVITE", "CSeq: 1 CANCEL");
    let (head, _) = cancel.split_once("Content-Type").unwrap();
    site.from(SERVER, &format!("{head}Content-Length: 0\r\n\r\n"));
    let sent = site.from(SECOND, &respond(&second, 487, "b", ""));
    assert_eq!(answer(&sent).as_deref(), Some("SIP/2.0 487 Phrase"));
}

#[test]
fn what_rings_with_media_outside_rings_all_the_same() {
    let mut site = with(TWO, "advance = [500]");
    let sent = site.from(SERVER, &call("one"));
    let first = to(&sent, FIRST).unwrap().clone();
    let early = with_sdp(&respond(&first, 183, "a", ""), "192.0.2.66");
    assert!(site.from(FIRST, &early).iter().all(|sent| !sent.line().contains(" 183 ")), "it is dropped");
    let sent = site.from(FIRST, &respond(&first, 500, "a", ""));
    assert!(to(&sent, SECOND).is_none(), "{sent:#?}");
}

#[test]
fn a_reload_keeps_each_gateways_own_request_uri() {
    let keys = "advance = [500]";
    let text = |uris: &str| {
        CONFIG
            .replace("\"sip:acme.pstn.example.net:5080;transport=udp\"", uris)
            .replace("outbound_networks = [\"198.51.100.0/24\"]", &format!("outbound_networks = [\"198.51.100.0/24\"]\n{keys}"))
    };
    let swapped = "[\"sip:198.51.100.10;tgrp=x\", \"sip:198.51.100.9:5080;user=phone\"]";
    for (after, expected) in [
        (swapped, Some("INVITE sip:+4930123;npdi@198.51.100.10;tgrp=x;cause=302 SIP/2.0")),
        // It is gone, though its address is still inside.
        ("\"sip:198.51.100.9:5080;user=phone\"", None),
    ] {
        let mut site = with(TWO, keys);
        let sent = site.from(SERVER, &call("one"));
        let first = to(&sent, FIRST).unwrap().clone();
        site.reload(&text(after));
        let sent = site.from(FIRST, &respond(&first, 500, "a", ""));
        assert_eq!(to(&sent, SECOND).map(Sent::line).as_deref(), expected, "{after}");
    }
}

#[test]
fn a_call_that_rings_goes_nowhere_else_if_a_reload_takes_its_gateway_away() {
    let mut site = with(TWO, "");
    let sent = site.from(SERVER, &call("one"));
    let first = to(&sent, FIRST).unwrap().clone();
    site.from(FIRST, &respond(&first, 180, "a", ""));
    let text = CONFIG
        .replace("\"sip:acme.pstn.example.net:5080;transport=udp\"", "\"sip:198.51.100.10;tgrp=x\"")
        .replace("outbound_networks = [\"198.51.100.0/24\"]", "outbound_networks = [\"198.51.100.10/32\"]");
    let sent = site.reload(&text);
    assert!(to(&sent, SECOND).is_none(), "{sent:#?}");
    assert!(answer(&sent).is_some_and(|line| line.starts_with("SIP/2.0 503 ")), "{sent:#?}");
}
