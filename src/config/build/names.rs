//! Next hops with a name, each once. The resolver keeps them fresh.

use std::hash::BuildHasher as _;
use std::net::SocketAddr;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use crate::config::hop::{Host, Written};
use crate::config::ids::NameId;
use crate::config::next_hop::{Hop, NextHop};

/// Next hops with a name, without duplicates.
#[derive(Debug, Default)]
pub(in crate::config) struct Names {
    pub(in crate::config) list: Vec<NextHop>,
    pub(in crate::config) index: NameIndex,
}

/// From a next hop to its number in a list.
#[derive(Debug, Default)]
pub struct NameIndex {
    places: HashTable<NameId>,
    hasher: RandomState,
}

impl NameIndex {
    /// The number of a next hop of the list.
    pub(in crate::config) fn find(&self, list: &[NextHop], name: &NextHop) -> Option<NameId> {
        let is = |id: &NameId| list.get(id.0 as usize) == Some(name);
        self.places.find(self.hasher.hash_one(Some(name)), is).copied()
    }
}

impl Names {
    /// The hop for one that an operator wrote.
    pub(in crate::config) fn hop(&mut self, written: &Written) -> Hop {
        match (&written.host, written.address()) {
            (Host::Name(host), _) => Hop::Name(self.id(written.next_hop(host))),
            (Host::Address(ip), addr) => {
                Hop::Address { addr: addr.unwrap_or_else(|| SocketAddr::new(*ip, 0)), transport: written.over() }
            }
        }
    }

    fn id(&mut self, name: NextHop) -> NameId {
        let Self { list, index: NameIndex { places, hasher } } = self;
        let next = NameId(u32::try_from(list.len()).unwrap_or(u32::MAX));
        let is = |id: &NameId| list.get(id.0 as usize) == Some(&name);
        let again = |id: &NameId| hasher.hash_one(list.get(id.0 as usize));
        match places.entry(hasher.hash_one(Some(&name)), is, again) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(place) => {
                place.insert(next);
                list.push(name);
                next
            }
        }
    }
}
