//! For TLS: the party that an address belongs to, with the names that may prove it. Only looks up.
//!
//! A next hop that is written as an address need not have a certificate for the address: most servers and carriers have one for
//! their names, and write addresses into Contact.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;
use std::sync::Arc;

use super::caller_table::CallerTable;
use super::ids::{ProjectId, TrunkId};
use super::next_hop::{Hop, NextHop};
use super::project::Trunk;
use super::region::Region;
use super::snapshot::Config;
use crate::fence::canonical;
use crate::tls::PartyNames;

/// The names of the parties of one configuration.
#[derive(Debug)]
pub struct TlsParties {
    /// Of each region's servers: the hosts of its `upstream`.
    regions: Vec<Option<PartyNames>>,
    /// Of the trunks at each range of addresses, by project: their `certificates`, and the hosts of their `uri`. Sorted.
    trunks: Vec<(IpAddr, IpAddr, HashMap<ProjectId, PartyNames>)>,
}

impl TlsParties {
    /// Collects the parties of the regions and trunks.
    pub(super) fn of(regions: &[Region], trunks: &[Trunk], names: &[NextHop]) -> Self {
        let host = |hop: &Hop| match *hop {
            Hop::Name(id) => names.get(id.0 as usize).map(|hop| hop.host.clone()),
            Hop::Address { .. } => None,
        };
        let regions = regions.iter().map(|region| party(region.upstream.iter().filter_map(host))).collect();
        let places: Vec<_> = trunks.iter().map(|trunk| trunk.networks.union(&trunk.reach)).collect();
        let table = CallerTable::of((0..).map(TrunkId).zip(&places));
        let trunks = table.map(|there| {
            let mut names: HashMap<ProjectId, Vec<String>> = HashMap::new();
            for trunk in there.iter().filter_map(|id| trunks.get(id.0 as usize)) {
                let uri = trunk.outbound.as_ref().and_then(|outbound| host(&outbound.hop));
                names.entry(trunk.project).or_default().extend(trunk.certificates.iter().cloned().chain(uri));
            }
            names.into_iter().filter_map(|(project, names)| Some((project, party(names.into_iter())?))).collect()
        });
        Self { regions, trunks }
    }
}

fn party(names: impl Iterator<Item = String>) -> Option<PartyNames> {
    let names: BTreeSet<String> = names.map(|name| name.to_ascii_lowercase()).collect();
    (!names.is_empty()).then(|| names.into_iter().map(Arc::from).collect())
}

impl Config {
    /// The names of the party that an address belongs to. `trunk`: that of the call, if it is a call's. Another project's trunk at the
    /// same address is another party: nothing of this call is for it. `None`: only the address itself says who is there.
    pub(crate) fn party_names(&self, ip: IpAddr, trunk: Option<TrunkId>) -> Option<PartyNames> {
        let ip = canonical(ip);
        let TlsParties { regions, trunks } = &self.tls_parties;
        let next = trunks.partition_point(|&(from, ..)| from <= ip);
        let there = next.checked_sub(1).and_then(|at| trunks.get(at)).filter(|&&(_, to, _)| ip <= to);
        let trunk = trunk.zip(there).and_then(|(trunk, (.., names))| names.get(&self.trunk(trunk).project));
        let region = self.regions.iter().position(|region| region.networks.contains(ip));
        let servers = region.and_then(|at| regions.get(at)).and_then(Option::as_ref);
        match (trunk, servers) {
            (Some(trunk), Some(servers)) => party(trunk.iter().chain(servers.iter()).map(ToString::to_string)),
            (one, other) => one.or(other).cloned(),
        }
    }
}
