//! Another configuration, with all that the core makes of one.
//!
//! It is made outside the event loop, because its tables are as large as the configuration. Taking it in is an exchange: the old
//! one is handed back and dropped outside the event loop too.

mod inside;
pub(crate) mod renumber;

use std::sync::Arc;
use std::time::Instant;

use crate::config::{Config, ListenerId, Needed};
use crate::core::forwarding::local_names::LocalNames;
use crate::core::io::{Note, Output, Send};
use crate::core::keys::Keys;
use crate::core::memory::names_in_use::NamesInUse;
use crate::core::memory::recent::Recent;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::reload::renumber::Moved;
use crate::core::routing::route_token::Tokens;
use crate::core::state::{CHALLENGED, Core};
use crate::core::transaction::forwarded::Transaction;
use crate::dns::Resolved;

/// A configuration and its tables, ready to be exchanged.
#[derive(Debug)]
pub struct Change {
    config: Arc<Config>,
    resolved: Arc<Resolved>,
    keys: Keys,
    tokens: Tokens,
    local_names: LocalNames,
    refused_calls: Recent<RefusedCall>,
    moved: Moved,
}

impl Change {
    /// Makes the change from `old` to `new`. `old` must be the one in force when the change is taken in, and `new` must be its
    /// successor (see [`Config::succeeding`]). `seed` as in [`Core::new`]. None of the names is resolved yet.
    pub fn between(old: &Config, new: Arc<Config>, seed: [u8; 16]) -> Self {
        let keys = Keys::of(&new, seed);
        Self {
            resolved: Arc::new(Resolved::unknown(new.names.len())),
            tokens: Tokens::of(&new, &keys),
            local_names: LocalNames::of(&new),
            refused_calls: Recent::new(new.limits.repeats),
            moved: Moved::between(old, &new),
            config: new,
            keys,
        }
    }

    /// Sets what the names of the new configuration resolve to.
    pub fn aim(&mut self, targets: Arc<Resolved>) {
        self.resolved = targets;
    }

    /// The configuration.
    pub fn config(&self) -> &Arc<Config> {
        &self.config
    }

    /// Gives something that was handed out to be sent, and was not written yet, its new numbers. `None`: it must not be sent any more.
    pub fn renumber(&self, send: &mut Send) -> Option<()> {
        self.moved.renumber_send(send)
    }

    /// The new number of a listener. `None`: nothing needs that listener any more.
    pub fn listener(&self, id: ListenerId) -> Option<ListenerId> {
        self.moved.listener(id)
    }
}

impl Core {
    /// The regions and listeners that are leaving and that something open still needs.
    pub fn needed(&self) -> Needed {
        let mut needed = Needed::default();
        let (regions, listeners) = (&self.config.regions, &self.config.listeners);
        if !regions.iter().any(|region| region.leaving) && !listeners.iter().any(|listener| listener.leaving) {
            return needed;
        }
        for finished in self.table.forwarded.finished() {
            let way = finished.way();
            needed.regions.extend(std::iter::once(way.region).chain(way.serving));
            needed.listeners.extend(finished.listeners());
        }
        for transaction in self.table.forwarded.open() {
            needed.regions.push(transaction.call.region);
            needed.regions.extend(transaction.call.serving.as_ref().map(|serving| serving.region));
            needed.listeners.push(transaction.server.peer.listener());
            needed.listeners.extend(transaction.attempts().map(|client| client.egress.listener));
        }
        needed.listeners.extend(self.table.own.listeners());
        needed.listeners.extend(self.waiting.listeners());
        needed.regions.retain(|&id| self.config.region(id).leaving);
        needed.listeners.retain(|&id| self.config.listener(id).leaving);
        needed.regions.extend(needed.listeners.iter().map(|&id| self.config.listener(id).region));
        needed.regions.sort_unstable();
        needed.regions.dedup();
        needed.listeners.sort_unstable();
        needed.listeners.dedup();
        needed
    }

    /// Whether an open transaction came by this listener, or goes out by it.
    pub fn is_needed(&self, id: ListenerId) -> bool {
        let goes_by = |transaction: &Transaction| {
            let mut clients = transaction.attempts().map(|client| client.egress.listener);
            transaction.server.peer.listener() == id || clients.any(|listener| listener == id)
        };
        self.table.forwarded.open().any(goes_by)
            || self.table.forwarded.finished().any(|finished| finished.listeners().contains(&id))
            || self.table.own.bye_listeners().chain(self.waiting.listeners()).any(|listener| listener == id)
    }

    /// Takes in another configuration. Open transactions go on under its numbers. What was remembered under the old rules is
    /// forgotten. A transaction without a place in the new configuration is ended, because nothing names its target any more. What is
    /// under way to an address that the new fence does not pass fails at once.
    /// Afterwards `change` holds what was in force before.
    pub fn reconfigure(&mut self, now: Instant, change: &mut Change, out: &mut Vec<Output>) {
        let Change { config, resolved, keys, tokens, local_names, refused_calls, moved } = change;
        let mut gone = Vec::new();
        for (slot, transaction) in self.table.forwarded.open_slots() {
            let region = moved.region(transaction.call.region);
            if moved.renumber(transaction).is_none() {
                gone.push((slot, region));
            }
        }
        for (slot, finished) in self.table.forwarded.finished_slots() {
            let region = moved.region(finished.way().region);
            if moved.renumber_finished(finished).is_none() {
                gone.push((slot, region));
            }
        }
        for (slot, region) in gone {
            // A region that is counted no more has no count to be lowered.
            if let (Some(gone), Some(region)) = (self.table.forwarded.remove(slot), region) {
                out.push(Output::Note(Note::Transactions { region, invite: gone.invite, opened: false }));
            }
        }
        let lost = self.table.own.renumber(|request| moved.renumber_own(request));
        self.waiting.renumber(|id| moved.listener(id), |id| moved.trunk(id));
        self.name_cache.renumber(|id| moved.trunk(id));
        // The next call out says it again.
        self.names_in_use = NamesInUse::default();
        std::mem::swap(&mut self.keys, keys);
        // A reload is no start.
        tokens.reads_old_until = self.tokens.reads_old_until;
        std::mem::swap(&mut self.tokens, tokens);
        std::mem::swap(&mut self.local_names, local_names);
        std::mem::swap(&mut self.refused_calls, refused_calls);
        std::mem::swap(&mut self.config, config);
        self.table.forwarded.count_anew(self.config.trunks.len(), self.config.limits.memory);
        std::mem::swap(&mut self.resolved, resolved);
        self.dialog_pace.renumber(|id| moved.trunk(id));
        self.waiting.bound(self.config.limits.memory);
        self.refused_in_dialog.bound(self.config.limits.repeats);
        // The numbers mean something else now.
        self.challenged = Recent::new(CHALLENGED);
        self.rate_limit.bound(self.config.limits.sources);
        self.servers.refresh(now, &self.config, &self.resolved);
        self.health.reconfigure(now, &self.config, &self.resolved);
        for place in lost {
            self.health.ping_gone(now, place);
        }
        self.table.own.keep_pings(|place, sent| self.health.awaits(place, sent));
        self.relays.reconfigure(now, &self.config);
        self.judge_anew(now, out);
        self.hurry(now, out);
        self.arm_others();
    }
}
