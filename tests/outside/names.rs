//! Contacts with host names: looked up in the middle of the call, by a name server that this test plays.

use std::collections::HashMap;
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

/// Whether the name server has fallen silent, and how much it was asked for since.
#[derive(Default)]
pub(crate) struct Silence {
    silent: AtomicBool,
    asked: AtomicUsize,
}

/// A name server that knows a few A records. Of a name that begins with `silent` it says nothing at all.
pub(crate) fn name_server(site: &Site, zone: &[(&'static str, SocketAddr)], silence: &Arc<Silence>) -> SocketAddr {
    let socket = UdpSocket::bind((site.eu(53).ip(), 0)).unwrap();
    let addr = socket.local_addr().unwrap();
    let zone: HashMap<&str, IpAddr> = zone.iter().map(|(name, addr)| (*name, addr.ip())).collect();
    let silence = Arc::clone(silence);
    // Ends with the test's process.
    std::thread::spawn(move || {
        let mut buffer = [0; 1500];
        while let Ok((length, from)) = socket.recv_from(&mut buffer) {
            if silence.silent.load(Ordering::Relaxed) {
                silence.asked.fetch_add(1, Ordering::Relaxed);
            } else if let Some(answer) = answer(&buffer[..length], &zone) {
                socket.send_to(&answer, from).unwrap();
            }
        }
    });
    addr
}

/// RFC 1035 4: the question back, with an address if it asks for one of ours.
fn answer(query: &[u8], zone: &HashMap<&str, IpAddr>) -> Option<Vec<u8>> {
    let end = 12 + query[12..].iter().position(|&octet| octet == 0)? + 1;
    let mut labels = Vec::new();
    let mut at = 12;
    while query[at] > 0 {
        let next = at + 1 + usize::from(query[at]);
        labels.push(String::from_utf8_lossy(&query[at + 1..next]).to_ascii_lowercase());
        at = next;
    }
    let name = labels.join(".");
    if name.starts_with("silent") {
        return None;
    }
    let is_a = query[end..end + 2] == [0, 1];
    let found = match zone.get(name.as_str()) {
        Some(IpAddr::V4(ip)) if is_a => Some(ip.octets()),
        _ => None,
    };
    let mut out = query[..2].to_vec();
    out.extend([0x84, 0x80, 0, 1, 0, u8::from(found.is_some()), 0, 0, 0, 0]);
    out.extend(&query[12..end + 4]);
    if let Some(octets) = found {
        // The name of the question, A, IN, a TTL of 60 s, or of 1 s.
        let ttl = if name.starts_with("brief") { 1 } else { 60 };
        out.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, ttl, 0, 4]);
        out.extend(octets);
    }
    Some(out)
}

struct Scene {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
    silence: Arc<Silence>,
}

fn scene() -> Scene {
    let site = Site::claim();
    let zone = [
        ("pbx.example.net", site.carrier(20)),
        ("server.example.net", site.eu(10)),
        ("elsewhere.example.net", site.us(10)),
        ("brief-.pod_1.example.net", site.eu(10)),
    ];
    let mut plan = Plan::new(&site);
    let uri = "uri = \"sip:silent.example.net\"\nmedia = [";
    plan.projects = plan.projects.replace("media = [", uri);
    let silence = Arc::default();
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
    write!(plan.more, "[dns]\nservers = [\"{}\"]\n", name_server(&site, &zone, &silence)).unwrap();
    let daemon = Daemon::start(&site, &plan);
    let (caller, server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    Scene { site, daemon, caller, server, silence }
}

impl Scene {
    /// A call whose sides call themselves by these hosts: the caller's dialog and the server's.
    fn call(&mut self, caller: &str, server: &str) -> (Dialog, Dialog) {
        let port = self.site.port;
        let mut invite = Ask::invite("sip:1@acme.eu.sip.example.com", self.caller.addr, "udp", self.site.carrier(20).ip());
        invite.rows.retain(|row| !row.starts_with("Contact"));
        self.caller.ask(&invite.with(&format!("Contact: <sip:caller@{caller}:{port}>")));
        let seen = self.server.request("INVITE");
        let contact = format!("Contact: <sip:server@{server}:{port}>");
        self.server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(self.site.eu(10).ip())));
        let near = Dialog::of_caller(&self.caller.expect(200), &self.caller);
        (near, Dialog::of_callee(&seen, "callee", &self.server))
    }
}

#[test]
fn both_sides_may_be_names() {
    let mut scene = scene();
    let (mut near, mut far) = scene.call("pbx.example.net", "server.example.net");
    // The ACK is the first to need the name; nothing of it may be lost while it waits.
    scene.caller.ask(&near.ack());
    scene.server.request("ACK");
    scene.caller.ask(&near.next("INFO"));
    let info = scene.server.request("INFO");
    scene.server.send(&info.answer("200 OK", "", &[], ""));
    scene.caller.expect(200);
    scene.server.ask(&far.next("BYE"));
    let bye = scene.caller.request("BYE");
    scene.caller.send(&bye.answer("200 OK", "", &[], ""));
    scene.server.expect(200);
    scene.daemon.metrics_when("release of all transactions", Metrics::released);
}

#[test]
fn a_name_that_leads_outside_or_nowhere_is_refused() {
    let mut scene = scene();
    for (host, code, told) in [
        ("elsewhere.example.net", 403, "171; reason=foreign-dialog-target; region=eu"),
        ("pbx.example.net", 403, "171; reason=foreign-dialog-target; region=eu"),
        ("nowhere.example.net", 503, "151; reason=no-target; region=eu"),
    ] {
        let (mut near, _) = scene.call("pbx.example.net", host);
        let answer = scene.caller.asked(&near.next("BYE"));
        assert_eq!((answer.code(), answer.get("X-Ringfence")), (code, told), "{host}");
    }
    scene.daemon.metrics();
}

#[test]
fn a_name_server_that_says_nothing_holds_up_its_own_message_alone() {
    let mut scene = scene();
    let (mut waits, _) = scene.call("pbx.example.net", "silent.example.net");
    scene.caller.ask(&waits.next("BYE"));
    // Another call, with names of its own, from one end to the other.
    let (near, mut far) = scene.call("pbx.example.net", "server.example.net");
    scene.caller.ask(&near.ack());
    scene.server.request("ACK");
    scene.server.ask(&far.next("BYE"));
    let told = loop {
        let seen = scene.caller.recv();
        if seen.method() == "BYE" {
            scene.caller.send(&seen.answer("200 OK", "", &[], ""));
            scene.server.expect(200);
        } else {
            break seen;
        }
    };
    assert_eq!((told.code(), told.get("X-Ringfence")), (503, "151; reason=no-target; region=eu"));
    assert_eq!(told.get("Call-ID"), waits.call_id);
    // Whoever still waits at the end is told so.
    let (mut waits, _) = scene.call("pbx.example.net", "silent2.example.net");
    let received = scene.daemon.metrics().sum("ringfence_received_total", &[]);
    scene.caller.ask(&waits.next("BYE"));
    scene.daemon.metrics_when("the BYE", |metrics| metrics.sum("ringfence_received_total", &[]) > received);
    scene.daemon.signal("TERM");
    let told = scene.caller.response();
    assert_eq!((told.code(), told.get("Call-ID")), (503, waits.call_id.as_str()));
    assert!(scene.daemon.wait().success());
}

#[test]
fn what_was_found_serves_on_when_name_servers_fall_silent() {
    let mut scene = scene();
    let (mut near, _) = scene.call("pbx.example.net", "brief-.pod_1.example.net");
    scene.caller.ask(&near.ack());
    scene.server.request("ACK");
    scene.silence.silent.store(true, Ordering::Relaxed);
    // First while the answer holds, then beyond that: nobody is told of the difference.
    let mut beyond = 0;
    while beyond < 3 {
        beyond += usize::from(scene.silence.asked.load(Ordering::Relaxed) > 0);
        scene.caller.ask(&near.next("INFO"));
        let info = scene.server.request("INFO");
        scene.server.send(&info.answer("200 OK", "", &[], ""));
        scene.caller.expect(200);
    }
    // Whoever was not found before is not found now, and is told why.
    let (mut other, _) = scene.call("pbx.example.net", "nowhere.example.net");
    let answer = scene.caller.asked(&other.next("BYE"));
    assert_eq!(answer.get("X-Ringfence"), "151; reason=no-target; region=eu");
    assert!(answer.get("Warning").contains("no name server has answered"), "{}", answer.get("Warning"));
    scene.daemon.metrics();
}

#[test]
fn a_trunk_s_silent_name_is_its_own_calls_matter() {
    let mut scene = scene();
    assert_eq!(scene.daemon.get("/readyz").0, 200);
    let ping = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", scene.caller.addr, "udp");
    assert_eq!(scene.caller.asked(&ping).code(), 200);
    let out = Ask::invite("sip:1@carrier.acme.eu.sip.example.com", scene.server.addr, "udp", scene.site.eu(10).ip());
    scene.server.ask(&out);
    // It waits; a call in does not.
    let (mut near, _) = scene.call("pbx.example.net", "server.example.net");
    scene.caller.ask(&near.ack());
    let mut told = None;
    while told.is_none() {
        let seen = scene.server.recv();
        told = (seen.method() != "ACK").then_some(seen);
    }
    let told = told.expect("an answer");
    assert_eq!((told.code(), told.get("X-Ringfence")), (503, "151; reason=no-target; region=eu"));
    scene.server.ask(&out.ack(&told));
    scene.caller.ask(&near.next("BYE"));
    scene.server.request("BYE");
}
