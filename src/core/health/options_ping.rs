//! Probes: OPTIONS by which we ask a region's servers whether they are there (RFC 3261 11), and what their answers mean.
//!
//! A probe is no transaction of anybody's: one request, repeated over UDP until something comes back, over the transport that
//! calls use and from the listener that they leave by. The fence judges its target each time one is begun.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{Config, ListenerId, RegionId, Transport};
use crate::core::forwarding::branch::{Branch, PROBE_SLOT};
use crate::core::forwarding::local_names::LocalNames;
use crate::core::health::Healths;
use crate::core::io::{Attempt, Destination, Failure, Health, Outcome, Output, Send};
use crate::core::keys::{Hex, Keys};
use crate::core::routing::egress::leave_by;
use crate::core::state::Core;
use crate::core::transaction::attempt;
use crate::core::transaction::timer::Resend;
use crate::fence::{Fence, Fenced};
use crate::sip::response::retry_after;
use crate::sip::{Message, Method, Response};

/// One OPTIONS under way, or the last one: repetitions of its answer may still come.
#[derive(Debug)]
pub(crate) struct Probe {
    nonce: u64,
    to: Fenced,
    transport: Transport,
    /// The name that the target must prove, over TLS.
    tls_name: Option<Arc<str>>,
    pub(crate) listener: ListenerId,
    bytes: Bytes,
    pub(crate) sent: Instant,
    state: ProbeState,
}

#[derive(Debug)]
enum ProbeState {
    /// Waits for an answer.
    Open { resend: Option<Resend>, until: Instant },
    /// Answered or given up.
    Closed,
}

/// What a target's clock asks for.
enum ProbeDue {
    Nothing,
    Begin,
    Resend(Send),
    Silent(Instant),
}

impl Probe {
    /// Whether an answer is waited for.
    pub(crate) fn is_open(&self) -> bool {
        matches!(self.state, ProbeState::Open { .. })
    }

    /// When it is repeated or given up.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            ProbeState::Open { resend, until } => Some(resend.map_or(*until, |resend| resend.at.min(*until))),
            ProbeState::Closed => None,
        }
    }

    fn due(&mut self, now: Instant) -> ProbeDue {
        let ProbeState::Open { resend, until } = &mut self.state else { return ProbeDue::Nothing };
        if *until <= now {
            return ProbeDue::Silent(self.sent);
        }
        match resend.as_mut().filter(|resend| resend.at <= now) {
            Some(resend) => {
                resend.double(Duration::MAX);
                ProbeDue::Resend(self.send())
            }
            None => ProbeDue::Nothing,
        }
    }

    fn name(&self) -> Attempt {
        attempt(PROBE_SLOT, self.nonce)
    }

    fn send(&self) -> Send {
        Send {
            to: Destination::Fenced(self.to),
            transport: self.transport,
            tls_name: self.tls_name.clone(),
            listener: self.listener,
            local: None,
            bytes: self.bytes.clone(),
            attempt: Some(self.name()),
        }
    }
}

impl Core {
    /// Does what the targets' clocks ask for.
    pub(crate) fn tend(&mut self, now: Instant, out: &mut Vec<Output>) {
        while let Some(at) = self.health.next_due(now) {
            self.health.risen(now, at, out);
            match self.health.probe_due(now, at) {
                ProbeDue::Nothing => {}
                ProbeDue::Resend(send) => out.push(Output::Send(send)),
                ProbeDue::Begin => {
                    let Self { config, keys, local_names: names, shard, health, .. } = self;
                    let send = Making { config, keys, names, shard: *shard }.begin(now, at, health);
                    out.extend(send.map(Output::Send));
                }
                ProbeDue::Silent(sent) => self.health.probe_failed(now, at, sent, Failure::Silent, out),
            }
            self.health.arm(at);
        }
    }

    /// A response to a probe of ours, if it is that.
    pub(crate) fn probed(
        &mut self,
        now: Instant,
        nonce: u64,
        message: &Message<'_>,
        response: &Response<'_>,
        out: &mut Vec<Output>,
    ) -> Outcome {
        let place = self.health.probe_of(|probe| probe.nonce == nonce);
        let Some((at, sent, open)) = place.filter(|_| response.method == Method::Options) else { return Outcome::Stray };
        if open {
            match response.code {
                408 => self.health.probe_unavailable(now, at, sent, None, out),
                503 => self.health.probe_unavailable(now, at, sent, retry_after(message), out),
                code => self.health.probe_alive(now, at, sent, code < 200, out),
            }
        }
        Outcome::Absorbed
    }

    /// A probe did not get there.
    pub(crate) fn probe_lost(&mut self, now: Instant, failed: Attempt, out: &mut Vec<Output>) {
        if let Some((at, sent, true)) = self.health.probe_of(|probe| probe.name() == failed) {
            self.health.probe_failed(now, at, sent, Failure::Unreachable, out);
        }
    }
}

impl Healths {
    /// A target that wants something now.
    fn next_due(&self, now: Instant) -> Option<usize> {
        self.due.first().filter(|&&(when, _)| when <= now).map(|&(_, at)| at)
    }

    fn probe_due(&mut self, now: Instant, at: usize) -> ProbeDue {
        let Some(entry) = self.entries.get_mut(at) else { return ProbeDue::Nothing };
        match entry.probe.as_mut().map_or(ProbeDue::Nothing, |probe| probe.due(now)) {
            ProbeDue::Nothing if entry.next.is_some_and(|next| next <= now) => ProbeDue::Begin,
            due => due,
        }
    }

    /// The target of a probe, when the probe was sent, and whether it waits for an answer.
    fn probe_of(&self, is: impl Fn(&Probe) -> bool) -> Option<(usize, Instant, bool)> {
        let found = |(at, probe): (usize, &Probe)| is(probe).then(|| (at, probe.sent, probe.is_open()));
        self.entries.iter().enumerate().filter_map(|(at, entry)| Some((at, entry.probe.as_ref()?))).find_map(found)
    }

    fn probe_alive(&mut self, now: Instant, at: usize, sent: Instant, provisional: bool, out: &mut Vec<Output>) {
        let Some(place) = self.entries.get(at).map(|entry| entry.place) else { return };
        self.alive(now, place, sent, out);
        if !provisional {
            return self.close(now, at);
        }
        // It is there; what it thinks of calls is still to come.
        if let Some(Probe { state: ProbeState::Open { resend, .. }, .. }) =
            self.entries.get_mut(at).and_then(|entry| entry.probe.as_mut())
        {
            *resend = None;
        }
        self.arm(at);
    }

    fn probe_unavailable(&mut self, now: Instant, at: usize, sent: Instant, leave: Option<Duration>, out: &mut Vec<Output>) {
        let Some(place) = self.entries.get(at).map(|entry| entry.place) else { return };
        self.unavailable(now, place, sent, leave, out);
        self.close(now, at);
    }

    fn probe_failed(&mut self, now: Instant, at: usize, sent: Instant, failure: Failure, out: &mut Vec<Output>) {
        let Some(place) = self.entries.get(at).map(|entry| entry.place) else { return };
        self.failed(now, place, sent, failure, out);
        self.close(now, at);
    }

    /// Nothing more is waited for; the next probe comes in its time.
    fn close(&mut self, now: Instant, at: usize) {
        let interval = self.interval();
        let Some(entry) = self.entries.get_mut(at) else { return };
        if let Some(probe) = &mut entry.probe {
            probe.state = ProbeState::Closed;
            let next = if entry.state == Health::Down { entry.trial } else { probe.sent + interval };
            entry.next = Some(next.max(now));
        }
        self.arm(at);
    }

    /// The time to the next probe: up to a fifth more or less than configured, so that nobody is asked by all at once.
    fn interval(&mut self) -> Duration {
        let interval = self.rules.interval.unwrap_or(Duration::from_secs(3600));
        interval * (800 + self.dice.below(401)) / 1000
    }
}

/// What probes are made with.
struct Making<'a> {
    config: &'a Config,
    keys: &'a Keys,
    names: &'a LocalNames,
    shard: u8,
}

impl Making<'_> {
    /// Begins a probe of a target, if it is still inside and some listener reaches it.
    fn begin(&self, now: Instant, at: usize, health: &mut Healths) -> Option<Send> {
        health.probes += 1;
        let (number, time, interval) = (health.probes, health.try_for, health.interval());
        let entry = health.entries.get_mut(at)?;
        // Should it not come to a probe: later again.
        entry.next = Some(now + interval);
        let from = entry.from?;
        let (addr, transport) = entry.place;
        let to = Fence::of_region(&self.config.region(entry.region).networks).admit(addr).ok()?;
        let preferred = self.config.region(from).listeners.first()?;
        let listener = leave_by(self.config, from, *preferred, transport, addr)?;
        let nonce = self.keys.probe(number, 0);
        let bytes = self.options(from, listener, to, transport, number, nonce);
        let resend = (!transport.reliable()).then(|| Resend::after(now, &self.config.timers));
        let state = ProbeState::Open { resend, until: now + time };
        let tls_name = entry.tls_name.clone();
        let probe = Probe { nonce, to, transport, tls_name, listener, bytes, sent: now, state };
        if entry.state == Health::Down {
            entry.begin_trial(now, time);
        }
        entry.next = None;
        let send = probe.send();
        entry.probe = Some(probe);
        Some(send)
    }

    fn options(&self, from: RegionId, listener: ListenerId, to: Fenced, transport: Transport, number: u64, nonce: u64) -> Bytes {
        let hostname = &self.config.region(from).hostname;
        let parameter = transport.parameter();
        let uri = format!("sip:{}{parameter}", to.addr());
        let branch = Branch { shard: self.shard, slot: PROBE_SLOT, nonce, loop_hash: 0 };
        // Nobody called a listener here: one that is bound to a wildcard address goes by its region's hostname.
        let called = match self.config.listener(listener).addr {
            std::net::SocketAddr::V4(_) => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
            std::net::SocketAddr::V6(_) => IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        };
        let mut out = Vec::with_capacity(512);
        out.extend_from_slice(format!("OPTIONS {uri} SIP/2.0\r\nVia: SIP/2.0/{} ", transport.via()).as_bytes());
        self.names.write(self.config, listener, called, &mut out);
        out.extend_from_slice(b";rport;branch=");
        out.extend_from_slice(&branch.text());
        let (call, tag) = (Hex::of(self.keys.probe(number, 1)), Hex::of(self.keys.probe(number, 2)));
        let rest = format!(
            "\r\nMax-Forwards: 70\r\nFrom: <sip:{hostname}>;tag={}\r\nTo: <{uri}>\r\nCall-ID: {}@{hostname}\r\n\
             CSeq: 1 OPTIONS\r\nAccept: application/sdp\r\nContent-Length: 0\r\n\r\n",
            tag.as_str(),
            call.as_str(),
        );
        out.extend_from_slice(rest.as_bytes());
        out.into()
    }
}
