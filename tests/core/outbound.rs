//! Calls out by a trunk: what becomes of their Request-URI, which gateway they go to, and what their caller is told if it fails.

use crate::site::{SERVER, Site, TRUNK, invite, request, respond};

const GATEWAY: &str = "198.51.100.9:5080";
const OUT: &str = "carrier.acme.eu.sip.example.com";

/// A call of the server's to this Request-URI.
fn call_to(uri: &str, id: &str) -> String {
    let text = invite(OUT, "10.1.0.5", id).replace("198.51.100.7:5060", SERVER);
    text.replacen(&format!("sip:+4930123@{OUT}"), uri, 1)
}

/// The Request-URI of the call, as the gateway sees it. `hop`: the trunk's `uri`.
fn outward(hop: &str, uri: &str) -> String {
    let mut site = Site::new(&crate::site::CONFIG.replace("sip:acme.pstn.example.net:5080;transport=udp", hop));
    let sent = site.from(SERVER, &call_to(uri, "one"));
    sent.last().unwrap().line().split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn the_request_uri_keeps_user_and_parameters() {
    const HOP: &str = "sip:acme.pstn.example.net:5080;transport=udp";
    let gateway = "acme.pstn.example.net:5080;transport=udp";
    for (user, params, left) in [
        ("+353155501@", "", ""),
        ("+353155501@", ";user=phone", ";user=phone"),
        ("+353155501;npdi;rn=+353@", ";cause=302;user=phone", ";cause=302;user=phone"),
        ("+353155501:word@", ";user=phone", ";user=phone"),
        ("", ";user=phone", ";user=phone"),
        // How to reach the host that is replaced, or what no Request-URI has.
        ("1@", ";transport=tcp;user=phone", ";user=phone"),
        ("1@", ";user=phone;TRANSPORT=tls;lr;maddr=192.0.2.1;ttl=3", ";user=phone"),
        ("1@", ";%74ransport=tcp;comp=sigcomp;alias=192.0.2.9~5060~1;method=BYE;x=%20", ";x=%20"),
        ("1@", ";rf=04abc;a;b=2", ";a;b=2"),
        ("1@", ";x=\"VGhd=\"", ";x=\"VGhd=\""),
    ] {
        assert_eq!(outward(HOP, &format!("sip:{user}{OUT}{params}")), format!("sip:{user}{gateway}{left}"), "{user} {params}");
    }
    // The port is the gateway's.
    assert_eq!(outward(HOP, &format!("sip:1@{OUT}:5060;user=phone")), format!("sip:1@{gateway};user=phone"));
}

#[test]
fn a_parameter_of_the_trunk_wins() {
    let hop = "sip:acme.pstn.example.net;user=phone;tgrp=a";
    let uri = format!("sip:1@{OUT};User=ip;TGRP=b;tgrp;cause=302");
    assert_eq!(outward(hop, &uri), "sip:1@acme.pstn.example.net;user=phone;tgrp=a;cause=302");
}

#[test]
fn options_of_a_server_reach_the_carrier() {
    for uri in [format!("sip:{OUT}"), format!("sip:+353155501@{OUT};user=phone")] {
        let text = request("OPTIONS", &uri, "o").replace("198.51.100.7:5060", SERVER);
        let mut site = Site::usual();
        let sent = site.from(SERVER, &text);
        let outward = uri.replace(OUT, "acme.pstn.example.net:5080;transport=udp");
        assert_eq!((sent.len(), sent[0].line(), sent[0].to), (1, format!("OPTIONS {outward} SIP/2.0"), GATEWAY.parse().unwrap()));
        assert!(sent[0].headers("Record-Route").is_empty());
        let answer = site.from(GATEWAY, &respond(&sent[0], 200, "g", "X-Who: carrier\r\n")).remove(0);
        assert_eq!((answer.line().as_str(), answer.header("X-Who").as_deref()), ("SIP/2.0 200 Phrase", Some("carrier")));
        // What the carrier refuses goes back as well, a 503 as our own.
        let sent = site.from(SERVER, &text.replace("z9hG4bKo", "z9hG4bKp"));
        let answer = site.from(GATEWAY, &respond(&sent[0], 404, "g", "")).remove(0);
        assert_eq!(answer.line(), "SIP/2.0 404 Phrase");
        let sent = site.from(SERVER, &text.replace("z9hG4bKo", "z9hG4bKq"));
        let answer = site.from(GATEWAY, &respond(&sent[0], 503, "g", "Retry-After: 9\r\n")).remove(0);
        assert!(answer.line().starts_with("SIP/2.0 503 ") && answer.header("Retry-After").is_none(), "{}", answer.text());
        // Nobody there: nobody answers, and no 408 is made of it (RFC 4320).
        let mut site = Site::usual();
        site.from(SERVER, &text);
        let sent = site.pass(std::time::Duration::from_secs(40));
        assert!(sent.iter().all(|sent| sent.fenced || sent.line() == "SIP/2.0 100 Trying"), "{sent:?}");
    }
    // The trunk itself learns nothing by its own name, and no OPTIONS of a server to a project's name goes anywhere.
    let mut site = Site::usual();
    assert_eq!(site.from(TRUNK, &request("OPTIONS", &format!("sip:{OUT}"), "t"))[0].line(), "SIP/2.0 403 Forbidden");
    let ours = request("OPTIONS", "sip:eu.sip.example.com", "s").replace("198.51.100.7:5060", SERVER);
    assert_eq!(site.from(SERVER, &ours)[0].line(), "SIP/2.0 200 OK");
}

#[test]
fn our_answer_to_options_says_where_it_comes_from() {
    let mut site = Site::usual();
    let text = request("OPTIONS", "sip:acme.eu.sip.example.com", "o");
    let ours = site.from(TRUNK, &text).remove(0);
    assert_eq!(ours.header("Contact").as_deref(), Some("<sip:192.0.2.1:5060>"));
    for name in ["Allow", "Accept", "Supported"] {
        assert!(ours.header(name).is_some_and(|value| !value.is_empty()), "{name}: {}", ours.text());
    }
    let stream = site.stream("198.51.100.7:4000", 1, &text.replace("z9hG4bKo", "z9hG4bKp")).remove(0);
    assert_eq!(stream.header("Contact").as_deref(), Some("<sip:192.0.2.1:5060;transport=tcp>"));
    // The name that the region advertises; an address that was called, behind a wildcard.
    let advertised = crate::site::CONFIG.replace("networks = [\"10.1", "advertise = \"edge.example.com\"\nnetworks = [\"10.1");
    let ours = Site::new(&advertised).from(TRUNK, &text).remove(0);
    assert_eq!(ours.header("Contact").as_deref(), Some("<sip:edge.example.com:5060>"));
}
