//! ACKs of a 2xx that could go to another target if the one that they went to cannot be reached. Only what is kept of them; sends nothing.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{RegionId, Transport, TrunkId};
use crate::core::io::Peer;
use crate::core::routing::target::Target;
use crate::fence::Fenced;

/// Most ACKs that are remembered: those alone that could go to another target, for as long as a connection takes.
pub(crate) const PASSED_ACKS: usize = 64;

/// An ACK that could go to another target.
#[derive(Clone, Debug)]
pub(crate) struct PassedAck {
    /// As it left, and where our own rows stand in it.
    pub(crate) bytes: Bytes,
    pub(crate) rows: (usize, usize),
    pub(crate) by: AckPath,
    /// Where it went.
    pub(crate) to: (Fenced, Transport),
    /// Where it could go besides.
    pub(crate) targets: Vec<Target>,
}

/// What an ACK goes by.
#[derive(Clone, Debug)]
pub(crate) struct AckPath {
    /// Where it came from.
    pub(crate) peer: Peer,
    /// The called region.
    pub(crate) region: RegionId,
    /// The trunk of the call.
    pub(crate) trunk: Option<TrunkId>,
    /// Over TLS, towards the side that began the dialog: from where its connection came.
    pub(crate) origin: Option<Arc<Fenced>>,
    /// The number by which our Via shows a loop.
    pub(crate) loop_hash: u32,
}
