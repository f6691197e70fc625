//! Notes to counters and log lines, once for each.
//!
//! What a log line needs of a message is read from its bytes only when somebody reads that level.

use std::sync::Arc;
use std::time::Instant;

use tracing::{Level, debug, enabled, info, warn};

use super::handles::{Direction, Handles};
use super::log::{Escaped, Limit};
use super::loss::Loss;
use super::metrics::Metrics;
use crate::config::{Config, RegionId, Transport};
use crate::core::io::{Arrival, Drop, Failure, Health, Note, Outcome};
use crate::sip::{Message, Name, Start};

/// The message that an input brought, at hand while its outputs are carried out.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'a> {
    /// How it came.
    pub arrival: Arrival,
    /// What came.
    pub bytes: &'a [u8],
}

/// Counts and logs for one worker.
#[derive(Debug)]
pub struct Record {
    metrics: Arc<Metrics>,
    config: Arc<Config>,
    handles: Handles,
    malformed: Limit,
    flood: Limit,
    losses: [Limit; Loss::ALL.len()],
}

impl Record {
    /// For one configuration.
    pub fn new(metrics: Arc<Metrics>, config: Arc<Config>) -> Self {
        let handles = Handles::new(Arc::clone(&metrics), Arc::clone(&config));
        let losses = [const { Limit::new() }; Loss::ALL.len()];
        Self { metrics, config, handles, malformed: Limit::new(), flood: Limit::new(), losses }
    }

    /// Another configuration holds from now on.
    pub fn configure(&mut self, config: &Arc<Config>) {
        self.config = Arc::clone(config);
        self.handles = Handles::new(Arc::clone(&self.metrics), Arc::clone(config));
    }

    /// The handles, for what is no note.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Counts and logs what the core says.
    pub fn note(&mut self, note: &Note, seen: Option<&Seen<'_>>, now: Instant) {
        match *note {
            Note::Arrived { region, transport, method, code, outcome } => {
                self.handles.arrived(region, transport, method, code, outcome);
                match outcome {
                    Outcome::Malformed(fault) => self.anomaly(Anomaly::Malformed, fault.label(), region, transport, seen, now),
                    Outcome::Dropped(cause @ (Drop::Flood | Drop::AckTarget)) => {
                        self.anomaly(Anomaly::Dropped, cause.label(), region, transport, seen, now);
                    }
                    _ => {}
                }
            }
            Note::Verdict { region, project, verdict, reason, trunk } => {
                self.handles.verdict(region, project, verdict, reason).increment(1);
                if enabled!(Level::DEBUG) {
                    let of = seen.map(Details::of).unwrap_or_default();
                    debug!(
                        region = self.config.region(region).name,
                        project = project.map(|id| self.config.project(id).name.as_str()),
                        trunk = trunk.map(|id| self.config.trunk(id).name.as_str()),
                        verdict = verdict.label(),
                        id = reason.id(),
                        reason = reason.token(),
                        source = seen.map(|seen| tracing::field::display(seen.arrival.from)),
                        method = %Escaped(of.method),
                        uri = %Escaped(of.uri),
                        call_id = %Escaped(of.call_id),
                        "decided"
                    );
                }
            }
            Note::Repeat { region, project, trunk } => self.handles.repeat(region, project, trunk),
            Note::Responded { region, relayed: _, code } => self.handles.response(region, Direction::Out, code),
            Note::Setup { region, after } => self.handles.setup(region, after),
            Note::Answered { region, after } => self.handles.answered(region, after),
            Note::Health { region, addr, transport, state, failure } => {
                let (region, server, transport) = (&self.config.region(region).name, addr, transport.token());
                let cause = failure.map(Failure::label);
                if state == Health::Down {
                    warn!(region, %server, transport, cause, "target is down");
                } else {
                    info!(region, %server, transport, "target is {}", state.label());
                }
            }
            Note::Media { region, direction, spoken } => self.handles.media(region, direction, spoken),
            Note::Asked { region, ask, result } => self.handles.asked(region, ask, result),
            Note::Relay { region, addr, failure } => {
                let (region, relay) = (&self.config.region(region).name, addr);
                if let Some(cause) = failure.map(Failure::label) {
                    warn!(region, %relay, cause, "media relay is down");
                } else {
                    info!(region, %relay, "media relay is up");
                }
            }
            Note::Anchored { region } => self.handles.anchored(region),
            Note::Transactions { region, invite, opened } => self.handles.transaction(region, invite, opened),
        }
    }

    /// Counts what the shell itself threw away, and warns of it. `peer` is whom it concerns.
    pub fn lost(&mut self, region: RegionId, loss: Loss, peer: std::net::SocketAddr, now: Instant) {
        self.handles.lost(region, loss);
        if let Some(suppressed) = self.losses.get_mut(loss as usize).and_then(|limit| limit.allow(now)) {
            warn!(region = self.config.region(region).name, cause = loss.label(), %peer, suppressed, "lost");
        }
    }

    fn anomaly(
        &mut self,
        kind: Anomaly,
        cause: &'static str,
        region: RegionId,
        transport: Transport,
        seen: Option<&Seen<'_>>,
        now: Instant,
    ) {
        let limit = match kind {
            Anomaly::Malformed => &mut self.malformed,
            Anomaly::Dropped => &mut self.flood,
        };
        let Some(suppressed) = limit.allow(now) else { return };
        warn!(
            region = self.config.region(region).name,
            transport = transport.token(),
            source = seen.map(|seen| tracing::field::display(seen.arrival.from)),
            octets = seen.map(|seen| seen.bytes.len()),
            cause,
            suppressed,
            "{}",
            match kind {
                Anomaly::Malformed => "malformed message",
                Anomaly::Dropped => "dropped message",
            }
        );
    }
}

/// Anomalies that share a limit.
#[derive(Clone, Copy)]
enum Anomaly {
    Malformed,
    Dropped,
}

/// What a decision's log line says of the request.
#[derive(Default)]
struct Details<'a> {
    method: &'a [u8],
    uri: &'a [u8],
    call_id: &'a [u8],
}

impl<'a> Details<'a> {
    fn of(seen: &Seen<'a>) -> Self {
        let Ok(message) = Message::datagram(seen.bytes) else { return Self::default() };
        let Start::Request { token, uri, .. } = message.start() else { return Self::default() };
        let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
        Self { method: message.slice(token), uri: message.slice(uri), call_id }
    }
}
