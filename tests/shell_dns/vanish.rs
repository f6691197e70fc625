//! A name that loses its last address, and names of trunks, which are looked up while calls go out to them.

use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use ringfence::config::{Config, NameId};
use ringfence::dns::Resolver;

use crate::server::NameServer;
use crate::{becomes, changed, config_of, lookups, metric, resolved, resolver_of, servers, unchanged_until};

const UPSTREAM: &str = "sip:a.example.net:5060";
const VANISHED: &str = "ringfence_dns_vanished_total{region=\"eu\"}";

#[tokio::test]
async fn a_name_that_vanishes_is_used_as_it_was_until_it_is_back() {
    for gone in ["", "a.example.net 0 SRV 0 0 1 x"] {
        let server = NameServer::start("a.example.net 0 A 10.0.0.1");
        let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
        becomes(&mut resolver, &["10.0.0.1"]).await;
        assert_eq!(metric(&metrics, VANISHED), 0);
        server.now_says(gone);
        let none = || lookups(&metrics, "A", "none") >= 1 && metric(&metrics, VANISHED) == 1;
        unchanged_until(&mut resolver, none).await;
        assert_eq!(resolved(&resolver), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
        let left = resolver.status()[0].vanished.unwrap();
        assert!(left > Duration::ZERO && left <= Duration::from_secs(30), "{left:?}");
        // A reload is no reason to believe it sooner.
        resolver = resolver.replaced(config_of(&[&server], UPSTREAM, "stale = \"2h\"\n")).unwrap();
        assert!(resolver.status()[0].vanished.is_some_and(|now| now <= left));
        server.now_says("a.example.net 0 A 10.0.0.2");
        becomes(&mut resolver, &["10.0.0.2"]).await;
        assert_eq!((resolver.status()[0].vanished, metric(&metrics, VANISHED)), (None, 1));
    }
}

#[tokio::test]
async fn after_a_while_it_is_believed() {
    for (vanish, counted) in [("1s", 1), ("0s", 0)] {
        let server = NameServer::start("a.example.net 0 A 10.0.0.1");
        let more = format!("vanish = \"{vanish}\"\n");
        let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, &more));
        becomes(&mut resolver, &["10.0.0.1"]).await;
        server.now_says("");
        becomes(&mut resolver, &[]).await;
        assert_eq!((resolver.status()[0].vanished, metric(&metrics, VANISHED)), (None, counted), "{vanish}");
        server.now_says("a.example.net 0 A 10.0.0.2");
        becomes(&mut resolver, &["10.0.0.2"]).await;
    }
}

#[tokio::test]
async fn a_service_that_vanishes_with_all_its_records_too() {
    let zone = "_sip._udp.example.net 0 SRV 0 0 5060 a.example.net\na.example.net 0 A 10.0.0.1";
    // All of it, or the addresses alone.
    for gone in ["", "_sip._udp.example.net 0 SRV 0 0 5060 a.example.net"] {
        let server = NameServer::start(zone);
        let (mut resolver, metrics) = resolver_of(config_of(&[&server], "sip:example.net;transport=udp", ""));
        becomes(&mut resolver, &["10.0.0.1"]).await;
        server.now_says(gone);
        unchanged_until(&mut resolver, || metric(&metrics, VANISHED) == 1).await;
        assert_eq!(servers(&resolver), ["0 0 udp 10.0.0.1:5060"]);
    }
}

#[tokio::test]
async fn addresses_outside_are_an_answer_and_silence_is_none() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1");
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], UPSTREAM, ""));
    becomes(&mut resolver, &["10.0.0.1"]).await;
    server.now_says("* * servfail");
    unchanged_until(&mut resolver, || lookups(&metrics, "A", "failed") >= 1).await;
    server.now_says("a.example.net 0 A 192.0.2.1");
    becomes(&mut resolver, &["192.0.2.1"]).await;
    assert_eq!(metric(&metrics, VANISHED), 0);
}

/// Region eu, and a trunk with this `uri`.
fn with_trunk(server: &NameServer, uri: &str) -> Arc<Config> {
    let text = format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
         networks = [\"10.0.0.0/8\"]\nupstream = \"{UPSTREAM}\"\n[project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\n\
         networks = [\"192.0.2.0/24\"]\nuri = \"{uri}\"\n[dns]\nservers = [\"{}\"]\n",
        server.addr
    );
    Arc::new(ringfence::config::parse(Path::new("test.toml"), &text).unwrap())
}

/// The trunk's addresses.
fn of_trunk(resolver: &Resolver) -> Vec<String> {
    let servers = resolver.targets().servers(NameId(1)).to_vec();
    servers.iter().flat_map(|server| &server.addresses).map(ToString::to_string).collect()
}

#[tokio::test]
async fn a_trunks_name_is_looked_up_while_calls_go_out_to_it() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1\ngw.example.net 0 A 192.0.2.9");
    let (mut resolver, metrics) = resolver_of(with_trunk(&server, "sip:gw.example.net:5060"));
    // Once and again.
    unchanged_or_known(&mut resolver, || lookups(&metrics, "A", "ok") >= 2).await;
    let asked = |server: &NameServer| server.asked().iter().filter(|asked| asked.contains("gw.")).count();
    assert_eq!(asked(&server), 0, "nobody calls it");
    assert!(resolver.targets().serves(&with_trunk(&server, "sip:gw.example.net:5060")), "and nobody waits for it");
    let next_hop = resolver.status()[1].next_hop.clone();
    assert!(!resolver.status()[1].kept && !resolver.keep(&next_hop), "asked for, not known yet");
    while of_trunk(&resolver) != ["192.0.2.9:5060"] {
        changed(&mut resolver).await;
    }
    assert!(resolver.status()[1].kept);
    server.now_says("a.example.net 0 A 10.0.0.1\ngw.example.net 0 A 192.0.2.10");
    while of_trunk(&resolver) != ["192.0.2.10:5060"] {
        changed(&mut resolver).await;
    }
    // A reload keeps what is in use, and asks for no new name before it is called.
    let same = resolver.replaced(with_trunk(&server, "sip:gw.example.net:5060")).unwrap();
    assert!(same.status()[1].kept && of_trunk(&same) == ["192.0.2.10:5060"]);
    let mut other = resolver.replaced(with_trunk(&server, "sip:gw2.example.net:5060")).unwrap();
    assert!(!other.status()[1].kept && !other.keep(&next_hop), "nobody's any more");
    // What another name has found already is known at once.
    let mut twin = resolver.replaced(with_trunk(&server, "sip:a.example.net:5070")).unwrap();
    let next_hop = twin.status()[1].next_hop.clone();
    assert!(twin.keep(&next_hop) && of_trunk(&twin) == ["10.0.0.1:5070"]);
}

/// Lets the resolver work until something is so.
async fn unchanged_or_known(resolver: &mut Resolver, so: impl Fn() -> bool) {
    while !so() {
        let _ = tokio::time::timeout(Duration::from_millis(50), resolver.changed()).await;
    }
}
