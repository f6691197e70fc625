//! TLS handshakes. Each ends by success or by a limit, and only its own connection pays for it.

use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use rustls::{AlertDescription, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::connection::Connection;
use super::tls::HandshakeStep;
use crate::core::io::ConnectionId;
use crate::telemetry::Handshake;

/// Most names of a party that are logged.
const NAMES: usize = 8;
/// Most characters of an error that are logged.
const LONGEST: usize = 256;

/// The handshakes of clients that are under way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Shaking {
    known: BTreeMap<ConnectionId, Rc<Connection>>,
    strangers: BTreeMap<ConnectionId, Rc<Connection>>,
}

impl Shaking {
    /// Begins another one. If there are too many, the oldest is given up, strangers' first: an honest handshake takes a moment, a
    /// stalled one is the oldest. A stranger gives up no handshake of a known address.
    pub(super) fn begin(&mut self, connection: &Rc<Connection>, most: usize) {
        let known = connection.is_known();
        while self.known.len().saturating_add(self.strangers.len()) >= most {
            let oldest = self.strangers.pop_first().or_else(|| if known { self.known.pop_first() } else { None });
            let Some((_, oldest)) = oldest else { return connection.close() };
            oldest.close();
        }
        let kind = if known { &mut self.known } else { &mut self.strangers };
        kind.insert(connection.id, Rc::clone(connection));
    }

    /// Notes that one has ended, for any reason.
    pub(super) fn end(&mut self, id: ConnectionId) {
        self.known.remove(&id);
        self.strangers.remove(&id);
    }
}

/// How a handshake ended, and why.
pub(super) struct Ended {
    pub(super) how: Handshake,
    why: Option<Error>,
}

impl Ended {
    /// Why it failed, fit for a log line, with the names that would have proved the party that was meant.
    pub(super) fn reason(&self, connection: &Connection) -> Option<String> {
        let mut why = told(self.why.as_ref()?);
        if let (Some(party), Handshake::Certificate) = (&connection.party, self.how) {
            let names: Vec<&str> = party.iter().map(AsRef::as_ref).take(NAMES).collect();
            why.push_str("; a name of the party there would do: ");
            why.push_str(&names.join(", "));
        }
        Some(why)
    }
}

/// Carries out a handshake, for `within` at most.
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

/// An error, fit for a log line. It holds text of the other side, which may neither forge nor fill lines.
fn told(error: &Error) -> String {
    let plain = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    error.to_string().chars().filter(|&c| c != '"').take(LONGEST).map(plain).collect()
}

/// The alert by which the other side says, after the handshake, that it does not take our certificate. Fit for a log line.
pub(super) fn refusal(error: &io::Error) -> Option<String> {
    let error: &Error = error.get_ref()?.downcast_ref()?;
    (meaning(error) == Handshake::Refused).then(|| told(error))
}

fn meaning(error: &Error) -> Handshake {
    match error {
        Error::InvalidMessage(InvalidMessage::InvalidContentType) => Handshake::Plain,
        Error::InvalidCertificate(_) | Error::NoCertificatesPresented => Handshake::Certificate,
        // The other side's judgement of our certificate, or of its absence.
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
