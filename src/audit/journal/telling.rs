//! The lines that the record writes of itself: what begins and ends, what is in force, what is missing. They are put behind the lines at hand.

use tracing::warn;

use super::{DayStand, Journal, OpenReason, Progress};
use crate::audit::day_file::LONGEST_LINE;
use crate::audit::line::{AuditLine, moment};
use crate::audit::spool::Lost;

/// Most octets of what every line begins and ends with.
const LONGEST_HEAD: u64 = 128;

impl Journal {
    /// An `open` record and the configuration.
    pub(super) fn open(&mut self, why: OpenReason, at: u64) {
        let (node, previous) = (self.parts.node.clone(), self.previous);
        self.begin_line(at, "open", |line| {
            line.text("node", &node);
            line.text("version", env!("CARGO_PKG_VERSION"));
            line.text("why", if why == OpenReason::Day { "day" } else { "start" });
            if let Some((day, hash)) = previous {
                line.object("previous", |line| {
                    line.text("day", &day.name());
                    line.hex("sha256", &hash);
                });
            }
            if why == (OpenReason::Start { goes_on: true }) {
                line.text("spool", "kept");
            }
        });
        self.at.day = DayStand::Open;
        if self.at.mark > 0 {
            self.config(at);
        }
    }

    /// An `open` record if the day has none: nothing stands before it.
    pub(super) fn open_day(&mut self, at: u64) {
        if self.at.day == DayStand::New {
            self.open(OpenReason::Day, at);
        }
    }

    /// The `config` records of the configuration in force.
    pub(super) fn config(&mut self, at: u64) {
        let number = self.at.mark;
        let Some(lines) = self.parts.marks.lines(number) else {
            warn!(
                number,
                "a configuration that was in force is not known any more: what was judged by it cannot be judged again by the record"
            );
            return;
        };
        for fields in lines {
            if fields.len() as u64 + LONGEST_HEAD > LONGEST_LINE {
                warn!(
                    number,
                    octets = fields.len(),
                    "a configuration is longer than a line may be: what is judged by it cannot be judged again"
                );
                continue;
            }
            let mut line = AuditLine::begin(&mut self.lines, self.at.n, at, "config");
            line.fields(fields);
            line.end();
            self.at.n += 1;
        }
    }

    /// Tells what was dropped, if something was.
    pub(super) fn tell_lost(&mut self, lost: Lost, now: u64) {
        if lost.count > self.at.told {
            gap_line(&mut self.lines, &mut self.at, lost, now, std::mem::take(&mut self.was_full));
        }
    }

    pub(super) fn gap(&mut self, count: u64, from: u64, to: u64, why: &str) {
        write_gap(&mut self.lines, &mut self.at, to, (count, from, to, why));
    }

    pub(super) fn begin_line(&mut self, at: u64, kind: &str, more: impl FnOnce(&mut AuditLine<'_>)) {
        let mut line = AuditLine::begin(&mut self.lines, self.at.n, at, kind);
        more(&mut line);
        line.end();
        self.at.n += 1;
    }
}

/// A `gap` over what the spool has dropped and nothing tells of yet.
pub(super) fn gap_line(lines: &mut Vec<u8>, at: &mut Progress, lost: Lost, now: u64, was_full: bool) {
    let count = lost.count.saturating_sub(at.told);
    // The spool knows only when the last ones in a row began: a part of these may be told already.
    let from = if at.told_to <= lost.to { lost.from.max(at.told_to) } else { lost.from };
    (at.told, at.told_to) = (lost.count, lost.to);
    write_gap(lines, at, now, (count, from, lost.to, if was_full { "disk-full" } else { "slow-disk" }));
}

fn write_gap(lines: &mut Vec<u8>, at: &mut Progress, now: u64, (count, from, to, why): (u64, u64, u64, &str)) {
    let mut line = AuditLine::begin(lines, at.n, now, "gap");
    line.number("count", count);
    line.text("from", &moment(from));
    line.text("to", &moment(to));
    line.text("why", why);
    line.end();
    at.n += 1;
    at.gaps += 1;
}
