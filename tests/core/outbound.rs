//! Calls out by a trunk: what becomes of their Request-URI, which gateway they go to, and what their caller is told if it fails.

use std::sync::Arc;

use ringfence::config::NameId;
use ringfence::core::io::Input;
use ringfence::dns::Resolved;

use crate::site::{SERVER, Sent, Site, TRUNK, invite, request, respond, servers};

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
        ("1@", ";rf=06abc;a;b=2", ";a;b=2"),
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

/// What the caller is told: phrase, Reason and Warning.
fn told(sent: &[Sent]) -> [String; 3] {
    let answer = sent.iter().find(|sent| sent.line().starts_with("SIP/2.0") && !sent.line().starts_with("SIP/2.0 100")).unwrap();
    assert!(!answer.text().to_lowercase().contains("server"), "no server of the region has failed: {}", answer.text());
    let (_, phrase) = answer.line().split_once("503 ").map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
    [phrase, answer.header("Reason").unwrap(), answer.header("Warning").unwrap()]
}

#[test]
fn what_fails_on_the_way_out_is_the_trunks_gateway() {
    let mut site = Site::usual();
    let seen = site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "one")).remove(1);
    let [phrase, reason, warning] = told(&site.from(GATEWAY, &respond(&seen, 503, "g", "Retry-After: 60\r\n")));
    assert_eq!(phrase, "Gateways Of Trunk Unavailable");
    assert_eq!(reason, "Q.850;cause=21;text=\"targets-down: gateways of trunk carrier of acme\"");
    assert_eq!(warning, "399 eu.sip.example.com \"every gateway of trunk carrier of acme answered 503 or failed\"");
    // Silence, and an error of the transport.
    let mut site = Site::usual();
    site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "two"));
    let silent = told(&site.pass(std::time::Duration::from_secs(31)));
    assert_eq!(silent[2], "399 eu.sip.example.com \"every gateway of trunk carrier of acme failed or timed out\"");
    let seen = site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "three")).remove(1);
    assert_eq!(told(&site.input(Input::Failed(seen.attempt.unwrap()))), silent);
    // Nothing to try, and nothing that may be.
    let mut site = Site::usual();
    let mut targets = Resolved::unknown(site.config.names.len());
    targets.set(NameId(0), Vec::new());
    site.input(Input::Resolved(Arc::new(targets.clone())));
    let none = told(&site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "four")));
    assert_eq!(none[0], "No Gateway Of Trunk Found");
    assert_eq!(none[2], "399 eu.sip.example.com \"the uri of trunk carrier of acme resolves to nothing\"");
    targets.set(NameId(0), servers(&site.config.names[0], &["203.0.113.9"]));
    site.input(Input::Resolved(Arc::new(targets)));
    let sent = site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "five"));
    assert_eq!(sent[0].line(), "SIP/2.0 603 Gateway Outside Networks Of Trunk");
    assert!(!sent[0].text().to_lowercase().contains("server"), "{}", sent[0].text());
    // It is remembered in the same words.
    let again = call_to(&format!("sip:1@{OUT}"), "five").replace("z9hG4bKfive", "z9hG4bKagain");
    assert_eq!(site.from(SERVER, &again)[0].line(), sent[0].line());
}

#[test]
fn inside_a_dialog_it_is_the_other_side_too() {
    for (from, words) in [(SERVER, "every gateway of trunk carrier of acme"), (TRUNK, "every server of the region")] {
        let mut site = Site::usual();
        let seen = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1);
        let ok = site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n"))).remove(0);
        let of = if from == SERVER { &seen } else { &ok };
        let (uri, tags) = if from == SERVER { (TRUNK, ("u", "fone")) } else { (SERVER, ("fone", "u")) };
        let bye = format!(
            "BYE sip:x@{uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKbye\r\nRoute: {}\r\nFrom: <sip:a@b>;tag={}\r\n\
             To: <sip:c@d>;tag={}\r\nCall-ID: one@trunk\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            of.header("Record-Route").unwrap(),
            tags.0,
            tags.1
        );
        let seen = site.from(from, &bye).remove(0);
        let answer = site.from(uri, &respond(&seen, 503, "x", "")).remove(0);
        assert!(answer.header("Warning").unwrap().contains(words), "{}", answer.text());
    }
}

#[test]
fn whoever_has_a_gateways_address_speaks_by_the_token() {
    // Another project's trunk, and a host of the region that is no server.
    for gateway in ["198.51.105.9", "10.1.7.9"] {
        let text = crate::site::CONFIG
            .replace("sip:acme.pstn.example.net:5080;transport=udp", &format!("sip:{gateway}:5080"))
            .replace(r#"outbound_networks = ["198.51.100.0/24"]"#, &format!("outbound_networks = [\"{gateway}/32\"]"));
        let mut site = Site::new(&text);
        let at = format!("{gateway}:5080");
        let seen = site.from(SERVER, &call_to(&format!("sip:1@{OUT}"), "one")).remove(1);
        site.from(&at, &respond(&seen, 200, "g", &format!("Contact: <sip:gw@{at}>\r\n")));
        let bye = format!(
            "BYE sip:trunk@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {at};branch=z9hG4bKbye\r\nRoute: {}\r\nFrom: <sip:a@b>;tag=g\r\n\
             To: <sip:c@d>;tag=fone\r\nCall-ID: one@trunk\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            seen.header("Record-Route").unwrap()
        );
        let sent = site.from(&at, &bye);
        assert_eq!((sent[0].to.to_string().as_str(), sent[0].fenced), (SERVER, true), "{gateway}: {}", sent[0].text());
    }
}

#[test]
fn a_server_may_ask_whether_a_project_is_served() {
    let mut site = Site::usual();
    let asked = |uri: &str| request("OPTIONS", uri, "ask").replace("198.51.100.7:5060", SERVER);
    let sent = site.from(SERVER, &asked("sip:acme.eu.sip.example.com"));
    assert_eq!((sent.len(), sent[0].line().as_str()), (1, "SIP/2.0 200 OK"));
    assert!(sent[0].header("Contact").is_some() && sent[0].header("Allow").is_some());
    // Nothing else of it is open to a server, and a stranger learns nothing.
    let call = call_to("sip:+4930123@acme.eu.sip.example.com", "in");
    assert_eq!(site.from(SERVER, &call)[0].line(), "SIP/2.0 403 Forbidden");
    assert_eq!(site.from("192.0.2.66:5060", &asked("sip:acme.eu.sip.example.com"))[0].line(), "SIP/2.0 403 Forbidden");
}
