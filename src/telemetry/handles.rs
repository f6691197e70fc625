//! The handles by which messages are counted.
//!
//! Registered when a configuration takes effect and indexed by closed enums, so that counting is an atomic addition. A series
//! with many labels is registered when it first counts; those that an alert may be built on stand at 0 before.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::handshake::Handshake;
use super::loss::Loss;
use super::metrics::{Labels, Metrics, NONE};
use crate::config::{self, Config, ProjectId, RegionId, Transport, TrunkId};
use crate::core::io::{self, DropCause, Outcome, RelayOutcome, RelayVerb, Spoken, Verdict};
use crate::reason::Reason;
use crate::sip::{Fault, Method};

/// The labels of [`Outcome`], in the order of [`outcome_index`].
const OUTCOMES: [&str; 8] = ["forwarded", "answered", "refused", "relayed", "absorbed", "stray", "malformed", "dropped"];

const fn outcome_index(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Forwarded => 0,
        Outcome::Answered(_) => 1,
        Outcome::Refused(_) => 2,
        Outcome::Relayed => 3,
        Outcome::Absorbed => 4,
        Outcome::Stray => 5,
        Outcome::Malformed(_) => 6,
        Outcome::Dropped(_) => 7,
    }
}

/// Codes with a series of their own, in order (RFC 3261 21 and its extensions); any other is counted with its class.
const CODES: [u16; 73] = [
    100, 180, 181, 182, 183, 199, 200, 202, 204, 300, 301, 302, 305, 380, 400, 401, 402, 403, 404, 405, 406, 407, 408, 410, 412,
    413, 414, 415, 416, 417, 420, 421, 422, 423, 424, 425, 428, 429, 430, 433, 436, 437, 438, 439, 440, 469, 470, 480, 481, 482,
    483, 484, 485, 486, 487, 488, 489, 491, 493, 494, 500, 501, 502, 503, 504, 505, 513, 580, 600, 603, 604, 606, 607,
];
/// Those that stand at 0 before they happen: what is made here, and what every call meets.
const COMMON: [u16; 23] =
    [100, 180, 183, 200, 202, 400, 403, 404, 405, 408, 416, 480, 481, 483, 486, 487, 488, 500, 503, 505, 513, 600, 603];
const CLASSES: [&str; 6] = ["1xx", "2xx", "3xx", "4xx", "5xx", "6xx"];

fn code_index(code: u16) -> usize {
    CODES.binary_search(&code).unwrap_or_else(|_| CODES.len() + usize::from((code / 100).clamp(1, 6) - 1))
}

fn code_label(index: usize) -> SharedString {
    match CODES.get(index) {
        Some(code) => code.to_string().into(),
        None => CLASSES.get(index - CODES.len()).copied().unwrap_or("6xx").into(),
    }
}

/// The handles of one configuration, for one worker.
#[derive(Debug)]
pub struct Handles {
    metrics: Arc<Metrics>,
    config: Arc<Config>,
    regions: Vec<Region>,
    verdicts: HashMap<(RegionId, Option<ProjectId>, u8, Reason), Counter>,
    repeats: HashMap<(RegionId, Option<ProjectId>, Option<TrunkId>), Counter>,
    malformed: HashMap<(RegionId, Transport, Fault), Counter>,
    decision: Histogram,
}

#[derive(Debug)]
struct Region {
    name: SharedString,
    transports: [Carried; Transport::ALL.len()],
    /// In and out; registered when first used, for most codes never occur.
    responses: [Vec<Option<Counter>>; 2],
    setup: Histogram,
    answered: Histogram,
    transactions: [Gauge; 2],
    drops: [Counter; DropCause::ALL.len()],
    losses: [Counter; Loss::ALL.len()],
    /// Of clients, and with servers.
    handshakes: [[Counter; Handshake::ALL.len()]; 2],
    media: [[Counter; Spoken::ALL.len()]; io::Direction::ALL.len()],
    asked: [[Counter; RelayOutcome::ALL.len()]; RelayVerb::ALL.len()],
    anchored: Counter,
}

/// What is counted for each transport.
#[derive(Debug)]
struct Carried {
    received: Counter,
    messages: [Counter; OUTCOMES.len()],
    requests: [Counter; Method::ALL.len()],
    connections: Gauge,
}

impl Handles {
    /// Registers what a configuration can count. The series of an earlier configuration go on where the labels are the same.
    pub fn new(metrics: Arc<Metrics>, config: Arc<Config>) -> Self {
        let regions = config.regions.iter().map(|region| Region::new(&metrics, region)).collect();
        let decision = metrics.histogram("ringfence_decision_seconds", Vec::new());
        let (verdicts, repeats, malformed) = Default::default();
        let mut handles = Self { metrics, config, regions, verdicts, repeats, malformed, decision };
        handles.start_at_zero();
        handles
    }

    /// The verdicts that an alert may be built on stand at 0 before they happen.
    fn start_at_zero(&mut self) {
        let served: Vec<RegionId> =
            (0..).zip(&self.config.regions).filter(|(_, region)| region.served).map(|(id, _)| RegionId(id)).collect();
        let projects: Vec<ProjectId> = (0..).zip(&self.config.projects).map(|(id, _)| ProjectId(id)).collect();
        for region in served {
            for (direction, code) in COMMON.iter().flat_map(|&code| [(Direction::In, code), (Direction::Out, code)]) {
                if let Some(counter) = self.response_counter(region, direction, code) {
                    counter.increment(0);
                }
            }
            for reason in Reason::ALL {
                let verdict = if reason <= Reason::Failover { Verdict::Accept } else { Verdict::Refuse };
                self.verdict(region, None, verdict, reason).increment(0);
            }
            for &project in &projects {
                self.verdict(region, Some(project), Verdict::Accept, Reason::InRegion).increment(0);
            }
        }
    }

    /// `ringfence_received_total{region,transport}`.
    pub fn received(&self, region: RegionId, transport: Transport) {
        if let Some(region) = self.region(region) {
            region.carried(transport).received.increment(1);
        }
    }

    /// What a message that arrived ended as.
    pub fn arrived(&mut self, id: RegionId, transport: Transport, method: Option<Method>, code: Option<u16>, outcome: Outcome) {
        if let Some(code) = code {
            self.response(id, Direction::In, code);
        }
        if let Outcome::Malformed(fault) = outcome {
            self.malformed(id, transport, fault);
        }
        let Some(region) = self.region(id) else { return };
        let carried = region.carried(transport);
        if let Some(message) = carried.messages.get(outcome_index(outcome)) {
            message.increment(1);
        }
        if let Some(request) = method.and_then(|method| carried.requests.get(method as usize)) {
            request.increment(1);
        }
        if let Outcome::Dropped(cause) = outcome
            && let Some(drop) = DropCause::ALL.iter().position(|&other| other == cause).and_then(|at| region.drops.get(at))
        {
            drop.increment(1);
        }
    }

    /// `ringfence_responses_total{region,direction,code}`.
    pub fn response(&mut self, id: RegionId, direction: Direction, code: u16) {
        if let Some(counter) = self.response_counter(id, direction, code) {
            counter.increment(1);
        }
    }

    fn response_counter(&mut self, id: RegionId, direction: Direction, code: u16) -> Option<&Counter> {
        let Self { metrics, regions, .. } = self;
        let region = regions.get_mut(usize::from(id.0))?;
        let Region { name, responses: [inward, outward], .. } = region;
        let counters = match direction {
            Direction::In => inward,
            Direction::Out => outward,
        };
        let index = code_index(code);
        let counter = counters.get_mut(index)?;
        let register = || {
            let labels = vec![("region", name.clone()), ("direction", direction.label().into()), ("code", code_label(index))];
            metrics.counter("ringfence_responses_total", labels)
        };
        Some(counter.get_or_insert_with(register))
    }

    /// `ringfence_verdicts_total{region,project,verdict,reason}`.
    pub fn verdict(&mut self, region: RegionId, project: Option<ProjectId>, verdict: Verdict, reason: Reason) -> &Counter {
        let Self { metrics, config, verdicts, .. } = self;
        verdicts.entry((region, project, verdict as u8, reason)).or_insert_with(|| {
            let labels = vec![
                ("region", region_name(config, region)),
                ("project", project_name(config, project)),
                ("verdict", verdict.label().into()),
                ("reason", reason.token().into()),
            ];
            metrics.counter("ringfence_verdicts_total", labels)
        })
    }

    /// `ringfence_repeats_total{region,project,trunk}`.
    pub fn repeat(&mut self, region: RegionId, project: Option<ProjectId>, trunk: Option<TrunkId>) {
        let Self { metrics, config, repeats, .. } = self;
        let counter = repeats.entry((region, project, trunk)).or_insert_with(|| {
            let trunk = trunk.map_or_else(|| NONE.into(), |id| SharedString::from(config.trunk(id).name.clone()));
            let (region, project) = (region_name(config, region), project_name(config, project));
            metrics.counter("ringfence_repeats_total", vec![("region", region), ("project", project), ("trunk", trunk)])
        });
        counter.increment(1);
    }

    /// `ringfence_decision_seconds`.
    pub fn decided(&self, after: Duration) {
        self.decision.record(after);
    }

    /// `ringfence_setup_seconds{region}`.
    pub fn setup(&self, region: RegionId, after: Duration) {
        if let Some(region) = self.region(region) {
            region.setup.record(after);
        }
    }

    /// `ringfence_upstream_seconds{region}`.
    pub fn answered(&self, region: RegionId, after: Duration) {
        if let Some(region) = self.region(region) {
            region.answered.record(after);
        }
    }

    /// `ringfence_media_checked_total{region,direction,result}`.
    pub fn media(&self, region: RegionId, direction: io::Direction, spoken: Spoken) {
        let counters = self.region(region).and_then(|region| region.media.get(direction as usize));
        if let Some(counter) = counters.and_then(|counters| counters.get(spoken as usize)) {
            counter.increment(1);
        }
    }

    /// `ringfence_relay_requests_total{region,command,result}`.
    pub fn asked(&self, region: RegionId, ask: RelayVerb, result: RelayOutcome) {
        let counters = self.region(region).and_then(|region| region.asked.get(ask as usize));
        if let Some(counter) = counters.and_then(|counters| counters.get(result as usize)) {
            counter.increment(1);
        }
    }

    /// `ringfence_relay_calls_total{region}`.
    pub fn anchored(&self, region: RegionId) {
        if let Some(region) = self.region(region) {
            region.anchored.increment(1);
        }
    }

    /// `ringfence_transactions{region,kind}`.
    pub fn transaction(&self, region: RegionId, invite: bool, opened: bool) {
        let Some(region) = self.region(region) else { return };
        let [other, of_invite] = &region.transactions;
        step(if invite { of_invite } else { other }, opened);
    }

    /// `ringfence_connections{region,transport}`.
    pub fn connection(&self, region: RegionId, transport: Transport, opened: bool) {
        if let Some(region) = self.region(region) {
            step(&region.carried(transport).connections, opened);
        }
    }

    /// `ringfence_dropped_total{region,cause}`, for what the shell threw away.
    pub fn lost(&self, region: RegionId, loss: Loss) {
        if let Some(counter) = self.region(region).and_then(|region| region.losses.get(loss as usize)) {
            counter.increment(1);
        }
    }

    /// `ringfence_tls_handshakes_total{region,direction,result}`.
    pub fn handshake(&self, region: RegionId, outward: bool, how: Handshake) {
        let counters = self.region(region).and_then(|region| region.handshakes.get(usize::from(outward)));
        if let Some(counter) = counters.and_then(|counters| counters.get(how as usize)) {
            counter.increment(1);
        }
    }

    fn malformed(&mut self, region: RegionId, transport: Transport, fault: Fault) {
        let Self { metrics, config, malformed, .. } = self;
        let counter = malformed.entry((region, transport, fault)).or_insert_with(|| {
            let labels = vec![
                ("region", region_name(config, region)),
                ("transport", transport.token().into()),
                ("cause", fault.label().into()),
            ];
            metrics.counter("ringfence_malformed_total", labels)
        });
        counter.increment(1);
    }

    fn region(&self, id: RegionId) -> Option<&Region> {
        self.regions.get(usize::from(id.0))
    }
}

/// Which way a response went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Received from a next hop.
    In,
    /// Sent to whoever asked: relayed or made here.
    Out,
}

impl Direction {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

impl Region {
    /// The handles of a region; of one that is not served, handles that count nothing.
    fn new(metrics: &Metrics, region: &config::Region) -> Self {
        let (name, relayed) = (SharedString::from(region.name.clone()), !region.relays.is_empty());
        let served = region.served || region.leaving;
        let labels = |more: Labels| [vec![("region", name.clone())], more].concat();
        let counter = |metric, more| if served { metrics.counter(metric, labels(more)) } else { Counter::noop() };
        let gauge = |metric, more| if served { metrics.gauge(metric, labels(more)) } else { Gauge::noop() };
        let transports = Transport::ALL.map(|transport| {
            let of = |more: Labels| [vec![("transport", SharedString::from(transport.token()))], more].concat();
            Carried {
                received: counter("ringfence_received_total", of(Vec::new())),
                messages: OUTCOMES.map(|outcome| counter("ringfence_messages_total", of(vec![("outcome", outcome.into())]))),
                requests: Method::ALL
                    .map(|method| counter("ringfence_requests_total", of(vec![("method", method.token().into())]))),
                connections: match transport {
                    Transport::Udp => Gauge::noop(),
                    Transport::Tcp | Transport::Tls => gauge("ringfence_connections", of(Vec::new())),
                },
            }
        });
        let drops = DropCause::ALL.map(|cause| counter("ringfence_dropped_total", vec![("cause", cause.label().into())]));
        let losses = Loss::ALL.map(|cause| counter("ringfence_dropped_total", vec![("cause", cause.label().into())]));
        let handshakes = [Direction::In, Direction::Out].map(|direction| {
            let of = |how: Handshake| vec![("direction", direction.label().into()), ("result", how.label().into())];
            Handshake::ALL.map(|how| counter("ringfence_tls_handshakes_total", of(how)))
        });
        let media = io::Direction::ALL.map(|direction| {
            let of = |spoken: Spoken| vec![("direction", direction.label().into()), ("result", spoken.label().into())];
            Spoken::ALL.map(|spoken| counter("ringfence_media_checked_total", of(spoken)))
        });
        let of_relays = |metric, more| if relayed { counter(metric, more) } else { Counter::noop() };
        let asked = RelayVerb::ALL.map(|ask| {
            let of = |result: RelayOutcome| vec![("command", ask.label().into()), ("result", result.label().into())];
            RelayOutcome::ALL.map(|result| of_relays("ringfence_relay_requests_total", of(result)))
        });
        let anchored = of_relays("ringfence_relay_calls_total", Vec::new());
        let transactions = ["non-invite", "invite"].map(|kind| gauge("ringfence_transactions", vec![("kind", kind.into())]));
        let histogram = |metric| if served { metrics.histogram(metric, labels(Vec::new())) } else { Histogram::noop() };
        let (setup, answered) = (histogram("ringfence_setup_seconds"), histogram("ringfence_upstream_seconds"));
        let responses = [const { None }, const { None }].map(|none: Option<Counter>| vec![none; CODES.len() + CLASSES.len()]);
        Self { name, transports, responses, setup, answered, transactions, drops, losses, handshakes, media, asked, anchored }
    }

    fn carried(&self, transport: Transport) -> &Carried {
        let [udp, tcp, tls] = &self.transports;
        match transport {
            Transport::Udp => udp,
            Transport::Tcp => tcp,
            Transport::Tls => tls,
        }
    }
}

fn step(gauge: &Gauge, up: bool) {
    if up { gauge.increment(1.0) } else { gauge.decrement(1.0) }
}

fn region_name(config: &Config, id: RegionId) -> SharedString {
    config.region(id).name.clone().into()
}

fn project_name(config: &Config, id: Option<ProjectId>) -> SharedString {
    id.map_or_else(|| NONE.into(), |id| config.project(id).name.clone().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_its_own_label_or_its_class() {
        assert!(CODES.is_sorted() && COMMON.iter().all(|code| CODES.contains(code)));
        for (code, label) in [(100, "100"), (607, "607"), (299, "2xx"), (699, "6xx"), (199, "199"), (0, "1xx"), (999, "6xx")] {
            assert_eq!(&*code_label(code_index(code)), label);
        }
    }

    #[test]
    fn indices_are_the_places_of_the_labels() {
        for (at, loss) in Loss::ALL.into_iter().enumerate() {
            assert_eq!(loss as usize, at);
        }
        for (at, method) in Method::ALL.into_iter().enumerate() {
            assert_eq!(method as usize, at);
        }
        let outcomes = [
            Outcome::Forwarded,
            Outcome::Answered(200),
            Outcome::Refused(Reason::ForeignEndpoint),
            Outcome::Relayed,
            Outcome::Absorbed,
            Outcome::Stray,
            Outcome::Malformed(Fault::NotSip),
            Outcome::Dropped(DropCause::Flood),
        ];
        for outcome in outcomes {
            assert_eq!(OUTCOMES[outcome_index(outcome)], outcome.label());
        }
        let mut causes: Vec<_> = Loss::ALL.map(Loss::label).into_iter().chain(DropCause::ALL.map(DropCause::label)).collect();
        causes.sort_unstable();
        causes.dedup();
        assert_eq!(causes.len(), Loss::ALL.len() + DropCause::ALL.len(), "shell and core share the label");
    }
}
