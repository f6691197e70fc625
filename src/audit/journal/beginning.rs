//! Where a former process stood, and the day that it left: found at the start, and after a file could not be cut.

use ring::rand::{SecureRandom as _, SystemRandom};
use tracing::warn;

use super::{DayStand, Journal, JournalParts, Progress};
use crate::audit::calendar::{DayNumber, micros};
use crate::audit::day_file::{DayFile, Fit, checkpoint_hash, checkpoint_text, read_checkpoint};
use crate::audit::line::moment;
use crate::audit::spool::{Found, SpoolToken, Within};
use crate::audit::tree::NodeHash;
use crate::audit::trouble::AuditTrouble;
use crate::telemetry::timestamp::Now;

impl Journal {
    /// Finds where a former process stood, and opens that day's file, or today's.
    pub(super) fn begin(&mut self, now: Now) -> Result<(), AuditTrouble> {
        let today = DayNumber::of(micros(now.wall));
        self.parts.directory.make_again()?;
        let directory = &self.parts.directory;
        let left = Some(self.parts.reader.stored()).filter(|left| left.day > 0);
        let last = directory.last_day()?;
        // A day may have been begun and nothing written to it.
        let begun = left.filter(|left| left.octets == 0).map(|left| DayNumber(left.day));
        let gone = self.gone.map(|(day, _)| day);
        let day = last.max(begun.filter(|begun| *begun <= today)).max(gone).unwrap_or(today);
        let position = left.filter(|left| left.day == day.0);
        let token = directory.spool_token();
        let own = self.owned || self.parts.reader.owner().is_of(&token);
        // As often as this process begins, all behind the position is its own.
        let most = if self.owned { u64::MAX } else { self.parts.reader.left().saturating_sub(left.map_or(0, |left| left.slot)) };
        let most = own.then_some(most);
        let (file, fit) = DayFile::open(directory.path(), day, (position.as_ref(), most), directory.verifier())?;
        // What waits is written if it cannot be in the file yet.
        let unplaced = !self.owned && self.parts.found == Found::Unplaced;
        let waits = match (left, fit) {
            (None, _) | (_, Fit::There) => !unplaced,
            (Some(left), Fit::Other) => file.lines() == 0 || position.is_some() && file.lines() < left.lines,
            (Some(_), Fit::Before) => false,
        };
        if let Some(left) = left.filter(|_| fit != Fit::There && gone.is_none()) {
            let there = DayNumber(left.day).name();
            warn!(
                day = there,
                lines = left.lines,
                written = waits,
                "the spool belongs to another record or is an old one, or lines were taken out of this one: no line is cut; what waits in \
                 it is written, or counted as a gap if it may be there already"
            );
        }
        if unplaced {
            warn!("the spool does not say any more what of it is on the disk: a gap counts what is not");
        }
        let missing = unplaced || self.parts.reader.damaged() > 0 || self.parts.reader.owner().doubt;
        self.doubt |= !self.owned && (!own || left.is_some() && fit != Fit::There || missing);
        if day > today {
            warn!(day = day.name(), today = today.name(), "the clock is before the last day of the record: that day goes on");
        }
        let Progress { day: before, foreign, begun, .. } = self.stored;
        let stand = match before {
            _ if file.lines() == 0 => DayStand::New,
            DayStand::Closed => DayStand::Closed,
            DayStand::New | DayStand::Open => DayStand::Open,
        };
        self.at = Progress { n: file.lines(), day: stand, foreign, begun, ..Progress::default() };
        if let Some(left) = left {
            (self.at.told, self.at.told_to, self.at.mark) = (left.told, left.told_to, left.mark);
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
        // If the spool does not know of it, it is begun once more.
        self.pass_and_store(!waits, unplaced, now).and_then(|()| self.own(token)).inspect_err(|_| self.day = None)?;
        self.gone = None;
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

    /// Says what is missing, and stores where it is.
    fn pass_and_store(&mut self, pass: bool, unplaced: bool, now: Now) -> Result<(), AuditTrouble> {
        if let Some((day, lines)) = self.gone.filter(|&(_, lines)| lines > 0 && self.at.n == 0) {
            self.open_day(micros(now.wall));
            self.gap(lines, day.begin(), micros(now.wall), "removed");
        }
        if pass {
            self.pass_over(unplaced, now)?;
        }
        if self.doubt {
            // Before the position: what is passed over must not be forgotten by a kill.
            self.parts.reader.doubt(true).map_err(AuditTrouble::of(self.parts.directory.path()))?;
        }
        self.store(now)
    }

    /// Counts what a former process left, instead of writing it. `unplaced`: that, and what is on the disk. The file's last record tells them apart.
    fn pass_over(&mut self, unplaced: bool, now: Now) -> Result<(), AuditTrouble> {
        let (mut count, mut from, mut to) = (0, None, 0);
        let mut last = self.day.as_ref().filter(|_| unplaced).map(|day| day.last().clone());
        while self.parts.reader.next_slot() < self.parts.reader.left() {
            let Some(slot) = self.parts.reader.next().map_err(AuditTrouble::of(self.parts.directory.path()))? else { break };
            if let Some(last) = last.as_mut().filter(|_| slot.at > 0) {
                let of_call = matches!(slot.within, Within::Record(_));
                let order = moment(slot.at).cmp(&last.moment);
                if order.is_lt() || order.is_eq() && (!of_call || last.count > 0) {
                    last.count = last.count.saturating_sub(u64::from(of_call && order.is_eq()));
                    // What was dropped before it is told too.
                    if slot.lost.count > self.at.told {
                        (self.at.told, self.at.told_to) = (slot.lost.count, slot.lost.to);
                    }
                    continue;
                }
            }
            match slot.within {
                Within::Mark(number) | Within::Begin { number, .. } => self.at.mark = number,
                Within::Record(_) | Within::TooLong | Within::Damaged => {
                    let at = if slot.at == 0 { micros(now.wall) } else { slot.at };
                    (count, to) = (count + 1, at.max(to));
                    from = Some(from.map_or(at, |from: u64| from.min(at)));
                }
            }
        }
        if let Some(from) = from {
            self.open_day(micros(now.wall));
            self.gap(count, from, to, "killed");
        }
        Ok(())
    }

    /// Makes the spool this record's. Not before a position of this record is stored: until then the next start must not believe it.
    fn own(&mut self, former: SpoolToken) -> Result<(), AuditTrouble> {
        if self.owned {
            return Ok(());
        }
        let JournalParts { directory, reader, .. } = &mut self.parts;
        let trouble = |error| AuditTrouble::of(directory.path())(error);
        let mut token = SpoolToken::default();
        let random = SystemRandom::new().fill(&mut token);
        random.map_err(|_| trouble(std::io::Error::other("the system gives no random octets")))?;
        reader.own([former, token], self.doubt).map_err(trouble)?;
        directory.set_spool_token(&token)?;
        reader.own([token; 2], self.doubt).map_err(trouble)?;
        self.owned = true;
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
                let (mut file, _) = DayFile::open(directory.path(), before, (None, None), directory.verifier())?;
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
