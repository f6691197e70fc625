//! Ringfence: a SIP region-endpoint proxy. Calls that must not leave a region, do not.
//!
//! The way of a message is the order of the folders:
//!
//! ```text
//! net ──bytes──> sip ──Message──> core: rules, routing ──Plan or Stop──> forwarding, transaction ──> sip::edit ──bytes──> net
//! ```
//!
//! `core` and `sip` decide and know no socket, clock, thread or task; `net`, `dns`, `admin` and `telemetry` act and decide
//! nothing. `fence` makes the only addresses that `net` takes.

pub mod admin;
pub mod audit;
pub mod cli;
mod closed_list;
pub mod config;
pub mod core;
pub mod demo;
pub mod dns;
pub mod fence;
pub mod gate;
pub mod net;
pub mod numbering;
pub mod reason;
pub mod sip;
mod source;
pub mod telemetry;
pub mod tls;
