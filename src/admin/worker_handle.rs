//! The questions of the admin endpoint and of the gate to other threads. They are bounded in number and in time, and never delay a message.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{mpsc, oneshot};

use crate::config::Config;
use crate::core::io::{GatewayStatus, TargetStatus};
use crate::dns::NameStatus;
use crate::telemetry::realtime::RealtimeVerdict;

/// How long the worker's loop may take for one turn.
const TURN: Duration = Duration::from_secs(1);
/// Most questions that wait for one thread. If there are more, their senders wait.
const QUEUE: usize = 64;

/// A question to the worker, which answers it in the next turn of its loop.
#[derive(Debug)]
pub(crate) enum Question {
    /// Does the loop turn?
    Turns(oneshot::Sender<()>),
    /// How healthy are the targets?
    Targets(oneshot::Sender<Standing>),
    /// Count, log and keep this verdict of the gate. `Err`: it was decided by another configuration than this one, which is in force.
    Realtime(RealtimeVerdict, oneshot::Sender<Result<(), Arc<Config>>>),
    /// Take no more calls from now on, and end once the open ones have their answer.
    Drain(oneshot::Sender<()>),
}

/// The health of the targets.
#[derive(Debug)]
pub(crate) struct Standing {
    /// The configuration whose ids are used.
    pub(crate) config: Arc<Config>,
    /// The status of each target.
    pub(crate) targets: Vec<TargetStatus>,
    /// The status of each gateway that is asked whether it is there.
    pub(crate) gateways: Vec<GatewayStatus>,
    /// The octets that transactions hold.
    pub(crate) octets: usize,
}

/// The endpoint's end of the channel to the worker.
#[derive(Clone, Debug)]
pub(crate) struct WorkerHandle(mpsc::Sender<Question>);

/// The worker's end of the channel.
pub(crate) type Questions = mpsc::Receiver<Question>;

impl WorkerHandle {
    /// Makes both ends of the channel.
    pub(crate) fn new() -> (Self, Questions) {
        let (questions, asked) = mpsc::channel(QUEUE);
        (Self(questions), asked)
    }

    /// Whether the worker's loop turns.
    pub(crate) async fn turns(&self) -> bool {
        self.ask(Question::Turns).await.is_some()
    }

    /// The health of the targets. `None`: the worker does not answer in time.
    pub(crate) async fn targets(&self) -> Option<Standing> {
        self.ask(Question::Targets).await
    }

    /// Has a verdict of the gate told. `Some(Err)`: it was decided by another configuration than this one, which is in force. `None`: the
    /// worker does not answer in time.
    pub(crate) async fn realtime(&self, told: RealtimeVerdict) -> Option<Result<(), Arc<Config>>> {
        self.ask(|answer| Question::Realtime(told, answer)).await
    }

    /// Tells the worker to drain. If it does not hear that, it has ended or will end anyway.
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
    /// When it came into force.
    pub(crate) loaded: Instant,
    /// How its names are resolved.
    pub(crate) names: Vec<NameStatus>,
}

/// The endpoint's end of the channel to the thread beside the worker.
#[derive(Clone, Debug)]
pub(crate) struct ControlHandle(mpsc::Sender<oneshot::Sender<Known>>);

/// That thread's end of the channel.
pub(crate) type ControlQuestions = mpsc::Receiver<oneshot::Sender<Known>>;

impl ControlHandle {
    /// Makes both ends of the channel.
    pub(crate) fn new() -> (Self, ControlQuestions) {
        let (questions, asked) = mpsc::channel(QUEUE);
        (Self(questions), asked)
    }

    /// What that thread knows. `None`: it has ended. There is no time limit, because that thread serves the endpoints itself.
    pub(crate) async fn known(&self) -> Option<Known> {
        let (answer, answered) = oneshot::channel();
        self.0.send(answer).await.ok()?;
        answered.await.ok()
    }
}
