//! Transactions over time: RFC 3261 17 and appendix A, RFC 6026, RFC 4320, by the clock.

use std::time::Duration;

use ringfence::core::io::{Note, Outcome};

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond};

/// One server, so that nothing fails over.
fn single() -> Site {
    Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""10.1.0.5:5060""#))
}

fn call(site: &mut Site) -> Sent {
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1)
}

/// Times in tenths of a second, rounded.
fn times(sent: &[Sent]) -> Vec<u128> {
    sent.iter().map(|sent| (sent.at.as_millis() + 50) / 100).collect()
}

#[test]
fn an_unanswered_invite_is_repeated_and_the_caller_told_before_its_own_timer_b() {
    let mut site = single();
    let first = call(&mut site);
    let sent = site.pass(Duration::from_secs(40));
    let (to_server, to_trunk): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.to == SERVER.parse().unwrap());
    assert_eq!(times(&to_server), [5, 15, 35, 75, 155]);
    assert!(to_server.iter().all(|sent| sent.bytes == first.bytes));
    assert_eq!(to_trunk[0].line(), "SIP/2.0 503 Servers Of Region Unavailable");
    assert_eq!(times(&to_trunk[..1]), [300], "64*T1 less 4*T1");
    assert_eq!(to_trunk[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    assert_eq!(times(&to_trunk[1..]), [305, 315, 335, 375], "repeated by timer G until it is acknowledged");
    let ack = invite("acme.eu.sip.example.com", "10.1.0.20", "one").replace("INVITE", "ACK");
    assert!(site.from(TRUNK, &ack).is_empty());
    assert!(site.pass(Duration::from_secs(40)).is_empty());
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_final_response_without_ack_is_sent_eleven_times() {
    let mut site = single();
    let seen = call(&mut site);
    site.from(SERVER, &respond(&seen, 486, "u", ""));
    let sent = site.pass(Duration::from_secs(60));
    assert_eq!(times(&sent), [5, 15, 35, 75, 115, 155, 195, 235, 275, 315]);
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_final_response_is_acknowledged_each_time_it_comes() {
    let mut site = single();
    let seen = call(&mut site);
    let busy = respond(&seen, 486, "u", "");
    let sent = site.from(SERVER, &busy);
    assert_eq!(
        sent.iter().map(Sent::line).collect::<Vec<_>>(),
        ["ACK sip:+4930123@acme.eu.sip.example.com SIP/2.0", "SIP/2.0 486 Phrase"]
    );
    assert_eq!(sent[0].headers("Via"), seen.headers("Via")[..1]);
    assert_eq!(sent[0].header("CSeq").as_deref(), Some("1 ACK"));
    assert!(sent[0].header("To").unwrap().ends_with(";tag=u"));
    let again = site.from(SERVER, &busy);
    assert_eq!((again.len(), &again[0].bytes), (1, &sent[0].bytes));
    assert_eq!(site.outcome(), Outcome::Absorbed);
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one").replace("INVITE", "ACK"));
    site.pass(Duration::from_secs(20));
    assert_eq!(site.from(SERVER, &busy).len(), 1, "timer D: 32 s");
    site.pass(Duration::from_secs(20));
    assert!(site.from(SERVER, &busy).is_empty());
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_repeated_invite_gets_the_last_provisional_and_is_not_forwarded() {
    let mut site = single();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "one");
    let seen = call(&mut site);
    let again = site.from(TRUNK, &text);
    assert_eq!((again.len(), again[0].line()), (1, "SIP/2.0 100 Trying".to_owned()));
    let ringing = site.from(SERVER, &respond(&seen, 180, "u", ""));
    assert_eq!(site.from(TRUNK, &text)[0].bytes, ringing[0].bytes);
    // Once accepted, repetitions are absorbed (timer L), and every 2xx passes (timer M), another callee's too.
    site.from(SERVER, &respond(&seen, 200, "u", ""));
    assert!(site.from(TRUNK, &text).is_empty());
    for tag in ["u", "u", "other"] {
        assert_eq!(site.from(SERVER, &respond(&seen, 200, tag, "")).len(), 1);
        assert!(site.from(TRUNK, &text).is_empty());
        site.pass(Duration::from_secs(4));
    }
    site.pass(Duration::from_secs(33));
    assert_eq!(site.core.transactions(), 0);
    assert!(site.from(SERVER, &respond(&seen, 200, "u", "")).is_empty());
    assert_eq!(site.outcome(), Outcome::Stray);
}

#[test]
fn timer_c_cancels_what_rings_too_long() {
    let mut site = single();
    let seen = call(&mut site);
    for _ in 0..5 {
        site.from(SERVER, &respond(&seen, 180, "u", ""));
        assert!(site.pass(Duration::from_secs(170)).is_empty(), "each 1xx starts it anew");
    }
    let sent = site.pass(Duration::from_secs(20));
    assert_eq!(sent[0].line(), "CANCEL sip:+4930123@acme.eu.sip.example.com SIP/2.0");
    assert_eq!(sent[0].headers("Via"), seen.headers("Via")[..1]);
    site.from(SERVER, &respond(&sent[0], 200, "u", ""));
    let end = site.from(SERVER, &respond(&seen, 487, "u", ""));
    assert_eq!(end[1].line(), "SIP/2.0 487 Phrase");
}

#[test]
fn a_100_does_not_start_timer_c_anew() {
    for first in [100, 180] {
        let mut site = single();
        let seen = call(&mut site);
        site.from(SERVER, &respond(&seen, first, "u", ""));
        for _ in 0..3 {
            assert!(site.pass(Duration::from_secs(60)).is_empty());
            site.from(SERVER, &respond(&seen, 100, "u", ""));
        }
        let sent = site.pass(Duration::from_secs(6));
        assert!(sent[0].line().starts_with("CANCEL") && sent[0].at == Duration::from_secs(185), "{first}: {:?}", sent[0]);
    }
}

#[test]
fn timer_c_without_an_answer_to_the_cancel_is_a_time_out() {
    let mut site = single();
    let seen = call(&mut site);
    site.from(SERVER, &respond(&seen, 180, "u", ""));
    let sent = site.pass(Duration::from_secs(185 + 33));
    assert!(sent.iter().filter(|sent| sent.line().starts_with("CANCEL")).count() > 5, "the CANCEL is repeated");
    assert!(sent.iter().any(|sent| sent.line() == "SIP/2.0 408 Request Timeout"));
}

#[test]
fn cancel_waits_for_a_provisional_response() {
    let mut site = single();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "one");
    let seen = call(&mut site);
    let cancel = request("CANCEL", "sip:+4930123@acme.eu.sip.example.com", "one")
        .replace("z9hG4bKoneCANCEL", "z9hG4bKone")
        .replace("Max-Forwards", "Reason: SIP;cause=200\r\nMax-Forwards");
    let sent = site.from(TRUNK, &cancel);
    assert_eq!(sent.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 200 OK"]);
    assert_eq!(site.from(TRUNK, &cancel)[0].bytes, sent[0].bytes, "a repeated CANCEL gets the same");
    let sent = site.from(SERVER, &respond(&seen, 100, "", ""));
    assert_eq!(sent.iter().map(Sent::line).collect::<Vec<_>>(), ["CANCEL sip:+4930123@acme.eu.sip.example.com SIP/2.0"]);
    assert_eq!(sent[0].header("Reason").as_deref(), Some("SIP;cause=200"));
    assert_eq!(
        (sent[0].headers("Via"), sent[0].header("CSeq")),
        (seen.headers("Via")[..1].to_vec(), Some("1 CANCEL".to_owned()))
    );
    assert_eq!(times(&site.pass(Duration::from_secs(2))), [5, 15], "repeated until it is answered");
    site.from(SERVER, &respond(&sent[0], 200, "u", ""));
    assert!(site.pass(Duration::from_secs(2)).is_empty());
    let end = site.from(SERVER, &respond(&seen, 487, "u", ""));
    assert_eq!(end[1].line(), "SIP/2.0 487 Phrase");
    site.from(TRUNK, &text.replace("INVITE", "ACK"));
    // After the final response a CANCEL has no effect but is still answered.
    assert_eq!(site.from(TRUNK, &cancel)[0].line(), "SIP/2.0 200 OK");
    site.pass(Duration::from_secs(60));
    assert_eq!(site.core.transactions(), 0);
    assert_eq!(site.from(TRUNK, &cancel)[0].line(), "SIP/2.0 481 Call/Transaction Does Not Exist");
}

#[test]
fn a_cancelled_call_that_nobody_answers_ends_with_487() {
    let mut site = Site::usual();
    call(&mut site);
    site.from(TRUNK, &request("CANCEL", "sip:x@acme.eu.sip.example.com", "one").replace("z9hG4bKoneCANCEL", "z9hG4bKone"));
    let sent = site.pass(Duration::from_secs(33));
    assert!(sent.iter().any(|sent| sent.line() == "SIP/2.0 487 Request Terminated"));
    assert!(!sent.iter().any(|sent| sent.to == SECOND.parse().unwrap()), "a cancelled call is not tried elsewhere");
}

#[test]
fn nobody_cancels_from_elsewhere() {
    let mut site = single();
    let seen = call(&mut site);
    site.from(SERVER, &respond(&seen, 180, "u", ""));
    let cancel = request("CANCEL", "sip:x@acme.eu.sip.example.com", "one").replace("z9hG4bKoneCANCEL", "z9hG4bKone");
    let sent = site.from("198.51.100.8:5060", &cancel);
    assert_eq!(sent.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 481 Call/Transaction Does Not Exist"]);
}

#[test]
fn a_non_invite_is_repeated_by_timer_e_and_never_answered_408() {
    let mut site = single();
    let text = request("MESSAGE", "sip:x@acme.eu.sip.example.com", "m");
    site.from(TRUNK, &text);
    let sent = site.pass(Duration::from_secs(40));
    let (to_server, to_trunk): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.to == SERVER.parse().unwrap());
    assert_eq!(times(&to_server), [5, 15, 35, 75, 115, 155, 195, 235, 275, 315]);
    assert_eq!(to_trunk.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 100 Trying"], "RFC 4320: a 100 at 3.5 s, no 408");
    assert_eq!(times(&to_trunk), [35]);
    site.pass(Duration::from_secs(10));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn late_and_strange_responses_go_nowhere() {
    let mut site = single();
    let sent = site.from(TRUNK, &request("MESSAGE", "sip:x@acme.eu.sip.example.com", "m")).remove(0);
    // 17.1.3: the CSeq method must be the request's.
    let strange = respond(&sent, 200, "u", "").replace("CSeq: 1 MESSAGE", "CSeq: 1 INFO");
    assert!(site.from(SERVER, &strange).is_empty());
    assert_eq!(site.outcome(), Outcome::Stray);
    // RFC 4320: only 100 is provisional for a non-INVITE.
    assert!(site.from(SERVER, &respond(&sent, 183, "u", "")).is_empty());
    site.pass(Duration::from_secs(45));
    assert!(site.from(SERVER, &respond(&sent, 200, "u", "")).is_empty());
    for via in ["SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKguess", "SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bKm"] {
        let stray = format!(
            "SIP/2.0 200 OK\r\nVia: {via}\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\nCall-ID: 1\r\nCSeq: 1 INVITE\r\n\r\n"
        );
        assert!(site.from(SERVER, &stray).is_empty());
        assert_eq!(site.outcome(), Outcome::Stray);
    }
}

#[test]
fn nothing_is_repeated_on_a_stream() {
    let mut site =
        Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:10.1.0.5:5060;transport=tcp""#));
    let sent = site.stream(TRUNK, 1, &invite("acme.eu.sip.example.com", "10.1.0.20", "one"));
    assert_eq!(sent[1].transport, ringfence::config::Transport::Tcp);
    let later = site.pass(Duration::from_secs(33));
    assert_eq!(later.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 503 Servers Of Region Unavailable"]);
    site.pass(Duration::from_secs(33));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn clients_of_rfc_2543_are_matched_without_a_cookie() {
    let mut site = single();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "old").replace(";rport;branch=z9hG4bKold", "");
    let sent = site.from(TRUNK, &text);
    assert_eq!(sent.len(), 2);
    assert_eq!(site.from(TRUNK, &text).len(), 1, "the repetition");
    let busy = site.from(SERVER, &respond(&sent[1], 486, "u", ""));
    assert_eq!(busy[1].line(), "SIP/2.0 486 Phrase");
    assert!(site.from(TRUNK, &text.replace("INVITE", "ACK")).is_empty());
    assert!(site.pass(Duration::from_secs(1)).is_empty(), "acknowledged");
}

#[test]
fn a_branch_of_another_sender_is_another_transaction() {
    let mut site = single();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "one");
    assert_eq!(site.from(TRUNK, &text).len(), 2);
    assert_eq!(site.from(TRUNK, &text.replace("UDP 198.51.100.7:5060", "UDP 198.51.100.8:5060")).len(), 2);
}

#[test]
fn set_up_is_measured_once() {
    let mut site = single();
    let seen = call(&mut site);
    site.pass(Duration::from_millis(300));
    site.from(SERVER, &respond(&seen, 180, "u", ""));
    site.from(SERVER, &respond(&seen, 200, "u", ""));
    let setups: Vec<_> = site.notes.iter().filter(|note| matches!(note, Note::Setup { .. })).collect();
    assert_eq!(setups.len(), 1);
    assert!(matches!(setups[0], Note::Setup { after, .. } if *after == Duration::from_millis(300)));
}

#[test]
fn a_server_is_measured_by_its_first_response() {
    let mut site = single();
    let seen = call(&mut site);
    site.pass(Duration::from_millis(20));
    site.from(SERVER, &respond(&seen, 100, "u", ""));
    site.pass(Duration::from_millis(300));
    site.from(SERVER, &respond(&seen, 180, "u", ""));
    site.from(SERVER, &respond(&seen, 200, "u", ""));
    let answered: Vec<_> = site.notes.iter().filter(|note| matches!(note, Note::Answered { .. })).collect();
    assert!(matches!(answered[..], [Note::Answered { after, .. }] if *after == Duration::from_millis(20)), "{answered:?}");
}
