//! The record of what was decided, as an auditor accepts it: lines, a Merkle tree a day, a signed checkpoint.
//!
//! It tells and shows; it decides nothing, and nothing that it does can hold up a message.

pub mod day;
pub(crate) mod read;
pub mod signed_note;
pub mod tree;
