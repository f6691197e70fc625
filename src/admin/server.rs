//! The HTTP server behind the endpoints.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue, ORIGIN, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::MissedTickBehavior;

use super::status::Own;
use super::timestamp::Now;
use super::worker_handle::{ControlHandle, Standing, WorkerHandle};
use super::{Ready, page, status};
use crate::telemetry::last_hour::{LastHour, Summary};
use crate::telemetry::{Metrics, certificates, upstream};

/// Connections served at a time; more wait in the kernel.
const CONNECTIONS: usize = 32;
/// How long a request's header section may take.
const HEADER: Duration = Duration::from_secs(2);
/// How long a connection may last, whatever its peer does.
const CONNECTION: Duration = Duration::from_secs(30);
/// How long the last answers may take to leave, at the end.
const END: Duration = Duration::from_secs(1);
/// Octets of a header section.
const HEADER_OCTETS: usize = 16 * 1024;
/// How often the last hour is brought up to date while nobody asks.
const MINUTE: Duration = Duration::from_secs(60);
/// The pause after the system refused to accept.
const REFUSED: Duration = Duration::from_millis(100);

/// Where the answers come from.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) ready: Arc<Ready>,
    pub(crate) worker: WorkerHandle,
    pub(crate) control_handle: ControlHandle,
    pub(crate) started: Instant,
    /// Held for moments, by the tasks of this thread alone.
    pub(crate) hour: Mutex<LastHour>,
    pub(crate) connections: Connections,
}

/// The connections that are served.
#[derive(Debug)]
pub(crate) struct Connections {
    places: Arc<Semaphore>,
    /// Whether they are to end after the answer at hand.
    ending: watch::Sender<bool>,
}

impl Default for Connections {
    fn default() -> Self {
        Self { places: Arc::new(Semaphore::new(CONNECTIONS)), ending: watch::Sender::default() }
    }
}

impl Connections {
    /// Lets every answer that is being given leave, once nothing is accepted any more; whoever does not read by then does not count.
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
        let Ok(permit) = Arc::clone(&sources.connections.places).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(REFUSED).await;
            continue;
        };
        let connection = connection(stream, Arc::clone(&sources));
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

/// Keeps the last hour for ever.
async fn look(sources: Arc<Sources>) {
    let mut minutes = tokio::time::interval(MINUTE);
    minutes.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        minutes.tick().await;
        sources.hour();
    }
}

async fn connection(stream: TcpStream, sources: Arc<Sources>) {
    let mut ending = sources.connections.ending.subscribe();
    let service = service_fn(move |request: Request<Incoming>| {
        let sources = Arc::clone(&sources);
        async move { Ok::<_, Infallible>(answer(&request, &sources).await) }
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
    // An error here is the scraper's: it went away, or sent no HTTP.
    let _ = tokio::time::timeout(CONNECTION, serving).await;
}

async fn answer<B>(request: &Request<B>, sources: &Sources) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/" | "/metrics" | "/healthz" | "/readyz" | "/status" | "/drain") {
        return plain(StatusCode::NOT_FOUND, "not found: /, /metrics, /healthz, /readyz, /status, /drain\n".to_owned());
    }
    let (allowed, allow) = match path {
        "/drain" => (*request.method() == Method::POST, "POST"),
        _ => (matches!(*request.method(), Method::GET | Method::HEAD), "GET, HEAD"),
    };
    if !allowed {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, format!("only {allow}\n"));
        response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
        return response;
    }
    match path {
        // Whatever page an operator has open may send a form here; a browser says so.
        "/drain" if request.headers().contains_key(ORIGIN) => plain(StatusCode::FORBIDDEN, "not from a page\n".to_owned()),
        "/drain" => {
            sources.ready.drain();
            sources.worker.drain().await;
            plain(StatusCode::ACCEPTED, "draining\n".to_owned())
        }
        "/metrics" => typed("text/plain; version=0.0.4; charset=utf-8", sources.metrics().await),
        "/" => match sources.status().await {
            Some(status) => html(page::page(&status, request.uri().query() == Some(page::REFRESH))),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "ended\n".to_owned()),
        },
        "/status" => match sources.status().await {
            Some(status) => typed("application/json", format!("{status:#}\n")),
            None => plain(StatusCode::SERVICE_UNAVAILABLE, "ended\n".to_owned()),
        },
        "/healthz" if sources.worker.turns().await => plain(StatusCode::OK, "ok\n".to_owned()),
        "/healthz" => plain(StatusCode::SERVICE_UNAVAILABLE, "the worker does not answer\n".to_owned()),
        _ => match sources.ready.missing() {
            missing if missing.is_empty() => plain(StatusCode::OK, "ready\n".to_owned()),
            missing => plain(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
        },
    }
}

impl Sources {
    /// The exposition. What the worker does not say in time is left out: a gauge that is not true would be worse than none.
    async fn metrics(&self) -> String {
        let standing = self.worker.targets().await;
        self.metrics.ready(self.ready.missing().is_empty());
        let mut text = self.metrics.render();
        if let Some(Standing { config, targets }) = standing {
            let regions = config.regions.iter();
            let ends = regions.filter_map(|region| Some((region.name.as_str(), region.tls.as_ref()?.certificate.ends)));
            certificates::expose(ends, &mut text);
            upstream::expose(&config, &targets, &mut text);
        }
        text
    }

    async fn status(&self) -> Option<serde_json::Value> {
        let (known, standing) = tokio::join!(self.control_handle.known(), self.worker.targets());
        let known = known?;
        // In the middle of a reload the two do not speak of the same regions.
        let targets = standing.filter(|standing| Arc::ptr_eq(&standing.config, &known.config)).map(|standing| standing.targets);
        let hour = self.hour();
        let own = Own { ready: &self.ready, started: self.started, hour: &hour };
        Some(status::status(&known, targets.as_deref(), own, Now::read()))
    }

    /// The last hour, brought up to date.
    fn hour(&self) -> Summary {
        let exposition = self.metrics.render();
        // Counts cannot be left half changed: they are added up before they are kept.
        let mut hour = self.hour.lock().unwrap_or_else(PoisonError::into_inner);
        let elapsed = self.started.elapsed();
        hour.look(elapsed, &exposition);
        hour.summary(elapsed)
    }
}

/// The page, which may load nothing, run nothing, be framed nowhere, and is kept nowhere.
fn html(body: String) -> Response<Full<Bytes>> {
    let mut response = typed("text/html; charset=utf-8", body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_SECURITY_POLICY, page::POLICY.clone());
    for (name, value) in [(REFERRER_POLICY, "no-referrer"), (X_CONTENT_TYPE_OPTIONS, "nosniff"), (CACHE_CONTROL, "no-store")] {
        headers.insert(name, HeaderValue::from_static(value));
    }
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::task::JoinHandle;

    use super::*;
    use crate::admin::{Known, Latch, Question, Questions};
    use crate::config::{Config, RegionId, Transport};
    use crate::core::io::{Failure, Health, TargetStatus};

    struct Admin {
        addr: std::net::SocketAddr,
        ready: Arc<Ready>,
        config: Arc<Config>,
        questions: Questions,
        sources: Arc<Sources>,
        serving: JoinHandle<()>,
    }

    /// The endpoints of a daemon with the region `eu`, whose worker is the test.
    async fn admin() -> Admin {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/8\"]\nupstream = \"10.0.0.1\"\n[project.acme]\n";
        let config = Arc::new(crate::config::parse(Path::new("test.toml"), text).unwrap());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let ready = Arc::new(Ready::default());
        let ((worker, questions), (control_handle, mut asked)) = (WorkerHandle::new(), ControlHandle::new());
        let known = Arc::clone(&config);
        tokio::spawn(async move {
            while let Some(answer) = asked.recv().await {
                let (config, loaded) = (Arc::clone(&known), Instant::now());
                let _ = answer.send(Known { config, loaded, names: Vec::new() });
            }
        });
        let (metrics, started) = (Arc::new(Metrics::new()), Instant::now());
        let hour = Mutex::default();
        let connections = Connections::default();
        let sources =
            Arc::new(Sources { metrics, ready: Arc::clone(&ready), worker, control_handle, started, hour, connections });
        let serving = tokio::spawn(serve(listener, Arc::clone(&sources)));
        Admin { addr, ready, config, questions, sources, serving }
    }

    /// A worker with one target, in this state.
    fn work(mut questions: Questions, config: &Arc<Config>, state: Health) -> JoinHandle<Questions> {
        let config = Arc::clone(config);
        tokio::spawn(async move {
            let since = Instant::now();
            let (addr, heard, failure) = ("10.0.0.1:5060".parse().unwrap(), Some(since), Some(Failure::Silent));
            let target =
                TargetStatus { region: RegionId(0), addr, transport: Transport::Udp, state, since, heard, failure, relay: false };
            match questions.recv().await.unwrap() {
                Question::Turns(answer) | Question::Drain(answer) => answer.send(()).unwrap(),
                Question::Targets(answer) => answer.send(Standing { config, targets: vec![target] }).unwrap(),
            }
            questions
        })
    }

    /// Status code and everything else.
    async fn ask(addr: std::net::SocketAddr, request: &str) -> (u16, String) {
        asked(addr, &format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")).await
    }

    async fn asked(addr: std::net::SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        (answer[9..12].parse().unwrap(), answer)
    }

    #[tokio::test]
    async fn each_path_answers_what_it_says() {
        let admin = admin().await;
        let (code, body) = ask(admin.addr, "GET /metrics").await;
        assert!(code == 200 && body.contains("\nringfence_build_info{version=") && body.contains("text/plain; version=0.0.4"));
        assert!(body.contains("\nprocess_open_fds "), "process metrics are collected at the scrape");
        assert!(body.contains("\nringfence_ready 0\n"), "{body}");
        let (code, body) = ask(admin.addr, "GET /readyz").await;
        assert!(code == 503 && body.contains("listeners are not bound yet\nnot every upstream name"), "{body}");
        admin.ready.set(Latch::Listeners, true);
        admin.ready.set(Latch::Names, true);
        assert_eq!(ask(admin.addr, "GET /readyz").await.0, 200);
        assert!(ask(admin.addr, "GET /metrics").await.1.contains("\nringfence_ready 1\n"));
        admin.ready.drain();
        let (code, body) = ask(admin.addr, "GET /readyz").await;
        assert!(code == 503 && body.ends_with("draining\n"), "{body}");
        assert_eq!(ask(admin.addr, "GET /metrics/").await.0, 404);
        let (code, body) = ask(admin.addr, "POST /readyz").await;
        assert!(code == 405 && body.contains("allow: GET, HEAD"), "{body}");
        assert_eq!(ask(admin.addr, "HEAD /metrics").await.0, 200);
        assert_eq!(ask(admin.addr, "DELETE /nowhere").await.0, 404);
    }

    #[tokio::test]
    async fn a_drain_is_asked_for_by_post_and_by_nothing_else() {
        let admin = admin().await;
        for method in ["GET", "HEAD", "PUT"] {
            let (code, body) = ask(admin.addr, &format!("{method} /drain")).await;
            assert!(code == 405 && body.contains("allow: POST"), "{body}");
        }
        let mut page = TcpStream::connect(admin.addr).await.unwrap();
        let form = b"POST /drain HTTP/1.1\r\nHost: a\r\nOrigin: http://elsewhere.example\r\nConnection: close\r\n\r\n";
        page.write_all(form).await.unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
        assert!(!admin.ready.is_draining());
        let mut questions = admin.questions;
        for _ in 0..2 {
            let worker = work(questions, &admin.config, Health::Up);
            assert_eq!(ask(admin.addr, "POST /drain").await.0, 202);
            assert!(admin.ready.is_draining());
            questions = worker.await.unwrap();
        }
    }

    #[tokio::test]
    async fn at_the_end_the_answer_at_hand_leaves_and_nobody_else_is_waited_for() {
        let Admin { addr, sources, serving, mut questions, .. } = admin().await;
        let mut idle = TcpStream::connect(addr).await.unwrap();
        idle.write_all(b"GET /readyz HTTP/1.1\r\nHost: a\r\n\r\n").await.unwrap();
        assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0, "answered, and kept open");
        let asked = tokio::spawn(ask(addr, "GET /healthz"));
        let Some(Question::Turns(answer)) = questions.recv().await else { panic!("the worker is asked") };
        serving.abort();
        let ending = tokio::spawn(async move { sources.connections.end().await });
        assert_eq!(idle.read(&mut [0; 1024]).await.unwrap(), 0, "closed");
        answer.send(()).unwrap();
        assert_eq!(asked.await.unwrap().0, 200);
        ending.await.unwrap();
    }

    #[tokio::test]
    async fn health_is_the_worker_answering() {
        let admin = admin().await;
        let worker = work(admin.questions, &admin.config, Health::Up);
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 200);
        // Nobody answers now: the loop hangs.
        let questions = worker.await.unwrap();
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 503);
        drop(questions);
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 503, "and now it is gone");
    }

    #[tokio::test]
    async fn targets_are_asked_of_the_worker_at_each_scrape() {
        let Admin { addr, mut questions, config, .. } = admin().await;
        for (state, value) in [(Health::Up, 1), (Health::Rising, 1), (Health::Down, 0)] {
            let worker = work(questions, &config, state);
            let (_, body) = ask(addr, "GET /metrics").await;
            let series = format!("\nringfence_upstream_up{{region=\"eu\",target=\"udp:10.0.0.1:5060\"}} {value}\n");
            assert!(body.contains(&series), "{body}");
            questions = worker.await.unwrap();
        }
        let worker = work(questions, &config, Health::Down);
        let (code, body) = ask(addr, "GET /status").await;
        assert!(code == 200 && body.contains("content-type: application/json"), "{body}");
        let status = object(&body);
        let target = &status["regions"][0]["targets"][0];
        assert_eq!((&target["state"], &target["why"]), (&"down".into(), &"silent".into()), "{status}");
        // Nobody answers now: what is not known is not told.
        let questions = worker.await.unwrap();
        let (code, body) = ask(addr, "GET /status").await;
        assert_eq!((code, &object(&body)["regions"][0]["targets"]), (200, &serde_json::Value::Null), "{body}");
        drop(questions);
        assert!(!ask(addr, "GET /metrics").await.1.contains("ringfence_upstream_up"));
    }

    fn object(answer: &str) -> serde_json::Value {
        serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
    }

    #[tokio::test]
    async fn slow_scrapers_cost_themselves() {
        let admin = admin().await;
        let mut slow = Vec::new();
        for _ in 0..CONNECTIONS {
            let mut stream = TcpStream::connect(admin.addr).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\nHo").await.unwrap();
            slow.push(stream);
        }
        // Every place is taken; this one waits until they are thrown out.
        let before = tokio::time::Instant::now();
        assert_eq!(ask(admin.addr, "GET /metrics").await.0, 200);
        assert!(before.elapsed() < HEADER * 3, "{:?}", before.elapsed());
        for mut stream in slow {
            let mut answer = Vec::new();
            // Closed, politely or not.
            let _ = stream.read_to_end(&mut answer).await;
        }
    }
}
