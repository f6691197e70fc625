//! What stands inside the region and is no server sees nothing of whoever has a call: no datagram, no connection.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::time::{Duration, Instant};

use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site, establish};

/// A call from the carrier to the region's server, and what must see nothing.
struct Call {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
    near: Dialog,
    statsd: UdpSocket,
    redis: TcpListener,
}

fn call(servers: &str) -> Call {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.eu = servers.replace("SERVER", &site.eu(10).ip().to_string());
    let statsd = UdpSocket::bind((site.eu(77).ip(), 8125)).unwrap();
    let redis = TcpListener::bind((site.eu(78).ip(), 6379)).unwrap();
    statsd.set_nonblocking(true).unwrap();
    redis.set_nonblocking(true).unwrap();
    let daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (near, _) = establish(&site, &mut caller, &mut server);
    Call { site, daemon, caller, server, near, statsd, redis }
}

impl Call {
    fn closed(&self) -> SocketAddr {
        (self.site.eu(78).ip(), 6380).into()
    }

    /// Every way in which a request can be led to an address.
    fn ways(&mut self, to: SocketAddr, transport: &str) -> Vec<Ask> {
        let server = self.server.addr;
        let lead = |uri: String, routes: Vec<String>, dialog: &mut Dialog| {
            let mut ask = dialog.next("MESSAGE");
            ask.uri = uri;
            ask.rows.extend(routes.iter().map(|route| format!("Route: {route}")));
            ask
        };
        let to = format!("{to};transport={transport}");
        vec![
            lead(format!("sip:x@{to}"), vec![], &mut self.near),
            lead(format!("sip:x@{server}"), vec![format!("<sip:{to};lr>")], &mut self.near),
            lead(format!("sip:x@{server}"), vec![format!("<sip:{to}>")], &mut self.near),
            lead(format!("sip:x@{server}"), vec![format!("sip:{to}")], &mut self.near),
        ]
    }

    fn untouched(&self) {
        let mut octets = [0; 2048];
        assert_eq!(self.statsd.recv_from(&mut octets).map_err(|error| error.kind()).unwrap_err(), ErrorKind::WouldBlock);
        assert_eq!(self.redis.accept().map_err(|error| error.kind()).unwrap_err(), ErrorKind::WouldBlock);
    }

    fn goes_on(&mut self) {
        self.caller.ask(&self.near.next("INFO"));
        let info = self.server.request("INFO");
        self.server.send(&info.answer("200 OK", "", &[], ""));
        self.caller.expect(200);
    }
}

fn is_171(answer: &Seen) -> bool {
    answer.code() == 403 && answer.get("X-Ringfence").starts_with("171;")
}

#[test]
fn nothing_inside_but_servers_is_reached() {
    for servers in ["", "servers = [\"SERVER:5060\", \"SERVER:15060\", \"SERVER:25060\"]"] {
        let mut call = call(servers);
        let (statsd, redis, closed) = (call.statsd.local_addr().unwrap(), call.redis.local_addr().unwrap(), call.closed());
        for (to, transport) in [(statsd, "udp"), (redis, "tcp"), (closed, "tcp"), (closed, "udp"), (redis, "tls")] {
            for ask in call.ways(to, transport) {
                let began = Instant::now();
                let answer = call.caller.asked(&ask);
                assert!(is_171(&answer), "{to} over {transport}: {}", answer.start);
                // An open port, a closed one and none at all: nobody was asked, so nobody's silence is waited for.
                assert!(began.elapsed() < Duration::from_secs(1), "{to} over {transport}");
                assert!(!String::from_utf8_lossy(&answer.raw).contains("refused"));
                let ack = Ask { method: "ACK".into(), cseq: ask.cseq.replace("MESSAGE", "ACK"), ..ask };
                call.caller.ask(&ack);
            }
        }
        call.goes_on();
        call.untouched();
        let dropped = call.daemon.metrics().sum("ringfence_dropped_total", &[("cause", "ack-target")]);
        assert_eq!(dropped, 20, "each ACK is counted");
    }
}

#[test]
fn only_a_server_calls_out() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.projects += &["uri = \"sip:", &site.carrier(50).to_string(), "\"\n"].concat();
    let _daemon = Daemon::start(&site, &plan);
    let mut carrier = Leg::udp(site.carrier(50), site.door());
    let uri = "sip:1@carrier.acme.eu.sip.example.com";
    for (source, passes) in [(site.eu(10), true), (site.eu(77), false)] {
        let mut leg = Leg::udp(source, site.door());
        let ask = Ask::invite(uri, leg.addr, "udp", source.ip());
        leg.ask(&ask);
        if passes {
            let seen = carrier.request("INVITE");
            carrier.send(&seen.answer("486 Busy Here", "callee", &[], ""));
            carrier.request("ACK");
            let busy = leg.expect(486);
            leg.ask(&ask.ack(&busy));
        } else {
            assert_eq!(leg.expect(403).find("X-Ringfence"), None);
            assert!(carrier.recv_within(Duration::from_millis(100)).is_none());
        }
    }
}
