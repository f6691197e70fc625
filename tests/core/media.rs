//! Media in every message of a call, from both sides: what travels, and what each side gets where it does not.

use std::time::Duration;

use ringfence::core::io::{Direction, DropCause, Note, Outcome, Spoken, Verdict};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SECOND, SERVER, Sent, Site, TRUNK, invite, respond, sdp, with_sdp};

/// Outside for both sides.
const OUTSIDE: &str = "192.0.2.99";
/// Media of the trunk: inside if the trunk says it.
const CARRIED: &str = "203.0.113.9";
const HOME: &str = "10.1.0.20";
const HOLD: &str = "0.0.0.0";
const UNREADABLE: &str = "media.example.com";

/// Who calls whom: `asker` sends the requests.
#[derive(Clone, Copy, Debug)]
struct Ends {
    asker: &'static str,
    answerer: &'static str,
    host: &'static str,
}

const IN: Ends = Ends { asker: TRUNK, answerer: SERVER, host: "acme.eu.sip.example.com" };
const OUT: Ends = Ends { asker: SERVER, answerer: "198.51.100.9:5080", host: "carrier.acme.eu.sip.example.com" };

impl Ends {
    /// An address that a side may name.
    fn inside(self, answers: bool) -> &'static str {
        let trunk = (self.asker == TRUNK) != answers;
        if trunk { CARRIED } else { HOME }
    }

    fn invite(self, media: Option<&str>) -> String {
        let text = invite(self.host, media.unwrap_or(HOLD), "one");
        let text = text.replace("SIP/2.0/UDP 198.51.100.7:5060", &format!("SIP/2.0/UDP {}", self.asker));
        let text = text.replace("sip:trunk@198.51.100.7:5060", &format!("sip:a@{}", self.asker));
        if media.is_some() { text } else { without_body(&text) }
    }

    fn in_dialog_from_asker(self, method: &str, cseq: u32, route: &str) -> String {
        let Self { asker, answerer, host } = self;
        format!(
            "{method} sip:b@{answerer} SIP/2.0\r\nVia: SIP/2.0/UDP {asker};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\n\
             From: <sip:+49891@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123@{host}>;tag=u\r\nCall-ID: one@trunk\r\n\
             CSeq: {cseq} {method}\r\nContact: <sip:a@{asker}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        )
    }

    fn says(self, sent: &[Sent]) -> String {
        let of = |addr: &str| {
            let mine = sent.iter().filter(|sent| sent.to == addr.parse().unwrap());
            let words = mine.map(|sent| sent.line().replace("SIP/2.0 ", "").split(' ').next().unwrap().to_owned());
            words.collect::<Vec<_>>().join(", ")
        };
        let (asker, answerer) = (of(self.asker), of(self.answerer));
        assert!(sent.iter().all(|sent| [self.asker, self.answerer].iter().any(|end| sent.to == end.parse().unwrap())));
        match (asker.is_empty(), answerer.is_empty()) {
            (true, true) => "nothing".to_owned(),
            (false, true) => format!("asker: {asker}"),
            (true, false) => format!("answerer: {answerer}"),
            (false, false) => format!("asker: {asker}; answerer: {answerer}"),
        }
    }
}

fn without_body(text: &str) -> String {
    let head = text.split("\r\n\r\n").next().unwrap();
    let rows = head.lines().filter(|line| !line.starts_with("Content-"));
    rows.chain(["Content-Length: 0", "", ""]).collect::<Vec<_>>().join("\r\n")
}

fn contact(ends: Ends) -> String {
    format!("Contact: <sip:b@{}>\r\n", ends.answerer)
}

/// An INVITE as the answerer has it.
fn begun(site: &mut Site, ends: Ends, media: Option<&str>) -> Sent {
    let sent = site.from(ends.asker, &ends.invite(media));
    assert_eq!((sent[0].line(), sent[1].to), ("SIP/2.0 100 Trying".to_owned(), ends.answerer.parse().unwrap()));
    sent[1].clone()
}

/// An established call: the Record-Route.
fn established(site: &mut Site, ends: Ends) -> String {
    let seen = begun(site, ends, Some(ends.inside(false)));
    assert_eq!(site.from(ends.answerer, &respond(&seen, 200, "u", &contact(ends))).len(), 1);
    let route = seen.header("Record-Route").unwrap();
    assert_eq!(site.from(ends.asker, &ends.in_dialog_from_asker("ACK", 1, &route)).len(), 1);
    route
}

/// Puts one message with an SDP into a call; what left for it.
fn said(site: &mut Site, ends: Ends, message: &str, media: &str) -> Vec<Sent> {
    match message {
        "INVITE" => site.from(ends.asker, &ends.invite(Some(media))),
        "180" | "reliable 183" | "200" | "200 with an offer" => {
            let offer = (message != "200 with an offer").then(|| ends.inside(false));
            let seen = begun(site, ends, offer);
            let rows = if message == "reliable 183" { "Require: 100rel\r\nRSeq: 1\r\n" } else { "" };
            let code = message.split(' ').find_map(|word| word.parse().ok()).unwrap();
            site.from(ends.answerer, &with_sdp(&respond(&seen, code, "u", &(contact(ends) + rows)), media))
        }
        "ACK" => {
            let seen = begun(site, ends, None);
            site.from(ends.answerer, &with_sdp(&respond(&seen, 200, "u", &contact(ends)), ends.inside(true)));
            site.from(ends.asker, &with_sdp(&ends.in_dialog_from_asker("ACK", 1, &seen.header("Record-Route").unwrap()), media))
        }
        "PRACK" | "UPDATE" | "re-INVITE" | "INFO" => {
            let route = established(site, ends);
            site.from(ends.asker, &with_sdp(&ends.in_dialog_from_asker(&message.replace("re-", ""), 2, &route), media))
        }
        _ => {
            let route = established(site, ends);
            let method = message.rsplit(' ').next().unwrap().replace("re-", "");
            let sent = site.from(ends.asker, &with_sdp(&ends.in_dialog_from_asker(&method, 2, &route), ends.inside(false)));
            let seen = sent.last().unwrap();
            assert!(seen.line().starts_with(&method), "{}", seen.text());
            site.from(ends.answerer, &with_sdp(&respond(seen, 200, "", &contact(ends)), media))
        }
    }
}

/// Whether the answerer speaks.
fn answers(message: &str) -> bool {
    message.contains(|octet: char| octet.is_ascii_digit())
}

/// The table of `docs/media.md`: the message, and what each side gets if its media is outside or unreadable.
fn documented() -> Vec<[String; 3]> {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/media.md")).unwrap();
    let (_, table) = text.split_once("<!-- messages -->").unwrap();
    let rows = table.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    rows.map(|row| cells(row).try_into().unwrap_or_else(|row| panic!("{row:?}"))).collect()
}

#[test]
fn every_message_from_both_sides() {
    let table = documented();
    let names: Vec<&str> = table.iter().map(|row| row[0].as_str()).collect();
    assert_eq!(
        names,
        [
            "INVITE",
            "180",
            "reliable 183",
            "200",
            "200 with an offer",
            "ACK",
            "PRACK",
            "200 to PRACK",
            "UPDATE",
            "200 to UPDATE",
            "re-INVITE",
            "200 to re-INVITE",
            "INFO"
        ]
    );
    for [message, outside, unreadable] in &table {
        for ends in [IN, OUT] {
            for media in [ends.inside(answers(message)), HOME, HOLD] {
                let mut site = Site::usual();
                let sent = said(&mut site, ends, message, media);
                let to = if answers(message) { ends.asker } else { ends.answerer };
                let gone =
                    sent.iter().find(|sent| sent.to == to.parse().unwrap()).unwrap_or_else(|| panic!("{message} {ends:?}"));
                assert!(gone.text().ends_with(&sdp(media)), "{message} {media} {ends:?}: it travels as it came");
                assert!(site.pass(Duration::from_secs(200)).iter().all(|sent| !sent.line().starts_with("BYE")));
            }
            // What the trunk may name its servers may not.
            let foreign = if ends.inside(answers(message)) == HOME { CARRIED } else { OUTSIDE };
            for (media, expected) in [(OUTSIDE, outside), (foreign, outside), (UNREADABLE, unreadable)] {
                let mut site = Site::usual();
                let sent = said(&mut site, ends, message, media);
                assert_eq!(&ends.says(&sent), expected, "{message} {media} {ends:?}");
                site.pass(Duration::from_secs(400));
                let to = if answers(message) { ends.asker } else { ends.answerer };
                let travels = |sent: &Sent| sent.to == to.parse().unwrap() && sent.text().contains(&format!("c=IN IP4 {media}"));
                assert!(!site.log.iter().any(travels), "{message} {media}: nothing of it travels");
                assert_eq!(site.core.transactions(), 0, "{message}: nothing stays");
                judged(&site, ends, message, media);
            }
        }
    }
}

/// What was counted for the last message.
fn judged(site: &Site, ends: Ends, message: &str, media: &str) {
    let spoken = if media == UNREADABLE { Spoken::Unreadable } else { Spoken::Outside };
    let trunk = (ends.asker == TRUNK) != answers(message);
    let direction = if trunk { Direction::In } else { Direction::Out };
    let wanted = |note: &&Note| matches!(note, Note::Media { spoken: said, direction: towards, .. } if *said == spoken && *towards == direction);
    assert_eq!(site.notes.iter().filter(wanted).count(), 1, "{message} {media}");
    let requests = ["INVITE", "PRACK", "UPDATE", "re-INVITE", "INFO"];
    let reason = match media {
        UNREADABLE => Reason::UnreadableMedia,
        _ if requests.contains(&message) => Reason::ForeignMediaOffer,
        _ => Reason::ForeignMediaAnswer,
    };
    let expected: &[Reason] = if message == "180" { &[] } else { &[reason] };
    assert_eq!(verdicts(site, Verdict::Refuse), expected, "{message} {media}");
    let outcome = if message == "180" { Outcome::Dropped(DropCause::Media) } else { Outcome::Refused(reason) };
    assert_eq!(site.outcome(), outcome, "{message} {media}");
}

fn verdicts(site: &Site, wanted: Verdict) -> Vec<Reason> {
    let reason = |note: &Note| match note {
        Note::Verdict { verdict, reason, .. } if *verdict == wanted => Some(*reason),
        _ => None,
    };
    site.notes.iter().filter_map(reason).collect()
}

#[test]
fn a_refused_answer_is_ended_as_a_telephone_would() {
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, Some(HOME));
    let ours = seen.header("Record-Route").unwrap();
    // Two proxies behind us; the caller's side has one of its own.
    let rows = "Record-Route: <sip:10.1.0.7;lr>,<sip:10.1.0.5;lr>\r\n";
    let answer = respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.9:5070>\r\n");
    let answer =
        answer.replace(&format!("Record-Route: {ours}\r\n"), &format!("{rows}Record-Route: {ours}, <sip:198.51.100.8;lr>\r\n"));
    let answer = with_sdp(&answer, OUTSIDE);
    let sent = site.from(SERVER, &answer);
    let lines: Vec<_> = sent.iter().map(Sent::line).collect();
    assert_eq!(lines[0], "SIP/2.0 603 Media Outside Region");
    assert_eq!(lines[1..], ["ACK sip:lk@10.1.0.9:5070 SIP/2.0", "BYE sip:lk@10.1.0.9:5070 SIP/2.0"]);
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("141; reason=foreign-media-answer; region=eu"));
    assert_eq!(sent[0].header("Reason").as_deref(), Some("Q.850;cause=21;text=\"foreign-media-answer\""));
    assert!(sent[0].header("Warning").unwrap().ends_with("\"SDP c= address 192.0.2.99 is outside\""));
    for (request, cseq) in [(&sent[1], "1 ACK"), (&sent[2], "65537 BYE")] {
        assert_eq!(request.to, SERVER.parse().unwrap(), "the nearest proxy first");
        assert_eq!(request.headers("Route"), ["<sip:10.1.0.5;lr>", "<sip:10.1.0.7;lr>"]);
        assert_eq!(request.headers("CSeq"), [cseq]);
        assert_eq!(request.headers("From"), seen.headers("From"));
        assert_eq!(request.headers("To"), ["<sip:+4930123@acme.eu.sip.example.com>;tag=u"]);
        assert_eq!((request.headers("Call-ID"), request.headers("Via").len()), (vec!["one@trunk".to_owned()], 1));
        assert!(request.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK"));
        assert_eq!((request.headers("Max-Forwards"), request.headers("Content-Length")), (vec!["70".into()], vec!["0".into()]));
    }
    assert_eq!(
        sent[2].headers("Reason"),
        ["SIP;cause=488;text=\"Media Outside Region\"", "Q.850;cause=21;text=\"foreign-media-answer\""]
    );
    assert_eq!(sent[2].header("X-Ringfence").as_deref(), Some("141; reason=foreign-media-answer; region=eu"));

    // The 2xx again is acknowledged again by the same bytes; the BYE is repeated by its own timer until it is answered.
    let again = site.from(SERVER, &answer);
    assert_eq!((again.len(), &again[0].bytes), (1, &sent[1].bytes));
    let later = site.pass(Duration::from_millis(700));
    let byes: Vec<_> = later.iter().filter(|sent| sent.line().starts_with("BYE")).collect();
    assert_eq!((byes.len(), &byes[0].bytes), (1, &sent[2].bytes));
    assert!(site.from(SERVER, &respond(&sent[2], 200, "", "")).is_empty());
    assert_eq!(site.outcome(), Outcome::Absorbed);
    assert!(site.pass(Duration::from_secs(20)).iter().all(|sent| sent.to == TRUNK.parse().unwrap()), "only the 603 is repeated");
    let again = site.from(SERVER, &answer);
    assert_eq!(again.len(), 1, "an ACK and no second BYE");
    site.pass(Duration::from_secs(60));
    assert_eq!(site.core.transactions(), 0);
    site.from(SERVER, &respond(&sent[2], 200, "", ""));
    assert_eq!(site.outcome(), Outcome::Stray, "forgotten");
    assert_eq!(verdicts(&site, Verdict::Refuse), [Reason::ForeignMediaAnswer]);
}

#[test]
fn a_bye_that_nobody_answers_is_sent_eleven_times() {
    let mut site = Site::usual();
    said(&mut site, IN, "200", OUTSIDE);
    site.pass(Duration::from_secs(100));
    assert_eq!(site.log.iter().filter(|sent| sent.line().starts_with("BYE")).count(), 11);
}

#[test]
fn a_refused_answer_moves_nowhere_and_is_remembered() {
    let mut site = Site::usual();
    let sent = said(&mut site, IN, "200", OUTSIDE);
    let ack = IN.invite(None).replace("INVITE sip", "ACK sip").replace(" INVITE\r", " ACK\r");
    assert!(site.from(TRUNK, &ack).is_empty());
    assert_eq!(site.outcome(), Outcome::Absorbed);
    assert!(site.log.iter().all(|sent| sent.to != SECOND.parse().unwrap()), "no other server is tried");
    // The carrier tries again: told the same, and no server asked.
    let again = site.from(TRUNK, &IN.invite(Some(HOME)).replace("branch=z9hG4bKone", "branch=z9hG4bKtwo"));
    assert_eq!(
        (again.len(), again[0].line(), again[0].header("X-Ringfence")),
        (1, sent[0].line(), sent[0].header("X-Ringfence"))
    );
    assert!(site.notes.iter().any(|note| matches!(note, Note::Repeat { .. })));
}

#[test]
fn each_fork_is_judged_for_itself() {
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, Some(HOME));
    let fork = |tag: &str, media: &str| with_sdp(&respond(&seen, 200, tag, &contact(IN)), media);
    assert_eq!(site.from(SERVER, &fork("a", HOME))[0].line(), "SIP/2.0 200 Phrase");
    let sent = site.from(SERVER, &fork("b", OUTSIDE));
    assert_eq!(IN.says(&sent), "answerer: ACK, BYE");
    assert!(sent.iter().all(|sent| sent.header("To").unwrap().ends_with(";tag=b")), "the caller knows nothing of this one");
    // The other way round the caller was refused: what would pass is ended too.
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, Some(HOME));
    let fork = |tag: &str, media: &str| with_sdp(&respond(&seen, 200, tag, &contact(IN)), media);
    assert_eq!(IN.says(&site.from(SERVER, &fork("a", OUTSIDE))), "asker: 603; answerer: ACK, BYE");
    assert_eq!(IN.says(&site.from(SERVER, &fork("b", HOME))), "answerer: ACK, BYE");
}

#[test]
fn a_reliable_provisional_ends_the_attempt() {
    for rows in ["Require: 100rel\r\n", "require : a, 100REL\r\n", "RSeq: 7\r\n"] {
        let mut site = Site::usual();
        let seen = begun(&mut site, IN, Some(HOME));
        let ringing = with_sdp(&respond(&seen, 183, "u", &(contact(IN) + rows)), OUTSIDE);
        let sent = site.from(SERVER, &ringing);
        assert_eq!(IN.says(&sent), "asker: 603; answerer: CANCEL", "{rows}");
        assert_eq!(sent[1].headers("Reason").len(), 2);
        assert!(site.from(SERVER, &ringing).is_empty(), "its repetition");
        assert!(site.from(SERVER, &respond(&sent[1], 200, "", "")).is_empty());
        // Too late for the CANCEL: the callee has answered meanwhile, with whatever.
        let sent = site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", &contact(IN)), HOME));
        assert_eq!(IN.says(&sent), "answerer: ACK, BYE");
        // As it should be.
        let mut site = Site::usual();
        let seen = begun(&mut site, IN, Some(HOME));
        site.from(SERVER, &with_sdp(&respond(&seen, 183, "u", &(contact(IN) + rows)), OUTSIDE));
        assert_eq!(IN.says(&site.from(SERVER, &respond(&seen, 487, "u", ""))), "answerer: ACK");
    }
}

#[test]
fn an_unreliable_provisional_is_held_back_and_the_call_goes_on() {
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, Some(HOME));
    assert!(site.from(SERVER, &with_sdp(&respond(&seen, 183, "u", ""), OUTSIDE)).is_empty());
    assert_eq!(site.from(SERVER, &respond(&seen, 180, "u", ""))[0].line(), "SIP/2.0 180 Phrase");
    let ok = site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", &contact(IN)), HOME));
    assert_eq!(IN.says(&ok), "asker: 200");
}

#[test]
fn both_legs_of_a_call_are_ended() {
    for (ends, message) in [IN, OUT].into_iter().flat_map(|ends| ["ACK", "200 to re-INVITE", "200 to UPDATE"].map(|m| (ends, m)))
    {
        let mut site = Site::usual();
        let sent = said(&mut site, ends, message, OUTSIDE);
        let byes: Vec<_> = sent.iter().filter(|sent| sent.line().starts_with("BYE")).collect();
        let (answerer, asker) = (byes[0], byes[1]);
        assert_eq!((answerer.to, asker.to), (ends.answerer.parse().unwrap(), ends.asker.parse().unwrap()), "{message}");
        assert_eq!(answerer.line(), format!("BYE sip:b@{} SIP/2.0", ends.answerer));
        assert_eq!(asker.line(), format!("BYE sip:a@{} SIP/2.0", ends.asker));
        assert_eq!((asker.headers("From"), asker.headers("To")), (answerer.headers("To"), answerer.headers("From")));
        // Higher than what was seen, and for the side that was not seen the highest there is.
        let last = if message == "ACK" { "65537 BYE" } else { "65538 BYE" };
        assert_eq!(
            (answerer.header("CSeq").unwrap(), asker.header("CSeq").unwrap()),
            (last.to_owned(), "2147483647 BYE".to_owned())
        );
        assert!(byes.iter().all(|bye| bye.headers("Reason").len() == 2 && bye.header("Route").is_none()));
        for bye in byes {
            assert!(site.from(&bye.to.to_string(), &respond(bye, 200, "", "")).is_empty());
        }
        let later = site.pass(Duration::from_secs(100));
        assert!(later.iter().all(|sent| !sent.line().starts_with("BYE")), "both were answered");
    }
}

#[test]
fn an_ack_again_is_the_same_refusal() {
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, None);
    site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", &contact(IN)), HOME));
    let ack = with_sdp(&IN.in_dialog_from_asker("ACK", 1, &seen.header("Record-Route").unwrap()), OUTSIDE);
    let first = site.from(TRUNK, &ack);
    assert_eq!(IN.says(&first), "asker: BYE; answerer: ACK, BYE");
    let again = site.from(TRUNK, &ack);
    assert_eq!((again.len(), &again[0].bytes), (1, &first[0].bytes), "the callee's ACK may have been lost");
    assert_eq!(verdicts(&site, Verdict::Refuse), [Reason::ForeignMediaAnswer]);
}

#[test]
fn a_leg_whose_own_next_hop_is_outside_or_unknown_is_ended_by_the_way_at_hand() {
    for target in ["sip:x@192.0.2.99", "sip:x@pbx.example.net", "sips:x@10.1.0.9", "tel:+49301"] {
        let mut site = Site::usual();
        let seen = begun(&mut site, IN, Some(HOME));
        let sent = site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", &format!("Contact: <{target}>\r\n")), OUTSIDE));
        assert_eq!(IN.says(&sent), "asker: 603; answerer: ACK, BYE");
        assert_eq!(sent[1].line(), format!("ACK {target} SIP/2.0"));
        assert!(site.asked.is_empty());
        // The same for the caller's side.
        let mut site = Site::usual();
        let route = established(&mut site, IN);
        let ask = IN.in_dialog_from_asker("UPDATE", 2, &route).replace("sip:a@198.51.100.7:5060", target);
        let seen = site.from(TRUNK, &with_sdp(&ask, HOME)).remove(0);
        let sent = site.from(SERVER, &with_sdp(&respond(&seen, 200, "", &contact(IN)), OUTSIDE));
        assert_eq!(IN.says(&sent), "asker: 488, BYE; answerer: BYE", "{target}");
    }
    // No Contact at all: by the addresses at hand.
    let mut site = Site::usual();
    let route = established(&mut site, IN);
    let ask = IN.in_dialog_from_asker("PRACK", 2, &route).replace("Contact: <sip:a@198.51.100.7:5060>\r\n", "");
    let seen = site.from(TRUNK, &with_sdp(&ask, HOME)).remove(0);
    let sent = site.from(SERVER, &with_sdp(&respond(&seen, 200, "", ""), OUTSIDE));
    let lines: Vec<_> = sent.iter().map(Sent::line).collect();
    assert_eq!(lines[1..], ["BYE sip:b@10.1.0.5:5060 SIP/2.0", "BYE sip:198.51.100.7:5060 SIP/2.0"]);
}

#[test]
fn a_caller_on_a_stream_hears_of_it_on_its_connection_or_by_its_contact() {
    let mut site = Site::usual();
    let sent = site.stream(TRUNK, 7, &IN.invite(Some(HOME)).replace("UDP", "TCP"));
    let left = site.from(SERVER, &with_sdp(&respond(&sent[1], 200, "u", &contact(IN)), OUTSIDE));
    assert!(left[0].line().starts_with("SIP/2.0 603") && left[0].connection.is_some());
    assert_eq!(IN.says(&left[1..]), "answerer: ACK, BYE");
}

#[test]
fn a_final_answer_with_foreign_media_is_ours_instead() {
    let mut site = Site::usual();
    let seen = begun(&mut site, IN, Some(HOME));
    let sent = site.from(SERVER, &with_sdp(&respond(&seen, 488, "u", ""), OUTSIDE));
    assert_eq!(IN.says(&sent), "asker: 603; answerer: ACK");
    // Inside a dialog nothing is ended for it: no call has changed.
    let mut site = Site::usual();
    let route = established(&mut site, IN);
    for (method, cseq, code, expected) in
        [("INVITE", 2, 488, "asker: 488; answerer: ACK"), ("OPTIONS", 3, 200, "asker: 488"), ("UPDATE", 4, 488, "asker: 488")]
    {
        let seen = site.from(TRUNK, &IN.in_dialog_from_asker(method, cseq, &route)).pop().unwrap();
        let sent = site.from(SERVER, &with_sdp(&respond(&seen, code, "", ""), OUTSIDE));
        assert_eq!(IN.says(&sent), expected, "{method}");
    }
}

#[test]
fn requests_outside_dialogs_are_judged_too() {
    for (method, code) in [("MESSAGE", 403), ("REFER", 403), ("FOO", 403)] {
        let mut site = Site::usual();
        let text = crate::site::request(method, "sip:x@acme.eu.sip.example.com", method);
        let sent = site.from(TRUNK, &with_sdp(&text, OUTSIDE));
        assert_eq!((sent.len(), sent[0].line()), (1, format!("SIP/2.0 {code} Media Outside Region")), "{method}");
        let sent = site.from(TRUNK, &with_sdp(&text.replace("z9hG4bK", "z9hG4bKx"), CARRIED));
        assert_eq!(sent[0].to, SERVER.parse().unwrap());
    }
}

#[test]
fn watchers_and_warners_let_pass_and_count() {
    for (project, source, media) in
        [("watcher", "198.51.103.7:5060", true), ("warner", "198.51.104.7:5060", true), ("quiet", "198.51.105.7:5060", false)]
    {
        // The watcher is pinned elsewhere besides, which would be another shadow.
        let mut site = Site::new(&CONFIG.replace("mode = \"shadow\"\npin  = [\"us\"]", "mode = \"shadow\""));
        let text = invite(&format!("{project}.eu.sip.example.com"), HOME, "one");
        let seen = site.from(source, &text).remove(1);
        let answer = |code| with_sdp(&respond(&seen, code, "u", &contact(IN)), OUTSIDE);
        for code in [183, 200, 200] {
            let sent = site.from(SERVER, &answer(code));
            assert_eq!((sent.len(), sent[0].to), (1, source.parse().unwrap()));
            assert!(sent[0].text().ends_with(&sdp(OUTSIDE)));
        }
        let ack =
            IN.in_dialog_from_asker("ACK", 1, &seen.header("Record-Route").unwrap()).replace("acme.eu", &format!("{project}.eu"));
        assert_eq!(site.from(source, &with_sdp(&ack, OUTSIDE)).len(), 1);
        let answer = Reason::ForeignMediaAnswer;
        let expected: &[Reason] = if media { &[answer, answer] } else { &[] };
        assert_eq!(verdicts(&site, Verdict::Shadow), expected, "{project}: the first 200, and the ACK");
        let counted = site.notes.iter().filter(|note| matches!(note, Note::Media { spoken: Spoken::Outside, .. })).count();
        assert_eq!(counted, if media { 4 } else { 0 }, "{project}");
        assert!(verdicts(&site, Verdict::Refuse).is_empty());
    }
}

#[test]
fn nothing_said_is_counted_where_media_is_negotiated() {
    let mut site = Site::usual();
    let route = established(&mut site, IN);
    site.from(TRUNK, &IN.in_dialog_from_asker("BYE", 2, &route));
    let spoken = |note: &Note| match note {
        Note::Media { direction, spoken, .. } => Some((*direction, *spoken)),
        _ => None,
    };
    let expected = [(Direction::In, Spoken::Inside), (Direction::Out, Spoken::None), (Direction::In, Spoken::None)];
    assert_eq!(site.notes.iter().filter_map(spoken).collect::<Vec<_>>(), expected, "INVITE, 200, ACK, and not the BYE");
}

#[test]
fn the_region_that_has_the_call_says_what_its_servers_may_name() {
    let text = CONFIG.replace("hostname = \"eu.sip.example.com\"", "hostname = \"eu.sip.example.com\"\nnearest = [\"uk\"]")
        + "[project.roamer.trunk.carrier]\nnetworks = [\"198.51.107.0/24\"]\n";
    let (trunk, uk) = ("198.51.107.7:5060", "10.2.0.5:5060");
    for (media, passes) in [("10.2.0.9", true), (HOME, false), ("10.3.0.9", false)] {
        let mut site = Site::new(&text);
        let mut seen = site.from(trunk, &invite("roamer.eu.sip.example.com", HOME, "one")).remove(1);
        while seen.to != uk.parse().unwrap() {
            let sent = site.from(&seen.to.to_string(), &respond(&seen, 503, "x", ""));
            seen = sent.into_iter().find(|sent| sent.line().starts_with("INVITE")).unwrap();
        }
        let sent = site.from(uk, &with_sdp(&respond(&seen, 200, "u", &format!("Contact: <sip:lk@{uk}>\r\n")), media));
        let lines: Vec<_> = sent.iter().map(|sent| sent.line()[..11].to_owned()).collect();
        if passes {
            assert_eq!(lines, ["SIP/2.0 200"]);
            continue;
        }
        assert_eq!(lines, ["SIP/2.0 603", "ACK sip:lk@", "BYE sip:lk@"], "{media}");
        assert!(sent[1..].iter().all(|sent| sent.to == uk.parse().unwrap()));
    }
}

#[test]
fn an_attempt_that_was_left_is_judged_like_any() {
    let mut site = Site::usual();
    let first = begun(&mut site, IN, Some(HOME));
    // Silent for too long: the second server is asked, and the first one answers after all.
    let second = site.pass(Duration::from_secs(6)).into_iter().find(|sent| sent.to == SECOND.parse().unwrap()).unwrap();
    site.from(SECOND, &respond(&second, 180, "v", ""));
    let sent = site.from(SERVER, &with_sdp(&respond(&first, 200, "u", &contact(IN)), OUTSIDE));
    let to = |addr: &str, sent: &[Sent]| {
        let mine = sent.iter().filter(|sent| sent.to == addr.parse().unwrap());
        mine.map(|sent| sent.line().split(' ').take(2).collect::<Vec<_>>().join(" ")).collect::<Vec<_>>()
    };
    assert_eq!(to(TRUNK, &sent), ["SIP/2.0 603"]);
    assert_eq!(to(SERVER, &sent), ["ACK sip:b@10.1.0.5:5060", "BYE sip:b@10.1.0.5:5060"]);
    assert_eq!(to(SECOND, &sent), ["CANCEL sip:+4930123@acme.eu.sip.example.com"]);
    // What the second one answers meanwhile comes to nothing either.
    let sent = site.from(SECOND, &with_sdp(&respond(&second, 200, "v", "Contact: <sip:b@10.1.0.6>\r\n"), HOME));
    assert_eq!((to(SECOND, &sent), sent.len()), (vec!["ACK sip:b@10.1.0.6".to_owned(), "BYE sip:b@10.1.0.6".to_owned()], 2));
}

#[test]
fn beyond_the_most_legs_each_bye_is_sent_once() {
    let mut site = Site::new(&CONFIG.replace("per_source = \"50/s\"", "per_source = \"1000000/s\""));
    for id in 0..1100 {
        let seen = site.from(TRUNK, &invite(IN.host, HOME, &id.to_string())).remove(1);
        let sent = site.from(SERVER, &with_sdp(&respond(&seen, 200, "u", &contact(IN)), OUTSIDE));
        assert_eq!(IN.says(&sent), "asker: 603; answerer: ACK, BYE");
    }
    let byes = |sent: &[Sent]| sent.iter().filter(|sent| sent.line().starts_with("BYE")).count();
    assert_eq!(byes(&site.pass(Duration::from_millis(600))), 1024, "those that are remembered are repeated");
    site.pass(Duration::from_secs(100));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn who_drains_waits_for_its_byes() {
    let mut site = Site::usual();
    let sent = said(&mut site, IN, "200 to UPDATE", OUTSIDE);
    site.input(ringfence::core::io::Input::Drain { successor: false });
    site.pass(Duration::from_millis(100));
    let before = site.core.transactions();
    for bye in sent.iter().filter(|sent| sent.line().starts_with("BYE")) {
        site.from(&bye.to.to_string(), &respond(bye, 200, "", ""));
    }
    assert_eq!(site.core.transactions(), before - 2);
}
