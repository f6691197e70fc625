//! The thread that writes the record: takes its directory, then writes what comes, and tries again whatever fails.
//!
//! Only this thread touches the disk of the record, from the first look at its directory on.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant};

use ring::hmac;
use tracing::{error, info};

use super::AuditOrder;
use crate::audit::directory::{AuditDirectory, DirectoryError};
use crate::audit::journal::{CloseReason, Journal, JournalParts, Keeping};
use crate::audit::marks::Marks;
use crate::audit::spool::{Found, SpoolReader};
use crate::audit::standing::AuditStanding;
use crate::audit::trouble::AuditTrouble;
use crate::config::AuditSeed;
use crate::telemetry::timestamp::Now;

/// The pause between two looks into the spool: to wake up costs more than many records.
const PAUSE: Duration = Duration::from_millis(100);
/// The pause before what has failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the log says that something fails.
const REMIND: Duration = Duration::from_secs(60);

/// Where a record is, and how it is signed.
pub(super) struct AuditPlace {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) key: AuditSeed,
}

/// All that a record needs but its directory.
pub(super) struct AuditStart {
    pub(super) keeping: Keeping,
    pub(super) reader: SpoolReader,
    pub(super) found: Found,
    pub(super) marks: Marks,
    pub(super) calls: hmac::Key,
    pub(super) node: String,
    pub(super) standing: Arc<AuditStanding>,
}

/// How the first look at the directory went.
pub(super) enum AuditTaking {
    Taken,
    /// A mistake of the configuration: waiting does not mend it.
    Mistake(String),
    /// It is tried again.
    Trouble(String),
}

/// Takes the directory, tells how that went, and waits for what it writes. Ends if nothing is to be written.
pub(super) fn work(place: &AuditPlace, tell: &Sender<AuditTaking>, begun: &Receiver<AuditStart>, orders: &Receiver<AuditOrder>) {
    let taken = place.take();
    let told = match &taken {
        Ok(_) => AuditTaking::Taken,
        Err(error) if is_mistake(error) => AuditTaking::Mistake(error.to_string()),
        Err(error) => AuditTaking::Trouble(error.to_string()),
    };
    // Whoever starts may wait no longer.
    let _ = tell.send(told);
    let Ok(start) = begun.recv() else { return };
    let mut said = AuditSaid::default();
    if let Some(journal) = place.begin(taken, start, orders, &mut said) {
        write(journal, orders, said);
    }
}

/// Whether it is so until somebody changes the configuration, or ends the other daemon.
fn is_mistake(error: &DirectoryError) -> bool {
    use io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound, PermissionDenied};
    match error {
        DirectoryError::Trouble(AuditTrouble::Io { error, .. }) => {
            matches!(error.kind(), InvalidFilename | InvalidInput | NotADirectory | NotFound | PermissionDenied)
        }
        DirectoryError::Trouble(_) => false,
        DirectoryError::Taken | DirectoryError::OtherKey(_) | DirectoryError::Unreadable(_) | DirectoryError::Signer(_) => true,
    }
}

impl AuditPlace {
    fn take(&self) -> Result<AuditDirectory, DirectoryError> {
        let directory = AuditDirectory::open(&self.path, &self.name, &self.key.0)?;
        info!(path = %self.path.display(), key = %directory.verifier(), "an audit record is kept");
        Ok(directory)
    }

    /// Waits until the directory can be taken. `None`: the daemon ends first.
    fn begin(
        &self,
        mut taken: Result<AuditDirectory, DirectoryError>,
        mut start: AuditStart,
        orders: &Receiver<AuditOrder>,
        said: &mut AuditSaid,
    ) -> Option<Journal> {
        loop {
            let error = match taken {
                Ok(directory) => {
                    let AuditStart { keeping, reader, found, marks, calls, node, standing } = start;
                    return Some(Journal::new(JournalParts { directory, keeping, reader, found, marks, calls, node, standing }));
                }
                Err(error) => error.to_string(),
            };
            start.standing.tell(|told| told.trouble = Some(error.clone()));
            said.trouble(error);
            match orders.recv_timeout(AGAIN) {
                Ok(AuditOrder::Keep(keeping, calls)) => (start.keeping, start.calls) = (keeping, *calls),
                Ok(AuditOrder::End(_)) => {
                    error!("the audit record was never begun: what it should hold stays in the spool, for the next start");
                    return None;
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return None,
            }
            taken = self.take();
        }
    }
}

fn write(mut journal: Journal, orders: &Receiver<AuditOrder>, mut said: AuditSaid) {
    let mut pause = Duration::ZERO;
    loop {
        match orders.recv_timeout(pause) {
            Ok(AuditOrder::Keep(keeping, calls)) => journal.keep(keeping, *calls, Now::read()),
            Ok(AuditOrder::End(why)) => return end(&mut journal, why),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        pause = match journal.step(Now::read()) {
            Ok(more) => {
                said.well();
                if more { Duration::ZERO } else { PAUSE }
            }
            Err(trouble) => {
                said.trouble(trouble.to_string());
                AGAIN
            }
        };
    }
}

fn end(journal: &mut Journal, why: CloseReason) {
    if let Err(trouble) = journal.finish(Now::read(), why) {
        error!(%trouble, "the audit record could not be ended: what is not written stays in the spool, for the next start");
    }
}

/// What the log was told last of something that fails, and when.
#[derive(Default)]
struct AuditSaid(Option<(String, Instant)>);

impl AuditSaid {
    fn trouble(&mut self, text: String) {
        let now = Instant::now();
        if self.0.as_ref().is_none_or(|(before, at)| *before != text || now.duration_since(*at) >= REMIND) {
            error!("the audit record cannot be written; calls go on, and records wait in the spool: {text}");
            self.0 = Some((text, now));
        }
    }

    fn well(&mut self) {
        if self.0.take().is_some() {
            info!("the audit record is written again");
        }
    }
}
