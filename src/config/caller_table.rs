//! From a source address, or a name that a certificate proves, to the trunks that are known by it.
//!
//! Many projects share a carrier's networks, so an address names a set of trunks. Trunks with equal networks are one group. The
//! groups' networks are cut into disjoint ranges when the configuration is loaded; a look-up is one binary search and returns the
//! groups there, nearly always one. So the table grows with the trunks, and not with what they have in common.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::ids::TrunkId;
use crate::fence::{Networks, canonical};
use crate::tls::Name;

/// Disjoint ranges of addresses, each with its groups of trunks, and certificates' names with their trunks.
#[derive(Debug, Default)]
pub struct CallerTable {
    v4: Vec<Range<Ipv4Addr>>,
    v6: Vec<Range<Ipv6Addr>>,
    /// The trunks, group by group, each group in the order of their numbers.
    trunks: Vec<TrunkId>,
    /// Where each group begins in `trunks`, and after them where the last one ends.
    starts: Vec<u32>,
    named: HashMap<Name, Vec<TrunkId>>,
}

#[derive(Debug)]
struct Range<A> {
    from: A,
    to: A,
    groups: Groups,
}

/// The groups at a range: at least one.
#[derive(Debug)]
enum Groups {
    One(u32),
    Several(Box<[u32]>),
}

impl Groups {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(group) => std::slice::from_ref(group),
            Self::Several(groups) => groups,
        }
    }
}

/// The trunks at an address. Each is in one of these groups.
#[derive(Clone, Copy, Debug)]
pub struct There<'a> {
    table: &'a CallerTable,
    groups: &'a [u32],
}

impl<'a> There<'a> {
    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.groups.is_empty()
    }

    /// Each of them, in the order of their numbers.
    pub fn iter(self) -> impl Iterator<Item = TrunkId> + 'a {
        let (alone, mut several) = match *self.groups {
            [group] => (self.table.group(group), Vec::new()),
            _ => (&[][..], self.groups.iter().map(|&group| self.table.group(group)).collect::<Vec<_>>()),
        };
        let merged = std::iter::from_fn(move || {
            let list = several.iter_mut().filter(|list| !list.is_empty()).min_by_key(|list| list.first().copied())?;
            let (&next, rest) = list.split_first()?;
            *list = rest;
            Some(next)
        });
        alone.iter().copied().chain(merged)
    }
}

impl CallerTable {
    /// Groups the trunks by their networks, and cuts these into disjoint ranges.
    pub fn of<'a>(trunks: impl IntoIterator<Item = &'a Networks>) -> Self {
        let mut ids: HashMap<&Networks, u32> = HashMap::new();
        let (mut distinct, mut of_trunks, mut starts) = (Vec::new(), Vec::new(), Vec::new());
        for networks in trunks {
            let group = *ids.entry(networks).or_insert_with(|| {
                distinct.push(networks);
                starts.push(0);
                u32::try_from(distinct.len() - 1).unwrap_or(u32::MAX)
            });
            of_trunks.push(group);
            if let Some(members) = starts.get_mut(group as usize) {
                *members += 1;
            }
        }
        drop(ids);
        let mut end = 0;
        for start in &mut starts {
            (*start, end) = (end, end + *start);
        }
        starts.push(end);
        let (mut next, mut sorted) = (starts.clone(), vec![TrunkId(0); of_trunks.len()]);
        for (id, group) in (0..).map(TrunkId).zip(of_trunks) {
            let Some(place) = next.get_mut(group as usize) else { continue };
            if let Some(to) = sorted.get_mut(*place as usize) {
                *to = id;
            }
            *place += 1;
        }
        let (v4, v6) = cut(&distinct);
        Self { v4, v6, trunks: sorted, starts, named: HashMap::new() }
    }

    /// Adds trunks with the certificate names of which each must prove one.
    #[must_use]
    pub(crate) fn certified<'a>(mut self, trunks: impl IntoIterator<Item = (TrunkId, &'a [Box<str>])>) -> Self {
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

    /// One trunk of each group: those of a group have equal networks.
    pub(super) fn one_of_each(&self) -> impl Iterator<Item = TrunkId> {
        self.starts.iter().filter_map(|&start| self.trunks.get(start as usize).copied())
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
    pub fn trunks(&self, ip: IpAddr) -> There<'_> {
        let groups = match canonical(ip) {
            IpAddr::V4(ip) => groups_at(&self.v4, ip),
            IpAddr::V6(ip) => groups_at(&self.v6, ip),
        };
        There { table: self, groups }
    }

    fn group(&self, group: u32) -> &[TrunkId] {
        let at = |group: usize| self.starts.get(group).map(|&start| start as usize);
        let (from, to) = (at(group as usize), at((group as usize).saturating_add(1)));
        from.zip(to).and_then(|(from, to)| self.trunks.get(from..to)).unwrap_or_default()
    }
}

fn groups_at<A: Ord + Copy>(ranges: &[Range<A>], ip: A) -> &[u32] {
    let next = ranges.partition_point(|range| range.from <= ip);
    match next.checked_sub(1).and_then(|at| ranges.get(at)) {
        Some(range) if ip <= range.to => range.groups.as_slice(),
        _ => &[],
    }
}

/// Where networks begin, and the addresses after their ends, each with its network's place.
#[derive(Default)]
struct Edges<A> {
    from: Vec<(A, u32)>,
    after: Vec<(A, u32)>,
}

/// Cuts these networks into disjoint ranges, each with the places of those that it belongs to.
fn cut(networks: &[&Networks]) -> (Vec<Range<Ipv4Addr>>, Vec<Range<Ipv6Addr>>) {
    let (mut v4, mut v6) = (Edges::<u32>::default(), Edges::<u128>::default());
    for (group, networks) in (0..).zip(networks) {
        for range in networks.ranges() {
            // Nothing ends behind the last address of its family.
            match range {
                (IpAddr::V4(from), IpAddr::V4(to)) => {
                    v4.from.push((from.into(), group));
                    v4.after.extend(u32::from(to).checked_add(1).map(|after| (after, group)));
                }
                (IpAddr::V6(from), IpAddr::V6(to)) => {
                    v6.from.push((from.into(), group));
                    v6.after.extend(u128::from(to).checked_add(1).map(|after| (after, group)));
                }
                // Both are of one family.
                _ => {}
            }
        }
    }
    let v4 = ranges(v4, u32::MAX, |at| at.saturating_sub(1));
    let v6 = ranges(v6, u128::MAX, |at| at.saturating_sub(1));
    (v4, v6)
}

/// The disjoint ranges between these edges. `last`: the last address there is.
fn ranges<A: Ord + Copy, I: From<A>>(
    Edges { from: mut starts, after: mut ends }: Edges<A>,
    last: A,
    before: fn(A) -> A,
) -> Vec<Range<I>> {
    starts.sort_unstable();
    ends.sort_unstable();
    let (mut starts, mut ends) = (starts.into_iter().peekable(), ends.into_iter().peekable());
    let mut open: BTreeSet<u32> = BTreeSet::new();
    let mut ranges = Vec::new();
    while let Some(from) = [starts.peek(), ends.peek()].into_iter().flatten().map(|&(at, _)| at).min() {
        while let Some((_, group)) = ends.next_if(|&(end, _)| end == from) {
            open.remove(&group);
        }
        while let Some((_, group)) = starts.next_if(|&(start, _)| start == from) {
            open.insert(group);
        }
        let groups = match (open.len(), open.first()) {
            (_, None) => continue,
            (1, Some(&group)) => Groups::One(group),
            _ => Groups::Several(open.iter().copied().collect()),
        };
        let next = [starts.peek(), ends.peek()].into_iter().flatten().map(|&(at, _)| at).min();
        ranges.push(Range { from: from.into(), to: next.map_or(last, before).into(), groups });
    }
    ranges.shrink_to_fit();
    ranges
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(list: &[&[&str]]) -> CallerTable {
        let networks: Vec<Networks> =
            list.iter().map(|nets| nets.iter().map(|net| net.parse::<ipnet::IpNet>().expect("a network")).collect()).collect();
        CallerTable::of(&networks)
    }

    fn at(table: &CallerTable, ip: &str) -> Vec<u32> {
        table.trunks(ip.parse().expect("an address")).iter().map(|trunk| trunk.0).collect()
    }

    #[test]
    fn overlapping_trunks_are_all_named() {
        let table = table(&[&["10.0.0.0/8", "2001:db8::/32"], &["10.1.0.0/16"], &["10.1.0.5/32", "255.255.255.255/32"]]);
        let at = |ip: &str| at(&table, ip);
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

    #[test]
    fn trunks_with_equal_networks_are_one_group() {
        let (shared, wide): (&[&str], &[&str]) = (&["10.1.0.0/16"], &["10.0.0.0/8"]);
        let table = table(&[wide, shared, wide, &[], shared, wide, shared]);
        assert_eq!(at(&table, "10.1.0.1"), [0, 1, 2, 4, 5, 6], "in the order of their numbers");
        assert_eq!(at(&table, "10.2.0.1"), [0, 2, 5]);
        assert_eq!((table.v4.len(), table.trunks.len()), (3, 7), "as many ranges as the distinct networks need");
        assert_eq!(table.one_of_each().map(|trunk| trunk.0).collect::<Vec<_>>(), [0, 1, 3]);
    }
}
