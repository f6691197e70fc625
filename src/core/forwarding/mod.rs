//! What leaves for a next hop: its bytes, its branch, and the attempts one after the other. Decides nothing about who may call.

pub(crate) mod attempt;
pub(crate) mod branch;
pub(crate) mod local_names;
pub(crate) mod media_swap;
pub(crate) mod plan;
pub(crate) mod rewrite;
