//! The thread beside the worker: names, admin endpoint, upkeep of metrics, reloads. Never touches a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinSet;
use tracing::{info, warn};

use super::event_loop::WorkerCommand;
use super::hep;
use super::name_lookups;
use super::reload::Reload;
use crate::admin::{ControlQuestions, Known, Sources, troubles};
use crate::config::{Config, Dns, NextHop};
use crate::dns::{Lookup, Resolver};
use crate::telemetry::refused::RefusedReceiver;
use crate::telemetry::{HepReceiver, Metrics};

/// How often histogram samples are taken out of their buffers.
const UPKEEP: Duration = Duration::from_secs(5);
/// How long a new configuration waits for its new names before it takes effect without them.
const NAMES: Duration = Duration::from_secs(3);

/// An order to this thread.
#[derive(Debug)]
pub(super) enum ControlOrder {
    /// Put another configuration into effect. Everything but its resolved names is ready. Hand back the former one, or say why
    /// nothing has changed.
    Reload(Box<Reload>, Admin, oneshot::Sender<Result<Box<Reload>, String>>),
    /// End: close the admin endpoint and return.
    Stop,
}

/// What happens to the admin endpoint at a reload.
#[derive(Debug)]
pub(super) enum Admin {
    /// It stays where it is.
    Same,
    /// It moves to this listener, or ends.
    At(Option<std::net::TcpListener>),
}

/// All that this thread works with.
pub(super) struct Control {
    pub(super) config: Arc<Config>,
    /// When the configuration came into force.
    pub(super) loaded: Instant,
    pub(super) resolver: Resolver,
    pub(super) metrics: Arc<Metrics>,
    pub(super) admin: Option<std::net::TcpListener>,
    pub(super) sources: Arc<Sources>,
    /// Questions from the admin endpoint.
    pub(super) asked: ControlQuestions,
    pub(super) worker: mpsc::Sender<WorkerCommand>,
    /// Copies of messages for collectors. Taken out once.
    pub(super) queued: Option<HepReceiver>,
    /// What was refused, for operators who ask later. Taken out once.
    pub(super) refused: Option<RefusedReceiver>,
    pub(super) orders: mpsc::Receiver<ControlOrder>,
}

impl Control {
    /// Runs on this thread until told to end. `wanted`: names that a message needs, to be looked up. `used`: names of trunks, to be kept
    /// resolved for a while.
    pub(super) fn work(self, wanted: mpsc::Receiver<NextHop>, used: mpsc::Receiver<NextHop>) -> std::io::Result<()> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().enable_time().build()?;
        runtime.block_on(self.run(wanted, used))
    }

    async fn run(mut self, wanted: mpsc::Receiver<NextHop>, mut used: mpsc::Receiver<NextHop>) -> std::io::Result<()> {
        let mut serving = JoinSet::new();
        let admin = self.admin.take();
        self.serve(&mut serving, admin)?;
        if let Some(queued) = self.queued.take() {
            tokio::spawn(hep::send_copies(queued));
        }
        if let Some(mut refused) = self.refused.take() {
            let sources = Arc::clone(&self.sources);
            tokio::spawn(async move { while refused.next(&sources.refused).await {} });
        }
        let (lookup, looking) = watch::channel(of_servers(&self.config.dns));
        // A task of its own: a reload waits for names, and these may not wait for it.
        tokio::spawn(name_lookups::answer(wanted, looking, self.worker.clone()));
        let mut upkeep = tokio::time::interval(UPKEEP);
        upkeep.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        // Without names everything is known from the start.
        self.tell(WorkerCommand::Names(Arc::new(self.resolver.targets()))).await;
        loop {
            tokio::select! {
                targets = self.resolver.changed() => {
                    self.tell(WorkerCommand::Names(Arc::new(targets))).await;
                    self.warn();
                }
                Some(next_hop) = used.recv() => if self.resolver.keep(&next_hop) {
                    self.tell(WorkerCommand::Names(Arc::new(self.resolver.targets()))).await;
                },
                _ = upkeep.tick() => {
                    self.metrics.upkeep();
                    // Names that nobody answers for change nothing.
                    if self.loaded.elapsed() >= UPKEEP {
                        self.warn();
                    }
                }
                Some(answer) = self.asked.recv() => self.answer(answer),
                order = self.orders.recv() => match order {
                    None | Some(ControlOrder::Stop) => {
                        serving.shutdown().await;
                        self.sources.connections.end().await;
                        return Ok(());
                    }
                    Some(ControlOrder::Reload(reload, admin, done)) => {
                        let result = self.reload(reload).await;
                        if let (Ok(_), Admin::At(listener)) = (&result, admin) {
                            self.serve(&mut serving, listener)?;
                        }
                        lookup.send_replace(of_servers(&self.config.dns));
                        // The asker may have gone. The change is made all the same.
                        let _ = done.send(result);
                    }
                },
            }
        }
    }

    /// Serves the admin endpoint on this listener and nowhere else. Requests under way are still answered.
    fn serve(&self, serving: &mut JoinSet<()>, listener: Option<std::net::TcpListener>) -> std::io::Result<()> {
        serving.abort_all();
        if let Some(listener) = listener {
            serving.spawn(crate::admin::serve(tokio::net::TcpListener::from_std(listener)?, Arc::clone(&self.sources)));
        }
        Ok(())
    }

    async fn reload(&mut self, mut reload: Box<Reload>) -> Result<Box<Reload>, String> {
        let config = Arc::clone(reload.change.config());
        let mut resolver = self.resolver.replaced(Arc::clone(&config)).map_err(|error| error.to_string())?;
        let end = tokio::time::Instant::now() + NAMES;
        while !resolver.targets().serves(&config) {
            tokio::select! {
                _ = resolver.changed() => {}
                // The old one is in force until then.
                Some(answer) = self.asked.recv() => self.answer(answer),
                () = tokio::time::sleep_until(end) => {
                    warn!("not every upstream name of the served regions has been resolved yet");
                    break;
                }
            }
        }
        reload.change.aim(Arc::new(resolver.targets()));
        let (done, result) = oneshot::channel();
        self.tell(WorkerCommand::Reload(reload, done)).await;
        let former = result.await.map_err(|_| "the message thread has ended".to_owned())??;
        if self.config.digest != config.digest {
            self.metrics.config(&self.config.digest, false);
        }
        self.metrics.config(&config.digest, true);
        self.sources.configure(&config);
        (self.resolver, self.config, self.loaded) = (resolver, config, Instant::now());
        Ok(former)
    }

    /// Logs which names of served regions have come to give no server, and which give one again: each once.
    fn warn(&self) {
        let troubles = troubles::names(&self.config, &self.resolver.upstream_status());
        let before = self.sources.note_names(troubles.clone());
        for trouble in troubles.iter().filter(|trouble| !before.contains(trouble)) {
            warn!("{trouble}");
        }
        if troubles.is_empty() && !before.is_empty() {
            info!("every upstream name of the served regions has a server inside again");
        }
    }

    fn answer(&self, answer: oneshot::Sender<Known>) {
        // The asker may have gone.
        let (config, loaded) = (Arc::clone(&self.config), self.loaded);
        let _ = answer.send(Known { config, loaded, names: self.resolver.status() });
    }

    async fn tell(&self, command: WorkerCommand) {
        // The only error is a worker that has ended. The daemon that started both sees that too.
        let _ = self.worker.send(command).await;
    }
}

/// How to look up names that a message needs. `None`: they cannot be looked up.
fn of_servers(dns: &Dns) -> Option<Lookup> {
    let lookup = Lookup::new(dns).map(|lookup| lookup.within(name_lookups::WAIT));
    lookup.inspect_err(|error| warn!(%error, "names inside dialogs and those of trunks will not be resolved")).ok()
}
