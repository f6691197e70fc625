//! Who is a server of which region, and which addresses are our own listeners'.
//!
//! If a region names no `servers`, it has those that its `upstream` resolves to. An address that has left these names is kept for
//! a while: a server that is taken out of DNS, or out of `upstream`, still finishes its calls. Only the address is remembered,
//! and no call. Sends nothing.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use crate::config::{Config, Hop, Region, RegionId, Transport};
use crate::dns::Resolved;
use crate::fence::{ServerNet, ServerSet, canonical};

/// How long an address stays a server after it has left the names. Large carriers end a call after 4 hours, unless told
/// otherwise.
const KEEP: Duration = Duration::from_secs(4 * 3600);
/// Most addresses that are kept beside those that are named. Beyond that, the ones that left first are forgotten.
const MOST: usize = 1024;
/// Most addresses of our own that listeners on a wildcard address have been called by.
const CALLED: usize = 64;

/// The servers of a region that is not known.
const NOBODY: &ServerSet = &ServerSet::NOBODY;

/// The servers of each region, and our own addresses.
#[derive(Debug, Default)]
pub(crate) struct KnownServers {
    regions: Vec<OfRegion>,
    /// The addresses that names resolve to now, or did in the last [`KEEP`], each with the time until which it is kept.
    lately: BTreeMap<SocketAddr, Instant>,
    /// When the first of these must be forgotten.
    due: Option<Instant>,
    own: Vec<SocketAddr>,
    /// The addresses by which listeners on a wildcard address were called.
    called: Vec<IpAddr>,
}

#[derive(Debug)]
struct OfRegion {
    servers: ServerSet,
    /// Who may be a server for a dialog while a name of `upstream` has never had an answer.
    guess: Option<ServerSet>,
}

impl KnownServers {
    pub(crate) fn of(now: Instant, config: &Config, resolved: &Resolved) -> Self {
        let mut known = Self::default();
        known.refresh(now, config, resolved);
        known
    }

    /// Whether an address is to be forgotten.
    pub(crate) fn is_due(&self, now: Instant) -> bool {
        self.due.is_some_and(|due| due <= now)
    }

    /// Takes in what names resolve to, or another configuration.
    pub(crate) fn refresh(&mut self, now: Instant, config: &Config, resolved: &Resolved) {
        let named = config.regions.iter().filter(|region| region.servers.is_none()).flat_map(|region| named(region, resolved));
        let until = now + KEEP;
        let named: Vec<SocketAddr> = named.collect();
        self.lately.retain(|_, until| *until > now);
        self.lately.extend(named.iter().map(|&addr| (addr, until)));
        let beyond = self.lately.len().saturating_sub(named.len()).saturating_sub(MOST);
        if beyond > 0 {
            let mut left: Vec<_> = self.lately.iter().map(|(&addr, &until)| (until, addr)).collect();
            left.sort_unstable();
            for (_, addr) in left.into_iter().take(beyond) {
                self.lately.remove(&addr);
            }
        }
        // An address that is still named stays, even if nothing changes for a long time.
        self.due = self.lately.values().min().copied();
        let lately: Vec<SocketAddr> = self.lately.keys().copied().collect();
        self.regions = config.regions.iter().map(|region| OfRegion::of(region, config, resolved, &lately)).collect();
        self.name_own(config);
    }

    /// The servers of a region.
    pub(crate) fn of_region(&self, region: RegionId) -> &ServerSet {
        self.find(region).map_or(NOBODY, |of| &of.servers)
    }

    /// The servers of a region for messages inside dialogs. While its names are not known yet, every address that may be a
    /// server.
    pub(crate) fn in_dialog(&self, region: RegionId) -> &ServerSet {
        self.find(region).map_or(NOBODY, |of| of.guess.as_ref().unwrap_or(&of.servers))
    }

    /// The addresses of our own listeners.
    pub(crate) fn own(&self) -> &[SocketAddr] {
        &self.own
    }

    /// Whether an address by which a listener was called is not known as our own yet.
    pub(crate) fn is_new(&self, local: SocketAddr) -> bool {
        let ip = canonical(local.ip());
        !self.own.contains(&SocketAddr::new(ip, local.port())) && !self.called.contains(&ip) && self.called.len() < CALLED
    }

    /// Takes in an address by which a listener was called.
    pub(crate) fn called(&mut self, config: &Config, local: SocketAddr) {
        self.called.push(canonical(local.ip()));
        self.name_own(config);
    }

    fn find(&self, region: RegionId) -> Option<&OfRegion> {
        self.regions.get(usize::from(region.0))
    }

    /// The addresses by which our listeners can be reached: those that they are bound to, were called by, or advertise.
    fn name_own(&mut self, config: &Config) {
        let mut own = Vec::new();
        for listener in &config.listeners {
            let addr = listener.addr;
            let advertised = config.region(listener.region).advertise.as_deref().and_then(|host| host.parse().ok());
            let bound = if addr.ip().is_unspecified() { self.called.as_slice() } else { &[addr.ip()] };
            own.extend(bound.iter().copied().chain(advertised).map(|ip| SocketAddr::new(canonical(ip), addr.port())));
        }
        own.sort_unstable();
        own.dedup();
        self.own = own;
    }
}

impl OfRegion {
    fn of(region: &Region, config: &Config, resolved: &Resolved, lately: &[SocketAddr]) -> Self {
        if let Some(servers) = &region.servers {
            return Self { servers: servers.clone(), guess: None };
        }
        let usual = || [Transport::Udp.port(), Transport::Tls.port()];
        let inside = lately.iter().filter(|addr| region.networks.contains(addr.ip()));
        let nets = inside.flat_map(|addr| {
            let net = canonical(addr.ip()).into();
            [addr.port()].into_iter().chain(usual()).map(move |port| ServerNet { net, ports: Some((port, port)) })
        });
        let servers = ServerSet::new(nets.collect(), &config.signalling);
        let unknown = |hop: &Hop| matches!(*hop, Hop::Name(name) if !resolved.is_known(name));
        let guess = region.upstream.iter().any(unknown).then(|| {
            let written = region.upstream.iter().filter_map(|hop| match *hop {
                Hop::Address { addr, .. } => Some(addr.port()),
                Hop::Name(name) => config.names.get(name.0 as usize).and_then(|name| name.port),
            });
            let ports: Vec<u16> = written.chain(usual()).collect();
            let at = |net| ports.iter().map(move |&port| ServerNet { net, ports: Some((port, port)) });
            let nets = region.networks.nets().flat_map(at).chain(servers.nets().iter().copied());
            ServerSet::new(nets.collect(), &config.signalling)
        });
        Self { servers, guess }
    }
}

/// The addresses that a region's `upstream` resolves to now.
fn named<'a>(region: &'a Region, resolved: &'a Resolved) -> impl Iterator<Item = SocketAddr> + 'a {
    region.upstream.iter().flat_map(|hop| {
        let (literal, servers) = match *hop {
            Hop::Address { addr, .. } => (Some(addr), &[][..]),
            Hop::Name(name) => (None, resolved.servers(name)),
        };
        literal.into_iter().chain(servers.iter().flat_map(|server| server.addresses.iter().copied()))
    })
}
