//! Shutting down: open calls end as they like, new ones are told to go to a sibling.

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site, await_some};
use crate::refusals::assert_refusal;

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

#[test]
fn a_draining_daemon_serves_open_calls_refuses_new_ones_and_ends() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\ndrain = \"20s\"\n");
    let mut daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    let media = sdp(site.eu(10).ip());
    // One call is up, another one rings: the daemon must wait for the ringing one.
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let seen = server.request("INVITE");
    server.send(&seen.answer("200 OK", "callee", &[&contact], &media));
    let mut dialog = Dialog::of_caller(&caller.expect(200), &caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    let ringing = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ringing);
    let rings = server.request("INVITE");
    server.send(&rings.answer("180 Ringing", "callee", &[&contact], ""));
    caller.expect(180);

    daemon.signal("TERM");
    await_some("unreadiness", || (daemon.get("/readyz").0 == 503).then_some(()));
    assert_eq!(daemon.get("/healthz").0, 200);
    let refused = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    let answer = caller.asked(&refused);
    assert_refusal(&answer, 503, 161, "draining");
    caller.ask(&refused.ack(&answer));
    assert_eq!(caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "udp")).code(), 503);
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    daemon.must_run();
    server.send(&rings.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&ringing.ack(&busy));
    server.request("ACK");
    assert!(daemon.wait().success());
}

#[test]
fn a_drain_may_be_asked_for_at_the_admin_endpoint_which_answers_to_the_end() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\ndrain = \"20s\"\n");
    let mut daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let ringing = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ringing);
    let rings = server.request("INVITE");
    server.send(&rings.answer("180 Ringing", "callee", &[], ""));
    caller.expect(180);
    assert_eq!(daemon.get("/drain").0, 405);
    assert_eq!(daemon.get("/readyz").0, 200);
    for _ in 0..2 {
        assert_eq!(daemon.post("/drain"), 202);
        assert_eq!(daemon.get("/readyz").0, 503);
    }
    // One signal after it changes nothing: that is how an orchestrator goes on.
    daemon.signal("TERM");
    let refused = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    let answer = caller.asked(&refused);
    assert_refusal(&answer, 503, 161, "draining");
    caller.ask(&refused.ack(&answer));
    daemon.must_run();
    assert_eq!(daemon.get("/healthz").0, 200);
    server.send(&rings.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&ringing.ack(&busy));
    server.request("ACK");
    assert!(daemon.wait().success());
}

#[test]
fn a_drain_ends_in_time_whatever_stays_open() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[timers]\ndrain = \"1s\"\n");
    let mut daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    caller.ask(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    let seen = server.request("INVITE");
    server.send(&seen.answer("180 Ringing", "callee", &[], ""));
    caller.expect(180);
    daemon.signal("TERM");
    daemon.wait();
}

#[test]
fn a_dialog_outlives_the_daemon_that_set_it_up() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    caller.ask(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.eu(10).ip())));
    let mut near = Dialog::of_caller(&caller.expect(200), &caller);
    let mut far = Dialog::of_callee(&seen, "callee", &server);
    caller.ask(&near.ack());
    server.request("ACK");
    // Killed without a word; another one with the same key takes over.
    drop(daemon);
    let _daemon = Daemon::start(&site, &plan);
    server.ask(&far.next("INFO"));
    let info = caller.request("INFO");
    caller.send(&info.answer("200 OK", "", &[], ""));
    server.expect(200);
    caller.ask(&near.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
}
