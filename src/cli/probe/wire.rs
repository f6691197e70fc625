//! The probe's own sockets: whole messages to one address and back.
//!
//! A probe is a telephone, not the daemon: it calls whomever its user names, so it has no fence. The daemon never comes by here.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};

use crate::config::Transport;
use crate::sip::frame::{Frame, Framer};

/// Most octets of one message.
const LARGEST: usize = 65_535;

/// A way to one address.
pub(super) enum Wire {
    /// Connected, so that ICMP errors come back.
    Udp(UdpSocket),
    Tcp {
        stream: TcpStream,
        framer: Framer,
    },
}

impl Wire {
    /// Opens it. For a stream that takes as long as connecting takes.
    pub(super) async fn open(transport: Transport, to: SocketAddr) -> io::Result<Self> {
        match transport {
            Transport::Udp => {
                let any = if to.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
                let socket = UdpSocket::bind(SocketAddr::new(any, 0)).await?;
                socket.connect(to).await?;
                Ok(Self::Udp(socket))
            }
            Transport::Tcp => Ok(Self::Tcp { stream: TcpStream::connect(to).await?, framer: Framer::new(LARGEST) }),
        }
    }

    /// Our own address on it.
    pub(super) fn local(&self) -> io::Result<SocketAddr> {
        match self {
            Self::Udp(socket) => socket.local_addr(),
            Self::Tcp { stream, .. } => stream.local_addr(),
        }
    }

    /// Sends a message.
    pub(super) async fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Self::Udp(socket) => socket.send(bytes).await.map(drop),
            Self::Tcp { stream, .. } => stream.write_all(bytes).await,
        }
    }

    /// The next message; loses nothing if it is given up before one is there.
    pub(super) async fn receive(&mut self) -> io::Result<Vec<u8>> {
        match self {
            Self::Udp(socket) => {
                let mut bytes = vec![0; LARGEST];
                let length = socket.recv(&mut bytes).await?;
                bytes.truncate(length);
                Ok(bytes)
            }
            Self::Tcp { stream, framer } => loop {
                match framer.next() {
                    Some(Frame::Message(bytes)) => return Ok(bytes.to_vec()),
                    Some(Frame::Ping) => {}
                    Some(Frame::Broken(fault, _)) => return Err(io::Error::new(io::ErrorKind::InvalidData, fault.sentence())),
                    None => {
                        if stream.read_buf(framer.buffer()).await? == 0 {
                            return Err(io::ErrorKind::UnexpectedEof.into());
                        }
                    }
                }
            },
        }
    }
}
