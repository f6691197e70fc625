//! Full TLS handshakes at a steady pace, for `benches/handshakes/run`.
//!
//! `client ADDRESS NAME ROOTS FROM RATE SECONDS` connects RATE times a second from addresses `FROM.1` to `FROM.64`, carries each handshake
//! out without resuming a session, and closes. At the end it says how many were done and failed, and how long they took.

#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::io::Write as _;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use socket2::{Domain, Socket, Type};

/// Threads, each with a source address of its own, so that no address runs out of ports.
const THREADS: u32 = 64;

/// How long a step of one handshake may take.
const PATIENCE: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [to, name, roots, from, rate, seconds] = arguments.as_slice() else {
        println!("run by benches/handshakes/run: it needs a daemon");
        return Ok(());
    };
    let mut known = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(roots)? {
        known.add(root?)?;
    }
    let mut settings = ClientConfig::builder().with_root_certificates(known).with_no_client_auth();
    settings.resumption = Resumption::disabled();
    let (settings, name, to) = (Arc::new(settings), ServerName::try_from(name.clone())?, to.parse::<SocketAddr>()?);
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let (pause, begin) = (Duration::from_secs_f64(f64::from(THREADS) / rate), Instant::now());
    let end = begin + Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..THREADS)
        .map(|at| {
            let (settings, name) = (Arc::clone(&settings), name.clone());
            let from = format!("{from}.{}", at + 1).parse::<IpAddr>();
            thread::spawn(move || {
                let (from, mut next, mut took, mut failed) = (from?, begin + pause * at / THREADS, Vec::new(), 0_u32);
                while next < end {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    let since = Instant::now();
                    match shake(&settings, &name, to, from) {
                        Ok(()) => took.push(since.elapsed()),
                        Err(_) => failed += 1,
                    }
                    next += pause;
                }
                Ok::<_, Failure>((took, failed))
            })
        })
        .collect();
    let (mut took, mut failed) = (Vec::new(), 0);
    for thread in threads {
        let (more, not) = thread.join().map_err(|_| "a thread has panicked")??;
        took.extend(more);
        failed += not;
    }
    took.sort_unstable();
    let below = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    let a_second = f64::from(u32::try_from(took.len())?) / begin.elapsed().as_secs_f64();
    println!("{a_second:.0} handshakes/s, {failed} failed, half below {:.1?}, 99 of 100 below {:.1?}", below(50), below(99));
    Ok(())
}

fn shake(settings: &Arc<ClientConfig>, name: &ServerName<'static>, to: SocketAddr, from: IpAddr) -> Result<(), Failure> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    let mut stream = TcpStream::from(socket);
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut tls = ClientConnection::new(Arc::clone(settings), name.clone())?;
    while tls.is_handshaking() {
        tls.complete_io(&mut stream)?;
    }
    tls.send_close_notify();
    tls.write_tls(&mut stream)?;
    stream.flush()?;
    Ok(())
}
