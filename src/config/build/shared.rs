//! Values that many projects and trunks have alike: each is kept once, and the others share it.
//!
//! The first values that come are remembered, up to a bound: those that are shared at all come early. What comes later is shared if it
//! is one of these.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use crate::config::ids::RegionId;
use crate::config::project::More;
use crate::fence::Networks;

/// Most values of a kind that are remembered.
const MOST: usize = 16_384;

/// The values so far.
#[derive(Debug, Default)]
pub(super) struct Shared {
    pins: HashSet<Arc<[RegionId]>>,
    names: HashSet<Arc<str>>,
    networks: HashSet<Networks>,
    more: HashSet<Arc<More>>,
}

impl Shared {
    /// The regions of a pin.
    pub(super) fn pin(&mut self, pin: &[RegionId]) -> Arc<[RegionId]> {
        known(&mut self.pins, pin, || pin.into())
    }

    /// A trunk's name.
    pub(super) fn name(&mut self, name: &str) -> Arc<str> {
        known(&mut self.names, name, || name.into())
    }

    /// A set of networks.
    pub(super) fn networks(&mut self, networks: Networks) -> Networks {
        if networks.is_shared() { known(&mut self.networks, &networks.clone(), || networks) } else { networks }
    }

    /// What a trunk has beside its networks.
    pub(super) fn more(&mut self, more: More) -> Option<Arc<More>> {
        if more == More::default() {
            return None;
        }
        if let Some(known) = self.more.get(&more) {
            return Some(Arc::clone(known));
        }
        let more = Arc::new(more);
        if self.more.len() < MOST {
            self.more.insert(Arc::clone(&more));
        }
        Some(more)
    }
}

fn known<T: Clone + Eq + Hash + Borrow<Q>, Q: Eq + Hash + ?Sized>(
    all: &mut HashSet<T>,
    value: &Q,
    make: impl FnOnce() -> T,
) -> T {
    if let Some(known) = all.get(value) {
        return known.clone();
    }
    let value = make();
    if all.len() < MOST {
        all.insert(value.clone());
    }
    value
}
