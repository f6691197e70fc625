//! Name servers that fail while calls run: old answers serve, no call waits, and it heals.

use super::nsd::Nsd;
use super::sipp::{Server, Sipp};
use super::unbound::Unbound;
use super::{plan, zone};
use crate::harness::metrics::Metrics;
use crate::harness::{Daemon, Site};

const RATE: u32 = 50;

/// Waits until the answers that serve are beyond their TTL, and then for more calls: they are placed by those answers.
fn is_stale(daemon: &Daemon, failures: u64) -> u64 {
    let failed = |metrics: &Metrics| metrics.sum("ringfence_dns_lookups_total", &[("result", "failed")]);
    let stale = |metrics: &Metrics| metrics.most("ringfence_dns_stale_seconds", &[("region", "eu")]);
    let then = daemon.metrics_when("stale answers", |metrics| stale(metrics) > Some(0.0) && failed(metrics) > failures);
    let (calls, before) = (then.verdicts("accept", "in-region"), stale(&then));
    let now = daemon.metrics_when("calls by stale answers", |metrics| {
        metrics.verdicts("accept", "in-region") >= calls + u64::from(RATE) / 2 && stale(metrics) > before
    });
    failed(&now)
}

fn is_fresh(daemon: &Daemon) {
    daemon.metrics_when("fresh answers", |metrics| metrics.most("ringfence_dns_stale_seconds", &[("region", "eu")]) == Some(0.0));
}

/// A site whose servers are behind a name, and calls that go on until the test ends them.
fn scene(site: &Site, dns: std::net::SocketAddr) -> (Daemon, [Server; 2], Sipp) {
    let servers = [10, 11].map(|last| Server::start(site, site.eu(last)));
    let daemon = Daemon::start(site, &plan(site, dns, "sip:lk.internal.example"));
    is_fresh(&daemon);
    (daemon, servers, Sipp::calls(site, RATE))
}

/// All calls were answered, and the daemon has refused none.
fn all_served(daemon: &Daemon, calls: Sipp) {
    calls.end();
    let metrics = daemon.metrics();
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    assert_eq!(daemon.get("/readyz").0, 200);
}

fn records(site: &Site) -> String {
    zone::servers("lk", &[(1, 1, site.eu(10)), (1, 1, site.eu(11))])
}

#[test]
fn a_recursive_server_that_fails_is_outlived() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 1, &records(&site));
    let (authority, unbound) = (nsd.addr, Unbound::before(&site, nsd.addr));
    let (daemon, _servers, calls) = scene(&site, unbound.addr);
    // SERVFAIL: nobody knows.
    drop(nsd);
    let failures = is_stale(&daemon, 0);
    assert!(failures > 0);
    let _nsd = Nsd::serve_at(&site, authority, 1, &records(&site));
    is_fresh(&daemon);
    all_served(&daemon, calls);
}

#[test]
fn name_servers_that_are_silent_or_gone_are_outlived() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 1, &records(&site));
    let unbound = Unbound::before(&site, nsd.addr);
    let (daemon, _servers, calls) = scene(&site, unbound.addr);
    // Silence.
    unbound.signal("STOP");
    let failures = is_stale(&daemon, 0);
    unbound.signal("CONT");
    is_fresh(&daemon);
    // A closed port: ICMP.
    drop(unbound);
    is_stale(&daemon, failures);
    let _unbound = Unbound::before(&site, nsd.addr);
    is_fresh(&daemon);
    all_served(&daemon, calls);
}
