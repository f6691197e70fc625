//! The days of one node, each held to its checkpoint, and each checkpoint to that of the day before.
//!
//! Takes one day after the other, so that several nodes can be read side by side. Says what is wrong and goes on.

use std::ops::RangeInclusive;

use super::day_check::{CheckedLines, Findings, HeldTo, LineSink, check_lines};
use super::directory::{EvidenceDirectory, Unreadable};
use crate::audit::day::Day;
use crate::audit::signed_note::{Checkpoint, NoteError, NoteVerifier};
use crate::audit::tree::{NodeHash, sha256};

/// One day with what was found.
#[derive(Debug)]
pub(crate) struct CheckedDay {
    pub(crate) day: Day,
    /// `None`: they are deleted.
    pub(crate) lines: Option<CheckedLines>,
    /// The signed checkpoint, if its signature is right.
    pub(crate) checkpoint: Option<Checkpoint>,
    /// The day whose checkpoint it names, as far as it is here.
    pub(crate) follows: Follows,
    pub(crate) findings: Findings,
    /// How many lines it has if it has no checkpoint that is signed.
    pub(crate) unsigned: u64,
    /// Whether its records are deleted though those of a day before are there: retention takes the oldest first.
    pub(crate) hole: bool,
    /// Whether the records show that it is over, and its checkpoint is none that ends it: nobody signs what came behind that.
    pub(crate) unfinished: bool,
}

/// Marks the days that are over and have no final checkpoint, of all nodes. What has been read of any of them says what day it is.
pub(crate) fn mark_unfinished<'d>(latest: Option<Day>, days: impl Iterator<Item = &'d mut CheckedDay>) {
    for day in days {
        let is_open = day.checkpoint.as_ref().is_some_and(|checkpoint| !checkpoint.is_final);
        day.unfinished = is_open && latest > Some(day.day);
    }
}

/// The latest day that one node's days show to have begun.
pub(crate) fn latest_of(directory: &EvidenceDirectory, checked: &[CheckedDay]) -> Option<Day> {
    let said = checked.iter().filter_map(|day| day.lines.as_ref()?.latest_other).max();
    directory.days.last().copied().max(said)
}

/// What a day follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Follows {
    /// Nothing: it is the first day of the record.
    Nothing,
    /// That day, whose checkpoint it names.
    Day(Day),
    /// A day that is not here.
    Absent,
    /// That is not known, or not as it should be.
    Unknown,
}

/// The days of one node that are still to be checked.
#[derive(Debug)]
pub(crate) struct NodeChain {
    pub(crate) directory: EvidenceDirectory,
    /// By which key its checkpoints are verified.
    pub(crate) verifier: NoteVerifier,
    at: usize,
    /// Whether no day with a line was before.
    is_first: bool,
    previous: Option<(Day, NodeHash)>,
    running: Option<bool>,
    /// Whether a day before has its records.
    has_records: bool,
}

impl NodeChain {
    /// For the record in a directory. `keys`: of those, the one that its first checkpoint names is used. Without any: the directory's.
    pub(crate) fn new(directory: EvidenceDirectory, keys: &[NoteVerifier]) -> Result<Self, Unreadable> {
        let verifier = match keys {
            [] => {
                let text = directory.public_key()?;
                text.parse().map_err(|error: NoteError| Unreadable::new(&directory.path.join("public.key"), error))?
            }
            [only] => only.clone(),
            [first, ..] => {
                // Two nodes may have one name: the key is the one that has signed.
                let mut notes = directory.days.iter().filter_map(|&day| directory.checkpoint(day).ok().flatten());
                let note = notes.next().unwrap_or_default();
                let named = |key: &&NoteVerifier| note.split(|&octet| octet == b'\n').next() == Some(key.name().as_bytes());
                let signed = keys.iter().find(|key| key.verify(&note).is_ok());
                signed.or_else(|| keys.iter().find(named)).unwrap_or(first).clone()
            }
        };
        Ok(Self { directory, verifier, at: 0, is_first: true, previous: None, running: None, has_records: false })
    }

    /// The day that is next.
    pub(crate) fn next_day(&self) -> Option<Day> {
        self.directory.days.get(self.at).copied()
    }

    /// Checks the next day. Of a day outside the range only the checkpoint is read. `None`: there is none.
    pub(crate) fn check_next(
        &mut self,
        range: &RangeInclusive<Day>,
        sink: LineSink<'_>,
    ) -> Result<Option<CheckedDay>, Unreadable> {
        let Some(day) = self.next_day() else { return Ok(None) };
        let is_last = self.at + 1 == self.directory.days.len();
        // Before it there may be days to which nothing was written.
        let is_first = self.is_first;
        self.at += 1;
        let mut findings = Findings::default();
        let octets = self.directory.checkpoint(day)?;
        let mut file = self.directory.records(day)?;
        let is_empty = file.as_ref().is_none_or(|file| file.metadata().is_ok_and(|about| about.len() == 0));
        if octets.is_none() && is_empty {
            let lines = file.map(|_| CheckedLines::default());
            return Ok(Some(CheckedDay {
                day,
                lines,
                checkpoint: None,
                follows: Follows::Unknown,
                findings,
                unsigned: 0,
                hole: false,
                unfinished: false,
            }));
        }
        self.is_first = false;
        let checkpoint = octets.as_deref().and_then(|note| match self.read(day, note) {
            Ok(checkpoint) => Some(checkpoint),
            Err(what) => {
                findings.of_checkpoint(what);
                None
            }
        });
        let follows = match (&checkpoint, self.previous) {
            (None, _) => Follows::Unknown,
            (Some(Checkpoint { previous: None, .. }), None) if is_first => Follows::Nothing,
            (Some(Checkpoint { previous: Some(_), .. }), None) if is_first => Follows::Absent,
            (Some(Checkpoint { previous: Some(named), .. }), Some((before, hash))) if *named == hash => Follows::Day(before),
            (Some(_), _) => {
                findings.of_checkpoint("the checkpoint does not name that of the day before: a day is missing, or was exchanged");
                Follows::Unknown
            }
        };
        match (&octets, &checkpoint) {
            (None, _) if !is_last => findings.of_checkpoint("there is no checkpoint, though a day follows"),
            (Some(_), Some(checkpoint)) if !is_last && !checkpoint.is_final => {
                findings.of_checkpoint("the checkpoint is not final, though a day follows");
            }
            _ => {}
        }
        let held = HeldTo { day, checkpoint: checkpoint.as_ref(), previous: self.previous, is_first };
        let lines = match file.as_mut().filter(|_| range.contains(&day)) {
            None => {
                self.running = None;
                None
            }
            Some(file) => {
                let checked = check_lines(file, &held, &mut self.running, sink);
                let (lines, of_lines) = checked.map_err(|error| Unreadable::new(&self.directory.records_path(day), error))?;
                findings.count += of_lines.count;
                findings.told.extend(of_lines.told);
                Some(lines)
            }
        };
        self.previous = octets.map(|octets| (day, sha256(&octets)));
        let hole = file.is_none() && self.has_records;
        self.has_records |= file.is_some();
        let unsigned = lines.as_ref().map_or(0, |lines| if checkpoint.is_none() { lines.records } else { 0 });
        Ok(Some(CheckedDay { day, lines, checkpoint, follows, findings, unsigned, hole, unfinished: false }))
    }

    /// The checkpoint of a day out of its note. `Err`: what is wrong with it.
    fn read(&self, day: Day, note: &[u8]) -> Result<Checkpoint, String> {
        let text = self.verifier.verify(note).map_err(|error| format!("the checkpoint: {error}"))?;
        let checkpoint: Checkpoint = text.parse().map_err(|error: NoteError| format!("the checkpoint: {error}"))?;
        if checkpoint.origin != self.verifier.name() {
            return Err(format!("the checkpoint is of another record: {}", checkpoint.origin));
        }
        if checkpoint.day != day {
            return Err(format!("the checkpoint is of another day: {}", checkpoint.day));
        }
        Ok(checkpoint)
    }
}

/// What a record comes to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Something is not as it was written, or was outside.
    pub(crate) broken: bool,
    /// Something is missing, or may be, or nobody has signed it.
    pub(crate) gaps: bool,
}

impl Standing {
    /// That of one day. Unless it is known to be over, it may have lines that no checkpoint covers yet.
    pub(crate) fn of(day: &CheckedDay) -> Self {
        let gaps = day
            .lines
            .as_ref()
            .is_some_and(|lines| lines.gap_count > 0 || lines.unclean_count > 0 || lines.unjudged > 0 || lines.torn);
        Self { broken: day.findings.count > 0, gaps: gaps || day.unsigned > 0 || day.hole || day.unfinished }
    }

    /// Of both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { broken: self.broken || other.broken, gaps: self.gaps || other.gaps }
    }
}
