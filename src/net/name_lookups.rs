//! Look-ups of names that only dialogs know. They run on the thread beside the message thread, which does not wait for them. The
//! core decides what waits for a name, and what happens to it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::event_loop::WorkerCommand;
use crate::config::NextHop;
use crate::dns::{Lookup, Server};

/// Look-ups on their way to the other thread. The core has no more names under way than these.
pub(super) const NAMES: usize = 64;
/// How long a name may take. It is less than the time for which a caller retransmits its request.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// How long it holds that a name has no servers, or could not be resolved.
const NOTHING: Duration = Duration::from_secs(5);

/// Answers questions for ever, each in its own task, so that a slow name delays no other.
pub(super) async fn answer(
    mut questions: mpsc::Receiver<NextHop>,
    lookup: watch::Receiver<Option<Lookup>>,
    worker: mpsc::Sender<WorkerCommand>,
) {
    while let Some(next_hop) = questions.recv().await {
        let (lookup, worker) = (lookup.borrow().clone(), worker.clone());
        tokio::spawn(async move {
            let (servers, hold) = resolve(lookup.as_ref(), &next_hop).await;
            // The only error is a worker that has ended, and its messages with it.
            let _ = worker.send(WorkerCommand::Answer { next_hop, servers, hold }).await;
        });
    }
}

async fn resolve(lookup: Option<&Lookup>, next_hop: &NextHop) -> (Vec<Server>, Duration) {
    let Some(lookup) = lookup else { return (Vec::new(), NOTHING) };
    let resolution = lookup.resolve(next_hop).await;
    let hold = if resolution.servers.is_empty() { NOTHING } else { resolution.ttl };
    (resolution.servers, hold)
}
