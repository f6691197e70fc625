//! The pure heart: takes an event and the time, and returns actions.
//!
//! No socket, clock, thread, task, file, random source, metrics call or log in here. After each input the outputs are drained
//! before the next one (see [`io`]).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::expect_used))]

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{NextHop, Outbound, Transport, TrunkId};
use crate::sip::{Message, Method, Name, Start, plain};
use io::{Arrival, CallKey, DropCause, Input, Note, Outcome, Output, Unanswered};
use relay_request::RelayAnswer;
use request::Coming;
use rules::sides::Source;
use rules::trace::{Test, Trace};
use stop::Pending;
use timers::AttemptEnd;
use transaction::forwarded::Transaction;
use waiting::Held;

mod audit_note;
mod clock;
mod context;
mod explain;
mod forwarding;
mod health;
pub mod io;
mod keys;
mod media_relay;
mod memory;
mod note;
mod relay_request;
mod reload;
mod request;
mod response;
mod routing;
pub mod rules;
mod state;
mod stop;
mod teardown;
mod telling;
mod timers;
mod transaction;
mod view;
mod waiting;

pub use reload::Change;
pub use state::Core;

impl Core {
    /// Takes in one event and appends what follows from it to `out`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.take_in(now, input, &Trace::closed(), out);
    }

    /// Does the same, and writes the rows of each test.
    pub(crate) fn take_in(&mut self, now: Instant, input: Input<'_>, trace: &Trace, out: &mut Vec<Output>) {
        if self.servers.is_due(now) {
            self.servers.refresh(now, &self.config, &self.resolved);
        }
        match input {
            Input::Message { arrival, bytes } => {
                let come = Come { arrival: &arrival, passed: false, answer: None };
                if let Some((call, pending)) = self.message(now, come, bytes, trace, out) {
                    let held = Held { arrival, bytes: Bytes::copy_from_slice(bytes), passed: true };
                    self.wait(call, pending, [held].into(), out);
                }
            }
            Input::Broken { arrival, bytes, fault } => {
                let region = self.config.listener(arrival.listener).region;
                trace.fail(Test::Request, || (fault.label().to_owned(), fault.sentence().to_owned()));
                // An unknown party is not told what was wrong.
                if let Ok(message) = Message::datagram(bytes) {
                    let ack = matches!(message.start(), Start::Request { method: Method::Ack, .. });
                    let request = matches!(message.start(), Start::Request { .. });
                    if request && !Source::of(self.view(now), region, &arrival).is_unknown() {
                        self.malformed(now, &arrival, &message, (ack, fault), trace, out);
                    }
                }
                out.extend(arrival.connection.map(Output::Close));
                self.arrived(&arrival, None, None, Outcome::Malformed(fault), out);
            }
            Input::Failed(attempt) => self.failed(now, attempt, AttemptEnd::Unreachable, out),
            Input::Unsent(attempt) => self.failed(now, attempt, AttemptEnd::Unsent, out),
            Input::Lost(attempt) => self.failed(now, attempt, AttemptEnd::Lost, out),
            Input::Timeout => self.expire(now, out),
            Input::Resolved(resolved) => {
                self.resolved = resolved;
                self.servers.refresh(now, &self.config, &self.resolved);
                self.health.retarget(now, &self.config, &self.resolved);
                self.table.own.keep_pings(|place, sent| self.health.awaits(place, sent));
            }
            Input::LookedUp { next_hop, servers, hold, failed } => {
                let (trunk, calls) = self.waiting.of_name(&next_hop);
                let of = (self.keys.name(&next_hop), trunk);
                if failed && (servers.is_empty() || self.name_cache.outdoes_a_guess(now, of.0)) {
                    self.name_cache.fail(now, of);
                } else {
                    // Of a broken name nothing is kept: it costs questions only when it is called.
                    if let Some(trunk) = trunk.filter(|&trunk| !servers.is_empty() && self.is_name_of(trunk, &next_hop)) {
                        self.go_out(now, trunk, None, out);
                    }
                    self.name_cache.put(now, of, servers, (hold, self.config.dns.stale), failed);
                }
                for call in calls {
                    self.resume(now, call, None, trace, out);
                }
            }
            Input::LookUpTakesLong { next_hop } => {
                if self.name_cache.bridge(now, self.keys.name(&next_hop)) {
                    for call in self.waiting.of_name_so_far(&next_hop) {
                        self.resume(now, call, None, trace, out);
                    }
                }
            }
            Input::Relayed { id, reply } => self.relayed(now, id, &reply, trace, out),
            Input::EndWaiting => {
                // No message begins to wait for the next relay, or behind another message.
                self.waiting.close();
                let (names, relays) = self.waiting.all();
                for next_hop in names {
                    let nobody = Input::LookedUp { next_hop, servers: Vec::new(), hold: Duration::ZERO, failed: true };
                    self.take_in(now, nobody, trace, out);
                }
                for id in relays {
                    self.take_in(now, Input::Relayed { id, reply: Err(Unanswered::Unasked) }, trace, out);
                }
            }
            Input::Drain { successor } => {
                self.draining = true;
                self.leaving_to = successor.then(|| now + self.config.timers.try_for);
                self.health.rest();
                self.relays.rest();
                self.table.own.end_pings();
            }
        }
        self.hurry(now, out);
        self.arm_others();
    }

    /// Takes in what time it is, as the time since 1970. It is told again from time to time: that clock may be set.
    pub fn tell_time(&mut self, now: Instant, since_1970: Duration) {
        self.clock.tell(now, since_1970);
    }

    /// When [`Input::Timeout`] is due next.
    pub fn deadline(&self) -> Option<Instant> {
        self.table.deadline()
    }

    /// Counts transactions that are remembered, calls that wait for a name or a relay, and BYEs of ours that nobody has answered yet.
    pub fn transactions(&self) -> usize {
        #[cfg(debug_assertions)]
        self.table.forwarded.check();
        self.table.forwarded.len() + self.table.own.open_byes() + self.waiting.len()
    }

    /// The octets that transactions, requests of ours and waiting messages hold.
    pub fn octets(&self) -> usize {
        self.table.octets().saturating_add(self.waiting.octets())
    }

    /// Whether an answer goes down this stream connection, or comes from this address by this transport.
    pub fn awaits(&self, connection: io::ConnectionId, (addr, transport): (SocketAddr, Transport)) -> bool {
        self.table.forwarded.due().any(connection, (addr, transport))
    }

    /// Whether an answer goes down this stream connection.
    pub fn owes(&self, connection: io::ConnectionId) -> bool {
        self.table.forwarded.due().owes(connection) || self.waiting.is_for(connection)
    }

    /// Whether the served regions' own names have been looked up with an answer.
    pub fn knows_its_names(&self) -> bool {
        self.resolved.serves(&self.config)
    }

    /// Whether nobody waits for this core any more: every request has its final answer, every refused INVITE its ACK, and every
    /// attempt its end. Such a core only absorbs repetitions.
    pub fn is_settled(&self) -> bool {
        self.table.own.open_byes() == 0 && self.waiting.len() == 0 && self.table.forwarded.open().all(Transaction::is_settled)
    }

    /// The health of the relays, and of the servers of the served regions and of their nearest.
    pub fn status(&self, _now: Instant) -> Vec<io::TargetStatus> {
        self.health.status().into_iter().chain(self.relays.status()).collect()
    }

    /// The health of the gateways that are asked whether they are there.
    pub fn gateways(&self) -> Vec<io::GatewayStatus> {
        self.health.gateways().collect()
    }

    /// Handles one message. `Some`: it has to wait for this, and nothing has been said or changed yet.
    fn message(
        &mut self,
        now: Instant,
        come: Come<'_>,
        bytes: &[u8],
        trace: &Trace,
        out: &mut Vec<Output>,
    ) -> Option<(CallKey, Pending)> {
        let Come { arrival, passed, answer } = come;
        if bytes.iter().all(|&octet| matches!(octet, b'\r' | b'\n' | b' ' | b'\t' | 0)) {
            self.arrived(arrival, None, None, Outcome::Dropped(DropCause::Empty), out);
            return None;
        }
        let scan = if arrival.connection.is_some() { Message::framed } else { Message::datagram };
        let scanned = scan(bytes);
        let mut straight = Vec::new();
        let straightened;
        // By reference: a message is large, and nothing is gained by moving it.
        let scanned = match &scanned {
            Ok(message) if !message.is_plain() && message.fault().is_none() => {
                // Everything that is sent because of it is made from this copy, so no fold leaves.
                plain::straighten(message, &mut straight);
                straightened = scan(&straight);
                &straightened
            }
            scanned => scanned,
        };
        let message = match scanned {
            Ok(message) => message,
            Err(fault) => {
                trace.fail(Test::Request, || (fault.label().to_owned(), fault.sentence().to_owned()));
                self.arrived(arrival, None, None, Outcome::Malformed(*fault), out);
                return None;
            }
        };
        let coming = Coming { now, arrival, passed, relay_answer: answer, trace };
        let (method, code, result) = match *message.start() {
            Start::Request { method, .. } => (Some(method), None, self.request(&coming, message, out)),
            Start::Response { code } => (None, Some(code), self.response(now, arrival, message, answer, out)),
        };
        match result {
            Ok(outcome) => {
                if let (Some(_), Outcome::Malformed(fault)) = (code, outcome) {
                    trace.fail(Test::Request, || (fault.label().to_owned(), fault.sentence().to_owned()));
                }
                self.arrived(arrival, method, code, outcome, out);
                None
            }
            Err(Pending::Behind(call)) => {
                let held = Held { arrival: *arrival, bytes: Bytes::copy_from_slice(bytes), passed: false };
                if !self.waiting.put_behind(call, held) {
                    trace.fail(Test::Capacity, || ("messages that wait behind one".to_owned(), "room for one more".to_owned()));
                    self.arrived(arrival, method, code, Outcome::Dropped(DropCause::Behind), out);
                }
                None
            }
            Err(pending) => {
                let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
                Some((CallKey(self.keys.waiting(call_id)), pending))
            }
        }
    }

    /// Lets the first of these messages of a call wait, and the others behind it.
    fn wait(&mut self, call: CallKey, pending: Pending, messages: VecDeque<Held>, out: &mut Vec<Output>) {
        let ask = self.waiting.begin(call, &pending, messages);
        out.extend(match pending {
            Pending::Name(next_hop, _) if ask => Some(Output::LookUp(next_hop)),
            Pending::Relay(wait) => Some(Output::Relay(wait.request)),
            Pending::Name(..) | Pending::Behind(_) => None,
        });
    }

    /// Whether a next hop is what a trunk's calls go out to.
    fn is_name_of(&self, trunk: TrunkId, next_hop: &NextHop) -> bool {
        let mut names = self.config.trunk(trunk).outbound().into_iter().flat_map(Outbound::names);
        names.any(|id| self.config.names.get(id.0 as usize) == Some(next_hop))
    }

    /// Goes on with a call, because what it has waited for is known. Its messages are handled in the order in which they came,
    /// until one of them has to wait again.
    pub(crate) fn resume(
        &mut self,
        now: Instant,
        call: CallKey,
        mut answer: Option<RelayAnswer>,
        trace: &Trace,
        out: &mut Vec<Output>,
    ) {
        let mut messages = self.waiting.take(call);
        while let Some(held) = messages.pop_front() {
            let Held { arrival, bytes, passed } = held;
            let at = out.len();
            let answer = answer.take();
            let come = Come { arrival: &arrival, passed, answer: answer.as_ref() };
            match self.message(now, come, &bytes, trace, out) {
                None => out.insert(at, Output::Resumed { arrival, bytes }),
                Some((call, pending)) => {
                    messages.push_front(Held { arrival, bytes, passed: true });
                    return self.wait(call, pending, messages, out);
                }
            }
        }
    }

    fn arrived(&self, arrival: &Arrival, method: Option<Method>, code: Option<u16>, outcome: Outcome, out: &mut Vec<Output>) {
        let listener = self.config.listener(arrival.listener);
        out.push(Output::Note(Note::Arrived { region: listener.region, transport: listener.transport, method, code, outcome }));
    }
}

/// What is known of a message, besides its bytes, while it is handled.
#[derive(Clone, Copy)]
struct Come<'c> {
    arrival: &'c Arrival,
    /// Whether it passed the gate earlier and has waited since.
    passed: bool,
    /// The relay's answer, if it has waited for one.
    answer: Option<&'c RelayAnswer>,
}
