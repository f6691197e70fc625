//! The registry: every metric's name, help and buckets, and the exposition.
//!
//! Rare events are counted here; what each message counts has [`Handles`](super::Handles). A series is removed only if no
//! configuration names its labels any more, because a handle that outlives its series counts into nothing.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::{Counter, Gauge, Histogram, Key, Label, SharedString};
use metrics_process::Collector;

use super::registry::Registry;
use crate::config::Config;

/// A decision takes microseconds. A healthy server sends 100 within milliseconds. A setup lasts until a person answers.
const DECISION: [f64; 10] = [5e-6, 10e-6, 20e-6, 50e-6, 100e-6, 200e-6, 500e-6, 1e-3, 5e-3, 50e-3];
const UPSTREAM: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1.0, 5.0];
const SETUP: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The registry. One for each daemon, so that two in one process do not count into each other.
pub struct Metrics {
    recorder: Registry,
    process: Collector,
    own: Mutex<Own>,
}

/// The projects and trunks that have series of their own, by name: they keep them from one configuration to the next.
#[derive(Default)]
struct Own {
    projects: HashSet<Box<str>>,
    trunks: HashSet<(Box<str>, Box<str>)>,
}

impl std::fmt::Debug for Metrics {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The label if no project or trunk is known.
pub(super) const NONE: &str = "none";
/// The label of all projects and trunks that have no series of their own.
pub(super) const OTHER: &str = "other";

pub(super) type Labels = Vec<(&'static str, SharedString)>;

impl Metrics {
    /// A registry with every help text and nothing counted.
    pub fn new() -> Self {
        let recorder = Registry::new(buckets);
        let process = Collector::default();
        metrics::with_local_recorder(&recorder, || {
            describe();
            process.describe();
        });
        let metrics = Self { recorder, process, own: Mutex::default() };
        metrics.gauge("ringfence_build_info", vec![("version", env!("CARGO_PKG_VERSION").into())]).set(1.0);
        for result in [true, false] {
            metrics.reloads(result).increment(0);
        }
        metrics
    }

    /// The exposition, for one scrape.
    pub fn render(&self) -> String {
        metrics::with_local_recorder(&self.recorder, || self.process.collect());
        self.recorder.render()
    }

    /// Moves histogram samples out of their buffers. Due every few seconds: the buffers grow until then.
    pub(crate) fn upkeep(&self) {
        self.recorder.upkeep();
    }

    /// The counter `ringfence_config_reloads_total{result}`.
    pub fn reloads(&self, ok: bool) -> Counter {
        self.counter("ringfence_config_reloads_total", vec![("result", if ok { "ok" } else { "failed" }.into())])
    }

    /// Sets `ringfence_ready`, which says the same as `/readyz`.
    pub fn ready(&self, ready: bool) {
        self.gauge("ringfence_ready", Vec::new()).set(if ready { 1.0 } else { 0.0 });
    }

    /// Sets `ringfence_config_info{digest}`: 1 for the configuration in force, 0 for the one before.
    pub fn config(&self, digest: &str, in_force: bool) {
        let labels = vec![("digest", SharedString::from(digest.to_owned()))];
        self.gauge("ringfence_config_info", labels).set(if in_force { 1.0 } else { 0.0 });
    }

    /// Whether a project has series of its own: the first `most` that ask do.
    pub(super) fn has_project(&self, name: &str, most: usize) -> bool {
        let Own { projects, .. } = &mut *self.own();
        projects.contains(name) || projects.len() < most && projects.insert(name.into())
    }

    /// The same for a trunk of a project.
    pub(super) fn has_trunk(&self, project: &str, name: &str, most: usize) -> bool {
        let Own { trunks, .. } = &mut *self.own();
        let key = (project.into(), name.into());
        trunks.contains(&key) || trunks.len() < most && trunks.insert(key)
    }

    /// The names are whole between two calls, even if a thread has panicked.
    fn own(&self) -> MutexGuard<'_, Own> {
        self.own.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the series that the configuration does not name any more, except the digest of the one before. If it allows fewer
    /// projects than have series, those of some go.
    pub fn keep(&self, config: &Config, before: &Config) {
        let regions: HashSet<&str> = config.regions.iter().map(|region| region.name.as_str()).collect();
        let Own { projects, trunks } = &mut *self.own();
        let mut left = config.metrics.projects;
        let mut fits = |named: bool| named && left.checked_sub(1).inspect(|&less| left = less).is_some();
        projects.retain(|name| fits(config.project_of(name).is_some()));
        let mut left = config.metrics.projects;
        let mut fits = |named: bool| named && left.checked_sub(1).inspect(|&less| left = less).is_some();
        trunks.retain(|(project, name)| {
            let id = config.project_of(project).filter(|_| projects.contains(project));
            fits(id.and_then(|id| config.trunk_of(id, name)).is_some())
        });
        self.recorder.retain(|key: &Key| {
            let label = |name| key.labels().find(|label| label.key() == name).map(Label::value);
            let named = |name| label(name).filter(|value| *value != NONE && *value != OTHER);
            let project = named("project");
            label("region").is_none_or(|region| regions.contains(region))
                && project.is_none_or(|project| projects.contains(project))
                && named("trunk")
                    .is_none_or(|trunk| project.is_some_and(|project| trunks.contains(&(project.into(), trunk.into()))))
                && label("digest").is_none_or(|digest| digest == config.digest || digest == before.digest)
        });
    }

    /// The counter `ringfence_hep_packets_total{result}`.
    pub fn hep(&self, result: &'static str) -> Counter {
        self.counter("ringfence_hep_packets_total", vec![("result", result.into())])
    }

    /// The counter `ringfence_unseen_decisions_total{by}`.
    pub fn unseen(&self, by: &'static str) -> Counter {
        self.counter("ringfence_unseen_decisions_total", vec![("by", by.into())])
    }

    /// Sets `ringfence_watchers`.
    pub fn watchers(&self, count: u32) {
        self.gauge("ringfence_watchers", Vec::new()).set(f64::from(count));
    }

    /// Sets `ringfence_gate_connections`.
    pub fn gate_connections(&self, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.gauge("ringfence_gate_connections", Vec::new()).set(f64::from(count));
    }

    /// The counter `ringfence_gate_turned_away_total{cause}`.
    pub fn gate_turned_away(&self, cause: &'static str) -> Counter {
        self.counter("ringfence_gate_turned_away_total", vec![("cause", cause.into())])
    }

    /// The counter `ringfence_dns_lookups_total{type,result}`.
    pub fn lookups(&self, kind: &'static str, result: &'static str) -> Counter {
        self.counter("ringfence_dns_lookups_total", vec![("type", kind.into()), ("result", result.into())])
    }

    /// The counter `ringfence_dns_outside_total{region}`.
    pub fn outside(&self, region: &str) -> Counter {
        self.counter("ringfence_dns_outside_total", vec![("region", region.to_owned().into())])
    }

    /// The counter `ringfence_dns_vanished_total{region}`.
    pub fn vanished(&self, region: &str) -> Counter {
        self.counter("ringfence_dns_vanished_total", vec![("region", region.to_owned().into())])
    }

    /// The gauge `ringfence_dns_stale_seconds{region}`, in seconds.
    pub fn stale(&self, region: &str) -> Gauge {
        self.gauge("ringfence_dns_stale_seconds", vec![("region", region.to_owned().into())])
    }

    pub(super) fn counter(&self, name: &'static str, labels: Labels) -> Counter {
        metrics::with_local_recorder(&self.recorder, || metrics::counter!(name, made(labels)))
    }

    pub(super) fn gauge(&self, name: &'static str, labels: Labels) -> Gauge {
        metrics::with_local_recorder(&self.recorder, || metrics::gauge!(name, made(labels)))
    }

    pub(super) fn histogram(&self, name: &'static str, labels: Labels) -> Histogram {
        metrics::with_local_recorder(&self.recorder, || metrics::histogram!(name, made(labels)))
    }
}

fn made(labels: Labels) -> Vec<Label> {
    labels.into_iter().map(|(key, value)| Label::new(key, value)).collect()
}

/// The buckets of our histograms; there are no others.
fn buckets(name: &str) -> &'static [f64] {
    match name {
        "ringfence_decision_seconds" => &DECISION,
        "ringfence_setup_seconds" => &SETUP,
        _ => &UPSTREAM,
    }
}

fn describe() {
    use metrics::{Unit, describe_counter as counter, describe_gauge as gauge, describe_histogram as histogram};
    counter!("ringfence_received_total", "Datagrams and framed messages taken from a socket.");
    counter!("ringfence_messages_total", "Messages by what became of them; adds up to ringfence_received_total.");
    counter!("ringfence_requests_total", "Requests received, by method.");
    counter!("ringfence_verdicts_total", "Decisions on requests: accept, refuse or shadow, and why.");
    counter!("ringfence_media_checked_total", "Messages judged by the media that they speak of, by side and result.");
    counter!("ringfence_relay_requests_total", "Questions to media relays, by how they ended.");
    counter!("ringfence_relay_calls_total", "New calls whose offer went through a media relay.");
    counter!("ringfence_responses_total", "Responses received from next hops (in) and sent to whoever asked (out).");
    counter!("ringfence_repeats_total", "Calls that came again after a final refusal: the carrier retries.");
    counter!("ringfence_shares_used_up_total", "Requests turned away because their trunk has used up its share of something.");
    counter!("ringfence_dns_lookups_total", "Name look-ups by record type and result.");
    counter!("ringfence_dns_outside_total", "Resolved addresses outside the networks that the name's addresses may be in.");
    counter!("ringfence_malformed_total", "Messages not understood, by what was wrong.");
    counter!("ringfence_dropped_total", "Messages, answers and connections thrown away without a word, by cause.");
    counter!("ringfence_tls_handshakes_total", "TLS handshakes of clients (in) and with servers (out), by how they ended.");
    counter!("ringfence_config_reloads_total", "Reloads of the configuration.");
    counter!(
        "ringfence_hep_packets_total",
        "Copies of messages for the HEP collectors: sent, or lost to a full queue or an error."
    );
    counter!("ringfence_dns_vanished_total", "Names that lost their last address and are used as they were for a while.");
    gauge!("ringfence_dns_stale_seconds", "How far the oldest answer that serves a region's names is beyond its TTL.");
    gauge!("ringfence_transactions", "Open transactions.");
    gauge!("ringfence_connections", "Open stream connections.");
    counter!("ringfence_resent_total", "Requests that went once more on a fresh connection, because theirs was lost.");
    counter!(
        "ringfence_unseen_decisions_total",
        "Decisions that somebody who watches was not told because he reads slowly (watch), or that were not kept for an operator \
         because there were too many (refused)."
    );
    gauge!("ringfence_watchers", "Who watches decisions as they are made.");
    gauge!("ringfence_ready", "1 while calls are taken, 0 while something is missing or the daemon drains.");
    gauge!("ringfence_config_info", "1 for the configuration in force; its SHA-256.");
    gauge!("ringfence_build_info", "1; the version that runs.");
    histogram!("ringfence_decision_seconds", Unit::Seconds, "From the receipt of a request to the verdict on it.");
    histogram!("ringfence_upstream_seconds", Unit::Seconds, "From a request to a server of the region to its first response.");
    histogram!("ringfence_setup_seconds", Unit::Seconds, "From an INVITE to the first response above 100.");
}
