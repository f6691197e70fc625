//! What keeps a served region's calls from its servers: names that lead nowhere, and servers that are down. Puts it into words for the log,
//! `/readyz`, `/status` and the page; judges nothing that the core has not judged.

use crate::config::{Config, Dns, Hop, RegionId};
use crate::core::io::{Health, TargetStatus};
use crate::dns::NameStatus;

/// Most addresses that one line names.
const SHOWN: usize = 4;

/// How many of a region's servers take calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ServersUp {
    pub(crate) up: usize,
    pub(crate) known: usize,
}

impl ServersUp {
    /// Those of one region.
    pub(crate) fn of(region: RegionId, targets: &[TargetStatus]) -> Self {
        let servers = || targets.iter().filter(|target| target.region == region && !target.relay);
        Self { up: servers().filter(|target| target.state != Health::Down).count(), known: servers().count() }
    }
}

/// Names of served regions' `upstream` that give no server inside: a sentence for each, with the cause and what calls are told. `names` may
/// hold many more, of trunks.
pub(crate) fn names(config: &Config, names: &[NameStatus]) -> Vec<String> {
    let mut troubles = Vec::new();
    let served = config.regions.iter().filter(|region| region.served && !region.leaving);
    for (region, hop) in served.flat_map(|region| region.upstream.iter().map(move |hop| (region, hop))) {
        let Hop::Name(id) = hop else { continue };
        let next_hop = config.names.get(id.0 as usize);
        let Some(name) = names.iter().find(|name| Some(&name.next_hop) == next_hop) else { continue };
        let addresses = || name.servers.iter().flat_map(|server| &server.addresses);
        let fence = region.fence();
        let (capacity, policy) = (config.reject.capacity, config.reject.policy);
        let (what, told) = if addresses().any(|addr| fence.admit(*addr).is_ok()) {
            continue;
        } else if addresses().next().is_some() {
            let outside: Vec<String> = addresses().take(SHOWN).map(ToString::to_string).collect();
            (format!("leads only outside its networks: {}", outside.join(", ")), format!("{policy} (150 foreign-target)"))
        } else {
            let why = match &name.failure {
                Some((question, failure)) => format!("does not resolve: {question}: {failure}"),
                None if name.known => "resolves to nothing".to_owned(),
                None => "has no answer yet".to_owned(),
            };
            (format!("{why} (asked {})", asked(&config.dns)), format!("{capacity} (151 no-target)"))
        };
        troubles.push(format!("region {}: {} {what}; calls to it are told {told}", region.name, name.next_hop));
    }
    troubles
}

/// The name servers.
fn asked(dns: &Dns) -> String {
    if dns.servers.is_empty() {
        "the system's name servers".to_owned()
    } else {
        dns.servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    }
}

/// Served regions of which servers are known and none is up: `region eu: 0 of 1 servers up`, and what calls are told.
pub(crate) fn servers(config: &Config, targets: &[TargetStatus]) -> Vec<String> {
    let served = (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served && !region.leaving);
    served
        .filter_map(|(id, region)| {
            let ServersUp { up, known } = ServersUp::of(id, targets);
            let told = format!("calls to it are told {} (152 targets-down)", config.reject.capacity);
            (up == 0 && known > 0).then(|| format!("region {}: 0 of {known} servers up; {told}", region.name))
        })
        .collect()
}
