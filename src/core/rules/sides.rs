//! Who speaks: what a source is to a region, and which side of a call a message comes from. Reads addresses and certificates;
//! decides nothing.

use std::net::IpAddr;

use crate::config::{Callers, Config, ProjectId, RegionId, TrunkId};
use crate::core::io::Arrival;
use crate::core::routing::route_set::RouteSet;
use crate::core::rules::case::Case;
use crate::core::rules::side::Side;
use crate::core::rules::trace::{some_of, trunk_name};
use crate::fence::{Fence, Networks, canonical};

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

/// The sender of a request, as far as its address and its certificate say.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Source<'a> {
    /// The trunks, of all projects, that this source may be.
    pub(crate) trunks: Callers<'a>,
    /// Whether it is inside the region: one of its servers.
    pub(crate) server: bool,
}

impl<'a> Source<'a> {
    /// What the source of this message is to a region.
    pub(crate) fn of(config: &'a Config, region: RegionId, arrival: &'a Arrival) -> Self {
        let ip = arrival.from.ip();
        let trunks = config.callers(ip, arrival.shown.as_ref());
        Self { trunks, server: config.region(region).networks.contains(ip) }
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

/// The side that a request inside a dialog comes from: the token says it, and `dialog_fence` holds the source to that. A token of the old
/// form says nothing of it.
pub(crate) fn asking_side(config: &Config, case: &Case<'_, '_>, way: &RouteSet<'_>) -> Side {
    let servers = || config.region(way.vouched.serving).networks.contains(case.arrival.from.ip());
    way.speaks.unwrap_or_else(|| if servers() { Side::Servers } else { Side::Trunk })
}

/// The speaker of a request inside a dialog. What the trunk says is judged as in the first INVITE. What the servers say is judged
/// by the networks of the region that has the call.
pub(crate) fn speaker_in_dialog(config: &Config, case: &Case<'_, '_>, way: &RouteSet<'_>) -> Speaker {
    let vouched = way.vouched;
    Speaker {
        side: asking_side(config, case, way),
        called: case.region(),
        serving: vouched.serving,
        project: Some(config.trunk(vouched.trunk).project),
        trunk: Some(vouched.trunk),
    }
}

/// What is inside for a request inside a dialog. A request from the trunk may go only to the networks of the region that has the
/// call. One from that region's servers may go to the trunk as well. `None`: the request comes from neither side, or not from the one that holds its token.
pub(crate) fn dialog_fence<'a>(config: &'a Config, case: &Case<'_, '_>, way: &RouteSet<'_>) -> Option<Fence<'a>> {
    let serving = config.region(way.vouched.serving);
    let trunk = config.trunk(way.vouched.trunk);
    let from = case.arrival.from.ip();
    let callers = config.callers(from, case.arrival.shown.as_ref());
    let may_be = |side| way.speaks.is_none_or(|speaks| speaks == side);
    if may_be(Side::Servers) && serving.networks.contains(from) {
        Some(Fence::of_dialog(&serving.networks, &trunk.networks, Some(&trunk.reach)))
    } else if !may_be(Side::Trunk) {
        None
    } else if callers.iter().any(|trunk| trunk == way.vouched.trunk) || trunk.reach.contains(from) {
        Some(Fence::of_region(&serving.networks))
    } else {
        None
    }
}
/// The region that an address is in: the called one, or one of those that may serve its calls.
pub(crate) fn region_of(config: &Config, called: RegionId, ip: IpAddr) -> RegionId {
    let is_there = |&region: &RegionId| config.region(region).networks.contains(ip);
    let nearest = config.region(called).nearest.iter().copied();
    std::iter::once(called).chain(nearest).find(is_there).unwrap_or(called)
}

impl Speaker {
    /// What is inside for a request of ours to this side.
    pub(crate) fn fence<'c>(&self, config: &'c Config) -> Fence<'c> {
        match (self.side, self.trunk.map(|trunk| config.trunk(trunk))) {
            (Side::Trunk, Some(trunk)) => {
                Fence::of_dialog(&config.region(self.serving).networks, &trunk.networks, Some(&trunk.reach))
            }
            _ => Fence::of_region(&config.region(self.serving).networks),
        }
    }
}

/// Whether an answer may come from an address: it is the one that was asked, or of the same side: a server of the same region, or of the
/// same trunk.
pub(crate) fn is_side(config: &Config, trunk: Option<TrunkId>, asked: IpAddr, from: IpAddr) -> bool {
    let (asked, from) = (canonical(asked), canonical(from));
    let both = |networks: &Networks| networks.contains(asked) && networks.contains(from);
    asked == from
        || config.regions.iter().any(|region| both(&region.networks))
        || trunk.map(|trunk| config.trunk(trunk)).is_some_and(|trunk| both(&trunk.networks) || both(&trunk.reach))
}
