//! Messages that wait for a name. They are kept on the message thread; the questions go to the thread beside it, which asks and
//! sends the answers back. Neither waits for the other, and nothing here says what becomes of a message: the core does, when it
//! is handed in again.

use std::collections::HashMap;
use std::time::Duration;

use tokio::sync::{mpsc, watch};

use super::event_loop::WorkerCommand;
use crate::config::{ListenerId, NextHop};
use crate::core::Change;
use crate::core::io::Arrival;
use crate::dns::{Lookup, Server};
use crate::telemetry::Seen;

/// Messages kept at a time; beyond: their next hop counts as one that resolves to nothing.
const MESSAGES: usize = 256;
/// Names under way at a time; beyond: the same.
pub(super) const NAMES: usize = 64;
/// How long a name may take: less than the caller's patience with a request that it has to repeat.
pub(super) const WAIT: Duration = Duration::from_secs(2);
/// How long it holds that a name has no servers, or could not be resolved.
const NOTHING: Duration = Duration::from_secs(5);

/// A message that waits.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) arrival: Arrival,
    pub(super) bytes: Box<[u8]>,
}

/// The messages that wait, by what they wait for, each in the order in which they came.
#[derive(Debug)]
pub(super) struct NameLookups {
    waiting: HashMap<NextHop, Vec<Kept>>,
    messages: usize,
    questions: mpsc::Sender<NextHop>,
}

impl NameLookups {
    /// Nothing waits; questions go out here.
    pub(super) fn new(questions: mpsc::Sender<NextHop>) -> Self {
        Self { waiting: HashMap::new(), messages: 0, questions }
    }

    /// Whether nothing waits.
    pub(super) fn is_empty(&self) -> bool {
        self.messages == 0
    }

    /// Keeps a message and asks, unless that name has been asked for already; `Err`: there is no room.
    pub(super) fn keep(&mut self, next_hop: NextHop, seen: &Seen<'_>) -> Result<(), NextHop> {
        let asked = self.waiting.contains_key(&next_hop);
        let room = self.messages < MESSAGES && (asked || self.waiting.len() < NAMES);
        if !room || (!asked && self.questions.try_send(next_hop.clone()).is_err()) {
            return Err(next_hop);
        }
        self.messages += 1;
        self.waiting.entry(next_hop).or_default().push(Kept { arrival: seen.arrival, bytes: seen.bytes.into() });
        Ok(())
    }

    /// The messages that waited for a name. Each counts as waiting until it is [`NameLookups::done`].
    pub(super) fn release(&mut self, next_hop: &NextHop) -> Vec<Kept> {
        self.waiting.remove(next_hop).unwrap_or_default()
    }

    /// A message that was released is handed in again.
    pub(super) fn done(&mut self) {
        self.messages = self.messages.saturating_sub(1);
    }

    /// The listeners that the messages came by.
    pub(super) fn listeners(&self) -> impl Iterator<Item = ListenerId> {
        self.waiting.values().flatten().map(|kept| kept.arrival.listener)
    }

    /// Another configuration: the same messages under its numbers.
    pub(super) fn renumber(&mut self, change: &Change) {
        for kept in self.waiting.values_mut().flatten() {
            kept.arrival = change.arrival(kept.arrival);
        }
    }

    /// All that is waited for.
    pub(super) fn names(&self) -> Vec<NextHop> {
        self.waiting.keys().cloned().collect()
    }
}

/// Answers questions for ever, each on its own: a slow name keeps no other waiting.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn next_hop(number: usize) -> NextHop {
        NextHop { host: format!("n{number}.example.net"), port: None, transport: None, secure: false }
    }

    fn arrival() -> Arrival {
        let addr = ([127, 0, 0, 1], 5060).into();
        Arrival { listener: ListenerId(0), from: addr, local: addr, connection: None, shown: None }
    }

    #[test]
    fn one_question_for_many_messages_which_leave_in_order() {
        let (questions, mut asked) = mpsc::channel(NAMES);
        let mut asking = NameLookups::new(questions);
        for bytes in [b"a", b"b", b"c"] {
            assert_eq!(asking.keep(next_hop(1), &Seen { arrival: arrival(), bytes }), Ok(()));
        }
        assert_eq!((asked.try_recv().ok(), asked.try_recv().ok()), (Some(next_hop(1)), None));
        let kept: Vec<_> = asking.release(&next_hop(1)).into_iter().map(|kept| kept.bytes[0]).collect();
        assert_eq!((kept.as_slice(), asking.is_empty()), (&b"abc"[..], false));
        for _ in &kept {
            asking.done();
        }
        assert!(asking.is_empty() && asking.names().is_empty());
    }

    #[test]
    fn names_messages_and_questions_are_bounded() {
        let seen = Seen { arrival: arrival(), bytes: b"x" };
        let (questions, mut asked) = mpsc::channel(1);
        let mut asking = NameLookups::new(questions);
        assert_eq!(asking.keep(next_hop(0), &seen), Ok(()));
        assert_eq!(asking.keep(next_hop(1), &seen), Err(next_hop(1)), "the other thread does not keep up");
        for number in 1..NAMES {
            assert!(asked.try_recv().is_ok());
            assert_eq!(asking.keep(next_hop(number), &seen), Ok(()));
        }
        assert!(asked.try_recv().is_ok());
        assert_eq!(asking.keep(next_hop(NAMES), &seen), Err(next_hop(NAMES)));
        let more = (0..2 * MESSAGES).take_while(|_| asking.keep(next_hop(0), &seen).is_ok()).count();
        assert_eq!(more, MESSAGES - NAMES);
    }
}
