//! rsip reads the same messages: where both read a value, they must agree, or the disagreement is a known fault of rsip's.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use proptest::prelude::{ProptestConfig, prop_assert, proptest};
use ringfence::sip::address::Address;
use ringfence::sip::uri::Host;
use ringfence::sip::{Message, Name, Request, Response, Start};
use rsip::headers::UntypedHeader as _;
use rsip::headers::untyped::ToTypedHeader as _;
use rsip::message::HeadersExt as _;

use crate::fixtures;
use crate::generate::request;

type Values = BTreeMap<&'static str, String>;

/// A fault of rsip 0.4.0: what it reads otherwise, and when.
struct Known {
    field: &'static str,
    reason: &'static str,
    /// Whether the message has the shape, judged from its octets and from our value.
    applies: fn(message: &[u8], ours: &str) -> bool,
    /// What to change in [`PLAIN`] to see it.
    example: [&'static str; 2],
}

/// A message on which everybody agrees.
const PLAIN: &str = "INVITE sip:bob@b.example SIP/2.0\r\nVia: SIP/2.0/UDP a.example;branch=z9hG4bK1\r\n\
From: <sip:a@a.example>;tag=1\r\nTo: <sip:bob@b.example>;tag=2\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n\r\n";

const KNOWN: &[Known] = &[
    Known {
        field: "host",
        reason: "a user part with a dot in it counts as part of the host",
        applies: |message, _| line(message).split_once('@').is_some_and(|(user, _)| user.contains('.')),
        example: ["sip:bob", "sip:bob.x"],
    },
    Known {
        field: "host",
        reason: "headers behind the host count as part of it",
        applies: |message, ours| line(message).contains(&format!("{ours}?")),
        example: ["sip:bob@b.example", "sip:bob@b.example?x=y"],
    },
    Known {
        field: "branch",
        reason: "a quoted parameter value may not hold a separator",
        applies: |message, _| text(message).contains(";ext=\"a;"),
        example: [";branch", ";ext=\"a;b\";branch"],
    },
    Known { field: "branch", reason: COMPACT, applies: has_compact_via, example: ["Via", "v: SIP/2.0/UDP c.example\r\nVia"] },
    Known { field: "via-host", reason: COMPACT, applies: has_compact_via, example: ["Via", "v: SIP/2.0/UDP c.example\r\nVia"] },
    Known {
        field: "via-host",
        reason: "two values in one row are not told apart",
        applies: |message, ours| text(message).contains(&format!("{ours}, SIP/2.0/")),
        example: ["a.example;", "a.example, SIP/2.0/UDP c.example;"],
    },
    Known {
        field: "call-id",
        reason: "white space at the end of a row counts as part of the value",
        applies: |message, ours| text(message).contains(&format!("{ours}  \r\n")),
        example: ["x\r\n", "x  \r\n"],
    },
];

const COMPACT: &str = "compact names are of unknown headers: a Via below counts as the topmost";

fn has_compact_via(message: &[u8], _: &str) -> bool {
    text(message).contains("\nv")
}

/// The start line.
fn line(message: &[u8]) -> String {
    text(message.split(|&octet| octet == b'\r').next().unwrap_or_default())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn host(host: &Host<'_>) -> String {
    match host {
        Host::Name(name) => text(name).to_ascii_lowercase(),
        Host::Address(ip) => ip.to_string(),
    }
}

/// What we read; `None` if it is refused.
fn ours(bytes: &[u8]) -> Option<Values> {
    let message = Message::datagram(bytes).ok()?;
    let mut values = Values::new();
    let (via, method) = match message.start() {
        Start::Request { .. } => {
            let request = Request::read(&message).ok()?;
            values.extend(request.uri.host.map(|found| ("host", host(&found))));
            values.insert("port", request.uri.port.map(|port| port.to_string()).unwrap_or_default());
            values.insert("cseq", request.cseq.to_string());
            (request.via, request.token)
        }
        Start::Response { .. } => {
            let response = Response::read(&message).ok()?;
            values.insert("code", response.code.to_string());
            (response.via, response.token)
        }
    };
    values.insert("method", text(method));
    values.insert("via-host", host(&via.host));
    values.insert("branch", text(via.branch.unwrap_or_default()));
    values.insert("call-id", text(message.value(message.first(Name::CallId)?)));
    for (key, name) in [("from-tag", Name::From), ("to-tag", Name::To)] {
        let address = Address::parse(message.value(message.first(name)?))?;
        values.insert(key, text(address.tag().unwrap_or_default()));
    }
    Some(values)
}

/// What rsip reads; what it cannot read is missing.
fn theirs(bytes: &[u8]) -> Option<Values> {
    let message = rsip::SipMessage::try_from(bytes).ok()?;
    let mut values = Values::new();
    match &message {
        rsip::SipMessage::Request(request) => {
            values.insert("host", request.uri.host().to_string().to_ascii_lowercase());
            values.insert("port", request.uri.port().map(ToString::to_string).unwrap_or_default());
            let cseq = request.cseq_header().and_then(rsip::headers::untyped::CSeq::typed);
            values.extend(cseq.map(|cseq| ("cseq", cseq.seq.to_string())).ok());
            values.insert("method", request.method.to_string());
        }
        rsip::SipMessage::Response(response) => {
            values.insert("code", response.status_code.code().to_string());
            let cseq = response.cseq_header().and_then(rsip::headers::untyped::CSeq::typed);
            values.extend(cseq.map(|cseq| ("method", cseq.method.to_string())).ok());
        }
    }
    if let Ok(via) = message.via_header().and_then(rsip::headers::untyped::Via::typed) {
        values.insert("via-host", via.uri.host().to_string().to_ascii_lowercase());
        values.insert("branch", via.branch().map(|branch| branch.value().to_owned()).unwrap_or_default());
    }
    values.extend(message.call_id_header().map(|id| ("call-id", id.value().to_owned())).ok());
    let tag = |tag: Option<rsip::param::Tag>| tag.map(|tag| tag.value().to_owned()).unwrap_or_default();
    values.extend(message.from_header().and_then(rsip::headers::untyped::From::tag).map(|found| ("from-tag", tag(found))).ok());
    values.extend(message.to_header().and_then(rsip::headers::untyped::To::tag).map(|found| ("to-tag", tag(found))).ok());
    Some(values)
}

/// What became of comparing messages: how many values agreed, and which known faults were seen.
#[derive(Default)]
struct Tally {
    agreed: usize,
    seen: BTreeSet<&'static str>,
}

impl Tally {
    /// The disagreements that nothing explains.
    fn compare(&mut self, bytes: &[u8]) -> Vec<String> {
        let (Some(ours), Some(theirs)) = (ours(bytes), theirs(bytes)) else { return Vec::new() };
        let mut wrong = Vec::new();
        for (field, our) in &ours {
            match theirs.get(field) {
                None => {}
                Some(their) if their == our => self.agreed += 1,
                Some(their) => match KNOWN.iter().find(|known| known.field == *field && (known.applies)(bytes, our)) {
                    Some(known) => drop(self.seen.insert(known.reason)),
                    None => wrong.push(format!("{field}: ours {our:?}, theirs {their:?}")),
                },
            }
        }
        wrong
    }
}

#[test]
fn agrees_on_every_fixture() {
    let (mut tally, mut wrong) = (Tally::default(), Vec::new());
    for fixture in fixtures::all() {
        wrong.extend(tally.compare(&fixture.bytes).into_iter().map(|what| format!("{}: {what}", fixture.name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(tally.agreed > 400, "only {} values were compared", tally.agreed);
}

#[test]
fn agrees_on_generated_messages() {
    let tally = Mutex::new(Tally::default());
    proptest!(ProptestConfig::with_cases(400), |(bytes in request())| {
        let wrong = tally.lock().unwrap().compare(&bytes);
        prop_assert!(wrong.is_empty(), "{}\n{}", wrong.join("\n"), String::from_utf8_lossy(&bytes));
    });
    let agreed = tally.into_inner().unwrap().agreed;
    // Chance makes the messages: about 340, and once 299.
    assert!(agreed > 200, "only {agreed} values were compared");
}

#[test]
fn every_known_fault_is_still_one() {
    let mut tally = Tally::default();
    assert!(tally.compare(PLAIN.as_bytes()).is_empty());
    assert_eq!((tally.agreed, tally.seen.len()), (9, 0));
    for known in KNOWN {
        let mut tally = Tally::default();
        let [from, to] = known.example;
        assert_eq!(tally.compare(PLAIN.replace(from, to).as_bytes()), Vec::<String>::new(), "{}", known.reason);
        assert_eq!(tally.seen, BTreeSet::from([known.reason]), "{}", known.field);
    }
}
