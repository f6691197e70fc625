//! Numbers: which countries a trunk calls and is called from, what is no number, and emergency calls, in whose way nothing stands.

use ringfence::core::io::{Input, Note, Outcome, Verdict};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond};

const OUT: &str = "carrier.acme.eu.sip.example.com";

/// The usual configuration, in which acme's trunk says this of numbers.
fn saying(keys: &str) -> String {
    CONFIG.replace("outbound_networks = [\"198.51.100.0/24\"]", &format!("outbound_networks = [\"198.51.100.0/24\"]\n{keys}"))
}

/// A call of a server's to this user part.
fn call_to(user: &str, id: &str) -> String {
    let text = invite(OUT, "10.1.0.5", id).replace("198.51.100.7:5060", SERVER);
    text.replacen(&format!("sip:+4930123@{OUT}"), &format!("sip:{user}@{OUT}"), 1)
}

/// A call of the trunk's with this From, and with these rows.
fn call_from(from: &str, rows: &str, id: &str) -> String {
    let text = invite("acme.eu.sip.example.com", "203.0.113.1", id);
    let (before, rest) = text.split_once("From: ").unwrap();
    let (_, behind) = rest.split_once("\r\n").unwrap();
    format!("{before}From: {from};tag=a\r\n{rows}{behind}")
}

/// Whether a call goes on. If not, it is refused with 131, one answer and nothing else, and no number is told.
fn passes(site: &mut Site, source: &str, text: &str) -> bool {
    let sent = site.from(source, text);
    if sent.iter().any(|sent| sent.fenced) {
        return true;
    }
    let [answer] = sent.as_slice() else { panic!("one answer: {sent:#?}") };
    assert_eq!((answer.line().as_str(), answer.to), ("SIP/2.0 603 Number Not Allowed In Region", source.parse().unwrap()));
    assert_eq!(answer.header("X-Ringfence").as_deref(), Some("131; reason=foreign-number; region=eu"));
    let warning = answer.header("Warning").unwrap();
    assert!(warning.contains("trunk carrier of acme"), "{warning}");
    let digits = warning.split(' ').skip(2).map(|word| word.bytes().filter(u8::is_ascii_digit).count()).max();
    assert!(digits <= Some(3), "{warning}");
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignNumber));
    false
}

#[test]
fn a_call_out_goes_to_the_countries_of_its_trunk_alone() {
    let mut site = Site::new(&saying("countries = [\"IE\", \"DE\", \"+800\"]"));
    for (at, (user, expected)) in [
        ("+35315550100", true),
        ("+353-1-555(0100)", true),
        ("+35315550100;npdi;rn=+4420", true),
        ("%2B35315550100", true),
        ("+4930123456", true),
        ("+80012345678", true),
        ("+442079460000", false),
        ("+12125550100", false),
        // Another country behind the right one's digits, and a parameter that says otherwise.
        ("+442079460000;phone-context=+353", false),
        ("+442079460000;rn=+353155501", false),
        // Not as this trunk writes numbers.
        ("35315550100", false),
        ("0035315550100", false),
        // A national prefix behind the country code, a doubled international prefix.
        ("+490301234567", false),
        ("+0035315550100", false),
        ("+353155501O0", false),
        ("+3531555010035315550100353155501003531555", false),
        ("alice", false),
        ("+", false),
        ("", false),
        ("+99912345678", false),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(passes(&mut site, SERVER, &call_to(user, &format!("c{at}"))), expected, "{user}");
    }
    // It calls nobody.
    let asks = request("OPTIONS", &format!("sip:+442079460000@{OUT}"), "o").replace("198.51.100.7:5060", SERVER);
    assert!(site.from(SERVER, &asks).iter().any(|sent| sent.fenced));
    // Any country, if nothing is said.
    let mut site = Site::usual();
    assert!(passes(&mut site, SERVER, &call_to("+442079460000", "any")) && passes(&mut site, SERVER, &call_to("alice", "name")));
}

#[test]
fn numbers_are_read_as_the_trunk_writes_them() {
    for (keys, user, expected) in [
        ("numbering = \"E.164\"", "35315550100", true),
        ("numbering = \"E.164\"", "442079460000", false),
        ("numbering = \"IE\"", "0035315550100", true),
        ("numbering = \"IE\"", "00442079460000", false),
        ("numbering = \"IE\"", "015550100", true),
        ("numbering = \"DE\"", "0035315550100", true),
        ("numbering = \"DE\"", "030123456", false),
        ("strip = \"1234\"", "1234+35315550100", true),
        ("strip = \"1234\"\nnumbering = \"E.164\"", "123435315550100", true),
        ("strip = \"1234\"", "1234+442079460000", false),
    ] {
        let mut site = Site::new(&saying(&format!("countries = [\"IE\"]\n{keys}")));
        assert_eq!(passes(&mut site, SERVER, &call_to(user, "c")), expected, "{keys}: {user}");
        // What stands in front stays on the wire.
        if expected {
            assert!(site.log.iter().any(|sent| sent.fenced && sent.line().contains(&format!("sip:{user}@"))), "{user}");
        }
    }
}

#[test]
fn a_call_in_comes_from_the_countries_of_its_trunk_alone() {
    const IN: &str = "<sip:+911123456789@carrier.example>";
    const OUTSIDE: &str = "<sip:+12125550100@carrier.example>";
    let pai = |value: &str| format!("P-Asserted-Identity: {value}\r\n");
    let cases: [(&str, String, bool, bool); 17] = [
        (IN, String::new(), true, true),
        (OUTSIDE, String::new(), false, false),
        ("\"Anonymous\" <sip:anonymous@anonymous.invalid>", String::new(), false, true),
        // A carrier is trusted with it, and a user writes From.
        (OUTSIDE, pai(IN), true, true),
        (IN, pai(OUTSIDE), false, false),
        (IN, pai("<tel:+911123456789>"), true, true),
        // Both have to be right.
        (IN, pai(&format!("{IN}, <tel:+12125550100>")), false, false),
        (IN, pai(IN) + &pai(OUTSIDE), false, false),
        (IN, pai(IN) + &pai("<tel:+911123456789>"), true, true),
        (IN, pai(IN) + &pai(IN) + &pai(IN), false, false),
        // A row that cannot be read, or that names no number, makes nobody anonymous.
        (OUTSIDE, pai("junk"), false, false),
        (OUTSIDE, pai("<sip:+12125550100@h>;"), false, false),
        (OUTSIDE, pai("<mailto:+12125550100@h>"), false, false),
        (OUTSIDE, pai("<sip:12125550100@h>"), false, false),
        (OUTSIDE, pai("<sip:alice@h>"), false, false),
        (IN, pai("<sip:alice@h>"), false, true),
        ("<sip:alice@h>", pai("<sip:1001@h>"), false, true),
    ];
    for (anonymous, of) in [("", 2), (", \"anonymous\"", 3)] {
        let mut site = Site::new(&saying(&format!("callers = [\"IN\"{anonymous}]")));
        for (at, (from, rows, strict, lax)) in cases.iter().enumerate() {
            let expected = if of == 2 { strict } else { lax };
            assert_eq!(passes(&mut site, TRUNK, &call_from(from, rows, &format!("c{at}"))), *expected, "{from} {rows}");
        }
    }
}

#[test]
fn shadow_mode_lets_it_pass_and_tells() {
    let text = saying("countries = [\"IE\"]").replace("[project.acme]", "[project.acme]\nmode = \"shadow\"");
    let mut site = Site::new(&text);
    assert!(site.from(SERVER, &call_to("+442079460000", "c")).iter().any(|sent| sent.fenced));
    let verdict = |note: &Note| matches!(note, Note::Verdict { verdict: Verdict::Shadow, reason: Reason::ForeignNumber, .. });
    assert!(site.notes.iter().any(verdict), "{:#?}", site.notes);
}

#[test]
fn what_was_read_is_counted_and_explained() {
    let mut site = Site::new(&saying("countries = [\"IE\"]\ncallers = [\"IN\"]"));
    for (source, text, outbound, country) in [
        (SERVER, call_to("+442079460000", "a"), true, Some("GB")),
        (SERVER, call_to("alice", "b"), true, None),
        (TRUNK, call_from("<sip:+911123456789@h>", "", "c"), false, Some("IN")),
    ] {
        site.from(source, &text);
        let read = site.notes.iter().rev().find_map(|note| match note {
            Note::Number { outbound, country, .. } => Some((*outbound, country.map(|country| country.to_string()))),
            _ => None,
        });
        assert_eq!(read, Some((outbound, country.map(str::to_owned))), "{text}");
    }
    let arrival = site.arrival("192.0.2.1:5060", SERVER);
    let rows = site.explain(Input::Message { arrival, bytes: call_to("+442079460000", "e").as_bytes() });
    let row = rows.iter().find(|row| row.test.label() == "number").unwrap();
    assert_eq!((row.value.as_str(), row.against.as_str()), ("called +442... is GB", "trunk carrier of acme allows IE"));
}

fn answered(sent: &[Sent]) -> Option<String> {
    sent.iter().find(|sent| !sent.fenced && !sent.line().starts_with("SIP/2.0 100")).map(Sent::line)
}

#[test]
fn nothing_stands_in_the_way_of_an_emergency_call() {
    let mut site = Site::new(&saying("countries = [\"IE\"]\nstrip = \"99\""));
    for (at, user) in ["112", "+112", "911", "999", "110", "99112"].into_iter().enumerate() {
        assert!(site.from(SERVER, &call_to(user, &format!("c{at}"))).iter().any(|sent| sent.fenced), "{user}");
        assert!(site.notes.iter().any(|note| matches!(note, Note::Emergency { .. })), "{user}");
        site.notes.clear();
    }
    // A longer number only begins so.
    assert!(!passes(&mut site, SERVER, &call_to("1120", "long")));
    // The fence holds for it, too.
    let media = call_to("112", "media").replace("10.1.0.5\r\nt=0", "192.0.2.99\r\nt=0");
    assert_eq!(answered(&site.from(SERVER, &media)).as_deref(), Some("SIP/2.0 603 Media Outside Region"));
    // Some trunk takes none: a verdict like others. Shadow mode only tells.
    let refusing = saying("emergency = \"refuse\"");
    let mut site = Site::new(&refusing);
    let sent = site.from(SERVER, &call_to("112", "no"));
    assert_eq!(answered(&sent).as_deref(), Some("SIP/2.0 403 Number Not Allowed In Region"));
    assert!(sent[0].header("Warning").unwrap().contains("called an emergency number; trunk carrier of acme takes none"));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignNumber));
    assert!(!site.notes.iter().any(|note| matches!(note, Note::Emergency { .. })), "none went out");
    let mut site = Site::new(&refusing.replace("[project.acme]", "[project.acme]\nmode = \"shadow\""));
    assert!(site.from(SERVER, &call_to("112", "shadow")).iter().any(|sent| sent.fenced));
    let verdict = |note: &Note| matches!(note, Note::Verdict { verdict: Verdict::Shadow, reason: Reason::ForeignNumber, .. });
    assert!(site.notes.iter().any(verdict), "{:#?}", site.notes);
    // The file has a list of its own.
    let mut site = Site::new(&format!("emergency = [\"144\"]\n{}", saying("countries = [\"IE\"]")));
    assert!(site.from(SERVER, &call_to("144", "own")).iter().any(|sent| sent.fenced));
    assert!(!passes(&mut site, SERVER, &call_to("112", "default")));
}

/// A server that goes on to another trunk or number keeps Call-ID and From-tag.
#[test]
fn a_refused_number_blocks_no_other_call_of_the_same_id() {
    let mut site = Site::new(&saying("countries = [\"IE\"]"));
    let refused = call_to("+12125550100", "same");
    assert!(!passes(&mut site, SERVER, &refused));
    // The very same request gets the same bytes, and is not judged again.
    let before = site.log.last().unwrap().bytes.clone();
    site.notes.clear();
    assert_eq!(site.from(SERVER, &refused)[0].bytes, before);
    assert!(!site.notes.iter().any(|note| matches!(note, Note::Number { .. })), "{:#?}", site.notes);
    for (at, user) in ["+35315550100", "112"].into_iter().enumerate() {
        let again = call_to(user, "same").replace("z9hG4bKsame", &format!("z9hG4bKagain{at}"));
        assert!(passes(&mut site, SERVER, &again), "{user}");
    }
    assert!(!site.notes.iter().any(|note| matches!(note, Note::Repeat { .. })));
}

#[test]
fn a_transfer_goes_to_the_countries_of_the_trunk_alone() {
    let refer = |to: &str, id: &str| {
        let text = request("REFER", &format!("sip:+35315550100@{OUT}"), id).replace("198.51.100.7:5060", SERVER);
        text.replacen("\r\nCall-ID", &format!("\r\nRefer-To: {to}\r\nCall-ID"), 1)
    };
    for (at, (to, expected)) in [
        ("<tel:+35315550100>", true),
        ("<sip:+35315550100@gateway.example>", true),
        ("<sip:room@10.1.0.5>", true),
        ("<tel:+882161234567>", false),
        ("<sip:+882161234567@carrier.acme.eu.sip.example.com>", false),
        ("<tel:0088216>", false),
    ]
    .into_iter()
    .enumerate()
    {
        let mut site = Site::new(&saying("countries = [\"IE\"]"));
        let sent = site.from(SERVER, &refer(to, &format!("r{at}")));
        assert_eq!(sent.iter().any(|sent| sent.fenced), expected, "{to}: {sent:#?}");
        if !expected {
            assert_eq!(answered(&sent).as_deref(), Some("SIP/2.0 403 Number Not Allowed In Region"), "{to}");
        }
        // The same inside a call.
        let invite = site.from(SERVER, &call_to("+35315550100", "up"));
        let out = invite.iter().find(|sent| sent.fenced).unwrap();
        let ok = site.from(&out.to.to_string(), &respond(out, 200, "g", "Contact: <sip:g@198.51.100.9:5080>\r\n"));
        let ok = ok.iter().find(|sent| sent.line().starts_with("SIP/2.0 200")).unwrap();
        let route = ok.header("Record-Route").unwrap();
        let inside = refer(to, "inside")
            .replacen(&format!("REFER sip:+35315550100@{OUT} "), "REFER sip:g@198.51.100.9:5080 ", 1)
            .replacen("\r\nRefer-To", &format!("\r\nRoute: {route}\r\nRefer-To"), 1);
        let (from, to_row, call_id) = (ok.header("From").unwrap(), ok.header("To").unwrap(), ok.header("Call-ID").unwrap());
        let rows: Vec<String> = inside
            .split("\r\n")
            .map(|row| match row.split_once(": ").map(|(name, _)| name) {
                Some("From") => format!("From: {from}"),
                Some("To") => format!("To: {to_row}"),
                Some("Call-ID") => format!("Call-ID: {call_id}"),
                Some("CSeq") => "CSeq: 7 REFER".to_owned(),
                _ => row.to_owned(),
            })
            .collect();
        let sent = site.from(SERVER, &rows.join("\r\n"));
        assert_eq!(sent.iter().any(|sent| sent.fenced), expected, "inside, {to}: {sent:#?}");
    }
}

#[test]
fn neither_rate_nor_a_full_table_stops_one() {
    let text = saying("countries = [\"IE\"]") + "[limits.unused]\n";
    let text =
        text.replace("[limits.unused]\n", "").replace("per_source = \"50/s\"", "per_source = \"50/s\"\ntransactions = 100");
    let mut site = Site::new(&text);
    let mut turned_away = 0;
    for at in 0..4000 {
        let sent = site.from(SERVER, &call_to("+35315550100", &format!("f{at}")));
        turned_away += usize::from(!sent.iter().any(|sent| sent.fenced));
    }
    assert!(turned_away > 3000, "the table is full, and the rate is used up");
    let sent = site.from(SERVER, &call_to("112", "help"));
    let out = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{sent:#?}"));
    let answer = site.from(&out.to.to_string(), &respond(out, 200, "g", "Contact: <sip:g@198.51.100.9:5080>\r\n"));
    assert!(answer.iter().any(|sent| sent.line().starts_with("SIP/2.0 200 ")));
}
