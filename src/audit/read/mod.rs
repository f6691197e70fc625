//! Reads a record as an auditor does: whatever may have been done to it.
//!
//! Every file here may be foreign, broken or hostile. Nothing of it is believed before it is compared, nothing of any size is held
//! whole, and nothing is written.

pub(crate) mod blocks;
pub(crate) mod chain;
pub(crate) mod day_check;
pub(crate) mod directory;
pub(crate) mod in_force;
pub(crate) mod line;
pub(crate) mod proof;
pub(crate) mod tokens;
pub(crate) mod totals;
pub(crate) mod waiting;
