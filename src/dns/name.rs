//! One name of the configuration: whether it is looked up, and which of the servers that its walks find are used. Asks nothing.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::Server;
use super::answer::Answer;
use super::cache::Cache;
use super::outside::Told;
use super::record::{LookupFailure, Question};
use super::walk::Walk;
use crate::config::{Dns, NextHop};

/// The least time that old servers stay in use while their successors are looked up, even if `[dns] stale` is shorter.
const GRACE: Duration = Duration::from_secs(10);

/// One name of the configuration.
#[derive(Clone, Debug, Default)]
pub(super) struct Name {
    pub(super) kept: Kept,
    /// The questions that its walk needs.
    pub(super) questions: BTreeSet<Question>,
    /// The servers that its last complete walk found.
    pub(super) servers: Option<Vec<Server>>,
    /// Since when no walk of it has been complete.
    unfinished: Option<Instant>,
    /// Since when DNS says that it has no server any more. Its servers stay in use for `[dns] vanish`.
    pub(super) vanished: Option<Instant>,
    /// Since when its unanswered questions are being asked once more, before they count as "no such record".
    doubted: Option<Instant>,
    /// Whether questions count as "no such record" for lack of an answer, and that was logged.
    pub(super) given_up: bool,
    /// Why nothing is known of it, as the calls were last told.
    pub(super) failure: Option<(Question, LookupFailure)>,
    /// The addresses outside that are reported already.
    pub(super) told: Told,
}

/// Whether a name is looked up at all.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Kept {
    /// It is that of a trunk to which no call has gone for a while.
    #[default]
    Not,
    /// It is that of a trunk, and a call went out to it then.
    Used(Instant),
    /// It is a region's.
    Always,
}

/// How one name of the configuration is resolved now, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameStatus {
    /// The name, as the configuration has it.
    pub next_hop: NextHop,
    /// Whether it is looked up at all: a trunk's name is, while calls go out to it.
    pub kept: bool,
    /// Whether it has been resolved, even if it has no servers.
    pub known: bool,
    /// How much longer its servers are used although DNS says that it has none any more. `None`: it does not say so.
    pub vanished: Option<Duration>,
    /// The age of the oldest answer that its servers come from. `None`: there is none.
    pub age: Option<Duration>,
    /// How far the oldest of these answers is beyond its TTL because there is no newer one. `None`: all are fresh.
    pub stale: Option<Duration>,
    /// The question whose look-up failed last, and why, if its last look-up did fail.
    pub failure: Option<(Question, LookupFailure)>,
    /// Its servers, sorted by rank. No fence has judged them yet.
    pub servers: Vec<Server>,
}

impl Name {
    /// A name of which nothing is known. `always`: it is a region's.
    pub(super) fn new(always: bool) -> Self {
        Self { kept: if always { Kept::Always } else { Kept::Not }, ..Self::default() }
    }

    /// The servers to use after a walk. `None`: the former ones stay.
    pub(super) fn accept(&mut self, walk: &Walk, cache: &mut Cache, now: Instant, dns: &Dns) -> Option<Vec<Server>> {
        let certain = walk.given_up.is_empty() || self.given_up;
        let finished = walk.servers.as_ref().filter(|_| certain || self.confirmed(walk, cache, now));
        if let Some(servers) = finished {
            (self.unfinished, self.doubted) = (None, None);
            let lost = servers.is_empty() && self.servers.as_ref().is_some_and(|before| !before.is_empty());
            if lost && now.saturating_duration_since(*self.vanished.get_or_insert(now)) < dns.vanish {
                // Registries that lose all entries for a moment are frequent, and the servers are there.
                return None;
            }
            self.vanished = None;
            return Some(servers.clone());
        }
        if walk.servers.is_none() {
            self.doubted = None;
        }
        self.servers.as_ref()?;
        // What served goes on, like an answer that nobody refreshes, and no longer.
        let since = *self.unfinished.get_or_insert(now);
        if now.saturating_duration_since(since) < dns.stale.max(GRACE) {
            return None;
        }
        self.vanished = None;
        Some(walk.servers.clone().unwrap_or_default())
    }

    /// Whether the questions that never had an answer have failed once more since the others were answered. If all name servers
    /// were gone and come back, the transport that the domain prefers must not lose only because another question was answered
    /// first.
    fn confirmed(&mut self, walk: &Walk, cache: &mut Cache, now: Instant) -> bool {
        // While there are servers that the domain itself named, guessing can wait.
        if self.servers.as_ref().is_some_and(|servers| !servers.is_empty()) {
            return false;
        }
        let since = *self.doubted.get_or_insert_with(|| {
            for question in &walk.given_up {
                cache.hurry(question, now);
            }
            now
        });
        let failed_at = |question| cache.answer(question).and_then(Answer::failed).map(|(_, at)| at);
        walk.given_up.iter().all(|question| failed_at(question).is_none_or(|at| at > since))
    }
}
