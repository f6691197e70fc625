//! Accepts stream connections, each within the limits of whom it counts for.

use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use tokio::task::spawn_local;

use super::connection::{Connection, Made};
use super::connection_task::serve;
use super::holder::{Holder, OpenedFor};
use super::sockets::{Accepting, ListenerCell, Opened};
use super::tls::SessionStart;
use super::worker::Worker;
use crate::config::{Listener, ListenerId, Transport};
use crate::core::io::ConnectionId;
use crate::tls::Shown;

/// The pause after the system refused to accept. It lacks descriptors or memory, and asking again at once would spin.
const REFUSED: Duration = Duration::from_millis(100);

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
        let (connection, start) = {
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
            let start = tls.map(|tls| SessionStart::Accepted(Arc::clone(&tls.server)));
            if start.is_none() && transport == Transport::Tls {
                // Without settings there is no TLS: the connection is dropped.
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
                most,
            };
            worker.recorder.handles().connection(region, transport, true);
            let connection = worker.streams.add(made);
            if transport == Transport::Tls {
                worker.streams.shaking.begin(&connection, handshakes);
            }
            (connection, start)
        };
        spawn_local(serve(Rc::clone(&worker), connection, stream, start));
    }
}

impl Worker {
    /// Notes the names that a client proved in its handshake.
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
}
