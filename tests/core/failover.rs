//! One server after the other: on 503, on a transport error and on silence, and on nothing else.

use std::time::Duration;

use ringfence::config::Transport;
use ringfence::core::io::{Input, Note, Verdict};
use ringfence::reason::Reason;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, request, respond};

fn call(site: &mut Site) -> Sent {
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1)
}

fn lines(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.line()[..11].to_owned()).collect()
}

/// The second attempt is the first with another branch.
fn same_but_branch(first: &Sent, second: &Sent) {
    let (mut a, mut b) = (first.headers("Via"), second.headers("Via"));
    assert_ne!(a.remove(0), b.remove(0));
    assert_eq!(a, b);
    let rest = |sent: &Sent| {
        sent.text().lines().filter(|line| !line.starts_with("Via: SIP/2.0/UDP 192.0.2.1")).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(rest(first), rest(second));
}

#[test]
fn on_503() {
    let mut site = Site::usual();
    let first = call(&mut site);
    let sent = site.from(SERVER, &respond(&first, 503, "u", "Retry-After: 30\r\n"));
    assert_eq!(lines(&sent), ["ACK sip:+49", "INVITE sip:"]);
    assert_eq!((sent[0].to, sent[1].to), (SERVER.parse().unwrap(), SECOND.parse().unwrap()));
    same_but_branch(&first, &sent[1]);
    // ACK and CANCEL stay with the chosen one.
    site.from(SECOND, &respond(&sent[1], 180, "v", ""));
    let cancel = request("CANCEL", "sip:x@acme.eu.sip.example.com", "one").replace("z9hG4bKoneCANCEL", "z9hG4bKone");
    let cancelled = site.from(TRUNK, &cancel);
    assert_eq!(
        (lines(&cancelled), cancelled[1].to),
        (vec!["SIP/2.0 200".to_owned(), "CANCEL sip:".to_owned()], SECOND.parse().unwrap())
    );
    assert_eq!(cancelled[1].headers("Via"), sent[1].headers("Via")[..1]);
    // A repeated 503 of the first is acknowledged still.
    assert_eq!(lines(&site.from(SERVER, &respond(&first, 503, "u", ""))), ["ACK sip:+49"]);
}

#[test]
fn on_silence_and_on_a_transport_error() {
    let mut site = Site::usual();
    let first = call(&mut site);
    let sent = site.pass(Duration::from_millis(4010));
    let (to_first, to_second): (Vec<_>, Vec<_>) = sent.into_iter().partition(|sent| sent.to == SERVER.parse().unwrap());
    assert_eq!((to_first.len(), to_second.len()), (3, 1), "try_for: three repetitions, then the next");
    same_but_branch(&first, &to_second[0]);
    // The last one has what is left of the time.
    let rest = site.pass(Duration::from_secs(40));
    assert!(!rest.iter().any(|sent| sent.to == SERVER.parse().unwrap()), "what was left is not repeated");
    let answer = rest.iter().find(|sent| sent.to == TRUNK.parse().unwrap()).unwrap();
    assert_eq!(answer.line(), "SIP/2.0 503 Servers Of Region Unavailable");
    assert_eq!((answer.at.as_millis() + 50) / 100, 300);

    let mut site = Site::usual();
    let first = call(&mut site);
    let sent = site.input(Input::Failed(first.attempt.unwrap()));
    assert_eq!((lines(&sent), sent[0].to), (vec!["INVITE sip:".to_owned()], SECOND.parse().unwrap()));
    assert!(site.input(Input::Failed(first.attempt.unwrap())).is_empty(), "an attempt fails once");
}

/// A call whose first server said nothing for `try_for`: both attempts.
fn left(site: &mut Site) -> (Sent, Sent) {
    let first = call(site);
    let sent = site.pass(Duration::from_millis(4010));
    (first, sent.into_iter().find(|sent| sent.to == SECOND.parse().unwrap()).unwrap())
}

#[test]
fn what_was_left_and_rings_after_all_is_cancelled() {
    let mut site = Site::usual();
    let (first, second) = left(&mut site);
    site.from(SECOND, &respond(&second, 180, "v", ""));
    let sent = site.from(SERVER, &respond(&first, 180, "u", ""));
    assert_eq!((lines(&sent), sent[0].to), (vec!["CANCEL sip:".to_owned()], SERVER.parse().unwrap()));
    assert_eq!(sent[0].headers("Via"), first.headers("Via")[..1]);
    assert_eq!(site.pass(Duration::from_millis(600)).len(), 1, "the CANCEL is repeated until it is answered");
    site.from(SERVER, &respond(&sent[0], 200, "u", ""));
    assert!(site.pass(Duration::from_secs(5)).is_empty());
    let end = site.from(SERVER, &respond(&first, 487, "u", ""));
    assert_eq!((lines(&end), end[0].to), (vec!["ACK sip:+49".to_owned()], SERVER.parse().unwrap()), "acknowledged, and not told");
    // The call goes on where it is.
    let answer = site.from(SECOND, &respond(&second, 200, "v", ""));
    assert_eq!((lines(&answer), answer[0].to), (vec!["SIP/2.0 200".to_owned()], TRUNK.parse().unwrap()));
    site.pass(Duration::from_secs(70));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn what_was_left_and_answers_after_all_has_the_call() {
    for heard in [false, true] {
        let mut site = Site::usual();
        let (first, second) = left(&mut site);
        if heard {
            site.from(SECOND, &respond(&second, 180, "v", ""));
        }
        let sent = site.from(SERVER, &respond(&first, 200, "u", ""));
        assert_eq!((lines(&sent[..1]), sent[0].to), (vec!["SIP/2.0 200".to_owned()], TRUNK.parse().unwrap()));
        let cancel = if heard {
            sent[1].clone()
        } else {
            // 9.1: not before anything provisional; and no word to it until then.
            assert!(site.pass(Duration::from_secs(3)).is_empty());
            site.from(SECOND, &respond(&second, 180, "v", "")).remove(0)
        };
        assert_eq!((cancel.line().starts_with("CANCEL"), cancel.to), (true, SECOND.parse().unwrap()));
        // Both answered in the same moment: every 2xx goes on, and the caller ends one of them.
        assert_eq!(lines(&site.from(SECOND, &respond(&second, 200, "v", ""))), ["SIP/2.0 200"]);
        site.pass(Duration::from_secs(70));
        assert_eq!(site.core.transactions(), 0);
    }
}

#[test]
fn the_caller_cancels_what_was_left_too() {
    let mut site = Site::usual();
    let (first, second) = left(&mut site);
    site.from(SECOND, &respond(&second, 180, "v", ""));
    let cancel = request("CANCEL", "sip:x@acme.eu.sip.example.com", "one")
        .replace("z9hG4bKoneCANCEL", "z9hG4bKone")
        .replace("Max-Forwards", "Reason: SIP;cause=200\r\nMax-Forwards");
    let sent = site.from(TRUNK, &cancel);
    assert_eq!((lines(&sent), sent[1].to), (vec!["SIP/2.0 200".to_owned(), "CANCEL sip:".to_owned()], SECOND.parse().unwrap()));
    let sent = site.from(SERVER, &respond(&first, 180, "u", ""));
    assert_eq!((lines(&sent), sent[0].to), (vec!["CANCEL sip:".to_owned()], SERVER.parse().unwrap()));
    assert_eq!(sent[0].header("Reason").as_deref(), Some("SIP;cause=200"), "the caller's own reason");
}

#[test]
fn a_call_that_was_refused_in_time_does_not_ring_later() {
    let mut site = Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""10.1.0.5:5060""#));
    let first = call(&mut site);
    site.pass(Duration::from_millis(30_010));
    let sent = site.from(SERVER, &respond(&first, 180, "u", ""));
    assert_eq!(lines(&sent), ["CANCEL sip:"]);
}

#[test]
fn a_non_invite_moves_on_too_and_its_late_answer_counts() {
    let mut site = Site::usual();
    let first = site.from(TRUNK, &request("MESSAGE", "sip:x@acme.eu.sip.example.com", "m")).remove(0);
    let sent = site.pass(Duration::from_millis(4010));
    let second = sent.into_iter().find(|sent| sent.to == SECOND.parse().unwrap()).unwrap();
    assert_eq!(lines(&[second]), ["MESSAGE sip"]);
    assert!(site.from(SERVER, &respond(&first, 486, "u", "")).is_empty(), "it is out of the search");
    let mut site = Site::usual();
    let first = site.from(TRUNK, &request("MESSAGE", "sip:x@acme.eu.sip.example.com", "m")).remove(0);
    site.pass(Duration::from_millis(4010));
    assert_eq!(lines(&site.from(SERVER, &respond(&first, 200, "u", ""))), ["SIP/2.0 200"]);
    assert!(site.pass(Duration::from_secs(40)).is_empty(), "nobody is asked any more");
    site.pass(Duration::from_secs(40));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn the_time_of_all_attempts_together_is_bounded() {
    let list: Vec<_> = (5..13).map(|last| format!("\"10.1.0.{last}\"")).collect();
    let text = crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, &format!("[{}]", list.join(", ")));
    let mut site = Site::new(&text);
    call(&mut site);
    let sent = site.pass(Duration::from_secs(100));
    let attempts: std::collections::BTreeSet<_> =
        sent.iter().filter(|sent| sent.line().starts_with("INVITE")).map(|sent| sent.headers("Via")[0].clone()).collect();
    assert_eq!(attempts.len(), 8, "one for each server, at 0, 4, 8 … 28 s");
    let answer = sent.iter().find(|sent| sent.to == TRUNK.parse().unwrap()).unwrap();
    assert_eq!((answer.at.as_millis() + 50) / 100, 300, "before the caller's own timer B");
    assert_eq!(answer.header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn not_on_other_answers_nor_after_a_provisional_one() {
    for code in [300, 404, 408, 480, 486, 500, 504, 600, 603] {
        let mut site = Site::usual();
        let first = call(&mut site);
        let sent = site.from(SERVER, &respond(&first, code, "u", ""));
        assert_eq!(lines(&sent), ["ACK sip:+49".to_owned(), format!("SIP/2.0 {code}")]);
        assert!(sent[1].header("To").unwrap().ends_with(";tag=u"), "the server's own tag");
    }
    let mut site = Site::usual();
    let first = call(&mut site);
    site.from(SERVER, &respond(&first, 100, "", ""));
    assert!(site.input(Input::Failed(first.attempt.unwrap())).is_empty());
    assert!(!site.pass(Duration::from_secs(100)).iter().any(|sent| sent.to == SECOND.parse().unwrap()));
}

#[test]
fn when_all_are_down_the_caller_may_try_a_sibling() {
    let mut site = Site::usual();
    let first = call(&mut site);
    let second = site.from(SERVER, &respond(&first, 503, "u", "")).remove(1);
    let sent = site.input(Input::Failed(second.attempt.unwrap()));
    assert_eq!(sent[0].line(), "SIP/2.0 503 Servers Of Region Unavailable");
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    assert_eq!(sent[0].headers("Via").len(), 1, "our Via is not the caller's business");
    assert!(sent[0].header("Record-Route").is_none() && sent[0].header("Retry-After").is_none());
    let down = |note: &Note| matches!(note, Note::Verdict { verdict: Verdict::Refuse, reason: Reason::TargetsDown, .. });
    assert_eq!(site.notes.iter().filter(|note| down(note)).count(), 1);
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one").replace("INVITE", "ACK"));
    site.pass(Duration::from_secs(40));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_non_invite_fails_over_on_503_and_errors() {
    let mut site = Site::usual();
    let text = request("MESSAGE", "sip:x@acme.eu.sip.example.com", "m");
    let first = site.from(TRUNK, &text).remove(0);
    let second = site.from(SERVER, &respond(&first, 503, "u", ""));
    assert_eq!((lines(&second), second[0].to), (vec!["MESSAGE sip".to_owned()], SECOND.parse().unwrap()));
    let end = site.input(Input::Failed(second[0].attempt.unwrap()));
    assert_eq!(end[0].line(), "SIP/2.0 503 Servers Of Region Unavailable");
}

#[test]
fn a_large_request_goes_by_stream_and_comes_back_to_datagrams() {
    let mut site = Site::usual();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "big")
        .replace("Contact:", &format!("X-Fill: {}\r\nContact:", "x".repeat(1200)));
    let sent = site.from(TRUNK, &text);
    assert_eq!((sent[1].transport, sent[1].to), (Transport::Tcp, SERVER.parse().unwrap()));
    assert!(sent[1].header("Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.1:5060;"));
    assert_eq!(sent[1].headers("Record-Route").len(), 2);
    let sent = site.input(Input::Failed(sent[1].attempt.unwrap()));
    assert_eq!((sent[0].transport, sent[0].to), (Transport::Udp, SERVER.parse().unwrap()));
    assert!(sent[0].header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;"));
    assert_eq!(sent[0].headers("Record-Route").len(), 1, "the sides are the same now");
    // For a minute nobody waits for that again.
    let sent = site.from(TRUNK, &text.replace("big", "two"));
    assert_eq!((sent[1].transport, sent[1].to), (Transport::Udp, SERVER.parse().unwrap()));
    site.pass(Duration::from_secs(61));
    let sent = site.from(TRUNK, &text.replace("big", "three"));
    assert_eq!(sent[1].transport, Transport::Tcp);
    // What counts is the size of what is sent.
    let text = |fill: usize| {
        invite("acme.eu.sip.example.com", "10.1.0.20", "edge")
            .replace("Contact:", &format!("X-Fill: {}\r\nContact:", "x".repeat(fill)))
    };
    for fill in [300, 500, 520, 540, 560, 580, 600, 620, 700] {
        let mut site = Site::usual();
        let sent = site.from(TRUNK, &text(fill)).remove(1);
        match sent.transport {
            Transport::Udp => assert!(sent.bytes.len() <= 1310, "{} octets in a datagram", sent.bytes.len()),
            Transport::Tcp | Transport::Tls => assert!(sent.bytes.len() > 1290, "{} octets on a stream", sent.bytes.len()),
        }
    }
}

#[test]
fn a_large_request_is_sent_in_a_datagram_only_if_no_connection_was_made() {
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "big")
        .replace("Contact:", &format!("X-Fill: {}\r\nContact:", "x".repeat(1200)));
    let by = |sent: &Sent| (sent.to.to_string(), sent.transport);
    let second = (SECOND.to_owned(), Transport::Tcp);
    // It was answered.
    for trying in [false, true] {
        let mut site = Site::usual();
        let first = site.from(TRUNK, &text).remove(1);
        if trying {
            site.from(SERVER, &respond(&first, 100, "u", ""));
        }
        let sent = site.from(SERVER, &respond(&first, 503, "u", ""));
        assert_eq!(by(&sent[1]), second);
        let sent = site.from(SECOND, &respond(&sent[1], 503, "v", ""));
        assert_eq!(sent[1].line(), "SIP/2.0 503 Servers Of Region Unavailable");
    }
    // It was lost with a connection, which had been made.
    let mut site = Site::usual();
    let first = site.from(TRUNK, &text).remove(1);
    assert_eq!(by(&site.input(Input::Lost(first.attempt.unwrap()))[0]), second);
    // Nobody said anything for `try_for`, and then for all the time that is left.
    let mut site = Site::usual();
    site.from(TRUNK, &text);
    let sent = site.pass(Duration::from_secs(33));
    assert_eq!((by(&sent[0]), sent[1].line().as_str()), (second.clone(), "SIP/2.0 503 Servers Of Region Unavailable"));
    assert_eq!((sent[1].at.as_millis() + 50) / 100, 300);
    // No connection could be made, to the first nor to the second.
    for input in [Input::Failed, Input::Unsent] {
        let mut site = Site::usual();
        let first = site.from(TRUNK, &text).remove(1);
        let sent = site.input(input(first.attempt.unwrap())).remove(0);
        assert_eq!(by(&sent), (SERVER.to_owned(), Transport::Udp));
        let sent = site.from(SERVER, &respond(&sent, 503, "u", "")).remove(1);
        assert_eq!(by(&sent), second);
        assert_eq!(by(&site.input(input(sent.attempt.unwrap()))[0]), (SECOND.to_owned(), Transport::Udp));
    }
}

#[test]
fn a_request_without_content_length_gets_one_on_a_stream() {
    let mut site =
        Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:10.1.0.5:5060;transport=tcp""#));
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "one");
    let length = text.split("Content-Length: ").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    let sent = site.from(TRUNK, &text.replace(&format!("Content-Length: {length}\r\n"), ""));
    assert_eq!(sent[1].headers("Content-Length"), [length]);
}

#[test]
fn a_reload_that_takes_the_project_away_leaves_its_open_calls_alone() {
    let mut site = Site::usual();
    let first = call(&mut site);
    let (_, rest) = crate::site::CONFIG.split_once("[project.watcher]").unwrap();
    let (head, _) = crate::site::CONFIG.split_once("[project.acme]").unwrap();
    let text = format!(
        "{head}[region.asia]\nhostname = \"asia.sip.example.com\"\nnetworks = [\"10.9.0.0/16\"]\n[project.watcher]{rest}"
    );
    site.reload(&text);
    let second = site.from(SERVER, &respond(&first, 503, "u", "")).remove(1);
    assert_eq!(second.to, SECOND.parse().unwrap());
    let sent = site.input(Input::Failed(second.attempt.unwrap()));
    assert_eq!(sent[0].line(), "SIP/2.0 503 Servers Of Region Unavailable");
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    // The project's next call is a stranger's.
    let sent = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "two"));
    assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden");
    site.pass(Duration::from_secs(100));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn a_target_whose_connections_end_is_not_down_and_the_call_goes_on() {
    let mut site = Site::usual();
    let first = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "lost")).remove(1);
    let attempt = first.attempt.unwrap();
    assert_eq!(site.core.unheard(attempt).as_deref(), Some(first.bytes.as_slice()), "what is to be repeated");
    let next = site.input(Input::Lost(attempt));
    assert_eq!(next[0].to, SECOND.parse().unwrap());
    assert!(site.core.unheard(attempt).is_none(), "it is not wanted any more");
    assert!(!site.notes.iter().any(|note| matches!(note, Note::Health { .. })), "a ping would find out");
}
