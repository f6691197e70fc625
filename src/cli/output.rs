//! Writes the output of a command. Chooses no words.

use std::io::Write as _;
use std::path::Path;

/// Prints on standard error why there is no other output. Returns `code`.
pub(super) fn complain(what: &str, code: u8) -> u8 {
    // Nothing is left to be told if standard error is closed.
    let _ = writeln!(std::io::stderr(), "ringfence: {what}");
    code
}

/// Writes to standard output. A closed pipe is no error: its reader has read enough.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The name of a file, for people.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
