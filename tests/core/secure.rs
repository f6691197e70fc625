//! What TLS changes: the name that a server must prove travels with each message, `sips:` goes nowhere else, SNI is held against the
//! Request-URI, and a certificate is as good as an address.

use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use rcgen::{CertificateParams, KeyPair};
use ringfence::config::{NameId, NextHop, Transport};
use ringfence::core::io::{Arrival, ConnectionId, Input, Note, Outcome};
use ringfence::dns::{Resolved, Server};
use ringfence::reason::Reason;
use ringfence::tls::{Name, Shown};

use crate::site::{SERVER, Sent, Site, TRUNK, invite, request, respond};

const HOST: &str = "acme.eu.sip.example.com";

/// A certificate of region eu that signs itself, and believes itself.
fn paper() -> &'static PathBuf {
    static PAPER: OnceLock<PathBuf> = OnceLock::new();
    PAPER.get_or_init(|| {
        let names = ["eu.sip.example.com", "*.eu.sip.example.com"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let made = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("core-secure");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("eu.pem"), made.pem()).unwrap();
        std::fs::write(folder.join("eu.key"), key.serialize_pem()).unwrap();
        folder
    })
}

/// The usual site with a TLS listener, these servers, and more of a trunk of project acme.
fn site(upstream: &str, trunk: &str) -> Site {
    let at = paper().display();
    let tls = format!(
        "tls = {{ certificate = \"{at}/eu.pem\", key = \"{at}/eu.key\", client_ca = \"{at}/eu.pem\", upstream_ca = \"{at}/eu.pem\" }}\n\
         upstream = {upstream}"
    );
    let text = crate::site::CONFIG
        .replace(r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#, &tls)
        .replace(r#""tcp:192.0.2.1:5060","#, r#""tcp:192.0.2.1:5060", "tls:192.0.2.1:5061","#)
        .replace("[project.acme.trunk.indian]", &format!("{trunk}\n[project.acme.trunk.indian]"));
    let mut site = Site::new(&text);
    let mut targets = Resolved::unknown(site.config.names.len());
    for (id, name) in (0..).map(NameId).zip(&site.config.names) {
        let addresses = vec![if name.host == "pbx.example.net" { "10.1.0.7:5061" } else { "198.51.100.9:5061" }.parse().unwrap()];
        let transport = if name.secure { Some(Transport::Tls) } else { name.transport };
        targets.set(id, vec![Server { rank: 0, weight: 0, transport, addresses }]);
    }
    site.input(Input::Resolved(Arc::new(targets)));
    site
}

/// A message over TLS.
fn over(site: &mut Site, source: &str, shown: Shown, text: &str) -> Vec<Sent> {
    let arrival = Arrival {
        listener: site.listener("192.0.2.1:5061", Transport::Tls),
        from: source.parse().unwrap(),
        local: "192.0.2.1:5061".parse().unwrap(),
        connection: Some(ConnectionId(9)),
        shown: Some(shown),
    };
    site.input(Input::Message { arrival, bytes: text.as_bytes() })
}

fn showing_sni(host: &str) -> Shown {
    Shown { asked: Some(Name::of(host.as_bytes())), ..Shown::default() }
}

fn proven(name: &str) -> Shown {
    Shown::new(None, [Name::of(name.as_bytes())], |_| true)
}

fn sips(id: &str) -> String {
    invite(HOST, "10.1.0.20", id).replacen("sip:", "sips:", 1)
}

#[test]
fn the_name_that_was_asked_for_goes_with_everything_that_is_sent_there() {
    let mut site = site(r#"["sips:pbx.example.net", "sip:10.1.0.8;transport=tls", "10.1.0.6"]"#, "");
    let mut sent = site.from(TRUNK, &invite(HOST, "10.1.0.20", "n")).remove(1);
    let first = sent.clone();
    for (to, transport, server) in [
        ("10.1.0.7:5061", Transport::Tls, Some("pbx.example.net")),
        ("10.1.0.8:5061", Transport::Tls, None),
        ("10.1.0.6:5060", Transport::Udp, None),
    ] {
        assert_eq!((sent.to.to_string().as_str(), sent.transport, sent.tls_name.as_deref()), (to, transport, server));
        let via = format!("SIP/2.0/{} ", transport.via());
        assert!(sent.header("Via").unwrap().starts_with(&via), "{}", sent.text());
        sent = site.input(Input::Failed(sent.attempt.unwrap())).remove(0);
    }
    // A whole call there: CANCEL and ACK too.
    site.pass(std::time::Duration::from_secs(120));
    let text = invite(HOST, "10.1.0.20", "m");
    let sent = site.from(TRUNK, &text).remove(1);
    assert_eq!(sent.tls_name, first.tls_name, "it is up again");
    site.from("10.1.0.7:5061", &respond(&sent, 180, "u", ""));
    let cancel = text.replace("INVITE", "CANCEL");
    let cancel = site.from(TRUNK, &cancel).into_iter().find(|sent| sent.line().starts_with("CANCEL")).unwrap();
    let ack = site.from("10.1.0.7:5061", &respond(&sent, 487, "u", "")).remove(0);
    assert!(ack.line().starts_with("ACK"));
    for sent in [cancel, ack] {
        assert_eq!((sent.transport, sent.tls_name.as_deref()), (Transport::Tls, Some("pbx.example.net")), "{}", sent.line());
    }
}

#[test]
fn an_address_is_proven_by_a_name_of_its_party() {
    let trunk = "[project.acme.trunk.safe]\nnetworks = [\"198.51.100.0/24\"]\nuri = \"sips:pstn.example.net\"\n\
                 certificates = [\"sbc.example\"]";
    let mut site = site(r#"["sip:10.1.0.8;transport=tls", "sips:pbx.example.net"]"#, trunk);
    let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).remove(1);
    assert_eq!(
        (seen.party.as_slice(), seen.in_dialog),
        (["pbx.example.net".to_owned()].as_slice(), false),
        "an address in `upstream`"
    );
    site.from("10.1.0.8:5061", &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.7:5061;transport=tls>\r\n"));
    let routes = format!("Route: {}\r\n", seen.headers("Record-Route").join(", "));
    let bye = |from: &str, uri: &str, tags: (&str, &str)| {
        format!(
            "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{}\r\n{routes}From: <sip:a@b>;tag={}\r\nTo: <sip:c@d>;tag={}\r\n\
             Call-ID: one@trunk\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            tags.0, tags.0, tags.1
        )
    };
    let sent = site.from(TRUNK, &bye(TRUNK, "sip:lk@10.1.0.7:5061;transport=tls", ("fone", "u"))).remove(0);
    assert_eq!((sent.to.to_string().as_str(), sent.transport, sent.tls_name), ("10.1.0.7:5061", Transport::Tls, None));
    assert_eq!((sent.party.as_slice(), sent.in_dialog), (["pbx.example.net".to_owned()].as_slice(), true));
    assert_eq!(sent.trunk.as_deref(), Some("carrier"), "whose share of connections it is");
    // That nobody there proves to be the server says nothing of the server.
    let answer = site.input(Input::Unsent(sent.attempt.unwrap())).remove(0);
    assert!(answer.line().starts_with("SIP/2.0 503"), "{}", answer.line());
    assert!(!site.notes.iter().any(|note| matches!(note, Note::Health { .. })), "{:?}", site.notes);
    let server = "10.1.0.8:5060";
    let sent = site.from(server, &bye(server, "sip:t@198.51.100.7:5061;transport=tls", ("u", "fone"))).remove(0);
    assert_eq!(sent.to.to_string(), "198.51.100.7:5061");
    for name in ["pstn.example.net", "sbc.example"] {
        assert!(sent.party.iter().any(|known| known == name), "{name}: {:?}", sent.party);
    }
}

#[test]
fn sips_goes_over_tls_alone() {
    let mut site = site(r#"["10.1.0.5", "sip:10.1.0.6;transport=tcp", "sips:pbx.example.net"]"#, "");
    let sent = over(&mut site, TRUNK, Shown::default(), &sips("a"));
    assert_eq!((sent[1].to.to_string().as_str(), sent[1].transport), ("10.1.0.7:5061", Transport::Tls));
    assert!(sent[1].line().starts_with("INVITE sips:"));
    assert!(sent[1].headers("Record-Route").iter().all(|route| route.starts_with("<sips:eu.sip.example.com:5061;lr;")));
    // No other server, whatever comes of that one.
    let answer = site.input(Input::Failed(sent[1].attempt.unwrap())).remove(0);
    assert!(answer.line().starts_with("SIP/2.0 503"), "{}", answer.line());
    assert_eq!(site.from(TRUNK, &sips("b"))[0].line(), "SIP/2.0 416 Unsupported URI Scheme", "it came without TLS");

    let mut site = self::site(r#""10.1.0.5""#, "");
    assert_eq!(over(&mut site, TRUNK, Shown::default(), &sips("c"))[0].line(), "SIP/2.0 416 Unsupported URI Scheme");
    assert_eq!(site.outcome(), Outcome::Answered(416));
    // Out by a trunk without TLS neither.
    let out = request("MESSAGE", "sips:1@carrier.acme.eu.sip.example.com", "d");
    assert_eq!(over(&mut site, SERVER, Shown::default(), &out)[0].line(), "SIP/2.0 416 Unsupported URI Scheme");
}

#[test]
fn sips_goes_out_as_sips() {
    let trunk = "[project.acme.trunk.safe]\nnetworks = [\"198.51.106.0/24\"]\nuri = \"sips:pstn.example.net\"\n\
                 outbound_networks = [\"198.51.100.0/24\"]";
    let mut site = site(r#""10.1.0.5""#, trunk);
    for (scheme, id) in [("sips", "a"), ("sip", "b")] {
        let text = request("MESSAGE", &format!("{scheme}:1@safe.acme.eu.sip.example.com"), id);
        let sent = over(&mut site, SERVER, Shown::default(), &text).remove(0);
        assert_eq!(sent.line(), format!("MESSAGE {scheme}:1@pstn.example.net SIP/2.0"));
        assert_eq!((sent.transport, sent.tls_name.as_deref()), (Transport::Tls, Some("pstn.example.net")));
    }
}

#[test]
fn a_contact_over_tls_is_looked_up_and_verified_by_its_own_name() {
    let mut site = site(r#""10.1.0.5""#, "");
    let seen = over(&mut site, TRUNK, Shown::default(), &invite(HOST, "10.1.0.20", "one")).remove(1);
    let addresses = vec!["198.51.100.9:5061".parse().unwrap()];
    site.zone.insert("edge.example.net", vec![Server { rank: 0, weight: 0, transport: Some(Transport::Tls), addresses }]);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    let routes = format!("Route: {}\r\n", seen.headers("Record-Route").join(", "));
    for (uri, host, secure) in [
        ("sips:t@edge.example.net", "edge.example.net", true),
        ("sip:t@edge.example.net;transport=tls", "edge.example.net", false),
        ("sips:t@edge.example.net;transport=tcp", "edge.example.net", true),
    ] {
        let text = format!(
            "BYE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{}\r\n{routes}From: <sip:a@b>;tag=u\r\nTo: <sip:c@d>;tag=fone\r\n\
             Call-ID: one@trunk\r\nCSeq: 2 BYE\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
            uri.len()
        );
        // It came by UDP: this hop is over TLS all the same.
        let sent = site.from(SERVER, &text);
        assert_eq!((sent[0].transport, sent[0].tls_name.as_deref()), (Transport::Tls, Some(host)), "{uri}: {}", sent[0].text());
        let transport = (!secure).then_some(Transport::Tls);
        let hop = NextHop { host: host.to_owned(), port: None, transport, secure };
        assert!(site.asked.contains(&hop), "{:?}", site.asked);
    }
}

/// A request inside the call `one`, to this URI, with more Routes than ours.
fn inside(method: &str, (from, uri): (&str, &str), routes: &str, tags: (&str, &str)) -> String {
    let branch = format!("{method}{}", uri.len());
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bK{branch}\r\nRoute: {routes}\r\nFrom: <sip:a@b>;tag={}\r\n\
         To: <sip:c@d>;tag={}\r\nCall-ID: one@trunk\r\nCSeq: 2 {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n",
        tags.0, tags.1
    )
}

#[test]
fn a_sips_target_inside_a_dialog_is_tls_on_that_hop() {
    let mut site = site(r#""10.1.0.5""#, "");
    let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sips:lk@10.1.0.5>\r\n"));
    let ours = seen.headers("Record-Route").join(", ");
    let contact = "sips:t@198.51.100.7:5061";
    for method in ["BYE", "INVITE", "INFO", "UPDATE", "ACK", "NOTIFY"] {
        for uri in [contact, "sips:t@198.51.100.7:5061;transport=udp", "sips:t@198.51.100.7"] {
            let sent = site.from(SERVER, &inside(method, (SERVER, uri), &ours, ("u", "fone")));
            let sent = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{method} {uri}: {sent:?}"));
            assert_eq!((sent.to.to_string().as_str(), sent.transport), ("198.51.100.7:5061", Transport::Tls), "{method} {uri}");
        }
    }
    let sent = site.from(TRUNK, &inside("BYE", (TRUNK, "sips:lk@10.1.0.5"), &ours, ("fone", "u"))).remove(0);
    assert_eq!((sent.to.to_string().as_str(), sent.transport), ("10.1.0.5:5061", Transport::Tls));
    // The next hop is a Route here, and says itself how it is reached.
    let routes = format!("{ours}, <sip:198.51.100.8:5060;lr>");
    let sent = site.from(SERVER, &inside("BYE", (SERVER, "sips:t@198.51.100.77"), &routes, ("u", "fone"))).remove(0);
    assert_eq!((sent.to.to_string().as_str(), sent.transport), ("198.51.100.8:5060", Transport::Udp));
    // Outside all the same.
    let sent = site.from(SERVER, &inside("BYE", (SERVER, "sips:t@203.0.113.9"), &ours, ("u", "fone"))).remove(0);
    assert_eq!(sent.header("X-Ringfence").as_deref(), Some("171; reason=foreign-dialog-target; region=eu"));
}

#[test]
fn where_nobody_listens_on_tls_a_sips_target_is_a_capacity_matter() {
    let mut site = Site::usual();
    let seen = site.from(TRUNK, &invite(HOST, "10.1.0.20", "one")).remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    let ours = seen.headers("Record-Route").join(", ");
    let sent = site.from(SERVER, &inside("BYE", (SERVER, "sips:t@198.51.100.7"), &ours, ("u", "fone"))).remove(0);
    assert!(sent.line().starts_with("SIP/2.0 503"), "{}", sent.line());
    assert_eq!(site.outcome(), Outcome::Refused(Reason::TargetsDown));
}

#[test]
fn sni_names_the_region() {
    let mut site = site(r#""10.1.0.5""#, "");
    let verdict = |site: &mut Site, shown: Shown, host: &str, id: &str| {
        over(site, TRUNK, shown, &invite(host, "10.1.0.20", id));
        site.outcome()
    };
    let wrong = Outcome::Refused(Reason::WrongListener);
    for (n, (name, host, expected)) in [
        ("EU.sip.example.com.", HOST, Outcome::Forwarded),
        ("eu.sip.example.com", HOST, Outcome::Forwarded),
        ("eu.sip.example.com", "acme.sip.example.com", Outcome::Forwarded),
        ("uk.sip.example.com", HOST, wrong),
        ("uk.sip.example.com", "acme.sip.example.com", wrong),
    ]
    .into_iter()
    .enumerate()
    {
        assert_eq!(verdict(&mut site, showing_sni(name), host, &format!("s{n}")), expected, "{name} for {host}");
    }
    assert_eq!(verdict(&mut site, Shown::default(), HOST, "none"), Outcome::Forwarded);
    // Inside a dialog, and for a project that only watches, it refuses nothing.
    let text = invite("watcher.eu.sip.example.com", "10.1.0.20", "w");
    over(&mut site, "198.51.103.7:5060", showing_sni("uk.sip.example.com"), &text);
    assert_eq!(site.outcome(), Outcome::Forwarded);
}

#[test]
fn a_certificate_is_a_source() {
    let trunk = "[project.acme.trunk.named]\ncertificates = [\"sbc.example\"]\noutbound_networks = [\"198.51.107.0/24\"]";
    let mut site = site(r#""10.1.0.5""#, trunk);
    let call = |site: &mut Site, source: &str, shown, id| {
        over(site, source, shown, &invite(HOST, "10.1.0.20", id));
        site.outcome()
    };
    let stranger = Outcome::Refused(Reason::UnknownSource);
    assert_eq!(call(&mut site, "203.0.113.77:4000", proven("sbc.example"), "a"), Outcome::Forwarded);
    assert_eq!(call(&mut site, "203.0.113.77:4000", proven("other.example"), "b"), stranger);
    assert_eq!(
        call(&mut site, "198.51.107.7:4000", Shown::default(), "c"),
        stranger,
        "where it is called is not where it calls from"
    );
    // A bare hostname: the certificate names the project.
    over(&mut site, "203.0.113.77:4000", proven("sbc.example"), &invite("eu.sip.example.com", "10.1.0.20", "d"));
    assert_eq!(site.outcome(), Outcome::Forwarded);
    // In-region sources are addresses all the same.
    let text = invite("local.eu.sip.example.com", "10.1.0.20", "e");
    over(&mut site, "198.51.102.7:4000", proven("sbc.example"), &text);
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignSource));
}

#[test]
fn the_connection_of_the_invite_goes_with_requests_to_its_side() {
    let mut site = site("\"10.1.0.5\"", "");
    let from = "198.51.100.7:40000";
    let text = invite(HOST, "10.1.0.20", "one").replace("SIP/2.0/UDP", "SIP/2.0/TLS");
    let seen = over(&mut site, from, proven("nobody.example"), &text).remove(1);
    let route = seen.header("Record-Route").unwrap();
    site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n"));
    let there = from.parse().unwrap();
    for (cseq, (uri, to, origin)) in (2..).zip([
        ("sip:trunk@198.51.100.7:5061;transport=tls", "198.51.100.7:5061", Some(there)),
        ("sip:trunk@192.168.1.20;transport=tls", from, Some(there)),
        // What leads to a server is no matter of the trunk's connection.
        ("sip:lk@10.1.0.5;transport=tls", "10.1.0.5:5061", None),
        // Over UDP nobody proves anything, and there is no connection.
        ("sip:trunk@198.51.100.7", "198.51.100.7:5060", None),
    ]) {
        let text = format!(
            "INFO {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{cseq}\r\nRoute: {route}\r\nFrom: <sip:b@c>;tag=u\r\n\
             To: <sip:a@b>;tag=fone\r\nCall-ID: one@trunk\r\nCSeq: {cseq} INFO\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
        );
        let sent = site.from(SERVER, &text);
        let on = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{uri}: {:?}", site.outcome()));
        assert_eq!((on.to, on.origin), (to.parse().unwrap(), origin), "{uri}");
    }
}
