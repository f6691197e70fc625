//! The HTTP server behind the endpoints.

use std::collections::HashSet;
use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{Either, Full};
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, ORIGIN, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::AbortHandle;
use tokio::time::MissedTickBehavior;
use tracing::info;

use super::hosts::OwnHosts;
use super::ready::Ready;
use super::reload_door::ReloadDoor;
use super::status::Own;
use super::watching::{Pulse, WatchBody};
use super::worker_handle::{ControlHandle, Standing, WorkerHandle};
use super::{page, query, status, troubles};
use crate::audit::AuditStanding;
use crate::config::Config;
use crate::fence::canonical;
use crate::telemetry::last_hour::{LastHour, Summary};
use crate::telemetry::refused::RefusedRing;
use crate::telemetry::timestamp::Now;
use crate::telemetry::watch::{WATCHERS, WatchDoor, WatchFilter};
use crate::telemetry::{Metrics, audit_counts, certificates, memory, upstream};

#[cfg(test)]
mod tests;

/// Connections served at a time. For one more, the oldest is closed of the peer that has the most: a probe of the daemon's health waits for
/// nobody's slow reader.
const CONNECTIONS: usize = 32;
/// How long a request's header section may take.
const HEADER: Duration = Duration::from_secs(2);
/// How long a connection may last, whatever its peer does, unless it watches.
const CONNECTION: Duration = Duration::from_secs(30);
/// How long the last answers may take to be sent, at the end.
const END: Duration = Duration::from_secs(1);
/// Most octets of a header section.
const HEADER_OCTETS: usize = 16 * 1024;
/// How often the last hour is updated while nobody asks for it.
const MINUTE: Duration = Duration::from_secs(60);
/// A header of `/watch`: a project that is asked for and that the daemon does not have. It may come by a reload.
const UNKNOWN_PROJECT: HeaderName = HeaderName::from_static("ringfence-unknown-project");
/// The pause after the system refused to accept.
const REFUSED: Duration = Duration::from_millis(100);

/// All that the answers are made from.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ready: Arc<Ready>,
    pub(crate) worker: WorkerHandle,
    pub(crate) control_handle: ControlHandle,
    pub(crate) started: Instant,
    /// Locked for moments only, by tasks of this thread alone.
    pub(crate) hour: Mutex<LastHour>,
    pub(crate) connections: Connections,
    pub(crate) watch_door: WatchDoor,
    pub(crate) reload_door: ReloadDoor,
    /// Names that give no server, as they were logged. Locked for moments only, by this thread alone.
    pub(crate) names_in_trouble: Mutex<Vec<String>>,
    /// What was refused lately. Locked for moments only, by tasks of this thread alone.
    pub(crate) refused: Mutex<RefusedRing>,
    /// Changed by a reload; locked for moments only.
    pub(crate) own_hosts: Mutex<Arc<OwnHosts>>,
    /// How the audit record stands, if one is kept.
    pub(crate) audit: Option<Arc<AuditStanding>>,
}

/// The connections that are open now.
#[derive(Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    /// The oldest first. Locked for moments only, by tasks of this thread alone.
    open: Mutex<Vec<OpenConnection>>,
    /// Whether they have to end after the present answer.
    ending: watch::Sender<bool>,
}

/// One connection.
#[derive(Debug)]
struct OpenConnection {
    peer: IpAddr,
    pulse: Pulse,
    task: AbortHandle,
}

impl Default for Connections {
    fn default() -> Self {
        let (open, ending) = Default::default();
        Self { places: Arc::new(Semaphore::new(CONNECTIONS)), open, ending }
    }
}

impl Connections {
    /// Takes in a connection, and forgets those that have ended.
    fn add(&self, new: OpenConnection) {
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        open.retain(|of| !of.task.is_finished());
        open.push(new);
    }

    /// Closes the oldest connection of the peer that has the most. Those that watch are few, and stay.
    fn make_room(&self) {
        let open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        let held = || open.iter().filter(|of| !of.task.is_finished() && !of.pulse.watches());
        let count = |peer| held().filter(|of| of.peer == peer).count();
        // Of several with as many it is the last one here, so the order is turned round.
        let oldest = held().rev().max_by_key(|of| count(of.peer)).map(|of| of.peer);
        if let Some(of) = held().find(|of| Some(of.peer) == oldest) {
            of.task.abort();
        }
    }

    /// Waits until every answer is sent, for a second at most. Call it after accepting has ended.
    pub(crate) async fn end(&self) {
        self.ending.send_replace(true);
        let all = u32::try_from(CONNECTIONS).unwrap_or(u32::MAX);
        let _ = tokio::time::timeout(END, self.places.acquire_many(all)).await;
    }
}

/// Serves the endpoints for ever.
pub(crate) async fn serve(listener: TcpListener, sources: Arc<Sources>) {
    tokio::join!(look(Arc::clone(&sources)), accept(listener, sources));
}

async fn accept(listener: TcpListener, sources: Arc<Sources>) {
    loop {
        let Ok((stream, peer)) = listener.accept().await else {
            tokio::time::sleep(REFUSED).await;
            continue;
        };
        if sources.connections.places.available_permits() == 0 {
            sources.connections.make_room();
        }
        let Ok(permit) = Arc::clone(&sources.connections.places).acquire_owned().await else { return };
        let pulse = Pulse::new();
        let connection = connection(stream, peer, pulse.clone(), Arc::clone(&sources));
        let task = tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
        sources.connections.add(OpenConnection { peer: canonical(peer.ip()), pulse, task: task.abort_handle() });
    }
}

/// Updates the last hour, for ever.
async fn look(sources: Arc<Sources>) {
    let mut minutes = tokio::time::interval(MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        sources.hour();
    }
}

async fn connection(stream: TcpStream, peer: SocketAddr, pulse: Pulse, sources: Arc<Sources>) {
    let mut ending = sources.connections.ending.subscribe();
    let beats = pulse.clone();
    let service = service_fn(move |request: Request<Incoming>| {
        let (sources, beats) = (Arc::clone(&sources), beats.clone());
        async move { Ok::<_, Infallible>(respond(&request, peer, &sources, beats).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_header_size(HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    let serving = async {
        let mut serving = std::pin::pin!(serving);
        tokio::select! {
            served = serving.as_mut() => return served,
            _ = ending.wait_for(|&ending| ending) => {}
        }
        serving.as_mut().graceful_shutdown();
        serving.await
    };
    let too_long = async {
        while let Some(left) = pulse.left(CONNECTION) {
            tokio::time::sleep(left).await;
        }
    };
    tokio::select! {
        // An error here is the scraper's: it went away, or sent no HTTP.
        _ = serving => {}
        () = too_long => {}
    }
}

/// The answer to a request: a stream for one that watches, else the whole of it.
async fn respond<B>(
    request: &Request<B>,
    peer: SocketAddr,
    sources: &Sources,
    pulse: Pulse,
) -> Response<Either<Full<Bytes>, WatchBody>> {
    let watches = request.uri().path() == "/watch" && *request.method() == Method::GET;
    if watches && sources.own_hosts().check(request).is_ok() {
        // Whatever page an operator has open could take the places of those who watch.
        if is_of_a_page(request) {
            return plain(StatusCode::FORBIDDEN, "not from a page\n".to_owned()).map(Either::Left);
        }
        return watch(request.uri().query(), sources, pulse).await;
    }
    answer(request, peer, sources).await.map(Either::Left)
}

/// Whether a page in a browser asks, which is somebody else's: ours has no script and no form.
fn is_of_a_page<B>(request: &Request<B>) -> bool {
    let headers = request.headers();
    let of_another = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    of_another || headers.contains_key(ORIGIN)
}

/// Begins to watch, or says why not.
async fn watch(query: Option<&str>, sources: &Sources, pulse: Pulse) -> Response<Either<Full<Bytes>, WatchBody>> {
    let filter = match query::watch(query) {
        Ok(filter) => filter,
        Err(wrong) => return plain(StatusCode::BAD_REQUEST, wrong).map(Either::Left),
    };
    let unknown = sources.unknown_projects(&filter).await;
    let Some(watch) = sources.watch_door.watch(filter) else {
        let full = format!("{WATCHERS} watch already: one of them has to end first\n");
        return plain(StatusCode::SERVICE_UNAVAILABLE, full).map(Either::Left);
    };
    let mut ending = sources.connections.ending.subscribe();
    let end = async move {
        // If nobody is left to say that it ends, it has ended.
        let _ = ending.wait_for(|&ending| ending).await;
    };
    let mut response = Response::new(Either::Right(WatchBody::new(watch, pulse, end)));
    let headers = response.headers_mut();
    for project in unknown {
        headers.append(UNKNOWN_PROJECT, project);
    }
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-ndjson"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn answer<B>(request: &Request<B>, peer: SocketAddr, sources: &Sources) -> Response<Full<Bytes>> {
    if let Err(right) = sources.own_hosts().check(request) {
        return plain(StatusCode::MISDIRECTED_REQUEST, right);
    }
    let path = request.uri().path();
    if !matches!(
        path,
        "/" | "/metrics"
            | "/healthz"
            | "/readyz"
            | "/status"
            | "/watch"
            | "/refused"
            | "/audit/checkpoint"
            | "/reload"
            | "/drain"
    ) {
        let all = "not found: /, /metrics, /healthz, /readyz, /status, /watch, /refused, /audit/checkpoint, /reload, /drain\n";
        return plain(StatusCode::NOT_FOUND, all.to_owned());
    }
    let (allowed, allow) = match path {
        "/drain" | "/reload" => (*request.method() == Method::POST, "POST"),
        // Its body has no end that a HEAD could tell of.
        "/watch" => (*request.method() == Method::GET, "GET"),
        _ => (matches!(*request.method(), Method::GET | Method::HEAD), "GET, HEAD"),
    };
    if !allowed {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, format!("only {allow}\n"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return response;
    }
    match path {
        // Whatever page an operator has open may send a form here; a browser says so.
        "/drain" | "/reload" if is_of_a_page(request) => plain(StatusCode::FORBIDDEN, "not from a page\n".to_owned()),
        "/drain" => {
            info!(%peer, "asked to drain");
            sources.ready.drain();
            sources.worker.drain().await;
            plain(StatusCode::ACCEPTED, "draining\n".to_owned())
        }
        "/reload" => match sources.reload_door.reload(peer).await {
            Some(outcome) => typed("application/json", format!("{:#}\n", outcome.answer())),
            None => plain(
                StatusCode::SERVICE_UNAVAILABLE,
                "nobody reloads here: the daemon is ending, or was not started by a command\n".to_owned(),
            ),
        },
        "/refused" => match query::refused(request.uri().query()) {
            Ok(call_id) => private(typed("application/json", format!("{:#}\n", sources.refused().messages(call_id.as_deref())))),
            Err(wrong) => plain(StatusCode::BAD_REQUEST, wrong),
        },
        "/audit/checkpoint" => match sources.checkpoint() {
            Some(note) => private(typed("text/plain; charset=utf-8", note.to_string())),
            None => plain(StatusCode::NOT_FOUND, "no checkpoint: none is written yet, or no audit record is kept\n".to_owned()),
        },
        "/metrics" => typed("text/plain; version=0.0.4; charset=utf-8", sources.metrics().await),
        "/" => match sources.status().await {
            Some(status) => html(page::page(&status, request.uri().query() == Some(page::REFRESH))),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "ended\n".to_owned()),
        },
        "/status" => match sources.status().await {
            Some(status) => private(typed("application/json", format!("{status:#}\n"))),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "ended\n".to_owned()),
        },
        "/healthz" if sources.worker.turns().await => plain(StatusCode::OK, "ok\n".to_owned()),
        "/healthz" => plain(StatusCode::SERVICE_UNAVAILABLE, "the worker does not answer\n".to_owned()),
        _ => {
            let (missing, troubles) = (sources.ready.missing(), sources.troubles().await);
            if missing.is_empty() {
                let all: Vec<String> = std::iter::once("ready".to_owned()).chain(troubles).collect();
                plain(StatusCode::OK, all.join("; ") + "\n")
            } else {
                let all: Vec<String> = missing.into_iter().map(str::to_owned).chain(troubles).collect();
                plain(StatusCode::SERVICE_UNAVAILABLE, all.join("\n") + "\n")
            }
        }
    }
}

impl Sources {
    /// The projects of a filter that the configuration does not have, as they stand in a header.
    async fn unknown_projects(&self, filter: &WatchFilter) -> Vec<HeaderValue> {
        if filter.projects.is_empty() {
            return Vec::new();
        }
        let Some(Standing { config, .. }) = self.worker.targets().await else { return Vec::new() };
        let known: HashSet<&str> =
            config.projects.iter().map(|of| &*of.name).filter(|&name| filter.projects.contains(name)).collect();
        let unknown = filter.projects.iter().filter(|name| !known.contains(&***name));
        unknown.filter_map(|name| HeaderValue::from_str(name).ok()).collect()
    }

    /// The names by which the endpoint may be asked.
    fn own_hosts(&self) -> Arc<OwnHosts> {
        Arc::clone(&self.own_hosts.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Takes in which names give no server. Returns what was known before.
    pub(crate) fn note_names(&self, troubles: Vec<String>) -> Vec<String> {
        std::mem::replace(&mut *self.names_in_trouble.lock().unwrap_or_else(PoisonError::into_inner), troubles)
    }

    /// Takes in another configuration.
    pub(crate) fn configure(&self, config: &Config) {
        *self.own_hosts.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(OwnHosts::of(config));
        self.refused().configure(config);
    }

    /// What was refused lately. It is whole between two locks.
    fn refused(&self) -> MutexGuard<'_, RefusedRing> {
        self.refused.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The exposition. A value that the worker does not give in time is left out, because a wrong gauge would be worse than none.
    async fn metrics(&self) -> String {
        let standing = self.worker.targets().await;
        self.metrics.ready(self.ready.missing().is_empty());
        self.metrics.watchers(self.watch_door.count());
        let mut text = self.metrics.render();
        if let Some(Standing { config, targets, gateways, octets }) = standing {
            let regions = config.regions.iter();
            let ends = regions.filter_map(|region| Some((region.name.as_str(), region.tls.as_ref()?.certificate.ends)));
            certificates::expose(ends, &mut text);
            upstream::expose(&config, &targets, &mut text);
            upstream::expose_gateways(&config, &gateways, &mut text);
            memory::expose(octets, &mut text);
        }
        if let Some(audit) = &self.audit {
            audit_counts::expose(&audit.counts(), &mut text);
        }
        text
    }

    /// The latest checkpoint of the audit record.
    fn checkpoint(&self) -> Option<Arc<str>> {
        self.audit.as_ref()?.told().checkpoint.map(|(note, _)| note)
    }

    /// What keeps calls from the servers.
    async fn troubles(&self) -> Vec<String> {
        let standing = self.worker.targets().await;
        let mut all = self.names_in_trouble.lock().unwrap_or_else(PoisonError::into_inner).clone();
        all.extend(standing.map_or_else(Vec::new, |standing| troubles::servers(&standing.config, &standing.targets)));
        all
    }

    async fn status(&self) -> Option<serde_json::Value> {
        let (known, standing) = tokio::join!(self.control_handle.known(), self.worker.targets());
        let known = known?;
        // In the middle of a reload the two do not speak of the same regions.
        let targets = standing.filter(|standing| Arc::ptr_eq(&standing.config, &known.config)).map(|standing| standing.targets);
        let (hour, decisions) = (self.hour(), self.refused().decisions());
        let last_reload = self.reload_door.last();
        let own = Own {
            ready: &self.ready,
            started: self.started,
            hour: &hour,
            decisions,
            last_reload: last_reload.as_deref(),
            audit: self.audit.as_deref(),
        };
        Some(status::status(&known, targets.as_deref(), own, Now::read()))
    }

    /// The sums of the last hour, updated now.
    fn hour(&self) -> Summary {
        let exposition = self.metrics.render();
        // Counts cannot be left half changed: they are added up before they are kept.
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.started.elapsed();
        hour.look(elapsed, &exposition);
        hour.summary(elapsed)
    }
}

/// An answer that says something of calls: nobody keeps it, or takes it for something else.
fn private(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    for (name, value) in [(X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// The answer with the page. Its headers forbid loading, scripts, framing and caching.
fn html(body: String) -> Response<Full<Bytes>> {
    let mut response = private(typed("text/html; charset=utf-8", body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page::POLICY.clone());
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = typed("text/plain; charset=utf-8", body);
    *response.status_mut() = status;
    response
}

fn typed(kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response
}
