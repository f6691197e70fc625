//! What a step may read and what it may write, apart from the transaction at hand. Rules get only the parts that they read.

use std::time::Instant;

use bytes::Bytes;

use crate::config::{Config, ListenerId};
use crate::core::forwarding::local_names::LocalNames;
use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::health::Healths;
use crate::core::io::{Output, Peer};
use crate::core::keys::Keys;
use crate::core::media_relay::pool::Relays;
use crate::core::memory::name_cache::NameCache;
use crate::core::memory::recent::Recent;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::route_token::Tokens;
use crate::core::teardown::bye::Byes;
use crate::core::transaction::CallFacts;
use crate::dns::Resolved;
use crate::sip::edit::Edit;

/// Everything that a step may read, and where it writes.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    pub(crate) config: &'a Config,
    pub(crate) targets: &'a Resolved,
    pub(crate) tokens: &'a Tokens,
    pub(crate) keys: &'a Keys,
    pub(crate) names: &'a LocalNames,
    pub(crate) shard: u8,
    /// Targets that took no stream lately: they get large requests in datagrams at once.
    pub(crate) no_stream: &'a mut Recent<()>,
    pub(crate) health: &'a mut Healths,
    /// LocalNames that only dialogs know.
    pub(crate) asked: &'a NameCache,
    /// Calls refused for good.
    pub(crate) repeats: &'a mut Recent<RefusedCall>,
    pub(crate) relays: &'a mut Relays,
    pub(crate) byes: &'a mut Byes,
    pub(crate) work: &'a mut Work,
    pub(crate) out: &'a mut Vec<Output>,
}

/// What starts a transaction's first attempt.
pub(crate) struct First<'a> {
    pub(crate) peer: Peer,
    pub(crate) slot: u32,
    pub(crate) serial: u64,
    pub(crate) facts: &'a mut CallFacts,
    /// The listener to leave by, if it fits.
    pub(crate) prefer: ListenerId,
}

/// Memory reused from message to message.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) edit: Edit,
    pub(crate) buffer: Vec<u8>,
    /// What goes on of the response at hand.
    pub(crate) swap: MediaSwap,
}

impl Work {
    /// Applies the pending edit and hands out the result.
    pub(crate) fn apply(&mut self, source: &[u8]) -> Bytes {
        self.buffer.clear();
        self.edit.apply(source, &mut self.buffer);
        Bytes::copy_from_slice(&self.buffer)
    }
}
