//! The connections of the gate: how many there are, and which one goes if there is no room for another. Serves none.

use std::collections::HashMap;
use std::time::Instant;

use tokio::task::AbortHandle;

/// Most connections from outside, whatever room there is. Each may hold as much as one of a reverse proxy until it has asked.
const MOST_OUTSIDE: usize = 32;

/// What a connection has its place for: the least of them goes first if there is no room for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Claim {
    /// Its peer is in no region. It gets one answer, which says so.
    Outside,
    /// It has not asked anything yet.
    Silent,
    /// It has asked, and waits for the next: a reverse proxy keeps such connections.
    Resting,
    /// It waits for its answer. It is never given up.
    Asking,
}

/// One connection.
#[derive(Debug)]
struct Held {
    claim: Claim,
    since: Instant,
    task: AbortHandle,
}

/// Those that are open.
#[derive(Debug, Default)]
pub(super) struct GateConnections {
    held: HashMap<u64, Held>,
    last: u64,
}

impl GateConnections {
    /// A number for a new connection, if there is room for it among `most`, or another one may be given up for it. The caller then calls
    /// [`Self::hold`].
    pub(super) fn make_room(&mut self, claim: Claim, most: usize) -> Option<u64> {
        while self.held.len() >= most || claim == Claim::Outside && self.outside() >= MOST_OUTSIDE {
            let (&number, of) = self.held.iter().min_by_key(|&(number, held)| (held.claim, held.since, *number))?;
            // One from outside takes no place of a reverse proxy.
            let given_up = match claim {
                Claim::Outside => of.claim == Claim::Outside,
                _ => of.claim != Claim::Asking,
            };
            if !given_up {
                return None;
            }
            if let Some(held) = self.held.remove(&number) {
                held.task.abort();
            }
        }
        self.last = self.last.wrapping_add(1);
        Some(self.last)
    }

    /// Takes in the connection of that number.
    pub(super) fn hold(&mut self, number: u64, claim: Claim, task: AbortHandle) {
        self.held.insert(number, Held { claim, since: Instant::now(), task });
    }

    /// Notes what a connection does now, unless it was given up.
    pub(super) fn note(&mut self, number: u64, claim: Claim) {
        if let Some(held) = self.held.get_mut(&number)
            && held.claim != Claim::Outside
        {
            (held.claim, held.since) = (claim, Instant::now());
        }
    }

    /// Forgets a connection that has ended.
    pub(super) fn end(&mut self, number: u64) {
        self.held.remove(&number);
    }

    fn outside(&self) -> usize {
        self.held.values().filter(|held| held.claim == Claim::Outside).count()
    }

    /// How many are open.
    pub(super) fn count(&self) -> usize {
        self.held.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table that holds these, the first of them since longest.
    fn table(claims: &[Claim]) -> (GateConnections, Vec<tokio::task::JoinHandle<()>>) {
        let (mut table, mut tasks) = (GateConnections::default(), Vec::new());
        for &claim in claims {
            let number = table.make_room(claim, claims.len()).unwrap();
            let task = tokio::spawn(std::future::pending());
            table.hold(number, claim, task.abort_handle());
            tasks.push(task);
        }
        (table, tasks)
    }

    /// Which of these goes for a new one, by its place; `None`: the new one goes.
    async fn goes(claims: &[Claim], new: Claim) -> Option<usize> {
        let (mut table, tasks) = table(claims);
        table.make_room(new, claims.len())?;
        assert_eq!(table.count(), claims.len() - 1);
        for (at, task) in tasks.into_iter().enumerate() {
            if task.is_finished() || tokio::time::timeout(std::time::Duration::ZERO, task).await.is_ok() {
                return Some(at);
            }
        }
        panic!("there was no room")
    }

    #[tokio::test]
    async fn the_one_that_is_least_a_proxy_goes_first() {
        use Claim::{Asking, Outside, Resting, Silent};
        assert_eq!(goes(&[Resting, Silent, Outside, Silent], Silent).await, Some(2));
        assert_eq!(goes(&[Resting, Silent, Asking, Silent], Silent).await, Some(1));
        assert_eq!(goes(&[Asking, Resting, Resting], Silent).await, Some(1));
        assert_eq!(goes(&[Asking, Asking], Silent).await, None);
        assert_eq!(goes(&[Resting, Silent], Outside).await, None, "one from outside takes nobody's place");
        assert_eq!(goes(&[Resting, Outside], Outside).await, Some(1));
    }

    #[tokio::test]
    async fn those_from_outside_are_few_though_there_is_room() {
        let mut table = GateConnections::default();
        let mut tasks = Vec::new();
        for claim in [Claim::Silent, Claim::Outside].into_iter().cycle().take(4 * MOST_OUTSIDE) {
            let number = table.make_room(claim, 1000).unwrap();
            let task = tokio::spawn(std::future::pending::<()>());
            table.hold(number, claim, task.abort_handle());
            tasks.push((claim, task));
        }
        assert_eq!((table.outside(), table.count()), (MOST_OUTSIDE, 3 * MOST_OUTSIDE));
        // The oldest of them went, and nobody else.
        for (claim, task) in tasks.drain(..2 * MOST_OUTSIDE) {
            match claim {
                Claim::Outside => assert!(task.await.is_err_and(|error| error.is_cancelled())),
                _ => assert!(!task.is_finished()),
            }
        }
        assert!(tasks.iter().all(|(_, task)| !task.is_finished()));
    }
}
