//! TLS on one connection: encrypts messages for the socket, and decrypts what the socket reads. Never waits, and decides nothing.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::IpAddr;
use std::sync::Arc;

use bytes::BytesMut;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, Connection, ServerConfig, ServerConnection};
use tokio::net::TcpStream;

use crate::config::Config;
use crate::tls::{Calling, Certificate, Name, PartyNames, Shown};

/// What a session is made from. Making one can take long, since it begins with cryptography.
pub(crate) enum SessionStart {
    /// A connection that we accepted, with the settings of its listener.
    Accepted(Arc<ServerConfig>),
    /// A connection that we opened. The other side must prove `tls_name`. If there is none it must prove its address, or a name of the
    /// `party` there.
    Called { calling: Arc<Calling>, tls_name: Option<Arc<str>>, party: Option<PartyNames>, addr: IpAddr },
}

impl SessionStart {
    /// The session. `None`: the library makes none of this.
    pub(crate) fn session(self) -> Option<Session> {
        match self {
            Self::Accepted(config) => ServerConnection::new(config).ok().map(|tls| Session { tls: tls.into(), sealed: 0 }),
            Self::Called { calling, tls_name: None, party: Some(party), addr } => {
                Session::opened(&calling.settings_for(&party), None, addr)
            }
            Self::Called { calling, tls_name, party: _, addr } => Session::opened(calling.settings(), tls_name.as_deref(), addr),
        }
    }
}

/// Most records read from a socket before others get their turn.
const RECORDS: usize = 16;

/// One side of a TLS connection.
pub(crate) struct Session {
    tls: Connection,
    /// Octets of the message at hand that are encrypted but not all sent.
    sealed: usize,
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("sealed", &self.sealed).finish_non_exhaustive()
    }
}

/// The state of a handshake after a step.
pub(crate) enum HandshakeStep {
    /// It is done.
    Done,
    /// We wait for the peer.
    Waits,
    /// The peer went away.
    Gone,
    /// It failed.
    Failed(rustls::Error),
}

impl Session {
    /// A session by these settings. The other side must prove this name, or its address if there is no name.
    pub(crate) fn opened(config: &Arc<ClientConfig>, tls_name: Option<&str>, addr: IpAddr) -> Option<Self> {
        let name = match tls_name {
            Some(name) => ServerName::try_from(name.to_owned()).ok()?,
            None => ServerName::from(addr),
        };
        ClientConnection::new(Arc::clone(config), name).ok().map(|tls| Self { tls: tls.into(), sealed: 0 })
    }

    /// Whether encrypted octets wait to be sent.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.wants_write()
    }

    /// Goes on with the handshake as far as the socket allows.
    pub(crate) fn shake(&mut self, socket: &TcpStream) -> HandshakeStep {
        for _ in 0..RECORDS {
            match self.send(socket) {
                Ok(()) if !self.tls.is_handshaking() => return HandshakeStep::Done,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return HandshakeStep::Waits,
                Err(_) => return HandshakeStep::Gone,
                Ok(()) => {}
            }
            match self.tls.read_tls(&mut Socket(socket)) {
                Ok(0) => return HandshakeStep::Gone,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return HandshakeStep::Waits,
                Err(_) => return HandshakeStep::Gone,
            }
            if let Err(error) = self.tls.process_new_packets() {
                // The peer is told why, if it takes that at once.
                let _ = self.send(socket);
                return HandshakeStep::Failed(error);
            }
        }
        HandshakeStep::Waits
    }

    /// Sends octets that are encrypted already. `WouldBlock`: some are left.
    pub(crate) fn send(&mut self, socket: &TcpStream) -> io::Result<()> {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut Socket(socket))?;
        }
        Ok(())
    }

    /// Encrypts and sends. Returns how many octets the system has taken. `WouldBlock`: call it again with the same octets.
    pub(crate) fn write(&mut self, socket: &TcpStream, octets: &[u8]) -> io::Result<usize> {
        self.send(socket)?;
        if self.sealed == 0 {
            self.sealed = self.tls.writer().write(octets)?;
            self.send(socket)?;
        }
        Ok(std::mem::take(&mut self.sealed))
    }

    /// Reads what has arrived. `Some(0)`: no more will come. `None`: nothing has arrived yet.
    pub(crate) fn read(&mut self, socket: &TcpStream, into: &mut BytesMut) -> io::Result<Option<usize>> {
        let mut octets = [0; 4096];
        for _ in 0..RECORDS {
            match self.tls.reader().read(&mut octets) {
                Ok(read) => {
                    into.extend_from_slice(octets.get(..read).unwrap_or_default());
                    return Ok(Some(read));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // Closed without a close_notify. The framer knows whether the last message is whole.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(Some(0)),
                Err(error) => return Err(error),
            }
            match self.tls.read_tls(&mut Socket(socket)) {
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(error),
            }
            if let Err(error) = self.tls.process_new_packets() {
                let _ = self.send(socket);
                return Err(io::Error::new(io::ErrorKind::InvalidData, error));
            }
        }
        Ok(None)
    }

    /// Tells the peer that no more will come.
    pub(crate) fn close(&mut self, socket: &TcpStream) {
        self.tls.send_close_notify();
        let _ = self.send(socket);
    }

    /// What the client asked for and proved, seen from `from`, the address that it called from.
    pub(crate) fn proof(&self, from: IpAddr) -> ClientProof {
        let asked = match &self.tls {
            Connection::Server(server) => server.server_name().map(Box::from),
            Connection::Client(_) => None,
        };
        let first = self.tls.peer_certificates().and_then(<[_]>::first);
        let certificate = first.and_then(|first| Certificate::read(first).ok());
        let address = certificate.as_ref().is_some_and(|certificate| certificate.is_of(&from.to_string()));
        let names = certificate.map(|certificate| certificate.names).unwrap_or_default();
        // A `*` proves nobody.
        let names = names.iter().filter(|name| !name.contains('*')).map(|name| Name::of(name.as_bytes())).collect();
        ClientProof { asked, names, address }
    }
}

/// What a client asked for and proved in its handshake. It is the same under every configuration.
#[derive(Debug)]
pub(crate) struct ClientProof {
    /// The name that it asked for (SNI).
    asked: Option<Box<str>>,
    /// The names of its verified certificate.
    names: Vec<Name>,
    /// Whether its certificate is also for the address that it called from.
    pub(crate) address: bool,
}

impl ClientProof {
    /// The region whose endpoint the client asked for, and the names that it proved, by a configuration.
    pub(crate) fn shown(&self, config: &Config) -> Shown {
        let region = self.asked.as_ref().and_then(|name| config.region_of(name.as_bytes()));
        let asked = region.map(|region| Name::of(config.region(region).hostname.as_bytes()));
        Shown::new(asked, self.names.iter().copied(), |name| config.caller_table.knows(name))
    }
}

/// The socket, for reads and writes that do not wait.
struct Socket<'a>(&'a TcpStream);

impl Read for Socket<'_> {
    fn read(&mut self, octets: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(octets)
    }
}

impl Write for Socket<'_> {
    fn write(&mut self, octets: &[u8]) -> io::Result<usize> {
        self.0.try_write(octets)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
