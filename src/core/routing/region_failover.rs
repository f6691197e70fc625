//! Which region's servers take a new call: the called region's, and after those the nearest regions', one after the other.
//!
//! Only the call of an unpinned project moves, and only one that comes in. Each region's servers pass that region's fence and no
//! other. This module chooses regions and their targets; it sends nothing.

use std::net::SocketAddr;

use crate::config::{ListenerId, ProjectId, RegionId, Transport, TrunkId};
use crate::core::context::Context;
use crate::core::health::Standing;
use crate::core::io::{Note, Output, Verdict};
use crate::core::routing::route_token::{Token, Vouched};
use crate::core::routing::serving::Serving;
use crate::core::routing::srv_order::Dice;
use crate::core::routing::target::{self, Found, MAX_ATTEMPTS, Order, Target, TargetSet};
use crate::core::transaction::Transaction;
use crate::fence::Fence;
use crate::reason::Reason;

/// A call that may move to another region.
pub(crate) struct MovingCall<'a> {
    pub(crate) region: RegionId,
    pub(crate) project: Option<ProjectId>,
    pub(crate) trunk: Option<TrunkId>,
    /// Its Call-ID.
    pub(crate) id: &'a [u8],
    pub(crate) serial: u64,
    /// Attempts made.
    pub(crate) made: usize,
    /// The relay of its media.
    pub(crate) relay: Option<SocketAddr>,
    pub(crate) serving: &'a mut Option<Serving>,
    pub(crate) token: &'a mut Option<Token>,
}

impl Context<'_> {
    /// The next of the nearest regions that has a server inside which does not look down, and its servers.
    fn next_region(
        &self,
        serving: &mut Serving,
        called: RegionId,
        project: Option<ProjectId>,
        serial: u64,
    ) -> Option<(RegionId, TargetSet)> {
        let secure = serving.secure;
        let (ahead, passed) = (serving.ahead(self.config, called, project), serving.passed.as_mut()?);
        for &region in ahead {
            *passed = passed.saturating_add(1);
            let there = self.config.region(region);
            let order = Order::new(self.health, self.now, self.keys.choice(&serial.to_le_bytes()));
            match target::find(self.config, self.targets, &there.upstream, secure, Fence::of_region(&there.networks), order) {
                Found::Inside(found) if !self.looks_down(&found) => return Some((region, found)),
                _ => {}
            }
        }
        None
    }

    /// Whether all of these look down, and none of them is to be tried now for that.
    fn looks_down(&self, targets: &TargetSet) -> bool {
        let mut dice = Dice::new(0);
        let mut down = |target: &Target| matches!(self.health.standing(self.now, target.place(), &mut dice), Standing::Down(_));
        !targets.is_empty() && targets.iter().all(&mut down)
    }

    /// Where all that is left of the called region looks down, and another may take the call, one of them is put aside until that
    /// has failed: the region's failure costs no call more than the first.
    pub(crate) fn put_aside(&self, call: &mut MovingCall<'_>, targets: &mut TargetSet) {
        let Some(serving) = call.serving.as_mut().filter(|serving| serving.region == call.region) else { return };
        if !serving.ahead(self.config, call.region, call.project).is_empty() && self.looks_down(targets) {
            serving.aside = targets.first().cloned();
            targets.clear();
        }
    }

    /// The region has no target left: the first one of the nearest regions that has one, if the call may go there. What it is told of
    /// the region, and the token, are that region's from then on.
    pub(crate) fn move_on(
        &mut self,
        call: &mut MovingCall<'_>,
        prefer: ListenerId,
        length: usize,
        targets: &mut TargetSet,
    ) -> Option<(Target, Transport, ListenerId)> {
        let serving = call.serving.as_mut()?;
        let left = MAX_ATTEMPTS.checked_sub(call.made).filter(|&left| left > 0)?;
        loop {
            let next = self.next_region(serving, call.region, call.project, call.serial);
            let (region, mut found) = match next {
                Some(next) => next,
                None => (call.region, TargetSet::from_iter([serving.aside.take()?])),
            };
            found.truncate(left);
            *targets = found;
            let Some(chosen) = self.choose(call.region, prefer, length, targets) else { continue };
            if call.token.is_some() {
                let vouched = Vouched { trunk: call.trunk?, serving: region, relay: call.relay };
                *call.token = Some(self.tokens.sign(self.keys, call.region, vouched, call.id)?);
            }
            let before = std::mem::replace(&mut serving.region, region);
            if before == call.region && region != before {
                let (region, project, trunk) = (call.region, call.project, call.trunk);
                let (verdict, reason) = (Verdict::Accept, Reason::Failover);
                self.out.push(Output::Note(Note::Verdict { region, project, trunk, verdict, reason }));
            }
            return Some(chosen);
        }
    }

    /// Whether a transaction may go on to another target after so many attempts, in its region or in another.
    pub(crate) fn may_go_on(&self, transaction: &Transaction, made: usize) -> bool {
        let called = (transaction.region, transaction.project);
        !transaction.targets.is_empty() || self.may_move(transaction.serving.as_ref(), called, transaction.serial, made)
    }

    /// Whether a call may move to another region, or back to a server that was put aside.
    pub(crate) fn may_move(
        &self,
        serving: Option<&Serving>,
        (called, project): (RegionId, Option<ProjectId>),
        serial: u64,
        made: usize,
    ) -> bool {
        let Some(serving) = serving.filter(|_| made < MAX_ATTEMPTS) else { return false };
        serving.aside.is_some() || self.next_region(&mut serving.clone(), called, project, serial).is_some()
    }
}
