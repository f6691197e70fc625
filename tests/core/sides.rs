//! What one party may not do in another's name: take over a transaction, answer for a server, be told another's refusal, or lead a call
//! out by a redirect. And what a proxy owes a fork that answers late.

use std::time::Duration;

use ringfence::core::io::{Note, Outcome, Verdict};
use ringfence::reason::Reason;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, respond, with_sdp};

const ACME: &str = "acme.eu.sip.example.com";
/// A trunk of another project, in which nothing reads media.
const QUIET: &str = "198.51.105.7:5060";
/// The trunk's gateway, for calls out.
const GATEWAY: &str = "198.51.100.9:5080";

fn call(site: &mut Site, id: &str) -> Sent {
    site.from(TRUNK, &invite(ACME, "10.1.0.20", id)).remove(1)
}

fn call_out(site: &mut Site, id: &str) -> Sent {
    let text = invite(&format!("carrier.{ACME}"), "10.1.0.20", id).replace("198.51.100.7:5060;rport", "10.1.0.5:5060;rport");
    site.from(SERVER, &text).remove(1)
}

fn code(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.line().split(' ').nth(1).unwrap().to_owned()).collect()
}

#[test]
fn an_answer_counts_only_from_the_side_that_was_asked() {
    let mut site = Site::usual();
    let seen = call(&mut site, "one");
    let ringing = with_sdp(&respond(&seen, 183, "x", "Contact: <sip:x@10.1.0.5>\r\n"), "10.1.0.20");
    let ok = with_sdp(&respond(&seen, 200, "x", "Contact: <sip:x@10.1.0.5>\r\n"), "10.1.0.20");
    for from in ["8.8.8.8:5060", QUIET, TRUNK, "10.2.0.5:5060", "10.1.7.5:5060"] {
        for text in [&ringing, &ok] {
            assert!(site.from(from, text).is_empty(), "{from}");
            assert_eq!(site.outcome(), Outcome::Stray);
        }
    }
    // A server with several addresses answers from any of them; the port does not count.
    assert_eq!(code(&site.from("10.1.0.6:5070", &ringing)), ["183"]);
    assert_eq!(code(&site.from(SERVER, &ok)), ["200"]);
    let seen = call_out(&mut site, "two");
    let ok = with_sdp(&respond(&seen, 200, "x", "Contact: <sip:x@198.51.100.9>\r\n"), "203.0.113.9");
    assert!(site.from(SECOND, &ok).is_empty() && site.from(QUIET, &ok).is_empty());
    assert_eq!(code(&site.from("198.51.100.30:5060", &ok)), ["200"], "another gateway of the trunk");
}

#[test]
fn a_host_inside_that_is_no_server_answers_for_nobody() {
    let mut site = Site::usual();
    let sent = call(&mut site, "one");
    assert!(site.from("10.1.77.7:5060", &respond(&sent, 200, "evil", "Contact: <sip:evil@10.1.77.7>\r\n")).is_empty());
    assert_eq!(site.outcome(), Outcome::Stray);
    assert_eq!(code(&site.from(SERVER, &respond(&sent, 486, "u", ""))).last().map(String::as_str), Some("486"));
}

#[test]
fn a_request_of_another_source_is_another_transaction() {
    let mut site = Site::usual();
    let seen = call(&mut site, "one");
    site.from(SERVER, &respond(&seen, 180, "x", ""));
    // The same Via, another trunk: a call of its own, which is told nothing of the first.
    let other = invite("quiet.eu.sip.example.com", "10.1.0.20", "one").replace("Call-ID: one@", "Call-ID: two@");
    let sent = site.from(QUIET, &other);
    assert_eq!((sent[0].line().as_str(), sent.len()), ("SIP/2.0 100 Trying", 2));
    // Another port of the same source: the same transaction.
    let again = site.from("198.51.100.7:9999", &invite(ACME, "10.1.0.20", "one"));
    assert_eq!(code(&again), ["180"]);
    // An ACK or a CANCEL from elsewhere ends nothing.
    let cancel = invite(ACME, "10.1.0.20", "one").replace("INVITE", "CANCEL");
    assert_eq!(code(&site.from("198.51.100.8:5060", &cancel)), ["481"]);
    let busy = site.from(SERVER, &respond(&seen, 486, "x", ""));
    let refused = busy.iter().find(|sent| sent.line().contains("486")).unwrap();
    let ack = invite(ACME, "10.1.0.20", "one")
        .replace("INVITE", "ACK")
        .replace(&format!("To: <sip:+4930123@{ACME}>"), &format!("To: {}", refused.header("To").unwrap()));
    site.from("198.51.100.8:5060", &ack);
    let to_trunk = |sent: Vec<Sent>| sent.iter().filter(|sent| sent.to == TRUNK.parse().unwrap()).count();
    assert_eq!(to_trunk(site.pass(Duration::from_millis(600))), 1, "the 486 is repeated");
    site.from(TRUNK, &ack);
    assert_eq!(to_trunk(site.pass(Duration::from_secs(3))), 0);
}

#[test]
fn a_refusal_is_told_again_to_its_own_trunk_alone() {
    let mut site = Site::usual();
    let refused = invite("acme.us.sip.example.com", "10.1.0.20", "one");
    assert_eq!(code(&site.from(TRUNK, &refused)), ["603"]);
    let quiet = invite("quiet.eu.sip.example.com", "10.1.0.20", "one").replace("z9hG4bKone", "z9hG4bKtwo");
    assert_eq!(code(&site.from(QUIET, &quiet))[0], "100");
    // Projects that share a carrier: the host says whose call it is.
    let globex = invite("globex.eu.sip.example.com", "10.1.0.20", "one").replace("z9hG4bKone", "z9hG4bKthree");
    let sent = site.from(TRUNK, &globex);
    assert!(sent[0].header("X-Ringfence").unwrap().starts_with("130"), "its own reason: {}", sent[0].text());
    let mut site = Site::usual();
    site.from(TRUNK, &refused);
    // Another address of the same trunk is the same carrier that tries again.
    let again = refused.replace("z9hG4bKone", "z9hG4bKfour").replace("CSeq: 1", "CSeq: 2");
    assert_eq!(code(&site.from("198.51.100.99:5060", &again)), ["603"]);
    assert_eq!(site.notes.iter().filter(|note| matches!(note, Note::Repeat { .. })).count(), 1);
}

#[test]
fn a_maddr_of_somebody_else_is_no_endpoint_of_ours() {
    let mut site = Site::usual();
    for maddr in ["192.0.2.99", "10.1.0.5", "out.example.net", "[2001:db8::99]", "", "acme.us.sip.example.com"] {
        let text = invite(ACME, "10.1.0.20", "one").replacen(ACME, &format!("{ACME};maddr={maddr}"), 1);
        let sent = site.from(TRUNK, &text);
        assert_eq!(code(&sent), ["404"], "{maddr}");
    }
    let text = invite(ACME, "10.1.0.20", "one").replacen(ACME, &format!("{ACME};maddr=192.0.2.1"), 1);
    assert_eq!(site.from(TRUNK, &text).len(), 2, "the address that it came to");
}

#[test]
fn no_redirect_leads_out_of_the_region() {
    let outside = [
        "<sip:1@acme.us.sip.example.com>",
        "<sip:1@us.sip.example.com>",
        "<sip:1@globex.sip.example.com>",
        "<sip:1@10.1.0.5?Route=%3Csip:192.0.2.99%3Blr%3E>",
        "<sip:1@10.1.0.5;%6daddr=192.0.2.99>",
        "<sip:1@10.1.0.5;alias=192.0.2.99~5060~1>",
        "sip:1@192.0.2.99;q=1",
        "<sip:1@192.0.2.99:5060>",
        "<sip:1@10.1.0.5;maddr=192.0.2.99>",
        "<sip:1@10.1.0.5>, \"x\" <sip:1@acme.us.sip.example.com>;q=0.1",
        "<sip:1@pbx.example.net>",
        "<sip:1@[2001:db8::99]>",
        "*",
    ];
    let inside = [
        "<sip:1@acme.eu.sip.example.com>",
        "<sip:1@acme.sip.example.com>",
        "<sip:1@10.1.0.9:5060>",
        "<sip:1@198.51.100.30>",
        "<tel:+4930>",
        "<sip:1@acme.pstn.example.net>",
    ];
    for (side, answers) in [("in", SERVER), ("out", GATEWAY)] {
        for contact in outside {
            let mut site =
                Site::new(&crate::site::CONFIG.replace("acme.pstn.example.net:5080;transport=udp", "198.51.100.9:5080"));
            let seen = if side == "in" { call(&mut site, "one") } else { call_out(&mut site, "one") };
            let sent = site.from(answers, &respond(&seen, 302, "x", &format!("Contact: {contact}\r\n")));
            let told = sent.last().unwrap();
            assert!(
                told.line().starts_with("SIP/2.0 603") && told.header("Contact").is_none(),
                "{side} {contact}: {}",
                told.text()
            );
            assert!(told.header("X-Ringfence").unwrap().starts_with("171; reason=foreign-dialog-target"));
            let warning = told.header("Warning").unwrap();
            let shown = if contact == "*" { "Contact * leads" } else { "Contact sip:...@" };
            assert!(warning.contains(shown) && !warning.contains("1@"), "whom it leads to is nobody's business: {warning}");
            assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget));
            assert!(sent[0].line().starts_with("ACK "), "the redirect itself is acknowledged");
        }
    }
    for contact in inside {
        let mut site = Site::usual();
        let seen = call(&mut site, "one");
        let sent = site.from(SERVER, &respond(&seen, 302, "x", &format!("m: {contact}\r\n")));
        assert_eq!(code(&sent).last().unwrap(), "302", "{contact}");
    }
}

#[test]
fn a_fork_that_answers_after_another_ones_final_answer_is_passed_on() {
    let streams = crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:10.1.0.5:5060;transport=tcp""#);
    for (config, stream, code_of_first) in
        [(crate::site::CONFIG, None, 486), (&streams, Some(1), 486), (&streams, Some(1), 603), (&streams, None, 486)]
    {
        let mut site = Site::new(config);
        let text = invite(ACME, "10.1.0.20", "one");
        let seen = match stream {
            Some(connection) => site.stream(TRUNK, connection, &text),
            None => site.from(TRUNK, &text),
        }
        .remove(1);
        assert_eq!(code(&site.from(SERVER, &respond(&seen, code_of_first, "one", "")))[1..], [code_of_first.to_string()]);
        let late = with_sdp(&respond(&seen, 200, "two", "Contact: <sip:two@10.1.0.5>\r\n"), "10.1.0.20");
        for _ in 0..2 {
            site.pass(Duration::from_secs(3));
            assert_eq!(code(&site.from(SERVER, &late)), ["200"], "{:?}, the caller's stream: {stream:?}", seen.transport);
        }
        site.pass(Duration::from_secs(33));
        assert_eq!(site.core.transactions(), 0);
        assert!(site.from(SERVER, &late).is_empty());
    }
}

#[test]
fn a_100_does_not_start_timer_c_anew() {
    let mut site = Site::usual();
    let seen = call(&mut site, "one");
    site.from(SERVER, &respond(&seen, 180, "u", ""));
    for _ in 0..3 {
        site.pass(Duration::from_secs(50));
        site.from(SERVER, &respond(&seen, 100, "", ""));
    }
    let sent = site.pass(Duration::from_secs(40));
    assert!(sent.iter().any(|sent| sent.line().starts_with("CANCEL ")), "185 s after the 180");
}

#[test]
fn strangers_of_one_ipv6_network_are_one_stranger() {
    let mut site = Site::usual();
    let mut answers = |network: u8| {
        let ask = |id: u16| {
            let source = format!("[2001:db8:bad:{network}::{id:x}]:5060");
            site.from(&source, &invite("acme.eu.sip.example.com", "10.1.0.20", &format!("n{network}x{id}"))).len()
        };
        (1..=200).map(ask).sum::<usize>()
    };
    assert_eq!((answers(1), answers(2)), (20, 20));
}

#[test]
fn a_caller_whose_own_way_is_outside_is_accepted_and_noted() {
    let unreachable = |rows: &str, source: &str| {
        let mut site = Site::usual();
        let text = invite(ACME, "10.1.0.20", "one").replace("Contact: <sip:trunk@198.51.100.7:5060>\r\n", rows);
        site.from(source, &text);
        assert_eq!(site.outcome(), Outcome::Forwarded, "{rows}");
        let noted = site.notes.iter().find_map(|note| match note {
            Note::Verdict { verdict: Verdict::Accept, unreachable, .. } => Some(unreachable.map(|addr| addr.to_string())),
            _ => None,
        });
        noted.expect("a verdict")
    };
    for (rows, expected) in [
        ("Contact: <sip:t@198.51.100.99:5062>\r\n", None),
        // A private address stands for where the INVITE came from.
        ("Contact: <sip:t@192.168.1.9>\r\n", None),
        ("Contact: <sip:t@203.0.113.9>\r\n", Some("203.0.113.9:5060")),
        ("Contact: <sips:t@203.0.113.9>\r\n", Some("203.0.113.9:5061")),
        ("Contact: <sip:t@198.51.100.9;maddr=203.0.113.9>\r\n", Some("203.0.113.9:5060")),
        // The carrier's proxy stands before its Contact, or outside.
        ("Record-Route: <sip:198.51.100.9;lr>\r\nContact: <sip:t@192.168.1.9>\r\n", None),
        ("Record-Route: <sip:203.0.113.9;lr>\r\nContact: <sip:t@198.51.100.9>\r\n", Some("203.0.113.9:5060")),
        // Nobody knows yet where a name leads.
        ("Contact: <sip:t@pbx.example.net>\r\n", None),
        // Inside the region, and no server there.
        ("Contact: <sip:t@10.1.0.77:5066>\r\n", Some("10.1.0.77:5066")),
    ] {
        assert_eq!(unreachable(rows, TRUNK).as_deref(), expected, "{rows}");
    }
}
