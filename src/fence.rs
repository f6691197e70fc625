//! The fence. Only the fence makes an address that may be sent to.
//!
//! A [`Fenced`] address has no public constructor and no public field. Only [`Fence::admit`] makes one. A transport takes nothing
//! else, apart from the peer that a message came from (see [`crate::core::io::Peer`]). So a leak is a compile error:
//!
//! ```compile_fail,E0451
//! use ringfence::fence::Fenced;
//! let outside = Fenced { addr: "192.0.2.1:5060".parse().unwrap() };
//! ```
//!
//! ```compile_fail,E0277
//! use ringfence::fence::Fenced;
//! let addr: std::net::SocketAddr = "192.0.2.1:5060".parse().unwrap();
//! let outside: Fenced = addr.into();
//! ```
//!
//! This module may not resolve, connect or send; it only compares.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use ipnet::{IpNet, IpSubnets, Ipv4Subnets, Ipv6Subnets};

/// A set of networks, held as sorted and merged ranges.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Networks {
    v4: Vec<(u32, u32)>,
    v6: Vec<(u128, u128)>,
}

impl Networks {
    /// The union of two sets.
    #[must_use]
    pub fn union(&self, other: &Self) -> Self {
        Self {
            v4: merged(self.v4.iter().chain(&other.v4).copied().collect(), u32::checked_add, 1),
            v6: merged(self.v6.iter().chain(&other.v6).copied().collect(), u128::checked_add, 1),
        }
    }

    /// Whether the address, in the form of [`canonical`], is in the set.
    pub fn contains(&self, ip: IpAddr) -> bool {
        match canonical(ip) {
            IpAddr::V4(ip) => within(&self.v4, u32::from(ip)),
            IpAddr::V6(ip) => within(&self.v6, u128::from(ip)),
        }
    }

    /// Whether the set is empty: nothing is inside.
    pub fn is_empty(&self) -> bool {
        self.v4.is_empty() && self.v6.is_empty()
    }

    /// The ranges as inclusive pairs of addresses, IPv4 first, in order.
    pub fn ranges(&self) -> impl Iterator<Item = (IpAddr, IpAddr)> + '_ {
        let v4 = self.v4.iter().map(|&(from, to)| (IpAddr::V4(from.into()), IpAddr::V4(to.into())));
        let v6 = self.v6.iter().map(|&(from, to)| (IpAddr::V6(from.into()), IpAddr::V6(to.into())));
        v4.chain(v6)
    }

    /// The fewest networks that make up the set, IPv4 first, in order.
    pub fn nets(&self) -> impl Iterator<Item = IpNet> + '_ {
        self.ranges().flat_map(|range| match range {
            (IpAddr::V4(from), IpAddr::V4(to)) => IpSubnets::from(Ipv4Subnets::new(from, to, 0)),
            // Both are of one family: ranges never cross.
            (from, to) => IpSubnets::from(Ipv6Subnets::new(v6(from), v6(to), 0)),
        })
    }
}

fn v6(ip: IpAddr) -> Ipv6Addr {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped(),
        IpAddr::V6(ip) => ip,
    }
}

impl FromIterator<IpNet> for Networks {
    fn from_iter<I: IntoIterator<Item = IpNet>>(nets: I) -> Self {
        let (mut v4, mut v6) = (Vec::new(), Vec::new());
        for net in nets {
            match net {
                IpNet::V4(net) => v4.push((net.network().into(), net.broadcast().into())),
                IpNet::V6(net) => v6.push((net.network().into(), net.broadcast().into())),
            }
        }
        Self { v4: merged(v4, u32::checked_add, 1), v6: merged(v6, u128::checked_add, 1) }
    }
}

fn merged<T: Ord + Copy>(mut ranges: Vec<(T, T)>, add: fn(T, T) -> Option<T>, one: T) -> Vec<(T, T)> {
    ranges.sort_unstable();
    let mut out: Vec<(T, T)> = Vec::with_capacity(ranges.len());
    for (from, to) in ranges {
        match out.last_mut() {
            // Adjacent ranges join too; a range that ends at the top of the space (no successor) swallows what follows.
            Some(last) if add(last.1, one).is_none_or(|next| from <= next) => last.1 = last.1.max(to),
            _ => out.push((from, to)),
        }
    }
    out
}

fn within<T: Ord + Copy>(ranges: &[(T, T)], value: T) -> bool {
    let after = ranges.partition_point(|&(from, _)| from <= value);
    after.checked_sub(1).and_then(|at| ranges.get(at)).is_some_and(|&(_, to)| value <= to)
}

/// The address that is really meant. An IPv4 address mapped into IPv6 (`::ffff:a.b.c.d`), or embedded by the well-known NAT64
/// prefix (`64:ff9b::/96`, RFC 6052), is judged by the IPv4 address inside it.
pub fn canonical(ip: IpAddr) -> IpAddr {
    let IpAddr::V6(v6) = ip else { return ip };
    if let Some(v4) = v6.to_ipv4_mapped() {
        return IpAddr::V4(v4);
    }
    let [0x64, 0xff9b, 0, 0, 0, 0, high, low] = v6.segments() else { return IpAddr::V6(v6) };
    let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

/// An address that a fence has passed. Only this can be handed to a transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Fenced {
    addr: SocketAddr,
}

impl Fenced {
    /// The address, for the system call that sends to it.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

/// An address that the fence did not pass. No transport takes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0} is outside")]
pub struct Outside(pub SocketAddr);

/// What is inside, for one decision: the region's networks and, for requests to a trunk, that trunk's.
#[derive(Clone, Copy, Debug)]
pub struct Fence<'a> {
    region: Option<&'a Networks>,
    trunk: Option<&'a Networks>,
    outbound: Option<&'a Networks>,
}

impl<'a> Fence<'a> {
    /// For requests to the region's own servers: only the region's networks.
    pub fn of_region(networks: &'a Networks) -> Self {
        Self { region: Some(networks), trunk: None, outbound: None }
    }

    /// For requests to a trunk inside a dialog: the networks of the region, of the trunk, and of its outbound calls.
    pub fn of_dialog(region: &'a Networks, trunk: &'a Networks, outbound: Option<&'a Networks>) -> Self {
        Self { region: Some(region), trunk: Some(trunk), outbound }
    }

    /// For a new call to a trunk: only the trunk's outbound networks.
    pub fn of_outbound(outbound: &'a Networks) -> Self {
        Self { region: None, trunk: None, outbound: Some(outbound) }
    }

    /// The networks that it compares with, for people to read.
    pub fn networks(&self) -> impl Iterator<Item = &'a Networks> {
        [self.region, self.trunk, self.outbound].into_iter().flatten()
    }

    /// Passes the address if it is inside. Unspecified, multicast and broadcast addresses, and port 0, never pass, even if the
    /// networks contain them.
    pub fn admit(&self, addr: SocketAddr) -> Result<Fenced, Outside> {
        let ip = canonical(addr.ip());
        let inside = self.networks().any(|set| set.contains(ip));
        if !inside || !sendable(ip) || addr.port() == 0 {
            return Err(Outside(addr));
        }
        // The canonical form is what is sent to, so that what was judged and what is used cannot differ.
        Ok(Fenced { addr: SocketAddr::new(ip, addr.port()) })
    }
}

fn sendable(ip: IpAddr) -> bool {
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let any = ip == IpAddr::V6(Ipv6Addr::UNSPECIFIED) || ip == IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    !ip.is_multicast() && !broadcast && !any
}

#[cfg(test)]
mod tests {
    use super::*;

    fn networks(list: &[&str]) -> Networks {
        list.iter().map(|text| text.parse::<IpNet>().expect("a network")).collect()
    }

    #[test]
    fn contains_the_edges_and_nothing_beyond() {
        let set = networks(&["10.20.0.0/16", "203.0.113.8/32", "2001:db8:e::/48", "10.21.0.0/16"]);
        for inside in [
            "10.20.0.0",
            "10.21.255.255",
            "203.0.113.8",
            "2001:db8:e::",
            "2001:db8:e:ffff::1",
            "::ffff:10.20.0.1",
            "64:ff9b::10.20.0.1",
        ] {
            assert!(set.contains(inside.parse().expect("an address")), "{inside}");
        }
        for outside in ["10.19.255.255", "10.22.0.0", "203.0.113.9", "2001:db8:f::", "::ffff:11.0.0.1", "64:ff9b::11.0.0.1"] {
            assert!(!set.contains(outside.parse().expect("an address")), "{outside}");
        }
        assert_eq!(set.ranges().count(), 3, "adjacent networks are one range");
    }

    #[test]
    fn whole_space_merges() {
        let set = networks(&["0.0.0.0/0", "255.255.255.255/32", "::/0"]);
        assert_eq!(set.ranges().count(), 2);
    }

    #[test]
    fn never_a_destination() {
        let set = networks(&["0.0.0.0/0", "::/0"]);
        let fence = Fence::of_region(&set);
        for never in ["0.0.0.0:5060", "[::]:5060", "224.0.0.1:5060", "255.255.255.255:5060", "192.0.2.1:0", "[ff02::1]:5060"] {
            assert!(fence.admit(never.parse().expect("an address")).is_err(), "{never}");
        }
    }

    #[test]
    fn what_was_judged_is_what_is_sent_to() {
        let set = networks(&["10.0.0.0/8"]);
        let fenced = Fence::of_region(&set).admit("[::ffff:10.0.0.1]:5060".parse().expect("an address"));
        assert_eq!(fenced.map(|fenced| fenced.addr().to_string()), Ok("10.0.0.1:5060".to_owned()));
    }

    #[test]
    fn outbound_does_not_open_the_region() {
        let (region, carrier) = (networks(&["10.0.0.0/8"]), networks(&["192.0.2.0/24"]));
        let to_region = "10.0.0.1:5060".parse().expect("an address");
        assert!(Fence::of_outbound(&carrier).admit(to_region).is_err());
        assert!(Fence::of_dialog(&region, &carrier, None).admit(to_region).is_ok());
    }
}
