//! Counts and logs addresses that names resolve to and that no fence will pass, each when it first appears. Judges nothing for
//! calls: the fence does that at every use.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};

use tracing::warn;

use super::Server;
use crate::config::{Config, Hop, NameId, NextHop, Region, RegionId};
use crate::fence::{Networks, ServerSet};
use crate::telemetry::Metrics;

/// Most log lines for one change of one name. The rest is only counted.
const LINES: usize = 8;

/// The addresses outside that are reported already, each with the name of its region.
pub(super) type Told = BTreeSet<(String, IpAddr)>;

/// The regions whose calls go to a name, each with the networks in which the name's addresses may be.
pub(super) fn uses(config: &Config, id: NameId) -> impl Iterator<Item = (&Region, &Networks)> {
    let here = move |hop: &Hop| *hop == Hop::Name(id);
    let regions = in_use(config).map(|id| config.region(id));
    let upstream = regions
        .filter(move |region| region.upstream.iter().any(here))
        .map(|region| (region, region.servers.as_ref().map_or(&region.networks, ServerSet::addresses)));
    let trunks = config.trunks.iter().filter_map(move |trunk| {
        let outbound = trunk.outbound().filter(|outbound| outbound.hops.iter().any(here))?;
        let pin = config.project(trunk.project).pin.as_deref();
        Some(
            served(config)
                .filter(move |id| pin.is_none_or(|pin| pin.contains(id)))
                .map(|id| (config.region(id), &outbound.networks)),
        )
    });
    upstream.chain(trunks.flatten())
}

/// The regions served here, and those that their calls may move to.
pub(super) fn in_use(config: &Config) -> impl Iterator<Item = RegionId> {
    let nearest = served(config).flat_map(|id| config.region(id).nearest.iter().copied());
    served(config).chain(nearest).collect::<BTreeSet<_>>().into_iter()
}

fn served(config: &Config) -> impl Iterator<Item = RegionId> {
    (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served).map(|(id, _)| id)
}

/// Reports the addresses of a name's servers that are outside and not reported yet. `told` becomes the set that is outside now,
/// so that an address that comes back is reported again.
pub(super) fn tell(config: &Config, metrics: &Metrics, id: NameId, next_hop: &NextHop, servers: &[Server], told: &mut Told) {
    let mut now = Told::new();
    let mut lines = 0;
    for (region, networks) in uses(config, id) {
        for addr in servers.iter().flat_map(|server| &server.addresses).map(SocketAddr::ip) {
            if networks.contains(addr) || !now.insert((region.name.clone(), addr)) {
                continue;
            }
            if told.contains(&(region.name.clone(), addr)) {
                continue;
            }
            metrics.outside(&region.name).increment(1);
            lines += 1;
            if lines <= LINES {
                warn!(region = region.name, name = next_hop.host, %addr, "resolved outside: will not be used");
            }
        }
    }
    if lines > LINES {
        warn!(name = next_hop.host, more = lines - LINES, "resolved outside: will not be used");
    }
    *told = now;
}
