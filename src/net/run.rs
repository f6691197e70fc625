//! The daemon as a process: signals, systemd, exit.
//!
//! SIGTERM and SIGINT drain; a second signal ends the daemon at once. SIGHUP reloads, and so does `POST /reload`. `POST /drain` drains too: a signal after it
//! changes nothing, and a second one ends the daemon at once. After SIGTERM, the next process gets the sockets that systemd
//! passed, with the packets that wait there. After SIGINT and `POST /drain` it does not, because nobody has said that a next
//! process comes.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tracing::{info, warn};

use super::activation::Activation;
use super::daemon::{Daemon, RunError};
use super::event_loop::{self, WorkerCommand};
use super::notify;
use crate::admin::{ReloadAnswer, ReloadOutcome};
use crate::config::Config;

/// Runs a daemon until a signal ends it. `path` is what SIGHUP loads.
///
/// Messages are handled on the calling thread; call it from the main one, whose allocator grows in larger steps.
pub fn run(config: Arc<Config>, path: PathBuf) -> Result<(), RunError> {
    // The environment may be changed while there is one thread.
    let activation = Activation::take();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Before the sockets: a signal that comes while starting must not kill half a daemon.
    let signals = runtime.block_on(async { Signals::new() })?;
    let (daemon, start) = Daemon::prepare(config, activation)?;
    let obeying = std::thread::Builder::new().name("ringfence-signal".to_owned());
    let obeying = obeying.spawn(move || runtime.block_on(signals.obey(daemon, path)))?;
    event_loop::work(start)?;
    obeying.join().map_err(|_| RunError::Ended("signal"))?
}

struct Signals {
    end: EndSignals,
    hang_up: Signal,
}

struct EndSignals {
    terminate: Signal,
    interrupt: Signal,
}

impl EndSignals {
    /// Waits for the next signal. Returns whether it is the one that announces a successor.
    async fn recv(&mut self) -> bool {
        tokio::select! {
            _ = self.terminate.recv() => true,
            _ = self.interrupt.recv() => false,
        }
    }
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let end = EndSignals { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        Ok(Self { end, hang_up: signal(SignalKind::hangup())? })
    }

    async fn obey(mut self, mut daemon: Daemon, path: PathBuf) -> Result<(), RunError> {
        let (ready, commands) = (daemon.readiness(), daemon.commands());
        let mut reloads = daemon.take_reloads();
        tokio::spawn(notify::watch(daemon.asker()));
        let mut told = false;
        // What ends it: a signal, with whether a successor comes, or the admin endpoint.
        let asked = loop {
            tokio::select! {
                successor = self.end.recv() => break Some(successor),
                () = ready.draining() => break None,
                _ = self.hang_up.recv() => daemon = reloaded(daemon, path.clone()).await?.0,
                Some(asker) = next(&mut reloads) => {
                    let outcome;
                    (daemon, outcome) = reloaded(daemon, path.clone()).await?;
                    // The asker may have gone. The change is made all the same.
                    let _ = asker.send(outcome);
                }
                // Names may still be unknown: that is for `/readyz`, and a restart would not help.
                () = ready.listening(), if !told => {
                    told = true;
                    notify::ready();
                }
            }
        };
        if asked.is_none() && !ready.was_asked_to_drain() {
            return Err(RunError::Ended("message"));
        }
        info!("draining");
        notify::stopping();
        let mut ending =
            tokio::task::spawn_blocking(move || if asked == Some(true) { daemon.hand_over() } else { daemon.stop() });
        let (began, mut signals) = (Instant::now(), usize::from(asked.is_some()));
        let ended = loop {
            tokio::select! {
                ended = &mut ending => {
                    if matches!(ended, Ok(Ok(()))) {
                        info!(after_ms = began.elapsed().as_millis(), "drained, ended");
                    }
                    break ended;
                }
                _ = self.end.recv() => signals += 1,
            }
            if signals > 1 {
                warn!("ended by a second signal");
                let _ = commands.send(WorkerCommand::Stop).await;
                break ending.await;
            }
        };
        ended.unwrap_or(Err(RunError::Ended("signal")))
    }
}

/// The next reload that the admin endpoint asks for.
async fn next(reloads: &mut Option<mpsc::Receiver<ReloadAnswer>>) -> Option<ReloadAnswer> {
    match reloads {
        Some(reloads) => reloads.recv().await,
        None => None,
    }
}

/// Loads the configuration again. If it has a mistake, nothing changes.
async fn reloaded(mut daemon: Daemon, path: PathBuf) -> Result<(Daemon, Arc<ReloadOutcome>), RunError> {
    notify::reloading();
    let reload = move || {
        let outcome = daemon.load_again(&path);
        (daemon, outcome)
    };
    let reloaded = tokio::task::spawn_blocking(reload).await.map_err(|_| RunError::Ended("reload"))?;
    notify::ready();
    Ok(reloaded)
}
