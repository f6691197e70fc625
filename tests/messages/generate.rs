//! Requests in every spelling that the grammar allows: compact and odd-case names, folds, lists and rows, quotes, any order.

use proptest::collection::vec;
use proptest::option::of;
use proptest::prelude::{BoxedStrategy, Just, Strategy, any, prop_oneof};
use proptest::sample::{Index, select, subsequence};

/// A message that is read without a fault.
pub(crate) fn request() -> impl Strategy<Value = Vec<u8>> {
    let method = select(vec!["INVITE", "ACK", "BYE", "CANCEL", "OPTIONS", "REGISTER", "PRACK", "UPDATE", "INFO", "REFER", "FOO"]);
    let rows = (vias(), party(), party(), token(), 0..1_u32 << 31, of(any::<u8>()), vec(other(), 0..4), vec(route(), 0..4));
    let style = (any::<u64>(), vec(any::<Index>(), 0..6), any::<bool>());
    (method, uri(), rows, style, vec(any::<u8>(), 0..60)).prop_map(|(method, uri, rows, style, body)| {
        let (vias, from, to, call_id, cseq, max_forwards, others, routes) = rows;
        let (spelling, swaps, measured) = style;
        let mut spelling = Spelling(spelling);
        let mut lines = vec![
            spelling.row("From", "f", &from),
            spelling.row("To", "t", &to),
            spelling.row("Call-ID", "i", &call_id),
            spelling.row("CSeq", "", &format!("{cseq} {method}")),
        ];
        lines.extend(vias.iter().map(|via| spelling.row("Via", "v", via)));
        lines.extend(max_forwards.map(|hops| spelling.row("Max-Forwards", "", &hops.to_string())));
        lines.extend(others.iter().map(|(name, value)| spelling.row(name, "", value)));
        lines.extend(routes.iter().map(|value| spelling.row("Route", "", value)));
        // A datagram may leave it out.
        lines.extend(measured.then(|| spelling.row("Content-Length", "l", &body.len().to_string())));
        for (at, to) in swaps.iter().enumerate() {
            let to = to.index(lines.len());
            let at = at % lines.len();
            lines.swap(at, to);
        }
        let mut bytes = format!("{method} {uri} SIP/2.0\r\n{}\r\n", lines.concat()).into_bytes();
        bytes.extend(body);
        bytes
    })
}

/// Chooses among spellings that mean the same; most often the usual one.
struct Spelling(u64);

impl Spelling {
    fn choice(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 60
    }

    fn row(&mut self, name: &str, compact: &str, value: &str) -> String {
        let name = match self.choice() {
            0 if !compact.is_empty() => compact.to_owned(),
            1 => name.to_uppercase(),
            2 => format!("{name} "),
            _ => name.to_owned(),
        };
        let space = match self.choice() {
            0 => "",
            1 => "\r\n ",
            2 => "\t  ",
            _ => " ",
        };
        let end = if self.choice() == 0 { "  " } else { "" };
        format!("{name}:{space}{value}{end}\r\n")
    }
}

fn token() -> impl Strategy<Value = String> {
    "[a-zA-Z0-9.!%*_+`'~-]{1,12}"
}

fn host() -> BoxedStrategy<String> {
    prop_oneof![
        4 => "[a-z][a-z0-9]{0,5}(\\.[a-z][a-z0-9]{0,4}){1,2}",
        2 => any::<[u8; 4]>().prop_map(|octets| std::net::Ipv4Addr::from(octets).to_string()),
        1 => any::<[u16; 8]>().prop_map(|groups| format!("[{}]", std::net::Ipv6Addr::from(groups))),
    ]
    .boxed()
}

fn host_port() -> impl Strategy<Value = String> {
    (host(), of(1..=u16::MAX)).prop_map(|(host, port)| match port {
        Some(port) => format!("{host}:{port}"),
        None => host,
    })
}

fn uri() -> impl Strategy<Value = String> {
    let user = of("[a-z0-9+]{1,8}(\\.[a-z]{1,3})?(;npdi)?(:[a-z]{1,3})?");
    let params = subsequence(vec![";transport=udp", ";lr", ";user=phone", ";maddr=192.0.2.1", ";x=1", ";y=\"1=\""], 0..3);
    (select(vec!["sip", "sips"]), user, host_port(), params).prop_map(|(scheme, user, host_port, params)| {
        let user = user.map(|user| format!("{user}@")).unwrap_or_default();
        format!("{scheme}:{user}{host_port}{}", params.concat())
    })
}

/// A From or To.
fn party() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        Just(String::new()),
        Just("Bob ".to_owned()),
        Just("A B".to_owned()),
        Just(r#""Bob" "#.to_owned()),
        Just(r#""a, <sip:x@y>;tag=no \"q\\" "#.to_owned()),
    ];
    let tag = of(token()).prop_map(|tag| tag.map(|tag| format!(";tag={tag}")).unwrap_or_default());
    let params = (select(vec!["", ";x", ";x=\"a tag=no,\""]), tag);
    (name, uri(), params).prop_map(|(name, uri, (param, tag))| format!("{name}<{uri}>{param}{tag}"))
}

fn via() -> impl Strategy<Value = String> {
    let params = (of(token()), select(vec!["", ";rport", ";rport=9"]), select(vec!["", ";received=192.0.2.9"]), any::<bool>());
    (select(vec!["UDP", "TCP", "TLS"]), host_port(), params).prop_map(|(transport, host, (branch, rport, received, first))| {
        let branch = branch.map(|branch| format!(";branch=z9hG4bK{branch}")).unwrap_or_default();
        let params = if first { [&branch, rport, received] } else { [received, rport, &branch] };
        format!("SIP/2.0/{transport} {host}{}", params.concat())
    })
}

/// Rows of one or two values.
fn vias() -> impl Strategy<Value = Vec<String>> {
    vec(prop_oneof![3 => via(), 1 => (via(), via()).prop_map(|(one, two)| format!("{one}, {two}"))], 1..3)
}

/// A row of one to three values.
fn route() -> impl Strategy<Value = String> {
    let value = (uri(), select(vec!["", ";x=\"a,b\""])).prop_map(|(uri, param)| format!("<{uri}>{param}"));
    let comma = select(vec![",", ", ", " , ", ",\r\n "]);
    (vec(value, 1..4), comma).prop_map(|(values, comma)| values.join(comma))
}

fn other() -> impl Strategy<Value = (String, String)> {
    (select(vec!["X-Any", "Subject", "Supported", "User-Agent"]).prop_map(str::to_owned), "[a-z ,;\"<>=:]{0,20}")
}
