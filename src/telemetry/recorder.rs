//! Turns notes into counters and log lines: each note once.
//!
//! The message's bytes are read for a log line only if that level is logged.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use tracing::{info, warn};

use super::audited::{self, AuditTeller};
use super::decided::{Facts, Ruled};
use super::decision::Decisions;
use super::handles::Handles;
use super::handshake::Handshake;
use super::hep_queue::HepQueue;
use super::labels::Direction;
use super::log::Limit;
use super::loss::Loss;
use super::metrics::Metrics;
use super::realtime::RealtimeVerdict;
use super::refused::RefusedQueue;
use super::seen::Seen;
use super::watch::Watchers;
use crate::audit::{Spool, micros};
use crate::config::{Config, RegionId, Transport};
use crate::core::io::{DropCause, Failure, Health, Note, Outcome, Output};

/// Who else gets what a worker sees: the worker's ends of their queues.
#[derive(Debug)]
pub struct Observers {
    /// Copies of messages for collectors.
    pub copies: HepQueue,
    /// Those who watch decisions.
    pub watchers: Watchers,
    /// What was refused, for operators who ask later.
    pub refused: RefusedQueue,
    /// The audit record, if one is kept.
    pub spool: Option<Spool>,
}

/// Counts and logs for one worker.
#[derive(Debug)]
pub struct Recorder {
    config: Arc<Config>,
    handles: Handles,
    malformed: Limit,
    flood: Limit,
    losses: [Limit; Loss::ALL.len()],
    handshakes: [Limit; 2],
    decisions: Decisions,
    copies: HepQueue,
    spool: Option<Spool>,
    /// The configuration's digest, for the audit record.
    digest: [u8; 32],
}

impl Recorder {
    /// A recorder that uses the names of `config`. The others are told too.
    pub fn new(metrics: Arc<Metrics>, config: Arc<Config>, others: Observers) -> Self {
        let Observers { copies, watchers, refused, spool } = others;
        let handles = Handles::new(metrics, Arc::clone(&config));
        let losses = [const { Limit::new() }; Loss::ALL.len()];
        let (malformed, flood, decisions) = (Limit::new(), Limit::new(), Decisions::new(watchers, refused));
        let digest = audited::digest(&config);
        Self { config, handles, malformed, flood, losses, handshakes: Default::default(), decisions, copies, spool, digest }
    }

    /// Takes in another configuration. Its handles are exchanged for the former ones: making and dropping them takes time and
    /// happens elsewhere. `mark`: its number in the audit record.
    pub(crate) fn configure(&mut self, config: &Arc<Config>, handles: &mut Handles, mark: Option<u64>) {
        self.config = Arc::clone(config);
        self.digest = audited::digest(config);
        if let (Some(spool), Some(mark)) = (&mut self.spool, mark) {
            spool.mark(SystemTime::now(), mark);
        }
        std::mem::swap(&mut self.handles, handles);
    }

    /// The handles, to count what is no note.
    pub fn handles(&self) -> &Handles {
        &self.handles
    }

    /// Counts and logs a note of the core.
    pub fn note(&mut self, note: &Note, seen: Option<&Seen<'_>>, now: Instant) {
        match *note {
            Note::Arrived { region, transport, method, code, outcome } => {
                self.handles.arrived(region, transport, method, code, outcome);
                match outcome {
                    Outcome::Malformed(fault) => self.anomaly(Anomaly::Malformed, fault.label(), region, transport, seen, now),
                    Outcome::Dropped(cause @ (DropCause::Flood | DropCause::AckTarget)) => {
                        self.anomaly(Anomaly::Dropped, cause.label(), region, transport, seen, now);
                    }
                    _ => {}
                }
            }
            Note::Verdict { region, project, verdict, reason, .. } => {
                self.handles.verdict(region, project, verdict, reason, 1);
            }
            Note::Number { region, outbound, country } => self.handles.number(region, outbound, country),
            Note::Emergency { region, project, trunk } => self.handles.emergency(region, project, trunk),
            Note::Repeat { region, project, trunk } => self.handles.repeat(region, project, trunk),
            Note::Responded { region, relayed: _, code } => self.handles.response(region, Direction::Out, code),
            Note::Setup { region, after } => self.handles.setup(region, after),
            Note::Answered { region, after } => self.handles.answered(region, after),
            Note::Health { region, addr, transport, state, failure } => {
                let (region, server, transport) = (&self.config.region(region).name, addr, transport.token());
                let cause = failure.map(Failure::label);
                if state == Health::Down {
                    let told = self.config.reject.capacity;
                    warn!(region, %server, transport, cause, "target is down; if none is up, calls are told {told} (152 targets-down)");
                } else {
                    info!(region, %server, transport, "target is {}", state.label());
                }
            }
            Note::Media { region, direction, spoken, .. } => self.handles.media(region, direction, spoken),
            Note::RelayAsked { region, verb, result } => self.handles.asked(region, verb, result),
            Note::Relay { region, addr, failure } => {
                let (region, relay) = (&self.config.region(region).name, addr);
                if let Some(cause) = failure.map(Failure::label) {
                    warn!(region, %relay, cause, "media relay is down");
                } else {
                    info!(region, %relay, "media relay is up");
                }
            }
            Note::MediaRelayed { region } => self.handles.relayed(region),
            Note::ShareUsedUp { region, whose, share } => self.handles.share_used_up(region, whose, share),
            // They are for the audit record alone.
            Note::CallAnswered(_) | Note::CallEnded(_) => {}
            Note::Transactions { region, invite, opened } => self.handles.transaction(region, invite, opened),
        }
    }

    /// Logs the verdicts in the core's outputs of one input.
    pub fn decided(&mut self, out: &[Output], seen: Option<&Seen<'_>>, now: Instant) {
        self.decisions.write(&self.config, out, seen, now);
    }

    /// Keeps what the audit record tells of the core's outputs of one input, if a record is kept.
    pub fn audited(&mut self, out: &[Output], seen: Option<&Seen<'_>>) {
        let Some(spool) = &mut self.spool else { return };
        let is_told =
            |output: &Output| matches!(output, Output::Note(Note::Verdict { .. } | Note::CallAnswered(_) | Note::CallEnded(_)));
        if !out.iter().any(is_told) {
            return;
        }
        let at = micros(SystemTime::now());
        let teller = AuditTeller { config: &self.config, digest: self.digest, at };
        teller.tell(out, seen, |record| {
            spool.write(at, |slot| record.encode(slot).0);
        });
    }

    /// Counts, logs and keeps a verdict of the gate. It was decided by the configuration that this recorder has.
    pub(crate) fn realtime(&mut self, told: RealtimeVerdict, now: Instant) {
        let RealtimeVerdict { config: _, region, project, verdict, reason, why, code, source } = told;
        self.handles.realtime(region);
        self.handles.verdict(region, project, verdict, reason, 1);
        let ruled = Ruled { region, project, trunk: None, verdict, reason, unreachable: None, why };
        let facts = Facts { source: Some(source), transport: None, sent_to: None, code };
        if let Some(spool) = &mut self.spool {
            let at = micros(SystemTime::now());
            let teller = AuditTeller { config: &self.config, digest: self.digest, at };
            teller.realtime(&ruled, facts, |record| {
                spool.write(at, |slot| record.encode(slot).0);
            });
        }
        self.decisions.tell(&self.config, ruled, |_| (facts, b""), None, now);
    }

    /// Copies a message that was received or sent to the region's collector, if there is one.
    pub fn copy(&self, region: RegionId, transport: Transport, from: SocketAddr, to: SocketAddr, bytes: &[u8]) {
        if let Some(collector) = &self.config.region(region).collector {
            self.copies.copy(collector, transport, from, to, bytes);
        }
    }

    /// Counts and logs what the shell itself threw away. `peer`: the address that it concerns.
    pub fn lost(&mut self, region: RegionId, loss: Loss, peer: SocketAddr, now: Instant) {
        self.handles.lost(region, loss);
        if let Some(suppressed) = self.losses.get_mut(loss as usize).and_then(|limit| limit.allow(now)) {
            warn!(region = self.config.region(region).name, cause = loss.label(), %peer, suppressed, "lost");
        }
    }

    /// Counts a TLS handshake, with a server (`outward`) or of a client. If it failed, logs the reason in printable ASCII.
    pub fn handshake(
        &mut self,
        region: RegionId,
        outward: bool,
        how: Handshake,
        peer: SocketAddr,
        why: Option<&str>,
        now: Instant,
    ) {
        self.handles.handshake(region, outward, how);
        // A client that has gone is no news.
        if how == Handshake::Done || how == Handshake::Gone && !outward {
            return;
        }
        let limit = self.handshakes.get_mut(usize::from(outward));
        if let Some(suppressed) = limit.and_then(|limit| limit.allow(now)) {
            let region = &self.config.region(region).name;
            let side = if outward { "server" } else { "client" };
            warn!(region, %peer, side, result = how.label(), why, suppressed, "no TLS");
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

/// Kinds of anomaly, each with one limit for its log lines.
#[derive(Clone, Copy)]
enum Anomaly {
    Malformed,
    Dropped,
}
