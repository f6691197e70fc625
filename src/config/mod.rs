//! The validated snapshot that every part reads. It cannot hold a contradiction: code that has a [`Config`] may index it without
//! asking.
//!
//! [`load`] makes it from the operator's files, or reports all their mistakes. This module reads files and nothing else; it never
//! resolves a name and never changes after loading.

mod audit;
mod bounds;
mod build;
mod caller_table;
mod callers;
mod consequences;
mod cut;
mod difference;
mod disk;
mod endpoint;
mod error;
mod fields;
mod file;
mod gate;
mod hep;
mod hop;
mod hop_users;
mod ids;
mod include;
mod leaving;
mod limits;
mod load;
mod mode;
mod next_hop;
mod number_limits;
mod overlap;
mod plain;
mod project;
mod reader;
mod references;
mod region;
mod report;
mod secure;
mod snapshot;
mod spelling;
mod table;
mod text;
mod tls_parties;
mod transport;
mod value;
mod warning;

pub use audit::{Audit, AuditNumbers, AuditSeed};
pub use build::NameIndex;
pub use caller_table::{CallerTable, There};
pub use callers::Callers;
pub(crate) use difference::{ChangedField, Difference, Differences};
pub use endpoint::{Endpoint, Endpoints};
pub use error::{ConfigError, Mistake};
pub(crate) use fields::Said;
pub use gate::{ApiKeys, Gate};
pub use hop_users::{Use, Written};
pub use ids::{ListenerId, NameId, ProjectId, RegionId, TrunkId};
pub use leaving::Needed;
pub use limits::{Dns, Health, Limits, Log, Metrics, Numbers, Secret, Timers};
pub use load::{load, parse};
pub use mode::{Media, Mode};
pub use next_hop::{Hop, NextHop};
pub use number_limits::{AllowedCallers, NumberLimits};
pub(crate) use project::names_host;
pub use project::{MOST_WAYS_OUT, Outbound, Project, Trunk};
pub use region::{Collector, Listener, MAX_RELAYS, Region, Tls};
pub use snapshot::Config;
pub use tls_parties::TlsParties;
pub use transport::Transport;
