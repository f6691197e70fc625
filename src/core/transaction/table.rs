//! The table of open transactions: by place (responses), by key (requests), by time.

use std::collections::HashMap;
use std::time::Instant;

use crate::core::forwarding::branch::BYE_SLOT;
use crate::core::keys::Keyed;
use crate::core::transaction::Transaction;
use crate::core::transaction::timer::{Wake, Wheel};
use slab::Slab;

/// All open transactions of one core.
#[derive(Debug)]
pub(crate) struct Table {
    transactions: Slab<Box<Transaction>>,
    places: HashMap<u128, u32, Keyed>,
    wheel: Wheel,
    serial: u64,
    due: Vec<Wake>,
}

impl Table {
    pub(crate) fn new(now: Instant) -> Self {
        Self { transactions: Slab::new(), places: HashMap::default(), wheel: Wheel::new(now), serial: 0, due: Vec::new() }
    }

    /// How many are open.
    pub(crate) fn len(&self) -> usize {
        self.transactions.len()
    }

    /// The place that the next transaction will have; `None` if there are as many as a branch can name.
    pub(crate) fn vacancy(&self) -> Option<u32> {
        u32::try_from(self.transactions.vacant_key()).ok().filter(|&slot| slot < BYE_SLOT)
    }

    /// The serial number that the next transaction will have.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial
    }

    /// Takes in a transaction; it gets the place that [`Table::vacancy`] named.
    pub(crate) fn insert(&mut self, mut transaction: Transaction) -> Option<u32> {
        let slot = self.vacancy()?;
        transaction.serial = self.serial;
        self.serial += 1;
        self.places.insert(transaction.server.key, slot);
        self.transactions.insert(Box::new(transaction));
        self.arm(slot);
        Some(slot)
    }

    /// The transaction in a place.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Transaction> {
        self.transactions.get_mut(slot as usize).map(Box::as_mut)
    }

    /// All transactions.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Transaction> {
        self.transactions.iter().map(|(_, transaction)| transaction.as_ref())
    }

    /// All transactions with their places.
    pub(crate) fn iter_mut(&mut self) -> impl Iterator<Item = (u32, &mut Transaction)> {
        self.transactions.iter_mut().filter_map(|(slot, transaction)| Some((u32::try_from(slot).ok()?, transaction.as_mut())))
    }

    /// The place of a request's transaction.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        self.places.get(&key).copied()
    }

    /// Sets the wheel for the transaction's next timer, or forgets the transaction if it has none. Call it after every change.
    pub(crate) fn arm(&mut self, slot: u32) -> Option<Box<Transaction>> {
        let transaction = self.transactions.get_mut(slot as usize)?;
        let Some(deadline) = transaction.deadline() else {
            self.places.remove(&transaction.server.key);
            return Some(self.transactions.remove(slot as usize));
        };
        // A later deadline needs nothing: the wake-up that is set finds nothing due and sets the next.
        if transaction.armed.is_none_or(|armed| deadline < armed) {
            transaction.armed = Some(self.wheel.set(deadline, Wake { slot, serial: transaction.serial }));
        }
        #[cfg(debug_assertions)]
        transaction.check();
        None
    }

    /// When the first timer fires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.wheel.deadline()
    }

    /// The next transaction with something due, if any.
    pub(crate) fn next_due(&mut self, now: Instant) -> Option<u32> {
        loop {
            if self.due.is_empty() {
                self.wheel.due(now, &mut self.due);
            }
            let wake = self.due.pop()?;
            let Some(transaction) = self.transactions.get_mut(wake.slot as usize) else { continue };
            if transaction.serial != wake.serial || transaction.armed.is_none_or(|armed| armed > now) {
                continue;
            }
            transaction.armed = None;
            return Some(wake.slot);
        }
    }
}
