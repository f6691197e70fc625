//! Names to addresses, away from the calls.
//!
//! A resolver task keeps a snapshot of every configured name fresh and hands it to the core; a call reads the snapshot and never
//! waits. An address from here is not inside anything yet: the fence decides that at every use.

use std::net::IpAddr;

use crate::config::NameId;

mod answer;
mod resolver;

pub use resolver::{Resolver, ResolverError};

/// What the configured names resolve to, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Targets {
    answers: Vec<Option<Vec<IpAddr>>>,
}

impl Targets {
    /// Nothing known yet of `names` names.
    pub fn unknown(names: usize) -> Self {
        Self { answers: vec![None; names] }
    }

    /// Sets a name's addresses; empty: the name exists with no address, or does not exist.
    pub fn set(&mut self, name: NameId, addresses: Vec<IpAddr>) {
        if let Some(answer) = self.answers.get_mut(name.0 as usize) {
            *answer = Some(addresses);
        }
    }

    /// A name's addresses, in the order to be tried; empty if nothing is known.
    pub fn addresses(&self, name: NameId) -> &[IpAddr] {
        self.answers.get(name.0 as usize).and_then(Option::as_deref).unwrap_or_default()
    }

    /// Whether every name has had an answer: what `/readyz` waits for.
    pub fn all_known(&self) -> bool {
        self.answers.iter().all(Option::is_some)
    }
}
