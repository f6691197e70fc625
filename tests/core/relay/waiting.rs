//! The order of a call's messages while one waits for a relay, and how many may wait.

use ringfence::core::io::{DropCause, Input, Note, Outcome};

use super::{CARRIED, HOME, HOST, answer, answering_relay, is_relayed_invite, lines, site, without_body};
use crate::site::{SERVER, TRUNK, invite, request, respond};

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
