//! The table of transactions. Forwarded requests are found by slot (responses) and by key (requests), own requests by nonce, and
//! all of them by time.
//!
//! Its wheel is the one clock of the core: it also wakes the health of targets and the media relays.

use std::collections::HashMap;
use std::time::Instant;

use slab::Slab;

use crate::config::Timers;
use crate::core::forwarding::branch::OWN_SLOT;
use crate::core::keys::Keyed;
use crate::core::transaction::awaited::{AnswersDue, Awaited};
use crate::core::transaction::forwarded::Transaction;
use crate::core::transaction::own_request::{OwnDue, OwnRequests};
use crate::core::transaction::shares::{Holding, Shares};
use crate::core::transaction::timer::{Wake, Wheel};

/// All transactions of one core.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) forwarded: Forwarded,
    pub(crate) own: OwnRequests,
    wheel: Wheel,
    due: Vec<Wake>,
    /// When the wheel wakes health and relays.
    health: Option<Instant>,
    relays: Option<Instant>,
}

/// The forwarded requests.
#[derive(Debug, Default)]
pub(crate) struct Forwarded {
    transactions: Slab<Box<Transaction>>,
    slots: HashMap<u128, u32, Keyed>,
    serial: u64,
    due: AnswersDue,
    shares: Shares,
    /// `limits.memory`.
    memory: usize,
}

/// What is due now.
pub(crate) enum Due {
    /// The forwarded request in this slot.
    Forwarded(u32),
    /// A request of our own.
    Own(OwnDue),
    /// The health of targets.
    Health,
    /// The media relays.
    Relays,
}

impl Forwarded {
    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// What each trunk holds of them.
    pub(crate) fn shares(&self) -> &Shares {
        &self.shares
    }

    /// Counts anew what each of this many trunks holds, because a reload has given them other numbers. `memory`:
    /// `limits.memory`.
    pub(crate) fn count_anew(&mut self, trunks: usize, memory: usize) {
        (self.shares, self.memory) = (self.counted(trunks), memory);
    }

    fn counted(&self, trunks: usize) -> Shares {
        let mut shares = Shares::of(trunks);
        for transaction in self.iter() {
            shares.take(transaction.call.trunk, transaction.holding);
        }
        shares
    }

    /// Everything that must hold between two inputs.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert_eq!(self.shares, self.counted(self.shares.trunks()), "what trunks hold is what there is");
        assert_eq!(self.shares.all().transactions, self.len(), "every transaction is counted");
        assert!(self.iter().all(|one| one.holding.octets == one.octets()), "nothing changes without being counted");
    }

    /// The slot that the next one will have. `None`: there are as many as a branch can name.
    pub(crate) fn vacancy(&self) -> Option<u32> {
        u32::try_from(self.transactions.vacant_key()).ok().filter(|&slot| slot < OWN_SLOT)
    }

    /// The serial number that the next one will have.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial
    }

    /// The transaction in a slot.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Transaction> {
        self.transactions.get_mut(slot as usize).map(Box::as_mut)
    }

    /// The transaction in a slot, to be read.
    pub(crate) fn get(&self, slot: u32) -> Option<&Transaction> {
        self.transactions.get(slot as usize).map(Box::as_ref)
    }

    /// The answers that are due on streams.
    pub(crate) fn due(&self) -> &AnswersDue {
        &self.due
    }

    /// All transactions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().map(|(_, transaction)| transaction.as_ref())
    }

    /// All transactions with their slots.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Transaction)> {
        self.transactions.iter_mut().filter_map(|(slot, transaction)| Some((u32::try_from(slot).ok()?, transaction.as_mut())))
    }

    /// The slot of a request's transaction.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        self.slots.get(&key).copied()
    }

    /// Takes a transaction out, even if it still waits for something.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Box<Transaction>> {
        let transaction = self.transactions.try_remove(slot as usize)?;
        self.slots.remove(&transaction.server.key);
        self.due.change(transaction.counted, Awaited::default());
        self.shares.give_back(transaction.call.trunk, transaction.holding);
        Some(transaction)
    }
}

impl Table {
    /// An empty one, for the calls of this many trunks.
    pub(crate) fn new(now: Instant, trunks: usize, memory: usize) -> Self {
        let (own, due) = Default::default();
        let forwarded = Forwarded { shares: Shares::of(trunks), memory, ..Forwarded::default() };
        Self { forwarded, own, wheel: Wheel::new(now), due, health: None, relays: None }
    }

    /// Takes in a transaction; it gets the slot that [`Forwarded::vacancy`] named.
    pub(crate) fn insert(&mut self, mut transaction: Transaction) -> Option<u32> {
        let slot = self.forwarded.vacancy()?;
        transaction.serial = self.forwarded.serial;
        self.forwarded.serial += 1;
        self.forwarded.slots.insert(transaction.server.key, slot);
        transaction.holding = Holding { transactions: 1, octets: transaction.octets() };
        self.forwarded.shares.take(transaction.call.trunk, transaction.holding);
        self.forwarded.transactions.insert(Box::new(transaction));
        self.arm(slot);
        Some(slot)
    }

    /// Sets the wheel for a transaction's next timer, or forgets the transaction if it has none. Call it after every change.
    pub(crate) fn arm(&mut self, slot: u32) -> Option<Box<Transaction>> {
        let Forwarded { transactions, due, shares, memory, .. } = &mut self.forwarded;
        let transaction = transactions.get_mut(slot as usize)?;
        let Some(deadline) = transaction.deadline() else { return self.forwarded.remove(slot) };
        let awaited = transaction.awaited();
        due.change(std::mem::replace(&mut transaction.counted, awaited), awaited);
        let octets = transaction.octets();
        shares.change(transaction.call.trunk, &mut transaction.holding, octets);
        if shares.all().octets > *memory {
            // A transaction that was let in cannot be refused any more, but a long answer of it need not be kept.
            transaction.server.spare();
            let octets = transaction.octets();
            shares.change(transaction.call.trunk, &mut transaction.holding, octets);
        }
        // A later deadline needs nothing: the wake-up that is set finds nothing due and sets the next.
        if transaction.armed.is_none_or(|armed| deadline < armed) {
            transaction.armed = Some(self.wheel.set(deadline, Wake::Forwarded { slot, serial: transaction.serial }));
        }
        #[cfg(debug_assertions)]
        transaction.check();
        None
    }

    /// Sets the wheel for own requests, for health and for relays, at the times that these ask for. Call it after every input.
    pub(crate) fn arm_others(&mut self, health: Option<Instant>, relays: Option<Instant>) {
        let wheel = &mut self.wheel;
        self.own.arm(|nonce, at| wheel.set(at, Wake::Own(nonce)));
        for (armed, deadline, wake) in [(&mut self.health, health, Wake::Health), (&mut self.relays, relays, Wake::Relays)] {
            if let Some(deadline) = deadline
                && armed.is_none_or(|armed| wheel.really(deadline) < armed)
            {
                *armed = Some(wheel.set(deadline, wake));
            }
        }
    }

    /// The octets that all hold.
    pub(crate) fn octets(&self) -> usize {
        self.forwarded.shares.all().octets.saturating_add(self.own.octets())
    }

    /// When the first timer fires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wheel.deadline()
    }

    /// Takes out the next thing that is due, if any.
    pub(crate) fn next_due(&mut self, now: Instant, timers: &Timers) -> Option<Due> {
        loop {
            if self.due.is_empty() {
                self.wheel.due(now, &mut self.due);
                // Taken from the end: the earliest first.
                self.due.reverse();
            }
            match self.due.pop()? {
                Wake::Forwarded { slot, serial } => {
                    let Some(transaction) = self.forwarded.get_mut(slot) else { continue };
                    if transaction.serial != serial || transaction.armed.is_none_or(|armed| armed > now) {
                        continue;
                    }
                    transaction.armed = None;
                    return Some(Due::Forwarded(slot));
                }
                Wake::Own(nonce) => {
                    if let Some(due) = self.own.wake(nonce, now, timers) {
                        return Some(Due::Own(due));
                    }
                }
                // An entry that was superseded by an earlier one finds its time not armed any more.
                Wake::Health if self.health.is_some_and(|at| at <= now) => {
                    self.health = None;
                    return Some(Due::Health);
                }
                Wake::Relays if self.relays.is_some_and(|at| at <= now) => {
                    self.relays = None;
                    return Some(Due::Relays);
                }
                Wake::Health | Wake::Relays => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// How often health is woken up to a moment.
    fn wakes(table: &mut Table, now: Instant) -> usize {
        let of = Duration::from_secs;
        let timers = Timers { t1: of(1), t2: of(4), t4: of(5), c: of(185), drain: of(1), try_for: of(4) };
        std::iter::from_fn(|| table.next_due(now, &timers)).filter(|due| matches!(due, Due::Health)).count()
    }

    #[test]
    fn what_is_armed_again_and_again_is_woken_once() {
        let start = Instant::now();
        let mut table = Table::new(start, 0, 1 << 20);
        let at = |millis| Some(start + Duration::from_millis(millis));
        for _ in 0..1000 {
            table.arm_others(at(1001), None);
        }
        assert_eq!(wakes(&mut table, start + Duration::from_secs(2)), 1);
        // Later, earlier, later: the wheel wakes at the earlier time, and is then set again.
        for millis in [4000, 3000, 5000] {
            table.arm_others(at(millis), None);
        }
        assert_eq!(wakes(&mut table, start + Duration::from_millis(3010)), 1);
        table.arm_others(at(5000), None);
        assert_eq!(wakes(&mut table, start + Duration::from_millis(4500)), 0, "the entry for 4000 was superseded");
        assert_eq!(wakes(&mut table, start + Duration::from_secs(6)), 1);
        assert_eq!(table.deadline(), None, "nothing is left on the wheel");
    }
}
