//! Shutting down: open calls end as they like, new ones are told to go to a sibling.

use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site, await_some, establish};
use crate::refusals::assert_refusal;

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// A daemon with quick timers that drains for up to 20 seconds.
fn patient(site: &Site) -> Daemon {
    let mut plan = Plan::new(site);
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\ndrain = \"20s\"\n");
    Daemon::start(site, &plan)
}

/// Places a call that rings. Returns the INVITE as sent and as the server saw it.
fn ring(site: &Site, caller: &mut Leg, server: &mut Leg) -> (Ask, Seen) {
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let rings = server.request("INVITE");
    server.send(&rings.answer("180 Ringing", "callee", &[], ""));
    caller.expect(180);
    (invite, rings)
}

/// Ends a call that rings.
fn end_busy(caller: &mut Leg, server: &mut Leg, invite: &Ask, rings: &Seen) {
    server.send(&rings.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&invite.ack(&busy));
    server.request("ACK");
}

/// Places a new call, which a draining daemon refuses.
fn is_told_to_go_elsewhere(site: &Site, caller: &mut Leg) {
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    let answer = caller.asked(&invite);
    assert_refusal(&answer, 503, 161, "draining");
    caller.ask(&invite.ack(&answer));
}

#[test]
fn a_draining_daemon_serves_open_calls_refuses_new_ones_and_ends() {
    let site = Site::claim();
    let mut daemon = patient(&site);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    // One call is up, another one rings: the daemon must wait for the ringing one.
    let (mut dialog, _) = establish(&site, &mut caller, &mut server);
    let (ringing, rings) = ring(&site, &mut caller, &mut server);

    daemon.signal("TERM");
    await_some("unreadiness", || (daemon.get("/readyz").0 == 503).then_some(()));
    assert_eq!(daemon.get("/healthz").0, 200);
    is_told_to_go_elsewhere(&site, &mut caller);
    assert_eq!(caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "udp")).code(), 503);
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    daemon.must_run();
    end_busy(&mut caller, &mut server, &ringing, &rings);
    assert!(daemon.wait().success());
}

#[test]
fn a_drain_may_be_asked_for_at_the_admin_endpoint_which_answers_to_the_end() {
    let site = Site::claim();
    let mut daemon = patient(&site);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (ringing, rings) = ring(&site, &mut caller, &mut server);
    assert_eq!(daemon.get("/drain").0, 405);
    assert_eq!(daemon.get("/readyz").0, 200);
    for _ in 0..2 {
        assert_eq!(daemon.post("/drain"), 202);
        assert_eq!(daemon.get("/readyz").0, 503);
    }
    // One signal after it changes nothing: that is how an orchestrator goes on.
    daemon.signal("TERM");
    is_told_to_go_elsewhere(&site, &mut caller);
    daemon.must_run();
    assert_eq!(daemon.get("/healthz").0, 200);
    end_busy(&mut caller, &mut server, &ringing, &rings);
    assert!(daemon.wait().success());
}

#[test]
fn a_drain_ends_in_time_whatever_stays_open() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[timers]\ndrain = \"1s\"\n");
    let mut daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    ring(&site, &mut caller, &mut server);
    daemon.signal("TERM");
    daemon.wait();
}

#[test]
fn a_dialog_outlives_the_daemon_that_set_it_up() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (mut near, mut far) = establish(&site, &mut caller, &mut server);
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
