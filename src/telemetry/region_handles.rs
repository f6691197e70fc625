//! The handles of one region, without those that have a label for each project, trunk or fault.

use metrics::{Counter, Gauge, Histogram, SharedString};

use super::decided::GATE_TRANSPORT;
use super::handshake::Handshake;
use super::labels::{CLASSES, CODES, Direction, OUTCOMES};
use super::loss::Loss;
use super::metrics::{Labels, Metrics};
use crate::audit::record::REALTIME;
use crate::config::{Region, Transport};
use crate::core::io::{self, DropCause, RelayOutcome, RelayVerb, Spoken};
use crate::sip::Method;

/// The handles of one region.
#[derive(Debug)]
pub(super) struct RegionHandles {
    pub(super) name: SharedString,
    pub(super) transports: [Carried; Transport::ALL.len()],
    /// In and out. They are registered when first used, because most codes never occur.
    pub(super) responses: [Vec<Option<Counter>>; 2],
    pub(super) setup: Histogram,
    pub(super) answered: Histogram,
    pub(super) transactions: [Gauge; 2],
    pub(super) drops: [Counter; DropCause::ALL.len()],
    pub(super) losses: [Counter; Loss::ALL.len()],
    /// With clients, and with servers.
    pub(super) handshakes: [[Counter; Handshake::ALL.len()]; 2],
    pub(super) media: [[Counter; Spoken::ALL.len()]; io::Direction::ALL.len()],
    pub(super) asked: [[Counter; RelayOutcome::ALL.len()]; RelayVerb::ALL.len()],
    pub(super) relayed: Counter,
    /// Questions to the gate.
    pub(super) realtime: Counter,
}

/// The counters of one transport.
#[derive(Debug)]
pub(super) struct Carried {
    pub(super) received: Counter,
    pub(super) messages: [Counter; OUTCOMES.len()],
    pub(super) requests: [Counter; Method::ALL.len()],
    pub(super) connections: Gauge,
    pub(super) resent: Counter,
}

impl RegionHandles {
    /// The handles of a region. If it is not served, they count nothing. `gate`: whether reverse proxies may ask here.
    pub(super) fn new(metrics: &Metrics, region: &Region, gate: bool) -> Self {
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
                resent: match transport {
                    Transport::Udp => Counter::noop(),
                    Transport::Tcp | Transport::Tls => counter("ringfence_resent_total", of(Vec::new())),
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
        let relayed = of_relays("ringfence_relay_calls_total", Vec::new());
        let transactions = ["non-invite", "invite"].map(|kind| gauge("ringfence_transactions", vec![("kind", kind.into())]));
        let histogram = |metric| if served { metrics.histogram(metric, labels(Vec::new())) } else { Histogram::noop() };
        let (setup, answered) = (histogram("ringfence_setup_seconds"), histogram("ringfence_upstream_seconds"));
        let responses = [const { None }, const { None }].map(|none: Option<Counter>| vec![none; CODES.len() + CLASSES.len()]);
        let by = || vec![("transport", GATE_TRANSPORT.into()), ("method", REALTIME.into())];
        let realtime = if gate { counter("ringfence_requests_total", by()) } else { Counter::noop() };
        Self {
            name,
            transports,
            responses,
            setup,
            answered,
            transactions,
            drops,
            losses,
            handshakes,
            media,
            asked,
            relayed,
            realtime,
        }
    }

    /// The counters of a transport.
    pub(super) fn carried(&self, transport: Transport) -> &Carried {
        let [udp, tcp, tls] = &self.transports;
        match transport {
            Transport::Udp => udp,
            Transport::Tcp => tcp,
            Transport::Tls => tls,
        }
    }
}
