//! A Redis inside the region, which would take a SIP message for commands: whoever has a call through the daemon does not reach it, not
//! even by a proxy of the region to what is outside.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use super::kamailio::Kamailio;
use super::{URI, await_tcp};
use crate::harness::message::sdp;
use crate::harness::process::Process;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

/// Says something to Redis, and returns what it answers.
fn said(redis: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(redis).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    stream.write_all(format!("{command}\r\nQUIT\r\n").as_bytes()).unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn connections(redis: SocketAddr) -> u64 {
    let stats = said(redis, "INFO stats");
    let line = stats.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
    line.and_then(|count| count.trim().parse().ok()).unwrap_or_else(|| panic!("{stats}"))
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
    command.env("PATH", super::path());
    let mut process = Process::start("redis", site.directory(), &mut command);
    await_tcp(&mut process, redis);
    assert!(said(redis, "SET calls kept").contains("+OK"));
    let before = connections(redis);
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let mut dialog = call(&site, &mut caller, &mut server);
    for (uri, route) in [
        (format!("sip:x@{redis};transport=tcp"), None),
        (format!("sip:x@{}", server.addr), Some(format!("<sip:{redis};transport=tcp;lr>"))),
    ] {
        let mut ask = dialog.next("MESSAGE");
        ask.uri = uri;
        ask.rows.extend(route.map(|route| format!("Route: {route}")));
        ask.rows.push("Content-Type: text/plain".into());
        ask.body = b"\r\nFLUSHALL\r\n".to_vec();
        let answer = caller.asked(&ask);
        assert!(answer.code() == 403 && answer.get("X-Ringfence").starts_with("171;"), "{}", answer.start);
    }
    assert_eq!(connections(redis), before + 1, "nobody but this test has connected");
    assert!(said(redis, "GET calls").contains("kept"));
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
