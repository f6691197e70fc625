//! Next hops with a name, each once. The resolver keeps them fresh.

use std::collections::HashMap;
use std::net::SocketAddr;

use crate::config::hop::{Host, Written};
use crate::config::ids::NameId;
use crate::config::next_hop::{Hop, NextHop};

/// Next hops with a name, without duplicates.
#[derive(Debug, Default)]
pub(in crate::config) struct Names {
    pub(in crate::config) list: Vec<NextHop>,
    ids: HashMap<NextHop, NameId>,
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
        let next = NameId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        *self.ids.entry(name).or_insert_with_key(|name| {
            self.list.push(name.clone());
            next
        })
    }
}
