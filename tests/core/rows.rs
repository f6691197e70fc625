//! The rows of a decision: what stops a message has the last one, and that says fail. What may pass has none that says so.
//!
//! Every reason and every early end is here. A new one does not compile until it is.

use std::sync::Arc;

use ringfence::config::NameId;
use ringfence::core::io::{Arrival, DropCause, Input, Outcome, RelayReply, Unanswered};
use ringfence::core::rules::trace::{Mark, Test, TraceRow};
use ringfence::dns::Resolved;
use ringfence::reason::Reason;
use ringfence::sip::Fault;
use ringfence::tls::{Name, Shown};

use crate::site::{CONFIG, SECOND, SERVER, Site, TRUNK, invite, request, respond, sdp, with_sdp};

const EU: &str = "192.0.2.1:5060";
const ACME: &str = "acme.eu.sip.example.com";
const INSIDE: &str = "10.1.0.20";
const OUTSIDE: &str = "192.0.2.99";
const SERVERS: &str = r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#;

/// One message, and what becomes of it.
struct Case {
    what: &'static str,
    site: Site,
    arrival: Arrival,
    text: String,
    /// The test of the last row.
    test: Test,
}

impl Case {
    fn new(what: &'static str, test: Test, site: Site, source: &str, text: String) -> Self {
        let arrival = site.arrival(EU, source);
        Self { what, site, arrival, text, test }
    }

    /// The same on a connection that began so.
    fn showing(self, host: &str) -> Self {
        let shown = Some(Shown { asked: Some(Name::of(host.as_bytes())), ..Shown::default() });
        Self { arrival: Arrival { shown, ..self.arrival }, ..self }
    }

    fn rows(&mut self) -> (Vec<TraceRow>, Outcome) {
        let rows = self.site.explain(Input::Message { arrival: self.arrival, bytes: self.text.as_bytes() });
        (rows, self.site.outcome())
    }

    fn ends(mut self, expected: Outcome) {
        let (rows, outcome) = self.rows();
        assert_eq!(outcome, expected, "{}: {rows:#?}", self.what);
        let last = rows.last().unwrap_or_else(|| panic!("{}: no row", self.what));
        assert_eq!((last.test, last.mark), (self.test, Mark::Fail), "{}: {rows:#?}", self.what);
        assert!(!last.value.is_empty() && !last.against.is_empty(), "{}: {last:?}", self.what);
    }

    fn passes(mut self) {
        let (rows, outcome) = self.rows();
        assert!(matches!(outcome, Outcome::Forwarded | Outcome::Answered(200)), "{}: {outcome:?} {rows:#?}", self.what);
        assert!(rows.iter().all(|row| row.mark != Mark::Fail), "{}: {rows:#?}", self.what);
        assert!(rows.iter().any(|row| row.test == self.test), "{}: {rows:#?}", self.what);
    }
}

fn call(host: &str) -> String {
    invite(host, INSIDE, "one")
}

/// The usual site, with something else in place of its servers.
fn upstream(other: &str) -> Site {
    Site::new(&CONFIG.replace(SERVERS, other))
}

/// The usual site, whose first project's media goes through a relay.
fn relaying() -> Site {
    let text = CONFIG.replace(SERVERS, &[SERVERS, "\nrelay = [\"udp:10.1.0.8:2223\"]"].concat());
    Site::new(&text.replace("pin    = [\"eu\"]", "pin    = [\"eu\"]\nmedia  = \"relay\""))
}

/// A site where no name is known.
fn nameless() -> Site {
    let mut site = upstream("upstream = \"sip:lk.eu.internal\"");
    let unknown = Resolved::unknown(site.config.names.len());
    site.input(Input::Resolved(Arc::new(unknown)));
    site
}

/// A call that is up: the Record-Route of its first INVITE.
fn established(site: &mut Site) -> String {
    let seen = site.from(TRUNK, &call(ACME)).remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    seen.header("Record-Route").unwrap()
}

/// A request inside that call, from its trunk.
fn inside(method: &str, uri: &str, cseq: u32, route: &str) -> String {
    let route = if route.is_empty() { String::new() } else { format!("Route: {route}\r\n") };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {TRUNK};branch=z9hG4bKin{method}{cseq}\r\n{route}From: <sip:a@b>;tag=fone\r\n\
         To: <sip:b@c>;tag=u\r\nCall-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nContact: <sip:a@{TRUNK}>\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n"
    )
}

fn to_server(method: &str, cseq: u32, route: &str) -> String {
    inside(method, &format!("sip:lk@{SERVER}"), cseq, route)
}

/// A request inside a call of the usual site.
fn within(what: &'static str, test: Test, source: &str, text: impl Fn(&str) -> String) -> Case {
    let mut site = Site::usual();
    let route = established(&mut site);
    Case::new(what, test, site, source, text(&route))
}

/// How a reason comes about.
enum Met {
    /// These pass for it.
    Passing(Vec<Case>),
    /// These are refused for it, at once.
    Refused(Vec<Case>),
    /// By no message at once, and why not.
    Never(&'static str),
}

fn met(reason: Reason) -> Met {
    let of = |what, test, source, text| Case::new(what, test, Site::usual(), source, text);
    match reason {
        Reason::InRegion => Met::Passing(vec![
            of("a call to a project", Test::Media, TRUNK, call(ACME)),
            of("a call to the global endpoint", Test::Host, TRUNK, call("acme.sip.example.com")),
            of("a call to the bare region", Test::Project, "198.51.101.7:5060", call("eu.sip.example.com")),
            of("a call out", Test::Targets, SERVER, call("carrier.acme.eu.sip.example.com")),
        ]),
        Reason::Failover => {
            let text = [&CONFIG.replace(SERVERS, "upstream = \"sip:lk.eu.internal\"\nnearest = [\"uk\"]"), ROAMER].concat();
            let mut site = Site::new(&text);
            let mut nothing = Resolved::unknown(site.config.names.len());
            (0..).map(NameId).zip(&site.config.names).for_each(|(id, _)| nothing.set(id, Vec::new()));
            site.input(Input::Resolved(Arc::new(nothing)));
            let call = call("roamer.eu.sip.example.com");
            Met::Passing(vec![Case::new("a call that another region serves", Test::Media, site, TRUNK, call)])
        }
        Reason::ForeignEndpoint => {
            Met::Refused(vec![of("another region's endpoint", Test::Host, TRUNK, call("acme.us.sip.example.com"))])
        }
        Reason::UnknownEndpoint => Met::Refused(vec![
            of("a project that is not there", Test::Host, TRUNK, call("nobody.eu.sip.example.com")),
            of("an address", Test::Host, TRUNK, call("192.0.2.1")),
            of("a bare hostname from a source of two projects", Test::Project, TRUNK, call("eu.sip.example.com")),
            of("a call out by a trunk without uri", Test::Host, SERVER, call("indian.acme.eu.sip.example.com")),
        ]),
        Reason::WrongListener => Met::Refused(vec![
            of("an endpoint of another listener", Test::Host, TRUNK, call("acme.uk.sip.example.com")),
            of("another region's name in SNI", Test::Host, TRUNK, call(ACME)).showing("us.sip.example.com"),
        ]),
        Reason::UnknownSource => Met::Refused(vec![
            of("a stranger", Test::Source, "233.252.0.1:5060", call(ACME)),
            of("another project's trunk", Test::Project, TRUNK, call("quiet.eu.sip.example.com")),
            of("a server that calls in", Test::Project, SERVER, call(ACME)),
            of("a trunk that calls out", Test::Project, TRUNK, call("carrier.acme.eu.sip.example.com")),
            within("no side of the dialog", Test::Dialog, "198.51.105.7:5060", |route| to_server("BYE", 2, route)),
        ]),
        Reason::ForeignSource => {
            let call = call("local.eu.sip.example.com");
            Met::Refused(vec![of("a source outside the region", Test::Project, "198.51.102.7:5060", call)])
        }
        Reason::PinnedElsewhere => {
            Met::Refused(vec![of("a pin without the region", Test::Pin, TRUNK, call("globex.eu.sip.example.com"))])
        }
        Reason::ForeignNumber => Met::Never("no rule asks for a number's country"),
        Reason::ForeignMediaOffer => Met::Refused(vec![
            of("media outside", Test::Media, TRUNK, invite(ACME, OUTSIDE, "one")),
            within("the same inside a dialog", Test::Media, TRUNK, |route| with_sdp(&to_server("INVITE", 2, route), OUTSIDE)),
        ]),
        // A response has no rows: its transaction is not there where they are asked for. The ACK of a late offer is an answer too.
        Reason::ForeignMediaAnswer => Met::Refused(vec![within("an answer in an ACK", Test::Media, TRUNK, |route| {
            with_sdp(&to_server("ACK", 1, route), OUTSIDE)
        })]),
        Reason::UnreadableMedia => Met::Refused(vec![
            of("a name for media", Test::Media, TRUNK, invite(ACME, "media.example.com", "one")),
            of("a body that cannot be read", Test::Media, TRUNK, call(ACME).replace("application/sdp", "application/pkcs7-mime")),
            Case::new("what no relay can take", Test::Media, relaying(), TRUNK, two_descriptions()),
        ]),
        Reason::ForeignTarget => {
            // Names resolve to an address outside.
            let site = upstream("upstream = \"sip:lk.eu.internal\"");
            Met::Refused(vec![Case::new("servers outside", Test::Targets, site, TRUNK, call(ACME))])
        }
        Reason::NoTarget => Met::Refused(vec![
            Case::new("no server", Test::Targets, nameless(), TRUNK, call(ACME)),
            within("a next hop without address", Test::Targets, TRUNK, |route| inside("BYE", "tel:+4930", 2, route)),
            within("one that nothing here speaks", Test::Targets, TRUNK, |route| {
                inside("BYE", &format!("sip:lk@{SERVER};transport=ws"), 2, route)
            }),
        ]),
        // By timers too: every server failed or was silent. There is no message then.
        Reason::TargetsDown => Met::Refused(vec![
            Case::new("no relay that is up", Test::Media, without_relay(), TRUNK, invite(ACME, INSIDE, "two")),
            Case::new("too many calls that wait for relays", Test::Capacity, crowded(), TRUNK, call(ACME)),
            Case::new("no listener that reaches a server", Test::Targets, unreached(), TRUNK, call(ACME)),
        ]),
        Reason::Overloaded => Met::Refused(vec![
            Case::new("the rate of a source", Test::Capacity, hurried(1), TRUNK, call(ACME)),
            Case::new("a full table", Test::Capacity, full(), TRUNK, invite(ACME, INSIDE, "two")),
            crammed(),
            heavy(),
        ]),
        Reason::Draining => {
            let mut site = Site::usual();
            site.input(Input::Drain { successor: false });
            Met::Refused(vec![Case::new("a daemon that ends", Test::Capacity, site, TRUNK, call(ACME))])
        }
        Reason::ForgedRoute => Met::Refused(vec![
            of("a preloaded Route", Test::Dialog, TRUNK, call(ACME).replace("Contact:", "Route: <sip:192.0.2.1;lr>\r\nContact:")),
            within("no token", Test::Dialog, TRUNK, |_| to_server("BYE", 2, "")),
            within("another call's token", Test::Dialog, TRUNK, |route| {
                to_server("BYE", 2, route).replace("one@trunk", "two@trunk")
            }),
        ]),
        Reason::ForeignDialogTarget => Met::Refused(vec![within("a next hop outside", Test::Targets, TRUNK, |route| {
            inside("BYE", &format!("sip:x@{OUTSIDE}"), 2, route)
        })]),
    }
}

/// A project that is not pinned, of the usual trunk.
const ROAMER: &str = "[project.roamer.trunk.carrier]\nnetworks = [\"198.51.100.0/24\"]\n";

fn two_descriptions() -> String {
    let part = format!("--b\r\nContent-Type: application/sdp\r\n\r\n{}\r\n", sdp(INSIDE));
    let body = [&part, &part, "--b--\r\n"].concat();
    let text = call(ACME);
    let (head, _) = text.split_once("Content-Type").unwrap();
    format!("{head}Content-Type: multipart/mixed;boundary=b\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// The only relay is down.
fn without_relay() -> Site {
    let mut site = relaying();
    site.relay = Some(Box::new(|_| Err(Unanswered::Silent)));
    site.from(TRUNK, &call(ACME));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::TargetsDown));
    site
}

/// No more calls may wait for a relay.
fn crowded() -> Site {
    let mut site = relaying();
    for id in 0..384 {
        // Each second a few, so that the rate lets them come.
        if id % 25 == 0 {
            site.pass(std::time::Duration::from_secs(1));
        }
        site.from(TRUNK, &invite(ACME, INSIDE, &format!("c{id}")));
    }
    assert_eq!(site.questions.len(), 384);
    site.pass(std::time::Duration::from_secs(1));
    site
}

/// Its only server has an address of the other family.
fn unreached() -> Site {
    let text = CONFIG.replace(SERVERS, "upstream = \"[2001:db8:e::5]:5060\"");
    Site::new(&text.replace(", \"udp:[2001:db8:e::1]:5060\"", ""))
}

/// A source may send one request a second, and has sent so many.
fn hurried(sent: usize) -> Site {
    let mut site = Site::new(&CONFIG.replace("per_source = \"50/s\"", "per_source = \"1/s\""));
    for id in 0..sent {
        site.from(TRUNK, &request("MESSAGE", &format!("sip:x@{ACME}"), &format!("m{id}")));
    }
    site
}

/// One transaction fills the table.
fn full() -> Site {
    let mut site = Site::new(&CONFIG.replace("per_source = \"50/s\"", "per_source = \"1000000/s\"\ntransactions = 1"));
    site.from(TRUNK, &call(ACME));
    site
}

/// What is open holds all the octets that one trunk may have.
fn heavy() -> Case {
    let limits = "per_source = \"1000000/s\"\nmemory = \"1MiB\"";
    let mut site = Site::new(&CONFIG.replace("per_source = \"50/s\"", limits));
    let mut at = 0;
    while site.from(TRUNK, &request("MESSAGE", &format!("sip:x@{ACME}"), &format!("m{at}")))[0].line().starts_with("MESSAGE") {
        at += 1;
    }
    Case::new("no memory", Test::Capacity, site, TRUNK, invite(ACME, INSIDE, "two"))
}

/// There is no room even for what is inside a dialog.
fn crammed() -> Case {
    let mut site = full();
    let seen = site.log[1].clone();
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    let route = seen.header("Record-Route").unwrap();
    for cseq in 2..18 {
        site.from(TRUNK, &to_server("BYE", cseq, &route));
    }
    Case::new("no room inside a dialog", Test::Capacity, site, TRUNK, to_server("BYE", 99, &route))
}

#[test]
fn no_reason_without_its_row() {
    for reason in Reason::ALL {
        match met(reason) {
            Met::Passing(cases) => cases.into_iter().for_each(Case::passes),
            Met::Refused(cases) => cases.into_iter().for_each(|case| case.ends(Outcome::Refused(reason))),
            Met::Never(why) => assert!(!why.is_empty()),
        }
    }
}

#[test]
fn no_answer_of_ours_without_its_row() {
    let usual = |what, test, text, code| (Case::new(what, test, Site::usual(), TRUNK, text), code);
    let (mut draining, mut looping) = (Site::usual(), Site::usual());
    draining.input(Input::Drain { successor: false });
    let seen = looping.from(TRUNK, &call(ACME)).remove(1).text();
    let sips = |text: String| text.replacen("INVITE sip:", "INVITE sips:", 1);
    for (case, code) in vec![
        usual("REGISTER", Test::Request, request("REGISTER", &format!("sip:{ACME}"), "a"), 405),
        usual("PUBLISH", Test::Request, request("PUBLISH", &format!("sip:x@{ACME}"), "a"), 405),
        usual("sips: without TLS", Test::Request, sips(call(ACME)), 416),
        usual("no hop left", Test::Request, call(ACME).replace("Max-Forwards: 70", "Max-Forwards: 0"), 483),
        usual("no breadth left", Test::Request, call(ACME).replace("Max-F", "Max-Breadth: 0\r\nMax-F"), 440),
        usual("an extension", Test::Request, call(ACME).replace("Max-F", "Proxy-Require: foo\r\nMax-F"), 420),
        usual("CANCEL of nothing", Test::Request, call(ACME).replace("INVITE", "CANCEL"), 481),
        (Case::new("a request that comes back", Test::Request, looping, TRUNK, seen), 482),
        (Case::new("OPTIONS", Test::Capacity, draining, TRUNK, request("OPTIONS", &format!("sip:{ACME}"), "a")), 503),
    ] {
        case.ends(Outcome::Answered(code));
    }
    for (what, uri) in [("no hop left", "483"), ("an extension", "420")] {
        let text = |route: &str| match uri {
            "483" => to_server("BYE", 2, route).replace("Max-Forwards: 70", "Max-Forwards: 0"),
            _ => to_server("BYE", 2, route).replace("Max-F", "Proxy-Require: foo\r\nMax-F"),
        };
        within(what, Test::Request, TRUNK, text).ends(Outcome::Answered(uri.parse().unwrap()));
    }
}

#[test]
fn nothing_malformed_without_its_row() {
    let usual = |what, text| Case::new(what, Test::Request, Site::usual(), TRUNK, text);
    usual("no version of ours", call(ACME).replace("SIP/2.0\r\nVia", "SIP/3.0\r\nVia")).ends(Outcome::Malformed(Fault::Version));
    usual("another method in CSeq", call(ACME).replace("1 INVITE", "1 BYE")).ends(Outcome::Malformed(Fault::CSeqMethod));
    usual("an ACK", call(ACME).replace("INVITE", "ACK").replace("1 ACK", "1 BYE")).ends(Outcome::Malformed(Fault::CSeqMethod));
    usual("no SIP", "hello\r\n\r\n".to_owned()).ends(Outcome::Malformed(Fault::NotSip));
    // A response, and one that could be read but for its Via.
    let seen = Site::usual().from(TRUNK, &call(ACME)).remove(1);
    let response = respond(&seen, 200, "u", "").replace("Via: SIP/2.0/UDP", "Via: SIP/2.0/");
    let mut case = Case::new("a response", Test::Request, Site::usual(), SERVER, response);
    let (rows, outcome) = case.rows();
    assert!(matches!(outcome, Outcome::Malformed(_)), "{outcome:?}");
    assert!(rows.last().is_some_and(|row| row.mark == Mark::Fail), "{rows:#?}");
    // What a stream brings that cannot be framed, from somebody and from nobody.
    for (source, test) in [(TRUNK, Test::Request), ("233.252.0.1:5060", Test::Source)] {
        let mut site = Site::usual();
        let arrival = site.arrival(EU, source);
        for bytes in [call(ACME), "hello\r\n\r\n".to_owned()] {
            let rows = site.explain(Input::Broken { arrival, bytes: bytes.as_bytes(), fault: Fault::NotSip });
            let last = rows.last().unwrap_or_else(|| panic!("{source}: no row"));
            assert_eq!((site.outcome(), last.mark), (Outcome::Malformed(Fault::NotSip), Mark::Fail), "{rows:#?}");
            assert!(last.test == test || last.test == Test::Request, "{rows:#?}");
        }
    }
}

/// How a cause comes about; `Err`: it is no request's, and why.
fn dropped(cause: DropCause) -> Result<Vec<Case>, &'static str> {
    Ok(match cause {
        DropCause::Flood => {
            let mut strange = Site::usual();
            for id in 0..20 {
                strange.from("233.252.0.1:5060", &request("OPTIONS", &format!("sip:{ACME}"), &id.to_string()));
            }
            vec![
                Case::new("twice the rate", Test::Capacity, hurried(2), TRUNK, call(ACME)),
                Case::new("a stranger's flood", Test::Source, strange, "233.252.0.1:5060", call(ACME)),
            ]
        }
        DropCause::AckTarget => vec![
            within("outside", Test::Dialog, TRUNK, |route| inside("ACK", &format!("sip:x@{OUTSIDE}"), 1, route)),
            within("no hop left", Test::Dialog, TRUNK, |route| to_server("ACK", 1, route).replace("ds: 70", "ds: 0")),
            within("no side of the dialog", Test::Dialog, "198.51.105.7:5060", |route| to_server("ACK", 1, route)),
        ],
        DropCause::Empty => return Err("nothing came that could be held against anything"),
        DropCause::Media => return Err("a provisional response's"),
        DropCause::Behind => {
            let mut site = relaying();
            for _ in 0..17 {
                site.from(TRUNK, &call(ACME));
            }
            vec![Case::new("too many behind one", Test::Capacity, site, TRUNK, call(ACME))]
        }
        DropCause::Successor => {
            let mut site = Site::usual();
            site.input(Input::Drain { successor: true });
            vec![Case::new("left to the successor", Test::Capacity, site, TRUNK, call(ACME))]
        }
    })
}

#[test]
fn nothing_is_thrown_away_without_its_row() {
    for cause in DropCause::ALL {
        for case in dropped(cause).into_iter().flatten() {
            case.ends(Outcome::Dropped(cause));
        }
    }
    within("an ACK without our token", Test::Dialog, TRUNK, |_| to_server("ACK", 1, "")).ends(Outcome::Stray);
}

#[test]
fn a_call_that_was_refused_before_has_a_row_of_its_own() {
    let mut site = Site::usual();
    site.from(TRUNK, &call("acme.us.sip.example.com"));
    let again = call(ACME).replace("z9hG4bKone", "z9hG4bKtwo");
    Case::new("a repeat", Test::Repeat, site, TRUNK, again).ends(Outcome::Refused(Reason::ForeignEndpoint));
}

#[test]
fn what_passes_has_no_row_that_fails() {
    let of = |what, test, source, text| Case::new(what, test, Site::usual(), source, text);
    let (watcher, warner) = ("198.51.103.7:5060", "198.51.104.7:5060");
    for case in vec![
        of("shadow mode", Test::Pin, watcher, invite("watcher.eu.sip.example.com", OUTSIDE, "one")),
        of("another region's endpoint in shadow mode", Test::Host, watcher, call("watcher.us.sip.example.com")),
        of("media = warn", Test::Media, warner, invite("warner.eu.sip.example.com", OUTSIDE, "one")),
        of("unreadable media that is warned about", Test::Media, warner, invite("warner.eu.sip.example.com", "x.example", "one")),
        of("media = off", Test::Media, "198.51.105.7:5060", invite("quiet.eu.sip.example.com", OUTSIDE, "one")),
        of("OPTIONS of a project", Test::Project, TRUNK, request("OPTIONS", &format!("sip:{ACME}"), "a")),
        of("SNI", Test::Host, TRUNK, call(ACME)).showing("eu.sip.example.com"),
        within("a BYE", Test::Targets, TRUNK, |route| to_server("BYE", 2, route)),
        within("a re-INVITE", Test::Media, TRUNK, |route| with_sdp(&to_server("INVITE", 2, route), INSIDE)),
        within("an ACK", Test::Targets, TRUNK, |route| to_server("ACK", 1, route)),
    ] {
        case.passes();
    }
    let mut site = Site::usual();
    site.from(TRUNK, &call(ACME));
    Case::new("a CANCEL", Test::Source, site, TRUNK, call(ACME).replace("INVITE", "CANCEL")).passes();
    // OPTIONS of the bare endpoint asks about us: that its source names no project is shown, and does not decide.
    let text = request("OPTIONS", "sip:eu.sip.example.com", "a");
    let (rows, outcome) = Case::new("OPTIONS of us", Test::Request, Site::usual(), TRUNK, text).rows();
    let last: Vec<_> = rows.iter().rev().take(2).map(|row| (row.test, row.mark)).collect();
    assert_eq!((outcome, last), (Outcome::Answered(200), vec![(Test::Request, Mark::Pass), (Test::Project, Mark::Fail)]));
}

#[test]
fn an_address_outside_beside_one_inside_is_shown_and_does_not_decide() {
    let site = upstream(r#"upstream = ["sip:lk.eu.internal", "10.1.0.6:5060"]"#);
    let (rows, outcome) = Case::new("mixed", Test::Targets, site, TRUNK, call(ACME)).rows();
    let targets: Vec<_> = rows.iter().filter(|row| row.test == Test::Targets).map(|row| (row.value.as_str(), row.mark)).collect();
    assert_eq!((outcome, targets), (Outcome::Forwarded, vec![("198.51.100.9:5060", Mark::Fail), (SECOND, Mark::Pass)]));
}

#[test]
fn a_message_that_has_waited_is_explained_when_it_goes_on() {
    let mut site = relaying();
    let arrival = site.arrival(EU, TRUNK);
    let text = call(ACME);
    let notes = site.notes.len();
    let rows = site.explain(Input::Message { arrival, bytes: text.as_bytes() });
    assert!(rows.iter().all(|row| row.mark == Mark::Pass) && site.notes.len() == notes, "nothing is decided: {rows:#?}");
    let id = site.questions[0].id;
    let relayed = Ok(RelayReply::Done(Some(sdp("10.1.0.40").into())));
    let rows = site.explain(Input::Relayed { id, reply: relayed });
    assert!(!rows.is_empty() && rows.iter().all(|row| row.mark == Mark::Pass), "{rows:#?}");
    assert_eq!(site.outcome(), Outcome::Forwarded);
    let mut site = relaying();
    site.input(Input::Message { arrival, bytes: text.as_bytes() });
    let id = site.questions[0].id;
    let rows = site.explain(Input::Relayed { id, reply: Ok(RelayReply::Refused) });
    assert_eq!(rows.last().map(|row| (row.test, row.mark)), Some((Test::Media, Mark::Fail)), "{rows:#?}");
    assert_eq!(site.outcome(), Outcome::Refused(Reason::TargetsDown));
}
