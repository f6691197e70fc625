//! A trunk behind NAT: its Contact is an address that nobody else can reach, so that requests to it go to where its messages come from.

use ringfence::config::Transport;
use ringfence::core::io::{DropCause, Outcome};
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, respond, tokens, with_sdp};

const ACME: &str = "acme.eu.sip.example.com";
/// Where the NAT of the trunk sends from.
const OUTER: &str = "198.51.100.7:41234";
const PRIVATE: &str = "sip:trunk@192.168.1.20:5090";

/// A call of the trunk from this address, answered: the Route of the server.
fn call(site: &mut Site, from: &str) -> String {
    let text = invite(ACME, "10.1.0.20", "one").replace("198.51.100.7:5060;rport", "192.168.1.20:5090;rport");
    let seen = site.from(from, &text.replace("sip:trunk@198.51.100.7:5060", PRIVATE)).remove(1);
    let ok = site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n"));
    assert_eq!(ok[0].to, from.parse().unwrap());
    seen.header("Record-Route").unwrap()
}

/// A request of the server inside that call.
fn within(method: &str, uri: &str, route: &str, cseq: u32) -> String {
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {SERVER};branch=z9hG4bK{method}{cseq}\r\nRoute: {route}\r\n\
         From: <sip:b@c>;tag=u\r\nTo: <sip:a@b>;tag=fone\r\nCall-ID: one@trunk\r\nCSeq: {cseq} {method}\r\n\
         Contact: <sip:lk@{SERVER}>\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Where it went, if it was forwarded. Nothing goes anywhere else.
fn goes(site: &mut Site, text: &str) -> Option<Sent> {
    let sent = site.from(SERVER, text);
    let on = sent.iter().find(|sent| sent.fenced).cloned();
    assert!(sent.iter().all(|sent| [OUTER, TRUNK, SERVER].map(|addr| addr.parse().unwrap()).contains(&sent.to)), "{text}");
    on
}

#[test]
fn a_private_contact_stands_for_where_the_invite_came_from() {
    let mut site = Site::usual();
    let route = call(&mut site, OUTER);
    let all = ["INVITE", "UPDATE", "INFO", "REFER", "NOTIFY", "FOO", "ACK", "BYE"];
    let privates = [
        PRIVATE,
        "sip:trunk@192.168.1.20",
        "sip:trunk@172.16.0.1;transport=tcp",
        "sip:trunk@10.200.0.9",
        "sip:trunk@100.64.0.9:5090",
        "sip:trunk@169.254.1.1",
        "sip:[fd00::5]:5062",
        "sip:[fe80::5]",
        "sip:[::ffff:192.168.1.20]",
    ];
    let mut cseq = 1;
    for (method, uri) in all.into_iter().flat_map(|method| privates.map(|uri| (method, uri))) {
        cseq += 1;
        let text = within(method, uri, &route, cseq);
        let on = goes(&mut site, &if method == "INVITE" { with_sdp(&text, "10.1.0.5") } else { text });
        let on = on.unwrap_or_else(|| panic!("{method} {uri}: {:?}", site.outcome()));
        assert_eq!((on.to, on.transport), (OUTER.parse().unwrap(), Transport::Udp), "{method} {uri}");
        assert!(on.line().starts_with(&format!("{method} {uri} ")), "the Request-URI stays: {}", on.line());
        // The answer to a NOTIFY has a Record-Route: the telephones here would take it for the one of the call.
        if !matches!(method, "ACK" | "NOTIFY") {
            let back = site.from(OUTER, &respond(&on, 200, "", ""));
            assert_eq!(back[0].to, SERVER.parse().unwrap());
        }
    }
    // A proxy of the trunk that is behind NAT as well: its Record-Route is the next hop, and stays.
    let on = goes(&mut site, &within("INFO", PRIVATE, &format!("{route}, <sip:192.168.1.2;lr>"), 900)).unwrap();
    assert_eq!((on.to, on.header("Route").as_deref()), (OUTER.parse().unwrap(), Some("<sip:192.168.1.2;lr>")));
    // A Contact that can be reached is reached.
    let on = goes(&mut site, &within("BYE", "sip:trunk@198.51.100.7:5060", &route, 901)).unwrap();
    assert_eq!(on.to, TRUNK.parse().unwrap());
}

#[test]
fn nothing_else_stands_for_it() {
    let mut site = Site::usual();
    let route = call(&mut site, OUTER);
    // What others could reach, what is of a region, and what is no place at all.
    for (cseq, uri) in
        (2..).zip(["sip:x@192.0.2.99", "sip:x@127.0.0.1", "sip:x@10.1.0.77:6379", "sip:x@10.2.0.5", "sip:x@0.0.0.0"])
    {
        assert_eq!(goes(&mut site, &within("BYE", uri, &route, cseq)).map(|sent| sent.to), None, "{uri}");
        assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget), "{uri}");
        assert!(goes(&mut site, &within("ACK", uri, &route, cseq)).is_none());
        assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget), "{uri}");
    }
    // A `sips:` Contact asks for TLS, and the INVITE came by UDP.
    assert!(goes(&mut site, &within("BYE", "sips:trunk@192.168.1.20", &route, 20)).is_none(), "{:?}", site.outcome());
    // The trunk leads nobody to a private address.
    let told = site.log.iter().rev().find_map(|sent| sent.header("Record-Route").filter(|row| row.contains("rf=07"))).unwrap();
    let text = within("INFO", "sip:lk@192.168.1.20", &told, 30).replace(";tag=u", ";tag=x");
    let text = text.replace(";tag=fone", ";tag=u").replace(";tag=x", ";tag=fone");
    let sent = site.from(OUTER, &text);
    assert_eq!((site.outcome(), sent.len()), (Outcome::Refused(Reason::ForeignDialogTarget), 1));
    // Where it came from is signed: another port is no token of ours.
    let token = tokens(&route).next().unwrap();
    assert!(token.contains(&format!("u{:04x}c6336407", 41234)), "{token}");
    let forged = route.replace(&format!("u{:04x}", 41234), &format!("u{:04x}", 41235));
    assert!(goes(&mut site, &within("BYE", PRIVATE, &forged, 40)).is_none());
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute));
    // It counts while it is the trunk's.
    site.reload(&CONFIG.replace("198.51.100.0/24", "198.51.110.0/24").replace("198.51.100.9", "198.51.110.9"));
    assert!(goes(&mut site, &within("BYE", PRIVATE, &route, 41)).is_none());
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget));
}

/// A call of a server to the carrier, as the gateway has it.
fn called_out(site: &mut Site, id: &str) -> Sent {
    let text = invite(&format!("carrier.{ACME}"), "10.1.0.20", id).replace("198.51.100.7:5060;rport", "10.1.0.5:5060;rport");
    site.from(SERVER, &text).remove(1)
}

#[test]
fn a_gateway_that_answers_from_behind_nat_can_be_hung_up_on() {
    let mut site = Site::usual();
    let out = called_out(&mut site, "one");
    let ok = site.from(&out.to.to_string(), &respond(&out, 200, "u", &format!("Contact: <{PRIVATE}>\r\n"))).remove(0);
    let (asked, told) = (out.header("Record-Route").unwrap(), ok.header("Record-Route").unwrap());
    let [asked, told] = [&asked, &told].map(|row| tokens(row).next().unwrap().to_owned());
    assert_eq!(told.len(), asked.len() + 13, "the answer says from where it came");
    let route = ok.header("Record-Route").unwrap();
    let text = |method: &str, cseq: u32| {
        let text = within(method, PRIVATE, &route, cseq);
        text.replace("From: <sip:b@c>;tag=u", "From: <sip:a@b>;tag=fone").replace("To: <sip:a@b>;tag=fone", "To: <sip:b@c>;tag=u")
    };
    for (cseq, method) in [(1, "ACK"), (2, "INFO"), (3, "BYE")] {
        let sent = site.from(SERVER, &text(method, cseq));
        let on = sent.iter().find(|sent| sent.fenced).unwrap_or_else(|| panic!("{method}: {:?}", site.outcome()));
        assert_eq!(on.to, out.to, "{method}");
    }
}

#[test]
fn an_answer_says_where_it_came_from_only_if_somebody_could_not_be_reached_else() {
    let mut site = Site::usual();
    for (id, contact, rows, more) in [
        ("a", "sip:trunk@198.51.100.7:5060", "", 0),
        ("b", "sip:trunk@192.168.1.20", "", 13),
        ("c", "sip:trunk@pbx.example.net", "", 13),
        ("d", "sip:trunk@198.51.100.7", "Record-Route: <sip:192.168.1.2;lr>\r\n", 13),
        ("e", "sip:trunk@198.51.100.7", "Record-Route: <sip:198.51.100.9;lr>,<sip:192.168.1.2;lr>\r\n", 13),
        ("f", "sip:trunk@198.51.100.7", "Record-Route: <sip:198.51.100.9;lr>\r\n", 0),
        ("g", "sip:trunk@198.51.100.7", "Record-Route: <sip:pbx.example.net;lr>\r\n", 0),
    ] {
        let out = called_out(&mut site, id);
        let answer = respond(&out, 200, "u", &format!("{rows}Contact: <{contact}>\r\n"));
        let ok = site.from(&out.to.to_string(), &answer).remove(0);
        let [asked, told] = [out.text(), ok.text()].map(|text| tokens(&text).next().unwrap().len());
        assert_eq!(told, asked + more, "{contact} {rows}");
    }
}

#[test]
fn what_can_be_reached_costs_no_call_anything() {
    let mut site = Site::usual();
    let (name, relay, side, time, signature) = (16, 4, 1, 9, 16);
    let plain = 2 + name + relay + side + time + signature;
    for (id, contact, rows, more) in [
        ("a", "sip:trunk@198.51.100.7:5060", "", 0),
        ("b", "sip:trunk@203.0.113.9", "", 0),
        ("c", "sip:trunk@192.168.1.20", "", 13),
        // It may be a private address: nobody has asked yet.
        ("d", "sip:trunk@pbx.example.net", "", 13),
        // Whoever stands first behind us is asked first.
        ("e", "sip:trunk@192.168.1.20", "Record-Route: <sip:198.51.100.7;lr>\r\n", 0),
        ("f", "sip:trunk@198.51.100.7", "Record-Route: <sip:192.168.1.2;lr>,<sip:198.51.100.9;lr>\r\n", 13),
    ] {
        let text = invite(ACME, "10.1.0.20", id).replace("sip:trunk@198.51.100.7:5060", contact);
        let seen = site.from(TRUNK, &text.replace("Max-Forwards", &format!("{rows}Max-Forwards"))).remove(1);
        assert_eq!(tokens(&seen.text()).next().unwrap().len(), plain + more, "{contact} {rows}");
    }
}
