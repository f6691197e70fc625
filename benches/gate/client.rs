//! Questions to the realtime gate at a steady pace, for `benches/gate/run`.
//!
//! `client ADDRESS FROM RATE SECONDS` keeps eight connections, as a reverse proxy does, and asks RATE times a second in all, each time with a
//! token of about a kibibyte. RATE 0: as fast as it is answered. At the end it says how many were answered, and how long that took.

#![expect(clippy::print_stdout, reason = "what it prints is its result")]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use socket2::{Domain, Socket, Type};

/// Connections, each with a thread of its own.
const CONNECTIONS: u32 = 8;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [to, from, rate, seconds] = arguments.as_slice() else {
        println!("run by benches/gate/run: it needs a daemon");
        return Ok(());
    };
    let (to, from): (SocketAddr, IpAddr) = (to.parse()?, from.parse()?);
    let (rate, seconds): (f64, f64) = (rate.parse()?, seconds.parse()?);
    let pause = if rate > 0.0 { Duration::from_secs_f64(f64::from(CONNECTIONS) / rate) } else { Duration::ZERO };
    let (begin, request) = (Instant::now(), request());
    let end = begin + Duration::from_secs_f64(seconds);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|at| {
            let request = request.clone();
            thread::spawn(move || {
                let (mut stream, mut took) = (connect(to, from)?, Vec::new());
                let mut next = begin + pause * at / CONNECTIONS;
                while next.max(Instant::now()) < end {
                    thread::sleep(next.saturating_duration_since(Instant::now()));
                    let since = Instant::now();
                    ask(&mut stream, &request)?;
                    took.push(since.elapsed());
                    next += pause;
                }
                Ok::<_, Failure>(took)
            })
        })
        .collect();
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().map_err(|_| "a thread has panicked")??);
    }
    took.sort_unstable();
    let below = |part: usize| took.get(took.len() * part / 100).copied().unwrap_or_default();
    let a_second = f64::from(u32::try_from(took.len())?) / begin.elapsed().as_secs_f64();
    println!("{} answers, {a_second:.0} a second, half below {:.1?}, 99 of 100 below {:.1?}", took.len(), below(50), below(99));
    Ok(())
}

/// A question as Caddy asks it, for a client that connects.
fn request() -> Vec<u8> {
    let part = |text: &str| BASE64_URL_SAFE_NO_PAD.encode(text);
    let claims = format!(
        r#"{{"exp":1795000000,"iss":"APIacme","nbf":1764000000,"sub":"ana","name":"Ana","metadata":"{}","video":{{"room":"r","roomJoin":true}}}}"#,
        "m".repeat(512)
    );
    let token = format!("{}.{}.{}", part(r#"{"alg":"HS256","typ":"JWT"}"#), part(&claims), part(&"s".repeat(32)));
    let rows = "Host: gate\r\nUser-Agent: Mozilla/5.0\r\nOrigin: https://app.example.com\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n";
    let uri = format!("/rtc/v1?access_token={token}&auto_subscribe=1&sdk=js&version=2.23.0&protocol=16");
    format!("GET /decide HTTP/1.1\r\n{rows}X-Forwarded-Method: GET\r\nX-Forwarded-Uri: {uri}\r\n\r\n").into_bytes()
}

fn connect(to: SocketAddr, from: IpAddr) -> Result<TcpStream, Failure> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    socket.bind(&SocketAddr::new(from, 0).into())?;
    socket.connect(&to.into())?;
    socket.set_tcp_nodelay(true)?;
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(stream)
}

fn ask(stream: &mut TcpStream, request: &[u8]) -> Result<(), Failure> {
    stream.write_all(request)?;
    let (mut answer, mut length) = ([0; 8192], 0);
    loop {
        let read = stream.read(answer.get_mut(length..).ok_or("a long answer")?)?;
        length += read;
        let text = answer.get(..length).unwrap_or_default();
        // It has no body.
        if text.ends_with(b"\r\n\r\n") {
            return if text.starts_with(b"HTTP/1.1 200 ") { Ok(()) } else { Err("the gate refused".into()) };
        }
        if read == 0 {
            return Err("the gate closed the connection".into());
        }
    }
}
