//! TLS: whose certificate is shown, whose is believed, and what the connections carry.

mod calls;
mod listener;
mod stalled;
mod trunks;
mod upstream;

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;

use crate::harness::secure::{Authority, Paper};
use crate::harness::{Ask, Daemon, Leg, Plan, Site};

const HOST: &str = "acme.eu.sip.example.com";

/// The names that the daemon's certificate of region `eu` is for.
const EU: [&str; 2] = ["eu.sip.example.com", "*.eu.sip.example.com"];

/// A daemon with a TLS listener, and whoever signs everybody's certificates.
struct Scene {
    site: Site,
    daemon: Daemon,
    authority: Authority,
    client: Arc<ClientConfig>,
}

impl Scene {
    fn new(change: impl FnOnce(&mut Plan, &Site, &Authority)) -> Self {
        let site = Site::claim();
        let authority = Authority::new();
        site.write("ca.pem", &authority.pem());
        authority.paper(&EU).write(&site, "eu");
        let mut plan = Plan::new(&site);
        let (door, secure) = (site.door(), secure(site.door()));
        plan.listen = format!("[\"udp:{door}\", \"tcp:{door}\", \"tls:{secure}\"]");
        plan.eu = "tls = { certificate = \"eu.pem\", key = \"eu.key\", client_ca = \"ca.pem\", upstream_ca = \"ca.pem\" }".into();
        change(&mut plan, &site, &authority);
        let daemon = Daemon::start(&site, &plan);
        let client = authority.client(None);
        Self { site, daemon, authority, client }
    }

    /// Where its TLS listener is.
    fn door(&self) -> SocketAddr {
        secure(self.site.door())
    }

    /// A carrier's connection that asks for this name.
    fn carrier(&self, name: &str) -> Leg {
        Leg::tls(self.site.carrier(20), self.door(), &self.client, name)
    }

    /// A connection from elsewhere, with a paper.
    fn from(&self, addr: SocketAddr, paper: Option<&Paper>) -> Leg {
        Leg::tls(addr, self.door(), &self.authority.client(paper), HOST)
    }

    fn options(leg: &Leg) -> Ask {
        Ask::new("OPTIONS", &format!("sip:{HOST}"), leg.addr, "tls")
    }

    /// How often handshakes have ended so.
    fn shaken(&self, direction: &str, result: &str) -> u64 {
        let labels = [("region", "eu"), ("direction", direction), ("result", result)];
        self.daemon.metrics().sum("ringfence_tls_handshakes_total", &labels)
    }
}

/// The port above: where TLS is beside what is not.
fn secure(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), addr.port() + 1).into()
}
