//! One telephone's side of the wire: a UDP socket, or a TCP connection with or without TLS, with a time limit on everything that must come.

use std::collections::HashSet;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::{ClientConfig, ServerConfig};
use socket2::{Domain, Socket, Type};

use super::secure::Stream;
use super::{Ask, PATIENCE, Seen};

/// A telephone's side of the wire.
pub(crate) struct Leg {
    wire: Wire,
    /// Its own address.
    pub(crate) addr: SocketAddr,
    seen: HashSet<Vec<u8>>,
}

enum Wire {
    Udp(UdpSocket, SocketAddr),
    Listening(TcpListener, Option<Arc<ServerConfig>>),
    Tcp(Stream, Vec<u8>),
}

impl Leg {
    /// A UDP telephone at `addr` that talks to `peer`. Port 0: any.
    pub(crate) fn udp(addr: SocketAddr, peer: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        let addr = socket.local_addr().unwrap();
        Self { wire: Wire::Udp(socket, peer), addr, seen: HashSet::new() }
    }

    /// A TCP connection from the IP address of `from` to `peer`.
    pub(crate) fn tcp(from: SocketAddr, peer: SocketAddr) -> Self {
        let socket = Socket::new(Domain::for_address(peer), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(from.ip(), 0).into()).unwrap();
        socket.connect(&peer.into()).unwrap_or_else(|error| panic!("cannot connect to {peer}: {error}"));
        let stream: TcpStream = socket.into();
        stream.set_nodelay(true).unwrap();
        let addr = stream.local_addr().unwrap();
        Self { wire: Wire::Tcp(Stream::Plain(stream), Vec::new()), addr, seen: HashSet::new() }
    }

    /// A TLS connection from the IP address of `from` to `peer`, which is called by `name`. The handshake follows with the first
    /// octets, or by `shake`.
    pub(crate) fn tls(from: SocketAddr, peer: SocketAddr, config: &Arc<ClientConfig>, name: &str) -> Self {
        let Self { wire, addr, seen } = Self::tcp(from, peer);
        let Wire::Tcp(Stream::Plain(stream), buffer) = wire else { unreachable!("a connection") };
        Self { wire: Wire::Tcp(Stream::client(stream, config, name), buffer), addr, seen }
    }

    /// A TLS server: becomes the first connection that comes in.
    pub(crate) fn listen_tls(addr: SocketAddr, config: &Arc<ServerConfig>) -> Self {
        let mut leg = Self::listen(addr);
        if let Wire::Listening(_, tls) = &mut leg.wire {
            *tls = Some(Arc::clone(config));
        }
        leg
    }

    /// The next connection of a listener that goes on, as a TLS server.
    #[cfg(feature = "interop")]
    pub(crate) fn accepted(listener: &TcpListener, config: &Arc<ServerConfig>) -> Self {
        let Self { wire, addr, seen } = Self::next_of(listener);
        let Wire::Tcp(Stream::Plain(stream), buffer) = wire else { unreachable!("a connection") };
        Self { wire: Wire::Tcp(Stream::server(stream, config), buffer), addr, seen }
    }

    /// The next connection of a listener that goes on.
    pub(crate) fn next_of(listener: &TcpListener) -> Self {
        socket2::SockRef::from(listener).set_read_timeout(Some(PATIENCE)).unwrap();
        let (stream, _) = listener.accept().expect("a connection");
        let addr = stream.local_addr().unwrap();
        Self { wire: Wire::Tcp(Stream::Plain(stream), Vec::new()), addr, seen: HashSet::new() }
    }

    /// Goes through with the TLS handshake, on whichever side.
    pub(crate) fn shake(&mut self) -> std::io::Result<()> {
        self.connected(PATIENCE);
        let Wire::Tcp(stream, _) = &mut self.wire else { panic!("a stream has handshakes") };
        stream.socket().set_read_timeout(Some(PATIENCE)).unwrap();
        stream.shake()
    }

    /// The certificate that the other side showed, and the name that it asked for.
    pub(crate) fn peer(&self) -> (Option<Vec<u8>>, Option<String>) {
        let Wire::Tcp(stream, _) = &self.wire else { panic!("a stream has a peer") };
        stream.peer()
    }

    /// A TCP server: becomes the first connection that comes in.
    pub(crate) fn listen(addr: SocketAddr) -> Self {
        let listener = TcpListener::bind(addr).unwrap_or_else(|error| panic!("{addr}: {error}"));
        Self { wire: Wire::Listening(listener, None), addr, seen: HashSet::new() }
    }

    /// By its name, `udp` or `tcp`, a caller's leg.
    pub(crate) fn caller(transport: &str, addr: SocketAddr, peer: SocketAddr) -> Self {
        if transport == "tcp" { Self::tcp(addr, peer) } else { Self::udp(addr, peer) }
    }

    /// By its name, `udp` or `tcp`, a server's leg.
    pub(crate) fn server(transport: &str, addr: SocketAddr, peer: SocketAddr) -> Self {
        if transport == "tcp" { Self::listen(addr) } else { Self::udp(addr, peer) }
    }

    /// `udp`, `tcp` or `tls`.
    pub(crate) fn transport(&self) -> &'static str {
        match &self.wire {
            Wire::Udp(..) => "udp",
            Wire::Tcp(Stream::Plain(_), _) | Wire::Listening(_, None) => "tcp",
            Wire::Tcp(..) | Wire::Listening(..) => "tls",
        }
    }

    /// Sends bytes to the peer.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        match &mut self.wire {
            Wire::Udp(socket, peer) => assert_eq!(socket.send_to(bytes, *peer).unwrap(), bytes.len()),
            Wire::Tcp(stream, _) => stream.write_all(bytes).unwrap(),
            Wire::Listening(..) => panic!("nobody has connected yet"),
        }
    }

    /// Sends bytes on a stream that may be closed or full for long: whether they were taken.
    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> bool {
        let Wire::Tcp(stream, _) = &mut self.wire else { panic!("a stream may be full") };
        stream.socket().set_write_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(bytes).is_ok()
    }

    /// Whether anything at all has come to a UDP socket, readable or not.
    pub(crate) fn octets_waiting(&self) -> bool {
        let Wire::Udp(socket, _) = &self.wire else { panic!("a UDP telephone") };
        socket.set_nonblocking(true).unwrap();
        let waiting = socket.recv_from(&mut [0; 512]).is_ok();
        socket.set_nonblocking(false).unwrap();
        waiting
    }

    /// Sends a request to the peer.
    pub(crate) fn ask(&mut self, ask: &Ask) {
        self.send(&ask.bytes());
    }

    /// Sends a request and returns the first answer above 100.
    pub(crate) fn asked(&mut self, ask: &Ask) -> Seen {
        self.ask(ask);
        self.response()
    }

    /// The next message that is not a repetition of an earlier one.
    pub(crate) fn recv(&mut self) -> Seen {
        self.recv_within(PATIENCE).unwrap_or_else(|| panic!("nothing came to {} over {}", self.addr, self.transport()))
    }

    /// The next response above 100.
    pub(crate) fn response(&mut self) -> Seen {
        loop {
            let seen = self.recv();
            if seen.code() != 100 {
                assert_ne!(seen.code(), 0, "a request came: {}", seen.start);
                return seen;
            }
        }
    }

    /// The next response above 100, which must have this code.
    pub(crate) fn expect(&mut self, code: u16) -> Seen {
        let seen = self.response();
        assert_eq!(seen.code(), code, "{}", String::from_utf8_lossy(&seen.raw));
        seen
    }

    /// The next message, which must be a request with this method.
    pub(crate) fn request(&mut self, method: &str) -> Seen {
        let seen = self.recv();
        assert_eq!(seen.method(), method, "{}", String::from_utf8_lossy(&seen.raw));
        seen
    }

    /// As `recv`, but gives up.
    pub(crate) fn recv_within(&mut self, limit: Duration) -> Option<Seen> {
        let end = Instant::now() + limit;
        loop {
            let seen = self.any_within(end.saturating_duration_since(Instant::now()))?;
            if self.seen.insert(seen.raw.clone()) {
                return Some(seen);
            }
        }
    }

    /// The next message, repetition or not, or nothing within a limit.
    pub(crate) fn any_within(&mut self, limit: Duration) -> Option<Seen> {
        let limit = limit.max(Duration::from_millis(1));
        self.connected(limit)?;
        match &mut self.wire {
            Wire::Udp(socket, _) => {
                let mut buffer = vec![0; 65_536];
                let end = Instant::now() + limit;
                loop {
                    let left = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
                    socket.set_read_timeout(Some(left)).unwrap();
                    match socket.recv_from(&mut buffer) {
                        Ok((length, from)) => return Some(Seen::read(&buffer[..length], from)),
                        Err(error) if timed_out(error.kind()) => return None,
                        // The peer's port was closed when something was sent to it.
                        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
                        // The machine was paused.
                        Err(error) if error.kind() == ErrorKind::Interrupted => {}
                        Err(error) => panic!("{error}"),
                    }
                }
            }
            Wire::Tcp(stream, buffer) => {
                let from = stream.socket().peer_addr().unwrap_or(self.addr);
                read_frame(stream, buffer, Instant::now() + limit).map(|raw| Seen::read(&raw, from))
            }
            Wire::Listening(..) => None,
        }
    }

    /// Raw octets of a stream, up to `length`, or fewer where it closes.
    pub(crate) fn octets(&mut self, length: usize) -> Vec<u8> {
        self.octets_within(length, PATIENCE)
    }

    /// The same, with a limit of its own.
    pub(crate) fn octets_within(&mut self, length: usize, limit: Duration) -> Vec<u8> {
        let Wire::Tcp(stream, buffer) = &mut self.wire else { panic!("a stream has octets") };
        let end = Instant::now() + limit;
        while buffer.len() < length && fill(stream, buffer, end) == Filled::More {
            // Until there are enough.
        }
        buffer.drain(..buffer.len().min(length)).collect()
    }

    /// Whether the peer closes the stream within a limit; what comes before is thrown away.
    pub(crate) fn closed_within(&mut self, limit: Duration) -> bool {
        let Wire::Tcp(stream, buffer) = &mut self.wire else { panic!("a stream closes") };
        let end = Instant::now() + limit;
        loop {
            match fill(stream, buffer, end) {
                Filled::More => buffer.clear(),
                Filled::Closed => return true,
                Filled::Late => return false,
            }
        }
    }

    fn connected(&mut self, limit: Duration) -> Option<()> {
        if let Wire::Listening(listener, tls) = &self.wire {
            let socket = socket2::SockRef::from(listener);
            socket.set_read_timeout(Some(limit)).unwrap();
            let (stream, _) = listener.accept().ok()?;
            stream.set_nodelay(true).unwrap();
            let stream = match tls {
                Some(tls) => Stream::server(stream, tls),
                None => Stream::Plain(stream),
            };
            self.wire = Wire::Tcp(stream, Vec::new());
        }
        Some(())
    }
}

#[derive(PartialEq, Eq)]
enum Filled {
    More,
    Closed,
    Late,
}

fn timed_out(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn fill(stream: &mut Stream, buffer: &mut Vec<u8>, end: Instant) -> Filled {
    let Some(left) = end.checked_duration_since(Instant::now()).filter(|left| !left.is_zero()) else { return Filled::Late };
    stream.socket().set_read_timeout(Some(left)).unwrap();
    let mut chunk = [0; 16_384];
    match stream.read(&mut chunk) {
        Ok(0) => Filled::Closed,
        Ok(length) => {
            buffer.extend_from_slice(&chunk[..length]);
            Filled::More
        }
        Err(error) if timed_out(error.kind()) => Filled::Late,
        Err(error) if error.kind() == ErrorKind::Interrupted => Filled::More,
        Err(_) => Filled::Closed,
    }
}

/// One message by its Content-Length, which the daemon must have written.
fn read_frame(stream: &mut Stream, buffer: &mut Vec<u8>, end: Instant) -> Option<Vec<u8>> {
    loop {
        while buffer.starts_with(b"\r\n") {
            buffer.drain(..2);
        }
        if let Some(split) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&buffer[..split]).to_ascii_lowercase();
            let value = head.lines().find_map(|line| line.strip_prefix("content-length:").or_else(|| line.strip_prefix("l:")));
            let length = split + 4 + value.expect("a length on a stream").trim().parse::<usize>().expect("a number");
            if buffer.len() >= length {
                return Some(buffer.drain(..length).collect());
            }
        }
        if fill(stream, buffer, end) != Filled::More {
            return None;
        }
    }
}
