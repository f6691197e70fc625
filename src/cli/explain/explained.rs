//! What is to be told of an explained message. Holds; draws nothing.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;

use super::paste::Pasted;
use crate::cli::resolve::Resolved;
use crate::config::{Config, Listener, Transport};
use crate::core::io::Arrival;
use crate::core::rules::trace::Comparison;
use crate::reason::Reason;

/// It would pass.
const ACCEPTED: u8 = 0;
/// It would be refused.
const REFUSED: u8 = 1;
/// That depends on something that is not known here.
pub(super) const CANNOT_TELL: u8 = 2;

/// What is decided.
#[derive(Debug)]
pub(super) enum Decision {
    /// It passes, or is answered well. What the project's rules would have refused it for, if it only watches.
    Accepted { reason: Option<Reason>, shadow: bool },
    /// It does not. Without a reason: the answer says it.
    Refused { reason: Option<Reason>, why: String },
    /// What it depends on.
    Unknown(String),
}

/// A place that the message would be sent to.
pub(super) struct Target {
    pub(super) addr: SocketAddr,
    pub(super) transport: Transport,
    pub(super) bytes: Bytes,
}

/// All that is to be told.
pub(super) struct Explained {
    pub(super) config: Arc<Config>,
    pub(super) arrival: Arrival,
    pub(super) message: Pasted,
    pub(super) comparisons: Vec<Comparison>,
    pub(super) decision: Decision,
    /// What whoever sent it is told at once.
    pub(super) answer: Option<Bytes>,
    /// In the order to be tried.
    pub(super) targets: Vec<Target>,
    /// What whoever sent it is told if no target takes it.
    pub(super) otherwise: Option<Bytes>,
    /// The names on the way to the targets.
    pub(super) names: Vec<Resolved>,
}

impl Explained {
    /// The listener that it would have come by.
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
