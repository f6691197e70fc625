//! A request inside a dialog: led by the token that we signed, judged by the fence at every hop.
//!
//! Nothing is remembered of the dialog; what is needed stands in the token.

use super::Core;
use super::admit::{self, Refusal, Source, shown};
use super::io::{Outcome, Output, Verdict};
use super::refuse;
use super::request::{Case, uri_range, verdict};
use super::route::{self, Way};
use super::target::{self, Found, Order};
use super::transaction::Opening;
use crate::config::{Media, Mode, ProjectId, Transport, Trunk, TrunkId};
use crate::fence::Fence;
use crate::reason::Reason;
use crate::sip::Method;

impl Core {
    /// A request inside a dialog: our token leads it, the fence judges its next hop.
    pub(super) fn inside(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Outcome {
        let nobody = |reason, detail| Refusal { reason, project: None, trunk: None, detail };
        let Some(way) = self.way(case) else {
            return self.refuse(case, &nobody(Reason::ForgedRoute, "no valid route token of this dialog".to_owned()), out);
        };
        let config = self.config.clone();
        let trunk = config.trunk(way.trunk);
        let refusal = |reason, detail| Refusal { reason, project: Some(trunk.project), trunk: Some(way.trunk), detail };
        let source = Source::of(&config, case.region(), case.arrival.from.ip());
        let Some(found) = self.dialog_targets(case, &way) else {
            return self.refuse(case, &refusal(Reason::UnknownSource, String::new()), out);
        };
        if let Some(outcome) = self.unfit(case, out) {
            return outcome;
        }
        // Where a request can be refused, an offer or answer in it is: INVITE, UPDATE, PRACK.
        if matches!(case.request.method, Method::Invite | Method::Update | Method::Prack) {
            let from_trunk = source.trunks.contains(&way.trunk).then_some(trunk);
            if let Some(outcome) = self.dialog_media(case, trunk.project, from_trunk, way.trunk, out) {
                return outcome;
            }
        }
        let mut targets = match found {
            Found::Inside(targets) => targets,
            Found::Nothing => {
                let detail = format!("next hop {} resolves to nothing", shown(way.next.hostport));
                return self.refuse(case, &refusal(Reason::NoTarget, detail), out);
            }
            Found::Outside(addr) => {
                return self.refuse(case, &refusal(Reason::ForeignDialogTarget, format!("next hop {addr} is outside")), out);
            }
        };
        if self.is_crammed() {
            return self.refuse(case, &refusal(Reason::Overloaded, "too many open transactions".to_owned()), out);
        }
        self.work.edit.clear();
        way.edit(case.message, uri_range(case.message), &mut self.work.edit);
        let transport = targets.first().and_then(|target| target.transport).unwrap_or(Transport::Udp);
        let side = way.leave_by.and_then(|hostport| self.names.find(&config, case.region(), hostport, transport));
        let opening = Opening {
            region: case.region(),
            project: Some(trunk.project),
            trunk: Some(way.trunk),
            method: case.request.method,
            token: None,
            round: self.round(case.message, case.request),
            since: case.now,
        };
        if !self.open(case, opening, side.unwrap_or(case.arrival.listener), &mut targets, out) {
            return self.refuse(case, &refusal(Reason::TargetsDown, "no listener reaches the next hop".to_owned()), out);
        }
        Outcome::Forwarded
    }

    /// Media of a re-INVITE: refused with 488, so that the call goes on as it was.
    fn dialog_media(
        &mut self,
        case: &Case<'_, '_>,
        project: ProjectId,
        from_trunk: Option<&Trunk>,
        trunk: TrunkId,
        out: &mut Vec<Output>,
    ) -> Option<Outcome> {
        let config = self.config.clone();
        let rules = config.project(project);
        if rules.media == Media::Off {
            return None;
        }
        let (reason, detail) = admit::media(&config.region(case.region()).networks, from_trunk, case.message).err()?;
        if rules.media == Media::Warn || rules.mode == Mode::Shadow {
            out.push(verdict(case.region(), Some(project), Some(trunk), Verdict::Shadow, reason));
            return None;
        }
        let refusal = Refusal { reason, project: Some(project), trunk: Some(trunk), detail };
        let rows = refuse::rows(&config, case.region(), &refusal);
        Some(self.refuse_with(case, &refusal, 488, rows, out))
    }

    pub(super) fn way<'a>(&self, case: &Case<'_, 'a>) -> Option<Way<'a>> {
        route::way(&self.keys, &self.tokens, case.region(), case.message, case.request)
    }

    /// The targets of a request inside a dialog; `None` if it comes from neither of the dialog's sides. From the trunk only the
    /// region's networks are inside; from the region's servers the trunk's as well.
    pub(super) fn dialog_targets(&self, case: &Case<'_, '_>, way: &Way<'_>) -> Option<Found> {
        let config = &self.config;
        let region = config.region(case.region());
        let trunk = config.trunk(way.trunk);
        let source = Source::of(config, case.region(), case.arrival.from.ip());
        let outbound = trunk.outbound.as_ref().map(|outbound| &outbound.networks);
        let fence = if source.server {
            Fence::of_dialog(&region.networks, &trunk.networks, outbound)
        } else if source.trunks.contains(&way.trunk) || outbound.is_some_and(|set| set.contains(case.arrival.from.ip())) {
            Fence::of_region(&region.networks)
        } else {
            return None;
        };
        // By the call: an ACK and its repetitions choose alike among the servers of a name.
        let order = Order::new(&self.health, case.now, self.keys.choice(case.request.call_id));
        Some(target::find_uri(&way.next, config, &self.targets, fence, order))
    }
}
