//! What answers say and where they go: no Retry-After of anybody's, no 503 that is not ours, and the port that the client asked for.

use std::net::SocketAddr;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond, sdp};

const ACME: &str = "acme.eu.sip.example.com";
const GATEWAY: &str = "198.51.100.9:5080";

/// A CANCEL of an INVITE.
fn cancel(invite: &str) -> String {
    let head = invite.split("\r\n\r\n").next().unwrap();
    let rows = head.lines().filter(|line| !line.starts_with("Content-") && !line.starts_with("Contact"));
    let text: Vec<String> = rows.map(|line| line.replace("INVITE", "CANCEL")).collect();
    text.join("\r\n") + "\r\nContent-Length: 0\r\n\r\n"
}

/// A call out of the server's.
fn call_out(id: &str) -> String {
    invite(&format!("carrier.{ACME}"), "10.1.0.5", id).replace("198.51.100.7:5060", SERVER)
}

/// The answer to whoever asked.
fn answer(sent: &[Sent]) -> &Sent {
    sent.iter().find(|sent| sent.line().starts_with("SIP/2.0") && !sent.fenced).unwrap()
}

#[test]
fn a_503_after_a_cancel_is_a_487() {
    for (caller, callee, code) in [(TRUNK, SERVER, 180), (TRUNK, SERVER, 100), (SERVER, GATEWAY, 180)] {
        let mut site = Site::usual();
        let text = if caller == TRUNK { invite(ACME, "10.1.0.20", "one") } else { call_out("one") };
        let seen = site.from(caller, &text).remove(1);
        site.from(callee, &respond(&seen, code, "u", ""));
        site.from(caller, &cancel(&text));
        let sent = site.from(callee, &respond(&seen, 503, "u", "Retry-After: 300\r\n"));
        assert_eq!(sent[0].line().split(' ').next(), Some("ACK"), "the 503 is acknowledged");
        let end = answer(&sent);
        assert_eq!((end.line().as_str(), end.header("Retry-After")), ("SIP/2.0 487 Request Terminated", None));
        assert_eq!(sent.len(), 2, "nobody else is tried");
        // The health of whoever said it is noted all the same: the next call goes elsewhere.
        if callee == SERVER {
            let next = site.from(TRUNK, &invite(ACME, "10.1.0.20", "two")).remove(1);
            assert_eq!(next.to, SECOND.parse::<SocketAddr>().unwrap());
        }
    }
}

#[test]
fn nobody_is_told_when_to_come_back() {
    for code in [302, 404, 413, 480, 486, 500, 504, 600, 603] {
        for (caller, callee) in [(TRUNK, SERVER), (SERVER, GATEWAY)] {
            let mut site = Site::usual();
            let text = if caller == TRUNK { invite(ACME, "10.1.0.20", "one") } else { call_out("one") };
            let seen = site.from(caller, &text).remove(1);
            let rows = "Retry-After: 3600 (lunch)\r\nX-Other: kept\r\nRetry-After: 5\r\n";
            let sent = site.from(callee, &respond(&seen, code, "u", rows));
            let end = answer(&sent);
            assert!(end.line().starts_with(&format!("SIP/2.0 {code}")), "{}", end.line());
            assert!(!end.text().contains("Retry-After") && end.text().contains("X-Other: kept\r\n"), "{}", end.text());
        }
    }
}

/// An established call, and the start of a request of the trunk's inside it.
fn inside(site: &mut Site, method: &str, via: &str) -> String {
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let ok = site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n"))).remove(0);
    format!(
        "{method} sip:lk@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {via};branch=z9hG4bKin{}\r\nRoute: {}\r\n\
         From: <sip:+49891@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123@{ACME}>;tag=u\r\nCall-ID: one@trunk\r\n\
         CSeq: 2 {method}\r\nContact: <sip:trunk@{TRUNK}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        method.to_lowercase(),
        ok.header("Record-Route").unwrap()
    )
}

#[test]
fn inside_a_dialog_a_500_says_when_and_a_503_does_not() {
    for (method, code, kept) in
        [("INVITE", 500, true), ("UPDATE", 500, true), ("INVITE", 480, false), ("INFO", 503, false), ("INVITE", 503, false)]
    {
        let mut site = Site::usual();
        let text = inside(&mut site, method, TRUNK);
        let seen = site.from(TRUNK, &text).into_iter().find(|sent| sent.fenced).unwrap();
        let sent = site.from(SERVER, &respond(&seen, code, "u", "Retry-After: 7\r\n"));
        let end = answer(&sent);
        assert_eq!(end.header("Retry-After").is_some(), kept, "{method} {code}: {}", end.text());
    }
    let mut site = Site::usual();
    let text = inside(&mut site, "INVITE", TRUNK);
    let seen = site.from(TRUNK, &text).into_iter().find(|sent| sent.fenced).unwrap();
    site.from(SERVER, &respond(&seen, 100, "u", ""));
    site.from(TRUNK, &cancel(&text));
    let sent = site.from(SERVER, &respond(&seen, 503, "u", "Retry-After: 7\r\n"));
    assert_eq!(answer(&sent).line(), "SIP/2.0 487 Request Terminated");
}

/// A request whose topmost Via says this.
fn with_via(text: &str, via: &str) -> String {
    text.replace("198.51.100.7:5060;rport;", &format!("{via};"))
}

#[test]
fn without_rport_answers_go_to_the_port_of_sent_by() {
    let from = "198.51.100.7:52174";
    for (via, port) in [
        ("198.51.100.7:5060", 5060),
        ("198.51.100.7", 5060),
        ("198.51.100.7:5066", 5066),
        ("10.9.9.9:5066", 5066),
        ("pbx.example.net:5066", 5066),
        ("198.51.100.8:5060", 5060),
        ("198.51.100.7:5066;received=203.0.113.9", 5066),
        ("198.51.100.7:5060;rport", 52174),
        ("198.51.100.7:5060;rport=7", 52174),
        ("10.9.9.9;maddr=203.0.113.9", 5060),
    ] {
        let to: SocketAddr = format!("198.51.100.7:{port}").parse().unwrap();
        let asked = |text: &str| with_via(text, via);
        let call = asked(&invite(ACME, "10.1.0.20", "one"));
        for (what, text) in [
            ("a refusal", asked(&invite("acme.us.sip.example.com", "10.1.0.20", "a"))),
            ("OPTIONS", asked(&request("OPTIONS", &format!("sip:{ACME}"), "b"))),
            ("405", asked(&request("REGISTER", &format!("sip:{ACME}"), "c"))),
            ("481", asked(&request("CANCEL", &format!("sip:{ACME}"), "d"))),
            ("unreadable", asked(&request("OPTIONS", &format!("sip:{ACME}"), "e")).replace("CSeq: 1", "CSeq: x")),
            ("version", asked(&request("OPTIONS", &format!("sip:{ACME}"), "f")).replacen("SIP/2.0", "SIP/3.0", 1)),
        ] {
            let sent = Site::usual().from(from, &text);
            assert_eq!((sent.len(), sent[0].to), (1, to), "{what}, {via}: {}", sent[0].text());
            let back = sent[0].header("Via").unwrap();
            assert_eq!(back.contains(";rport=52174"), via.contains(";rport"), "{back}");
            assert_eq!(back.contains(";rport"), via.contains(";rport"), "only if it was asked for: {back}");
            assert!(!back.contains("203.0.113.9") || via.contains("maddr"), "{back}");
        }
        let mut site = Site::usual();
        let sent = site.from(from, &call);
        assert_eq!((sent[0].line().as_str(), sent[0].to), ("SIP/2.0 100 Trying", to), "{via}");
        let seen = &sent[1];
        assert_eq!(site.from(from, &call)[0].to, to, "the 100 again");
        assert_eq!(site.from(SERVER, &respond(seen, 180, "u", ""))[0].to, to);
        let end = site.from(SERVER, &respond(seen, 486, "u", ""));
        assert_eq!(answer(&end).to, to);
        assert_eq!(site.pass(std::time::Duration::from_millis(600))[0].to, to, "timer G");
        // Its ACK is known by the source's address, whatever port it comes from.
        assert!(site.from("198.51.100.7:5060", &call.replace("INVITE", "ACK")).is_empty());
        assert!(site.pass(std::time::Duration::from_secs(40)).is_empty());
    }
    // A stranger learns nothing more, and it learns it at its own address.
    let text = with_via(&request("OPTIONS", &format!("sip:{ACME}"), "x"), "198.51.100.7:5066");
    assert_eq!(Site::usual().from("203.0.113.200:4000", &text)[0].to, "203.0.113.200:5066".parse::<SocketAddr>().unwrap());
}

#[test]
fn on_a_stream_answers_stay_on_it() {
    let mut site = Site::usual();
    let text = with_via(&invite(ACME, "10.1.0.20", "one"), "198.51.100.7:5066").replace("/UDP", "/TCP");
    let sent = site.stream("198.51.100.7:40001", 7, &text);
    assert_eq!((sent[0].to, sent[0].connection.is_some()), ("198.51.100.7:40001".parse::<SocketAddr>().unwrap(), true));
}

#[test]
fn a_bye_of_ours_goes_where_answers_go() {
    let mut site = Site::usual();
    let text = inside(&mut site, "INVITE", "198.51.100.7:5066")
        .replace(&format!("Contact: <sip:trunk@{TRUNK}>\r\n"), "Contact: <sip:t@203.0.113.99>\r\n");
    let seen = site.from("198.51.100.7:52174", &text).into_iter().find(|sent| sent.fenced).unwrap();
    let body = sdp("203.0.113.77");
    let rows = format!("Contact: <sip:lk@{SERVER}>\r\nContent-Type: application/sdp\r\n");
    let bad = respond(&seen, 200, "u", &rows)
        .replace("Content-Length: 0\r\n\r\n", &format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let sent = site.from(SERVER, &bad);
    let bye = sent.iter().find(|sent| sent.line().starts_with("BYE") && sent.to.ip().to_string() == "198.51.100.7").unwrap();
    assert_eq!(bye.to.port(), 5066, "{}", bye.text());
}
