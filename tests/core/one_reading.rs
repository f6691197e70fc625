//! What leaves is read alike by whoever comes next: one line for a row, one message in a stream, nothing malformed that all read.

use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};
use proptest::sample::select;
use ringfence::config::Transport;
use ringfence::core::io::Outcome;
use ringfence::sip::{Fault, Message};

use crate::site::{SERVER, Sent, Site, TRUNK, invite, request, respond};

const HOST: &str = "acme.eu.sip.example.com";
/// A trunk whose media is nobody's business.
const QUIET: &str = "198.51.105.7:5060";

/// The first lines of the messages that a reader finds who trims every line and takes the first Content-Length.
fn naive(mut text: &str) -> Vec<String> {
    let mut found = Vec::new();
    while let Some((head, rest)) = text.split_once("\r\n\r\n") {
        let mut lines = head.split("\r\n");
        found.extend(lines.next().map(str::to_owned));
        let length = lines.find_map(|line| {
            let (name, value) = line.trim().split_once(':')?;
            let name = name.trim_end().to_ascii_lowercase();
            (name == "content-length" || name == "l").then(|| value.trim().parse::<usize>().ok()).flatten()
        });
        let Some(after) = length.and_then(|length| rest.get(length..)) else { break };
        text = after;
    }
    found
}

/// What is wrong with a message that left, if anything is.
fn fault(sent: &Sent) -> Option<String> {
    let text = sent.text();
    let (head, body) = text.split_once("\r\n\r\n")?;
    let rows: Vec<&str> = head.split("\r\n").skip(1).collect();
    let lengths: Vec<&&str> = rows.iter().filter(|row| row.to_lowercase().starts_with("content-length")).collect();
    let stream = sent.transport != Transport::Udp;
    if rows.iter().any(|row| row.starts_with([' ', '\t']) || row.is_empty())
        || head.replace("\r\n", "").contains(['\r', '\n', '\0'])
    {
        return Some(format!("a row of several lines in {text}"));
    }
    if stream && lengths != [&format!("Content-Length: {}", body.len()).as_str()] {
        return Some(format!("{lengths:?} for {} octets", body.len()));
    }
    let found = naive(&text);
    (stream && found.len() != 1).then(|| format!("read as {found:?}: {text}"))
}

/// A call to the trunk's region that is a request of its own.
fn inner() -> String {
    invite("acme.us.sip.example.com", "192.0.2.99", "inner")
}

/// A message with these rows and this body.
fn with(text: &str, rows: &str, body: &str) -> String {
    let (head, _) = text.split_once("\r\n\r\n").unwrap();
    let kept: Vec<&str> = head.split("\r\n").filter(|row| !row.starts_with("Content-")).collect();
    format!("{}\r\n{rows}Content-Type: application/isup\r\nContent-Length: {}\r\n\r\n{body}", kept.join("\r\n"), body.len())
}

/// A row with folds, and what some readers take for rows of their own.
fn row() -> impl Strategy<Value = String> {
    let name = select(vec!["Subject", "s", "X-A ", "Organization", "User-Agent", "Allow"]);
    let pieces = ["x", "Content-Length: 0", "l: 0", "Content-Length : 7", "\"", "", "Via: gzip", "Call-ID: y", "a\\", "<"];
    let fold = select(vec!["\r\n ", "\r\n\t", " \r\n  ", "\r\n \r\n ", " "]);
    (name, vec((select(pieces.to_vec()), fold), 1..4)).prop_map(|(name, pieces)| {
        let value: String = pieces.iter().map(|(piece, fold)| [*piece, *fold].concat()).collect();
        format!("{name}:{}\r\n", value.trim_end_matches([' ', '\t', '\r', '\n']))
    })
}

fn length() -> impl Strategy<Value = &'static str> {
    select(vec!["Content-Length: ", "l:", "Content-Length :\r\n ", "CONTENT-LENGTH: 000", "L:\t"])
}

proptest! {
    #[test]
    fn whatever_is_forwarded_is_one_message(
        asked in vec(row(), 0..4),
        answered in vec(row(), 0..4),
        length in length(),
        (code, long, streamed) in (select(vec![180, 200, 302, 486]), any::<bool>(), any::<bool>()),
    ) {
        let mut site = Site::usual();
        // What is long goes on over a stream.
        let filler = if long { "X".repeat(1300) } else { String::new() };
        let rows = asked.concat() + "X-Filler: " + &filler + "\r\n";
        let text = with(&invite("quiet.eu.sip.example.com", "10.1.0.20", "one"), &rows, &inner()).replace("Content-Length: ", length);
        // The body's own rows are the body's.
        let text = text.replacen(&inner().replace("Content-Length: ", length), &inner(), 1);
        let mut sent = if streamed { site.stream(QUIET, 7, &text) } else { site.from(QUIET, &text) };
        prop_assert_eq!(sent.len(), 2, "{}: {:?}", text, site.outcome());
        let seen = sent.pop().unwrap();
        prop_assert!(seen.transport == Transport::Tcp || !long);
        prop_assert!(seen.text().ends_with(&inner()));
        let answer = respond(&seen, code, "u", "Contact: <sip:lk@10.1.0.5>\r\n");
        let relayed = site.from(SERVER, &with(&answer, &answered.concat(), &inner()));
        let back = relayed.iter().find(|sent| sent.to == QUIET.parse().unwrap());
        prop_assert_eq!(back.map(Sent::line), Some(format!("SIP/2.0 {code} Phrase")));
        for sent in sent.iter().chain(std::iter::once(&seen)).chain(&relayed) {
            prop_assert_eq!(fault(sent), None);
        }
    }

    /// Whatever is broken: our answer is not.
    #[test]
    fn no_answer_carries_what_it_may_not(
        at in any::<proptest::sample::Index>(),
        broken in select(vec!["\0", "\r", "\n", "\n ", "\r\n ", "\r\n\t\r\n ", "\u{8}", "\"", ",", ";;"]),
        host in select(vec![HOST, "acme.us.sip.example.com"]),
    ) {
        let mut text = invite(host, "10.1.0.20", "one");
        let places: Vec<usize> = (0..text.find("\r\n\r\n").unwrap()).collect();
        text.insert_str(*at.get(&places), broken);
        let mut site = Site::usual();
        for sent in site.stream(TRUNK, 7, &text).iter().filter(|sent| sent.line().starts_with("SIP/2.0")) {
            prop_assert_eq!(fault(sent), None);
            prop_assert!(Message::framed(&sent.bytes).is_ok());
        }
    }
}

#[test]
fn the_version_leaves_in_capitals() {
    for version in ["sip/2.0", "Sip/2.0"] {
        let mut site = Site::usual();
        let text = invite(HOST, "10.1.0.20", "one");
        let seen = site.from(TRUNK, &text.replacen(" SIP/2.0\r\n", &format!(" {version}\r\n"), 1)).pop().unwrap();
        assert!(seen.line().ends_with(" SIP/2.0"), "{}", seen.line());
        let back = site.from(SERVER, &respond(&seen, 180, "u", "").replacen("SIP/2.0 ", &format!("{version} "), 1));
        assert_eq!(back[0].line(), "SIP/2.0 180 Phrase");
    }
}

#[test]
fn an_answer_that_others_would_read_otherwise_goes_nowhere() {
    for (from, to, fault) in [
        ("Contact: <sip:lk@10.1.0.5>", "Contact: <sip:h:x>", Fault::Contact),
        ("Contact: <sip:lk@10.1.0.5>", "Contact: <sip:lk@10.1.0.5>\r\nm: <sip:b@10.1.0.5>", Fault::Contact),
        ("Contact: <sip:lk@10.1.0.5>", "Contact:", Fault::Contact),
        ("Contact: <sip:lk@10.1.0.5>", "Record-Route: x", Fault::Route),
        (";tag=u", ";x=\"a;tag=b\";tag=u", Fault::To),
        (";branch=z9hG4bKone", ";branch=z9hG4bKone gzip", Fault::Via),
        (";branch=z9hG4bKone", ";branch=z9hG4bKone,", Fault::Via),
        ("Call-ID: one@trunk", "Call-ID: one@trunk x", Fault::CallId),
    ] {
        let mut site = Site::usual();
        let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).pop().unwrap();
        let good = respond(&seen, 180, "u", "Contact: <sip:lk@10.1.0.5>\r\n");
        assert!(good.contains(from), "{from}");
        assert!(site.from(SERVER, &good.replace(from, to)).is_empty(), "{to}");
        assert_eq!(site.outcome(), Outcome::Malformed(fault), "{to}");
        assert_eq!(site.from(SERVER, &good).len(), 1, "and the call goes on");
    }
}

#[test]
fn a_known_trunk_is_answered_whatever_its_via_says() {
    let text = request("MESSAGE", &format!("sip:x@{HOST}"), "v");
    let good = "SIP/2.0/UDP 198.51.100.7:5060;rport;branch=z9hG4bKvMESSAGE";
    assert!(text.contains(good));
    for via in [
        "SIP/2.0/UDP 198.51.100.7:0;rport;branch=z9hG4bKa",
        "SIP/2.0/UDP 198.51.100.7;branch=z9hG4bKa;branch=z9hG4bKb",
        "SIP/2.0/UDP fe80::1;branch=z9hG4bKa",
        "SIP/2.0/UDP :5060;branch=z9hG4bKa",
        "SIP/3.0/UDP 198.51.100.7;branch=z9hG4bKa",
        "gzip",
        "",
    ] {
        let mut site = Site::usual();
        let text = text.replace(good, via);
        for sent in [site.from(TRUNK, &text), site.stream(TRUNK, 7, &text)] {
            assert_eq!((sent.len(), sent[0].line()), (1, "SIP/2.0 400 Bad Via".to_owned()), "{via}");
            assert_eq!((sent[0].to, sent[0].header("Call-ID").as_deref()), (TRUNK.parse().unwrap(), Some("v@trunk")));
            assert_eq!(fault(&sent[0]), None);
        }
        assert_eq!(site.outcome(), Outcome::Malformed(Fault::Via));
        assert!(site.from("192.0.2.66:5060", &text).is_empty(), "a stranger is told nothing");
    }
}

#[test]
fn a_known_trunk_is_answered_without_a_cseq_and_a_stranger_is_not() {
    let mut site = Site::usual();
    let text = request("MESSAGE", &format!("sip:x@{HOST}"), "v").replace("CSeq: 1 MESSAGE\r\n", "");
    for sent in [site.from(TRUNK, &text), site.stream(TRUNK, 7, &text)] {
        assert_eq!((sent.len(), sent[0].line()), (1, "SIP/2.0 400 Bad CSeq".to_owned()));
    }
    assert!(site.from("192.0.2.66:5060", &text).is_empty());
}

#[test]
fn what_keeps_a_binding_may_stand_before_a_datagram() {
    for junk in ["\0", "\n\n", " ", "\t", "\0\r\n \0", "\r\n\r\n"] {
        let mut site = Site::usual();
        let sent = site.from(TRUNK, &format!("{junk}{}", invite(HOST, "10.1.0.20", "one")));
        assert_eq!((site.outcome(), sent.len()), (Outcome::Forwarded, 2), "{junk:?}");
        assert!(sent[1].text().starts_with("INVITE sip:"));
    }
}

#[test]
fn what_was_taken_as_a_contact_is_taken_as_a_request_uri() {
    for contact in [
        "sip:agent@10.1.0.5:5060",
        "sip:agent@10.1.0.5:5060;x-tiu=\"VGhdczoaJVQ=\"",
        "sip:a@10.1.0.5:5060?X=y",
        "sip:@10.1.0.5:5060",
        "sip:a%zz@10.1.0.5:5060",
        "sip:a@10.1.0.5:5060;;ob",
    ] {
        let mut site = Site::usual();
        let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).pop().unwrap();
        let answer = respond(&seen, 200, "u", &format!("Contact: <{contact}>\r\n"));
        let answer = crate::site::with_sdp(&answer, "10.1.0.20");
        assert_eq!(site.from(SERVER, &answer)[0].line(), "SIP/2.0 200 Phrase", "{contact}");
        for (method, cseq) in [("ACK", 1), ("BYE", 2)] {
            let text = format!(
                "{method} {contact} SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKin{method}\r\nRoute: {}\r\n\
                 From: <sip:+49891@trunk.example.net>;tag=fone\r\nTo: <sip:+4930123@{HOST}>;tag=u\r\nCall-ID: one@trunk\r\n\
                 CSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
                seen.header("Record-Route").unwrap()
            );
            let sent = site.from(TRUNK, &text);
            assert_eq!((sent[0].line(), sent[0].to), (format!("{method} {contact} SIP/2.0"), SERVER.parse().unwrap()));
        }
    }
    // What could lead to two places is refused where it is given.
    for contact in ["sip:a@b@10.1.0.5", "sip:a@10.1.0.5:", "sip:x[192.0.2.99]@10.1.0.5", "sip:a@10.1.0.5;maddr=b;maddr=c"] {
        let mut site = Site::usual();
        let text = invite(HOST, "10.1.0.20", "one").replace("sip:trunk@198.51.100.7:5060", contact);
        assert_eq!(site.from(TRUNK, &text)[0].line(), "SIP/2.0 400 Bad Contact", "{contact}");
    }
}
