//! The open stream connections: keeps them, and finds the one that a message may go by.
//!
//! An answer goes by the connection of its request or is dropped: we never connect back, unlike RFC 3261 18.2.2 (standards TR-08).

use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Instant;

use socket2::{Domain, Protocol, Socket, Type};
use tokio::sync::Notify;
use tracing::debug;

use super::accepted::Accepted;
use super::connection::{Connection, Made};
use super::handshake::Shaking;
use super::holder::{Holder, OpenedFor};
use super::outgoing::Outgoing;
use crate::config::{Config, RegionId, Transport};
use crate::core::io::{ConnectionId, Send};
use crate::core::{Change, Core};

/// Connections that the kernel keeps until we accept them.
const BACKLOG: i32 = 1024;

/// Binds a listener, outside any runtime.
pub(super) fn bind(addr: SocketAddr) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, Some(Protocol::TCP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A restart must not wait for the connections of the daemon before.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(BACKLOG)?;
    debug!(%addr, "bound tcp");
    Ok(socket.into())
}

/// The key by which connections are found again. A request never uses one that belongs to another region (RFC 5923 8.1).
type Towards = (RegionId, Transport, SocketAddr);

/// All open connections.
#[derive(Debug, Default)]
pub(super) struct Streams {
    by_id: HashMap<ConnectionId, Rc<Connection>>,
    /// The open connections to each place, accepted or opened, the oldest first: of TLS one for each name that was proved.
    by_peer: HashMap<Towards, Vec<Rc<Connection>>>,
    /// Handshakes with clients.
    pub(super) shaking: Shaking,
    /// The connections that we accepted, and who holds them.
    pub(super) accepted: Accepted,
    /// The connections that we opened.
    pub(super) outgoing: Outgoing,
    last: u64,
    /// Whether all are being closed. Then nothing is repeated.
    closing: bool,
    /// Notified if a connection has gone.
    gone: Rc<Notify>,
}

impl Streams {
    /// An open connection.
    pub(super) fn find(&self, id: ConnectionId) -> Option<Rc<Connection>> {
        self.by_id.get(&id).filter(|connection| connection.is_open()).cloned()
    }

    /// An open connection by which a message may go to exactly this address: the newest one, of TLS one that we opened first. If there is
    /// none, the connection on which the dialog began.
    pub(super) fn towards(&mut self, region: RegionId, addr: SocketAddr, send: &Send, config: &Config) -> Option<Rc<Connection>> {
        let proved = |connection: &Connection| send.tls_name.is_none() && connection.is_proved_at(addr);
        let fits = |connection: &&Rc<Connection>| {
            let free = connection.is_open() && !connection.alone && !connection.half_closed.get();
            free && (connection.carries(send, config) || proved(connection))
        };
        let tls = send.transport == Transport::Tls;
        let at = |addr: SocketAddr| {
            let there = self.by_peer.get(&(region, send.transport, addr))?;
            there.iter().filter(fits).max_by_key(|connection| (tls && !connection.accepted, connection.id)).cloned()
        };
        let found = at(addr).or_else(|| at(send.origin.as_ref()?.addr()));
        if let Some(connection) = &found {
            self.outgoing.used(connection, OpenedFor::of(send));
        }
        found
    }

    /// Whether all are being closed, because the daemon ends.
    pub(super) fn is_closing(&self) -> bool {
        self.closing
    }

    /// Closes a connection after writing what is queued.
    pub(super) fn close(&self, id: ConnectionId) {
        if let Some(connection) = self.by_id.get(&id) {
            connection.close();
        }
    }

    /// All connections that are not gone yet.
    pub(super) fn all(&self) -> impl Iterator<Item = &Rc<Connection>> {
        self.by_id.values()
    }

    /// Takes in another configuration, with other numbers for the same connections.
    pub(super) fn renumber(&mut self, config: &Config, change: &Change) {
        self.by_id.retain(|_, connection| {
            let Some(listener) = change.listener(connection.listener.get()) else {
                // Its listener is in no configuration any more: nothing may come or go by it.
                connection.close();
                return false;
            };
            connection.listener.set(listener);
            connection.region.set(config.listener(listener).region);
            // Its task finds the end of its time as it is now.
            connection.look_again();
            true
        });
        let holder = |connection: &Connection| {
            let (region, ip, shown) = (connection.region.get(), connection.peer.ip(), connection.shown.get());
            if connection.is_shaking() {
                Holder::by_address(config, region, ip)
            } else {
                Holder::proven(config, region, ip, shown.as_ref())
            }
        };
        self.accepted.judge_anew(holder);
        self.outgoing.forget_trunks();
        self.by_peer.clear();
        let mut all: Vec<_> = self.by_id.values().cloned().collect();
        all.sort_unstable_by_key(|connection| connection.id);
        for connection in all {
            self.by_peer.entry(leads(&connection)).or_default().push(connection);
        }
    }

    /// Gives messages that wait to be written their new numbers, and throws away those without one.
    pub(super) fn renumber_queued(&self, renumber: impl Fn(&mut Send) -> bool) {
        for connection in self.by_id.values() {
            if connection.withdraw(&renumber) {
                connection.cut();
            }
        }
    }

    /// Closes our connections to addresses that are outside since a reload. On the others, throws away waiting messages for such
    /// addresses.
    pub(super) fn leave_outside(&self, now: Instant, core: &Core) {
        for connection in self.by_id.values() {
            let leads_out = !connection.accepted && !core.may_connect(connection.listener.get(), connection.peer);
            if leads_out || connection.withdraw(|send| core.lets_go(now, send)) {
                connection.cut();
            }
        }
    }

    /// Closes every connection after writing what is queued. Returns what tells that one has gone. `None`: all are gone.
    pub(super) fn close_all(&mut self) -> Option<Rc<Notify>> {
        self.closing = true;
        for connection in self.by_id.values() {
            connection.close();
        }
        (!self.by_id.is_empty()).then(|| Rc::clone(&self.gone))
    }

    /// Takes in a connection.
    pub(super) fn add(&mut self, made: Made) -> Rc<Connection> {
        self.last += 1;
        let connection = Rc::new(Connection::new(ConnectionId(self.last), made));
        self.by_id.insert(connection.id, Rc::clone(&connection));
        self.by_peer.entry(leads(&connection)).or_default().push(Rc::clone(&connection));
        if connection.accepted {
            self.accepted.add(&connection);
        } else {
            self.outgoing.add(&connection);
        }
        connection
    }

    /// Takes a connection out.
    pub(super) fn remove(&mut self, connection: &Connection) {
        self.by_id.remove(&connection.id);
        let key = leads(connection);
        if let Some(there) = self.by_peer.get_mut(&key) {
            there.retain(|other| other.id != connection.id);
            if there.is_empty() {
                self.by_peer.remove(&key);
            }
        }
        if connection.accepted {
            self.accepted.remove(connection);
        } else {
            self.outgoing.remove(connection);
        }
        self.gone.notify_waiters();
    }
}

fn leads(connection: &Connection) -> Towards {
    (connection.region.get(), connection.transport, connection.peer)
}
