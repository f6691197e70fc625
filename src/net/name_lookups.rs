//! Look-ups of names that a message needs: those that only dialogs know, and those of trunks that nobody has called for a while. They run
//! on the thread beside the message thread, which does not wait for them. The core decides what waits for a name, and what happens to it.

use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use super::event_loop::WorkerCommand;
use crate::config::NextHop;
use crate::dns::{Lookup, Server};

/// Look-ups on their way to the other thread. The core has no more names under way than these.
pub(super) const NAMES: usize = 64;
/// How long a name may take. It is less than the time for which a caller retransmits its request.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// After this time the core is told that it takes long, so that what it knew before may serve: before the first retransmission.
const LONG: Duration = Duration::from_millis(400);
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
            let mut resolving = std::pin::pin!(resolve(lookup.as_ref(), &next_hop));
            // The only error is a worker that has ended, and its messages with it.
            let (servers, hold, failed) = if let Ok(resolved) = timeout(LONG, resolving.as_mut()).await {
                resolved
            } else {
                let _ = worker.send(WorkerCommand::Slow(next_hop.clone())).await;
                resolving.await
            };
            let _ = worker.send(WorkerCommand::Answer { next_hop: next_hop.clone(), servers, hold, failed }).await;
        });
    }
}

/// The servers, how long that holds, and whether a question that matters was not answered.
async fn resolve(lookup: Option<&Lookup>, next_hop: &NextHop) -> (Vec<Server>, Duration, bool) {
    let Some(lookup) = lookup else { return (Vec::new(), NOTHING, true) };
    let resolution = lookup.resolve(next_hop).await;
    let hold = if resolution.servers.is_empty() { NOTHING } else { resolution.ttl };
    (resolution.servers, hold, resolution.failed || resolution.guessed)
}
