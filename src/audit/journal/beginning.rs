//! Where a former process stood, and the day that it left: found at the start, and after a file could not be cut.

use tracing::warn;

use super::{Journal, Progress};
use crate::audit::calendar::{DayNumber, micros};
use crate::audit::day_file::{DayFile, checkpoint_hash, checkpoint_text, read_checkpoint};
use crate::audit::tree::NodeHash;
use crate::audit::trouble::AuditTrouble;
use crate::telemetry::timestamp::Now;

impl Journal {
    /// Finds where a former process stood, and opens that day's file, or today's.
    pub(super) fn begin(&mut self, now: Now) -> Result<(), AuditTrouble> {
        let today = DayNumber::of(micros(now.wall));
        let directory = &self.parts.directory;
        let left = Some(self.parts.reader.stored()).filter(|left| left.day > 0);
        let last = directory.last_day()?;
        // A day may have been begun and nothing written to it.
        let begun = left.filter(|left| left.octets == 0).map(|left| DayNumber(left.day));
        let day = last.max(begun.filter(|begun| *begun <= today)).unwrap_or(today);
        let position = left.filter(|left| left.day == day.0);
        let (file, found) = DayFile::open(directory.path(), day, position.as_ref(), directory.verifier())?;
        if let Some(left) = left.filter(|_| !found) {
            let there = DayNumber(left.day).name();
            warn!(
                day = there,
                lines = left.lines,
                "the spool belongs to another record, or lines were taken out of this one: all that waits in it is written"
            );
        }
        if day > today {
            warn!(day = day.name(), today = today.name(), "the clock is before the last day of the record: that day goes on");
        }
        let Progress { foreign, closed, .. } = self.stored;
        self.at = Progress { n: file.lines(), day_open: file.lines() > 0, foreign, closed, ..Progress::default() };
        if let Some(left) = left {
            (self.at.told, self.at.mark) = (left.told, left.mark);
        }
        self.previous = self.previous_of(day)?;
        let folders = [Some(day), self.previous.map(|(before, _)| before)].into_iter().flatten().map(|day| directory.folder(day));
        if let Some((note, since)) = folders.into_iter().find_map(|folder| checkpoint_text(&folder)) {
            self.parts.standing.tell(|told| told.checkpoint = Some((note.into(), micros(since))));
        }
        let ended = file.covered().is_some_and(|(_, is_final)| is_final);
        if ended {
            // It goes on: its checkpoint must soon say so.
            self.checkpoint_due = Some(now.steady);
        } else {
            self.checkpoint_due = now.steady.checked_add(self.parts.keeping.checkpoint);
        }
        self.day = Some(file);
        self.stored = self.at;
        self.store(now)?;
        match last {
            // A clock that is wrong at the start must not delete everything.
            Some(last) if today.0 > last.0 + 1 => {
                warn!(
                    last = last.name(),
                    today = today.name(),
                    "the record's last day is older than yesterday: until the next day begins, nothing is deleted for its age since then"
                );
                self.expire(last);
            }
            _ => self.expire(today),
        }
        Ok(())
    }

    /// The last day before with a checkpoint. If the daemon was killed on it, it gets its final one now.
    pub(super) fn previous_of(&self, day: DayNumber) -> Result<Option<(DayNumber, NodeHash)>, AuditTrouble> {
        let directory = &self.parts.directory;
        for before in directory.days()?.into_iter().rev().filter(|&before| before < day) {
            let folder = directory.folder(before);
            let checkpoint = read_checkpoint(&folder, before, directory.verifier())?;
            let is_final = checkpoint.is_some_and(|checkpoint| checkpoint.is_final);
            if !is_final && directory.has_lines(before) {
                let (mut file, _) = DayFile::open(directory.path(), before, None, directory.verifier())?;
                let previous = self.previous_of(before)?;
                self.write_checkpoint(&mut file, previous.map(|(_, hash)| hash), true)?;
            }
            if let Some(hash) = checkpoint_hash(&folder)? {
                return Ok(Some((before, hash)));
            }
        }
        Ok(None)
    }
}
