//! Every verdict that the request alone, its source and the configuration decide: code, headers, silence towards the servers.

use std::time::Duration;

use ringfence::core::io::{DropCause, Input, Note, Outcome, Verdict};
use ringfence::reason::Reason;

use crate::site::{SERVER, Site, TRUNK, invite, request, servers};

/// What was answered: code, reason phrase and X-Ringfence. Nothing else may have left.
fn refusal(site: &mut Site, listener: &str, source: &str, text: &str) -> (u16, Option<String>) {
    let sent = site.to(listener, source, text.as_bytes());
    assert_eq!(sent.len(), 1, "one answer and nothing else: {sent:#?}");
    assert_eq!(sent[0].to, source.parse().unwrap(), "to the source");
    for header in ["Contact", "Retry-After"] {
        assert_eq!(sent[0].header(header), None);
    }
    let code = sent[0].line().split(' ').nth(1).unwrap().parse().unwrap();
    (code, sent[0].header("X-Ringfence"))
}

#[test]
fn each_reason_has_its_answer() {
    let inside = "10.1.0.20";
    let eu = "192.0.2.1:5060";
    for (source, host, media, code, reason) in [
        (TRUNK, "acme.us.sip.example.com", inside, 603, Reason::ForeignEndpoint),
        (TRUNK, "ACME.US.sip.example.com", inside, 603, Reason::ForeignEndpoint),
        (TRUNK, "us.sip.example.com", inside, 603, Reason::ForeignEndpoint),
        ("198.51.101.7:5060", "acme.us.sip.example.com", inside, 403, Reason::ForeignEndpoint),
        (TRUNK, "nobody.eu.sip.example.com", inside, 404, Reason::UnknownEndpoint),
        (TRUNK, "elsewhere.example.net", inside, 404, Reason::UnknownEndpoint),
        (TRUNK, "192.0.2.1", inside, 404, Reason::UnknownEndpoint),
        (TRUNK, "127.0.0.1", inside, 404, Reason::UnknownEndpoint),
        // The source names two projects here, so the bare hostname names none.
        (TRUNK, "eu.sip.example.com", inside, 404, Reason::UnknownEndpoint),
        (TRUNK, "acme.uk.sip.example.com", inside, 603, Reason::WrongListener),
        ("198.51.102.7:5060", "local.eu.sip.example.com", inside, 604, Reason::ForeignSource),
        (TRUNK, "globex.eu.sip.example.com", inside, 603, Reason::PinnedElsewhere),
        (TRUNK, "globex.sip.example.com", inside, 603, Reason::PinnedElsewhere),
        (TRUNK, "acme.eu.sip.example.com", "192.0.2.99", 603, Reason::ForeignMediaOffer),
        ("198.51.101.7:5060", "acme.eu.sip.example.com", "203.0.113.1", 403, Reason::ForeignMediaOffer),
        (TRUNK, "acme.eu.sip.example.com", "media.example.com", 488, Reason::UnreadableMedia),
    ] {
        let mut site = Site::usual();
        let text = invite(host, media, "one");
        let (answered, header) = refusal(&mut site, eu, source, &text);
        assert_eq!(answered, code, "{host} from {source}");
        let expected = format!("{}; reason={reason}; region=eu", reason.id());
        assert_eq!(header, Some(expected));
        assert_eq!(site.outcome(), Outcome::Refused(reason));
        assert_eq!(site.core.transactions(), 0, "no state");
        let answer = site.log[0].clone();
        assert_eq!(answer.header("Reason"), Some(format!("Q.850;cause=21;text=\"{reason}\"")));
        assert!(answer.header("Warning").unwrap().starts_with("399 eu.sip.example.com \""));
        // A retransmission gets the same bytes, its ACK nothing.
        site.pass(Duration::from_millis(500));
        assert_eq!(site.to(eu, source, text.as_bytes())[0].bytes, answer.bytes);
        let tag = answer.header("To").unwrap().split(";tag=").nth(1).unwrap().to_owned();
        let ack = text
            .replace("INVITE", "ACK")
            .replace(&format!("To: <sip:+4930123@{host}>"), &format!("To: <sip:+4930123@{host}>;tag={tag}"));
        assert!(site.to(eu, source, ack.as_bytes()).is_empty());
        assert_eq!(site.outcome(), Outcome::Absorbed);
        assert!(!site.notes.iter().any(|note| matches!(note, Note::Repeat { .. })), "a retransmission is no repeat");
    }
}

#[test]
fn an_unknown_source_learns_nothing_whatever_it_asks() {
    let mut site = Site::usual();
    for text in [
        invite("acme.eu.sip.example.com", "10.1.0.20", "a"),
        invite("us.sip.example.com", "192.0.2.99", "b"),
        request("OPTIONS", "sip:eu.sip.example.com", "c"),
        request("REGISTER", "sip:eu.sip.example.com", "d"),
        request("FOO", "nonsense", "e"),
        request("BYE", "sip:x@10.1.0.5", "f").replace("\r\nCall-ID", ";tag=x\r\nCall-ID"),
    ] {
        let (code, header) = refusal(&mut site, "192.0.2.1:5060", "233.252.0.1:5060", &text);
        assert_eq!((code, header), (403, None), "{text}");
        let answer = site.log.last().unwrap();
        assert_eq!(answer.line(), "SIP/2.0 403 Forbidden");
        assert_eq!((answer.header("Warning"), answer.header("Reason")), (None, None));
        assert!(answer.bytes.len() <= text.len() * 3 / 2, "no amplification");
    }
    assert!(site.from("233.252.0.1:5060", &request("ACK", "sip:x@eu.sip.example.com", "g")).is_empty());
    // A stranger's flood is not answered at all.
    let mut answers = 0;
    for at in 0..200 {
        answers += site.from("233.252.0.2:5060", &request("OPTIONS", "sip:eu.sip.example.com", &at.to_string())).len();
    }
    assert_eq!(answers, 20);
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Flood));
}

#[test]
fn a_source_of_another_project_is_unknown_to_this_one() {
    let mut site = Site::usual();
    let text = invite("quiet.eu.sip.example.com", "10.1.0.20", "a");
    assert_eq!(refusal(&mut site, "192.0.2.1:5060", TRUNK, &text), (403, None));
    assert_eq!(refusal(&mut site, "192.0.2.1:5060", SERVER, &text), (403, None));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
}

#[test]
fn a_repeat_gets_the_same_answer_and_is_counted() {
    let mut site = Site::usual();
    let text = invite("acme.us.sip.example.com", "10.1.0.20", "a");
    let first = site.from(TRUNK, &text).remove(0);
    let again = site.from(TRUNK, &text.replace("z9hG4bKa", "z9hG4bKb").replace("CSeq: 1", "CSeq: 2")).remove(0);
    assert_eq!(first.headers("X-Ringfence"), again.headers("X-Ringfence"));
    assert_eq!((first.line(), first.header("To")), (again.line(), again.header("To")));
    assert_eq!(site.notes.iter().filter(|note| matches!(note, Note::Repeat { .. })).count(), 1);
    // Even where it would be let through now: the carrier was told that the call is over.
    let moved = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "a").replace("z9hG4bKa", "z9hG4bKc"));
    assert_eq!(moved[0].line(), first.line());
    site.pass(Duration::from_secs(61));
    let later = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "a").replace("z9hG4bKa", "z9hG4bKd"));
    assert_eq!(later[0].line(), "SIP/2.0 100 Trying");
}

#[test]
fn policy_refusals_of_other_methods_are_403() {
    let mut site = Site::usual();
    for method in ["MESSAGE", "SUBSCRIBE", "FOO"] {
        let text = request(method, "sip:x@acme.us.sip.example.com", method);
        let (code, header) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &text);
        assert_eq!((code, header.as_deref()), (403, Some("110; reason=foreign-endpoint; region=eu")));
    }
}

#[test]
fn shadow_and_warn_let_through_and_say_so() {
    let mut site = Site::usual();
    for (source, host, media, reason) in [
        ("198.51.103.7:5060", "watcher.eu.sip.example.com", "10.1.0.20", Reason::PinnedElsewhere),
        ("198.51.103.7:5060", "watcher.us.sip.example.com", "192.0.2.99", Reason::ForeignEndpoint),
        ("198.51.104.7:5060", "warner.eu.sip.example.com", "192.0.2.99", Reason::ForeignMediaOffer),
    ] {
        let sent = site.from(source, &invite(host, media, host));
        assert_eq!(sent[0].line(), "SIP/2.0 100 Trying");
        assert_eq!(sent[1].to, SERVER.parse().unwrap(), "the fence holds in shadow mode too");
        let seen = site
            .notes
            .iter()
            .any(|note| matches!(note, Note::Verdict { verdict: Verdict::Shadow, reason: r, .. } if *r == reason));
        assert!(seen, "{host}");
        assert!(sent[1].header("X-Ringfence").unwrap().starts_with(&reason.id().to_string()));
    }
    let sent = site.from("198.51.105.7:5060", &invite("quiet.eu.sip.example.com", "192.0.2.99", "q"));
    assert!(sent[1].header("X-Ringfence").unwrap().starts_with("100; reason=in-region; region=eu; project=quiet; trunk=carrier"));
}

#[test]
fn bodies_that_cannot_be_checked() {
    for (kind, extra, detail) in [
        ("multipart/mixed;boundary=x", "", "multipart without parts cannot be checked"),
        ("multipart/mixed", "", "boundary cannot be checked"),
        ("application/pkcs7-mime", "", "Content-Type cannot be checked: application/pkcs7-mime"),
        ("application/sdp", "Content-Encoding: gzip\r\n", "Content-Encoding cannot be checked: gzip"),
        ("application/sdp\r\nContent-Type: application/sdp", "", "second Content-Type cannot be checked: application/sdp"),
    ] {
        let mut site = Site::usual();
        let text = invite("acme.eu.sip.example.com", "10.1.0.20", "a")
            .replace("Content-Type: application/sdp\r\n", &format!("Content-Type: {kind}\r\n{extra}"));
        let sent = site.from(TRUNK, &text);
        assert_eq!((sent.len(), sent[0].line()), (1, "SIP/2.0 488 Media Cannot Be Checked".to_owned()), "{kind}");
        assert_eq!(site.outcome(), Outcome::Refused(Reason::UnreadableMedia));
        let warning = sent[0].header("Warning").unwrap();
        assert!(warning.contains(detail), "{warning}");
    }
    for kind in ["c: APPLICATION/SDP;charset=x", "Content-Type : Application/Sdp", "Content-Type: text/plain"] {
        let mut site = Site::usual();
        let text = invite("acme.eu.sip.example.com", "10.1.0.20", "a").replace("Content-Type: application/sdp", kind);
        assert_eq!(site.from(TRUNK, &text).len(), 2, "{kind}");
    }
}

#[test]
fn no_target_and_foreign_target() {
    let text =
        crate::site::CONFIG.replace(r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#"upstream = "sip:livekit.internal""#);
    let mut site = Site::new(&text);
    // Every name of this test resolves to 198.51.100.9, which is outside region eu.
    let call = invite("acme.eu.sip.example.com", "10.1.0.20", "a");
    let (code, header) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &call);
    assert_eq!((code, header.as_deref()), (603, Some("150; reason=foreign-target; region=eu")));
    let mut targets = ringfence::dns::Resolved::unknown(site.config.names.len());
    let name = site.config.names.iter().position(|name| name.host == "livekit.internal").unwrap();
    let name = ringfence::config::NameId(u32::try_from(name).unwrap());
    site.input(Input::Resolved(std::sync::Arc::new(targets.clone())));
    let (code, header) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &call.replace("a@trunk", "b@trunk"));
    assert_eq!((code, header.as_deref()), (503, Some("151; reason=no-target; region=eu")));
    // Of a mixed answer only what is inside is used.
    let written = site.config.names[name.0 as usize].clone();
    targets.set(name, servers(&written, &["198.51.100.9", "10.1.9.9"]));
    site.input(Input::Resolved(std::sync::Arc::new(targets)));
    let sent = site.from(TRUNK, &call.replace("a@trunk", "c@trunk").replace("bKa", "bKc"));
    assert_eq!(sent[1].to, "10.1.9.9:5060".parse().unwrap());
}

#[test]
fn draining_and_overload() {
    let mut site = Site::new(&crate::site::CONFIG.replace("per_source = \"50/s\"", "per_source = \"5/s\"\ntransactions = 3"));
    let call = |id: usize| invite("acme.eu.sip.example.com", "10.1.0.20", &format!("c{id}"));
    let mut codes = Vec::new();
    for id in 0..14 {
        codes.push(site.from(TRUNK, &call(id)).first().map_or_else(|| "-".to_owned(), |sent| sent.line()[8..11].to_owned()));
    }
    assert_eq!(codes.join(" "), "100 100 100 503 503 503 503 503 503 503 - - - -", "the table, then the rate, then silence");
    site.pass(Duration::from_secs(100));
    assert_eq!(site.core.transactions(), 0);
    site.input(Input::Drain { successor: false });
    let (code, header) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &call(50));
    assert_eq!((code, header.as_deref()), (503, Some("161; reason=draining; region=eu")));
    // What is refused for good stays so while draining: a sibling would refuse it too.
    let (code, _) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &invite("acme.us.sip.example.com", "10.1.0.20", "z"));
    assert_eq!(code, 603);
}

#[test]
fn a_preloaded_route_is_refused() {
    let mut site = Site::usual();
    let text = invite("acme.eu.sip.example.com", "10.1.0.20", "a").replace("Contact:", "Route: <sip:10.1.0.5;lr>\r\nContact:");
    let (code, header) = refusal(&mut site, "192.0.2.1:5060", TRUNK, &text);
    assert_eq!((code, header.as_deref()), (403, Some("170; reason=forged-route; region=eu")));
}

#[test]
fn options_about_us_and_methods_not_allowed() {
    let mut site = Site::usual();
    let code = |site: &mut Site, method: &str, uri: &str, id: &str| {
        site.from(TRUNK, &request(method, uri, id)).iter().map(|sent| sent.line()[8..11].to_owned()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(code(&mut site, "OPTIONS", "sip:acme.eu.sip.example.com", "1"), "200");
    assert_eq!(code(&mut site, "OPTIONS", "sip:eu.sip.example.com", "2"), "200", "two projects share the source");
    assert_eq!(code(&mut site, "OPTIONS", "sip:192.0.2.1", "3"), "200", "the address that was called");
    assert_eq!(code(&mut site, "OPTIONS", "sip:other.example.com", "4"), "404");
    assert_eq!(code(&mut site, "OPTIONS", "sip:acme.us.sip.example.com", "5"), "403");
    assert_eq!(code(&mut site, "OPTIONS", "sip:globex.eu.sip.example.com", "6"), "403");
    assert_eq!(code(&mut site, "REGISTER", "sip:acme.eu.sip.example.com", "7"), "405");
    assert!(site.log.last().unwrap().header("Allow").is_some());
    assert_eq!(code(&mut site, "PUBLISH", "sip:x@acme.eu.sip.example.com", "8"), "405");
    site.input(Input::Drain { successor: false });
    assert_eq!(code(&mut site, "OPTIONS", "sip:acme.eu.sip.example.com", "9"), "503");
}

#[test]
fn what_no_proxy_forwards() {
    let mut site = Site::usual();
    let call = |id: &str| invite("acme.eu.sip.example.com", "10.1.0.20", id);
    for (text, code) in [
        (call("a").replace("Max-Forwards: 70", "Max-Forwards: 0"), "483"),
        (call("b").replace("Max-Forwards: 70", "Max-Forwards: 256"), "400"),
        (call("c").replace("Max-Forwards", "Proxy-Require: foo, bar\r\nMax-Forwards"), "420"),
        (call("d").replace("Max-Forwards", "Max-Breadth: 0\r\nMax-Forwards"), "440"),
        (call("e").replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia"), "505"),
        (call("f").replace("CSeq: 1 INVITE", "CSeq: 1 BYE"), "400"),
        (call("g").replace("INVITE sip:+4930123@acme.eu.sip.example.com", "INVITE foo:bar"), "416"),
        (call("h").replace("INVITE sip:", "INVITE sips:"), "416"),
    ] {
        let sent = site.from(TRUNK, &text);
        assert_eq!(sent.len(), 1);
        assert_eq!(&sent[0].line()[8..11], code, "{text}");
    }
    let bad = site.log.iter().find(|sent| sent.line().contains(" 420 ")).unwrap();
    assert_eq!(bad.header("Unsupported").as_deref(), Some("foo, bar"));
}
