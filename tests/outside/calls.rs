//! Calls that may pass, from INVITE to BYE, between raw telephones over every pair of transports.

use std::time::Duration;

use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// A daemon between a caller and one upstream.
struct Line {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
}

impl Line {
    fn new(inner: &str, outer: &str, change: impl Fn(&mut Plan)) -> Self {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        plan.upstream = format!("\"sip:{};transport={outer}\"", site.eu(10));
        change(&mut plan);
        let daemon = Daemon::start(&site, &plan);
        let caller = Leg::caller(inner, site.carrier(20), site.door());
        let server = Leg::server(outer, site.eu(10), site.door());
        Self { site, daemon, caller, server }
    }

    fn invite(&self) -> Ask {
        Ask::invite(URI, self.caller.addr, self.caller.transport(), self.site.carrier(20).ip())
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:server@{};transport={}>", self.site.eu(10), self.server.transport())
    }

    /// Sends the INVITE and lets it ring.
    fn ring(&mut self, invite: &Ask) -> Seen {
        self.caller.ask(invite);
        let seen = self.server.request("INVITE");
        self.server.send(&seen.answer("180 Ringing", "callee", &[&self.contact()], ""));
        self.caller.expect(180);
        seen
    }

    /// Sets a call up and returns both sides of its dialog.
    fn talk(&mut self) -> (Dialog, Dialog) {
        let seen = self.ring(&self.invite());
        let media = sdp(self.site.eu(10).ip());
        self.server.send(&seen.answer("200 OK", "callee", &[&self.contact()], &media));
        let answer = self.caller.expect(200);
        assert_eq!(answer.body, media.as_bytes());
        let (caller, callee) = (Dialog::of_caller(&answer, &self.caller), Dialog::of_callee(&seen, "callee", &self.server));
        self.caller.ask(&caller.ack());
        let ack = self.server.request("ACK");
        assert!(ack.uri().contains(&self.site.eu(10).to_string()), "the ACK keeps its target: {}", ack.start);
        (caller, callee)
    }

    /// Waits until the daemon holds no transaction any more (with a small T1 in its plan).
    fn released(&self) {
        self.daemon.metrics_when("release of all transactions", Metrics::released);
    }
}

fn quick(plan: &mut Plan) {
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
}

fn pairs(run: impl Fn(&str, &str)) {
    for (inner, outer) in [("udp", "udp"), ("tcp", "tcp"), ("udp", "tcp"), ("tcp", "udp")] {
        println!("{inner} to {outer}");
        run(inner, outer);
    }
}

/// A request inside the dialog goes over and its answer comes back; returns what the other side saw.
fn over(from: &mut Leg, to: &mut Leg, ask: &Ask, session: &str, contact: &str) -> Seen {
    from.ask(ask);
    let seen = to.request(&ask.method);
    to.send(&seen.answer("200 OK", "", &[contact], session));
    from.expect(200);
    seen
}

#[test]
fn the_caller_hangs_up() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, |_| {});
        let (mut caller, _) = line.talk();
        over(&mut line.caller, &mut line.server, &caller.next("BYE"), "", "");
        let metrics = line.daemon.metrics();
        assert_eq!(metrics.verdicts("accept", "in-region"), 1, "{}", metrics.text());
    });
}

#[test]
fn the_callee_hangs_up() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, |_| {});
        let (_, mut callee) = line.talk();
        over(&mut line.server, &mut line.caller, &callee.next("BYE"), "", "");
    });
}

#[test]
fn either_side_holds_and_resumes() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, |_| {});
        let (mut caller, mut callee) = line.talk();
        let (near, far) = (line.site.carrier(20).ip(), line.site.eu(10).ip());
        let contact = line.contact();
        let hold = sdp(near).replace(&format!("c=IN IP4 {near}"), "c=IN IP4 0.0.0.0") + "a=sendonly\r\n";
        let seen = over(&mut line.caller, &mut line.server, &caller.next("INVITE").session(&hold), &sdp(far), &contact);
        assert_eq!(seen.body, hold.as_bytes());
        line.caller.ask(&caller.ack());
        line.server.request("ACK");
        let back = format!("Contact: <sip:caller@{};transport={inner}>", line.caller.addr);
        over(&mut line.server, &mut line.caller, &callee.next("INVITE").sdp(far), &sdp(near), &back);
        line.server.ask(&callee.ack());
        line.caller.request("ACK");
        over(&mut line.server, &mut line.caller, &callee.next("INFO"), "", "");
        over(&mut line.caller, &mut line.server, &caller.next("UPDATE"), "", &contact);
        over(&mut line.caller, &mut line.server, &caller.next("BYE"), "", "");
    });
}

#[test]
fn a_call_that_is_cancelled_ends_with_487_on_both_sides() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, |_| {});
        let invite = line.invite();
        let seen = line.ring(&invite);
        line.caller.ask(&invite.cancel().with("Reason: SIP;cause=200;text=\"elsewhere\""));
        // The 200 to the CANCEL is ours and comes at once; the 487 comes from the far end.
        let own = line.caller.expect(200);
        assert!(own.get("CSeq").ends_with("CANCEL"));
        let cancel = line.server.request("CANCEL");
        assert_eq!(cancel.branch(), seen.branch(), "RFC 3261 9.1: the branch of the INVITE that it cancels");
        assert_eq!(cancel.uri(), seen.uri());
        assert_eq!(cancel.get("Reason"), "SIP;cause=200;text=\"elsewhere\"");
        line.server.send(&cancel.answer("200 OK", "callee", &[], ""));
        line.server.send(&seen.answer("487 Request Terminated", "callee", &[], ""));
        let ack = line.server.request("ACK");
        assert_eq!(ack.branch(), seen.branch(), "RFC 3261 17.1.1.3: the ACK is ours, hop by hop");
        let last = line.caller.expect(487);
        line.caller.ask(&invite.ack(&last));
        // Nothing of the caller's ACK goes on: what the server sees next is another call.
        line.ring(&line.invite());
    });
}

#[test]
fn a_cancel_before_any_answer_waits_for_one() {
    let mut line = Line::new("udp", "udp", |_| {});
    let invite = line.invite();
    line.caller.ask(&invite);
    let seen = line.server.request("INVITE");
    line.caller.ask(&invite.cancel());
    line.caller.expect(200);
    // RFC 3261 9.1: no CANCEL before a provisional answer.
    line.server.send(&seen.answer("183 Session Progress", "callee", &[&line.contact()], ""));
    let cancel = line.server.request("CANCEL");
    assert_eq!(cancel.branch(), seen.branch());
    line.server.send(&cancel.answer("200 OK", "callee", &[], ""));
    line.server.send(&seen.answer("487 Request Terminated", "callee", &[], ""));
    line.server.request("ACK");
    let last = loop {
        let seen = line.caller.response();
        if seen.code() != 183 {
            break seen;
        }
    };
    assert_eq!(last.code(), 487);
    line.caller.ask(&invite.ack(&last));
}

#[test]
fn a_busy_callee_is_reported_once_and_nothing_stays() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, quick);
        let invite = line.invite();
        let seen = line.ring(&invite);
        line.server.send(&seen.answer("486 Busy Here", "callee", &["X-Far: kept"], ""));
        assert_eq!(line.server.request("ACK").branch(), seen.branch());
        let busy = line.caller.expect(486);
        assert_eq!(busy.get("X-Far"), "kept");
        assert!(busy.get("To").contains("tag=callee"));
        assert!(busy.find("X-Ringfence").is_none(), "a busy callee is no refusal of ours");
        line.caller.ask(&invite.ack(&busy));
        line.released();
    });
}

#[test]
fn a_call_that_nobody_answers_is_ended_by_timer_c() {
    let mut line = Line::new("udp", "udp", |plan| {
        plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\nc = \"1s\"\n");
    });
    let invite = line.invite();
    let seen = line.ring(&invite);
    let cancel = line.server.request("CANCEL");
    assert_eq!(cancel.branch(), seen.branch());
    line.server.send(&cancel.answer("200 OK", "callee", &[], ""));
    line.server.send(&seen.answer("487 Request Terminated", "callee", &[], ""));
    line.server.request("ACK");
    let last = line.caller.response();
    assert!([408, 487].contains(&last.code()), "RFC 3261 16.8: {}", last.start);
    line.caller.ask(&invite.ack(&last));
    line.released();
}

#[test]
fn all_state_of_a_finished_call_is_released() {
    pairs(|inner, outer| {
        let mut line = Line::new(inner, outer, quick);
        let (mut caller, _) = line.talk();
        over(&mut line.caller, &mut line.server, &caller.next("BYE"), "", "");
        line.released();
    });
}

#[test]
fn a_repeated_invite_is_answered_from_memory_and_not_forwarded_again() {
    let mut line = Line::new("udp", "udp", |_| {});
    let invite = line.invite();
    line.ring(&invite);
    for _ in 0..5 {
        line.caller.ask(&invite);
        // The last provisional answer once more (RFC 3261 17.2.1).
        let again = line.caller.any_within(Duration::from_secs(5)).expect("the 180 again");
        assert_eq!(again.code(), 180, "{}", again.start);
    }
    // The server sees the next call, not the copies.
    let other = line.invite();
    let seen = line.ring(&other);
    assert_eq!(seen.get("Call-ID"), other.call_id);
}

#[test]
fn an_invite_gets_100_at_once_without_a_tag() {
    let mut line = Line::new("udp", "udp", |_| {});
    let invite = line.invite();
    let start = std::time::Instant::now();
    line.caller.ask(&invite);
    let trying = line.caller.recv();
    assert_eq!(trying.code(), 100);
    assert!(start.elapsed() < Duration::from_secs(1), "RFC 3261 17.2.1 wants 200 ms; took {:?}", start.elapsed());
    assert!(!trying.get("To").contains("tag="));
    // The server's own 100 goes no further (16.7 step 5).
    let seen = line.server.request("INVITE");
    line.server.send(&seen.answer("100 Trying", "", &["X-Far: 100"], ""));
    line.server.send(&seen.answer("180 Ringing", "callee", &[&line.contact()], ""));
    assert_eq!(line.caller.recv().code(), 180);
}

#[test]
fn a_large_invite_goes_by_tcp_and_a_small_one_by_udp() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let _daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let (mut small, mut large) = (Leg::udp(site.eu(10), site.door()), Leg::listen(site.eu(10)));
    let media = site.carrier(20).ip();
    caller.ask(&Ask::invite(URI, caller.addr, "udp", media));
    assert!(small.request("INVITE").get("Via").starts_with("SIP/2.0/UDP"));
    let pad = format!("X-Pad: {}", "p".repeat(1300));
    let invite = Ask::invite(URI, caller.addr, "udp", media).with(&pad);
    caller.ask(&invite);
    // RFC 3261 18.1.1: above 1300 octets by TCP, and Via says so.
    let seen = large.request("INVITE");
    assert!(seen.get("Via").starts_with("SIP/2.0/TCP"), "{}", seen.get("Via"));
    assert_eq!(seen.get("Call-ID"), invite.call_id);
    large.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    assert_eq!(large.request("ACK").branch(), seen.branch());
    let busy = caller.expect(486);
    caller.ask(&invite.ack(&busy));
}

#[test]
fn a_large_invite_falls_back_to_udp_where_tcp_is_closed() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::udp(site.eu(10), site.door());
    let pad = format!("X-Pad: {}", "p".repeat(1300));
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()).with(&pad);
    caller.ask(&invite);
    let seen = server.request("INVITE");
    assert!(seen.get("Via").starts_with("SIP/2.0/UDP"), "{}", seen.get("Via"));
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    caller.expect(486);
}

/// Nobody answers an ACK, and each repetition would go the same way.
#[test]
fn a_large_ack_falls_back_to_udp_where_tcp_is_closed() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::udp(site.eu(10), site.door());
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(server.addr.ip())));
    let answer = caller.expect(200);
    let mut dialog = Dialog::of_caller(&answer, &caller);
    let pad = format!("X-Pad: {}", "p".repeat(1300));
    caller.ask(&dialog.ack().with(&pad));
    let ack = server.request("ACK");
    assert!(ack.get("Via").starts_with("SIP/2.0/UDP") && ack.get("X-Pad").len() == 1300, "{}", ack.get("Via"));
    over(&mut caller, &mut server, &dialog.next("BYE"), "", "");
}

/// The only IPv6 address here is `::1`, and no address is both a trunk's and a server's. So one side is there at a time.
#[test]
fn a_call_over_ipv6() {
    for trunk in [true, false] {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        let free = || std::net::UdpSocket::bind("[::1]:0").unwrap().local_addr().unwrap();
        let (near, far) = (free(), free());
        let (caller, server) = if trunk { (far, site.eu(5)) } else { (site.carrier(7), far) };
        plan.listen = format!("[\"udp:{}\", \"udp:{near}\"]", site.door());
        plan.upstream = format!("\"sip:{server}\"");
        let carrier = format!("\"{}\"", Site::network(site.carrier(0)));
        let text = if trunk {
            plan.text(&site).replace(&carrier, "\"::1/128\"")
        } else {
            plan.text(&site).replacen("networks = [\"127", "networks = [\"::1/128\", \"127", 1)
        };
        let _daemon = Daemon::start_with(&site, &text);
        let (called, calls) = if trunk { (near, site.door()) } else { (site.door(), near) };
        let (mut caller, mut server) = (Leg::udp(caller, called), Leg::udp(server, calls));
        let invite = Ask::invite(URI, caller.addr, "udp", caller.addr.ip());
        caller.ask(&invite);
        let seen = server.request("INVITE");
        assert!(seen.get("Via").contains(&format!("UDP {calls}")), "{}", seen.get("Via"));
        let ours = seen.all("Record-Route").join(", ");
        assert!(ours.contains(&format!("<sip:{near}")) && ours.contains(&format!("<sip:{}", site.door())), "{ours}");
        let contact = format!("Contact: <sip:server@{}>", server.addr);
        server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(server.addr.ip())));
        let answer = caller.expect(200);
        let mut dialog = Dialog::of_caller(&answer, &caller);
        caller.ask(&dialog.ack());
        server.request("ACK");
        over(&mut caller, &mut server, &dialog.next("BYE"), "", "");
    }
}
