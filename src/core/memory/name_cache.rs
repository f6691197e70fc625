//! Names that only dialogs know: what the shell found out about them, for a while and within a bound.
//!
//! What is remembered is no destination: the fence judges every address at every use.

use std::time::{Duration, Instant};

use crate::config::NextHop;
use crate::core::keys::Keys;
use crate::core::memory::recent::Recent;
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::dns::Server;

/// Names remembered; beyond: those asked for longest ago are forgotten, and asked for again.
const NAMES: usize = 1024;
/// Servers remembered of one name: as many as a resolution can have.
const SERVERS: usize = 32;
/// The shortest and longest time that an answer holds. The longest is how long [`Recent`] remembers anything.
const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(60);
/// The longest time that it holds that there is no server: a name that could not be resolved may be in order again.
const LONGEST_NOTHING: Duration = Duration::from_secs(5);

/// The next hop of a request is a name of which nothing is known: it has to be looked up, and the request waits for that.
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

    /// Remembers what a next hop resolves to; no servers: nothing, or nothing that could be found out.
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

    /// A next hop's servers, sorted by rank, if its answer still holds.
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
