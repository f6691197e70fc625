//! Writes the output of a command. Chooses no words.

use std::io::{IsTerminal as _, Write as _};
use std::path::Path;

use super::told;

/// Prints on standard error why there is no other output. Returns `code`.
pub(super) fn complain(what: &str, code: u8) -> u8 {
    say(&format!("ringfence: {what}"));
    code
}

/// Writes a line to standard error: it belongs to no output.
pub(super) fn say(what: &str) {
    // Nothing is left to be told if standard error is closed.
    let _ = writeln!(std::io::stderr(), "{what}");
}

/// Writes to standard output. A closed pipe is no error: its reader has read enough.
pub(super) fn print(text: &str) {
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

/// The same for people: on a terminal, lines that are wider go on below, further in.
pub(super) fn print_fitting(text: &str) {
    let terminal = std::io::stdout().is_terminal();
    match terminal_size::terminal_size().filter(|_| terminal) {
        Some((terminal_size::Width(columns), _)) => {
            let lines = text.lines().map(|line| told::broken_at(line, columns.into()) + "\n");
            print(&lines.collect::<String>());
        }
        None => print(text),
    }
}

/// The name of a file, for people.
pub(super) fn shown(path: &Path) -> String {
    path.display().to_string()
}
