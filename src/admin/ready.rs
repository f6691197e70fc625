//! Readiness: latches that open one by one. The daemon is ready if all are open and it does not drain.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::Notify;

/// What the daemon waits for before it takes calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latch {
    /// Every listener is bound, and the worker reads from it.
    Listeners,
    /// Every name of the served regions' own `upstream` has had an answer.
    Names,
}

/// The latches of one daemon.
#[derive(Debug, Default)]
pub struct Ready {
    state: Mutex<State>,
    changed: Condvar,
    /// The same for tasks, which must not block a thread.
    told: Notify,
}

#[derive(Clone, Copy, Debug, Default)]
struct State {
    listeners: bool,
    targets: bool,
    asked: bool,
    phase: Phase,
}

/// The phases of a daemon, each once and in this order.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Phase {
    #[default]
    Serving,
    Draining,
    Ended,
}

impl State {
    fn missing(self) -> Vec<&'static str> {
        let waits = [
            (!self.listeners, "listeners are not bound yet"),
            (!self.targets, "not every upstream name has been resolved yet"),
            (self.phase == Phase::Draining, "draining"),
            (self.phase == Phase::Ended, "ended"),
        ];
        waits.into_iter().filter_map(|(waits, what)| waits.then_some(what)).collect()
    }
}

impl Ready {
    /// Opens or closes a latch.
    pub fn set(&self, latch: Latch, open: bool) {
        let mut state = self.lock();
        match latch {
            Latch::Listeners => state.listeners = open,
            Latch::Names => state.targets = open,
        }
        drop(state);
        self.tell();
    }

    /// Ends readiness for good.
    pub fn drain(&self) {
        self.lock().asked = true;
        self.enter(Phase::Draining);
    }

    /// Notes that a thread has ended.
    pub fn end(&self) {
        self.enter(Phase::Ended);
    }

    /// Whether the daemon takes no more calls because it is about to end.
    pub(crate) fn is_draining(&self) -> bool {
        self.lock().phase > Phase::Serving
    }

    /// The latches that are closed. Empty: ready.
    pub fn missing(&self) -> Vec<&'static str> {
        self.lock().missing()
    }

    /// Waits until the daemon is ready, for `within` at most. `false`: it is not ready by then, or never will be.
    pub fn wait(&self, within: Duration) -> bool {
        let end = Instant::now() + within;
        let mut state = self.lock();
        loop {
            if state.missing().is_empty() {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() || state.phase > Phase::Serving {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until the worker reads from the listeners.
    pub(crate) async fn listening(&self) {
        self.until(|state| state.listeners).await;
    }

    /// Waits until the daemon takes no more calls.
    pub(crate) async fn draining(&self) {
        self.until(|state| state.phase > Phase::Serving).await;
    }

    /// Whether somebody has told the daemon to drain, even if it has gone on since.
    pub(crate) fn was_asked_to_drain(&self) -> bool {
        self.lock().asked
    }

    async fn until(&self, reached: impl Fn(&State) -> bool) {
        loop {
            let told = self.told.notified();
            if reached(&self.lock()) {
                return;
            }
            told.await;
        }
    }

    /// Waits until a thread has ended. Needs no runtime.
    pub(crate) fn wait_for_end(&self) {
        let mut state = self.lock();
        while state.phase < Phase::Ended {
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn enter(&self, phase: Phase) {
        let mut state = self.lock();
        state.phase = state.phase.max(phase);
        drop(state);
        self.tell();
    }

    fn tell(&self) {
        self.changed.notify_all();
        self.told.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Flags cannot be left half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn ready_is_when_every_latch_is_open() {
        let ready = Arc::new(Ready::default());
        assert_eq!(ready.missing().len(), 2);
        ready.set(Latch::Listeners, true);
        assert!(!ready.wait(Duration::ZERO));
        let waiting = {
            let ready = Arc::clone(&ready);
            std::thread::spawn(move || ready.wait(Duration::from_secs(30)))
        };
        ready.set(Latch::Names, true);
        assert!(waiting.join().unwrap());
        ready.drain();
        assert_eq!(ready.missing(), ["draining"]);
        assert!(!ready.wait(Duration::from_secs(30)), "does not wait for what never comes");
    }
}
