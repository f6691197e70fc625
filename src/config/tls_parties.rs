//! For TLS: the party that an address belongs to, with the names that may prove it. Only looks up.
//!
//! A next hop that is written as an address need not have a certificate for the address: most servers and carriers have one for
//! their names, and write addresses into Contact.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::ids::TrunkId;
use super::next_hop::{Hop, NextHop};
use super::region::Region;
use super::snapshot::Config;
use crate::fence::canonical;
use crate::tls::PartyNames;

/// The names of the regions' servers: the hosts of each region's `upstream`. A trunk's party is found among its project's trunks.
#[derive(Debug)]
pub struct TlsParties {
    regions: Vec<Option<PartyNames>>,
}

impl TlsParties {
    /// Collects the parties of the regions.
    pub(super) fn of(regions: &[Region], names: &[NextHop]) -> Self {
        let host = |hop: &Hop| match *hop {
            Hop::Name(id) => names.get(id.0 as usize).map(|hop| hop.host.as_str()),
            Hop::Address { .. } => None,
        };
        Self { regions: regions.iter().map(|region| party(region.upstream.iter().filter_map(host))).collect() }
    }
}

fn party<'n>(names: impl Iterator<Item = &'n str>) -> Option<PartyNames> {
    let names: BTreeSet<String> = names.map(str::to_ascii_lowercase).collect();
    (!names.is_empty()).then(|| names.into_iter().map(Arc::from).collect())
}

impl Config {
    /// The names of the party that an address belongs to. `trunk`: that of the call, if it is a call's. Another project's trunk at the
    /// same address is another party: nothing of this call is for it. `None`: only the address itself says who is there.
    pub(crate) fn party_names(&self, ip: IpAddr, trunk: Option<TrunkId>) -> Option<PartyNames> {
        let ip = canonical(ip);
        let trunk = trunk.and_then(|trunk| party(self.names_of_trunks(ip, trunk)));
        let region = self.regions.iter().position(|region| region.networks.contains(ip));
        let servers = region.and_then(|at| self.tls_parties.regions.get(at)).and_then(Option::as_ref);
        match (trunk, servers) {
            (Some(trunk), Some(servers)) => party(trunk.iter().chain(servers.iter()).map(|name| &**name)),
            (one, other) => one.or_else(|| other.cloned()),
        }
    }

    /// The names of the trunks at an address that are of the same project: their `certificates`, and the hosts of their `uri`.
    fn names_of_trunks(&self, ip: IpAddr, trunk: TrunkId) -> impl Iterator<Item = &str> {
        let own = self.project(self.trunk(trunk).project).trunks().map(|id| self.trunk(id));
        let there = own.filter(move |of| of.networks.contains(ip) || of.reach().contains(ip));
        there.flat_map(|of| {
            let hosts = of.outbound().into_iter().flat_map(|outbound| outbound.names().map(|id| self.name(id)));
            of.certificates().iter().map(|name| &**name).chain(hosts)
        })
    }
}
