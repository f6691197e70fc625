//! One stream connection as the others see it: a bounded queue out, written as far as the system takes it. Waits for nothing.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use bytes::{Buf, Bytes};
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::tls::{HandshakeStep, Session};
use crate::config::{ListenerId, RegionId, Transport};
use crate::core::io::{Attempt, ConnectionId};
use crate::telemetry::Loss;

/// Attempts remembered of which nothing has been heard.
const UNHEARD: usize = 64;

/// A connection, shared by the table and its task.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// In the configuration in force.
    pub(super) region: Cell<RegionId>,
    /// Likewise.
    pub(super) listener: Cell<ListenerId>,
    pub(super) peer: SocketAddr,
    pub(super) accepted: bool,
    pub(super) transport: Transport,
    /// The name that the server proved, or is to prove, on a TLS connection that we opened by one.
    pub(super) tls_name: Option<Arc<str>>,
    pub(super) session: Option<RefCell<Session>>,
    pub(super) writer: OnceCell<OwnedWriteHalf>,
    pub(super) queue: RefCell<WriteQueue>,
    pub(super) state: Cell<ConnectionState>,
    wake: Notify,
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    Open,
    /// Write what is queued, then close.
    Closing,
    /// Close now: this was lost.
    Broken(Loss),
}

#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    chunks: VecDeque<(Bytes, Option<Attempt>)>,
    octets: usize,
    /// Since when the peer has not taken anything.
    pub(super) stuck: Option<Instant>,
    /// Attempts written since something was last heard: if the connection ends, they may never have been read.
    pub(super) unheard: VecDeque<Attempt>,
}

/// What a connection is made as.
pub(super) struct Made {
    pub(super) listener: ListenerId,
    pub(super) region: RegionId,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) accepted: bool,
    pub(super) tls_name: Option<Arc<str>>,
    /// For TLS.
    pub(super) session: Option<Session>,
    /// Octets that may wait to be written.
    pub(super) most: usize,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, made: Made) -> Self {
        let Made { listener, region, transport, peer, accepted, tls_name, session, most } = made;
        let (session, state) = (session.map(RefCell::new), Cell::new(ConnectionState::Open));
        let (writer, queue, wake) = Default::default();
        let (region, listener) = (Cell::new(region), Cell::new(listener));
        Self { id, region, listener, peer, accepted, transport, tls_name, session, writer, queue, state, wake, most }
    }

    /// Writes what the system takes at once and queues the rest. Never waits; beyond the limit the connection is given up.
    pub(super) fn write(&self, bytes: Bytes, attempt: Option<Attempt>, now: Instant) {
        let mut queue = self.queue.borrow_mut();
        queue.octets += bytes.len();
        queue.chunks.push_back((bytes, attempt));
        if queue.chunks.len() == 1 && self.state.get() != ConnectionState::Broken(Loss::WriteQueue) {
            self.flush(&mut queue, now);
        }
        if queue.octets > self.most && self.state.get() == ConnectionState::Open {
            self.state.set(ConnectionState::Broken(Loss::WriteQueue));
        }
        if !queue.chunks.is_empty() {
            self.wake.notify_one();
        }
    }

    /// Closes once everything queued is written.
    pub(super) fn close(&self) {
        if self.state.get() == ConnectionState::Open {
            self.state.set(ConnectionState::Closing);
            self.wake.notify_one();
        }
    }

    /// Its address on this side, once it is connected.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.writer.get().and_then(|writer| writer.local_addr().ok())
    }

    /// Whether more may be written to it.
    pub(super) fn is_open(&self) -> bool {
        self.state.get() == ConnectionState::Open
    }

    /// Whether nothing waits to be written.
    pub(super) fn is_flushed(&self) -> bool {
        self.queue.borrow().chunks.is_empty()
    }

    /// Writes what is queued, as far as the system takes it.
    pub(super) fn flush(&self, queue: &mut WriteQueue, now: Instant) {
        let Some(writer) = self.writer.get() else { return };
        let mut session = self.session.as_ref().map(RefCell::borrow_mut);
        if let Some(session) = &mut session {
            if session.is_handshaking() {
                return;
            }
            // What the session itself has to say.
            match session.send(writer.as_ref()) {
                Ok(()) => queue.stuck = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    queue.stuck.get_or_insert(now);
                    return;
                }
                Err(_) => return self.state.set(ConnectionState::Broken(Loss::ConnectionGone)),
            }
        }
        while let Some((bytes, attempt)) = queue.chunks.front_mut() {
            let written = match &mut session {
                Some(session) => session.write(writer.as_ref(), bytes),
                None => writer.try_write(bytes),
            };
            match written {
                Ok(written) => {
                    queue.octets = queue.octets.saturating_sub(written);
                    bytes.advance(written);
                    queue.stuck = None;
                    if bytes.is_empty() {
                        let attempt = *attempt;
                        queue.chunks.pop_front();
                        if queue.unheard.len() == UNHEARD {
                            queue.unheard.pop_front();
                        }
                        queue.unheard.extend(attempt);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    queue.stuck.get_or_insert(now);
                    return;
                }
                Err(_) => return self.state.set(ConnectionState::Broken(Loss::ConnectionGone)),
            }
        }
    }

    /// Goes on with the handshake; and whether something waits to be written for it.
    pub(super) fn shake(&self, socket: &TcpStream) -> (HandshakeStep, bool) {
        let Some(session) = &self.session else { return (HandshakeStep::Done, false) };
        let mut session = session.borrow_mut();
        let step = session.shake(socket);
        (step, session.wants_write())
    }

    /// Waits for something to be queued, or for the end.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// The attempts that the peer cannot be shown to have received.
    pub(super) fn undelivered(&self) -> Vec<Attempt> {
        let queue = &mut *self.queue.borrow_mut();
        queue.octets = 0;
        queue.unheard.drain(..).chain(queue.chunks.drain(..).filter_map(|(_, attempt)| attempt)).collect()
    }
}
