//! The resolver against a name server that answers, refuses, is silent and changes its mind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ringfence::config::{Config, NameId};
use ringfence::dns::{Resolver, Targets};
use ringfence::telemetry::Metrics;

const PATIENCE: Duration = Duration::from_secs(10);

/// What the server says of a name, for A and for AAAA.
#[derive(Clone, Debug)]
enum Says {
    Addresses(Vec<&'static str>, u32),
    NoName,
    NoRecord,
    Failure,
    Silence,
}

/// A name server on loopback that says of every name what it is told to.
#[derive(Clone)]
struct Server {
    addr: SocketAddr,
    says: Arc<Mutex<[Says; 2]>>,
}

impl Server {
    fn start(v4: Says, v6: Says) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let server = Self { addr: socket.local_addr().unwrap(), says: Arc::new(Mutex::new([v4, v6])) };
        let says = Arc::clone(&server.says);
        // Ends with the test's process.
        std::thread::spawn(move || {
            let mut buffer = [0; 1500];
            while let Ok((length, from)) = socket.recv_from(&mut buffer) {
                let [v4, v6] = says.lock().unwrap().clone();
                if let Some(answer) = answer(&buffer[..length], &v4, &v6) {
                    socket.send_to(&answer, from).unwrap();
                }
            }
        });
        server
    }

    fn now_says(&self, v4: Says, v6: Says) {
        *self.says.lock().unwrap() = [v4, v6];
    }

    fn config(&self, more: &str) -> Arc<Config> {
        self.config_of("sip:a.example.net", more)
    }

    fn config_of(&self, upstream: &str, more: &str) -> Arc<Config> {
        let text = format!(
            "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nupstream = {upstream:?}\n\
             [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\nnetworks = [\"192.0.2.0/24\"]\n\
             [dns]\nservers = [\"{}\"]\n{more}",
            self.addr
        );
        Arc::new(ringfence::config::parse(Path::new("test.toml"), &text).unwrap())
    }

    fn resolver(&self, more: &str) -> (Resolver, Arc<Metrics>) {
        let metrics = Arc::new(Metrics::new());
        (Resolver::new(self.config(more), Arc::clone(&metrics)).unwrap(), metrics)
    }
}

/// RFC 1035 4: the question back, with what is said of it.
fn answer(query: &[u8], v4: &Says, v6: &Says) -> Option<Vec<u8>> {
    let name_end = 12 + query[12..].iter().position(|&octet| octet == 0)? + 1;
    let question = &query[12..name_end + 4];
    let kind = u16::from_be_bytes([query[name_end], query[name_end + 1]]);
    let says = if kind == 1 { v4 } else { v6 };
    let code = match says {
        Says::Silence => return None,
        Says::Failure => 2,
        Says::NoName => 3,
        Says::Addresses(..) | Says::NoRecord => 0,
    };
    let (addresses, ttl) = match says {
        Says::Addresses(addresses, ttl) => (addresses.as_slice(), *ttl),
        _ => (&[][..], 0),
    };
    let mut out = query[..2].to_vec();
    out.extend([0x84, 0x80 | code, 0, 1, 0, u8::try_from(addresses.len()).unwrap(), 0, 0, 0, 0]);
    out.extend(question);
    for address in addresses {
        let octets = match address.parse().unwrap() {
            IpAddr::V4(ip) => ip.octets().to_vec(),
            IpAddr::V6(ip) => ip.octets().to_vec(),
        };
        out.extend([0xc0, 12]);
        out.extend(kind.to_be_bytes());
        out.extend([0, 1]);
        out.extend(ttl.to_be_bytes());
        out.extend([0, u8::try_from(octets.len()).unwrap()]);
        out.extend(octets);
    }
    Some(out)
}

async fn changed(resolver: &mut Resolver) -> Targets {
    tokio::time::timeout(PATIENCE, resolver.changed()).await.unwrap()
}

fn resolved(resolver: &Resolver) -> Vec<IpAddr> {
    let targets = resolver.targets();
    targets.servers(NameId(0)).iter().flat_map(|server| &server.addresses).map(SocketAddr::ip).collect()
}

/// Changes until there is this one.
async fn becomes(resolver: &mut Resolver, addresses: &[&str]) {
    let wanted: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    while resolved(resolver) != wanted || !resolver.targets().all_known() {
        changed(resolver).await;
    }
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there:\n{text}")).parse().unwrap()
}

#[tokio::test]
async fn both_families_in_the_order_of_the_zone() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.2", "10.0.0.1"], 60), Says::Addresses(vec!["2001:db8::1"], 60));
    let (mut resolver, metrics) = server.resolver("");
    assert!(!resolver.targets().all_known());
    becomes(&mut resolver, &["10.0.0.2", "10.0.0.1", "2001:db8::1"]).await;
    assert_eq!(metric(&metrics, "ringfence_dns_lookups_total{type=\"A\",result=\"ok\"}"), 1);
    assert_eq!(metric(&metrics, "ringfence_dns_lookups_total{type=\"AAAA\",result=\"ok\"}"), 1);
    assert_eq!(metric(&metrics, "ringfence_dns_outside_total{region=\"eu\"}"), 0);
}

#[tokio::test]
async fn a_change_in_the_zone_arrives_when_the_ttl_says_so() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.1"], 0), Says::NoRecord);
    let (mut resolver, _) = server.resolver("");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    let start = std::time::Instant::now();
    server.now_says(Says::Addresses(vec!["10.0.0.9"], 60), Says::NoRecord);
    becomes(&mut resolver, &["10.0.0.9"]).await;
    assert!(start.elapsed() < Duration::from_secs(3), "a TTL of 0 is asked again after a second: {:?}", start.elapsed());
}

#[tokio::test]
async fn an_old_answer_serves_while_dns_is_down() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.1"], 0), Says::NoRecord);
    let (mut resolver, metrics) = server.resolver("stale = \"1h\"\n");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    server.now_says(Says::Failure, Says::Failure);
    let failed = "ringfence_dns_lookups_total{type=\"A\",result=\"failed\"}";
    while metric(&metrics, failed) < 2 {
        // No change comes of a failure: look again whenever the time is up.
        let waited = tokio::time::timeout(Duration::from_millis(100), resolver.changed()).await;
        assert!(waited.is_err(), "{waited:?}");
    }
    assert_eq!(resolved(&resolver), ["10.0.0.1".parse::<IpAddr>().unwrap()]);
    assert!(resolver.targets().all_known());
    server.now_says(Says::Addresses(vec!["10.0.0.2"], 60), Says::NoRecord);
    becomes(&mut resolver, &["10.0.0.2"]).await;
}

#[tokio::test]
async fn a_stale_answer_ends_when_it_may_serve_no_longer() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.1"], 0), Says::NoRecord);
    let (mut resolver, metrics) = server.resolver("stale = \"0s\"\n");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    // One family is enough to be known; that nothing is left needs an answer from both.
    while metric(&metrics, "ringfence_dns_lookups_total{type=\"AAAA\",result=\"none\"}") < 1 {
        let waited = tokio::time::timeout(Duration::from_millis(100), resolver.changed()).await;
        assert!(waited.is_err(), "{waited:?}");
    }
    server.now_says(Says::Failure, Says::Failure);
    becomes(&mut resolver, &[]).await;
}

#[tokio::test]
async fn names_that_do_not_exist_are_known_to_be_empty() {
    for says in [Says::NoName, Says::NoRecord] {
        let server = Server::start(says.clone(), says);
        let (mut resolver, metrics) = server.resolver("");
        becomes(&mut resolver, &[]).await;
        assert_eq!(metric(&metrics, "ringfence_dns_lookups_total{type=\"A\",result=\"none\"}"), 1);
    }
}

#[tokio::test]
async fn what_nobody_answers_stays_unknown_until_somebody_does() {
    for says in [Says::Failure, Says::Silence] {
        let server = Server::start(says.clone(), says);
        let (mut resolver, metrics) = server.resolver("");
        let failed = "ringfence_dns_lookups_total{type=\"A\",result=\"failed\"}";
        while metric(&metrics, failed) < 1 {
            let waited = tokio::time::timeout(Duration::from_millis(100), resolver.changed()).await;
            assert!(waited.is_err(), "{waited:?}");
        }
        assert!(!resolver.targets().all_known());
        // One family is enough to place calls.
        server.now_says(Says::Addresses(vec!["10.0.0.1"], 60), Says::Failure);
        becomes(&mut resolver, &["10.0.0.1"]).await;
    }
}

#[tokio::test]
async fn addresses_outside_are_counted_once_as_long_as_they_stay() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.1", "192.0.2.1"], 0), Says::NoRecord);
    let (mut resolver, metrics) = server.resolver("");
    let outside = "ringfence_dns_outside_total{region=\"eu\"}";
    becomes(&mut resolver, &["10.0.0.1", "192.0.2.1"]).await;
    assert_eq!(metric(&metrics, outside), 1);
    server.now_says(Says::Addresses(vec!["192.0.2.1", "10.0.0.1"], 0), Says::NoRecord);
    becomes(&mut resolver, &["192.0.2.1", "10.0.0.1"]).await;
    assert_eq!(metric(&metrics, outside), 1, "the same address in another place");
    server.now_says(Says::Addresses(vec!["192.0.2.1", "192.0.2.2"], 0), Says::NoRecord);
    becomes(&mut resolver, &["192.0.2.1", "192.0.2.2"]).await;
    assert_eq!(metric(&metrics, outside), 2);
}

#[tokio::test]
async fn another_configuration_keeps_what_is_known_of_its_names() {
    let server = Server::start(Says::Addresses(vec!["10.0.0.1"], 60), Says::NoRecord);
    let (mut resolver, _) = server.resolver("");
    becomes(&mut resolver, &["10.0.0.1"]).await;
    server.now_says(Says::Silence, Says::Silence);
    let same = resolver.replaced(server.config("stale = \"2h\"\n")).unwrap();
    assert_eq!(same.targets(), resolver.targets());
    let other = resolver.replaced(server.config_of("sip:b.example.net", "")).unwrap();
    assert!(!other.targets().all_known(), "another name is another question");
}
