//! `ringfence check --diff`: what a reload would change, in words. Compares two snapshots; changes nothing.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::IsTerminal as _;
use std::path::Path;

use serde_json::{Value, json};

use super::color::{Colors, Tint};
use super::exit::OK;
use super::fields::{self, Kind, Said, Things};
use super::mistakes;
use super::output::print;
use crate::config;

/// The exit code if something differs.
const DIFFERS: u8 = 3;

/// One field that differs.
struct Changed {
    field: &'static str,
    old: Said,
    new: Said,
}

enum Change {
    Added,
    Removed,
    Changed(Vec<Changed>),
}

impl Change {
    const fn label(&self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Removed => "removed",
            Self::Changed(_) => "changed",
        }
    }
}

/// Prints the differences between two configurations. Returns the exit code.
pub(super) fn diff(old: &Path, new: &Path, json: bool) -> u8 {
    let mut both = Vec::with_capacity(2);
    for path in [old, new] {
        match config::load(path) {
            Ok(config) => both.push(fields::things(&config)),
            Err(error) => return mistakes::refuse(&error, json),
        }
    }
    let (Some(new), Some(old)) = (both.pop(), both.pop()) else { return OK };
    let changes = changes(old, new);
    if json {
        print(&format!("{}\n", as_json(&changes)));
    } else {
        print(&as_text(&changes, Colors::on(std::io::stdout().is_terminal())));
    }
    if changes.is_empty() { OK } else { DIFFERS }
}

fn changes(mut old: Things, new: Things) -> BTreeMap<(Kind, String), Change> {
    let mut out = BTreeMap::new();
    for (of, new) in new {
        let Some(old) = old.remove(&of) else {
            out.insert(of, Change::Added);
            continue;
        };
        // Things of one kind have the same fields in the same order.
        let both = old.into_iter().zip(new).filter(|((_, old), (_, new))| old != new);
        let changed: Vec<Changed> = both.map(|((field, old), (_, new))| Changed { field, old, new }).collect();
        if !changed.is_empty() {
            out.insert(of, Change::Changed(changed));
        }
    }
    out.extend(old.into_keys().map(|of| (of, Change::Removed)));
    out
}

fn as_text(changes: &BTreeMap<(Kind, String), Change>, colors: Colors) -> String {
    if changes.is_empty() {
        return "nothing\n".to_owned();
    }
    let mut out = String::new();
    for ((kind, name), change) in changes {
        let tint = match change {
            Change::Added => Tint::Green,
            Change::Removed => Tint::Red,
            Change::Changed(_) => Tint::Yellow,
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{} {} {name}", colors.text(tint, format!("{:<7}", change.label())), kind.label());
        let Change::Changed(fields) = change else { continue };
        for Changed { field, old, new } in fields {
            let what = match (old, new) {
                (Said::Set(old), Said::Set(new)) => {
                    let gone = old.difference(new).map(|value| format!("-{value}"));
                    let come = new.difference(old).map(|value| format!("+{value}"));
                    gone.chain(come).collect::<Vec<_>>().join(" ")
                }
                (old, new) => format!("{} → {}", one(old), one(new)),
            };
            let _ = writeln!(out, "        {field}: {what}");
        }
    }
    let count = |label: &str| changes.values().filter(|change| change.label() == label).count();
    let _ = writeln!(out, "{} added, {} removed, {} changed", count("added"), count("removed"), count("changed"));
    out
}

fn one(said: &Said) -> String {
    match said {
        Said::One(value) => value.clone(),
        Said::Set(values) => values.iter().map(String::as_str).collect::<Vec<_>>().join(" "),
    }
}

fn as_json(changes: &BTreeMap<(Kind, String), Change>) -> Value {
    let field = |of: &Changed| match (&of.old, &of.new) {
        (Said::Set(old), Said::Set(new)) => json!({
            "field": of.field,
            "removed": old.difference(new).collect::<Vec<_>>(),
            "added": new.difference(old).collect::<Vec<_>>(),
        }),
        (old, new) => json!({ "field": of.field, "old": one(old), "new": one(new) }),
    };
    let change = |((kind, name), change): (&(Kind, String), &Change)| {
        let fields: Vec<Value> = match change {
            Change::Changed(fields) => fields.iter().map(field).collect(),
            _ => Vec::new(),
        };
        json!({ "kind": kind.label(), "name": name, "change": change.label(), "fields": fields })
    };
    json!({ "valid": true, "changes": changes.iter().map(change).collect::<Vec<_>>() })
}
