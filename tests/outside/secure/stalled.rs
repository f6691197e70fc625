//! Whoever stalls, babbles or goes away costs a bounded number of connections for a bounded time, and nobody else a call.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::time::Duration;

use socket2::{Domain, Socket, Type};

use super::{HOST, Scene};
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Leg, PATIENCE};

fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(from, 0).into()).unwrap();
    socket.connect(&to.into()).unwrap();
    socket.into()
}

#[test]
fn what_is_no_tls_is_told_so_and_closed() {
    let scene = Scene::new(|plan, _, _| plan.more.push_str("[limits]\nhandshake = \"500ms\"\n"));
    let mut plain = Leg::tcp(scene.site.carrier(20), scene.door());
    let ask = Scene::options(&plain);
    plain.ask(&ask);
    // A TLS alert, and the end.
    assert!(plain.octets(64).first().is_none_or(|octet| *octet == 21));
    let mut silent = Leg::tcp(scene.site.carrier(20), scene.door());
    let mut half = Leg::tcp(scene.site.carrier(20), scene.door());
    // The head of a ClientHello and nothing after it.
    half.send(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]);
    let mut gone = Leg::tcp(scene.site.carrier(20), scene.door());
    gone.send(&[22, 3, 1, 2, 0, 1]);
    drop(gone);
    assert!(silent.closed_within(PATIENCE) && half.closed_within(PATIENCE));
    for (result, count) in [("plain", 1), ("slow", 2), ("gone", 1)] {
        assert_eq!(scene.shaken("in", result), count, "{result}");
    }
    // TLS where there is none.
    let mut wrong = Leg::tls(scene.site.carrier(20), scene.site.door(), &scene.client, HOST);
    assert!(wrong.shake().is_err());
    let mut right = scene.carrier(HOST);
    assert_eq!(right.asked(&Scene::options(&right)).code(), 200);
}

#[test]
fn five_thousand_stalled_handshakes_hinder_nobody() {
    let scene = Scene::new(|plan, _, _| plan.more.push_str("[limits]\nhandshakes = 500\nhandshake = \"60s\"\n"));
    let mut server = Leg::udp(scene.site.eu(10), scene.site.door());
    let IpAddr::V4(base) = scene.site.stranger(0).ip() else { panic!("IPv4") };
    let [a, b, c, _] = base.octets();
    let mut stalled: Vec<TcpStream> = Vec::new();
    for round in 0..50_u8 {
        // A hundred of each of fifty addresses, as deep into a handshake as they care to go.
        for count in 0..100 {
            let mut stream = connect(Ipv4Addr::new(a, b, c, 1 + round).into(), scene.door());
            if count % 2 == 0 {
                stream.write_all(&[22, 3, 1, 2, 0, 1, 0, 1, 252, 3, 3]).ok();
            }
            stalled.push(stream);
        }
        if round % 5 == 4 {
            let mut caller = scene.carrier(HOST);
            caller.ask(&Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "tls", scene.site.carrier(20).ip()));
            let seen = server.request("INVITE");
            server.send(&seen.answer("486 Busy Here", "b", &[], ""));
            assert_eq!(caller.response().code(), 486, "with {} stalled", stalled.len());
            server.request("ACK");
        }
    }
    let open = |metrics: &Metrics| metrics.sum("ringfence_connections", &[("region", "eu"), ("transport", "tls")]);
    let metrics = scene.daemon.metrics_when("the oldest to be given up", |metrics| open(metrics) <= 510);
    let given_up = metrics.sum("ringfence_tls_handshakes_total", &[("direction", "in"), ("result", "given-up")]);
    assert!(given_up >= 4490, "{given_up}");
    drop(stalled);
    scene.daemon.metrics_when("all of them to be gone", |metrics| open(metrics) <= 10);
    let mut caller = scene.carrier(HOST);
    assert_eq!(caller.asked(&Scene::options(&caller)).code(), 200);
}

#[test]
fn handshakes_run_on_a_thread_of_their_own() {
    let scene = Scene::new(|_, _, _| {});
    let before = scene.daemon.spent("ringfence-tls");
    for _ in 0..20 {
        scene.carrier(HOST).shake().unwrap();
    }
    scene.daemon.metrics_when("the handshakes to be counted", |metrics| {
        metrics.sum("ringfence_tls_handshakes_total", &[("direction", "in"), ("result", "done")]) == 20
    });
    // While nobody shakes hands it does nothing.
    assert!(scene.daemon.spent("ringfence-tls") > before);
}

#[test]
fn the_limits_of_streams_hold_within_tls() {
    let scene = Scene::new(|plan, _, _| {
        plan.more.push_str("[limits]\npartial = \"300ms\"\nconnections_per_source = 3\n[timers]\nt1 = \"20ms\"\n");
    });
    let mut slow = scene.carrier(HOST);
    let text = Scene::options(&slow).bytes();
    slow.send(&text[..40]);
    assert!(slow.closed_within(Duration::from_secs(10)));
    // Beyond so many of one source: closed before the handshake.
    let mut held: Vec<Leg> = (0..3).map(|_| scene.carrier(HOST)).collect();
    for leg in &mut held {
        leg.shake().unwrap();
    }
    let mut more = scene.carrier(HOST);
    assert!(more.shake().is_err());
    let dropped = |metrics: &Metrics, cause| metrics.sum("ringfence_dropped_total", &[("region", "eu"), ("cause", cause)]);
    let metrics = scene.daemon.metrics();
    assert_eq!((dropped(&metrics, "partial"), dropped(&metrics, "source-connections")), (1, 1));
    // A ping within TLS, and many messages in one record.
    let leg = &mut held[0];
    leg.send(b"\r\n\r\n");
    assert_eq!(leg.octets(2), b"\r\n");
    let asks: Vec<Ask> = (0..100).map(|_| Scene::options(leg)).collect();
    leg.send(&asks.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    for ask in asks {
        assert_eq!(leg.response().get("Call-ID"), ask.call_id);
    }
}
