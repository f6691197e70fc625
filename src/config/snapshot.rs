//! The snapshot itself: the whole configuration, checked. Holds and looks up; checks nothing.

use std::net::SocketAddr;
use std::path::PathBuf;

use super::audit::Audit;
use super::build::NameIndex;
use super::caller_table::CallerTable;
use super::endpoint::Endpoints;
use super::error::Mistake;
use super::gate::{ApiKeys, Gate};
use super::ids::{ListenerId, NameId, ProjectId, RegionId, TrunkId};
use super::limits::{Dns, Health, Limits, Log, Metrics, Secret, Timers};
use super::next_hop::NextHop;
use super::number_limits::NumberLimits;
use super::project::{Project, Trunk};
use super::region::{Listener, Region};
use super::tls_parties::TlsParties;
use crate::fence::Networks;
use crate::reason::Profile;

/// The whole configuration, checked.
#[derive(Debug)]
pub struct Config {
    /// SHA-256 of the files as read, in hex. It tells configurations apart.
    pub digest: String,
    /// The files read, the main one first.
    pub files: Vec<PathBuf>,
    /// All regions of the file, served here or not.
    pub regions: Vec<Region>,
    /// All projects, in the order of the files.
    pub projects: Vec<Project>,
    /// All trunks of all projects.
    pub trunks: Vec<Trunk>,
    /// The sockets of the served regions.
    pub listeners: Vec<Listener>,
    /// The networks that all trunks signal from. No address of these is a server's.
    pub signalling: Networks,
    /// Every next hop with a name, without duplicates.
    pub names: Vec<NextHop>,
    /// Next hops to their numbers among `names`.
    pub name_index: NameIndex,
    /// Host names to endpoints.
    pub endpoints: Endpoints,
    /// The only project with `out`, if there is just one: a server's call without a host goes out by it.
    pub sole_out: Option<ProjectId>,
    /// The keys of realtime servers, and whose each is.
    pub api_keys: ApiKeys,
    /// Where reverse proxies ask whether a realtime client may pass. `None`: nowhere.
    pub gate: Option<Gate>,
    /// Source addresses to trunks.
    pub caller_table: CallerTable,
    /// Whose an address is, for connections over TLS.
    pub tls_parties: TlsParties,
    /// The answer profile if no trunk is known.
    pub reject: Profile,
    /// How numbers are read on a trunk that says nothing of it, with the file's emergency numbers.
    pub plain_numbers: NumberLimits,
    /// The address for `/metrics`, `/healthz`, `/readyz` and `/status`.
    pub admin: Option<SocketAddr>,
    /// Names, in lower case, and addresses by which the admin endpoint may be asked, besides its own.
    pub admin_hosts: Vec<String>,
    /// How names are resolved.
    pub dns: Dns,
    /// The limits on numbers, sizes and times (`[limits]`).
    pub limits: Limits,
    /// The timers of RFC 3261, and our own (`[timers]`).
    pub timers: Timers,
    /// How the health of targets is kept.
    pub health: Health,
    /// How much the metrics tell apart.
    pub metrics: Metrics,
    /// What is written and kept of decisions.
    pub log: Log,
    /// The audit record. `None`: none is kept.
    pub audit: Option<Audit>,
    /// The key that signs route tokens. `None`: one is made at start, so dialogs do not survive a restart and nodes cannot share
    /// them.
    pub secret: Option<Secret>,
    /// The files that hold keys, for whoever looks at their permissions.
    pub key_files: Vec<PathBuf>,
    /// Things that are allowed but probably not meant, in the order of the files.
    pub warnings: Vec<Mistake>,
}

impl Config {
    /// What a trunk's calls may be by their numbers, and how they are read.
    pub fn numbers(&self, trunk: TrunkId) -> &NumberLimits {
        self.trunk(trunk).numbers().unwrap_or(&self.plain_numbers)
    }

    /// The project whose tokens name this key.
    pub fn project_of_key(&self, key: &str) -> Option<ProjectId> {
        self.api_keys.find(key)
    }

    /// The region of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[usize::from(id.0)]
    }

    /// The project of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn project(&self, id: ProjectId) -> &Project {
        &self.projects[id.0 as usize]
    }

    /// The trunk of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn trunk(&self, id: TrunkId) -> &Trunk {
        &self.trunks[id.0 as usize]
    }

    /// The host of a next hop's name.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.0 as usize].host
    }

    /// The number of a next hop with a name.
    pub fn name_id(&self, name: &NextHop) -> Option<NameId> {
        self.name_index.find(&self.names, name)
    }

    /// The listener of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[usize::from(id.0)]
    }
}
