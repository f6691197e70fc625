//! Whom a connection counts for: the party that opened it, or the calls that we opened it for. Only says so; [`super::accepted`] and
//! [`super::outgoing`] count.

use std::net::IpAddr;

use crate::config::{Config, RegionId, TrunkId};
use crate::core::io::Send;
use crate::fence::canonical;
use crate::source::counted_as;
use crate::tls::Shown;

/// Whom an accepted connection counts for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Holder {
    /// An address inside the region.
    Servers(RegionId),
    /// A trunk. If several signal from one address, the first of them.
    Trunk(TrunkId),
    Stranger,
}

impl Holder {
    /// Whom a connection counts for by its source address alone.
    pub(super) fn by_address(config: &Config, region: RegionId, ip: IpAddr) -> Self {
        Self::of(config, region, ip, config.caller_table.trunks(ip).iter().next())
    }

    /// Whom it counts for by its source address and the names that it proved.
    pub(super) fn proven(config: &Config, region: RegionId, ip: IpAddr, shown: Option<&Shown>) -> Self {
        Self::of(config, region, ip, config.callers(ip, shown).iter().next())
    }

    fn of(config: &Config, region: RegionId, ip: IpAddr, trunk: Option<TrunkId>) -> Self {
        match trunk {
            Some(trunk) => Self::Trunk(trunk),
            None if config.region(region).networks.contains(ip) => Self::Servers(region),
            None => Self::Stranger,
        }
    }

    /// The address under which `limits.connections_per_source` counts. Each of the region's own addresses counts for itself, since
    /// many servers may share one IPv6 network.
    pub(super) fn source(self, ip: IpAddr) -> IpAddr {
        if matches!(self, Self::Servers(_)) { canonical(ip) } else { counted_as(ip) }
    }
}

/// For whom we opened a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum OpenedFor {
    /// For all: a new call or a ping goes by it, to a next hop of the configuration.
    Everybody,
    /// For calls of a trunk: only messages inside dialogs go by it, and the last one was of this trunk. `None`: its trunk is not
    /// known any more.
    Calls(Option<TrunkId>),
}

impl OpenedFor {
    /// For whom a message is sent.
    pub(super) fn of(send: &Send) -> Self {
        if send.in_dialog { Self::Calls(send.trunk) } else { Self::Everybody }
    }
}
