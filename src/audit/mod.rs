//! The record of what was decided, as an auditor accepts it: lines, a Merkle tree a day, a signed checkpoint.
//!
//! It tells and shows; it decides nothing, and nothing that it does can hold up a message.

mod calendar;
mod config_lines;
pub mod day;
mod day_file;
mod directory;
mod journal;
pub(crate) mod line;
mod marks;
mod month_keys;
pub(crate) mod read;
pub mod record;
pub mod record_line;
pub mod signed_note;
pub mod slot;
mod spool;
mod standing;
pub mod tree;
mod trouble;
mod writer;

pub(crate) use calendar::micros;
pub(crate) use spool::SPOOL_OCTETS;
pub use spool::Spool;
pub(crate) use standing::AuditStanding;
pub use writer::AuditError;
pub(crate) use writer::{AuditWriter, RESTART};
