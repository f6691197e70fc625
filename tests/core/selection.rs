//! In which order the servers of a name are tried: ranks, weights, hops.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use ringfence::config::NameId;
use ringfence::core::io::Input;
use ringfence::dns::Resolved;

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, named, respond, servers};

/// A region whose first hop is a name.
fn site(upstream: &str) -> Site {
    let text = crate::site::CONFIG
        .replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, upstream)
        .replace("per_source = \"50/s\"", "per_source = \"1000000/s\"");
    Site::new(&text)
}

fn call(site: &mut Site, id: &str) -> Sent {
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", id)).remove(1)
}

/// Where so many calls go first.
fn firsts(site: &mut Site, calls: u32) -> HashMap<SocketAddr, u32> {
    let mut counts = HashMap::new();
    for id in 0..calls {
        *counts.entry(call(site, &format!("w{id}")).to).or_default() += 1;
    }
    counts
}

/// Everywhere that a call goes, as each server fails.
fn way(site: &mut Site, id: &str) -> Vec<SocketAddr> {
    let mut sent = call(site, id);
    let mut way = vec![sent.to];
    loop {
        let next = site.input(Input::Failed(sent.attempt.unwrap())).remove(0);
        if next.to == TRUNK.parse().unwrap() {
            return way;
        }
        way.push(next.to);
        sent = next;
    }
}

#[test]
fn weights_share_ten_thousand_calls() {
    let mut site = site(r#""sip:lk.eu.internal""#);
    named(&mut site, &[(0, 10, "10.1.0.5"), (0, 20, "10.1.0.6"), (0, 70, "10.1.0.7")]);
    let counts = firsts(&mut site, 10_000);
    for (address, share) in [(SERVER, 1000_u32), (SECOND, 2000), ("10.1.0.7:5060", 7000)] {
        assert!(counts[&address.parse().unwrap()].abs_diff(share) < 200, "{counts:?}");
    }
}

#[test]
fn weight_0_is_rarely_first() {
    let mut site = site(r#""sip:lk.eu.internal""#);
    named(&mut site, &[(0, 0, "10.1.0.5"), (0, 100, "10.1.0.6")]);
    let counts = firsts(&mut site, 5000);
    assert!((1..150).contains(&counts[&SERVER.parse().unwrap()]), "{counts:?}");
}

#[test]
fn a_higher_rank_waits_for_all_of_the_lower() {
    let mut site = site(r#""sip:lk.eu.internal""#);
    named(&mut site, &[(0, 50, "10.1.0.5"), (0, 50, "10.1.0.6"), (1, 0, "10.1.0.7"), (2, 0, "10.1.0.8")]);
    let way = way(&mut site, "one");
    let mut first = way[..2].to_vec();
    first.sort_unstable();
    assert_eq!(first, [SERVER.parse().unwrap(), SECOND.parse().unwrap()]);
    assert_eq!(way[2..], ["10.1.0.7:5060".parse().unwrap(), "10.1.0.8:5060".parse().unwrap()]);
}

#[test]
fn hops_keep_their_order_and_nobody_is_asked_twice() {
    let mut site = site(r#"["10.1.0.9", "sip:lk.eu.internal", "10.1.0.6"]"#);
    named(&mut site, &[(0, 1, "10.1.0.6"), (1, 1, "10.1.0.5"), (2, 1, "10.1.0.5")]);
    let expected: Vec<SocketAddr> = ["10.1.0.9:5060", SECOND, SERVER].map(|text| text.parse().unwrap()).to_vec();
    assert_eq!(way(&mut site, "one"), expected);
}

#[test]
fn what_is_outside_is_passed_over_and_the_rest_serves() {
    let mut site = site(r#""sip:lk.eu.internal""#);
    named(&mut site, &[(0, 1, "10.9.0.5"), (1, 1, "10.1.0.6"), (2, 1, "203.0.113.77")]);
    assert_eq!(way(&mut site, "one"), [SECOND.parse().unwrap()]);
}

#[test]
fn eight_are_tried_at_most_however_many_there_are() {
    let mut site = site(r#""sip:lk.eu.internal""#);
    let list: Vec<_> = (1..=200).map(|last| (0, 1, format!("10.1.1.{last}"))).collect();
    let list: Vec<_> = list.iter().map(|(rank, weight, ip)| (*rank, *weight, ip.as_str())).collect();
    named(&mut site, &list);
    assert_eq!(way(&mut site, "one").len(), 8);
}

/// The name resolves to one server with these addresses.
fn addressed(site: &mut Site, addresses: &[&str]) {
    let mut targets = Resolved::unknown(site.config.names.len());
    for (id, name) in (0..).map(NameId).zip(&site.config.names) {
        targets.set(id, servers(name, addresses));
    }
    site.input(Input::Resolved(Arc::new(targets)));
}

/// A call that comes again with credentials: another branch, another `CSeq`, the same Call-ID and From-tag.
fn again(text: &str) -> String {
    text.replace("branch=z9hG4bK", "branch=z9hG4bKagain")
        .replace("CSeq: 1 INVITE", "CSeq: 2 INVITE\r\nProxy-Authorization: Digest a=b")
}

/// Calls in, and calls out by the same kind of name: each comes twice. `turned`: what the name servers say in between.
fn comes_again(out: bool, known: &dyn Fn(&mut Site), turned: &dyn Fn(&mut Site)) -> HashMap<SocketAddr, u32> {
    let text = crate::site::CONFIG
        .replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:lk.eu.internal""#)
        .replace("sip:acme.pstn.example.net:5080;transport=udp", "sip:lk.eu.internal")
        .replace(r#"outbound_networks = ["198.51.100.0/24"]"#, r#"outbound_networks = ["10.1.0.0/16"]"#)
        .replace(
            r#"networks = ["10.1.0.0/16", "2001"#,
            r#"servers = ["10.1.0.0/24"]
networks = ["10.1.0.0/16", "2001"#,
        )
        .replace("per_source = \"50/s\"", "per_source = \"1000000/s\"");
    let (mut one, mut other) = (Site::new(&text), Site::new(&text));
    let (from, host) = if out { ("10.1.0.99:5060", "carrier.acme") } else { (TRUNK, "acme") };
    let mut counts = HashMap::new();
    for id in 0..400 {
        let text = invite(&format!("{host}.eu.sip.example.com"), "10.1.0.20", &format!("c{id}"));
        known(&mut one);
        let first = one.from(from, &text).remove(1);
        one.from(&first.to.to_string(), &respond(&first, 407, "u", "Proxy-Authenticate: Digest realm=\"x\", nonce=\"y\"\r\n"));
        turned(&mut one);
        turned(&mut other);
        for site in [&mut one, &mut other] {
            assert_eq!(site.from(from, &again(&text))[1].to, first.to, "call {id}");
        }
        *counts.entry(first.to).or_default() += 1;
    }
    counts
}

#[test]
fn a_call_that_comes_again_goes_to_the_same_server() {
    for out in [false, true] {
        let records = |site: &mut Site| named(site, &[(0, 10, "10.1.0.5"), (0, 20, "10.1.0.6"), (0, 70, "10.1.0.7")]);
        let turned = |site: &mut Site| named(site, &[(0, 70, "10.1.0.7"), (0, 10, "10.1.0.5"), (0, 20, "10.1.0.6")]);
        let counts = comes_again(out, &records, &turned);
        for (address, share) in [(SERVER, 40_u32), (SECOND, 80), ("10.1.0.7:5060", 280)] {
            assert!(counts[&address.parse().unwrap()].abs_diff(share) < 35, "{counts:?}");
        }
        let addresses = |site: &mut Site| addressed(site, &["10.1.0.5", "10.1.0.6", "10.1.0.7", "10.1.0.8"]);
        let turned = |site: &mut Site| addressed(site, &["10.1.0.7", "10.1.0.8", "10.1.0.5", "10.1.0.6"]);
        let counts = comes_again(out, &addresses, &turned);
        assert!(counts.len() == 4 && counts.values().all(|count| count.abs_diff(100) < 40), "{counts:?}");
    }
}
