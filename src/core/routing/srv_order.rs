//! The order in which the servers of a name are tried: RFC 2782 within the ranks of RFC 3263. A pure function of the servers and
//! of chance.
//!
//! Knows neither health nor fence: the code that asks for the order says when it has enough.

use std::cell::Cell;
use std::ops::ControlFlow;

use arrayvec::ArrayVec;

use crate::dns::Server;

/// Most servers of one rank that are put into an order. Further ones are left out.
const MOST: usize = 64;

/// Chance, made from one keyed hash: nobody outside can foretell it, and the same hash gives the same order.
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    pub(crate) fn new(hash: u64) -> Self {
        Self(Cell::new(hash))
    }

    /// A random number.
    pub(crate) fn roll(&self) -> u32 {
        // A counter with an odd step, then mixed until every bit depends on every bit.
        let mut mixed = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(mixed);
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            mixed = (mixed ^ (mixed >> 33)).wrapping_mul(factor);
        }
        (mixed >> 32) as u32
    }

    /// A number below `bound`; 0 if that is 0.
    pub(crate) fn below(&self, bound: u32) -> u32 {
        scaled(self.roll(), bound)
    }
}

/// A number below `bound`, in proportion.
fn scaled(random: u32, bound: u32) -> u32 {
    ((u64::from(random) * u64::from(bound)) >> 32) as u32
}

/// Hands out the servers in the order to be tried, until told to stop. They come sorted by rank.
pub(crate) fn in_order<'s>(
    servers: &'s [Server],
    random: &impl Fn() -> u32,
    each: &mut impl FnMut(&'s Server) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for rank in servers.chunk_by(|one, next| one.rank == next.rank) {
        let mut left: ArrayVec<&Server, MOST> = rank.iter().take(MOST).collect();
        while !left.is_empty() {
            each(left.remove(pick(&left, random)))?;
        }
    }
    ControlFlow::Continue(())
}

/// Selects the next server by weight. Those of weight 0 are first in the list (RFC 2782).
fn pick(left: &[&Server], random: &impl Fn() -> u32) -> usize {
    if left.len() < 2 {
        return 0;
    }
    let total: u32 = left.iter().map(|server| u32::from(server.weight)).sum();
    let point = scaled(random(), total.saturating_add(1));
    let unweighted = left.iter().filter(|server| server.weight == 0).count();
    if point == 0 && unweighted > 0 {
        // The RFC lets them stand in any order: each is first as often as the others.
        let which = scaled(random(), u32::try_from(unweighted).unwrap_or(1)) as usize;
        return left.iter().enumerate().filter(|(_, server)| server.weight == 0).nth(which).map_or(0, |(at, _)| at);
    }
    let mut sum = 0_u32;
    let reaches = |server: &&Server| {
        sum = sum.saturating_add(u32::from(server.weight));
        server.weight > 0 && sum >= point
    };
    left.iter().position(reaches).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn servers(list: &[(u16, u16)]) -> Vec<Server> {
        list.iter().map(|&(rank, weight)| Server { rank, weight, transport: None, addresses: Vec::new() }).collect()
    }

    /// The places in the list, in the order in which they are handed out.
    fn order(servers: &[Server], dice: &Dice) -> Vec<usize> {
        let mut out = Vec::new();
        let _ = in_order(servers, &|| dice.roll(), &mut |server| {
            out.extend(servers.iter().position(|other| std::ptr::eq(other, server)));
            ControlFlow::Continue(())
        });
        out
    }

    /// How often each is first in ten thousand.
    fn firsts(servers: &[Server]) -> Vec<u32> {
        let mut counts = vec![0; servers.len()];
        let dice = Dice::new(7);
        for _ in 0..10_000 {
            counts[order(servers, &dice)[0]] += 1;
        }
        counts
    }

    #[test]
    fn shares_follow_the_weights() {
        let counts = firsts(&servers(&[(0, 10), (0, 20), (0, 70)]));
        for (count, share) in counts.iter().zip([1000, 2000, 7000]) {
            assert!(count.abs_diff(share) < 200, "{counts:?}");
        }
    }

    #[test]
    fn the_rest_is_weighted_too() {
        let (servers, dice) = (servers(&[(0, 10), (0, 20), (0, 70)]), Dice::new(7));
        let orders: Vec<_> = (0..10_000).map(|_| order(&servers, &dice)).filter(|order| order[0] == 2).collect();
        let second = orders.iter().filter(|order| order[1] == 1).count() * 100 / orders.len();
        assert!((63..=69).contains(&second), "of two, weights 10 and 20: {second} %");
    }

    #[test]
    fn ranks_are_never_mixed_and_nothing_is_lost() {
        let (servers, dice) = (servers(&[(0, 1), (0, 60000), (1, 0), (2, 5), (2, 0), (2, 5)]), Dice::new(1));
        for _ in 0..1000 {
            let mut order = order(&servers, &dice);
            assert!(order.iter().map(|&at| servers[at].rank).is_sorted());
            order.sort_unstable();
            assert_eq!(order, [0, 1, 2, 3, 4, 5]);
        }
    }

    #[test]
    fn weight_0_comes_first_rarely_and_alone_evenly() {
        let counts = firsts(&servers(&[(0, 0), (0, 50), (0, 50)]));
        assert!((1..=200).contains(&counts[0]), "one in a hundred and one: {counts:?}");
        let counts = firsts(&servers(&[(0, 0), (0, 0), (0, 0), (0, 0)]));
        assert!(counts.iter().all(|count| count.abs_diff(2500) < 200), "{counts:?}");
    }

    #[test]
    fn the_largest_answers_and_numbers_end() {
        let many: Vec<_> = (0..200).map(|_| (0, u16::MAX)).collect();
        let many = servers(&many);
        assert_eq!(order(&many, &Dice::new(1)).len(), MOST);
        for extreme in [0, u32::MAX] {
            let mut handed = 0;
            let _ = in_order(&many, &|| extreme, &mut |_| {
                handed += 1;
                if handed < 8 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert_eq!(handed, 8, "no more than asked for");
        }
    }
}
