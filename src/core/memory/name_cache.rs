//! Names that are looked up when a message needs them: those that only dialogs know, and those of trunks. The answers that the shell
//! found, for a while and within a bound.
//!
//! If no name server answers any more, what was found before serves on within `[dns] stale`. Then a name is asked for again only from time
//! to time, so that not each message waits for name servers that are gone. A remembered answer is no destination: the fence judges every
//! address at every use.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::config::{NextHop, TrunkId};
use crate::core::keys::{Keyed, Keys};
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::dns::Server;

/// Names remembered. Beyond that, whichever trunk has the most loses the one that was found longest ago, and asks again if needed.
const NAMES: usize = 1024;
/// Servers remembered for one name: as many as a resolution can have.
const SERVERS: usize = 32;
/// The bounds of the time that an answer holds.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest time that it holds that there is no server, because the name may resolve again soon.
const LONGEST_NOTHING: Duration = Duration::from_secs(5);
/// How long a stale answer serves before the name is asked for again: at first, and at most.
const RETRY: Duration = Duration::from_secs(5);
const LONGEST_RETRY: Duration = Duration::from_secs(30);

/// The next hop of a request is a name without a known answer. The request waits until the name is looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownName(pub(crate) NextHop);

/// What is known of a name.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Known<'a> {
    /// Its servers, sorted by rank. Empty: it has none.
    Servers(&'a [Server]),
    /// It was asked for a moment ago, and nobody answered.
    Unanswered,
    /// Nothing that holds: it has to be asked for.
    Nothing,
}

/// The answers by keyed hash of the next hop.
#[derive(Debug, Default)]
pub(crate) struct NameCache {
    answers: HashMap<u128, KnownName, Keyed>,
}

#[derive(Debug)]
struct KnownName {
    /// The trunk whose call asked.
    trunk: Option<TrunkId>,
    /// When it was found.
    found: Instant,
    /// Until when it serves without a question.
    until: Instant,
    /// Until when its servers may serve while nobody answers.
    stale: Instant,
    /// How many look-ups have failed since it was found.
    failures: u32,
    /// Whether it was found without what the domain says of its services.
    guessed: bool,
    servers: Box<[Server]>,
}

impl NameCache {
    /// Remembers the servers of a next hop. Empty: it has none. `hold`: how long that holds; `stale`: how much longer it may serve while
    /// nobody answers. `guessed`: they were found although a question about the domain's services was not answered.
    pub(crate) fn put(
        &mut self,
        now: Instant,
        (key, trunk): (u128, Option<TrunkId>),
        mut servers: Vec<Server>,
        (hold, stale): (Duration, Duration),
        guessed: bool,
    ) {
        servers.truncate(SERVERS);
        for server in &mut servers {
            // Beyond the most attempts nothing would be tried anyway.
            server.addresses.truncate(MAX_ATTEMPTS);
        }
        let longest = if servers.is_empty() { LONGEST_NOTHING } else { LONGEST };
        let until = now + hold.clamp(SHORTEST, longest);
        let stale = until.max(now + hold) + stale;
        self.insert(now, key, KnownName { trunk, found: now, until, stale, failures: 0, guessed, servers: servers.into() });
    }

    /// Notes that nobody answered. What was found before serves on, if it is not too old.
    pub(crate) fn fail(&mut self, now: Instant, (key, trunk): (u128, Option<TrunkId>)) {
        if let Some(known) = self.answers.get_mut(&key).filter(|known| known.may_be_stale(now)) {
            let wait = RETRY.saturating_mul(1 << known.failures.min(5)).min(LONGEST_RETRY);
            known.failures = known.failures.saturating_add(1);
            known.until = (now + wait).min(known.stale);
            return;
        }
        let until = now + LONGEST_NOTHING;
        self.insert(
            now,
            key,
            KnownName { trunk, found: now, until, stale: until, failures: 1, guessed: false, servers: Box::default() },
        );
    }

    /// Whether what was found before is better than a guess: the domain itself said it, and it is not too old. Of two guesses the later
    /// one counts.
    pub(crate) fn outdoes_a_guess(&self, now: Instant, key: u128) -> bool {
        self.answers.get(&key).is_some_and(|known| !known.guessed && known.may_be_stale(now))
    }

    /// Notes that the look-up takes long. Returns whether what was found before may serve meanwhile; then it does for a while.
    pub(crate) fn bridge(&mut self, now: Instant, key: u128) -> bool {
        let known = self.answers.get_mut(&key).filter(|known| known.may_be_stale(now));
        known.map(|known| known.until = (now + RETRY).min(known.stale)).is_some()
    }

    /// What is known of a next hop. `waited`: for a message that has waited already, what was found in the last minute will do, even if
    /// that holds no more: a decision that needs several answers comes to its end by this, however short they hold.
    pub(crate) fn get(&self, now: Instant, keys: &Keys, next_hop: &NextHop, waited: bool) -> Known<'_> {
        let Some(known) = self.answers.get(&keys.name(next_hop)) else { return Known::Nothing };
        let lately = waited && !known.servers.is_empty() && now.saturating_duration_since(known.found) < LONGEST;
        match (now < known.until || lately, known.servers.is_empty() && known.failures > 0) {
            (true, false) => Known::Servers(&known.servers),
            (true, true) => Known::Unanswered,
            (false, _) => Known::Nothing,
        }
    }

    /// Takes in another configuration, with other numbers of trunks.
    pub(crate) fn renumber(&mut self, trunk: impl Fn(TrunkId) -> Option<TrunkId>) {
        for known in self.answers.values_mut() {
            known.trunk = known.trunk.and_then(&trunk);
        }
    }

    fn insert(&mut self, now: Instant, key: u128, known: KnownName) {
        if self.answers.len() >= NAMES && !self.answers.contains_key(&key) {
            self.make_room(now);
        }
        self.answers.insert(key, known);
    }

    /// Forgets what serves nobody any more, or else the oldest answer of the trunk that has the most.
    fn make_room(&mut self, now: Instant) {
        self.answers.retain(|_, known| now < known.until || known.may_be_stale(now));
        if self.answers.len() < NAMES {
            return;
        }
        let mut held: HashMap<Option<TrunkId>, usize> = HashMap::new();
        for known in self.answers.values() {
            *held.entry(known.trunk).or_default() += 1;
        }
        let most = held.into_iter().max_by_key(|&(_, held)| held).and_then(|(trunk, _)| trunk);
        let of_most = self.answers.iter().filter(|(_, known)| known.trunk == most);
        if let Some(oldest) = of_most.min_by_key(|(_, known)| known.found).map(|(&key, _)| key) {
            self.answers.remove(&oldest);
        }
    }
}

impl KnownName {
    fn may_be_stale(&self, now: Instant) -> bool {
        !self.servers.is_empty() && now < self.stale
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STALE: Duration = Duration::from_secs(600);

    fn keys() -> Keys {
        Keys::new([1; 16], [2; 16])
    }

    fn next_hop(port: u16) -> NextHop {
        NextHop { host: "a.example.net".to_owned(), port: Some(port), transport: None, secure: false }
    }

    fn of(port: u16) -> (u128, Option<TrunkId>) {
        (keys().name(&next_hop(port)), Some(TrunkId(0)))
    }

    fn server(addresses: usize) -> Server {
        Server { rank: 0, weight: 0, transport: None, addresses: vec![([127, 0, 0, 1], 5060).into(); addresses] }
    }

    #[test]
    fn answers_hold_within_bounds() {
        let (keys, now) = (keys(), Instant::now());
        let mut asked = NameCache::default();
        for (servers, hold, holds) in [
            (vec![], Duration::ZERO, SHORTEST),
            (vec![], Duration::from_secs(30), LONGEST_NOTHING),
            (vec![server(1)], Duration::ZERO, SHORTEST),
            (vec![server(1)], Duration::from_secs(30), Duration::from_secs(30)),
            (vec![server(1)], Duration::from_secs(3600), LONGEST),
        ] {
            asked.put(now, of(1), servers.clone(), (hold, STALE), false);
            let before = now.checked_add(holds).and_then(|end| end.checked_sub(Duration::from_millis(1)));
            assert_eq!(asked.get(before.expect("a time"), &keys, &next_hop(1), false), Known::Servers(&servers));
            assert_eq!(asked.get(now + holds, &keys, &next_hop(1), false), Known::Nothing);
        }
        assert_eq!(asked.get(now, &keys, &next_hop(2), true), Known::Nothing);
        asked.put(now, of(3), vec![server(100); 100], (LONGEST, STALE), false);
        let Known::Servers(kept) = asked.get(now, &keys, &next_hop(3), false) else { panic!() };
        assert_eq!((kept.len(), kept[0].addresses.len()), (SERVERS, MAX_ATTEMPTS));
    }

    #[test]
    fn what_was_found_serves_on_while_nobody_answers() {
        let (keys, start) = (keys(), Instant::now());
        let (mut asked, servers) = (NameCache::default(), vec![server(1)]);
        asked.put(start, of(1), servers.clone(), (SHORTEST, STALE), false);
        let get = |asked: &NameCache, now| match asked.get(now, &keys, &next_hop(1), false) {
            Known::Servers(found) => found.len(),
            Known::Unanswered => 100,
            Known::Nothing => 200,
        };
        let mut now = start + SHORTEST;
        assert_eq!(get(&asked, now), 200, "expired: it is asked for, as long as somebody may answer");
        assert!(asked.bridge(now, of(1).0));
        assert_eq!(get(&asked, now), 1, "meanwhile it serves");
        let mut waits = Vec::new();
        while now < start + SHORTEST + STALE {
            asked.fail(now, of(1));
            let known = asked.answers[&of(1).0].until;
            waits.push((known - now).as_secs());
            assert_eq!(get(&asked, now + (known - now) / 2), 1);
            assert_eq!(get(&asked, known), 200);
            now = known;
        }
        assert_eq!(waits[..5], [5, 10, 20, 30, 30]);
        assert_eq!(now, start + SHORTEST + STALE, "and not a moment longer");
        assert!(!asked.bridge(now, of(1).0));
        asked.fail(now, of(1));
        assert_eq!(get(&asked, now), 100);
        assert_eq!(get(&asked, now + LONGEST_NOTHING), 200);
        // That there is none is an answer, at once.
        asked.put(now, of(1), servers, (SHORTEST, STALE), false);
        asked.put(now, of(1), Vec::new(), (SHORTEST, STALE), false);
        assert_eq!(get(&asked, now), 0);
    }

    #[test]
    fn a_message_that_has_waited_takes_what_was_found_lately() {
        let (keys, now) = (keys(), Instant::now());
        let mut asked = NameCache::default();
        asked.put(now, of(1), vec![server(1)], (SHORTEST, Duration::ZERO), false);
        let later = now + LONGEST * 9 / 10;
        assert_eq!(asked.get(later, &keys, &next_hop(1), false), Known::Nothing);
        assert_eq!(asked.get(later, &keys, &next_hop(1), true), Known::Servers(&[server(1)]));
        assert_eq!(asked.get(now + LONGEST, &keys, &next_hop(1), true), Known::Nothing);
    }

    #[test]
    fn one_trunks_names_leave_room_for_those_of_others() {
        let (keys, now) = (keys(), Instant::now());
        let mut asked = NameCache::default();
        asked.put(now, (keys.name(&next_hop(1)), Some(TrunkId(1))), vec![server(1)], (LONGEST, STALE), false);
        for port in 100..3000 {
            asked.put(now + Duration::from_millis(port.into()), of(port), vec![server(1)], (LONGEST, STALE), false);
        }
        assert_eq!(asked.answers.len(), NAMES);
        let at = now + Duration::from_secs(4);
        assert_ne!(asked.get(at, &keys, &next_hop(1), false), Known::Nothing, "the other's");
        assert_ne!(asked.get(at, &keys, &next_hop(2999), false), Known::Nothing, "its latest");
        assert_eq!(asked.get(at, &keys, &next_hop(100), false), Known::Nothing, "its oldest");
        asked.renumber(|_| None);
        assert!(asked.answers.values().all(|known| known.trunk.is_none()));
    }
}
