//! The options of `ringfence audit`. It reads arguments and does nothing else.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;

use clap::{Args, Subcommand};

use crate::audit::day::{Day, NotADay};
use crate::cli::help;

/// What is done with a record.
#[derive(Debug, Subcommand)]
pub(in crate::cli) enum AuditCommand {
    /// Say whether a record is whole: every line, root, signature and day, and every target and media address judged again
    #[command(after_help = help::AUDIT_VERIFY.codes(), after_long_help = help::AUDIT_VERIFY.long())]
    Verify(VerifyOptions),
    /// Add up a period by region and project, over any number of nodes
    #[command(after_help = help::AUDIT_REPORT.codes(), after_long_help = help::AUDIT_REPORT.long())]
    Report(ReportOptions),
    /// Write what proves one record, without showing another
    #[command(after_help = help::AUDIT_PROVE.codes(), after_long_help = help::AUDIT_PROVE.long())]
    Prove(ProveOptions),
    /// Print the records of a number, which the record holds only as a hash
    #[command(after_help = help::AUDIT_FIND.codes(), after_long_help = help::AUDIT_FIND.long())]
    Find(FindOptions),
}

/// What is verified, and by which keys.
#[derive(Debug, Args)]
pub(in crate::cli) struct VerifyOptions {
    /// The records, as `path` of [audit] names them: one directory for each node. `-`: the lines of one day on standard input
    #[arg(required_unless_present = "proof", value_name = "DIR")]
    pub(super) directories: Vec<PathBuf>,
    /// A node's public key: its text, or a file with it. You can give this option several times. Without it: DIR/public.key
    #[arg(long, value_name = "PUBLIC")]
    pub(super) key: Vec<String>,
    /// Read the lines of this day and the days after it
    #[arg(long, value_name = "DAY")]
    pub(super) since: Option<Day>,
    /// Read the lines of this day and the days before it
    #[arg(long, value_name = "DAY")]
    pub(super) until: Option<Day>,
    /// Check a proof that `prove` has written, instead of a record
    #[arg(long, value_name = "FILE", requires = "key", conflicts_with_all = ["directories", "since", "until"])]
    pub(super) proof: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    pub(super) json: bool,
}

/// What is reported.
#[derive(Debug, Args)]
pub(in crate::cli) struct ReportOptions {
    /// The records, as `path` of [audit] names them: one directory for each node
    #[arg(required = true, value_name = "DIR")]
    pub(super) directories: Vec<PathBuf>,
    /// A year, a month or a day: 2026, 2026-11, 2026-11-25
    #[arg(long, value_name = "PERIOD")]
    pub(super) period: Period,
    /// A node's public key: its text, or a file with it. You can give this option several times. Without it: DIR/public.key
    #[arg(long, value_name = "PUBLIC")]
    pub(super) key: Vec<String>,
    /// Print one JSON object
    #[arg(long, conflicts_with_all = ["html", "csv"])]
    pub(super) json: bool,
    /// Print a page that needs no other file
    #[arg(long, conflicts_with = "csv")]
    pub(super) html: bool,
    /// Print a table of values with commas between
    #[arg(long)]
    pub(super) csv: bool,
}

/// What is proven.
#[derive(Debug, Args)]
pub(in crate::cli) struct ProveOptions {
    /// The record of a node
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// All records of a call, by the name that its records have
    #[arg(long, value_name = "HASH", required_unless_present = "n")]
    pub(super) call: Option<String>,
    /// One record, by its day and number
    #[arg(long, value_name = "DAY:N", conflicts_with = "call")]
    pub(super) n: Option<RecordNumber>,
}

/// Whose records are wanted.
#[derive(Debug, Args)]
pub(in crate::cli) struct FindOptions {
    /// The record of a node, with its keys
    #[arg(value_name = "DIR")]
    pub(super) directory: PathBuf,
    /// The number, with + and country code, or a user part
    #[arg(long, value_name = "NUMBER", allow_hyphen_values = true)]
    pub(super) number: String,
}

/// A year, a month or a day.
#[derive(Clone, Debug)]
pub(super) struct Period {
    pub(super) text: String,
    pub(super) days: RangeInclusive<Day>,
}

impl FromStr for Period {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let months =
            if text.len() == 4 { [format!("{text}-01"), format!("{text}-12")] } else { [text.to_owned(), text.to_owned()] };
        let [first, last] = &months;
        let whole = text.parse::<Day>().ok();
        let first = whole.or_else(|| format!("{first}-01").parse().ok());
        let last = whole.or_else(|| (28..=31).rev().find_map(|day| format!("{last}-{day}").parse().ok()));
        match (first, last) {
            (Some(first), Some(last)) => Ok(Self { text: text.to_owned(), days: first..=last }),
            _ => Err("this is no period: 2026, 2026-11 or 2026-11-25 would be right".to_owned()),
        }
    }
}

/// A record's place.
#[derive(Clone, Copy, Debug)]
pub(super) struct RecordNumber {
    pub(super) day: Day,
    pub(super) n: u64,
}

impl FromStr for RecordNumber {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (day, n) = text.split_once(':').unwrap_or_default();
        let day = day.parse().map_err(|NotADay| "this is no record: 2026-11-25:7 would be right".to_owned())?;
        let n = n.parse().map_err(|_| "this is no record: 2026-11-25:7 would be right".to_owned())?;
        Ok(Self { day, n })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_period_is_a_year_a_month_or_a_day() {
        for (text, first, last) in [
            ("2026", "2026-01-01", "2026-12-31"),
            ("2026-11", "2026-11-01", "2026-11-30"),
            ("2028-02", "2028-02-01", "2028-02-29"),
            ("2026-02", "2026-02-01", "2026-02-28"),
            ("2026-11-25", "2026-11-25", "2026-11-25"),
        ] {
            let days = text.parse::<Period>().unwrap().days;
            assert_eq!((days.start().to_string(), days.end().to_string()), (first.to_owned(), last.to_owned()), "{text}");
        }
        for text in ["", "2026-", "2026-13", "2026-11-31", "20261", "202", "11-2026", "2026-1", "é026"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }
}
