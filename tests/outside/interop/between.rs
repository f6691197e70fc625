//! A daemon between a trunk and a server, both `SIPp`, alone or with Kamailio on both sides.

use std::net::UdpSocket;

use super::kamailio::Kamailio;
use super::ladder::{End, Ladder};
use super::sipp::Sipp;
use crate::harness::metrics::Metrics;
use crate::harness::{Daemon, Plan, Site};

/// Who calls, and which of the two says what the test is about: the caller itself, or the callee inside the dialog.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    pub(super) trunk_calls: bool,
    pub(super) asker: End,
}

/// The trunk calls.
pub(super) const IN: Way = Way { trunk_calls: true, asker: End::Caller };
/// A server calls out.
pub(super) const OUT: Way = Way { trunk_calls: false, asker: End::Caller };
/// A server inside a call of the trunk's.
pub(super) const BACK: Way = Way { trunk_calls: true, asker: End::Callee };

/// The daemon, and whatever stands between it and the two ends.
pub(super) struct Scene {
    pub(super) site: Site,
    pub(super) daemon: Daemon,
    pub(super) kamailios: Vec<Kamailio>,
}

impl Scene {
    /// A project whose media is enforced.
    pub(super) fn new() -> Self {
        Self::checking("enforce")
    }

    /// A project with another `media`.
    pub(super) fn checking(media: &str) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        let trunk = format!("uri = \"sip:{}\"\nmedia = [", site.carrier(20));
        plan.projects = plan.projects.replace("media = [", &trunk).replace("pin =", &format!("media = \"{media}\"\npin ="));
        let daemon = Daemon::start(&site, &plan);
        Self { site, daemon, kamailios: Vec::new() }
    }

    /// With Kamailio as the carrier's edge, and as the region's server.
    pub(super) fn between_proxies() -> Self {
        let mut scene = Self::new();
        let site = &scene.site;
        let edge = Kamailio::recording(site, "carrier", site.carrier(5), (site.door(), "udp"));
        let region = Kamailio::recording(site, "region", site.eu(10), (site.eu(30), "udp"));
        scene.kamailios.extend([edge, region]);
        scene
    }

    /// What one side may name.
    pub(super) fn inside(&self, way: Way, end: End) -> String {
        let trunk = way.trunk_calls == (end == End::Caller);
        if trunk { self.site.carrier(20) } else { self.site.eu(20) }.ip().to_string()
    }

    /// What neither may name.
    pub(super) fn outside(&self) -> String {
        self.site.us(20).ip().to_string()
    }

    /// An empty ladder.
    pub(super) fn ladder(&self) -> Ladder {
        Ladder::new(1 + self.kamailios.len())
    }

    /// Plays a call; both sides must be content. What was counted before it.
    pub(super) fn play(&self, way: Way, ladder: &Ladder) -> Metrics {
        let site = &self.site;
        let proxied = !self.kamailios.is_empty();
        let server = if proxied { site.eu(30) } else { site.eu(10) };
        let (caller, callee) = if way.trunk_calls { (site.carrier(20), server) } else { (server, site.carrier(20)) };
        let door = if proxied { site.carrier(5) } else { site.door() };
        let domain = if way.trunk_calls { "acme.eu.sip.example.com" } else { "carrier.acme.eu.sip.example.com" };
        let before = self.daemon.metrics();
        let calls =
            || Sipp::written(site, "caller", &ladder.scenario(End::Caller).unwrap(), caller, Some((door, domain))).succeeds();
        if let Some(text) = ladder.scenario(End::Callee) {
            let listening = Sipp::written(site, "callee", &text, callee, None);
            calls();
            listening.succeeds();
        } else {
            let silent = UdpSocket::bind(callee).unwrap();
            silent.set_nonblocking(true).unwrap();
            calls();
            assert!(silent.recv(&mut [0; 64]).is_err(), "nothing goes to the callee");
        }
        before
    }
}
