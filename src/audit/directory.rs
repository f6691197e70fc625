//! The directory of the record: one daemon at a time, one key for ever, days by their names, and what is too old.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::{FileExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use tracing::{info, warn};

use super::calendar::{DayNumber, last_of_month};
use super::day_file::{CHECKPOINT, RECORDS, is_same_file, make_folder, read_note, sync_folder, write_whole};
use super::signed_note::{NoteSigner, NoteVerifier};
use super::spool::SpoolToken;
use super::trouble::AuditTrouble;

/// The directory of the keys for numbers.
const KEYS: &str = "keys";
/// The key by which checkpoints are verified.
const PUBLIC: &str = "public.key";
/// Who has it locked is the daemon that writes there. Holds the token of its spool.
const LOCK: &str = "lock";

/// Why a directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DirectoryError {
    #[error("another daemon writes there: each daemon needs a directory of its own")]
    Taken,
    #[error("{0} in it is of another key than `sign`: take that key again, or another directory; one record has one key")]
    OtherKey(String),
    #[error("public.key in it cannot be read: {0}")]
    Unreadable(String),
    #[error(transparent)]
    Trouble(#[from] AuditTrouble),
    #[error("{0}")]
    Signer(super::signed_note::NoteError),
}

/// The directory, as long as this daemon has it.
#[derive(Debug)]
pub(crate) struct AuditDirectory {
    path: PathBuf,
    signer: NoteSigner,
    lock: Flock<File>,
}

impl AuditDirectory {
    /// Takes a directory, or makes it. `name`: by which checkpoints are signed from the first one on.
    pub(crate) fn open(path: &Path, name: &str, seed: &[u8; 32]) -> Result<Self, DirectoryError> {
        let lock = take(path)?;
        let signer = signer(path, name, seed)?;
        make_folder(path, &path.join(KEYS))?;
        Ok(Self { path: path.to_owned(), signer, lock })
    }

    /// Makes it again if somebody has taken it away.
    pub(crate) fn make_again(&mut self) -> Result<(), AuditTrouble> {
        if is_same_file(&self.lock, &self.path.join(LOCK)) {
            return Ok(());
        }
        let trouble = |error| match error {
            DirectoryError::Trouble(trouble) => trouble,
            error => AuditTrouble::of(&self.path)(io::Error::other(error)),
        };
        let (token, lock) = (self.spool_token(), take(&self.path).map_err(trouble)?);
        match known(&self.path).map_err(trouble)? {
            Some(known) if known.key() != self.verifier().key() => {
                return Err(trouble(DirectoryError::OtherKey(PUBLIC.to_owned())));
            }
            Some(_) => {}
            None => write_public(&self.path, self.verifier())?,
        }
        make_folder(&self.path, &self.keys())?;
        self.lock = lock;
        self.set_spool_token(&token)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn signer(&self) -> &NoteSigner {
        &self.signer
    }

    pub(crate) fn verifier(&self) -> &NoteVerifier {
        self.signer.verifier()
    }

    /// The token of the spool that was used last with this record. Zeros: there was none.
    pub(crate) fn spool_token(&self) -> SpoolToken {
        let mut token = [0; 16];
        self.lock.read_exact_at(&mut token, 0).map_or([0; 16], |()| token)
    }

    /// From now on the spool with this token belongs to the record. After a power loss no spool is believed, so this need not reach the disk.
    pub(crate) fn set_spool_token(&self, token: &SpoolToken) -> Result<(), AuditTrouble> {
        self.lock.write_all_at(token, 0).map_err(AuditTrouble::of(&self.path.join(LOCK)))
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.path.join(KEYS)
    }

    pub(crate) fn folder(&self, day: DayNumber) -> PathBuf {
        self.path.join(day.name())
    }

    /// The days that have a directory, in order.
    pub(crate) fn days(&self) -> Result<Vec<DayNumber>, AuditTrouble> {
        let mut days: Vec<_> = names(&self.path)?.iter().filter_map(|name| DayNumber::named(name)).collect();
        days.sort_unstable();
        Ok(days)
    }

    /// The last day with a line or a checkpoint.
    pub(crate) fn last_day(&self) -> Result<Option<DayNumber>, AuditTrouble> {
        Ok(self.days()?.into_iter().rev().find(|&day| self.has_lines(day) || self.has_checkpoint(day)))
    }

    pub(crate) fn has_lines(&self, day: DayNumber) -> bool {
        std::fs::metadata(self.folder(day).join(RECORDS)).is_ok_and(|data| data.len() > 0)
    }

    pub(crate) fn has_checkpoint(&self, day: DayNumber) -> bool {
        self.folder(day).join(CHECKPOINT).exists()
    }

    /// Deletes the records and the keys of months that are older than `retain` days. Checkpoints stay, and what nobody has signed.
    pub(crate) fn expire(&self, today: DayNumber, retain: u64) -> Result<(), AuditTrouble> {
        let old = |day: DayNumber| day.0.saturating_add(retain) < today.0;
        for day in self.days()?.into_iter().filter(|&day| old(day)) {
            let (folder, path) = (self.folder(day), self.folder(day).join(RECORDS));
            if !path.exists() {
                continue;
            }
            if !self.has_checkpoint(day) {
                warn!(day = day.name(), "records are older than `retain` and have no checkpoint: they are kept");
                continue;
            }
            std::fs::remove_file(&path).map_err(AuditTrouble::of(&path))?;
            sync_folder(&folder)?;
            info!(day = day.name(), "records are older than `retain` and were deleted; their checkpoint stays");
        }
        let keys = self.keys();
        for name in names(&keys)? {
            let Some(last) = name.strip_suffix(".key").and_then(last_of_month).filter(|&last| old(last)) else { continue };
            let path = keys.join(&name);
            std::fs::remove_file(&path).map_err(AuditTrouble::of(&path))?;
            sync_folder(&keys)?;
            info!(month = last.month(), "the key for the numbers of that month was deleted");
        }
        Ok(())
    }
}

/// Makes a directory, if it is not there, and locks it.
fn take(path: &Path) -> Result<Flock<File>, DirectoryError> {
    if let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        make_folder(parent, path)?;
    } else {
        make_folder(Path::new("."), path)?;
    }
    let at = path.join(LOCK);
    let lock = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&at);
    let lock = Flock::lock(lock.map_err(AuditTrouble::of(&at))?, FlockArg::LockExclusiveNonblock);
    lock.map_err(|(_, error)| match error {
        nix::errno::Errno::EWOULDBLOCK => DirectoryError::Taken,
        error => AuditTrouble::of(&at)(error.into()).into(),
    })
}

/// The signer. A directory keeps the name that its key had at first: another name of the host or the region makes no other record.
fn signer(path: &Path, name: &str, seed: &[u8; 32]) -> Result<NoteSigner, DirectoryError> {
    let own = NoteSigner::new(name, seed).map_err(DirectoryError::Signer)?;
    if let Some(known) = known(path)? {
        if known.key() != own.verifier().key() {
            return Err(DirectoryError::OtherKey(PUBLIC.to_owned()));
        }
        return NoteSigner::new(known.name(), seed).map_err(DirectoryError::Signer);
    }
    // It may be gone. Then the last checkpoint says whose the record is.
    let own = match last_note(path)? {
        None => own,
        Some((at, note)) => {
            let name = String::from_utf8_lossy(note.split(|&octet| octet == b'\n').next().unwrap_or_default()).into_owned();
            let signed = NoteSigner::new(&name, seed).ok().filter(|signer| signer.verifier().verify(&note).is_ok());
            signed.ok_or_else(|| DirectoryError::OtherKey(format!("{PUBLIC} is gone, and {at}")))?
        }
    };
    write_public(path, own.verifier())?;
    Ok(own)
}

/// The key that stands in a directory. `None`: there is none.
fn known(path: &Path) -> Result<Option<NoteVerifier>, DirectoryError> {
    let at = path.join(PUBLIC);
    match std::fs::read_to_string(&at) {
        Ok(known) => known.trim_end().parse().map(Some).map_err(|error| DirectoryError::Unreadable(format!("{error}"))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(DirectoryError::Unreadable(error.to_string())),
        Err(error) => Err(AuditTrouble::of(&at)(error).into()),
    }
}

fn write_public(path: &Path, verifier: &NoteVerifier) -> Result<(), AuditTrouble> {
    write_whole(path, PUBLIC, format!("{verifier}\n").as_bytes())
}

/// The last checkpoint in a directory, and where it is. `None`: there is none.
fn last_note(path: &Path) -> Result<Option<(String, Vec<u8>)>, AuditTrouble> {
    let mut days: Vec<DayNumber> = names(path)?.iter().filter_map(|name| DayNumber::named(name)).collect();
    days.sort_unstable();
    for name in days.into_iter().rev().map(DayNumber::name) {
        if let Some(note) = read_note(&path.join(&name))? {
            return Ok(Some((format!("{name}/{CHECKPOINT}"), note)));
        }
    }
    Ok(None)
}

fn names(folder: &Path) -> Result<Vec<String>, AuditTrouble> {
    let entries = std::fs::read_dir(folder).map_err(AuditTrouble::of(folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(AuditTrouble::of(folder))?;
        names.extend(entry.file_name().into_string().ok());
    }
    Ok(names)
}
