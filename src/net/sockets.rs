//! The sockets of the listeners: bound, read, exchanged at a reload, and closed as soon as nothing needs them.
//!
//! A socket outlives its listener. If a reload takes the listener away, the socket still reads the answers to what was sent by
//! it, and still sends the answers to requests that came by it.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::rc::Rc;
use std::time::Instant;

use tokio::task::JoinHandle;

use super::udp::Udp;
use super::{stream, udp};
use crate::config::{Listener, ListenerId, Transport};

/// A socket outside any runtime.
#[derive(Debug)]
pub(super) enum Bound {
    Udp(UdpSocket),
    Tcp(TcpListener),
}

impl Bound {
    /// Binds the address of a listener.
    pub(super) fn to(listener: &Listener) -> io::Result<Self> {
        match listener.transport {
            Transport::Udp => udp::bind(listener.addr).map(Self::Udp),
            Transport::Tcp | Transport::Tls => stream::bind(listener.addr).map(Self::Tcp),
        }
    }

    /// The address to which it is bound.
    pub(super) fn addr(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp(socket) => socket.local_addr(),
        }
    }
}

/// The number of a listener, kept up to date for tasks that outlive a reload.
pub(super) type ListenerCell = Rc<Cell<ListenerId>>;

/// One listener's socket.
#[derive(Debug)]
pub(super) enum Opened {
    Udp(Rc<Udp>),
    Tcp(Accepting),
    Closed,
}

impl Opened {
    /// Whether it still takes packets or connections.
    fn is_open(&self) -> bool {
        !matches!(self, Self::Closed)
    }
}

/// An accepting task. If dropped, it stops and the listening socket closes.
#[derive(Debug)]
pub(super) struct Accepting {
    pub(super) listener: ListenerCell,
    pub(super) task: JoinHandle<()>,
}

impl Drop for Accepting {
    fn drop(&mut self) {
        self.task.abort();
    }
}

#[derive(Debug)]
struct Slot {
    socket: Opened,
    /// For one that is leaving: when it is closed even if something needs it.
    until: Option<Instant>,
}

/// All sockets, by the numbers of their listeners.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    slots: Vec<Slot>,
    /// Sockets that no task reads yet.
    fresh: Vec<Rc<Udp>>,
}

impl Sockets {
    /// The datagram socket of a listener.
    pub(super) fn udp(&self, id: ListenerId) -> Option<&Rc<Udp>> {
        match &self.slots.get(usize::from(id.0))?.socket {
            Opened::Udp(socket) => Some(socket),
            Opened::Tcp(..) | Opened::Closed => None,
        }
    }

    /// The listeners with an open socket.
    pub(super) fn open(&self) -> impl Iterator<Item = ListenerId> {
        (0..).map(ListenerId).zip(&self.slots).filter(|(_, slot)| slot.socket.is_open()).map(|(id, _)| id)
    }

    /// The listeners that are leaving and still open, each with its end.
    pub(super) fn leaving(&self) -> impl Iterator<Item = (ListenerId, Instant)> {
        (0..).map(ListenerId).zip(&self.slots).filter_map(|(id, slot)| Some((id, slot.until?)))
    }

    /// Takes out the datagram sockets that have to be read from now on.
    pub(super) fn fresh(&mut self) -> Vec<Rc<Udp>> {
        std::mem::take(&mut self.fresh)
    }

    /// Whether any socket is not read yet.
    pub(super) fn has_fresh(&self) -> bool {
        !self.fresh.is_empty()
    }

    /// Takes in new sockets and gives the others their new numbers. `listeners`: those of the new configuration; a leaving one
    /// stays until `end`. `Err`: a listener would have no socket, so nothing has changed.
    pub(super) fn exchange(
        &mut self,
        listeners: &[Listener],
        place: impl Fn(ListenerId) -> Option<ListenerId>,
        opened: Vec<(ListenerId, Opened)>,
        end: Instant,
    ) -> Result<(), ListenerId> {
        let moved: Vec<Option<ListenerId>> = (0..).map(ListenerId).take(self.slots.len()).map(place).collect();
        let kept =
            |id: ListenerId| moved.iter().zip(&self.slots).any(|(&place, slot)| place == Some(id) && slot.socket.is_open());
        for (id, listener) in (0..).map(ListenerId).zip(listeners) {
            if !listener.leaving && !kept(id) && !opened.iter().any(|(of, _)| *of == id) {
                return Err(id);
            }
        }
        let before = std::mem::take(&mut self.slots);
        self.slots = listeners.iter().map(|_| Slot { socket: Opened::Closed, until: None }).collect();
        let old = moved.into_iter().zip(before).filter_map(|(place, slot)| Some((place?, slot)));
        for (id, slot) in old.chain(opened.into_iter().map(|(id, socket)| (id, Slot { socket, until: None }))) {
            let (Some(to), Some(listener)) = (self.slots.get_mut(usize::from(id.0)), listeners.get(usize::from(id.0))) else {
                continue;
            };
            let had_left = !slot.socket.is_open() && slot.until.is_none();
            *to = slot;
            match &to.socket {
                Opened::Udp(socket) => {
                    socket.listener.set(id);
                    if !socket.is_read.replace(true) {
                        self.fresh.push(Rc::clone(socket));
                    }
                }
                // Connections stay; new ones do not come any more.
                Opened::Tcp(..) if listener.leaving => to.socket = Opened::Closed,
                Opened::Tcp(accepting) => accepting.listener.set(id),
                Opened::Closed => {}
            }
            to.until = if listener.leaving && !had_left { to.until.or(Some(end)) } else { None };
        }
        Ok(())
    }

    /// Closes the socket of a listener that is leaving.
    pub(super) fn close(&mut self, id: ListenerId) {
        if let Some(slot) = self.slots.get_mut(usize::from(id.0)) {
            if let Opened::Udp(socket) = &slot.socket {
                socket.is_read.set(false);
            }
            *slot = Slot { socket: Opened::Closed, until: None };
        }
    }

    /// Accepts no more connections.
    pub(super) fn refuse_connections(&mut self) {
        for slot in &mut self.slots {
            if matches!(slot.socket, Opened::Tcp(..)) {
                slot.socket = Opened::Closed;
            }
        }
    }

    /// Reads no more datagrams. Those that still come wait in the sockets.
    pub(super) fn stop_reading(&self) {
        for slot in &self.slots {
            if let Opened::Udp(socket) = &slot.socket {
                socket.is_read.set(false);
            }
        }
    }
}
