//! UDP sockets: datagrams are read in batches and sent one by one. Never waits.
//!
//! The sends in here take bare addresses. They are private to `net`, and only [`super::worker`] calls them, with the address of a
//! [`Destination`](crate::core::io::Destination). Fragmentation is never forbidden, because an INVITE with a large body must
//! still get through.

use std::cell::Cell;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, SocketAddr, SocketAddrV4, SocketAddrV6, UdpSocket};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockaddrIn, SockaddrIn6, SockaddrLike, SockaddrStorage,
    recvmmsg, recvmsg, sendmsg, setsockopt, sockopt,
};
use socket2::{Domain, Protocol, Socket, Type};
use tokio::io::Interest;
use tokio::io::unix::{AsyncFd, AsyncFdReadyGuard};
use tracing::debug;

use crate::config::ListenerId;

/// Datagrams read by one system call: more than gather in a rest ([`super::pause`]), so that one call empties the queue and says so.
const SLOTS: usize = 32;

/// Datagrams that are asked for while few come.
const FEW: usize = 4;

/// The largest datagram.
const DATAGRAM: usize = 65_535;

/// The buffer size that we ask of the system for each direction, in octets: in a burst, calls are lost in the kernel's queue.
const BUFFER: usize = 4 << 20;

/// Octets of a datagram that an ICMP error should quote. An error that quotes less proves nothing.
const QUOTE: usize = 512;

/// Errors read from a socket's error queue at a time.
const ERRORS: usize = 64;

/// Binds a socket. This needs no runtime, so that the operator who starts the daemon sees the error.
pub(super) fn bind(addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::new(Domain::for_address(addr), Type::DGRAM, Some(Protocol::UDP))?;
    if addr.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    socket.bind(&addr.into())?;
    prepare(socket.into(), addr)
}

/// Sets the options that receiving and sending need.
pub(super) fn prepare(socket: UdpSocket, addr: SocketAddr) -> io::Result<UdpSocket> {
    let socket = Socket::from(socket);
    socket.set_nonblocking(true)?;
    // If the system gives less, the daemon starts all the same.
    let _ = socket.set_recv_buffer_size(BUFFER).and_then(|()| socket.set_send_buffer_size(BUFFER));
    match addr {
        SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4RecvErr, &true)?,
        SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvErr, &true)?,
    }
    if addr.ip().is_unspecified() {
        match addr {
            SocketAddr::V4(_) => setsockopt(&socket, sockopt::Ipv4PacketInfo, &true)?,
            SocketAddr::V6(_) => setsockopt(&socket, sockopt::Ipv6RecvPacketInfo, &true)?,
        }
    }
    let (receive, send) = (socket.recv_buffer_size().unwrap_or(0), socket.send_buffer_size().unwrap_or(0));
    debug!(%addr, receive, send, "bound udp");
    Ok(socket.into())
}

/// A bound socket in the worker's runtime.
#[derive(Debug)]
pub(super) struct Udp {
    fd: AsyncFd<UdpSocket>,
    bound: SocketAddr,
    /// Its listener, as the configuration in force numbers it.
    pub(super) listener: Cell<ListenerId>,
    /// Whether a loop reads from it.
    pub(super) is_read: Cell<bool>,
}

/// The buffers for received datagrams. One for each socket.
pub(super) struct Batch {
    buffer: Box<[u8]>,
    /// Whether many datagrams are asked for next. That costs something for each, and nearly always there are few.
    many: bool,
    headers: MultiHeaders<SockaddrStorage>,
}

impl Batch {
    /// Room for [`SLOTS`] datagrams. Pages that no datagram ever reached cost nothing.
    pub(super) fn new(socket: &Udp) -> Self {
        let control = socket.bound.ip().is_unspecified().then(control_space);
        Self {
            buffer: vec![0; SLOTS * DATAGRAM].into_boxed_slice(),
            many: false,
            headers: MultiHeaders::preallocate(SLOTS, control),
        }
    }
}

fn control_space() -> Vec<u8> {
    nix::cmsg_space!(libc::in6_pktinfo)
}

impl Udp {
    /// Registers a bound socket with the runtime.
    #[expect(deprecated, reason = "its successor is unsafe for descriptors that lie; a std socket does not")]
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let bound = socket.local_addr()?;
        // Not for writing: every datagram that leaves the send buffer would wake the worker.
        let fd = AsyncFd::with_interest(socket, Interest::READABLE | Interest::ERROR)?;
        Ok(Self { fd, bound, listener: Cell::new(ListenerId(0)), is_read: Cell::new(false) })
    }

    /// Waits for datagrams or errors.
    pub(super) async fn ready(&self) -> io::Result<AsyncFdReadyGuard<'_, UdpSocket>> {
        self.fd.ready(Interest::READABLE | Interest::ERROR).await
    }

    /// Reads up to [`SLOTS`] datagrams: the source, the address that was called, and the bytes. Returns whether there were fewer than
    /// asked for: then the queue was empty at that moment, and no further call is needed.
    pub(super) fn receive(&self, batch: &mut Batch, each: impl FnMut(SocketAddr, SocketAddr, &[u8])) -> io::Result<bool> {
        let want = if batch.many { SLOTS } else { FEW };
        let count = if batch.many { self.read::<SLOTS>(batch, each) } else { self.read::<FEW>(batch, each) }?;
        batch.many = count >= FEW;
        Ok(count < want)
    }

    /// Reads up to `MOST` datagrams, and returns how many.
    fn read<const MOST: usize>(
        &self,
        batch: &mut Batch,
        mut each: impl FnMut(SocketAddr, SocketAddr, &[u8]),
    ) -> io::Result<usize> {
        let mut slots = batch.buffer.chunks_exact_mut(DATAGRAM);
        let mut iovs: [[IoSliceMut<'_>; 1]; MOST] = std::array::from_fn(|_| [IoSliceMut::new(slots.next().unwrap_or_default())]);
        let results = recvmmsg(self.fd.as_raw_fd(), &mut batch.headers, iovs.iter_mut(), MsgFlags::MSG_DONTWAIT, None)?;
        let mut count = 0;
        for message in results {
            count += 1;
            let Some(from) = message.address.as_ref().and_then(std_addr) else { continue };
            let local = if self.bound.ip().is_unspecified() {
                let called = message.cmsgs().ok().and_then(|mut cmsgs| cmsgs.find_map(|cmsg| called(&cmsg)));
                SocketAddr::new(called.unwrap_or_else(|| self.bound.ip()), self.bound.port())
            } else {
                self.bound
            };
            each(from, local, message.iovs().next().unwrap_or_default());
        }
        Ok(count)
    }

    /// Sends one datagram. It leaves from `local` if the socket is bound to a wildcard address. Never waits.
    pub(super) fn send(&self, to: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        match self.try_send(to, local, bytes) {
            // The system reports the error of an earlier datagram to the next call. It is not about this datagram. Its details
            // wait in the error queue.
            Err(error) if pending(&error) => self.try_send(to, local, bytes),
            done => done,
        }
    }

    fn try_send(&self, to: SocketAddr, local: Option<IpAddr>, bytes: &[u8]) -> io::Result<()> {
        let local = local.filter(|ip| self.bound.ip().is_unspecified() && !ip.is_unspecified());
        match (local, to) {
            (Some(IpAddr::V4(ip)), SocketAddr::V4(to)) => {
                let source = libc::in_addr { s_addr: u32::from(ip).to_be() };
                let info = libc::in_pktinfo { ipi_ifindex: 0, ipi_spec_dst: source, ipi_addr: libc::in_addr { s_addr: 0 } };
                self.send_from(&SockaddrIn::from(to), &ControlMessage::Ipv4PacketInfo(&info), bytes)
            }
            (Some(IpAddr::V6(ip)), SocketAddr::V6(to)) => {
                let info = libc::in6_pktinfo { ipi6_addr: libc::in6_addr { s6_addr: ip.octets() }, ipi6_ifindex: 0 };
                self.send_from(&SockaddrIn6::from(to), &ControlMessage::Ipv6PacketInfo(&info), bytes)
            }
            _ => self.fd.get_ref().send_to(bytes, to).map(drop),
        }
    }

    fn send_from<A: SockaddrLike>(&self, to: &A, info: &ControlMessage<'_>, bytes: &[u8]) -> io::Result<()> {
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        sendmsg(self.fd.as_raw_fd(), &[IoSlice::new(bytes)], std::slice::from_ref(info), flags, Some(to))?;
        Ok(())
    }

    /// Reads ICMP errors about datagrams that we sent: the address of each datagram, and the part of it that the error quotes.
    pub(super) fn errors(&self, mut each: impl FnMut(SocketAddr, &[u8])) {
        for _ in 0..ERRORS {
            let mut quote = [0_u8; QUOTE];
            let mut iovs = [IoSliceMut::new(&mut quote)];
            let mut control = nix::cmsg_space!(libc::sock_extended_err, libc::sockaddr_in6);
            let flags = MsgFlags::MSG_ERRQUEUE | MsgFlags::MSG_DONTWAIT;
            let Ok(message) = recvmsg::<SockaddrStorage>(self.fd.as_raw_fd(), &mut iovs, Some(&mut control), flags) else {
                return;
            };
            let fatal = message.cmsgs().is_ok_and(|mut cmsgs| cmsgs.any(|cmsg| unreachable(&cmsg)));
            let (to, octets) = (message.address.as_ref().and_then(std_addr), message.bytes);
            if let (true, Some(to), Some(quoted)) = (fatal, to, quote.get(..octets)) {
                each(to, quoted);
            }
        }
    }
}

/// Errors of an earlier datagram, reported late.
fn pending(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionRefused, HostUnreachable, NetworkUnreachable};
    matches!(error.kind(), ConnectionRefused | HostUnreachable | NetworkUnreachable)
        || error.raw_os_error().is_some_and(|code| {
            matches!(Errno::from_raw(code), Errno::EPROTO | Errno::ENOPROTOOPT | Errno::EACCES | Errno::EMSGSIZE)
        })
}

/// Whether an error says that a datagram was not delivered. "Too large" does not: the next one will be fragmented.
fn unreachable(cmsg: &ControlMessageOwned) -> bool {
    let (ControlMessageOwned::Ipv4RecvErr(error, _) | ControlMessageOwned::Ipv6RecvErr(error, _)) = cmsg else { return false };
    i32::try_from(error.ee_errno).is_ok_and(|code| {
        matches!(
            Errno::from_raw(code),
            Errno::ECONNREFUSED
                | Errno::EHOSTUNREACH
                | Errno::ENETUNREACH
                | Errno::EACCES
                | Errno::ENOPROTOOPT
                | Errno::EHOSTDOWN
        )
    })
}

fn called(cmsg: &ControlMessageOwned) -> Option<IpAddr> {
    match cmsg {
        ControlMessageOwned::Ipv4PacketInfo(info) => Some(IpAddr::V4(u32::from_be(info.ipi_addr.s_addr).into())),
        ControlMessageOwned::Ipv6PacketInfo(info) => Some(IpAddr::V6(info.ipi6_addr.s6_addr.into())),
        _ => None,
    }
}

fn std_addr(addr: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = addr.as_sockaddr_in() {
        return Some(SocketAddr::V4(SocketAddrV4::from(*v4)));
    }
    addr.as_sockaddr_in6().map(|v6| SocketAddr::V6(SocketAddrV6::from(*v6)))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn peer(addr: &str) -> UdpSocket {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        socket
    }

    /// Everything that comes until `count` datagrams are there.
    async fn taken(udp: &Udp, count: usize) -> Vec<(SocketAddr, SocketAddr, Vec<u8>)> {
        let (mut batch, mut all) = (Batch::new(udp), Vec::new());
        while all.len() < count {
            let mut ready = udp.ready().await.unwrap();
            let batch = udp.receive(&mut batch, |from, local, bytes| all.push((from, local, bytes.to_vec())));
            if batch.is_ok_and(|short| short) || all.len() >= count {
                ready.clear_ready();
            }
        }
        all
    }

    #[tokio::test]
    async fn batches_keep_order_source_and_length() {
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let peer = peer("127.0.0.1:0");
        let sent: Vec<Vec<u8>> = (0_u8..20).map(|at| vec![at; usize::from(at) * 700]).collect();
        for bytes in &sent {
            peer.send_to(bytes, udp.bound).unwrap();
        }
        let all = taken(&udp, sent.len()).await;
        assert_eq!(all.iter().map(|(.., bytes)| bytes.clone()).collect::<Vec<_>>(), sent, "the empty one too");
        assert!(all.iter().all(|&(from, local, _)| from == peer.local_addr().unwrap() && local == udp.bound));
    }

    #[tokio::test]
    async fn answers_leave_from_the_address_that_was_called() {
        let udp = Udp::new(bind("0.0.0.0:0".parse().unwrap()).unwrap()).unwrap();
        let peer = peer("127.0.0.1:0");
        for called in ["127.0.0.7", "127.0.0.8"] {
            let called = SocketAddr::new(called.parse().unwrap(), udp.bound.port());
            peer.send_to(b"ping", called).unwrap();
            let all = taken(&udp, 1).await;
            let (from, local, bytes) = &all[0];
            assert_eq!((*local, bytes.as_slice()), (called, b"ping".as_slice()));
            udp.send(*from, Some(local.ip()), b"pong").unwrap();
            assert_eq!(peer.recv_from(&mut [0; 16]).unwrap(), (4, called));
        }
    }

    #[tokio::test]
    async fn ipv6_wildcard_takes_no_ipv4_and_answers_from_the_address_called() {
        let udp = Udp::new(bind("[::]:0".parse().unwrap()).unwrap()).unwrap();
        let port = udp.bound.port();
        // The same port is free for IPv4: the socket does not take mapped addresses.
        drop(bind(SocketAddr::from(([0, 0, 0, 0], port))).unwrap());
        let peer = peer("[::1]:0");
        let called = SocketAddr::new("::1".parse().unwrap(), port);
        peer.send_to(b"ping", called).unwrap();
        let all = taken(&udp, 1).await;
        assert_eq!(all[0].1, called);
        udp.send(all[0].0, Some(all[0].1.ip()), b"pong").unwrap();
        assert_eq!(peer.recv_from(&mut [0; 16]).unwrap(), (4, called));
    }

    #[tokio::test]
    async fn a_refused_datagram_is_named_and_stops_neither_receiving_nor_sending() {
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        let (peer, closed) = (peer("127.0.0.1:0"), peer("127.0.0.1:0").local_addr().unwrap());
        let request = vec![b'x'; 1200];
        udp.send(closed, None, &request).unwrap();
        // The refusal is pending now. It must not count for this datagram.
        udp.send(peer.local_addr().unwrap(), None, b"through").unwrap();
        assert_eq!(peer.recv_from(&mut [0; 16]).unwrap(), (7, udp.bound));
        udp.send(closed, None, &request).unwrap();
        peer.send_to(b"answer", udp.bound).unwrap();
        let ready = udp.ready().await.unwrap();
        assert!(ready.ready().is_error(), "the error wakes the loop: {:?}", ready.ready());
        let mut errors = Vec::new();
        udp.errors(|to, quote| errors.push((to, quote.to_vec())));
        assert_eq!(errors.len(), 2);
        for (to, quote) in errors {
            assert_eq!(to, closed);
            assert!(quote.len() >= 256 && request.starts_with(&quote), "{} octets are quoted", quote.len());
        }
        drop(ready);
        assert_eq!(taken(&udp, 1).await[0].2, b"answer");
    }

    #[test]
    fn what_cannot_be_sent_is_an_error_and_no_wait() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
        let _inside = runtime.enter();
        let udp = Udp::new(bind("127.0.0.1:0".parse().unwrap()).unwrap()).unwrap();
        assert!(udp.send("[::1]:5060".parse().unwrap(), None, b"x").is_err());
        assert!(udp.send("127.0.0.1:5060".parse().unwrap(), None, &vec![0; 70_000]).is_err());
    }
}
