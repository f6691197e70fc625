//! The table of transactions. Forwarded requests are found by slot (responses) and by key (requests), own requests by nonce, and
//! all of them by time.
//!
//! A forwarded request that is over is written down in little room as soon as nothing is sent for it any more. Its clock is the one
//! clock of the core: it also wakes the health of targets and the media relays.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Instant;

use crate::config::{RegionId, Timers, TrunkId};
use crate::core::forwarding::branch::OWN_SLOT;
use crate::core::transaction::awaited::{AnswersDue, Awaited};
use crate::core::transaction::by_key::ByKey;
use crate::core::transaction::finished::Finished;
use crate::core::transaction::forwarded::Transaction;
use crate::core::transaction::own_request::{OwnDue, OwnRequests};
use crate::core::transaction::shares::{Holding, Shares};
use crate::core::transaction::slots::Slots;
use crate::core::transaction::timer::Wheel;

/// All transactions of one core.
#[derive(Debug)]
pub(crate) struct Table {
    pub(crate) forwarded: Forwarded,
    pub(crate) own: OwnRequests,
    wheel: Wheel,
    /// Slots that the wheel has woken.
    due: Vec<u32>,
    /// What else is woken. It is little.
    others: BTreeSet<(Instant, Wake)>,
    /// When health and relays are woken.
    health: Option<Instant>,
    relays: Option<Instant>,
}

/// What is woken beside forwarded requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Wake {
    /// A request of our own, by its nonce.
    Own(u64),
    /// The health of targets: a ping is due, or one has risen.
    Health,
    /// The media relays: a ping is due.
    Relays,
}

/// The forwarded requests.
#[derive(Debug)]
pub(crate) struct Forwarded {
    slots: Slots<Occupant>,
    by_key: ByKey,
    serial: u64,
    due: AnswersDue,
    shares: Shares,
    /// `limits.memory`.
    memory: usize,
    /// When the table began.
    start: Instant,
}

/// One forwarded request.
#[derive(Debug)]
enum Occupant {
    Open(Box<Transaction>),
    Finished(Box<Finished>),
}

/// A transaction that was forgotten.
pub(crate) struct Gone {
    pub(crate) region: RegionId,
    pub(crate) invite: bool,
}

/// What is due now.
pub(crate) enum Due {
    /// The forwarded request in this slot.
    Forwarded(u32),
    /// A forwarded request was forgotten.
    Gone(Gone),
    /// A request of our own.
    Own(OwnDue),
    /// The health of targets.
    Health,
    /// The media relays.
    Relays,
}

impl Occupant {
    fn trunk(&self) -> Option<TrunkId> {
        match self {
            Self::Open(transaction) => transaction.holder,
            Self::Finished(finished) => finished.way().trunk,
        }
    }

    /// What it holds of its trunk's share, as the table has counted it.
    fn holding(&self) -> Holding {
        match self {
            Self::Open(transaction) => transaction.holding,
            Self::Finished(finished) => Holding { transactions: 0, octets: finished.octets() },
        }
    }
}

impl Forwarded {
    /// How many are remembered, open or over.
    pub(crate) fn len(&self) -> usize {
        self.slots.len()
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
        for slot in self.slots.iter() {
            shares.take(slot.trunk(), slot.holding());
        }
        shares
    }

    /// Everything that must hold between two inputs.
    #[cfg(debug_assertions)]
    pub(crate) fn check(&self) {
        assert_eq!(self.shares, self.counted(self.shares.trunks()), "what trunks hold is what there is");
        assert_eq!(self.shares.all().transactions, self.open().count(), "every open transaction is counted");
        assert!(self.open().all(|one| one.holding.octets == one.octets()), "nothing changes without being counted");
    }

    /// The slot that the next one will have. `None`: there are as many as a branch can name.
    pub(crate) fn vacancy(&self) -> Option<u32> {
        u32::try_from(self.slots.vacancy()).ok().filter(|&slot| slot < OWN_SLOT)
    }

    /// The serial number that the next one will have.
    pub(crate) fn next_serial(&self) -> u64 {
        self.serial
    }

    /// The transaction in a slot. One that is over is opened for that: [`Table::arm`] writes it down again.
    pub(crate) fn get_mut(&mut self, slot: u32) -> Option<&mut Transaction> {
        let Self { slots, shares, start, .. } = self;
        let place = slots.get_mut(slot as usize)?;
        if let Occupant::Finished(finished) = place {
            let (trunk, mut holding) = (finished.way().trunk, Holding { transactions: 0, octets: finished.octets() });
            let mut transaction = Box::new(finished.open(*start));
            shares.change(trunk, &mut holding, Holding { transactions: 1, octets: transaction.octets() });
            transaction.holding = holding;
            *place = Occupant::Open(transaction);
        }
        self.open_mut(slot)
    }

    /// The transaction in a slot, if it is open.
    pub(crate) fn open_mut(&mut self, slot: u32) -> Option<&mut Transaction> {
        match self.slots.get_mut(slot as usize)? {
            Occupant::Open(transaction) => Some(transaction),
            Occupant::Finished(_) => None,
        }
    }

    /// The same, to be read.
    pub(crate) fn get_open(&self, slot: u32) -> Option<&Transaction> {
        match self.slots.get(slot as usize)? {
            Occupant::Open(transaction) => Some(transaction),
            Occupant::Finished(_) => None,
        }
    }

    /// The trunk of the attempt with this branch, and the address that it asked, if there is one.
    pub(crate) fn asked(&self, slot: u32, nonce: u64) -> Option<(Option<TrunkId>, IpAddr)> {
        let slot = self.slots.get(slot as usize)?;
        Some(match slot {
            Occupant::Open(transaction) => {
                let egress = &transaction.attempts().find(|client| client.nonce == nonce)?.egress;
                (egress.trunk, egress.to.addr().ip())
            }
            Occupant::Finished(finished) => (finished.way().trunk, finished.asked(nonce)?),
        })
    }

    /// The answers that are due on streams.
    pub(crate) fn due(&self) -> &AnswersDue {
        &self.due
    }

    /// All that are open.
    pub(crate) fn open(&self) -> impl Iterator<Item = &Transaction> {
        self.slots.iter().filter_map(|slot| if let Occupant::Open(open) = slot { Some(open.as_ref()) } else { None })
    }

    /// All that are over.
    pub(crate) fn finished(&self) -> impl Iterator<Item = &Finished> {
        self.slots.iter().filter_map(|slot| if let Occupant::Finished(finished) = slot { Some(finished.as_ref()) } else { None })
    }

    /// All that are open, with their slots.
    pub(crate) fn open_slots(&mut self) -> impl Iterator<Item = (u32, &mut Transaction)> {
        self.slots.iter_mut().filter_map(|(at, slot)| match slot {
            Occupant::Open(open) => Some((u32::try_from(at).ok()?, open.as_mut())),
            Occupant::Finished(_) => None,
        })
    }

    /// All that are over, with their slots.
    pub(crate) fn finished_slots(&mut self) -> impl Iterator<Item = (u32, &mut Finished)> {
        self.slots.iter_mut().filter_map(|(at, slot)| match slot {
            Occupant::Finished(finished) => Some((u32::try_from(at).ok()?, finished.as_mut())),
            Occupant::Open(_) => None,
        })
    }

    /// The slot of a request's transaction.
    pub(crate) fn find(&self, key: u128) -> Option<u32> {
        let slot = self.by_key.find(key)?;
        let whole = match self.slots.get(slot as usize)? {
            Occupant::Open(transaction) => transaction.server.key,
            Occupant::Finished(finished) => finished.key(),
        };
        (whole == key).then_some(slot)
    }

    /// Takes a transaction out, even if it still waits for something.
    pub(crate) fn remove(&mut self, slot: u32) -> Option<Gone> {
        let gone = self.slots.remove(slot as usize)?;
        self.shares.give_back(gone.trunk(), gone.holding());
        match gone {
            Occupant::Open(transaction) => {
                self.by_key.remove(transaction.server.key, slot);
                self.due.change(transaction.counted, Awaited::default());
                Some(Gone { region: transaction.call.region, invite: transaction.is_invite() })
            }
            Occupant::Finished(finished) => {
                self.by_key.remove(finished.key(), slot);
                Some(Gone { region: finished.way().region, invite: finished.is_invite() })
            }
        }
    }
}

impl Table {
    /// An empty one, for the calls of this many trunks.
    pub(crate) fn new(now: Instant, trunks: usize, memory: usize) -> Self {
        let (slots, by_key, due) = Default::default();
        let forwarded = Forwarded { slots, by_key, serial: 0, due, shares: Shares::of(trunks), memory, start: now };
        let (own, due, others) = Default::default();
        Self { forwarded, own, wheel: Wheel::new(now), due, others, health: None, relays: None }
    }

    /// Takes in a transaction; it gets the slot that [`Forwarded::vacancy`] named.
    pub(crate) fn insert(&mut self, mut transaction: Box<Transaction>) -> Option<u32> {
        let slot = self.forwarded.vacancy()?;
        transaction.serial = self.forwarded.serial;
        self.forwarded.serial += 1;
        self.forwarded.by_key.insert(transaction.server.key, slot);
        transaction.holding = Holding { transactions: 1, octets: transaction.octets() };
        self.forwarded.shares.take(transaction.holder, transaction.holding);
        self.forwarded.slots.insert(Occupant::Open(transaction));
        self.arm(slot);
        Some(slot)
    }

    /// Sets the wheel for a transaction's next timer, or forgets the transaction if it has none. One that is over is written down in
    /// little room. Call it after every change.
    pub(crate) fn arm(&mut self, slot: u32) -> Option<Gone> {
        let Forwarded { slots, due, shares, memory, start, .. } = &mut self.forwarded;
        let place = slots.get_mut(slot as usize)?;
        let Occupant::Open(transaction) = place else { return None };
        let Some(deadline) = transaction.deadline() else { return self.forwarded.remove(slot) };
        let awaited = transaction.awaited();
        due.change(std::mem::replace(&mut transaction.counted, awaited), awaited);
        // A later deadline needs nothing: the wake-up that is set finds nothing due and sets the next.
        if transaction.armed.is_none_or(|armed| deadline < armed) {
            transaction.armed = Some(self.wheel.set(deadline, slot));
        }
        #[cfg(debug_assertions)]
        transaction.check();
        let (trunk, mut holding) = (transaction.holder, transaction.holding);
        shares.change(trunk, &mut holding, Holding { transactions: 1, octets: transaction.octets() });
        if shares.all().octets > *memory {
            // A transaction that was let in cannot be refused any more, but a long answer of it need not be kept.
            transaction.server.spare();
            shares.change(trunk, &mut holding, Holding { transactions: 1, octets: transaction.octets() });
        }
        transaction.holding = holding;
        if awaited == Awaited::default()
            && let Some(finished) = Finished::of(transaction, *start)
        {
            // It counts for the trunk that took the call.
            shares.give_back(trunk, holding);
            shares.take(finished.way().trunk, Holding { transactions: 0, octets: finished.octets() });
            *place = Occupant::Finished(Box::new(finished));
        }
        None
    }

    /// Sets the clock for own requests, for health and for relays, at the times that these ask for. Call it after every input.
    pub(crate) fn arm_others(&mut self, health: Option<Instant>, relays: Option<Instant>) {
        let Self { own, wheel, others, .. } = self;
        let mut set = |at, wake| {
            let at = wheel.turn(at);
            others.insert((at, wake));
            at
        };
        own.arm(|nonce, at| set(at, Wake::Own(nonce)));
        for (armed, deadline, wake) in [(&mut self.health, health, Wake::Health), (&mut self.relays, relays, Wake::Relays)] {
            if let Some(deadline) = deadline
                && armed.is_none_or(|armed| wheel.turn(deadline) < armed)
            {
                *armed = Some(set(deadline, wake));
            }
        }
    }

    /// The octets that all hold.
    pub(crate) fn octets(&self) -> usize {
        self.forwarded.shares.all().octets.saturating_add(self.own.octets())
    }

    /// When the first timer fires.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let others = self.others.first().map(|&(at, _)| at);
        self.wheel.deadline().into_iter().chain(others).min()
    }

    /// Takes out the next thing that is due, if any.
    pub(crate) fn next_due(&mut self, now: Instant, timers: &Timers) -> Option<Due> {
        while let Some(&(at, wake)) = self.others.first().filter(|&&(at, _)| at <= now) {
            self.others.remove(&(at, wake));
            match wake {
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
        loop {
            if self.due.is_empty() {
                self.due.shrink_to(MOST_KEPT);
                self.wheel.due(now, &mut self.due);
                // Taken from the end: the earliest first.
                self.due.reverse();
            }
            let slot = self.due.pop()?;
            match self.forwarded.slots.get_mut(slot as usize) {
                Some(Occupant::Open(transaction)) if transaction.armed.is_some_and(|armed| armed <= now) => {
                    transaction.armed = None;
                    return Some(Due::Forwarded(slot));
                }
                Some(Occupant::Finished(finished)) if finished.armed(self.forwarded.start) <= now => {
                    let start = self.forwarded.start;
                    match finished.wake(now, start) {
                        Some(until) => finished.arm(self.wheel.set(until, slot), start),
                        None => return self.forwarded.remove(slot).map(Due::Gone),
                    }
                }
                _ => {}
            }
        }
    }
}

/// Slots that were woken at once, of which the memory is kept.
const MOST_KEPT: usize = 4096;

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
