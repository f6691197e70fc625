//! The result of explaining a message. Holds it; draws nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::paste::Pasted;
use crate::cli::resolve::Resolved;
use crate::config::{Config, Listener, Transport};
use crate::core::io::Arrival;
use crate::core::rules::trace::TraceRow;
use crate::reason::Reason;

/// Exit code: the message would pass.
const ACCEPTED: u8 = 0;
/// Exit code: the message would be refused.
const REFUSED: u8 = 1;
/// Exit code: the result depends on something that is not known here.
pub(super) const CANNOT_TELL: u8 = 2;

/// The decision about the message.
#[derive(Debug)]
pub(super) enum Decision {
    /// It passes, or gets a success answer. In shadow mode `reason` is what would have refused it, and `shadow` says why.
    Accepted { reason: Option<Reason>, shadow: Option<String> },
    /// It does not pass. Without a reason, the answer says why.
    Refused { reason: Option<Reason>, why: String },
    /// Not known. Holds what it depends on.
    Unknown(String),
}

/// A target that the message would be sent to.
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    pub(super) transport: Transport,
    pub(super) bytes: Bytes,
}

/// The whole result.
pub(super) struct Explained {
    pub(super) config: Arc<Config>,
    pub(super) arrival: Arrival,
    pub(super) message: Pasted,
    pub(super) comparisons: Vec<TraceRow>,
    pub(super) decision: Decision,
    /// The answer that the sender gets at once.
    pub(super) answer: Option<Bytes>,
    /// The targets, in the order to be tried.
    pub(super) targets: Vec<Target>,
    /// The answer that the sender gets if no target takes the message.
    pub(super) otherwise: Option<Bytes>,
    /// The names on the way to the targets.
    pub(super) names: Vec<Resolved>,
}

impl Explained {
    /// The listener that the message would come to.
    pub(super) fn listener(&self) -> &Listener {
        self.config.listener(self.arrival.listener)
    }

    /// The exit code.
    pub(super) fn code(&self) -> u8 {
        match self.decision {
            Decision::Accepted { .. } => ACCEPTED,
            Decision::Refused { .. } => REFUSED,
            Decision::Unknown(_) => CANNOT_TELL,
        }
    }
}
