//! The other ways out: by the trunks of `out`, of which each takes its countries and the next one is tried when one fails, and by a Route,
//! with a Request-URI that is the carrier's already.

use std::time::Duration;

use ringfence::core::io::{Note, Outcome, RelayBody, RelayReply};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond, sdp, with_sdp};

const PROJECT: &str = "acme.eu.sip.example.com";
const IRISH: &str = "198.51.100.9:5080";
const GERMAN: &str = "203.0.114.9:5060";
const SECOND: &str = "203.0.114.10:5070";

/// Two carriers: one for Ireland and Germany, one with two gateways for Germany and Austria.
fn config() -> String {
    CONFIG
        .replace(
            "pin    = [\"eu\"]\nreject = \"twilio\"",
            "pin    = [\"eu\"]\nreject = \"twilio\"\nout = [\"carrier\", \"german\"]",
        )
        .replace("sip:acme.pstn.example.net:5080;transport=udp", "sip:198.51.100.9:5080")
        .replace(
            "outbound_networks = [\"198.51.100.0/24\"]",
            "outbound_networks = [\"198.51.100.0/24\"]\ncountries = [\"IE\", \"DE\"]\nadvance = [500]\n\
             [project.acme.trunk.german]\nnetworks = [\"203.0.114.0/24\"]\nmedia = [\"203.0.115.0/24\"]\n\
             uri = [\"sip:203.0.114.9;user=phone\", \"sip:203.0.114.10:5070\"]\ncountries = [\"DE\", \"AT\"]\nadvance = [500]",
        )
}

fn site() -> Site {
    Site::new(&config())
}

/// A call of a server's to a project.
fn call(uri: &str, id: &str) -> String {
    invite(PROJECT, "10.1.0.5", id).replace("198.51.100.7:5060", SERVER).replacen(&format!("sip:+4930123@{PROJECT}"), uri, 1)
}

/// The same with this Route.
fn routed(uri: &str, route: &str, id: &str) -> String {
    call(uri, id).replacen("Max-Forwards", &format!("Route: {route}\r\nMax-Forwards"), 1).replacen(
        &format!("To: <sip:+4930123@{PROJECT}>"),
        &format!("To: <{uri}>"),
        1,
    )
}

fn forwarded(sent: &[Sent]) -> Option<&Sent> {
    sent.iter().find(|sent| sent.fenced)
}

#[track_caller]
fn sent_to<'s>(sent: &'s [Sent], gateway: &str) -> &'s Sent {
    let to = forwarded(sent).unwrap_or_else(|| panic!("{sent:#?}"));
    assert_eq!(to.to, gateway.parse().unwrap(), "{}", to.text());
    to
}

/// The only answer, and what it says of the reason.
#[track_caller]
fn refused(site: &mut Site, source: &str, text: &str) -> (String, String) {
    let sent = site.from(source, text);
    assert!(forwarded(&sent).is_none(), "{sent:#?}");
    let answer = sent.last().unwrap();
    let words = format!("{} {}", answer.header("X-Ringfence").unwrap_or_default(), answer.header("Warning").unwrap_or_default());
    (answer.line(), words)
}

#[test]
fn the_first_trunk_that_may_call_the_country_takes_the_call() {
    let mut site = site();
    for (at, (number, gateway)) in [("+353155501", IRISH), ("+4930123456", IRISH), ("+43155501", GERMAN)].into_iter().enumerate()
    {
        let sent = site.from(SERVER, &call(&format!("sip:{number}@{PROJECT};user=phone"), &format!("n{at}")));
        let to = sent_to(&sent, gateway);
        let host = if gateway == IRISH { "198.51.100.9:5080;user=phone" } else { "203.0.114.9;user=phone" };
        assert_eq!(to.line(), format!("INVITE sip:{number}@{host} SIP/2.0"));
        assert!(to.header("X-Ringfence").is_some_and(|row| row.contains("project=acme")), "{}", to.text());
    }
    let (line, words) = refused(&mut site, SERVER, &call(&format!("sip:+33155501@{PROJECT}"), "fr"));
    assert_eq!(line, "SIP/2.0 603 Number Not Allowed In Region");
    assert!(words.starts_with("131;"), "{words}");
    for said in ["+331... is FR", "trunk carrier of acme allows DE IE", "trunk german of acme allows AT DE"] {
        assert!(words.contains(said), "{words}: {said}");
    }
    // Its metric counts the country, and the verdict names the trunk that took it.
    assert!(
        site.notes
            .iter()
            .any(|note| matches!(note, Note::Number { outbound: true, country: Some(of), .. } if of.to_string() == "AT"))
    );
}

#[test]
fn calls_in_and_questions_stay_what_they_were() {
    let mut site = site();
    // The project's own trunk calls in.
    let sent = site.from(TRUNK, &invite(PROJECT, "203.0.113.1", "in"));
    assert_eq!(sent_to(&sent, SERVER).line(), format!("INVITE sip:+4930123@{PROJECT} SIP/2.0"));
    // A server's OPTIONS asks about us.
    let asks = request("OPTIONS", &format!("sip:{PROJECT}"), "o").replace("198.51.100.7:5060", SERVER);
    assert_eq!(site.from(SERVER, &asks)[0].line(), "SIP/2.0 200 OK");
    // A project without `out`, another region's name, and strangers.
    let (line, _) = refused(&mut site, SERVER, &call("sip:+35315@quiet.eu.sip.example.com", "q"));
    assert_eq!(line, "SIP/2.0 403 Forbidden");
    let (_, words) = refused(&mut site, SERVER, &call("sip:+35315@acme.us.sip.example.com", "u"));
    assert!(words.starts_with("110;"), "{words}");
    let (line, _) = refused(&mut site, "192.0.2.200:5060", &call(&format!("sip:+35315@{PROJECT}"), "s"));
    assert_eq!(line, "SIP/2.0 403 Forbidden");
    // Another project's trunk.
    let (line, _) = refused(&mut site, "198.51.105.7:5060", &call(&format!("sip:+353155501@{PROJECT}"), "x"));
    assert_eq!(line, "SIP/2.0 403 Forbidden");
}

#[test]
fn a_call_goes_on_to_the_next_trunk_with_that_trunks_rules() {
    let mut site = site();
    let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT};cause=302"), "one"));
    let first = sent_to(&sent, IRISH).clone();
    let sent = site.from(IRISH, &respond(&first, 500, "a", ""));
    let second = sent_to(&sent[1..], GERMAN).clone();
    assert_eq!(second.line(), "INVITE sip:+4930123@203.0.114.9;user=phone;cause=302 SIP/2.0");
    assert_eq!(second.trunk.as_deref(), Some("german"));
    assert_ne!(first.header("Record-Route"), second.header("Record-Route"), "its token names its own trunk");
    let sent = site.from(GERMAN, &respond(&second, 503, "b", ""));
    let third = sent_to(&sent[1..], SECOND).clone();
    assert_eq!(third.line(), "INVITE sip:+4930123@203.0.114.10:5070;cause=302 SIP/2.0");
    // Media of the second carrier, which the first one may not have.
    let ok = with_sdp(&respond(&third, 200, "c", "Contact: <sip:c@203.0.114.10:5070>\r\n"), "203.0.115.7");
    let sent = site.from(SECOND, &ok);
    assert_eq!(sent[0].line(), "SIP/2.0 200 Phrase");
    // The carrier ends the call, from its own network, and by the token that it was given.
    let record = third.header("Record-Route").unwrap();
    let bye = format!(
        "BYE sip:+49891@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {SECOND};branch=z9hG4bKbye\r\nRoute: {record}\r\n\
         From: <sip:+4930123@{PROJECT}>;tag=c\r\nTo: <sip:+49891@trunk.example.net>;tag=fone\r\nCall-ID: one@trunk\r\nCSeq: 2 BYE\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    );
    let sent = site.from(SECOND, &bye);
    assert!(sent_to(&sent, SERVER).line().starts_with("BYE "));
}

#[test]
fn media_of_a_trunk_that_the_call_has_left_does_not_pass() {
    let mut site = site();
    let sent = site.from(SERVER, &call(&format!("sip:+43155501@{PROJECT}"), "one"));
    let first = sent_to(&sent, GERMAN).clone();
    // 203.0.113.0/24 is the media of the other carrier.
    let ok = with_sdp(&respond(&first, 200, "c", "Contact: <sip:c@203.0.114.9>\r\n"), "203.0.113.7");
    let sent = site.from(GERMAN, &ok);
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignMediaAnswer), "{sent:#?}");
}

#[test]
fn a_late_answer_of_the_trunk_before_is_judged_by_its_own_rules() {
    for (media, passes) in [("203.0.113.7", true), ("203.0.115.7", false)] {
        let mut site = site();
        let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "one"));
        let first = sent_to(&sent, IRISH).clone();
        let sent = site.pass(Duration::from_secs(6));
        let second = sent.iter().find(|sent| sent.to == GERMAN.parse().unwrap()).expect("silence leads on").clone();
        site.from(GERMAN, &respond(&second, 100, "b", ""));
        let ok = with_sdp(&respond(&first, 200, "a", "Contact: <sip:a@198.51.100.9:5080>\r\n"), media);
        let sent = site.from(IRISH, &ok);
        let answered = sent.iter().any(|sent| sent.line() == "SIP/2.0 200 Phrase");
        assert_eq!(answered, passes, "{media}: {sent:#?}");
        if passes {
            assert!(sent.iter().any(|sent| sent.line().starts_with("CANCEL") && sent.to == GERMAN.parse().unwrap()), "{sent:#?}");
            // It comes again, from the first carrier.
            let again = site.from(IRISH, &ok);
            assert_eq!(again[0].line(), "SIP/2.0 200 Phrase");
        }
    }
}

#[test]
fn every_later_trunk_keeps_an_attempt() {
    let many: Vec<String> = (1..=12).map(|at| format!("\"sip:198.51.100.{at}\"")).collect();
    let mut site = Site::new(&config().replace("\"sip:198.51.100.9:5080\"", &format!("[{}]", many.join(", "))));
    let mut sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "one"));
    let mut asked = Vec::new();
    while let Some(to) = sent.iter().find(|sent| sent.fenced && sent.line().starts_with("INVITE")).cloned() {
        asked.push(to.to.ip().to_string());
        sent = site.from(&to.to.to_string(), &respond(&to, 503, "a", ""));
    }
    let own = (1..=7).map(|at| format!("198.51.100.{at}"));
    assert_eq!(asked, own.chain(["203.0.114.9".to_owned()]).collect::<Vec<_>>());
}

#[test]
fn a_reload_between_two_attempts_keeps_the_next_trunk() {
    let mut site = site();
    let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "one"));
    let first = sent_to(&sent, IRISH).clone();
    // Every id moves: a project in front of all others.
    site.reload(&config().replace(
        "[project.acme]",
        "[project.aaa]\n[project.aaa.trunk.first]\nnetworks = [\"192.0.2.128/30\"]\n\n[project.acme]",
    ));
    let sent = site.from(IRISH, &respond(&first, 500, "a", ""));
    let second = sent_to(&sent[1..], GERMAN).clone();
    assert_eq!(second.trunk.as_deref(), Some("german"));
    let ok = with_sdp(&respond(&second, 200, "c", "Contact: <sip:c@203.0.114.9>\r\n"), "203.0.115.7");
    assert_eq!(site.from(GERMAN, &ok)[0].line(), "SIP/2.0 200 Phrase");
    // The trunk is gone: nothing goes there.
    let mut site = self::site();
    let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "two"));
    let first = sent_to(&sent, IRISH).clone();
    site.reload(&config().replace("out = [\"carrier\", \"german\"]", "").replace("trunk.german", "trunk.other"));
    let sent = site.from(IRISH, &respond(&first, 500, "a", ""));
    assert!(sent.iter().all(|sent| !sent.line().starts_with("INVITE")), "{sent:#?}");
}

#[test]
fn emergency_calls_go_by_the_first_trunk_that_takes_them() {
    for (keys, gateway) in [("", IRISH), ("emergency = \"refuse\"", GERMAN)] {
        let text = config().replace("countries = [\"IE\", \"DE\"]", &format!("countries = [\"IE\", \"DE\"]\n{keys}"));
        let mut site = Site::new(&text);
        for (at, user) in ["112", "+112", "911"].into_iter().enumerate() {
            let sent = site.from(SERVER, &call(&format!("sip:{user}@{PROJECT}"), &format!("e{at}")));
            sent_to(&sent, gateway);
        }
        assert!(site.notes.iter().any(|note| matches!(note, Note::Emergency { .. })));
    }
    let text = config().replace("countries", "emergency = \"refuse\"\ncountries");
    let (line, words) = refused(&mut Site::new(&text), SERVER, &call(&format!("sip:112@{PROJECT}"), "e"));
    assert!(line.starts_with("SIP/2.0 403 ") && words.contains("each of 2 trunks takes none"), "{line} {words}");
}

#[test]
fn a_route_leads_out_and_request_uri_and_to_stay() {
    for (route, uri, gateway) in [
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9:5080;user=phone", IRISH),
        ("<sip:carrier.acme.eu.sip.example.com:5060;lr=on>", "sip:+353155501@198.51.100.9", IRISH),
        ("\"us\" <sip:german.acme.eu.sip.example.com;transport=udp;lr>", "sip:+4930123@203.0.114.10;transport=udp", SECOND),
        // By `out`: the trunk that has the gateway.
        ("<sip:acme.eu.sip.example.com;lr>", "sip:+4930123@203.0.114.9", GERMAN),
        ("<sip:acme.eu.sip.example.com;lr>", "tel:+43155501", GERMAN),
        ("<sip:acme.eu.sip.example.com;lr>", "tel:+353-1-55501;npdi", IRISH),
        ("<sip:german.acme.eu.sip.example.com;lr>", "urn:service:sos", GERMAN),
        ("<sip:acme.eu.sip.example.com;lr>", "urn:service:sos.fire", IRISH),
        ("<sip:german.acme.eu.sip.example.com;lr>", "tel:112", GERMAN),
    ] {
        let mut site = site();
        let text = routed(uri, route, "r");
        let sent = site.from(SERVER, &text);
        let to = sent_to(&sent, gateway).clone();
        assert_eq!(to.line(), format!("INVITE {uri} SIP/2.0"), "{route}");
        assert_eq!(to.header("To"), Some(format!("<{uri}>")), "{route}");
        assert!(to.headers("Route").is_empty(), "{}", to.text());
        assert_eq!(to.headers("Record-Route").len(), 1, "{}", to.text());
        // With credentials it goes the same way.
        let challenge = "WWW-Authenticate: Digest realm=\"c\", nonce=\"n\"\r\n";
        let answer = site.from(gateway, &respond(&to, 401, "c", challenge));
        assert!(answer.iter().any(|sent| sent.line() == "SIP/2.0 401 Phrase" && sent.text().contains(challenge)), "{answer:#?}");
        let again = text.replacen("CSeq: 1", "CSeq: 2", 1).replace("z9hG4bKr", "z9hG4bKr2").replacen(
            "Max-Forwards",
            &format!("Authorization: Digest username=\"u\", uri=\"{uri}\", response=\"0\"\r\nMax-Forwards"),
            1,
        );
        let sent = site.from(SERVER, &again);
        let to = sent_to(&sent, gateway);
        assert_eq!(to.line(), format!("INVITE {uri} SIP/2.0"));
        assert!(to.header("Authorization").is_some_and(|row| row.contains(&format!("uri=\"{uri}\""))), "{}", to.text());
    }
}

#[test]
fn a_route_that_is_not_of_this_form_is_refused() {
    let gateway = "sip:+353155501@198.51.100.9:5080";
    let mut at = 0;
    let mut told = |source: &str, uri: &str, route: &str| {
        at += 1;
        refused(&mut site(), source, &routed(uri, route, &format!("f{at}")))
    };
    // A Request-URI that is no gateway of that trunk, or that would lead the carrier elsewhere.
    for (route, uri) in [
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@203.0.114.9"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@evil.example.net"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9;maddr=203.0.113.66"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9;m%61ddr=203.0.113.66"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9;alias=203.0.113.66~5060~1"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9;method=REGISTER"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@198.51.100.9;ttl=1"),
        ("<sip:carrier.acme.eu.sip.example.com;lr>", "sip:+353155501@carrier.acme.eu.sip.example.com"),
        ("<sip:acme.eu.sip.example.com;lr>", "sip:+353155501@evil.example.net"),
        ("<sip:acme.eu.sip.example.com;lr>", "sip:+353155501@acme.eu.sip.example.com"),
    ] {
        let (_, words) = told(SERVER, uri, route);
        assert!(words.starts_with("150;"), "{route} {uri}: {words}");
    }
    // FreeSWITCH writes it so if nobody brackets what it is given.
    for route in ["<sip:carrier.acme.eu.sip.example.com>;lr", "<sip:acme.eu.sip.example.com>"] {
        let (_, words) = told(SERVER, gateway, route);
        assert!(words.contains("Route names a way out without lr inside its brackets"), "{route}: {words}");
    }
    // Every other Route of a new request.
    for route in [
        "<sip:carrier.acme.eu.sip.example.com>",
        "<sip:carrier.acme.eu.sip.example.com>;lr",
        "<sip:carrier.acme.eu.sip.example.com;lr;maddr=203.0.113.66>",
        "<sip:carrier.acme.eu.sip.example.com;lr;rf=04abc>",
        "<sip:carrier.acme.eu.sip.example.com;l%72>",
        "<sip:carrier.acme.eu.sip.example.com;lr>, <sip:203.0.113.66;lr>",
        "<sip:203.0.113.66;lr>, <sip:carrier.acme.eu.sip.example.com;lr>",
        "<sip:carrier.acme.eu.sip.example.com;lr>\r\nRoute: <sip:carrier.acme.eu.sip.example.com;lr>",
        "<sip:192.0.2.1;lr>",
        "<sip:quiet.eu.sip.example.com;lr>",
        "<sip:indian.acme.eu.sip.example.com;lr>",
        "<sip:eu.sip.example.com;lr>",
        "<sip:acme.sip.example.com;lr>",
    ] {
        for uri in ["sip:+353155501@carrier.acme.eu.sip.example.com", gateway] {
            let (_, words) = told(SERVER, uri, route);
            assert!(words.starts_with("170;"), "{uri} {route}: {words}");
        }
    }
    // Another region's name says so; what names a number that may not be called too.
    let (_, words) = told(SERVER, gateway, "<sip:carrier.acme.us.sip.example.com;lr>");
    assert!(words.contains("is an endpoint of region us, not eu"), "{words}");
    let (_, words) = told(SERVER, "sip:+33155501@198.51.100.9", "<sip:carrier.acme.eu.sip.example.com;lr>");
    assert!(words.starts_with("131;"), "{words}");
    let (_, words) = told(SERVER, "tel:+33155501", "<sip:acme.eu.sip.example.com;lr>");
    assert!(words.starts_with("131;"), "{words}");
    // Only a server may.
    let (line, _) = told(TRUNK, "urn:service:sos", "<sip:carrier.acme.eu.sip.example.com;lr>");
    assert_eq!(line, "SIP/2.0 416 Unsupported URI Scheme");
    let (_, words) = told(TRUNK, gateway, "<sip:carrier.acme.eu.sip.example.com;lr>");
    assert!(words.starts_with("111;"), "{words}");
    let (line, _) = told("192.0.2.200:5060", gateway, "<sip:carrier.acme.eu.sip.example.com;lr>");
    assert_eq!(line, "SIP/2.0 403 Forbidden");
}

#[test]
fn by_a_route_only_gateways_of_that_host_are_tried_and_the_request_uri_stays() {
    let two = config().replace(
        "uri = [\"sip:203.0.114.9;user=phone\", \"sip:203.0.114.10:5070\"]",
        "uri = [\"sip:203.0.114.9;user=phone\", \"sip:203.0.114.10:5070\", \"sip:203.0.114.9:5090\"]",
    );
    let mut site = Site::new(&two);
    let uri = "sip:+4930123@203.0.114.9";
    let sent = site.from(SERVER, &routed(uri, "<sip:german.acme.eu.sip.example.com;lr>", "r"));
    let first = sent_to(&sent, GERMAN).clone();
    let sent = site.from(GERMAN, &respond(&first, 503, "a", ""));
    let second = sent_to(&sent[1..], "203.0.114.9:5090").clone();
    assert_eq!((second.line(), second.header("To")), (format!("INVITE {uri} SIP/2.0"), Some(format!("<{uri}>"))));
    let sent = site.from("203.0.114.9:5090", &respond(&second, 503, "a", ""));
    assert!(sent.iter().all(|sent| !sent.line().starts_with("INVITE")), "{sent:#?}");
}

#[test]
fn what_has_no_host_goes_out_by_the_only_project_that_calls_out() {
    for (uri, line, gateway) in [
        ("tel:+4930123;npdi", "INVITE sip:+4930123;npdi@198.51.100.9:5080;user=phone SIP/2.0", IRISH),
        ("tel:+43155501", "INVITE sip:+43155501@203.0.114.9;user=phone SIP/2.0", GERMAN),
        ("urn:service:sos", "INVITE urn:service:sos SIP/2.0", IRISH),
    ] {
        let mut site = site();
        let sent = site.from(SERVER, &call(uri, "t"));
        let first = sent_to(&sent, gateway).clone();
        assert_eq!(first.line(), line);
        let sent = site.from(gateway, &respond(&first, 503, "a", ""));
        let second = sent.iter().find(|sent| sent.fenced && sent.line().starts_with("INVITE")).unwrap();
        let user = uri.split_once(':').unwrap().1;
        let expected = if uri.starts_with("urn") { uri.to_owned() } else { format!("sip:{user}@") };
        assert!(second.line().starts_with(&format!("INVITE {expected}")), "{}", second.line());
    }
    let (_, words) = refused(&mut site(), SERVER, &call("tel:+33155501", "t"));
    assert!(words.starts_with("131;"), "{words}");
    // Of two nobody can say which.
    let two = config().replace("[project.globex]\npin = [\"us\"]", "[project.globex]\npin = [\"us\"]\nout = [\"carrier\"]");
    let two = two.replace("networks = [\"198.51.100.0/25\"]", "networks = [\"198.51.100.0/25\"]\nuri = \"sip:198.51.100.9\"");
    let (_, words) = refused(&mut Site::new(&two), SERVER, &call("tel:+353155501", "t"));
    assert!(words.starts_with("111;"), "{words}");
}

#[test]
fn a_call_holds_the_share_of_the_trunk_that_has_it() {
    let text = config().replace("per_source = \"50/s\"", "per_source = \"1000000/s\"\ntransactions = 64");
    let mut site = Site::new(&text);
    let hangs = (0..70).take_while(|at| {
        let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), &format!("s{at}")));
        let first = sent_to(&sent, IRISH).clone();
        let sent = site.from(IRISH, &respond(&first, 500, "a", ""));
        let second = sent.iter().find(|sent| sent.fenced && sent.line().starts_with("INVITE")).cloned();
        second.is_some_and(|second| !site.from(GERMAN, &respond(&second, 100, "b", "")).iter().any(|sent| sent.fenced))
    });
    assert_eq!(hangs.count(), 56, "then it has its share, and gets no more");
    // The second carrier hangs: the first one's calls still come in.
    let sent = site.from(TRUNK, &invite(PROJECT, "203.0.113.1", "in"));
    sent_to(&sent, SERVER);
}

#[test]
fn a_reload_that_takes_a_trunk_out_of_out_keeps_waiting_calls_from_it() {
    let mut site = site();
    let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "one"));
    let first = sent_to(&sent, IRISH).clone();
    site.reload(&config().replace("out = [\"carrier\", \"german\"]", "out = [\"carrier\"]"));
    let sent = site.from(IRISH, &respond(&first, 503, "a", ""));
    assert!(sent.iter().all(|sent| !sent.line().starts_with("INVITE")), "{sent:#?}");
}

/// A relay that does what it is asked knows a call by one name: the trunk that it goes on to changes nothing.
#[test]
fn a_relay_knows_the_call_by_one_name_whichever_trunk_has_it() {
    let text = config()
        .replace("pin    = [\"eu\"]\nreject = \"twilio\"", "pin    = [\"eu\"]\nmedia = \"relay\"\nreject = \"twilio\"")
        .replace("upstream = [\"10.1.0.5:5060\"", "relay = [\"udp:10.1.0.8:2223\"]\nupstream = [\"10.1.0.5:5060\"");
    let mut site = Site::new(&text);
    site.relay = Some(Box::new(|request| {
        let sdp = matches!(request.body, RelayBody::Session { .. }).then(|| sdp("10.1.0.40").into());
        Ok(RelayReply::Done(sdp))
    }));
    let sent = site.from(SERVER, &call(&format!("sip:+4930123@{PROJECT}"), "one"));
    let first = sent_to(&sent, IRISH).clone();
    let sent = site.from(IRISH, &respond(&first, 500, "a", ""));
    let second = sent_to(&sent[1..], GERMAN).clone();
    let ok = with_sdp(&respond(&second, 200, "c", "Contact: <sip:c@203.0.114.9>\r\n"), "203.0.115.7");
    assert_eq!(site.from(GERMAN, &ok)[0].line(), "SIP/2.0 200 Phrase");
    let bye = format!(
        "BYE sip:+49891@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {GERMAN};branch=z9hG4bKbye\r\nRoute: {}\r\n\
         From: <sip:+4930123@{PROJECT}>;tag=c\r\nTo: <sip:+49891@trunk.example.net>;tag=fone\r\nCall-ID: one@trunk\r\nCSeq: 2 BYE\r\n\
         Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        second.header("Record-Route").unwrap()
    );
    let ended = site.from(GERMAN, &bye);
    let ended = sent_to(&ended, SERVER).clone();
    site.from(SERVER, &respond(&ended, 200, "", ""));
    let names: Vec<String> = (site.questions.iter())
        .filter_map(|question| match &question.body {
            RelayBody::Session { call_id, .. } | RelayBody::Delete { call_id } => {
                Some(String::from_utf8_lossy(call_id).into_owned())
            }
            RelayBody::Ping => None,
        })
        .collect();
    assert_eq!(names, ["acme/carrier/one@trunk"; 3], "offer, answer, delete");
}
