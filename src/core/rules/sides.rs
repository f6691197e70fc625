//! Who speaks: what a source is to a region, and which side of a call a message comes from. Reads addresses and certificates;
//! decides nothing.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Callers, Config, ProjectId, RegionId, TrunkId};
use crate::core::io::Arrival;
use crate::core::memory::known_servers::KnownServers;
use crate::core::routing::route_set::RouteSet;
use crate::core::rules::case::Case;
use crate::core::rules::side::Side;
use crate::core::rules::trace::{some_of, trunk_name};
use crate::core::view::View;
use crate::fence::{Fence, Networks, ServerSet, canonical};

/// The call that a message belongs to, and the side that the message comes from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Speaker {
    pub(crate) side: Side,
    /// The region that was called. What comes from the trunk is judged by this region's networks and the trunk's media.
    pub(crate) called: RegionId,
    /// The region whose servers have the call. What comes from them is judged by this region's networks alone.
    pub(crate) serving: RegionId,
    /// `None`: a reload has removed it. Then only the region's networks are inside.
    pub(crate) project: Option<ProjectId>,
    pub(crate) trunk: Option<TrunkId>,
}

/// The sender of a request, by its address and its certificate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The trunks, of all projects, that this source may be.
    pub(crate) trunks: Callers<'a>,
    /// Whether it is one of the region's servers. A trunk is never one.
    pub(crate) server: bool,
    /// All servers of the region.
    pub(crate) servers: &'a ServerSet,
}

impl<'a> Source<'a> {
    /// What the source of this message is to a region.
    pub(crate) fn of(view: View<'a>, region: RegionId, arrival: &'a Arrival) -> Self {
        let ip = arrival.from.ip();
        let trunks = view.config.callers(ip, arrival.shown.as_ref());
        let servers = view.servers.of_region(region);
        Self { trunks, server: servers.contains(ip) && trunks.is_empty(), servers }
    }

    /// Whether it is a stranger: no trunk of any project and no server of the region.
    pub(crate) fn is_unknown(&self) -> bool {
        self.trunks.is_empty() && !self.server
    }

    /// A name for it, for a person to read.
    pub(crate) fn named(&self, config: &Config) -> String {
        let server = self.server.then(|| "a server of the region".to_owned());
        let trunks = self.trunks.iter().map(|trunk| trunk_name(config, trunk));
        let all: Vec<String> = server.into_iter().chain(trunks).collect();
        if all.is_empty() { "no trunk of any project, and no server of the region".to_owned() } else { some_of(&all) }
    }
}

/// Whether a message inside a dialog comes from a server of this region. A sender with a trunk's certificate is that trunk.
pub(crate) fn speaks_for_servers(view: View<'_>, region: RegionId, arrival: &Arrival) -> bool {
    let ip = arrival.from.ip();
    view.servers.in_dialog(region).contains(ip) && view.config.callers(ip, arrival.shown.as_ref()).is_empty()
}

/// Whether a request comes from one of our own listeners. A call that passes twice comes back like this, if no proxy stands
/// between.
pub(crate) fn comes_from_us(view: View<'_>, region: RegionId, arrival: &Arrival) -> bool {
    let from = SocketAddr::new(canonical(arrival.from.ip()), arrival.from.port());
    let own = view.servers.own();
    // The port tells us from a server on the same host. Over a stream our port is another each time.
    own.contains(&from) || own.iter().any(|own| own.ip() == from.ip()) && !speaks_for_servers(view, region, arrival)
}

/// The speaker of a request inside a dialog: the token says the side, and `dialog_fence` checks the source. What the trunk says is judged as in the first INVITE. What the servers say is judged
/// by the networks of the region that has the call.
pub(crate) fn speaker_in_dialog(view: View<'_>, case: &Case<'_, '_>, way: &RouteSet<'_>) -> Speaker {
    let vouched = way.vouched;
    Speaker {
        side: way.speaks,
        called: case.region(),
        serving: vouched.serving,
        project: Some(view.config.trunk(vouched.trunk).project),
        trunk: Some(vouched.trunk),
    }
}

/// What is inside for a request inside a dialog. A request from the trunk may go only to the servers of the region that has the
/// call. One from these servers may go to the trunk as well. `None`: the request comes from neither side, or not from the one that
/// holds its token.
pub(crate) fn dialog_fence<'a>(view: View<'a>, case: &Case<'_, '_>, way: &RouteSet<'_>) -> Option<Fence<'a>> {
    let config = view.config;
    let trunk = config.trunk(way.vouched.trunk);
    let from = case.arrival.from.ip();
    let fence = servers_fence(config, view.servers, way.vouched.serving);
    if way.speaks == Side::Servers {
        let serving = way.vouched.serving;
        let servers = speaks_for_servers(view, serving, case.arrival) || comes_from_us(view, serving, case.arrival);
        servers.then(|| fence.or_trunk(&trunk.networks, trunk.reach()))
    } else {
        let callers = config.callers(from, case.arrival.shown.as_ref());
        let trunks = callers.include(way.vouched.trunk) || trunk.reach().contains(from);
        trunks.then_some(fence)
    }
}

/// What is inside for a request inside a dialog to the servers of a region.
fn servers_fence<'c>(config: &'c Config, servers: &'c KnownServers, serving: RegionId) -> Fence<'c> {
    Fence::of_servers(&config.region(serving).networks, servers.in_dialog(serving), servers.own())
}

/// The region that an address is in: the called one, or one of those that may serve its calls.
pub(crate) fn region_of(config: &Config, called: RegionId, ip: IpAddr) -> RegionId {
    let is_there = |&region: &RegionId| config.region(region).networks.contains(ip);
    let nearest = config.region(called).nearest.iter().copied();
    std::iter::once(called).chain(nearest).find(is_there).unwrap_or(called)
}

impl Speaker {
    /// What is inside for a request of ours to this side.
    pub(crate) fn fence<'c>(&self, config: &'c Config, servers: &'c KnownServers) -> Fence<'c> {
        let fence = servers_fence(config, servers, self.serving);
        match (self.side, self.trunk.map(|trunk| config.trunk(trunk))) {
            (Side::Trunk, Some(trunk)) => fence.or_trunk(&trunk.networks, trunk.reach()),
            _ => fence,
        }
    }

    /// The same for the peer that a request of this side came from: a server speaks from any port.
    pub(crate) fn peer_fence<'c>(&self, config: &'c Config, servers: &'c KnownServers) -> Fence<'c> {
        match self.side {
            Side::Trunk => self.fence(config, servers),
            Side::Servers => Fence::of_region(&config.region(self.serving).networks),
        }
    }
}

/// Whether an answer may come from an address: the one that was asked, or one of the same side (a server of the same region, or
/// the same trunk).
pub(crate) fn is_side(view: View<'_>, trunk: Option<TrunkId>, asked: IpAddr, from: IpAddr) -> bool {
    let (asked, from) = (canonical(asked), canonical(from));
    let both = |networks: &Networks| networks.contains(asked) && networks.contains(from);
    let config = view.config;
    // No address of a trunk is a server's.
    asked == from
        || (0..).map(RegionId).take(config.regions.len()).any(|region| both(view.servers.in_dialog(region).addresses()))
        || trunk.map(|trunk| config.trunk(trunk)).is_some_and(|trunk| both(&trunk.networks) || both(trunk.reach()))
}
