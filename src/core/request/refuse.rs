//! A request that goes no further: answered or refused, without keeping a transaction. The same request gets the same bytes again.

use crate::config::TrunkId;
use crate::core::io::{Note, Outcome, Output, RequestTold, Share, Verdict};
use crate::core::memory::dialog_pace::Sender;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::{self, Answer, Refusal};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Source;
use crate::core::state::Core;
use crate::core::stop::{Pending, Stop};
use crate::core::telling::Teller;
use crate::fence::canonical;
use crate::reason::{Class, Reason};
use crate::sip::Method;

impl Core {
    /// Carries out a stop. `Err`: the message waits.
    pub(crate) fn stop(&mut self, case: &Case<'_, '_>, stop: Stop, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        match stop {
            Stop::Waits(pending) => Err(pending),
            Stop::Refused(refusal) => Ok(self.refuse(case, &refusal, out)),
            Stop::Answered(answer) => Ok(self.say(case, &answer, out)),
            Stop::RefusedBefore(before) => Ok(self.refuse_again(case, &before, out)),
            Stop::Dropped(cause) => Ok(Outcome::Dropped(cause)),
        }
    }

    /// Sends an answer that is no refusal.
    pub(crate) fn say(&mut self, case: &Case<'_, '_>, answer: &Answer, out: &mut Vec<Output>) -> Outcome {
        self.expect_ack(case);
        let (mut context, _) = self.split(case.now, out);
        context.answer_request(case, answer.code, answer.phrase, &answer.rows);
        Outcome::Answered(answer.code)
    }

    /// Refuses a request. If a relay has taken the call already, it is told to forget the call.
    fn refuse(&mut self, case: &Case<'_, '_>, refusal: &Refusal, out: &mut Vec<Output>) -> Outcome {
        let invite = case.request.method == Method::Invite;
        let in_dialog = case.request.to_tag.is_some();
        // Inside a dialog media is refused with 488, so that the call goes on as it was.
        let code = match refusal.reason {
            _ if in_dialog && refusal.ends_no_call => 488,
            // The code of some profiles would end the call (RFC 5057 5.1). A lack of room, or of a target, must not end it.
            _ if in_dialog && refusal.reason.class() == Class::Capacity => 503,
            _ => refusal.answer_code(&self.config, invite),
        };
        if in_dialog {
            self.count_refused(case, refusal);
        }
        let rows = refusal::rows(&self.config, case.region(), refusal);
        let told = self.tell_refused(case, refusal.trunk);
        let (mut context, _) = self.split(case.now, out);
        if let Some(relay) = case.relay_answer.filter(|answer| answer.sdp.is_some() && !in_dialog).map(|answer| answer.relay) {
            context.release(case.region(), (refusal.project, refusal.trunk), relay, case.request.call_id);
        }
        context.answer_request(case, code, refusal.phrase(), &rows);
        context.verdict(
            case.region(),
            (refusal.project, refusal.trunk),
            Verdict::Refuse,
            refusal.reason,
            Some(&refusal.detail),
            told,
        );
        if let Some(share) = refusal.share {
            let whose = (refusal.project, refusal.trunk);
            context.out.push(Output::Note(Note::ShareUsedUp { region: case.region(), whose, share }));
        }
        self.expect_ack(case);
        if invite && !in_dialog && refusal.reason.class() == Class::Policy {
            let refused = RefusedCall::of(refusal, code, rows, self.instance(case), case.arrival.from.ip());
            let key = self.keys.call(case.request.call_id, case.request.from_tag);
            self.refused_calls.put(case.now, key, refused);
        }
        Outcome::Refused(refusal.reason)
    }

    /// What the audit record is told of a request that is refused, if one is kept.
    fn tell_refused(&self, case: &Case<'_, '_>, trunk: Option<TrunkId>) -> Option<Box<RequestTold>> {
        let config = &*self.config;
        config.audit.as_ref()?;
        // What no valid token leads is told by its own words.
        let route = case.request.to_tag.and_then(|_| self.route_set(case));
        let (later, began, speaks) = route.map_or((false, true, None), |route| (true, route.began, Some(route.speaks)));
        let servers = || Source::of(self.view(case.now), case.region(), case.arrival).server;
        let asks = speaks.or_else(|| trunk.map(|_| if servers() { Side::Servers } else { Side::Trunk }));
        Teller { config, trunk, began, asks, later }.tell(case.message)
    }

    /// Counts a refused request inside a dialog for the pace of its sender, if the sender is a side of the dialog.
    fn count_refused(&mut self, case: &Case<'_, '_>, refusal: &Refusal) {
        let Some(trunk) = refusal.trunk.filter(|_| refusal.reason != Reason::UnknownSource) else { return };
        // No address of a trunk is a server's.
        let of_trunk = self.config.signalling.contains(canonical(case.arrival.from.ip()));
        let side = if of_trunk { Side::Trunk } else { Side::Servers };
        let (sender, limits) = (Sender::of(trunk, side, case.request.method), &self.config.limits);
        if refusal.share == Some(Share::Pace) {
            self.dialog_pace.told(case.now, sender, limits);
        } else {
            self.dialog_pace.served(case.now, sender, limits);
        }
    }

    /// Refuses an INVITE of a call that was refused for good in the last minute: with the same answer, and without judging again.
    fn refuse_again(&mut self, case: &Case<'_, '_>, before: &RefusedCall, out: &mut Vec<Output>) -> Outcome {
        let instance = self.instance(case);
        let repeats = before.request != instance;
        let mut told = self.tell_refused(case, before.trunk);
        if repeats {
            // Its own retransmissions are none, from now on.
            let key = self.keys.call(case.request.call_id, case.request.from_tag);
            if let Some(before) = self.refused_calls.get_mut(key) {
                before.request = instance;
            }
        } else if let Some(told) = &mut told {
            // Its verdict was told when it came first.
            told.later = true;
        }
        let (mut context, _) = self.split(case.now, out);
        context.answer_request(case, before.code, before.phrase, &before.rows);
        if repeats {
            let (region, project, trunk) = (case.region(), before.project, before.trunk);
            context.out.push(Output::Note(Note::Repeat { region, project, trunk }));
        }
        context.verdict(case.region(), (before.project, before.trunk), Verdict::Refuse, before.reason, Some(&before.why), told);
        Outcome::Refused(before.reason)
    }

    /// Remembers an INVITE that is refused inside a dialog, because its ACK looks like that of a 2xx.
    fn expect_ack(&mut self, case: &Case<'_, '_>) {
        if case.request.method == Method::Invite && case.request.to_tag.is_some() {
            self.refused_in_dialog.put(case.now, case.key, ());
        }
    }

    /// The key of one request of a call. A retransmission has the same.
    pub(super) fn instance(&self, case: &Case<'_, '_>) -> u128 {
        self.keys.instance(case.key, case.request.cseq)
    }
}
