//! The order in which the servers of a name are tried: RFC 2782 within the ranks of RFC 3263. A pure function of the servers and
//! of chance.
//!
//! Knows neither health nor fence: the code that asks for the order says when it has enough.

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use arrayvec::ArrayVec;

use crate::dns::Server;

/// Most servers of one rank that are put into an order. Further ones are left out.
const MOST: usize = 64;
/// Most addresses of one server that are put into an order.
const ADDRESSES: usize = 32;

/// Chance, made from one keyed hash: nobody outside can foretell it, and the same hash gives the same order.
#[derive(Debug)]
pub(crate) struct Dice(Cell<u64>);

impl Dice {
    pub(crate) fn new(hash: u64) -> Self {
        Self(Cell::new(hash))
    }

    /// A random number.
    pub(crate) fn roll(&self) -> u32 {
        // A counter with an odd step.
        let at = self.0.get().wrapping_add(0x9e37_79b9_7f4a_7c15);
        self.0.set(at);
        (mixed(at) >> 32) as u32
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

/// Mixes a number until every bit depends on every bit.
const fn mixed(number: u64) -> u64 {
    let one = (number ^ (number >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    let two = (one ^ (one >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    two ^ (two >> 33)
}

/// Hands out the servers in the order to be tried, until told to stop. They come sorted by rank. `seed` stands for chance: the same seed
/// gives the same order, wherever the servers stand in the list, since name servers turn their answers.
pub(crate) fn in_order<'s>(
    servers: &'s [Server],
    seed: u64,
    each: &mut impl FnMut(&'s Server) -> ControlFlow<()>,
) -> ControlFlow<()> {
    for rank in servers.chunk_by(|one, next| one.rank == next.rank) {
        if let [alone] = rank {
            each(alone)?;
            continue;
        }
        // RFC 2782: all of weight 0 together have one chance among the weights of the others.
        let unweighted = rank.iter().take(MOST).filter(|server| server.weight == 0).count();
        let least = 1.0 / f64::from(u32::try_from(unweighted).unwrap_or(1).max(1));
        let mut order: ArrayVec<(f64, &Server), MOST> = ArrayVec::new();
        for server in rank.iter().take(MOST) {
            let weight = if server.weight == 0 { least } else { f64::from(server.weight) };
            // Who waits the shortest of exponential times is first with the probability of its weight, and so on among the rest.
            let random = server.addresses.iter().min().map_or(0, |&addr| number(seed, addr)) >> 32;
            let random = (f64::from(u32::try_from(random).unwrap_or(0)) + 0.5) / 4_294_967_296.0;
            let _ = order.try_push((-random.ln() / weight, server));
        }
        order.sort_unstable_by(|one, other| one.0.total_cmp(&other.0));
        for &(_, server) in &order {
            each(server)?;
        }
    }
    ControlFlow::Continue(())
}

/// The addresses of one server in the order to be tried: IPv4 first, and within a family by the seed.
pub(crate) fn by_seed(addresses: &[SocketAddr], seed: u64) -> ArrayVec<SocketAddr, ADDRESSES> {
    let mut order: ArrayVec<SocketAddr, ADDRESSES> = addresses.iter().take(ADDRESSES).copied().collect();
    if order.len() > 1 {
        order.sort_unstable_by_key(|&addr| (addr.is_ipv6(), number(!seed, addr)));
    }
    order
}

/// A number for an address, which nobody can foretell who does not know the seed.
fn number(seed: u64, addr: SocketAddr) -> u64 {
    let ip = match addr.ip() {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().to_bits(),
        IpAddr::V6(ip) => ip.to_bits(),
    };
    let [high, low] = [ip >> 64, ip & u128::from(u64::MAX)].map(|half| u64::try_from(half).unwrap_or(0));
    mixed(mixed(mixed(seed ^ high) ^ low) ^ u64::from(addr.port()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Servers of these ranks and weights, each at an address of its own.
    fn servers(list: &[(u16, u16)]) -> Vec<Server> {
        let server = |(at, &(rank, weight)): (u16, &(u16, u16))| {
            let addresses = vec![SocketAddr::from(([10, 1, 0, 1], at + 1))];
            Server { rank, weight, transport: None, addresses }
        };
        (0..).zip(list).map(server).collect()
    }

    /// The places in the list, in the order in which they are handed out.
    fn order(servers: &[Server], seed: u64) -> Vec<usize> {
        let mut out = Vec::new();
        let _ = in_order(servers, seed, &mut |server| {
            out.extend(servers.iter().position(|other| std::ptr::eq(other, server)));
            ControlFlow::Continue(())
        });
        out
    }

    /// Ten thousand seeds.
    fn seeds() -> impl Iterator<Item = u64> {
        (0..10_000).map(mixed)
    }

    /// How often each is first in ten thousand.
    fn firsts(servers: &[Server]) -> Vec<u32> {
        let mut counts = vec![0; servers.len()];
        for seed in seeds() {
            counts[order(servers, seed)[0]] += 1;
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
        let servers = servers(&[(0, 10), (0, 20), (0, 70)]);
        let orders: Vec<_> = seeds().map(|seed| order(&servers, seed)).filter(|order| order[0] == 2).collect();
        let second = orders.iter().filter(|order| order[1] == 1).count() * 100 / orders.len();
        assert!((63..=69).contains(&second), "of two, weights 10 and 20: {second} %");
    }

    #[test]
    fn ranks_are_never_mixed_and_nothing_is_lost() {
        let servers = servers(&[(0, 1), (0, 60000), (1, 0), (2, 5), (2, 0), (2, 5)]);
        for seed in seeds().take(1000) {
            let mut order = order(&servers, seed);
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
    fn the_order_of_the_list_is_nothing_to_the_choice() {
        let (list, mut turned) = (servers(&[(0, 10), (0, 20), (0, 0), (1, 1), (1, 1)]), Vec::new());
        turned.extend([2, 1, 0, 4, 3].map(|at: usize| list[at].clone()));
        let addresses: Vec<SocketAddr> = (1..=5).map(|last| SocketAddr::from(([10, 1, 0, last], 5060))).collect();
        let reversed: Vec<SocketAddr> = addresses.iter().rev().copied().collect();
        for seed in seeds().take(1000) {
            let places = |list: &[Server]| order(list, seed).into_iter().map(|at| list[at].clone()).collect::<Vec<_>>();
            assert_eq!(places(&list), places(&turned));
            assert_eq!(by_seed(&addresses, seed), by_seed(&reversed, seed));
        }
        let first = |at: &SocketAddr| seeds().filter(|&seed| by_seed(&addresses, seed)[0] == *at).count();
        assert!(addresses.iter().all(|at| first(at).abs_diff(2000) < 200));
        let both = ["[2001:db8::1]:5060".parse().unwrap(), addresses[0]];
        assert!(seeds().all(|seed| by_seed(&both, seed)[0].is_ipv4()));
    }

    #[test]
    fn the_largest_answers_end() {
        let many: Vec<_> = (0..200).map(|_| (0, u16::MAX)).collect();
        let many = servers(&many);
        assert_eq!(order(&many, 1).len(), MOST);
        for extreme in [0, u64::MAX] {
            let mut handed = 0;
            let _ = in_order(&many, extreme, &mut |_| {
                handed += 1;
                if handed < 8 { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
            });
            assert_eq!(handed, 8, "no more than asked for");
        }
    }
}
