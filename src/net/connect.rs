//! Opens stream connections. A connection is opened only to a [`Fenced`] address.

use std::cell::RefCell;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::net::TcpSocket;
use tokio::task::spawn_local;

use super::connection::{Connection, Made};
use super::connection_task::serve;
use super::holder::{Holder, OpenedFor};
use super::tls::SessionStart;
use super::worker::Worker;
use crate::config::{Listener, ListenerId, Transport};
use crate::fence::Fenced;
use crate::telemetry::Loss;
use crate::tls::PartyNames;

impl Worker {
    /// Opens a connection. Bytes that are written to it meanwhile wait. `tls_name`: the name that the server must prove over TLS.
    /// Without it, the server must prove its address or a name of `party`. `Err`: too many are open, or no roots are known.
    pub(super) fn connect(
        &mut self,
        listener: ListenerId,
        to: Fenced,
        tls_name: Option<Arc<str>>,
        (party, opened_for, alone): (Option<PartyNames>, OpenedFor, bool),
    ) -> Result<Rc<Connection>, Loss> {
        let me = self.me.upgrade().ok_or(Loss::Connect)?;
        let config = Arc::clone(&self.config);
        let of = config.listener(listener);
        let start = match of.transport {
            Transport::Tls => {
                let calling = config.region(of.region).tls.as_ref().and_then(|tls| tls.client.as_ref()).ok_or(Loss::Connect)?;
                let (calling, tls_name, party) = (Arc::clone(calling), tls_name.clone(), party.clone());
                Some(SessionStart::Called { calling, tls_name, party, addr: to.addr().ip() })
            }
            Transport::Udp | Transport::Tcp => None,
        };
        if let Some(other) = self.streams.outgoing.make_room(config.limits.connections, opened_for, &self.core)? {
            other.give_up();
        }
        let Listener { region, transport, .. } = *of;
        let (peer, most) = (to.addr(), config.limits.write_queue);
        let (holder, now) = (Holder::Stranger, Instant::now());
        let made =
            Made { listener, region, transport, peer, accepted: false, holder, now, tls_name, party, opened_for, alone, most };
        let connection = self.streams.add(made);
        self.recorder.handles().connection(region, transport, true);
        let patience = Patience { connect: config.limits.connect, delivery: config.timers.try_for / 2 };
        spawn_local(open(me, Rc::clone(&connection), of.addr.ip(), start, patience, to));
        Ok(connection)
    }
}

/// How long the steps of an outgoing connection may take.
struct Patience {
    connect: Duration,
    /// How long sent bytes may stay unacknowledged before the connection ends (RFC 5482). A host that is gone, or a firewall that
    /// has forgotten us, sends nothing. Lost messages are repeated on a fresh connection, and have the same time again.
    delivery: Duration,
}

/// Connects from the listener's own address if it has one, because the other side admits us by that address.
async fn open(
    worker: Rc<RefCell<Worker>>,
    connection: Rc<Connection>,
    from: IpAddr,
    start: Option<SessionStart>,
    patience: Patience,
    to: Fenced,
) {
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
                return serve(worker, connection, stream, start).await;
            }
        }
        () = given_up => {}
    }
    let now = Instant::now();
    let mut worker = worker.borrow_mut();
    worker.lost(now, connection.listener.get(), Loss::Connect, connection.peer, None);
    worker.gone(now, &connection);
}
