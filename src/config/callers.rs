//! Who speaks: the trunks that a source address and a certificate prove together.

use std::net::IpAddr;

use super::caller_table::There;
use super::ids::TrunkId;
use super::snapshot::Config;
use crate::tls::Shown;

/// The trunks that a sender may be: by its address, by a name in its certificate, or by both if a trunk asks for both.
#[derive(Clone, Copy, Debug)]
pub struct Callers<'a> {
    config: &'a Config,
    ip: IpAddr,
    from: There<'a>,
    shown: Option<&'a Shown>,
}

impl<'a> Callers<'a> {
    fn new(config: &'a Config, ip: IpAddr, shown: Option<&'a Shown>) -> Self {
        Self { config, ip, from: config.caller_table.trunks(ip), shown }
    }

    /// Each trunk. Those known by address come first.
    pub fn iter(self) -> impl Iterator<Item = TrunkId> + 'a {
        let Self { config, from, shown, .. } = self;
        let proven = move |trunk: TrunkId| Self::names(config, shown).any(|trunks| trunks.binary_search(&trunk).is_ok());
        let there = from.iter().filter(move |&id| config.trunk(id).certificates().is_empty() || proven(id));
        let anywhere = Self::names(config, shown).flatten().copied().filter(|&id| config.trunk(id).networks.is_empty());
        there.chain(anywhere)
    }

    /// Whether this trunk is one of them. Costs the same however many trunks share its networks or its certificates.
    pub fn include(self, trunk: TrunkId) -> bool {
        let of = self.config.trunk(trunk);
        let there = of.networks.is_empty() || of.networks.contains(self.ip);
        let proves = || Self::names(self.config, self.shown).any(|trunks| trunks.binary_search(&trunk).is_ok());
        there && (of.certificates().is_empty() && !of.networks.is_empty() || proves())
    }

    /// Whether there is no trunk.
    pub fn is_empty(self) -> bool {
        self.iter().next().is_none()
    }

    fn names(config: &'a Config, shown: Option<&'a Shown>) -> impl Iterator<Item = &'a [TrunkId]> {
        shown.into_iter().flat_map(|shown| shown.names).map(|name| config.caller_table.by_name(name))
    }
}

impl Config {
    /// The trunks that may speak from this address with this certificate.
    pub fn callers<'a>(&'a self, ip: IpAddr, shown: Option<&'a Shown>) -> Callers<'a> {
        Callers::new(self, ip, shown)
    }
}
