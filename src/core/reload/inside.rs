//! Judges everything that is under way by the configuration that has just taken effect. If its fence does not pass an address any
//! more, nothing is sent there, whatever was decided before.
//!
//! An attempt at such an address fails at once, as if its server had failed: the request goes on to the next target that is inside, or
//! is answered. Nobody is told to hang up there: a CANCEL, an ACK or a BYE would leave the region too.

use std::net::SocketAddr;
use std::time::Instant;

use crate::config::{ListenerId, RegionId, TrunkId};
use crate::core::io::{Destination, Output, Send};
use crate::core::rules::side::Side;
use crate::core::rules::sides::{Speaker, region_of};
use crate::core::state::Core;
use crate::core::transaction::client::Client;
use crate::core::transaction::forwarded::{Transaction, Way};
use crate::core::transaction::own_request::{LegOf, OwnKind, OwnRequest};
use crate::core::view::View;
use crate::fence::Fence;

impl Core {
    /// Ends everything that leads to an address that is outside now.
    pub(crate) fn judge_anew(&mut self, now: Instant, out: &mut Vec<Output>) {
        let mut concerned = Vec::new();
        let (mut context, table) = self.split(now, out);
        for (_, finished) in table.finished_slots() {
            if !context.view().passes(finished.way(), finished.to()) {
                finished.give_up();
            }
        }
        for (slot, transaction) in table.open_slots() {
            let lost = context.view().leave_outside(transaction);
            if lost.any {
                concerned.push(slot);
            }
            if lost.present {
                context.lost_to_reload(slot, transaction);
            }
        }
        for slot in concerned {
            self.settle(slot, out);
        }
        let view = self.view(now);
        let outside: Vec<u64> =
            self.table.own.iter().filter(|(_, request)| !view.leads_inside(request)).map(|(at, _)| at).collect();
        for nonce in outside {
            self.table.own.end(nonce);
        }
    }

    /// Whether our connection to an address may stay open: the region of its listener may still send there.
    pub fn may_connect(&self, listener: ListenerId, to: SocketAddr) -> bool {
        let (config, region) = (&*self.config, self.config.region(self.config.listener(listener).region));
        let regions = std::iter::once(region).chain(region.nearest.iter().map(|&nearest| config.region(nearest)));
        let trunks = config.trunks.iter().flat_map(|trunk| [&trunk.networks, trunk.reach()]);
        regions.map(|region| &region.networks).chain(trunks).any(|networks| networks.contains(to.ip()))
    }

    /// Whether something that was handed out before, and was not written yet, may still go to its address.
    pub fn lets_go(&self, now: Instant, send: &Send) -> bool {
        let Destination::Fenced(to) = send.to else { return true };
        let view = self.view(now);
        let region = self.config.listener(send.listener).region;
        let to = to.addr();
        if send.in_dialog {
            let passes = |to| view.passes_in_dialog(region, Side::Trunk, send.trunk, to);
            passes(to) && send.origin.as_ref().is_none_or(|origin| passes(origin.addr()))
        } else {
            view.passes_upstream(region, |_| true, to) || view.passes_outbound(send.trunk, to)
        }
    }
}

/// The parts of a transaction that led outside.
struct Lost {
    any: bool,
    /// Whether its present attempt did.
    present: bool,
}

impl View<'_> {
    /// Takes out of a transaction the targets that are outside now, and gives up its attempts at such targets.
    fn leave_outside(&self, transaction: &mut Transaction) -> Lost {
        let Transaction { call, client, earlier, targets, .. } = transaction;
        let way = call.way();
        let by = |trunk: Option<TrunkId>| Way { trunk: trunk.or(way.trunk), ..way };
        targets.retain(|target| self.passes(by(target.gateway.map(|gateway| gateway.trunk)), target.fenced.addr()));
        let aside = call.serving.as_ref().and_then(|serving| serving.aside.as_ref()).map(|target| target.fenced.addr());
        if aside.is_some_and(|to| !self.passes(way, to))
            && let Some(serving) = &mut call.serving
        {
            serving.aside = None;
        }
        let outside = |client: &Client| !self.passes(by(client.egress.trunk), client.egress.to.addr());
        let mut any = false;
        for client in earlier.iter_mut().filter(|client| outside(client)) {
            client.give_up();
            any = true;
        }
        let present = outside(client);
        Lost { any: any || present, present }
    }

    /// Whether messages of a call may be sent to an address.
    fn passes(&self, call: Way, to: SocketAddr) -> bool {
        let Some(serving) = call.serving else {
            return self.passes_in_dialog(call.region, call.asks.other(), call.trunk, to);
        };
        if call.asks == Side::Servers {
            return self.passes_outbound(call.trunk, to);
        }
        // A call that has moved stays there only while it may still move there. A region that is leaving has no nearest ones any more:
        // its calls stay where they are.
        let pin = call.project.and_then(|project| self.config.project(project).pin.as_ref());
        let may_be_in = |region: RegionId| pin.is_none_or(|pin| pin.contains(&region));
        let stays = self.config.region(call.region).leaving && may_be_in(serving);
        let there = stays && self.config.region(serving).fence().admit(to).is_ok();
        there || self.passes_upstream(call.region, may_be_in, to)
    }

    /// Whether a server of a region, or of one of its nearest that a call may go to, is at an address.
    fn passes_upstream(&self, called: RegionId, may_be_in: impl Fn(RegionId) -> bool, to: SocketAddr) -> bool {
        let nearest = self.config.region(called).nearest.iter().copied().filter(|&region| may_be_in(region));
        std::iter::once(called).chain(nearest).any(|region| self.config.region(region).fence().admit(to).is_ok())
    }

    fn passes_outbound(&self, trunk: Option<TrunkId>, to: SocketAddr) -> bool {
        let outbound = trunk.and_then(|trunk| self.config.trunk(trunk).outbound());
        outbound.is_some_and(|outbound| Fence::of_outbound(&outbound.networks).admit(to).is_ok())
    }

    /// Whether a request inside a dialog may go to an address: to a side of the call, or to ourselves, if a token of ours led it
    /// there.
    fn passes_in_dialog(&self, called: RegionId, side: Side, trunk: Option<TrunkId>, to: SocketAddr) -> bool {
        let serving = region_of(self.config, called, to.ip());
        let speaker = Speaker { side, called, serving, project: None, trunk };
        let own = Fence::of_own(&self.config.region(serving).networks, self.servers.own());
        speaker.fence(self.config, self.servers).admit(to).is_ok() || own.admit(to).is_ok()
    }

    /// Whether a request of our own may still be sent to where it went.
    fn leads_inside(&self, request: &OwnRequest) -> bool {
        let to = request.egress.to.addr();
        match (request.kind, request.leg) {
            // Its target is watched only if its region's fence passes it.
            (OwnKind::Ping(place), _) => self.health.is_watched(place),
            (OwnKind::Bye, Some(LegOf { side, region, serving, trunk })) => {
                let speaker = Speaker { side, called: region, serving, project: None, trunk };
                let (fence, peer) = (speaker.fence(self.config, self.servers), speaker.peer_fence(self.config, self.servers));
                fence.admit(to).is_ok() || peer.admit(to).is_ok()
            }
            (OwnKind::Bye, None) => false,
        }
    }
}
