//! Compares the daemon's table of telephone numbers with rlibphonenumber. Shares no code with it but the table itself; not a part of
//! the daemon, nor of its tests: `tests/numbering_oracle/run`.
//!
//! What differs must stand in docs/numbers.md, and what stands there must differ.

#[path = "../../../src/numbering/mod.rs"]
pub mod numbering;

#[cfg(test)]
mod compare;
