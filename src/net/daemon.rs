//! A running daemon: its sockets are bound and its threads started. The handle waits for it, changes it and stops it.

use std::io::{self, Read};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use tokio::sync::{mpsc, oneshot};
use tracing::{error, info, warn};

use super::activation::Activation;
use super::control::{Admin, Control, ControlOrder};
use super::event_loop::{self, WorkerCommand, WorkerStart};
use super::name_lookups::NAMES;
use super::reload::Reload;
use super::sockets::Bound;
use super::stream;
use super::worker::Drain;
use crate::admin::{
    Connections, ControlHandle, LastReload, OwnHosts, Ready, ReloadAnswer, ReloadDoor, ReloadOutcome, Sources, WorkerHandle,
};
use crate::audit::{self, AuditError, AuditWriter};
use crate::config::{Config, Differences, Listener, ListenerId};
use crate::core::Change;
use crate::dns::{Resolver, ResolverError};
use crate::gate::{GateParts, GateThread};
use crate::telemetry::refused::{RefusedRing, refused_queue};
use crate::telemetry::watch::watchers;
use crate::telemetry::{Handles, Metrics, Observers, hep_queue};

/// Orders that wait for a busy thread. If there are more, their senders wait; no message passes here.
const QUEUE: usize = 64;
/// Most changes of a reload that are told one by one.
const LISTED: usize = 50;

/// Why the daemon does not start, or has ended.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A socket is unavailable.
    #[error("cannot listen on {what}: {error}{}", remedy(error, *addr, *stream).map(|what| format!("\n  = {what}")).unwrap_or_default())]
    Bind {
        /// The socket: `udp:127.0.0.1:5060 of region eu`, `admin 127.0.0.1:9090`.
        what: String,
        /// Its address.
        addr: SocketAddr,
        /// Whether it is of TCP.
        stream: bool,
        /// The error of the system.
        error: io::Error,
    },
    /// Names cannot be resolved at all.
    #[error(transparent)]
    Resolver(#[from] ResolverError),
    /// The audit record cannot be kept.
    #[error("cannot keep the audit record: {0}")]
    Audit(#[from] AuditError),
    /// The system denied a thread, a runtime, randomness or a signal.
    #[error("cannot start: {0}")]
    System(#[from] io::Error),
    /// A thread ended unexpectedly.
    #[error("the {0} thread has ended unexpectedly")]
    Ended(&'static str),
}

/// What to do about a socket that cannot be had, if it is one of the usual causes. `stream`: it is of TCP.
pub(crate) fn remedy(error: &io::Error, addr: SocketAddr, stream: bool) -> Option<String> {
    let (ip, port) = (addr.ip(), addr.port());
    Some(match error.kind() {
        io::ErrorKind::AddrNotAvailable => format!(
            "this machine has no address {ip}: behind NAT listen on the private address, and set `advertise = \"{ip}\"` in the region"
        ),
        io::ErrorKind::AddrInUse => {
            let kind = if stream { 't' } else { 'u' };
            format!("somebody has the port, maybe this daemon already: `ss -ln{kind}p 'sport = :{port}'` says who")
        }
        io::ErrorKind::PermissionDenied if port < 1024 => {
            "a port below 1024 takes the capability CAP_NET_BIND_SERVICE, or another port".to_owned()
        }
        _ => return None,
    })
}

/// A running daemon. If dropped, it ends at once; [`Daemon::stop`] lets it finish.
#[derive(Debug)]
pub struct Daemon {
    config: Arc<Config>,
    seed: [u8; 16],
    activation: Activation,
    metrics: Arc<Metrics>,
    ready: Arc<Ready>,
    listeners: Vec<SocketAddr>,
    admin: Option<SocketAddr>,
    /// The realtime gate, if there is one.
    gate: Option<GateThread>,
    asker: WorkerHandle,
    commands: mpsc::Sender<WorkerCommand>,
    orders: mpsc::Sender<ControlOrder>,
    /// Reloads that the admin endpoint asks for, until somebody takes them on.
    reloads: Option<mpsc::Receiver<ReloadAnswer>>,
    last_reload: LastReload,
    /// The audit record, if one is kept.
    audit: Option<AuditWriter>,
    /// `None`: the worker runs on its caller's thread.
    worker: Option<JoinHandle<io::Result<()>>>,
    control: Option<JoinHandle<io::Result<()>>>,
}

impl Daemon {
    /// Binds every socket and starts the threads. Messages are taken from then on; see [`Daemon::ready`].
    pub fn start(config: Arc<Config>) -> Result<Self, RunError> {
        let (mut daemon, start) = Self::prepare(config, Activation::default())?;
        // Only a program that knows the file can load it again.
        daemon.reloads = None;
        let worker = std::thread::Builder::new().name("ringfence-sip".to_owned());
        daemon.worker = Some(worker.spawn(move || event_loop::work(start))?);
        Ok(daemon)
    }

    /// Binds every socket that was not passed, and starts everything but the worker, which is handed out.
    pub(super) fn prepare(config: Arc<Config>, activation: Activation) -> Result<(Self, WorkerStart), RunError> {
        let (mut bound, mut listeners) = (Vec::new(), Vec::new());
        for (id, listener) in (0..).map(ListenerId).zip(&config.listeners) {
            let socket = open(&config, listener, &activation)?;
            listeners.push(socket.addr()?);
            bound.push((id, socket));
        }
        activation.compare(&config);
        let admin = config.admin.map(open_admin).transpose()?;
        let admin_addr = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        let gate = config.gate.as_ref().map(|gate| open_gate(gate.listen)).transpose()?;
        let (metrics, ready) = (Arc::new(Metrics::new()), Arc::new(Ready::default()));
        let resolver = Resolver::new(Arc::clone(&config), Arc::clone(&metrics))?;
        metrics.config(&config.digest, true);

        let seed = seed()?;
        let (commands, commanded) = mpsc::channel(QUEUE);
        let (orders, ordered) = mpsc::channel(QUEUE);
        let (asker, questions) = WorkerHandle::new();
        let (control_handle, asked) = ControlHandle::new();
        let (lookups, wanted) = mpsc::channel(NAMES);
        let (kept, used) = mpsc::channel(NAMES);
        let (copies, queued) = hep_queue(&metrics);
        let (watch_door, watchers) = watchers(&metrics);
        let (refused, kept_refused) = refused_queue(&metrics);
        let (reload_door, reloads, last_reload) = ReloadDoor::new();
        let reloads = Some(reloads);
        let (spool, audit) = AuditWriter::start(&config, seed)?.unzip();
        let start = WorkerStart {
            config: Arc::clone(&config),
            targets: Arc::new(resolver.targets()),
            metrics: Arc::clone(&metrics),
            seed,
            bound,
            ready: Arc::clone(&ready),
            commands: commanded,
            questions,
            lookups,
            kept,
            observers: Observers { copies, watchers, refused, spool },
        };
        let sources = Sources {
            metrics: Arc::clone(&metrics),
            ready: Arc::clone(&ready),
            worker: asker.clone(),
            control_handle,
            started: Instant::now(),
            hour: Mutex::default(),
            connections: Connections::default(),
            watch_door,
            reload_door,
            names_in_trouble: Mutex::default(),
            refused: Mutex::new(RefusedRing::new(&config)),
            own_hosts: Mutex::new(Arc::new(OwnHosts::of(&config))),
            audit: audit.as_ref().map(AuditWriter::standing),
        };
        let control = Control {
            config: Arc::clone(&config),
            loaded: Instant::now(),
            resolver,
            metrics: Arc::clone(&metrics),
            admin,
            sources: Arc::new(sources),
            asked,
            worker: commands.clone(),
            queued: Some(queued),
            refused: Some(kept_refused),
            orders: ordered,
        };
        let control = std::thread::Builder::new().name("ringfence-admin".to_owned()).spawn(move || control.work(wanted, used))?;
        let bound = config.listeners.iter().zip(&listeners).map(|(of, addr)| format!("{}:{addr}", of.transport.token()));
        let bound = bound.collect::<Vec<_>>().join(" ");
        info!(listeners = bound, admin = admin_addr.map(display), digest = config.digest, "started");
        let (worker, control) = (None, Some(control));
        let gate = gate.map(|listener| start_gate(listener, (&config, &asker, &ready, &metrics))).transpose()?;
        let admin = admin_addr;
        let daemon = Self {
            config,
            seed,
            activation,
            metrics,
            ready,
            listeners,
            admin,
            gate,
            asker,
            commands,
            orders,
            reloads,
            last_reload,
            audit,
            worker,
            control,
        };
        Ok((daemon, start))
    }

    /// Waits until the daemon takes calls, for `within` at most. `false`: it does not take them by then.
    pub fn ready(&self, within: Duration) -> bool {
        self.ready.wait(within)
    }

    /// The latches that are not open yet. Empty: the daemon is ready.
    pub fn missing(&self) -> Vec<&'static str> {
        self.ready.missing()
    }

    /// The addresses bound: in the order of [`Config::listeners`], then those that are leaving. They differ from the
    /// configuration if that says port 0.
    pub fn listeners(&self) -> &[SocketAddr] {
        &self.listeners
    }

    /// The admin endpoint's address.
    pub fn admin(&self) -> Option<SocketAddr> {
        self.admin
    }

    /// The address that the gate listens on.
    pub fn gate(&self) -> Option<SocketAddr> {
        self.gate.as_ref().map(GateThread::addr)
    }

    /// The metrics, as `/metrics` shows them, but without `ringfence_upstream_up`: only the worker knows that, and is asked at
    /// each scrape.
    pub fn metrics(&self) -> String {
        self.metrics.render()
    }

    /// Its readiness, for tasks that wait for it.
    pub(super) fn readiness(&self) -> Arc<Ready> {
        Arc::clone(&self.ready)
    }

    /// A handle to ask its worker questions, for example whether its loop turns.
    pub(super) fn asker(&self) -> WorkerHandle {
        self.asker.clone()
    }

    /// The channel for commands to its worker, for example to end at once.
    pub(super) fn commands(&self) -> mpsc::Sender<WorkerCommand> {
        self.commands.clone()
    }

    /// The reloads that the admin endpoint asks for. Whoever takes them must answer them.
    pub(super) fn take_reloads(&mut self) -> Option<mpsc::Receiver<ReloadAnswer>> {
        self.reloads.take()
    }

    /// Loads the configuration from its file and puts it into effect, or changes nothing. Logs, counts and notes what became of it. Blocks
    /// until then, so tasks must not call it.
    pub(super) fn load_again(&mut self, path: &Path) -> Arc<ReloadOutcome> {
        let result = match crate::config::load(path) {
            Ok(config) => {
                let found = Differences::between(&self.config, &config, LISTED);
                let mut warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
                warnings.extend(self.needs_restart(&config).map(str::to_owned));
                self.reload(config).map(|paused| (paused, found, warnings)).map_err(|why| vec![why])
            }
            Err(error) => {
                self.reloaded(false);
                Err(error.mistakes.iter().map(ToString::to_string).collect())
            }
        };
        let digest = self.config.digest.clone();
        let (ok, changes, mistakes, warnings) = match result {
            Ok((paused, found, warnings)) => {
                let lines = found.lines();
                info!(digest, paused_us = paused.as_micros(), "reloaded: {}", lines.last().map_or("", String::as_str));
                for line in lines.split_last().map_or(&[][..], |(_, lines)| lines) {
                    info!("reloaded: {line}");
                }
                for warning in &warnings {
                    warn!("reloaded: {warning}");
                }
                (true, lines, Vec::new(), warnings)
            }
            Err(mistakes) => {
                error!("not reloaded, nothing has changed: {}", mistakes.join("\n\n"));
                (false, Vec::new(), mistakes, Vec::new())
            }
        };
        let outcome = Arc::new(ReloadOutcome { at: SystemTime::now(), ok, digest, changes, mistakes, warnings });
        self.last_reload.note(&outcome);
        outcome
    }

    /// Puts another configuration into effect, or says why nothing has changed, and counts the reload. Returns how long messages
    /// had to wait for it. Blocks until then, so tasks must not call it.
    pub fn reload(&mut self, config: Config) -> Result<Duration, String> {
        let result = self.replace(config);
        self.reloaded(result.is_ok());
        result
    }

    /// Counts a reload.
    fn reloaded(&self, ok: bool) {
        self.metrics.reloads(ok).increment(1);
    }

    /// Does everything that takes time: binding, building, and dropping the former configuration.
    fn replace(&mut self, config: Config) -> Result<Duration, String> {
        let gone = || "a thread has ended".to_owned();
        let (answer, in_use) = oneshot::channel();
        self.commands.blocking_send(WorkerCommand::InUse(answer)).map_err(|_| gone())?;
        let in_use = in_use.blocking_recv().map_err(|_| gone())?;
        let mut config =
            config.succeeding(&self.config, &in_use.needed).ok_or("more is leaving than can be counted: try later")?;
        // Whether there is a record changes at a start alone: one that is kept goes on to be told everything.
        match (&self.audit, &config.audit) {
            (Some(_), None) => config.audit.clone_from(&self.config.audit),
            (None, Some(_)) => config.audit = None,
            _ => {}
        }
        let config = Arc::new(config);
        let (mut bound, mut listeners) = (Vec::new(), Vec::new());
        for (id, listener) in (0..).map(ListenerId).zip(&config.listeners).filter(|(_, listener)| !listener.leaving) {
            let same = |open: &&ListenerId| self.config.listener(**open).is_same_socket(listener);
            let kept = in_use.open.iter().find(same).and_then(|&open| self.listeners.get(usize::from(open.0)));
            if let Some(addr) = kept {
                listeners.push(*addr);
                continue;
            }
            let socket = open(&config, listener, &self.activation).map_err(|error| error.to_string())?;
            listeners.push(socket.addr().map_err(|error| error.to_string())?);
            bound.push((id, socket));
        }
        // Those that are leaving keep their addresses, should the next configuration want them back.
        for listener in config.listeners.iter().filter(|listener| listener.leaving) {
            let at = self.config.listeners.iter().position(|other| other.is_same_socket(listener));
            listeners.push(at.and_then(|at| self.listeners.get(at)).copied().unwrap_or(listener.addr));
        }
        let (admin, admin_addr) = self.admin_of(&config).map_err(|error| error.to_string())?;
        let gate = self.gate_of(&config).map_err(|error| error.to_string())?;
        let change = Change::between(&self.config, Arc::clone(&config), self.seed);
        let handles = Handles::new(Arc::clone(&self.metrics), Arc::clone(&config));
        let mark = self.audit.as_mut().and_then(|audit| audit.prepare(&config));
        let reload = Box::new(Reload { change, handles, bound, mark, took: Duration::ZERO });
        let (done, result) = oneshot::channel();
        let sent = self.orders.blocking_send(ControlOrder::Reload(reload, admin, done)).map_err(|_| gone());
        let former = match sent.and_then(|()| result.blocking_recv().map_err(|_| gone())) {
            Ok(Ok(former)) => former,
            Ok(Err(why)) | Err(why) => {
                self.metrics.keep(&self.config, &self.config);
                return Err(why);
            }
        };
        self.metrics.keep(&config, &self.config);
        self.activation.compare(&config);
        if let Some(audit) = &self.audit {
            audit.reload(&config);
        }
        self.move_gate(&config, gate);
        (self.config, self.listeners, self.admin) = (config, listeners, admin_addr);
        Ok(former.took)
    }

    /// What of a configuration takes effect only at the next start.
    fn needs_restart(&self, config: &Config) -> Option<&'static str> {
        let same = match (&self.audit, &config.audit) {
            (None, None) => true,
            (Some(running), Some(wanted)) => running.is_kept_as(wanted),
            _ => false,
        };
        (!same).then_some(audit::RESTART)
    }

    fn admin_of(&self, config: &Config) -> Result<(Admin, Option<SocketAddr>), RunError> {
        if config.admin == self.config.admin {
            return Ok((Admin::Same, self.admin));
        }
        let admin = config.admin.map(open_admin).transpose()?;
        let addr = admin.as_ref().map(TcpListener::local_addr).transpose()?;
        Ok((Admin::At(admin), addr))
    }

    /// The new listener that the gate needs, if it needs one.
    fn gate_of(&self, config: &Config) -> Result<Option<TcpListener>, RunError> {
        let listen = |config: &Config| config.gate.as_ref().map(|gate| gate.listen);
        let wanted = listen(config).filter(|_| self.gate.is_none() || listen(config) != listen(&self.config));
        wanted.map(open_gate).transpose()
    }

    /// Starts, moves or ends the gate, as another configuration says that is in force by now.
    fn move_gate(&mut self, config: &Arc<Config>, listener: Option<TcpListener>) {
        match (&mut self.gate, listener) {
            (Some(_), _) if config.gate.is_none() => self.gate = None,
            (Some(gate), listener) => gate.reload(config, listener),
            (None, Some(listener)) => match start_gate(listener, (config, &self.asker, &self.ready, &self.metrics)) {
                Ok(gate) => self.gate = Some(gate),
                // Everything else is in force. Reverse proxies refuse while there is no gate.
                Err(error) => error!(%error, "the gate has not started: reload once more"),
            },
            (None, None) => {}
        }
    }

    /// Takes no more calls, lets open transactions finish (`timers.drain` at most), and ends. Blocks until then, so tasks must
    /// not call it.
    pub fn stop(self) -> Result<(), RunError> {
        self.end(Drain::Last)
    }

    /// Does the same. If systemd passed the sockets, another process takes them over with the packets that wait there, unless the
    /// daemon was told otherwise.
    pub(super) fn hand_over(self) -> Result<(), RunError> {
        let drain = if self.activation.any() { Drain::HandOver } else { Drain::Last };
        self.end(drain)
    }

    fn end(mut self, drain: Drain) -> Result<(), RunError> {
        self.ready.drain();
        // The only error is a worker that has ended already.
        let _ = self.commands.blocking_send(WorkerCommand::Drain(drain));
        self.ready.wait_for_end();
        let result = self.finish();
        // Last: everything that was decided is in the spool.
        if let Some(audit) = self.audit.take() {
            audit.end(drain == Drain::HandOver);
        }
        result
    }

    fn finish(&mut self) -> Result<(), RunError> {
        let worker = joined(self.worker.take(), "message");
        self.gate = None;
        // Never full: orders are given one at a time. And never blocking: a daemon may be dropped inside a runtime.
        let _ = self.orders.try_send(ControlOrder::Stop);
        let control = joined(self.control.take(), "admin");
        worker.and(control)
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if self.control.is_some() {
            let _ = self.commands.try_send(WorkerCommand::Stop);
            // Nobody is left to be told of an error.
            let _ = self.finish();
        }
    }
}

fn joined(thread: Option<JoinHandle<io::Result<()>>>, name: &'static str) -> Result<(), RunError> {
    let Some(thread) = thread else { return Ok(()) };
    thread.join().map_err(|_| RunError::Ended(name))?.map_err(RunError::System)
}

/// The socket of a listener: the one that was passed for it, or a new one.
fn open(config: &Config, listener: &Listener, activation: &Activation) -> Result<Bound, RunError> {
    let bound = activation.find(listener).and_then(|found| found.map_or_else(|| Bound::to(listener), Ok));
    bound.map_err(|error| {
        let (region, transport) = (&config.region(listener.region).name, listener.transport.token());
        let (addr, stream) = (listener.addr, listener.transport.reliable());
        RunError::Bind { what: format!("{transport}:{addr} of region {region}"), addr, stream, error }
    })
}

fn open_admin(addr: SocketAddr) -> Result<TcpListener, RunError> {
    stream::bind(addr).map_err(|error| RunError::Bind { what: format!("admin {addr}"), addr, stream: true, error })
}

fn open_gate(addr: SocketAddr) -> Result<TcpListener, RunError> {
    stream::bind(addr).map_err(|error| RunError::Bind { what: format!("gate {addr}"), addr, stream: true, error })
}

fn start_gate(
    listener: TcpListener,
    (config, worker, ready, metrics): (&Arc<Config>, &WorkerHandle, &Arc<Ready>, &Arc<Metrics>),
) -> io::Result<GateThread> {
    let (config, worker) = (Arc::clone(config), worker.clone());
    GateThread::start(listener, GateParts { config, worker, ready: Arc::clone(ready), metrics: Arc::clone(metrics) })
}

fn seed() -> io::Result<[u8; 16]> {
    let mut seed = [0; 16];
    std::fs::File::open("/dev/urandom")?.read_exact(&mut seed)?;
    Ok(seed)
}
