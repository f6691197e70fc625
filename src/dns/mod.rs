//! Names to addresses, away from the calls.
//!
//! A resolver task keeps a snapshot of every configured name fresh and hands it to the core; a call reads the snapshot and never
//! waits. An address from here is not inside anything yet: the fence decides that at every use.

use std::net::SocketAddr;

use crate::config::{NameId, Transport};

mod answer;
mod ask;
mod cache;
mod lookup;
mod naptr;
mod outside;
mod record;
mod resolver;
mod trace;
mod walk;

pub use ask::ResolverError;
pub use lookup::{Lookup, Resolution};
pub use record::{Alias, Data, LookupFailure, Naptr, Question, Record, RecordType, Srv};
pub use resolver::{NameStatus, Resolver};
pub use trace::{Seen, Step, StepResult, Trace, Unused, Why};

/// One server of a next hop: an SRV record, or the name itself where there is none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Server {
    /// Servers of a lower rank are all tried before those of a higher one (NAPTR order and preference, then SRV priority). Not the
    /// records' numbers: 0, 1, 2 …
    pub rank: u16,
    /// Its share among the servers of its rank (RFC 2782).
    pub weight: u16,
    /// How. `None`: UDP, or TCP for large requests (RFC 3261 18.1.1).
    pub transport: Option<Transport>,
    /// Its addresses, in the order to be tried. Not judged by any fence yet.
    pub addresses: Vec<SocketAddr>,
}

/// What the configured names resolve to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Resolved {
    answers: Vec<Option<Vec<Server>>>,
}

impl Resolved {
    /// Nothing known yet of `names` names.
    pub fn unknown(names: usize) -> Self {
        Self { answers: vec![None; names] }
    }

    /// Sets a name's servers, sorted by rank; empty: the name exists with no address, or does not exist.
    pub fn set(&mut self, name: NameId, servers: Vec<Server>) {
        if let Some(answer) = self.answers.get_mut(name.0 as usize) {
            *answer = Some(servers);
        }
    }

    /// A name's servers, sorted by rank; empty if nothing is known.
    pub fn servers(&self, name: NameId) -> &[Server] {
        self.answers.get(name.0 as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether a name has an answer that holds: if not, that it has no servers says nothing.
    pub fn is_known(&self, name: NameId) -> bool {
        self.answers.get(name.0 as usize).is_some_and(Option::is_some)
    }

    /// Whether every name has had an answer: what `/readyz` waits for.
    pub fn all_known(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }
}
