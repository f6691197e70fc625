//! Who watches decisions as they are made, and the lines on their way there. Decides nothing, and never waits for a reader.
//!
//! The worker has one end, a stream of the admin endpoint the other. While nobody watches, the worker reads one number for each decision.
//! Each watcher has a queue of its own: if it is full, a line is left out and counted, and the next line says how many were.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use metrics::Counter;
use tokio::sync::mpsc;

use super::decided::{Decided, Ruled};
use super::metrics::Metrics;
use crate::core::io::Verdict;
use crate::reason::Reason;

/// Most watchers at a time.
pub(crate) const WATCHERS: u32 = 8;
/// Most lines that wait for one watcher.
const LINES: usize = 1024;

/// Which decisions somebody wants to see. An empty list: all.
#[derive(Clone, Debug, Default)]
pub(crate) struct WatchFilter {
    pub(crate) projects: HashSet<Box<str>>,
    pub(crate) reasons: Vec<Reason>,
    pub(crate) verdicts: Vec<Verdict>,
    pub(crate) call_ids: Vec<Box<[u8]>>,
}

impl WatchFilter {
    /// Whether a decision may be wanted, by what is known of it before its message is read.
    fn wants(&self, ruled: &Ruled, project: Option<&str>) -> bool {
        (self.verdicts.is_empty() || self.verdicts.contains(&ruled.verdict))
            && (self.reasons.is_empty() || self.reasons.contains(&ruled.reason))
            && (self.projects.is_empty() || project.is_some_and(|project| self.projects.contains(project)))
    }

    fn names(&self, call_id: Option<&[u8]>) -> bool {
        self.call_ids.is_empty() || call_id.is_some_and(|id| self.call_ids.iter().any(|wanted| **wanted == *id))
    }
}

/// One decision for one watcher.
#[derive(Debug)]
pub(crate) struct WatchLine {
    /// The object without its last brace: other watchers get the same.
    open: Arc<str>,
    /// How many lines were left out before it.
    left_out: u64,
}

impl WatchLine {
    /// The line as it is sent.
    pub(crate) fn text(&self) -> String {
        format!("{},\"left_out\":{}}}\n", self.open, self.left_out)
    }
}

/// The admin endpoint's end.
#[derive(Clone, Debug)]
pub(crate) struct WatchDoor(Arc<Shared>);

/// What both ends share.
#[derive(Debug, Default)]
struct Shared {
    /// How many watch.
    open: AtomicU32,
    /// Whether somebody has come whom the worker does not know yet.
    news: AtomicBool,
    /// Those. Locked for moments by the other thread; the worker waits for nobody who has it locked.
    joining: Mutex<Vec<Watcher>>,
}

/// A watcher's own end. The daemon forgets the watcher if this is dropped.
#[derive(Debug)]
pub(crate) struct Watch {
    lines: mpsc::Receiver<WatchLine>,
    shared: Arc<Shared>,
}

/// The worker's end.
#[derive(Debug)]
pub struct Watchers {
    shared: Arc<Shared>,
    watching: Vec<Watcher>,
    left_out: Counter,
}

#[derive(Debug)]
struct Watcher {
    filter: WatchFilter,
    lines: mpsc::Sender<WatchLine>,
    left_out: u64,
}

/// Both ends, with nobody watching.
pub(crate) fn watchers(metrics: &Metrics) -> (WatchDoor, Watchers) {
    let shared = Arc::new(Shared::default());
    let left_out = metrics.unseen("watch");
    left_out.increment(0);
    (WatchDoor(Arc::clone(&shared)), Watchers { shared, watching: Vec::new(), left_out })
}

impl WatchDoor {
    /// Begins to watch. `None`: as many as may watch do already.
    pub(crate) fn watch(&self, filter: WatchFilter) -> Option<Watch> {
        let Self(shared) = self;
        let more = |open: u32| (open < WATCHERS).then_some(open + 1);
        shared.open.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).ok()?;
        let (sender, lines) = mpsc::channel(LINES);
        // It is whole between two locks.
        let mut joining = shared.joining.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever has gone before anything was decided is forgotten here, so there are never more than may watch.
        joining.retain(|watcher| !watcher.lines.is_closed());
        joining.push(Watcher { filter, lines: sender, left_out: 0 });
        shared.news.store(true, Ordering::Release);
        Some(Watch { lines, shared: Arc::clone(shared) })
    }

    /// How many watch.
    pub(crate) fn count(&self) -> u32 {
        self.0.open.load(Ordering::Relaxed)
    }
}

impl Watch {
    /// Polls for the next line. `None`: the daemon has ended.
    pub(crate) fn poll(&mut self, context: &mut std::task::Context<'_>) -> std::task::Poll<Option<WatchLine>> {
        self.lines.poll_recv(context)
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Watchers {
    /// Whether anybody watches.
    #[inline]
    pub(super) fn any(&self) -> bool {
        self.shared.open.load(Ordering::Relaxed) > 0
    }

    /// Whether somebody who watches may want a decision. Takes in those who have come, and forgets those who have gone.
    pub(super) fn want(&mut self, ruled: &Ruled, project: Option<&str>) -> bool {
        if self.shared.news.load(Ordering::Acquire)
            && let Ok(mut joining) = self.shared.joining.try_lock()
        {
            self.shared.news.store(false, Ordering::Relaxed);
            self.watching.append(&mut joining);
        }
        self.watching.retain(|watcher| !watcher.lines.is_closed());
        self.watching.iter().any(|watcher| watcher.filter.wants(ruled, project))
    }

    /// Tells a decision to those who want it. The line is made if at least one of them has room for it.
    pub(super) fn tell(&mut self, decided: &Decided<'_>) {
        let mut open: Option<Arc<str>> = None;
        for watcher in &mut self.watching {
            let Watcher { filter, lines, left_out } = watcher;
            if !filter.wants(decided.ruled, decided.project) || !filter.names(decided.said.call_id) {
                continue;
            }
            let Ok(place) = lines.try_reserve() else {
                *left_out = left_out.saturating_add(1);
                self.left_out.increment(1);
                continue;
            };
            let open = open.get_or_insert_with(|| {
                let text = serde_json::Value::Object(decided.object(SystemTime::now())).to_string();
                text.strip_suffix('}').unwrap_or(&text).into()
            });
            place.send(WatchLine { open: Arc::clone(open), left_out: std::mem::take(left_out) });
        }
    }
}
