//! Repeats on a fresh connection the messages that another one lost, before the core is told that they failed.
//!
//! A kept connection may be dead without our knowing, or a server may close it because of one message on it. Neither says
//! anything about the other messages, or about the server. So each request without an answer is repeated once, with the same
//! bytes. The repeats of one trunk have connections of their own: the message that broke the first connection can break no other
//! trunk's repeats.

use std::rc::Rc;
use std::time::{Duration, Instant};

use super::connection::{Connection, ConnectionState, Written};
use super::worker::{Undelivered, Worker};
use crate::config::TrunkId;
use crate::core::io::Send;
use crate::telemetry::Loss;

/// Most connections that the repeats of one trunk get. If there are no more repeats than this, each has its own.
const LANES: usize = 8;
/// How much longer than the system tries to deliver octets an ACK or a CANCEL is kept, to be repeated.
const MORE: Duration = Duration::from_secs(1);

impl Worker {
    /// How long an ACK or a CANCEL, which gets no answer that we would see, may still turn out to be lost.
    pub(super) fn unanswered(&self) -> Duration {
        self.config.timers.try_for / 2 + MORE
    }

    /// Repeats the messages that a connection has lost, or tells the core that they failed.
    pub(super) fn repeat_lost(&mut self, now: Instant, connection: &Connection) {
        let lost = connection.take_lost(&self.core, self.unanswered(), now);
        // We closed it to make room, or because its peer is outside.
        let given_up = matches!(connection.state.get(), ConnectionState::Broken(Loss::Evicted | Loss::Outside));
        let made = connection.established.get();
        let (mut repeats, mut failed, mut instead) = (Vec::new(), Vec::new(), Vec::new());
        for Written { mut send, again } in lost {
            if made && !again && !given_up && !self.streams.is_closing() {
                repeats.push(send);
            } else {
                failed.extend(send.attempt);
                instead.extend(send.instead.take().filter(|_| !made));
            }
        }
        let what = match () {
            () if given_up || connection.unproven.get() => Undelivered::Unsent,
            () if made => Undelivered::Lost,
            () => Undelivered::Failed,
        };
        self.repeat(now, repeats);
        self.failed(now, failed, what);
        for send in instead {
            self.send(now, &send);
        }
        // These got no connection.
        self.follow(now, None);
    }

    fn repeat(&mut self, now: Instant, repeats: Vec<Send>) {
        let mut lanes: Vec<(Option<TrunkId>, usize, Rc<Connection>)> = Vec::new();
        let mut counts: Vec<(Option<TrunkId>, usize)> = Vec::new();
        for send in repeats {
            let at = counts.iter().position(|(trunk, _)| *trunk == send.trunk).unwrap_or(counts.len());
            if at == counts.len() {
                counts.push((send.trunk, 0));
            }
            let Some((_, count)) = counts.get_mut(at) else { continue };
            let lane = *count % LANES;
            *count += 1;
            let fits = |(trunk, number, connection): &&(Option<TrunkId>, usize, Rc<Connection>)| {
                *trunk == send.trunk && *number == lane && connection.is_open() && connection.carries(&send, &self.config)
            };
            if let Some((_, _, connection)) = lanes.iter().find(fits) {
                self.write(now, connection, send, true);
                continue;
            }
            if let Some(connection) = self.connect_alone(now, &send) {
                lanes.push((send.trunk, lane, Rc::clone(&connection)));
                self.write(now, &connection, send, true);
            }
        }
    }
}
