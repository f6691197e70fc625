//! Why the record cannot be written now, with what to do about it.

use std::io;
use std::path::{Path, PathBuf};

/// Why the record cannot be written now.
#[derive(Debug, thiserror::Error)]
pub(crate) enum AuditTrouble {
    /// A file cannot be read or written.
    #[error("{}: {error}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What stands there was not written by this daemon, or not only.
    #[error("{}: {wrong}; nothing is written there: move {} to another place, keep it, and a new one is begun", path.display(), path.display())]
    Foreign {
        /// What has to be moved.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// Somebody has taken it away under the daemon.
    #[error("{}: somebody has taken it away; it is begun again, and a gap counts what was in it", path.display())]
    Gone {
        /// The file.
        path: PathBuf,
    },
}

impl AuditTrouble {
    /// For `map_err`: an error of this file.
    pub(crate) fn of(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |error| Self::Io { path: path.to_owned(), error }
    }

    /// Whether the disk has no room.
    pub(crate) fn is_full(&self) -> bool {
        let full = |error: &io::Error| matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
        matches!(self, Self::Io { error, .. } if full(error))
    }
}
