//! Servers that die while calls run, and come back: every call is served, and the dead one is left alone until it is back.
//!
//! In a network namespace, where every INVITE that is sent can be counted, whether it gets there or not.

use super::apart::{Filter, apart};
use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::sipp::{Server, Sipp};
use super::{plan, zone};
use crate::harness::{Daemon, Site, await_some};

const RATE: u32 = 100;
const LAST: [u8; 3] = [10, 11, 12];

/// A daemon in front of a name with three servers, and calls that go on until the test ends them.
struct Scene {
    daemon: Daemon,
    filter: Filter,
    calls: Sipp,
    _nsd: Nsd,
}

impl Scene {
    fn new(site: &Site) -> Self {
        let servers = LAST.map(|last| (1, 1, site.eu(last)));
        let nsd = Nsd::serve(site, 60, &zone::servers("lk", &servers));
        let filter = Filter::over(&LAST.map(|last| site.eu(last)));
        let mut plan = plan(site, nsd.addr, "sip:lk.internal.example");
        // Everything that takes time takes less of it than by default.
        plan.more.push_str("[timers]\ntry_for = \"600ms\"\n");
        plan.health = "interval = \"200ms\"\nback_off = \"1s\"\nrise = \"500ms\"".into();
        let daemon = Daemon::start(site, &plan);
        let scene = Self { calls: Sipp::calls(site, RATE), daemon, filter, _nsd: nsd };
        for last in LAST {
            scene.gets_calls(site, last, 0);
        }
        scene
    }

    fn stands(&self, site: &Site, last: u8, up: bool) {
        let (target, value) = (format!("udp:{}", site.eu(last)), if up { 1.0 } else { 0.0 });
        let labels = [("region", "eu"), ("target", target.as_str())];
        self.daemon.metrics_when(&format!("{target} at {value}"), |metrics| {
            metrics.most("ringfence_upstream_up", &labels) == Some(value)
        });
    }

    /// Waits until a server has had more INVITEs than that.
    fn gets_calls(&self, site: &Site, last: u8, before: u64) {
        await_some(&format!("calls at {}", site.eu(last)), || (self.filter.invites(site.eu(last)) > before).then_some(()));
    }

    /// The server has just died: waits until that is known and the others have had a second's calls since, of which none went to it.
    fn is_left_alone(&self, site: &Site, last: u8) {
        self.stands(site, last, false);
        let (all, dead) = (self.filter.invites_to_all(), self.filter.invites(site.eu(last)));
        await_some("a second's calls", || (self.filter.invites_to_all() >= all + u64::from(RATE)).then_some(()));
        assert_eq!(self.filter.invites(site.eu(last)), dead, "INVITEs to a server that is down");
    }

    /// The server is back: waits until that is known and it has calls again.
    fn is_used_again(&self, site: &Site, last: u8) {
        let before = self.filter.invites(site.eu(last));
        self.stands(site, last, true);
        self.gets_calls(site, last, before);
    }

    /// All calls were answered.
    fn ends(self) {
        self.calls.end();
    }
}

#[test]
fn a_server_that_is_killed_and_started_again() {
    let site = Site::claim();
    apart(|| {
        let mut servers = LAST.map(|last| Server::start(&site, site.eu(last)));
        let scene = Scene::new(&site);
        // Nobody listens any more: ICMP.
        servers[0].signal("KILL");
        scene.is_left_alone(&site, 10);
        servers[0] = Server::start(&site, site.eu(10));
        scene.is_used_again(&site, 10);
        scene.ends();
    });
}

#[test]
fn a_server_that_freezes_and_goes_on() {
    let site = Site::claim();
    apart(|| {
        let servers = LAST.map(|last| Server::start(&site, site.eu(last)));
        let scene = Scene::new(&site);
        servers[1].signal("STOP");
        scene.is_left_alone(&site, 11);
        servers[1].signal("CONT");
        scene.is_used_again(&site, 11);
        scene.ends();
    });
}

#[test]
fn a_server_that_is_cut_off_and_reached_again() {
    let site = Site::claim();
    apart(|| {
        let _servers = LAST.map(|last| Server::start(&site, site.eu(last)));
        let scene = Scene::new(&site);
        scene.filter.cut_off(site.eu(12));
        scene.is_left_alone(&site, 12);
        scene.filter.let_through(site.eu(12));
        scene.is_used_again(&site, 12);
        scene.ends();
    });
}

#[test]
fn a_kamailio_that_is_killed_and_started_again() {
    let site = Site::claim();
    apart(|| {
        let _servers = [11, 12, 20].map(|last| Server::start(&site, site.eu(last)));
        let kamailio = || Kamailio::without_trying(&site, "region", site.eu(10), (site.eu(20), "udp"));
        let first = kamailio();
        let scene = Scene::new(&site);
        drop(first);
        scene.is_left_alone(&site, 10);
        let _second = kamailio();
        scene.is_used_again(&site, 10);
        scene.ends();
    });
}
