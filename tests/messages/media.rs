//! The media reader against an independent one, and against descriptions hidden in bodies: whatever media could go to is asked
//! about.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{BoxedStrategy, Just, ProptestConfig, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use proptest::sample::select;
use ringfence::sip::body::{self, Checked, MAX_PARTS};
use ringfence::sip::{Message, sdp};
use sdp_types::{Attribute, Candidate, CandidateAddress, RemoteCandidates, Rtcp, Session, SourceFilter};
use sdp_types::{SourceFilterAddress, SourceFilterDestination, SourceFilterMode};

use crate::no_panic::{mutate, mutations};
use crate::readers::{naive_places, places};

/// The addresses that decide: `judge` objects if one of them is outside. (It may ask about others: those of a stream that is off.)
fn decisive<T, E>(judge: impl Fn(&dyn Fn(IpAddr) -> bool) -> Result<T, E>) -> Result<(T, BTreeSet<IpAddr>), E> {
    let asked = RefCell::new(BTreeSet::new());
    let answer = judge(&|ip| {
        asked.borrow_mut().insert(ip);
        true
    })?;
    let objects = |&one: &IpAddr| judge(&|ip| ip != one).is_err();
    Ok((answer, asked.into_inner().into_iter().filter(objects).collect()))
}

/// Every address that media could go to, as the other reader understands the description; `None`: not at all.
fn elsewhere(text: &[u8]) -> Option<BTreeSet<IpAddr>> {
    let session = Session::parse(text).ok()?;
    let mut found = BTreeSet::new();
    attributes(&session.attributes, &mut found);
    for media in &session.medias {
        let bundled = media.attributes.iter().any(|attribute| attribute.attribute.eq_ignore_ascii_case("bundle-only"));
        if media.port == 0 && !bundled {
            // Its candidates are taken by some.
            let named = |attribute: &&Attribute| {
                attribute.attribute.to_ascii_lowercase().ends_with("candidates")
                    || attribute.attribute.eq_ignore_ascii_case("candidate")
            };
            attributes(&media.attributes.iter().filter(named).cloned().collect::<Vec<_>>(), &mut found);
            continue;
        }
        // Some take the session's whatever the stream says.
        let connections = media.connections.iter().chain(&session.connection);
        found.extend(connections.filter_map(|connection| connection.try_address().ok()).map(|address| address.ip));
        attributes(&media.attributes, &mut found);
    }
    found.retain(|ip| !ip.is_unspecified());
    Some(found)
}

fn attributes(attributes: &[Attribute], found: &mut BTreeSet<IpAddr>) {
    for Attribute { attribute, value } in attributes {
        let value = value.as_deref().unwrap_or_default();
        match attribute.to_ascii_lowercase().as_str() {
            "candidate" => {
                let Ok(candidate) = value.parse::<Candidate>() else { continue };
                if let CandidateAddress::IpAddr(ip) = candidate.address {
                    found.insert(ip);
                }
            }
            "remote-candidates" => {
                let Ok(RemoteCandidates(candidates)) = value.parse() else { continue };
                found.extend(candidates.iter().map(|candidate| candidate.address));
            }
            "rtcp" => {
                let rtcp = value.parse::<Rtcp>().ok().and_then(|rtcp| rtcp.connection_address);
                found.extend(rtcp.and_then(|address| address.parse::<IpAddr>().ok()));
            }
            "source-filter" => {
                let Ok(filter) = value.parse::<SourceFilter>() else { continue };
                if let SourceFilterDestination::Address(SourceFilterAddress::IpAddr(ip)) = filter.destination {
                    found.insert(ip);
                }
                for source in filter.sources {
                    if let (SourceFilterMode::Incl, SourceFilterAddress::IpAddr(ip)) = (filter.mode, source) {
                        found.insert(ip);
                    }
                }
            }
            // The other reader has no MSRP.
            "path" => found.extend(value.split(' ').filter_map(|uri| {
                let authority = uri.split("//").nth(1)?.split(['/', ';']).next()?;
                let host = match authority.strip_prefix('[') {
                    Some(rest) => rest.split(']').next(),
                    None => authority.split(':').next(),
                };
                host?.parse::<IpAddr>().ok()
            })),
            _ => {}
        }
    }
}

fn ip() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        6 => any::<[u8; 3]>().prop_map(|[a, b, c]| IpAddr::from([10, a, b, c])),
        3 => any::<[u16; 3]>().prop_map(|[a, b, c]| IpAddr::from([0x2001, 0xdb8, a, 0, 0, 0, b, c])),
        1 => Just(IpAddr::from(Ipv4Addr::UNSPECIFIED)),
        1 => Just(IpAddr::from(Ipv6Addr::UNSPECIFIED)),
        1 => any::<[u8; 4]>().prop_map(|octets| IpAddr::from(Ipv4Addr::from(octets).to_ipv6_mapped())),
    ]
    .prop_filter("multicast is refused", |ip| {
        let inside = ip.to_canonical();
        !inside.is_multicast() && (!inside.is_unspecified() || ip.is_unspecified())
    })
}

/// An address in one of its spellings.
fn literal() -> impl Strategy<Value = String> {
    (ip(), 0..4).prop_map(|(ip, style)| match (ip, style) {
        (IpAddr::V6(ip), 0) => ip.to_string().to_uppercase(),
        (IpAddr::V6(ip), 1) => ip.segments().map(|group| format!("{group:04x}")).join(":"),
        (ip, _) => ip.to_string(),
    })
}

fn connection() -> impl Strategy<Value = String> {
    literal().prop_map(|address| format!("IN {} {address}", if address.contains(':') { "IP6" } else { "IP4" }))
}

fn attribute() -> impl Strategy<Value = String> {
    let raddr = of(literal()).prop_map(|ip| ip.map(|ip| format!(" raddr {ip} rport 9")).unwrap_or_default());
    let candidate = (select(vec!["UDP", "tcp"]), literal(), select(vec!["host", "srflx", "prflx", "relay"]), raddr);
    let candidate = candidate.prop_map(|(transport, ip, kind, raddr)| {
        let active = if transport == "tcp" { " tcptype active" } else { "" };
        format!("candidate:1 1 {transport} 2130706431 {ip} 9 typ {kind}{raddr}{active}")
    });
    let msrp = literal().prop_map(|ip| {
        let host = if ip.contains(':') { format!("[{ip}]") } else { ip };
        format!("path:msrp://{host}:7394/x;tcp")
    });
    let plain = ["sendrecv", "inactive", "rtpmap:0 PCMU/8000", "fmtp:101 0-15", "ice-lite", "rtcp-mux", "bundle-only", "mid:0"];
    prop_oneof![
        4 => select(plain.to_vec()).prop_map(str::to_owned),
        2 => candidate,
        1 => of(connection()).prop_map(|at| format!("rtcp:9{}", at.map(|at| format!(" {at}")).unwrap_or_default())),
        1 => vec(literal(), 1..3).prop_map(|ips| format!("remote-candidates:1 {} 9", ips.join(" 9 2 "))),
        1 => (select(vec!["incl", "excl"]), of(literal()), vec(literal(), 1..3)).prop_map(|(mode, to, from)| {
            format!("source-filter: {mode} IN IP4 {} {}", to.unwrap_or_else(|| "*".to_owned()), from.join(" "))
        }),
        1 => msrp,
    ]
}

/// A session description that everybody reads.
fn description() -> impl Strategy<Value = String> {
    let kind = select(vec!["audio $ RTP/AVP 0", "video $ UDP/TLS/RTP/SAVPF 96", "image $ udptl t38", "message $ TCP/MSRP *"]);
    let port = prop_oneof![Just("0".to_owned()), Just("9".to_owned()), Just("4000/2".to_owned())];
    let stream = (kind, port, of(connection()), vec(attribute(), 0..5));
    let stream = stream.prop_map(|(kind, port, connection, attributes)| (kind.replace('$', &port), connection, attributes));
    (connection(), vec(attribute(), 0..2), vec(stream, 0..4), select(vec!["\r\n", "\n"])).prop_map(
        |(connection, attributes, streams, end)| {
            let mut lines = vec!["v=0".to_owned(), "o=- 1 1 IN IP4 192.0.2.1".to_owned(), "s=-".to_owned()];
            lines.extend([format!("c={connection}"), "t=0 0".to_owned()]);
            lines.extend(attributes.iter().map(|attribute| format!("a={attribute}")));
            for (kind, connection, attributes) in streams {
                lines.push(format!("m={kind}"));
                lines.extend(connection.map(|connection| format!("c={connection}")));
                lines.extend(attributes.iter().map(|attribute| format!("a={attribute}")));
            }
            lines.join(end) + end
        },
    )
}

/// A body, or a part of one.
#[derive(Clone, Debug)]
enum Content {
    Description { text: String, kind: &'static str, encoding: &'static str },
    Noise { kind: &'static str, text: String },
    Multipart { kind: &'static str, parts: Vec<Self>, around: [String; 2] },
}

fn content() -> BoxedStrategy<Content> {
    let kinds = ["application/sdp", "Application/SDP ;charset=x", "application^ / sdp", "text/plain", ""];
    let encodings = ["", "", "binary", "base64", "Quoted-Printable"];
    let hidden = (description(), select(kinds.to_vec()), select(encodings.to_vec()));
    let text = "[a-zA-Z0-9 :;.\n-]{0,40}";
    let leaf = prop_oneof![
        hidden.prop_map(|(text, kind, encoding)| Content::Description { text, kind, encoding }),
        (select(vec!["text/plain", "application/isup;version=x", "message/sipfrag", ""]), text)
            .prop_map(|(kind, text)| Content::Noise { kind, text }),
    ];
    let branch = move |inner| {
        let kind = select(vec!["mixed", "Alternative", "related;type=\"application/sdp\"", "signed"]);
        (kind, vec(inner, 1..5), [text, text]).prop_map(|(kind, parts, around)| Content::Multipart { kind, parts, around })
    };
    leaf.prop_recursive(3, 20, 4, branch)
        .prop_filter("a multipart", |content| matches!(content, Content::Multipart { .. }))
        .boxed()
}

/// What was written, and what is in it.
#[derive(Default)]
struct Written {
    descriptions: Vec<String>,
    parts: usize,
    boundaries: usize,
}

impl Written {
    /// Writes rows, an empty line and the content.
    fn write(&mut self, content: &Content, end: &str) -> String {
        let row = |name: &str, value: &str| if value.is_empty() { String::new() } else { format!("{name}: {value}{end}") };
        match content {
            Content::Noise { kind, text } => format!("{}{end}{}", row("Content-Type", kind), text.replace('\n', end)),
            Content::Description { text, kind, encoding } => {
                self.descriptions.push(text.clone());
                let text = match *encoding {
                    "base64" => base64(text.as_bytes()),
                    "Quoted-Printable" => text.replace('=', "=3D").replace("\r\n", "=0D=0A").replace('.', &format!(".={end}")),
                    _ => text.clone(),
                };
                let kind = row("c", &kind.replace('^', end));
                format!("{kind}{}{end}{text}", row("Content-Transfer-Encoding", encoding))
            }
            Content::Multipart { kind, parts, around: [before, after] } => {
                self.boundaries += 1;
                let boundary = format!("=_{} b", self.boundaries);
                let kind = row("Content-Type", &format!("multipart/{kind};boundary=\"{boundary}\""));
                let mut text = format!("{kind}{end}{}{end}", before.replace('\n', end));
                for part in parts {
                    self.parts += 1;
                    let part = self.write(part, end);
                    text.extend(["--", &boundary, end, &part, end]);
                }
                text + &format!("--{boundary}--{end}{}", after.replace('\n', end))
            }
        }
    }
}

/// As a mail program would: lines of 76.
fn base64(text: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::new();
    for (at, chunk) in text.chunks(3).enumerate() {
        let octets = [chunk[0], chunk.get(1).copied().unwrap_or(0), chunk.get(2).copied().unwrap_or(0)];
        let group = u32::from_be_bytes([0, octets[0], octets[1], octets[2]]);
        for place in 0..4 {
            let sextet = usize::try_from(group >> (18 - 6 * place) & 63).unwrap();
            out.push(if place > chunk.len() { '=' } else { char::from(ALPHABET[sextet]) });
        }
        if at % 19 == 18 {
            out += "\r\n";
        }
    }
    out
}

/// A datagram with this behind its own rows.
fn message(rest: &str) -> Vec<u8> {
    format!("INVITE sip:a@b SIP/2.0\r\nCall-ID: x\r\nCSeq: 1 INVITE\r\n{rest}").into_bytes()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn both_readers_find_the_same(text in description()) {
        let ours = decisive(|inside| sdp::judge(text.as_bytes(), inside)).map(|((), found)| found);
        let theirs = elsewhere(text.as_bytes());
        prop_assert!(theirs.is_some(), "{text}");
        prop_assert_eq!(ours.ok(), theirs, "{}", text);
    }

    /// Broken a little, it is refused, or nobody finds what we did not: the other reader is the more lenient one.
    #[test]
    fn nobody_finds_more(text in description(), changes in mutations()) {
        let mut bytes = text.into_bytes();
        for (at, kind, octet) in changes {
            mutate(&mut bytes, at, kind, octet);
        }
        if let (Ok(((), ours)), Some(theirs)) = (decisive(|inside| sdp::judge(&bytes, inside)), elsewhere(&bytes)) {
            prop_assert!(theirs.is_subset(&ours), "{:?} and {theirs:?} in {}", ours, String::from_utf8_lossy(&bytes));
        }
    }

    /// Whatever any reader would send media to was asked about, and would have been refused.
    #[test]
    fn whatever_any_reader_takes_was_judged(text in description(), changes in mutations()) {
        let mut bytes = text.into_bytes();
        for (at, kind, octet) in changes {
            mutate(&mut bytes, at, kind, octet);
        }
        if let Ok(((), ours)) = decisive(|inside| sdp::judge(&bytes, inside)) {
            let theirs = places(&bytes);
            prop_assert!(theirs.is_subset(&ours), "{:?} and {theirs:?} in {}", ours, String::from_utf8_lossy(&bytes));
        }
    }

    /// The same for a body of any type, of any version and with anything in front, where a server reads it as a description.
    #[test]
    fn whatever_a_body_is_called_it_was_judged(
        text in description(),
        kind in select(vec!["application/sdp", "text/plain", "application/octet-stream", "application/json", "x/y", "application/pidf+xml",
            "message/sipfrag", "application/trickle-ice-sdpfrag", "application/isup"]),
        method in select(vec!["INVITE", "ACK", "UPDATE", "INFO", "MESSAGE"]),
        version in select(vec!["v=0", "v=", "v= 0", "v=0 ", "v=99999999999999999999", "V=0", "x"]),
        before in select(vec!["", "hello\r\n", "\r\n", "<?xml?>\n", "\u{feff}", " "]),
        changes in mutations(),
    ) {
        let mut body = format!("{before}{}", text.replacen("v=0", version, 1)).into_bytes();
        for (at, kind, octet) in changes.into_iter().take(2) {
            mutate(&mut body, at, kind, octet);
        }
        let mut bytes = format!("{method} sip:a@b SIP/2.0\r\nCSeq: 1 {method}\r\nContent-Type: {kind}\r\n\r\n").into_bytes();
        bytes.extend(&body);
        let found = decisive(|inside| body::judge(&Message::datagram(&bytes).unwrap(), inside));
        if let Ok((_, ours)) = found {
            let theirs = naive_places(&body);
            prop_assert!(theirs.is_subset(&ours), "{:?} and {theirs:?} in {}", ours, String::from_utf8_lossy(&bytes));
        }
    }

    #[test]
    fn descriptions_are_found_wherever_they_are(content in content(), lf in any::<bool>()) {
        let mut written = Written::default();
        let text = written.write(&content, if lf { "\n" } else { "\r\n" });
        // The rows of a message end with CRLF, whatever its body does.
        let (kind, body) = text.split_once(if lf { "\n\n" } else { "\r\n\r\n" }).unwrap();
        let bytes = message(&format!("{kind}\r\n\r\n{body}"));
        let found = decisive(|inside| body::judge(&Message::datagram(&bytes).unwrap(), inside));
        if written.parts > MAX_PARTS {
            prop_assert!(found.is_err());
            return Ok(());
        }
        let mut expected = BTreeSet::new();
        for text in &written.descriptions {
            expected.extend(elsewhere(text.as_bytes()).unwrap());
        }
        prop_assert_eq!(found, Ok((Checked { descriptions: written.descriptions.len() }, expected)), "{}", text);
    }

    /// A body that is cut, or changed a little, ends in a verdict.
    #[test]
    fn broken_bodies_harm_nobody(content in content(), changes in mutations()) {
        let mut bytes = message(&Written::default().write(&content, "\r\n"));
        for (at, kind, octet) in changes {
            mutate(&mut bytes, at, kind, octet);
        }
        if let Ok(message) = Message::datagram(&bytes) {
            let _ = body::judge(&message, |_| true);
        }
    }
}
