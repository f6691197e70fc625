//! What a decision may read. It can be copied freely, because nothing can be written through it.

use std::time::Instant;

use crate::config::Config;
use crate::core::clock::WallClock;
use crate::core::health::Healths;
use crate::core::keys::Keys;
use crate::core::media_relay::pool::Relays;
use crate::core::memory::known_servers::KnownServers;
use crate::core::memory::name_cache::NameCache;
use crate::core::memory::recent::Recent;
use crate::core::routing::route_token::Tokens;
use crate::core::waiting::Waiting;
use crate::dns::Resolved;

/// The configuration, what names resolve to, how servers and relays stand, and the keys.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) now: Instant,
    /// What time it is.
    pub(crate) clock: WallClock,
    pub(crate) config: &'a Config,
    /// What the configuration's names resolve to.
    pub(crate) resolved: &'a Resolved,
    /// Who is a server of which region, and what we listen on.
    pub(crate) servers: &'a KnownServers,
    /// The answers for names that are looked up when a message needs them.
    pub(crate) name_cache: &'a NameCache,
    pub(crate) keys: &'a Keys,
    pub(crate) tokens: &'a Tokens,
    pub(crate) health: &'a Healths,
    /// Targets that took no stream in the last minute: a large request to one goes in a datagram at once.
    pub(crate) no_stream: &'a Recent<()>,
    pub(crate) relays: &'a Relays,
    pub(crate) waiting: &'a Waiting,
}
