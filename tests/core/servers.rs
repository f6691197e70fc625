//! Who is a server, and what a side of a dialog reaches: the region's servers at their ports, not our own listeners, and nothing outside
//! by way of a proxy of the region.

use std::sync::Arc;
use std::time::Duration;

use ringfence::config::{NameId, Transport};
use ringfence::core::io::{DropCause, Input, Outcome};
use ringfence::core::rules::trace::{Mark, Test};
use ringfence::dns::{Resolved, Server};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, named, respond, with_sdp};

const HOST: &str = "acme.eu.sip.example.com";
const UPSTREAM: &str = r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#;

/// A site whose region eu says this of its servers.
fn with(servers: &str) -> Site {
    Site::new(&CONFIG.replace(UPSTREAM, &format!("{UPSTREAM}\n{servers}")))
}

/// An established call from the trunk: our Record-Route.
fn call(site: &mut Site, from: &str) -> String {
    let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).remove(1);
    site.from(from, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{from}>\r\n")));
    seen.header("Record-Route").unwrap()
}

/// A request of the call with these Routes below ours.
fn inside(method: &str, uri: &str, routes: &[&str], cseq: u32, from: &str) -> String {
    let parties = ["<sip:+49891@trunk.example.net>;tag=fone", "<sip:+4930123@acme.eu.sip.example.com>;tag=u"];
    let [a, b] = if from == TRUNK { parties } else { [parties[1], parties[0]] };
    let routes: String = routes.iter().flat_map(|route| ["Route: ", route, "\r\n"]).collect();
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKin{method}{cseq}\r\n{routes}From: {a}\r\nTo: {b}\r\n\
         Call-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Sends an INFO and an ACK. Returns where both went, or the INFO's number in X-Ringfence; the ACK is dropped then.
fn reach(site: &mut Site, from: &str, uri: &str, routes: &[&str], cseq: u32) -> String {
    let sent = site.from(from, &inside("INFO", uri, routes, cseq, from));
    let [sent] = sent.as_slice() else { panic!("{uri} {routes:?}: {sent:?}") };
    let told = sent.header("X-Ringfence").map(|row| row.split(';').next().unwrap_or_default().to_owned());
    let ack = site.from(from, &inside("ACK", uri, routes, cseq, from));
    if sent.line().starts_with("INFO") {
        assert_eq!(ack.iter().map(|ack| ack.to).collect::<Vec<_>>(), [sent.to], "{uri} {routes:?}");
        return format!("{}:{}", sent.transport.token(), sent.to);
    }
    assert!(ack.is_empty() && sent.to == from.parse().unwrap(), "{uri} {routes:?}: {ack:?}");
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget), "{uri} {routes:?}");
    told.unwrap_or_else(|| sent.line())
}

const REFUSED: &str = "171";

/// Sends requests of the trunk to these URIs, the first with this CSeq, and compares where they went.
fn reaches(site: &mut Site, routes: &[&str], first: u32, expected: &[(&str, &str)]) {
    for (cseq, (uri, end)) in (first..).zip(expected) {
        assert_eq!(reach(site, TRUNK, uri, routes, cseq), *end, "{uri}");
    }
}

#[test]
fn a_trunk_reaches_what_upstream_resolves_to_at_its_ports_and_at_sips() {
    let mut site = Site::usual();
    let route = call(&mut site, SERVER);
    let expected = [
        ("sip:lk@10.1.0.5", "udp:10.1.0.5:5060"),
        ("sip:lk@10.1.0.6:5061;transport=tcp", "tcp:10.1.0.6:5061"),
        ("sip:lk@[::ffff:10.1.0.5]:5060", "udp:10.1.0.5:5060"),
        ("sip:lk@10.1.0.9:5060", REFUSED),
        ("sip:lk@10.1.0.9:6379;transport=tcp", REFUSED),
        ("sip:lk@10.1.0.5:6379", REFUSED),
        ("sip:lk@10.1.0.5:6379;transport=tcp", REFUSED),
        ("sip:lk@[::ffff:10.1.0.5]:6379", REFUSED),
        ("sip:lk@[2001:db8:e::5]", REFUSED),
        ("sip:lk@10.1.0.5;maddr=10.1.0.9", REFUSED),
        ("sip:lk@10.1.0.9;maddr=10.1.0.5", "udp:10.1.0.5:5060"),
        ("sip:lk@192.0.2.99;maddr=10.1.0.5", REFUSED),
        // The trunk itself, and another trunk.
        ("sip:lk@198.51.100.7:5060", REFUSED),
    ];
    reaches(&mut site, &[&route], 2, &expected);
    for (cseq, (uri, end)) in (2..).zip(expected) {
        if !uri.contains("maddr") {
            let next = format!("<{uri};lr>");
            assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&route, &next], cseq + 100), end, "{next}");
            let strict = format!("<{uri}>");
            assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&route, &strict], cseq + 200), end, "{strict}");
        }
    }
}

#[test]
fn servers_say_who_is_one() {
    let mut site = with(r#"servers = ["10.1.0.0/28", "10.1.5.0/24:5060-5090", "[2001:db8:e::/64]:5060"]"#);
    let route = call(&mut site, SERVER);
    let expected = [
        ("sip:lk@10.1.0.9:6000", "udp:10.1.0.9:6000"),
        ("sip:lk@10.1.5.31:5080", "udp:10.1.5.31:5080"),
        ("sip:lk@10.1.5.31:5091", REFUSED),
        ("sip:lk@10.1.5.31:5059;transport=tcp", REFUSED),
        ("sip:lk@10.1.0.16", REFUSED),
        ("sip:lk@[2001:db8:e::7]", "udp:[2001:db8:e::7]:5060"),
        ("sip:lk@[2001:db8:e::7]:5061", REFUSED),
        ("sip:lk@[2001:db8:e:1::7]", REFUSED),
    ];
    reaches(&mut site, &[&route], 2, &expected);
    // From any port: what a client sends from says nothing.
    let text = |from: &str, id: &str| {
        invite(&format!("carrier.{HOST}"), "10.1.0.20", id).replace("198.51.100.7:5060;rport", &format!("{from};rport"))
    };
    assert_eq!(site.from("10.1.5.31:40000", &text("10.1.5.31:40000", "a")).len(), 2);
    for (id, other) in [("b", "10.1.0.16:5060"), ("c", "10.1.4.31:5060"), ("d", "10.1.200.1:5060")] {
        let sent = site.from(other, &text(other, id));
        assert_eq!((sent.len(), sent[0].line().as_str()), (1, "SIP/2.0 403 Forbidden"), "{other}");
        assert_eq!((site.outcome(), sent[0].header("X-Ringfence")), (Outcome::Refused(Reason::UnknownSource), None));
    }
    // Nor may such a one speak in a dialog, and what the trunk wrote leads no server to it.
    let sent = site.from("10.1.0.16:5060", &inside("BYE", "sip:trunk@198.51.100.7", &[&route], 90, "10.1.0.16:5060"));
    assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden");
    assert_eq!(reach(&mut site, SERVER, "sip:trunk@10.1.200.1:6379", &[&route], 91), REFUSED);
    assert_eq!(reach(&mut site, SERVER, "sip:trunk@198.51.100.7:9999", &[&route], 92), "udp:198.51.100.7:9999");
}

#[test]
fn an_address_of_a_trunk_is_no_server() {
    // Project local's trunk signals from 10.1.7.0/24, and all of the region's hosts are servers.
    let mut site = with(r#"servers = ["10.1.0.0/16"]"#);
    let route = call(&mut site, SERVER);
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.6.5", &[&route], 2), "udp:10.1.6.5:5060");
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.7.5", &[&route], 3), REFUSED);
    let out = invite(&format!("carrier.{HOST}"), "10.1.0.20", "a");
    assert_eq!(site.from("10.1.7.5:5060", &out)[0].line(), "SIP/2.0 403 Forbidden");
    assert_eq!(site.from("10.1.6.5:5060", &out.replace("z9hG4bKa", "z9hG4bKb")).len(), 2);
    // Its own calls come in as ever.
    let local = invite("local.eu.sip.example.com", "10.1.0.20", "c");
    assert_eq!(site.from("10.1.7.5:5060", &local).len(), 2);
}

#[test]
fn what_left_dns_stays_a_server_for_its_calls_and_not_for_ever() {
    let config = CONFIG.replace(UPSTREAM, r#"upstream = "lk.eu.internal""#);
    let mut site = Site::new(&config);
    named(&mut site, &[(0, 0, "10.1.0.5")]);
    let route = call(&mut site, SERVER);
    named(&mut site, &[(0, 0, "10.1.0.7")]);
    for (cseq, addr) in [(2, "10.1.0.5"), (3, "10.1.0.7")] {
        assert_eq!(reach(&mut site, TRUNK, &format!("sip:lk@{addr}"), &[&route], cseq), format!("udp:{addr}:5060"));
    }
    assert_eq!(reach(&mut site, SERVER, "sip:trunk@198.51.100.7", &[&route], 4), "udp:198.51.100.7:5060");
    site.pass(Duration::from_secs(4 * 3600 - 1));
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&route], 5), "udp:10.1.0.5:5060");
    site.pass(Duration::from_secs(1));
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&route], 6), REFUSED);
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.7", &[&route], 7), "udp:10.1.0.7:5060", "named still");
    // A reload that takes a server out of `upstream` leaves it its calls; one that names servers does not.
    site.reload(&config.replace("lk.eu.internal", "10.1.0.6"));
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.7", &[&route], 8), "udp:10.1.0.7:5060");
    site.reload(&CONFIG.replace(UPSTREAM, "upstream = \"10.1.0.6\"\nservers = [\"10.1.0.6\"]"));
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.7", &[&route], 9), REFUSED);
}

#[test]
fn what_is_remembered_is_bounded() {
    let mut site = Site::new(&CONFIG.replace(UPSTREAM, r#"upstream = "lk.eu.internal""#));
    named(&mut site, &[(0, 0, "10.1.0.5")]);
    let route = call(&mut site, SERVER);
    for at in 0..1200_u32 {
        site.now += Duration::from_millis(10);
        let (high, low) = (at / 200 + 10, at % 200);
        named(&mut site, &[(0, 0, &format!("10.1.{high}.{low}"))]);
    }
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&route], 2), REFUSED, "the first to leave is forgotten first");
    assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.15.198", &[&route], 3), "udp:10.1.15.198:5060");
}

#[test]
fn while_names_are_unknown_dialogs_go_on_and_no_call_goes_out() {
    let config = CONFIG.replace(UPSTREAM, r#"upstream = "sip:lk.eu.internal:5080""#);
    let mut site = Site::new(&config);
    let mut resolved = Resolved::unknown(site.config.names.len());
    for (id, name) in (0..).map(NameId).zip(&site.config.names) {
        if name.host == "lk.eu.internal" {
            let addresses = vec!["10.1.0.5:5080".parse().unwrap()];
            resolved.set(id, vec![Server { rank: 0, weight: 0, transport: None, addresses }]);
        }
    }
    let unknown = Resolved::unknown(site.config.names.len());
    site.input(Input::Resolved(Arc::new(resolved)));
    let route = call(&mut site, SERVER);
    // Another process takes over: it has the key, and no answer yet.
    site.core = ringfence::core::Core::new(Arc::clone(&site.config), Arc::new(unknown), [7; 16], site.now);
    let expected = [
        ("sip:lk@10.1.0.5:5080", "udp:10.1.0.5:5080"),
        ("sip:lk@10.1.0.5", "udp:10.1.0.5:5060"),
        ("sip:lk@10.1.0.5:6379", REFUSED),
        ("sip:lk@10.2.0.5", REFUSED),
    ];
    reaches(&mut site, &[&route], 2, &expected);
    assert_eq!(reach(&mut site, SERVER, "sip:trunk@198.51.100.7", &[&route], 10), "udp:198.51.100.7:5060");
    let out = invite(&format!("carrier.{HOST}"), "10.1.0.20", "a");
    assert_eq!(site.from(SERVER, &out)[0].line(), "SIP/2.0 403 Forbidden");
}

#[test]
fn nothing_leads_to_our_own_listeners_but_our_token() {
    let text = CONFIG.replace(UPSTREAM, &format!("{UPSTREAM}\nservers = [\"10.1.0.0/16\", \"192.0.2.1\"]"));
    let mut site = Site::new(&text);
    site.zone.insert(
        "door.example.net",
        vec![Server { rank: 0, weight: 0, transport: None, addresses: vec!["192.0.2.1:5060".parse().unwrap()] }],
    );
    let ours = call(&mut site, SERVER);
    let mut cseq = 2;
    for host in [
        "192.0.2.1",
        "192.0.2.1:5060;transport=tcp",
        "[::ffff:192.0.2.1]:5060",
        "[2001:db8:e::1]:5060",
        "192.0.2.2",
        "eu.sip.example.com",
        "ACME.eu.sip.example.com.",
        "acme.sip.example.com",
        "carrier.acme.eu.sip.example.com",
        "uk.sip.example.com",
        "us.sip.example.com",
        "door.example.net",
    ] {
        cseq += 10;
        let (uri, route) = (format!("sip:x@{host}"), format!("<sip:{host};lr>"));
        assert_eq!(reach(&mut site, TRUNK, &uri, &[&ours], cseq), REFUSED, "{uri}");
        assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&ours, &route], cseq + 1), REFUSED, "{route}");
        let loops = [ours.as_str(), &route, &ours, &route, &ours].join(", ");
        assert_eq!(reach(&mut site, TRUNK, "sip:lk@10.1.0.5", &[&loops], cseq + 2), REFUSED, "{loops}");
        assert_eq!(reach(&mut site, SERVER, &uri, &[&ours], cseq + 3), REFUSED, "of a server: {uri}");
    }
    // Another port of that host is no listener of ours.
    assert_eq!(reach(&mut site, TRUNK, "sip:x@192.0.2.1:5090", &[&ours], 900), "udp:192.0.2.1:5090");
}

#[test]
fn a_listener_on_every_address_knows_those_it_was_called_by() {
    let text = CONFIG
        .replace("\"udp:192.0.2.1:5060\", \"tcp:192.0.2.1:5060\", \"udp:[2001:db8:e::1]:5060\"", "\"udp:0.0.0.0:5060\"")
        .replace("\"udp:192.0.2.2:5060\", \"udp:0.0.0.0:5070\"", "\"udp:192.0.2.2:5070\"")
        .replace("[\"10.1.0.0/16\"", "[\"10.1.0.0/16\", \"192.0.2.7/32\"")
        .replace(UPSTREAM, &format!("{UPSTREAM}\nservers = [\"10.1.0.0/16\", \"192.0.2.7\"]\nadvertise = \"192.0.2.1\""));
    let mut site = Site::new(&text);
    let from = |site: &mut Site, source: &str, text: &str| {
        let arrival = ringfence::core::io::Arrival {
            listener: site.listener("0.0.0.0:5060", Transport::Udp),
            from: source.parse().unwrap(),
            local: "192.0.2.7:5060".parse().unwrap(),
            connection: None,
            shown: None,
        };
        site.input(Input::Message { arrival, bytes: text.as_bytes() })
    };
    let seen = from(&mut site, TRUNK, &invite(HOST, "10.1.0.20", "one")).remove(1);
    from(&mut site, SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    let ours = seen.header("Record-Route").unwrap();
    for (cseq, uri) in (2..).zip(["sip:x@192.0.2.7", "sip:x@192.0.2.1"]) {
        let sent = from(&mut site, TRUNK, &inside("INFO", uri, &[&ours], cseq, TRUNK));
        assert!(sent[0].header("X-Ringfence").unwrap().starts_with("171"), "{uri}: {}", sent[0].text());
    }
}

#[test]
fn behind_a_servers_back_nothing_leads_outside() {
    let mut site = Site::usual();
    let at = |addr: &str| vec![Server { rank: 0, weight: 0, transport: None, addresses: vec![addr.parse().unwrap()] }];
    site.zone.insert("pod.example.net", at("10.1.0.44:5060"));
    site.zone.insert("far.example.net", at("192.0.2.99:5060"));
    let mut both = at("10.1.0.44:5060");
    both.extend(at("192.0.2.99:5060"));
    site.zone.insert("both.example.net", both);
    // A global name may lead anywhere.
    site.zone.insert("acme.sip.example.com", at("10.1.0.44:5060"));
    let mut many = at("10.1.0.44:5060");
    many[0].addresses = (1..=9).map(|last| format!("10.1.0.{last}:5060").parse().unwrap()).collect();
    site.zone.insert("many.example.net", many);
    let ours = call(&mut site, SERVER);
    let server = "udp:10.1.0.5:5060";
    let routes: [(&[&str], &str, bool); 38] = [
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44", true),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44:5099;transport=tcp", true),
        (&["<sip:10.1.0.5;lr>"], "sip:x@[2001:db8:e::44]", true),
        (&["<sip:10.1.0.5;lr>"], "sip:x@pod.example.net", true),
        (&["<sip:10.1.0.5;lr>"], "sip:+4930123@acme.eu.sip.example.com", true),
        (&["<sip:10.1.0.5;lr>"], "sip:+4930123@acme.sip.example.com", true),
        (&["<sip:10.1.0.5;lr>", "<sip:10.1.0.44;lr>"], "sip:x@10.1.0.45", true),
        (&["<sip:10.1.0.5>"], "sip:x@10.1.0.45", true),
        (&["<sip:10.1.0.5;lr>"], "sip:+4930123@globex.sip.example.com", false),
        (&["<sip:10.1.0.5;lr>"], "sip:+4930123@acme.eu.sip.example.com:6379;transport=tcp", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@many.example.net", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@pod.example.net;transport=sctp", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44;alias=10.1.0.45~5060~1", true),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44;alias=192.0.2.99~5060~1", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44;alias=x", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44;%6daddr=192.0.2.99", false),
        (&[], "sip:x@10.1.0.5;m%61ddr=192.0.2.99", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.44;alias", false),
        (&["<sip:10.1.0.5;lr;alias=192.0.2.99~5060~1>"], "sip:x@10.1.0.44", false),
        (&[], "sip:x@10.1.0.5;alias=192.0.2.99~5060~1", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@192.0.2.99", false),
        (&["<sip:10.1.0.5>"], "sip:x@192.0.2.99", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.2.0.5", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@198.51.100.7", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@[::ffff:192.0.2.99]", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@[2001:db8::99]", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@10.1.0.5;maddr=192.0.2.99", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@192.0.2.99;maddr=10.1.0.5", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@far.example.net", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@both.example.net", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@nothing.example.net", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@acme.us.sip.example.com", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@acme.uk.sip.example.com", false),
        (&["<sip:10.1.0.5;lr>"], "sip:x@192.0.2.1", false),
        (&["<sip:10.1.0.5;lr>"], "tel:+4930123", false),
        (&["<sip:10.1.0.5;lr>", "<sip:192.0.2.99;lr>"], "sip:x@10.1.0.5", false),
        (&["<sip:10.1.0.5;lr>, sip:192.0.2.99;lr"], "sip:x@10.1.0.5", false),
        (&["<sip:192.0.2.99;maddr=10.1.0.5;lr>"], "sip:x@10.1.0.5", false),
    ];
    for (cseq, (more, uri, passes)) in (2..).zip(routes) {
        let all: Vec<&str> = std::iter::once(ours.as_str()).chain(more.iter().copied()).collect();
        let end = if passes { server } else { REFUSED };
        assert_eq!(reach(&mut site, TRUNK, uri, &all, cseq), end, "{more:?} {uri}");
    }
    // What a server of the region says is its own business.
    let out = ["<sip:198.51.100.7;lr>"];
    let all: Vec<&str> = std::iter::once(ours.as_str()).chain(out).collect();
    assert_eq!(reach(&mut site, SERVER, "sip:x@172.16.0.1", &all, 90), "udp:198.51.100.7:5060");
}

#[test]
fn by_our_token_a_call_passes_twice() {
    let mut site = Site::usual();
    let ours = call(&mut site, SERVER);
    // Behind our token stands what is judged when the request comes back.
    let all = [ours.as_str(), "<sip:10.1.0.5;lr>", &ours];
    assert_eq!(reach(&mut site, TRUNK, "sip:gateway@198.51.100.9", &all, 2), "udp:10.1.0.5:5060");
    // A token at another host is no token of ours, nor is another call's.
    for foreign in [ours.replace("192.0.2.1:5060", "192.0.2.99:5060"), ours.replace("rf=06", "rf=06f")] {
        let all = [ours.as_str(), "<sip:10.1.0.5;lr>", &foreign];
        assert_eq!(reach(&mut site, TRUNK, "sip:gateway@198.51.100.9", &all, 3), REFUSED, "{foreign}");
    }
    let hidden = ours.replace(";lr", ";maddr=192.0.2.99;lr");
    let all = [ours.as_str(), "<sip:10.1.0.5;lr>", &hidden];
    assert_eq!(reach(&mut site, TRUNK, "sip:gateway@198.51.100.9", &all, 4), REFUSED);
}

#[test]
fn names_behind_are_bounded_and_a_request_that_waits_ends() {
    let mut site = Site::usual();
    let ours = call(&mut site, SERVER);
    let short = |site: &mut Site, host: &'static str| {
        let addresses = vec!["10.1.0.44:5060".parse().unwrap()];
        site.zone.insert(host, vec![Server { rank: 0, weight: 0, transport: None, addresses }]);
    };
    for host in ["a.example.net", "b.example.net", "c.example.net", "d.example.net", "e.example.net"] {
        short(&mut site, host);
    }
    let four = "<sip:10.1.0.5;lr>, <sip:a.example.net;lr>, <sip:b.example.net;lr>, <sip:c.example.net;lr>";
    assert_eq!(reach(&mut site, TRUNK, "sip:x@d.example.net", &[&ours, four], 2), "udp:10.1.0.5:5060");
    assert_eq!(site.asked.len(), 4, "each once");
    let five = format!("{four}, <sip:d.example.net;lr>");
    assert_eq!(reach(&mut site, TRUNK, "sip:x@e.example.net", &[&ours, &five], 3), REFUSED);
    assert_eq!(site.asked.len(), 4);
    // What is barred anyway asks for nothing.
    assert_eq!(reach(&mut site, TRUNK, "sip:x@e.example.net", &[&ours, "<sip:10.1.0.9:6379;lr>"], 4), REFUSED);
    assert_eq!(site.asked.len(), 4);
}

#[test]
fn our_own_bye_goes_to_servers_alone() {
    // A trunk's ACK without permitted media ends the call; the route in it is the trunk's word.
    let mut site = Site::usual();
    let route = call(&mut site, SERVER);
    for (uri, reached) in [("sip:lk@10.1.0.5", true), ("sip:lk@10.1.0.9:6379", false)] {
        let ack = with_sdp(&inside("ACK", uri, &[&route], 1, TRUNK), "192.0.2.99");
        let sent: Vec<Sent> = site.from(TRUNK, &ack);
        assert_eq!(!sent.is_empty(), reached, "{uri}");
        let ours = ["10.1.0.5:5060", TRUNK];
        assert!(sent.iter().all(|sent| ours.contains(&sent.to.to_string().as_str())), "{sent:?}");
        if !reached {
            assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget));
        }
    }
    // Nor does what the trunk writes into Contact lead a BYE of ours into the region.
    let mut site = Site::usual();
    let route = call(&mut site, SERVER);
    let ack = with_sdp(&inside("ACK", "sip:lk@10.1.0.5", &[&route], 1, TRUNK), "192.0.2.99")
        .replace("Max-Forwards", "Contact: <sip:x@10.1.0.9:6379>\r\nMax-Forwards");
    let sent = site.from(TRUNK, &ack);
    let byes: Vec<_> = sent.iter().filter(|sent| sent.line().starts_with("BYE")).map(|sent| sent.to.to_string()).collect();
    assert_eq!(byes, ["10.1.0.5:5060", TRUNK]);
}

#[test]
fn servers_are_paced_generously() {
    let mut site = Site::usual();
    let out = |id: u32| invite(&format!("carrier.{HOST}"), "10.1.0.20", &format!("p{id}"));
    // Beyond the trunks' rate of 50/s, and far beyond.
    assert!((0..200).all(|id| site.from(SERVER, &out(id)).len() == 2));
    let ends: Vec<_> = (200..6000)
        .map(|id| {
            site.from(SERVER, &out(id).replace("INVITE", "MESSAGE"));
            site.outcome()
        })
        .collect();
    assert_eq!(ends.iter().filter(|&&end| end == Outcome::Forwarded).count(), 4800);
    assert!(ends.contains(&Outcome::Refused(Reason::Overloaded)));
}

#[test]
fn both_sides_of_each_comparison_are_told() {
    let mut site = with(r#"servers = ["10.1.0.0/28:5060"]"#);
    let route = call(&mut site, SERVER);
    let mut last = |uri: &str, routes: &[&str], cseq| {
        let text = inside("INFO", uri, routes, cseq, TRUNK);
        let rows = site.explain(Input::Message { arrival: site.arrival("192.0.2.1:5060", TRUNK), bytes: text.as_bytes() });
        let row = rows.last().unwrap();
        (row.test, row.mark, row.value.clone(), row.against.clone())
    };
    let (test, mark, value, against) = last("sip:x@10.1.0.9:6379", &[&route], 2);
    assert_eq!((test, mark, value.as_str()), (Test::Targets, Mark::Fail, "10.1.0.9:6379"));
    assert_eq!(against, "servers 10.1.0.0/28:5060");
    let (test, mark, value, against) = last("sip:x@192.0.2.99", &[&route, "<sip:10.1.0.5;lr>"], 3);
    assert_eq!((test, mark), (Test::Targets, Mark::Fail));
    assert!(value.contains("192.0.2.99:5060 behind the next hop") && against.contains("inside"), "{value} {against}");
    // The trunk is not told what a name resolves to inside.
    site.zone.insert(
        "redis.example.net",
        vec![Server { rank: 0, weight: 0, transport: None, addresses: vec!["10.1.9.9:6379".parse().unwrap()] }],
    );
    let sent = site.from(TRUNK, &inside("INFO", "sip:x@redis.example.net", &[&route], 4, TRUNK));
    assert!(!sent[0].text().contains("10.1.9.9"), "{}", sent[0].text());
}

/// Whatever a side writes into Route, Request-URI and `maddr`, over whatever transport: inside the region nothing goes but to servers at
/// their ports, and nothing goes outside of the region and the trunk.
#[test]
fn no_spelling_leads_past_the_servers() {
    const HOSTS: [&str; 16] = [
        "10.1.0.5",
        "10.1.0.6:5061",
        "10.1.0.5:6379",
        "10.1.0.9",
        "10.1.0.9:5060",
        "10.1.7.5",
        "[::ffff:10.1.0.9]:5060",
        "[64:ff9b::10.1.0.5]:8125",
        "[2001:db8:e::5]",
        "192.0.2.1",
        "192.0.2.99",
        "198.51.100.7:5060",
        "10.2.0.5",
        "mixed.example.net",
        "redis.example.net:6379",
        "eu.sip.example.com",
    ];
    const PARAMETERS: [&str; 8] = [
        "",
        "",
        ";transport=tcp",
        ";transport=udp",
        ";maddr=10.1.0.5",
        ";maddr=10.1.0.9",
        ";maddr=192.0.2.99",
        ";MADDR=10.1.0.9",
    ];
    let mut site = Site::usual();
    let at = |addresses: &[&str]| {
        let addresses = addresses.iter().map(|addr| addr.parse().unwrap()).collect();
        vec![Server { rank: 0, weight: 0, transport: None, addresses }]
    };
    site.zone.insert("mixed.example.net", at(&["10.1.0.9:5060", "10.1.0.5:5060", "192.0.2.99:5060", "192.0.2.1:5060"]));
    site.zone.insert("redis.example.net", at(&["10.1.0.9:6379"]));
    let ours = call(&mut site, SERVER);
    let (mut seed, mut went) = (1_u64, 0);
    let mut pick = move |most: usize| {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(seed >> 33).unwrap() % most
    };
    for turn in 0..6000_u32 {
        // What is left open by answers that never come ends.
        if turn % 500 == 0 {
            site.pass(Duration::from_secs(40));
        }
        let from = if pick(4) == 0 { SERVER } else { TRUNK };
        let mut uri = || format!("sip:x@{}{}", HOSTS[pick(HOSTS.len())], PARAMETERS[pick(PARAMETERS.len())]);
        let (target, first, second) = (uri(), uri(), uri());
        let form = |uri: &str, how: usize| match how {
            0 => format!("<{uri}>"),
            1 => uri.to_owned(),
            _ => format!("<{uri};lr>"),
        };
        let (first, second) = (form(&first, pick(4)), form(&second, pick(4)));
        let more = match pick(4) {
            0 => vec![],
            1 => vec![first],
            2 => vec![format!("{first}, {second}")],
            _ => vec![first, ours.clone(), second],
        };
        let routes: Vec<&str> = std::iter::once(ours.as_str()).chain(more.iter().map(String::as_str)).collect();
        let method = ["INFO", "ACK", "BYE", "MESSAGE", "INVITE"][pick(5)];
        let text = inside(method, &target, &routes, turn + 2, from);
        for sent in site.from(from, &text) {
            let addr = sent.to.to_string();
            let server = ["10.1.0.5:5060", "10.1.0.5:5061", "10.1.0.6:5060", "10.1.0.6:5061"].contains(&addr.as_str());
            let trunk = addr == "198.51.100.7:5060";
            let answer = sent.line().starts_with("SIP/2.0") && sent.to == from.parse().unwrap();
            assert!(server || answer || trunk && from == SERVER, "{addr}:\n{}\nfor\n{text}", sent.text());
            if from == TRUNK && !answer {
                went += 1;
                let on = sent.text();
                // The Routes, and then the Request-URI.
                let routes = on.lines().filter(|line| line.starts_with("Route"));
                let ahead = routes.chain(on.lines().take(1)).collect::<String>();
                // What is behind our own token is judged when it comes back.
                let ahead = ahead.split("rf=").next().unwrap();
                assert!(!ahead.contains("192.0.2.99") && !ahead.contains("10.2.0.5"), "{on}");
            }
        }
    }
    assert!(went > 100, "only {went} went on");
}
