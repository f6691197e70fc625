//! What happens when a timer fires, or when something that was sent did not get there.

use std::time::Instant;

use super::Core;
use super::attempt::Env;
use super::io::{Attempt, Note, Output};
use super::transaction::client::Due as ClientDue;
use super::transaction::server::Due as ServerDue;
use super::transaction::{Transaction, attempt};

impl Core {
    /// Runs everything that is due.
    pub(super) fn expire(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(slot) = self.table.next_due(now) {
            let (mut env, table) = self.split(now, out);
            if let Some(transaction) = table.get_mut(slot) {
                env.wake(slot, transaction);
            }
            self.settle(slot, out);
        }
    }

    /// A transport error (RFC 3261 17.1.4, 16.9): as if the target had answered 503.
    pub(super) fn failed(&mut self, now: Instant, failed: Attempt, out: &mut Vec<Output>) {
        let Ok(slot) = u32::try_from(failed.0 >> 32) else { return };
        let (mut env, table) = self.split(now, out);
        let Some(transaction) = table.get_mut(slot) else { return };
        // RFC 6026 7.2: what was accepted is not undone; what was answered provisionally has got there.
        if attempt(slot, transaction.client.nonce) != failed || !transaction.client.is_unheard() {
            return;
        }
        env.gone(slot, transaction, true);
        self.settle(slot, out);
    }
}

impl Env<'_> {
    fn wake(&mut self, slot: u32, transaction: &mut Transaction) {
        match transaction.server.due(self.now, &self.config.timers) {
            ServerDue::Nothing | ServerDue::Ended => {}
            ServerDue::Resend(bytes) => {
                let peer = transaction.server.peer;
                self.reply(&peer, bytes);
            }
            ServerDue::Trying => {
                let sent = transaction.client.request.clone();
                self.conclude(transaction, &sent, 100, "Trying", b"");
            }
        }
        let mut earlier = std::mem::take(&mut transaction.earlier);
        for client in &mut earlier {
            // Only a repetition's time can end here: an attempt that was given up has no request left to repeat.
            let _ended = client.due(self.now, &self.config.timers);
        }
        transaction.earlier = earlier;
        match transaction.client.due(self.now, &self.config.timers) {
            ClientDue::Nothing | ClientDue::Ended => {}
            ClientDue::Resend(bytes) => {
                let name = Some(attempt(slot, transaction.client.nonce));
                let (target, transport, listener) =
                    (transaction.client.target, transaction.client.transport, transaction.client.listener);
                self.send(target, transport, listener, bytes, name);
            }
            ClientDue::TimedOut => self.gone(slot, transaction, false),
            ClientDue::RangOut => self.stop(slot, transaction),
            ClientDue::CancelIgnored => self.abandon(transaction),
        }
    }

    /// The present attempt came to nothing: the next one, or the answer that there is none. `reported` by the transport, otherwise
    /// nothing ever came back.
    fn gone(&mut self, slot: u32, transaction: &mut Transaction, reported: bool) {
        let sent = transaction.client.request.clone();
        transaction.client.give_up();
        if !transaction.server.is_open() {
            return;
        }
        if transaction.cancelled {
            return self.conclude(transaction, &sent, 487, "Request Terminated", b"");
        }
        // A non-INVITE that timed out has no time left (RFC 4320 4.2: and no 408 is sent, nor anything else).
        if !transaction.is_invite() && !reported {
            transaction.server.forget(self.now, &self.config.timers);
            return;
        }
        if !self.next(slot, transaction, &sent) {
            self.all_down(transaction, &sent, "every server of the region failed or timed out".to_owned());
        }
    }

    /// A CANCEL was followed by nothing (9.1): the attempt counts as over.
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
    /// After every change of a transaction: its next timer is set, or it is forgotten.
    pub(super) fn settle(&mut self, slot: u32, out: &mut Vec<Output>) {
        if let Some(gone) = self.table.arm(slot) {
            out.push(Output::Note(Note::Transactions { region: gone.region, invite: gone.is_invite(), opened: false }));
        }
    }
}
