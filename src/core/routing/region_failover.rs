//! Which region's servers take a new call: the called region's first, then those of its nearest regions, one after the other.
//!
//! A call out stays in its region and may go on to the next trunk of its project.
//!
//! Only an incoming call of an unpinned project moves. Each region's servers must pass that region's own fence. This module
//! chooses regions and their targets; it sends nothing.

use crate::config::{ListenerId, RegionId, TrunkId};
use crate::core::health::Standing;
use crate::core::routing::call_time::CallTime;
use crate::core::routing::egress::Egress;
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::core::routing::route_token::{self, Token, Vouched};
use crate::core::routing::serving::Serving;
use crate::core::routing::srv_order::Dice;
use crate::core::routing::target::{self, Found, Order, Target, TargetSet};
use crate::core::transaction::forwarded::CallFacts;
use crate::core::view::View;

/// The attempts that a request has made so far.
#[derive(Clone, Copy)]
pub(crate) struct Tries<'a> {
    pub(crate) call_id: &'a [u8],
    /// The tag of the party that asked.
    pub(crate) asker: &'a [u8],
    /// Attempts made.
    pub(crate) made: usize,
}

/// The egress of the next attempt.
pub(crate) struct NextStep {
    pub(crate) egress: Egress,
    /// Whether the call has just moved to another region.
    pub(crate) moves: bool,
}

impl View<'_> {
    /// The egress of the next attempt of a call: in its region, or else in the first of the nearest regions that has a server for
    /// it. If the call moves, its X-Ringfence row and its token name the new region from then on.
    pub(crate) fn next_egress(
        &self,
        call: &mut CallFacts,
        tries: Tries<'_>,
        prefer: ListenerId,
        length: usize,
        targets: &mut TargetSet,
    ) -> Option<NextStep> {
        self.put_aside(call, targets);
        while let Some(egress) = self.choose(call.region, prefer, length, targets) {
            if self.goes_by(call, tries, egress.trunk).is_some() {
                return Some(NextStep { egress, moves: false });
            }
        }
        self.move_on(call, tries, prefer, length, targets)
    }

    /// A call out may go on to another trunk of its project: from then on its rows, its token and its rules are those of that trunk. `None`: no
    /// token can be made, so it does not go there.
    fn goes_by(&self, call: &mut CallFacts, tries: Tries<'_>, trunk: Option<TrunkId>) -> Option<()> {
        let Some(trunk) = trunk.filter(|&trunk| call.trunk != Some(trunk)) else { return Some(()) };
        if let Some(token) = &call.token {
            let vouched = Vouched { trunk, serving: call.region, relay: call.relay() };
            call.token = Some(self.sign_again(call, tries, vouched, token)?);
        }
        call.trunk = Some(trunk);
        Some(())
    }

    fn sign_again(&self, call: &CallFacts, tries: Tries<'_>, vouched: Vouched, token: &Token) -> Option<Token> {
        let names = (self.config, self.keys);
        let told = (call.asks, route_token::origin(token), CallTime::invited(self.clock.seconds(call.since)));
        self.tokens.sign(names, call.region, vouched, told, tries.call_id, tries.asker)
    }

    /// The next of the nearest regions that has a server inside which does not look down, with its servers. Also returns how many
    /// regions have had their turn by then.
    fn next_region(&self, call: &CallFacts, serving: &Serving) -> (usize, Option<(RegionId, TargetSet)>) {
        let mut passed = serving.passed.unwrap_or(0);
        for &region in serving.ahead(self.config, call.region, call.project) {
            passed = passed.saturating_add(1);
            let there = self.config.region(region);
            let order = Order::new(self.health, self.now, call.spread);
            let fence = there.fence();
            match target::find(self.config, self.resolved, &there.upstream, serving.secure, fence, order) {
                Found::Inside(found) if !self.looks_down(&found) => return (passed, Some((region, found))),
                _ => {}
            }
        }
        (passed, None)
    }

    /// Whether all of these look down, and none of them has a trial due.
    fn looks_down(&self, targets: &TargetSet) -> bool {
        let dice = Dice::new(0);
        let down = |target: &Target| matches!(self.health.standing(self.now, target.place(), &dice), Standing::Down(_));
        !targets.is_empty() && targets.iter().all(down)
    }

    /// Puts one target aside if all targets left in the called region look down and another region may take the call. It is tried
    /// again if that region fails too. So the failure of a region costs a call only its first attempt.
    fn put_aside(&self, call: &mut CallFacts, targets: &mut TargetSet) {
        let Some(serving) = call.serving.as_mut().filter(|serving| serving.region == call.region) else { return };
        if !serving.ahead(self.config, call.region, call.project).is_empty() && self.looks_down(targets) {
            serving.aside = targets.first().cloned().map(Box::new);
            targets.clear();
        }
    }

    /// Moves a call whose region has no target left to the first of the nearest regions that has one, if the call may go there.
    fn move_on(
        &self,
        call: &mut CallFacts,
        tries: Tries<'_>,
        prefer: ListenerId,
        length: usize,
        targets: &mut TargetSet,
    ) -> Option<NextStep> {
        let left = MAX_ATTEMPTS.checked_sub(tries.made).filter(|&left| left > 0)?;
        let mut serving = call.serving.take()?;
        let step = loop {
            let (passed, next) = self.next_region(call, &serving);
            if serving.passed.is_some() {
                serving.passed = Some(passed);
            }
            let Some((region, mut found)) = next.or_else(|| Some((call.region, TargetSet::from_iter([*serving.aside.take()?]))))
            else {
                break None;
            };
            found.truncate(left);
            *targets = found;
            let Some(egress) = self.choose(call.region, prefer, length, targets) else { continue };
            if let Some(token) = &call.token {
                let vouched = call.trunk.map(|trunk| Vouched { trunk, serving: region, relay: call.relay() });
                let token = vouched.and_then(|vouched| self.sign_again(call, tries, vouched, token));
                if token.is_none() {
                    break None;
                }
                call.token = token;
            }
            let before = std::mem::replace(&mut serving.region, region);
            break Some(NextStep { egress, moves: before == call.region && region != before });
        };
        call.serving = Some(serving);
        step
    }

    /// Whether a call may move to another region after `made` attempts, or go back to a server that was put aside.
    pub(crate) fn may_move(&self, call: &CallFacts, made: usize) -> bool {
        let Some(serving) = call.serving.as_ref().filter(|_| made < MAX_ATTEMPTS) else { return false };
        serving.aside.is_some() || serving.passed.is_some() && self.next_region(call, serving).1.is_some()
    }

    /// Whether a request may go on to another target after `made` attempts, in its region or in another. The same one by datagram is none.
    pub(crate) fn may_go_on(&self, call: &CallFacts, targets: &[Target], made: usize) -> bool {
        targets.iter().any(|target| !target.by_datagram) || self.may_move(call, made)
    }
}
