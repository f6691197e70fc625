//! The daemon from outside: the built binary, real sockets on loopback addresses, and a judge that shares no code with it.
//!
//! Modules are named for behaviour. What stands under `interop` needs other SIP and DNS software and is built with the feature
//! of that name; a peer that is missing there is a failure, never a skip.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test fails by panicking, and says how far it came"
)]

mod accounting;
mod answers;
mod audit;
mod audit_names;
mod audit_report;
mod calls;
mod decisions;
mod dialogs;
mod drain;
mod explain;
mod failover;
mod forwarding;
mod gate;
mod handover;
mod harness;
mod hostile;
#[cfg(feature = "interop")]
mod interop;
mod limits;
mod names;
mod nearest;
mod operator;
mod outbound;
mod profiles;
mod refusals;
mod reload;
mod repeats;
mod secure;
mod servers;
mod standing;
mod streams;
mod transactions;
mod watching;
mod wildcard;
