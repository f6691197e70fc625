//! Reloads that are asked for at the admin endpoint, and what became of the last one. Only asks and remembers: the daemon reloads.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use serde_json::{Value, json};
use tokio::sync::{mpsc, oneshot};
use tracing::info;

use crate::telemetry::timestamp;

/// The least time between two reloads that are asked for here.
const PAUSE: Duration = Duration::from_millis(100);
/// Reloads that wait for the one that is under way. If there are more, their askers wait.
const QUEUE: usize = 4;

/// What became of one reload.
#[derive(Clone, Debug)]
pub(crate) struct ReloadOutcome {
    /// When it ended.
    pub(crate) at: SystemTime,
    /// Whether the configuration took effect. If not, nothing has changed.
    pub(crate) ok: bool,
    /// The digest of the configuration in force after it.
    pub(crate) digest: String,
    /// What the new configuration changed, as `check --diff` says it.
    pub(crate) changes: Vec<String>,
    /// Why it did not take effect.
    pub(crate) mistakes: Vec<String>,
    /// What is allowed in the new configuration, and probably not meant.
    pub(crate) warnings: Vec<String>,
}

impl ReloadOutcome {
    /// The answer to who asked for the reload.
    pub(super) fn answer(&self) -> Value {
        let Self { at, ok, digest, changes, mistakes, warnings } = self;
        let at = timestamp::on(*at);
        json!({ "ok": ok, "at": at, "digest": digest, "changes": changes, "mistakes": mistakes, "warnings": warnings })
    }

    /// The same in short, for `/status`.
    pub(super) fn shown(&self) -> Value {
        json!({ "at": timestamp::on(self.at), "ok": self.ok, "mistakes": self.mistakes })
    }
}

/// Who asked for a reload waits for this.
pub(crate) type ReloadAnswer = oneshot::Sender<Arc<ReloadOutcome>>;

/// The endpoint's end: it asks, and remembers the last outcome.
#[derive(Debug)]
pub(crate) struct ReloadDoor {
    asked: mpsc::Sender<ReloadAnswer>,
    last: LastReload,
    /// When the last one was asked for here.
    begun: tokio::sync::Mutex<Option<tokio::time::Instant>>,
}

/// The last outcome. `None`: there was no reload yet.
#[derive(Clone, Debug, Default)]
pub(crate) struct LastReload(Arc<Mutex<Option<Arc<ReloadOutcome>>>>);

impl ReloadDoor {
    /// The endpoint's end, and the daemon's: what is asked for, and where it notes the outcomes.
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReloadAnswer>, LastReload) {
        let (asked, requests) = mpsc::channel(QUEUE);
        let last = LastReload::default();
        (Self { asked, last: last.clone(), begun: tokio::sync::Mutex::default() }, requests, last)
    }

    /// Asks for a reload and waits for its outcome. `None`: nobody reloads here, or the daemon is ending.
    pub(super) async fn reload(&self, peer: SocketAddr) -> Option<Arc<ReloadOutcome>> {
        // One after the other, and not too many: each writes lines of the log.
        let mut begun = self.begun.lock().await;
        if let Some(before) = *begun {
            tokio::time::sleep_until(before + PAUSE).await;
        }
        *begun = Some(tokio::time::Instant::now());
        info!(%peer, "asked to reload");
        let (answer, outcome) = oneshot::channel();
        self.asked.send(answer).await.ok()?;
        outcome.await.ok()
    }

    /// The last outcome.
    pub(super) fn last(&self) -> Option<Arc<ReloadOutcome>> {
        self.last.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl LastReload {
    /// Notes what became of a reload.
    pub(crate) fn note(&self, outcome: &Arc<ReloadOutcome>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(outcome));
    }
}
