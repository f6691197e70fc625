//! What a step may read and what it may write, apart from the transaction at hand. Rules get only the parts that they read.

use std::sync::Arc;
use std::time::Instant;

use bytes::{Bytes, BytesMut};

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::clock::WallClock;
use crate::core::forwarding::local_names::LocalNames;
use crate::core::health::Healths;
use crate::core::io::{Note, Output, RequestTold, Verdict};
use crate::core::keys::Keys;
use crate::core::media_relay::pool::Relays;
use crate::core::memory::known_servers::KnownServers;
use crate::core::memory::name_cache::NameCache;
use crate::core::memory::recent::Recent;
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::routing::place::Gateway;
use crate::core::routing::route_token::Tokens;
use crate::core::transaction::own_request::OwnRequests;
use crate::core::view::View;
use crate::core::waiting::Waiting;
use crate::dns::Resolved;
use crate::reason::Reason;
use crate::sip::edit::Edit;

/// All that a step may read, and where it writes.
pub(crate) struct Context<'a> {
    pub(crate) now: Instant,
    /// What time it is.
    pub(crate) clock: WallClock,
    pub(crate) config: &'a Config,
    pub(crate) resolved: &'a Resolved,
    pub(crate) tokens: &'a Tokens,
    pub(crate) keys: &'a Keys,
    pub(crate) local_names: &'a LocalNames,
    /// Targets that took no stream in the last minute: a large request to one goes in a datagram at once.
    pub(crate) no_stream: &'a mut Recent<()>,
    pub(crate) health: &'a mut Healths,
    /// Who is a server of which region, and what we listen on.
    pub(crate) servers: &'a KnownServers,
    /// Names that are looked up when a message needs them.
    pub(crate) name_cache: &'a NameCache,
    /// Calls refused for good.
    pub(crate) refused_calls: &'a mut Recent<RefusedCall>,
    /// Which gateway wanted credentials of a call out.
    pub(crate) challenged: &'a mut Recent<Gateway>,
    pub(crate) relays: &'a mut Relays,
    pub(crate) waiting: &'a Waiting,
    pub(crate) own: &'a mut OwnRequests,
    pub(crate) work: &'a mut Work,
    pub(crate) out: &'a mut Vec<Output>,
}

impl Context<'_> {
    /// The read-only part of this context.
    pub(crate) fn view(&self) -> View<'_> {
        let Self { now, clock, config, resolved, servers, tokens, keys, name_cache, waiting, .. } = *self;
        View {
            now,
            clock,
            config,
            resolved,
            servers,
            name_cache,
            keys,
            tokens,
            health: self.health,
            no_stream: self.no_stream,
            relays: self.relays,
            waiting,
        }
    }

    /// Notes a verdict on a request. `why`: the failing field and its value. `told`: what the audit record is told beside it.
    pub(crate) fn verdict(
        &mut self,
        region: RegionId,
        (project, trunk): (Option<ProjectId>, Option<TrunkId>),
        verdict: Verdict,
        reason: Reason,
        why: Option<&Arc<str>>,
        told: Option<Box<RequestTold>>,
    ) {
        let why = why.map(Arc::clone);
        self.out.push(Output::Note(Note::Verdict { region, project, trunk, verdict, reason, why, unreachable: None, told }));
    }
}

/// Buffers reused from message to message.
#[derive(Debug)]
pub(crate) struct Work {
    pub(crate) edit: Edit,
    pub(crate) buffer: Vec<u8>,
    /// Our own rows in a request.
    pub(crate) rows: Vec<u8>,
    /// The memory of what is handed out. It is used again when all of that has been sent.
    handed_out: BytesMut,
}

/// The octets of messages that are handed out before memory is used again.
const HANDED_OUT: usize = 64 << 10;

impl Default for Work {
    fn default() -> Self {
        let (edit, buffer, rows) = Default::default();
        Self { edit, buffer, rows, handed_out: BytesMut::with_capacity(HANDED_OUT) }
    }
}

impl Work {
    /// Applies the pending edit and hands out the result.
    pub(crate) fn apply(&mut self, source: &[u8]) -> Bytes {
        self.buffer.clear();
        self.edit.apply(source, &mut self.buffer);
        self.hand_out()
    }

    /// Hands out what stands in the buffer, to be sent now. Many messages share one piece of memory, so who keeps one makes a copy.
    pub(crate) fn hand_out(&mut self) -> Bytes {
        self.handed_out.reserve(self.buffer.len());
        self.handed_out.extend_from_slice(&self.buffer);
        self.handed_out.split().freeze()
    }
}
