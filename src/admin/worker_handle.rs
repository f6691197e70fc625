//! What the endpoints ask the other threads: bounded in number and in time, and never on a message's path.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::core::io::TargetStatus;
use crate::dns::NameStatus;

/// How long the worker's loop may take to turn.
const TURN: Duration = Duration::from_secs(1);
/// Questions that wait for the same thread; whoever asks waits beyond.
const QUEUE: usize = 64;

/// A question to the worker, which answers as its loop goes round.
#[derive(Debug)]
pub(crate) enum Question {
    /// Whether the loop turns.
    Turns(oneshot::Sender<()>),
    /// How the targets stand.
    Targets(oneshot::Sender<Standing>),
    /// Take no more calls from now on, and end once the open ones have their answer.
    Drain(oneshot::Sender<()>),
}

/// How the targets stand.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The configuration by whose numbers they are told.
    pub(crate) config: Arc<Config>,
    /// Each of them.
    pub(crate) targets: Vec<TargetStatus>,
}

/// Asks the worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle(mpsc::Sender<Question>);

/// The worker's ear.
pub(crate) type Questions = mpsc::Receiver<Question>;

impl WorkerHandle {
    /// Asks, and what is to hear it.
    pub(crate) fn new() -> (Self, Questions) {
        let (questions, asked) = mpsc::channel(QUEUE);
        (Self(questions), asked)
    }

    /// Whether its loop turns.
    pub(crate) async fn turns(&self) -> bool {
        self.ask(Question::Turns).await.is_some()
    }

    /// How the targets stand; `None` if it does not say so in time.
    pub(crate) async fn targets(&self) -> Option<Standing> {
        self.ask(Question::Targets).await
    }

    /// Has it drain. Should it not hear that, it has ended or will be ended.
    pub(crate) async fn drain(&self) {
        let _ = self.ask(Question::Drain).await;
    }

    async fn ask<T>(&self, question: impl FnOnce(oneshot::Sender<T>) -> Question) -> Option<T> {
        let asked = async {
            let (answer, answered) = oneshot::channel();
            self.0.send(question(answer)).await.ok()?;
            answered.await.ok()
        };
        tokio::time::timeout(TURN, asked).await.ok().flatten()
    }
}

/// What the thread beside the worker knows.
#[derive(Debug)]
pub(crate) struct Known {
    /// The configuration in force.
    pub(crate) config: Arc<Config>,
    /// Since when it is.
    pub(crate) loaded: Instant,
    /// What its names resolve to.
    pub(crate) names: Vec<NameStatus>,
}

/// Asks the thread beside the worker.
#[derive(Clone, Debug)]
pub(crate) struct ControlHandle(mpsc::Sender<oneshot::Sender<Known>>);

/// Its ear.
pub(crate) type ControlQuestions = mpsc::Receiver<oneshot::Sender<Known>>;

impl ControlHandle {
    /// Asks, and what is to hear it.
    pub(crate) fn new() -> (Self, ControlQuestions) {
        let (questions, asked) = mpsc::channel(QUEUE);
        (Self(questions), asked)
    }

    /// What it knows; `None` if it has ended. No limit in time: it serves the endpoints itself.
    pub(crate) async fn known(&self) -> Option<Known> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}
