//! Answers with media outside: nothing of them travels, and both telephones get what ends the call.

use std::net::IpAddr;

use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site, establish};
use crate::refusals::assert_refusal;

struct Scene {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
}

fn scene(transport: &str) -> Scene {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
    let daemon = Daemon::start(&site, &plan);
    let (caller, server) = (Leg::caller(transport, site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    Scene { site, daemon, caller, server }
}

impl Scene {
    fn outside(&self) -> IpAddr {
        self.site.us(20).ip()
    }

    fn contact(&self) -> String {
        format!("Contact: <sip:server@{}>", self.server.addr)
    }

    fn invite(&mut self) -> (Ask, Seen) {
        let transport = self.caller.transport();
        let invite = Ask::invite("sip:1@acme.eu.sip.example.com", self.caller.addr, transport, self.site.carrier(20).ip());
        self.caller.ask(&invite);
        let seen = self.server.request("INVITE");
        (invite, seen)
    }

    fn established(&mut self) -> Dialog {
        establish(&self.site, &mut self.caller, &mut self.server).0
    }

    /// The callee's end of a call: a BYE that says why, answered.
    fn parted(leg: &mut Leg) -> Seen {
        let bye = leg.request("BYE");
        assert_eq!(bye.all("Reason").len(), 2, "{}", bye.start);
        assert!(bye.get("X-Ringfence").starts_with("141; reason=foreign-media-answer"), "{}", bye.get("X-Ringfence"));
        leg.send(&bye.answer("200 OK", "", &[], ""));
        bye
    }

    fn over(self, verdicts: u64) {
        let metrics = self.daemon.metrics_when("release of all transactions", Metrics::released);
        assert_eq!(metrics.verdicts("refuse", "foreign-media-answer"), verdicts);
    }
}

#[test]
fn a_callee_that_answers_outside_is_ended_and_the_caller_refused() {
    for transport in ["udp", "tcp"] {
        let mut scene = scene(transport);
        let (invite, seen) = scene.invite();
        let answer = seen.answer("200 OK", "callee", &[&scene.contact()], &sdp(scene.outside()));
        scene.server.send(&answer);
        let refused = scene.caller.response();
        assert_refusal(&refused, 603, 141, "foreign-media-answer");
        scene.caller.ask(&invite.ack(&refused));
        let ack = scene.server.request("ACK");
        assert_eq!((ack.get("CSeq"), ack.body.len()), ("1 ACK", 0));
        assert_eq!(ack.get("To"), format!("{};tag=callee", seen.get("To")));
        // It lost the ACK and repeats its answer.
        scene.server.send(&answer);
        let bye = Scene::parted(&mut scene.server);
        assert_eq!(bye.start, format!("BYE sip:server@{} SIP/2.0", scene.server.addr));
        scene.over(1);
    }
}

#[test]
fn a_late_answer_outside_ends_both_legs() {
    for transport in ["udp", "tcp"] {
        let mut scene = scene(transport);
        let invite = Ask::new("INVITE", "sip:1@acme.eu.sip.example.com", scene.caller.addr, transport);
        scene.caller.ask(&invite);
        let seen = scene.server.request("INVITE");
        scene.server.send(&seen.answer("200 OK", "callee", &[&scene.contact()], &sdp(scene.site.eu(10).ip())));
        let dialog = Dialog::of_caller(&scene.caller.expect(200), &scene.caller);
        let outside = scene.outside();
        scene.caller.ask(&dialog.ack().sdp(outside));
        let ack = scene.server.request("ACK");
        assert!(ack.body.is_empty() && ack.find("Content-Type").is_none(), "{}", ack.start);
        Scene::parted(&mut scene.server);
        let bye = Scene::parted(&mut scene.caller);
        assert_eq!((bye.get("From"), bye.get("To")), (dialog.remote.as_str(), dialog.local.as_str()));
        scene.over(1);
    }
}

#[test]
fn a_renegotiation_answered_outside_ends_both_legs() {
    for (method, transport) in [("INVITE", "udp"), ("UPDATE", "udp"), ("UPDATE", "tcp")] {
        let mut scene = scene(transport);
        let mut dialog = scene.established();
        let ask = dialog.next(method).sdp(scene.site.carrier(20).ip());
        scene.caller.ask(&ask);
        let seen = scene.server.request(method);
        scene.server.send(&seen.answer("200 OK", "", &[&scene.contact()], &sdp(scene.outside())));
        let refused = scene.caller.response();
        assert_refusal(&refused, 488, 141, "foreign-media-answer");
        if method == "INVITE" {
            scene.caller.ask(&ask.ack(&refused));
            scene.server.request("ACK");
        }
        Scene::parted(&mut scene.server);
        Scene::parted(&mut scene.caller);
        scene.over(1);
    }
}

#[test]
fn early_media_outside_is_held_back_and_the_call_is_answered() {
    let mut scene = scene("udp");
    let (_, seen) = scene.invite();
    scene.server.send(&seen.answer("183 Session Progress", "callee", &[], &sdp(scene.outside())));
    scene.server.send(&seen.answer("180 Ringing", "callee", &[], ""));
    assert_eq!(scene.caller.response().code(), 180, "the one before went no further");
    scene.server.send(&seen.answer("200 OK", "callee", &[&scene.contact()], &sdp(scene.site.eu(10).ip())));
    scene.caller.expect(200);
    let metrics = scene.daemon.metrics();
    let of = |result| [("region", "eu"), ("direction", "out"), ("result", result)];
    let counted = ["outside", "none", "inside"].map(|result| metrics.sum("ringfence_media_checked_total", &of(result)));
    assert_eq!(counted, [1, 1, 1]);
    assert_eq!(metrics.sum("ringfence_dropped_total", &[("cause", "media")]), 1);
}
