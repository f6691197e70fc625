//! Resolves names to addresses, apart from the handling of calls.
//!
//! A resolver task keeps a snapshot of every configured name fresh and hands it to the core. A call reads the snapshot and never
//! waits for it. An address from here is not inside yet: the fence judges it at every use.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use crate::config::{Config, Hop, NameId, Transport};

mod answer;
mod ask;
mod cache;
mod lookup;
mod name;
mod naptr;
mod outside;
mod record;
mod resolver;
mod trace;
mod walk;

pub use ask::ResolverError;
pub use lookup::{Lookup, Resolution};
pub use name::NameStatus;
pub use record::{Alias, Data, LookupFailure, Naptr, Question, Record, RecordType, Srv};
pub use resolver::Resolver;
pub use trace::{Seen, Step, StepResult, Trace, Unused, Why};

/// One server of a next hop: an SRV record, or the name itself if there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// All servers of a lower rank are tried before those of a higher one (NAPTR order and preference, then SRV priority). Ranks
    /// are not the records' numbers, but 0, 1, 2 …
    pub rank: u16,
    /// Its share among the servers of its rank (RFC 2782).
    pub weight: u16,
    /// The transport. `None`: UDP, or TCP for large requests (RFC 3261 18.1.1).
    pub transport: Option<Transport>,
    /// Its addresses. A call chooses in which order they are tried. No fence has judged them yet.
    pub addresses: Vec<SocketAddr>,
}

/// What the configured names resolve to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    answers: Vec<Option<Vec<Server>>>,
    /// Of names without a server: the question that failed, and why. For words alone.
    failures: BTreeMap<u32, (Question, LookupFailure)>,
}

impl Resolved {
    /// A snapshot in which none of `names` names is known.
    pub fn unknown(names: usize) -> Self {
        Self { answers: vec![None; names], failures: BTreeMap::new() }
    }

    /// Sets a name's servers, sorted by rank; empty: the name exists with no address, or does not exist.
    pub fn set(&mut self, name: NameId, servers: Vec<Server>) {
        if let Some(answer) = self.answers.get_mut(name.0 as usize) {
            *answer = Some(servers);
        }
    }

    /// Notes why nothing is known of a name.
    pub fn fail(&mut self, name: NameId, question: Question, why: LookupFailure) {
        self.failures.insert(name.0, (question, why));
    }

    /// Why nothing is known of a name, if that was noted.
    pub fn failure(&self, name: NameId) -> Option<(&Question, LookupFailure)> {
        self.failures.get(&name.0).map(|(question, why)| (question, *why))
    }

    /// A name's servers, sorted by rank; empty if nothing is known.
    pub fn servers(&self, name: NameId) -> &[Server] {
        self.answers.get(name.0 as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether a name has an answer that holds. If not, an empty list of its servers means nothing.
    pub fn is_known(&self, name: NameId) -> bool {
        self.answers.get(name.0 as usize).is_some_and(Option::is_some)
    }

    /// Whether every name of the served regions' own `upstream` has had an answer: what `/readyz` and the answer to OPTIONS wait for.
    /// Other regions' names and those of trunks are only their own calls' matter.
    pub fn serves(&self, config: &Config) -> bool {
        let served = config.regions.iter().filter(|region| region.served);
        served.flat_map(|region| &region.upstream).all(|hop| match *hop {
            Hop::Name(name) => self.is_known(name),
            Hop::Address { .. } => true,
        })
    }
}
