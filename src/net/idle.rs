//! When a connection is closed: if it is idle, if a message comes too slowly, or if the peer does not read. Only says when.

use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::config::{Limits, Timers};
use crate::core::Core;
use crate::telemetry::Loss;

/// How long a stranger may stay without an admitted message. A party that may speak here does not need so long.
const STRANGER: Duration = Duration::from_secs(5);
/// How long a connection for repeats may be silent if no answer is due on it.
const ALONE: Duration = Duration::from_secs(1);
/// How often a connection on which an answer is due is checked again after its time.
const RECHECK: Duration = Duration::from_secs(1);

/// The limits of one connection, as they were when it was opened.
pub(super) struct Bounds {
    idle: Duration,
    partial: Duration,
    pub(super) message: usize,
    pub(super) handshake: Duration,
}

/// How a connection ends.
pub(super) enum ConnectionEnd {
    /// Everything is written. The peer is told that no more comes.
    Orderly,
    /// A limit was reached.
    Lost(Loss),
    /// The peer is gone, and no bytes were on the way to it.
    Reset,
}

impl Bounds {
    pub(super) fn of(limits: &Limits, timers: &Timers, connection: &Connection) -> Self {
        let idle = match () {
            () if connection.accepted => limits.idle,
            // Its repeats are answered, and it carries nothing else.
            () if connection.alone => ALONE,
            // A connection that we opened is kept for the next request, at least as long as a transaction lasts (RFC 3261 18).
            () => limits.idle.max(timers.t1 * 64),
        };
        Self { idle, partial: limits.partial, message: limits.message, handshake: limits.handshake }
    }

    /// When the first of the limits is reached. `partial`: since when a message has not been whole. `stuck`: since when the peer has
    /// taken no bytes.
    pub(super) fn due(&self, connection: &Connection, now: Instant, partial: Option<Instant>, stuck: Option<Instant>) -> Instant {
        let slow = partial.map(|since| since + self.partial);
        let stalled = stuck.map(|since| since + self.partial);
        let until = Some(self.silent_until(connection)).filter(|&until| until > now && !connection.half_closed.get());
        let silent = until.unwrap_or(now + RECHECK);
        [slow, stalled].into_iter().flatten().fold(silent, Instant::min)
    }

    /// How long the peer may be silent. A stranger's message counts only if it is admitted.
    fn silent_until(&self, connection: &Connection) -> Instant {
        let of_stranger = !connection.is_known() && !connection.admitted.get();
        connection.heard.get() + if of_stranger { self.idle.min(STRANGER) } else { self.idle }
    }

    /// How the connection ends, if a limit is reached now. A connection on which an answer is due is not idle (RFC 3261 18).
    pub(super) fn expiry(
        &self,
        connection: &Connection,
        core: &Core,
        now: Instant,
        partial: Option<Instant>,
        stuck: Option<Instant>,
    ) -> Option<ConnectionEnd> {
        let over = |since: Option<Instant>| since.is_some_and(|since| since + self.partial <= now);
        match () {
            () if over(stuck) => Some(ConnectionEnd::Lost(Loss::Stalled)),
            () if over(partial) => Some(ConnectionEnd::Lost(Loss::Partial)),
            () if now < self.silent_until(connection) || is_awaited(connection, core) => None,
            () if connection.is_known() || connection.admitted.get() => Some(ConnectionEnd::Orderly),
            () => Some(ConnectionEnd::Lost(Loss::Stranger)),
        }
    }
}

/// Whether an answer is due on a connection.
fn is_awaited(connection: &Connection, core: &Core) -> bool {
    if connection.alone { connection.is_asked(core) || core.owes(connection.id) } else { connection.awaits(core) }
}
