//! What is over absorbs repetitions and passes late 2xx on as if all of it were still there, until it is forgotten.

use std::time::Duration;

use ringfence::core::io::Outcome;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond};

const ACME: &str = "acme.eu.sip.example.com";

/// A call that was answered: its INVITE, what the server saw, and what the server answered.
fn answered(site: &mut Site) -> (String, Sent, String) {
    let text = invite(ACME, "10.1.0.20", "one");
    let seen = site.from(TRUNK, &text).remove(1);
    let answer = respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n"));
    assert_eq!(site.from(SERVER, &answer).len(), 1);
    (text, seen, answer)
}

/// A BYE of the caller.
fn bye(seen: &Sent) -> String {
    let to = format!("Route: {}\r\nTo: <sip:+4930123@{ACME}>;tag=u", seen.header("Record-Route").unwrap());
    let text = request("BYE", &format!("sip:lk@{SERVER}"), "one").replace("CSeq: 1", "CSeq: 2").replace("z9hG4bK", "z9hG4bKbye");
    text.replace(&format!("To: <sip:lk@{SERVER}>"), &to)
}

/// The octets that are held when nothing comes.
fn held(site: &Site) -> usize {
    site.core.transactions();
    site.core.octets()
}

#[test]
fn a_repeated_request_gets_the_same_answer_octet_for_octet() {
    let rows = [
        "",
        "Server: example/1.0\r\nAllow: INVITE, ACK, CANCEL, BYE, OPTIONS, UPDATE, PRACK, INFO\r\nX: 1\r\n",
        // What the request says too, and what only looks like it.
        "Max-Forwards: 69\r\nVia: SIP/2.0/UDP 192.0.2.200;branch=z9hG4bKnot-of-ours\r\nX: <sip:other@example.net>;tag=x\r\n",
        &format!("X-Long: {}\r\n", "x".repeat(5000)),
    ];
    for (code, row) in [200, 404, 481, 503].into_iter().flat_map(|code| rows.map(|row| (code, row))) {
        let mut site = Site::new(&CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""10.1.0.5:5060""#));
        let (_, seen, _) = answered(&mut site);
        let text = bye(&seen);
        let sent = site.from(TRUNK, &text).remove(0);
        assert_eq!(sent.line(), format!("BYE sip:lk@{SERVER} SIP/2.0"));
        let first = site.from(SERVER, &respond(&sent, code, "", row)).remove(0);
        let least = held(&site);
        for _ in 0..6 {
            let again = site.from(TRUNK, &text);
            assert_eq!((again.len(), again[0].text(), again[0].to), (1, first.text(), first.to), "{code} {row}");
            assert!(site.from(SERVER, &respond(&sent, code, "", row)).is_empty(), "{code}: it is absorbed");
            assert_eq!(held(&site), least, "{code}: and leaves nothing behind");
            site.pass(Duration::from_secs(5));
        }
        site.pass(Duration::from_secs(3));
        assert_eq!((site.core.transactions(), site.core.octets()), (0, 0), "{code}");
    }
}

#[test]
fn each_late_2xx_passes_as_the_first_did() {
    let mut site = Site::usual();
    let (text, seen, answer) = answered(&mut site);
    let first = site.log.last().unwrap().clone();
    let least = held(&site);
    for _ in 0..6 {
        let again = site.from(SERVER, &answer);
        assert_eq!(
            (again.len(), again[0].text(), again[0].to),
            (1, first.text(), first.to),
            "with our Record-Route signed again"
        );
        let forked = site.from(SERVER, &respond(&seen, 200, "fork", "Contact: <sip:other@10.1.0.5>\r\n"));
        assert!(forked[0].header("To").unwrap().ends_with("tag=fork"), "{}", forked[0].text());
        assert_ne!(forked[0].header("Record-Route"), first.header("Record-Route"), "each fork has its own");
        assert!(site.from(TRUNK, &text).is_empty(), "the INVITE is absorbed");
        for code in [180, 486] {
            assert!(site.from(SERVER, &respond(&seen, code, "u", "")).is_empty(), "{code} comes too late");
        }
        let cancel = site.from(TRUNK, &text.replace("INVITE", "CANCEL"));
        assert_eq!(cancel.iter().map(Sent::line).collect::<Vec<_>>(), ["SIP/2.0 200 OK"], "and there is nothing to cancel");
        assert_eq!(held(&site), least, "it leaves nothing behind");
        site.pass(Duration::from_secs(5));
    }
    site.pass(Duration::from_secs(3));
    assert!(site.from(SERVER, &answer).is_empty());
    assert_eq!((site.outcome(), site.core.octets()), (Outcome::Stray, 0));
}

#[test]
fn a_fork_that_answers_after_a_refusal_passes_and_the_refusal_is_acknowledged() {
    let mut site = Site::usual();
    let text = invite(ACME, "10.1.0.20", "one");
    let seen = site.from(TRUNK, &text).remove(1);
    let busy = respond(&seen, 486, "u", "");
    let ack = site.from(SERVER, &busy).remove(0);
    assert!(site.from(TRUNK, &text.replace("INVITE", "ACK")).is_empty());
    let least = held(&site);
    for _ in 0..3 {
        let again = site.from(SERVER, &busy);
        assert_eq!((again.len(), again[0].text()), (1, ack.text()));
        assert!(site.from(TRUNK, &text.replace("INVITE", "ACK")).is_empty());
        assert!(site.from(TRUNK, &text).is_empty());
        assert_eq!(site.from(SERVER, &respond(&seen, 200, "fork", "Contact: <sip:x@10.1.0.5>\r\n")).len(), 1);
        assert_eq!(held(&site), least, "it leaves nothing behind");
        site.pass(Duration::from_secs(9));
    }
    site.pass(Duration::from_secs(6));
    assert_eq!((site.core.transactions(), site.core.octets()), (0, 0));
}

#[test]
fn a_guessed_slot_opens_nothing() {
    let mut site = Site::usual();
    let (_, seen, answer) = answered(&mut site);
    let least = site.core.octets();
    let branch = seen.headers("Via")[0].split("branch=").nth(1).unwrap().to_owned();
    let (slot, nonce) = (&branch[..16], &branch[16..]);
    let digit = if nonce.starts_with('0') { "1" } else { "0" };
    let guessed = answer.replace(&branch, &format!("{slot}{digit}{}", &nonce[1..]));
    for (from, text) in [(SERVER, &guessed), ("198.51.100.77:5060", &answer)] {
        assert!(site.from(from, text).is_empty());
        assert_eq!((site.outcome(), site.core.octets()), (Outcome::Stray, least));
    }
}

#[test]
fn a_reload_changes_its_numbers_and_what_the_fence_does_not_pass_is_not_heard() {
    let moved =
        CONFIG.replacen("[project.acme]", "[project.aaa.trunk.first]\nnetworks = [\"198.51.110.0/24\"]\n\n[project.acme]", 1);
    let (before, after) = (r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""10.1.0.6:5060""#);
    for (text, heard) in [(moved.clone(), 1), (moved.replace(before, after).replace("10.1.0.0/16", "10.1.0.6/32"), 0)] {
        let mut site = Site::usual();
        let (invite, seen, answer) = answered(&mut site);
        let bye = bye(&seen);
        let sent = site.from(TRUNK, &bye).remove(0);
        let ended = site.from(SERVER, &respond(&sent, 200, "", "")).remove(0);
        assert!(site.reload(&text).is_empty());
        assert_eq!(site.core.transactions(), 2);
        assert_eq!(site.from(TRUNK, &bye)[0].text(), ended.text(), "the asker stays where it is");
        assert!(site.from(TRUNK, &invite).is_empty());
        assert_eq!(site.from(SERVER, &answer).len(), heard);
        let reasons = site.notes.len();
        site.pass(Duration::from_secs(40));
        assert_eq!(
            (site.core.transactions(), site.core.octets(), site.notes.len() - reasons),
            (0, 0, 2),
            "both are counted as closed"
        );
    }
}
