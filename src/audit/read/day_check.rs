//! One day's lines held to their form, their order, their seals, their checkpoint and their configurations.
//!
//! Says what is wrong and goes on: an auditor wants to see all of it. Does not know other days, but for what the one before has left.

use std::io::Read;

use serde_json::Value;

use super::blocks::{PassFound, SealSaid, pass};
use super::in_force::{InForce, NotInside};
use super::line::{LineKind, ReadLine, unhex};
use super::tokens::Wrong;
use crate::audit::day::Day;
use crate::audit::signed_note::Checkpoint;
use crate::audit::tree::{NodeHash, leaf_hash};

/// Most findings of a day that are told; more are counted.
const MOST_TOLD: usize = 20;

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// The lines that it may be in, from 1, the first and the last. `None`: it is in no line.
    pub(crate) lines: Option<(u64, u64)>,
    /// What is wrong, in words.
    pub(crate) what: String,
}

/// Findings, the first of them told.
#[derive(Clone, Debug, Default)]
pub(crate) struct Findings {
    pub(crate) told: Vec<Finding>,
    pub(crate) count: u64,
}

impl Findings {
    /// `line`: counted from 0.
    fn at(&mut self, line: u64, what: impl Into<String>) {
        self.between(line, line, what);
    }

    fn between(&mut self, first: u64, last: u64, what: impl Into<String>) {
        self.add(Finding { lines: Some((first.saturating_add(1), last.saturating_add(1))), what: what.into() });
    }

    /// Of the day's checkpoint.
    pub(crate) fn of_checkpoint(&mut self, what: impl Into<String>) {
        self.add(Finding { lines: None, what: what.into() });
    }

    fn add(&mut self, finding: Finding) {
        self.count += 1;
        if self.told.len() < MOST_TOLD {
            self.told.push(finding);
        }
    }
}

/// Lines that the record itself says are missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct GapTold {
    /// Where it says so, counted from 1.
    pub(crate) line: u64,
    pub(crate) count: u64,
    pub(crate) why: String,
    pub(crate) from: String,
    pub(crate) to: String,
}

/// What is known of one day's lines.
#[derive(Clone, Debug, Default)]
pub(crate) struct CheckedLines {
    pub(crate) records: u64,
    pub(crate) root: NodeHash,
    /// The hash of the first line, which no other record has.
    pub(crate) first: Option<NodeHash>,
    /// The day before that the first line names.
    pub(crate) before: Option<Day>,
    /// How many lines stand behind the checkpoint.
    pub(crate) behind: u64,
    /// Whether the last line has no end.
    pub(crate) torn: bool,
    /// The first gaps, and how many lines all of them say are missing.
    pub(crate) gaps: Vec<GapTold>,
    pub(crate) gap_count: u64,
    pub(crate) missing: u64,
    /// The lines, from 1, where the daemon starts and had not ended cleanly before; the first of them, and how many there are.
    pub(crate) unclean: Vec<u64>,
    pub(crate) unclean_count: u64,
    /// How often the daemon starts and had not ended cleanly before, and found all that waited to be written.
    pub(crate) recovered: u64,
    /// Targets and media addresses that are outside.
    pub(crate) outside: u64,
    /// Records whose configuration no record before them tells: nobody can judge them again.
    pub(crate) unjudged: u64,
    /// Lines that say they are of another day, and the latest day that any of them says.
    pub(crate) of_other_days: u64,
    pub(crate) latest_other: Option<Day>,
    /// The digests of the configurations that were in force, and the nodes and versions that said so.
    pub(crate) digests: Vec<String>,
    pub(crate) nodes: Vec<String>,
}

/// What the lines of a day are held to.
#[derive(Debug)]
pub(crate) struct HeldTo<'c> {
    pub(crate) day: Day,
    /// The signed checkpoint, if it could be verified.
    pub(crate) checkpoint: Option<&'c Checkpoint>,
    /// The day before that is here, with the hash of its checkpoint.
    pub(crate) previous: Option<(Day, NodeHash)>,
    /// Whether a day must have been before, which is not here.
    pub(crate) is_first: bool,
}

/// Who is shown each line that can be read, and whether what it says was outside.
pub(crate) type LineSink<'s> = &'s mut dyn FnMut(&ReadLine<'_>, bool);

struct DayCheck<'c> {
    day: String,
    held: &'c HeldTo<'c>,
    next: u64,
    in_force: InForce,
    /// Whether a daemon was writing. `None`: nobody knows.
    running: Option<bool>,
    found: CheckedLines,
    findings: Findings,
}

/// Checks a day's lines. `running`: whether a daemon was writing when the day before ended, and then when this one does.
pub(crate) fn check_lines(
    source: &mut dyn Read,
    held: &HeldTo<'_>,
    running: &mut Option<bool>,
    sink: LineSink<'_>,
) -> std::io::Result<(CheckedLines, Findings)> {
    let mut check = DayCheck {
        day: held.day.to_string(),
        held,
        next: 0,
        in_force: InForce::default(),
        running: *running,
        found: CheckedLines::default(),
        findings: Findings::default(),
    };
    let covered = held.checkpoint.map(|checkpoint| checkpoint.size);
    let passed = pass(source, covered, &mut |at, octets| match check.line(at, octets, sink) {
        Ok(seal) => seal,
        Err(what) => {
            check.findings.at(at, what);
            None
        }
    })?;
    check.conclude(&passed);
    *running = check.running;
    Ok((check.found, check.findings))
}

impl DayCheck<'_> {
    fn line(&mut self, at: u64, octets: &[u8], sink: LineSink<'_>) -> Result<Option<SealSaid>, Wrong> {
        if at == 0 {
            self.found.first = Some(leaf_hash(octets));
        }
        let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
        let expected = self.next;
        self.next = self.next.saturating_add(1);
        let mut line = ReadLine::unread();
        line.read(octets)?;
        self.next = line.n.saturating_add(1);
        if line.n != expected {
            self.findings.at(at, format!("says that it is number {}; {expected} would be right", line.n));
        }
        if !line.is_of(&self.day) {
            self.found.of_other_days += 1;
            self.found.latest_other = self.found.latest_other.max(Day::of_moment(line.at).ok());
        }
        if at == 0 && line.kind != LineKind::Open {
            self.findings.at(at, "does not open the day");
        }
        let mut outside = false;
        match line.kind {
            LineKind::Open => self.open(at, &line)?,
            LineKind::Close => self.running = Some(false),
            LineKind::Config => {
                self.in_force.take(&line, octets)?;
                note(&mut self.found.digests, line.said.digest.as_deref());
            }
            LineKind::Gap => self.gap(at, &line),
            LineKind::Seal => {
                let (size, root) = line.seal()?;
                return Ok(Some(SealSaid { line: at, size, root }));
            }
            LineKind::Verdict | LineKind::Answer | LineKind::End => match self.in_force.judge(&line) {
                Ok(()) => {}
                Err(NotInside::Unjudged) => self.found.unjudged += 1,
                Err(NotInside::Outside(what)) => {
                    outside = true;
                    self.found.outside += 1;
                    self.findings.at(at, what);
                }
            },
        }
        sink(&line, outside);
        Ok(None)
    }

    fn open(&mut self, at: u64, line: &ReadLine<'_>) -> Result<(), Wrong> {
        if self.running == Some(true) && line.said.spool.as_deref() == Some("kept") {
            self.found.recovered += 1;
        } else if self.running == Some(true) {
            self.found.unclean_count += 1;
            if self.found.unclean.len() < MOST_TOLD {
                self.found.unclean.push(at.saturating_add(1));
            }
        }
        self.running = Some(true);
        let node = line.said.node.as_deref().map(|node| format!("{node} {}", line.said.version.as_deref().unwrap_or_default()));
        note(&mut self.found.nodes, node.as_deref().map(str::trim_end));
        let Some(previous) = line.said.previous else {
            return match self.held.previous {
                Some((day, _)) => Err(format!("opens the day without naming {day}'s checkpoint").into()),
                None => Ok(()),
            };
        };
        let value: Value = serde_json::from_str(previous).map_err(|_| "names a day before that cannot be read")?;
        let text = |key| value.get(key).and_then(Value::as_str);
        let day = text("day").and_then(|day| day.parse::<Day>().ok()).ok_or("names a day before that is none")?;
        if at == 0 {
            self.found.before = Some(day);
        }
        let hash = text("sha256").and_then(unhex).ok_or("names the day before without its checkpoint's hash")?;
        match self.held.previous {
            Some((here, _)) if here != day => Err(format!("names {day} as the day before; {here} is").into()),
            Some((here, is)) if is != hash => Err(format!("names another checkpoint of {here} than is here").into()),
            None if !self.held.is_first => Err(format!("names {day} as the day before, whose checkpoint is not here").into()),
            _ => Ok(()),
        }
    }

    fn gap(&mut self, at: u64, line: &ReadLine<'_>) {
        let text = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().unwrap_or_default().to_owned();
        let said = &line.said;
        let count = said.count.unwrap_or_default();
        self.found.gap_count += 1;
        self.found.missing = self.found.missing.saturating_add(count);
        if self.found.gaps.len() < MOST_TOLD {
            let line = at.saturating_add(1);
            self.found.gaps.push(GapTold { line, count, why: text(&said.why), from: text(&said.from), to: text(&said.to) });
        }
    }

    fn conclude(&mut self, passed: &PassFound) {
        let (found, findings) = (&mut self.found, &mut self.findings);
        (found.records, found.root, found.torn) = (passed.lines, passed.root, passed.torn > 0);
        if passed.too_long {
            findings.at(passed.lines, "is longer than any line that is written: it is not read, nor is what follows it");
        }
        let sealed = if let Some(seal) = passed.wrong_seal {
            findings.between(
                passed.sealed,
                seal,
                format!("are not what was sealed: line {} says another root", seal.saturating_add(1)),
            );
            seal
        } else {
            passed.sealed
        };
        let Some(checkpoint) = self.held.checkpoint else {
            found.behind = passed.lines;
            return;
        };
        found.behind = passed.lines.saturating_sub(checkpoint.size);
        match passed.at_checkpoint {
            None if !passed.too_long => {
                let missing = checkpoint.size.saturating_sub(1);
                let what =
                    format!("are missing: the checkpoint covers {} lines, and there are {}", checkpoint.size, passed.lines);
                findings.between(passed.lines, missing, what);
            }
            Some(root) if root != checkpoint.root && passed.wrong_seal.is_none() => {
                let last = checkpoint.size.saturating_sub(1);
                findings.between(sealed.min(last), last, "are not what was signed: the checkpoint says another root");
            }
            _ => {}
        }
        if checkpoint.is_final && found.behind > 0 {
            findings.between(checkpoint.size, passed.lines.saturating_sub(1), "stand behind the day's final checkpoint");
        }
        if checkpoint.is_final && found.torn {
            findings.at(passed.lines, "has no end, and stands behind the day's final checkpoint");
        }
    }
}

/// Keeps a text that was said, once, if there are not too many.
fn note(list: &mut Vec<String>, text: Option<&str>) {
    if let Some(text) = text
        && list.len() < MOST_TOLD
        && !list.iter().any(|known| known == text)
    {
        list.push(text.to_owned());
    }
}
