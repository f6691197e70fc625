//! The HTTP server behind the endpoints.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{ALLOW, CONTENT_TYPE};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, mpsc, oneshot};

use super::Ready;
use crate::telemetry::Metrics;

/// Connections served at a time; more wait in the kernel.
const CONNECTIONS: usize = 32;
/// How long a request's header section may take.
const HEADER: Duration = Duration::from_secs(2);
/// How long a connection may last, whatever its peer does.
const CONNECTION: Duration = Duration::from_secs(30);
/// Octets of a header section.
const HEADER_OCTETS: usize = 16 * 1024;
/// The pause after the system refused to accept.
const REFUSED: Duration = Duration::from_millis(100);

/// How long the worker's loop may take to turn.
const TURN: Duration = Duration::from_secs(1);

/// Asks whether the worker's loop turns: it answers each of these as it goes round.
pub(crate) type Pulse = mpsc::Sender<oneshot::Sender<()>>;

/// Serves the endpoints for ever.
pub(crate) async fn serve(listener: TcpListener, metrics: Arc<Metrics>, ready: Arc<Ready>, pulse: Pulse) {
    let permits = Arc::new(Semaphore::new(CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else {
            tokio::time::sleep(REFUSED).await;
            continue;
        };
        let connection = connection(stream, Arc::clone(&metrics), Arc::clone(&ready), pulse.clone());
        tokio::spawn(async move {
            connection.await;
            drop(permit);
        });
    }
}

async fn connection(stream: TcpStream, metrics: Arc<Metrics>, ready: Arc<Ready>, pulse: Pulse) {
    let service = service_fn(move |request: Request<Incoming>| {
        let (metrics, ready, pulse) = (Arc::clone(&metrics), Arc::clone(&ready), pulse.clone());
        async move { Ok::<_, Infallible>(answer(&request, &metrics, &ready, &pulse).await) }
    });
    let serving = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER)
        .max_header_size(HEADER_OCTETS)
        .serve_connection(TokioIo::new(stream), service);
    // An error here is the scraper's: it went away, or sent no HTTP.
    let _ = tokio::time::timeout(CONNECTION, serving).await;
}

async fn answer<B>(request: &Request<B>, metrics: &Metrics, ready: &Ready, pulse: &Pulse) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    if !matches!(path, "/metrics" | "/healthz" | "/readyz") {
        return plain(StatusCode::NOT_FOUND, "not found: /metrics, /healthz, /readyz\n".to_owned());
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut response = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        response.headers_mut().insert(ALLOW, hyper::header::HeaderValue::from_static("GET, HEAD"));
        return response;
    }
    match path {
        "/metrics" => {
            let mut response = plain(StatusCode::OK, metrics.render());
            let kind = hyper::header::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, kind);
            response
        }
        "/healthz" if turns(pulse).await => plain(StatusCode::OK, "ok\n".to_owned()),
        "/healthz" => plain(StatusCode::SERVICE_UNAVAILABLE, "the worker does not answer\n".to_owned()),
        _ => match ready.missing() {
            missing if missing.is_empty() => plain(StatusCode::OK, "ready\n".to_owned()),
            missing => plain(StatusCode::SERVICE_UNAVAILABLE, missing.join("\n") + "\n"),
        },
    }
}

/// Whether the worker's loop turns.
pub(crate) async fn turns(pulse: &Pulse) -> bool {
    let asked = async {
        let (answer, answered) = oneshot::channel();
        pulse.send(answer).await.is_ok() && answered.await.is_ok()
    };
    tokio::time::timeout(TURN, asked).await.unwrap_or(false)
}

fn plain(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;
    use crate::admin::Latch;

    struct Admin {
        addr: std::net::SocketAddr,
        ready: Arc<Ready>,
        asked: mpsc::Receiver<oneshot::Sender<()>>,
    }

    async fn admin() -> Admin {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let ready = Arc::new(Ready::default());
        let (pulse, asked) = mpsc::channel(8);
        tokio::spawn(serve(listener, Arc::new(Metrics::new()), Arc::clone(&ready), pulse));
        Admin { addr, ready, asked }
    }

    /// Status code and everything else.
    async fn ask(addr: std::net::SocketAddr, request: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        let request = format!("{request} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n");
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
        let (code, body) = ask(admin.addr, "GET /readyz").await;
        assert!(code == 503 && body.contains("listeners are not bound yet\nnot every upstream name"), "{body}");
        admin.ready.set(Latch::Listeners, true);
        admin.ready.set(Latch::Targets, true);
        assert_eq!(ask(admin.addr, "GET /readyz").await.0, 200);
        admin.ready.drain();
        let (code, body) = ask(admin.addr, "GET /readyz").await;
        assert!(code == 503 && body.ends_with("draining\n"), "{body}");
        assert_eq!(ask(admin.addr, "GET /").await.0, 404);
        assert_eq!(ask(admin.addr, "GET /metrics/").await.0, 404);
        let (code, body) = ask(admin.addr, "POST /readyz").await;
        assert!(code == 405 && body.contains("allow: GET, HEAD"), "{body}");
        assert_eq!(ask(admin.addr, "HEAD /metrics").await.0, 200);
        assert_eq!(ask(admin.addr, "DELETE /nowhere").await.0, 404);
    }

    #[tokio::test]
    async fn health_is_the_worker_answering() {
        let mut admin = admin().await;
        let worker = tokio::spawn(async move {
            admin.asked.recv().await.unwrap().send(()).unwrap();
            admin.asked
        });
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 200);
        // Nobody answers now: the loop hangs.
        let asked = worker.await.unwrap();
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 503);
        drop(asked);
        assert_eq!(ask(admin.addr, "GET /healthz").await.0, 503, "and now it is gone");
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
