//! The daemon as a process: signals, systemd, exit.
//!
//! SIGTERM and SIGINT drain, a second one ends at once; SIGHUP reloads.

use std::path::PathBuf;
use std::sync::Arc;

use tokio::signal::unix::{Signal, SignalKind, signal};
use tracing::{error, info, warn};

use super::daemon::{Daemon, RunError};
use super::notify;
use super::turn::{self, Command};
use crate::config::Config;

/// Runs a daemon until a signal ends it. `path` is what SIGHUP loads.
///
/// Messages are handled on the calling thread; call it from the main one, whose allocator grows in larger steps.
pub fn run(config: Arc<Config>, path: PathBuf) -> Result<(), RunError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
    // Before the sockets: a signal that comes while starting must not kill half a daemon.
    let signals = runtime.block_on(async { Signals::new() })?;
    let (daemon, start) = Daemon::prepare(config)?;
    let obeying = std::thread::Builder::new().name("ringfence-signal".to_owned());
    let obeying = obeying.spawn(move || runtime.block_on(signals.obey(daemon, path)))?;
    turn::work(start)?;
    obeying.join().map_err(|_| RunError::Ended("signal"))?
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
        let (ready, commands) = (daemon.readiness(), daemon.commands());
        tokio::spawn(notify::watch(daemon.asker()));
        let mut told = false;
        loop {
            tokio::select! {
                () = self.end.recv() => break,
                () = ready.ended() => return Err(RunError::Ended("message")),
                _ = self.hang_up.recv() => daemon = reloaded(daemon, path.clone()).await?,
                // Names may still be unknown: that is for `/readyz`, and a restart would not help.
                () = ready.listening(), if !told => {
                    told = true;
                    notify::ready();
                }
            }
        }
        info!("draining");
        notify::stopping();
        let mut ending = tokio::task::spawn_blocking(move || daemon.stop());
        let ended = tokio::select! {
            ended = &mut ending => ended,
            () = self.end.recv() => {
                warn!("ended by a second signal");
                let _ = commands.send(Command::Stop).await;
                ending.await
            }
        };
        ended.unwrap_or(Err(RunError::Ended("signal")))
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
