//! What the audit record is told: of each request that is judged, of each INVITE's end, and of each call's.

use std::time::Duration;

use ringfence::core::io::{AnswerTold, EndTold, EndedBy, Input, Note, RequestTold, Verdict};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond, with_sdp};

const ACME: &str = "acme.eu.sip.example.com";
const CARRIER: &str = "carrier.acme.eu.sip.example.com";
const GATEWAY: &str = "198.51.100.9:5080";
const CALL: &[u8] = b"one@trunk\0fone";

/// A call: who asks, who answers, and what is called.
#[derive(Clone, Copy, Debug)]
struct Way {
    asker: &'static str,
    answerer: &'static str,
    host: &'static str,
}

const IN: Way = Way { asker: TRUNK, answerer: SERVER, host: ACME };
const OUT: Way = Way { asker: SERVER, answerer: GATEWAY, host: CARRIER };

impl Way {
    fn invite(self) -> String {
        let text = invite(self.host, "10.1.0.20", "one");
        text.replace("SIP/2.0/UDP 198.51.100.7:5060", &format!("SIP/2.0/UDP {}", self.asker))
    }

    /// An INVITE as the answerer has it.
    fn begun(self, site: &mut Site) -> Sent {
        site.from(self.asker, &self.invite()).remove(1)
    }

    /// A call that is answered after it has rung for 3 s: the routes of whoever asked and of whoever answered.
    fn answered(self, site: &mut Site) -> [String; 2] {
        let seen = self.begun(site);
        site.from(self.answerer, &respond(&seen, 180, "u", ""));
        site.pass(Duration::from_secs(3));
        let ok = respond(&seen, 200, "u", &format!("Contact: <sip:b@{}>\r\n", self.answerer));
        let told = site.from(self.answerer, &with_sdp(&ok, "10.1.0.21")).remove(0);
        [told.header("Record-Route").unwrap(), seen.header("Record-Route").unwrap()]
    }

    /// A request inside the dialog from the side that asked, or from the other.
    fn within(self, method: &str, asks: bool, route: &str, cseq: u32, rows: &str) -> String {
        let (from, to, ftag, ttag) =
            if asks { (self.asker, self.answerer, "fone", "u") } else { (self.answerer, self.asker, "u", "fone") };
        format!(
            "{method} sip:x@{to} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{method}{cseq}{asks}\r\nRoute: {route}\r\n\
             From: <sip:a@b>;tag={ftag}\r\nTo: <sip:b@c>;tag={ttag}\r\nCall-ID: one@trunk\r\nCSeq: {cseq} {method}\r\n\
             Contact: <sip:x@{from}>\r\nMax-Forwards: 70\r\n{rows}Content-Length: 0\r\n\r\n"
        )
    }

    /// The BYE of a side, as the other has it.
    fn bye(self, site: &mut Site, asks: bool, route: &str, rows: &str) -> Sent {
        let from = if asks { self.asker } else { self.answerer };
        let arrival = site.arrival("192.0.2.1:5060", from);
        site.exactly(arrival, self.within("BYE", asks, route, 9, rows).as_bytes()).remove(0)
    }
}

fn answers(site: &Site) -> Vec<AnswerTold> {
    site.notes.iter().filter_map(|note| if let Note::CallAnswered(told) = note { Some((**told).clone()) } else { None }).collect()
}

fn ends(site: &Site) -> Vec<EndTold> {
    site.notes.iter().filter_map(|note| if let Note::CallEnded(told) = note { Some((**told).clone()) } else { None }).collect()
}

fn verdicts(site: &Site) -> Vec<(Verdict, Reason, RequestTold)> {
    let told = |note: &Note| match note {
        Note::Verdict { verdict, reason, told: Some(told), .. } => Some((*verdict, *reason, (**told).clone())),
        _ => None,
    };
    site.notes.iter().filter_map(told).collect()
}

/// The name of a region.
fn named(site: &Site, region: Option<ringfence::config::RegionId>) -> Option<&str> {
    region.map(|region| site.config.region(region).name.as_str())
}

/// The media addresses of the note that stands before the one that is meant.
fn media(site: &Site, is: impl Fn(&Note) -> bool) -> Vec<String> {
    let at = site.notes.iter().position(is).unwrap();
    let named = site.notes[..at].iter().rev().find_map(|note| match note {
        Note::Media { named, .. } => named.as_deref(),
        _ => None,
    });
    named.unwrap().iter().map(ToString::to_string).collect()
}

#[test]
fn each_verdict_says_who_calls_whom_and_where_it_is_served() {
    for (way, outbound) in [(IN, false), (OUT, true)] {
        let mut site = Site::usual();
        way.begun(&mut site);
        let (verdict, reason, told) = verdicts(&site).remove(0);
        assert_eq!((verdict, reason), (Verdict::Accept, Reason::InRegion));
        let party = |party: &Option<ringfence::core::io::PartyTold>| {
            let party = party.as_ref().unwrap();
            (String::from_utf8_lossy(&party.text).into_owned(), party.country.map(|country| country.to_string()))
        };
        assert_eq!(party(&told.from), ("+49891".to_owned(), Some("DE".to_owned())));
        assert_eq!(party(&told.to), ("+4930123".to_owned(), Some("DE".to_owned())));
        assert_eq!((&*told.call, &*told.method), (CALL, &b"INVITE"[..]));
        assert_eq!(told.outbound, Some(outbound));
        assert_eq!((named(&site, told.serving), told.relay), (Some("eu"), None));
        assert_eq!(media(&site, |note| matches!(note, Note::Verdict { .. })), ["10.1.0.20"]);
    }
    // No number, with a password that is nobody's business, in a request that is refused.
    let mut site = Site::usual();
    let text = invite("nobody.eu.sip.example.com", "10.1.0.20", "one").replace("sip:+4930123@nobody", "sip:alice:secret@nobody");
    site.from(TRUNK, &text);
    let (verdict, reason, told) = verdicts(&site).remove(0);
    assert_eq!((verdict, reason), (Verdict::Refuse, Reason::UnknownEndpoint));
    assert_eq!((told.to.unwrap().text.as_slice(), told.serving, told.outbound), (&b"alice"[..], None, Some(false)));
    // A stranger, of whom nothing else is known.
    let mut site = Site::usual();
    site.from("203.0.113.1:5060", &invite(ACME, "10.1.0.20", "one"));
    let (verdict, reason, told) = verdicts(&site).remove(0);
    assert_eq!((verdict, reason, &*told.call), (Verdict::Refuse, Reason::UnknownSource, CALL));
    assert_eq!(told.from.unwrap().text.as_slice(), b"+49891");
}

#[test]
fn an_answer_says_how_an_invite_ended() {
    for way in [IN, OUT] {
        for code in [200, 486, 302, 603] {
            let mut site = Site::usual();
            let seen = way.begun(&mut site);
            site.from(way.answerer, &respond(&seen, 180, "u", ""));
            site.pass(Duration::from_millis(1500));
            assert!(answers(&site).is_empty());
            let text = respond(&seen, code, "u", &format!("Contact: <sip:b@{}>\r\n", way.answerer));
            site.from(way.answerer, &text);
            let told = answers(&site).remove(0);
            assert_eq!((told.code, told.after, &*told.call), (code, Duration::from_millis(1500), CALL), "{way:?}");
            assert_eq!(
                (told.target.map(|(_, addr)| addr), told.retries, named(&site, told.serving)),
                (way.answerer.parse().ok(), 0, Some("eu"))
            );
            assert_eq!(told.outbound, way.asker == SERVER);
            assert!(told.whose.1.is_some_and(|trunk| &*site.config.trunk(trunk).name == "carrier"));
            // Once, whatever comes again.
            site.from(way.answerer, &text);
            site.from(way.asker, &way.invite());
            site.pass(Duration::from_secs(200));
            assert_eq!(answers(&site).len(), 1, "{code}");
        }
    }
    let mut site = Site::usual();
    IN.answered(&mut site);
    assert_eq!(media(&site, |note| matches!(note, Note::CallAnswered(_))), ["10.1.0.21"]);
}

/// A gateway writes its signalling address into the session's c=, and the media's into each stream's: only that is told.
#[test]
fn an_address_that_no_media_goes_to_is_told_of_nobody() {
    let mut site = Site::usual();
    let text = invite(ACME, "198.51.100.7", "one").replace("RTP/AVP 0\r\n", "RTP/AVP 0\r\nc=IN IP4 203.0.113.9\r\n");
    let body = text.split_once("\r\n\r\n").unwrap().1.len();
    let before = text.split_once("Content-Length: ").unwrap().1.split_once("\r\n").unwrap().0.to_owned();
    let text = text.replace(&format!("Content-Length: {before}"), &format!("Content-Length: {body}"));
    let sent = site.from(TRUNK, &text);
    assert!(sent.iter().any(|sent| sent.fenced), "{sent:#?}");
    assert_eq!(media(&site, |note| matches!(note, Note::Verdict { .. })), ["203.0.113.9"]);
}

#[test]
fn a_call_that_is_cancelled_says_so() {
    for way in [IN, OUT] {
        // By the server's 487, by ours if the server is silent, and not if the answer comes first.
        for (code, expected) in [(Some(487), 0), (None, 0), (Some(200), 200)] {
            let mut site = Site::usual();
            let seen = way.begun(&mut site);
            site.from(way.answerer, &respond(&seen, 180, "u", ""));
            let invite = way.invite();
            let head = invite.split("Contact: ").next().unwrap().replace("INVITE", "CANCEL");
            site.from(way.asker, &format!("{head}Max-Forwards: 70\r\nContent-Length: 0\r\n\r\n"));
            if let Some(code) = code {
                site.from(way.answerer, &respond(&seen, code, "u", &format!("Contact: <sip:b@{}>\r\n", way.answerer)));
            }
            site.pass(Duration::from_secs(300));
            assert_eq!(answers(&site).iter().map(|told| told.code).collect::<Vec<_>>(), [expected], "{way:?} {code:?}");
        }
    }
}

#[test]
fn a_call_that_fails_over_says_where_it_ended() {
    let mut site = Site::usual();
    let first = IN.begun(&mut site);
    let second = site.input(Input::Failed(first.attempt.unwrap())).remove(0);
    assert_eq!(second.to, SECOND.parse().unwrap());
    site.from(SECOND, &respond(&second, 200, "u", "Contact: <sip:b@10.1.0.6>\r\n"));
    let told = answers(&site).remove(0);
    assert_eq!((told.code, told.target.map(|(_, addr)| addr), told.retries), (200, SECOND.parse().ok(), 1));
    // The best answer is that of the gateway which gave it.
    let two = "uri = [\"sip:198.51.100.9:5080\", \"sip:198.51.100.10\"]\nadvance = [404, 500]";
    let mut site = Site::new(&CONFIG.replace("uri      = \"sip:acme.pstn.example.net:5080;transport=udp\"", two));
    let first = OUT.begun(&mut site);
    let second = site.from(GATEWAY, &respond(&first, 404, "u", "")).pop().unwrap();
    site.from("198.51.100.10:5060", &respond(&second, 500, "v", ""));
    let told = answers(&site).remove(0);
    assert_eq!((told.code, told.target.map(|(_, addr)| addr), told.retries), (404, GATEWAY.parse().ok(), 1));
    // And if nobody takes it, with the verdict that says so.
    let mut site = Site::usual();
    let first = IN.begun(&mut site);
    let second = site.input(Input::Failed(first.attempt.unwrap())).remove(0);
    site.input(Input::Failed(second.attempt.unwrap()));
    let told = answers(&site).remove(0);
    assert_eq!((told.code, told.retries), (503, 1));
    let all: Vec<_> =
        verdicts(&site).into_iter().map(|(verdict, reason, told)| (verdict, reason, told.call, told.later)).collect();
    assert_eq!(
        all,
        [(Verdict::Accept, Reason::InRegion, CALL.into(), false), (Verdict::Refuse, Reason::TargetsDown, CALL.into(), true)]
    );
}

#[test]
fn a_bye_says_who_ended_the_call_and_after_how_long() {
    for way in [IN, OUT] {
        for asks in [true, false] {
            let mut site = Site::usual();
            let routes = way.answered(&mut site);
            site.pass(Duration::from_secs(60));
            let cause = "Reason: Q.850;cause=16;text=\"Normal; really\"\r\n";
            let seen = way.bye(&mut site, asks, &routes[usize::from(!asks)], cause);
            assert!(ends(&site).is_empty(), "its answer is to come");
            let other = if asks { way.answerer } else { way.asker };
            site.from(other, &respond(&seen, 200, "", ""));
            let told = ends(&site).remove(0);
            assert_eq!((&*told.call, told.cause.as_deref()), (CALL, Some(&b"Q.850;16"[..])), "{way:?} {asks}");
            // Whoever asked holds the time of the answer, whoever answered that of the INVITE.
            let expected = if asks { (EndedBy::Caller, Some(60), None) } else { (EndedBy::Callee, None, Some(63)) };
            assert_eq!((told.by, told.seconds, told.since_invite), expected, "{way:?}");
            assert_eq!((told.code, site.config.region(told.region).name.as_str()), (Some(200), "eu"));
            // Once, whatever comes again.
            way.bye(&mut site, asks, &routes[usize::from(!asks)], cause);
            site.pass(Duration::from_secs(100));
            assert_eq!(ends(&site).len(), 1);
        }
    }
}

#[test]
fn any_node_knows_how_long_a_call_has_lasted() {
    let mut site = Site::usual();
    let [asked, _] = IN.answered(&mut site);
    // Another node of the region, which has seen nothing of it.
    let mut other = Site::usual();
    other.pass(Duration::from_secs(3 + 3600));
    let seen = IN.bye(&mut other, true, &asked, "");
    other.from(SERVER, &respond(&seen, 481, "", ""));
    let told = ends(&other).remove(0);
    assert_eq!((told.by, told.seconds, told.code, told.cause), (EndedBy::Caller, Some(3600), Some(481), None));
    assert_eq!(&*told.call, CALL, "by the same name as in its answer");
    assert_eq!(answers(&site)[0].call, told.call);
    // One whose clock is behind estimates nothing.
    let mut behind = Site::usual();
    let seen = IN.bye(&mut behind, true, &asked, "");
    behind.from(SERVER, &respond(&seen, 200, "", ""));
    assert_eq!(ends(&behind)[0].seconds, Some(0));
}

#[test]
fn a_bye_that_nobody_answers_ends_the_call_all_the_same() {
    for way in [IN, OUT] {
        let mut site = Site::usual();
        let [asked, _] = way.answered(&mut site);
        way.bye(&mut site, true, &asked, "");
        assert!(ends(&site).is_empty());
        site.pass(Duration::from_secs(40));
        let told = ends(&site);
        assert_eq!(
            told.iter().map(|told| (told.by, told.seconds, told.code)).collect::<Vec<_>>(),
            [(EndedBy::Caller, Some(0), None)]
        );
        // One that could not be sent is answered by us.
        let mut site = Site::usual();
        let [asked, _] = way.answered(&mut site);
        let seen = way.bye(&mut site, true, &asked, "");
        site.input(Input::Failed(seen.attempt.unwrap()));
        assert_eq!(ends(&site)[0].code, Some(503));
    }
}

#[test]
fn a_bye_of_ours_says_so() {
    // An answer with media outside: its leg is ended, and the caller gets an answer of ours.
    let mut site = Site::usual();
    let seen = IN.begun(&mut site);
    let ok = with_sdp(&respond(&seen, 200, "u", "Contact: <sip:b@10.1.0.5>\r\n"), "192.0.2.99");
    let sent = site.from(SERVER, &ok);
    let bye = sent.iter().find(|sent| sent.line().starts_with("BYE")).unwrap();
    let told = answers(&site).remove(0);
    assert!(told.code >= 400 && told.target.unwrap().1 == SERVER.parse().unwrap(), "{told:?}");
    let (verdict, reason, of) = verdicts(&site).remove(1);
    assert_eq!((verdict, reason, &*of.call), (Verdict::Refuse, Reason::ForeignMediaAnswer, CALL));
    assert!(ends(&site).is_empty());
    site.from(SERVER, &respond(bye, 200, "", ""));
    let told = ends(&site).remove(0);
    assert_eq!((told.by, told.code, told.cause.as_deref()), (EndedBy::Daemon, Some(200), Some(&b"SIP;488"[..])));
    assert_eq!((told.seconds, told.since_invite, &*told.call), (None, None, CALL), "it was never set up");
    // The answer comes again, and so does that of the BYE.
    site.from(SERVER, &ok);
    site.from(SERVER, &respond(bye, 200, "", ""));
    site.pass(Duration::from_secs(100));
    assert_eq!(ends(&site).len(), 1);
}

#[test]
fn a_call_that_we_end_inside_its_dialog_says_after_how_long() {
    for asks in [true, false] {
        // An ACK, or the answer to a re-INVITE, with media outside: both sides get a BYE, and nobody answers one of them.
        let mut site = Site::usual();
        let routes = IN.answered(&mut site);
        site.pass(Duration::from_secs(20));
        let text = IN.within("INVITE", asks, &routes[usize::from(!asks)], 5, "");
        let (from, to) = if asks { (TRUNK, SERVER) } else { (SERVER, TRUNK) };
        let arrival = site.arrival("192.0.2.1:5060", from);
        let seen = site.exactly(arrival, with_sdp(&text, "10.1.0.20").as_bytes()).remove(1);
        let answer = with_sdp(&respond(&seen, 200, "", &format!("Contact: <sip:x@{to}>\r\n")), "192.0.2.99");
        let sent = site.from(to, &answer);
        let byes: Vec<_> = sent.iter().filter(|sent| sent.line().starts_with("BYE")).collect();
        assert_eq!(byes.len(), 2);
        site.from(&byes[0].to.to_string(), &respond(byes[0], 200, "", ""));
        site.pass(Duration::from_secs(100));
        let told = ends(&site);
        let codes: Vec<_> = told.iter().map(|told| told.code).collect();
        assert_eq!(codes, [Some(200), None], "{asks}");
        for told in told {
            let expected = if asks { (Some(20), None) } else { (None, Some(23)) };
            assert_eq!((told.by, &*told.call), (EndedBy::Daemon, CALL));
            assert_eq!((told.seconds, told.since_invite), expected);
        }
        assert_eq!(answers(&site).len(), 1, "a re-INVITE opens no call");
        let (_, reason, of) = verdicts(&site).pop().unwrap();
        assert_eq!((reason, &*of.call), (Reason::ForeignMediaAnswer, CALL), "by the same name whoever asks");
    }
    let mut site = Site::usual();
    let text = IN.invite();
    let seen = site.from(TRUNK, &text).remove(1);
    let told = site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", "Contact: <sip:b@10.1.0.5>\r\n"), "10.1.0.5")).remove(0);
    let ack = IN.within("ACK", true, &told.header("Record-Route").unwrap(), 1, "");
    let sent = site.from(TRUNK, &with_sdp(&ack, "192.0.2.99"));
    assert_eq!(sent.iter().filter(|sent| sent.line().starts_with("BYE")).count(), 2);
    site.pass(Duration::from_secs(100));
    let told: Vec<_> = ends(&site).iter().map(|told| (told.by, told.seconds, told.code)).collect();
    assert_eq!(told, [(EndedBy::Daemon, Some(0), None); 2]);
}

#[test]
fn what_is_refused_inside_a_dialog_has_the_name_of_its_call() {
    for asks in [true, false] {
        let mut site = Site::usual();
        let routes = IN.answered(&mut site);
        let from = if asks { TRUNK } else { SERVER };
        let text = IN.within("UPDATE", asks, &routes[usize::from(!asks)], 5, "");
        let arrival = site.arrival("192.0.2.1:5060", from);
        site.exactly(arrival, with_sdp(&text, "192.0.2.99").as_bytes());
        let (verdict, reason, told) = verdicts(&site).pop().unwrap();
        assert_eq!((verdict, reason, &*told.call, told.later), (Verdict::Refuse, Reason::ForeignMediaOffer, CALL, true));
        assert_eq!(told.outbound, Some(!asks));
    }
}

#[test]
fn what_opens_no_call_has_no_answer_and_no_end() {
    let mut site = Site::usual();
    let seen = site.from(TRUNK, &request("SUBSCRIBE", &format!("sip:x@{ACME}"), "one")).remove(0);
    site.from(SERVER, &respond(&seen, 202, "u", "Contact: <sip:lk@10.1.0.5>\r\n"));
    let [asked, _] = IN.answered(&mut site);
    let info = site.from(TRUNK, &IN.within("INFO", true, &asked, 7, "")).remove(0);
    site.from(SERVER, &respond(&info, 200, "", ""));
    assert_eq!((answers(&site).len(), ends(&site).len(), verdicts(&site).len()), (1, 0, 2));
}

#[test]
fn without_a_record_nothing_is_told_and_the_same_leaves() {
    let play = |site: &mut Site| {
        let routes = IN.answered(site);
        let seen = IN.bye(site, true, &routes[0], "Reason: Q.850;cause=16\r\n");
        site.from(SERVER, &respond(&seen, 200, "", ""));
        site.from(TRUNK, &invite("nobody.eu.sip.example.com", "10.1.0.20", "two"));
        site.log.iter().map(|sent| sent.bytes.clone()).collect::<Vec<_>>()
    };
    let (mut with, mut without) = (Site::usual(), Site::silent());
    let [one, other] = [&mut with, &mut without].map(play);
    assert_eq!(one, other);
    let told = |note: &&Note| match note {
        Note::Verdict { told, .. } => told.is_some(),
        Note::Media { named, .. } => named.is_some(),
        Note::CallAnswered(_) | Note::CallEnded(_) => true,
        _ => false,
    };
    assert_eq!(without.notes.iter().filter(told).count(), 0);
    assert_eq!(with.notes.iter().filter(told).count(), 6);
}

#[test]
fn a_server_that_a_reload_takes_away_is_not_told_by_the_new_networks() {
    let mut site = Site::usual();
    IN.begun(&mut site);
    site.reload(&CONFIG.replace("10.1.0.0/16", "10.9.0.0/16").replace("[\"10.1.0.5:5060\", \"10.1.0.6:5060\"]", "\"10.9.0.5\""));
    let told = answers(&site).remove(0);
    assert_eq!((told.code, told.target, told.serving), (503, None, None));
}

#[test]
fn a_fork_whose_answer_is_outside_has_its_own_verdict() {
    let mut site = Site::usual();
    let seen = IN.begun(&mut site);
    let ok = |tag: &str, media: &str| with_sdp(&respond(&seen, 200, tag, "Contact: <sip:b@10.1.0.5>\r\n"), media);
    site.from(SERVER, &ok("u", "10.1.0.21"));
    for _ in 0..2 {
        site.from(SERVER, &ok("v", "192.0.2.99"));
    }
    let all: Vec<_> = verdicts(&site).into_iter().map(|(verdict, reason, told)| (verdict, reason, told.later)).collect();
    assert_eq!(all, [(Verdict::Accept, Reason::InRegion, false), (Verdict::Refuse, Reason::ForeignMediaAnswer, true)]);
}

#[test]
fn a_repeated_datagram_of_what_was_refused_is_no_other_call() {
    let mut site = Site::usual();
    let text = IN.invite().replace("acme.eu.", "acme.us.");
    for text in [&text, &text, &text.replace("CSeq: 1 ", "CSeq: 2 "), &text.replace("CSeq: 1 ", "CSeq: 2 ")] {
        site.from(TRUNK, text);
    }
    let later: Vec<_> = verdicts(&site).into_iter().map(|(.., told)| told.later).collect();
    let repeats = site.notes.iter().filter(|note| matches!(note, Note::Repeat { .. })).count();
    assert_eq!((later, repeats), (vec![false, true, false, true], 1));
}
