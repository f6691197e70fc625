//! The configurations that slots name by a number: each in a file beside the spool, because it is longer than a slot and must outlive a kill.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// What comes behind the spool's name, before the number.
const INFIX: &str = ".config-";

/// The configurations beside a spool.
#[derive(Debug)]
pub(crate) struct Marks {
    spool: PathBuf,
    last: Option<(u64, Vec<String>)>,
}

impl Marks {
    pub(crate) fn new(spool: &Path) -> Self {
        Self { spool: spool.to_owned(), last: None }
    }

    /// The `config` records of that number. `None`: they are not there any more.
    pub(crate) fn lines(&mut self, number: u64) -> Option<&[String]> {
        if self.last.as_ref().is_none_or(|(of, _)| *of != number) {
            let text = std::fs::read_to_string(place(&self.spool, number)).ok()?;
            // Without an end it was not written whole.
            let text = text.strip_suffix("\n\n")?;
            self.last = Some((number, text.lines().map(str::to_owned).collect()));
        }
        self.last.as_ref().map(|(_, lines)| lines.as_slice())
    }

    /// Forgets those before that number.
    pub(crate) fn forget_before(&self, number: u64) {
        for (of, path) in all(&self.spool) {
            if of < number {
                // What stays is forgotten the next time.
                let _ = std::fs::remove_file(path);
            }
        }
    }
}

/// Keeps the `config` records of a configuration under a number.
pub(crate) fn keep(spool: &Path, number: u64, lines: &[String]) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(place(spool, number))?;
    let mut text = lines.join("\n");
    text.push_str("\n\n");
    file.write_all(text.as_bytes())
}

/// The highest number beside a spool; 0: there is none.
pub(crate) fn highest(spool: &Path) -> u64 {
    all(spool).into_iter().map(|(number, _)| number).max().unwrap_or_default()
}

fn place(spool: &Path, number: u64) -> PathBuf {
    let mut name = spool.file_name().unwrap_or_default().to_owned();
    name.push(format!("{INFIX}{number}"));
    spool.with_file_name(name)
}

fn all(spool: &Path) -> Vec<(u64, PathBuf)> {
    let folder = spool.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or_else(|| Path::new("."));
    let Some(name) = spool.file_name().and_then(|name| name.to_str()) else { return Vec::new() };
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let number = |path: &PathBuf| path.file_name()?.to_str()?.strip_prefix(name)?.strip_prefix(INFIX)?.parse().ok();
    entries.filter_map(|entry| entry.ok().map(|entry| entry.path())).filter_map(|path| Some((number(&path)?, path))).collect()
}
