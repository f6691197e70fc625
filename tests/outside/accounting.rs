//! Every message that arrives ends in exactly one outcome, and the counters say so; the endpoints that operators read.

use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

fn total(metrics: &Metrics) -> (u64, u64) {
    (metrics.sum("ringfence_received_total", &[]), metrics.sum("ringfence_messages_total", &[]))
}

#[test]
fn the_outcomes_add_up_to_the_messages_received() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.project(&site, "abroad", "pin = [\"us\"]", "");
    let daemon = Daemon::start(&site, &plan);
    let media = site.carrier(20).ip();
    let mut sent = 0;
    for transport in ["udp", "tcp"] {
        let mut caller = Leg::caller(transport, site.carrier(20), site.door());
        let mut stranger = Leg::caller(transport, site.stranger(1), site.door());
        let mut server = Leg::udp(site.eu(10), site.door());
        let uri = |host: &str| format!("sip:1@{host}.sip.example.com");
        for _ in 0..10 {
            for host in ["abroad.eu", "acme.us", "nobody.eu"] {
                let ask = Ask::invite(&uri(host), caller.addr, transport, media);
                let answer = caller.asked(&ask);
                caller.ask(&ask.ack(&answer));
                sent += 2;
            }
            stranger.asked(&Ask::invite(&uri("acme.eu"), stranger.addr, transport, media));
            caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, transport));
            caller.asked(&Ask::new("CANCEL", &uri("acme.eu"), caller.addr, transport));
            let broken = String::from_utf8(Ask::new("OPTIONS", &uri("acme.eu"), caller.addr, transport).bytes()).unwrap();
            caller.send(broken.replace("CSeq: 1 OPTIONS", "CSeq: 1 INVITE").as_bytes());
            assert_eq!(caller.response().code(), 400);
            let stray = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKstray\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:a@b>;tag=2\r\n\
                         Call-ID: stray\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n";
            caller.send(stray.as_bytes());
            sent += 5;
            let ask = Ask::invite(&uri("acme.eu"), caller.addr, transport, media);
            caller.ask(&ask);
            let seen = server.request("INVITE");
            server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
            let busy = caller.expect(486);
            caller.ask(&ask.ack(&busy));
            server.request("ACK");
            sent += 3;
        }
    }
    let mut garbage = Leg::udp(site.carrier(21), site.door());
    for junk in [
        &b"\x00\x01\x00\x00\x21\x12\xa4\x42abcdefghijkl"[..],
        b"HEP3\0\0",
        b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"x",
        b"\r\n\r\n\r\n\r\n",
    ] {
        garbage.send(junk);
        sent += 1;
    }
    garbage.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", garbage.addr, "udp"));
    sent += 1;
    let metrics =
        daemon.metrics_when("all messages counted", |metrics| total(metrics).0 >= sent && total(metrics).0 == total(metrics).1);
    let (received, ended) = total(&metrics);
    assert_eq!(received, ended, "{received} received, {ended} ended");
    assert_eq!(received, sent, "{received} received, {sent} sent");
    let unread = metrics.sum("ringfence_messages_total", &[("outcome", "malformed")]);
    assert_eq!(unread, metrics.sum("ringfence_malformed_total", &[]));
    let dropped = metrics.sum("ringfence_messages_total", &[("outcome", "dropped")]);
    assert_eq!(dropped, metrics.sum("ringfence_dropped_total", &[]));
}

#[test]
fn no_value_from_the_wire_becomes_a_label() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let probe = |caller: &mut Leg, number: usize| {
        let method = format!("M{number}");
        let answer = caller.asked(&Ask::new(&method, &format!("sip:u{number}@h{number}.example.net"), caller.addr, "udp"));
        assert_eq!(answer.code(), 404);
    };
    probe(&mut caller, 0);
    let first = |metrics: &Metrics| metrics.sum("ringfence_messages_total", &[]) >= 1;
    let before = daemon.metrics_when("the first message", first).series();
    for number in 1..300 {
        probe(&mut caller, number);
    }
    let after = daemon.metrics();
    let new: Vec<String> = after.series().difference(&before).cloned().collect();
    assert!(new.is_empty(), "{new:#?}");
    let labels = [("region", "eu"), ("transport", "udp"), ("method", "other")];
    assert!(after.sum("ringfence_requests_total", &labels) >= 300, "{}", after.text());
}

#[test]
fn a_log_line_holds_nothing_that_a_terminal_obeys() {
    let site = Site::claim();
    let mut daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "udp");
    let text = String::from_utf8(ask.bytes()).unwrap().replace("Call-ID: ", "Call-ID: \u{1b}[31mred\u{1b}[0m\u{7}");
    caller.send(text.as_bytes());
    caller.send(b"NOT SIP \x1b[2J\r\nlevel=error forged line\r\n\r\n");
    caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "udp"));
    daemon.must_run();
    let log = daemon.log();
    assert!(!log.contains('\u{1b}') && !log.contains('\u{7}'), "{log}");
    assert!(!log.lines().any(|line| line.starts_with("level=error forged")), "{log}");
}

#[test]
fn the_admin_port_answers_what_it_lists_and_nothing_else() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    for path in ["/metrics", "/healthz", "/readyz"] {
        assert_eq!(daemon.get(path).0, 200, "{path}");
    }
    assert_eq!(daemon.get("/nothing").0, 404);
    // Series of values that have not happened yet need not be there.
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = Ask::invite("sip:1@acme.us.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.asked(&ask);
    caller.asked(&ask.again());
    let repeated = |metrics: &Metrics| metrics.sum("ringfence_repeats_total", &[]) >= 1;
    daemon.metrics_when("a repeat", repeated);
    let metrics = daemon.metrics();
    for name in [
        "ringfence_requests_total",
        "ringfence_verdicts_total",
        "ringfence_responses_total",
        "ringfence_repeats_total",
        "ringfence_transactions",
        "ringfence_connections",
        "ringfence_config_reloads_total",
        "ringfence_config_info",
        "ringfence_build_info",
        "ringfence_decision_seconds",
        "ringfence_setup_seconds",
        "process_resident_memory_bytes",
    ] {
        assert!(metrics.text().contains(&format!("# TYPE {name} ")), "{name} is not there:\n{}", metrics.text());
        assert!(metrics.text().contains(&format!("# HELP {name} ")), "{name} has no help");
    }
}

#[test]
fn a_reload_that_fails_changes_nothing_and_is_counted() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = |caller: &mut Leg, host: &str| {
        let ask = Ask::new("OPTIONS", &format!("sip:{host}.eu.sip.example.com"), caller.addr, "udp");
        caller.asked(&ask).code()
    };
    assert_eq!((ask(&mut caller, "acme"), ask(&mut caller, "later")), (200, 404));
    site.write("ringfence.toml", &plan.text(&site).replace("pin =", "pun ="));
    daemon.signal("HUP");
    let reloads = |metrics: &Metrics, result: &str| metrics.sum("ringfence_config_reloads_total", &[("result", result)]);
    let failed = |metrics: &Metrics| metrics.sum("ringfence_config_reloads_total", &[]) - reloads(metrics, "ok");
    daemon.metrics_when("a failed reload", |metrics| failed(metrics) >= 1);
    assert_eq!((ask(&mut caller, "acme"), ask(&mut caller, "later")), (200, 404));
    let mut plan = Plan::new(&site);
    plan.project(&site, "later", "pin = [\"eu\"]", "");
    site.write("ringfence.toml", &plan.text(&site));
    daemon.signal("HUP");
    daemon.metrics_when("a reload", |metrics| reloads(metrics, "ok") >= 1);
    await_some("the new project", || (ask(&mut caller, "later") == 200).then_some(()));
    assert_eq!(ask(&mut caller, "acme"), 200);
}
