//! Asks a running daemon at its admin endpoint. Knows HTTP and who may be there; knows nothing of the answers.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_TYPE, HOST};
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use super::arguments::AdminOptions;
use super::exit::{CONFIG, UNAVAILABLE, WRONG};
use super::mistakes;
use super::output::complain;
use crate::config::{self, ConfigError};

/// How long a daemon may take to accept a connection, and to begin an answer that it has at hand.
const PATIENCE: Duration = Duration::from_secs(10);
/// Most octets of an answer. Read as JSON it may take a hundred times as much memory.
const LONGEST: usize = 8 << 20;

/// Most octets of a path that are shown.
const PATH: usize = 60;

/// A daemon's admin endpoint.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdminClient {
    addr: SocketAddr,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum AdminError {
    /// Nobody is there.
    Absent(String),
    /// Whoever is there went away, or does not answer in time.
    Gone(String),
    /// Whoever is there is no Ringfence, or one that does not know the question.
    Foreign(String),
    /// The daemon says what is wrong with the question.
    Wrong(String),
    /// The daemon says why not.
    Refused(String),
}

impl AdminClient {
    /// The endpoint that the options name. `Err`: the exit code, and it was said why.
    pub(super) fn of(options: &AdminOptions, json: bool) -> Result<Self, u8> {
        let addr = match options.admin {
            Some(addr) => addr,
            None => configured(&options.config, json)?,
        };
        // A wildcard address is one that others listen on, and none that can be called.
        let ip = match addr.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        Ok(Self { addr: SocketAddr::new(ip, addr.port()) })
    }

    /// The whole answer to a GET.
    pub(super) async fn get(self, path: &str) -> Result<Bytes, AdminError> {
        self.whole(Method::GET, path, PATIENCE).await
    }

    /// The whole answer to a POST, which may take this long.
    pub(super) async fn post(self, path: &str, patience: Duration) -> Result<Bytes, AdminError> {
        self.whole(Method::POST, path, patience).await
    }

    /// The answer to a GET, as it comes.
    pub(super) async fn stream(self, path: &str) -> Result<Response<Incoming>, AdminError> {
        let response = self.ask(Method::GET, path, PATIENCE).await?;
        if !response.status().is_success() {
            return Err(self.refused(path, response).await);
        }
        let lines = response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind.as_bytes() == b"application/x-ndjson");
        let foreign = || AdminError::Foreign(format!("{} answers {path} with no stream", self.addr));
        if lines { Ok(response) } else { Err(foreign()) }
    }

    async fn whole(self, method: Method, path: &str, patience: Duration) -> Result<Bytes, AdminError> {
        let response = self.ask(method, path, patience).await?;
        if !response.status().is_success() {
            return Err(self.refused(path, response).await);
        }
        self.body(response).await
    }

    async fn ask(self, method: Method, path: &str, patience: Duration) -> Result<Response<Incoming>, AdminError> {
        let connecting = tokio::time::timeout(PATIENCE, TcpStream::connect(self.addr));
        let stream = match connecting.await {
            Ok(Ok(stream)) => stream,
            Ok(Err(error)) => return Err(AdminError::Absent(self.nobody(&error.to_string()))),
            Err(_) => return Err(self.gone("nobody accepts a connection")),
        };
        let foreign = |error: hyper::Error| AdminError::Foreign(format!("{} speaks no HTTP: {error}", self.addr));
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(foreign)?;
        // It ends with the answer, which says what went wrong.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder().method(method).uri(path).header(HOST, self.addr.to_string()).body(Empty::<Bytes>::new());
        let request = request.map_err(|error| AdminError::Refused(format!("{path} cannot be asked for: {error}")))?;
        match tokio::time::timeout(patience, sender.send_request(request)).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) if error.is_parse() => Err(foreign(error)),
            Ok(Err(error)) => Err(self.gone(&error.to_string())),
            Err(_) => Err(self.gone(&format!("no answer within {} s", patience.as_secs()))),
        }
    }

    async fn body(self, response: Response<Incoming>) -> Result<Bytes, AdminError> {
        let body = tokio::time::timeout(PATIENCE, Limited::new(response.into_body(), LONGEST).collect()).await;
        match body {
            Ok(Ok(body)) => Ok(body.to_bytes()),
            Ok(Err(error)) => Err(self.gone(&format!("its answer broke off: {error}"))),
            Err(_) => Err(self.gone("its answer does not end")),
        }
    }

    /// What an answer without success means.
    async fn refused(self, path: &str, response: Response<Incoming>) -> AdminError {
        let status = response.status();
        let said = |body: &[u8]| super::printable::plain(body.trim_ascii_end());
        match self.body(response).await {
            Ok(body) if status.as_u16() == 400 => AdminError::Wrong(said(&body)),
            Ok(body) if matches!(status.as_u16(), 403 | 421 | 503) => AdminError::Refused(said(&body)),
            Ok(_) => {
                let path = path.get(..PATH).unwrap_or(path);
                AdminError::Foreign(format!("{} answers {status} to {path}", self.addr))
            }
            Err(error) => error,
        }
    }

    fn gone(self, why: &str) -> AdminError {
        AdminError::Gone(self.nobody(why))
    }

    fn nobody(self, why: &str) -> String {
        format!("no daemon answers at http://{}: {why}", self.addr)
    }
}

impl fmt::Display for AdminClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.addr)
    }
}

impl AdminError {
    /// Says it, with what to do. Returns the exit code.
    pub(super) fn complain(&self) -> u8 {
        let text = match self {
            Self::Wrong(what) => return complain(what, WRONG),
            Self::Absent(what) | Self::Gone(what) => format!(
                "{what}\n  = start it (ringfence run), or name where it is: --admin ADDRESS:PORT, as `listen` of [admin] in its file. If that \
                 was changed since the daemon started, the daemon is still at the former one (or `kill -HUP` its process)"
            ),
            Self::Foreign(what) => format!("{what}: no Ringfence of this version is there; --admin ADDRESS:PORT names another"),
            Self::Refused(what) => what.clone(),
        };
        complain(&text, UNAVAILABLE)
    }
}

/// The admin endpoint of a configuration file.
fn configured(path: &Path, json: bool) -> Result<SocketAddr, u8> {
    match config::load(path) {
        Ok(config) => config.admin.ok_or_else(|| {
            let what = format!("{} has no [admin]: a daemon with it can be asked nothing", path.display());
            complain(&format!("{what}\n  = [admin] listen = \"127.0.0.1:9090\" there, and start the daemon again"), UNAVAILABLE)
        }),
        // It is no file for a start, and a daemon may run all the same.
        Err(ConfigError { admin: Some(addr), mistakes, .. }) => {
            let (file, count) = (path.display(), mistakes.len());
            let has = if count == 1 { "a mistake".to_owned() } else { format!("{count} mistakes") };
            complain(&format!("{file} has {has} (`ringfence check` names them); asking at {addr}, as its [admin] says"), CONFIG);
            Ok(addr)
        }
        Err(error) => {
            let code = mistakes::refuse(&error, json);
            if !error.unreadable {
                complain("where the daemon is cannot be read there: --admin ADDRESS:PORT names it", code);
            }
            Err(code)
        }
    }
}

/// Text as it stands in a query.
pub(super) fn escaped(text: &str) -> String {
    let octet = |octet: u8| match octet {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => char::from(octet).to_string(),
        _ => format!("%{octet:02X}"),
    };
    text.bytes().map(octet).collect()
}
