//! Which targets' health is watched: the servers of the served regions and of their nearest, and the targets of calls out by
//! trunks.
//!
//! Follows the snapshot. An address is watched only if its own region's or trunk's fence passes it. An address outside has no
//! health and gets no ping.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use crate::config::{Config, Hop, RegionId, Transport, TrunkId};
use crate::core::health::{Entry, Healths};
use crate::core::io::Health;
use crate::core::routing::place::{Gateway, Place};
use crate::dns::Resolved;
use crate::fence::Fence;

/// Most targets watched. Any further target always counts as up.
const MOST: usize = 1024;

/// How often the shell is told that the names of gateways are in use. It is much less than the time for which a name is kept.
pub(super) const NAMES: Duration = Duration::from_secs(60);

/// The time over which the first pings are spread, if many targets appear together.
const FIRST_PROBES: Duration = Duration::from_secs(1);

impl Healths {
    /// Takes in new results of name resolution. Targets that are still named keep their health.
    pub(crate) fn retarget(&mut self, now: Instant, config: &Config, targets: &Resolved) {
        self.rebuild(now, config, targets);
    }

    /// Takes in another configuration. Targets that it names too keep their health.
    pub(crate) fn reconfigure(&mut self, now: Instant, config: &Config, targets: &Resolved) {
        self.rules.clone_from(&config.health);
        self.try_for = config.timers.try_for;
        self.rebuild(now, config, targets);
    }

    /// Ends all pings, because the daemon ends.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
        self.names_due = None;
        for at in 0..self.entries.len() {
            if let Some(entry) = self.entries.get_mut(at) {
                (entry.waits, entry.next) = (false, None);
            }
            self.arm(at);
        }
    }

    /// Watches the targets that are named now.
    fn rebuild(&mut self, now: Instant, config: &Config, targets: &Resolved) {
        let before = std::mem::take(&mut self.entries);
        let mut known: HashMap<Place, Entry> = before.into_iter().map(|entry| (entry.place, entry)).collect();
        self.places.clear();
        self.asked.clear();
        self.due = BTreeSet::new();
        for watched in watched(config) {
            for (&hop, at) in watched.hops.iter().zip(0..) {
                let gateway = watched.trunk.filter(|_| watched.every.is_some()).map(|trunk| Gateway { trunk, at });
                if let Some(gateway) = gateway.filter(|_| self.asked.len() < MOST) {
                    self.asked.push((gateway, watched.region));
                }
                self.watch(now, config, &watched, (hop, gateway), targets, &mut known);
            }
        }
        // Their names are asked for at once.
        self.names_due =
            (!self.asked.is_empty() && !self.resting).then_some(self.names_due.map_or(now, |due| due.min(now + NAMES)));
        self.unwell = self.entries.iter().filter(|entry| entry.state != Health::Up).count();
        for at in 0..self.entries.len() {
            self.begin(now, at);
        }
    }

    fn watch(
        &mut self,
        now: Instant,
        config: &Config,
        of: &Watched<'_>,
        (hop, gateway): (Hop, Option<Gateway>),
        targets: &Resolved,
        known: &mut HashMap<Place, Entry>,
    ) {
        let literal = match hop {
            Hop::Address { addr, transport } => Some((addr, transport)),
            Hop::Name(_) => None,
        };
        let servers = match hop {
            Hop::Name(name) => targets.servers(name),
            Hop::Address { .. } => &[],
        };
        let resolved = servers.iter().flat_map(|server| server.addresses.iter().map(|&addr| (addr, server.transport)));
        for (addr, transport) in literal.into_iter().chain(resolved) {
            let Ok(fenced) = of.fence.admit(addr) else { continue };
            let place = (fenced.addr(), transport.unwrap_or(Transport::Udp));
            if let Some(entry) = self.places.get(&place).and_then(|&at| self.entries.get_mut(at)) {
                entry.gateways.extend(gateway);
                continue;
            }
            if self.entries.len() >= MOST {
                continue;
            }
            let mut entry = known.remove(&place).unwrap_or_else(|| Entry::new(place, of.region, of.from, now));
            (entry.region, entry.from, entry.armed) = (of.region, of.from, None);
            (entry.trunk, entry.every) = (of.trunk, of.every);
            entry.gateways = gateway.into_iter().collect();
            entry.tls_name = match hop {
                Hop::Name(name) if place.1 == Transport::Tls => Some(config.name(name).into()),
                _ => None,
            };
            self.places.insert(place, self.entries.len());
            self.entries.push(entry);
        }
    }

    /// Starts an entry's clock, with the first probe if it has had none.
    fn begin(&mut self, now: Instant, at: usize) {
        let probed = self.entries.get(at).is_some_and(|entry| self.is_probed(entry));
        let every = self.entries.get(at).and_then(|entry| entry.every).or(self.rules.interval);
        let most = FIRST_PROBES.min(every.unwrap_or(FIRST_PROBES));
        let after = Duration::from_millis(self.dice.below(u32::try_from(most.as_millis()).unwrap_or(u32::MAX)).into());
        if let Some(entry) = self.entries.get_mut(at) {
            if !probed {
                (entry.waits, entry.next) = (false, None);
            } else if entry.next.is_none() && !entry.waits {
                entry.next = Some(now + after);
            }
        }
        self.arm(at);
    }
}

/// Hops that belong together.
struct Watched<'a> {
    region: RegionId,
    from: Option<RegionId>,
    hops: &'a [Hop],
    fence: Fence<'a>,
    /// The trunk, if it is one's.
    trunk: Option<TrunkId>,
    /// How often that trunk's gateways are asked whether they are there.
    every: Option<Duration>,
}

/// All hops to be watched. If an address stands in several, it belongs to the first. Of the trunks those with `ping` come first.
fn watched(config: &Config) -> impl Iterator<Item = Watched<'_>> {
    let served = || (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served);
    let own = served().map(|(id, _)| (id, id));
    let nearest = served().flat_map(|(id, region)| region.nearest.iter().map(move |&other| (other, id)));
    let servers = own.chain(nearest).map(|(id, from)| {
        let region = config.region(id);
        Watched { region: id, from: Some(from), hops: &region.upstream, fence: region.fence(), trunk: None, every: None }
    });
    let trunks = move |pinged: bool| {
        (0..).map(TrunkId).zip(&config.trunks).filter_map(move |(id, trunk)| {
            let outbound = trunk.outbound().filter(|outbound| outbound.ping.is_some() == pinged)?;
            let pin = config.project(trunk.project).pin.as_ref();
            // Any region that its calls may come from will do: a trunk belongs to none.
            let (region, _) = served().find(|(id, _)| pin.is_none_or(|pin| pin.contains(id)))?;
            let (from, every) = (outbound.ping.map(|_| region), outbound.ping);
            Some(Watched {
                region,
                from,
                hops: &outbound.hops,
                fence: Fence::of_outbound(&outbound.networks),
                trunk: Some(id),
                every,
            })
        })
    };
    servers.chain(trunks(true)).chain(trunks(false))
}
