//! A route token is good for one dialog, in the hands of the side that it was given to.

use std::hash::Hasher;
use std::sync::Arc;
use std::time::Duration;

use ringfence::core::Core;
use ringfence::core::io::{DropCause, Outcome};
use ringfence::dns::Resolved;
use ringfence::reason::Reason;
use siphasher::sip::SipHasher24;

use crate::site::{SERVER, Sent, Site, TIME, TRUNK, invite, request, respond, tokens};

const ACME: &str = "acme.eu.sip.example.com";
const ALMOST_A_DAY: Duration = Duration::from_secs(24 * 60 * 60 - 1);

/// A call that is answered: the routes of whoever answered and of whoever asked.
fn call(site: &mut Site) -> (String, String) {
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let ok = site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).remove(0);
    (seen.header("Record-Route").unwrap(), ok.header("Record-Route").unwrap())
}

/// A request inside a dialog: its Call-ID, its tags and its Route.
fn within(method: &str, from: &str, (id, ftag, ttag): (&str, &str, &str), route: &str, cseq: u32) -> String {
    let uri = if from == TRUNK { "sip:lk@10.1.0.5" } else { "sip:trunk@198.51.100.7:5060" };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{id}{method}{cseq}{ftag}{ttag}\r\nRoute: {route}\r\n\
         From: <sip:a@b>;tag={ftag}\r\nTo: <sip:b@c>;tag={ttag}\r\nCall-ID: {id}@trunk\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:x@{from}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn says(site: &mut Site, from: &str, text: &str) -> Vec<Sent> {
    let arrival = site.arrival("192.0.2.1:5060", from);
    site.exactly(arrival, text.as_bytes())
}

fn refused(site: &mut Site, from: &str, text: &str, reason: Reason) {
    let sent = says(site, from, text);
    assert_eq!(site.outcome(), Outcome::Refused(reason), "{text}");
    assert_eq!((sent.len(), sent[0].to), (1, from.parse().unwrap()));
}

#[test]
fn a_token_is_of_one_dialog() {
    let mut site = Site::usual();
    let (answerers, askers) = call(&mut site);
    let mut cseq = 10;
    for method in ["INVITE", "INFO", "BYE", "UPDATE", "REFER", "PRACK", "SUBSCRIBE", "FOO", "ACK"] {
        for (from, route, own, other) in
            [(TRUNK, &askers, ("one", "fone", "u"), &answerers), (SERVER, &answerers, ("one", "u", "fone"), &askers)]
        {
            cseq += 1;
            let (id, ftag, ttag) = own;
            let mut wrong = vec![
                (("two", ftag, ttag), route),
                ((id, ttag, ftag), route),
                // The other side's token in this side's hands.
                (own, other),
            ];
            // The token of whoever answers cannot know that one's own tag.
            wrong.extend(if from == TRUNK {
                vec![((id, "x", ttag), route), ((id, ftag, "x"), route), ((id, ftag, "x"), other), ((id, "x", ftag), other)]
            } else {
                vec![((id, ftag, "x"), route)]
            });
            for (dialog, route) in wrong {
                let text = within(method, from, dialog, route, cseq);
                if method == "ACK" {
                    assert!(says(&mut site, from, &text).is_empty(), "{text}");
                    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget), "{text}");
                    continue;
                }
                let sent = says(&mut site, from, &text);
                let one = sent.len() == 1 && sent[0].to == from.parse().unwrap() && sent[0].line().starts_with("SIP/2.0 403 ");
                assert!(one, "{text}: {:?}", sent.iter().map(Sent::line).collect::<Vec<_>>());
            }
            let sent = says(&mut site, from, &within(method, from, own, route, cseq));
            assert!(sent.iter().any(|sent| sent.line().starts_with(method)), "{method} from {from}: {sent:?}");
        }
    }
}

#[test]
fn the_answerers_token_is_worth_nothing_to_whoever_asked() {
    // Not even as if it had answered its own call.
    let mut site = Site::usual();
    let (answerers, _) = call(&mut site);
    refused(&mut site, TRUNK, &within("BYE", TRUNK, ("one", "any", "fone"), &answerers, 2), Reason::UnknownSource);
    // An answer without a tag brings none that is good for any dialog.
    let mut site = Site::usual();
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let untagged = respond(&seen, 180, "u", "").replace(";tag=u", "");
    let told = site.from(SERVER, &untagged)[0].header("Record-Route").unwrap();
    refused(&mut site, TRUNK, &within("INFO", TRUNK, ("one", "fone", "u"), &told, 2), Reason::ForgedRoute);
}

#[test]
fn each_fork_has_its_own_token() {
    let mut site = Site::usual();
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let mut routes = Vec::new();
    for (code, tag) in [(183, "a"), (180, "b"), (183, "a"), (200, "a"), (200, "b"), (200, "c"), (200, "a")] {
        let told = site.from(SERVER, &respond(&seen, code, tag, "Contact: <sip:lk@10.1.0.5>\r\n"));
        routes.push((tag, told[0].header("Record-Route").unwrap()));
    }
    for (at, (tag, route)) in routes.iter().enumerate() {
        for other in ["a", "b", "c"] {
            let cseq = u32::try_from(at).unwrap() + 2;
            let sent = says(&mut site, TRUNK, &within("INFO", TRUNK, ("one", "fone", other), route, cseq));
            assert_eq!(sent[0].to == SERVER.parse().unwrap(), other == *tag, "{other} by the token of {tag}");
        }
    }
    assert_eq!(routes[0], routes[2]);
    assert_eq!(routes[3], routes[6], "a repeated 2xx is told alike");
}

#[test]
fn every_way_to_make_a_dialog() {
    for method in ["SUBSCRIBE", "REFER", "NOTIFY", "FOO"] {
        let mut site = Site::usual();
        let seen = site.from(TRUNK, &request(method, &format!("sip:x@{ACME}"), "one")).remove(0);
        let ok = site.from(SERVER, &respond(&seen, 202, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).remove(0);
        let (answerers, askers) = (seen.header("Record-Route").unwrap(), ok.header("Record-Route").unwrap());
        assert_ne!(answerers, askers);
        for other in ["u", "v"] {
            // Another notifier of a forked request is a dialog of its own, which began with the same request.
            let notify = says(&mut site, SERVER, &within("NOTIFY", SERVER, ("one", other, "fone"), &answerers, 1));
            assert_eq!(notify[0].to, TRUNK.parse().unwrap(), "{method}");
            // Whose path is the NOTIFY's (RFC 6665 4.3).
            let told = notify[0].header("Record-Route").unwrap();
            assert_eq!(told == askers, other == "u");
            let again = says(&mut site, TRUNK, &within("SUBSCRIBE", TRUNK, ("one", "fone", other), &told, 7));
            assert_eq!(again[0].to, SERVER.parse().unwrap(), "{method}");
            assert_eq!(again[0].header("Record-Route"), None);
            let ok = says(&mut site, TRUNK, &respond(&notify[0], 200, "", ""));
            assert_eq!((ok[0].to, ok[0].header("Record-Route")), (SERVER.parse().unwrap(), Some(told.clone())));
            // The other side's does not make it the other side.
            refused(&mut site, SERVER, &within("NOTIFY", SERVER, ("one", other, "fone"), &told, 9), Reason::ForgedRoute);
        }
        let again = says(&mut site, TRUNK, &within("SUBSCRIBE", TRUNK, ("one", "fone", "u"), &askers, 2));
        assert_eq!(again[0].to, SERVER.parse().unwrap(), "{method}");
        refused(&mut site, TRUNK, &within("SUBSCRIBE", TRUNK, ("one", "fone", "v"), &askers, 3), Reason::ForgedRoute);
    }
}

#[test]
fn a_call_out_has_tokens_too() {
    let mut site = Site::usual();
    let text = invite(&format!("carrier.{ACME}"), "10.1.0.20", "one").replace("198.51.100.7:5060;rport", "10.1.0.5:5060;rport");
    let seen = site.from(SERVER, &text).remove(1);
    let ok = site.from("198.51.100.9:5080", &respond(&seen, 200, "u", "Contact: <sip:gw@198.51.100.9:5080>\r\n")).remove(0);
    let (answerers, askers) = (seen.header("Record-Route").unwrap(), ok.header("Record-Route").unwrap());
    let passes = |site: &mut Site, from, dialog, route| {
        says(site, from, &within("INFO", from, dialog, route, 2)).iter().any(|sent| sent.line().starts_with("INFO"))
    };
    assert!(passes(&mut site, SERVER, ("one", "fone", "u"), &askers));
    assert!(passes(&mut site, TRUNK, ("one", "u", "fone"), &answerers));
    assert!(!passes(&mut site, TRUNK, ("one", "fone", "u"), &askers), "the trunk has not called");
    assert!(!passes(&mut site, SERVER, ("one", "u", "fone"), &answerers));
}

#[test]
fn only_what_we_put_into_this_request_is_signed_again_and_nothing_else_changes() {
    let mut site = Site::usual();
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let other = site.from(TRUNK, &invite(ACME, "10.1.0.20", "two")).remove(1);
    let ours = seen.header("Record-Route").unwrap();
    let theirs = other.header("Record-Route").unwrap();
    let plain = respond(&seen, 180, "u", "");
    let row = format!("Record-Route: {ours}\r\n");
    let told = site.from(SERVER, &plain).remove(0).header("Record-Route").unwrap();
    let bare = |text: &str| text.replace(['<', '>'], "");
    for (rows, expected) in [
        // Among others', joined, in rows of their own, without brackets, our parameter first or in capitals.
        (
            format!("Record-Route: <sip:10.1.0.7;lr>, {ours} ,<sip:10.1.0.8;rf=06;lr>\r\n"),
            format!("Record-Route: <sip:10.1.0.7;lr>, {told} ,<sip:10.1.0.8;rf=06;lr>\r\n"),
        ),
        (
            format!("Record-Route: <sip:10.1.0.7;lr>\r\nrecord-route:{ours}\r\nRecord-Route: {ours}\r\n"),
            format!("Record-Route: <sip:10.1.0.7;lr>\r\nrecord-route:{told}\r\nRecord-Route: {told}\r\n"),
        ),
        (format!("Record-Route: {}\r\n", bare(&ours)), format!("Record-Route: {}\r\n", bare(&told))),
        (
            row.replace(";lr;rf", ";rf").replace('>', ";lr>"),
            format!("Record-Route: {told}\r\n").replace(";lr;rf", ";rf").replace('>', ";lr>"),
        ),
        (row.replace(";rf=", ";RF="), format!("Record-Route: {told}\r\n").replace(";rf=", ";RF=")),
        // Another call's, one that is cut, and one that is told already.
        (format!("Record-Route: {theirs}\r\n"), format!("Record-Route: {theirs}\r\n")),
        (format!("Record-Route: {}>\r\n", &ours[..ours.len() - 2]), format!("Record-Route: {}>\r\n", &ours[..ours.len() - 2])),
        (format!("Record-Route: {told}\r\n"), format!("Record-Route: {told}\r\n")),
        (String::new(), String::new()),
    ] {
        let via = plain.lines().find(|line| line.starts_with("Via: ")).unwrap();
        let answer = plain.replace(&row, &rows);
        let expected = plain.replace(&row, &expected).replace(&format!("{via}\r\n"), "");
        assert_eq!(site.from(SERVER, &answer)[0].text(), expected);
    }
    // A server that answers with another Call-ID or caller gets no signature for it.
    for (right, wrong) in [("Call-ID: one@", "Call-ID: two@"), (";tag=fone", ";tag=ftwo")] {
        let sent = site.from(SERVER, &plain.replace(right, wrong));
        assert!(sent.iter().all(|sent| sent.header("Record-Route").is_none_or(|route| route == ours)), "{wrong}");
    }
}

#[test]
fn both_rows_of_different_sides_are_signed_again() {
    let mut site = Site::usual();
    let text = invite(ACME, "10.1.0.20", "one").replace("UDP", "TCP");
    let seen = site.stream(TRUNK, 1, &text).remove(1);
    let ok = site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).remove(0);
    let told: Vec<String> = tokens(&ok.text()).map(str::to_owned).collect();
    assert!(told.len() == 2 && told[0] == told[1] && told[0].starts_with("07"), "{told:?}");
}

#[test]
fn a_token_says_when_the_call_began() {
    let mut site = Site::usual();
    let says = |message: &Sent| {
        let text = message.text();
        let token = tokens(&text).next().unwrap();
        let (letter, at) = token[..token.len() - 16][token.len() - 25..].split_at(1);
        (letter.to_owned(), u64::from_str_radix(at, 16).unwrap() - TIME)
    };
    site.pass(Duration::from_millis(2500));
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    assert_eq!(says(&seen), ("i".to_owned(), 2), "the INVITE's, to whoever answers");
    site.pass(Duration::from_secs(3));
    let rings = site.from(SERVER, &respond(&seen, 180, "u", "")).remove(0);
    assert_eq!(says(&rings), ("i".to_owned(), 2), "an early dialog is not set up");
    site.pass(Duration::from_secs(4));
    let answer = respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n");
    let first = site.from(SERVER, &answer).remove(0);
    assert_eq!(says(&first), ("s".to_owned(), 9));
    site.pass(Duration::from_secs(4));
    assert_eq!(site.from(SERVER, &answer)[0].bytes, first.bytes, "a repeated 2xx says the same");
    // Nobody has told the time.
    site.core = Core::new(Arc::clone(&site.config), Arc::new(Resolved::unknown(site.config.names.len())), [7; 16], site.now);
    let seen = site.from(TRUNK, &invite(ACME, "10.1.0.20", "two")).remove(1);
    let token = tokens(&seen.text()).next().unwrap().to_owned();
    assert_eq!(&token[23..32], "n00000000");
}

#[test]
fn a_token_of_the_form_before_is_read_for_a_day() {
    let mut site = Site::usual();
    let (answerers, askers) = call(&mut site);
    // Form, name, relay and side, and what signed them; not when.
    let old = |route: &str, form: &str, behind: &[&str]| {
        let token = tokens(route).next().unwrap();
        let facts = &token[2..token.len() - 25];
        let mut hasher = SipHasher24::new_with_key(&[7; 16]);
        hasher.write_u8(5);
        for part in [&[facts, "one@trunk", "fone", form], behind].concat() {
            hasher.write_usize(part.len());
            hasher.write(part.as_bytes());
        }
        route.replace(token, &format!("{form}{facts}{:016x}", hasher.finish()))
    };
    let (answerers, askers) = (old(&answerers, "04", &[]), old(&askers, "05", &["u"]));
    let passes = |site: &mut Site, from, dialog, cseq| {
        let route = if from == TRUNK { &askers } else { &answerers };
        says(site, from, &within("INFO", from, dialog, route, cseq)).iter().any(|sent| sent.line().starts_with("INFO"))
    };
    for (time, cseq, reads) in [(Duration::ZERO, 2, true), (ALMOST_A_DAY, 3, true), (Duration::from_secs(1), 4, false)] {
        site.pass(time);
        // A reload is no start.
        site.reload(crate::site::CONFIG);
        assert_eq!(passes(&mut site, TRUNK, ("one", "fone", "u"), cseq), reads);
        assert_eq!(passes(&mut site, SERVER, ("one", "u", "fone"), cseq), reads);
        assert!(!passes(&mut site, TRUNK, ("two", "fone", "u"), cseq));
    }
}
