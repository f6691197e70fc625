//! The resolver against name servers that answer, refuse, are silent and change their mind.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fmt::Debug;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use ringfence::config::{Config, NameId, Transport};
use ringfence::dns::{Resolved, Resolver};
use ringfence::telemetry::Metrics;

mod addresses;
mod lookup;
mod outside;
mod server;
mod services;
mod vanish;

use server::NameServer;

const PATIENCE: Duration = Duration::from_secs(60);

/// A region `eu` whose upstream is this, in 10.0.0.0/8 and `2001:db8::/32`.
fn config_of(servers: &[&NameServer], upstream: &str, more: &str) -> Arc<Config> {
    let servers: Vec<String> = servers.iter().map(|server| format!("\"{}\"", server.addr)).collect();
    let text = format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
         networks = [\"10.0.0.0/8\", \"2001:db8::/32\"]\nupstream = {upstream:?}\n\
         [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\nnetworks = [\"192.0.2.0/24\"]\n\
         [dns]\nservers = [{}]\n{more}",
        servers.join(", ")
    );
    Arc::new(ringfence::config::parse(Path::new("test.toml"), &text).unwrap())
}

fn resolver_of(config: Arc<Config>) -> (Resolver, Arc<Metrics>) {
    let metrics = Arc::new(Metrics::new());
    (Resolver::new(config, Arc::clone(&metrics)).unwrap(), metrics)
}

async fn changed(resolver: &mut Resolver) -> Resolved {
    tokio::time::timeout(PATIENCE, resolver.changed()).await.unwrap()
}

/// Lines of a zone, one for each number.
fn zone_of(numbers: std::ops::Range<u16>, lines: impl Fn(u16) -> String) -> String {
    numbers.map(lines).collect::<Vec<_>>().join("\n")
}

/// The first name's addresses, in order.
fn resolved(resolver: &Resolver) -> Vec<IpAddr> {
    let targets = resolver.targets();
    targets.servers(NameId(0)).iter().flat_map(|server| &server.addresses).map(SocketAddr::ip).collect()
}

/// The first name's servers: `rank weight transport addresses`.
fn servers(resolver: &Resolver) -> Vec<String> {
    described(resolver.targets().servers(NameId(0)))
}

fn described(servers: &[ringfence::dns::Server]) -> Vec<String> {
    let line = |server: &ringfence::dns::Server| {
        let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
        let transport = server.transport.map_or("any", Transport::token);
        format!("{} {} {transport} {}", server.rank, server.weight, addresses.join(","))
    };
    servers.iter().map(line).collect()
}

/// Changes until there is this one.
async fn becomes(resolver: &mut Resolver, addresses: &[&str]) {
    let wanted: Vec<IpAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
    while resolved(resolver) != wanted || !resolver.targets().is_known(NameId(0)) {
        changed(resolver).await;
    }
}

/// Lets the resolver work until something is so; what it serves must not change meanwhile.
async fn unchanged_until(resolver: &mut Resolver, so: impl Fn() -> bool) {
    let served = |resolved: &Resolved| (resolved.is_known(NameId(0)), described(resolved.servers(NameId(0))));
    let before = served(&resolver.targets());
    let waited = async {
        while !so() {
            // Of a failure no change comes but what it is: look again whenever the time is up.
            if let Ok(told) = tokio::time::timeout(Duration::from_millis(50), resolver.changed()).await {
                assert!(served(&told) == before && told.failure(NameId(0)).is_some(), "{told:?}");
            }
        }
    };
    tokio::time::timeout(PATIENCE, waited).await.unwrap();
}

fn value<T: FromStr<Err: Debug>>(metrics: &Metrics, series: &str) -> T {
    let text = metrics.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there:\n{text}")).parse().unwrap()
}

fn metric(metrics: &Metrics, series: &str) -> u64 {
    value(metrics, series)
}

/// `ringfence_dns_stale_seconds` of the region.
fn stale(metrics: &Metrics) -> f64 {
    value(metrics, "ringfence_dns_stale_seconds{region=\"eu\"}")
}

fn lookups(metrics: &Metrics, kind: &str, result: &str) -> u64 {
    metric(metrics, &format!("ringfence_dns_lookups_total{{type=\"{kind}\",result=\"{result}\"}}"))
}
