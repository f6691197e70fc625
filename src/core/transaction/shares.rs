//! Counts how much of the table each trunk holds, in transactions and in octets, and says whether it may have more. Refuses
//! nothing.
//!
//! A request that is over counts in octets alone: it only waits to be forgotten.
//!
//! A trunk may hold a multiple of what is free, not a fixed part. Alone it gets nearly all; if others hold more, it gets less. So
//! a trunk that has nothing always finds room. Requests that end calls find room for longer than those that begin them.

use crate::config::TrunkId;
use crate::sip::Method;

/// Transactions that a trunk may always have if there is any room, so that its calls end even with a very small table.
const FLOOR: usize = 16;

/// The kind of request that asks for room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Asking {
    /// A new call, or any other request outside a dialog.
    Call,
    /// A request inside a dialog.
    Dialog,
    /// A BYE. It is turned away last, because it makes room.
    Bye,
}

impl Asking {
    /// The kind of a request inside a dialog.
    pub(crate) fn inside(method: Method) -> Self {
        if method == Method::Bye { Self::Bye } else { Self::Dialog }
    }

    /// One trunk may hold so many times what is free for calls. Alone it holds 7/8, 15/16, 63/64 of all.
    fn times(self) -> usize {
        match self {
            Self::Call => 7,
            Self::Dialog => 15,
            Self::Bye => 63,
        }
    }
}

/// The bounds of something that is shared.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ShareBounds {
    /// For new calls. What is free for them is counted from here.
    pub(crate) calls: usize,
    /// For requests inside dialogs too.
    pub(crate) dialogs: usize,
    /// For BYE too.
    pub(crate) byes: usize,
    /// The number that each trunk may have inside dialogs, whatever others hold, while the bounds above are not reached.
    pub(crate) floor: usize,
}

impl ShareBounds {
    /// The bounds of the table. A quarter more is kept for requests inside dialogs and another one for BYE, so that a flood of new
    /// calls does not stop calls from ending (RFC 7339 5.10).
    pub(crate) fn of_table(most: usize) -> Self {
        let reserve = most / 4 + FLOOR;
        let dialogs = most.saturating_add(reserve);
        Self { calls: most, dialogs, byes: dialogs.saturating_add(reserve), floor: FLOOR }
    }

    /// The bounds of octets. `most` is never exceeded, so the reserves are parts of it.
    pub(crate) fn of_memory(most: usize) -> Self {
        Self { calls: most - most / 8, dialogs: most - most / 16, byes: most, floor: most / 64 }
    }

    /// Whether `need` more is left for a trunk that holds `own`, if all together hold `all`.
    fn leave(&self, asking: Asking, need: usize, own: usize, all: usize) -> bool {
        let most = match asking {
            Asking::Call => self.calls,
            Asking::Dialog => self.dialogs,
            Asking::Bye => self.byes,
        };
        let (own, left) = (own.saturating_add(need), most.saturating_sub(all));
        let share = asking.times().saturating_mul(self.calls.saturating_sub(all));
        // The reserve is for all trunks: none may have more than a quarter of what is left of it.
        let reserve = if asking == Asking::Call { 0 } else { (left / 4).max(self.floor) };
        need <= left && own <= share.max(reserve)
    }
}

/// What one trunk holds, or all together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Holding {
    /// Those that are open.
    pub(crate) transactions: usize,
    pub(crate) octets: usize,
}

impl Holding {
    fn take(&mut self, more: Self) {
        self.transactions = self.transactions.saturating_add(more.transactions);
        self.octets = self.octets.saturating_add(more.octets);
    }

    fn give_back(&mut self, less: Self) {
        self.transactions = self.transactions.saturating_sub(less.transactions);
        self.octets = self.octets.saturating_sub(less.octets);
    }
}

/// What all hold, and what each trunk holds. As long as the configuration has trunks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Shares {
    all: Holding,
    trunks: Vec<Holding>,
    /// Of calls whose trunk a reload has removed.
    nobody: Holding,
}

impl Shares {
    /// The shares of this many trunks.
    pub(crate) fn of(trunks: usize) -> Self {
        Self { trunks: vec![Holding::default(); trunks], ..Self::default() }
    }

    /// What all hold together.
    pub(crate) fn all(&self) -> Holding {
        self.all
    }

    /// What one trunk holds.
    pub(crate) fn held(&self, trunk: TrunkId) -> Holding {
        self.trunks.get(trunk.0 as usize).copied().unwrap_or_default()
    }

    /// How many trunks there are.
    #[cfg(debug_assertions)]
    pub(crate) fn trunks(&self) -> usize {
        self.trunks.len()
    }

    /// Counts something for a trunk.
    pub(crate) fn take(&mut self, trunk: Option<TrunkId>, more: Holding) {
        self.all.take(more);
        self.whose(trunk).take(more);
    }

    /// Stops counting it.
    pub(crate) fn give_back(&mut self, trunk: Option<TrunkId>, less: Holding) {
        self.all.give_back(less);
        self.whose(trunk).give_back(less);
    }

    /// Notes that a transaction of a trunk holds something else now.
    pub(crate) fn change(&mut self, trunk: Option<TrunkId>, holding: &mut Holding, now: Holding) {
        let before = std::mem::replace(holding, now);
        if before != now {
            self.take(trunk, now);
            self.give_back(trunk, before);
        }
    }

    /// Whether one more transaction of a trunk finds room in a table of `most`.
    pub(crate) fn has_room(&self, most: usize, asking: Asking, trunk: TrunkId) -> bool {
        ShareBounds::of_table(most).leave(asking, 1, self.held(trunk).transactions, self.all.transactions)
    }

    /// Whether a transaction of `need` octets finds room in `memory`, of which other things than transactions hold `others`.
    pub(crate) fn has_memory(&self, memory: usize, asking: Asking, need: usize, trunk: TrunkId, others: usize) -> bool {
        let all = self.all.octets.saturating_add(others);
        ShareBounds::of_memory(memory).leave(asking, need, self.held(trunk).octets, all)
    }

    fn whose(&mut self, trunk: Option<TrunkId>) -> &mut Holding {
        let Self { trunks, nobody, .. } = self;
        trunk.and_then(|trunk| trunks.get_mut(trunk.0 as usize)).unwrap_or(nobody)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Asking; 3] = [Asking::Call, Asking::Dialog, Asking::Bye];
    const ONE: Holding = Holding { transactions: 1, octets: 0 };

    fn fill(shares: &mut Shares, most: usize, asking: Asking, trunk: TrunkId) -> usize {
        let mut more = 0;
        while shares.has_room(most, asking, trunk) {
            shares.take(Some(trunk), ONE);
            more += 1;
        }
        more
    }

    #[test]
    fn one_trunk_alone_gets_nearly_all_and_leaves_room_for_calls_of_others() {
        for most in [64, 2000, 100_000] {
            for asking in ALL {
                let mut shares = Shares::of(2);
                let got = fill(&mut shares, most, asking, TrunkId(0));
                assert!(got >= most * 7 / 8 && got < most, "{most} {asking:?}: {got}");
                for other in ALL {
                    assert!(shares.has_room(most, other, TrunkId(1)), "{most} {asking:?}: {other:?} of another");
                }
                let bye = asking == Asking::Bye || shares.has_room(most, Asking::Bye, TrunkId(0));
                assert!(bye, "{most} {asking:?}: its own BYE");
            }
        }
    }

    #[test]
    fn however_many_take_all_they_can_the_bounds_hold_and_calls_end() {
        for most in [1, 8, 100, 2000] {
            for many in [1, 2, 3, 10, 1000] {
                let mut shares = Shares::of(many + 1);
                for asking in ALL {
                    for trunk in 0..many {
                        fill(&mut shares, most, asking, TrunkId(u32::try_from(trunk).unwrap()));
                        let bounds = ShareBounds::of_table(most);
                        let bound = [bounds.calls, bounds.dialogs, bounds.byes][asking as usize];
                        assert!(shares.all().transactions <= bound.max(bounds.calls));
                    }
                    if asking != Asking::Bye {
                        let bye = shares.has_room(most, Asking::Bye, TrunkId(u32::try_from(many).unwrap()));
                        assert!(bye, "{most} {many} {asking:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn what_is_given_back_is_there_again() {
        let mut shares = Shares::of(3);
        for trunk in [Some(TrunkId(0)), Some(TrunkId(2)), None, Some(TrunkId(7))] {
            shares.take(trunk, ONE);
        }
        assert_eq!((shares.all().transactions, shares.nobody.transactions, shares.held(TrunkId(2))), (4, 2, ONE));
        for trunk in [Some(TrunkId(7)), Some(TrunkId(2)), None, Some(TrunkId(0))] {
            shares.give_back(trunk, ONE);
        }
        assert_eq!(shares, Shares::of(3));
    }
}
