//! Addresses outside: counted when they appear, for whoever's calls would go there; the rest of the answer serves.

use std::path::Path;
use std::sync::Arc;

use ringfence::config::Config;

use crate::server::NameServer;
use crate::{becomes, config_of, metric, resolver_of, servers};

const OUTSIDE: &str = "ringfence_dns_outside_total{region=\"eu\"}";

#[tokio::test]
async fn counted_once_as_long_as_they_stay() {
    let server = NameServer::start("a.example.net 0 A 10.0.0.1\na.example.net 0 A 192.0.2.1");
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], "sip:a.example.net:5060", ""));
    becomes(&mut resolver, &["10.0.0.1", "192.0.2.1"]).await;
    assert_eq!(metric(&metrics, OUTSIDE), 1);
    for (zone, addresses, counted) in [
        ("a.example.net 0 A 192.0.2.1\na.example.net 0 A 10.0.0.1", vec!["192.0.2.1", "10.0.0.1"], 1),
        ("a.example.net 0 A 192.0.2.1\na.example.net 0 A 192.0.2.2", vec!["192.0.2.1", "192.0.2.2"], 2),
        ("a.example.net 0 A 10.0.0.1", vec!["10.0.0.1"], 2),
        ("a.example.net 0 A 192.0.2.2", vec!["192.0.2.2"], 3),
    ] {
        server.now_says(zone);
        becomes(&mut resolver, &addresses).await;
        assert_eq!(metric(&metrics, OUTSIDE), counted, "{zone}");
    }
    let same = resolver.replaced(config_of(&[&server], "sip:a.example.net:5060", "stale = \"2h\"\n")).unwrap();
    assert_eq!(metric(&metrics, OUTSIDE), 3, "a reload is no change in the zone");
    drop(same);
}

#[tokio::test]
async fn one_server_of_a_service_outside() {
    let server = NameServer::start(
        "_sip._udp.example.net 60 SRV 0 0 5060 a.example.net
         _sip._udp.example.net 60 SRV 0 0 5060 b.example.net
         a.example.net 60 A 10.0.0.1
         b.example.net 60 A 192.0.2.1",
    );
    let (mut resolver, metrics) = resolver_of(config_of(&[&server], "sip:example.net;transport=udp", ""));
    becomes(&mut resolver, &["10.0.0.1", "192.0.2.1"]).await;
    assert_eq!(metric(&metrics, OUTSIDE), 1);
    assert_eq!(servers(&resolver).len(), 2, "the fence drops it at use, and has to see it to tell outside from nothing");
}

/// Two regions served, one that stands in for them, one that nobody uses; a pinned project and one that is not.
fn many(server: &NameServer) -> Arc<Config> {
    let text = format!(
        "serve = [\"eu\", \"us\"]
         [region.eu]
         hostname = \"eu.sip.example.com\"
         listen = [\"udp:127.0.0.1:5060\"]
         networks = [\"10.0.0.0/16\"]
         upstream = \"sip:shared.example.net:5060\"
         nearest = [\"uk\"]
         [region.us]
         hostname = \"us.sip.example.com\"
         listen = [\"udp:127.0.0.2:5060\"]
         networks = [\"10.1.0.0/16\"]
         upstream = [\"sip:shared.example.net:5060\", \"10.1.0.1\"]
         [region.uk]
         hostname = \"uk.sip.example.com\"
         networks = [\"10.2.0.0/16\"]
         upstream = \"sip:uk.example.net:5060\"
         [region.au]
         hostname = \"au.sip.example.com\"
         networks = [\"10.3.0.0/16\"]
         upstream = \"sip:au.example.net:5060\"
         [project.pinned]
         pin = [\"us\"]
         [project.pinned.trunk.one]
         networks = [\"198.51.100.0/24\"]
         uri = \"sip:pinned.example.net:5060\"
         outbound_networks = [\"198.51.100.0/24\"]
         [project.free]
         [project.free.trunk.two]
         networks = [\"203.0.113.0/24\"]
         uri = \"sip:free.example.net:5060\"
         outbound_networks = [\"203.0.113.0/24\"]
         [dns]
         servers = [\"{}\"]",
        server.addr
    );
    Arc::new(ringfence::config::parse(Path::new("test.toml"), &text).unwrap())
}

#[tokio::test]
async fn counted_for_each_region_whose_calls_would_go_there() {
    let all = ["shared", "uk", "au", "pinned", "free"];
    let nothing = all.map(|name| format!("{name}.example.net 0 SRV 0 0 1 x")).join("\n");
    for (name, address, expected) in [
        ("shared", "10.0.0.1", [("eu", 0), ("us", 1), ("uk", 0)]),
        ("shared", "10.9.0.1", [("eu", 1), ("us", 1), ("uk", 0)]),
        ("uk", "10.0.0.1", [("eu", 0), ("us", 0), ("uk", 1)]),
        ("uk", "10.2.0.1", [("eu", 0), ("us", 0), ("uk", 0)]),
        ("au", "10.9.0.1", [("eu", 0), ("us", 0), ("uk", 0)]),
        ("pinned", "10.1.0.1", [("eu", 0), ("us", 1), ("uk", 0)]),
        ("free", "198.51.100.1", [("eu", 1), ("us", 1), ("uk", 0)]),
        ("free", "203.0.113.1", [("eu", 0), ("us", 0), ("uk", 0)]),
    ] {
        let server = NameServer::start(&format!("{nothing}\n{name}.example.net 60 A {address}"));
        let (mut resolver, metrics) = resolver_of(many(&server));
        for trunk in &resolver.status()[3..] {
            assert!(!trunk.kept);
            resolver.keep(&trunk.next_hop);
        }
        while resolver.status().iter().any(|name| !name.known) {
            crate::changed(&mut resolver).await;
        }
        for (region, count) in expected {
            let series = format!("ringfence_dns_outside_total{{region=\"{region}\"}}");
            assert_eq!(metric(&metrics, &series), count, "{name} {address} for {region}");
        }
        assert!(!metrics.render().contains("region=\"au\""), "a region that no call goes to has no series");
    }
}
