//! Another configuration while calls are open, and the end that leaves the sockets to another process.

use std::time::Duration;

use ringfence::config::Needed;
use ringfence::core::io::{DropCause, Input, Outcome};

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, request, respond};

const EU: &str = "acme.eu.sip.example.com";

/// What is left when region eu is not served here any more; regions and listeners have other numbers then.
fn without_eu() -> String {
    let (head, rest) = CONFIG.split_once("[region.eu]").unwrap();
    let (_, rest) = rest.split_once("[region.uk]").unwrap();
    let text = format!("{head}[region.uk]{rest}").replace("serve  = [\"eu\", \"uk\"]", "serve  = [\"uk\"]");
    let eu = "[region.eu]\nhostname = \"eu.sip.example.com\"\nnetworks = [\"10.1.0.0/16\", \"192.0.2.1/32\"]\n";
    text.replace("[project.acme]", &format!("{eu}[project.acme]"))
}

fn bye(route: &str) -> String {
    let text = request("BYE", "sip:lk@10.1.0.5", "up").replace("CSeq: 1", "CSeq: 2");
    text.replace("To: <sip:lk@10.1.0.5>", &format!("Route: {route}\r\nTo: <sip:+4930123@{EU}>;tag=u"))
}

/// A call that is up; its route.
fn established(site: &mut Site) -> String {
    let first = site.from(TRUNK, &invite(EU, "10.1.0.20", "up")).remove(1);
    assert_eq!(site.from(SERVER, &respond(&first, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).len(), 1);
    first.header("Record-Route").unwrap()
}

fn ring(site: &mut Site, id: &str) -> Sent {
    let first = site.from(TRUNK, &invite(EU, "10.1.0.20", id)).remove(1);
    assert_eq!(site.from(SERVER, &respond(&first, 180, "u", "")).len(), 1);
    first
}

#[test]
fn what_is_open_on_a_listener_that_is_taken_away_ends_there_and_nothing_begins() {
    let mut site = Site::usual();
    let route = established(&mut site);
    let rings = ring(&mut site, "rings");
    site.reload(&without_eu());
    let left = site.listener("192.0.2.1:5060", ringfence::config::Transport::Udp);
    assert!(site.config.listener(left).leaving && site.core.is_needed(left));
    // The address is not the first listener's any more, and neither is the region the first.
    assert_ne!((left.0, site.config.listener(left).region.0), (0, 0));
    let sent = site.from(SERVER, &respond(&rings, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n"));
    assert_eq!((sent[0].line().as_str(), sent[0].to), ("SIP/2.0 200 Phrase", TRUNK.parse().unwrap()));
    let sent = site.from(TRUNK, &invite(EU, "10.1.0.20", "new"));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("161; reason=draining; region=eu"));
    assert_eq!(
        site.from(TRUNK, &request("OPTIONS", "sip:eu.sip.example.com", "ping"))[0].line(),
        "SIP/2.0 503 Service Unavailable"
    );
    let sent = site.from(TRUNK, &bye(&route));
    assert_eq!((sent[0].line().as_str(), sent[0].to), ("BYE sip:lk@10.1.0.5 SIP/2.0", SERVER.parse().unwrap()));
    assert_eq!(site.from(SERVER, &respond(&sent[0], 200, "u", ""))[0].line(), "SIP/2.0 200 Phrase");
    // The next configuration keeps what is needed, and only that.
    site.reload(&without_eu());
    let kept = site.listener("192.0.2.1:5060", ringfence::config::Transport::Udp);
    assert!(site.core.is_needed(kept));
    site.pass(Duration::from_secs(100));
    assert_eq!((site.core.transactions(), site.core.needed()), (0, Needed::default()));
    site.reload(&without_eu());
    assert!(site.config.listeners.iter().all(|listener| !listener.leaving));
    assert!(site.config.regions.iter().all(|region| !region.leaving));
}

#[test]
fn a_listener_that_comes_back_is_as_it_was() {
    let mut site = Site::usual();
    let rings = ring(&mut site, "rings");
    site.reload(&without_eu());
    site.reload(CONFIG);
    assert!(site.config.listeners.iter().all(|listener| !listener.leaving));
    assert_eq!(site.from(SERVER, &respond(&rings, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).len(), 1);
    assert_eq!(site.from(TRUNK, &invite(EU, "10.1.0.20", "new")).len(), 2);
}

#[test]
fn another_listener_of_the_region_serves_what_its_first_one_did() {
    let mut site = Site::usual();
    let route = established(&mut site);
    let rings = ring(&mut site, "rings");
    let moved = CONFIG.replace("\"udp:192.0.2.1:5060\"", "\"udp:192.0.2.9:5060\"");
    site.reload(&moved);
    // The next attempt leaves by the new one, and says so; the answer to the caller leaves by the old one.
    let next = site.from(SERVER, &respond(&rings, 503, "u", "")).remove(1);
    assert!(next.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.9:5060"), "{}", next.text());
    let second = crate::site::SECOND;
    assert_eq!(site.to("192.0.2.9:5060", second, respond(&next, 486, "u", "").as_bytes())[1].to, TRUNK.parse().unwrap());
    // Whoever asks the new address is in the same dialog.
    assert_eq!(site.to("192.0.2.9:5060", TRUNK, bye(&route).as_bytes())[0].to, SERVER.parse().unwrap());
}

#[test]
fn new_requests_are_left_to_the_successor_and_everything_open_goes_on() {
    let mut site = Site::usual();
    let route = established(&mut site);
    let rings = ring(&mut site, "rings");
    assert!(!site.core.is_settled());
    site.input(Input::Drain { successor: true });
    for text in [invite(EU, "10.1.0.20", "new"), bye(&route), request("OPTIONS", "sip:eu.sip.example.com", "ping")] {
        assert!(site.from(TRUNK, &text).is_empty());
        assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Successor));
    }
    // Nobody repeats an ACK.
    let ack = bye(&route).replace("BYE", "ACK").replace("CSeq: 2", "CSeq: 1");
    assert_eq!(site.from(TRUNK, &ack)[0].to, SERVER.parse().unwrap());
    // What came by a connection cannot be left to anybody.
    assert_eq!(
        site.stream(TRUNK, 7, &invite(EU, "10.1.0.20", "stream"))[0].header("X-Ringfence").unwrap().split(';').next(),
        Some("161")
    );
    assert_eq!(site.from(TRUNK, &invite(EU, "10.1.0.20", "rings")).len(), 1, "a repetition is answered");
    assert_eq!(site.from(SERVER, &respond(&rings, 486, "u", "")).len(), 2);
    assert!(!site.core.is_settled(), "the caller has not acknowledged");
    assert!(site.from(TRUNK, &invite(EU, "10.1.0.20", "rings").replace("INVITE", "ACK")).is_empty());
    assert!(site.core.is_settled() && site.core.transactions() > 0);
    // Longer silence would be an outage.
    site.pass(Duration::from_secs(4));
    let sent = site.from(TRUNK, &invite(EU, "10.1.0.20", "late"));
    assert_eq!(sent[0].header("X-Ringfence").as_deref(), Some("161; reason=draining; region=eu"));
}

#[test]
fn a_cancelled_call_is_settled_when_its_server_has_said_so() {
    let mut site = Site::usual();
    let rings = ring(&mut site, "rings");
    site.input(Input::Drain { successor: true });
    let cancel = invite(EU, "10.1.0.20", "rings").replace("INVITE", "CANCEL");
    assert_eq!(site.from(TRUNK, &cancel).len(), 2, "200 to it, and its like to the server");
    assert!(!site.core.is_settled());
    site.from(SERVER, &respond(&rings, 487, "u", ""));
    site.from(TRUNK, &invite(EU, "10.1.0.20", "rings").replace("INVITE", "ACK"));
    assert!(site.core.is_settled());
}
