//! The files of a record: a directory for each day, with its lines and its checkpoint, and the key beside them.
//!
//! Opens nothing but plain files inside plain directories, so that nothing can make the reader wait or lead it elsewhere. Does not
//! know what is in them.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use crate::audit::day::Day;
use crate::audit::signed_note::LONGEST_NOTE;

/// A file that cannot be read: which, and why.
#[derive(Debug, thiserror::Error)]
#[error("{}: {why}", path.display())]
pub(crate) struct Unreadable {
    path: PathBuf,
    why: String,
}

impl Unreadable {
    pub(crate) fn new(path: &Path, why: impl std::fmt::Display) -> Self {
        Self { path: path.to_owned(), why: why.to_string() }
    }
}

/// The record of one node.
#[derive(Clone, Debug)]
pub(crate) struct EvidenceDirectory {
    pub(crate) path: PathBuf,
    /// The days that it has something of, in order.
    pub(crate) days: Vec<Day>,
}

impl EvidenceDirectory {
    /// The record in that directory.
    pub(crate) fn open(path: &Path) -> Result<Self, Unreadable> {
        let unreadable = |error: std::io::Error| Unreadable::new(path, error);
        let mut days = Vec::new();
        for entry in std::fs::read_dir(path).map_err(unreadable)? {
            let entry = entry.map_err(unreadable)?;
            let Some(day) = entry.file_name().to_str().and_then(|name| name.parse().ok()) else { continue };
            if !entry.file_type().map_err(unreadable)?.is_dir() {
                return Err(Unreadable::new(&entry.path(), "is no directory"));
            }
            days.push(day);
        }
        days.sort_unstable();
        if days.is_empty() {
            Err(Unreadable::new(path, "has no day of a record"))
        } else {
            Ok(Self { path: path.to_owned(), days })
        }
    }

    /// The file with a day's lines. `None`: they are deleted.
    pub(crate) fn records(&self, day: Day) -> Result<Option<File>, Unreadable> {
        plain_file(&self.records_path(day))
    }

    /// Where a day's lines are.
    pub(crate) fn records_path(&self, day: Day) -> PathBuf {
        self.path.join(day.to_string()).join("records.jsonl")
    }

    /// The octets of a day's checkpoint. `None`: there is none.
    pub(crate) fn checkpoint(&self, day: Day) -> Result<Option<Vec<u8>>, Unreadable> {
        small_file(&self.path.join(day.to_string()).join("checkpoint"), LONGEST_NOTE)
    }

    /// The key by which its checkpoints are verified, as the directory itself says.
    pub(crate) fn public_key(&self) -> Result<String, Unreadable> {
        let path = self.path.join("public.key");
        key_text(&path)
    }

    /// The key of a month's numbers. `None`: it is deleted, or never was.
    pub(crate) fn month_key(&self, month: &str) -> Result<Option<[u8; 32]>, Unreadable> {
        let path = self.path.join("keys").join(format!("{month}.key"));
        let Some(octets) = small_file(&path, 1024)? else { return Ok(None) };
        let text = std::str::from_utf8(&octets).unwrap_or_default().trim_end();
        let key =
            super::line::unhex(text).ok_or_else(|| Unreadable::new(&path, "is no key: 64 hexadecimal digits would be right"))?;
        Ok(Some(key))
    }
}

/// A verifier key out of a file.
pub(crate) fn key_text(path: &Path) -> Result<String, Unreadable> {
    let octets = small_file(path, LONGEST_NOTE)?.ok_or_else(|| Unreadable::new(path, "is not there"))?;
    let text = String::from_utf8(octets).map_err(|_| Unreadable::new(path, "is no text"))?;
    Ok(text.trim_end().to_owned())
}

/// A file's octets. `None`: there is no such file.
pub(crate) fn small_file(path: &Path, longest: usize) -> Result<Option<Vec<u8>>, Unreadable> {
    let Some(file) = plain_file(path)? else { return Ok(None) };
    let mut octets = Vec::new();
    file.take(longest as u64 + 1).read_to_end(&mut octets).map_err(|error| Unreadable::new(path, error))?;
    if octets.len() > longest { Err(Unreadable::new(path, format!("is longer than {longest} octets"))) } else { Ok(Some(octets)) }
}

/// An open file. `None`: there is no such file. A link or a pipe is refused.
fn plain_file(path: &Path) -> Result<Option<File>, Unreadable> {
    let unreadable = |error| Unreadable::new(path, error);
    match std::fs::symlink_metadata(path) {
        Ok(about) if about.is_file() => File::open(path).map(Some).map_err(unreadable),
        Ok(_) => Err(Unreadable::new(path, "is no plain file")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(unreadable(error)),
    }
}
