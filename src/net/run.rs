//! The daemon as a process: signals, systemd, exit.
//!
//! SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reloads.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::interval;
use tracing::{error, info, warn};

use super::daemon::{Daemon, RunError};
use super::notify;
use crate::config::Config;

/// How often the threads are looked after. Nothing waits for it but the end of a daemon that is broken.
const WATCH: Duration = Duration::from_millis(200);

/// Runs a daemon until a signal ends it. `path` is what SIGHUP loads.
pub fn run(config: Arc<Config>, path: PathBuf) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Before the sockets: a signal that comes while starting must not kill half a daemon.
    let signals = runtime.block_on(async { Signals::new() })?;
    let daemon = Daemon::start(config)?;
    let ended = runtime.block_on(signals.obey(daemon, path));
    // After a second signal the drain may still be under way: it ends with the process.
    runtime.shutdown_background();
    ended
}

struct Signals {
    end: End,
    hang_up: Signal,
}

struct End {
    terminate: Signal,
    interrupt: Signal,
}

impl End {
    async fn recv(&mut self) {
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
        }
    }
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        let end = End { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? };
        Ok(Self { end, hang_up: signal(SignalKind::hangup())? })
    }

    async fn obey(mut self, mut daemon: Daemon, path: PathBuf) -> Result<(), RunError> {
        let mut watch = interval(WATCH);
        let mut told = false;
        loop {
            tokio::select! {
                () = self.end.recv() => break,
                _ = self.hang_up.recv() => daemon = reloaded(daemon, path.clone()).await?,
                _ = watch.tick() => {
                    daemon.alive()?;
                    if !told && daemon.missing().is_empty() {
                        told = true;
                        notify::ready();
                        info!("ready");
                    }
                }
            }
        }
        info!("draining");
        notify::stopping();
        let ending = tokio::task::spawn_blocking(move || daemon.stop());
        tokio::select! {
            ended = ending => ended.unwrap_or(Err(RunError::Ended("message"))),
            () = self.end.recv() => {
                warn!("ended by a second signal");
                Ok(())
            }
        }
    }
}

/// Loads the configuration again. A mistake changes nothing.
async fn reloaded(mut daemon: Daemon, path: PathBuf) -> Result<Daemon, RunError> {
    notify::reloading();
    let reload = move || {
        let result = match crate::config::load(&path) {
            Ok(config) => daemon.reload(config),
            Err(mistakes) => {
                daemon.reloaded(false);
                Err(mistakes.to_string())
            }
        };
        (daemon, result)
    };
    let (daemon, result) = tokio::task::spawn_blocking(reload).await.map_err(|_| RunError::Ended("reload"))?;
    match result {
        Ok(()) => info!("reloaded"),
        Err(mistakes) => error!("not reloaded, nothing has changed: {mistakes}"),
    }
    notify::ready();
    Ok(daemon)
}
