//! TLS handshakes. Each ends by success or by a limit, and only its own connection pays for it.
//!
//! The cryptography of a handshake, and the judgement of a certificate, take up to a millisecond. The message thread has none to give, so
//! other [`threads`] carry them out, each with its socket. A connection comes back when it is secured. From then on its records are
//! encrypted where its messages are handled, which costs microseconds.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::net::{IpAddr, TcpStream as IdleStream};
use std::rc::Rc;
use std::time::Duration;

use rustls::{AlertDescription, Error, InvalidMessage};
use tokio::net::TcpStream;
use tokio::runtime::{Builder, Handle, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::connection::Connection;
use super::holder::Holder;
use super::tls::{ClientProof, HandshakeStep, Session, SessionStart};
use crate::core::io::ConnectionId;
use crate::telemetry::Handshake;

/// Most names of a party that are logged.
const NAMES: usize = 8;
/// Most characters of an error that are logged.
const LONGEST: usize = 256;
/// Most threads. One does at least a thousand handshakes a second.
const THREADS: usize = 4;

/// The threads that carry out handshakes: one for each processor beside the message thread's.
pub(super) fn threads() -> io::Result<Runtime> {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = processors.saturating_sub(1).clamp(1, THREADS);
    Builder::new_multi_thread().worker_threads(threads).thread_name("ringfence-tls").enable_io().enable_time().build()
}

/// The handshakes of clients that are under way, the oldest first.
#[derive(Debug, Default)]
pub(super) struct Shaking {
    known: BTreeMap<ConnectionId, Rc<Connection>>,
    strangers: BTreeMap<ConnectionId, Rc<Connection>>,
}

impl Shaking {
    /// Begins another one. If there are too many, the oldest is given up, strangers' first: an honest handshake takes a moment, a
    /// stalled one is the oldest. A stranger gives up no handshake of a known address. Among these, the party that has the most under
    /// way makes room.
    pub(super) fn begin(&mut self, connection: &Rc<Connection>, most: usize) {
        let known = connection.is_known();
        while self.known.len().saturating_add(self.strangers.len()) >= most {
            let oldest = self.strangers.pop_first().map(|(_, oldest)| oldest);
            let oldest = oldest.or_else(|| if known { self.of_the_greatest(connection.holder.get()) } else { None });
            let Some(oldest) = oldest else { return connection.close() };
            oldest.close();
        }
        let kind = if known { &mut self.known } else { &mut self.strangers };
        kind.insert(connection.id, Rc::clone(connection));
    }

    /// Takes out the oldest handshake of the known party that has the most of them. The newcomer counts for its party.
    fn of_the_greatest(&mut self, newcomer: Holder) -> Option<Rc<Connection>> {
        let mut held = HashMap::from([(newcomer, 1_usize)]);
        for connection in self.known.values() {
            *held.entry(connection.holder.get()).or_default() += 1;
        }
        let most = held.values().copied().max().unwrap_or_default();
        let has_most = |connection: &Connection| held.get(&connection.holder.get()) == Some(&most);
        let oldest = self.known.values().find(|connection| has_most(connection)).map(|connection| connection.id)?;
        self.known.remove(&oldest)
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
    /// The other side has gone, or the system gives us no more.
    const GONE: Self = Self { how: Handshake::Gone, why: None };
    /// The connection is secured.
    pub(super) const DONE: Self = Self { how: Handshake::Done, why: None };

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

/// A connection whose handshake is done.
pub(super) struct Secured {
    pub(super) stream: TcpStream,
    pub(super) session: Session,
    pub(super) proof: ClientProof,
}

/// Carries out a handshake on another thread, for `within` at most. That thread gives it up as soon as nobody waits for it here.
pub(super) async fn shake(
    connection: &Connection,
    threads: &Handle,
    stream: TcpStream,
    start: SessionStart,
    within: Duration,
) -> Result<Secured, Ended> {
    let from = connection.peer.ip();
    let idle = stream.into_std().map_err(|_| Ended::GONE)?;
    let mut shaking = JoinSet::new();
    shaking.spawn_on(beside(idle, start, from), threads);
    let shaken = async {
        loop {
            if !connection.is_open() {
                return Err(Ended { how: Handshake::GivenUp, why: None });
            }
            tokio::select! {
                shaken = shaking.join_next() => return shaken.and_then(Result::ok).unwrap_or(Err(Ended::GONE)),
                () = connection.woken() => {}
            }
        }
    };
    let (idle, session, proof) = timeout(within, shaken).await.unwrap_or(Err(Ended { how: Handshake::Slow, why: None }))?;
    let stream = TcpStream::from_std(idle).map_err(|_| Ended::GONE)?;
    Ok(Secured { stream, session, proof })
}

/// The part of a handshake that runs on a thread of its own. The socket is that thread's meanwhile.
async fn beside(idle: IdleStream, start: SessionStart, from: IpAddr) -> Result<(IdleStream, Session, ClientProof), Ended> {
    let stream = TcpStream::from_std(idle).map_err(|_| Ended::GONE)?;
    let mut session = start.session().ok_or(Ended { how: Handshake::Failed, why: None })?;
    loop {
        match session.shake(&stream) {
            HandshakeStep::Done => {
                let proof = session.proof(from);
                return Ok((stream.into_std().map_err(|_| Ended::GONE)?, session, proof));
            }
            HandshakeStep::Gone => return Err(Ended::GONE),
            HandshakeStep::Failed(error) => return Err(Ended { how: meaning(&error), why: Some(error) }),
            HandshakeStep::Waits => {}
        }
        tokio::select! {
            // An error shows at the next step.
            _ = stream.readable() => {}
            _ = stream.writable(), if session.wants_write() => {}
        }
    }
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::super::connection::Made;
    use super::super::holder::OpenedFor;
    use super::*;
    use crate::config::{ListenerId, RegionId, Transport, TrunkId};

    fn accepted(id: u64, holder: Holder) -> Rc<Connection> {
        let made = Made {
            listener: ListenerId(0),
            region: RegionId(0),
            transport: Transport::Tls,
            peer: "192.0.2.7:40000".parse().unwrap(),
            accepted: true,
            holder,
            now: Instant::now(),
            tls_name: None,
            party: None,
            opened_for: OpenedFor::Everybody,
            alone: false,
            most: 1000,
        };
        Rc::new(Connection::new(ConnectionId(id), made))
    }

    #[test]
    fn who_shakes_most_hands_makes_room() {
        let mut shaking = Shaking::default();
        let [greedy, modest] = [0, 1].map(|id| Holder::Trunk(TrunkId(id)));
        let all: Vec<_> = [Holder::Stranger, modest, modest, greedy, greedy, greedy, greedy, modest, Holder::Stranger]
            .into_iter()
            .zip(1..)
            .map(|(holder, id)| accepted(id, holder))
            .collect();
        for connection in &all {
            shaking.begin(connection, 6);
        }
        // First the stranger, then the oldest of the trunk with the most, though others began before, and no stranger's coming.
        let given_up = all.iter().filter(|connection| !connection.is_open()).map(|connection| connection.id.0);
        assert_eq!(given_up.collect::<Vec<_>>(), [1, 4, 9]);
    }
}
