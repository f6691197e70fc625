//! Writes what a command says. Chooses no words.

use std::io::Write as _;
use std::path::Path;

/// Says on standard error why there is nothing else to say; returns `code`.
pub(super) fn complain(what: &str, code: u8) -> u8 {
    // Nothing is left to be told if standard error is closed.
    let _ = writeln!(std::io::stderr(), "ringfence: {what}");
    code
}

/// Writes on standard output. A closed pipe has read all that it wanted.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// How a file is named to people.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
