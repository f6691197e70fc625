//! A Redis, a memcached and a name server inside the region, which would take a SIP message for something else: whoever has a call
//! through the daemon does not reach them, nor what is outside by a proxy of the region.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use super::apart::apart;
use super::capture::Capture;
use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::{URI, await_tcp};
use crate::harness::message::sdp;
use crate::harness::process::Process;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

/// Says something to a store, and returns what it answers.
fn said(store: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(store).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// How many connections it has taken so far, this one too: `stats` asks it, and the number stands behind `name`.
fn connections(store: SocketAddr, stats: &str, name: &str) -> u64 {
    let said = said(store, stats);
    let line = said.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{said}"))
}

/// A call to a server; `behind`: by a Kamailio of the region.
fn call(site: &Site, caller: &mut Leg, server: &mut Leg) -> Dialog {
    caller.ask(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(server.addr.ip())));
    let dialog = Dialog::of_caller(&caller.expect(200), caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    dialog
}

#[test]
fn a_redis_of_the_region_sees_nothing() {
    let site = Site::claim();
    let redis = SocketAddr::new(site.eu(78).ip(), 6379);
    let mut command = Command::new("redis-server");
    let ip = redis.ip().to_string();
    command.args(["--bind", &ip, "--port", "6379", "--save", "", "--appendonly", "no", "--protected-mode", "no"]);
    sees_nothing(&site, redis, &mut command, ("INFO stats", "total_connections_received:"), "FLUSHALL");
}

#[test]
fn a_memcached_of_the_region_sees_nothing() {
    let site = Site::claim();
    let memcached = SocketAddr::new(site.eu(79).ip(), 11211);
    let mut command = Command::new("memcached");
    command.args(["-l", &memcached.ip().to_string(), "-p", "11211", "-u", "nobody"]);
    sees_nothing(&site, memcached, &mut command, ("stats", "STAT total_connections "), "flush_all");
}

/// Whoever has a call names the store as the next hop, in each way, with a body of its commands.
fn sees_nothing(site: &Site, store: SocketAddr, command: &mut Command, (stats, name): (&str, &str), harm: &str) {
    command.env("PATH", super::path());
    let mut process = Process::start("store", site.directory(), command);
    await_tcp(&mut process, store);
    let before = connections(store, stats, name);
    let _daemon = Daemon::start(site, &Plan::new(site));
    is_refused(site, store, "tcp", harm);
    assert_eq!(connections(store, stats, name), before + 1, "nobody but this test has connected");
}

/// Whoever has a call names a bystander as the next hop, in each way, with this body. Nothing is forwarded.
fn is_refused(site: &Site, bystander: SocketAddr, transport: &str, harm: &str) {
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let mut dialog = call(site, &mut caller, &mut server);
    for (uri, route) in [
        (format!("sip:x@{bystander};transport={transport}"), None),
        (
            format!("sip:x@{};maddr={};transport={transport}", server.addr, bystander.ip())
                .replace(":5060;", &format!(":{};", bystander.port())),
            None,
        ),
        (format!("sip:x@{}", server.addr), Some(format!("<sip:{bystander};transport={transport};lr>"))),
    ] {
        let mut ask = dialog.next("MESSAGE");
        ask.uri = uri;
        ask.rows.extend(route.map(|route| format!("Route: {route}")));
        ask.rows.push("Content-Type: text/plain".into());
        ask.body = format!("\r\n{harm}\r\n").into_bytes();
        let answer = caller.asked(&ask);
        assert!(answer.code() == 403 && answer.get("X-Ringfence").starts_with("171;"), "{}", answer.start);
    }
}

#[test]
fn a_name_server_of_the_region_sees_nothing() {
    apart(|| {
        let site = Site::claim();
        let nsd = Nsd::start(&site, 60, &[("a", &[site.eu(30).ip()])]);
        let capture = Capture::start(&site);
        let _daemon = Daemon::start(&site, &Plan::new(&site));
        // A question in place of a body: the transaction's number, one question, a name.
        for transport in ["udp", "tcp"] {
            is_refused(&site, nsd.addr, transport, "\u{1}\u{1}\u{1}a");
        }
        let packets = capture.packets();
        let of_daemon: Vec<_> = packets.iter().filter(|packet| IpAddr::from(packet.from) == site.door().ip()).collect();
        assert!(of_daemon.iter().any(|packet| packet.is("sip")), "the daemon was seen");
        assert!(!of_daemon.iter().any(|packet| IpAddr::from(packet.to) == nsd.addr.ip()), "something went to the name server");
    });
}

#[test]
fn a_kamailio_of_the_region_relays_a_dialog_inside_and_nothing_outside() {
    let site = Site::claim();
    let _kamailio = Kamailio::start(&site, "region", site.eu(10), (site.eu(30), "udp"));
    let outside = UdpSocket::bind(site.stranger(9)).unwrap();
    outside.set_nonblocking(true).unwrap();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(30), site.eu(10)));
    let mut dialog = call(&site, &mut caller, &mut server);
    assert_eq!(dialog.route.len(), 2, "Kamailio stands in the route");
    caller.ask(&dialog.next("INFO"));
    let info = server.request("INFO");
    server.send(&info.answer("200 OK", "", &[], ""));
    caller.expect(200);
    let victim = outside.local_addr().unwrap();
    for (uri, route) in [
        (format!("sip:x@{victim}"), None),
        (format!("sip:x@{};maddr={}", server.addr, victim.ip()), None),
        (format!("sip:x@{}", server.addr), Some(format!("<sip:{victim};lr>"))),
    ] {
        let mut ask = dialog.next("MESSAGE");
        ask.uri = uri;
        ask.rows.extend(route.map(|route| format!("Route: {route}")));
        let answer = caller.asked(&ask);
        assert!(answer.code() == 403 && answer.get("X-Ringfence").starts_with("171;"), "{}", answer.start);
    }
    assert!(outside.recv(&mut [0; 100]).is_err(), "something went outside");
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
}
