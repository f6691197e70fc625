//! A daemon inside the test: its limits on streams, its reloads, its start and end.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use ringfence::config::Config;
use ringfence::net::{Daemon, RunError};
use socket2::{Domain, Socket, Type};

const PATIENCE: Duration = Duration::from_secs(10);

/// Every test has a network of its own inside 127.0.0.0/8, and the well-known port.
fn config(network: u8, more: &str) -> Config {
    config_of(&format!("sip:127.52.{network}.200"), network, more)
}

/// The same with another upstream.
fn config_of(upstream: &str, network: u8, more: &str) -> Config {
    let text = format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.sip.example.com\"\n\
         listen = [\"udp:127.52.{network}.1:5060\", \"tcp:127.52.{network}.1:5060\"]\n\
         networks = [\"127.52.{network}.128/25\"]\nupstream = \"{upstream}\"\n\
         [project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\nnetworks = [\"127.52.{network}.0/25\"]\n\
         [admin]\nlisten = \"127.52.{network}.1:9090\"\n[health]\ninterval = \"0s\"\n{more}"
    );
    ringfence::config::parse(Path::new("test.toml"), &text).unwrap()
}

fn start(config: Config) -> Daemon {
    let daemon = Daemon::start(Arc::new(config)).unwrap();
    assert!(daemon.ready(PATIENCE), "{:?}", daemon.missing());
    daemon
}

fn connect(daemon: &Daemon, from: &str) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from.parse::<IpAddr>().unwrap(), 0).into()).unwrap();
    socket.connect(&daemon.listeners()[1].into()).unwrap();
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream
}

fn options(stream: &TcpStream, branch: &str) -> String {
    let (from, to) = (stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    format!(
        "OPTIONS sip:acme.eu.sip.example.com SIP/2.0\r\nVia: SIP/2.0/TCP {from};branch=z9hG4bK{branch}\r\n\
         Max-Forwards: 70\r\nFrom: <sip:a@{from}>;tag={branch}\r\nTo: <sip:acme.eu.sip.example.com>\r\n\
         Call-ID: {branch}@{to}\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
    )
}

/// Reads until the end of a message without a body.
fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut octet = [0];
        assert_eq!(stream.read(&mut octet).unwrap(), 1, "closed after {:?}", String::from_utf8_lossy(&text));
        text.push(octet[0]);
    }
    String::from_utf8(text).unwrap()
}

fn asked(stream: &mut TcpStream, branch: &str) -> String {
    let request = options(stream, branch);
    stream.write_all(request.as_bytes()).unwrap();
    answer(stream)
}

/// Asks on each of these connections, and gets an answer.
fn all_served(streams: &mut [TcpStream]) {
    for (at, stream) in streams.iter_mut().enumerate() {
        assert!(asked(stream, &format!("a{at}")).starts_with("SIP/2.0 200 "), "{at}");
    }
}

/// Waits until so many connections are open, then opens one and asks on it.
fn is_served_when(daemon: &Daemon, open: u64, from: &str) {
    until("a place is free", || metric(daemon, "ringfence_connections{region=\"eu\",transport=\"tcp\"}") == open);
    assert!(asked(&mut connect(daemon, from), "c").starts_with("SIP/2.0 200 "));
}

/// Whether the daemon has closed the connection, without another octet.
fn closed(stream: &mut TcpStream) -> bool {
    match stream.read(&mut [0; 1]) {
        Ok(octets) => octets == 0,
        Err(error) => error.kind() == ErrorKind::ConnectionReset,
    }
}

fn metric(daemon: &Daemon, series: &str) -> u64 {
    let text = daemon.metrics();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.unwrap_or_else(|| panic!("{series} is not there:\n{text}")).parse().unwrap()
}

fn dropped(daemon: &Daemon, cause: &str) -> u64 {
    metric(daemon, &format!("ringfence_dropped_total{{region=\"eu\",cause=\"{cause}\"}}"))
}

/// Waits until the metrics say so; they are counted on another thread.
fn until(what: &str, reached: impl Fn() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !reached() {
        assert!(Instant::now() < end, "{what}");
        std::thread::yield_now();
    }
}

#[test]
fn one_source_cannot_take_all_connections() {
    let mut config = config(1, "");
    config.limits.connections_per_source = 3;
    let daemon = start(config);
    let mut open: Vec<TcpStream> = (0..3).map(|_| connect(&daemon, "127.52.1.2")).collect();
    all_served(&mut open);
    assert!(closed(&mut connect(&daemon, "127.52.1.2")));
    assert_eq!(dropped(&daemon, "source-connections"), 1);
    assert!(asked(&mut connect(&daemon, "127.52.1.3"), "b").starts_with("SIP/2.0 200 "), "another source");
    // A place that is given back can be taken.
    open.pop();
    is_served_when(&daemon, 2, "127.52.1.2");
}

#[test]
fn beyond_all_connections_a_new_one_is_closed_at_once() {
    let mut config = config(2, "");
    config.limits.connections = 2;
    let daemon = start(config);
    let mut first = connect(&daemon, "127.52.2.2");
    let mut second = connect(&daemon, "127.52.2.3");
    assert!(asked(&mut first, "a").starts_with("SIP/2.0 200 "));
    assert!(asked(&mut second, "b").starts_with("SIP/2.0 200 "));
    assert!(closed(&mut connect(&daemon, "127.52.2.4")), "one trunk holds all of them: none of its own makes room");
    assert_eq!(dropped(&daemon, "connections"), 1);
    assert!(asked(&mut first, "d").starts_with("SIP/2.0 200 "), "those that are open go on");
    drop(second);
    is_served_when(&daemon, 1, "127.52.2.4");
}

#[test]
fn whoever_holds_the_most_makes_room_for_others() {
    let mut config = config(21, "[project.other.trunk.two]\nnetworks = [\"127.53.21.0/25\"]\n");
    config.limits.connections = 4;
    let daemon = start(config);
    let mut held: Vec<TcpStream> = (0..4).map(|at| connect(&daemon, &format!("127.52.21.{}", 2 + at))).collect();
    all_served(&mut held);
    let mut other = connect(&daemon, "127.53.21.2");
    assert!(asked(&mut other, "b").starts_with("SIP/2.0 "));
    assert!(closed(&mut held.remove(0)), "the one that was silent longest");
    let mut server = connect(&daemon, "127.52.21.200");
    assert!(asked(&mut server, "c").starts_with("SIP/2.0 "));
    assert_eq!(dropped(&daemon, "evicted"), 2);
    assert!(asked(&mut held[2], "d").starts_with("SIP/2.0 200 "), "its others go on");
    assert!(closed(&mut connect(&daemon, "127.52.21.9")), "and it takes none of others' in return");
    assert!(asked(&mut other, "e").starts_with("SIP/2.0 "));
}

#[test]
fn strangers_make_room_for_each_other_and_for_those_who_are_known() {
    let mut config = config(22, "");
    config.limits.connections = 8;
    let daemon = start(config);
    let mut strangers: Vec<TcpStream> = (0..6).map(|at| connect(&daemon, &format!("127.99.22.{}", 2 + at))).collect();
    until("the first four have gone", || dropped(&daemon, "evicted") == 4);
    assert!(strangers.iter_mut().take(4).all(closed));
    let mut known: Vec<TcpStream> = (0..7).map(|at| connect(&daemon, &format!("127.52.22.{}", 2 + at))).collect();
    all_served(&mut known);
    assert!(closed(&mut strangers[4]));
    assert!(asked(&mut strangers[5], "b").starts_with("SIP/2.0 403 "), "a part is left to strangers");
}

#[test]
fn a_stranger_does_not_stay_by_pings() {
    let daemon = start(config(23, ""));
    let begin = Instant::now();
    let (mut stranger, mut known) = (connect(&daemon, "127.99.23.2"), connect(&daemon, "127.52.23.2"));
    stranger.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(asked(&mut stranger, "a").starts_with("SIP/2.0 403 "));
    let ended = (0..200).any(|_| {
        let gone = stranger.write_all(b"\r\n\r\n").is_err();
        std::thread::sleep(Duration::from_millis(20));
        gone || stranger.read(&mut [0; 64]).is_ok_and(|octets| octets == 0)
    });
    assert!(ended || closed(&mut stranger) || begin.elapsed() >= Duration::from_secs(4), "{:?}", begin.elapsed());
    until("it is closed", || dropped(&daemon, "stranger") == 1);
    assert!(begin.elapsed() >= Duration::from_secs(4) && begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert!(asked(&mut known, "b").starts_with("SIP/2.0 200 "));
}

#[test]
fn a_busy_connection_is_not_slow() {
    let mut config = config(24, "");
    config.limits.partial = Duration::from_millis(200);
    let daemon = start(config);
    let mut stream = connect(&daemon, "127.52.24.2");
    let mut rest = Vec::new();
    for at in 0..30 {
        let request = options(&stream, &format!("a{at}")).into_bytes();
        let (first, second) = request.split_at(request.len() / 2);
        stream.write_all(&[rest.as_slice(), first].concat()).unwrap();
        rest = second.to_vec();
        std::thread::sleep(Duration::from_millis(20));
    }
    stream.write_all(&rest).unwrap();
    for _ in 0..30 {
        assert!(answer(&mut stream).starts_with("SIP/2.0 200 "));
    }
    assert_eq!(dropped(&daemon, "partial"), 0);
}

fn invite(stream: &TcpStream, branch: &str) -> String {
    options(stream, branch).replace("OPTIONS", "INVITE").replace("Max-Forwards", "Contact: <sip:a@127.0.0.1>\r\nMax-Forwards")
}

/// A call that rings at a server until the server says so.
fn ringing(daemon: &Daemon, network: u8) -> (TcpStream, UdpSocket, String, SocketAddr) {
    let server = UdpSocket::bind(format!("127.52.{network}.200:5060")).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut stream = connect(daemon, &format!("127.52.{network}.2"));
    let request = invite(&stream, "ring");
    stream.write_all(request.as_bytes()).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 100 "));
    let mut datagram = [0; 4096];
    let (octets, from) = server.recv_from(&mut datagram).unwrap();
    let request = String::from_utf8(datagram[..octets].to_vec()).unwrap();
    let rows: Vec<&str> = request.lines().skip(1).filter(|row| !row.starts_with("Contact") && !row.starts_with("Max")).collect();
    let answer = rows.join("\r\n").replace("To: <sip:acme.eu.sip.example.com>", "To: <sip:acme.eu.sip.example.com>;tag=x");
    (stream, server, answer, from)
}

#[test]
fn a_connection_on_which_a_call_rings_is_not_idle() {
    let mut config = config(25, "");
    config.limits.idle = Duration::from_millis(300);
    let daemon = start(config);
    let (mut stream, server, reply, from) = ringing(&daemon, 25);
    assert!(closed(&mut connect(&daemon, "127.52.25.3")), "without a call it is");
    server.send_to(format!("SIP/2.0 180 Ringing\r\n{reply}\r\n\r\n").as_bytes(), from).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 180 "));
    server.send_to(format!("SIP/2.0 486 Busy Here\r\n{reply}\r\n\r\n").as_bytes(), from).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 486 "));
}

#[test]
fn whoever_says_no_more_hears_how_its_call_ends() {
    let daemon = start(config(26, ""));
    let (mut stream, server, reply, from) = ringing(&daemon, 26);
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    for line in ["180 Ringing", "486 Busy Here"] {
        server.send_to(format!("SIP/2.0 {line}\r\n{reply}\r\n\r\n").as_bytes(), from).unwrap();
        assert!(answer(&mut stream).starts_with(&format!("SIP/2.0 {line}")));
    }
}

#[test]
fn silence_and_slowness_end_a_connection_and_are_told_apart() {
    let mut config = config(3, "");
    config.limits.idle = Duration::from_millis(300);
    config.limits.partial = Duration::from_millis(100);
    let daemon = start(config);
    let begin = Instant::now();
    let (mut idle, mut slow) = (connect(&daemon, "127.52.3.2"), connect(&daemon, "127.52.3.3"));
    let request = options(&slow, "a");
    slow.write_all(&request.as_bytes()[..40]).unwrap();
    assert!(closed(&mut slow));
    let slow_for = begin.elapsed();
    assert!(closed(&mut idle));
    let idle_for = begin.elapsed();
    assert!(slow_for >= Duration::from_millis(100) && idle_for >= Duration::from_millis(300), "{slow_for:?} {idle_for:?}");
    assert_eq!(dropped(&daemon, "partial"), 1, "the idle one lost nothing");
    assert_eq!(metric(&daemon, "ringfence_received_total{region=\"eu\",transport=\"tcp\"}"), 0);
}

#[test]
fn octet_by_octet_is_no_way_to_stay() {
    let mut config = config(4, "");
    config.limits.partial = Duration::from_millis(200);
    let daemon = start(config);
    let mut slow = connect(&daemon, "127.52.4.2");
    slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    let request = options(&slow, "a");
    let begin = Instant::now();
    // Each octet comes well within the limit; the message does not.
    let ended = request.bytes().any(|octet| {
        let gone = slow.write_all(&[octet]).is_err();
        gone || slow.read(&mut [0; 1]).is_ok_and(|octets| octets == 0)
    });
    assert!(ended && begin.elapsed() < PATIENCE, "{:?}", begin.elapsed());
    assert_eq!(dropped(&daemon, "partial"), 1);
}

#[test]
fn whoever_says_no_more_is_still_answered() {
    let daemon = start(config(5, ""));
    let mut stream = connect(&daemon, "127.52.5.2");
    let request = options(&stream, "a");
    stream.write_all(request.as_bytes()).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    assert!(answer(&mut stream).starts_with("SIP/2.0 200 "));
    assert!(closed(&mut stream));
}

#[test]
fn a_reader_that_stalls_is_closed_before_memory_grows() {
    let mut config = config(6, "");
    config.limits.write_queue = 64 << 10;
    config.limits.per_source = 1_000_000;
    let daemon = start(config);
    let mut stream = connect(&daemon, "127.52.6.2");
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    let request = options(&stream, "a").repeat(100);
    let ended = (0..10_000).any(|_| stream.write_all(request.as_bytes()).is_err());
    assert!(ended, "everything was taken");
    assert_eq!(dropped(&daemon, "write-queue"), 1);
    assert!(asked(&mut connect(&daemon, "127.52.6.3"), "b").starts_with("SIP/2.0 200 "));
}

#[test]
fn a_reload_holds_from_then_on_and_one_that_fails_changes_nothing() {
    let mut daemon = start(config(7, ""));
    let digest =
        |daemon: &Daemon, config: &Config| metric(daemon, &format!("ringfence_config_info{{digest=\"{}\"}}", config.digest));
    let (old, mut new) = (config(7, ""), config(7, "[project.other]\npin = [\"eu\"]\n"));
    new.limits.connections_per_source = 1;
    let new_digest = new.digest.clone();
    let kept = connect(&daemon, "127.52.7.2");
    let series = "ringfence_config_reloads_total";
    daemon.reload(new).unwrap();
    assert_eq!((digest(&daemon, &old), metric(&daemon, &format!("{series}{{result=\"ok\"}}"))), (0, 1));
    assert_eq!(metric(&daemon, &format!("ringfence_config_info{{digest=\"{new_digest}\"}}")), 1);
    assert!(closed(&mut connect(&daemon, "127.52.7.2")), "the new limit holds");
    drop(kept);
    // One of its sockets can be had, the other is taken: neither is.
    let taken = UdpSocket::bind("127.52.8.1:5060").unwrap();
    let error = daemon.reload(config(8, "")).unwrap_err();
    assert!(error.contains("udp:127.52.8.1:5060 of region eu") && error.contains("in use"), "{error}");
    assert_eq!(metric(&daemon, &format!("{series}{{result=\"failed\"}}")), 1);
    assert_eq!(metric(&daemon, &format!("ringfence_config_info{{digest=\"{new_digest}\"}}")), 1, "nothing has changed");
    assert!(TcpStream::connect("127.52.8.1:5060").is_err());
    assert!(get(&daemon, "/status").contains(&new_digest));
    drop(taken);
    daemon.reload(config(8, "")).unwrap();
    assert!(asked(&mut connect(&daemon, "127.52.8.2"), "a").starts_with("SIP/2.0 200 "));
    assert_eq!(daemon.admin().unwrap().to_string(), "127.52.8.1:9090");
    until("the old endpoint is gone", || TcpStream::connect("127.52.7.1:9090").is_err());
    assert!(get(&daemon, "/readyz").contains("ready"));
}

#[test]
fn a_socket_that_is_taken_is_named() {
    let daemon = start(config(9, ""));
    let error = Daemon::start(Arc::new(config(9, ""))).unwrap_err();
    assert!(matches!(error, RunError::Bind { .. }));
    let text = error.to_string();
    assert!(text.contains("udp:127.52.9.1:5060 of region eu") && text.contains("in use"), "{text}");
    daemon.stop().unwrap();
    // And it is given back at the end.
    start(config(9, "")).stop().unwrap();
}

#[test]
fn an_idle_daemon_stops_at_once_and_may_be_dropped_inside_a_runtime() {
    let begin = Instant::now();
    let daemon = start(config(10, ""));
    let mut stream = connect(&daemon, "127.52.10.2");
    assert!(asked(&mut stream, "a").starts_with("SIP/2.0 200 "));
    until("the answered OPTIONS holds nothing", || {
        let text = daemon.metrics();
        text.lines().filter(|line| line.starts_with("ringfence_transactions{")).all(|line| line.ends_with(" 0"))
    });
    let stopping = std::thread::spawn(move || daemon.stop());
    assert!(closed(&mut stream), "told by an end of stream");
    drop(stream);
    stopping.join().unwrap().unwrap();
    assert!(begin.elapsed() < PATIENCE);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async { drop(start(config(10, ""))) });
}

#[test]
fn not_ready_while_a_name_of_a_served_region_is_unknown() {
    let server = UdpSocket::bind("127.52.11.9:0").unwrap();
    let dns = format!("[dns]\nservers = [\"{}\"]\n", server.local_addr().unwrap());
    // Another region's name is asked for too, but nobody waits for it. A trunk's is not asked for.
    let us = "[region.us]\nhostname = \"us.example.com\"\nnetworks = [\"10.0.0.0/8\"]\nupstream = \"sip:b.example.net\"\n";
    let trunk = "[project.acme.trunk.out]\nnetworks = [\"192.0.2.0/24\"]\nuri = \"sip:c.example.net\"\n";
    let daemon = start(config(11, &format!("{dns}{us}{trunk}")));
    let mut question = [0; 512];
    let read = server.recv(&mut question).unwrap();
    assert!(question[..read].windows(2).any(|at| at.eq_ignore_ascii_case(b"\x01b")));
    drop(daemon);
    let daemon = Daemon::start(Arc::new(config_of("sip:a.example.net", 11, &dns))).unwrap();
    // The server has been asked and says nothing.
    server.recv_from(&mut [0; 512]).unwrap();
    assert!(!daemon.ready(Duration::from_millis(50)));
    assert_eq!(daemon.missing(), ["not every upstream name has been resolved yet"]);
}

/// What the admin endpoint says.
fn get(daemon: &Daemon, path: &str) -> String {
    let mut stream = TcpStream::connect(daemon.admin().unwrap()).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
    body.to_owned()
}

fn status(daemon: &Daemon) -> serde_json::Value {
    serde_json::from_str(&get(daemon, "/status")).unwrap()
}

/// Answers every request with 200, until something comes that is none.
fn serve(server: &UdpSocket) {
    loop {
        let mut buffer = [0; 2000];
        let (length, from) = server.recv_from(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        if !text.contains("SIP/2.0") {
            return;
        }
        let kept = |line: &&str| ["Via:", "From:", "To:", "Call-ID:", "CSeq:"].iter().any(|name| line.starts_with(name));
        let rows: Vec<_> = text.split("\r\n").filter(kept).collect();
        let answer = format!("SIP/2.0 200 OK\r\n{}\r\nContent-Length: 0\r\n\r\n", rows.join("\r\n"));
        server.send_to(answer.as_bytes(), from).unwrap();
    }
}

#[test]
fn a_server_that_goes_is_seen_to_go() {
    let server = UdpSocket::bind("127.52.14.200:5060").unwrap();
    let serving = std::thread::spawn(move || serve(&server));
    let mut config = config(14, "");
    config.health.interval = Some(Duration::from_millis(100));
    let daemon = start(config);
    let target = |daemon: &Daemon| status(daemon)["regions"][0]["targets"][0].clone();
    let up = "ringfence_upstream_up{region=\"eu\",target=\"udp:127.52.14.200:5060\"}";
    until("it is heard", || !target(&daemon)["heard"].is_null());
    let heard = target(&daemon);
    assert_eq!((&heard["state"], &heard["address"], &heard["why"]), (&"up".into(), &"127.52.14.200:5060".into(), &().into()));
    assert!(get(&daemon, "/metrics").contains(&format!("\n{up} 1\n")));
    UdpSocket::bind("127.52.14.200:0").unwrap().send_to(b"enough", "127.52.14.200:5060").unwrap();
    serving.join().unwrap();
    until("it is down", || target(&daemon)["state"] == "down");
    let down = target(&daemon);
    // What came before its end and was not read is silence; after that the system says that nobody is there.
    assert!(down["why"] == "unreachable" || down["why"] == "silent", "{down}");
    assert!(!down["heard"].is_null() && down["since_seconds"].is_u64(), "{down}");
    assert!(get(&daemon, "/metrics").contains(&format!("\n{up} 0\n")));
}

#[test]
fn status_is_of_the_configuration_in_force() {
    let mut daemon = start(config(13, ""));
    let before = status(&daemon);
    assert_eq!((&before["ready"], &before["draining"]), (&true.into(), &false.into()), "{before}");
    assert_eq!(before["regions"][0]["networks"], serde_json::json!(["127.52.13.128/25"]));
    assert!(before["regions"][0]["targets"].is_array() && before["names"] == serde_json::json!([]), "{before}");
    let server = UdpSocket::bind("127.52.13.9:0").unwrap();
    let more = format!("[dns]\nservers = [\"{}\"]\n", server.local_addr().unwrap());
    let text =
        more + "[project.other]\n[project.other.trunk.out]\nnetworks = [\"192.0.2.0/24\"]\nuri = \"sip:a.example.net:5070\"\n";
    let (name, digest) = (config(13, &text), config(13, &text).digest);
    daemon.reload(name).unwrap();
    let after = status(&daemon);
    assert_eq!(after["configuration"]["digest"], digest.as_str());
    let name = &after["names"][0];
    assert_eq!((&name["name"], &name["servers"]), (&"sip:a.example.net:5070".into(), &serde_json::json!([])), "{after}");
    assert_eq!(name["uses"], serde_json::json!(["trunk out of other"]));
    assert_eq!((&after["ready"], &name["state"]), (&true.into(), &"unasked".into()), "nobody has called it");
}

#[test]
fn a_flood_on_one_socket_starves_no_other() {
    let daemon = start(config(12, ""));
    let (flooding, to) = (AtomicBool::new(true), daemon.listeners()[0]);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| {
                let socket = UdpSocket::bind("127.52.12.66:0").unwrap();
                while flooding.load(Ordering::Relaxed) {
                    // A full send buffer is no reason to stop.
                    let _ = socket.send_to(&[b'x'; 900], to);
                }
            });
        }
        let received = "ringfence_received_total{region=\"eu\",transport=\"udp\"}";
        let before = metric(&daemon, received);
        until("the flood is on", || metric(&daemon, received) > before + 10_000);
        let begin = Instant::now();
        let mut stream = connect(&daemon, "127.52.12.2");
        for at in 0..20 {
            assert!(asked(&mut stream, &format!("a{at}")).starts_with("SIP/2.0 200 "));
        }
        daemon.stop().unwrap();
        // About a second when each has its turn; minutes, often, when a socket is read until it is empty.
        assert!(begin.elapsed() < PATIENCE / 2, "{:?}", begin.elapsed());
        flooding.store(false, Ordering::Relaxed);
    });
}
