//! The realtime gate: answers the reverse proxies of a region whether a client's token may pass, and tells a client where it may go.
//!
//! It carries nothing of the client's, checks no signature (the server behind has the secret), and opens no connection. It never answers
//! 200 for a token that another reader could read differently: the server behind gets the very token that was judged here.

mod asked;
mod claims;
mod connections;
mod decide;
mod query;
mod regions;
mod server;
mod thread;

pub use asked::{ClientToken, GateFault, GateRequest};
pub(crate) use decide::{GateDecision, decide};
pub(crate) use regions::regions;
pub(crate) use thread::{GateParts, GateThread};
