//! Messages that wait for a name or for a media relay, by call and in order. Only keeps them. The core judges a message anew as
//! soon as the answer that it waits for is known.
//!
//! While a message of a call waits, the later ones of that call wait behind it, so that none overtakes another. RFC 3261 18 gives
//! no order, but telephones rely on it. All bounds of waiting stand here. Each trunk has a share of each bound: alone it gets
//! most of it, but never all, so that the calls of other trunks can always wait.

use std::collections::{HashMap, VecDeque};

use bytes::Bytes;

use crate::config::{ListenerId, NextHop, TrunkId};
use crate::core::io::{Arrival, CallKey, ConnectionId, RelayRequestId};
use crate::core::keys::{Keyed, Keys};
use crate::core::relay_request::RelayList;
use crate::core::stop::Pending;

/// Names that are looked up at a time. Beyond that, a request whose next hop is another one is refused (151).
const NAMES: usize = 64;
/// Calls that wait for names at a time. Beyond that, the same.
const NAMED: usize = 256;
/// Calls that wait for a relay at a time. Beyond that, a call is refused as if there were no relay (152).
const RELAYED: usize = 512;
/// Messages that wait behind others: of all calls, and of one call. Beyond that they are dropped, and their senders retransmit
/// them.
const BEHIND: usize = 512;
const BEHIND_ONE: usize = 16;
/// One trunk may have so many times what is free: alone three quarters. ACK and BYE may have more.
const TIMES: usize = 3;
const TIMES_AT_END: usize = 7;
/// The part of `limits.memory` that messages that wait may hold.
const PART: usize = 8;

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

/// A call with a message that waits.
#[derive(Debug)]
struct WaitingCall {
    /// `None`: a reload has removed it.
    trunk: Option<TrunkId>,
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

/// A name that is looked up.
#[derive(Debug)]
struct Asked {
    /// The trunk whose call asked first.
    trunk: Option<TrunkId>,
    /// The calls that wait for it, in the order in which they came.
    calls: Vec<CallKey>,
}

/// How much waits, of one trunk or of all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Waits {
    /// Names that are looked up.
    names: usize,
    /// Calls that wait for a name.
    named: usize,
    /// Calls that wait for a relay.
    relayed: usize,
    /// Messages that wait behind others.
    behind: usize,
    /// Octets of all messages.
    octets: usize,
}

/// All waiting messages of one core.
#[derive(Debug, Default)]
pub(crate) struct Waiting {
    calls: HashMap<u128, WaitingCall, Keyed>,
    names: HashMap<NextHop, Asked>,
    all: Waits,
    /// How much waits of each trunk that has a waiting message.
    trunks: HashMap<Option<TrunkId>, Waits, Keyed>,
    /// Octets that may wait.
    most_octets: usize,
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
        self.all.octets
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

    /// Sets how many octets may wait: a part of `limits.memory`.
    pub(crate) fn bound(&mut self, memory: usize) {
        self.most_octets = memory / PART;
    }

    /// Whether one more message of a trunk, of so many octets, may wait for this name. `at_end`: an ACK or a BYE.
    pub(crate) fn has_room_for_name(&self, next_hop: &NextHop, trunk: TrunkId, at_end: bool, octets: usize) -> bool {
        let (own, times) = (self.of(Some(trunk)), if at_end { TIMES_AT_END } else { TIMES });
        let asked = self.names.contains_key(next_hop) || leaves(NAMES, times, 1, own.names, self.all.names);
        let room = asked && leaves(NAMED, times, 1, own.named, self.all.named);
        !self.closed && room && leaves(self.most_octets, times, octets, own.octets, self.all.octets)
    }

    /// Whether one more message of a trunk, of so many octets, may wait for a relay.
    pub(crate) fn has_room_for_relay(&self, trunk: Option<TrunkId>, octets: usize) -> bool {
        let own = self.of(trunk);
        let room = leaves(RELAYED, TIMES, 1, own.relayed, self.all.relayed);
        !self.closed && room && leaves(self.most_octets, TIMES, octets, own.octets, self.all.octets)
    }

    /// Puts a message behind an earlier one of its call. `false`: there is no room.
    pub(crate) fn put_behind(&mut self, call: CallKey, held: Held) -> bool {
        let Some(waiting) = self.calls.get(&call.0).filter(|waiting| waiting.messages.len() <= BEHIND_ONE) else {
            return false;
        };
        let (trunk, own, octets) = (waiting.trunk, self.of(waiting.trunk), held.octets());
        if !leaves(BEHIND, TIMES, 1, own.behind, self.all.behind)
            || !leaves(self.most_octets, TIMES, octets, own.octets, self.all.octets)
        {
            return false;
        }
        self.count(trunk, |waits| {
            waits.behind += 1;
            waits.octets += octets;
        });
        self.calls.entry(call.0).and_modify(|waiting| waiting.messages.push_back(held));
        true
    }

    /// Lets the first of these messages of a call wait, and the others behind it. Returns whether a name has to be looked up for
    /// it. `false` if that look-up is under way already.
    pub(crate) fn begin(&mut self, call: CallKey, pending: &Pending, messages: VecDeque<Held>) -> bool {
        let (trunk, cause, ask) = match pending {
            Pending::Name(next_hop, trunk) => {
                let trunk = Some(*trunk);
                let first = !self.names.contains_key(next_hop);
                let asked = self.names.entry(next_hop.clone()).or_insert_with(|| Asked { trunk, calls: Vec::new() });
                asked.calls.push(call);
                (trunk, WaitCause::Name, first)
            }
            Pending::Relay(wait) => (wait.trunk, WaitCause::Relay(Box::new((wait.request.id, wait.tried.clone()))), true),
            // A message that waits behind another is put there, and asks nothing.
            Pending::Behind(_) => return false,
        };
        let waiting = WaitingCall { trunk, cause, messages };
        let more = waiting.waits();
        self.count(trunk, |waits| {
            waits.names += usize::from(ask && more.named > 0);
            waits.take(more);
        });
        self.calls.insert(call.0, waiting);
        ask
    }

    /// The calls that have waited for a name, in the order in which they came, and the trunk whose call asked first. Their messages are
    /// then [taken](Self::take) call by call.
    pub(crate) fn of_name(&mut self, next_hop: &NextHop) -> (Option<TrunkId>, Vec<CallKey>) {
        let Some(Asked { trunk, calls }) = self.names.remove(next_hop) else { return (None, Vec::new()) };
        self.count(trunk, |waits| waits.names = waits.names.saturating_sub(1));
        (trunk, calls)
    }

    /// The same calls, while the name is still looked up.
    pub(crate) fn of_name_so_far(&mut self, next_hop: &NextHop) -> Vec<CallKey> {
        self.names.get_mut(next_hop).map(|asked| std::mem::take(&mut asked.calls)).unwrap_or_default()
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
        let Some(waiting) = self.calls.remove(&call.0) else { return VecDeque::new() };
        let less = waiting.waits();
        self.count(waiting.trunk, |waits| waits.give_back(less));
        waiting.messages
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

    /// Takes in another configuration, with other numbers of listeners and trunks. A message whose listener is gone is forgotten.
    pub(crate) fn renumber(
        &mut self,
        listener: impl Fn(ListenerId) -> Option<ListenerId>,
        trunk: impl Fn(TrunkId) -> Option<TrunkId>,
    ) {
        for waiting in self.calls.values_mut() {
            waiting.trunk = waiting.trunk.and_then(&trunk);
            waiting.messages.retain_mut(|held| match listener(held.arrival.listener) {
                Some(id) => {
                    held.arrival.listener = id;
                    true
                }
                None => false,
            });
        }
        for asked in self.names.values_mut() {
            asked.trunk = asked.trunk.and_then(&trunk);
        }
        self.count_anew();
    }

    fn count_anew(&mut self) {
        (self.all, self.trunks) = Default::default();
        let calls: Vec<_> = self.calls.values().map(|waiting| (waiting.trunk, waiting.waits())).collect();
        let one = Waits { names: 1, ..Waits::default() };
        let names: Vec<_> = self.names.values().map(|asked| (asked.trunk, one)).collect();
        for (trunk, more) in calls.into_iter().chain(names) {
            self.count(trunk, |waits| waits.take(more));
        }
    }

    fn of(&self, trunk: Option<TrunkId>) -> Waits {
        self.trunks.get(&trunk).copied().unwrap_or_default()
    }

    /// Counts for all, and for a trunk. A trunk without a waiting message has no entry.
    fn count(&mut self, trunk: Option<TrunkId>, change: impl Fn(&mut Waits)) {
        change(&mut self.all);
        let own = self.trunks.entry(trunk).or_default();
        change(own);
        if *own == Waits::default() {
            self.trunks.remove(&trunk);
        }
    }
}

/// Whether `need` more is left of `most` for a trunk that has `own`, if all together have `all`.
fn leaves(most: usize, times: usize, need: usize, own: usize, all: usize) -> bool {
    let left = most.saturating_sub(all);
    need <= left && own.saturating_add(need) <= left.saturating_mul(times)
}

impl WaitingCall {
    fn waits(&self) -> Waits {
        let named = usize::from(matches!(self.cause, WaitCause::Name));
        let octets = self.messages.iter().map(Held::octets).sum();
        Waits { names: 0, named, relayed: 1 - named, behind: self.messages.len().saturating_sub(1), octets }
    }
}

impl Waits {
    fn take(&mut self, more: Self) {
        self.names += more.names;
        self.named += more.named;
        self.relayed += more.relayed;
        self.behind += more.behind;
        self.octets += more.octets;
    }

    fn give_back(&mut self, less: Self) {
        self.names = self.names.saturating_sub(less.names);
        self.named = self.named.saturating_sub(less.named);
        self.relayed = self.relayed.saturating_sub(less.relayed);
        self.behind = self.behind.saturating_sub(less.behind);
        self.octets = self.octets.saturating_sub(less.octets);
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
        let (keys, mut waiting) = (keys(), room());
        assert!(waiting.begin(call(&keys, 1), &Pending::Name(name(1), TrunkId(0)), [held("a")].into()));
        assert!(!waiting.begin(call(&keys, 2), &Pending::Name(name(1), TrunkId(1)), [held("b")].into()));
        assert!(waiting.put_behind(call(&keys, 1), held("c")));
        assert_eq!(waiting.holds(&keys, b"1"), Some(call(&keys, 1)));
        let (trunk, calls) = waiting.of_name(&name(1));
        assert_eq!(trunk, Some(TrunkId(0)));
        assert_eq!(calls, [call(&keys, 1), call(&keys, 2)]);
        let left: Vec<_> = calls.into_iter().flat_map(|call| waiting.take(call)).map(|held| held.bytes).collect();
        assert_eq!(left, ["a", "c", "b"]);
        assert_eq!((waiting.len(), waiting.all, waiting.trunks.len()), (0, Waits::default(), 0));
    }

    fn room() -> Waiting {
        let mut waiting = Waiting::default();
        waiting.bound(1 << 30);
        waiting
    }

    #[test]
    fn names_calls_and_messages_are_bounded_and_each_trunk_has_a_share() {
        let (keys, mut waiting) = (keys(), room());
        let mut calls = 0;
        let mut fill = |waiting: &mut Waiting, trunk, named: fn(usize) -> NextHop| {
            let before = calls;
            while waiting.has_room_for_name(&named(calls), trunk, false, 1000) {
                waiting.begin(call(&keys, calls), &Pending::Name(named(calls), trunk), [held("x")].into());
                calls += 1;
            }
            calls - before
        };
        assert_eq!(fill(&mut waiting, TrunkId(0), name), NAMES * 3 / 4);
        assert!(waiting.has_room_for_name(&name(9999), TrunkId(0), true, 1000), "its own BYE");
        assert!(waiting.has_room_for_name(&name(9999), TrunkId(1), false, 1000), "another's");
        assert_eq!(fill(&mut waiting, TrunkId(0), |_| name(0)), NAMED * 3 / 4 - NAMES * 3 / 4);
        assert!(waiting.has_room_for_name(&name(0), TrunkId(1), false, 1000));
        for trunk in 1..40 {
            fill(&mut waiting, TrunkId(trunk), name);
            fill(&mut waiting, TrunkId(trunk), |_| name(0));
        }
        assert!(waiting.all.names <= NAMES && waiting.all.named <= NAMED, "{:?}", waiting.all);
        let of_one = (0..100).take_while(|_| waiting.put_behind(call(&keys, 0), held("y"))).count();
        assert_eq!(of_one, BEHIND_ONE);
        let mut of_all = of_one;
        for number in 1..NAMED {
            of_all += (0..100).take_while(|_| waiting.put_behind(call(&keys, number), held("y"))).count();
        }
        assert!((BEHIND * 3 / 4..=BEHIND).contains(&of_all), "{of_all}");
        let (all, trunks) = (waiting.all, waiting.trunks.clone());
        waiting.count_anew();
        assert_eq!((waiting.all, &waiting.trunks), (all, &trunks), "counted as it came");
        waiting.renumber(Some, |TrunkId(at)| Some(TrunkId(at + 1)));
        assert_eq!(waiting.of(Some(TrunkId(1))), trunks[&Some(TrunkId(0))]);
        waiting.renumber(Some, |_| None);
        assert_eq!((waiting.all, waiting.of(None)), (all, all));
        waiting.renumber(|_| None, |_| None);
        assert_eq!((waiting.all.behind, waiting.all.octets), (0, 0));
    }

    #[test]
    fn one_trunks_calls_leave_relays_and_memory_to_others() {
        let (keys, mut waiting) = (keys(), room());
        waiting.bound(1 << 20);
        let big = || Held { bytes: Bytes::from(vec![0; 30_000]), ..held("") };
        let mut at = 0;
        while waiting.has_room_for_name(&name(0), TrunkId(0), false, big().octets()) {
            waiting.begin(call(&keys, at), &Pending::Name(name(0), TrunkId(0)), [big()].into());
            at += 1;
        }
        assert!((2..5).contains(&at) && waiting.octets() < (1 << 20) / PART, "{at}");
        assert!(waiting.has_room_for_relay(Some(TrunkId(1)), 1000) && !waiting.has_room_for_relay(Some(TrunkId(0)), 30_000));
    }
}
