//! From a source address, or a name that a certificate proves, to the trunks that are known by it.
//!
//! Many projects share a carrier's networks, so an address names a set of trunks. The sets are cut into disjoint ranges when
//! the configuration is loaded; a look-up is one binary search and returns a slice.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use super::ids::TrunkId;
use crate::fence::{Networks, canonical};
use crate::tls::Name;

/// Disjoint ranges of addresses, each with its trunks, and certificates' names with theirs.
#[derive(Debug, Default)]
pub struct CallerTable {
    ranges: Vec<Range>,
    named: HashMap<Name, Vec<TrunkId>>,
}

#[derive(Debug)]
struct Range {
    from: IpAddr,
    to: IpAddr,
    trunks: Box<[TrunkId]>,
}

impl CallerTable {
    /// Cuts the trunks' networks into disjoint ranges.
    pub fn of<'a>(trunks: impl IntoIterator<Item = (TrunkId, &'a Networks)>) -> Self {
        let mut starts: Vec<(IpAddr, TrunkId)> = Vec::new();
        let mut ends: Vec<(IpAddr, TrunkId)> = Vec::new();
        let mut cuts: BTreeSet<IpAddr> = BTreeSet::new();
        for (trunk, networks) in trunks {
            for (from, to) in networks.ranges() {
                starts.push((from, trunk));
                cuts.insert(from);
                // Where the trunk stops; none if its range ends the address family.
                if let Some(after) = after(to) {
                    ends.push((after, trunk));
                    cuts.insert(after);
                }
            }
        }
        // Each family has its own start, so that a range which ends IPv4 does not run on into IPv6.
        cuts.insert(IpAddr::V6(0.into()));
        starts.sort_unstable();
        ends.sort_unstable();
        let (mut starts, mut ends) = (starts.into_iter().peekable(), ends.into_iter().peekable());
        let mut open: BTreeSet<TrunkId> = BTreeSet::new();
        let mut ranges: Vec<Range> = Vec::new();
        let cuts: Vec<IpAddr> = cuts.into_iter().collect();
        for (at, &cut) in cuts.iter().enumerate() {
            if cut == IpAddr::V6(0.into()) {
                open.clear();
            }
            while let Some((_, trunk)) = ends.next_if(|&(end, _)| end <= cut) {
                open.remove(&trunk);
            }
            while let Some((_, trunk)) = starts.next_if(|&(start, _)| start <= cut) {
                open.insert(trunk);
            }
            if !open.is_empty() {
                let next = cuts.get(at + 1).copied().filter(|next| next.is_ipv4() == cut.is_ipv4());
                let to = next.map_or_else(|| last(cut), before);
                ranges.push(Range { from: cut, to, trunks: open.iter().copied().collect() });
            }
        }
        Self { ranges, named: HashMap::new() }
    }

    /// The results of `of` for the trunks at each range of addresses, in order.
    pub(super) fn map<T>(&self, of: impl Fn(&[TrunkId]) -> T) -> Vec<(IpAddr, IpAddr, T)> {
        self.ranges.iter().map(|range| (range.from, range.to, of(&range.trunks))).collect()
    }

    /// Adds trunks with the certificate names of which each must prove one.
    #[must_use]
    pub(crate) fn certified<'a>(mut self, trunks: impl IntoIterator<Item = (TrunkId, &'a [String])>) -> Self {
        for (trunk, names) in trunks {
            for name in names {
                self.named.entry(Name::of(name.as_bytes())).or_default().push(trunk);
            }
        }
        for trunks in self.named.values_mut() {
            trunks.sort_unstable();
            trunks.dedup();
        }
        self
    }

    /// Whether some trunk is known by this name.
    pub fn knows(&self, name: Name) -> bool {
        self.named.contains_key(&name)
    }

    /// The trunks that this name belongs to, in the order of their numbers.
    pub(super) fn by_name(&self, name: Option<Name>) -> &[TrunkId] {
        name.and_then(|name| self.named.get(&name)).map(Vec::as_slice).unwrap_or_default()
    }

    /// The trunks, of all projects, that signal from this address. Certificates are not looked at.
    pub fn trunks(&self, ip: IpAddr) -> &[TrunkId] {
        let ip = canonical(ip);
        let next = self.ranges.partition_point(|range| range.from <= ip);
        match next.checked_sub(1).and_then(|at| self.ranges.get(at)) {
            Some(range) if ip <= range.to => &range.trunks,
            _ => &[],
        }
    }
}

fn after(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(ip) => u32::from(ip).checked_add(1).map(|ip| IpAddr::V4(ip.into())),
        IpAddr::V6(ip) => u128::from(ip).checked_add(1).map(|ip| IpAddr::V6(ip.into())),
    }
}

fn before(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(ip) => IpAddr::V4(u32::from(ip).saturating_sub(1).into()),
        IpAddr::V6(ip) => IpAddr::V6(u128::from(ip).saturating_sub(1).into()),
    }
}

fn last(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => IpAddr::V4(u32::MAX.into()),
        IpAddr::V6(_) => IpAddr::V6(u128::MAX.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(list: &[&[&str]]) -> CallerTable {
        let networks: Vec<Networks> =
            list.iter().map(|nets| nets.iter().map(|net| net.parse::<ipnet::IpNet>().expect("a network")).collect()).collect();
        CallerTable::of(networks.iter().zip(0..).map(|(nets, at)| (TrunkId(at), nets)))
    }

    #[test]
    fn overlapping_trunks_are_all_named() {
        let table = table(&[&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"], &["10.1.0.5/32", "255.255.255.255/32"]]);
        let at = |ip: &str| table.trunks(ip.parse().expect("an address")).iter().map(|trunk| trunk.0).collect::<Vec<_>>();
        assert_eq!(at("10.0.0.1"), [0]);
        assert_eq!(at("10.1.0.4"), [0, 1]);
        assert_eq!(at("10.1.0.5"), [0, 1, 2]);
        assert_eq!(at("10.1.0.6"), [0, 1]);
        assert_eq!(at("10.2.0.0"), [0]);
        assert_eq!(at("::ffff:10.1.0.5"), [0, 1, 2]);
        assert_eq!(at("2001:db8::1"), [0]);
        assert_eq!(at("255.255.255.255"), [2]);
        assert!(at("11.0.0.0").is_empty());
        assert!(at("::").is_empty());
        assert!(at("2001:db9::").is_empty());
    }
}
