//! A relay that is silent, refuses or answers nonsense, and a region without any relay.

use std::time::Duration;

use ringfence::core::io::{DropCause, Failure, Health, Input, Note, Outcome, RelayOutcome, RelayReply, RelayVerb, Unanswered};

use super::{
    CARRIED, CONFIG, FIRST, HOME, HOST, OTHER, answer, answering_relay, established, in_dialog_from_trunk, is_relayed,
    is_relayed_invite, lines, notes, questions_asked, site, without_body,
};
use crate::site::{SERVER, Site, TRUNK, invite, respond, sdp, with_sdp};

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
        let mut site = super::site();
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
    let mut site = super::site();
    let route = established(&mut site);
    let sent = site.from(TRUNK, &with_sdp(&in_dialog_from_trunk("UPDATE", 2, &route), CARRIED));
    site.relay = Some(Box::new(|_| Err(Unanswered::Silent)));
    let back = site.from(SERVER, &answer(&sent[0], 200, HOME));
    let words: Vec<_> = lines(&back).iter().map(|line| line.split(" sip:").next().unwrap().to_owned()).collect();
    assert_eq!(words.iter().filter(|word| *word == "BYE").count(), 2, "{words:?}");
    assert!(words[0].starts_with("SIP/2.0 488"), "{words:?}");
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
