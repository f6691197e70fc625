//! The thread that writes the record, and the handle to it. Whatever its disk does, nobody but this thread waits for it.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use ring::hmac;
use tracing::{error, info, warn};

use super::calendar::micros;
use super::config_lines::config_lines;
use super::directory::AuditDirectory;
use super::journal::{CloseReason, Journal, JournalParts, Keeping};
use super::marks::{self, Marks};
use super::spool::{Found, SLOTS, Spool};
use super::standing::AuditStanding;
use crate::config::{Audit, Config, Secret};
use crate::telemetry::timestamp::Now;

/// The pause between two looks into the spool while records come, and while none come.
const BUSY: Duration = Duration::from_millis(20);
const IDLE: Duration = Duration::from_millis(100);
/// The pause before what has failed is tried again.
const AGAIN: Duration = Duration::from_secs(1);
/// How often the log says that something fails.
const REMIND: Duration = Duration::from_secs(60);
/// How long the end waits for a disk. What it does not take by then stays in the spool.
const END: Duration = Duration::from_secs(10);

/// Why there is no audit record.
#[derive(Debug, thiserror::Error)]
pub enum AuditError {
    /// The directory.
    #[error("[audit] path {}: {wrong}", path.display())]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// The spool.
    #[error("[audit] spool {}: {wrong}\n  = a file on a tmpfs, in a directory that the daemon's user may write", path.display())]
    Spool {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        wrong: String,
    },
    /// No thread.
    #[error(transparent)]
    Thread(#[from] io::Error),
}

/// The running record.
#[derive(Debug)]
pub(crate) struct AuditWriter {
    orders: mpsc::Sender<AuditOrder>,
    /// Closed when the thread has ended.
    ended: mpsc::Receiver<()>,
    thread: Option<JoinHandle<()>>,
    standing: Arc<AuditStanding>,
    audit: Audit,
    seed: Secret,
    mark: u64,
}

#[derive(Debug)]
enum AuditOrder {
    /// A reload has changed this.
    Keep(Keeping, Box<hmac::Key>),
    End(CloseReason),
}

impl AuditWriter {
    /// Begins the record of a configuration. `None`: it wants none. `seed`: names calls if there is no `[secret]`.
    pub(crate) fn start(config: &Config, seed: [u8; 16]) -> Result<Option<(Spool, Self)>, AuditError> {
        let Some(audit) = config.audit.clone() else { return Ok(None) };
        let seed = Secret(seed);
        let node = node();
        let region = config.regions.iter().find(|region| region.served).map_or("", |region| region.hostname.as_str());
        let of_directory = |wrong: String| AuditError::Directory { path: audit.path.clone(), wrong };
        let of_spool = |wrong: String| AuditError::Spool { path: audit.spool.clone(), wrong };
        let directory = AuditDirectory::open(&audit.path, &format!("{region}/audit/{node}"), &audit.key.0);
        let directory = directory.map_err(|error| of_directory(error.to_string()))?;
        make_parent(&audit.spool).map_err(|error| of_spool(error.to_string()))?;
        let (mut spool, reader, found) = Spool::open(&audit.spool, SLOTS).map_err(|error| of_spool(error.to_string()))?;
        let level = spool.level();
        match found {
            Found::Left(_) if level.behind() > 0 => {
                info!(records = level.behind(), "the process before left audit records in the spool: they are written now");
            }
            Found::Nothing | Found::Left(_) | Found::Unplaced => {}
            Found::Foreign(count) => {
                warn!(count, spool = %audit.spool.display(), "the audit spool is of another version: the records in it are lost, and a gap tells of them");
            }
        }
        let now = micros(SystemTime::now());
        let mark = marks::highest(&audit.spool).max(now) + 1;
        marks::keep(&audit.spool, mark, &config_lines(config)).map_err(|error| of_spool(error.to_string()))?;
        spool.begin(now, mark);
        info!(path = %audit.path.display(), key = %directory.verifier(), "an audit record is kept");
        let standing = Arc::new(AuditStanding::new(level));
        let parts = JournalParts {
            directory,
            keeping: keeping(&audit),
            reader,
            found,
            marks: Marks::new(&audit.spool),
            calls: call_key(config, &seed),
            node,
            standing: Arc::clone(&standing),
        };
        let (orders, ordered) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let thread = std::thread::Builder::new().name("ringfence-audit".to_owned());
        let thread = thread.spawn(move || {
            work(Journal::new(parts), &ordered);
            drop::<mpsc::Sender<()>>(end);
        })?;
        Ok(Some((spool, Self { orders, ended, thread: Some(thread), standing, audit, seed, mark })))
    }

    /// How the record stands.
    pub(crate) fn standing(&self) -> Arc<AuditStanding> {
        Arc::clone(&self.standing)
    }

    /// Keeps what another configuration says, before it is in force. Returns its number, for the message thread to mark.
    pub(crate) fn prepare(&mut self, config: &Config) -> Option<u64> {
        let mark = (self.mark + 1).max(micros(SystemTime::now()));
        let kept = marks::keep(&self.audit.spool, mark, &config_lines(config));
        if let Err(error) = kept {
            let spool = self.audit.spool.display();
            error!(%error, %spool, "the audit record does not say what this configuration is: no program can judge its calls again");
            return None;
        }
        self.mark = mark;
        Some(mark)
    }

    /// Whether a configuration wants the record that runs.
    pub(crate) fn is_kept_as(&self, audit: &Audit) -> bool {
        (&audit.path, &audit.key, &audit.spool) == (&self.audit.path, &self.audit.key, &self.audit.spool)
    }

    /// Takes in what may change while it runs.
    pub(crate) fn reload(&self, config: &Config) {
        let keeping = keeping(config.audit.as_ref().unwrap_or(&self.audit));
        // A thread that has ended has said why.
        let _ = self.orders.send(AuditOrder::Keep(keeping, Box::new(call_key(config, &self.seed))));
    }

    /// Ends the record. Blocks until its last checkpoint is written, or the disk does not answer.
    pub(crate) fn end(mut self, handed_over: bool) {
        self.finish(if handed_over { CloseReason::HandOver } else { CloseReason::Stop });
    }

    fn finish(&mut self, why: CloseReason) {
        let Some(thread) = self.thread.take() else { return };
        let _ = self.orders.send(AuditOrder::End(why));
        if self.ended.recv_timeout(END) == Err(RecvTimeoutError::Timeout) {
            error!("the disk of the audit record does not answer: what it has not taken stays in the spool, for the next start");
            return;
        }
        // It has ended; a panic of it was printed.
        let _ = thread.join();
    }
}

impl Drop for AuditWriter {
    fn drop(&mut self) {
        self.finish(CloseReason::Stop);
    }
}

/// What to say of a reload that wants another record than the one that runs.
pub(crate) const RESTART: &str =
    "[audit] takes effect at the next start if it is new or gone, or has another `path`, `sign` or `spool`";

fn work(mut journal: Journal, orders: &mpsc::Receiver<AuditOrder>) {
    let mut pause = Duration::ZERO;
    let mut said: Option<(String, Instant)> = None;
    loop {
        match orders.recv_timeout(pause) {
            Ok(AuditOrder::Keep(keeping, calls)) => journal.keep(keeping, *calls, Now::read()),
            Ok(AuditOrder::End(why)) => {
                if let Err(trouble) = journal.finish(Now::read(), why) {
                    error!(%trouble, "the audit record could not be ended: what is not written stays in the spool, for the next start");
                }
                return;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let before = journal.next_slot();
        pause = match journal.step(Now::read()) {
            Ok(more) => {
                if said.take().is_some() {
                    info!("the audit record is written again");
                }
                match (more, journal.next_slot() == before) {
                    (true, _) => Duration::ZERO,
                    (false, false) => BUSY,
                    (false, true) => IDLE,
                }
            }
            Err(trouble) => {
                let (text, now) = (trouble.to_string(), Instant::now());
                let known = said.as_ref().is_some_and(|(before, at)| *before == text && now.duration_since(*at) < REMIND);
                if !known {
                    error!("the audit record cannot be written; calls go on, and records wait in the spool: {text}");
                    said = Some((text, now));
                }
                AGAIN
            }
        };
    }
}

fn keeping(audit: &Audit) -> Keeping {
    const DAY: u64 = 24 * 60 * 60;
    Keeping { retain: audit.retain.as_secs().div_ceil(DAY), numbers: audit.numbers, checkpoint: audit.checkpoint }
}

/// The key by which calls are named: the same on all nodes with one route key.
fn call_key(config: &Config, seed: &Secret) -> hmac::Key {
    let secret = hmac::Key::new(hmac::HMAC_SHA256, &config.secret.as_ref().unwrap_or(seed).0);
    hmac::Key::new(hmac::HMAC_SHA256, hmac::sign(&secret, b"ringfence audit call").as_ref())
}

/// The host's name, as far as it can stand in a key's name.
fn node() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let fit = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let name: String = name.trim().chars().filter(fit).collect();
    if name.is_empty() { "node".to_owned() } else { name }
}

/// Makes the directory of the spool, if only that one is missing.
fn make_parent(spool: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let Some(parent) = spool.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match std::fs::DirBuilder::new().mode(0o700).create(parent) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}
