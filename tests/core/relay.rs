//! Media through a relay: what it is asked, what goes on instead, in which order, and what happens where there is none.

use std::time::Duration;

use ringfence::core::io::{
    Direction, DropCause, Failure, Health, Input, Note, Outcome, RelayBody, RelayOutcome, RelayReply, RelayRequest, RelayVerb,
    Spoken, Unanswered, Verdict,
};
use ringfence::reason::Reason;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond, sdp, with_sdp};

const HOST: &str = "acme.eu.sip.example.com";
/// What the relay says instead of any address.
const RELAYED: &str = "10.1.0.40";
const CARRIED: &str = "203.0.113.9";
const HOME: &str = "10.1.0.20";
const FIRST: &str = "10.1.0.8:2223";
const OTHER: &str = "10.1.0.9:2223";

const CONFIG: &str = r#"
serve = ["eu"]
[region.eu]
hostname = "eu.sip.example.com"
listen   = ["udp:192.0.2.1:5060", "tcp:192.0.2.1:5060"]
networks = ["10.1.0.0/16", "192.0.2.1/32"]
upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]
relay    = ["udp:10.1.0.8:2223", "udp:10.1.0.9:2223"]
[project.acme]
pin   = ["eu"]
media = "relay"
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["203.0.113.0/24"]
[project.watcher]
pin   = ["eu"]
mode  = "shadow"
media = "relay"
[project.watcher.trunk.carrier]
networks = ["198.51.103.0/24"]
[health]
interval = "0s"
"#;

/// A relay that does what it is asked.
#[expect(clippy::unnecessary_wraps, reason = "it is one of several relays, and others say nothing")]
fn answering_relay(request: &RelayRequest) -> Result<RelayReply, Unanswered> {
    let sdp = match &request.body {
        RelayBody::Session { .. } => Some(sdp(RELAYED).replace("4000", "30000").into()),
        RelayBody::Delete { .. } | RelayBody::Ping => None,
    };
    Ok(RelayReply::Done(sdp))
}

fn site() -> Site {
    let mut site = Site::new(&[CONFIG, "\n[limits]\nper_source = \"1000000/s\"\n"].concat());
    site.relay = Some(Box::new(answering_relay));
    site
}

/// The questions since the last look: what was asked of whom, with the tags of a session.
fn questions_asked(site: &mut Site) -> Vec<String> {
    let text = |octets: &[u8]| String::from_utf8_lossy(octets).into_owned();
    let questions = std::mem::take(&mut site.questions);
    questions
        .iter()
        .map(|request| match &request.body {
            RelayBody::Session { from_tag, to_tag, .. } => {
                let to = to_tag.as_deref().map(text).unwrap_or_default();
                format!("{} {} {to}", request.id.verb.label(), text(from_tag)).trim_end().to_owned()
            }
            RelayBody::Delete { .. } | RelayBody::Ping => request.id.verb.label().to_owned(),
        })
        .collect()
}

fn notes(site: &Site, verb: RelayVerb) -> Vec<RelayOutcome> {
    let result = |note: &Note| match note {
        Note::RelayAsked { verb: other, result, .. } if *other == verb => Some(*result),
        _ => None,
    };
    site.notes.iter().filter_map(result).collect()
}

fn refused(site: &Site) -> Vec<Reason> {
    let reason = |note: &Note| match note {
        Note::Verdict { verdict: Verdict::Refuse, reason, .. } => Some(*reason),
        _ => None,
    };
    site.notes.iter().filter_map(reason).collect()
}

fn without_body(text: &str) -> String {
    let head = text.split("\r\n\r\n").next().unwrap();
    let rows = head.lines().filter(|line| !line.starts_with("Content-"));
    rows.chain(["Content-Length: 0", "", ""]).collect::<Vec<_>>().join("\r\n")
}

fn answer(seen: &Sent, code: u16, media: &str) -> String {
    with_sdp(&respond(seen, code, "u", "Contact: <sip:b@10.1.0.5:5060>\r\n"), media)
}

fn in_dialog_from_trunk(method: &str, cseq: u32, route: &str) -> String {
    format!(
        "{method} sip:b@{SERVER} SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:+49891@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123@{HOST}>;tag=u\r\nCall-ID: one@trunk\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:a@{TRUNK}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// The same, from the server.
fn in_dialog_from_server(method: &str, cseq: u32, route: &str) -> String {
    format!(
        "{method} sip:a@{TRUNK} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bKback{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:+4930123@{HOST}>;tag=u\r\nTo: <sip:+49891@trunk.example.net>;tag=fone\r\nCall-ID: one@trunk\r\n\
         CSeq: {cseq} {method}\r\nContact: <sip:b@{SERVER}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Whether a message has the relay's description, with its length.
fn is_relayed(sent: &Sent) -> bool {
    let text = sent.text();
    let body = text.split_once("\r\n\r\n").unwrap().1;
    body.contains(&format!("c=IN IP4 {RELAYED}\r\n")) && sent.headers("Content-Length") == [body.len().to_string()]
}

/// A call that is up: its Record-Route.
fn established(site: &mut Site) -> String {
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    site.from(SERVER, &answer(&sent[1], 200, HOME));
    let route = sent[1].header("Record-Route").unwrap();
    assert_eq!(site.from(TRUNK, &in_dialog_from_trunk("ACK", 1, &route)).len(), 1);
    route
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(Sent::line).collect()
}

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
fn what_is_outside_is_refused_before_any_relay_is_asked() {
    let mut site = site();
    let sent = site.from(TRUNK, &invite(HOST, "192.0.2.99", "one"));
    assert_eq!(lines(&sent), ["SIP/2.0 603 Media Outside Region"]);
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "two"));
    site.questions.clear();
    let back = site.from(SERVER, &answer(&sent[1], 200, CARRIED));
    assert_eq!(lines(&back)[0], "SIP/2.0 603 Media Outside Region");
    assert_eq!(questions_asked(&mut site), ["delete"], "the call is over");
    assert_eq!(refused(&site), [Reason::ForeignMediaOffer, Reason::ForeignMediaAnswer]);
}

#[test]
fn the_length_follows_in_every_spelling() {
    for (from, to) in
        [("Content-Length: ", "Content-Length: "), ("Content-Length: ", "l: "), ("Content-Length: ", "CONTENT-LENGTH :  ")]
    {
        let mut site = site();
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one").replace(from, to));
        let text = sent[1].text();
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        // Where another attempt could go by a stream it is in its plain spelling.
        let rows =
            head.lines().filter(|line| line.to_lowercase().starts_with(['l', 'c']) && line.contains(&body.len().to_string()));
        assert_eq!(rows.collect::<Vec<_>>(), [format!("Content-Length: {}", body.len())], "{text}");
        assert!(body.contains(RELAYED));
    }
    // Without one the datagram's end tells; another attempt may go by a stream, so here it is added.
    let mut site = site();
    let text = invite(HOST, CARRIED, "one");
    let row = text.lines().find(|line| line.starts_with("Content-Length")).unwrap().to_owned();
    let sent = site.from(TRUNK, &text.replace(&format!("{row}\r\n"), ""));
    assert!(is_relayed(&sent[1]), "{}", sent[1].text());
    // In a part of a multipart the description alone is replaced.
    let mut site = self::site();
    let body = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
        sdp(CARRIED)
    );
    let text = without_body(&invite(HOST, CARRIED, "one")).replace(
        "Content-Length: 0\r\n\r\n",
        &format!("Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
    );
    let sent = site.from(TRUNK, &text);
    let went = sent[1].text();
    let body = went.split_once("\r\n\r\n").unwrap().1;
    assert_eq!(
        body,
        format!(
            "--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n--b\r\nContent-Type: text/plain\r\n\r\nx\r\n--b--\r\n",
            sdp(RELAYED).replace("4000", "30000")
        )
    );
    assert_eq!(sent[1].headers("Content-Length"), [body.len().to_string()]);
}

#[test]
fn what_cannot_be_replaced_is_refused() {
    let two = format!(
        "--b\r\nContent-Type: application/sdp\r\n\r\n{0}\r\n--b\r\nContent-Type: application/sdp\r\n\r\n{0}\r\n--b--\r\n",
        sdp(CARRIED)
    );
    let coded = "--b\r\nContent-Type: application/sdp\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n".to_owned()
        + &sdp(CARRIED).replace('=', "=3D")
        + "\r\n--b--\r\n";
    let measured = format!(
        "--b\r\nContent-Type: application/sdp\r\nContent-Length: {}\r\n\r\n{}\r\n--b--\r\n",
        sdp(CARRIED).len(),
        sdp(CARRIED)
    );
    for (kind, body) in [
        ("multipart/mixed;boundary=b", two),
        ("multipart/mixed;boundary=b", coded),
        ("multipart/mixed;boundary=b", measured),
        ("text/plain", sdp(CARRIED)),
    ] {
        let mut site = site();
        let text = without_body(&invite(HOST, CARRIED, "one")).replace(
            "Content-Length: 0\r\n\r\n",
            &format!("Content-Type: {kind}\r\nContent-Length: {}\r\n\r\n{body}", body.len()),
        );
        let sent = site.from(TRUNK, &text);
        assert_eq!(lines(&sent).iter().map(|line| &line[8..11]).collect::<Vec<_>>(), ["488"], "{kind} {body}");
        assert_eq!(refused(&site), [Reason::UnreadableMedia]);
        assert_eq!(questions_asked(&mut site), [""; 0]);
    }
    // Descriptions where nothing is negotiated.
    let mut site = site();
    let route = established(&mut site);
    questions_asked(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("INFO", 2, &route), CARRIED));
    assert_eq!(&lines(&sent)[0][8..11], "488");
    let sent = site.from(TRUNK, &in_dialog_from_trunk("INFO", 3, &route));
    let sent = site.from(SERVER, &answer(&sent[0], 200, HOME));
    assert_eq!(&lines(&sent)[0][8..11], "488");
    assert_eq!(questions_asked(&mut site), [""; 0]);
    // Whether the PRACK of this would bring an answer or an offer nobody could tell.
    let mut site = self::site();
    let sent = site.from(TRUNK, &without_body(&invite(HOST, CARRIED, "one")));
    let ringing = with_sdp(&respond(&sent[1], 183, "u", "Require: 100rel\r\nRSeq: 1\r\n"), HOME);
    let sent = site.from(SERVER, &ringing);
    assert_eq!(lines(&sent), ["SIP/2.0 488 Media Cannot Be Checked", &format!("CANCEL sip:+4930123@{HOST} SIP/2.0")]);
    assert_eq!(questions_asked(&mut site), ["delete"]);
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
fn messages_of_a_call_keep_their_order_and_others_do_not_wait() {
    let mut site = site();
    site.relay = None;
    let text = invite(HOST, CARRIED, "one");
    assert!(site.from(TRUNK, &text).is_empty());
    // A repetition and a CANCEL wait behind it.
    assert!(site.from(TRUNK, &text).is_empty());
    let cancel = without_body(&text).replace("INVITE sip", "CANCEL sip").replace(" INVITE\r", " CANCEL\r");
    assert!(site.from(TRUNK, &cancel).is_empty());
    assert!(site.notes.is_empty(), "nothing has been said of any of them: {:?}", site.notes);
    assert_eq!(site.core.transactions(), 1, "a drain waits for it");
    assert_eq!(site.from("198.51.100.9:5060", &request("OPTIONS", "sip:eu.sip.example.com", "x")).len(), 1);
    assert_eq!(site.questions.len(), 1, "one question");
    let request = site.questions[0].clone();
    let sent = site.relayed(request.id, answering_relay(&request));
    let lines: Vec<_> = lines(&sent).iter().map(|line| line.split(" sip:").next().unwrap().to_owned()).collect();
    assert_eq!(
        lines,
        ["SIP/2.0 100 Trying", "INVITE", "SIP/2.0 100 Trying", "SIP/2.0 200 OK"],
        "the INVITE once, then the CANCEL"
    );
    // The same answer again moves nothing.
    assert!(site.relayed(request.id, answering_relay(&request)).is_empty());
    // What the callee says waits in its turn, and what follows it.
    let seen = &sent[1];
    assert!(site.from(SERVER, &answer(seen, 183, HOME)).iter().all(|sent| sent.line().starts_with("CANCEL")));
    assert!(site.from(SERVER, &without_body(&respond(seen, 487, "u", ""))).is_empty());
    let request = site.questions.last().unwrap().clone();
    let sent = site.relayed(request.id, answering_relay(&request));
    let codes: Vec<_> = sent.iter().map(|sent| sent.line().split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(codes.iter().filter(|code| code.parse::<u16>().is_ok()).collect::<Vec<_>>(), ["183", "487"], "{sent:?}");
}

#[test]
fn the_next_relay_is_asked_and_the_one_that_is_silent_is_down_until_it_answers() {
    let mut site = site();
    site.relay = Some(Box::new(|request| {
        if request.relay.addr() == FIRST.parse().unwrap() { Err(Unanswered::Silent) } else { answering_relay(request) }
    }));
    let mut silences = 0;
    for id in 0..20 {
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, &format!("c{id}")));
        assert!(is_relayed(sent.iter().find(|sent| sent.line().starts_with("INVITE")).unwrap()), "every call finds one");
        silences = notes(&site, RelayVerb::Offer).iter().filter(|result| **result == RelayOutcome::Timeout).count();
    }
    assert_eq!(silences, 1, "it costs one call one time-out");
    let down = |site: &Site| site.core.status(site.now).iter().filter(|relay| relay.relay && relay.state == Health::Down).count();
    assert_eq!(down(&site), 1);
    let healths = |site: &Site| -> Vec<Option<Failure>> {
        site.notes.iter().filter_map(|note| if let Note::Relay { failure, .. } = note { Some(*failure) } else { None }).collect()
    };
    assert_eq!(healths(&site), [Some(Failure::Silent)]);
    // Pings after 1, 2, 4 … seconds, and none to the one that is up: `interval` is 0.
    questions_asked(&mut site);
    for _ in 0..80 {
        site.pass(Duration::from_millis(100));
    }
    assert_eq!(questions_asked(&mut site).iter().filter(|ask| *ask == "ping").count(), 3);
    site.relay = Some(Box::new(answering_relay));
    site.pass(Duration::from_secs(30));
    assert_eq!((down(&site), healths(&site)), (0, vec![Some(Failure::Silent), None]));
    assert_eq!(notes(&site, RelayVerb::Ping).last(), Some(&RelayOutcome::Ok));
}

#[test]
fn relays_that_are_up_are_pinged() {
    let mut site = Site::new(&CONFIG.replace("interval = \"0s\"", "interval = \"5s\""));
    site.relay = Some(Box::new(answering_relay));
    site.pass(Duration::from_secs(60));
    let pings = questions_asked(&mut site).iter().filter(|ask| *ask == "ping").count();
    assert!((22..=26).contains(&pings), "{pings} to two relays in a minute");
    site.input(Input::Drain { successor: false });
    site.pass(Duration::from_secs(60));
    assert_eq!(questions_asked(&mut site), [""; 0], "whoever is about to end asks nobody");
}

#[test]
fn a_refusal_an_outside_address_or_a_broken_answer_is_that_relays_failure_alone() {
    for (reply, expected) in [
        (Ok(RelayReply::Refused), RelayOutcome::Error),
        (Ok(RelayReply::Done(None)), RelayOutcome::Error),
        (Ok(RelayReply::Done(Some(sdp("192.0.2.99").into()))), RelayOutcome::Outside),
        (Ok(RelayReply::Done(Some(sdp(CARRIED).into()))), RelayOutcome::Outside),
        (Ok(RelayReply::Done(Some("v=0\r\nnonsense".into()))), RelayOutcome::Outside),
        (Ok(RelayReply::Done(Some(sdp("relay.example.com").into()))), RelayOutcome::Outside),
    ] {
        let mut site = site();
        let mut first = Some(reply.clone());
        site.relay = Some(Box::new(move |request| first.take().unwrap_or_else(|| answering_relay(request))));
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
        assert!(is_relayed(&sent[1]));
        assert_eq!(notes(&site, RelayVerb::Offer), [expected, RelayOutcome::Ok], "{reply:?}");
        assert!(site.core.status(site.now).iter().all(|relay| relay.state == Health::Up), "it is there all the same");
        // And where all of them do: nothing of it travels.
        let mut site = self::site();
        site.relay = Some(Box::new(move |_| reply.clone()));
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
        assert_eq!(lines(&sent), ["SIP/2.0 503 Servers Of Region Unavailable"]);
    }
}

#[test]
fn without_a_relay_a_call_is_refused_and_one_that_is_up_goes_on() {
    let mut site = site();
    let route = established(&mut site);
    site.relay = Some(Box::new(|_| Err(Unanswered::Unreachable)));
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "two"));
    assert_eq!((sent.len(), sent[0].line().as_str()), (1, "SIP/2.0 503 Servers Of Region Unavailable"));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    let warning = sent[0].header("Warning").unwrap();
    assert!(warning.contains("no media relay of region eu") && warning.contains(FIRST) && warning.contains(OTHER), "{warning}");
    // A call whose offer is still to come cannot be led through one either.
    let sent = site.from(TRUNK, &without_body(&invite(HOST, CARRIED, "three")));
    assert_eq!(lines(&sent), ["SIP/2.0 503 Servers Of Region Unavailable"]);
    // What is up goes on as it was.
    for (cseq, method) in [(5, "INVITE"), (6, "UPDATE")] {
        let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk(method, cseq, &route), CARRIED));
        assert_eq!(lines(&sent).iter().map(|line| &line[8..11]).collect::<Vec<_>>(), ["488"]);
        assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    }
    assert_eq!(site.from(TRUNK, &in_dialog_from_trunk("INFO", 7, &route)).len(), 1);
    let bye = site.from(TRUNK, &in_dialog_from_trunk("BYE", 8, &route));
    assert!(bye[0].line().starts_with("BYE"));
    assert!(
        !site.log.iter().any(|sent| sent.to == SERVER.parse().unwrap() && sent.text().contains(CARRIED)),
        "nothing unanchored"
    );
}

#[test]
fn an_answer_that_finds_its_relay_gone_is_ended_and_the_caller_may_try_elsewhere() {
    let mut site = site();
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    site.relay = Some(Box::new(|_| Err(Unanswered::Silent)));
    // Ringing goes on without early media.
    assert!(site.from(SERVER, &answer(&sent[1], 183, HOME)).is_empty());
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Media));
    let back = site.from(SERVER, &answer(&sent[1], 200, HOME));
    let line = |at: usize| back[at].line().split(" sip:").next().unwrap().to_owned();
    assert_eq!((line(0), line(1), line(2)), ("SIP/2.0 503 Servers Of Region Unavailable".into(), "ACK".into(), "BYE".into()));
    assert_eq!(back[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    // The offer is there and nowhere else: no other relay was asked.
    let answers: Vec<_> = site.questions.iter().filter(|request| request.id.verb == RelayVerb::Answer).collect();
    assert!(answers.iter().all(|request| request.relay == site.questions[0].relay));
    // It is no refusal for good: the call may come again.
    site.relay = Some(Box::new(answering_relay));
    site.pass(Duration::from_secs(40));
    let again = site.from(TRUNK, &invite(HOST, CARRIED, "one").replace("branch=z9hG4bKone", "branch=z9hG4bKtwo"));
    assert!(again.iter().any(is_relayed_invite));

    // Inside a dialog an answer that goes nowhere ends both legs.
    let mut site = self::site();
    let route = established(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    site.relay = Some(Box::new(|_| Err(Unanswered::Silent)));
    let back = site.from(SERVER, &answer(&sent[0], 200, HOME));
    let words: Vec<_> = lines(&back).iter().map(|line| line.split(" sip:").next().unwrap().to_owned()).collect();
    assert_eq!(words.iter().filter(|word| *word == "BYE").count(), 2, "{words:?}");
    assert!(words[0].starts_with("SIP/2.0 488"), "{words:?}");
}

fn is_relayed_invite(sent: &Sent) -> bool {
    sent.line().starts_with("INVITE") && is_relayed(sent)
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
fn a_call_that_comes_to_nothing_is_deleted() {
    let invited = |site: &mut Site| {
        let sent = site.from(TRUNK, &invite(HOST, CARRIED, "one"));
        questions_asked(site);
        sent[1].clone()
    };
    let mut site = site();
    let seen = invited(&mut site);
    site.from(SERVER, &without_body(&respond(&seen, 486, "u", "")));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    // A 2xx that comes all the same goes nowhere: nothing is anchored any more.
    site.relay =
        Some(Box::new(
            |request| if request.id.verb == RelayVerb::Answer { Ok(RelayReply::Refused) } else { answering_relay(request) },
        ));
    let late = site.from(SERVER, &answer(&seen, 200, HOME));
    assert!(late.iter().all(|sent| sent.to == SERVER.parse().unwrap()), "{late:?}");

    // No server answers.
    let mut site = self::site();
    invited(&mut site);
    site.pass(Duration::from_secs(60));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    assert!(
        site.log.iter().any(|sent| sent.to == SECOND.parse().unwrap() && is_relayed_invite(sent)),
        "the next server gets the same"
    );

    // Cancelled.
    let mut site = self::site();
    let seen = invited(&mut site);
    site.from(SERVER, &without_body(&respond(&seen, 180, "u", "")));
    site.from(
        TRUNK,
        &without_body(&invite(HOST, CARRIED, "one")).replace("INVITE sip", "CANCEL sip").replace(" INVITE\r", " CANCEL\r"),
    );
    assert_eq!(questions_asked(&mut site), [""; 0]);
    site.from(SERVER, &without_body(&respond(&seen, 487, "u", "")));
    assert_eq!(questions_asked(&mut site), ["delete"]);

    // A re-INVITE that is refused ends nothing; a BYE that nobody answers does.
    let mut site = self::site();
    let route = established(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("INVITE", 2, &route), CARRIED));
    questions_asked(&mut site);
    site.from(SERVER, &without_body(&respond(sent.last().unwrap(), 488, "u", "")));
    assert_eq!(questions_asked(&mut site), [""; 0]);
    site.from(TRUNK, &in_dialog_from_trunk("BYE", 3, &route));
    site.pass(Duration::from_secs(40));
    assert_eq!(questions_asked(&mut site), ["delete"]);
}

#[test]
fn a_call_outlives_its_relay_and_another_takes_the_next_offer() {
    let mut site = site();
    let route = established(&mut site);
    let gone = site.questions[0].relay;
    site.relay =
        Some(Box::new(move |request| if request.relay == gone { Err(Unanswered::Silent) } else { answering_relay(request) }));
    questions_asked(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("INVITE", 2, &route), CARRIED));
    assert!(is_relayed(sent.last().unwrap()));
    let back = site.from(SERVER, &answer(sent.last().unwrap(), 200, HOME));
    assert!(is_relayed(&back[0]));
    let by: Vec<bool> = site.questions.iter().map(|request| request.relay == gone).collect();
    assert_eq!(by, [true, false, false], "the answer goes where the offer went");
    // Who has the call now is not in the token: all that are up are told that it is over.
    questions_asked(&mut site);
    let bye = site.from(TRUNK, &in_dialog_from_trunk("BYE", 3, &route));
    site.from(SERVER, &respond(&bye[0], 200, "u", ""));
    assert!(site.questions[0].relay != gone && questions_asked(&mut site) == ["delete"]);
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

#[test]
fn what_waits_is_bounded_and_survives_a_drain() {
    let mut site = site();
    site.relay = None;
    for id in 0..384 {
        assert!(site.from(TRUNK, &invite(HOST, CARRIED, &format!("c{id}"))).is_empty());
    }
    let sent = site.from(TRUNK, &invite(HOST, CARRIED, "more"));
    assert_eq!(lines(&sent), ["SIP/2.0 503 Servers Of Region Unavailable"]);
    assert!(sent[0].header("Warning").unwrap().contains("too many calls wait"));
    // Behind one call sixteen.
    for _ in 0..16 {
        site.from(TRUNK, &invite(HOST, CARRIED, "c0"));
    }
    assert!(site.notes.iter().all(|note| !matches!(note, Note::Arrived { outcome: Outcome::Dropped(_), .. })));
    site.from(TRUNK, &invite(HOST, CARRIED, "c0"));
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Behind));
    site.input(Input::Drain { successor: false });
    assert_eq!(site.core.transactions(), 384);
    let waiting = site.questions.clone();
    let mut sent = Vec::new();
    for request in &waiting {
        sent.extend(site.relayed(request.id, answering_relay(request)));
    }
    assert_eq!(sent.iter().filter(|sent| is_relayed_invite(sent)).count(), 384, "what came before the drain goes on");
    let arrived = |outcome: fn(&Outcome) -> bool| {
        site.notes.iter().filter(|note| matches!(note, Note::Arrived { outcome: it, .. } if outcome(it))).count()
    };
    assert_eq!((arrived(|it| *it == Outcome::Forwarded), arrived(|it| *it == Outcome::Absorbed)), (384, 16));
    let later = site.from(TRUNK, &invite(HOST, CARRIED, "later"));
    assert_eq!(later[0].header("X-Ringfence").as_deref(), Some("161; reason=draining; region=eu"));
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
fn a_reload_leaves_calls_their_relay_or_goes_on_without() {
    let reload = |site: &mut Site, text: &str| assert!(site.reload(text).is_empty());
    // One relay is gone, and it is the call's: another takes the next offer.
    let mut site = site();
    let route = established(&mut site);
    let relay = site.questions[0].relay.addr();
    let keep = if relay == FIRST.parse().unwrap() { OTHER } else { FIRST };
    reload(&mut site, &CONFIG.replace("[\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]", &format!("[\"udp:{keep}\"]")));
    questions_asked(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    assert!(is_relayed(&sent[0]), "{sent:?}");
    assert_eq!(site.questions[0].relay.addr(), keep.parse().unwrap());
    // The project goes by no relay any more: the call goes on, and what the relay has ends with it.
    let mut site = self::site();
    let route = established(&mut site);
    questions_asked(&mut site);
    reload(&mut site, &CONFIG.replacen("media = \"relay\"", "media = \"enforce\"", 1));
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    assert!(sent[0].text().contains(CARRIED) && questions_asked(&mut site).is_empty());
    let bye = site.from(TRUNK, &in_dialog_from_trunk("BYE", 3, &route));
    site.from(SERVER, &respond(&bye[0], 200, "u", ""));
    assert_eq!(questions_asked(&mut site), ["delete"]);
    // While a message waits its relay may go: whatever that says comes from outside then.
    let mut site = self::site();
    site.relay = None;
    site.from(TRUNK, &invite(HOST, CARRIED, "one"));
    let request = site.questions[0].clone();
    let keep = if request.relay.addr() == FIRST.parse().unwrap() { OTHER } else { FIRST };
    reload(&mut site, &CONFIG.replace("[\"udp:10.1.0.8:2223\", \"udp:10.1.0.9:2223\"]", &format!("[\"udp:{keep}\"]")));
    assert!(site.relayed(request.id, answering_relay(&request)).is_empty());
    assert_eq!(site.questions[1].relay.addr(), keep.parse().unwrap(), "the other is asked");
    let request = site.questions[1].clone();
    let sent = site.relayed(request.id, answering_relay(&request));
    assert!(is_relayed_invite(&sent[1]));
}
