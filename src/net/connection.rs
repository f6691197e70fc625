//! One stream connection, for the code outside its task: a bounded queue of bytes to write, written as far as the system takes
//! it. Never waits.

use std::cell::{Cell, OnceCell, RefCell};
use std::collections::VecDeque;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Buf, Bytes};
use socket2::SockRef;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::Notify;

use super::holder::{Holder, OpenedFor};
use super::tls::Session;
use crate::config::{Config, ListenerId, RegionId, Transport};
use crate::core::Core;
use crate::core::io::{ConnectionId, Send};
use crate::telemetry::Loss;
use crate::tls::{Name, PartyNames, Shown};

/// So many requests are kept before the answered ones are forgotten. The next time comes when twice as many are kept as were
/// left.
const FEW: usize = 64;

/// A connection, shared by the table and its task.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) id: ConnectionId,
    /// The region, as the configuration in force numbers it.
    pub(super) region: Cell<RegionId>,
    /// The listener, as the configuration in force numbers it.
    pub(super) listener: Cell<ListenerId>,
    pub(super) peer: SocketAddr,
    pub(super) accepted: bool,
    pub(super) transport: Transport,
    /// The address under which its source is counted.
    pub(super) source: IpAddr,
    /// The party that it counts for, if we accepted it.
    pub(super) holder: Cell<Holder>,
    /// Whether a message of a stranger was admitted on it.
    pub(super) admitted: Cell<bool>,
    /// Whether the peer sends no more. It may still read answers.
    pub(super) half_closed: Cell<bool>,
    /// Whether its peer, known only by its address, did not prove to be a party of that address.
    pub(super) unproven: Cell<bool>,
    /// When its peer last sent something that counts. From a stranger, only an admitted message counts.
    pub(super) heard: Cell<Instant>,
    /// The names that a client showed, as soon as the handshake is done.
    pub(super) shown: Cell<Option<Shown>>,
    /// Whether a client's certificate is also for the address that it called from.
    pub(super) proved_address: Cell<bool>,
    /// The name that the server has proved or must prove, if we opened a TLS connection by a name.
    pub(super) tls_name: Option<Arc<str>>,
    /// Names of the party. The server may prove one of them instead of its address.
    pub(super) party: Option<PartyNames>,
    /// The calls that it counts for, if we opened it.
    pub(super) opened_for: Cell<OpenedFor>,
    /// Whether it carries only repeats of what another connection lost: one of these messages may have broken that one.
    pub(super) alone: bool,
    /// Whether it was connected, with the handshake done.
    pub(super) established: Cell<bool>,
    /// The TLS session, as soon as the handshake is done.
    pub(super) session: OnceCell<RefCell<Session>>,
    /// As soon as messages can be written.
    pub(super) writer: OnceCell<OwnedWriteHalf>,
    pub(super) queue: RefCell<WriteQueue>,
    pub(super) state: Cell<ConnectionState>,
    wake: Notify,
    most: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ConnectionState {
    Open,
    /// Write what is queued, then close the connection.
    Closing,
    /// Close the connection now, for this reason.
    Broken(Loss),
}

#[derive(Debug, Default)]
pub(super) struct WriteQueue {
    chunks: VecDeque<Chunk>,
    octets: usize,
    /// Since when the peer has taken no bytes.
    pub(super) stuck: Option<Instant>,
    /// The requests that were written, in order, until they are answered. If the connection ends, the peer may never have read
    /// them. ACK and CANCEL get no answer that we would see, so they are kept for a while.
    kept: VecDeque<Kept>,
    /// The octets of the ACKs and CANCELs. (The core holds those of the other requests.)
    kept_octets: usize,
    /// The number of requests at which the answered ones are forgotten.
    look_at: usize,
}

/// One message that waits to be written.
#[derive(Debug)]
struct Chunk {
    /// The part that is not written yet.
    bytes: Bytes,
    begun: bool,
    /// The message, if it is for a fenced address. `None`: an answer, or octets of the connection's own.
    request: Option<Written>,
}

/// A message for a fenced address, as it is written on a connection.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) send: Send,
    /// Whether another connection lost it before. Then it is not repeated again.
    pub(super) again: bool,
}

/// A request that was written.
#[derive(Debug)]
struct Kept {
    request: Written,
    at: Instant,
}

/// How a connection is made.
pub(super) struct Made {
    pub(super) listener: ListenerId,
    pub(super) region: RegionId,
    pub(super) transport: Transport,
    pub(super) peer: SocketAddr,
    pub(super) accepted: bool,
    /// The party that it counts for, if we accepted it.
    pub(super) holder: Holder,
    pub(super) now: Instant,
    pub(super) tls_name: Option<Arc<str>>,
    pub(super) party: Option<PartyNames>,
    pub(super) opened_for: OpenedFor,
    /// Whether it is opened for repeats of what another one lost.
    pub(super) alone: bool,
    /// Most octets that may wait to be written.
    pub(super) most: usize,
}

impl Connection {
    pub(super) fn new(id: ConnectionId, made: Made) -> Self {
        let Made { listener, region, transport, peer, accepted, holder, now, tls_name, party, opened_for, alone, most } = made;
        let state = Cell::new(ConnectionState::Open);
        let (session, writer, queue, wake) = Default::default();
        let (region, listener) = (Cell::new(region), Cell::new(listener));
        let (source, holder, heard) = (holder.source(peer.ip()), Cell::new(holder), Cell::new(now));
        let (admitted, half_closed, unproven, established, shown, proved_address) = Default::default();
        Self {
            id,
            region,
            listener,
            peer,
            accepted,
            transport,
            source,
            holder,
            admitted,
            half_closed,
            unproven,
            heard,
            shown,
            proved_address,
            tls_name,
            party,
            opened_for: Cell::new(opened_for),
            alone,
            established,
            session,
            writer,
            queue,
            state,
            wake,
            most,
        }
    }

    /// Writes what the system takes at once and queues the rest. Never waits. If the queue is too long, the connection is given
    /// up.
    pub(super) fn write(&self, bytes: Bytes, request: Option<Written>, now: Instant) {
        let mut queue = self.queue.borrow_mut();
        queue.octets += bytes.len();
        queue.chunks.push_back(Chunk { bytes, begun: false, request });
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

    /// Closes the connection as soon as everything queued is written.
    pub(super) fn close(&self) {
        if self.state.get() == ConnectionState::Open {
            self.state.set(ConnectionState::Closing);
            self.wake.notify_one();
        }
    }

    /// Closes the connection at once, so that another one has room.
    pub(super) fn give_up(&self) {
        self.state.set(ConnectionState::Broken(Loss::Evicted));
        self.wake.notify_one();
    }

    /// Closes the connection at once because its peer is outside. Nothing that waits is written, and the system throws away what
    /// it has not sent yet.
    pub(super) fn cut(&self) {
        self.state.set(ConnectionState::Broken(Loss::Outside));
        if let Some(writer) = self.writer.get() {
            // An error says that it is closed already.
            let _ = SockRef::from(writer.as_ref()).set_linger(Some(Duration::ZERO));
        }
        let queue = &mut *self.queue.borrow_mut();
        queue.octets = 0;
        queue.chunks.clear();
        self.wake.notify_one();
    }

    /// Takes out of the queue the messages for which `stays` is false. Returns whether a part of one of them is written already:
    /// then the connection can carry nothing more.
    pub(super) fn withdraw(&self, mut stays: impl FnMut(&mut Send) -> bool) -> bool {
        let queue = &mut *self.queue.borrow_mut();
        let mut torn = false;
        queue.chunks.retain_mut(|chunk| {
            let stays = chunk.request.as_mut().is_none_or(|request| stays(&mut request.send));
            torn |= !stays && chunk.begun;
            stays
        });
        queue.octets = queue.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        // A written message is gone. Whether it may be repeated is decided if it is lost.
        queue.kept.retain_mut(|kept| stays(&mut kept.request.send));
        queue.kept_octets = queue.kept.iter().map(|kept| kept.request.send.bytes.len()).sum();
        torn
    }

    /// Whether it is kept for whatever comes next: we opened it, to a place that the configuration names.
    pub(super) fn is_kept(&self) -> bool {
        !self.accepted && !self.alone && self.opened_for.get() == OpenedFor::Everybody
    }

    /// Has its task look at its limits again.
    pub(super) fn look_again(&self) {
        self.wake.notify_one();
    }

    /// Whether its peer is known by the configuration. We open connections only to such peers.
    pub(super) fn is_known(&self) -> bool {
        !self.accepted || self.holder.get() != Holder::Stranger
    }

    /// Whether a message for a fenced address may go by it. Over TLS its peer must have proved to be the party that is meant, or
    /// must prove it (RFC 5923 8). For a request to the side that began the dialog it is enough that it is the very connection of the
    /// INVITE, and that its peer is still that trunk.
    pub(super) fn carries(&self, send: &Send, config: &Config) -> bool {
        if self.transport != Transport::Tls {
            return true;
        }
        let party = send.party.as_ref();
        let named = |name: &Arc<str>| party.is_some_and(|party| party.contains(name));
        if !self.accepted {
            return match (&self.tls_name, &send.tls_name) {
                (Some(proved), Some(meant)) => proved == meant,
                (Some(proved), None) => named(proved),
                (None, Some(_)) => false,
                (None, None) => self.party.is_none() || self.party.as_ref() == party,
            };
        }
        let shown = self.shown.get();
        let names = shown.map(|shown| shown.names).unwrap_or_default();
        let proved = |name: &Arc<str>| names.contains(&Some(Name::of(name.as_bytes())));
        let any = names.iter().any(Option::is_some);
        let by_name = match &send.tls_name {
            Some(meant) => any && proved(meant),
            None => any && party.is_some_and(|party| party.iter().any(proved)),
        };
        let is_there = |trunk| config.callers(self.peer.ip(), shown.as_ref()).include(trunk);
        let began = || send.trunk.is_some_and(is_there);
        by_name || send.origin.as_ref().is_some_and(|origin| origin.addr() == self.peer) && began()
    }

    /// Whether its client has proved to be at this address. A message for the address, and not for a name, may go by it.
    pub(super) fn is_proved_at(&self, addr: SocketAddr) -> bool {
        self.proved_address.get() && self.peer.ip() == addr.ip()
    }

    /// Whether an answer goes down it, or comes from its peer.
    pub(super) fn awaits(&self, core: &Core) -> bool {
        core.awaits(self.id, (self.peer, self.transport))
    }

    /// Our own address on it, as soon as it is connected.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.writer.get().and_then(|writer| writer.local_addr().ok())
    }

    /// Whether its handshake is not done yet.
    pub(super) fn is_shaking(&self) -> bool {
        self.transport == Transport::Tls && self.session.get().is_none()
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
        let mut session = self.session.get().map(RefCell::borrow_mut);
        if let Some(session) = &mut session {
            // Octets of the TLS session's own.
            match session.send(writer.as_ref()) {
                Ok(()) => queue.stuck = None,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    queue.stuck.get_or_insert(now);
                    return;
                }
                Err(_) => return self.state.set(ConnectionState::Broken(Loss::ConnectionGone)),
            }
        }
        while let Some(Chunk { bytes, begun, request }) = queue.chunks.front_mut() {
            let written = match &mut session {
                Some(session) => session.write(writer.as_ref(), bytes),
                None => writer.try_write(bytes),
            };
            match written {
                Ok(written) => {
                    queue.octets = queue.octets.saturating_sub(written);
                    bytes.advance(written);
                    *begun = true;
                    queue.stuck = None;
                    if bytes.is_empty() {
                        let request = request.take();
                        queue.chunks.pop_front();
                        if let Some(request) = request {
                            queue.keep(request, self.most, now);
                        }
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

    /// Waits for something to be queued, or for the end.
    pub(super) async fn woken(&self) {
        self.wake.notified().await;
    }

    /// Forgets the requests that have been answered, if there are many to look at.
    pub(super) fn forget_answered(&self, core: &Core, within: Duration, now: Instant) {
        let queue = &mut *self.queue.borrow_mut();
        if queue.kept.len() < queue.look_at.max(FEW) {
            return;
        }
        let waits = |attempt| if self.alone { core.is_open(attempt) } else { core.unheard(attempt).is_some() };
        queue.kept.retain(|kept| kept.request.send.attempt.map_or(kept.at + within > now, waits));
        queue.kept_octets = queue.kept.iter().map(|kept| kept.request.send.bytes.len()).sum();
        queue.look_at = queue.kept.len() * 2;
    }

    /// Whether a final response may still come to a request that was written.
    pub(super) fn is_asked(&self, core: &Core) -> bool {
        let queue = self.queue.borrow();
        queue.kept.iter().filter_map(|kept| kept.request.send.attempt).any(|attempt| core.is_open(attempt))
    }

    /// Takes out the requests that the peer may not have received or answered: those that the core still wants, and the ACKs and
    /// CANCELs that were written `within` this time. A peer reads in order: if it has answered a later request, it has read the
    /// earlier ones.
    pub(super) fn take_lost(&self, core: &Core, within: Duration, now: Instant) -> Vec<Written> {
        let queue = &mut *self.queue.borrow_mut();
        queue.kept_octets = 0;
        let mut lost = Vec::new();
        for Kept { mut request, at } in queue.kept.drain(..) {
            match request.send.attempt {
                Some(attempt) => match core.unheard(attempt) {
                    Some(bytes) => {
                        request.send.bytes = bytes;
                        lost.push(request);
                    }
                    None => lost.retain(|before: &Written| before.send.attempt.is_some()),
                },
                None if at + within > now => lost.push(request),
                None => {}
            }
        }
        // An answer stays, since the peer may still read. The rest of a message that is written in part stays too, or the peer
        // could not read on.
        queue.chunks.retain_mut(|chunk| {
            let Some(request) = chunk.request.take() else { return true };
            if request.send.attempt.is_none_or(|attempt| core.unheard(attempt).is_some()) {
                lost.push(request);
            }
            chunk.begun
        });
        queue.octets = queue.chunks.iter().map(|chunk| chunk.bytes.len()).sum();
        lost
    }
}

impl WriteQueue {
    /// Keeps a request that was written. ACKs and CANCELs may hold `most` octets; beyond that the oldest is forgotten.
    fn keep(&mut self, mut request: Written, most: usize, now: Instant) {
        if request.send.attempt.is_some() {
            request.send.bytes = Bytes::new();
        }
        // It may arrive yet.
        request.send.instead = None;
        self.kept_octets = self.kept_octets.saturating_add(request.send.bytes.len());
        self.kept.push_back(Kept { request, at: now });
        while self.kept_octets > most {
            let Some(at) = self.kept.iter().position(|kept| !kept.request.send.bytes.is_empty()) else { return };
            let gone = self.kept.remove(at).map_or(0, |kept| kept.request.send.bytes.len());
            self.kept_octets = self.kept_octets.saturating_sub(gone);
        }
    }
}

#[cfg(test)]
mod tests;
