//! The gate's thread: takes connections, and is told of reloads. No message of SIP waits for it.

use std::cell::RefCell;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::server::GateServer;
use crate::admin::{Ready, WorkerHandle};
use crate::config::Config;
use crate::telemetry::Metrics;
use crate::telemetry::log::Limit;

/// The pause after the system refused to accept.
const REFUSED: Duration = Duration::from_millis(100);
/// How long the last answers may take to be sent, at the end.
const END: Duration = Duration::from_secs(1);
/// Reloads that wait for this thread. More wait with their sender.
const RELOADS: usize = 4;

/// Another configuration, and where to listen from then on, if that has changed.
type Reload = (Arc<Config>, Option<TcpListener>);

/// A running gate. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct GateThread {
    /// `None`: it is being dropped.
    reloads: Option<mpsc::Sender<Reload>>,
    thread: Option<JoinHandle<()>>,
    addr: SocketAddr,
}

/// What the gate needs of the daemon.
pub(crate) struct GateParts {
    /// The configuration in force.
    pub(crate) config: Arc<Config>,
    /// Tells verdicts.
    pub(crate) worker: WorkerHandle,
    /// Whether the daemon drains.
    pub(crate) ready: Arc<Ready>,
    /// Counts connections.
    pub(crate) metrics: Arc<Metrics>,
}

impl GateThread {
    /// Starts the thread.
    pub(crate) fn start(listener: TcpListener, parts: GateParts) -> io::Result<Self> {
        let addr = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        let listener = {
            let _inside = runtime.enter();
            tokio::net::TcpListener::from_std(listener)?
        };
        let (reloads, reloaded) = mpsc::channel(RELOADS);
        let thread = std::thread::Builder::new().name("ringfence-gate".to_owned());
        let thread = thread.spawn(move || {
            tokio::task::LocalSet::new().block_on(&runtime, run(listener, parts, reloaded));
        })?;
        Ok(Self { reloads: Some(reloads), thread: Some(thread), addr })
    }

    /// The address that it listens on.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Puts another configuration into effect. `listener`: where it listens from then on, if that changes. Blocks until there is room for it,
    /// so tasks must not call it.
    pub(crate) fn reload(&mut self, config: &Arc<Config>, listener: Option<TcpListener>) {
        if let Some(addr) = listener.as_ref().and_then(|listener| listener.local_addr().ok()) {
            self.addr = addr;
        }
        if let Some(reloads) = &self.reloads {
            // The only error is a thread that has ended.
            let _ = reloads.blocking_send((Arc::clone(config), listener));
        }
    }
}

impl Drop for GateThread {
    fn drop(&mut self) {
        drop(self.reloads.take());
        if let Some(thread) = self.thread.take() {
            // A panic of that thread has been logged; the daemon is ending anyway.
            let _ = thread.join();
        }
    }
}

async fn run(mut listener: tokio::net::TcpListener, parts: GateParts, mut reloads: mpsc::Receiver<Reload>) {
    let GateParts { config, worker, ready, metrics } = parts;
    metrics.gate_connections(0);
    for cause in ["outside", "full"] {
        metrics.gate_turned_away(cause).increment(0);
    }
    let connections = RefCell::default();
    let [outside, odd, untold] = [(), (), ()].map(|()| RefCell::new(Limit::new()));
    let (ending, _) = watch::channel(false);
    let config = RefCell::new(config);
    let server = Rc::new(GateServer { config, worker, ready, metrics, connections, outside, odd, untold, ending });
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, peer)) => server.accept(stream, peer),
                Err(_) => tokio::time::sleep(REFUSED).await,
            },
            reload = reloads.recv() => match reload {
                None => break,
                Some((config, moved)) => {
                    server.configure(config);
                    if let Some(moved) = moved.and_then(|moved| tokio::net::TcpListener::from_std(moved).ok()) {
                        listener = moved;
                    }
                }
            },
        }
    }
    drop(listener);
    server.ending.send_replace(true);
    // Each connection has subscribed to it while it lasts.
    let _ = tokio::time::timeout(END, server.ending.closed()).await;
}
