//! A running daemon: its sockets bound, its threads started, and a handle to wait for it, change it and stop it.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};
use tracing::info;

use super::asking::NAMES;
use super::control::{Control, Order};
use super::turn::{self, Command, Start};
use super::{stream, udp};
use crate::admin::{Beside, Ready, Sources, Worker};
use crate::config::{Config, Listener, ListenerId, Transport};
use crate::dns::{Resolver, ResolverError};
use crate::telemetry::{Metrics, mirror};

/// Orders that wait for a busy thread. Senders wait beyond; no message passes here.
const QUEUE: usize = 64;

/// Why the daemon does not run, or ran no longer.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A socket cannot be had.
    #[error("cannot listen on {what}: {error}")]
    Bind {
        /// Which: `udp:127.0.0.1:5060 of region eu`, `admin 127.0.0.1:9090`.
        what: String,
        /// What the system says.
        error: io::Error,
    },
    /// Names cannot be resolved at all.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The system denied a thread, a runtime, randomness or a signal.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// A thread ended that should not have.
    #[error("the {0} thread has ended unexpectedly")]
    Ended(&'static str),
}

/// A running daemon. Dropped, it ends at once; [`Daemon::stop`] lets it finish.
#[derive(Debug)]
pub struct Daemon {
    config: Arc<Config>,
    metrics: Arc<Metrics>,
    ready: Arc<Ready>,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    asker: Worker,
    commands: mpsc::Sender<Command>,
    orders: mpsc::Sender<Order>,
    /// None where the worker has its caller's thread.
    worker: Option<JoinHandle<io::Result<()>>>,
    control: Option<JoinHandle<io::Result<()>>>,
}

impl Daemon {
    /// Binds every socket and starts the threads. Messages are taken from then on; see [`Daemon::ready`].
    pub fn start(config: Arc<Config>) -> Result<Self, RunError> {
        let (mut daemon, start) = Self::prepare(config)?;
        let worker = std::thread::Builder::new().name("ringfence-sip".to_owned());
        daemon.worker = Some(worker.spawn(move || turn::work(start))?);
        Ok(daemon)
    }

    /// Binds every socket and starts everything but the worker, which is handed out.
    pub(super) fn prepare(config: Arc<Config>) -> Result<(Self, Start), RunError> {
        let (mut udp, mut tcp, mut listeners) = (Vec::new(), Vec::new(), Vec::new());
        for (id, listener) in (0..).map(ListenerId).zip(&config.listeners) {
            let bound = bind(listener).map_err(|error| {
                let (region, transport) = (&config.region(listener.region).name, listener.transport.token());
                RunError::Bind { what: format!("{transport}:{} of region {region}", listener.addr), error }
            })?;
            match bound {
                Bound::Udp(socket) => {
                    listeners.push(socket.local_addr()?);
                    udp.push((id, socket));
                }
                Bound::Tcp(socket) => {
                    listeners.push(socket.local_addr()?);
                    tcp.push((id, socket));
                }
            }
        }
        let admin =
            config.admin.map(|addr| stream::bind(addr).map_err(|error| RunError::Bind { what: format!("admin {addr}"), error }));
        let admin = admin.transpose()?;
        let admin_addr = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let (metrics, ready) = (Arc::new(Metrics::new()), Arc::new(Ready::default()));
        let resolver = Resolver::new(Arc::clone(&config), Arc::clone(&metrics))?;
        metrics.config(&config.digest, true);

        let (commands, commanded) = mpsc::channel(QUEUE);
        let (orders, ordered) = mpsc::channel(QUEUE);
        let (asker, questions) = Worker::new();
        let (beside, asked) = Beside::new();
        let (lookups, wanted) = mpsc::channel(NAMES);
        let (mirror, mirrored) = mirror(&metrics);
        let start = Start {
            config: Arc::clone(&config),
            targets: Arc::new(resolver.targets()),
            metrics: Arc::clone(&metrics),
            seed: seed()?,
            udp,
            tcp,
            ready: Arc::clone(&ready),
            commands: commanded,
            questions,
            lookups,
            mirror,
        };
        let sources = Sources {
            metrics: Arc::clone(&metrics),
            ready: Arc::clone(&ready),
            worker: asker.clone(),
            beside,
            started: Instant::now(),
            hour: Mutex::default(),
        };
        let control = Control {
            config: Arc::clone(&config),
            loaded: Instant::now(),
            resolver,
            metrics: Arc::clone(&metrics),
            admin: admin.map(|listener| (listener, sources)),
            asked,
            worker: commands.clone(),
            mirrored: Some(mirrored),
            orders: ordered,
        };
        let control = std::thread::Builder::new().name("ringfence-admin".to_owned()).spawn(move || control.work(wanted))?;
        info!(?listeners, admin = ?admin_addr, digest = config.digest, "started");
        let (worker, control) = (None, Some(control));
        let daemon = Self { config, metrics, ready, listeners, admin: admin_addr, asker, commands, orders, worker, control };
        Ok((daemon, start))
    }

    /// Waits, so long at most, until the daemon takes calls; `false` if it does not by then.
    pub fn ready(&self, within: Duration) -> bool {
        self.ready.wait(within)
    }

    /// What keeps it from being ready; empty if it is.
    pub fn missing(&self) -> Vec<&'static str> {
        self.ready.missing()
    }

    /// The addresses bound, in the order of [`Config::listeners`]: they differ where the configuration says port 0.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The admin endpoint's address.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The metrics, as `/metrics` shows them, but for `ringfence_upstream_up`: that is asked of the worker at each scrape.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// Its readiness, to be awaited.
    pub(super) fn readiness(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }

    /// Asks its worker, for example whether its loop turns.
    pub(super) fn asker(&self) -> Worker {
        self.asker.clone()
    }

    /// Its worker, to be told to end at once.
    pub(super) fn commands(&self) -> mpsc::Sender<Command> {
        self.commands.clone()
    }

    /// Puts another configuration into effect, which must have the same listeners; says why not otherwise. Counted.
    /// Blocks until then: not for tasks.
    pub fn reload(&mut self, config: Config) -> Result<(), String> {
        let result = self.replace(Arc::new(config));
        self.reloaded(result.is_ok());
        result
    }

    /// Counts a reload.
    pub(super) fn reloaded(&self, ok: bool) {
        self.metrics.reloads(ok).increment(1);
    }

    fn replace(&mut self, config: Arc<Config>) -> Result<(), String> {
        if !same_listeners(&self.config, &config) {
            return Err("listeners, the names of regions, which are served, or the admin address differ: restart to change them"
                .to_owned());
        }
        let (done, result) = oneshot::channel();
        let gone = || "the admin thread has ended".to_owned();
        self.orders.blocking_send(Order::Reload(Arc::clone(&config), done)).map_err(|_| gone())?;
        result.blocking_recv().map_err(|_| gone())??;
        self.config = config;
        Ok(())
    }

    /// Takes no more calls, lets open transactions finish (`timers.drain` at most), and ends. Blocks until then: not for tasks.
    pub fn stop(mut self) -> Result<(), RunError> {
        self.ready.drain();
        // The only error is a worker that has ended already.
        let _ = self.commands.blocking_send(Command::Drain);
        self.ready.wait_for_end();
        self.finish()
    }

    fn finish(&mut self) -> Result<(), RunError> {
        let worker = end(self.worker.take(), "message");
        // Never full: orders are given one at a time. And never blocking: a daemon may be dropped inside a runtime.
        let _ = self.orders.try_send(Order::Stop);
        let control = end(self.control.take(), "admin");
        worker.and(control)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.control.is_some() {
            let _ = self.commands.try_send(Command::Stop);
            // Nobody is left to be told of an error.
            let _ = self.finish();
        }
    }
}

fn end(thread: Option<JoinHandle<io::Result<()>>>, name: &'static str) -> Result<(), RunError> {
    let Some(thread) = thread else { return Ok(()) };
    thread.join().map_err(|_| RunError::Ended(name))?.map_err(RunError::System)
}

enum Bound {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

fn bind(listener: &Listener) -> io::Result<Bound> {
    match listener.transport {
        Transport::Udp => udp::bind(listener.addr).map(Bound::Udp),
        Transport::Tcp | Transport::Tls => stream::bind(listener.addr).map(Bound::Tcp),
    }
}

/// Region ids stand in listeners, metrics and the core's memory: the served regions must keep theirs.
fn same_listeners(old: &Config, new: &Config) -> bool {
    let names = |config: &Config| config.regions.iter().map(|region| (region.name.clone(), region.served)).collect::<Vec<_>>();
    old.listeners == new.listeners && old.admin == new.admin && names(old) == names(new)
}

fn seed() -> io::Result<[u8; 16]> {
    let mut seed = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
