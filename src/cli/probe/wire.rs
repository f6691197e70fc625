//! The probe's own sockets: send whole messages to one address, and read its answers.
//!
//! A probe is a telephone, not the daemon. It calls the address that its user names, so it has no fence. The daemon never uses
//! this.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use rustls::ClientConfig;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};

use crate::config::Transport;
use crate::net::tls::{HandshakeStep, Session};
use crate::sip::frame::{Frame, Framer};

/// Most octets of one message.
const LARGEST: usize = 65_535;

/// A socket to one address.
pub(super) enum Wire {
    /// Connected, so that ICMP errors are reported.
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        framer: Framer,
    },
    /// The other side has proved its name.
    Tls {
        stream: TcpStream,
        session: Box<Session>,
        framer: Framer,
    },
}

/// How to verify a server: the TLS settings, and the name to prove. Without a name, the server must prove its address.
#[derive(Clone, Copy)]
pub(super) struct Verified<'a> {
    pub(super) settings: &'a Arc<ClientConfig>,
    pub(super) name: Option<&'a str>,
}

impl Wire {
    /// Opens it. For a stream, this waits until the connection and the handshake are done.
    pub(super) async fn open(
        transport: Transport,
        to: SocketAddr,
        from: Option<IpAddr>,
        verified: Option<Verified<'_>>,
    ) -> io::Result<Self> {
        match transport {
            Transport::Udp => {
                let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind(SocketAddr::new(from.unwrap_or(any), 0)).await?;
                socket.connect(to).await?;
                Ok(Self::Udp(socket))
            }
            Transport::Tls => {
                let Some(Verified { settings, name }) = verified else {
                    return Err(io::Error::other(
                        "TLS needs --ca FILE: the signers whose certificates are believed (on Debian /etc/ssl/certs/ca-certificates.crt)",
                    ));
                };
                let session = Session::opened(settings, name, to.ip()).ok_or_else(|| io::Error::other("no name to verify"))?;
                let (stream, mut session) = (connected(to, from).await?, Box::new(session));
                shake(&stream, &mut session).await?;
                Ok(Self::Tls { stream, session, framer: Framer::new(LARGEST) })
            }
            Transport::Tcp => Ok(Self::Tcp { stream: connected(to, from).await?, framer: Framer::new(LARGEST) }),
        }
    }

    /// Our own address on it.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp { stream, .. } | Self::Tls { stream, .. } => stream.local_addr(),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).await.map(drop),
            Self::Tcp { stream, .. } => stream.write_all(bytes).await,
            Self::Tls { stream, session, .. } => {
                let mut left = bytes;
                while !left.is_empty() {
                    match session.write(stream, left) {
                        Ok(written) => left = left.get(written..).unwrap_or_default(),
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => stream.writable().await?,
                        Err(error) => return Err(error),
                    }
                }
                Ok(())
            }
        }
    }

    /// The next message. If the future is dropped early, no octet is lost.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut bytes = vec![0; LARGEST];
                let length = socket.recv(&mut bytes).await?;
                bytes.truncate(length);
                Ok(bytes)
            }
            Self::Tcp { stream, framer } => loop {
                if let Some(bytes) = framed(framer)? {
                    return Ok(bytes);
                }
                if stream.read_buf(framer.buffer()).await? == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
            },
            Self::Tls { stream, session, framer } => loop {
                if let Some(bytes) = framed(framer)? {
                    return Ok(bytes);
                }
                match session.read(stream, framer.buffer())? {
                    Some(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                    Some(_) => {}
                    None => stream.readable().await?,
                }
            },
        }
    }
}

/// A connection from that address, or from any.
async fn connected(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = if to.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(from) = from {
        socket.bind(SocketAddr::new(from, 0))?;
    }
    socket.connect(to).await
}

/// The next whole message in the framer, if there is one.
fn framed(framer: &mut Framer) -> io::Result<Option<Vec<u8>>> {
    loop {
        match framer.next() {
            Some(Frame::Message(bytes)) => return Ok(Some(bytes.to_vec())),
            Some(Frame::Ping) => {}
            Some(Frame::Broken(fault, _)) => return Err(io::Error::new(io::ErrorKind::InvalidData, fault.sentence())),
            None => return Ok(None),
        }
    }
}

async fn shake(stream: &TcpStream, session: &mut Session) -> io::Result<()> {
    loop {
        match session.shake(stream) {
            HandshakeStep::Done => return Ok(()),
            HandshakeStep::Gone => return Err(io::ErrorKind::UnexpectedEof.into()),
            HandshakeStep::Failed(error) => return Err(io::Error::other(error)),
            HandshakeStep::Waits if session.wants_write() => stream.writable().await?,
            HandshakeStep::Waits => stream.readable().await?,
        }
    }
}
