//! The handles by which messages are counted.
//!
//! They are registered when a configuration takes effect and indexed by closed enums, so that counting is an atomic addition. A
//! series with many labels is registered when it first counts, and so is all that a project has: there may be a million projects. As many
//! projects and trunks as `[metrics] projects` have series of their own; the others are counted together. A series that an alert may use
//! stands at 0 before it counts.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::handshake::Handshake;
use super::labels::{COMMON, Direction, code_index, code_label, outcome_index};
use super::loss::Loss;
use super::metrics::{Metrics, NONE, OTHER};
use super::region_handles::RegionHandles;
use crate::config::{Config, ProjectId, RegionId, Transport, TrunkId};
use crate::core::io::{self, DropCause, Outcome, RelayOutcome, RelayVerb, Share, Spoken, Verdict};
use crate::numbering::Country;
use crate::reason::Reason;
use crate::sip::{Fault, Method};

/// The handles of one configuration, for one worker.
#[derive(Debug)]
pub struct Handles {
    metrics: Arc<Metrics>,
    config: Arc<Config>,
    regions: Vec<RegionHandles>,
    verdicts: HashMap<(RegionId, Of<ProjectId>, u8, Reason), Counter>,
    repeats: HashMap<(RegionId, Of<ProjectId>, Of<TrunkId>), Counter>,
    numbers: HashMap<(RegionId, bool, Option<Country>), Counter>,
    emergency: HashMap<(RegionId, Of<ProjectId>, Of<TrunkId>), Counter>,
    shares: HashMap<(RegionId, Of<ProjectId>, Of<TrunkId>, Share), Counter>,
    malformed: HashMap<(RegionId, Transport, Fault), Counter>,
    decision: Histogram,
}

/// Whom a series is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Of<T> {
    Nobody,
    One(T),
    /// Of all that have no series of their own.
    Others,
}

impl<T> From<Option<T>> for Of<T> {
    fn from(one: Option<T>) -> Self {
        one.map_or(Self::Nobody, Self::One)
    }
}

impl Handles {
    /// Registers what a configuration can count. A series of an earlier configuration continues if its labels are the same.
    pub fn new(metrics: Arc<Metrics>, config: Arc<Config>) -> Self {
        let regions = config.regions.iter().map(|region| RegionHandles::new(&metrics, region, config.gate.is_some())).collect();
        let decision = metrics.histogram("ringfence_decision_seconds", Vec::new());
        let (verdicts, repeats, numbers, emergency, shares, malformed) = Default::default();
        let mut handles = Self { metrics, config, regions, verdicts, repeats, numbers, emergency, shares, malformed, decision };
        handles.start_at_zero();
        handles
    }

    /// Sets the verdicts that an alert may use to 0 before they happen.
    fn start_at_zero(&mut self) {
        let served: Vec<RegionId> =
            (0..).zip(&self.config.regions).filter(|(_, region)| region.served).map(|(id, _)| RegionId(id)).collect();
        for region in served {
            for (direction, code) in COMMON.iter().flat_map(|&code| [(Direction::In, code), (Direction::Out, code)]) {
                if let Some(counter) = self.response_counter(region, direction, code) {
                    counter.increment(0);
                }
            }
            for reason in Reason::ALL {
                let verdict = if reason <= Reason::Failover { Verdict::Accept } else { Verdict::Refuse };
                self.verdict(region, None, verdict, reason, 0);
            }
        }
    }

    /// Counts a message that was received, in `ringfence_received_total{region,transport}`.
    pub fn received(&self, region: RegionId, transport: Transport) {
        if let Some(region) = self.region(region) {
            region.carried(transport).received.increment(1);
        }
    }

    /// Counts the outcome of a message that arrived.
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

    /// Counts a response in `ringfence_responses_total{region,direction,code}`.
    pub fn response(&mut self, id: RegionId, direction: Direction, code: u16) {
        if let Some(counter) = self.response_counter(id, direction, code) {
            counter.increment(1);
        }
    }

    fn response_counter(&mut self, id: RegionId, direction: Direction, code: u16) -> Option<&Counter> {
        let Self { metrics, regions, .. } = self;
        let region = regions.get_mut(usize::from(id.0))?;
        let RegionHandles { name, responses: [inward, outward], .. } = region;
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

    /// Counts decisions in `ringfence_verdicts_total{region,project,verdict,reason}`; without a project, `none`.
    pub fn verdict(&mut self, region: RegionId, project: Option<ProjectId>, verdict: Verdict, reason: Reason, count: u64) {
        if let Some(counter) = self.verdicts.get(&(region, project.into(), verdict as u8, reason)) {
            return counter.increment(count);
        }
        let project = self.project(project);
        if matches!(project, Of::One(_)) {
            // Its first verdict: an alert on accepted calls must see them begin at 0.
            self.verdict_of(region, project, Verdict::Accept, Reason::InRegion).increment(0);
        }
        self.verdict_of(region, project, verdict, reason).increment(count);
    }

    fn verdict_of(&mut self, region: RegionId, project: Of<ProjectId>, verdict: Verdict, reason: Reason) -> &Counter {
        let Self { metrics, config, verdicts, .. } = self;
        verdicts.entry((region, project, verdict as u8, reason)).or_insert_with(|| {
            let labels = vec![
                ("region", region_name(config, region)),
                ("project", project_label(config, project)),
                ("verdict", verdict.label().into()),
                ("reason", reason.token().into()),
            ];
            metrics.counter("ringfence_verdicts_total", labels)
        })
    }

    /// Counts a repeat of a refused call in `ringfence_repeats_total{region,project,trunk}`.
    pub fn repeat(&mut self, region: RegionId, project: Option<ProjectId>, trunk: Option<TrunkId>) {
        let (project, trunk) = self.trunk(project, trunk);
        let Self { metrics, config, repeats, .. } = self;
        let counter = repeats.entry((region, project, trunk)).or_insert_with(|| {
            let trunk = trunk_label(config, trunk);
            let (region, project) = (region_name(config, region), project_label(config, project));
            metrics.counter("ringfence_repeats_total", vec![("region", region), ("project", project), ("trunk", trunk)])
        });
        counter.increment(1);
    }

    /// Counts a number that was read, in `ringfence_numbers_total{region,direction,country}`. There are as many countries as the table has.
    pub fn number(&mut self, region: RegionId, outbound: bool, country: Option<Country>) {
        let Self { metrics, config, numbers, .. } = self;
        let counter = numbers.entry((region, outbound, country)).or_insert_with(|| {
            let direction = if outbound { io::Direction::Out } else { io::Direction::In };
            let labels = vec![
                ("region", region_name(config, region)),
                ("direction", direction.label().into()),
                ("country", country.map_or_else(|| NONE.into(), |country| country.to_string().into())),
            ];
            metrics.counter("ringfence_numbers_total", labels)
        });
        counter.increment(1);
    }

    /// Counts an emergency call, in `ringfence_emergency_total{region,project,trunk}`.
    pub fn emergency(&mut self, region: RegionId, project: ProjectId, trunk: TrunkId) {
        let (project, trunk) = self.trunk(Some(project), Some(trunk));
        let Self { metrics, config, emergency, .. } = self;
        let counter = emergency.entry((region, project, trunk)).or_insert_with(|| {
            let trunk = trunk_label(config, trunk);
            let (region, project) = (region_name(config, region), project_label(config, project));
            metrics.counter("ringfence_emergency_total", vec![("region", region), ("project", project), ("trunk", trunk)])
        });
        counter.increment(1);
    }

    /// Counts what was turned away for a share of a trunk, in `ringfence_shares_used_up_total{region,project,trunk,share}`.
    pub fn share_used_up(&mut self, region: RegionId, whose: (Option<ProjectId>, Option<TrunkId>), share: Share) {
        let (project, trunk) = self.trunk(whose.0, whose.1);
        let Self { metrics, config, shares, .. } = self;
        let counter = shares.entry((region, project, trunk, share)).or_insert_with(|| {
            let labels = vec![
                ("region", region_name(config, region)),
                ("project", project_label(config, project)),
                ("trunk", trunk_label(config, trunk)),
                ("share", share.label().into()),
            ];
            metrics.counter("ringfence_shares_used_up_total", labels)
        });
        counter.increment(1);
    }

    /// Counts a question that the gate has answered, in `ringfence_requests_total{region,transport="http",method="REALTIME"}`.
    pub fn realtime(&self, region: RegionId) {
        if let Some(region) = self.regions.get(usize::from(region.0)) {
            region.realtime.increment(1);
        }
    }

    /// The project whose series counts for this one.
    fn project(&self, project: Option<ProjectId>) -> Of<ProjectId> {
        match project {
            Some(id) if !self.metrics.has_project(&self.config.project(id).name, self.config.metrics.projects) => Of::Others,
            project => project.into(),
        }
    }

    /// The same, for a trunk.
    fn trunk(&self, project: Option<ProjectId>, trunk: Option<TrunkId>) -> (Of<ProjectId>, Of<TrunkId>) {
        let project = self.project(project);
        let trunk = match (project, trunk) {
            (Of::Others, Some(_)) => Of::Others,
            (Of::One(of), Some(id)) => {
                let (of, name) = (&self.config.project(of).name, &self.config.trunk(id).name);
                let own = self.metrics.has_trunk(of, name, self.config.metrics.projects);
                if own { Of::One(id) } else { Of::Others }
            }
            (_, trunk) => trunk.into(),
        };
        (project, trunk)
    }

    /// Records how long a decision took, in `ringfence_decision_seconds`.
    pub fn decided(&self, after: Duration) {
        self.decision.record(after);
    }

    /// Records how long a call took to be set up, in `ringfence_setup_seconds{region}`.
    pub fn setup(&self, region: RegionId, after: Duration) {
        if let Some(region) = self.region(region) {
            region.setup.record(after);
        }
    }

    /// Records the time to a server's first response, in `ringfence_upstream_seconds{region}`.
    pub fn answered(&self, region: RegionId, after: Duration) {
        if let Some(region) = self.region(region) {
            region.answered.record(after);
        }
    }

    /// Counts a message whose media was checked, in `ringfence_media_checked_total{region,direction,result}`.
    pub fn media(&self, region: RegionId, direction: io::Direction, spoken: Spoken) {
        let counters = self.region(region).and_then(|region| region.media.get(direction as usize));
        if let Some(counter) = counters.and_then(|counters| counters.get(spoken as usize)) {
            counter.increment(1);
        }
    }

    /// Counts a question to a media relay in `ringfence_relay_requests_total{region,command,result}`.
    pub fn asked(&self, region: RegionId, ask: RelayVerb, result: RelayOutcome) {
        let counters = self.region(region).and_then(|region| region.asked.get(ask as usize));
        if let Some(counter) = counters.and_then(|counters| counters.get(result as usize)) {
            counter.increment(1);
        }
    }

    /// Counts a call that goes through a media relay, in `ringfence_relay_calls_total{region}`.
    pub fn relayed(&self, region: RegionId) {
        if let Some(region) = self.region(region) {
            region.relayed.increment(1);
        }
    }

    /// Adds a transaction to the gauge `ringfence_transactions{region,kind}`, or removes it.
    pub fn transaction(&self, region: RegionId, invite: bool, opened: bool) {
        let Some(region) = self.region(region) else { return };
        let [other, of_invite] = &region.transactions;
        step(if invite { of_invite } else { other }, opened);
    }

    /// Adds a connection to the gauge `ringfence_connections{region,transport}`, or removes it.
    pub fn connection(&self, region: RegionId, transport: Transport, opened: bool) {
        if let Some(region) = self.region(region) {
            step(&region.carried(transport).connections, opened);
        }
    }

    /// Counts a request in `ringfence_resent_total{region,transport}`: its connection was lost, and it goes once more on a fresh one.
    pub fn resent(&self, region: RegionId, transport: Transport) {
        if let Some(region) = self.region(region) {
            region.carried(transport).resent.increment(1);
        }
    }

    /// Counts what the shell threw away, in `ringfence_dropped_total{region,cause}`.
    pub fn lost(&self, region: RegionId, loss: Loss) {
        if let Some(counter) = self.region(region).and_then(|region| region.losses.get(loss as usize)) {
            counter.increment(1);
        }
    }

    /// Counts the end of a handshake in `ringfence_tls_handshakes_total{region,direction,result}`; `outward`: with a server.
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

    fn region(&self, id: RegionId) -> Option<&RegionHandles> {
        self.regions.get(usize::from(id.0))
    }
}

fn step(gauge: &Gauge, up: bool) {
    if up { gauge.increment(1.0) } else { gauge.decrement(1.0) }
}

fn region_name(config: &Config, id: RegionId) -> SharedString {
    config.region(id).name.clone().into()
}

fn trunk_label(config: &Config, of: Of<TrunkId>) -> SharedString {
    match of {
        Of::Nobody => NONE.into(),
        Of::One(id) => SharedString::from(config.trunk(id).name.to_string()),
        Of::Others => OTHER.into(),
    }
}

fn project_label(config: &Config, of: Of<ProjectId>) -> SharedString {
    match of {
        Of::Nobody => NONE.into(),
        Of::One(id) => SharedString::from(config.project(id).name.to_string()),
        Of::Others => OTHER.into(),
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config(projects: std::ops::Range<usize>, most: usize) -> Arc<Config> {
        let mut text = format!(
            "serve = [\"eu\"]\n[metrics]\nprojects = {most}\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/8\"]\nupstream = \"10.0.0.1\"\n"
        );
        text.extend(projects.map(|at| {
            format!("[project.p{at}]\n[project.p{at}.trunk.t]\nnetworks = [\"192.0.2.0/24\"]\n[project.p{at}.trunk.u]\nnetworks = [\"192.0.2.0/24\"]\n")
        }));
        Arc::new(crate::config::parse(Path::new("test.toml"), &text).unwrap())
    }

    /// The lines of a metric that name these projects, in order.
    fn lines(metrics: &Metrics, name: &str) -> Vec<String> {
        let text = metrics.render();
        let own = text.lines().filter(|line| line.starts_with(name) && !line.contains("project=\"none\""));
        let mut own: Vec<_> = own.filter_map(|line| line.split_once("project=").map(|(_, rest)| rest.to_owned())).collect();
        own.sort_unstable();
        own
    }

    fn refuse(handles: &mut Handles, project: u32) {
        handles.verdict(RegionId(0), Some(ProjectId(project)), Verdict::Refuse, Reason::PinnedElsewhere, 1);
    }

    #[test]
    fn a_project_has_series_from_its_first_verdict_on() {
        let metrics = Arc::new(Metrics::new());
        let mut handles = Handles::new(Arc::clone(&metrics), config(0..2000, 10_000));
        assert_eq!(lines(&metrics, "ringfence"), Vec::<String>::new());
        assert!(metrics.render().len() < 100_000, "however many projects there are");
        refuse(&mut handles, 7);
        let refused = "\"p7\",verdict=\"refuse\",reason=\"pinned-elsewhere\"} 1";
        assert_eq!(
            lines(&metrics, "ringfence_verdicts_total"),
            ["\"p7\",verdict=\"accept\",reason=\"in-region\"} 0", refused],
            "accepted calls begin at 0"
        );
    }

    #[test]
    fn the_rest_is_counted_as_other() {
        let (metrics, before) = (Arc::new(Metrics::new()), config(0..5, 2));
        let mut handles = Handles::new(Arc::clone(&metrics), Arc::clone(&before));
        for project in [3, 1, 4, 0, 4] {
            refuse(&mut handles, project);
        }
        let counted = |metrics: &Metrics| {
            let lines = lines(metrics, "ringfence_verdicts_total").into_iter().filter(|line| line.contains("refuse"));
            lines.map(|line| line.replace(",verdict=\"refuse\",reason=\"pinned-elsewhere\"}", "")).collect::<Vec<_>>()
        };
        assert_eq!(counted(&metrics), ["\"other\" 3", "\"p1\" 1", "\"p3\" 1"]);
        for (project, trunk) in [(3, 6), (3, 7), (1, 2), (4, 8)] {
            handles.repeat(RegionId(0), Some(ProjectId(project)), Some(TrunkId(trunk)));
        }
        assert_eq!(
            lines(&metrics, "ringfence_repeats_total"),
            ["\"other\",trunk=\"other\"} 1", "\"p1\",trunk=\"other\"} 1", "\"p3\",trunk=\"t\"} 1", "\"p3\",trunk=\"u\"} 1"]
        );
        // Without p0 to p2, and with other numbers: p3 goes on, and there is room for one more.
        let after = config(3..6, 2);
        let mut handles = Handles::new(Arc::clone(&metrics), Arc::clone(&after));
        metrics.keep(&after, &before);
        for project in [0, 1, 2] {
            refuse(&mut handles, project);
        }
        assert_eq!(counted(&metrics), ["\"other\" 4", "\"p3\" 2", "\"p4\" 1"]);
    }
}
