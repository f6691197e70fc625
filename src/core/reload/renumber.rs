//! From the numbers of one configuration to those of the next.
//!
//! An id is an index into one snapshot and means nothing in another. Things that outlive a reload are renumbered by name, a
//! listener by its transport and address. A call whose project or trunk is missing in the new snapshot belongs to nobody. A
//! region or listener in use is not missing, because the new snapshot keeps those that are leaving ([`Config::succeeding`]). If
//! one is missing all the same, everything that used it is ended.

use std::collections::HashMap;
use std::hash::Hash;

use crate::config::{Config, ListenerId, ProjectId, RegionId, Trunk, TrunkId};
use crate::core::io::Send;
use crate::core::routing::place::Gateway;
use crate::core::transaction::finished::Finished;
use crate::core::transaction::forwarded::{CallFacts, Transaction, Way};
use crate::core::transaction::own_request::{LegOf, OwnRequest};

/// The new number of everything in the old configuration, by its old number.
#[derive(Debug)]
pub(crate) struct Moved {
    regions: Vec<Option<RegionId>>,
    projects: Vec<Option<ProjectId>>,
    trunks: Vec<Option<TrunkId>>,
    listeners: Vec<Option<ListenerId>>,
    /// The new places of gateways, of the trunks whose `uri` has changed, by old numbers.
    gateways: HashMap<TrunkId, Vec<Option<u8>>>,
}

impl Moved {
    /// Compares the names. A trunk is compared by its project's name and its own.
    pub(crate) fn between(old: &Config, new: &Config) -> Self {
        fn trunks(config: &Config) -> impl Iterator<Item = (&str, &str)> {
            config.trunks.iter().map(|trunk: &Trunk| (&*config.project(trunk.project).name, &*trunk.name))
        }
        let trunks_moved = places(trunks(old), (0..).map(TrunkId).zip(trunks(new)));
        let names = |config: &'_ Config| config.regions.iter().map(|region| region.name.clone()).collect::<Vec<_>>();
        let sockets =
            |config: &Config| config.listeners.iter().map(|listener| (listener.transport, listener.addr)).collect::<Vec<_>>();
        Self {
            regions: places(names(old), (0..).map(RegionId).zip(names(new))),
            projects: places(
                old.projects.iter().map(|project| &project.name),
                (0..).map(ProjectId).zip(new.projects.iter().map(|project| &project.name)),
            ),
            gateways: gateways(old, new, &trunks_moved),
            trunks: trunks_moved,
            listeners: places(sockets(old), (0..).map(ListenerId).zip(sockets(new))),
        }
    }

    /// The new number of a listener, if it has one.
    pub(crate) fn listener(&self, id: ListenerId) -> Option<ListenerId> {
        self.listeners.get(usize::from(id.0)).copied().flatten()
    }

    /// The new number of a trunk, if it has one.
    pub(crate) fn trunk(&self, TrunkId(at): TrunkId) -> Option<TrunkId> {
        self.trunks.get(at as usize).copied().flatten()
    }

    /// Where a gateway stands now, by trunk and place. `None`: its trunk or its URI is gone.
    fn gateway(&self, Gateway { trunk, at }: Gateway) -> Option<Gateway> {
        let at = self.gateways.get(&trunk).map_or(Some(at), |moved| moved.get(usize::from(at)).copied().flatten())?;
        Some(Gateway { trunk: self.trunk(trunk)?, at })
    }

    /// The new number of a region, if it has one.
    pub(crate) fn region(&self, id: RegionId) -> Option<RegionId> {
        self.regions.get(usize::from(id.0)).copied().flatten()
    }

    /// Gives a request of our own its new numbers. `None`: its listener or a region is missing, so it must end.
    pub(crate) fn renumber_own(&self, request: &mut OwnRequest) -> Option<()> {
        let listener = self.listener(request.egress.listener)?;
        if let Some(LegOf { region, serving, trunk, .. }) = &mut request.leg {
            (*region, *serving) = (self.region(*region)?, self.region(*serving)?);
            *trunk = trunk.and_then(|trunk| self.trunk(trunk));
        }
        (request.egress.listener, request.egress.trunk) = (listener, request.leg.and_then(|leg| leg.trunk));
        Some(())
    }

    /// Gives something that was to be sent its new numbers. `None`: its listener is missing, so it must not be sent.
    pub(crate) fn renumber_send(&self, send: &mut Send) -> Option<()> {
        send.listener = self.listener(send.listener)?;
        send.trunk = send.trunk.and_then(|trunk| self.trunk(trunk));
        // Its address was passed by the fence that was in force before.
        send.instead = None;
        Some(())
    }

    /// Gives a transaction its new numbers. `None`: its region, its listener or the listener of an attempt is missing, so the
    /// transaction must end.
    pub(crate) fn renumber(&self, transaction: &mut Transaction) -> Option<()> {
        let Transaction { call, server, client, earlier, .. } = transaction;
        let CallFacts { region, project, trunk, serving, .. } = call;
        let (moved, listener) = (self.region(*region)?, self.listener(server.peer.listener())?);
        if let Some(serving) = serving {
            serving.region = self.region(serving.region)?;
        }
        for client in std::iter::once(client).chain(earlier) {
            client.egress.listener = self.listener(client.egress.listener)?;
        }
        *region = moved;
        server.peer = server.peer.at(listener);
        *project = project.and_then(|ProjectId(at)| self.projects.get(at as usize).copied().flatten());
        *trunk = trunk.and_then(|id| self.trunk(id));
        transaction.holder = transaction.holder.and_then(|id| self.trunk(id));
        for client in std::iter::once(&mut transaction.client).chain(&mut transaction.earlier) {
            // What the request was sent with there is no gateway's any more: a number that none has.
            client.egress.gateway = client.egress.gateway().and_then(|of| self.gateway(of)).map_or(u8::MAX, |of| of.at);
            client.egress.trunk = client.egress.trunk.and_then(|id| self.trunk(id));
        }
        // A gateway that is gone is none any more.
        transaction.targets.retain_mut(|target| match &mut target.gateway {
            None => true,
            Some(gateway) => self.gateway(*gateway).map(|moved| *gateway = moved).is_some(),
        });
        if let Some(best) = &mut transaction.best {
            best.gateway = best.gateway.and_then(|of| self.gateway(of));
        }
        Some(())
    }

    /// Does the same for a transaction that is over.
    pub(crate) fn renumber_finished(&self, finished: &mut Finished) -> Option<()> {
        let Way { region, project, trunk, asks, serving } = finished.way();
        let [came, went] = finished.listeners();
        let serving = match serving {
            Some(serving) => Some(self.region(serving)?),
            None => None,
        };
        let project = project.and_then(|ProjectId(at)| self.projects.get(at as usize).copied().flatten());
        let trunk = trunk.and_then(|id| self.trunk(id));
        let way = Way { region: self.region(region)?, project, trunk, asks, serving };
        finished.renumber(way, [self.listener(came)?, self.listener(went)?]);
        Some(())
    }
}

/// The new places of the gateways of each trunk whose `uri` has changed.
fn gateways(old: &Config, new: &Config, moved: &[Option<TrunkId>]) -> HashMap<TrunkId, Vec<Option<u8>>> {
    let uris = |config: &'_ Config, id: TrunkId| config.trunk(id).outbound().map(|outbound| outbound.hostparts.clone());
    let changed = (0..).map(TrunkId).zip(moved).filter_map(|(id, &to)| {
        let (before, after) = (uris(old, id)?, to.and_then(|to| uris(new, to)).unwrap_or_default());
        if before == after {
            return None;
        }
        let place = |uri: &str| (0..).zip(&after).find(|(_, other)| ***other == *uri).map(|(at, _)| at);
        Some((id, before.iter().map(|uri| place(uri)).collect()))
    });
    changed.collect()
}

fn places<N: Hash + Eq, I: Copy>(old: impl IntoIterator<Item = N>, new: impl Iterator<Item = (I, N)>) -> Vec<Option<I>> {
    let new: HashMap<N, I> = new.map(|(id, name)| (name, id)).collect();
    old.into_iter().map(|name| new.get(&name).copied()).collect()
}
