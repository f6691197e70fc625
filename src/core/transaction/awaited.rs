//! Where answers are due: the stream connections that one goes down, and the places that one comes from. Only counts.
//!
//! The shell asks, because a connection on which an answer is due is not idle (RFC 3261 18). Datagrams are not counted.

use std::collections::HashMap;
use std::hash::Hash;

use crate::core::io::ConnectionId;
use crate::core::routing::place::Place;

/// What one transaction waits for on streams.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Awaited {
    /// The connection down which its answer goes, until that is final and acknowledged.
    pub(crate) owed: Option<ConnectionId>,
    /// The place that was asked, until its answer is final.
    pub(crate) asked: Option<Place>,
}

/// The answers that are due, of all transactions. As many entries at most as there are transactions.
#[derive(Debug, Default)]
pub(crate) struct AnswersDue {
    owed: HashMap<ConnectionId, u32>,
    asked: HashMap<Place, u32>,
}

impl AnswersDue {
    /// Notes that a transaction waits for something else than before.
    pub(crate) fn change(&mut self, before: Awaited, after: Awaited) {
        if before != after {
            moved(&mut self.owed, before.owed, after.owed);
            moved(&mut self.asked, before.asked, after.asked);
        }
    }

    /// Whether an answer goes down this connection, or comes from this place.
    pub(crate) fn any(&self, connection: ConnectionId, place: Place) -> bool {
        self.owed.contains_key(&connection) || self.asked.contains_key(&place)
    }

    /// Whether an answer goes down this connection.
    pub(crate) fn owes(&self, connection: ConnectionId) -> bool {
        self.owed.contains_key(&connection)
    }
}

fn moved<K: Hash + Eq>(counts: &mut HashMap<K, u32>, before: Option<K>, after: Option<K>) {
    if before == after {
        return;
    }
    if let Some(key) = after {
        let count = counts.entry(key).or_default();
        *count = count.saturating_add(1);
    }
    let Some(key) = before else { return };
    if let Some(count) = counts.get_mut(&key) {
        *count = count.saturating_sub(1);
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Transport;

    #[test]
    fn nothing_is_left_when_nothing_is_due() {
        let mut due = AnswersDue::default();
        let place = |port| (std::net::SocketAddr::from(([192, 0, 2, 1], port)), Transport::Tcp);
        let (one, two) = (ConnectionId(1), ConnectionId(2));
        let first = Awaited { owed: Some(one), asked: Some(place(5060)) };
        let second = Awaited { owed: Some(two), asked: Some(place(5060)) };
        due.change(Awaited::default(), first);
        due.change(Awaited::default(), first);
        due.change(first, second);
        assert!(due.any(one, place(1)) && due.any(two, place(1)) && due.any(ConnectionId(3), place(5060)));
        due.change(first, Awaited::default());
        assert!(!due.owes(one) && due.any(one, place(5060)));
        due.change(second, Awaited::default());
        assert!(due.owed.is_empty() && due.asked.is_empty());
    }
}
