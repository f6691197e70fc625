//! Which message is an offer and which an answer, on both sides and in both directions, and which relay gets it.

use std::time::Duration;

use ringfence::core::io::{
    Direction, Note, RelayBody, RelayOutcome, RelayReply, RelayRequest, RelayVerb, Spoken, Unanswered, Verdict,
};
use ringfence::reason::Reason;

use super::{
    CARRIED, CONFIG, FIRST, HOME, HOST, OTHER, answer, answering_relay, established, in_dialog_from_server, in_dialog_from_trunk,
    is_relayed, lines, notes, questions_asked, site, without_body,
};
use crate::site::{SERVER, Site, TRUNK, invite, respond, sdp, with_sdp};

#[test]
fn a_call_is_anchored_in_both_directions_and_deleted() {
    let mut site = site();
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    assert_eq!((lines(&sent)[0].as_str(), sent[1].to), ("SIP/2.0 100 Trying", SERVER.parse().unwrap()));
    assert!(is_relayed(&sent[1]) && !sent[1].text().contains(CARRIED), "{}", sent[1].text());
    assert_eq!(site.questions.len(), 1);
    let RelayRequest { relay, body: RelayBody::Session { call_id, sdp: said, .. }, .. } = &site.questions[0] else { panic!() };
    assert_eq!((call_id.as_slice(), said.as_slice()), (&b"acme/carrier/one@trunk"[..], sdp(CARRIED).as_bytes()));
    assert!([FIRST, OTHER].iter().any(|addr| relay.addr() == addr.parse().unwrap()));
    let relay = relay.addr();
    for code in [183, 200, 200] {
        let back = site.from(SERVER, &answer(&sent[1], code, HOME));
        assert!(back.len() == 1 && is_relayed(&back[0]) && !back[0].text().contains(HOME), "{}", back[0].text());
    }
    let questions: Vec<_> = site.questions.iter().map(|request| (request.relay.addr(), request.id.cookie)).collect();
    assert!(questions.iter().all(|(addr, _)| *addr == relay), "the answer goes where the offer went");
    assert_eq!(questions[2], questions[3], "a repetition is the same question");
    assert_eq!(questions_asked(&mut site), ["offer fone", "answer fone u", "answer fone u", "answer fone u"]);
    let route = sent[1].header("Record-Route").unwrap();
    site.from(TRUNK, &in_dialog_from_trunk("ACK", 1, &route));
    let bye = site.from(TRUNK, &in_dialog_from_trunk("BYE", 2, &route));
    assert_eq!(questions_asked(&mut site), [""; 0], "the call is not over yet");
    site.from(SERVER, &respond(&bye[0], 200, "u", ""));
    assert_eq!(site.questions[0].relay.addr(), relay);
    assert_eq!(site.questions[0].id.call, None);
    let RelayBody::Delete { call_id } = &site.questions[0].body else { panic!() };
    assert_eq!(call_id, b"acme/carrier/one@trunk");
    assert_eq!(questions_asked(&mut site), ["delete"]);
    // Each message is judged once, by what it said itself.
    let judged =
        |spoken| site.notes.iter().filter(|note| matches!(note, Note::Media { spoken: said, .. } if *said == spoken)).count();
    assert_eq!((judged(Spoken::Inside), judged(Spoken::None)), (4, 1));
    assert_eq!(site.notes.iter().filter(|note| matches!(note, Note::MediaRelayed { .. })).count(), 1);
    assert_eq!(notes(&site, RelayVerb::Answer), [RelayOutcome::Ok; 3]);
    site.pass(Duration::from_secs(60));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_late_offer_is_the_answerers_and_the_ack_brings_the_answer() {
    let mut site = site();
    let sent = site.from(TRUNK, &without_body(&invite(HOST, CARRIED, "one")));
    assert_eq!((sent.len(), questions_asked(&mut site)), (2, vec![]));
    let seen = sent[1].clone();
    let route = seen.header("Record-Route").unwrap();
    for code in [180, 200] {
        let back = site.from(SERVER, &answer(&seen, code, HOME));
        assert!(is_relayed(&back[0]));
    }
    let relay = site.questions[0].relay.addr();
    let ack = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("ACK", 1, &route), CARRIED));
    assert!(ack.len() == 1 && ack[0].to == SERVER.parse().unwrap() && is_relayed(&ack[0]));
    assert_eq!(site.questions[2].relay.addr(), relay, "as the token says");
    assert_eq!(questions_asked(&mut site), ["offer u fone", "offer u fone", "answer u fone"]);
    assert_eq!(site.notes.iter().filter(|note| matches!(note, Note::MediaRelayed { .. })).count(), 1);
}

#[test]
fn whatever_negotiates_inside_a_dialog_is_anchored_by_the_same_relay() {
    let mut site = site();
    let route = established(&mut site);
    let relay = site.questions[0].relay.addr();
    questions_asked(&mut site);
    for (number, method) in [(2, "UPDATE"), (3, "INVITE"), (4, "PRACK")] {
        let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk(method, number, &route), CARRIED));
        let seen = sent.last().unwrap().clone();
        assert!(seen.line().starts_with(method) && is_relayed(&seen), "{}", seen.text());
        let back = site.from(SERVER, &answer(&seen, 200, HOME));
        assert!(is_relayed(&back[0]));
        assert!(site.questions.iter().all(|request| request.relay.addr() == relay));
        assert_eq!(questions_asked(&mut site), ["offer fone u", "answer fone u"], "{method}");
    }
    // From the other side.
    let sent = site.from(SERVER, &with_sdp(&in_dialog_from_server("UPDATE", 7, &route), HOME));
    assert!(sent[0].to == TRUNK.parse().unwrap() && is_relayed(&sent[0]), "{sent:?}");
    let ok = with_sdp(&respond(&sent[0], 200, "", ""), CARRIED);
    assert!(is_relayed(&site.from(TRUNK, &ok)[0]));
    assert_eq!(questions_asked(&mut site), ["offer u fone", "answer u fone"]);
    // Without a description nobody is asked.
    site.from(TRUNK, &in_dialog_from_trunk("UPDATE", 8, &route));
    assert_eq!(questions_asked(&mut site), [""; 0]);
}

#[test]
fn the_ack_of_a_late_offer_finds_the_relay_that_has_it() {
    let mut site = site();
    let sent = site.from(TRUNK, &without_body(&invite(HOST, CARRIED, "one")));
    let (seen, route) = (sent[1].clone(), sent[1].header("Record-Route").unwrap());
    // The token names one relay; that does not take the offer, the other does.
    let mut offers = 0;
    site.relay = Some(Box::new(move |request| {
        offers += usize::from(request.id.verb == RelayVerb::Offer);
        if request.id.verb == RelayVerb::Offer && offers == 1 { Ok(RelayReply::Refused) } else { answering_relay(request) }
    }));
    assert!(is_relayed(&site.from(SERVER, &answer(&seen, 200, HOME))[0]));
    let (named, took) = (site.questions[0].relay, site.questions[1].relay);
    assert_ne!(named, took);
    site.questions.clear();
    site.relay =
        Some(Box::new(move |request| if request.relay == took { answering_relay(request) } else { Ok(RelayReply::Refused) }));
    let ack = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("ACK", 1, &route), CARRIED));
    assert!(is_relayed(&ack[0]));
    assert_eq!(site.questions.iter().map(|request| request.relay).collect::<Vec<_>>(), [named, took]);
    // Nobody has it: the callee gets an ACK without it, and both sides a BYE.
    site.relay = Some(Box::new(|_| Ok(RelayReply::Refused)));
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("ACK", 1, &route), "203.0.113.10"));
    let words: Vec<_> = lines(&sent).iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect();
    assert_eq!(words, ["ACK", "BYE", "BYE"]);
    assert!(!sent[0].text().contains("203.0.113.10"));
}

#[test]
fn a_call_out_is_anchored_too() {
    let text = CONFIG.replacen(
        "media    = [\"203.0.113.0/24\"]",
        "media    = [\"203.0.113.0/24\"]\nuri = \"sip:198.51.100.9:5080\"\noutbound_networks = [\"198.51.100.0/24\"]",
        1,
    );
    let mut site = Site::new(&text);
    site.relay = Some(Box::new(answering_relay));
    let text = invite("carrier.acme.eu.sip.example.com", HOME, "one").replace("198.51.100.7:5060", SERVER);
    let sent = site.from(SERVER, &text);
    assert!(sent[1].to == "198.51.100.9:5080".parse().unwrap() && is_relayed(&sent[1]), "{sent:?}");
    let back = site.from("198.51.100.9:5080", &answer(&sent[1], 200, CARRIED));
    assert!(is_relayed(&back[0]) && back[0].to == SERVER.parse().unwrap());
    assert_eq!(questions_asked(&mut site), ["offer fone", "answer fone u"]);
}

#[test]
fn shadow_mode_anchors_and_refuses_nothing_but_what_finds_no_relay() {
    let trunk = "198.51.103.7:5060";
    let (host, outside) = ("watcher.eu.sip.example.com", "192.0.2.99");
    let mut site = site();
    let sent = site.from(trunk, &invite(host, outside, "one"));
    assert!(is_relayed(&sent[1]));
    let shadows = |site: &Site| -> Vec<Reason> {
        let reason = |note: &Note| match note {
            Note::Verdict { verdict: Verdict::Shadow, reason, .. } => Some(*reason),
            _ => None,
        };
        site.notes.iter().filter_map(reason).collect()
    };
    assert_eq!(shadows(&site), [Reason::ForeignMediaOffer], "counted once, by what it said itself");
    assert!(site.notes.iter().any(|note| matches!(note, Note::Media { spoken: Spoken::Outside, direction: Direction::In, .. })));
    let text = invite(host, HOME, "two").replace("application/sdp", "text/plain");
    let sent = site.from(trunk, &text);
    assert!(sent[1].text().contains(HOME), "it passes as it came");
    assert_eq!(shadows(&site).last(), Some(&Reason::UnreadableMedia));
    assert!(sent[1].header("X-Ringfence").unwrap().starts_with("142; reason=unreadable-media"), "{}", sent[1].text());
    questions_asked(&mut site);
    let back = site.from(SERVER, &answer(&sent[1], 200, HOME));
    assert!(back[0].text().contains(HOME) && questions_asked(&mut site).is_empty(), "nor is its answer");
    site.relay = Some(Box::new(|_| Err(Unanswered::Silent)));
    let sent = site.from(trunk, &invite(host, CARRIED, "three"));
    assert_eq!(lines(&sent), ["SIP/2.0 503 Servers Of Region Unavailable"]);
}
