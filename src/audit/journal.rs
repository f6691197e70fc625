//! The record as it is written: slots to lines, lines to the day's file, and what begins and ends a day. No thread and no clock of its own.
//!
//! Every step goes forward to a place that is stored in the spool, or back to the last one: what failed in between is done once more, so that
//! no record is lost and none is there twice.

use std::sync::Arc;
use std::time::{Duration, Instant};

use ring::hmac;
use tracing::{info, warn};

use super::calendar::{DayNumber, micros};
use super::day_file::DayFile;
use super::directory::AuditDirectory;
use super::marks::Marks;
use super::month_keys::MonthKeys;
use super::signed_note::Checkpoint;
use super::spool::{Found, Position, SpoolReader};
use super::standing::AuditStanding;
use super::tree::NodeHash;
use super::trouble::AuditTrouble;
use crate::config::AuditNumbers;
use crate::telemetry::timestamp::Now;

mod beginning;
mod taking;
mod telling;
#[cfg(test)]
mod tests;

/// How often records are made to be on the disk: with the pause of the thread before it, each second.
const SYNC: Duration = Duration::from_millis(900);
/// Slots that one step takes.
const MOST: usize = 4096;
/// Octets of lines that are written at once.
const AT_ONCE: usize = 64 << 10;

/// What a reload may change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Keeping {
    /// How many days records are kept.
    pub(crate) retain: u64,
    pub(crate) numbers: AuditNumbers,
    pub(crate) checkpoint: Duration,
}

/// Why there is an `open`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum OpenReason {
    /// A process has begun.
    Start {
        /// Whether it found the spool of the one before, so that nothing of that is lost.
        goes_on: bool,
    },
    /// A day has begun.
    Day,
}

/// Why a file ends with a `close`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum CloseReason {
    Stop,
    HandOver,
    Day,
}

impl CloseReason {
    const fn label(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::HandOver => "handover",
            Self::Day => "day",
        }
    }
}

/// What the record is made from.
#[derive(Debug)]
pub(crate) struct JournalParts {
    pub(crate) directory: AuditDirectory,
    pub(crate) keeping: Keeping,
    pub(crate) reader: SpoolReader,
    pub(crate) found: Found,
    pub(crate) marks: Marks,
    /// The key by which calls are named.
    pub(crate) calls: hmac::Key,
    pub(crate) node: String,
    pub(crate) standing: Arc<AuditStanding>,
}

/// The record.
#[derive(Debug)]
pub(crate) struct Journal {
    parts: JournalParts,
    keys: MonthKeys,
    day: Option<DayFile>,
    previous: Option<(DayNumber, NodeHash)>,
    /// How far it is, and how far it was when a position was stored last.
    at: Progress,
    stored: Progress,
    /// Lines that are not in the file yet.
    lines: Vec<u8>,
    synced: Option<Instant>,
    checkpoint_due: Option<Instant>,
    /// Whether records were dropped because the disk had no room, and not because it was slow.
    was_full: bool,
    /// Whether the spool was made this record's.
    owned: bool,
    /// Whether something of the process before may be missing: then no `open` says `kept`.
    doubt: bool,
    /// The day that somebody has taken away under the daemon, with how many lines, until a gap says so.
    gone: Option<(DayNumber, u64)>,
    /// The day that was to be signed as it began. If that failed, its next checkpoint does it.
    signed: Option<DayNumber>,
}

/// How a day's file stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum DayStand {
    /// It has no `open` yet.
    #[default]
    New,
    Open,
    /// Its last line is a `close`.
    Closed,
}

/// How far it is.
#[derive(Clone, Copy, Debug, Default)]
struct Progress {
    /// The number of the next line.
    n: u64,
    /// How many dropped records were told of.
    told: u64,
    /// When the last of them was dropped: the next gap does not begin before.
    told_to: u64,
    /// The configuration in force.
    mark: u64,
    /// Whether it was told what another version left in the spool.
    foreign: bool,
    day: DayStand,
    /// The number of the line behind the last `seal`: a checkpoint over nothing but that would tell nothing.
    sealed: u64,
    /// Whether the beginning of this process has its `open`.
    begun: bool,
    /// Records and gaps since the last position.
    kept: u64,
    gaps: u64,
}

impl Journal {
    pub(crate) fn new(parts: JournalParts) -> Self {
        let keys = MonthKeys::new(parts.directory.keys());
        Self {
            parts,
            keys,
            day: None,
            previous: None,
            at: Progress::default(),
            stored: Progress::default(),
            lines: Vec::new(),
            synced: None,
            checkpoint_due: None,
            was_full: false,
            owned: false,
            doubt: false,
            gone: None,
            signed: None,
        }
    }

    /// Takes in what a reload has changed.
    pub(crate) fn keep(&mut self, keeping: Keeping, calls: hmac::Key, now: Now) {
        self.parts.calls = calls;
        let before = std::mem::replace(&mut self.parts.keeping, keeping);
        if before.checkpoint != keeping.checkpoint {
            self.checkpoint_due = now.steady.checked_add(keeping.checkpoint);
        }
        if before.retain != keeping.retain
            && let Some(day) = self.day.as_ref().map(DayFile::day)
        {
            self.expire(day);
        }
    }

    /// Writes what is there. Returns whether there may be more at once.
    pub(crate) fn step(&mut self, now: Now) -> Result<bool, AuditTrouble> {
        let result = self.try_step(now);
        self.settle(result)
    }

    /// Writes what is there, and ends the file.
    pub(crate) fn finish(&mut self, now: Now, why: CloseReason) -> Result<(), AuditTrouble> {
        let result = self.try_finish(now, why);
        self.settle(result)
    }

    /// If something failed: goes back to where it was stored last.
    fn settle<T>(&mut self, result: Result<T, AuditTrouble>) -> Result<T, AuditTrouble> {
        if let Err(trouble) = &result {
            self.was_full |= trouble.is_full();
            self.lines.clear();
            self.parts.reader.back();
            self.at = self.stored;
            // If it cannot be cut now, it is read again and cut then.
            let is_cut = self.day.as_mut().is_none_or(|day| day.back().is_ok());
            if let (AuditTrouble::Gone { .. }, Some(day)) = (trouble, &self.day) {
                self.gone = Some((day.day(), day.lines()));
                self.signed = None;
                // The months' keys may be away too.
                self.keys = MonthKeys::new(self.parts.directory.keys());
                self.day = None;
            }
            if !is_cut {
                self.day = None;
            }
        }
        self.parts.standing.tell(|told| {
            told.trouble = result.as_ref().err().map(ToString::to_string);
            told.day = self.day.as_ref().map(|day| day.day().name());
            told.lines = self.at.n;
        });
        result
    }

    fn try_step(&mut self, now: Now) -> Result<bool, AuditTrouble> {
        if self.day.is_none() {
            self.begin(now)?;
        }
        let mut more = true;
        for _ in 0..MOST {
            if !self.take(now)? {
                more = false;
                break;
            }
            if self.lines.len() >= AT_ONCE {
                self.flush()?;
            }
        }
        if !more {
            let today = DayNumber::of(micros(now.wall));
            if self.day.as_ref().is_some_and(|day| day.day() < today) {
                self.turn(today, true, now)?;
                self.open(OpenReason::Day, micros(now.wall));
            }
        }
        self.flush()?;
        let due = self.synced.is_none_or(|at| now.since(at) >= SYNC);
        if due && (self.parts.reader.unstored() > 0 || self.at.n != self.stored.n) || self.parts.reader.is_filling() {
            self.store(now)?;
        }
        let lost = self.parts.reader.level().lost();
        // Only if nothing waits. A record behind what was dropped says so itself, at the right place.
        if self.parts.reader.is_empty() && self.parts.reader.unstored() == 0 {
            self.tell_lost(lost, micros(now.wall));
        }
        self.first_checkpoint(now)?;
        if self.checkpoint_due.is_none_or(|due| now.steady >= due) {
            self.checkpoint_due = now.steady.checked_add(self.parts.keeping.checkpoint);
            if self.at.n > self.at.sealed {
                self.checkpoint(now, false)?;
            }
        }
        Ok(more)
    }

    fn try_finish(&mut self, now: Now, why: CloseReason) -> Result<(), AuditTrouble> {
        while self.try_step(now)? {}
        // Nothing more comes, so that what was dropped last has no record behind it.
        self.store(now)?;
        self.tell_lost(self.parts.reader.level().lost(), micros(now.wall));
        if self.at.day != DayStand::Closed {
            self.begin_line(micros(now.wall), "close", |line| line.text("why", why.label()));
            self.at.day = DayStand::Closed;
        }
        self.checkpoint(now, true)
    }

    /// Ends the day's file and begins another one. `close`: a process ran when the day ended.
    fn turn(&mut self, day: DayNumber, close: bool, now: Now) -> Result<(), AuditTrouble> {
        let mut follows = true;
        if let Some(current) = self.day.as_ref().map(DayFile::day) {
            follows = day.0 <= current.0 + 1;
            if close && self.at.n > 0 && self.at.day != DayStand::Closed {
                self.begin_line(micros(now.wall).min(current.end()), "close", |line| line.text("why", CloseReason::Day.label()));
                self.at.day = DayStand::Closed;
            }
            self.checkpoint(now, true)?;
            if let Some(empty) = self.day.as_ref().filter(|day| day.lines() == 0) {
                // Nothing is to be said of it. It may also stay.
                let _ = empty.remove();
            }
        }
        let directory = &self.parts.directory;
        let (file, _) = DayFile::open(directory.path(), day, (None, None), directory.verifier())?;
        self.previous = self.previous_of(day)?;
        let Progress { told, told_to, mark, foreign, begun, .. } = self.at;
        self.at = Progress { n: file.lines(), told, told_to, mark, foreign, begun, ..Progress::default() };
        self.day = Some(file);
        self.stored = self.at;
        // If the spool does not know of this day, it is begun once more.
        self.store(now).inspect_err(|_| self.day = None)?;
        if follows {
            self.expire(day);
        } else {
            warn!(day = day.name(), "the clock has leapt over a day: nothing is deleted for its age today");
        }
        Ok(())
    }

    /// Appends the lines at hand to the file.
    fn flush(&mut self) -> Result<(), AuditTrouble> {
        if let Some(day) = self.day.as_mut().filter(|_| !self.lines.is_empty()) {
            day.append(&self.lines)?;
            self.lines.clear();
        }
        Ok(())
    }

    /// Makes all of it be on the disk, and stores where it is.
    fn store(&mut self, now: Now) -> Result<(), AuditTrouble> {
        self.flush()?;
        let Some(day) = self.day.as_mut() else { return Ok(()) };
        day.sync()?;
        let JournalParts { reader, standing, marks, .. } = &mut self.parts;
        let (slot, Progress { told, told_to, mark, kept, gaps, .. }) = (reader.next_slot(), self.at);
        let (octets, lines, root) = (day.octets(), day.lines(), day.root());
        let position = Position { slot, day: day.day().0, octets, lines, root, told, told_to, mark, ..Position::default() };
        reader.store(position).map_err(AuditTrouble::of(day.folder()))?;
        if self.at.begun && std::mem::take(&mut self.doubt) {
            // It is told now, and the next process may say `kept` again.
            reader.doubt(false).map_err(AuditTrouble::of(day.folder()))?;
        }
        standing.count(kept, gaps);
        marks.forget_before(mark);
        (self.at.kept, self.at.gaps) = (0, 0);
        self.stored = self.at;
        self.synced = Some(now.steady);
        Ok(())
    }

    /// Signs what is on the disk.
    fn checkpoint(&mut self, now: Now, is_final: bool) -> Result<(), AuditTrouble> {
        self.store(now)?;
        let Some(mut day) = self.day.take() else { return Ok(()) };
        let previous = self.previous.map(|(_, hash)| hash);
        let written = self.write_checkpoint(&mut day, previous, is_final);
        let (size, root) = (day.lines(), day.root());
        self.day = Some(day);
        let Some(note) = written? else { return Ok(()) };
        self.parts.standing.tell(|told| told.checkpoint = Some((note.into(), micros(now.wall))));
        if !is_final {
            self.begin_line(micros(now.wall), "seal", |line| {
                line.number("size", size);
                line.hex("root", &root);
            });
            self.at.sealed = self.at.n;
            self.store(now)?;
        }
        Ok(())
    }

    /// Signs a day as soon as it begins: lines of a day without any checkpoint could be anybody's. There is no seal for it.
    fn first_checkpoint(&mut self, now: Now) -> Result<(), AuditTrouble> {
        let unsigned = self.day.as_ref().filter(|day| day.covered().is_none() && self.signed != Some(day.day()));
        let Some(day) = unsigned.map(DayFile::day).filter(|_| self.at.n > 0) else { return Ok(()) };
        self.signed = Some(day);
        self.store(now)?;
        let Some(mut day) = self.day.take() else { return Ok(()) };
        let written = self.write_checkpoint(&mut day, self.previous.map(|(_, hash)| hash), false);
        self.day = Some(day);
        if let Some(note) = written? {
            self.parts.standing.tell(|told| told.checkpoint = Some((note.into(), micros(now.wall))));
        }
        Ok(())
    }

    /// Writes the checkpoint of a file as it is on the disk. `None`: it has no line.
    fn write_checkpoint(
        &self,
        file: &mut DayFile,
        previous: Option<NodeHash>,
        is_final: bool,
    ) -> Result<Option<String>, AuditTrouble> {
        let size = file.lines();
        if size == 0 {
            return Ok(None);
        }
        let day = file.day().day().map_err(|error| AuditTrouble::of(file.folder())(std::io::Error::other(error)))?;
        let (signer, root) = (self.parts.directory.signer(), file.root());
        let origin = signer.verifier().name().to_owned();
        let note = signer.sign(&Checkpoint { origin, size, root, day, previous, is_final }.text());
        file.write_checkpoint(&note, is_final)?;
        if is_final {
            let root = super::line::hex(&root);
            info!(origin = signer.verifier().name(), day = %day, size, root, "the audit record of a day has its final checkpoint");
        }
        Ok(Some(note))
    }

    /// Deletes what is too old. If that fails, the next day tries again.
    fn expire(&self, today: DayNumber) {
        if let Err(error) = self.parts.directory.expire(today, self.parts.keeping.retain) {
            warn!(%error, "audit records that are older than `retain` could not be deleted");
        }
    }
}
