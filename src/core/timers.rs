//! What happens when a timer fires, or when something that we sent could not be delivered.

use std::time::Instant;

use bytes::Bytes;

use crate::core::context::Context;
use crate::core::forwarding::branch::OWN_SLOT;
use crate::core::io::{Attempt, Failure, Note, Output};
use crate::core::routing::srv_order::Dice;
use crate::core::state::Core;
use crate::core::transaction::forwarded::{Transaction, attempt};
use crate::core::transaction::own_request::OwnDue;
use crate::core::transaction::table::{Due, Gone};
use crate::core::transaction::timer::{Fired, Timer};
use crate::sip::Message;

/// How an attempt ended without a response.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AttemptEnd {
    /// Nothing came back in time.
    Silent,
    /// The transport reported a failure.
    Unreachable,
    /// It was not sent, and that says nothing of the target.
    Unsent,
    /// Both connections on which it was sent have ended. That says little about the target.
    Lost,
}

impl Core {
    /// Runs everything that is due.
    pub(crate) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(due) = self.table.next_due(now, &self.config.timers) {
            match due {
                Due::Gone(gone) => out.push(closed(&gone)),
                Due::Health => self.tend(now, out),
                Due::Relays => self.ping_relays(now, out),
                Due::Own(OwnDue::Resend(egress, bytes, name)) => self.split(now, out).0.send(&egress, bytes, name),
                Due::Own(OwnDue::Unanswered(end)) => out.push(Output::Note(Note::CallEnded(end))),
                Due::Own(OwnDue::Silent(place, sent)) => {
                    self.health.ping_failed(now, place, sent, Failure::Silent, out);
                }
                Due::Forwarded(slot) => {
                    let (mut context, forwarded) = self.split(now, out);
                    if let Some(transaction) = forwarded.get_mut(slot) {
                        context.wake(slot, transaction);
                    }
                    self.settle(slot, out);
                }
            }
            self.arm_others();
        }
    }

    /// Sets the wheel for own requests, for health and for relays.
    pub(crate) fn arm_others(&mut self) {
        self.table.arm_others(self.health.deadline(), self.relays.deadline());
    }

    /// Handles a transport error (RFC 3261 17.1.4, 16.9) as if the target had answered 503.
    pub(crate) fn failed(&mut self, now: Instant, failed: Attempt, end: AttemptEnd, out: &mut Vec<Output>) {
        let Ok(slot) = u32::try_from(failed.0 >> 32) else { return };
        if slot == OWN_SLOT {
            return self.own_failed(now, failed, out);
        }
        let (mut context, table) = self.split(now, out);
        let Some(transaction) = table.open_mut(slot) else { return };
        // RFC 6026 7.2: an accepted call is not undone. A provisional answer shows that the request has arrived.
        if attempt(slot, transaction.client.nonce) != failed || !transaction.client.is_unheard() {
            return;
        }
        context.gone(slot, transaction, end);
        self.settle(slot, out);
    }

    /// The request of an attempt without any response, if it is still wanted. It is sent again if its connection lost it.
    pub fn unheard(&self, name: Attempt) -> Option<Bytes> {
        let slot = u32::try_from(name.0 >> 32).ok()?;
        if slot == OWN_SLOT {
            return self.table.own.open_request(name);
        }
        let transaction = self.table.forwarded.get_open(slot)?;
        let client = &transaction.client;
        let wanted = attempt(slot, client.nonce) == name && client.is_unheard() && !client.is_left();
        wanted.then(|| client.request.clone())
    }

    /// Whether a final response to an attempt may still come.
    pub fn is_open(&self, name: Attempt) -> bool {
        let Ok(slot) = u32::try_from(name.0 >> 32) else { return false };
        if slot == OWN_SLOT {
            return self.table.own.open_request(name).is_some();
        }
        let transaction = self.table.forwarded.get_open(slot);
        transaction.is_some_and(|one| one.attempts().any(|client| attempt(slot, client.nonce) == name && client.is_open()))
    }

    /// Handles an own request that could not be delivered.
    fn own_failed(&mut self, now: Instant, failed: Attempt, out: &mut Vec<Output>) {
        if let Some((nonce, place, sent)) = self.table.own.ping_of(failed) {
            self.table.own.close(nonce, now, &self.config.timers);
            self.health.ping_failed(now, place, sent, Failure::Unreachable, out);
        }
    }

    /// Moves the attempts that wait for a target that has gone down to other targets: not all at once, and with no further
    /// message to that target. A request that has no other target keeps trying. This scans the whole table, but the event is
    /// rare.
    pub(crate) fn hurry(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(place) = self.health.fallen() {
            let mut concerned = Vec::new();
            let (context, table) = self.split(now, out);
            for (slot, transaction) in table.open_slots() {
                let waits = transaction.client.is_unheard() && transaction.client.place() == place;
                if waits
                    && transaction.server.is_open()
                    && context.view().may_go_on(&transaction.call, &transaction.targets, transaction.earlier.len() + 1)
                {
                    let dice = Dice::new(context.keys.chance(transaction.serial));
                    transaction.client.hurry(now + context.config.timers.t1 * dice.below(1000) / 1000);
                    concerned.push(slot);
                }
            }
            for slot in concerned {
                self.settle(slot, out);
            }
        }
    }
}

impl Context<'_> {
    fn wake(&mut self, slot: u32, transaction: &mut Transaction) {
        match transaction.server.due(self.now, &self.config.timers) {
            Some(Fired { timer: Timer::G, again }) => {
                let peer = transaction.server.peer;
                self.reply(&peer, again);
            }
            Some(Fired { timer: Timer::Trying, .. }) => {
                let sent = transaction.client.request.clone();
                self.conclude(transaction, &sent, 100, "Trying", b"");
            }
            // The time for repetitions is over.
            Some(_) | None => {}
        }
        let mut earlier = std::mem::take(&mut transaction.earlier);
        for client in &mut earlier {
            match client.due(self.now, &self.config.timers) {
                // The CANCEL of one that was left.
                Some(Fired { timer: Timer::A | Timer::E, again }) => self.send(&client.egress, again, None),
                Some(Fired { timer: Timer::B | Timer::C | Timer::F | Timer::CancelIgnored, .. }) => client.give_up(),
                Some(_) | None => {}
            }
        }
        transaction.earlier = earlier;
        match transaction.client.due(self.now, &self.config.timers) {
            Some(Fired { timer: Timer::A | Timer::E, again }) => {
                let name = Some(attempt(slot, transaction.client.nonce));
                self.send(&transaction.client.egress, again, name);
            }
            Some(Fired { timer: Timer::B | Timer::F, .. }) => self.gone(slot, transaction, AttemptEnd::Silent),
            Some(Fired { timer: Timer::C, .. }) => self.cancel_present(transaction),
            Some(Fired { timer: Timer::CancelIgnored, .. }) => self.abandon(transaction),
            Some(_) | None => {}
        }
    }

    /// Ends the present attempt, which failed. Starts the next one, or answers that there is none.
    fn gone(&mut self, slot: u32, transaction: &mut Transaction, end: AttemptEnd) {
        let reported = end != AttemptEnd::Silent;
        let client = &mut transaction.client;
        let sent = client.request.clone();
        // RFC 3263 4.3: the request goes to the next server only if nothing at all came back.
        let unheard = client.is_unheard();
        if unheard && !client.is_left() {
            let (now, place, sent) = (self.now, client.place(), client.sent);
            match end {
                AttemptEnd::Silent => self.health.failed(now, place, sent, Failure::Silent, self.out),
                AttemptEnd::Unreachable => self.health.failed(now, place, sent, Failure::Unreachable, self.out),
                AttemptEnd::Lost => self.health.suspect(now, place),
                AttemptEnd::Unsent => {}
            }
        }
        if reported {
            client.give_up();
        } else {
            client.leave(self.now, &self.config.timers);
        }
        if !transaction.server.is_open() {
            return transaction.client.give_up();
        }
        if transaction.cancelled {
            return self.conclude(transaction, &sent, 487, "Request Terminated", b"");
        }
        let reached = !matches!(end, AttemptEnd::Unreachable | AttemptEnd::Unsent);
        if unheard && self.next(slot, transaction, &sent, reached) {
            return;
        }
        // RFC 4320 4.2: a non-INVITE that timed out gets no 408, and no other answer.
        if !transaction.is_invite() && !reported {
            if transaction.ends_call()
                && let Ok(message) = Message::datagram(&sent)
            {
                self.release_call(transaction, &message);
                self.tell_end(transaction, None, transaction.client.nonce, &message, None);
            }
            transaction.server.forget(self.now, &self.config.timers);
            return;
        }
        self.all_down(transaction, &sent, "failed or timed out");
    }

    /// Ends the present attempt, because its address is outside since a reload. Starts the next one, or answers that there is none.
    pub(crate) fn lost_to_reload(&mut self, slot: u32, transaction: &mut Transaction) {
        let sent = transaction.client.request.clone();
        transaction.client.give_up();
        if !transaction.server.is_open() {
            return;
        }
        transaction.outside = true;
        if transaction.cancelled {
            return self.conclude(transaction, &sent, 487, "Request Terminated", b"");
        }
        if !transaction.stays() && self.next(slot, transaction, &sent, true) {
            transaction.outside = false;
        } else {
            self.all_down(transaction, &sent, "failed, or is outside since a reload");
        }
    }

    /// Ends an attempt because no final response has followed its CANCEL (9.1).
    fn abandon(&mut self, transaction: &mut Transaction) {
        let sent = transaction.client.request.clone();
        transaction.client.give_up();
        if !transaction.server.is_open() {
            return;
        }
        if transaction.cancelled {
            self.conclude(transaction, &sent, 487, "Request Terminated", b"");
        } else {
            self.conclude(transaction, &sent, 408, "Request Timeout", b"");
        }
    }
}

impl Core {
    /// Sets a transaction's next timer, or forgets the transaction if it has none. Call it after every change.
    pub(crate) fn settle(&mut self, slot: u32, out: &mut Vec<Output>) {
        if let Some(gone) = self.table.arm(slot) {
            out.push(closed(&gone));
        }
    }
}

/// Notes that a transaction was forgotten.
fn closed(&Gone { region, invite }: &Gone) -> Output {
    Output::Note(Note::Transactions { region, invite, opened: false })
}
