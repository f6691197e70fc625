//! The task that keeps the snapshot fresh.
//!
//! Look-ups run beside each other, away from the calls. What a name resolves to is not judged here, only counted where it is
//! outside its region: the fence judges at every use.

use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use hickory_resolver::TokioResolver;
use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::{DnsError, NetError};
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::{RData, RecordType};
use tokio::task::JoinSet;
use tracing::{debug, warn};

use super::answer::{Answer, Found};
use super::{LookupFailure, Question, Server, Targets};
use crate::config::{Config, Dns, Hop, NameId, NextHop};
use crate::telemetry::Metrics;

/// How long one server has for an answer, and how often it is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ATTEMPTS: usize = 2;
/// One look-up ends by then, whatever the servers do.
const WHOLE: Duration = Duration::from_secs(10);
/// Look-ups under way at a time.
const AT_ONCE: usize = 64;

/// The system's resolver configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the system's resolver configuration cannot be used ({0}); name servers in [dns] instead")]
pub struct ResolverError(String);

/// What is known of a name of the configuration, for people to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameStatus {
    /// The name, as the configuration has it.
    pub next_hop: NextHop,
    /// Whether it has been resolved, be it to nothing.
    pub known: bool,
    /// How long ago the oldest of the answers that its servers come from was given; `None`: there is none.
    pub age: Option<Duration>,
    /// How far the oldest of them is beyond its TTL because there is no newer one; `None`: all are fresh.
    pub stale: Option<Duration>,
    /// Of the questions that have no answer at present, the last that failed, and why.
    pub failure: Option<(Question, LookupFailure)>,
    /// Its servers, sorted by rank. Not judged by any fence yet.
    pub servers: Vec<Server>,
}

/// The families of addresses, in the order in which they are tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Family {
    V4,
    V6,
}

impl Family {
    const ALL: [Self; 2] = [Self::V4, Self::V6];

    const fn record(self) -> RecordType {
        match self {
            Self::V4 => RecordType::A,
            Self::V6 => RecordType::AAAA,
        }
    }

    const fn label(self) -> &'static str {
        match self {
            Self::V4 => "A",
            Self::V6 => "AAAA",
        }
    }
}

/// Keeps the configured names resolved.
pub struct Resolver {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    hickory: Option<Arc<TokioResolver>>,
    names: Vec<[Answer; 2]>,
    lookups: JoinSet<(NameId, Family, Found)>,
    outside: HashMap<NameId, BTreeSet<IpAddr>>,
}

impl std::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Resolver").field("names", &self.names).finish_non_exhaustive()
    }
}

impl Resolver {
    /// For the names of a configuration; nothing is asked before [`Resolver::changed`].
    pub fn new(config: Arc<Config>, metrics: Arc<Metrics>) -> Result<Self, ResolverError> {
        let hickory = if config.names.is_empty() { None } else { Some(Arc::new(hickory(&config.dns)?)) };
        for family in Family::ALL {
            for result in ["ok", "none", "failed"] {
                metrics.lookups(family.label(), result).increment(0);
            }
        }
        for region in config.regions.iter().filter(|region| region.served) {
            metrics.outside(&region.name).increment(0);
        }
        let now = Instant::now();
        let names = config.names.iter().map(|_| Family::ALL.map(|_| Answer::unknown(now))).collect();
        Ok(Self { config, metrics, hickory, names, lookups: JoinSet::new(), outside: HashMap::new() })
    }

    /// For another configuration; what is known of names in both is kept.
    pub fn replaced(&self, config: Arc<Config>) -> Result<Self, ResolverError> {
        let mut next = Self::new(config, Arc::clone(&self.metrics))?;
        let known: HashMap<&NextHop, &[Answer; 2]> = self.config.names.iter().zip(&self.names).collect();
        let now = Instant::now();
        for (name, answers) in next.config.names.iter().zip(&mut next.names) {
            if let Some(&old) = known.get(name) {
                answers.clone_from(old);
                for answer in answers {
                    answer.again(now);
                }
            }
        }
        Ok(next)
    }

    /// What is known now.
    pub fn targets(&self) -> Targets {
        let mut targets = Targets::unknown(self.names.len());
        for ((id, name), answers) in (0..).map(NameId).zip(&self.config.names).zip(&self.names) {
            let found: Vec<&[IpAddr]> = answers.iter().filter_map(Answer::addresses).collect();
            // One family that has addresses will do; that there are none needs both.
            if found.len() == answers.len() || found.iter().any(|addresses| !addresses.is_empty()) {
                let port = name.port.unwrap_or(5060);
                let addresses = found.concat().into_iter().map(|ip| SocketAddr::new(ip, port)).collect();
                targets.set(id, vec![Server { rank: 0, weight: 0, transport: name.transport, addresses }]);
            }
        }
        targets
    }

    /// What is known of each name, and how well.
    pub fn status(&self) -> Vec<NameStatus> {
        let targets = self.targets();
        let status = |(id, next_hop): (NameId, &NextHop)| NameStatus {
            next_hop: next_hop.clone(),
            known: targets.all_known(),
            age: None,
            stale: None,
            failure: None,
            servers: targets.servers(id).to_vec(),
        };
        (0..).map(NameId).zip(&self.config.names).map(status).collect()
    }

    /// Looks names up as they come due, until what is known has changed. Nothing is lost if it is not awaited to the end.
    pub async fn changed(&mut self) -> Targets {
        loop {
            let next = self.ask();
            let finished = tokio::select! {
                Some(finished) = self.lookups.join_next(), if !self.lookups.is_empty() => finished,
                () = wait(next) => continue,
            };
            let before = self.targets();
            // Whatever has finished meanwhile makes one change together.
            let mut took = vec![self.take(finished)];
            while let Some(finished) = self.lookups.try_join_next() {
                took.push(self.take(finished));
            }
            let after = self.targets();
            if before != after {
                for id in took.into_iter().flatten() {
                    self.tell_outside(id, &after);
                }
                return after;
            }
        }
    }

    fn take(&mut self, finished: Result<(NameId, Family, Found), tokio::task::JoinError>) -> Option<NameId> {
        let Ok((id, family, found)) = finished else {
            // A look-up that panicked: its answer is never taken, so it is asked for again.
            self.again();
            return None;
        };
        let (now, stale) = (Instant::now(), self.config.dns.stale);
        let [v4, v6] = self.names.get_mut(id.0 as usize)?;
        match family {
            Family::V4 => v4.take(now, found, stale),
            Family::V6 => v6.take(now, found, stale),
        }
        Some(id)
    }

    /// Starts the look-ups that are due; returns when the next one is.
    fn ask(&mut self) -> Option<Instant> {
        let hickory = self.hickory.as_ref()?;
        let now = Instant::now();
        let mut next: Option<Instant> = None;
        for (id, (name, answers)) in (0..).map(NameId).zip(self.config.names.iter().zip(&mut self.names)) {
            for (family, answer) in Family::ALL.into_iter().zip(answers) {
                match answer.due() {
                    Some(due) if due <= now && self.lookups.len() < AT_ONCE => {
                        answer.asked();
                        let lookup = look_up(Arc::clone(hickory), Arc::clone(&self.metrics), name.host.clone(), family);
                        self.lookups.spawn(async move { (id, family, lookup.await) });
                    }
                    // What does not fit now is started when one of those under way is done.
                    Some(due) if due <= now => {}
                    Some(due) => next = Some(next.map_or(due, |next| next.min(due))),
                    None => {}
                }
            }
        }
        next
    }

    fn again(&mut self) {
        if self.lookups.is_empty() {
            let now = Instant::now();
            for answer in self.names.iter_mut().flatten() {
                answer.again(now);
            }
        }
    }

    /// Counts and logs addresses that a region's fence will not pass; each once as long as it stays.
    fn tell_outside(&mut self, id: NameId, targets: &Targets) {
        let mut all = BTreeSet::new();
        for region in &self.config.regions {
            let ours = |hop: &Hop| *hop == Hop::Name(id);
            if !region.served || !region.upstream.iter().any(ours) {
                continue;
            }
            let all_of = targets.servers(id).iter().flat_map(|server| &server.addresses).map(SocketAddr::ip);
            for addr in all_of.filter(|&addr| !region.networks.contains(addr)) {
                all.insert(addr);
                if !self.outside.get(&id).is_some_and(|known| known.contains(&addr)) {
                    self.metrics.outside(&region.name).increment(1);
                    let name = self.config.names.get(id.0 as usize).map(|name| &name.host);
                    warn!(region = region.name, name, %addr, "resolved outside the region: will not be used");
                }
            }
        }
        self.outside.insert(id, all);
    }
}

async fn wait(until: Option<Instant>) {
    match until {
        Some(due) => tokio::time::sleep_until(due.into()).await,
        None => std::future::pending().await,
    }
}

async fn look_up(hickory: Arc<TokioResolver>, metrics: Arc<Metrics>, name: String, family: Family) -> Found {
    // The trailing dot: no search list is tried.
    let lookup = hickory.lookup(format!("{}.", name.trim_end_matches('.')), family.record());
    let found = match tokio::time::timeout(WHOLE, lookup).await {
        Ok(Ok(lookup)) => {
            let ttl = lookup.answers().iter().map(|record| record.ttl).min().unwrap_or(0);
            let addresses: Vec<IpAddr> = lookup
                .answers()
                .iter()
                .filter_map(|record| match (&record.data, family) {
                    (RData::A(v4), Family::V4) => Some(IpAddr::V4(v4.0)),
                    (RData::AAAA(v6), Family::V6) => Some(IpAddr::V6(v6.0)),
                    _ => None,
                })
                .collect();
            let ttl = Duration::from_secs(ttl.into());
            if addresses.is_empty() { Found::Nothing(Some(ttl)) } else { Found::Addresses(addresses, ttl) }
        }
        Ok(Err(error)) => negative(&error),
        Err(_) => Found::Failure,
    };
    let result = match found {
        Found::Addresses(..) => "ok",
        Found::Nothing(_) => "none",
        Found::Failure => "failed",
    };
    metrics.lookups(family.label(), result).increment(1);
    debug!(name, kind = family.label(), result, ?found, "looked up");
    found
}

/// Only "no such name" and "no such record" are answers; any other error says nothing about the name.
fn negative(error: &NetError) -> Found {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none))
            if matches!(none.response_code, ResponseCode::NXDomain | ResponseCode::NoError) =>
        {
            Found::Nothing(none.negative_ttl.map(|ttl| Duration::from_secs(ttl.into())))
        }
        _ => Found::Failure,
    }
}

fn hickory(dns: &Dns) -> Result<TokioResolver, ResolverError> {
    let unusable = |error: NetError| ResolverError(error.to_string());
    let provider = TokioRuntimeProvider::default();
    let mut builder = if dns.servers.is_empty() {
        let (config, _) = hickory_resolver::system_conf::read_system_conf().map_err(unusable)?;
        // Only the servers: search lists and hosts files have no say in where calls go.
        let servers = config.name_servers().to_vec();
        TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), servers), provider)
    } else {
        let servers = dns.servers.iter().map(|server| {
            let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                connection.port = server.port();
                connection
            });
            NameServerConfig::new(server.ip(), true, connections.into())
        });
        TokioResolver::builder_with_config(ResolverConfig::from_parts(None, Vec::new(), servers.collect()), provider)
    };
    options(builder.options_mut());
    builder.build().map_err(unusable)
}

fn options(options: &mut ResolverOpts) {
    options.ndots = 0;
    options.timeout = TIMEOUT;
    options.attempts = ATTEMPTS;
    options.edns0 = true;
    options.edns_payload_len = 1232;
    // Nothing may be kept longer than its TTL: the snapshot is the cache.
    options.cache_size = 0;
    options.use_hosts_file = ResolveHosts::Never;
    options.try_tcp_on_error = true;
    options.case_randomization = true;
    // The TTL of a CNAME bounds the answer like any other.
    options.preserve_intermediates = true;
}
