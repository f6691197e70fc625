//! Messages that are wrong in themselves.

use super::{Range, text};
use crate::harness::{Ask, Seen};

#[test]
fn a_length_that_is_no_plain_number_of_what_is_there_is_400() {
    let mut range = Range::new(|_, _| {});
    let lengths = [
        "2147483648",
        "2147483609",
        "4294967296",
        "4294967424",
        "9223372036854775808",
        "18446744073709551616",
        "99999999999999999999",
        "-1",
        "+5",
        "0x10",
        "5,5",
        "5;x",
        "",
        "5 5",
        "1e2",
        "٣",
        "100000",
    ];
    for length in lengths {
        let good = range.invite();
        let line = format!("Content-Length: {}", good.body.len());
        let bad = text(&good).replace(&line, &format!("Content-Length: {length}"));
        range.refuses(length, bad.as_bytes(), 400);
    }
    let good = range.invite();
    let line = format!("Content-Length: {}\r\n", good.body.len());
    for twice in
        [format!("{line}{line}"), format!("{line}l: 0\r\n"), format!("l: 0\r\n{line}"), format!("{line}Content-Length : 3\r\n")]
    {
        range.refuses(&twice, text(&range.invite()).replace(&line, &twice).as_bytes(), 400);
    }
    range.good_call();
}

#[test]
fn octets_beyond_the_length_are_not_part_of_the_message() {
    let mut range = Range::new(|_, _| {});
    let first = range.invite();
    let second = range.invite();
    let both = [first.bytes(), second.bytes()].concat();
    let answers = range.provoke(&both);
    assert!(answers.iter().all(|seen| seen.get("Call-ID") == first.call_id), "RFC 3261 18.3: one transaction alone");
    let on = range.upstream();
    assert_eq!(on.len(), 1);
    assert_eq!(on[0].body, first.body);
    let ask = range.invite();
    let bare = text(&ask).replace(&format!("Content-Length: {}\r\n", ask.body.len()), "");
    range.provoke(bare.as_bytes());
    let on = range.upstream();
    let last = on.last().expect("a datagram needs no length");
    assert_eq!((last.get("Call-ID"), &last.body), (ask.call_id.as_str(), &ask.body));
}

#[test]
fn what_smuggles_a_second_meaning_is_400() {
    let mut range = Range::new(|_, _| {});
    let put = |range: &Range, row: &str| text(&range.invite()).replacen("Contact", &format!("{row}\r\nContact"), 1);
    let rows = [
        "X: a\nContent-Length: 4",
        "X: a\rContent-Length: 4",
        "X: a\0b",
        "X\u{1}: a",
        "X y: a",
        ": a",
        "no colon at all",
        "X: a\n\nINVITE sip:x@y SIP/2.0",
    ];
    for row in rows {
        let bytes = put(&range, row);
        range.refuses(row, bytes.as_bytes(), 400);
    }
    range.good_call();
}

#[test]
fn a_header_that_may_stand_once_and_stands_twice_is_400() {
    let mut range = Range::new(|_, _| {});
    for name in ["From", "To", "Call-ID", "CSeq", "Max-Forwards"] {
        let whole = text(&range.invite());
        let row = whole.split("\r\n").find(|row| row.starts_with(&format!("{name}:"))).unwrap().to_owned();
        let twice = whole.replacen(&row, &format!("{row}\r\n{row}"), 1);
        range.refuses(name, twice.as_bytes(), 400);
    }
    let compact = text(&range.invite()).replacen("Call-ID: ", "i: another\r\nCall-ID: ", 1);
    range.refuses("Call-ID and i", compact.as_bytes(), 400);
}

#[test]
fn requests_without_what_every_request_has_are_400_or_unanswerable() {
    let mut range = Range::new(|_, _| {});
    for (name, code) in [("Via", 0), ("From", 400), ("To", 400), ("Call-ID", 400), ("CSeq", 400)] {
        let whole = text(&range.invite());
        let row = whole.split("\r\n").find(|row| row.starts_with(&format!("{name}:"))).unwrap().to_owned();
        let without = whole.replacen(&format!("{row}\r\n"), "", 1);
        range.upstream();
        let answers = range.provoke(without.as_bytes());
        assert!(answers.iter().all(|seen| code != 0 && seen.code() == code) && answers.len() <= 1, "without {name}");
        assert!(range.upstream().is_empty(), "without {name}");
    }
    range.good_call();
}

#[test]
fn values_outside_their_bounds_are_refused_with_the_code_that_says_which() {
    let mut range = Range::new(|_, _| {});
    let cases: [(&str, &str, u16); 26] = [
        ("SIP/2.0\r\nVia", "SIP/7.0\r\nVia", 505),
        ("INVITE sip:+4930222", "INVITE nobody:+4930222", 416),
        ("CSeq: 1 INVITE", "CSeq: 1 OPTIONS", 400),
        ("CSeq: 1 INVITE", "CSeq: 2147483648 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 4294967297 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: 36893488147419103232 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: -1 INVITE", 400),
        ("CSeq: 1 INVITE", "CSeq: INVITE", 400),
        ("Max-Forwards: 70", "Max-Forwards: 256", 400),
        ("Max-Forwards: 70", "Max-Forwards: -1", 400),
        ("Max-Forwards: 70", "Max-Forwards: seventy", 400),
        ("example.com SIP/2.0", "example.com:0 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:65536 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:99999 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com:05060 SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com: SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com  SIP/2.0", 400),
        ("example.com SIP/2.0", "example.com SIP/2.0 ", 400),
        ("example.com SIP/2.0", "example.com@a@b SIP/2.0", 400),
        ("INVITE sip:", "INVITE  sip:", 400),
        ("INVITE sip:+4930222@", "INVITE sip:+49 30222@", 400),
        ("INVITE sip:+4930222@acme.eu.sip.example.com SIP", "INVITE <sip:+4930222@acme.eu.sip.example.com> SIP", 400),
        ("acme.eu.sip.example.com SIP", "[::1 SIP", 400),
        ("From: \"A. Caller\" <sip", "From: \"A. Caller <sip", 400),
        ("acme.eu.sip.example.com SIP", "010.0.0.1 SIP", 400),
        ("acme.eu.sip.example.com SIP", "256.1.1.1 SIP", 400),
    ];
    for (find, put, code) in cases {
        let good = text(&range.invite());
        let bad = good.replacen(find, put, 1);
        assert_ne!(good, bad, "{find} is not there");
        range.refuses(put, bad.as_bytes(), code);
    }
    range.good_call();
}

#[test]
fn what_is_no_sip_is_not_answered() {
    let mut range = Range::new(|_, _| {});
    let stun = b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl";
    let junk: [&[u8]; 9] = [
        stun,
        b"HEP3\0\0",
        b"\r\n\r\n",
        b"\r\n",
        b"",
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\xff\xfe\xfd",
        b"INVITE",
        b"SIP/2.0 200",
    ];
    for bytes in junk {
        range.refuses("junk", bytes, 0);
    }
    // RFC 3261 7.5: line ends before a start line do not count.
    for count in [1, 2, 50] {
        let ask = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", range.caller.addr, "udp");
        let bytes = ["\r\n".repeat(count).into_bytes(), ask.bytes()].concat();
        let answers = range.provoke(&bytes);
        assert_eq!(answers.iter().map(Seen::code).collect::<Vec<_>>(), [200], "{count} line ends");
    }
}
