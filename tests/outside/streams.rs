//! Messages over TCP: where one ends and the next begins, what happens when nobody can tell, and who may stay connected.

use std::time::Duration;

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Leg, Plan, Site};

const NAME: &str = "sip:acme.eu.sip.example.com";

fn scene(change: impl Fn(&mut Plan)) -> (Site, Daemon) {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    change(&mut plan);
    let daemon = Daemon::start(&site, &plan);
    (site, daemon)
}

fn options(leg: &Leg) -> Ask {
    Ask::new("OPTIONS", NAME, leg.addr, "tcp")
}

fn canary(site: &Site) {
    let mut leg = Leg::tcp(site.carrier(99), site.door());
    let ask = options(&leg);
    assert_eq!(leg.asked(&ask).code(), 200);
}

#[test]
fn framing_does_not_depend_on_segments() {
    let (site, _daemon) = scene(|_| {});
    let mut leg = Leg::tcp(site.carrier(20), site.door());
    let asks: Vec<Ask> = (0..3).map(|_| options(&leg).with("X-Body: none").session("v=0\r\n")).collect();
    let whole: Vec<u8> = asks.iter().flat_map(Ask::bytes).collect();
    let step = 7;
    for at in (1..whole.len()).step_by(step) {
        leg.send(&whole[..at]);
        leg.send(&whole[at..]);
        for ask in &asks {
            let seen = leg.any_within(Duration::from_secs(10)).expect("an answer");
            assert_eq!((seen.code(), seen.get("Call-ID")), (200, ask.call_id.as_str()), "split at {at}");
        }
    }
    for octet in &whole {
        leg.send(std::slice::from_ref(octet));
    }
    for ask in &asks {
        assert_eq!(leg.any_within(Duration::from_secs(10)).expect("an answer").get("Call-ID"), ask.call_id);
    }
}

#[test]
fn two_hundred_requests_in_one_write_are_two_hundred() {
    let (site, _daemon) = scene(|_| {});
    let mut leg = Leg::tcp(site.carrier(20), site.door());
    let asks: Vec<Ask> = (0..200).map(|_| options(&leg)).collect();
    leg.send(&asks.iter().flat_map(Ask::bytes).collect::<Vec<u8>>());
    for ask in asks {
        assert_eq!(leg.response().get("Call-ID"), ask.call_id);
    }
}

#[test]
fn a_double_line_end_is_a_ping_and_a_single_one_nothing() {
    let (site, _daemon) = scene(|_| {});
    let mut leg = Leg::tcp(site.carrier(20), site.door());
    leg.send(b"\r\n\r\n");
    assert_eq!(leg.octets(2), b"\r\n");
    leg.send(b"\r\n\r");
    leg.send(b"\n");
    assert_eq!(leg.octets(2), b"\r\n");
    // A single one, then a request: the first octets back are the answer's.
    leg.send(b"\r\n");
    let ask = options(&leg);
    leg.send(&ask.bytes());
    assert_eq!(leg.octets(7), b"SIP/2.0");
}

#[test]
fn a_stream_that_cannot_be_cut_is_answered_and_closed() {
    let (site, _daemon) = scene(|_| {});
    let mut server = Leg::udp(site.eu(10), site.door());
    let lengths = [
        "",
        "-1",
        "+5",
        "0x10",
        "5,5",
        "2147483648",
        "4294967296",
        "4294967424",
        "18446744073709551616",
        "4000000000",
        "99999999999999999999",
    ];
    let mut rows: Vec<String> = lengths.iter().map(|length| format!("Content-Length: {length}\r\n")).collect();
    rows.extend(["Content-Length: 0\r\nl: 0\r\n", "Content-Length: 0\r\nContent-Length: 200\r\n", ""].map(str::to_owned));
    for row in rows {
        let mut leg = Leg::tcp(site.carrier(20), site.door());
        let ask = options(&leg);
        let hidden = Ask::invite("sip:1@acme.eu.sip.example.com", leg.addr, "tcp", site.carrier(20).ip());
        let text = String::from_utf8(ask.bytes()).unwrap().replace("Content-Length: 0\r\n", &row);
        // In one write, so that no reset can overtake the answer.
        leg.send(&[text.as_bytes(), &hidden.bytes()].concat());
        let answer = leg.recv_within(Duration::from_secs(10)).unwrap_or_else(|| panic!("no answer for {row:?}"));
        assert!([400, 413, 513].contains(&answer.code()), "{row:?}: {}", answer.start);
        assert_eq!(answer.get("Call-ID"), ask.call_id);
        assert!(leg.closed_within(Duration::from_secs(10)), "{row:?} leaves the connection open");
    }
    canary(&site);
    assert!(server.recv_within(Duration::from_millis(1)).is_none(), "what stood behind was read as a message");
}

#[test]
fn a_fault_that_does_not_touch_framing_keeps_the_connection() {
    let (site, _daemon) = scene(|_| {});
    let mut leg = Leg::tcp(site.carrier(20), site.door());
    let bad = String::from_utf8(options(&leg).bytes()).unwrap().replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE");
    leg.send(bad.as_bytes());
    assert_eq!(leg.response().code(), 400);
    let ask = options(&leg);
    assert_eq!(leg.asked(&ask).code(), 200);
}

#[test]
fn two_connections_with_the_same_call_id_do_not_cross() {
    let (site, _daemon) = scene(|_| {});
    let mut server = Leg::udp(site.eu(10), site.door());
    let (mut one, mut two) = (Leg::tcp(site.carrier(20), site.door()), Leg::tcp(site.carrier(20), site.door()));
    let first = Ask::invite("sip:1@acme.eu.sip.example.com", one.addr, "tcp", site.carrier(20).ip());
    let mut second = Ask::invite("sip:1@acme.eu.sip.example.com", two.addr, "tcp", site.carrier(20).ip());
    second.call_id.clone_from(&first.call_id);
    one.ask(&first);
    let at_first = server.request("INVITE");
    two.ask(&second);
    let at_second = server.request("INVITE");
    server.send(&at_second.answer("486 Busy Here", "second", &[], ""));
    assert!(two.expect(486).get("To").ends_with("tag=second"));
    server.request("ACK");
    server.send(&at_first.answer("480 Temporarily Unavailable", "first", &[], ""));
    assert!(one.expect(480).get("To").ends_with("tag=first"));
}

#[test]
fn a_caller_whose_connection_is_gone_is_not_called_back() {
    let (site, daemon) = scene(|_| {});
    let mut server = Leg::udp(site.eu(10), site.door());
    let leg = Leg::tcp(site.carrier(20), site.door());
    let home = std::net::TcpListener::bind(site.carrier(20)).unwrap();
    home.set_nonblocking(true).unwrap();
    let mut ask = Ask::invite("sip:1@acme.eu.sip.example.com", leg.addr, "tcp", site.carrier(20).ip());
    ask.via[0] = ask.via[0].replace(&leg.addr.to_string(), &site.carrier(20).to_string());
    let mut leg = leg;
    leg.ask(&ask);
    let seen = server.request("INVITE");
    drop(leg);
    let labels = [("transport", "tcp")];
    daemon.metrics_when("the end of the connection", |metrics| metrics.sum("ringfence_connections", &labels) == 0);
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    server.request("ACK");
    canary(&site);
    assert!(home.accept().is_err(), "standards: nobody is dialled back at what Via names");
}

#[test]
fn upstream_connections_are_used_again() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"sip:{};transport=tcp\"", site.eu(10));
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::listen(site.eu(10));
    for _ in 0..10 {
        let ask = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
        caller.ask(&ask);
        // The leg is one connection: a second one would never be read here.
        let seen = server.request("INVITE");
        server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        server.request("ACK");
        let busy = caller.expect(486);
        caller.ask(&ask.ack(&busy));
    }
    assert!(daemon.metrics().sum("ringfence_connections", &[]) <= 1);
}

#[test]
fn a_forks_2xx_after_the_final_answer_is_passed_on_over_a_stream() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"sip:{};transport=tcp\"", site.eu(10));
    let _daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::listen(site.eu(10));
    let ask = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ask);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "one", &[], ""));
    server.request("ACK");
    let busy = caller.expect(486);
    caller.ask(&ask.ack(&busy));
    let contact = format!("Contact: <sip:two@{};transport=tcp>", site.eu(10));
    server.send(&seen.answer("200 OK", "two", &[&contact], &sdp(site.eu(10).ip())));
    assert!(caller.expect(200).get("To").ends_with(";tag=two"));
}

#[test]
fn slow_and_silent_connections_are_closed_and_hurt_nobody() {
    let (site, daemon) = scene(|plan| {
        plan.more.push_str("[timers]\nt1 = \"10ms\"\nt2 = \"50ms\"\nt4 = \"50ms\"\n");
        plan.more.push_str("[limits]\nidle = \"2s\"\npartial = \"1s\"\nconnections_per_source = 50\n");
    });
    let mut held: Vec<Leg> = (0..40).map(|_| Leg::tcp(site.carrier(20), site.door())).collect();
    let half = options(&held[0]).bytes();
    for leg in held.iter_mut().skip(20) {
        leg.send(&half[..half.len() / 2]);
    }
    canary(&site);
    for leg in &mut held {
        assert!(leg.closed_within(Duration::from_secs(10)), "still open");
    }
    canary(&site);
    drop(held);
    let many: Vec<Leg> = (0..60).map(|_| Leg::tcp(site.carrier(21), site.door())).collect();
    let open = daemon.metrics().sum("ringfence_connections", &[]);
    assert!(open <= 52, "{open} connections of one source");
    canary(&site);
    drop(many);
}

#[test]
fn a_client_that_never_reads_is_closed() {
    let (site, daemon) = scene(|plan| plan.more.push_str("[limits]\nwrite_queue = \"64KiB\"\nper_source = \"1000000/s\"\n"));
    let before = daemon.memory();
    let mut leg = Leg::tcp(site.carrier(20), site.door());
    let bytes = options(&leg).bytes();
    let chunk: Vec<u8> = bytes.repeat(50);
    let mut closed = false;
    for _ in 0..2000 {
        if !leg.try_send(&chunk) {
            closed = true;
            break;
        }
    }
    assert!(closed, "everything was taken from a client that reads nothing");
    canary(&site);
    assert!(daemon.memory().saturating_sub(before) < 24 << 20);
}
