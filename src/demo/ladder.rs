//! Draws the ladder of a call: one line for each message.
//!
//! It knows labels, but no SIP and no socket.

use std::cell::RefCell;
use std::fmt::Write as _;

use crate::cli::color::{Colors, Tint};

/// Who takes part, from left to right.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Lane {
    Trunk,
    Ringfence,
    Eu,
    Us,
}

impl Lane {
    const ALL: [Self; 4] = [Self::Trunk, Self::Ringfence, Self::Eu, Self::Us];

    const fn title(self) -> &'static str {
        match self {
            Self::Trunk => "trunk",
            Self::Ringfence => "ringfence",
            Self::Eu => "eu upstream",
            Self::Us => "us upstream",
        }
    }

    /// The column of its line.
    const fn column(self) -> usize {
        6 + 22 * self as usize
    }
}

/// One message as an actor saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Step {
    pub(super) from: Lane,
    pub(super) to: Lane,
    pub(super) label: String,
}

/// The messages since the log was last taken. Actors of one thread share it.
#[derive(Debug, Default)]
pub(super) struct Log {
    steps: RefCell<Vec<Step>>,
}

/// Most messages that are remembered; a call of the demonstration has eleven.
const MOST: usize = 200;

impl Log {
    pub(super) fn note(&self, from: Lane, to: Lane, label: impl Into<String>) {
        let mut steps = self.steps.borrow_mut();
        if steps.len() < MOST {
            steps.push(Step { from, to, label: label.into() });
        }
    }

    pub(super) fn take(&self) -> Vec<Step> {
        self.steps.take()
    }
}

/// The ladder, with a line of titles above; each line ends with a newline.
pub(super) fn draw(steps: &[Step], colors: Colors) -> String {
    let mut out = String::new();
    let mut titles = String::new();
    for lane in Lane::ALL {
        let start = lane.column().saturating_sub(lane.title().len() / 2);
        let gap = start.saturating_sub(titles.len());
        // Writing to a string cannot fail.
        let _ = write!(titles, "{}{}", " ".repeat(gap), lane.title());
    }
    let _ = writeln!(out, "{}", colors.text(Tint::Bold, titles));
    for step in steps {
        let _ = writeln!(out, "{}", line(step, colors));
    }
    out
}

fn line(step: &Step, colors: Colors) -> String {
    let (left, right) = (step.from.min(step.to), step.from.max(step.to));
    let mut out = " ".repeat(Lane::Trunk.column());
    for lane in Lane::ALL {
        out.push('│');
        let Some(next) = Lane::ALL.get(lane as usize + 1) else { break };
        let width = next.column() - lane.column() - 1;
        if lane == left && left != right {
            // An arrow over several lanes starts and ends at theirs.
            let _ = write!(out, "{}", arrow(step, right.column() - left.column() - 1, colors));
        } else if lane < left || lane >= right {
            out.push_str(&" ".repeat(width));
        } else {
            out.pop();
        }
    }
    out.trim_end().to_owned()
}

/// `── INVITE ───────▶` or `◀── 200 OK ───────`.
fn arrow(step: &Step, width: usize, colors: Colors) -> String {
    let room = width.saturating_sub(5);
    let mut label: String = step.label.chars().take(room).collect();
    if step.label.chars().count() > room {
        label.pop();
        label.push('…');
    }
    let rest = "─".repeat(width.saturating_sub(label.chars().count() + 5));
    let label = colors.text(tint(&step.label), label);
    if step.from < step.to { format!("── {label} {rest}▶") } else { format!("◀── {label} {rest}") }
}

/// A refusal is red, a success green, a request neither.
fn tint(label: &str) -> Tint {
    match label.as_bytes() {
        [b'1', ..] => Tint::Dim,
        [b'2', ..] => Tint::Green,
        [b'3'..=b'6', ..] => Tint::Red,
        _ => Tint::Cyan,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_one_line_a_message() {
        let log = Log::default();
        log.note(Lane::Trunk, Lane::Ringfence, "INVITE");
        log.note(Lane::Ringfence, Lane::Eu, "INVITE");
        log.note(Lane::Eu, Lane::Ringfence, "200 OK");
        log.note(Lane::Ringfence, Lane::Trunk, "603 Call Belongs To Another Region");
        log.note(Lane::Ringfence, Lane::Us, "INVITE");
        let drawn = draw(&log.take(), Colors::on(false));
        let expected = "    trunk               ringfence            eu upstream           us upstream
      │── INVITE ──────────▶│                     │                     │
      │                     │── INVITE ──────────▶│                     │
      │                     │◀── 200 OK ──────────│                     │
      │◀── 603 Call Belong… │                     │                     │
      │                     │── INVITE ────────────────────────────────▶│
";
        assert_eq!(drawn, expected, "\n{drawn}");
        assert!(log.take().is_empty(), "a ladder begins where the last one ended");
    }

    #[test]
    fn remembers_a_bounded_number() {
        let log = Log::default();
        for _ in 0..MOST + 5 {
            log.note(Lane::Trunk, Lane::Ringfence, "INVITE");
        }
        assert_eq!(log.take().len(), MOST);
    }
}
