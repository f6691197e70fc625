//! What happens to a response that arrives: it is matched to its attempt, then forwarded, acted upon or dropped.
//!
//! A response that belongs to no attempt of ours goes nowhere (RFC 6026 7.3), whatever its Via says.

use std::net::IpAddr;
use std::time::Instant;

use bytes::Bytes;

use crate::config::RegionId;
use crate::core::context::Context;
use crate::core::forwarding::branch::{Branch, OWN_SLOT};
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::rewrite;
use crate::core::io::{Arrival, EndTold, Note, Outcome, Output};
use crate::core::relay_request::RelayAnswer;
use crate::core::response::blocked::AnswerMedia;
use crate::core::response::going_back::{going_back, sign_again, without_pause};
use crate::core::response::reception::Reception;
use crate::core::routing::place::Gateway;
use crate::core::routing::route_token::Origin;
use crate::core::rules::side::Side;
use crate::core::rules::sides::{is_side, region_of};
use crate::core::state::Core;
use crate::core::stop::Pending;
use crate::core::transaction::client::Heard;
use crate::core::transaction::forwarded::{BestAnswer, Progress, Transaction};
use crate::core::transaction::last_answer::RequestText;
use crate::core::transaction::own_request::OwnKind;
use crate::fence::Fenced;
use crate::sip::response::retry_after;
use crate::sip::{Fault, Message, Method, Name, Response};

pub(crate) mod blocked;
pub(crate) mod going_back;
pub(crate) mod reception;

impl Core {
    /// Handles a response. `Err`: it waits for a relay, and nothing has been said or changed yet.
    pub(crate) fn response(
        &mut self,
        now: Instant,
        arrival: &Arrival,
        message: &Message<'_>,
        relay_answer: Option<&RelayAnswer>,
        out: &mut Vec<Output>,
    ) -> Result<Outcome, Pending> {
        let response = match Response::read(message) {
            Ok(response) => response,
            Err(fault) => return Ok(Outcome::Malformed(fault)),
        };
        let branch = response.via.branch.and_then(Branch::read);
        let Some(branch) = branch else { return Ok(Outcome::Stray) };
        if branch.slot == OWN_SLOT {
            return Ok(self.own_answered(now, (branch.nonce, arrival.from.ip()), message, &response, out));
        }
        let transport = self.config.listener(arrival.listener).transport;
        let from = Origin { addr: arrival.from, transport };
        let reception = Reception { branch, message, response: &response, from };
        let (mut context, table) = self.split(now, out);
        let Some((trunk, asked)) = table.asked(branch.slot, branch.nonce) else { return Ok(Outcome::Stray) };
        // Hops behind the next one also see our Via, so a known branch proves no side.
        if !is_side(context.view(), trunk, asked, arrival.from.ip()) {
            return Ok(Outcome::Stray);
        }
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        if let Some(call) = context.waiting.holds(context.keys, call_id) {
            return Err(Pending::Behind(call));
        }
        let Some(transaction) = table.get_mut(branch.slot) else { return Ok(Outcome::Stray) };
        let media = context.decide_answer(transaction, &reception, relay_answer)?;
        let outcome = context.heard(transaction, &reception, media);
        self.settle(branch.slot, out);
        Ok(outcome)
    }
}

impl Core {
    /// Handles a response to an own request: it ends the retransmission, and the response to a ping says something of the
    /// server's health.
    fn own_answered(
        &mut self,
        now: Instant,
        (nonce, from): (u64, IpAddr),
        message: &Message<'_>,
        response: &Response<'_>,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let asked = self.table.own.get_mut(nonce).map(|request| (request.egress.to.addr().ip(), request.egress.trunk));
        let Some((asked, trunk)) = asked else {
            return Outcome::Stray;
        };
        // A BYE may go to a trunk that is not known here any more: then its own address alone answers for it.
        if !is_side(self.view(now), trunk, asked, from) {
            return Outcome::Stray;
        }
        let Some(request) = self.table.own.get_mut(nonce) else { return Outcome::Stray };
        let (kind, sent, open) = (request.kind, request.sent, request.is_open());
        let method = if kind == OwnKind::Bye { Method::Bye } else { Method::Options };
        if response.method != method {
            return Outcome::Stray;
        }
        if response.code >= 200 {
            let end = request.end.take().map(|end| EndTold { code: Some(response.code), ..*end });
            out.extend(end.map(|end| Output::Note(Note::CallEnded(Box::new(end)))));
            self.table.own.close(nonce, now, &self.config.timers);
        } else if matches!(kind, OwnKind::Ping(_)) {
            request.provisional();
        }
        if let OwnKind::Ping(place) = kind
            && open
        {
            self.ping_answered(now, (place, sent), message, response, out);
        }
        Outcome::Absorbed
    }
}

impl Context<'_> {
    fn heard(&mut self, transaction: &mut Transaction, of: &Reception<'_, '_>, media: AnswerMedia) -> Outcome {
        let &Reception { branch, response, .. } = of;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        if response.method == Method::Cancel {
            client.cancel_answered();
            self.health.speaks(self.now, client.place(), client.sent, self.out);
            return Outcome::Absorbed;
        }
        let unheard = client.is_unheard().then_some((client.egress.to, client.sent));
        let (place, sent) = (client.place(), client.sent);
        // 17.1.3: the method in CSeq tells apart what shares a branch.
        if response.method != transaction.call.method {
            return Outcome::Stray;
        }
        // 16.7 step 3: a response without a Via below ours has no asker to go back to.
        if response.code > 100 && !response.goes_on {
            return Outcome::Malformed(Fault::Via);
        }
        match response.code {
            ..=199 => self.health.speaks(self.now, place, sent, self.out),
            503 => {}
            _ => self.health.alive(self.now, place, sent, self.out),
        }
        let present = transaction.client.nonce == branch.nonce;
        if let Some((to, sent)) = unheard {
            self.first_heard(transaction.call.region, to, sent);
        }
        match (transaction.is_invite(), response.code) {
            (_, 100..=199) if present => self.provisional(transaction, of, media),
            (_, 100..=199) => self.late(branch, transaction, response.code),
            (true, 200..=299) => self.success(transaction, of, media),
            _ => self.finished(transaction, of, media),
        }
    }

    /// Notes a target's first answer. A trunk is no server of the region, so it does not count.
    fn first_heard(&mut self, called: RegionId, to: Fenced, sent: Instant) {
        // Whose server it is, which is not the called region's if the call has moved.
        let region = region_of(self.config, called, to.addr().ip());
        if self.config.region(region).networks.contains(to.addr().ip()) {
            let after = self.now.saturating_duration_since(sent);
            self.out.push(Output::Note(Note::Answered { region, after }));
        }
    }

    fn provisional(&mut self, transaction: &mut Transaction, of: &Reception<'_, '_>, media: AnswerMedia) -> Outcome {
        let code = of.response.code;
        let timers = &self.config.timers;
        if transaction.client.provisional(self.now, timers, code) == Heard::Late {
            return Outcome::Absorbed;
        }
        if let Some(reason) = transaction.client.take_wanted_cancel() {
            self.cancel(&mut transaction.client, &reason);
        }
        if code > 100 && transaction.is_invite() && transaction.progress == Progress::None {
            transaction.progress = Progress::Heard;
        }
        // 16.7 step 5: a 100 is for one hop; RFC 4320 4.1: nothing provisional but 100 is sent to a non-INVITE.
        if code == 100 || !transaction.is_invite() || !transaction.server.is_open() {
            return Outcome::Absorbed;
        }
        let egress = transaction.client.egress.clone();
        let swap = match self.judged(transaction, egress, of.message, media) {
            Ok(swap) => swap,
            Err(why) => return self.drop_provisional(transaction, of.message, &why),
        };
        let bytes = self.relay(transaction, of, &swap);
        transaction.server.provisional(&bytes);
        Outcome::Relayed
    }

    /// A provisional response to an attempt that was left: its target has the request after all, and is not to ring.
    fn late(&mut self, branch: Branch, transaction: &mut Transaction, code: u16) -> Outcome {
        let timers = &self.config.timers;
        if let Some(client) = transaction.by_nonce(branch.nonce)
            && client.provisional(self.now, timers, code) == Heard::News
            && let Some(reason) = client.take_wanted_cancel()
        {
            self.cancel(client, &reason);
        }
        Outcome::Absorbed
    }

    fn success(&mut self, transaction: &mut Transaction, of: &Reception<'_, '_>, media: AnswerMedia) -> Outcome {
        let &Reception { branch, message, response, .. } = of;
        let timers = &self.config.timers;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        // A final answer ends its sending in any case.
        let (egress, sent) = (client.egress.clone(), std::mem::take(&mut client.request));
        if client.success(self.now, timers) == Heard::Late {
            return Outcome::Stray;
        }
        let egress_trunk = egress.trunk;
        let judged = match self.judged(transaction, egress.clone(), message, media) {
            Ok(_) if transaction.refused => Err(Box::new(self.too_late(transaction, egress))),
            judged => judged,
        };
        let swap = match judged {
            Ok(swap) => swap,
            Err(why) => return self.block_2xx(branch, transaction, message, &sent, &why),
        };
        // The call is that trunk's whose gateway took it.
        transaction.call.trunk = egress_trunk.or(transaction.call.trunk);
        // Every 2xx goes on at once, the repeated and the forked too (16.7 step 5, RFC 6026 7.1).
        let bytes = self.relay(transaction, of, &swap);
        if transaction.server.is_open() {
            self.tell_end(transaction, Some(response.code), branch.nonce, message, Some(tags(response)));
            transaction.server.finish(self.now, timers, response.code, &bytes, RequestText::default());
            if transaction.client.nonce != branch.nonce {
                self.dismiss(transaction);
            }
        }
        Outcome::Relayed
    }

    /// A final response other than a 2xx to an INVITE.
    fn finished(&mut self, transaction: &mut Transaction, of: &Reception<'_, '_>, media: AnswerMedia) -> Outcome {
        let &Reception { branch, message, response, .. } = of;
        let code = response.code;
        let timers = &self.config.timers;
        let (invite, cancelled) = (transaction.is_invite(), transaction.cancelled);
        let present = transaction.client.nonce == branch.nonce;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        let (asked, egress) = (client.sent, client.egress.clone());
        let (sent, gateway) = (std::mem::take(&mut client.request), egress.gateway());
        let mut ack = Bytes::new();
        if invite && client.is_open() {
            self.work.buffer.clear();
            let to = message.first(Name::To).map(|header| message.slice(&header.row()));
            if rewrite::companion(&sent, Method::Ack, to, b"", &mut self.work.buffer).is_some() {
                ack = Bytes::copy_from_slice(&self.work.buffer);
            }
        }
        let heard = client.finish(self.now, timers, ack);
        if heard == Heard::Late {
            return Outcome::Stray;
        }
        if !client.ack().is_empty() {
            self.send(&egress, client.ack().clone(), None);
        }
        if heard == Heard::News && code == 503 {
            self.health.unavailable(self.now, egress.place(), asked, retry_after(message), self.out);
        }
        // An attempt that was left does not count in the search, unless it succeeded.
        let late = !present && !(200..=299).contains(&code);
        if heard == Heard::Again || late || !transaction.server.is_open() {
            return Outcome::Absorbed;
        }
        // A 503 would be read as ours, and this node be left alone for it (16.7 step 6): it is never passed on.
        if code == 503 && transaction.cancelled {
            self.conclude(transaction, &sent, 487, "Request Terminated", b"");
            return Outcome::Absorbed;
        }
        // RFC 3263 4.3: of all answers only 503 sends a request to the next server. A call out that has rung goes to no other gateway.
        if code == 503 {
            if transaction.stays() || !self.next(branch.slot, transaction, &sent, true) {
                self.all_down(transaction, &sent, "answered 503 or failed");
            }
            return Outcome::Absorbed;
        }
        if self.advances(transaction, code) && self.next(branch.slot, transaction, &sent, true) {
            let better = transaction.best.as_ref().is_none_or(|best| BestAnswer::is_better(code, best.code));
            // What a rule would refuse is not kept: then the others decide.
            if better && let Ok(swap) = self.judged(transaction, egress, message, media) {
                let bytes = self.going_back(transaction, of, &swap);
                transaction.best = Some(BestAnswer { code, gateway, bytes }.into());
            }
            return Outcome::Absorbed;
        }
        let kept = |best: &mut Box<BestAnswer>| code >= 300 && !BestAnswer::is_better(code, best.code);
        if let Some(best) = transaction.best.take_if(|best| !cancelled && kept(best)) {
            self.tell_best(transaction, &sent, &best);
            return Outcome::Absorbed;
        }
        self.challenged_by(transaction, message, response.from_tag, (code, gateway));
        let redirects = (300..400).contains(&code);
        let redirect = redirects.then(|| self.view().redirect(&transaction.call, message)).flatten();
        let judged = match redirect {
            Some(refusal) => Err(Box::new(self.blocked(transaction, egress, refusal))),
            None => self.judged(transaction, egress, message, media),
        };
        let outcome = match judged {
            Err(why) => self.block_final(transaction, message, code, &sent, &why),
            Ok(swap) => {
                let bytes = self.relay(transaction, of, &swap);
                let asked = transaction.asked(&sent);
                self.tell_end(transaction, Some(code), branch.nonce, message, Some(tags(response)));
                transaction.server.finish(self.now, timers, code, &bytes, asked);
                Outcome::Relayed
            }
        };
        if transaction.ends_call() && (code >= 300 || !invite) {
            self.release_call(transaction, message);
        }
        if !present {
            self.dismiss(transaction);
        }
        outcome
    }

    /// Remembers which gateway wants credentials of a call out, if there are several: the nonce is that gateway's alone. The one that the call
    /// went to first may not be the one that it would go to next time.
    pub(crate) fn challenged_by(
        &mut self,
        transaction: &Transaction,
        answer: &Message<'_>,
        from_tag: &[u8],
        (code, gateway): (u16, Option<Gateway>),
    ) {
        let Some(gateway) = gateway.filter(|_| matches!(code, 401 | 407)) else { return };
        if transaction.earlier.is_empty() && !self.has_other_gateways(gateway) {
            return;
        }
        let call_id = answer.first(Name::CallId).map(|header| answer.value(header)).unwrap_or_default();
        self.challenged.put(self.now, self.keys.call(call_id, from_tag), gateway);
    }

    /// Whether a call out could go to another address than this gateway's: of its trunk, of its name, or of another trunk.
    fn has_other_gateways(&self, gateway: Gateway) -> bool {
        let trunk = self.config.trunk(gateway.trunk);
        let outbound = trunk.outbound();
        outbound.is_some_and(|outbound| outbound.gateways().nth(1).is_some() || outbound.names().next().is_some())
            || self.config.project(trunk.project).out.len() > 1
    }

    /// Ends the present attempt, because one that was left has answered after all.
    pub(crate) fn dismiss(&mut self, transaction: &mut Transaction) {
        if transaction.client.is_unheard() {
            transaction.client.leave(self.now, &self.config.timers);
        } else if transaction.is_invite() {
            self.cancel_present(transaction);
        }
    }

    /// Whether this answer of a gateway sends a call out to the next one: before it rings, and if the trunk says so (`advance`).
    fn advances(&self, transaction: &Transaction, code: u16) -> bool {
        let outbound = transaction.call.trunk.and_then(|trunk| self.config.trunk(trunk).outbound());
        transaction.goes_out()
            && !transaction.cancelled
            && !transaction.stays()
            && outbound.is_some_and(|outbound| outbound.advance.binary_search(&code).is_ok())
    }

    /// A response as it goes back to the asker.
    fn going_back(&mut self, transaction: &Transaction, of: &Reception<'_, '_>, swap: &MediaSwap) -> Bytes {
        let &Reception { message, response, from, .. } = of;
        let code = response.code;
        // Inside a dialog a 500 says when the same request may come again (RFC 3261 14.2, RFC 3311 5.2). That is about the dialog.
        let stays = code == 500 && transaction.call.serving.is_none();
        going_back(message, response, swap, transaction.server.transport.reliable(), &mut self.work.edit);
        if code >= 300 && !stays {
            without_pause(message, &mut self.work.edit);
        }
        if transaction.call.token.is_some() {
            let asks = transaction.call.asks;
            let origin = (asks == Side::Servers && self.view().is_answer_from_behind_nat(message, response)).then_some(from);
            let set_up = self.set_up(transaction, code);
            sign_again(self.keys, (asks, origin, set_up), message, response, &mut self.work.edit);
        }
        self.work.apply(message.bytes())
    }

    /// When a call was set up, if this answer says that it is: a repeated one says the same time as the first.
    fn set_up(&self, transaction: &Transaction, code: u16) -> Option<u32> {
        let sets_up = transaction.is_invite() && (200..=299).contains(&code);
        let at = transaction.server.accepted(&self.config.timers).unwrap_or(self.now);
        self.clock.seconds(at).filter(|_| sets_up)
    }

    /// Sends a response back to the asker.
    fn relay(&mut self, transaction: &mut Transaction, of: &Reception<'_, '_>, swap: &MediaSwap) -> Bytes {
        let code = of.response.code;
        let bytes = self.going_back(transaction, of, swap);
        let peer = transaction.server.peer;
        self.reply(&peer, bytes.clone());
        let region = transaction.call.region;
        if transaction.is_invite() && transaction.progress != Progress::Told {
            transaction.progress = Progress::Told;
            let after = self.now.saturating_duration_since(transaction.call.since);
            self.out.push(Output::Note(Note::Setup { region, after }));
        }
        self.out.push(Output::Note(Note::Responded { region, relayed: true, code }));
        bytes
    }

    /// Cancels the present attempt.
    pub(crate) fn cancel_present(&mut self, transaction: &mut Transaction) {
        if let Some(reason) = transaction.client.want_cancel(Bytes::new()) {
            self.cancel(&mut transaction.client, &reason);
        }
    }
}

/// The tags of its From and its To.
fn tags<'a>(response: &Response<'a>) -> [&'a [u8]; 2] {
    [response.from_tag, response.to_tag.unwrap_or_default()]
}
