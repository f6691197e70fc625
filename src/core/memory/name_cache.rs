//! Names that only dialogs know: the answers that the shell found for them, for a while and within a bound.
//!
//! A remembered answer is no destination: the fence judges every address at every use.

use std::time::{Duration, Instant};

use crate::config::NextHop;
use crate::core::keys::Keys;
use crate::core::memory::recent::Recent;
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::dns::Server;

/// Names remembered. Beyond that, the names that were looked up longest ago are forgotten, and looked up again if needed.
const NAMES: usize = 1024;
/// Servers remembered for one name: as many as a resolution can have.
const SERVERS: usize = 32;
/// The bounds of the time that an answer holds. The longest is how long [`Recent`] remembers anything.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest time that an empty answer holds, because the name may resolve again soon.
const LONGEST_NOTHING: Duration = Duration::from_secs(5);

/// The next hop of a request is a name without a known answer. The request waits until the name is looked up.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct UnknownName(pub(crate) NextHop);

/// The answers by keyed hash of the next hop.
#[derive(Debug)]
pub(crate) struct NameCache {
    answers: Recent<KnownName>,
}

#[derive(Debug)]
struct KnownName {
    until: Instant,
    servers: Box<[Server]>,
}

impl NameCache {
    pub(crate) fn new() -> Self {
        Self { answers: Recent::new(NAMES) }
    }

    /// Remembers the servers of a next hop. None: it has none, or they could not be found.
    pub(crate) fn put(&mut self, now: Instant, keys: &Keys, next_hop: &NextHop, mut servers: Vec<Server>, hold: Duration) {
        servers.truncate(SERVERS);
        for server in &mut servers {
            // Beyond the most attempts nothing would be tried anyway.
            server.addresses.truncate(MAX_ATTEMPTS);
        }
        let longest = if servers.is_empty() { LONGEST_NOTHING } else { LONGEST };
        let until = now + hold.clamp(SHORTEST, longest);
        self.answers.put(now, keys.name(next_hop), KnownName { until, servers: servers.into() });
    }

    /// A name's servers, if they were found in the last minute, even if that answer holds no more. A decision that needs several names
    /// comes to its end by this, however short their answers hold.
    pub(crate) fn lately(&self, now: Instant, keys: &Keys, next_hop: &NextHop) -> Option<&[Server]> {
        let answer = self.answers.get(now, keys.name(next_hop))?;
        (now < answer.until || !answer.servers.is_empty()).then_some(&*answer.servers)
    }

    /// A next hop's servers, sorted by rank. `None`: no answer is known that still holds.
    pub(crate) fn get(&self, now: Instant, keys: &Keys, next_hop: &NextHop) -> Option<&[Server]> {
        let answer = self.answers.get(now, keys.name(next_hop)).filter(|answer| now < answer.until)?;
        Some(&answer.servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_hold_within_bounds() {
        let (keys, now) = (Keys::new([1; 16], [2; 16]), Instant::now());
        let next_hop = |port| NextHop { host: "a.example.net".to_owned(), port: Some(port), transport: None, secure: false };
        let server =
            |addresses| Server { rank: 0, weight: 0, transport: None, addresses: vec![([127, 0, 0, 1], 5060).into(); addresses] };
        let mut asked = NameCache::new();
        for (servers, hold, holds) in [
            (vec![], Duration::ZERO, SHORTEST),
            (vec![], Duration::from_secs(30), LONGEST_NOTHING),
            (vec![server(1)], Duration::ZERO, SHORTEST),
            (vec![server(1)], Duration::from_secs(30), Duration::from_secs(30)),
            (vec![server(1)], Duration::from_secs(3600), LONGEST),
        ] {
            asked.put(now, &keys, &next_hop(1), servers.clone(), hold);
            let before = now.checked_add(holds).and_then(|end| end.checked_sub(Duration::from_millis(1)));
            assert_eq!(asked.get(before.expect("a time"), &keys, &next_hop(1)), Some(servers.as_slice()));
            assert_eq!(asked.get(now + holds, &keys, &next_hop(1)), None);
        }
        assert_eq!(asked.get(now, &keys, &next_hop(2)), None);
        asked.put(now, &keys, &next_hop(3), vec![server(100); 100], LONGEST);
        let kept = asked.get(now, &keys, &next_hop(3)).map(|servers| (servers.len(), servers[0].addresses.len()));
        assert_eq!(kept, Some((SERVERS, MAX_ATTEMPTS)));
        for port in 100..3000 {
            asked.put(now, &keys, &next_hop(port), Vec::new(), LONGEST);
        }
        assert!((100..3000).filter(|&port| asked.get(now, &keys, &next_hop(port)).is_some()).count() <= NAMES);
    }
}
