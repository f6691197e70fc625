//! Messages that wait for a name or for a media relay, by call and in order. Only keeps them. The core judges a message anew as
//! soon as the answer that it waits for is known.
//!
//! While a message of a call waits, the later ones of that call wait behind it, so that none overtakes another. RFC 3261 18 gives
//! no order, but telephones rely on it. The bounds of all waiting stand here and nowhere else.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::config::{ListenerId, NextHop};
use crate::core::io::{Arrival, CallKey, ConnectionId, RelayRequestId};
use crate::core::keys::{Keyed, Keys};
use crate::core::relay_request::RelayList;
use crate::core::stop::Pending;

/// Names that are looked up at a time. Beyond that, a next hop counts as one that resolves to nothing (151).
const NAMES: usize = 64;
/// Calls that wait for names at a time. Beyond that, the same.
const NAMED: usize = 256;
/// Calls that wait for a relay at a time. Beyond that, a call is refused as if there were no relay (152).
const RELAYED: usize = 512;
/// Messages that wait behind others: of all calls, and of one call. Beyond that they are dropped, and their senders retransmit
/// them.
const BEHIND: usize = 512;
const BEHIND_ONE: usize = 16;

/// A message that waits.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) arrival: Arrival,
    pub(crate) bytes: Bytes,
    /// Whether it has passed the gate, which looked at its source's rate and at a drain when it came.
    pub(crate) passed: bool,
}

impl Held {
    fn octets(&self) -> usize {
        size_of::<Self>() + self.bytes.len()
    }
}

/// A call of which a message waits.
#[derive(Debug)]
struct WaitingCall {
    cause: WaitCause,
    /// The message that waits, and those behind it.
    messages: VecDeque<Held>,
}

#[derive(Debug)]
enum WaitCause {
    Name,
    /// The relays that have failed it so far.
    Relay(Box<(RelayRequestId, RelayList)>),
}

/// All waiting messages of one core.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    calls: HashMap<u128, WaitingCall, Keyed>,
    /// The calls that wait for each name, in the order in which they came.
    names: HashMap<NextHop, Vec<CallKey>>,
    /// Calls that wait for a name.
    named: usize,
    /// Messages that wait behind others.
    behind: usize,
    /// Octets of all messages.
    octets: usize,
    /// Nothing begins to wait any more.
    closed: bool,
}

impl Waiting {
    /// Ends all waiting: from now on there is no room.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// The octets that the messages hold.
    pub(crate) fn octets(&self) -> usize {
        self.octets
    }

    /// The number of calls of which a message waits.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// Whether a message of this connection waits.
    pub(crate) fn is_for(&self, connection: ConnectionId) -> bool {
        let of = |held: &Held| held.arrival.connection == Some(connection);
        self.calls.values().any(|call| call.messages.iter().any(of))
    }

    /// The key of a message's call, if an earlier message of that call waits. Mostly no message waits at all.
    pub(crate) fn holds(&self, keys: &Keys, call_id: &[u8]) -> Option<CallKey> {
        let key = (!self.calls.is_empty()).then(|| keys.waiting(call_id))?;
        self.calls.contains_key(&key).then_some(CallKey(key))
    }

    /// Whether one more call may wait for this name.
    pub(crate) fn has_room_for_name(&self, next_hop: &NextHop) -> bool {
        !self.closed && self.named < NAMED && (self.names.len() < NAMES || self.names.contains_key(next_hop))
    }

    /// Whether one more call may wait for a relay.
    pub(crate) fn has_room_for_relay(&self) -> bool {
        !self.closed && self.calls.len().saturating_sub(self.named) < RELAYED
    }

    /// Puts a message behind an earlier one of its call. `false`: there is no room.
    pub(crate) fn put_behind(&mut self, call: CallKey, held: Held) -> bool {
        let room = self.behind < BEHIND;
        let Some(waiting) = self.calls.get_mut(&call.0).filter(|waiting| room && waiting.messages.len() <= BEHIND_ONE) else {
            return false;
        };
        self.octets += held.octets();
        waiting.messages.push_back(held);
        self.behind += 1;
        true
    }

    /// Lets the first of these messages of a call wait, and the others behind it. Returns whether a name has to be looked up for
    /// it. `false` if that look-up is under way already.
    pub(crate) fn begin(&mut self, call: CallKey, pending: &Pending, messages: VecDeque<Held>) -> bool {
        let (cause, ask) = match pending {
            Pending::Name(next_hop) => {
                let calls = self.names.entry(next_hop.clone()).or_default();
                let first = calls.is_empty();
                calls.push(call);
                self.named += 1;
                (WaitCause::Name, first)
            }
            Pending::Relay(wait) => (WaitCause::Relay(Box::new((wait.request.exchange, wait.tried.clone()))), true),
            // What waits behind a message is put there, and asks nothing.
            Pending::Behind(_) => return false,
        };
        self.behind += messages.len().saturating_sub(1);
        self.octets += messages.iter().map(Held::octets).sum::<usize>();
        self.calls.insert(call.0, WaitingCall { cause, messages });
        ask
    }

    /// The calls that have waited for a name, in the order in which they came. Their messages are then [taken](Self::take) call
    /// by call.
    pub(crate) fn of_name(&mut self, next_hop: &NextHop) -> Vec<CallKey> {
        self.names.remove(next_hop).unwrap_or_default()
    }

    /// The call that waits for this answer of a relay, if there is one, and the relays that have failed its message before.
    pub(crate) fn of_relay(&self, id: &RelayRequestId) -> Option<(CallKey, RelayList)> {
        let call = id.call?;
        match &self.calls.get(&call.0)?.cause {
            WaitCause::Relay(waits) if waits.0.cookie == id.cookie => Some((call, waits.1.clone())),
            _ => None,
        }
    }

    /// Takes out the messages of a call. The one that has waited is first.
    pub(crate) fn take(&mut self, call: CallKey) -> VecDeque<Held> {
        let Some(WaitingCall { cause, messages }) = self.calls.remove(&call.0) else { return VecDeque::new() };
        if matches!(cause, WaitCause::Name) {
            self.named = self.named.saturating_sub(1);
        }
        self.behind = self.behind.saturating_sub(messages.len().saturating_sub(1));
        self.octets = self.octets.saturating_sub(messages.iter().map(Held::octets).sum());
        messages
    }

    /// The names and the relay questions that messages wait for.
    pub(crate) fn all(&self) -> (Vec<NextHop>, Vec<RelayRequestId>) {
        let relays = self.calls.values().filter_map(|waiting| match &waiting.cause {
            WaitCause::Relay(waits) => Some(waits.0),
            WaitCause::Name => None,
        });
        (self.names.keys().cloned().collect(), relays.collect())
    }

    /// The listeners that the messages came by.
    pub(crate) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.calls.values().flat_map(|waiting| &waiting.messages).map(|held| held.arrival.listener)
    }

    /// Takes in another configuration, with other numbers of listeners. A message whose listener is gone is forgotten.
    pub(crate) fn renumber(&mut self, listener: impl Fn(ListenerId) -> Option<ListenerId>) {
        for waiting in self.calls.values_mut() {
            let before = waiting.messages.len();
            waiting.messages.retain_mut(|held| match listener(held.arrival.listener) {
                Some(id) => {
                    held.arrival.listener = id;
                    true
                }
                None => false,
            });
            self.behind = self.behind.saturating_sub(before.saturating_sub(waiting.messages.len()));
        }
        self.octets = self.calls.values().flat_map(|waiting| &waiting.messages).map(Held::octets).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Config, parse};

    fn keys() -> Keys {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.1.1:5060\"]\n\
                    networks = [\"127.0.1.0/24\"]\nupstream = \"127.0.1.2\"\n";
        let config: Config = parse("ringfence.toml".as_ref(), text).unwrap();
        Keys::of(&config, [7; 16])
    }

    fn held(text: &'static str) -> Held {
        let addr = ([127, 0, 0, 1], 5060).into();
        let arrival = Arrival { listener: ListenerId(0), from: addr, local: addr, connection: None, shown: None };
        Held { arrival, bytes: Bytes::from_static(text.as_bytes()), passed: true }
    }

    fn name(number: usize) -> NextHop {
        NextHop { host: format!("n{number}.example.net"), port: None, transport: None, secure: false }
    }

    fn call(keys: &Keys, number: usize) -> CallKey {
        CallKey(keys.waiting(number.to_string().as_bytes()))
    }

    #[test]
    fn one_question_for_a_name_and_the_order_of_calls_and_messages_is_kept() {
        let (keys, mut waiting) = (keys(), Waiting::default());
        assert!(waiting.begin(call(&keys, 1), &Pending::Name(name(1)), [held("a")].into()));
        assert!(!waiting.begin(call(&keys, 2), &Pending::Name(name(1)), [held("b")].into()));
        assert!(waiting.put_behind(call(&keys, 1), held("c")));
        assert_eq!(waiting.holds(&keys, b"1"), Some(call(&keys, 1)));
        let calls = waiting.of_name(&name(1));
        assert_eq!(calls, [call(&keys, 1), call(&keys, 2)]);
        let left: Vec<_> = calls.into_iter().flat_map(|call| waiting.take(call)).map(|held| held.bytes).collect();
        assert_eq!(left, ["a", "c", "b"]);
        assert_eq!((waiting.len(), waiting.named, waiting.behind, waiting.octets), (0, 0, 0, 0));
    }

    #[test]
    fn names_calls_and_messages_are_bounded() {
        let (keys, mut waiting) = (keys(), Waiting::default());
        for number in 0..NAMES {
            assert!(waiting.has_room_for_name(&name(number)));
            waiting.begin(call(&keys, number), &Pending::Name(name(number)), [held("x")].into());
        }
        assert!(!waiting.has_room_for_name(&name(NAMES)));
        for number in NAMES..NAMED {
            assert!(waiting.has_room_for_name(&name(0)));
            waiting.begin(call(&keys, number), &Pending::Name(name(0)), [held("x")].into());
        }
        assert!(!waiting.has_room_for_name(&name(0)));
        let of_one = (0..100).take_while(|_| waiting.put_behind(call(&keys, 0), held("y"))).count();
        assert_eq!(of_one, BEHIND_ONE);
        let mut of_all = of_one;
        for number in 1..NAMED {
            of_all += (0..100).take_while(|_| waiting.put_behind(call(&keys, number), held("y"))).count();
        }
        assert_eq!(of_all, BEHIND);
    }
}
