//! The worker's loop: what wakes it, and in which order it turns to what.
//!
//! Sockets, clock and orders are polled by one task, each with a bound on what it may take at a time, so that a flood on one
//! starves neither the others nor the end.

use std::cell::RefCell;
use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFdReadyGuard;
use tokio::sync::mpsc;
use tokio::task::yield_now;
use tokio::time::{sleep_until, timeout};

use super::asking::Asking;
use super::stream::{self, Accepting, Streams};
use super::udp::{Batch, SLOTS, Udp};
use super::worker::Worker;
use crate::admin::{Latch, Question, Questions, Ready};
use crate::config::{Config, ListenerId, NextHop};
use crate::core::Core;
use crate::core::io::Arrival;
use crate::dns::{Server, Targets};
use crate::telemetry::{Metrics, Record};

/// Full batches taken from one socket before the other sockets and the clock have their turn.
const BATCHES: usize = 8;

/// How long the last answers may take to leave, at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// What other threads tell the worker.
#[derive(Debug)]
pub(super) enum Command {
    /// Names resolve otherwise.
    Targets(Arc<Targets>),
    /// What a next hop that was asked for resolves to, and how long that holds.
    Answer { next_hop: NextHop, servers: Vec<Server>, hold: Duration },
    /// Another configuration, and what its names resolve to.
    Config(Arc<Config>, Arc<Targets>),
    /// Finish what is open and end.
    Drain,
    /// End now.
    Stop,
}

/// What a worker starts with.
pub(super) struct Start {
    pub(super) config: Arc<Config>,
    pub(super) targets: Arc<Targets>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) seed: [u8; 16],
    pub(super) udp: Vec<(ListenerId, UdpSocket)>,
    pub(super) tcp: Vec<(ListenerId, std::net::TcpListener)>,
    pub(super) ready: Arc<Ready>,
    pub(super) commands: mpsc::Receiver<Command>,
    /// Where names are asked for that only dialogs know.
    pub(super) lookups: mpsc::Sender<NextHop>,
    /// What the endpoints ask.
    pub(super) questions: Questions,
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
    let Start { config, targets, metrics, seed, udp, tcp, ready, commands, lookups, questions } = start;
    let mut sockets: Vec<Option<Rc<Udp>>> = config.listeners.iter().map(|_| None).collect();
    for (id, socket) in udp {
        if let Some(slot) = sockets.get_mut(usize::from(id.0)) {
            *slot = Some(Rc::new(Udp::new(socket)?));
        }
    }
    let listeners: Vec<Option<Rc<Udp>>> = sockets.clone();
    let core = Core::new(Arc::clone(&config), targets, seed, 0, Instant::now());
    let record = Record::new(metrics, Arc::clone(&config));
    let worker = Rc::new_cyclic(|me| {
        RefCell::new(Worker::new(me, core, record, config, Arc::clone(&ready), sockets, Asking::new(lookups)))
    });
    let accepting = stream::listen(&worker, tcp)?;
    let mut loops: Vec<std::pin::Pin<Box<dyn Future<Output = ()>>>> = Vec::new();
    for (id, socket) in (0..).map(ListenerId).zip(listeners) {
        if let Some(socket) = socket {
            loops.push(Box::pin(receive(Rc::clone(&worker), id, socket)));
        }
    }
    loops.push(Box::pin(tick(Rc::clone(&worker))));
    ready.set(Latch::Listeners, true);
    // The core has something to do before anything happens: its first probes.
    worker.borrow().arm();
    let mut obey = Box::pin(obey(worker, commands, questions, accepting));
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
        if !take(&worker, listener, &socket, &mut batch, &mut ready) {
            // Readiness alone does not give way: without this a flood on one socket would stop the clock.
            drop(ready);
            yield_now().await;
        }
    }
}

/// Takes what is there, up to a bound. Whether the queue is empty now.
fn take(
    worker: &RefCell<Worker>,
    listener: ListenerId,
    socket: &Udp,
    batch: &mut Batch,
    ready: &mut AsyncFdReadyGuard<'_, UdpSocket>,
) -> bool {
    let mut worker = worker.borrow_mut();
    let error = ready.ready().is_error();
    if error {
        worker.unreachable(socket);
    }
    let mut empty = false;
    for _ in 0..BATCHES {
        let mut now = None;
        let taken = socket.receive(batch, |from, local, bytes| {
            let now = *now.get_or_insert_with(Instant::now);
            worker.message(now, Arrival { listener, from, local, connection: None }, bytes);
        });
        empty = match taken {
            // A short batch has emptied the queue, unless it was an error that cut it short.
            Ok(count) => count < SLOTS && !error,
            // Any other error is that of some datagram sent before, and says nothing about receiving.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if empty {
            ready.clear_ready();
            break;
        }
    }
    worker.catch_up();
    empty
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
    mut questions: Questions,
    accepting: Accepting,
) {
    let drained = Rc::clone(&worker.borrow().drained);
    let mut accepting = Some(accepting);
    let mut end = None;
    loop {
        let command = tokio::select! {
            command = commands.recv() => command,
            () = drained.notified() => break,
            Some(question) = questions.recv() => {
                answer(&worker, question);
                continue;
            }
            () = async { sleep_until(end.unwrap_or_else(tokio::time::Instant::now)).await }, if end.is_some() => break,
        };
        let now = Instant::now();
        match command {
            None | Some(Command::Stop) => return worker.borrow_mut().end_waiting(now),
            Some(Command::Targets(targets)) => worker.borrow_mut().retarget(now, targets),
            Some(Command::Answer { next_hop, servers, hold }) => worker.borrow_mut().answer(now, next_hop, servers, hold),
            Some(Command::Config(config, targets)) => worker.borrow_mut().configure(now, config, targets),
            Some(Command::Drain) => {
                accepting = None;
                end.get_or_insert_with(|| tokio::time::Instant::from_std(now + worker.borrow().config.timers.drain));
                worker.borrow_mut().drain(now);
            }
        }
    }
    drop(accepting);
    worker.borrow_mut().end_waiting(Instant::now());
    // What is written but not sent yet gets its chance. Whoever does not read by then does not count.
    let _ = timeout(CLOSE, Streams::close_all(&worker)).await;
}

/// Answers the endpoints. Whoever asked may have given up waiting.
fn answer(worker: &RefCell<Worker>, question: Question) {
    match question {
        Question::Turns(answer) => drop(answer.send(())),
        Question::Targets(answer) => drop(answer.send(worker.borrow().status(Instant::now()))),
    }
}
