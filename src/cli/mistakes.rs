//! The mistakes and warnings of a configuration, for people and machines.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use serde_json::{Value, json};

use super::arguments::USUAL;
use super::color::{Colors, Tint};
use super::{exit, output};
use crate::config::{ConfigError, Mistake};

/// Prints why a configuration cannot be used: on standard error, or as one JSON object on standard output. Returns the exit code.
pub(super) fn refuse(error: &ConfigError, json: bool) -> u8 {
    if json {
        output::print(&format!("{}\n", error_json(error)));
    } else {
        if no_usual(error) {
            let [here, there] = USUAL;
            let what =
                format!("there is no ./{here} and no {there}: -c FILE names another, and `ringfence init` writes a first one");
            return output::complain(&what, exit::of(error));
        }
        for mistake in &error.mistakes {
            print("error", mistake);
        }
    }
    exit::of(error)
}

/// Whether no file was named, and none of the usual ones is there.
pub(super) fn no_usual(error: &ConfigError) -> bool {
    let usual = error.mistakes.first().is_some_and(|mistake| mistake.file == Path::new(USUAL[0]));
    error.unreadable && usual && !USUAL.iter().any(|path| Path::new(path).exists())
}

/// One mistake or warning on standard error, with an empty line after it.
pub(super) fn print(kind: &str, mistake: &Mistake) {
    let mut out = std::io::stderr().lock();
    let colors = Colors::on(out.is_terminal());
    // Nothing is left to be told if standard error is closed.
    let _ = writeln!(out, "{}\n", drawn(kind, mistake, colors));
}

/// One mistake with its kind in front, coloured on a terminal; no newline at the end.
fn drawn(kind: &str, mistake: &Mistake, colors: Colors) -> String {
    let tint = if kind == "error" { Tint::Red } else { Tint::Yellow };
    let text = mistake.to_string();
    let lines = text.lines().enumerate().map(|(at, line)| match at {
        0 => format!("{}: {}", colors.text(tint, kind), colors.text(Tint::Bold, line)),
        3 if mistake.line > 0 => colors.text(tint, line),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn error_json(error: &ConfigError) -> Value {
    json!({ "valid": false, "mistakes": error.mistakes.iter().map(mistake_json).collect::<Vec<_>>() })
}

/// One mistake or warning.
pub(super) fn mistake_json(mistake: &Mistake) -> Value {
    json!({
        "file": output::shown(&mistake.file),
        "line": mistake.line,
        "column": mistake.column,
        "text": mistake.text,
        "wrong": mistake.wrong,
        "right": mistake.right,
    })
}
