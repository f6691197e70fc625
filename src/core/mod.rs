//! The pure heart: an event and the time in, actions out.
//!
//! No socket, clock, thread, task, file, random source, metrics call or log in here. After each input the outputs are drained
//! before the next one (see [`io`]).
#![cfg_attr(not(test), deny(clippy::indexing_slicing, clippy::panic, clippy::unwrap_used, clippy::expect_used))]

use std::time::Instant;

use crate::sip::{Message, Start};
use io::{Arrival, DropCause, Input, Note, Outcome, Output, Peer};
use media_relay::Pending;
use rules::trace::Trace;

mod context;
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
mod teardown;
mod timers;
mod transaction;

pub use reload::Change;
pub use state::Core;

impl Core {
    /// Takes in one event and appends what follows from it to `out`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        self.take_in(now, input, &Trace::closed(), out);
    }

    fn take_in(&mut self, now: Instant, input: Input<'_>, trace: &Trace, out: &mut Vec<Output>) {
        match input {
            Input::Message { arrival, bytes } => self.message(now, &arrival, bytes, trace, out),
            Input::Broken { arrival, bytes, fault } => {
                let region = self.config.listener(arrival.listener).region;
                // Whoever is nobody is not told what was wrong.
                if let Ok(message) = Message::datagram(bytes) {
                    let ack = matches!(message.start(), Start::Request { method: crate::sip::Method::Ack, .. });
                    let request = matches!(message.start(), Start::Request { .. });
                    if request && self.config.knows(region, arrival.from.ip(), arrival.shown.as_ref()) {
                        self.malformed(now, &Peer::of(&arrival), region, &message, ack, fault, out);
                    }
                }
                out.extend(arrival.connection.map(Output::Close));
                self.arrived(&arrival, None, None, Outcome::Malformed(fault), out);
            }
            Input::Failed(attempt) => self.failed(now, attempt, out),
            Input::Timeout => self.expire(now, out),
            Input::Resolved(targets) => {
                self.targets = targets;
                self.health.retarget(now, &self.config, &self.targets);
            }
            Input::LookedUp { next_hop, servers, hold } => self.asked.put(now, &self.keys, &next_hop, servers, hold),
            Input::Relayed { exchange, reply } => self.swap(now, exchange, &reply, out),
            Input::Config(change) => self.reconfigure(now, change),
            Input::Drain { successor } => {
                self.draining = true;
                self.leaving_to = successor.then(|| now + self.config.timers.try_for);
                self.health.rest();
                self.relays.rest();
            }
        }
        self.hurry(now, out);
    }

    /// When [`Input::Timeout`] is due next.
    pub fn deadline(&self) -> Option<Instant> {
        let others = [self.health.deadline(), self.byes.deadline(), self.relays.deadline()];
        self.table.deadline().into_iter().chain(others.into_iter().flatten()).min()
    }

    /// Open transactions, BYEs of our own among them while nobody has answered them, and calls that wait for a relay.
    pub fn transactions(&self) -> usize {
        self.table.len() + self.byes.open() + self.relays.waiting()
    }

    /// Whether every name of the configuration has had an answer.
    pub fn all_known(&self) -> bool {
        self.targets.all_known()
    }

    /// Whether nobody waits for anything that only this core can say or do: every request has its final answer, every refused
    /// INVITE its ACK, every attempt its end. What is left then only absorbs repetitions.
    pub fn is_settled(&self) -> bool {
        self.byes.open() == 0 && self.relays.waiting() == 0 && self.table.iter().all(transaction::Transaction::is_settled)
    }

    /// The servers of the served regions and of their nearest, and the relays, as they stand.
    pub fn status(&self, _now: Instant) -> Vec<io::TargetStatus> {
        self.health.status().into_iter().chain(self.relays.status()).collect()
    }

    fn message(&mut self, now: Instant, arrival: &Arrival, bytes: &[u8], trace: &Trace, out: &mut Vec<Output>) {
        if bytes.iter().all(|&octet| matches!(octet, b'\r' | b'\n' | b' ' | b'\t' | 0)) {
            return self.arrived(arrival, None, None, Outcome::Dropped(DropCause::Empty), out);
        }
        let scanned = if arrival.connection.is_some() { Message::framed(bytes) } else { Message::datagram(bytes) };
        let message = match scanned {
            Ok(message) => message,
            Err(fault) => return self.arrived(arrival, None, None, Outcome::Malformed(fault), out),
        };
        let before = out.len();
        let (method, code, result) = match *message.start() {
            Start::Request { method, .. } => (Some(method), None, self.request(now, arrival, &message, trace, out)),
            Start::Response { code } => (None, Some(code), self.response(now, &message, out)),
        };
        self.relays.forget_done();
        match result {
            Ok(outcome) => self.arrived(arrival, method, code, outcome, out),
            Err(pending) => {
                // It will be judged again: nothing has been said yet.
                out.truncate(before);
                out.push(match pending {
                    Pending::Name(next_hop) => Output::LookUp(next_hop),
                    Pending::Relay(anchor) => Output::Relay(*anchor),
                    Pending::Behind(call) => Output::Behind(call),
                });
            }
        }
    }

    fn arrived(
        &self,
        arrival: &Arrival,
        method: Option<crate::sip::Method>,
        code: Option<u16>,
        outcome: Outcome,
        out: &mut Vec<Output>,
    ) {
        let listener = self.config.listener(arrival.listener);
        out.push(Output::Note(Note::Arrived { region: listener.region, transport: listener.transport, method, code, outcome }));
    }
}
