//! One thread's share of the proxy: feeds the core, carries out what it says, in order, before the next input.
//!
//! Everything that a message needs happens on this thread: no lock, no queue between sockets and core, no wait for names or
//! disk. This is the only place where a [`Destination`] becomes an address.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use super::connection::Connection;
use super::icmp::SentDatagrams;
use super::name_lookups::{Kept, NameLookups};
use super::rtpengine;
use super::sockets::Sockets;
use super::stream::Streams;
use super::udp::Udp;
use crate::admin::{Latch, Ready, Standing};
use crate::config::{Config, ListenerId, NextHop, Transport};
use crate::core::Core;
use crate::core::io::{
    Arrival, Attempt, CallKey, Destination, Input, Note, Output, RelayReply, RelayRequest, RelayRequestId, Send, Unanswered,
};
use crate::dns::{Resolved, Server};
use crate::telemetry::{Loss, Recorder, Seen};

/// The core with its sockets.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    pub(super) recorder: Recorder,
    pub(super) streams: Streams,
    /// For tasks that are started on its behalf.
    pub(super) me: Weak<RefCell<Self>>,
    pub(super) core: Core,
    pub(super) sockets: Sockets,
    sent: SentDatagrams,
    pub(super) name_lookups: NameLookups,
    pub(super) rtpengine: rtpengine::NgClient,
    out: Vec<Output>,
    failed: VecDeque<Attempt>,
    pub(super) clock: Rc<Clock>,
    pub(super) drain: Option<Drain>,
    pub(super) drained: Rc<Notify>,
    ready: Arc<Ready>,
}

/// What a message waits for.
enum Wait {
    Name(NextHop),
    Relay(RelayRequest),
    Behind(CallKey),
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// Nobody comes after it here: new calls go to a sibling.
    Last,
    /// Another process takes its datagram sockets over, and with them what waits there.
    HandOver,
}

/// When the core wants to be woken.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) armed: Cell<Option<Instant>>,
    /// What is armed has become earlier.
    pub(super) earlier: Notify,
}

impl Worker {
    /// A worker with nothing under way.
    pub(super) fn new(
        me: &Weak<RefCell<Self>>,
        core: Core,
        recorder: Recorder,
        config: Arc<Config>,
        ready: Arc<Ready>,
        name_lookups: NameLookups,
    ) -> Self {
        let (streams, sockets, sent, rtpengine, failed, clock, drained) = Default::default();
        let (me, out, drain) = (Weak::clone(me), Vec::with_capacity(32), None);
        Self {
            config,
            recorder,
            streams,
            me,
            core,
            sockets,
            sent,
            name_lookups,
            rtpengine,
            out,
            failed,
            clock,
            drain,
            drained,
            ready,
        }
    }

    /// A message came.
    pub(super) fn message(&mut self, now: Instant, arrival: Arrival, bytes: &[u8]) {
        self.received(&arrival, bytes);
        self.feed(now, Input::Message { arrival, bytes }, Some(&Seen { arrival, bytes }));
    }

    /// A stream broke in the middle of a message.
    pub(super) fn broken(&mut self, now: Instant, arrival: Arrival, bytes: &[u8], fault: crate::sip::Fault) {
        self.received(&arrival, bytes);
        self.feed(now, Input::Broken { arrival, bytes, fault }, Some(&Seen { arrival, bytes }));
    }

    /// What was sent for these attempts did not get there.
    pub(super) fn failed(&mut self, now: Instant, attempts: impl IntoIterator<Item = Attempt>) {
        for attempt in attempts {
            self.feed(now, Input::Failed(attempt), None);
        }
    }

    fn received(&self, arrival: &Arrival, bytes: &[u8]) {
        let listener = self.config.listener(arrival.listener);
        self.recorder.handles().received(listener.region, listener.transport);
        self.recorder.copy(listener.region, listener.transport, arrival.from, arrival.local, bytes);
    }

    pub(super) fn feed(&mut self, now: Instant, input: Input<'_>, seen: Option<&Seen<'_>>) {
        self.core.handle(now, input, &mut self.out);
        if let (Some(wait), Some(seen)) = (self.carry_out(now, seen), seen) {
            self.keep(now, wait, seen);
        }
        while let Some(attempt) = self.failed.pop_front() {
            self.core.handle(now, Input::Failed(attempt), &mut self.out);
            self.carry_out(now, None);
        }
        self.arm();
        if self.drain == Some(Drain::Last)
            && self.core.transactions() == 0
            && self.name_lookups.is_empty()
            && self.rtpengine.is_empty()
        {
            self.drained.notify_one();
        }
    }

    /// Keeps a message until it is to be handed in again.
    fn keep(&mut self, now: Instant, wait: Wait, seen: &Seen<'_>) {
        match wait {
            Wait::Name(next_hop) => {
                let Err(next_hop) = self.name_lookups.keep(next_hop, seen) else { return };
                // No room to wait: as if it had been asked for in vain.
                let (servers, hold) = (Vec::new(), Duration::ZERO);
                self.core.handle(now, Input::LookedUp { next_hop, servers, hold }, &mut self.out);
                let Seen { arrival, bytes } = *seen;
                self.core.handle(now, Input::Message { arrival, bytes }, &mut self.out);
                if let Some(wait) = self.carry_out(now, Some(seen)) {
                    self.keep(now, wait, seen);
                }
            }
            Wait::Relay(anchor) => {
                self.rtpengine.keep(anchor.exchange, seen);
                self.rtpengine.ask(&self.me, &anchor);
            }
            Wait::Behind(call) => self.rtpengine.queue(call, seen),
        }
    }

    /// Returns what the message at hand waits for before it is handed in again, if it does.
    fn carry_out(&mut self, now: Instant, seen: Option<&Seen<'_>>) -> Option<Wait> {
        let mut wait = None;
        let mut out = std::mem::take(&mut self.out);
        if out.iter().any(|output| matches!(output, Output::Note(Note::Verdict { .. }))) {
            if seen.is_some() {
                self.recorder.handles().decided(now.elapsed());
            }
            self.recorder.decided(&out, seen, now);
        }
        for output in out.drain(..) {
            match output {
                Output::Send(send) => self.send(now, send),
                Output::Close(id) => self.streams.close(id),
                Output::Note(note) => self.recorder.note(&note, seen, now),
                Output::LookUp(next_hop) => wait = Some(Wait::Name(next_hop)),
                Output::Relay(anchor) if anchor.exchange.call.is_some() => wait = Some(Wait::Relay(anchor)),
                Output::Relay(anchor) => self.rtpengine.ask(&self.me, &anchor),
                Output::Behind(call) => wait = Some(Wait::Behind(call)),
            }
        }
        self.out = out;
        wait
    }

    fn send(&mut self, now: Instant, send: Send) {
        match (send.transport, send.to) {
            (Transport::Udp, Destination::Peer(peer)) => {
                self.send_udp(now, peer.addr(), peer.listener(), Some(peer.local().ip()), &send);
            }
            (Transport::Udp, Destination::Fenced(fenced)) => {
                self.send_udp(now, fenced.addr(), send.listener, send.local, &send);
            }
            (Transport::Tcp | Transport::Tls, Destination::Peer(peer)) => {
                let sent = peer.connection().and_then(|id| self.streams.find(id));
                match sent {
                    Some(connection) => self.write(now, &connection, send),
                    None => self.lost(now, send.listener, Loss::ConnectionGone, peer.addr(), send.attempt),
                }
            }
            (transport @ (Transport::Tcp | Transport::Tls), Destination::Fenced(fenced)) => {
                let region = self.config.listener(send.listener).region;
                let connection = self.streams.towards(region, transport, fenced.addr(), send.server.as_ref());
                let server = send.server.clone();
                match connection.or_else(|| super::stream::connect(self, send.listener, fenced, server)) {
                    Some(connection) => self.write(now, &connection, send),
                    None => self.lost(now, send.listener, Loss::Connect, fenced.addr(), send.attempt),
                }
            }
        }
    }

    fn write(&self, now: Instant, connection: &Connection, send: Send) {
        let listener = self.config.listener(connection.listener.get());
        if self.config.region(listener.region).collector.is_some() {
            // A connection that is being opened has no port yet.
            let local = connection.local().unwrap_or(listener.addr);
            self.recorder.copy(listener.region, send.transport, local, connection.peer, &send.bytes);
        }
        connection.write(send.bytes, send.attempt, now);
    }

    fn send_udp(&mut self, now: Instant, to: SocketAddr, listener: ListenerId, local: Option<std::net::IpAddr>, send: &Send) {
        let Some(socket) = self.sockets.udp(listener) else {
            return self.lost(now, listener, Loss::Unsendable, to, send.attempt);
        };
        match socket.send(to, local, &send.bytes) {
            Ok(()) => {
                let of = self.config.listener(listener);
                let from = local.map_or(of.addr, |ip| SocketAddr::new(ip, of.addr.port()));
                self.recorder.copy(of.region, Transport::Udp, from, to, &send.bytes);
                if let Some(attempt) = send.attempt {
                    self.sent.remember(to, attempt, &send.bytes);
                }
            }
            // As lost as on the network, and met by the same timers: no failure of that target.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.lost(now, listener, Loss::SendBuffer, to, None);
            }
            Err(_) => self.lost(now, listener, Loss::Unsendable, to, send.attempt),
        }
    }

    /// Counts a loss; the attempt that it concerns fails after the outputs at hand.
    pub(super) fn lost(&mut self, now: Instant, listener: ListenerId, loss: Loss, peer: SocketAddr, attempt: Option<Attempt>) {
        let region = self.config.listener(listener).region;
        self.recorder.lost(region, loss, peer, now);
        self.failed.extend(attempt);
    }

    /// Hands the core what ICMP said.
    pub(super) fn unreachable(&mut self, socket: &Udp) {
        let mut failed = Vec::new();
        socket.errors(|to, quote| failed.extend(self.sent.failed(to, quote)));
        self.failed(Instant::now(), failed);
    }

    /// Hands the core its deadline if that has come: after a batch it costs no wake-up.
    pub(super) fn catch_up(&mut self) {
        if let Some(deadline) = self.core.deadline() {
            let now = Instant::now();
            if deadline <= now {
                self.feed(now, Input::Timeout, None);
            }
        }
    }

    /// Sees to it that the clock goes off for the core's deadline. Timers of one moment share a wake-up: they may come late by
    /// [`Worker::grain`].
    pub(super) fn arm(&self) {
        let Some(deadline) = self.core.deadline() else { return };
        let due = deadline + self.grain();
        if self.clock.armed.get().is_none_or(|armed| due < armed) {
            // While something earlier is armed nothing is to be done: it re-arms when it fires.
            self.clock.armed.set(Some(due));
            self.clock.earlier.notify_one();
        }
    }

    /// A fiftieth of T1: 10 ms by default.
    fn grain(&self) -> Duration {
        self.config.timers.t1 / 50
    }

    pub(super) fn retarget(&mut self, now: Instant, targets: Arc<Resolved>) {
        self.feed(now, Input::Resolved(targets), None);
        self.aimed();
    }

    /// The core has other addresses of names.
    pub(super) fn aimed(&self) {
        self.ready.set(Latch::Names, self.core.all_known());
    }

    /// A name was asked for: what waits for it goes on, in the order in which it came.
    pub(super) fn answer(&mut self, now: Instant, next_hop: NextHop, servers: Vec<Server>, hold: Duration) {
        let waited = self.name_lookups.release(&next_hop);
        self.feed(now, Input::LookedUp { next_hop, servers, hold }, None);
        for Kept { arrival, bytes } in waited {
            self.name_lookups.done();
            let bytes = &*bytes;
            self.feed(now, Input::Message { arrival, bytes }, Some(&Seen { arrival, bytes }));
        }
    }

    /// No more waiting: what waits for a name is told that there is no server, what waits for a relay that none answers.
    pub(super) fn end_waiting(&mut self, now: Instant) {
        for next_hop in self.name_lookups.names() {
            self.answer(now, next_hop, Vec::new(), Duration::ZERO);
        }
        while let Some(exchange) = self.rtpengine.any() {
            self.anchored(now, exchange, Err(Unanswered::Unasked));
        }
    }

    /// A relay was asked: what waits for its answer goes on, and whatever waits behind that, in order.
    pub(super) fn anchored(&mut self, now: Instant, exchange: RelayRequestId, reply: Result<RelayReply, Unanswered>) {
        let waited = self.rtpengine.release(&exchange);
        self.feed(now, Input::Relayed { exchange, reply }, None);
        for Kept { arrival, bytes } in waited {
            self.rtpengine.done();
            let bytes = &*bytes;
            self.feed(now, Input::Message { arrival, bytes }, Some(&Seen { arrival, bytes }));
        }
    }

    /// How the targets stand.
    pub(super) fn status(&self, now: Instant) -> Standing {
        Standing { config: Arc::clone(&self.config), targets: self.core.status(now) }
    }

    /// Takes no more calls. Told again, nothing changes.
    pub(super) fn drain(&mut self, now: Instant, drain: Drain) {
        if self.drain.is_none() {
            self.drain = Some(drain);
            self.sockets.refuse_connections();
            self.feed(now, Input::Drain { successor: drain == Drain::HandOver }, None);
        }
    }

    /// Whether it hands its sockets over, and nobody waits any more for what only it can say.
    pub(super) fn may_hand_over(&self) -> bool {
        self.drain == Some(Drain::HandOver) && self.name_lookups.is_empty() && self.rtpengine.is_empty() && self.core.is_settled()
    }
}
