//! Makes what leaves for a next hop: its bytes, its branch, and one attempt after the other. Does not decide who may call.

pub(crate) mod attempt;
pub(crate) mod branch;
pub(crate) mod local_names;
pub(crate) mod media_swap;
pub(crate) mod passed_ack;
pub(crate) mod plan;
pub(crate) mod rewrite;
