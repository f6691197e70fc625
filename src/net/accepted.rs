//! Counts the accepted connections of each party, and selects one to close if there are too many. Decides only about connections.
//!
//! A source is known by the configuration in force: it is inside the region, or a trunk's. Strangers get the room that known
//! sources leave: a quarter of `limits.connections` at most, and always an eighth, because a trunk that is known by its
//! certificate alone is a stranger until it shows the certificate. Among known sources, the party that holds the most makes room
//! for one that holds less.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::rc::Rc;

use super::connection::Connection;
use super::holder::Holder;
use crate::config::Limits;
use crate::core::Core;
use crate::core::io::ConnectionId;
use crate::telemetry::Loss;

/// Of `limits.connections`, the part that strangers may hold at most, and the part that known sources leave to them.
const STRANGERS_MOST: usize = 4;
const STRANGERS_LEAST: usize = 8;

/// The accepted connections that have not been given up.
#[derive(Debug, Default)]
pub(super) struct Accepted {
    all: BTreeMap<ConnectionId, Rc<Connection>>,
    /// The connections of strangers without an admitted message, the oldest first.
    strangers: BTreeMap<ConnectionId, Rc<Connection>>,
    sources: HashMap<IpAddr, usize>,
    /// How many connections each known party holds.
    held: HashMap<Holder, usize>,
}

impl Accepted {
    /// Makes room for one more connection of a source. Returns the connection to close for it, if one must be. `Err`: there is no
    /// room.
    pub(super) fn make_room(
        &mut self,
        limits: &Limits,
        source: IpAddr,
        holder: Holder,
        core: &Core,
    ) -> Result<Option<Rc<Connection>>, Loss> {
        if self.sources.get(&source).is_some_and(|&open| open >= limits.connections_per_source) {
            return Err(Loss::SourceConnections);
        }
        let (most, strangers) = (limits.connections, self.strangers.len());
        let full = self.all.len() >= most;
        let within_share = if holder == Holder::Stranger {
            strangers < (most / STRANGERS_MOST).max(1)
        } else {
            self.all.len().saturating_sub(strangers) < most.saturating_sub(most / STRANGERS_LEAST)
        };
        if within_share && !full {
            return Ok(None);
        }
        let given_up = if holder == Holder::Stranger || within_share {
            self.strangers.first_key_value().map(|(_, oldest)| Rc::clone(oldest))
        } else {
            self.of_the_greatest(holder, core)
        };
        let Some(given_up) = given_up else { return Err(Loss::Connections) };
        self.remove(&given_up);
        Ok(Some(given_up))
    }

    /// A connection of the party that holds the most, if that is more than the newcomer would hold. The first choice is the
    /// connection that was silent longest, of those on which no answer is due.
    fn of_the_greatest(&self, newcomer: Holder, core: &Core) -> Option<Rc<Connection>> {
        let own = self.held.get(&newcomer).copied().unwrap_or_default();
        let (&greatest, &most) = self.held.iter().max_by_key(|&(_, &count)| count)?;
        if most <= own.saturating_add(1) {
            return None;
        }
        let theirs = self.all.values().filter(|connection| connection.holder.get() == greatest);
        theirs.min_by_key(|connection| (connection.awaits(core), connection.heard.get())).cloned()
    }

    /// Takes in a connection.
    pub(super) fn add(&mut self, connection: &Rc<Connection>) {
        self.all.insert(connection.id, Rc::clone(connection));
        *self.sources.entry(connection.source).or_default() += 1;
        self.count(connection);
    }

    /// Takes a connection out, if it is there.
    pub(super) fn remove(&mut self, connection: &Connection) {
        if self.all.remove(&connection.id).is_none() {
            return;
        }
        less(&mut self.sources, connection.source);
        self.discount(connection);
    }

    /// Notes whom a connection counts for now.
    pub(super) fn assign(&mut self, connection: &Rc<Connection>, holder: Holder) {
        if self.all.contains_key(&connection.id) {
            self.discount(connection);
            connection.holder.set(holder);
            self.count(connection);
        }
    }

    /// Notes that a message of a connection was admitted. Returns the connection if its source is a stranger.
    pub(super) fn admitted(&mut self, id: ConnectionId) -> Option<&Rc<Connection>> {
        let connection = self.all.get(&id).filter(|connection| connection.holder.get() == Holder::Stranger)?;
        connection.admitted.set(true);
        self.strangers.remove(&id);
        Some(connection)
    }

    /// Judges all connections by another configuration. `holder`: whom each counts for.
    pub(super) fn judge_anew(&mut self, holder: impl Fn(&Connection) -> Holder) {
        self.held.clear();
        self.strangers.clear();
        for connection in self.all.values().cloned().collect::<Vec<_>>() {
            let before = connection.holder.replace(holder(&connection));
            connection.admitted.set(connection.admitted.get() && before == Holder::Stranger);
            self.count(&connection);
        }
    }

    fn count(&mut self, connection: &Rc<Connection>) {
        match connection.holder.get() {
            Holder::Stranger if connection.admitted.get() => {}
            Holder::Stranger => drop(self.strangers.insert(connection.id, Rc::clone(connection))),
            known => *self.held.entry(known).or_default() += 1,
        }
    }

    fn discount(&mut self, connection: &Connection) {
        match connection.holder.get() {
            Holder::Stranger => drop(self.strangers.remove(&connection.id)),
            known => less(&mut self.held, known),
        }
    }
}

fn less<K: std::hash::Hash + Eq + Copy>(counts: &mut HashMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}
