//! A request inside a dialog: led by the token that we signed, judged by the fence at every hop.
//!
//! Nothing is remembered of the dialog; what is needed stands in the token.

use std::time::Instant;

use crate::config::Transport;
use crate::core::forwarding::rewrite;
use crate::core::io::{Outcome, Output, Verdict};
use crate::core::media_relay::{Pending, Relayed};
use crate::core::routing::route_set::{self, RouteSet};
use crate::core::routing::target::{self, Book, Found, Order};
use crate::core::rules::case::{Case, uri_range, verdict};
use crate::core::rules::media::{Part, Ruling};
use crate::core::rules::refusal::{self, Refusal, shown};
use crate::core::rules::sides::{asking_side, dialog_fence, speaker};
use crate::core::rules::trace::{Mark, Test, around, trunk_name};
use crate::core::state::Core;
use crate::core::transaction::CallFacts;
use crate::reason::Reason;

impl Core {
    /// A request inside a dialog: our token leads it, the fence judges its next hop.
    pub(crate) fn inside(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        let nobody = |reason, detail| Refusal { reason, project: None, trunk: None, detail };
        let Some(way) = self.way(case) else {
            case.trace.note(Test::Dialog, Mark::Fail, || {
                ("Route".to_owned(), "a route token signed for this Call-ID by this region's key".to_owned())
            });
            return Ok(self.refuse(case, &nobody(Reason::ForgedRoute, "no valid route token of this dialog".to_owned()), out));
        };
        let config = self.config.clone();
        let trunk = config.trunk(way.vouched.trunk);
        case.trace.note(Test::Dialog, Mark::Pass, || {
            let serving = &config.region(way.vouched.serving).name;
            let what = format!("{}, served by region {serving}", trunk_name(&config, way.vouched.trunk));
            ("route token, valid for this Call-ID".to_owned(), what)
        });
        let refusal = |reason, detail| Refusal { reason, project: Some(trunk.project), trunk: Some(way.vouched.trunk), detail };
        let fence = dialog_fence(&config, case, &way);
        case.trace.note(Test::Dialog, Mark::of(fence.is_some()), || {
            let ip = case.arrival.from.ip();
            let servers = &config.region(way.vouched.serving).networks;
            let outbound = trunk.outbound.as_ref().map(|outbound| &outbound.networks);
            let sets: Vec<_> = [servers, &trunk.networks].into_iter().chain(outbound).collect();
            (format!("source {ip}"), format!("the two sides of the dialog: {}", around(ip, &sets)))
        });
        let Some(fence) = fence else {
            return Ok(self.refuse(case, &refusal(Reason::UnknownSource, String::new()), out));
        };
        if let Some(outcome) = self.unfit(case, out) {
            return Ok(outcome);
        }
        let order = self.dialog_order(case).telling(case.trace);
        let found = target::find_uri(&way.next, way.secure, self.book(case.now), fence, order)?;
        let foreign = match self.dialog_media(case, &way, out) {
            Ok(foreign) => foreign,
            Err(outcome) => return Ok(outcome),
        };
        let mut targets = match found {
            Found::Inside(targets) => targets,
            Found::Nothing => {
                let detail = format!("next hop {} resolves to nothing", shown(way.next.hostport));
                return Ok(self.refuse(case, &refusal(Reason::NoTarget, detail), out));
            }
            Found::Plain => return Ok(self.say(case, 416, "Unsupported URI Scheme", b"", out)),
            Found::Outside(addr) => {
                return Ok(self.refuse(case, &refusal(Reason::ForeignDialogTarget, format!("next hop {addr} is outside")), out));
            }
        };
        if self.is_crammed() {
            return Ok(self.refuse(case, &refusal(Reason::Overloaded, "too many open transactions".to_owned()), out));
        }
        let mooring = self.split(case.now, out).0.relay_offer(case, (trunk.project, way.vouched.trunk), way.vouched.relay)?;
        let (call_relay, swap) = match mooring {
            Relayed::Fast(call_relay, swap) => (call_relay, swap),
            Relayed::Denied(reason, detail) => {
                return Ok(self.refuse_488(case, &refusal(reason, detail), out));
            }
        };
        if let Some(reason) = foreign.or_else(|| swap.shadow()) {
            out.push(verdict(case.region(), Some(trunk.project), Some(way.vouched.trunk), Verdict::Shadow, reason));
        }
        self.work.edit.clear();
        rewrite::anchor(case.message, &swap, &mut self.work.edit);
        way.edit(case.message, uri_range(case.message), &mut self.work.edit);
        let transport = targets.first().and_then(|target| target.transport).unwrap_or(Transport::Udp);
        let side = way.leave_by.and_then(|hostport| self.names.find(&config, case.region(), hostport, transport));
        let facts = CallFacts {
            region: case.region(),
            asks: asking_side(&config, case, way.vouched),
            project: Some(trunk.project),
            trunk: Some(way.vouched.trunk),
            serving: None,
            method: case.request.method,
            call_relay,
            token: None,
            loop_hash: self.loop_hash(case.message, case.request),
            since: case.now,
        };
        if self.open(case, facts, side.unwrap_or(case.arrival.listener), &mut targets, out).is_none() {
            return Ok(self.refuse(case, &refusal(Reason::TargetsDown, "no listener reaches the next hop".to_owned()), out));
        }
        Ok(Outcome::Forwarded)
    }

    /// Media of a request inside a dialog: refused with 488, so that the call goes on as it was. `Ok`: what would have refused it.
    fn dialog_media(
        &mut self,
        case: &Case<'_, '_>,
        way: &RouteSet<'_>,
        out: &mut Vec<Output>,
    ) -> Result<Option<Reason>, Outcome> {
        let config = self.config.clone();
        let speaker = speaker(&config, case, way.vouched);
        let (project, trunk) = (speaker.project, speaker.trunk);
        match speaker.judge(&config, case.message, case.request.method, Part::Offer, case.trace, out) {
            Ruling::Pass => Ok(None),
            Ruling::Shadow(reason) => Ok(Some(reason)),
            Ruling::Foreign(reason, detail) => Err(self.refuse_488(case, &Refusal { reason, project, trunk, detail }, out)),
        }
    }

    fn refuse_488(&mut self, case: &Case<'_, '_>, refusal: &Refusal, out: &mut Vec<Output>) -> Outcome {
        let rows = refusal::rows(&self.config, case.region(), refusal);
        self.refuse_with(case, refusal, 488, rows, out)
    }

    pub(crate) fn way<'a>(&self, case: &Case<'_, 'a>) -> Option<RouteSet<'a>> {
        route_set::way(&self.keys, &self.tokens, case.region(), case.message, case.request)
    }

    /// By the call: an ACK and its repetitions choose alike among the servers of a name.
    pub(crate) fn dialog_order(&self, case: &Case<'_, '_>) -> Order<'_> {
        Order::new(&self.health, case.now, self.keys.choice(case.request.call_id))
    }

    /// What is known of names.
    pub(crate) fn book(&self, now: Instant) -> Book<'_> {
        Book { now, config: &self.config, targets: &self.targets, asked: &self.asked, keys: &self.keys }
    }
}
