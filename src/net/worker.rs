//! One thread's share of the proxy: feeds the core, carries out what it says, in order, before the next input.
//!
//! Everything that a message needs happens on this thread: no lock, no queue between sockets and core, no wait for names or
//! disk. This is the only place where a [`Destination`] becomes an address.

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, mpsc, oneshot};
use tokio::time::{sleep_until, timeout};

use super::sent::Sent;
use super::stream::Streams;
use super::udp::{Batch, SLOTS, Udp};
use crate::admin::{Latch, Ready};
use crate::config::{Config, ListenerId, Transport};
use crate::core::Core;
use crate::core::io::{Arrival, Attempt, Destination, Input, Note, Output, Send};
use crate::dns::Targets;
use crate::telemetry::{Loss, Metrics, Record, Seen};

/// Full batches taken from one socket before the other sockets and the clock have their turn.
const BATCHES: usize = 8;

/// How long the last answers may take to leave, at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// What other threads tell the worker.
#[derive(Debug)]
pub(super) enum Command {
    /// Names resolve otherwise.
    Targets(Arc<Targets>),
    /// Another configuration, and what its names resolve to.
    Config(Arc<Config>, Arc<Targets>),
    /// Finish what is open and end.
    Drain,
    /// End now.
    Stop,
}

/// The core with its sockets.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) config: Arc<Config>,
    pub(super) record: Record,
    pub(super) streams: Streams,
    /// For tasks that are started on its behalf.
    pub(super) me: Weak<RefCell<Self>>,
    core: Core,
    sockets: Vec<Option<Rc<Udp>>>,
    sent: Sent,
    out: Vec<Output>,
    failed: VecDeque<Attempt>,
    clock: Rc<Clock>,
    draining: bool,
    drained: Rc<Notify>,
    ready: Arc<Ready>,
}

/// When the core wants to be woken.
#[derive(Debug, Default)]
struct Clock {
    armed: std::cell::Cell<Option<Instant>>,
    earlier: Notify,
}

/// What a worker starts with.
pub(super) struct Start {
    pub(super) config: Arc<Config>,
    pub(super) targets: Arc<Targets>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) seed: [u8; 16],
    pub(super) udp: Vec<(ListenerId, std::net::UdpSocket)>,
    pub(super) tcp: Vec<(ListenerId, std::net::TcpListener)>,
    pub(super) ready: Arc<Ready>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Who asks whether the loop turns.
    pub(super) pulse: mpsc::Receiver<oneshot::Sender<()>>,
}

/// Runs a worker on this thread until it is told to end.
pub(super) fn work(start: Start) -> io::Result<()> {
    let _end = End(Arc::clone(&start.ready));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(start))
}

/// Says that the worker is gone, however it went.
struct End(Arc<Ready>);

impl Drop for End {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn run(start: Start) -> io::Result<()> {
    let Start { config, targets, metrics, seed, udp, tcp, ready, commands, pulse } = start;
    let mut sockets: Vec<Option<Rc<Udp>>> = config.listeners.iter().map(|_| None).collect();
    for (id, socket) in udp {
        if let Some(slot) = sockets.get_mut(usize::from(id.0)) {
            *slot = Some(Rc::new(Udp::new(socket)?));
        }
    }
    let listeners: Vec<Option<Rc<Udp>>> = sockets.clone();
    let core = Core::new(Arc::clone(&config), targets, seed, 0, Instant::now());
    let worker = Rc::new_cyclic(|me| {
        RefCell::new(Worker {
            record: Record::new(metrics, Arc::clone(&config)),
            streams: Streams::default(),
            me: Weak::clone(me),
            core,
            sockets,
            sent: Sent::default(),
            out: Vec::with_capacity(32),
            failed: VecDeque::new(),
            clock: Rc::default(),
            draining: false,
            drained: Rc::default(),
            ready: Arc::clone(&ready),
            config,
        })
    });
    let accepting = super::stream::listen(&worker, tcp)?;
    let mut loops: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for (id, socket) in (0..).map(ListenerId).zip(listeners) {
        if let Some(socket) = socket {
            loops.push(Box::pin(receive(Rc::clone(&worker), id, socket)));
        }
    }
    loops.push(Box::pin(tick(Rc::clone(&worker))));
    ready.set(Latch::Listeners, true);
    let mut obey = Box::pin(obey(worker, commands, pulse, accepting));
    // One task polls them all: the wake-up of a socket leads straight to its loop.
    std::future::poll_fn(|cx| {
        for each in &mut loops {
            // None of them ever ends.
            let _ = each.as_mut().poll(cx);
        }
        obey.as_mut().poll(cx)
    })
    .await;
    Ok(())
}

/// Takes datagrams from one socket for ever.
async fn receive(worker: Rc<RefCell<Worker>>, listener: ListenerId, socket: Rc<Udp>) {
    let mut batch = Batch::new(&socket);
    loop {
        // The only error is a runtime that is shutting down.
        let Ok(mut ready) = socket.ready().await else { return std::future::pending().await };
        let mut worker = worker.borrow_mut();
        let error = ready.ready().is_error();
        if error {
            worker.unreachable(&socket);
        }
        for _ in 0..BATCHES {
            let mut now = None;
            let taken = socket.receive(&mut batch, |from, local, bytes| {
                let now = *now.get_or_insert_with(Instant::now);
                worker.message(now, Arrival { listener, from, local, connection: None }, bytes);
            });
            match taken {
                // A short batch has emptied the queue, unless it was an error that cut it short.
                Ok(count) if count < SLOTS && !error => {
                    ready.clear_ready();
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    break;
                }
                // There is more; or an error of some datagram sent before, which says nothing about receiving.
                Ok(_) | Err(_) => {}
            }
        }
        worker.catch_up();
    }
}

/// Wakes the core at its deadlines.
async fn tick(worker: Rc<RefCell<Worker>>) {
    let clock = Rc::clone(&worker.borrow().clock);
    let mut sleep = std::pin::pin!(sleep_until(Instant::now().into()));
    loop {
        match clock.armed.get() {
            None => clock.earlier.notified().await,
            Some(armed) => {
                sleep.as_mut().reset(armed.into());
                tokio::select! {
                    biased;
                    () = clock.earlier.notified() => continue,
                    () = sleep.as_mut() => {}
                }
                let mut worker = worker.borrow_mut();
                clock.armed.set(None);
                worker.catch_up();
                worker.arm();
            }
        }
    }
}

/// Does what other threads ask, until the end.
async fn obey(
    worker: Rc<RefCell<Worker>>,
    mut commands: mpsc::Receiver<Command>,
    mut pulse: mpsc::Receiver<oneshot::Sender<()>>,
    accepting: super::stream::Accepting,
) {
    let drained = Rc::clone(&worker.borrow().drained);
    let mut accepting = Some(accepting);
    let mut end = None;
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            () = drained.notified() => break,
            Some(answer) = pulse.recv() => {
                // Whoever asked may have given up waiting.
                let _ = answer.send(());
                continue;
            }
            () = async { sleep_until(end.unwrap_or_else(tokio::time::Instant::now)).await }, if end.is_some() => break,
        };
        let now = Instant::now();
        match command {
            None | Some(Command::Stop) => return,
            Some(Command::Targets(targets)) => worker.borrow_mut().retarget(now, targets),
            Some(Command::Config(config, targets)) => worker.borrow_mut().configure(now, config, targets),
            Some(Command::Drain) => {
                accepting = None;
                end.get_or_insert_with(|| tokio::time::Instant::from_std(now + worker.borrow().config.timers.drain));
                worker.borrow_mut().drain(now);
            }
        }
    }
    drop(accepting);
    // What is written but not sent yet gets its chance. Whoever does not read by then does not count.
    let _ = timeout(CLOSE, Streams::close_all(&worker)).await;
}

impl Worker {
    /// A message came.
    pub(super) fn message(&mut self, now: Instant, arrival: Arrival, bytes: &[u8]) {
        self.received(&arrival);
        self.feed(now, Input::Message { arrival, bytes }, Some(&Seen { arrival, bytes }));
    }

    /// A stream broke in the middle of a message.
    pub(super) fn broken(&mut self, now: Instant, arrival: Arrival, bytes: &[u8], fault: crate::sip::Fault) {
        self.received(&arrival);
        self.feed(now, Input::Broken { arrival, bytes, fault }, Some(&Seen { arrival, bytes }));
    }

    /// What was sent for these attempts did not get there.
    pub(super) fn failed(&mut self, now: Instant, attempts: impl IntoIterator<Item = Attempt>) {
        for attempt in attempts {
            self.feed(now, Input::Failed(attempt), None);
        }
    }

    fn received(&self, arrival: &Arrival) {
        let listener = self.config.listener(arrival.listener);
        self.record.handles().received(listener.region, listener_transport(arrival));
    }

    fn feed(&mut self, now: Instant, input: Input<'_>, seen: Option<&Seen<'_>>) {
        self.core.handle(now, input, &mut self.out);
        self.carry_out(now, seen);
        while let Some(attempt) = self.failed.pop_front() {
            self.core.handle(now, Input::Failed(attempt), &mut self.out);
            self.carry_out(now, None);
        }
        self.arm();
        if self.draining && self.core.transactions() == 0 {
            self.drained.notify_one();
        }
    }

    fn carry_out(&mut self, now: Instant, seen: Option<&Seen<'_>>) {
        let mut out = std::mem::take(&mut self.out);
        if seen.is_some() && out.iter().any(|output| matches!(output, Output::Note(Note::Verdict { .. }))) {
            self.record.handles().decided(now.elapsed());
        }
        for output in out.drain(..) {
            match output {
                Output::Send(send) => self.send(now, send),
                Output::Close(id) => self.streams.close(id),
                Output::Note(note) => self.record.note(&note, seen, now),
            }
        }
        self.out = out;
    }

    fn send(&mut self, now: Instant, send: Send) {
        match (send.transport, send.to) {
            (Transport::Udp, Destination::Peer(peer)) => {
                self.send_udp(now, peer.addr(), peer.listener(), Some(peer.local().ip()), &send);
            }
            (Transport::Udp, Destination::Fenced(fenced)) => {
                self.send_udp(now, fenced.addr(), send.listener, send.local, &send);
            }
            (Transport::Tcp, Destination::Peer(peer)) => {
                let sent = peer.connection().and_then(|id| self.streams.find(id));
                match sent {
                    Some(connection) => connection.write(send.bytes, send.attempt, now),
                    None => self.lost(now, send.listener, Loss::ConnectionGone, peer.addr(), send.attempt),
                }
            }
            (Transport::Tcp, Destination::Fenced(fenced)) => {
                let region = self.config.listener(send.listener).region;
                let connection = self.streams.towards(region, fenced.addr());
                match connection.or_else(|| super::stream::connect(self, send.listener, fenced)) {
                    Some(connection) => connection.write(send.bytes, send.attempt, now),
                    None => self.lost(now, send.listener, Loss::Connect, fenced.addr(), send.attempt),
                }
            }
        }
    }

    fn send_udp(&mut self, now: Instant, to: SocketAddr, listener: ListenerId, local: Option<std::net::IpAddr>, send: &Send) {
        let Some(socket) = self.sockets.get(usize::from(listener.0)).and_then(Option::as_ref) else {
            return self.lost(now, listener, Loss::Unsendable, to, send.attempt);
        };
        match socket.send(to, local, &send.bytes) {
            Ok(()) => {
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
        self.record.lost(region, loss, peer, now);
        self.failed.extend(attempt);
    }

    /// Hands the core what ICMP said.
    fn unreachable(&mut self, socket: &Udp) {
        let mut failed = Vec::new();
        socket.errors(|to, quote| failed.extend(self.sent.failed(to, quote)));
        self.failed(Instant::now(), failed);
    }

    /// Hands the core its deadline if that has come: after a batch it costs no wake-up.
    fn catch_up(&mut self) {
        if let Some(deadline) = self.core.deadline() {
            let now = Instant::now();
            if deadline <= now {
                self.feed(now, Input::Timeout, None);
            }
        }
    }

    /// Sees to it that the clock goes off for the core's deadline. Timers of one moment share a wake-up: they may come late by
    /// [`Worker::grain`].
    fn arm(&self) {
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

    fn configure(&mut self, now: Instant, config: Arc<Config>, targets: Arc<Targets>) {
        self.record.configure(&config);
        self.config = Arc::clone(&config);
        self.feed(now, Input::Config(config), None);
        self.retarget(now, targets);
    }

    fn retarget(&mut self, now: Instant, targets: Arc<Targets>) {
        let known = targets.all_known();
        self.feed(now, Input::Targets(targets), None);
        self.ready.set(Latch::Targets, known);
    }

    fn drain(&mut self, now: Instant) {
        self.draining = true;
        self.feed(now, Input::Drain, None);
    }
}

/// A listener of datagrams may have opened a connection: what counts is how the message came.
fn listener_transport(arrival: &Arrival) -> Transport {
    if arrival.connection.is_some() { Transport::Tcp } else { Transport::Udp }
}
