//! The handle to the thread that writes the record. Whatever its disk does, nobody but that thread waits for it; a start looks for two seconds.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use ring::hmac;
use tracing::{error, info, warn};

use super::calendar::micros;
use super::config_lines::config_lines;
use super::journal::{CloseReason, Keeping};
use super::marks::{self, Marks};
use super::spool::{Found, SLOTS, Spool};
use super::standing::AuditStanding;
use crate::config::{Audit, Config, Secret};

use self::working::{AuditPlace, AuditStart, AuditTaking};

mod working;

/// How long a start waits for the disk, to say what is wrong with the directory before calls come. A disk that hangs is no reason to take none.
const LOOK: Duration = Duration::from_secs(2);
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

/// What the thread is told.
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
        let place = AuditPlace { path: audit.path.clone(), name: format!("{region}/audit/{node}"), key: audit.key.clone() };
        let (orders, ordered) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let (tell, told) = mpsc::channel();
        let (begin, begun) = mpsc::channel();
        let thread = std::thread::Builder::new().name("ringfence-audit".to_owned());
        let thread = thread.spawn(move || {
            working::work(&place, &tell, &begun, &ordered);
            drop::<mpsc::Sender<()>>(end);
        })?;
        let trouble = match told.recv_timeout(LOOK) {
            Ok(AuditTaking::Taken) => None,
            Ok(AuditTaking::Mistake(wrong)) => return Err(of_directory(wrong)),
            Ok(AuditTaking::Trouble(trouble)) => Some(trouble),
            Err(_) => {
                let trouble = format!("{}: its disk does not answer", audit.path.display());
                error!("the audit record is not begun yet; calls are taken, and records wait in the spool: {trouble}");
                Some(trouble)
            }
        };
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
        let standing = Arc::new(AuditStanding::new(level));
        standing.tell(|told| told.trouble = trouble);
        let start = AuditStart {
            keeping: keeping(&audit),
            reader,
            found,
            marks: Marks::new(&audit.spool),
            calls: call_key(config, &seed),
            node,
            standing: Arc::clone(&standing),
        };
        // A thread that has ended has said why.
        let _ = begin.send(start);
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
