//! What happens to a response that arrives: matched to its attempt, relayed, acted upon or dropped.
//!
//! A response that belongs to no attempt of ours goes nowhere (RFC 6026 7.3), wherever its Via points.

pub(crate) mod blocked;

use std::time::Instant;

use bytes::Bytes;

use crate::config::RegionId;
use crate::core::context::Context;
use crate::core::forwarding::branch::{BYE_SLOT, Branch, PROBE_SLOT};
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::rewrite;
use crate::core::io::{Note, Outcome, Output};
use crate::core::media_relay::Pending;
use crate::core::routing::egress::Egress;
use crate::core::rules::sides::region_of;
use crate::core::state::Core;
use crate::core::transaction::Transaction;
use crate::core::transaction::client::Heard;
use crate::fence::Fenced;
use crate::sip::list::{self, Item};
use crate::sip::response::retry_after;
use crate::sip::{Fault, Message, Method, Name, Response};

impl Core {
    /// A response has arrived. `Err`: it waits for a relay, and nothing has been said of it yet.
    pub(crate) fn response(&mut self, now: Instant, message: &Message<'_>, out: &mut Vec<Output>) -> Result<Outcome, Pending> {
        let response = match Response::read(message) {
            Ok(response) => response,
            Err(fault) => return Ok(Outcome::Malformed(fault)),
        };
        let branch = response.via.branch.and_then(Branch::read).filter(|branch| branch.shard == self.shard);
        let Some(branch) = branch else { return Ok(Outcome::Stray) };
        if branch.slot == PROBE_SLOT {
            return Ok(self.probed(now, branch.nonce, message, &response, out));
        }
        if branch.slot == BYE_SLOT {
            return Ok(self.parted(branch.nonce, &response));
        }
        let (mut env, table) = self.split(now, out);
        let Some(transaction) = table.get_mut(branch.slot) else { return Ok(Outcome::Stray) };
        if transaction.by_nonce(branch.nonce).is_none() {
            return Ok(Outcome::Stray);
        }
        if let Some(waits) = env.waits(message) {
            return waits;
        }
        env.work.swap = env.relay_answer(branch, transaction, message, &response)?;
        let outcome = env.heard(branch, transaction, message, &response);
        env.work.swap = MediaSwap::Not;
        self.settle(branch.slot, out);
        Ok(outcome)
    }
}

impl Context<'_> {
    fn heard(
        &mut self,
        branch: Branch,
        transaction: &mut Transaction,
        message: &Message<'_>,
        response: &Response<'_>,
    ) -> Outcome {
        let method = transaction.method;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        if response.method == Method::Cancel {
            client.cancel_answered();
            self.health.alive(self.now, client.place(), client.sent, self.out);
            return Outcome::Absorbed;
        }
        let unheard = client.is_unheard().then_some((client.target, client.sent));
        // 17.1.3: the method in CSeq tells apart what shares a branch.
        if response.method != method {
            return Outcome::Stray;
        }
        // 16.7 step 3: what has no Via below ours was not asked for by anybody else.
        if response.code > 100 && list::items(message, Name::Via).nth(1).is_none() {
            return Outcome::Malformed(Fault::Via);
        }
        if response.code != 503 {
            self.health.alive(self.now, client.place(), client.sent, self.out);
        }
        let present = transaction.client.nonce == branch.nonce;
        if let Some((to, sent)) = unheard {
            self.first_heard(transaction.region, to, sent);
        }
        match (transaction.is_invite(), response.code) {
            (_, 100..=199) if present => self.provisional(branch.slot, transaction, message, response.code),
            (_, 100..=199) => self.late(branch, transaction),
            (true, 200..=299) => self.success(branch, transaction, message, response.code),
            _ => self.finished(branch, transaction, message, response.code),
        }
    }

    /// A target has answered for the first time. Trunks are no servers of the region.
    fn first_heard(&mut self, called: RegionId, to: Fenced, sent: Instant) {
        // Whose server it is, which is not the called region's where the call has moved.
        let region = region_of(self.config, called, to.addr().ip());
        if self.config.region(region).networks.contains(to.addr().ip()) {
            let after = self.now.saturating_duration_since(sent);
            self.out.push(Output::Note(Note::Answered { region, after }));
        }
    }

    fn provisional(&mut self, slot: u32, transaction: &mut Transaction, message: &Message<'_>, code: u16) -> Outcome {
        let timers = &self.config.timers;
        if transaction.client.provisional(self.now, timers) == Heard::Late {
            return Outcome::Absorbed;
        }
        if let Some(reason) = transaction.client.take_wanted_cancel() {
            self.cancel(slot, &mut transaction.client, &reason);
        }
        // 16.7 step 5: a 100 is for one hop; RFC 4320 4.1: nothing provisional but 100 is sent to a non-INVITE.
        if code == 100 || !transaction.is_invite() || !transaction.server.is_open() {
            return Outcome::Absorbed;
        }
        let near = Egress::of(&transaction.client);
        if let Some(why) = self.blocked(transaction, near, message) {
            return self.drop_provisional(slot, transaction, message, &why);
        }
        let bytes = self.relay(transaction, message, code);
        transaction.server.provisional(bytes);
        Outcome::Relayed
    }

    /// A provisional response to an attempt that was left: its target has the request after all, and is not to ring.
    fn late(&mut self, branch: Branch, transaction: &mut Transaction) -> Outcome {
        let timers = &self.config.timers;
        if let Some(client) = transaction.by_nonce(branch.nonce)
            && client.provisional(self.now, timers) == Heard::News
            && let Some(reason) = client.take_wanted_cancel()
        {
            self.cancel(branch.slot, client, &reason);
        }
        Outcome::Absorbed
    }

    fn success(&mut self, branch: Branch, transaction: &mut Transaction, message: &Message<'_>, code: u16) -> Outcome {
        let timers = &self.config.timers;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        let (near, sent) = (Egress::of(client), client.request.clone());
        if client.success(self.now, timers) == Heard::Late {
            return Outcome::Stray;
        }
        let blocked = match self.blocked(transaction, near.clone(), message) {
            None if transaction.refused => Some(self.too_late(transaction, near)),
            blocked => blocked,
        };
        if let Some(why) = blocked {
            return self.block_2xx(branch, transaction, message, &sent, &why);
        }
        // Every 2xx goes on at once, the repeated and the forked too (16.7 step 5, RFC 6026 7.1).
        let bytes = self.relay(transaction, message, code);
        if transaction.server.is_open() {
            transaction.server.finish(self.now, timers, code, bytes);
            if transaction.client.nonce != branch.nonce {
                self.dismiss(branch.slot, transaction);
            }
        }
        Outcome::Relayed
    }

    /// A final response other than a 2xx to an INVITE.
    fn finished(&mut self, branch: Branch, transaction: &mut Transaction, message: &Message<'_>, code: u16) -> Outcome {
        let timers = &self.config.timers;
        let invite = transaction.is_invite();
        let present = transaction.client.nonce == branch.nonce;
        let Some(client) = transaction.by_nonce(branch.nonce) else { return Outcome::Stray };
        let (place, asked, near) = (client.place(), client.sent, Egress::of(client));
        let sent = client.request.clone();
        let mut ack = Bytes::new();
        if invite && client.is_open() {
            self.work.buffer.clear();
            let to = message.first(Name::To).map(|header| message.slice(&header.row));
            if rewrite::companion(&sent, Method::Ack, to, b"", &mut self.work.buffer).is_some() {
                ack = Bytes::copy_from_slice(&self.work.buffer);
            }
        }
        let heard = client.finish(self.now, timers, ack);
        if heard == Heard::Late {
            return Outcome::Stray;
        }
        if !client.ack().is_empty() {
            let bytes = client.ack().clone();
            let (target, transport, listener) = (client.target, client.transport, client.listener);
            self.send(target, client.server.clone(), transport, listener, bytes, None);
        }
        if heard == Heard::News && code == 503 {
            self.health.unavailable(self.now, place, asked, retry_after(message), self.out);
        }
        // What was left is out of the search, unless it did what was asked.
        let late = !present && !(200..=299).contains(&code);
        if heard == Heard::Again || late || !transaction.server.is_open() {
            return Outcome::Absorbed;
        }
        // RFC 3263 4.3: of all answers only 503 sends a request to the next server.
        if code == 503 && !transaction.cancelled {
            if !self.next(branch.slot, transaction, &sent) {
                self.all_down(transaction, &sent, "every server of the region answered 503 or failed".to_owned());
            }
            return Outcome::Absorbed;
        }
        let outcome = if let Some(why) = self.blocked(transaction, near, message) {
            self.block_final(transaction, message, code, &sent, &why)
        } else {
            let bytes = self.relay(transaction, message, code);
            transaction.server.finish(self.now, timers, code, bytes);
            Outcome::Relayed
        };
        if transaction.ends_call() && (code >= 300 || !invite) {
            self.let_go(transaction, message);
        }
        if !present {
            self.dismiss(branch.slot, transaction);
        }
        outcome
    }

    /// An attempt that was left has answered after all: the present one is not needed.
    pub(crate) fn dismiss(&mut self, slot: u32, transaction: &mut Transaction) {
        if transaction.client.is_unheard() {
            transaction.client.leave(self.now, &self.config.timers);
        } else if transaction.is_invite() {
            self.stop(slot, transaction);
        }
    }

    /// Sends a response on to whoever asked: our Via taken off, X-Ringfence from outside taken out, a relay's session
    /// description put in; nothing else touched.
    fn relay(&mut self, transaction: &mut Transaction, message: &Message<'_>, code: u16) -> Bytes {
        self.work.edit.clear();
        let own: Option<Item> = list::items(message, Name::Via).next();
        if let Some(own) = own {
            list::remove(message, &own, &mut self.work.edit);
        }
        for header in message.all(Name::Ringfence) {
            self.work.edit.remove(header.row.clone());
        }
        rewrite::anchor(message, &self.work.swap, &mut self.work.edit);
        if transaction.server.transport.reliable() {
            rewrite::measure(message, &mut self.work.edit);
        }
        let bytes = self.work.apply(message.bytes());
        let peer = transaction.server.peer;
        self.reply(&peer, bytes.clone());
        if std::mem::take(&mut transaction.unmeasured) {
            let after = self.now.saturating_duration_since(transaction.since);
            self.out.push(Output::Note(Note::Setup { region: transaction.region, after }));
        }
        self.out.push(Output::Note(Note::Responded { region: transaction.region, relayed: true, code }));
        bytes
    }

    /// Cancels the present attempt, whoever asked for that.
    pub(crate) fn stop(&mut self, slot: u32, transaction: &mut Transaction) {
        if let Some(reason) = transaction.client.want_cancel(Bytes::new()) {
            self.cancel(slot, &mut transaction.client, &reason);
        }
    }
}
