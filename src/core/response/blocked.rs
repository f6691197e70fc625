//! What happens if media is outside and no status code can refuse it: in a response, or in an ACK.
//!
//! The message goes no further. The call is ended on both sides, as a telephone would end it, by what the messages at hand say.

use bytes::Bytes;

use crate::core::context::Context;
use crate::core::forwarding::branch::Branch;
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::io::{DropCause, Note, Outcome, Output, Verdict};
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::relay_request::RelayAnswer;
use crate::core::response::reception::Reception;
use crate::core::routing::egress::Egress;
use crate::core::rules::media::{Judgement, Part, Ruling};
use crate::core::rules::refusal::{self, Refusal};
use crate::core::rules::sides::{Speaker, region_of};
use crate::core::rules::trace::{Test, Trace};
use crate::core::stop::{Pending, Stop};
use crate::core::teardown::bye::Ending;
use crate::core::teardown::leg::Leg;
use crate::core::telling::Teller;
use crate::core::transaction::forwarded::{CallFacts, Transaction};
use crate::reason::{Class, Reason};
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::request::cseq;
use crate::sip::response::{is_provisional, is_reliable};
use crate::sip::{Message, Method, Name, Request};

/// An answer that goes no further: whose call it belongs to, and why.
pub(crate) struct Blocked {
    refusal: Refusal,
    /// The egress of the attempt that it answers.
    egress: Egress,
    speaker: Speaker,
}

/// The judgement of an answer's media, made before the answer has any effect.
#[derive(Default)]
pub(crate) struct AnswerMedia {
    /// `None`: not judged yet, because its call goes through no relay.
    judged: Option<Judgement>,
    swap: MediaSwap,
}

impl Context<'_> {
    /// Decides about an answer's media before anything else. This is needed if its call goes through a relay and the answer goes
    /// on.
    pub(crate) fn decide_answer(
        &self,
        transaction: &mut Transaction,
        of: &Reception<'_, '_>,
        relay_answer: Option<&RelayAnswer>,
    ) -> Result<AnswerMedia, Pending> {
        let &Reception { branch, message, response, .. } = of;
        let (code, invite) = (response.code, transaction.is_invite());
        let goes_on = transaction.server.is_open() || invite && (200..=299).contains(&code);
        let present = transaction.client.nonce == branch.nonce;
        if transaction.call.call_relay.is_none()
            || response.method != transaction.call.method
            || code <= 100
            || code < 200 && !(invite && present)
            || !goes_on
            || transaction.refused
            || list::items(message, Name::Via).nth(1).is_none()
        {
            return Ok(AnswerMedia::default());
        }
        let Some(egress) = transaction.by_nonce(branch.nonce).map(|client| client.egress.clone()) else {
            return Ok(AnswerMedia::default());
        };
        let speaker = self.answerer(transaction, &egress);
        let method = transaction.call.method;
        let mut judged = speaker.judge(self.config, message, method, Part::Answer, &Trace::closed());
        if matches!(judged.ruling, Ruling::Foreign(_)) {
            return Ok(AnswerMedia { judged: Some(judged), swap: MediaSwap::Not });
        }
        let swap = match self.view().relay_answer(&transaction.call, message, response, relay_answer) {
            Ok(swap) => swap,
            Err(Stop::Waits(pending)) => return Err(pending),
            // A missing relay breaks no rule.
            Err(Stop::Refused(refusal)) => {
                judged.ruling = Ruling::Foreign(refusal);
                MediaSwap::Not
            }
            Err(_) => MediaSwap::Not,
        };
        if let (Ruling::Pass, MediaSwap::Shadow(broken)) = (&judged.ruling, &swap) {
            judged.ruling = Ruling::Shadow(broken.clone());
        }
        Ok(AnswerMedia { judged: Some(judged), swap })
    }

    /// The media swap for an answer to the attempt that went by `egress`. `Err`: the answer goes no further.
    pub(crate) fn judged(
        &mut self,
        transaction: &mut Transaction,
        egress: Egress,
        message: &Message<'_>,
        media: AnswerMedia,
    ) -> Result<MediaSwap, Box<Blocked>> {
        let called = transaction.call.region;
        let speaker = self.answerer(transaction, &egress);
        let AnswerMedia { judged, swap } = media;
        let Judgement { ruling, note } = judged
            .unwrap_or_else(|| speaker.judge(self.config, message, transaction.call.method, Part::Answer, &Trace::closed()));
        self.out.extend(note.map(Output::Note));
        if let (MediaSwap::At(relay, ..), Some(call_relay)) = (&swap, &mut transaction.call.call_relay) {
            call_relay.relay = *relay;
            if !std::mem::replace(&mut call_relay.counted, true) {
                self.out.push(Output::Note(Note::MediaRelayed { region: called }));
            }
        }
        match ruling {
            Ruling::Pass => {}
            Ruling::Shadow(broken) => {
                // Counted only if it would have been refused: a provisional response would only have been dropped, and a
                // repetition is not counted twice.
                if transaction.server.is_open() && !is_provisional(message) {
                    let told = Teller::tell_served(message, self.config, &transaction.call, true);
                    let whose = (speaker.project, speaker.trunk);
                    self.verdict(called, whose, Verdict::Shadow, broken.reason, Some(&broken.why), told);
                }
            }
            Ruling::Foreign(refusal) => return Err(Box::new(Blocked { refusal, egress, speaker })),
        }
        Ok(swap)
    }

    /// An answer that goes no further for something else than its media.
    pub(crate) fn blocked(&self, transaction: &Transaction, egress: Egress, refusal: Refusal) -> Blocked {
        let speaker = self.answerer(transaction, &egress);
        Blocked { refusal, egress, speaker }
    }

    /// Who speaks by a response to an attempt. One that was left may be another trunk's than the present one.
    fn answerer(&self, transaction: &Transaction, egress: &Egress) -> Speaker {
        let &CallFacts { region: called, project, trunk, asks, .. } = &transaction.call;
        let serving = region_of(self.config, called, egress.to.addr().ip());
        Speaker { side: asks.other(), called, serving, project, trunk: egress.trunk.or(trunk) }
    }

    /// Drops a provisional response. A reliable one (RFC 3262) cannot just be dropped: its sender waits for a PRACK that only the
    /// caller could number. Then the call is ended, as if a 2xx had been blocked.
    pub(crate) fn drop_provisional(&mut self, transaction: &mut Transaction, message: &Message<'_>, why: &Blocked) -> Outcome {
        if !is_reliable(message) {
            return Outcome::Dropped(DropCause::Media);
        }
        let sent = transaction.client.request.clone();
        self.answer_caller(transaction, &sent, &why.refusal);
        let reason = Bytes::from(refusal::bye_rows(self.config, transaction.call.region, &why.refusal));
        if let Some(reason) = transaction.client.want_cancel(reason) {
            self.cancel(&mut transaction.client, &reason);
        }
        Outcome::Refused(why.refusal.reason)
    }

    /// Blocks a 2xx to an INVITE. Its sender gets an ACK and a BYE, each time that the 2xx comes. The asker gets a refusal. If
    /// the INVITE was a re-INVITE, its call ends.
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
                self.dismiss(transaction);
            }
        }
        let news = self.tear_down(transaction, message, sent, why);
        if news && !open && !transaction.refused {
            // The asker was told the answer of another fork.
            let (refusal, told) = (&why.refusal, Teller::tell_served(message, self.config, &transaction.call, true));
            let whose = (refusal.project, refusal.trunk);
            self.verdict(transaction.call.region, whose, Verdict::Refuse, refusal.reason, Some(&refusal.detail), told);
        }
        Outcome::Refused(why.refusal.reason)
    }

    /// Blocks a final response to any other request. If that response would have changed a call, the call is ended.
    pub(crate) fn block_final(
        &mut self,
        transaction: &mut Transaction,
        message: &Message<'_>,
        code: u16,
        sent: &Bytes,
        why: &Blocked,
    ) -> Outcome {
        self.answer_caller(transaction, sent, &why.refusal);
        let changes = matches!(transaction.call.method, Method::Prack | Method::Update) && transaction.call.serving.is_none();
        if changes && (200..=299).contains(&code) {
            self.tear_down(transaction, message, sent, why);
        }
        Outcome::Refused(why.refusal.reason)
    }

    /// Blocks a 2xx of an attempt whose caller has been refused already, as if the 2xx itself were outside.
    pub(crate) fn too_late(&self, transaction: &Transaction, egress: Egress) -> Blocked {
        let (project, trunk) = (transaction.call.project, transaction.call.trunk);
        let speaker = self.answerer(transaction, &egress);
        let detail = "the call was refused for its media";
        let row = Trace::closed().fail(Test::Media, || (detail.to_owned(), "a call that is still wanted".to_owned()));
        let refusal = Refusal::new(row, Reason::ForeignMediaAnswer, detail).of(project, trunk);
        Blocked { refusal, egress, speaker }
    }

    /// Sends the final answer to the asker.
    fn answer_caller(&mut self, transaction: &mut Transaction, sent: &Bytes, refusal: &Refusal) {
        let invite = transaction.is_invite();
        // For media inside a dialog 488, as for an offer: it says nothing of the dialog itself.
        let of_media = matches!(refusal.reason, Reason::ForeignMediaAnswer | Reason::UnreadableMedia | Reason::TargetsDown);
        let initial = transaction.call.serving.is_some();
        let code = if initial || !of_media { refusal.profile(self.config).code(refusal.reason, invite) } else { 488 };
        let rows = refusal::rows(self.config, transaction.call.region, refusal);
        // The answer is made of the present attempt's bytes while it has them; an earlier one's rows are others.
        let present = transaction.client.request.clone();
        let sent = if present.is_empty() { sent } else { &present };
        self.conclude(transaction, sent, code, refusal.phrase(), &rows);
        transaction.refused = true;
        let told = Teller::tell_sent(sent, self.config, &transaction.call);
        self.verdict(
            transaction.call.region,
            (refusal.project, refusal.trunk),
            Verdict::Refuse,
            refusal.reason,
            Some(&refusal.detail),
            told,
        );
        if invite && transaction.call.serving.is_some() && refusal.reason.class() == Class::Policy {
            self.remember(transaction, sent, refusal, code, rows);
        }
    }

    /// Remembers a call that was refused for good: if it comes again it gets the same answer, and nobody is asked.
    fn remember(&mut self, transaction: &Transaction, sent: &Bytes, refusal: &Refusal, code: u16, rows: Vec<u8>) {
        let Ok(message) = Message::datagram(sent) else { return };
        let Ok(request) = Request::read(&message) else { return };
        let told = RefusedCall::of(
            refusal,
            code,
            rows,
            self.keys.instance(transaction.server.key, request.cseq),
            transaction.server.peer.addr().ip(),
        );
        self.refused_calls.put(self.now, self.keys.call(request.call_id, request.from_tag), told);
    }

    /// Ends the leg that an answer would have made, to the sender of the answer. Inside a dialog the other leg is ended too. `false`: it was
    /// ended before.
    fn tear_down(&mut self, transaction: &mut Transaction, message: &Message<'_>, sent: &Bytes, why: &Blocked) -> bool {
        let Some((cseq, _)) = cseq(message) else { return false };
        let region = transaction.call.region;
        let initial = transaction.call.serving.is_some();
        if !initial {
            self.release_call(transaction, message);
        }
        let rows = refusal::bye_rows(self.config, region, &why.refusal);
        let peer = transaction.server.peer;
        let call = &transaction.call;
        let end = self.own_end((region, (call.project, call.trunk)), message, (call.dialog.began, call.dialog.time), &rows);
        let ending = Ending { region, peer, side: why.speaker, rows: &rows, end: end.as_deref() };
        let request = Message::datagram(sent).ok().filter(|_| !initial);
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        let from = message.first(Name::From).and_then(|header| Address::parse(message.value(header)));
        let asker = from.and_then(|from| from.tag()).unwrap_or_default();
        let mut news = false;
        if let Some(leg) = Leg::of_answer(message, request.as_ref(), cseq, |uri| self.is_ours(uri, call_id, asker)) {
            if transaction.is_invite() {
                self.send_ack(&leg, ending, &why.egress);
            }
            news = self.send_bye(&leg, ending, &why.egress);
        }
        let (Some(request), Some(to)) = (request, message.first(Name::To)) else { return news };
        let asker =
            Speaker { side: transaction.call.asks, serving: region_of(self.config, region, peer.addr().ip()), ..why.speaker };
        let near = asker.peer_fence(self.config, self.servers);
        let ending = Ending { side: asker, ..ending };
        let leg = Leg::of_asker(&request, message.value(to), peer.answers(), transaction.server.transport);
        if let (Some(leg), Some(egress)) = (leg, self.egress_to(&peer, asker.trunk, near)) {
            news |= self.send_bye(&leg, ending, &egress);
        }
        news
    }
}
