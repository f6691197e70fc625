//! Counts the connections that we opened, by the trunk of their calls: no trunk may take them all. Decides only about
//! connections.
//!
//! A new call goes to a server or carrier that the configuration names, so its connection counts for everybody. Inside a dialog
//! the parties name the next hop, so such a connection counts for the trunk whose call used it last.

use std::collections::{BTreeMap, HashMap};
use std::rc::Rc;

use super::connection::Connection;
use super::holder::OpenedFor;
use crate::config::TrunkId;
use crate::core::Core;
use crate::core::io::ConnectionId;
use crate::telemetry::Loss;

/// The part of `limits.connections` that one trunk's calls may open.
const SHARE: usize = 4;

/// The opened connections that have not been given up.
#[derive(Debug, Default)]
pub(super) struct Outgoing {
    all: BTreeMap<ConnectionId, Rc<Connection>>,
    /// How many connections count for each trunk.
    held: HashMap<Option<TrunkId>, usize>,
}

impl Outgoing {
    /// Makes room for one more connection. Returns the connection to close for it, if one must be. `most`: `limits.connections`.
    /// `Err`: there is no room.
    pub(super) fn make_room(&mut self, most: usize, of: OpenedFor, core: &Core) -> Result<Option<Rc<Connection>>, Loss> {
        let trunk = match of {
            OpenedFor::Everybody => None,
            OpenedFor::Calls(trunk) => Some(trunk),
        };
        let own = trunk.and_then(|trunk| self.held.get(&trunk)).copied().unwrap_or_default();
        let given_up = if let Some(trunk) = trunk.filter(|_| own >= (most / SHARE).max(1)) {
            Some(self.idle(trunk, core).ok_or(Loss::TrunkConnections)?)
        } else if self.all.len() >= most {
            let greatest = self.held.iter().max_by_key(|&(_, &count)| count).filter(|&(_, &count)| count > own);
            let greatest = greatest.map(|(&trunk, _)| trunk).ok_or(Loss::Connect)?;
            let newest = || self.of(greatest).max_by_key(|connection| connection.id).cloned();
            Some(self.idle(greatest, core).or_else(newest).ok_or(Loss::Connect)?)
        } else {
            None
        };
        if let Some(connection) = &given_up {
            self.remove(connection);
        }
        Ok(given_up)
    }

    fn of(&self, trunk: Option<TrunkId>) -> impl Iterator<Item = &Rc<Connection>> {
        self.all.values().filter(move |connection| connection.opened_for.get() == OpenedFor::Calls(trunk))
    }

    /// A connection of a trunk's calls on which no answer is due: the one that was silent longest.
    fn idle(&self, trunk: Option<TrunkId>, core: &Core) -> Option<Rc<Connection>> {
        let idle = self.of(trunk).filter(|connection| connection.is_flushed() && !connection.awaits(core));
        idle.min_by_key(|connection| connection.heard.get()).cloned()
    }

    /// Takes in a connection.
    pub(super) fn add(&mut self, connection: &Rc<Connection>) {
        self.all.insert(connection.id, Rc::clone(connection));
        if let OpenedFor::Calls(trunk) = connection.opened_for.get() {
            *self.held.entry(trunk).or_default() += 1;
        }
    }

    /// Takes a connection out, if it is there.
    pub(super) fn remove(&mut self, connection: &Connection) {
        if self.all.remove(&connection.id).is_some() {
            self.discount(connection);
        }
    }

    /// Notes for whom a message goes by a connection.
    pub(super) fn used(&mut self, connection: &Connection, by: OpenedFor) {
        let before = connection.opened_for.get();
        let stays = before == by || before == OpenedFor::Everybody || by == OpenedFor::Calls(None);
        if stays || !self.all.contains_key(&connection.id) {
            return;
        }
        self.discount(connection);
        connection.opened_for.set(by);
        if let OpenedFor::Calls(trunk) = by {
            *self.held.entry(trunk).or_default() += 1;
        }
    }

    /// Takes in another configuration. Its trunks have other numbers, so the trunk of each call is not known any more.
    pub(super) fn forget_trunks(&mut self) {
        self.held.clear();
        for connection in self.all.values().filter(|connection| connection.opened_for.get() != OpenedFor::Everybody) {
            connection.opened_for.set(OpenedFor::Calls(None));
            *self.held.entry(None).or_default() += 1;
        }
    }

    fn discount(&mut self, connection: &Connection) {
        let OpenedFor::Calls(trunk) = connection.opened_for.get() else { return };
        if let Some(count) = self.held.get_mut(&trunk) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                self.held.remove(&trunk);
            }
        }
    }
}
