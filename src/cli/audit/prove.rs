//! `ringfence audit prove`, `find`, and `verify --proof`: single records, and what proves them.

use std::path::Path;

use ring::hmac;
use serde_json::json;

use super::options::{FindOptions, ProveOptions};
use super::{hex, unreadable};
use crate::audit::day::Day;
use crate::audit::read::blocks::pass;
use crate::audit::read::directory::{EvidenceDirectory, Unreadable, small_file};
use crate::audit::read::line::ReadLine;
use crate::audit::read::proof::{self, LONGEST_PROOF, MOST_PROOFS, NoProof, RecordProof};
use crate::audit::signed_note::{Checkpoint, NoteVerifier};
use crate::cli::exit::{FAILED, NO_INPUT, OK};
use crate::cli::output::{complain, print, say};
use crate::cli::printable::{harmless_json, plain};

/// Prints the proofs, each as one line.
pub(super) fn prove(options: &ProveOptions) -> u8 {
    let directory = match EvidenceDirectory::open(&options.directory) {
        Ok(directory) => directory,
        Err(error) => return unreadable(&error),
    };
    let days: Vec<Day> = directory.days.iter().copied().filter(|day| options.n.is_none_or(|wanted| wanted.day == *day)).collect();
    let mut found = 0;
    for day in days {
        match of_day(&directory, day, options) {
            Ok(proofs) => {
                found += proofs.len();
                print(&proofs.concat());
            }
            Err(code) => return code,
        }
    }
    if found > 0 { OK } else { complain("no record of that name or number is here", FAILED) }
}

fn of_day(directory: &EvidenceDirectory, day: Day, options: &ProveOptions) -> Result<Vec<String>, u8> {
    let open = || directory.records(day).map_err(|error| unreadable(&error));
    let cannot = |error: &dyn std::fmt::Display| complain(&plain(format!("{day}: {error}").as_bytes()), NO_INPUT);
    let Some(mut file) = open()? else { return Ok(Vec::new()) };
    let numbers = match (options.n, &options.call) {
        (Some(wanted), _) => vec![wanted.n],
        (None, Some(call)) => {
            let mut is_of = |line: &ReadLine<'_>| line.said.call.as_deref() == Some(call.as_str());
            proof::numbers(&mut file, &mut is_of).map_err(|error| cannot(&error))?
        }
        (None, None) => Vec::new(),
    };
    if numbers.len() > MOST_PROOFS {
        return Err(complain(&format!("{day}: that call has more than {MOST_PROOFS} records"), FAILED));
    }
    let Some(mut file) = open()?.filter(|_| !numbers.is_empty()) else { return Ok(Vec::new()) };
    let note = directory.checkpoint(day).map_err(|error| unreadable(&error))?.unwrap_or_default();
    // The signature is for whoever checks the proof. It is read here only for the size and the root.
    let note = String::from_utf8_lossy(&note).into_owned();
    let text = note.rfind("\n\n").and_then(|at| note.get(..=at)).unwrap_or_default();
    let checkpoint: Checkpoint = text.parse().map_err(|error| cannot(&error))?;
    let proofs = proof::prove(&mut file, day, &note, &checkpoint, &numbers).map_err(|error| match error {
        NoProof::Read(_) => cannot(&error),
        NoProof::Why(what) => complain(&what, FAILED),
    })?;
    Ok(proofs.iter().map(|proof| format!("{}\n", harmless_json(&proof.as_json().to_string()))).collect())
}

/// `verify --proof`: checks every proof of a file.
pub(super) fn check(path: &Path, keys: &[NoteVerifier], as_json: bool) -> u8 {
    let octets = match small_file(path, LONGEST_PROOF) {
        Ok(Some(octets)) => octets,
        Ok(None) => return unreadable(&Unreadable::new(path, "is not there")),
        Err(error) => return unreadable(&error),
    };
    let text = String::from_utf8_lossy(&octets);
    let mut code = OK;
    let mut lines = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    if lines.peek().is_none() {
        return unreadable(&Unreadable::new(path, "has no proof"));
    }
    for line in lines {
        let checked = RecordProof::of_json(line).and_then(|proof| {
            // The first line of a checkpoint says whose it is.
            let origin = proof.checkpoint.lines().next().unwrap_or_default();
            let key = keys.iter().find(|key| key.name() == origin).or_else(|| keys.first());
            let key = key.ok_or_else(|| NoProof::Why("there is no key".to_owned()))?;
            proof.check(key).map(|checkpoint| (proof, checkpoint))
        });
        let (right, said) = match checked {
            Ok((proof, of)) => {
                let record = proof.record.trim_end_matches('\n');
                let origin = &of.origin;
                (true, format!("proven: record {} of the {} of {} at {origin}\n{record}", proof.index, of.size, of.day))
            }
            Err(error) => (false, format!("not proven: {error}")),
        };
        if !right {
            code = FAILED;
        }
        if as_json {
            let what = said.split_once('\n').map_or(said.as_str(), |(first, _)| first);
            print(&format!("{}\n", harmless_json(&json!({ "proven": right, "what": what }).to_string())));
        } else {
            let said: String = said.lines().map(|line| plain(line.as_bytes()) + "\n").collect();
            print(&said);
        }
    }
    code
}

/// Prints the records that name a number: as it is, or as the hash that its month's key makes.
pub(super) fn find(options: &FindOptions) -> u8 {
    let directory = match EvidenceDirectory::open(&options.directory) {
        Ok(directory) => directory,
        Err(error) => return unreadable(&error),
    };
    let number: String = options.number.chars().filter(|c| !matches!(c, ' ' | '-' | '(' | ')' | '/')).collect();
    let mut found = 0_u64;
    let (mut month, mut hashed) = (String::new(), None);
    for &day in &directory.days {
        if day.month() != month {
            month = day.month();
            let key = match directory.month_key(&month) {
                Ok(key) => key,
                Err(error) => return unreadable(&error),
            };
            hashed = key.map(|key| {
                let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, &key), number.as_bytes());
                hex(tag.as_ref().get(..16).unwrap_or_default())
            });
            if hashed.is_none() {
                say(&format!("ringfence: {month} has no key: numbers that were hashed then cannot be found"));
            }
        }
        let mut file = match directory.records(day) {
            Ok(Some(file)) => file,
            Ok(None) => continue,
            Err(error) => return unreadable(&error),
        };
        let is = |text: Option<&str>| text.is_some_and(|text| text == number || Some(text) == hashed.as_deref());
        let passed = pass(&mut file, None, &mut |_, octets| {
            let octets = octets.strip_suffix(b"\n").unwrap_or(octets);
            if let Ok(line) = ReadLine::of(octets)
                && line.kind == crate::audit::read::line::LineKind::Verdict
                && (is(line.said.from.as_deref()) || is(line.said.to.as_deref()))
            {
                found += 1;
                print(&(harmless_json(&String::from_utf8_lossy(octets)) + "\n"));
            }
            None
        });
        if let Err(error) = passed {
            return unreadable(&Unreadable::new(&directory.records_path(day), error));
        }
    }
    if found > 0 { OK } else { complain("no record of that number is here", FAILED) }
}
