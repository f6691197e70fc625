//! The task of one stream connection: reads and frames messages, writes what is queued, and closes the connection at a limit.
//!
//! A slow, stalled or silent peer costs its own connection and nothing else, because every wait in here ends by a limit.

use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use socket2::SockRef;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::time::{Sleep, sleep_until, timeout};

use super::connection::{Connection, ConnectionState};
use super::handshake::{Ended, Secured, refusal, shake};
use super::idle::{Bounds, ConnectionEnd};
use super::keep_alive::{KeepAlive, KeepAliveStep};
use super::tls::SessionStart;
use super::worker::Worker;
use crate::core::io::Arrival;
use crate::sip::frame::{Frame, Framer};
use crate::telemetry::{Handshake, Loss};
use crate::tls::Shown;

/// Octets read at once.
const READ: usize = 16 * 1024;
/// How long a closing connection waits for its peer to close too, so that the last answer is not lost to a reset.
const LINGER: Duration = Duration::from_secs(1);
/// Most octets that a closing connection still reads and throws away.
const LINGER_OCTETS: usize = 256 * 1024;
/// Reads and writes until the end, then leaves the table. The core is told which attempts were not delivered.
///
/// `start`: for TLS, what the handshake begins with.
pub(super) async fn serve(
    worker: Rc<RefCell<Worker>>,
    connection: Rc<Connection>,
    stream: TcpStream,
    start: Option<SessionStart>,
) {
    let bounds = {
        let worker = worker.borrow();
        Bounds::of(&worker.config.limits, &worker.config.timers, &connection)
    };
    // Answers are sent at once. An error means that the peer is gone already.
    let _ = stream.set_nodelay(true);
    if let Ok(local) = stream.local_addr() {
        let (stream, shown) = match start {
            None => (stream, None),
            Some(start) => {
                let threads = worker.borrow().handshake_threads.clone();
                let shaken = shake(&connection, &threads, stream, start, bounds.handshake).await;
                let (now, worker) = (Instant::now(), &mut *worker.borrow_mut());
                match shaken {
                    Ok(secured) => {
                        worker.shaken(now, &connection, &Ended::DONE);
                        worker.secured(now, &connection, secured)
                    }
                    Err(ended) => {
                        worker.shaken(now, &connection, &ended);
                        return worker.gone(now, &connection);
                    }
                }
            }
        };
        let (reader, writer) = stream.into_split();
        let _ = connection.writer.set(writer);
        connection.established.set(true);
        let mut served =
            Served { worker: &worker, connection: &connection, local, shown, reader, bounds, keep_alive: KeepAlive::default() };
        let ended = served.run().await;
        // Repeated at once, without waiting until the peer has closed too.
        worker.borrow_mut().repeat_lost(Instant::now(), &connection);
        match ended {
            ConnectionEnd::Orderly => served.linger().await,
            ConnectionEnd::Lost(loss) => {
                worker.borrow_mut().lost(Instant::now(), connection.listener.get(), loss, connection.peer, None);
            }
            ConnectionEnd::Reset => {}
        }
    }
    worker.borrow_mut().gone(Instant::now(), &connection);
}

struct Served<'a> {
    worker: &'a Rc<RefCell<Worker>>,
    connection: &'a Rc<Connection>,
    local: SocketAddr,
    shown: Option<Shown>,
    reader: OwnedReadHalf,
    bounds: Bounds,
    keep_alive: KeepAlive,
}

impl Served<'_> {
    async fn run(&mut self) -> ConnectionEnd {
        let mut framer = Framer::new(self.bounds.message);
        let mut partial: Option<Instant> = None;
        let mut reading = true;
        let mut sleep = Box::pin(sleep_until(self.due(Instant::now(), partial, None).into()));
        loop {
            if self.connection.half_closed.get() && !self.worker.borrow().core.owes(self.connection.id) {
                self.connection.close();
            }
            let stuck = {
                let mut queue = self.connection.queue.borrow_mut();
                self.connection.flush(&mut queue, Instant::now());
                queue.stuck
            };
            match self.connection.state.get() {
                ConnectionState::Open => {}
                ConnectionState::Closing if self.connection.is_flushed() => return ConnectionEnd::Orderly,
                ConnectionState::Closing => reading = false,
                ConnectionState::Broken(loss) => return ConnectionEnd::Lost(loss),
            }
            let due = self.due(Instant::now(), partial, stuck);
            if due < sleep.deadline().into_std() {
                sleep.as_mut().reset(due.into());
            }
            let writing = stuck.is_some();
            let read = tokio::select! {
                read = read(self.connection, &mut self.reader, &mut framer), if reading => read,
                () = writable(self.connection), if writing => continue,
                () = self.connection.woken() => continue,
                () = expired(&mut sleep) => {
                    let now = Instant::now();
                    if let Some(end) = self.expiry(now, partial, stuck) {
                        return end;
                    }
                    sleep.as_mut().reset(self.due(now, partial, stuck).into());
                    continue;
                }
            };
            match read {
                Ok(0) => {
                    // The peer sends no more, but still reads: it gets the answers that are due (RFC 3261 18.2.2).
                    reading = false;
                    self.connection.half_closed.set(true);
                    self.worker.borrow_mut().repeat_lost(Instant::now(), self.connection);
                }
                Ok(_) => {
                    let now = Instant::now();
                    if self.connection.is_known() {
                        self.connection.heard.set(now);
                    }
                    let whole;
                    (reading, whole) = self.frames(&mut framer, now);
                    self.keep_alive.heard(self.keep_alive.is_asked() && framer.take_pong());
                    // After the end of a message, the rest of a read is the beginning of the next message.
                    partial = partial.filter(|_| !whole).or(Some(now)).filter(|_| !framer.is_empty());
                }
                Err(error) => {
                    self.worker.borrow_mut().alerted(Instant::now(), self.connection, &error);
                    if self.connection.is_flushed() {
                        return ConnectionEnd::Reset;
                    }
                    return ConnectionEnd::Lost(Loss::ConnectionGone);
                }
            }
        }
    }

    /// Hands on every whole message. Returns whether more can be read, and whether there was a whole one.
    fn frames(&self, framer: &mut Framer, now: Instant) -> (bool, bool) {
        let mut whole = false;
        while let Some(frame) = framer.next() {
            whole = true;
            match frame {
                Frame::Message(bytes) => self.worker.borrow_mut().message(now, self.arrival(), &bytes),
                Frame::Ping => self.connection.write(Bytes::from_static(b"\r\n"), None, now),
                Frame::Broken(fault, bytes) => {
                    self.worker.borrow_mut().broken(now, self.arrival(), &bytes, fault);
                    self.connection.close();
                    return (false, whole);
                }
            }
            if !self.connection.is_open() {
                return (false, whole);
            }
        }
        (true, whole)
    }

    /// When the next limit is reached, or the peer is to be asked whether it is there.
    fn due(&self, now: Instant, partial: Option<Instant>, stuck: Option<Instant>) -> Instant {
        let limit = self.bounds.due(self.connection, now, partial, stuck);
        let asks = self.keep_alive.deadline(self.connection.heard.get()).filter(|_| self.connection.is_kept());
        asks.map_or(limit, |asks| limit.min(asks))
    }

    fn expiry(&mut self, now: Instant, partial: Option<Instant>, stuck: Option<Instant>) -> Option<ConnectionEnd> {
        let heard = self.connection.heard.get();
        match if self.connection.is_kept() { self.keep_alive.expire(now, heard) } else { None } {
            Some(KeepAliveStep::Ask) => self.connection.write(Bytes::from_static(b"\r\n\r\n"), None, now),
            Some(KeepAliveStep::Gone) => return Some(ConnectionEnd::Lost(Loss::ConnectionGone)),
            None => {}
        }
        self.bounds.expiry(self.connection, &self.worker.borrow().core, now, partial, stuck)
    }

    /// The arrival of its messages.
    fn arrival(&self) -> Arrival {
        let Connection { id, listener, peer, .. } = &**self.connection;
        Arrival { listener: listener.get(), from: *peer, local: self.local, connection: Some(*id), shown: self.shown }
    }

    /// Tells the peer that no more comes, and waits until the peer closes too. Closing with octets unread would reset the
    /// connection, and the last answer could be lost.
    async fn linger(&mut self) {
        if let Some(writer) = self.connection.writer.get() {
            let stream: &TcpStream = writer.as_ref();
            if let Some(session) = self.connection.session.get() {
                session.borrow_mut().close(stream);
            }
            let _ = SockRef::from(stream).shutdown(Shutdown::Write);
        }
        let mut buffer = [0; 2048];
        let drain = async {
            let mut octets = 0;
            while let Ok(read @ 1..) = self.reader.read(&mut buffer).await {
                octets += read;
                if octets > LINGER_OCTETS {
                    break;
                }
            }
        };
        // Whatever comes of it, the connection is closed next.
        let _ = timeout(LINGER, drain).await;
    }
}

async fn read(connection: &Connection, reader: &mut OwnedReadHalf, framer: &mut Framer) -> io::Result<usize> {
    let buffer = framer.buffer();
    buffer.reserve(READ);
    let Some(session) = connection.session.get() else { return reader.read_buf(buffer).await };
    loop {
        let read = session.borrow_mut().read(reader.as_ref(), buffer)?;
        if let Some(octets) = read {
            return Ok(octets);
        }
        // Octets that reading makes necessary (a key update) are sent at the next read. Nothing waits for them.
        reader.readable().await?;
    }
}

async fn writable(connection: &Connection) {
    match connection.writer.get() {
        Some(writer) => drop(writer.writable().await),
        None => std::future::pending().await,
    }
}

async fn expired(sleep: &mut Pin<Box<Sleep>>) {
    sleep.as_mut().await;
}

impl Worker {
    /// Counts and logs that a server does not take our certificate, or demands one. In TLS 1.3 it says so after our side of the handshake
    /// is done.
    fn alerted(&mut self, now: Instant, connection: &Connection, error: &io::Error) {
        if let Some(why) = refusal(error).filter(|_| !connection.accepted) {
            self.recorder.handshake(connection.region.get(), true, Handshake::Refused, connection.peer, Some(&why), now);
        }
    }

    /// Takes a connection back from its handshake. Returns its socket, and the names that a client proved.
    fn secured(&mut self, now: Instant, connection: &Rc<Connection>, secured: Secured) -> (TcpStream, Option<Shown>) {
        let Secured { stream, session, proof } = secured;
        let _ = connection.session.set(RefCell::new(session));
        connection.heard.set(now);
        let shown = connection.accepted.then(|| proof.shown(&self.config));
        if let Some(shown) = shown {
            connection.proved_address.set(proof.address);
            self.proved(connection, shown);
        }
        (stream, shown)
    }

    /// Counts and logs the end of a handshake.
    fn shaken(&mut self, now: Instant, connection: &Connection, ended: &Ended) {
        self.streams.shaking.end(connection.id);
        let (region, why) = (connection.region.get(), ended.reason(connection));
        self.recorder.handshake(region, !connection.accepted, ended.how, connection.peer, why.as_deref(), now);
        connection.unproven.set(ended.how == Handshake::Certificate && connection.tls_name.is_none());
        if ended.how != Handshake::Done && !connection.accepted {
            self.lost(now, connection.listener.get(), Loss::Connect, connection.peer, None);
        }
    }

    /// Notes that a connection has ended: it leaves the table, and the attempts that it did not deliver have failed.
    pub(super) fn gone(&mut self, now: Instant, connection: &Connection) {
        self.streams.remove(connection);
        self.streams.shaking.end(connection.id);
        self.recorder.handles().connection(connection.region.get(), connection.transport, false);
        self.repeat_lost(now, connection);
    }
}
