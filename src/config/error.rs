//! Mistakes in a configuration: the place, the offending text, and what would be right.
//!
//! Only describes and draws mistakes; finds and prints none.

use std::fmt::{self, Write as _};
use std::net::SocketAddr;
use std::path::PathBuf;

/// One mistake, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The file's path, as it was named or included.
    pub file: PathBuf,
    /// Line, from 1; 0 if the file as a whole is meant.
    pub line: usize,
    /// Column in characters, from 1; 0 if the file as a whole is meant.
    pub column: usize,
    /// The offending text as written (a string with its quotes). Empty if something is missing.
    pub text: String,
    /// The mistake, in words.
    pub wrong: String,
    /// What would be right, in words.
    pub right: String,
    /// The line that it stands in.
    pub excerpt: String,
}

/// Most characters of a line that are drawn.
const WIDEST: usize = 160;

impl fmt::Display for Mistake {
    /// `file:line:column: wrong`, the line with a caret under the text, and what would be right; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let file = self.file.display();
        if self.line == 0 {
            return write!(f, "{file}: {}\n  = {}", self.wrong, self.right);
        }
        writeln!(f, "{file}:{}:{}: {}", self.line, self.column, self.wrong)?;
        // A long line is cut so that the text stays in sight.
        let at = self.column.saturating_sub(1);
        let from = if at < WIDEST / 2 { 0 } else { at.saturating_sub(WIDEST / 4) };
        let shown: String = self.excerpt.chars().skip(from).take(WIDEST).map(harmless).collect();
        let number = self.line.to_string();
        let margin = " ".repeat(number.len());
        let carets = self.text.chars().count().clamp(1, shown.chars().count().saturating_sub(at.saturating_sub(from)).max(1));
        writeln!(f, "{margin} |")?;
        writeln!(f, "{number} | {shown}")?;
        write!(f, "{margin} | {}", " ".repeat(at.saturating_sub(from)))?;
        for _ in 0..carets {
            f.write_char('^')?;
        }
        write!(f, "\n{margin} = {}", self.right)
    }
}

/// Replaces a character of a file that a terminal would obey.
fn harmless(c: char) -> char {
    match c {
        '\t' => ' ',
        c if c.is_control() => '\u{fffd}',
        c => c,
    }
}

/// All mistakes of a configuration, in the order of the files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    /// The mistakes, in the order of the files; at least one, at most 100.
    pub mistakes: Vec<Mistake>,
    /// Whether the main file could not be read at all.
    pub unreadable: bool,
    /// The admin endpoint that the main file names in spite of them: a daemon that runs with an older file may be there.
    pub admin: Option<SocketAddr>,
}

impl fmt::Display for ConfigError {
    /// Every mistake, with an empty line between them; no newline at the end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, mistake) in self.mistakes.iter().enumerate() {
            if at > 0 {
                f.write_str("\n\n")?;
            }
            mistake.fmt(f)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}
