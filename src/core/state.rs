//! All that one core holds between two events. The folders beside this file say what may be done with it.

use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::core::clock::WallClock;
use crate::core::context::{Context, Work};
use crate::core::forwarding::local_names::LocalNames;
use crate::core::health::Healths;
use crate::core::io::Output;
use crate::core::keys::Keys;
use crate::core::media_relay::pool::Relays;
use crate::core::memory::dialog_pace::DialogPace;
use crate::core::memory::known_servers::KnownServers;
use crate::core::memory::name_cache::NameCache;
use crate::core::memory::names_in_use::NamesInUse;
use crate::core::memory::rate_limit::RateLimit;
use crate::core::memory::recent::Recent;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::place::Gateway;
use crate::core::routing::route_token::Tokens;
use crate::core::transaction::table::{Forwarded, Table};
use crate::core::view::View;
use crate::core::waiting::Waiting;
use crate::dns::Resolved;

/// Targets remembered because they took no stream.
const STREAMLESS: usize = 1024;
/// Calls out remembered because another gateway than their first one wants credentials.
pub(crate) const CHALLENGED: usize = 4096;

/// What the message thread holds: transactions, timers and bounded memories.
#[derive(Debug)]
pub struct Core {
    pub(crate) config: Arc<Config>,
    /// The servers that the configuration's names resolve to.
    pub(crate) resolved: Arc<Resolved>,
    /// Who is a server of which region, and what we listen on.
    pub(crate) servers: KnownServers,
    /// What time it is.
    pub(crate) clock: WallClock,
    pub(crate) keys: Keys,
    pub(crate) tokens: Tokens,
    pub(crate) local_names: LocalNames,
    pub(crate) table: Table,
    /// Calls refused for good.
    pub(crate) refused_calls: Recent<RefusedCall>,
    /// INVITEs refused inside a dialog, because their ACK looks like that of a 2xx.
    pub(crate) refused_in_dialog: Recent<()>,
    /// Which gateway wanted credentials of a call out, if it was not the first one that was tried.
    pub(crate) challenged: Recent<Gateway>,
    pub(crate) rate_limit: RateLimit,
    pub(crate) dialog_pace: DialogPace,
    /// The answers for names that are looked up when a message needs them.
    pub(crate) name_cache: NameCache,
    /// Which names of trunks the shell was told to keep resolved.
    pub(crate) names_in_use: NamesInUse,
    /// Targets that took no stream in the last minute.
    pub(crate) no_stream: Recent<()>,
    pub(crate) health: Healths,
    pub(crate) relays: Relays,
    /// Messages that wait for a name or a relay.
    pub(crate) waiting: Waiting,
    pub(crate) draining: bool,
    /// Until this time, new requests are left to the process that takes over the sockets.
    pub(crate) leaving_to: Option<Instant>,
    pub(crate) work: Work,
}

impl Core {
    /// A core with nothing in it. `seed` keys its hashes and branches.
    pub fn new(config: Arc<Config>, resolved: Arc<Resolved>, seed: [u8; 16], now: Instant) -> Self {
        let keys = Keys::of(&config, seed);
        let mut health = Healths::new(&config, keys.choice(b"health"));
        health.retarget(now, &config, &resolved);
        let mut core = Self {
            servers: KnownServers::of(now, &config, &resolved),
            health,
            tokens: Tokens::of(&config, &keys).starting(now),
            local_names: LocalNames::of(&config),
            refused_calls: Recent::new(config.limits.repeats),
            refused_in_dialog: Recent::new(config.limits.repeats),
            challenged: Recent::new(CHALLENGED),
            name_cache: NameCache::default(),
            names_in_use: NamesInUse::default(),
            no_stream: Recent::new(STREAMLESS),
            relays: Relays::new(now, &config),
            waiting: Waiting::default(),
            rate_limit: RateLimit::new(config.limits.sources),
            dialog_pace: DialogPace::default(),
            table: Table::new(now, config.trunks.len(), config.limits.memory),
            config,
            resolved,
            clock: WallClock::default(),
            keys,
            draining: false,
            leaving_to: None,
            work: Work::default(),
        };
        core.waiting.bound(core.config.limits.memory);
        // The first pings are due before anything happens.
        core.arm_others();
        core
    }

    /// The parts that a step needs, and the table of forwarded requests apart from them.
    pub(crate) fn split<'a>(&'a mut self, now: Instant, out: &'a mut Vec<Output>) -> (Context<'a>, &'a mut Forwarded) {
        let Self { clock, config, resolved, tokens, keys, local_names, no_stream, health, work, table, .. } = self;
        let Self { servers, name_cache, refused_calls, challenged, relays, waiting, .. } = self;
        let Table { forwarded, own, .. } = table;
        let context = Context {
            now,
            clock: *clock,
            config,
            resolved,
            tokens,
            keys,
            local_names,
            no_stream,
            health,
            servers,
            name_cache,
            refused_calls,
            challenged,
            relays,
            waiting,
            own,
            work,
            out,
        };
        (context, forwarded)
    }

    /// What decisions may read.
    pub(crate) fn view(&self, now: Instant) -> View<'_> {
        View {
            now,
            clock: self.clock,
            config: &self.config,
            resolved: &self.resolved,
            servers: &self.servers,
            name_cache: &self.name_cache,
            keys: &self.keys,
            tokens: &self.tokens,
            health: &self.health,
            no_stream: &self.no_stream,
            relays: &self.relays,
            waiting: &self.waiting,
        }
    }
}
