//! The endpoints asked over HTTP, with a worker that the test plays.

use std::path::Path;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;
use crate::admin::{Known, Latch, Question, Questions};
use crate::config::{Config, RegionId, Transport};
use crate::core::io::{Failure, Health, TargetStatus};

struct Admin {
    addr: SocketAddr,
    ready: Arc<Ready>,
    config: Arc<Config>,
    questions: Questions,
    sources: Arc<Sources>,
    serving: JoinHandle<()>,
    _watchers: crate::telemetry::watch::Watchers,
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
    let own_hosts = Mutex::new(Arc::new(OwnHosts::of(&config)));
    let (watch_door, watchers) = crate::telemetry::watch::watchers(&metrics);
    let refused = Mutex::new(RefusedRing::new(&config));
    let sources = Arc::new(Sources {
        metrics,
        ready: Arc::clone(&ready),
        worker,
        control_handle,
        started,
        hour,
        connections,
        watch_door,
        reload_door: ReloadDoor::new().0,
        names_in_trouble: Mutex::default(),
        refused,
        own_hosts,
        audit: None,
    });
    let serving = tokio::spawn(serve(listener, Arc::clone(&sources)));
    Admin { _watchers: watchers, addr, ready, config, questions, sources, serving }
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
            Question::Realtime(..) => panic!("no gate asks here"),
            Question::Targets(answer) => {
                answer.send(Standing { config, targets: vec![target], gateways: Vec::new(), octets: 0 }).unwrap();
            }
        }
        questions
    })
}

/// Status code and everything else.
async fn ask(addr: SocketAddr, request: &str) -> (u16, String) {
    asked(addr, &format!("{request} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")).await
}

async fn asked(addr: SocketAddr, request: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    (answer[9..12].parse().unwrap(), answer)
}

#[tokio::test]
async fn a_page_of_another_name_reads_nothing_and_drains_nothing() {
    let admin = admin().await;
    for (method, path) in [("GET", "/"), ("GET", "/status"), ("GET", "/metrics"), ("POST", "/drain"), ("GET", "/none")] {
        let (code, body) =
            asked(admin.addr, &format!("{method} {path} HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")).await;
        assert!(code == 421 && body.contains("`hosts` of [admin]") && !body.contains("ringfence_"), "{path}: {body}");
    }
    assert_eq!(asked(admin.addr, "GET /readyz HTTP/1.0\r\n\r\n").await.0, 503, "who names nobody is no browser");
    let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
         networks = [\"10.0.0.0/8\"]\nupstream = \"10.0.0.1\"\n[admin]\nhosts = [\"Ringfence.internal\"]\n";
    admin.sources.configure(&crate::config::parse(Path::new("test.toml"), text).unwrap());
    let (code, _) = asked(admin.addr, "GET /readyz HTTP/1.1\r\nHost: ringfence.INTERNAL:9090\r\nConnection: close\r\n\r\n").await;
    assert_eq!(code, 503, "by a reload");
}

#[tokio::test]
async fn no_page_watches() {
    let admin = admin().await;
    for row in ["Origin: http://localhost", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site"] {
        let request = format!("GET /watch HTTP/1.1\r\nHost: localhost\r\n{row}\r\nConnection: close\r\n\r\n");
        let (code, body) = asked(admin.addr, &request).await;
        assert!(code == 403 && body.ends_with("not from a page\n"), "{row}: {body}");
    }
    let (code, body) = ask(admin.addr, "HEAD /watch").await;
    assert!(code == 405 && body.contains("allow: GET\r\n"), "{body}");
    assert_eq!(admin.sources.watch_door.count(), 0);
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

/// A probe of the daemon's health waits for nobody's slow reader.
#[tokio::test]
async fn whoever_takes_all_connections_makes_room() {
    let admin = admin().await;
    let mut slow = Vec::new();
    for _ in 0..CONNECTIONS + 8 {
        let mut stream = TcpStream::connect(admin.addr).await.unwrap();
        stream.write_all(b"GET /ref").await.unwrap();
        slow.push(stream);
    }
    let (code, _) = ask(admin.addr, "GET /refused").await;
    assert_eq!(code, 200);
    // The oldest ones made room, and no more than were needed.
    let mut octet = [0];
    assert_eq!(slow[0].read(&mut octet).await.unwrap_or(0), 0);
    let mut open = 0;
    for stream in &mut slow {
        open += usize::from(tokio::time::timeout(Duration::from_millis(10), stream.read(&mut octet)).await.is_err());
    }
    assert_eq!(open, CONNECTIONS - 1);
}

#[tokio::test]
async fn a_drain_is_asked_for_by_post_and_by_nothing_else() {
    let admin = admin().await;
    for method in ["GET", "HEAD", "PUT"] {
        let (code, body) = ask(admin.addr, &format!("{method} /drain")).await;
        assert!(code == 405 && body.contains("allow: POST"), "{body}");
    }
    for row in ["Origin: http://elsewhere.example", "Sec-Fetch-Site: cross-site"] {
        let mut page = TcpStream::connect(admin.addr).await.unwrap();
        let form = format!("POST /drain HTTP/1.1\r\nHost: localhost\r\n{row}\r\nConnection: close\r\n\r\n");
        page.write_all(form.as_bytes()).await.unwrap();
        let mut answer = String::new();
        page.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 403 "), "{answer}");
    }
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
    idle.write_all(b"GET /refused HTTP/1.1\r\nHost: localhost\r\n\r\n").await.unwrap();
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
