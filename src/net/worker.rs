//! One thread's share of the proxy. It feeds the core and carries out the core's outputs, in order, before the next input.
//!
//! All work for a message happens on this thread. There is no lock, no queue between sockets and core, and no wait for names or
//! disk. Only here does a [`Destination`] become an address.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::sync::mpsc::{self, error::TrySendError};
use tokio::task::spawn_local;

use super::connection::{Connection, Written};
use super::holder::OpenedFor;
use super::icmp::SentDatagrams;
use super::rtpengine;
use super::sockets::Sockets;
use super::stream::Streams;
use super::udp::Udp;
use crate::admin::{Latch, Ready, Standing};
use crate::config::{Config, ListenerId, NextHop, Transport};
use crate::core::Core;
use crate::core::io::{Arrival, Attempt, Destination, Input, Note, Output, RelayRequest, Send};
use crate::dns::Resolved;
use crate::telemetry::realtime::RealtimeVerdict;
use crate::telemetry::{Loss, Recorder, Seen};

/// How often the core is told what time it is, at most.
const TIME_GRAIN: Duration = Duration::from_secs(1);

/// The core with its sockets.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    pub(super) recorder: Recorder,
    pub(super) streams: Streams,
    /// For tasks that this worker starts.
    pub(super) me: Weak<RefCell<Self>>,
    pub(super) core: Core,
    pub(super) sockets: Sockets,
    sent: SentDatagrams,
    /// Where TLS handshakes are carried out.
    pub(super) handshake_threads: Handle,
    lookups: mpsc::Sender<NextHop>,
    /// Names of trunks that are to be kept resolved.
    kept: mpsc::Sender<NextHop>,
    pub(super) rtpengine: rtpengine::NgClient,
    pub(super) out: Vec<Output>,
    /// Attempts that were not delivered, and what the core is told about them.
    failed: VecDeque<(Attempt, Undelivered)>,
    pub(super) clock: Rc<Clock>,
    /// When the core was last told what time it is.
    timed: Option<Instant>,
    pub(super) drain: Option<Drain>,
    pub(super) drained: Rc<Notify>,
    ready: Arc<Ready>,
}

/// How a worker ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// No process takes over here: new calls are refused, so that carriers try a sibling.
    Last,
    /// Another process takes over its datagram sockets, with the packets that wait in them.
    HandOver,
}

/// What a failed delivery says about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Undelivered {
    /// The target cannot be reached.
    Failed,
    /// It says nothing about the target.
    Unsent,
    /// It says little: connections to the target end.
    Lost,
}

/// When the core wants to be woken.
#[derive(Debug, Default)]
pub(super) struct Clock {
    pub(super) armed: Cell<Option<Instant>>,
    /// Notified if the next deadline has become earlier.
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
        (handshake_threads, (lookups, kept)): (Handle, (mpsc::Sender<NextHop>, mpsc::Sender<NextHop>)),
    ) -> Self {
        let (streams, sockets, sent, rtpengine, failed, clock, drained) = Default::default();
        let (me, out, timed, drain) = (Weak::clone(me), Vec::with_capacity(32), None, None);
        Self {
            config,
            recorder,
            streams,
            me,
            core,
            sockets,
            sent,
            handshake_threads,
            lookups,
            kept,
            rtpengine,
            out,
            failed,
            clock,
            timed,
            drain,
            drained,
            ready,
        }
    }

    /// Hands the core a message.
    pub(super) fn message(&mut self, now: Instant, arrival: Arrival, bytes: &[u8]) {
        self.received(&arrival, bytes);
        self.feed(now, Input::Message { arrival, bytes }, Some(&Seen { arrival, bytes }));
    }

    /// Hands the core a stream that cannot be framed any further.
    pub(super) fn broken(&mut self, now: Instant, arrival: Arrival, bytes: &[u8], fault: crate::sip::Fault) {
        self.received(&arrival, bytes);
        self.feed(now, Input::Broken { arrival, bytes, fault }, Some(&Seen { arrival, bytes }));
    }

    /// Tells the core that these attempts did not reach their targets.
    pub(super) fn failed(&mut self, now: Instant, attempts: impl IntoIterator<Item = Attempt>, what: Undelivered) {
        for attempt in attempts {
            self.feed(now, failure(attempt, what), None);
        }
    }

    fn received(&self, arrival: &Arrival, bytes: &[u8]) {
        let listener = self.config.listener(arrival.listener);
        self.recorder.handles().received(listener.region, listener.transport);
        self.recorder.copy(listener.region, listener.transport, arrival.from, arrival.local, bytes);
    }

    pub(super) fn feed(&mut self, now: Instant, input: Input<'_>, seen: Option<&Seen<'_>>) {
        if self.timed.is_none_or(|then| now.saturating_duration_since(then) >= TIME_GRAIN) {
            self.timed = Some(now);
            // A clock that stands before 1970 says nothing.
            self.core.tell_time(now, SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        }
        self.core.handle(now, input, &mut self.out);
        self.follow(now, seen);
    }

    /// Carries out the core's outputs, and everything that follows from them.
    pub(super) fn follow(&mut self, now: Instant, seen: Option<&Seen<'_>>) {
        self.carry_out(now, seen);
        while !self.out.is_empty() {
            self.carry_out(now, None);
        }
        while let Some((attempt, what)) = self.failed.pop_front() {
            self.core.handle(now, failure(attempt, what), &mut self.out);
            self.carry_out(now, None);
        }
        self.arm();
        if self.drain == Some(Drain::Last) && self.core.transactions() == 0 {
            self.drained.notify_one();
        }
    }

    /// Carries out the outputs in `out`: those about the message at hand, then those about each resumed message.
    fn carry_out(&mut self, now: Instant, seen: Option<&Seen<'_>>) {
        let mut out = std::mem::take(&mut self.out);
        if out.iter().any(|output| matches!(output, Output::Resumed { .. })) {
            let (mut part, mut about) = (Vec::new(), None);
            for output in out.drain(..) {
                if let Output::Resumed { arrival, bytes } = output {
                    self.perform_part(now, &mut part, about.as_ref(), seen);
                    about = Some((arrival, bytes));
                } else {
                    part.push(output);
                }
            }
            self.perform_part(now, &mut part, about.as_ref(), seen);
        } else {
            self.perform(now, &mut out, seen);
        }
        // Outputs that came meanwhile wait for their turn.
        out.append(&mut self.out);
        self.out = out;
    }

    /// Carries out the outputs about a resumed message, if there is one, or else about the message at hand.
    fn perform_part(
        &mut self,
        now: Instant,
        part: &mut Vec<Output>,
        resumed: Option<&(Arrival, Bytes)>,
        seen: Option<&Seen<'_>>,
    ) {
        match resumed {
            Some((arrival, bytes)) => self.perform(now, part, Some(&Seen { arrival: *arrival, bytes })),
            None => self.perform(now, part, seen),
        }
    }

    fn perform(&mut self, now: Instant, out: &mut Vec<Output>, seen: Option<&Seen<'_>>) {
        if out.iter().any(|output| matches!(output, Output::Note(Note::Verdict { .. }))) {
            if seen.is_some() {
                self.recorder.handles().decided(now.elapsed());
            }
            self.recorder.decided(out, seen, now);
        }
        self.recorder.audited(out, seen);
        // By reference: they are large, and most are only read.
        for output in &*out {
            match output {
                Output::Send(send) => self.send(now, send),
                Output::Close(id) => self.streams.close(*id),
                Output::Note(note) => {
                    if let Note::Arrived { outcome, .. } = note
                        && outcome.is_admitted()
                        && let Some(connection) = seen.and_then(|seen| seen.arrival.connection)
                    {
                        self.admitted(now, connection);
                    }
                    self.recorder.note(note, seen, now);
                }
                Output::LookUp(next_hop) => self.look_up(now, next_hop.clone()),
                // If that thread is busy, it is told again: the call goes by what was looked up for it.
                Output::Keep(next_hop) => drop(self.kept.try_send(next_hop.clone())),
                Output::Relay(request) => self.ask_relay(request),
                // Told apart by `carry_out`.
                Output::Resumed { .. } => {}
            }
        }
        out.clear();
    }

    /// Asks the thread beside this one to look up a name. If that thread has ended, nobody answers.
    fn look_up(&mut self, now: Instant, next_hop: NextHop) {
        if let Err(error) = self.lookups.try_send(next_hop) {
            let next_hop = match error {
                TrySendError::Full(next_hop) | TrySendError::Closed(next_hop) => next_hop,
            };
            let nobody = Input::LookedUp { next_hop, servers: Vec::new(), hold: Duration::ZERO, failed: true };
            self.core.handle(now, nobody, &mut self.out);
        }
    }

    /// Asks a relay. The core gets its answer, or learns that there is none.
    fn ask_relay(&mut self, request: &RelayRequest) {
        let (worker, id) = (Weak::clone(&self.me), request.id);
        let Some(asking) = self.rtpengine.ask(request) else { return };
        spawn_local(async move {
            let reply = asking.await;
            if let Some(worker) = worker.upgrade() {
                worker.borrow_mut().feed(Instant::now(), Input::Relayed { id, reply }, None);
            }
        });
    }

    pub(super) fn send(&mut self, now: Instant, send: &Send) {
        match (send.transport, send.to) {
            (Transport::Udp, Destination::Peer(peer)) => {
                self.send_udp(now, peer.answers(), peer.listener(), Some(peer.local().ip()), send);
            }
            (Transport::Udp, Destination::Fenced(fenced)) => {
                self.send_udp(now, fenced.addr(), send.listener, send.local, send);
            }
            (Transport::Tcp | Transport::Tls, Destination::Peer(peer)) => {
                let sent = peer.connection().and_then(|id| self.streams.find(id));
                match sent {
                    Some(connection) => self.write(now, &connection, send.clone(), false),
                    None => self.lost(now, send.listener, Loss::ConnectionGone, peer.addr(), send.attempt),
                }
            }
            (Transport::Tcp | Transport::Tls, Destination::Fenced(fenced)) => {
                let region = self.config.listener(send.listener).region;
                let connection = self.streams.towards(region, fenced.addr(), send, &self.config);
                let (name, more) = (send.tls_name.clone(), (send.party.clone(), OpenedFor::of(send), false));
                match connection.map_or_else(|| self.connect(send.listener, fenced, name, more), Ok) {
                    Ok(connection) => self.write(now, &connection, send.clone(), false),
                    Err(loss) => {
                        self.lost(now, send.listener, loss, fenced.addr(), send.attempt);
                        if let Some(instead) = &send.instead {
                            self.send(now, instead);
                        }
                    }
                }
            }
        }
    }

    /// A fresh connection only for repeats of what another one lost. `None`: none can be opened, and that is counted.
    pub(super) fn connect_alone(&mut self, now: Instant, send: &Send) -> Option<Rc<Connection>> {
        let Destination::Fenced(fenced) = send.to else { return None };
        let more = (send.party.clone(), OpenedFor::of(send), true);
        match self.connect(send.listener, fenced, send.tls_name.clone(), more) {
            Ok(connection) => Some(connection),
            Err(loss) => {
                self.lost(now, send.listener, loss, fenced.addr(), send.attempt);
                None
            }
        }
    }

    /// Writes a message on a connection. `again`: another connection lost it before.
    pub(super) fn write(&self, now: Instant, connection: &Connection, mut send: Send, again: bool) {
        let listener = self.config.listener(connection.listener.get());
        if self.config.region(listener.region).collector.is_some() {
            // A connection that is being opened has no port yet.
            let local = connection.local().unwrap_or(listener.addr);
            self.recorder.copy(listener.region, send.transport, local, connection.peer, &send.bytes);
        }
        if again {
            self.recorder.handles().resent(listener.region, send.transport);
        }
        // It may wait here for long. The memory that it comes in is shared with other messages.
        send.bytes = Bytes::copy_from_slice(&send.bytes);
        let bytes = send.bytes.clone();
        let request = matches!(send.to, Destination::Fenced(_)).then_some(Written { send, again });
        connection.write(bytes, request, now);
        connection.forget_answered(&self.core, self.unanswered(), now);
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
            // The datagram is lost, as it could be on the network. The timers send it again; the target has not failed.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.lost(now, listener, Loss::SendBuffer, to, None);
            }
            Err(_) => self.lost(now, listener, Loss::Unsendable, to, send.attempt),
        }
    }

    /// Counts a loss. The attempt that it concerns, if any, fails after the outputs at hand.
    pub(super) fn lost(&mut self, now: Instant, listener: ListenerId, loss: Loss, peer: SocketAddr, attempt: Option<Attempt>) {
        let region = self.config.listener(listener).region;
        self.recorder.lost(region, loss, peer, now);
        let what = if loss == Loss::TrunkConnections { Undelivered::Unsent } else { Undelivered::Failed };
        self.failed.extend(attempt.map(|attempt| (attempt, what)));
    }

    /// Hands the core the ICMP errors of a socket.
    pub(super) fn unreachable(&mut self, socket: &Udp) {
        let mut failed = Vec::new();
        socket.errors(|to, quote| failed.extend(self.sent.failed(to, quote)));
        self.failed(Instant::now(), failed, Undelivered::Failed);
    }

    /// Hands the core its deadline if that has come. After a batch of messages this costs no wake-up.
    pub(super) fn catch_up(&mut self) {
        if let Some(deadline) = self.core.deadline() {
            let now = Instant::now();
            if deadline <= now {
                self.feed(now, Input::Timeout, None);
            }
        }
    }

    /// Sets the clock for the core's deadline. Timers that are close together share a wake-up, so one may be late by
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

    /// How late a timer may be: a fiftieth of T1, 10 ms by default.
    fn grain(&self) -> Duration {
        self.config.timers.t1 / 50
    }

    pub(super) fn retarget(&mut self, now: Instant, targets: Arc<Resolved>) {
        self.feed(now, Input::Resolved(targets), None);
        self.aimed();
    }

    /// Notes that names of the core have other addresses.
    pub(super) fn aimed(&self) {
        self.ready.set(Latch::Names, self.core.knows_its_names());
    }

    /// The health of the targets.
    pub(super) fn status(&self, now: Instant) -> Standing {
        let (targets, gateways) = (self.core.status(now), self.core.gateways());
        Standing { config: Arc::clone(&self.config), targets, gateways, octets: self.core.octets() }
    }

    /// Has a verdict of the gate told. `Err`: it was decided by another configuration than this one, which is in force.
    pub(super) fn realtime(&mut self, told: RealtimeVerdict, now: Instant) -> Result<(), Arc<Config>> {
        if told.config.as_ptr() != Arc::as_ptr(&self.config) {
            return Err(Arc::clone(&self.config));
        }
        self.recorder.realtime(told, now);
        Ok(())
    }

    /// Takes no more calls. A second call changes nothing.
    pub(super) fn drain(&mut self, now: Instant, drain: Drain) {
        if self.drain.is_none() {
            self.drain = Some(drain);
            self.sockets.refuse_connections();
            self.feed(now, Input::Drain { successor: drain == Drain::HandOver }, None);
        }
    }

    /// Whether it hands its sockets over, and nobody waits for this process any more.
    pub(super) fn may_hand_over(&self) -> bool {
        self.drain == Some(Drain::HandOver) && self.core.is_settled()
    }
}

fn failure(attempt: Attempt, what: Undelivered) -> Input<'static> {
    match what {
        Undelivered::Failed => Input::Failed(attempt),
        Undelivered::Unsent => Input::Unsent(attempt),
        Undelivered::Lost => Input::Lost(attempt),
    }
}
