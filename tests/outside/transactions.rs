//! What is sent again, what is absorbed, and who a request belongs to (RFC 3261 17, RFC 6026).

use std::time::Duration;

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site};

const URI: &str = "sip:1@acme.eu.sip.example.com";
const SOON: Duration = Duration::from_secs(5);

struct Scene {
    site: Site,
    _daemon: Daemon,
    caller: Leg,
    server: Leg,
}

impl Scene {
    fn new(timers: &str) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        plan.more.push_str(timers);
        let daemon = Daemon::start(&site, &plan);
        let (caller, server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
        Self { site, _daemon: daemon, caller, server }
    }

    fn invite(&mut self) -> (Ask, Seen) {
        let ask = Ask::invite(URI, self.caller.addr, "udp", self.site.carrier(20).ip());
        self.caller.ask(&ask);
        let seen = self.server.request("INVITE");
        (ask, seen)
    }

    fn answer_200(&mut self, seen: &Seen, tag: &str) {
        let contact = format!("Contact: <sip:server@{}>", self.server.addr);
        self.server.send(&seen.answer("200 OK", tag, &[&contact], &sdp(self.site.eu(10).ip())));
    }

    /// The next message to the caller, repetition or not.
    fn next(&mut self) -> Seen {
        self.caller.any_within(SOON).expect("a message")
    }
}

const QUICK: &str = "[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n";

#[test]
fn a_final_answer_is_repeated_until_its_ack() {
    let mut scene = Scene::new(QUICK);
    let (ask, seen) = scene.invite();
    scene.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    scene.server.request("ACK");
    let busy = scene.caller.expect(486);
    // Timer G: again and again, the same bytes.
    for _ in 0..3 {
        assert_eq!(scene.next().raw, busy.raw);
    }
    scene.caller.ask(&ask.ack(&busy));
    let (other, _) = scene.invite();
    let after = loop {
        let seen = scene.next();
        if seen.raw != busy.raw {
            break seen;
        }
    };
    assert_eq!(after.get("Call-ID"), other.call_id);
    while let Some(seen) = scene.caller.any_within(Duration::from_millis(300)) {
        assert_ne!(seen.raw, busy.raw, "repeated after its ACK");
    }
}

#[test]
fn a_final_answer_that_comes_again_is_acknowledged_again_and_goes_no_further() {
    let mut scene = Scene::new("");
    let (ask, seen) = scene.invite();
    let busy = seen.answer("486 Busy Here", "callee", &[], "");
    scene.server.send(&busy);
    let first = scene.server.request("ACK");
    let last = scene.caller.expect(486);
    scene.caller.ask(&ask.ack(&last));
    for _ in 0..3 {
        scene.server.send(&busy);
        let again = scene.server.any_within(SOON).expect("another ACK");
        assert_eq!(again.raw, first.raw, "the same ACK");
    }
    let (other, _) = scene.invite();
    assert_eq!(scene.next().get("Call-ID"), other.call_id, "RFC 3261 17.1.1.2: Timer D absorbs it");
}

#[test]
fn an_invite_that_comes_again_after_its_200_is_absorbed_and_every_200_passes() {
    let mut scene = Scene::new("");
    let (ask, seen) = scene.invite();
    scene.answer_200(&seen, "a");
    let first = scene.caller.expect(200);
    // RFC 6026 7.1: the Accepted state takes copies in and sends nothing; the server's copies of the 200 pass.
    for _ in 0..3 {
        scene.caller.ask(&ask);
    }
    for _ in 0..3 {
        scene.answer_200(&seen, "a");
        assert_eq!(scene.next().raw, first.raw);
    }
    scene.answer_200(&seen, "b");
    assert!(scene.next().get("To").ends_with("tag=b"), "a forked 200");
    let (other, again) = scene.invite();
    assert_eq!(again.get("Call-ID"), other.call_id, "no copy of the first went on");
}

#[test]
fn a_request_that_is_no_invite_is_answered_again_from_memory() {
    let mut scene = Scene::new("");
    let ask = Ask::new("MESSAGE", URI, scene.caller.addr, "udp");
    scene.caller.ask(&ask);
    let seen = scene.server.request("MESSAGE");
    // Copies while it is open are absorbed (17.2.2: no 1xx yet, nothing to repeat).
    scene.caller.ask(&ask);
    scene.caller.ask(&ask);
    scene.server.send(&seen.answer("202 Accepted", "callee", &[], ""));
    let answer = scene.caller.expect(202);
    for _ in 0..3 {
        scene.caller.ask(&ask);
        assert_eq!(scene.next().raw, answer.raw);
    }
    let other = Ask::new("MESSAGE", URI, scene.caller.addr, "udp");
    scene.caller.ask(&other);
    assert_eq!(scene.server.recv().get("Call-ID"), other.call_id, "no copy went on");
}

#[test]
fn an_unanswered_invite_is_sent_again_by_timer_a_and_stops_at_the_first_answer() {
    let mut scene = Scene::new("[timers]\nt1 = \"50ms\"\nt2 = \"400ms\"\nt4 = \"500ms\"\n");
    let start = std::time::Instant::now();
    let (_, first) = scene.invite();
    let mut at = Vec::new();
    for _ in 0..3 {
        let again = scene.server.any_within(SOON).expect("a copy");
        assert_eq!(again.raw, first.raw);
        at.push(start.elapsed());
    }
    // After T1, 3 T1 and 7 T1; late on a busy machine, but never early.
    for (elapsed, least) in at.iter().zip([45, 140, 340]) {
        assert!(*elapsed >= Duration::from_millis(least), "{at:?}");
    }
    scene.server.send(&first.answer("180 Ringing", "callee", &[], ""));
    scene.caller.expect(180);
    // 15 T1 would be the next.
    assert!(scene.server.any_within(Duration::from_millis(900)).is_none(), "sent again after an answer");
}

#[test]
fn the_same_branch_from_another_sender_is_another_request() {
    let mut scene = Scene::new("");
    let (ask, first) = scene.invite();
    let mut other = Leg::udp(scene.site.carrier(30), scene.site.door());
    let mut twin = ask;
    twin.via[0] = twin.via[0].replace(&scene.caller.addr.to_string(), &other.addr.to_string());
    twin.call_id = format!("{}x", twin.call_id);
    other.ask(&twin);
    let second = scene.server.request("INVITE");
    assert_eq!(second.get("Call-ID"), twin.call_id);
    scene.server.send(&second.answer("486 Busy Here", "second", &[], ""));
    assert!(other.expect(486).get("To").ends_with("tag=second"));
    scene.server.request("ACK");
    scene.server.send(&first.answer("480 Temporarily Unavailable", "first", &[], ""));
    assert!(scene.caller.expect(480).get("To").ends_with("tag=first"));
}

#[test]
fn a_request_without_the_magic_cookie_is_matched_too() {
    let mut scene = Scene::new("");
    let mut ask = Ask::invite(URI, scene.caller.addr, "udp", scene.site.carrier(20).ip());
    ask.via[0] = format!("SIP/2.0/UDP {};branch=1", scene.caller.addr);
    scene.caller.ask(&ask);
    let seen = scene.server.request("INVITE");
    scene.caller.ask(&ask);
    scene.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let busy = scene.caller.expect(486);
    scene.server.request("ACK");
    scene.caller.ask(&ask.ack(&busy));
    let (other, again) = scene.invite();
    assert_eq!(again.get("Call-ID"), other.call_id, "RFC 3261 17.2.3: the copy was recognised");
}

#[test]
fn a_proxied_challenge_and_its_answer_pass() {
    let mut scene = Scene::new("");
    let (ask, seen) = scene.invite();
    let challenge = "Proxy-Authenticate: Digest realm=\"r\", nonce=\"n,;\"";
    scene.server.send(&seen.answer("407 Proxy Authentication Required", "c", &[challenge], ""));
    scene.server.request("ACK");
    let answer = scene.caller.expect(407);
    assert_eq!(answer.get("Proxy-Authenticate"), &challenge["Proxy-Authenticate: ".len()..]);
    scene.caller.ask(&ask.ack(&answer));
    let mut again = ask.again().with("Proxy-Authorization: Digest username=\"u\", response=\"r\"");
    again.cseq = "2 INVITE".into();
    scene.caller.ask(&again);
    assert!(scene.server.request("INVITE").get("Proxy-Authorization").starts_with("Digest username"));
}

#[test]
fn a_carrier_that_sends_from_one_port_and_listens_on_another_gets_its_answers() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut listens = Leg::udp(site.carrier(20), site.door());
    let mut sends = Leg::udp(std::net::SocketAddr::new(listens.addr.ip(), 0), site.door());
    let mut invite = Ask::invite("sip:1@acme.eu.sip.example.com", listens.addr, "udp", site.carrier(20).ip());
    invite.via[0] = invite.via[0].replace(";rport", "");
    sends.ask(&invite);
    let seen = server.request("INVITE");
    assert!(!seen.all("Via")[1].contains("rport"), "{:?}", seen.all("Via"));
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let answer = listens.expect(486);
    sends.ask(&invite.ack(&answer));
    // With rport the answer comes where it was sent from, and so do the answers that are ours alone.
    let asked = Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", listens.addr, "udp");
    assert_eq!(sends.asked(&asked).code(), 200);
    let mut refused = Ask::new("OPTIONS", "sip:acme.us.sip.example.com", listens.addr, "udp");
    refused.via[0] = refused.via[0].replace(";rport", "");
    sends.ask(&refused);
    assert_eq!(listens.response().code(), 403);
    assert!(sends.recv_within(Duration::from_millis(1)).is_none());
}
