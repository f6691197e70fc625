//! How the record stands, for metrics, `/status` and the page. Written by the thread that writes the record, read by others.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::spool::Level;
use crate::telemetry::audit_counts::AuditCounts;

/// How the record stands.
#[derive(Debug)]
pub(crate) struct AuditStanding {
    level: Arc<Level>,
    /// What had been dropped before this process.
    lost_before: u64,
    kept: AtomicU64,
    gaps: AtomicU64,
    told: Mutex<Told>,
}

/// What is told in words. Locked for moments only.
#[derive(Clone, Debug, Default)]
pub(crate) struct Told {
    /// The latest checkpoint, and when it was written, in µs since 1970.
    pub(crate) checkpoint: Option<(Arc<str>, u64)>,
    /// The day that is written.
    pub(crate) day: Option<String>,
    /// Lines of that day.
    pub(crate) lines: u64,
    /// What keeps records from the disk.
    pub(crate) trouble: Option<String>,
}

impl AuditStanding {
    pub(crate) fn new(level: Arc<Level>) -> Self {
        let lost_before = level.lost().count;
        Self { level, lost_before, kept: AtomicU64::new(0), gaps: AtomicU64::new(0), told: Mutex::default() }
    }

    /// Records that were dropped, of this process.
    pub(crate) fn dropped(&self) -> u64 {
        self.level.lost().count.saturating_sub(self.lost_before)
    }

    /// Records that wait to be on the disk.
    pub(crate) fn behind(&self) -> u64 {
        self.level.behind()
    }

    /// Records that are on the disk, of this process.
    pub(crate) fn kept(&self) -> u64 {
        self.kept.load(Ordering::Relaxed)
    }

    /// `gap` records that this process wrote.
    pub(crate) fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }

    pub(crate) fn told(&self) -> Told {
        self.words().clone()
    }

    pub(super) fn count(&self, kept: u64, gaps: u64) {
        self.kept.fetch_add(kept, Ordering::Relaxed);
        self.gaps.fetch_add(gaps, Ordering::Relaxed);
    }

    pub(super) fn tell(&self, change: impl FnOnce(&mut Told)) {
        change(&mut self.words());
    }

    /// Its fields are set one by one, and each is whole.
    fn words(&self) -> MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The same in numbers.
    pub(crate) fn counts(&self) -> AuditCounts {
        let checkpoint = self.words().checkpoint.as_ref().map(|(_, at)| at / 1_000_000);
        AuditCounts { kept: self.kept(), dropped: self.dropped(), behind: self.behind(), checkpoint }
    }
}
