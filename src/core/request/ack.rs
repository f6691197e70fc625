//! An ACK. For our own final response it is absorbed. For a 2xx it is forwarded without a transaction (RFC 3261 16.11).

use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::passed_ack::AckPath;
use crate::core::forwarding::rewrite;
use crate::core::io::{DropCause, Note, Outcome, Output, Verdict};
use crate::core::keys::Hex;
use crate::core::memory::dialog_pace::Sender;
use crate::core::memory::rate_limit::Pace;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::target::{Found, TargetSet};
use crate::core::rules::broken_rule::BrokenRule;
use crate::core::rules::case::Case;
use crate::core::rules::media::{Judgement, Part, Ruling};
use crate::core::rules::refusal::{self, Refusal};
use crate::core::rules::sides::{Speaker, dialog_fence, speaker_in_dialog};
use crate::core::rules::trace::Test;
use crate::core::state::Core;
use crate::core::stop::{Pending, Stop};
use crate::core::teardown::bye::Ending;
use crate::core::teardown::leg::Leg;
use crate::core::telling::Teller;
use crate::sip::{Method, Name};

/// What is decided about the ACK of a 2xx.
struct AckPlan<'a> {
    route: RouteSet<'a>,
    targets: TargetSet,
    speaker: Speaker,
    media: Option<Note>,
    /// `Err`: its media is outside, or no relay takes it. The ACK goes no further, and the call is ended.
    swap: Result<MediaSwap, Refusal>,
    shadow: Option<Box<BrokenRule>>,
}

impl Core {
    /// Handles an ACK.
    pub(crate) fn ack(&mut self, case: &Case<'_, '_>, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        if let Some(slot) = self.table.forwarded.find(case.key) {
            let (context, table) = self.split(case.now, out);
            let timers = &context.config.timers;
            let absorbed = table.get_mut(slot).is_some_and(|transaction| transaction.server.acknowledged(case.now, timers));
            self.settle(slot, out);
            if absorbed {
                return Ok(Outcome::Absorbed);
            }
        }
        // For a refusal of ours: known by our own tag or, inside a dialog, by the branch of the INVITE. The ACK of a 2xx has
        // another branch.
        if self.refused_in_dialog.get(case.now, case.key).is_some()
            || case.request.to_tag.is_some_and(|tag| {
                // Tags of other elements usually do not have the length of ours.
                tag.len() == Hex::LENGTH && tag == self.keys.to_tag(case.request.call_id, case.request.from_tag).as_bytes()
            })
        {
            return Ok(Outcome::Absorbed);
        }
        let mut plan = match self.decide_ack(case) {
            Ok(Some(plan)) => plan,
            Ok(None) => return Ok(Outcome::Stray),
            Err(stop) => return self.stop(case, stop, out),
        };
        out.extend(plan.media.take().map(Output::Note));
        if let Some(trunk) = plan.speaker.trunk {
            let sender = Sender::of(trunk, plan.speaker.side, Method::Ack);
            self.dialog_pace.served(case.now, sender, &self.config.limits);
        }
        Ok(match plan {
            AckPlan { swap: Ok(swap), route, mut targets, shadow, speaker, .. } => {
                let loop_hash = self.loop_hash(case.message, case.request);
                let origin = self.view(case.now).origin_over_tls(&route, &targets);
                let (mut context, _) = self.split(case.now, out);
                if let Some(broken) = shadow {
                    let told = Teller {
                        config: context.config,
                        trunk: speaker.trunk,
                        began: route.began,
                        asks: Some(speaker.side),
                        later: true,
                    };
                    let told = told.tell(case.message);
                    context.verdict(
                        case.region(),
                        (speaker.project, speaker.trunk),
                        Verdict::Shadow,
                        broken.reason,
                        Some(&broken.why),
                        told,
                    );
                }
                context.work.edit.clear();
                route.edit(case.message, case.uri_range(), &mut context.work.edit);
                rewrite::swap_media(case.message, &swap, &mut context.work.edit);
                let by = AckPath { peer: case.peer, region: case.region(), trunk: speaker.trunk, origin, loop_hash };
                match context.pass_on(case.message, case.request, &by, &mut targets) {
                    Some(()) => Outcome::Forwarded,
                    None => Outcome::Dropped(DropCause::AckTarget),
                }
            }
            AckPlan { swap: Err(refusal), route, targets, speaker, .. } => {
                self.end_both(case, &route, targets, speaker, &refusal, out)
            }
        })
    }

    /// Decides about the ACK of a 2xx. `None`: nothing leads the request here.
    fn decide_ack<'a>(&self, case: &Case<'_, 'a>) -> Result<Option<AckPlan<'a>>, Stop> {
        let Some(route) = self.route_set(case) else {
            case.trace.fail(Test::Dialog, || {
                ("Route".to_owned(), "a route token signed for this dialog by this region's key".to_owned())
            });
            // An ACK with a path, but without a token of its dialog, was meant to go on. It is dropped and counted.
            let led = case.message.first(Name::Route).is_some();
            return if led { Err(Stop::Dropped(DropCause::AckTarget)) } else { Ok(None) };
        };
        let dropped = |why: &str| {
            case.trace.fail(Test::Dialog, || (why.to_owned(), "an ACK that can go on: it cannot be refused".to_owned()));
            Stop::Dropped(DropCause::AckTarget)
        };
        if case.request.max_forwards == Some(0) {
            return Err(dropped("Max-Forwards 0"));
        }
        if self.is_looped(case.message, case.request) {
            return Err(dropped("our own Via, with a route that it has had"));
        }
        let Some(fence) = dialog_fence(self.view(case.now), case, &route) else {
            return Err(dropped("a source that is no side of the dialog"));
        };
        let (trunk, asks) = (route.vouched.trunk, route.speaks);
        let limits = &self.config.limits;
        if self.dialog_pace.judge(case.now, Sender::of(trunk, asks, Method::Ack), limits) != Pace::Within {
            case.trace
                .fail(Test::Capacity, || ("an ACK".to_owned(), "not more of them a second than the trunk may send".to_owned()));
            return Err(Stop::Dropped(DropCause::Flood));
        }
        let Found::Inside(targets) = self.dialog_targets(case, &route, fence)? else {
            return Err(dropped("a next hop, or what stands behind it, that is not inside or no server"));
        };
        let speaker = speaker_in_dialog(self.view(case.now), case, &route);
        let Judgement { ruling, note: media } = speaker.judge(&self.config, case.message, Method::Ack, Part::Answer, case.trace);
        let foreign = match ruling {
            Ruling::Pass => None,
            Ruling::Shadow(broken) => Some(broken),
            Ruling::Foreign(refusal) => {
                return Ok(Some(AckPlan { route, targets, speaker, media, swap: Err(refusal), shadow: None }));
            }
        };
        let swap = match self.view(case.now).relay_ack(case, speaker, route.vouched.relay) {
            Ok(swap) => Ok(swap),
            Err(Stop::Refused(refusal)) => Err(refusal),
            Err(stop) => return Err(stop),
        };
        let shadow = foreign.or_else(|| swap.as_ref().ok().and_then(MediaSwap::shadow));
        Ok(Some(AckPlan { route, targets, speaker, media, swap, shadow }))
    }

    /// Ends the call of an ACK: the callee gets an ACK without the answer, and both sides get a BYE.
    fn end_both(
        &mut self,
        case: &Case<'_, '_>,
        route: &RouteSet<'_>,
        mut targets: TargetSet,
        speaker: Speaker,
        refusal: &Refusal,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let config = std::sync::Arc::clone(&self.config);
        let (mut context, _) = self.split(case.now, out);
        if let Some(relay) = route.vouched.relay {
            context.release(case.region(), (speaker.project, speaker.trunk), relay, case.request.call_id);
        }
        let mut news = false;
        let rows = refusal::bye_rows(&config, case.region(), refusal);
        let callee = Speaker { side: speaker.side.other(), ..speaker };
        let whose = (speaker.project, speaker.trunk);
        let end = context.own_end((case.region(), whose), case.message, (route.began, route.time), &rows);
        let ending = Ending { region: case.region(), peer: case.peer, side: callee, rows: &rows, end: end.as_deref() };
        let origin = context.view().origin_over_tls(route, &targets);
        let egress = context.view().choose(case.region(), case.arrival.listener, 0, &mut targets);
        let egress = egress.map(|egress| egress.of(speaker.trunk, origin.as_ref()));
        if let (Some(leg), Some(egress)) = (Leg::of_route_set(route, case), egress) {
            context.send_ack(&leg, ending, &egress);
            news |= context.send_bye(&leg, ending, &egress);
        }
        let near = speaker.peer_fence(&config, context.servers);
        let ending = Ending { side: speaker, ..ending };
        let transport = config.listener(case.arrival.listener).transport;
        let to = case.message.first(Name::To).map(|header| case.message.value(header)).unwrap_or_default();
        let leg = Leg::of_asker(case.message, to, case.peer.answers(), transport);
        if let (Some(leg), Some(egress)) = (leg, context.egress_to(&case.peer, speaker.trunk, near)) {
            news |= context.send_bye(&leg, ending, &egress);
        }
        // The same ACK again is the same refusal.
        if news {
            let told =
                Teller { config: &config, trunk: speaker.trunk, began: route.began, asks: Some(speaker.side), later: true };
            let told = told.tell(case.message);
            context.verdict(
                case.region(),
                (refusal.project, refusal.trunk),
                Verdict::Refuse,
                refusal.reason,
                Some(&refusal.detail),
                told,
            );
        }
        Outcome::Refused(refusal.reason)
    }
}
