//! What happens instead where media is outside and no status code can refuse it: in a response, or in an ACK.
//!
//! The message goes no further. A call that would come of it is ended on both sides, as a telephone would end it, with what the
//! messages at hand say.

use std::net::IpAddr;

use bytes::Bytes;

use crate::core::context::Context;
use crate::core::forwarding::branch::Branch;
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::io::{DropCause, Outcome, Output, Verdict};
use crate::core::media_relay::Pending;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::egress::Egress;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::target::TargetSet;
use crate::core::rules::case::{Case, verdict};
use crate::core::rules::media::{Part, Ruling};
use crate::core::rules::refusal::{self, Refusal};
use crate::core::rules::sides::{Speaker, region_of, speaker};
use crate::core::rules::trace::Trace;
use crate::core::state::Core;
use crate::core::teardown::leg::{Ending, Leg};
use crate::core::transaction::Transaction;
use crate::reason::Class;
use crate::sip::request::cseq;
use crate::sip::response::{is_provisional, is_reliable};
use crate::sip::{Message, Method, Name, Request};

/// An answer that goes no further: whose it is, and why.
pub(crate) struct Blocked {
    refusal: Refusal,
    /// Who answered, and by which way.
    near: Egress,
    speaker: Speaker,
}

impl Context<'_> {
    /// Judges what a response says of media. `near`: the attempt that it belongs to. `None`: it may go on.
    pub(crate) fn blocked(&mut self, transaction: &Transaction, near: Egress, message: &Message<'_>) -> Option<Blocked> {
        let called = transaction.region;
        let speaker = self.answerer(transaction, near.to.addr().ip());
        let ruling = match speaker.judge(self.config, message, transaction.method, Part::Answer, &Trace::closed(), self.out) {
            Ruling::Pass => self.work.swap.ruling(),
            // That it finds no relay is no matter of rules.
            Ruling::Shadow(_) if matches!(self.work.swap, MediaSwap::Denied(..)) => self.work.swap.ruling(),
            ruling => ruling,
        };
        match ruling {
            Ruling::Pass => None,
            Ruling::Shadow(reason) => {
                // Counted where it would have been refused: a provisional would only have been held back, a repetition is no news.
                if transaction.server.is_open() && !is_provisional(message) {
                    self.out.push(verdict(called, speaker.project, speaker.trunk, Verdict::Shadow, reason));
                }
                None
            }
            Ruling::Foreign(reason, detail) => {
                let refusal = Refusal { reason, project: speaker.project, trunk: speaker.trunk, detail };
                Some(Blocked { refusal, near, speaker })
            }
        }
    }

    /// Who speaks by a response that came from this address.
    pub(crate) fn answerer(&self, transaction: &Transaction, from: IpAddr) -> Speaker {
        let &Transaction { region: called, project, trunk, .. } = transaction;
        Speaker { side: transaction.asks.other(), called, serving: region_of(self.config, called, from), project, trunk }
    }

    /// A provisional response that goes no further. One that is to be acknowledged (RFC 3262) cannot be left alone: whoever sent it
    /// waits for a PRACK that only the caller could number. The call is over then, as if it had been answered so.
    pub(crate) fn drop_provisional(
        &mut self,
        slot: u32,
        transaction: &mut Transaction,
        message: &Message<'_>,
        why: &Blocked,
    ) -> Outcome {
        if !is_reliable(message) {
            return Outcome::Dropped(DropCause::Media);
        }
        let sent = transaction.client.request.clone();
        self.answer_caller(transaction, &sent, &why.refusal);
        let reason = Bytes::from(refusal::bye_rows(self.config, transaction.region, &why.refusal));
        if let Some(reason) = transaction.client.want_cancel(reason) {
            self.cancel(slot, &mut transaction.client, &reason);
        }
        Outcome::Refused(why.refusal.reason)
    }

    /// A 2xx to an INVITE that goes no further: acknowledged and ended for whoever sent it, each time that it comes; refused to
    /// whoever asked, who had a call before if it was a re-INVITE, and has none now.
    pub(crate) fn block_2xx(
        &mut self,
        branch: Branch,
        transaction: &mut Transaction,
        message: &Message<'_>,
        sent: &Bytes,
        why: &Blocked,
    ) -> Outcome {
        if let Some(client) = transaction.by_nonce(branch.nonce) {
            // Its repetitions are acknowledged by the same way.
            client.request = sent.clone();
        }
        let open = transaction.server.is_open();
        if open {
            self.answer_caller(transaction, sent, &why.refusal);
            if transaction.client.nonce != branch.nonce {
                self.dismiss(branch.slot, transaction);
            }
        }
        self.tear_down(transaction, message, sent, why);
        Outcome::Refused(why.refusal.reason)
    }

    /// A final response to anything else that goes no further. Where it would have changed a call, that call is over.
    pub(crate) fn block_final(
        &mut self,
        transaction: &mut Transaction,
        message: &Message<'_>,
        code: u16,
        sent: &Bytes,
        why: &Blocked,
    ) -> Outcome {
        self.answer_caller(transaction, sent, &why.refusal);
        let changes = matches!(transaction.method, Method::Prack | Method::Update) && transaction.serving.is_none();
        if changes && (200..=299).contains(&code) {
            self.tear_down(transaction, message, sent, why);
        }
        Outcome::Refused(why.refusal.reason)
    }

    /// A 2xx of an attempt whose caller has been refused already: as if it were outside itself.
    pub(crate) fn too_late(&self, transaction: &Transaction, near: Egress) -> Blocked {
        let (project, trunk) = (transaction.project, transaction.trunk);
        let speaker = self.answerer(transaction, near.to.addr().ip());
        let detail = "the call was refused for its media".to_owned();
        Blocked { refusal: Refusal { reason: crate::reason::Reason::ForeignMediaAnswer, project, trunk, detail }, near, speaker }
    }

    /// The final answer to whoever asked.
    fn answer_caller(&mut self, transaction: &mut Transaction, sent: &Bytes, refusal: &Refusal) {
        let invite = transaction.is_invite();
        // Inside a dialog 488, as for an offer: it says nothing of the dialog itself.
        let code = if transaction.serving.is_some() { refusal.profile(self.config).code(refusal.reason, invite) } else { 488 };
        let rows = refusal::rows(self.config, transaction.region, refusal);
        // The answer is made of the present attempt's bytes while it has them; an earlier one's rows are others.
        let present = transaction.client.request.clone();
        let sent = if present.is_empty() { sent } else { &present };
        self.conclude(transaction, sent, code, refusal.reason.phrase(), &rows);
        transaction.refused = true;
        self.out.push(verdict(transaction.region, refusal.project, refusal.trunk, Verdict::Refuse, refusal.reason));
        if invite && transaction.serving.is_some() && refusal.reason.class() == Class::Policy {
            self.remember(transaction, sent, refusal, code, rows);
        }
    }

    /// A call that was refused for good is told the same when it comes again, without asking anybody.
    fn remember(&mut self, transaction: &Transaction, sent: &Bytes, refusal: &Refusal, code: u16, rows: Vec<u8>) {
        let Ok(message) = Message::datagram(sent) else { return };
        let Ok(request) = Request::read(&message) else { return };
        let told = RefusedCall::of(refusal, code, rows, self.keys.instance(transaction.server.key, request.cseq));
        self.repeats.put(self.now, self.keys.call(request.call_id, request.from_tag), told);
    }

    /// Ends what an answer would have made: the leg of whoever sent it, and inside a dialog also the other one.
    fn tear_down(&mut self, transaction: &mut Transaction, message: &Message<'_>, sent: &Bytes, why: &Blocked) {
        let Some((cseq, _)) = cseq(message) else { return };
        let region = transaction.region;
        let initial = transaction.serving.is_some();
        if !initial {
            self.let_go(transaction, message);
        }
        let rows = refusal::bye_rows(self.config, region, &why.refusal);
        let peer = transaction.server.peer;
        let ending = Ending { region, peer, fence: why.speaker.fence(self.config), rows: &rows };
        let request = Message::datagram(sent).ok().filter(|_| !initial);
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        if let Some(leg) = Leg::of_answer(message, request.as_ref(), cseq, |uri| self.is_ours(region, uri, call_id)) {
            if transaction.is_invite() {
                self.send_ack(&leg, ending, &why.near);
            }
            self.send_bye(&leg, ending, &why.near);
        }
        let (Some(request), Some(to)) = (request, message.first(Name::To)) else { return };
        let asker = Speaker { side: transaction.asks, serving: region_of(self.config, region, peer.addr().ip()), ..why.speaker };
        let ending = Ending { fence: asker.fence(self.config), ..ending };
        let leg = Leg::of_asker(&request, message.value(to), peer.addr(), transaction.server.transport);
        if let (Some(leg), Some(near)) = (leg, self.near(&peer, ending.fence)) {
            self.send_bye(&leg, ending, &near);
        }
    }
}

impl Core {
    /// An ACK whose answer is outside, or finds no relay, goes no further: the callee gets one without it, and both sides a BYE.
    pub(crate) fn ack_media(
        &mut self,
        case: &Case<'_, '_>,
        way: &RouteSet<'_>,
        targets: &mut TargetSet,
        out: &mut Vec<Output>,
    ) -> Result<AckMedia, Pending> {
        let config = self.config.clone();
        let speaker = speaker(&config, case, way.vouched);
        let (mut env, _) = self.split(case.now, out);
        let mut ruling = speaker.judge(&config, case.message, Method::Ack, Part::Answer, case.trace, env.out);
        let mut swap = MediaSwap::Not;
        if !matches!(ruling, Ruling::Foreign(..)) {
            swap = env.relay_ack(case, speaker, way.vouched.relay)?;
            if ruling == Ruling::Pass || matches!(swap, MediaSwap::Denied(..)) {
                ruling = swap.ruling();
            }
        }
        let refusal = match ruling {
            Ruling::Pass => return Ok(AckMedia::Passes(swap)),
            Ruling::Shadow(reason) => {
                env.out.push(verdict(case.region(), speaker.project, speaker.trunk, Verdict::Shadow, reason));
                return Ok(AckMedia::Passes(swap));
            }
            Ruling::Foreign(reason, detail) => Refusal { reason, project: speaker.project, trunk: speaker.trunk, detail },
        };
        if let Some(relay) = way.vouched.relay {
            env.release(case.region(), (speaker.project, speaker.trunk), relay, case.request.call_id);
        }
        let mut news = false;
        let rows = refusal::bye_rows(&config, case.region(), &refusal);
        let callee = Speaker { side: speaker.side.other(), ..speaker };
        let ending = Ending { region: case.region(), peer: case.peer, fence: callee.fence(&config), rows: &rows };
        if let (Some(leg), Some((target, transport, listener))) =
            (Leg::of_way(way, case), env.choose(case.region(), case.arrival.listener, 0, targets))
        {
            let near = Egress { to: target.fenced, transport, listener, server: target.server };
            env.send_ack(&leg, ending, &near);
            news |= env.send_bye(&leg, ending, &near);
        }
        let ending = Ending { fence: speaker.fence(&config), ..ending };
        let transport = config.listener(case.arrival.listener).transport;
        let to = case.message.first(Name::To).map(|header| case.message.value(header)).unwrap_or_default();
        let leg = Leg::of_asker(case.message, to, case.arrival.from, transport);
        if let (Some(leg), Some(near)) = (leg, env.near(&case.peer, ending.fence)) {
            news |= env.send_bye(&leg, ending, &near);
        }
        // The same ACK again is the same refusal.
        if news {
            out.push(verdict(case.region(), refusal.project, refusal.trunk, Verdict::Refuse, refusal.reason));
        }
        Ok(AckMedia::Ended(Outcome::Refused(refusal.reason)))
    }
}

/// What becomes of the ACK of a 2xx.
pub(crate) enum AckMedia {
    /// It goes on, with this.
    Passes(MediaSwap),
    /// It does not.
    Ended(Outcome),
}
