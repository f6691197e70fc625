//! `ringfence check --diff`: what a reload would change, in words. Prints what `config` finds; compares nothing itself.

use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::{Value, json};

use super::color::{Colors, Tint};
use super::exit::OK;
use super::mistakes;
use super::output::{print, print_fitting};
use crate::config::{self, ChangedField, Config, Difference, Differences, Said};

/// The exit code if something differs.
const DIFFERS: u8 = 3;

/// Prints the differences between two configurations. Returns the exit code.
pub(super) fn diff(old: &Path, new: &Path, json: bool) -> u8 {
    let (old, new) = match (config::load(old), config::load(new)) {
        (Ok(old), Ok(new)) => (old, new),
        (Err(error), _) | (_, Err(error)) => return mistakes::refuse(&error, json),
    };
    let found = Differences::between(&old, &new, usize::MAX);
    if json {
        print(&format!("{}\n", as_json(&found, &new)));
    } else {
        for warning in &new.warnings {
            mistakes::print("warning", warning);
        }
        print_fitting(&as_text(&found, Colors::on(std::io::stdout().is_terminal())));
    }
    if found.is_empty() { OK } else { DIFFERS }
}

fn as_text(found: &Differences, colors: Colors) -> String {
    let colored = |line: &String| {
        let tint = match line.split(' ').next() {
            Some("added") => Tint::Green,
            Some("removed") => Tint::Red,
            Some("changed") => Tint::Yellow,
            _ => return format!("{line}\n"),
        };
        let (first, rest) = line.split_at_checked("changed".len()).unwrap_or_default();
        format!("{}{rest}\n", colors.text(tint, first))
    };
    found.lines().iter().map(colored).collect()
}

fn as_json(found: &Differences, new: &Config) -> Value {
    let field = |of: &ChangedField| match (&of.old, &of.new) {
        (Said::Set(old), Said::Set(new)) => json!({
            "field": of.field,
            "removed": old.difference(new).collect::<Vec<_>>(),
            "added": new.difference(old).collect::<Vec<_>>(),
        }),
        (old, new) => json!({ "field": of.field, "old": old.one(), "new": new.one() }),
    };
    let changes = found.all.iter().map(|((kind, name), difference)| {
        let fields: Vec<Value> = match difference {
            Difference::Changed(fields) => fields.iter().map(field).collect(),
            Difference::Added | Difference::Removed => Vec::new(),
        };
        json!({ "kind": kind.label(), "name": name, "change": difference.label(), "fields": fields })
    });
    let consequences = found.consequences.iter().map(|of| json!({ "of": of.of, "text": of.text }));
    let warnings: Vec<Value> = new.warnings.iter().map(mistakes::mistake_json).collect();
    json!({
        "valid": true,
        "changes": changes.collect::<Vec<_>>(),
        "consequences": consequences.collect::<Vec<_>>(),
        "warnings": warnings,
    })
}
