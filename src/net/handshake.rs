//! TLS handshakes: each ends, by success or by a limit, and at the cost of its own connection alone.

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use rustls::{AlertDescription, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Connection;
use super::tls::HandshakeStep;
use super::worker::Worker;
use crate::core::io::ConnectionId;
use crate::telemetry::{Handshake, Loss};

/// Characters of an error that are told.
const LONGEST: usize = 256;

/// The handshakes of clients that are under way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Shaking(BTreeMap<ConnectionId, Rc<Connection>>);

impl Shaking {
    /// Another one begins. Beyond the most the oldest is given up: whoever means it is done in a moment, whoever stalls is not.
    pub(super) fn begin(&mut self, connection: &Rc<Connection>, most: usize) {
        while self.0.len() >= most
            && let Some((_, oldest)) = self.0.pop_first()
        {
            oldest.close();
        }
        self.0.insert(connection.id, Rc::clone(connection));
    }

    /// One has ended, however.
    pub(super) fn end(&mut self, id: ConnectionId) {
        self.0.remove(&id);
    }
}

/// How a handshake ended, and why.
pub(super) struct Ended {
    pub(super) how: Handshake,
    why: Option<Error>,
}

/// Goes through with a handshake within so much time.
pub(super) async fn shake(connection: &Connection, socket: &TcpStream, within: Duration) -> Ended {
    let shaking = async {
        loop {
            if !connection.is_open() {
                return Ended { how: Handshake::GivenUp, why: None };
            }
            let (step, writes) = connection.shake(socket);
            match step {
                HandshakeStep::Done => return Ended { how: Handshake::Done, why: None },
                HandshakeStep::Gone => return Ended { how: Handshake::Gone, why: None },
                HandshakeStep::Failed(error) => return Ended { how: meaning(&error), why: Some(error) },
                HandshakeStep::Waits => {}
            }
            tokio::select! {
                // An error shows at the next step.
                _ = socket.readable() => {}
                _ = socket.writable(), if writes => {}
                () = connection.woken() => {}
            }
        }
    };
    timeout(within, shaking).await.unwrap_or(Ended { how: Handshake::Slow, why: None })
}

/// An error for a log line: what the other side shows of itself is in there, and may not forge or fill lines.
fn told(error: &Error) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    error.to_string().chars().filter(|&c| c != '"').take(LONGEST).map(plain).collect()
}

fn meaning(error: &Error) -> Handshake {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Handshake::Plain,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Handshake::Certificate,
        // What the other side thinks of our certificate, or of our having none.
        Error::AlertReceived(
            AlertDescription::BadCertificate
            | AlertDescription::UnknownCA
            | AlertDescription::CertificateExpired
            | AlertDescription::CertificateUnknown
            | AlertDescription::CertificateRequired,
        ) => Handshake::Refused,
        _ => Handshake::Failed,
    }
}

impl Worker {
    /// A handshake has ended: counted, and told of.
    pub(super) fn shaken(&mut self, now: Instant, connection: &Connection, ended: &Ended) {
        self.streams.shaking.end(connection.id);
        let why = ended.why.as_ref().map(told);
        self.recorder.handshake(connection.region.get(), !connection.accepted, ended.how, connection.peer, why.as_deref(), now);
        if ended.how != Handshake::Done && !connection.accepted {
            self.lost(now, connection.listener.get(), Loss::Connect, connection.peer, None);
        }
    }
}
