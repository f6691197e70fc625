//! The worker's loop: what wakes it, and in which order it does its work.
//!
//! One task polls sockets, clock and orders. Each may take only a bounded amount at a time, so that a flood on one does not stop
//! the others or the end of the daemon.

use std::cell::{Cell, RefCell};
use std::io;
use std::net::UdpSocket;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFdReadyGuard;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot};
use tokio::task::yield_now;
use tokio::time::{MissedTickBehavior, interval, sleep_until, timeout};

use super::apart::Apart;
use super::handshake;
use super::pause::ArrivalRate;
use super::reload::{InUse, Reload};
use super::sockets::Bound;
use super::udp::{Batch, Udp};
use super::worker::{Drain, Worker};
use crate::admin::{Latch, Question, Questions, Ready};
use crate::config::{Config, ListenerId, NextHop};
use crate::core::Core;
use crate::core::io::{Arrival, Input};
use crate::dns::{Resolved, Server};
use crate::telemetry::{Metrics, Observers, Recorder};

/// Datagrams read from one socket before the other sockets and the clock get their turn; a batch more at most.
const MOST: u32 = 64;

/// How often the loop checks whether leaving sockets can be closed, and whether the sockets can be handed over.
const CHORES: Duration = Duration::from_millis(50);

/// How long the last answers may take to be sent, at the end.
const CLOSE: Duration = Duration::from_secs(1);

/// A command from another thread to the worker.
#[derive(Debug)]
pub(super) enum WorkerCommand {
    /// The names of the configuration resolve to other servers.
    Names(Arc<Resolved>),
    /// The look-up of a next hop takes long.
    Slow(NextHop),
    /// A next hop that was looked up, with its servers and how long they hold. `failed`: a question that matters was not answered.
    Answer { next_hop: NextHop, servers: Vec<Server>, hold: Duration, failed: bool },
    /// Say what the successor of this configuration must know.
    InUse(oneshot::Sender<InUse>),
    /// Put another configuration into effect. Send back the former one, or why nothing has changed.
    Reload(Box<Reload>, oneshot::Sender<Result<Box<Reload>, String>>),
    /// Finish what is open, then end.
    Drain(Drain),
    /// End now, even if something is open.
    Stop,
}

/// All that a worker starts with.
pub(super) struct WorkerStart {
    pub(super) config: Arc<Config>,
    pub(super) targets: Arc<Resolved>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) seed: [u8; 16],
    pub(super) bound: Vec<(ListenerId, Bound)>,
    pub(super) ready: Arc<Ready>,
    pub(super) commands: mpsc::Receiver<WorkerCommand>,
    /// The channel for look-ups of names that a message needs.
    pub(super) lookups: mpsc::Sender<NextHop>,
    /// The channel for names of trunks that are to be kept resolved.
    pub(super) kept: mpsc::Sender<NextHop>,
    /// Who else is told.
    pub(super) observers: Observers,
    /// Questions of the admin endpoint.
    pub(super) questions: Questions,
}

/// Runs a worker on this thread until it is told to end.
pub(super) fn work(start: WorkerStart) -> io::Result<()> {
    let _end = WorkerEnd(Arc::clone(&start.ready));
    let handshake_threads = handshake::threads()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, run(start, handshake_threads.handle().clone()))
}

/// Tells the others that the worker is gone, for any reason.
struct WorkerEnd(Arc<Ready>);

impl Drop for WorkerEnd {
    fn drop(&mut self) {
        self.0.end();
    }
}

async fn run(start: WorkerStart, handshake_threads: Handle) -> io::Result<()> {
    let WorkerStart { config, targets, metrics, seed, bound, ready, commands, lookups, kept, observers, questions } = start;
    let core = Core::new(Arc::clone(&config), targets, seed, Instant::now());
    let recorder = Recorder::new(metrics, Arc::clone(&config), observers);
    let others = (handshake_threads, (lookups, kept));
    let worker = Rc::new_cyclic(|me| RefCell::new(Worker::new(me, core, recorder, config, Arc::clone(&ready), others)));
    worker.borrow_mut().begin(bound)?;
    let mut ticking = Apart::new(tick(Rc::clone(&worker)));
    ready.set(Latch::Listeners, true);
    // The core has something to do before anything happens: its first probes.
    worker.borrow().arm();
    let mut obey = Apart::new(obey(Rc::clone(&worker), commands, questions));
    let mut loops: Vec<Loop> = Vec::new();
    let (taken, mut arrivals) = (Rc::new(Taken::default()), ArrivalRate::default());
    // One task polls them all: the wake-up of a socket leads straight to its loop.
    std::future::poll_fn(|cx| {
        loop {
            let fresh = worker.borrow_mut().sockets.fresh();
            loops.extend(fresh.into_iter().map(|socket| Loop::new(&worker, socket, &taken)));
            for each in &mut loops {
                // None of them ever ends.
                let _ = each.receiving.poll(cx);
            }
            let _ = ticking.poll(cx);
            let end = obey.poll(cx);
            loops.retain(|each| each.socket.is_read.get());
            // A new socket wakes its loop only after it has been polled once.
            if end.is_ready() {
                return end;
            }
            if !worker.borrow().sockets.has_fresh() {
                if let Some(rest) = taken.since().and_then(|count| arrivals.emptied(Instant::now(), count)) {
                    // The thread itself sleeps. A timer of the runtime has a grain of a millisecond, and would not keep datagrams from
                    // waking it.
                    std::thread::sleep(rest);
                }
                return end;
            }
        }
    })
    .await;
    Ok(())
}

/// A socket that is read while it is open.
struct Loop {
    socket: Rc<Udp>,
    receiving: Apart<()>,
}

impl Loop {
    fn new(worker: &Rc<RefCell<Worker>>, socket: Rc<Udp>, taken: &Rc<Taken>) -> Self {
        Self { receiving: Apart::new(receive(Rc::clone(worker), Rc::clone(&socket), Rc::clone(taken))), socket }
    }
}

/// What all loops have taken from their sockets.
#[derive(Debug, Default)]
struct Taken {
    datagrams: Cell<u32>,
    /// Whether a socket may have more.
    more: Cell<bool>,
}

impl Taken {
    /// How many datagrams were taken since it was last asked, if there were any and no more wait.
    fn since(&self) -> Option<u32> {
        if self.more.take() { None } else { Some(self.datagrams.take()).filter(|&count| count > 0) }
    }
}

/// Reads datagrams from one socket for ever.
async fn receive(worker: Rc<RefCell<Worker>>, socket: Rc<Udp>, taken: Rc<Taken>) {
    let mut batch = Batch::new(&socket);
    loop {
        // The only error is a runtime that is shutting down.
        let Ok(mut ready) = socket.ready().await else { return std::future::pending().await };
        let (count, empty) = take(&worker, &socket, &mut batch, &mut ready);
        taken.datagrams.set(taken.datagrams.get().saturating_add(count));
        if !empty {
            taken.more.set(true);
            // Readiness alone does not give way: without this a flood on one socket would stop the clock.
            drop(ready);
            yield_now().await;
        }
    }
}

/// Reads waiting datagrams, up to a bound. Returns how many, and whether the queue is empty now.
fn take(worker: &RefCell<Worker>, socket: &Udp, batch: &mut Batch, ready: &mut AsyncFdReadyGuard<'_, UdpSocket>) -> (u32, bool) {
    let mut worker = worker.borrow_mut();
    let listener = socket.listener.get();
    let error = ready.ready().is_error();
    if error {
        worker.unreachable(socket);
    }
    let (mut count, mut empty) = (0, false);
    while count < MOST {
        let mut now = None;
        let taken = socket.receive(batch, |from, local, bytes| {
            let now = *now.get_or_insert_with(Instant::now);
            worker.message(now, Arrival { listener, from, local, connection: None, shown: None }, bytes);
            count += 1;
        });
        empty = match taken {
            // An error may have cut it short.
            Ok(short) => short && !error,
            // Any other error is that of some datagram sent before, and says nothing about receiving.
            Err(error) => error.kind() == io::ErrorKind::WouldBlock,
        };
        if empty {
            ready.clear_ready();
            break;
        }
    }
    worker.catch_up();
    (count, empty)
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

/// Carries out the commands of other threads, until the end.
async fn obey(worker: Rc<RefCell<Worker>>, mut commands: mpsc::Receiver<WorkerCommand>, mut questions: Questions) {
    let drained = Rc::clone(&worker.borrow().drained);
    let mut end = None;
    let mut chores = interval(CHORES);
    chores.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        let busy = worker.borrow().has_chores();
        let command = tokio::select! {
            command = commands.recv() => command,
            () = drained.notified() => break,
            Some(question) = questions.recv() => match question {
                Question::Turns(answer) => {
                    let _ = answer.send(());
                    continue;
                }
                Question::Targets(answer) => {
                    let _ = answer.send(worker.borrow().status(Instant::now()));
                    continue;
                }
                // If it waits no longer, its client was refused: nothing was accepted that could be told.
                Question::Realtime(_, answer) if answer.is_closed() => continue,
                Question::Realtime(told, answer) => {
                    let _ = answer.send(worker.borrow_mut().realtime(told, Instant::now()));
                    continue;
                }
                Question::Drain(answer) => {
                    let _ = answer.send(());
                    Some(WorkerCommand::Drain(Drain::Last))
                }
            },
            _ = chores.tick(), if busy => {
                let mut worker = worker.borrow_mut();
                worker.sweep(Instant::now());
                if worker.may_hand_over() {
                    break;
                }
                continue;
            }
            () = async { sleep_until(end.unwrap_or_else(tokio::time::Instant::now)).await }, if end.is_some() => break,
        };
        let now = Instant::now();
        // The asker may have given up waiting.
        match command {
            None | Some(WorkerCommand::Stop) => return worker.borrow_mut().feed(now, Input::EndWaiting, None),
            Some(WorkerCommand::Names(targets)) => worker.borrow_mut().retarget(now, targets),
            Some(WorkerCommand::Slow(next_hop)) => worker.borrow_mut().feed(now, Input::LookUpTakesLong { next_hop }, None),
            Some(WorkerCommand::Answer { next_hop, servers, hold, failed }) => {
                worker.borrow_mut().feed(now, Input::LookedUp { next_hop, servers, hold, failed }, None);
            }
            Some(WorkerCommand::InUse(answer)) => drop(answer.send(worker.borrow().in_use())),
            Some(WorkerCommand::Reload(reload, answer)) => drop(answer.send(worker.borrow_mut().reload(now, reload))),
            Some(WorkerCommand::Drain(drain)) => {
                end.get_or_insert_with(|| tokio::time::Instant::from_std(now + worker.borrow().config.timers.drain));
                worker.borrow_mut().drain(now, drain);
            }
        }
    }
    {
        let mut worker = worker.borrow_mut();
        // Later packets are for the next process that has the socket.
        worker.sockets.stop_reading();
        worker.feed(Instant::now(), Input::EndWaiting, None);
    }
    // What is written but not sent yet gets its chance, except to peers that do not read by then.
    let _ = timeout(CLOSE, all_closed(&worker)).await;
}

/// Closes every stream connection after writing what is queued, and waits until all are gone.
async fn all_closed(worker: &RefCell<Worker>) {
    loop {
        let Some(gone) = worker.borrow_mut().streams.close_all() else { return };
        gone.notified().await;
    }
}
