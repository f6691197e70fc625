//! One slot of the spool after the other, each as the lines that it becomes. They are put behind the lines at hand.

use super::{DayStand, Journal, OpenReason, telling};
use crate::audit::calendar::{DayNumber, micros};
use crate::audit::day_file::DayFile;
use crate::audit::record::AuditRecord;
use crate::audit::record_line::{LineKeys, NumbersAs};
use crate::audit::spool::{Found, Within};
use crate::audit::trouble::AuditTrouble;
use crate::config::AuditNumbers;
use crate::telemetry::timestamp::Now;

impl Journal {
    /// Takes the next slot. `false`: there is none.
    pub(super) fn take(&mut self, now: Now) -> Result<bool, AuditTrouble> {
        let path = self.parts.directory.path();
        let Some(slot) = self.parts.reader.next().map_err(AuditTrouble::of(path))? else { return Ok(false) };
        let at = if slot.at == 0 { micros(now.wall) } else { slot.at };
        let day = self.day.as_ref().map_or_else(|| DayNumber::of(at), DayFile::day);
        let begins = matches!(slot.within, Within::Begin { .. });
        if DayNumber::of(at) > day {
            self.parts.reader.unread();
            // No process ran when the day ended if another one begins now.
            self.turn(DayNumber::of(at), !begins, now)?;
            return Ok(true);
        }
        if !begins && self.at.day == DayStand::New {
            self.parts.reader.unread();
            self.open(OpenReason::Day, at);
            return Ok(true);
        }
        let lost = slot.lost;
        let told = self.at.told;
        let (mut gap, mut count) = (None, 1);
        let (mut mark, mut begin) = (None, None);
        if lost.count > told {
            telling::gap_line(&mut self.lines, &mut self.at, lost, at, self.was_full);
            self.was_full = false;
        }
        match slot.within {
            Within::Record(octets) => match AuditRecord::decode(octets) {
                Some(record) => {
                    let numbers = match self.parts.keeping.numbers {
                        AuditNumbers::Plain => NumbersAs::Plain,
                        AuditNumbers::Mask => NumbersAs::Mask,
                        AuditNumbers::Hmac => NumbersAs::Hmac(self.keys.of(day)?),
                    };
                    record.write_line(self.at.n, &LineKeys { calls: &self.parts.calls, numbers }, &mut self.lines);
                    self.at.n += 1;
                    self.at.kept += 1;
                }
                None => gap = Some("unreadable"),
            },
            Within::Mark(number) => mark = Some(number),
            Within::Begin { number, goes_on } => begin = Some((number, goes_on)),
            Within::TooLong => gap = Some("too-long"),
            Within::Damaged => {
                gap = Some("killed");
                count += self.parts.reader.pass_damaged().map_err(AuditTrouble::of(path))?;
            }
        }
        if let Some(why) = gap {
            self.gap(count, at, at, why);
        }
        if let Some(number) = mark {
            self.at.mark = number;
            self.config(at);
        }
        if let Some((number, goes_on)) = begin {
            self.at.mark = number;
            self.open(OpenReason::Start { goes_on: goes_on && !self.doubt }, at);
            self.at.begun |= self.parts.reader.next_slot() > self.parts.reader.left();
            if let Found::Foreign(count) = self.parts.found
                && count > 0
                && !std::mem::replace(&mut self.at.foreign, true)
            {
                self.gap(count, at, at, "other-version");
            }
        }
        Ok(true)
    }
}
