//! Sends copies of messages as HEP packets, each to a collector that the fence has passed: one datagram each, never twice, never
//! waiting.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::fence::Fenced;
use crate::telemetry::HepReceiver;

/// A socket for each family, opened when it is first needed.
#[derive(Debug, Default)]
struct HepSockets {
    v4: Option<UdpSocket>,
    v6: Option<UdpSocket>,
}

/// Sends for ever.
pub(super) async fn send_copies(mut queued: HepReceiver) {
    let (mut sockets, mut packet) = (HepSockets::default(), Vec::new());
    while let Some(to) = queued.next(&mut packet).await {
        queued.done(sockets.give(&packet, to).is_ok());
    }
}

impl HepSockets {
    fn give(&mut self, packet: &[u8], to: Fenced) -> io::Result<usize> {
        let to = to.addr();
        let (socket, any) = match to {
            SocketAddr::V4(_) => (&mut self.v4, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))),
            SocketAddr::V6(_) => (&mut self.v6, SocketAddr::from((Ipv6Addr::UNSPECIFIED, 0))),
        };
        let socket = match socket {
            Some(socket) => socket,
            None => socket.insert(open(any)?),
        };
        socket.send_to(packet, to)
    }
}

fn open(any: SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    // Nothing is ever read from it, so packets that come may not take room.
    let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(0);
    Ok(socket)
}
