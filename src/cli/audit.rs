//! `ringfence audit`: reads the record of decisions as somebody does who does not trust whoever wrote it.
//!
//! Opens what the arguments name and prints what was found. Writes no file, and decides nothing about messages.

use std::fmt::Write as _;
use std::path::Path;

use super::exit::{FAILED, NO_INPUT, OK};
use super::output::complain;
use super::printable::plain;
use crate::audit::read::chain::{NodeChain, Standing};
use crate::audit::read::day_check::Finding;
use crate::audit::read::directory::{EvidenceDirectory, Unreadable, key_text};
use crate::audit::signed_note::{NoteError, NoteVerifier};

mod options;
mod page;
mod prove;
mod report;
mod table;
mod verify;

pub(super) use options::AuditCommand;

/// Exit code: nothing is broken, and something is missing or may be.
const GAPS: u8 = 2;

/// Does what the arguments say.
pub(super) fn audit(command: &AuditCommand) -> u8 {
    match command {
        AuditCommand::Verify(options) => verify::verify(options),
        AuditCommand::Report(options) => report::report(options),
        AuditCommand::Prove(options) => prove::prove(options),
        AuditCommand::Find(options) => prove::find(options),
    }
}

/// The keys that were given: each a text, or a file with one.
fn keys(given: &[String]) -> Result<Vec<NoteVerifier>, u8> {
    let key = |given: &String| {
        let text = given.trim();
        if text.contains('+') && !Path::new(text).exists() {
            return text.parse().map_err(|error: NoteError| complain(&format!("--key: {error}"), super::exit::WRONG));
        }
        let text = key_text(Path::new(text)).map_err(|error| unreadable(&error))?;
        text.parse().map_err(|error: NoteError| complain(&format!("{}: {error}", plain(given.as_bytes())), NO_INPUT))
    };
    given.iter().map(key).collect()
}

/// The record of a node, ready to be checked.
fn chain(path: &Path, keys: &[NoteVerifier]) -> Result<NodeChain, u8> {
    let chain = EvidenceDirectory::open(path).and_then(|directory| NodeChain::new(directory, keys));
    chain.map_err(|error| unreadable(&error))
}

fn unreadable(error: &Unreadable) -> u8 {
    complain(&plain(error.to_string().as_bytes()), NO_INPUT)
}

fn code(standing: Standing) -> u8 {
    match standing {
        Standing { broken: true, .. } => FAILED,
        Standing { gaps: true, .. } => GAPS,
        _ => OK,
    }
}

/// A finding in words that fit a terminal.
fn told(finding: &Finding) -> String {
    let what = plain(finding.what.as_bytes());
    match finding.lines {
        None => what,
        Some((first, last)) if first < last => format!("lines {first} to {last} {what}"),
        Some((line, _)) => {
            let one = |many: &str, one: &str| what.strip_prefix(many).map(|rest| format!("{one} {rest}"));
            let what = one("are ", "is").or_else(|| one("stand ", "stands")).unwrap_or_else(|| what.clone());
            format!("line {line} {what}")
        }
    }
}

fn hex(octets: &[u8]) -> String {
    octets.iter().fold(String::with_capacity(octets.len() * 2), |mut out, octet| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{octet:02x}");
        out
    })
}

/// A number with its digits in groups of three, for people.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(' ');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_fit_one_line_and_many() {
        let told = |first, last, what: &str| told(&Finding { lines: Some((first, last)), what: what.to_owned() });
        assert_eq!(told(3, 3, "are not what was signed"), "line 3 is not what was signed");
        assert_eq!(told(3, 5, "stand behind"), "lines 3 to 5 stand behind");
        assert_eq!(told(3, 3, "says \u{1b}[2J"), "line 3 says \u{fffd}[2J");
        assert_eq!([0, 999, 1000, 812_344, 1_000_000].map(grouped), ["0", "999", "1 000", "812 344", "1 000 000"]);
    }
}
