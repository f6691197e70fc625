//! The task that keeps the snapshot of resolved names fresh.
//!
//! Look-ups run in parallel, apart from calls. After each answer, every name that needs it is walked again. All questions that a
//! walk needs are looked up and kept fresh. Nothing here judges addresses: the fence does that at every use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::answer::{Answer, Found};
use super::ask::{NameServers, ResolverError};
use super::cache::Cache;
use super::outside::{self, Told};
use super::record::{LookupFailure, Question, RecordType};
use super::walk::{Walk, walk};
use super::{Resolved, Server};
use crate::config::{Config, NameId, NextHop};
use crate::telemetry::Metrics;

/// Look-ups under way at a time.
const AT_ONCE: usize = 64;
/// The least time that old servers stay in use while their successors are looked up, even if `[dns] stale` is shorter.
const GRACE: Duration = Duration::from_secs(10);
/// How often the gauge is set while any answer in use is stale.
const TELL_STALE: Duration = Duration::from_secs(1);

/// Keeps the configured names resolved.
pub struct Resolver {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    servers: Option<Arc<NameServers>>,
    cache: Cache,
    names: Vec<Name>,
    lookups: JoinSet<(Question, Found)>,
    stale: bool,
}

/// One name of the configuration.
#[derive(Clone, Debug, Default)]
struct Name {
    /// The questions that its walk needs.
    questions: BTreeSet<Question>,
    /// The servers that its last complete walk found.
    servers: Option<Vec<Server>>,
    /// Since when no walk of it has been complete.
    unfinished: Option<Instant>,
    /// Since when its unanswered questions are being asked once more, before they count as "no such record".
    doubted: Option<Instant>,
    /// Whether questions count as "no such record" for lack of an answer, and that was logged.
    given_up: bool,
    /// The addresses outside that are reported already.
    told: Told,
}

/// How one name of the configuration is resolved now, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameStatus {
    /// The name, as the configuration has it.
    pub next_hop: NextHop,
    /// Whether it has been resolved, even if it has no servers.
    pub known: bool,
    /// The age of the oldest answer that its servers come from. `None`: there is none.
    pub age: Option<Duration>,
    /// How far the oldest of these answers is beyond its TTL because there is no newer one. `None`: all are fresh.
    pub stale: Option<Duration>,
    /// The question whose look-up failed last, and why, if its last look-up did fail.
    pub failure: Option<(Question, LookupFailure)>,
    /// Its servers, sorted by rank. No fence has judged them yet.
    pub servers: Vec<Server>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver for the names of a configuration. It asks nothing before [`Resolver::changed`].
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>) -> Result<Self, ResolverError> {
        let names = config.names.iter().map(|_| Name::default()).collect();
        let cache = Cache::new(config.names.len());
        Self::with(config, metrics, cache, names)
    }

    /// A resolver for another configuration. The answers for names in both are kept.
    pub fn replaced(&self, config: Arc<Config>) -> Result<Self, ResolverError> {
        for region in outside::in_use(&self.config).map(|id| self.config.region(id)) {
            // It may not be in use any more.
            self.metrics.stale(&region.name).set(0.0);
        }
        let known: HashMap<&NextHop, &Name> = self.config.names.iter().zip(&self.names).collect();
        let now = Instant::now();
        let mut cache = Cache::new(config.names.len());
        let mut names = Vec::new();
        for (id, next_hop) in (0..).map(NameId).zip(&config.names) {
            let name = known.get(next_hop).map(|&name| name.clone()).unwrap_or_default();
            cache.inherit(id, &name.questions, &self.cache, now);
            names.push(name);
        }
        Self::with(config, Arc::clone(&self.metrics), cache, names)
    }

    fn with(config: Arc<Config>, metrics: Arc<Metrics>, cache: Cache, names: Vec<Name>) -> Result<Self, ResolverError> {
        let servers = if config.names.is_empty() { None } else { Some(Arc::new(NameServers::new(&config.dns)?)) };
        for kind in RecordType::ALL {
            for result in ["ok", "none", "failed"] {
                metrics.lookups(kind.label(), result).increment(0);
            }
        }
        for region in outside::in_use(&config).map(|id| config.region(id)) {
            metrics.outside(&region.name).increment(0);
            metrics.stale(&region.name).set(0.0);
        }
        let ids: Vec<NameId> = (0..).map(NameId).zip(&config.names).map(|(id, _)| id).collect();
        let mut resolver = Self { config, metrics, servers, cache, names, lookups: JoinSet::new(), stale: true };
        let now = Instant::now();
        for id in ids {
            resolver.walk(id, now);
            // The networks may be others now.
            resolver.tell_outside(id);
        }
        Ok(resolver)
    }

    /// The servers that are known now.
    pub fn targets(&self) -> Resolved {
        let mut targets = Resolved::unknown(self.names.len());
        for (id, name) in (0..).map(NameId).zip(&self.names) {
            if let Some(servers) = &name.servers {
                targets.set(id, servers.clone());
            }
        }
        targets
    }

    /// How each name is resolved now.
    pub fn status(&self) -> Vec<NameStatus> {
        let now = Instant::now();
        let status = |(next_hop, name): (&NextHop, &Name)| {
            let answers = || name.questions.iter().filter_map(|question| Some((question, self.cache.answer(question)?)));
            let failed = answers().filter_map(|(question, answer)| Some((question, answer.failed()?)));
            NameStatus {
                next_hop: next_hop.clone(),
                known: name.servers.is_some(),
                age: answers().filter_map(|(_, answer)| answer.age(now)).max(),
                stale: answers().filter_map(|(_, answer)| answer.stale(now)).max(),
                failure: failed.max_by_key(|(_, (_, at))| *at).map(|(question, (why, _))| (question.clone(), why)),
                servers: name.servers.clone().unwrap_or_default(),
            }
        };
        self.config.names.iter().zip(&self.names).map(status).collect()
    }

    /// Looks names up when they are due, until a result has changed. The future may be dropped at any time; nothing is lost.
    pub async fn changed(&mut self) -> Resolved {
        loop {
            let next = self.ask();
            let finished = tokio::select! {
                Some(finished) = self.lookups.join_next(), if !self.lookups.is_empty() => finished,
                () = wait(next) => continue,
            };
            // Look-ups that have finished meanwhile make one change together.
            let mut concerned = self.take(finished);
            while let Some(finished) = self.lookups.try_join_next() {
                concerned.append(&mut self.take(finished));
            }
            let (now, mut changed) = (Instant::now(), false);
            for id in concerned {
                if self.walk(id, now) {
                    self.tell_outside(id);
                    changed = true;
                }
            }
            if changed {
                return self.targets();
            }
        }
    }

    fn take(&mut self, finished: Result<(Question, Found), tokio::task::JoinError>) -> BTreeSet<NameId> {
        let now = Instant::now();
        match finished {
            Ok((question, found)) => self.cache.take(&question, found, now, self.config.dns.stale),
            // A look-up that panicked: its answer is never taken. Which one it was is known when no other is under way.
            Err(_) if self.lookups.is_empty() => {
                self.cache.again(now);
                BTreeSet::new()
            }
            Err(_) => BTreeSet::new(),
        }
    }

    /// Starts the look-ups that are due. Returns when the next one is due.
    fn ask(&mut self) -> Option<Instant> {
        let servers = self.servers.as_ref()?;
        let now = Instant::now();
        let (due, mut next) = self.cache.due(now, AT_ONCE.saturating_sub(self.lookups.len()));
        for question in due {
            let (servers, metrics) = (Arc::clone(servers), Arc::clone(&self.metrics));
            self.lookups.spawn(async move {
                let found = servers.ask(&question).await;
                count(&metrics, &question, &found);
                (question, found)
            });
        }
        let stale = self.cache.is_stale(now);
        if stale || self.stale {
            self.tell_stale(now);
        }
        self.stale = stale;
        if stale {
            let soon = now + TELL_STALE;
            next = Some(next.map_or(soon, |next| next.min(soon)));
        }
        next
    }

    /// Walks from a name with what is known. Returns whether its servers have changed.
    fn walk(&mut self, id: NameId, now: Instant) -> bool {
        let (Some(next_hop), Some(name)) = (self.config.names.get(id.0 as usize), self.names.get_mut(id.0 as usize)) else {
            return false;
        };
        let cache = &mut self.cache;
        let walk = walk(next_hop, |question| cache.known(question));
        cache.need(id, &name.questions, &walk.questions, now);
        let servers = name.accept(&walk, cache, now, self.config.dns.stale);
        name.questions = walk.questions;
        if let (Some(question), false) = (walk.given_up.first(), name.given_up || servers.is_none()) {
            warn!(name = next_hop.host, %question, "look-ups fail: goes on as if there were no such record");
        }
        if servers.is_some() {
            name.given_up = !walk.given_up.is_empty();
        }
        match servers {
            Some(servers) if name.servers.as_ref() != Some(&servers) => {
                debug!(name = next_hop.host, ?servers, "resolved");
                name.servers = Some(servers);
                true
            }
            _ => false,
        }
    }

    fn tell_outside(&mut self, id: NameId) {
        let (Some(next_hop), Some(name)) = (self.config.names.get(id.0 as usize), self.names.get_mut(id.0 as usize)) else {
            return;
        };
        let servers = name.servers.as_deref().unwrap_or_default();
        outside::tell(&self.config, &self.metrics, id, next_hop, servers, &mut name.told);
    }

    /// Sets the gauge of how stale each region's names are.
    fn tell_stale(&self, now: Instant) {
        let mut oldest: HashMap<&str, Duration> = HashMap::new();
        for (id, name) in (0..).map(NameId).zip(&self.names) {
            let answers = name.questions.iter().filter_map(|question| self.cache.answer(question));
            let Some(stale) = answers.filter_map(|answer| answer.stale(now)).max() else { continue };
            for (region, _) in outside::uses(&self.config, id) {
                let oldest = oldest.entry(&region.name).or_default();
                *oldest = stale.max(*oldest);
            }
        }
        for region in outside::in_use(&self.config).map(|id| self.config.region(id)) {
            let stale = oldest.get(region.name.as_str()).copied().unwrap_or_default();
            self.metrics.stale(&region.name).set(stale.as_secs_f64());
        }
    }
}

impl Name {
    /// The servers to use after a walk. `None`: the former ones stay.
    fn accept(&mut self, walk: &Walk, cache: &mut Cache, now: Instant, stale: Duration) -> Option<Vec<Server>> {
        let certain = walk.given_up.is_empty() || self.given_up;
        let finished = walk.servers.as_ref().filter(|_| certain || self.confirmed(walk, cache, now));
        if let Some(servers) = finished {
            (self.unfinished, self.doubted) = (None, None);
            return Some(servers.clone());
        }
        if walk.servers.is_none() {
            self.doubted = None;
        }
        self.servers.as_ref()?;
        // What served goes on, like an answer that nobody refreshes, and no longer.
        let since = *self.unfinished.get_or_insert(now);
        (now.saturating_duration_since(since) >= stale.max(GRACE)).then(|| walk.servers.clone().unwrap_or_default())
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

async fn wait(until: Option<Instant>) {
    match until {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

fn count(metrics: &Metrics, question: &Question, found: &Found) {
    let result = match found {
        Ok(set) if set.serves() => "ok",
        Ok(_) => "none",
        Err(_) => "failed",
    };
    metrics.lookups(question.kind.label(), result).increment(1);
    debug!(%question, result, ?found, "looked up");
}
