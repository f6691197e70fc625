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
const HEADER: Duration = Duration::from_secs(5);
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

async fn turns(pulse: &Pulse) -> bool {
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
