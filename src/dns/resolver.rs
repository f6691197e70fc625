//! The task that keeps the snapshot of resolved names fresh.
//!
//! Look-ups run in parallel, apart from calls. After each answer, every name that needs it is walked again. All questions that a
//! walk needs are looked up and kept fresh. A trunk's name is kept only while calls go out to it. Nothing here judges addresses: the
//! fence does that at every use.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tokio::task::JoinSet;
use tracing::{debug, info, warn};

use super::answer::Found;
use super::ask::{NameServers, ResolverError};
use super::cache::Cache;
use super::name::{Kept, Name, NameStatus};
use super::outside;
use super::record::{End, Question, RecordType};
use super::walk::walk;
use super::{Resolved, Server};
use crate::config::{Config, Hop, NameId, NextHop};
use crate::telemetry::{Metrics, timestamp};

/// How long a trunk's name is kept fresh after a call went out to it.
const UNUSED: Duration = Duration::from_secs(600);
/// How soon a name that has lost its last address is asked for again.
const VANISHED: Duration = Duration::from_secs(5);
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

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Resolver {
    /// A resolver for the names of a configuration. It asks nothing before [`Resolver::changed`].
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>) -> Result<Self, ResolverError> {
        let names = of_regions(&config).into_iter().map(Name::new).collect();
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
        for ((id, next_hop), always) in (0..).map(NameId).zip(&config.names).zip(of_regions(&config)) {
            let mut name = known.get(next_hop).map(|&name| name.clone()).unwrap_or_default();
            name.kept = match name.kept {
                _ if always => Kept::Always,
                // It was a region's until now.
                Kept::Always => Kept::Used(now),
                kept => kept,
            };
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
            metrics.vanished(&region.name).increment(0);
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
            } else if let Some((question, why)) = &name.failure {
                targets.fail(id, question.clone(), *why);
            }
        }
        targets
    }

    /// Keeps a name of a trunk resolved for a while, because calls go out to it. Returns whether its servers are known by that.
    pub fn keep(&mut self, next_hop: &NextHop) -> bool {
        let now = Instant::now();
        let id = self.config.name_id(next_hop);
        // A reload may have taken it away meanwhile.
        let Some((id, name)) = id.and_then(|id| Some((id, self.names.get_mut(id.0 as usize)?))) else { return false };
        let before = name.kept;
        if before != Kept::Always {
            name.kept = Kept::Used(now);
        }
        before == Kept::Not && self.update(id, now)
    }

    /// How each name is resolved now.
    pub fn status(&self) -> Vec<NameStatus> {
        self.status_of(|_| true)
    }

    /// How the regions' names are resolved now. There may be many more of trunks.
    pub(crate) fn upstream_status(&self) -> Vec<NameStatus> {
        self.status_of(|name| name.kept == Kept::Always)
    }

    fn status_of(&self, wanted: impl Fn(&Name) -> bool) -> Vec<NameStatus> {
        let now = Instant::now();
        let vanish = self.config.dns.vanish;
        let status = |(next_hop, name): (&NextHop, &Name)| {
            let answers = || name.questions.iter().filter_map(|question| Some((question, self.cache.answer(question)?)));
            let failed = answers().filter_map(|(question, answer)| Some((question, answer.failed()?)));
            NameStatus {
                next_hop: next_hop.clone(),
                kept: name.kept != Kept::Not,
                known: name.servers.is_some(),
                vanished: name.vanished.map(|since| vanish.saturating_sub(now.saturating_duration_since(since))),
                age: answers().filter_map(|(_, answer)| answer.age(now)).max(),
                stale: answers().filter_map(|(_, answer)| answer.stale(now)).max(),
                failure: failed.max_by_key(|(_, (_, at))| *at).map(|(question, (why, _))| (question.clone(), why)),
                servers: name.servers.clone().unwrap_or_default(),
            }
        };
        self.config.names.iter().zip(&self.names).filter(|(_, name)| wanted(name)).map(status).collect()
    }

    /// Looks names up when they are due, until a result has changed. The future may be dropped at any time; nothing is lost.
    pub async fn changed(&mut self) -> Resolved {
        loop {
            let (lapsed, end) = self.lapse(Instant::now());
            if lapsed {
                return self.targets();
            }
            let next = self.ask().into_iter().chain(end).min();
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
                changed |= self.update(id, now);
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
        let names = &self.names;
        let of_region = |NameId(at)| names.get(at as usize).is_some_and(|name| name.kept == Kept::Always);
        let (due, mut next) = self.cache.due(now, of_region);
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

    /// Forgets the names that nobody has used for a while, but not while name servers fail: nobody could find them again. Walks again from those that have had no server for long enough. Returns
    /// whether anything has changed, and when the next one is due.
    fn lapse(&mut self, now: Instant) -> (bool, Option<Instant>) {
        let (vanish, mut changed, mut next) = (self.config.dns.vanish, false, None::<Instant>);
        for id in (0..).map(NameId).take(self.names.len()) {
            let Some(name) = self.names.get_mut(id.0 as usize) else { break };
            let mut answers = name.questions.iter().filter_map(|question| self.cache.answer(question));
            let fails = answers.any(|answer| answer.stale(now).is_some());
            let unused = match name.kept {
                Kept::Used(at) if fails => Some((at + UNUSED).max(now + TELL_STALE)),
                Kept::Used(at) => Some(at + UNUSED),
                Kept::Not | Kept::Always => None,
            };
            let believed = name.vanished.map(|since| since + vanish);
            let mut due = None;
            if unused.is_some_and(|at| at <= now) {
                self.cache.need(id, &name.questions, &BTreeSet::new(), now);
                changed |= name.servers.is_some();
                *name = Name::default();
            } else if believed.is_some_and(|at| at <= now) {
                changed |= self.update(id, now);
                due = unused;
            } else {
                due = unused.into_iter().chain(believed).min();
            }
            next = next.into_iter().chain(due).min();
        }
        (changed, next)
    }

    /// Walks from a name, and tells of what is new. Returns whether its servers have changed, or why it has none.
    fn update(&mut self, id: NameId, now: Instant) -> bool {
        let changed = self.walk(id, now);
        if changed {
            self.tell_outside(id);
        }
        self.fails_otherwise(id) || changed
    }

    /// Notes why nothing is known of a name. Returns whether that is news.
    fn fails_otherwise(&mut self, id: NameId) -> bool {
        let Some(name) = self.names.get_mut(id.0 as usize) else { return false };
        let cache = &self.cache;
        let failed = |question: &Question| Some((question.clone(), cache.answer(question)?.failed()?.0));
        let failure = if name.servers.is_none() { name.questions.iter().find_map(failed) } else { None };
        let news = name.failure != failure;
        name.failure = failure;
        news
    }

    /// Walks from a name with what is known. Returns whether its servers have changed.
    fn walk(&mut self, id: NameId, now: Instant) -> bool {
        let (Some(next_hop), Some(name)) = (self.config.names.get(id.0 as usize), self.names.get_mut(id.0 as usize)) else {
            return false;
        };
        if name.kept == Kept::Not {
            return false;
        }
        let cache = &mut self.cache;
        let walk = walk(next_hop, |question| cache.known(question));
        cache.need(id, &name.questions, &walk.questions, now);
        let before = name.vanished;
        let servers = name.accept(&walk, cache, now, &self.config.dns);
        name.questions = walk.questions;
        if name.vanished.is_some() {
            for question in &name.questions {
                cache.soon(question, now + VANISHED);
            }
        }
        let was = listed(name.servers.as_deref().unwrap_or_default());
        match (before, name.vanished, &servers) {
            (None, Some(_), _) => {
                let until = timestamp::on(SystemTime::now() + self.config.dns.vanish);
                warn!(name = next_hop.host, was, until, "has no address any more: is used as it was until then");
                for (region, _) in outside::uses(&self.config, id) {
                    self.metrics.vanished(&region.name).increment(1);
                }
            }
            (Some(_), None, Some(servers)) if servers.is_empty() => {
                warn!(name = next_hop.host, was, "has had no address for too long: there is none now");
            }
            (Some(_), None, Some(servers)) => info!(name = next_hop.host, is = listed(servers), "has addresses again"),
            _ => {}
        }
        if let (Some(question), false) = (walk.given_up.first(), name.given_up || servers.is_none()) {
            warn!(name = next_hop.host, %question, "look-ups fail: goes on as if there were no such record");
        }
        if servers.is_some() {
            name.given_up = !walk.given_up.is_empty();
        }
        match servers {
            Some(servers) if name.servers.as_ref() != Some(&servers) => {
                debug!(name = next_hop.host, servers = listed(&servers), "resolved");
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
        // Whose a name is takes a look at every trunk, and nearly all names are of trunks that nobody calls.
        if servers.is_empty() {
            return name.told.clear();
        }
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

/// For each name whether it is a region's.
fn of_regions(config: &Config) -> Vec<bool> {
    let mut of_regions = vec![false; config.names.len()];
    for hop in config.regions.iter().flat_map(|region| &region.upstream) {
        if let Hop::Name(name) = hop
            && let Some(of) = of_regions.get_mut(name.0 as usize)
        {
            *of = true;
        }
    }
    of_regions
}

fn listed(servers: &[Server]) -> String {
    let addresses = servers.iter().flat_map(|server| &server.addresses).map(ToString::to_string);
    addresses.collect::<Vec<_>>().join(" ")
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
    let (records, failure) = match found {
        Ok(set) => (if let End::Records(records) = &set.end { records.len() } else { 0 }, None),
        Err(failure) => (0, Some(tracing::field::display(failure))),
    };
    debug!(%question, result, records, failure, "looked up");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dns::record::{LookupFailure, RecordSet};

    #[tokio::test]
    async fn a_trunks_name_is_forgotten_when_no_call_has_gone_out_for_a_while() {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/8\"]\nupstream = \"sip:a.example.net:5060\"\n[project.acme]\n[project.acme.trunk.one]\n\
             networks = [\"192.0.2.0/24\"]\nuri = \"sip:gw.example.net\"\n[dns]\nservers = [\"127.0.0.1:1\"]\n";
        let config = Arc::new(crate::config::parse("test.toml".as_ref(), text).unwrap());
        let mut resolver = Resolver::new(Arc::clone(&config), Arc::new(Metrics::new())).unwrap();
        let questions = resolver.cache.len();
        let begin = Instant::now();
        assert_eq!((questions, resolver.lapse(begin)), (2, (false, None)), "the region's own alone");
        let next_hop = &config.names[1];
        resolver.keep(next_hop);
        assert!(resolver.cache.len() > questions && resolver.status()[1].kept);
        let (_, end) = resolver.lapse(begin);
        let end = end.unwrap();
        assert!(end >= begin + UNUSED);
        // While name servers fail it serves on: nobody could find it again.
        let question = resolver.names[1].questions.first().unwrap().clone();
        let set = RecordSet { aliases: Vec::new(), end: End::Alias };
        resolver.cache.take(&question, Ok(set.clone()), begin, Duration::from_secs(3600));
        let expired = begin + UNUSED.saturating_sub(Duration::from_secs(1));
        resolver.cache.take(&question, Err(LookupFailure::Silent), expired, Duration::from_secs(3600));
        assert!(matches!(resolver.lapse(end), (false, Some(later)) if later > end));
        assert!(resolver.status()[1].kept);
        resolver.cache.take(&question, Ok(set), end, Duration::from_secs(3600));
        // A name that is known and goes is a change.
        resolver.names[1].servers = Some(Vec::new());
        assert_eq!(resolver.lapse(end), (true, None));
        assert!(resolver.cache.len() == questions && !resolver.status()[1].kept && !resolver.status()[1].known);
        assert!(resolver.status()[0].kept, "a region's is never forgotten");
    }
}
