//! Media through rtpengine: real RTP both ways by the relay alone, relays that die, and strangers who would have the media.
//!
//! In a network namespace, where every packet of media can be counted by who sends it to whom.

use std::fmt::Write;
use std::net::{SocketAddr, UdpSocket};
use std::process::Command;
use std::time::Duration;

use super::apart::apart;
use super::sipp::Sipp;
use super::{URI, await_udp, path, run};
use crate::harness::process::Process;
use crate::harness::{Ask, Daemon, Dialog, Leg, PATIENCE, Plan, Seen, Site, await_some};

/// Where media may go through a relay.
const PORTS: &str = "30000-30400";

/// A relay, and where it is asked.
struct Relay {
    process: Process,
    addr: SocketAddr,
}

impl Relay {
    fn start(site: &Site, last: u8) -> Self {
        let addr = SocketAddr::new(site.eu(last).ip(), 2223);
        let (from, to) = PORTS.split_once('-').unwrap();
        let mut command = Command::new("rtpengine");
        // No kernel module: what is to be seen passes the process.
        command.args(["--table=-1", "--foreground", "--log-stderr", "--num-threads=2", "--config-file=none"]);
        command.arg(format!("--interface={}", addr.ip())).arg(format!("--listen-ng={addr}"));
        command.arg(format!("--port-min={from}")).arg(format!("--port-max={to}")).env("PATH", path());
        let mut process = Process::start(&format!("rtpengine-{last}"), site.directory(), &mut command);
        await_udp(&mut process, addr);
        Self { process, addr }
    }

    /// The calls that it has.
    fn calls(&self) -> usize {
        let socket = UdpSocket::bind((self.addr.ip(), 0)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        // Each question is another: the same one would get the same answer again.
        let question = format!("{} d7:command4:liste", crate::harness::message::fresh());
        socket.send_to(question.as_bytes(), self.addr).unwrap();
        let mut buffer = [0; 4096];
        let length = socket.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).matches("acme/carrier/").count()
    }
}

fn plan(site: &Site, relays: &[u8]) -> Plan {
    let mut plan = Plan::new(site);
    let relays: Vec<String> = relays.iter().map(|&last| format!("\"udp:{}:2223\"", site.eu(last).ip())).collect();
    plan.eu = format!("relay = [{}]", relays.join(", "));
    plan.projects = plan.projects.replacen("pin = [\"eu\"]", "pin = [\"eu\"]\nmedia = \"relay\"", 1);
    plan
}

/// Counts the media that one sends to another, and what is neither signalling nor to or from the relay.
struct Flows(Vec<(&'static str, SocketAddr, SocketAddr)>);

impl Flows {
    fn count(site: &Site, relay: SocketAddr, (caller, callee): (SocketAddr, SocketAddr)) -> Self {
        let flows = vec![
            ("caller_in", caller, relay),
            ("callee_out", relay, callee),
            ("callee_in", callee, relay),
            ("caller_out", relay, caller),
            ("around", caller, callee),
            ("back_around", callee, caller),
        ];
        let (mut counters, mut rules) = (String::new(), String::new());
        for (name, from, to) in &flows {
            writeln!(counters, "  counter {name} {{ }}").unwrap();
            let port = site.port;
            writeln!(
                rules,
                "    ip saddr {} ip daddr {} udp sport != {port} udp dport != {port} counter name {name}",
                from.ip(),
                to.ip()
            )
            .unwrap();
        }
        let table = format!(
            "table inet media {{\n{counters}  chain sent {{\n    type filter hook output priority 0; policy accept;\n{rules}  }}\n}}\n"
        );
        run("nft", &["-f", "-"], &table);
        Self(flows)
    }

    fn packets(&self, name: &str) -> u64 {
        assert!(self.0.iter().any(|(flow, ..)| *flow == name));
        let text = run("nft", &["list", "counter", "inet", "media", name], "");
        let (_, rest) = text.split_once("packets ").unwrap();
        rest.split(' ').next().unwrap().parse().unwrap()
    }
}

#[test]
fn calls_with_media_flow_through_the_relay_alone() {
    let site = Site::claim();
    apart(|| {
        let relay = Relay::start(&site, 50);
        let daemon = Daemon::start(&site, &plan(&site, &[50]));
        let (caller, callee) = (site.carrier(20), site.eu(10));
        let flows = Flows::count(&site, relay.addr, (caller, callee));
        site.write("silence.pcma", &"U".repeat(8000));
        let _server = Sipp::echoing_server(&site, callee);
        let calls = Sipp::speaker(&site, 5);
        calls.succeeds();
        let passed = ["caller_in", "callee_out", "callee_in", "caller_out"].map(|flow| flows.packets(flow));
        // Five calls of 600 ms, a packet every 20 ms.
        assert!(passed.iter().all(|&packets| packets >= 75), "{passed:?}");
        assert_eq!(["around", "back_around"].map(|flow| flows.packets(flow)), [0, 0]);
        await_some("the end of all sessions", || (relay.calls() == 0).then_some(()));
        let metrics = daemon.metrics();
        let asked = |command| metrics.sum("ringfence_relay_requests_total", &[("command", command), ("result", "ok")]);
        assert_eq!((asked("offer"), asked("answer"), asked("delete")), (5, 5, 5));
        assert_eq!(metrics.sum("ringfence_relay_calls_total", &[("region", "eu")]), 5);
    });
}

/// Somebody who speaks RTP.
struct Speaker(UdpSocket);

impl Speaker {
    fn at(addr: SocketAddr) -> Self {
        let socket = UdpSocket::bind((addr.ip(), 40_000)).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self(socket)
    }

    fn says(&self, number: u16, word: &str, to: SocketAddr) {
        let mut packet = vec![0x80, 8];
        packet.extend(number.to_be_bytes());
        packet.extend((u32::from(number) * 160).to_be_bytes());
        packet.extend(0x1122_3344_u32.to_be_bytes());
        packet.extend(word.as_bytes());
        self.0.send_to(&packet, to).unwrap();
    }

    fn hears(&self) -> String {
        let mut buffer = [0; 2048];
        let length = self.0.recv(&mut buffer).expect("media");
        String::from_utf8_lossy(&buffer[12..length]).into_owned()
    }

    fn hears_nothing(&self) -> bool {
        self.0.set_nonblocking(true).unwrap();
        self.0.recv(&mut [0; 2048]).is_err()
    }
}

/// Where a session description says that media goes.
fn media(of: &Seen) -> SocketAddr {
    let body = String::from_utf8(of.body.clone()).unwrap();
    let find = |start: &str| body.lines().find_map(|line| line.strip_prefix(start)).unwrap().to_owned();
    let port = find("m=audio ").split(' ').next().unwrap().parse().unwrap();
    SocketAddr::new(find("c=IN IP4 ").parse().unwrap(), port)
}

/// A call that is up.
struct Call {
    dialog: Dialog,
    /// Where the caller's media goes, and the callee's.
    towards: (SocketAddr, SocketAddr),
}

fn call(site: &Site, caller: &mut Leg, server: &mut Leg) -> Call {
    caller.ask(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    let seen = server.request("INVITE");
    let session = crate::harness::message::sdp(server.addr.ip());
    server.send(&seen.answer("200 OK", "callee", &[&format!("Contact: <sip:b@{}>", server.addr)], &session));
    let ok = caller.expect(200);
    let dialog = Dialog::of_caller(&ok, caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    Call { dialog, towards: (media(&ok), media(&seen)) }
}

fn hang_up(mut call: Call, caller: &mut Leg, server: &mut Leg) {
    caller.ask(&call.dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
}

#[test]
fn a_stranger_gets_no_media_and_a_call_that_ends_is_forgotten() {
    let site = Site::claim();
    apart(|| {
        let relay = Relay::start(&site, 50);
        let _daemon = Daemon::start(&site, &plan(&site, &[50]));
        let mut caller = Leg::udp(site.carrier(20), site.door());
        let mut server = Leg::udp(site.eu(10), site.door());
        let up = call(&site, &mut caller, &mut server);
        assert_eq!([up.towards.0.ip(), up.towards.1.ip()], [relay.addr.ip(); 2]);
        assert_eq!(relay.calls(), 1);
        let [trunk, callee, stranger] = [site.carrier(20), site.eu(10), site.stranger(66)].map(Speaker::at);
        // The stranger speaks first, to both doors, and again and again.
        for number in 0..20 {
            stranger.says(number, "stranger", up.towards.0);
            stranger.says(number, "stranger", up.towards.1);
            callee.says(number, "callee", up.towards.1);
            trunk.says(number, "caller", up.towards.0);
            while trunk.hears() != "callee" {}
            while callee.hears() != "caller" {}
        }
        assert!(stranger.hears_nothing(), "media went where no description had said");
        hang_up(up, &mut caller, &mut server);
        await_some("the end of the session", || (relay.calls() == 0).then_some(()));
    });
}

#[test]
fn relays_that_die_freeze_and_come_back() {
    let site = Site::claim();
    apart(|| {
        let mut relays = [50, 51].map(|last| Relay::start(&site, last));
        let daemon = Daemon::start(&site, &plan(&site, &[50, 51]));
        let mut caller = Leg::udp(site.carrier(20), site.door());
        let mut server = Leg::udp(site.eu(10), site.door());
        let by = |call: &Call| call.towards.1.ip();
        let up = |relay: &Relay, value: f64| {
            let label = format!("udp:{}", relay.addr);
            daemon.metrics_when("the relay's state", |metrics| {
                metrics.most("ringfence_relay_up", &[("region", "eu"), ("relay", &label)]) == Some(value)
            });
        };
        // Calls spread over both.
        let mut first = Vec::new();
        await_some("a call by each relay", || {
            first.push(call(&site, &mut caller, &mut server));
            relays.iter().all(|relay| first.iter().any(|call| by(call) == relay.addr.ip())).then_some(())
        });
        // Killed: whoever asks is told by ICMP.
        relays[0].process.signal("KILL");
        let second: Vec<Call> = (0..8).map(|_| call(&site, &mut caller, &mut server)).collect();
        assert!(second.iter().all(|call| by(call) == relays[1].addr.ip()));
        up(&relays[0], 0.0);
        // Frozen: whoever asks hears nothing. No relay is left: no call goes on, and none without.
        relays[1].process.signal("STOP");
        for _ in 0..2 {
            let ask = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
            let refused = caller.asked(&ask);
            assert_eq!((refused.code(), refused.get("X-Ringfence")), (503, "152; reason=targets-down; region=eu"));
            caller.ask(&ask.ack(&refused));
        }
        up(&relays[1], 0.0);
        assert!(server.recv_within(Duration::from_millis(1)).is_none(), "nothing was forwarded");
        // Calls that are up end all the same.
        for call in first.into_iter().chain(second) {
            hang_up(call, &mut caller, &mut server);
        }
        // Back: pings find out.
        relays[1].process.signal("CONT");
        up(&relays[1], 1.0);
        relays[0] = Relay::start(&site, 50);
        up(&relays[0], 1.0);
        let last = call(&site, &mut caller, &mut server);
        hang_up(last, &mut caller, &mut server);
        let metrics = daemon.metrics();
        assert!(metrics.sum("ringfence_relay_requests_total", &[("command", "offer"), ("result", "timeout")]) >= 2);
    });
}
