//! A list of upstreams, tried in order; nothing but 503, a closed port or silence moves a call on.

use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site};
use crate::refusals::assert_refusal;

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

struct Scene {
    site: Site,
    daemon: Daemon,
    caller: Leg,
}

impl Scene {
    /// Upstreams in order; a T1 of 20 ms gives up on a silent one after 1.3 s.
    fn new(upstreams: &[u8], transport: &str) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        let list: Vec<String> =
            upstreams.iter().map(|&last| format!("\"sip:{};transport={transport}\"", site.eu(last))).collect();
        plan.upstream = format!("[{}]", list.join(", "));
        plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
        let daemon = Daemon::start(&site, &plan);
        let caller = Leg::udp(site.carrier(20), site.door());
        Self { site, daemon, caller }
    }

    fn server(&self, last: u8) -> Leg {
        Leg::udp(self.site.eu(last), self.site.door())
    }

    fn invite(&self) -> Ask {
        Ask::invite(URI, self.caller.addr, "udp", self.site.carrier(20).ip())
    }

    fn released(&self) {
        self.daemon.metrics_when("release of all transactions", Metrics::released);
    }
}

fn contact(server: &Leg) -> String {
    format!("Contact: <sip:server@{};transport={}>", server.addr, server.transport())
}

/// The call is answered at this server and hung up through it.
fn served(scene: &mut Scene, server: &mut Leg, invite: &Ask) -> Seen {
    let seen = server.request("INVITE");
    assert_eq!(seen.get("Call-ID"), invite.call_id);
    let media = sdp(scene.site.eu(10).ip());
    server.send(&seen.answer("200 OK", "callee", &[&contact(server)], &media));
    let mut dialog = Dialog::of_caller(&scene.caller.expect(200), &scene.caller);
    scene.caller.ask(&dialog.ack());
    server.request("ACK");
    scene.caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    scene.caller.expect(200);
    seen
}

#[test]
fn a_503_moves_the_call_to_the_next_upstream() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    first.send(&tried.answer("503 Service Unavailable", "a", &["Retry-After: 30"], ""));
    assert_eq!(first.request("ACK").branch(), tried.branch());
    let seen = served(&mut scene, &mut second, &invite);
    assert_ne!(seen.branch(), tried.branch(), "RFC 3263 4.3: a new branch for each attempt");
    scene.released();
}

#[test]
fn a_closed_udp_port_moves_the_call_on() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let mut second = scene.server(11);
    let invite = scene.invite();
    scene.caller.ask(&invite);
    served(&mut scene, &mut second, &invite);
    scene.released();
}

#[test]
fn a_closed_tcp_port_moves_the_call_on() {
    let mut scene = Scene::new(&[10, 11], "tcp");
    let mut second = Leg::listen(scene.site.eu(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    served(&mut scene, &mut second, &invite);
    scene.released();
}

#[test]
fn a_silent_upstream_moves_the_call_on() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    let seen = served(&mut scene, &mut second, &invite);
    assert_ne!(seen.branch(), tried.branch());
    // A late answer of the first finds nobody.
    first.send(&tried.answer("200 OK", "late", &[&contact(&first)], ""));
    scene.released();
}

#[test]
fn an_upstream_that_rang_and_fell_silent_does_not_move_the_call() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    first.send(&tried.answer("180 Ringing", "a", &[&contact(&first)], ""));
    scene.caller.expect(180);
    scene.caller.ask(&invite.cancel());
    scene.caller.expect(200);
    let cancel = first.request("CANCEL");
    assert_eq!(cancel.branch(), tried.branch());
    first.send(&cancel.answer("200 OK", "a", &[], ""));
    first.send(&tried.answer("487 Request Terminated", "a", &[], ""));
    assert_eq!(first.request("ACK").branch(), tried.branch());
    let last = scene.caller.expect(487);
    scene.caller.ask(&invite.ack(&last));
    assert!(second.recv_within(std::time::Duration::from_millis(1)).is_none());
    scene.released();
}

#[test]
fn a_final_answer_of_the_callee_is_final() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let answers = ["486 Busy Here", "603 Decline", "500 Server Internal Error", "404 Not Found", "480 Temporarily Unavailable"];
    for status in answers {
        let invite = scene.invite();
        scene.caller.ask(&invite);
        let seen = first.request("INVITE");
        first.send(&seen.answer(status, "callee", &[], ""));
        first.request("ACK");
        let last = scene.caller.response();
        assert!(last.start.ends_with(status), "{}", last.start);
        scene.caller.ask(&invite.ack(&last));
    }
    assert!(second.recv_within(std::time::Duration::from_millis(1)).is_none(), "the second upstream was tried");
    scene.released();
}

#[test]
fn a_cancel_goes_to_the_upstream_that_has_the_call() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    first.send(&tried.answer("503 Service Unavailable", "a", &[], ""));
    first.request("ACK");
    let seen = second.request("INVITE");
    second.send(&seen.answer("180 Ringing", "callee", &[&contact(&second)], ""));
    scene.caller.expect(180);
    scene.caller.ask(&invite.cancel());
    scene.caller.expect(200);
    let cancel = second.request("CANCEL");
    assert_eq!(cancel.branch(), seen.branch());
    second.send(&cancel.answer("200 OK", "callee", &[], ""));
    second.send(&seen.answer("487 Request Terminated", "callee", &[], ""));
    second.request("ACK");
    let last = scene.caller.expect(487);
    scene.caller.ask(&invite.ack(&last));
    scene.released();
}

#[test]
fn a_cancelled_call_is_not_moved_on() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    scene.caller.ask(&invite.cancel());
    scene.caller.expect(200);
    first.send(&tried.answer("503 Service Unavailable", "a", &[], ""));
    first.request("ACK");
    let last = scene.caller.response();
    assert!(last.code() >= 400, "{}", last.start);
    scene.caller.ask(&invite.ack(&last));
    assert!(second.recv_within(std::time::Duration::from_millis(1)).is_none(), "the second upstream was tried");
    scene.released();
}

#[test]
fn all_upstreams_down_is_152() {
    for (upstreams, transport) in [(&[10_u8, 11, 12][..], "udp"), (&[10, 11], "tcp")] {
        let mut scene = Scene::new(upstreams, transport);
        let invite = scene.invite();
        let last = scene.caller.asked(&invite);
        assert_refusal(&last, 503, 152, "targets-down");
        scene.caller.ask(&invite.ack(&last));
        // Decided when the last attempt failed, not when a message came: counted a moment after the answer.
        scene.daemon.metrics_when("the verdict", |metrics| metrics.verdicts("refuse", "targets-down") == 1);
        scene.released();
    }
}

#[test]
fn silence_and_503_of_all_is_152_too() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    first.request("INVITE");
    let seen = second.request("INVITE");
    second.send(&seen.answer("503 Service Unavailable", "b", &["Retry-After: 9"], ""));
    let last = scene.caller.response();
    assert_refusal(&last, 503, 152, "targets-down");
    scene.caller.ask(&invite.ack(&last));
    scene.released();
}

#[test]
fn a_request_that_is_no_invite_gets_no_408() {
    let mut scene = Scene::new(&[10], "udp");
    let mut first = scene.server(10);
    scene.caller.ask(&Ask::new("MESSAGE", URI, scene.caller.addr, "udp"));
    let seen = first.request("MESSAGE");
    scene.released();
    // RFC 4320 4.2: no 408, and a late answer goes nowhere.
    first.send(&seen.answer("200 OK", "late", &[], ""));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let next = loop {
        let seen = scene.caller.recv();
        if seen.code() != 100 || seen.get("CSeq").ends_with("INVITE") {
            break seen;
        }
    };
    assert_eq!(next.get("Call-ID"), invite.call_id, "{}", next.start);
}

/// A call that this server answers 503 with these rows, and the next one takes and turns down.
fn turned_away(scene: &mut Scene, first: &mut Leg, second: &mut Leg, rows: &[&str]) {
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = first.request("INVITE");
    first.send(&tried.answer("503 Service Unavailable", "a", rows, ""));
    first.request("ACK");
    turned_down(scene, second, &invite);
}

fn turned_down(scene: &mut Scene, server: &mut Leg, invite: &Ask) {
    let seen = server.request("INVITE");
    assert_eq!(seen.get("Call-ID"), invite.call_id);
    server.send(&seen.answer("486 Busy Here", "b", &[], ""));
    server.request("ACK");
    let busy = scene.caller.expect(486);
    scene.caller.ask(&invite.ack(&busy));
}

#[test]
fn a_server_that_asks_to_be_left_alone_is() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    turned_away(&mut scene, &mut first, &mut second, &["Retry-After: 30"]);
    let invite = scene.invite();
    scene.caller.ask(&invite);
    turned_down(&mut scene, &mut second, &invite);
    assert!(first.recv_within(std::time::Duration::from_millis(1)).is_none());
}

#[test]
fn a_server_that_answers_503_three_times_in_a_row_is_left_out() {
    let mut scene = Scene::new(&[10, 11], "udp");
    let (mut first, mut second) = (scene.server(10), scene.server(11));
    for _ in 0..3 {
        turned_away(&mut scene, &mut first, &mut second, &[]);
    }
    let invite = scene.invite();
    scene.caller.ask(&invite);
    turned_down(&mut scene, &mut second, &invite);
    assert!(first.recv_within(std::time::Duration::from_millis(1)).is_none());
}

#[test]
fn when_all_look_down_one_is_tried_all_the_same() {
    let mut scene = Scene::new(&[10], "udp");
    let mut only = scene.server(10);
    let invite = scene.invite();
    scene.caller.ask(&invite);
    let tried = only.request("INVITE");
    only.send(&tried.answer("503 Service Unavailable", "a", &["Retry-After: 30"], ""));
    only.request("ACK");
    let answer = scene.caller.expect(503);
    assert_refusal(&answer, 503, 152, "targets-down");
    scene.caller.ask(&invite.ack(&answer));
    let invite = scene.invite();
    scene.caller.ask(&invite);
    turned_down(&mut scene, &mut only, &invite);
}

#[test]
fn a_probe_that_is_answered_503_counts_and_one_that_is_answered_heals() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"{}\"", site.eu(10));
    plan.health = "interval = \"100ms\"\nfall = 1".into();
    let daemon = Daemon::launch(&site, &plan.text(&site));
    let mut server = Leg::udp(site.eu(10), site.door());
    let up = |value: u64| {
        daemon.metrics_when("the target's gauge", move |metrics| metrics.sum("ringfence_upstream_up", &[]) == value);
    };
    for (answer, value) in [("200 OK", 1), ("503 Service Unavailable", 0), ("404 Not Found", 1)] {
        let probe = server.request("OPTIONS");
        server.send(&probe.answer(answer, "p", &[], ""));
        up(value);
    }
}
