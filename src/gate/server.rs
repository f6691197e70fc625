//! The gate's HTTP: asks for a decision, has it told, answers. Decides nothing itself, and carries no message.
//!
//! An answer is sent after the message thread has told the verdict, so none is given that is not counted and recorded. If that thread does not
//! answer in time, the client is refused.

use std::cell::RefCell;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ALLOW,
    AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::warn;

use super::asked::{ClientToken, GateRequest};
use super::connections::{Claim, GateConnections};
use super::decide::{GateAnswer, GateDecision, NoRegion, decide, region_of};
use super::regions::regions;
use crate::admin::{Ready, WorkerHandle};
use crate::config::Config;
use crate::core::io::Verdict;
use crate::telemetry::Metrics;
use crate::telemetry::log::Limit;
use crate::telemetry::realtime::RealtimeVerdict;

/// How long a header section may take, and how long a connection may rest.
const HEADER: Duration = Duration::from_secs(10);
/// Most octets of a header section: 96 KiB of the client's, and room for what its reverse proxy adds.
const HEADER_OCTETS: usize = 100 << 10;
/// Most header rows: a client may send many, and its reverse proxy hands them on.
const HEADER_ROWS: usize = 256;
/// How often a request is decided again, because another configuration has come into force meanwhile.
const AGAIN: u32 = 3;

const RINGFENCE: HeaderName = HeaderName::from_static("x-ringfence");

/// What all connections have in common. One thread has it alone.
pub(super) struct GateServer {
    pub(super) config: RefCell<Arc<Config>>,
    pub(super) worker: WorkerHandle,
    pub(super) ready: Arc<Ready>,
    pub(super) metrics: Arc<Metrics>,
    pub(super) connections: RefCell<GateConnections>,
    /// Limits the lines about sources outside.
    pub(super) outside: RefCell<Limit>,
    /// Limits the lines about queries that the gate does not know.
    pub(super) odd: RefCell<Limit>,
    /// Limits the lines about verdicts that nobody tells.
    pub(super) untold: RefCell<Limit>,
    /// Whether connections have to end after the present answer.
    pub(super) ending: watch::Sender<bool>,
}

/// The two ends of a connection.
#[derive(Clone, Copy)]
struct Ends {
    peer: SocketAddr,
    own: SocketAddr,
}

/// Forgets a connection when it ends, however it does.
struct Forgets(Rc<GateServer>, u64);

impl Drop for Forgets {
    fn drop(&mut self) {
        let Self(server, number) = self;
        server.connections.borrow_mut().end(*number);
        server.count();
    }
}

impl GateServer {
    /// Serves a connection, if there is room for it.
    pub(super) fn accept(self: &Rc<Self>, stream: TcpStream, peer: SocketAddr) {
        let Ok(own) = stream.local_addr() else { return };
        let (config, ends) = (self.config(), Ends { peer, own });
        let most = config.gate.as_ref().map_or(0, |gate| gate.connections);
        let outside = matches!(region_of(&config, peer.ip(), own.ip(), None), Err(NoRegion::Outside));
        if outside {
            self.turn_away("outside");
            if let Some(suppressed) = self.outside.borrow_mut().allow(Instant::now()) {
                warn!(source = %peer, suppressed, "a source outside of the served regions asks the gate");
            }
        }
        let claim = if outside { Claim::Outside } else { Claim::Silent };
        let number = self.connections.borrow_mut().make_room(claim, most);
        let Some(number) = number else { return self.turn_away("full") };
        let forgets = Forgets(Rc::clone(self), number);
        let served = Rc::clone(self).connection(stream, ends, forgets);
        let task = tokio::task::spawn_local(served);
        self.connections.borrow_mut().hold(number, claim, task.abort_handle());
        self.count();
    }

    /// Takes in another configuration.
    pub(super) fn configure(&self, config: Arc<Config>) {
        self.config.replace(config);
    }

    fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.borrow())
    }

    fn count(&self) {
        self.metrics.gate_connections(self.connections.borrow().count());
    }

    fn turn_away(&self, cause: &'static str) {
        self.metrics.gate_turned_away(cause).increment(1);
    }

    async fn connection(self: Rc<Self>, stream: TcpStream, ends: Ends, forgets: Forgets) {
        let mut ending = self.ending.subscribe();
        let Forgets(_, number) = forgets;
        let service = service_fn(|request: Request<hyper::body::Incoming>| {
            let server = Rc::clone(&self);
            async move {
                server.connections.borrow_mut().note(number, Claim::Asking);
                let response = server.respond(&request, ends).await;
                server.connections.borrow_mut().note(number, Claim::Resting);
                Ok::<_, Infallible>(response)
            }
        });
        let serving = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEADER)
            .max_header_size(HEADER_OCTETS)
            .max_buf_size(HEADER_OCTETS)
            .max_headers(HEADER_ROWS)
            .serve_connection(TokioIo::new(stream), service);
        let mut serving = std::pin::pin!(serving);
        // An error is the peer's: it went away, or sent no HTTP.
        tokio::select! {
            _ = serving.as_mut() => return,
            _ = ending.wait_for(|&ending| ending) => {}
        }
        serving.as_mut().graceful_shutdown();
        let _ = serving.await;
    }

    async fn respond<B>(&self, request: &Request<B>, ends: Ends) -> Response<Full<Bytes>> {
        let (path, query) = (request.uri().path(), request.uri().query());
        match path {
            "/decide" => match Asking::read(query) {
                Some(asking) => self.decide(request.headers(), asking, ends).await,
                None => self.odd_query(ends),
            },
            "/settings/regions" => self.settings(request, ends),
            // Never 404: clients take that for an old server and try again for minutes.
            _ => refused("the gate answers /decide and /settings/regions alone\n"),
        }
    }

    /// Answers a reverse proxy that hands on its client's query. Nobody else sees what it was told.
    fn odd_query(&self, ends: Ends) -> Response<Full<Bytes>> {
        if let Some(suppressed) = self.odd.borrow_mut().allow(Instant::now()) {
            let source = ends.peer;
            warn!(%source, suppressed, "a reverse proxy asks /decide with another query than `nginx` and `region=NAME`: all its clients are refused");
        }
        refused("the query of /decide may hold `nginx` and `region=NAME`\n")
    }

    /// Decides a request, and answers once that is told.
    async fn decide(&self, headers: &HeaderMap, asking: Asking<'_>, ends: Ends) -> Response<Full<Bytes>> {
        let asked = GateRequest::read(headers, asking.nginx);
        let GateRequest::Token { twirp, token } = asked else { return self.exempt(asking, ends) };
        let judged = token.as_ref();
        let mut config = self.config();
        for _ in 0..AGAIN {
            let region = match region_of(&config, ends.peer.ip(), ends.own.ip(), asking.region) {
                Ok(region) => region,
                Err(none) => return refused(&format!("{none}\n")),
            };
            let decision = decide(&config, region, judged, self.ready.is_draining());
            let answer = decision.answer(twirp);
            let told = told(&config, &decision, answer, ends.peer);
            match self.worker.realtime(told).await {
                Some(Ok(())) => return answered(&config, &decision, answer, judged.ok()),
                Some(Err(newer)) => config = newer,
                // Nobody is left to tell it to.
                None if self.ready.is_draining() => break,
                None => {
                    if let Some(suppressed) = self.untold.borrow_mut().allow(Instant::now()) {
                        warn!(suppressed, "the message thread does not take the verdicts of the gate: clients are refused");
                    }
                    break;
                }
            }
        }
        said(GateAnswer::not_now(twirp))
    }

    /// Passes on what needs no token.
    fn exempt(&self, asking: Asking<'_>, ends: Ends) -> Response<Full<Bytes>> {
        match region_of(&self.config(), ends.peer.ip(), ends.own.ip(), asking.region) {
            Ok(_) => Response::new(Full::default()),
            Err(none) => refused(&format!("{none}\n")),
        }
    }

    /// Says where a client may go. It needs no decision: a client that was refused asks too.
    fn settings<B>(&self, request: &Request<B>, ends: Ends) -> Response<Full<Bytes>> {
        let config = self.config();
        let here = match region_of(&config, ends.peer.ip(), ends.own.ip(), None) {
            Ok(here) => Some(here),
            // It only says which region stands first.
            Err(NoRegion::Several) => None,
            Err(none) => return refused(&format!("{none}\n")),
        };
        if *request.method() == Method::OPTIONS {
            return preflight();
        }
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            let mut response =
                typed(StatusCode::METHOD_NOT_ALLOWED, "text/plain; charset=utf-8", Bytes::from_static(b"only GET\n"));
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
            return response;
        }
        let of = request.uri().path_and_query().map_or("/settings/regions", |of| of.as_str());
        let token = ClientToken::of_client(request.headers(), of);
        let project = token.as_ref().ok().and_then(|token| config.project_of_key(&token.issuer));
        let Some(project) = project else {
            return said(GateAnswer::no_token(false));
        };
        let listed = regions(&config, here, project).to_string();
        let mut response = typed(StatusCode::OK, "application/json", Bytes::from(listed));
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("max-age=60"));
        response
    }
}

/// How a reverse proxy asks for a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Asking<'a> {
    /// By the rows that nginx sets.
    nginx: bool,
    /// For this region.
    region: Option<&'a str>,
}

impl<'a> Asking<'a> {
    /// Reads the query of `/decide`. `None`: it holds something else, or something twice.
    fn read(query: Option<&'a str>) -> Option<Self> {
        let mut asking = Self { nginx: false, region: None };
        for part in query.filter(|query| !query.is_empty()).into_iter().flat_map(|query| query.split('&')) {
            match part.split_once('=') {
                None if part == "nginx" && !asking.nginx => asking.nginx = true,
                Some(("region", name)) if asking.region.is_none() => asking.region = Some(name),
                _ => return None,
            }
        }
        Some(asking)
    }
}

/// A verdict as the message thread tells it.
fn told(config: &Arc<Config>, decision: &GateDecision, answer: GateAnswer, source: SocketAddr) -> RealtimeVerdict {
    RealtimeVerdict {
        config: Arc::downgrade(config),
        region: decision.region,
        project: decision.project,
        verdict: decision.verdict,
        reason: decision.reason,
        why: decision.why.clone(),
        code: (decision.verdict == Verdict::Refuse).then_some(answer.code),
        source,
    }
}

/// The answer of a decision. The token goes back to the reverse proxy, which hands on this very one.
fn answered(config: &Config, decision: &GateDecision, answer: GateAnswer, token: Option<&ClientToken>) -> Response<Full<Bytes>> {
    let mut response = said(answer);
    let row = decision.row(config).and_then(|row| HeaderValue::try_from(row).ok());
    if let Some(row) = row {
        response.headers_mut().insert(RINGFENCE, row);
    }
    if decision.verdict != Verdict::Refuse {
        // Its characters are those of a header.
        let Some(bearer) = token.and_then(|token| HeaderValue::try_from(format!("Bearer {}", token.text)).ok()) else {
            return refused("the token fits no header\n");
        };
        response.headers_mut().insert(AUTHORIZATION, bearer);
    }
    response
}

/// An answer without what is told to the reverse proxy.
fn said(answer: GateAnswer) -> Response<Full<Bytes>> {
    let code = StatusCode::from_u16(answer.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    typed(code, answer.content_type, Bytes::from_static(answer.body.as_bytes()))
}

/// The answer to a browser that asks whether a page may ask.
fn preflight() -> Response<Full<Bytes>> {
    let mut response = typed(StatusCode::NO_CONTENT, "text/plain", Bytes::new());
    let headers = response.headers_mut();
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, HeaderValue::from_static("authorization, content-type"));
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET"));
    headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    response
}

/// The answer to what is no request of a reverse proxy of the region. Its connection ends.
fn refused(words: &str) -> Response<Full<Bytes>> {
    let mut response = typed(StatusCode::FORBIDDEN, "text/plain; charset=utf-8", Bytes::copy_from_slice(words.as_bytes()));
    response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    response
}

fn typed(code: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = code;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    response
}
