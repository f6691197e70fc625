//! Names that only a dialog knows: asked for once, remembered for a while, judged by the fence of their side like any address.

use std::time::Duration;

use ringfence::config::{NextHop, Transport};
use ringfence::core::io::{Arrival, DropCause, Input, Note, Outcome};
use ringfence::dns::Server;
use ringfence::reason::Reason;

use crate::site::{SERVER, Sent, Site, TRUNK, invite, respond};

/// An established call: the Record-Route.
fn call(site: &mut Site) -> String {
    let seen = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1);
    site.from(SERVER, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{SERVER}>\r\n")));
    seen.header("Record-Route").unwrap()
}

fn inside(method: &str, uri: &str, route: &str, cseq: u32, from: &str) -> String {
    let parties = ["<sip:+49891@trunk.example.net>;tag=fone", "<sip:+4930123@acme.eu.sip.example.com>;tag=u"];
    let [a, b] = if from == TRUNK { parties } else { [parties[1], parties[0]] };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\nFrom: {a}\r\nTo: {b}\r\n\
         Call-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn server(rank: u16, addresses: &[&str]) -> Server {
    let addresses = addresses.iter().map(|addr| addr.parse().unwrap()).collect();
    Server { rank, weight: 0, transport: None, addresses }
}

fn next_hop(host: &str) -> NextHop {
    NextHop { host: host.to_owned(), port: None, transport: None, secure: false }
}

fn went(sent: &[Sent]) -> Vec<String> {
    sent.iter().map(|sent| sent.to.to_string()).collect()
}

#[test]
fn a_name_is_asked_for_once_and_holds_for_its_time() {
    let mut site = Site::usual();
    site.zone.insert("pbx.example.net", vec![server(0, &["198.51.100.8:5060"])]);
    let route = call(&mut site);
    let bye = |cseq| inside("BYE", "sip:trunk@PBX.Example.NET.", &route, cseq, SERVER);
    assert_eq!(went(&site.from(SERVER, &bye(2))), ["198.51.100.8:5060"]);
    assert_eq!(site.asked, [next_hop("pbx.example.net")]);
    assert_eq!(went(&site.from(SERVER, &bye(3))), ["198.51.100.8:5060"]);
    site.pass(Duration::from_millis(29_999));
    assert_eq!(went(&site.from(SERVER, &bye(4))), ["198.51.100.8:5060"]);
    assert_eq!(site.asked.len(), 1);
    site.pass(Duration::from_millis(1));
    site.from(SERVER, &bye(5));
    assert_eq!(site.asked.len(), 2);
    // Port and transport make another next hop.
    site.from(SERVER, &inside("BYE", "sip:pbx.example.net:5070;transport=TCP", &route, 6, SERVER));
    let other = NextHop { host: "pbx.example.net".to_owned(), port: Some(5070), transport: Some(Transport::Tcp), secure: false };
    assert_eq!(site.asked[2..], [other]);
}

#[test]
fn nothing_is_said_until_the_answer_is_there() {
    let mut site = Site::usual();
    let route = call(&mut site);
    site.mute = true;
    let (notes, open) = (site.notes.len(), site.core.transactions());
    let bye = inside("BYE", "sip:trunk@pbx.example.net", &route, 2, SERVER);
    for _ in 0..3 {
        assert!(site.from(SERVER, &bye).is_empty());
    }
    assert_eq!((site.notes.len(), site.asked.len()), (notes, 1), "one question, and not a word of any of them");
    assert_eq!(site.core.transactions(), open + 1, "a drain waits for it");
    // Then they go on in their order: the first opens a transaction, the others are its repetitions.
    let servers = vec![server(0, &["198.51.100.8:5060"])];
    let sent =
        site.input(Input::LookedUp { next_hop: next_hop("pbx.example.net"), servers, hold: Duration::ZERO, failed: false });
    assert_eq!((went(&sent), site.resumed), (vec!["198.51.100.8:5060".to_owned()], 3));
    let ends = site.notes[notes..].iter().filter_map(|note| match note {
        Note::Arrived { outcome, .. } => Some(*outcome),
        _ => None,
    });
    assert_eq!(ends.collect::<Vec<_>>(), [Outcome::Forwarded, Outcome::Absorbed, Outcome::Absorbed]);
}

#[test]
fn the_fence_of_the_side_judges_each_address() {
    let mut site = Site::usual();
    let mixed = [(0, "192.0.2.99:5060"), (1, "10.1.0.6:5060"), (2, "198.51.100.8:5060")];
    site.zone.insert("mixed.example.net", mixed.map(|(rank, addr)| server(rank, &[addr])).to_vec());
    site.zone.insert("trunk.example.net", vec![server(0, &["198.51.100.8:5060"])]);
    site.zone.insert("outside.example.net", vec![server(0, &["192.0.2.99:5060", "127.0.0.1:5060"])]);
    site.zone.insert("elsewhere.example.net", vec![server(0, &["10.2.0.5:5060"])]);
    let route = call(&mut site);
    for (at, (from, host, end)) in [
        // From the trunk the region is inside, and no kind of trunk.
        (TRUNK, "mixed.example.net", Ok("10.1.0.6:5060")),
        (TRUNK, "trunk.example.net", Err(Reason::ForeignDialogTarget)),
        (TRUNK, "outside.example.net", Err(Reason::ForeignDialogTarget)),
        (TRUNK, "elsewhere.example.net", Err(Reason::ForeignDialogTarget)),
        (TRUNK, "nothing.example.net", Err(Reason::NoTarget)),
        (SERVER, "trunk.example.net", Ok("198.51.100.8:5060")),
        (SERVER, "mixed.example.net", Ok("10.1.0.6:5060")),
        (SERVER, "outside.example.net", Err(Reason::ForeignDialogTarget)),
        (SERVER, "nothing.example.net", Err(Reason::NoTarget)),
    ]
    .into_iter()
    .enumerate()
    {
        let (cseq, uri) = (10 + u32::try_from(at).unwrap(), format!("sip:x@{host}"));
        let sent = site.from(from, &inside("BYE", &uri, &route, cseq, from));
        let ack = site.from(from, &inside("ACK", &uri, &route, cseq, from));
        match end {
            Ok(addr) => assert_eq!((went(&sent), went(&ack)), (vec![addr.to_owned()], vec![addr.to_owned()]), "{host}"),
            Err(reason) => {
                let told = sent[0].header("X-Ringfence").unwrap();
                assert!(told.starts_with(&format!("{}; reason={reason}", reason.id())), "{host}: {told}");
                assert_eq!((went(&sent), ack.len()), (vec![from.to_owned()], 0), "{host}");
                assert_eq!(site.outcome(), Outcome::Dropped(DropCause::AckTarget));
            }
        }
    }
    assert_eq!(site.asked.len(), 5, "each name once");
}

#[test]
fn servers_are_tried_in_order_and_a_route_may_hold_a_name() {
    let mut site = Site::usual();
    site.zone.insert("pbx.example.net", vec![server(0, &["198.51.100.8:5060"]), server(1, &["198.51.100.9:5060"])]);
    let ours = call(&mut site);
    let route = format!("{ours}, <sip:pbx.example.net;lr>");
    let sent = site.from(SERVER, &inside("INFO", "sip:trunk@192.0.2.99", &route, 2, SERVER));
    assert_eq!(went(&sent), ["198.51.100.8:5060"]);
    let next = site.input(Input::Failed(sent[0].attempt.unwrap()));
    assert_eq!(went(&next), ["198.51.100.9:5060"]);
    // So may maddr.
    let sent = site.from(SERVER, &inside("INFO", "sip:trunk@192.0.2.99;maddr=pbx.example.net", &ours, 3, SERVER));
    assert_eq!(went(&sent), ["198.51.100.8:5060"]);
}

#[test]
fn nobody_but_a_side_of_the_dialog_makes_us_ask() {
    let mut site = Site::usual();
    let route = call(&mut site);
    let name = "sip:x@pbx.example.net";
    let strangers = ["203.0.113.77:5060", "198.51.105.7:5060", "10.2.0.5:5060"];
    for from in strangers {
        site.from(from, &inside("BYE", name, &route, 2, from));
        assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource), "{from}");
    }
    site.from(SERVER, &inside("BYE", name, "<sip:192.0.2.1;lr>", 3, SERVER));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute));
    site.from(SERVER, &inside("BYE", name, &route, 4, SERVER).replace("Max-Forwards: 70", "Max-Forwards: 0"));
    assert_eq!(site.outcome(), Outcome::Answered(483));
    // Nor does a new request, whatever it names.
    site.from(TRUNK, &invite("pbx.example.net", "10.1.0.20", "new"));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownEndpoint));
    // Nor what is no host name, or cannot be reached as it asks.
    let long = format!("sip:x@{}", vec!["a".repeat(60); 5].join("."));
    for uri in ["sip:x@1.2.3", "sip:x@a..net", &long, "sip:x@pbx.example.net;transport=ws"] {
        let outcome = {
            site.from(SERVER, &inside("BYE", uri, &route, 5, SERVER));
            site.outcome()
        };
        assert!(matches!(outcome, Outcome::Refused(Reason::NoTarget) | Outcome::Malformed(_)), "{uri}: {outcome:?}");
    }
    assert!(site.asked.is_empty(), "{:?}", site.asked);
}

#[test]
fn no_answer_is_held_for_a_few_seconds_alone() {
    let mut site = Site::usual();
    let route = call(&mut site);
    let bye = |cseq| inside("BYE", "sip:trunk@pbx.example.net", &route, cseq, SERVER);
    site.from(SERVER, &bye(2));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::NoTarget));
    site.pass(Duration::from_millis(4_999));
    site.from(SERVER, &bye(3));
    assert_eq!((site.outcome(), site.asked.len()), (Outcome::Refused(Reason::NoTarget), 1));
    site.pass(Duration::from_millis(1));
    site.zone.insert("pbx.example.net", vec![server(0, &["198.51.100.8:5060"])]);
    assert_eq!(went(&site.from(SERVER, &bye(4))), ["198.51.100.8:5060"]);
}

#[test]
fn a_stream_s_message_waits_like_any_other() {
    let mut site = Site::usual();
    let route = call(&mut site);
    site.zone.insert("pbx.example.net", vec![server(0, &["198.51.100.8:5060"])]);
    let text = inside("BYE", "sip:trunk@pbx.example.net", &route, 2, SERVER).replace("UDP", "TCP");
    let sent = site.stream(SERVER, 7, &text);
    assert_eq!((went(&sent), sent[0].transport), (vec!["198.51.100.8:5060".to_owned()], Transport::Udp));
    // Its configuration may change meanwhile: what is known of names stays known.
    site.mute = true;
    site.reload(crate::site::CONFIG);
    let arrival = Arrival {
        listener: site.listener("192.0.2.1:5060", Transport::Udp),
        from: SERVER.parse().unwrap(),
        local: "192.0.2.1:5060".parse().unwrap(),
        connection: None,
        shown: None,
    };
    let bytes = inside("BYE", "sip:trunk@pbx.example.net", &route, 3, SERVER).into_bytes();
    assert_eq!(went(&site.input(Input::Message { arrival, bytes: &bytes })), ["198.51.100.8:5060"]);
    assert_eq!(site.asked.len(), 1);
}
