//! All that one core holds between two events. What may be done with it stands in the folders beside this file.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::core::context::{Context, Work};
use crate::core::forwarding::local_names::LocalNames;
use crate::core::health::Healths;
use crate::core::io::Output;
use crate::core::keys::Keys;
use crate::core::media_relay::pool::Relays;
use crate::core::memory::name_cache::NameCache;
use crate::core::memory::rate_limit::RateLimit;
use crate::core::memory::recent::Recent;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::route_token::Tokens;
use crate::core::teardown::bye::Byes;
use crate::core::transaction::Table;
use crate::dns::Resolved;

/// Targets remembered for taking no stream.
const STREAMLESS: usize = 1024;

/// One shard of the proxy: its transactions, timers and bounded memories.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Arc<Config>,
    pub(crate) targets: Arc<Resolved>,
    pub(crate) keys: Keys,
    pub(crate) tokens: Tokens,
    pub(crate) names: LocalNames,
    pub(crate) shard: u8,
    pub(crate) table: Table,
    /// Calls refused for good.
    pub(crate) repeats: Recent<RefusedCall>,
    /// INVITEs refused inside a dialog: their ACK looks like that of a 2xx.
    pub(crate) refused: Recent<()>,
    pub(crate) paces: RateLimit,
    /// LocalNames that only dialogs know.
    pub(crate) asked: NameCache,
    /// Targets that took no stream.
    pub(crate) no_stream: Recent<()>,
    pub(crate) health: Healths,
    pub(crate) relays: Relays,
    /// BYEs of our own.
    pub(crate) byes: Byes,
    pub(crate) draining: bool,
    /// Until when new requests are left to whoever takes the sockets over.
    pub(crate) leaving_to: Option<Instant>,
    pub(crate) work: Work,
}

impl Core {
    /// A core with nothing in it. `seed` keys its hashes and branches; `shard` (0 to 35) stands in its branches.
    pub fn new(config: Arc<Config>, targets: Arc<Resolved>, seed: [u8; 16], shard: u8, now: Instant) -> Self {
        let keys = Keys::of(&config, seed);
        let mut health = Healths::new(&config, keys.choice(b"health"));
        health.retarget(now, &config, &targets);
        Self {
            health,
            tokens: Tokens::of(&config, &keys),
            names: LocalNames::of(&config),
            repeats: Recent::new(config.limits.repeats),
            refused: Recent::new(config.limits.repeats),
            asked: NameCache::new(),
            no_stream: Recent::new(STREAMLESS),
            relays: Relays::new(now, &config),
            byes: Byes::default(),
            paces: RateLimit::new(config.limits.sources),
            table: Table::new(now),
            config,
            targets,
            keys,
            shard,
            draining: false,
            leaving_to: None,
            work: Work::default(),
        }
    }

    /// The parts that a step needs, apart from the table.
    pub(crate) fn split<'a>(&'a mut self, now: Instant, out: &'a mut Vec<Output>) -> (Context<'a>, &'a mut Table) {
        let Self { config, targets, tokens, keys, names, shard, no_stream, health, work, table, .. } = self;
        let Self { asked, repeats, byes, relays, .. } = self;
        let shard = *shard;
        let env = Context {
            now,
            config,
            targets,
            tokens,
            keys,
            names,
            shard,
            no_stream,
            health,
            asked,
            repeats,
            relays,
            byes,
            work,
            out,
        };
        (env, table)
    }
}
