//! Stream connections: accepts them, opens them to fenced addresses, and finds them again.
//!
//! A connection is opened only to a [`Fenced`] address. An answer goes by the connection of its request or is dropped: we never
//! connect back, unlike RFC 3261 18.2.2 (standards TR-08).

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::{TcpListener, TcpSocket};
use tokio::sync::Notify;
use tokio::task::spawn_local;
use tracing::debug;

use super::accepted::{Accepted, Holder};
use super::connection::{Connection, Made};
use super::connection_task::serve;
use super::handshake::Shaking;
use super::outgoing::{OpenedFor, Outgoing};
use super::sockets::{Accepting, ListenerCell, Opened};
use super::tls::Session;
use super::worker::Worker;
use crate::config::{Config, Listener, ListenerId, RegionId, Transport};
use crate::core::io::{ConnectionId, Send};
use crate::core::{Change, Core};
use crate::fence::Fenced;
use crate::telemetry::Loss;
use crate::tls::{PartyNames, Shown};

/// Connections that the kernel keeps until we accept them.
const BACKLOG: i32 = 1024;
/// The pause after the system refused to accept. It lacks descriptors or memory, and asking again at once would spin.
const REFUSED: Duration = Duration::from_millis(100);

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
    /// Those that we accepted, and who holds them.
    accepted: Accepted,
    /// Those that we opened.
    outgoing: Outgoing,
    last: u64,
    /// Whether all are being closed: nothing is repeated any more.
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
        let fits = |connection: &&Rc<Connection>| {
            connection.is_open() && !connection.alone && !connection.half_closed.get() && connection.carries(send, config)
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

    /// Gives what waits to be written its new numbers, and throws away what has none.
    pub(super) fn renumber_queued(&self, renumber: impl Fn(&mut Send) -> bool) {
        for connection in self.by_id.values() {
            if connection.withdraw(&renumber) {
                connection.cut();
            }
        }
    }

    /// Closes the connections of ours to addresses that are outside since a reload, and throws away what waits to be written to such
    /// an address on others.
    pub(super) fn leave_outside(&self, now: Instant, core: &Core) {
        for connection in self.by_id.values() {
            let leads_out = !connection.accepted && !core.may_connect(connection.listener.get(), connection.peer);
            if leads_out || connection.withdraw(|send| core.lets_go(now, send)) {
                connection.cut();
            }
        }
    }

    /// Closes every connection after writing what is queued. Returns when all are gone.
    pub(super) async fn close_all(worker: &RefCell<Worker>) {
        worker.borrow_mut().streams.closing = true;
        loop {
            let changed = Rc::clone(&worker.borrow().streams.gone);
            let gone = changed.notified();
            let open: Vec<Rc<Connection>> = worker.borrow().streams.by_id.values().cloned().collect();
            if open.is_empty() {
                return;
            }
            for connection in open {
                connection.close();
            }
            gone.await;
        }
    }

    fn add(&mut self, made: Made) -> Rc<Connection> {
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

    fn remove(&mut self, connection: &Connection) {
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

/// Starts accepting for a listener.
pub(super) fn listen(worker: &Rc<RefCell<Worker>>, id: ListenerId, listener: std::net::TcpListener) -> io::Result<Opened> {
    let place: ListenerCell = Rc::new(Cell::new(id));
    let task = spawn_local(accept(Rc::clone(worker), Rc::clone(&place), TcpListener::from_std(listener)?));
    Ok(Opened::Tcp(Accepting { listener: place, task }))
}

async fn accept(worker: Rc<RefCell<Worker>>, id: ListenerCell, listener: TcpListener) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(REFUSED).await;
            continue;
        };
        let id = id.get();
        let connection = {
            let worker = &mut *worker.borrow_mut();
            let (now, config) = (Instant::now(), Arc::clone(&worker.config));
            let (limits, Listener { region, transport, .. }) = (&config.limits, *config.listener(id));
            let holder = if transport == Transport::Tls {
                Holder::by_address(&config, region, peer.ip())
            } else {
                Holder::proven(&config, region, peer.ip(), None)
            };
            match worker.streams.accepted.make_room(limits, holder.source(peer.ip()), holder, &worker.core) {
                Ok(None) => {}
                Ok(Some(other)) => other.give_up(),
                Err(loss) => {
                    worker.lost(now, id, loss, peer, None);
                    continue;
                }
            }
            let tls = config.region(region).tls.as_ref().filter(|_| transport == Transport::Tls);
            let session = tls.and_then(|tls| Session::accepted(&tls.server));
            if session.is_none() && transport == Transport::Tls {
                // The library denies a session: as if the client had gone.
                continue;
            }
            let (most, handshakes) = (limits.write_queue, limits.handshakes);
            let opened_for = OpenedFor::Everybody;
            let made = Made {
                listener: id,
                region,
                transport,
                peer,
                accepted: true,
                holder,
                now,
                tls_name: None,
                party: None,
                opened_for,
                alone: false,
                session,
                most,
            };
            worker.recorder.handles().connection(region, transport, true);
            let connection = worker.streams.add(made);
            if transport == Transport::Tls {
                worker.streams.shaking.begin(&connection, handshakes);
            }
            connection
        };
        spawn_local(serve(Rc::clone(&worker), connection, stream));
    }
}

/// Opens a connection. Bytes written to it meanwhile wait. `tls_name`: the name to prove over TLS; without it, the address or a name of
/// the party there must be proved. `Err`: too many are open, or no roots are known to verify a server by.
pub(super) fn connect(
    worker: &mut Worker,
    listener: ListenerId,
    to: Fenced,
    tls_name: Option<Arc<str>>,
    (party, opened_for, alone): (Option<PartyNames>, OpenedFor, bool),
) -> Result<Rc<Connection>, Loss> {
    let me = worker.me.upgrade().ok_or(Loss::Connect)?;
    let config = Arc::clone(&worker.config);
    let of = config.listener(listener);
    let session = match of.transport {
        Transport::Tls => {
            let calling = config.region(of.region).tls.as_ref().and_then(|tls| tls.client.as_ref()).ok_or(Loss::Connect)?;
            let session = Session::called(calling, tls_name.as_deref(), party.as_ref(), to.addr().ip());
            Some(session.ok_or(Loss::Connect)?)
        }
        Transport::Udp | Transport::Tcp => None,
    };
    if let Some(other) = worker.streams.outgoing.make_room(config.limits.connections, opened_for, &worker.core)? {
        other.give_up();
    }
    let Listener { region, transport, .. } = *of;
    let (peer, most) = (to.addr(), config.limits.write_queue);
    let (holder, now) = (Holder::Stranger, Instant::now());
    let made = Made {
        listener,
        region,
        transport,
        peer,
        accepted: false,
        holder,
        now,
        tls_name,
        party,
        opened_for,
        alone,
        session,
        most,
    };
    let connection = worker.streams.add(made);
    worker.recorder.handles().connection(region, transport, true);
    let patience = Patience { connect: config.limits.connect, delivery: config.timers.try_for / 2 };
    spawn_local(open(me, Rc::clone(&connection), of.addr.ip(), patience, to));
    Ok(connection)
}

/// How long the steps of an outgoing connection may take.
struct Patience {
    connect: Duration,
    /// How long sent bytes may stay unacknowledged before the connection ends (RFC 5482). A host that is gone, or a firewall that has
    /// forgotten us, sends nothing. What was lost is repeated on a fresh connection, and has as long again until it counts as silent.
    delivery: Duration,
}

/// Connects from the listener's own address if it has one, because the other side admits us by that address.
async fn open(worker: Rc<RefCell<Worker>>, connection: Rc<Connection>, from: IpAddr, patience: Patience, to: Fenced) {
    let connecting = async {
        let socket = if to.addr().is_ipv4() { TcpSocket::new_v4() } else { TcpSocket::new_v6() }?;
        if !from.is_unspecified() && from.is_ipv4() == to.addr().is_ipv4() {
            socket.bind(SocketAddr::new(from, 0))?;
        }
        let delivery = u32::try_from(patience.delivery.as_millis()).unwrap_or(u32::MAX);
        setsockopt(&socket, sockopt::TcpUserTimeout, &delivery)?;
        socket.connect(to.addr()).await
    };
    let given_up = async {
        while connection.is_open() {
            connection.woken().await;
        }
    };
    tokio::select! {
        connected = tokio::time::timeout(patience.connect, connecting) => {
            if let Ok(Ok(stream)) = connected {
                return serve(worker, connection, stream).await;
            }
        }
        () = given_up => {}
    }
    let now = Instant::now();
    let mut worker = worker.borrow_mut();
    worker.lost(now, connection.listener.get(), Loss::Connect, connection.peer, None);
    worker.gone(now, &connection);
}

impl Worker {
    /// Notes what a client has proved as its handshake ended.
    pub(super) fn proved(&mut self, connection: &Rc<Connection>, shown: Shown) {
        connection.shown.set(Some(shown));
        let holder = Holder::proven(&self.config, connection.region.get(), connection.peer.ip(), Some(&shown));
        self.streams.accepted.assign(connection, holder);
    }

    /// Notes that a message of a connection was admitted.
    pub(super) fn admitted(&mut self, now: Instant, id: ConnectionId) {
        if let Some(connection) = self.streams.accepted.admitted(id) {
            connection.heard.set(now);
        }
    }

    /// Notes that a connection has ended: it leaves the table, and the attempts that it did not deliver have failed.
    pub(super) fn gone(&mut self, now: Instant, connection: &Connection) {
        self.streams.remove(connection);
        self.streams.shaking.end(connection.id);
        self.recorder.handles().connection(connection.region.get(), connection.transport, false);
        self.repeat_lost(now, connection);
    }
}
