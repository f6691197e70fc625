//! Metrics and logs: what happened, for machines and for people.
//!
//! Counts and writes what it is told; decides nothing, and never waits. Label values come only from the configuration and from
//! closed enums, never from the wire.

pub mod audit_counts;
mod audited;
pub mod certificates;
mod decided;
mod decision;
pub mod handles;
pub mod handshake;
pub mod hep;
pub mod hep_queue;
mod labels;
pub mod last_hour;
pub mod log;
mod log_writer;
pub mod loss;
mod mask;
pub mod memory;
pub mod metrics;
pub(crate) mod realtime;
pub mod recorder;
pub mod refused;
mod region_handles;
mod registry;
mod seen;
pub(crate) mod timestamp;
pub mod upstream;
pub mod watch;

pub use handles::Handles;
pub use handshake::Handshake;
pub use hep_queue::{HepQueue, HepReceiver, hep_queue};
pub use labels::Direction;
pub use loss::Loss;
pub use metrics::Metrics;
pub use recorder::{Observers, Recorder};
pub use seen::Seen;
