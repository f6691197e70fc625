//! What leaves for a next hop: its bytes, its branch, one attempt after the other. Decides nothing about who may call.

pub(crate) mod attempt;
pub(crate) mod branch;
pub(crate) mod rewrite;
