//! The request at hand, which every rule reads. It cannot be written to.

use std::time::Instant;

use crate::config::{Listener, RegionId};
use crate::core::io::{Arrival, Peer};
use crate::core::relay_request::RelayAnswer;
use crate::core::routing::route_token::Origin;
use crate::core::rules::trace::Trace;
use crate::sip::{Message, Request, Start};

/// A request, with all that its handling reads of it.
pub(crate) struct Case<'c, 'a> {
    pub(crate) now: Instant,
    pub(crate) arrival: &'c Arrival,
    pub(crate) peer: Peer,
    pub(crate) listener: Listener,
    pub(crate) message: &'c Message<'a>,
    pub(crate) request: &'c Request<'a>,
    /// The request's identity (RFC 3261 17.2.3).
    pub(crate) key: u128,
    /// Whether it has waited for something before.
    pub(crate) waited: bool,
    /// What a media relay said, if the request has waited for one.
    pub(crate) relay_answer: Option<&'c RelayAnswer>,
    /// Where the tests write their rows, if somebody asked for rows.
    pub(crate) trace: &'c Trace,
}

impl Case<'_, '_> {
    /// The region whose listener it came to.
    pub(crate) fn region(&self) -> RegionId {
        self.listener.region
    }

    /// Where it came from.
    pub(crate) fn origin(&self) -> Origin {
        Origin { addr: self.arrival.from, transport: self.listener.transport }
    }

    /// The byte range of its Request-URI.
    pub(crate) fn uri_range(&self) -> std::ops::Range<usize> {
        match self.message.start() {
            Start::Request { uri, .. } => uri.clone(),
            Start::Response { .. } => 0..0,
        }
    }
}

/// What the gate found when the request came. If the request has waited since, the gate is not asked again.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Gate {
    /// Set if its source sends too much: the requests a second that the source may send.
    pub(crate) over_rate: Option<u32>,
    /// Whether the daemon, or the listener, takes no new calls.
    pub(crate) draining: bool,
}
