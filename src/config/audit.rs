//! The audit record (`[audit]`): where it is kept, how long, and how numbers stand in it. Holds only what was told.

use std::path::PathBuf;
use std::time::Duration;

/// The audit record that this node keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Audit {
    /// The directory of the record.
    pub path: PathBuf,
    /// The file with the key that signs checkpoints.
    pub sign: PathBuf,
    /// The seed of that key.
    pub key: AuditSeed,
    /// How long a day's records are kept. Zero: to the end of the day.
    pub retain: Duration,
    /// How numbers stand in it.
    pub numbers: AuditNumbers,
    /// The time between two checkpoints.
    pub checkpoint: Duration,
    /// The file in memory by which records reach the thread that writes them.
    pub spool: PathBuf,
}

/// How numbers stand in the audit record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuditNumbers {
    /// As they were read.
    Plain,
    /// The first three digits of an international number; nothing of any other.
    Mask,
    /// As a hash with a key that holds for a month.
    Hmac,
}

/// The seed of the key that signs checkpoints.
#[derive(Clone, PartialEq, Eq)]
pub struct AuditSeed(pub [u8; 32]);

impl std::fmt::Debug for AuditSeed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("AuditSeed(..)")
    }
}
