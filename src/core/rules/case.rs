//! The request at hand: what every rule reads. It cannot be written to.

use std::time::Instant;

use crate::config::{Listener, ProjectId, RegionId, TrunkId};
use crate::core::io::{Arrival, Note, Output, Peer, Verdict};
use crate::core::rules::trace::Trace;
use crate::reason::Reason;
use crate::sip::{Message, Request};

/// What a request is to the rest of its handling.
pub(crate) struct Case<'c, 'a> {
    pub(crate) now: Instant,
    pub(crate) arrival: &'c Arrival,
    pub(crate) peer: Peer,
    pub(crate) listener: Listener,
    pub(crate) message: &'c Message<'a>,
    pub(crate) request: &'c Request<'a>,
    /// The request's identity (RFC 3261 17.2.3).
    pub(crate) key: u128,
    /// Where the tests write down what they compare, if anybody asked.
    pub(crate) trace: &'c Trace,
}

impl Case<'_, '_> {
    pub(crate) fn region(&self) -> RegionId {
        self.listener.region
    }
}

pub(crate) fn uri_range(message: &Message<'_>) -> std::ops::Range<usize> {
    match message.start() {
        crate::sip::Start::Request { uri, .. } => uri.clone(),
        crate::sip::Start::Response { .. } => 0..0,
    }
}

pub(crate) fn verdict(
    region: RegionId,
    project: Option<ProjectId>,
    trunk: Option<TrunkId>,
    verdict: Verdict,
    reason: Reason,
) -> Output {
    Output::Note(Note::Verdict { region, project, trunk, verdict, reason })
}
