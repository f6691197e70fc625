//! A region whose servers are gone: an unpinned project's call is served by the nearest region, from INVITE to BYE.

use crate::harness::message::sdp;
use crate::harness::metrics::Metrics;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};
use crate::refusals::assert_refusal;

/// Region `eu` with a closed port for a server and `us` nearest, and a project without a pin.
fn plan(site: &Site) -> Plan {
    let mut plan = Plan::new(site);
    plan.eu = "nearest = [\"us\"]".into();
    plan.more.push_str("[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n");
    plan.project(site, "roamer", "", "");
    plan
}

#[test]
fn the_nearest_region_serves_the_whole_call() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &plan(&site));
    let (mut caller, mut far) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.us(10), site.door()));
    // Before any such call its servers are nobody.
    let ping = Ask::new("OPTIONS", "sip:eu.sip.example.com", far.addr, "udp");
    assert_eq!(far.asked(&ping).code(), 403);

    let invite = Ask::invite("sip:1@roamer.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let seen = far.request("INVITE");
    assert_eq!(seen.all("X-Ringfence"), ["101; reason=failover; region=us; project=roamer; trunk=carrier"]);
    assert!(seen.get("Via").contains(&site.door().to_string()), "from the called region's listener: {}", seen.get("Via"));
    let contact = format!("Contact: <sip:server@{}>", far.addr);
    far.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(site.us(10).ip())));
    let mut near_side = Dialog::of_caller(&caller.expect(200), &caller);
    let mut far_side = Dialog::of_callee(&seen, "callee", &far);
    caller.ask(&near_side.ack());
    far.request("ACK");
    caller.ask(&near_side.next("INFO"));
    let info = far.request("INFO");
    far.send(&info.answer("200 OK", "", &[], ""));
    caller.expect(200);

    // The other way, and by no other server of that region's kind: a re-INVITE, its ACK, and the BYE.
    let again = far_side.next("INVITE").sdp(site.us(10).ip());
    far.ask(&again);
    let seen = caller.request("INVITE");
    let contact = format!("Contact: <sip:caller@{}>", caller.addr);
    caller.send(&seen.answer("200 OK", "", &[&contact], &sdp(site.carrier(20).ip())));
    far.expect(200);
    far.ask(&far_side.ack());
    caller.request("ACK");
    let mut home = Leg::udp(site.eu(11), site.door());
    assert_eq!(home.asked(&far_side.next("BYE")).code(), 403, "the called region's servers have no part in it");
    far.ask(&far_side.next("BYE"));
    let bye = caller.request("BYE");
    caller.send(&bye.answer("200 OK", "", &[], ""));
    far.expect(200);
    let metrics = daemon.metrics_when("release of all transactions", Metrics::released);
    assert_eq!(metrics.verdicts("accept", "failover"), 1);
}

#[test]
fn a_pinned_call_never_leaves() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &plan(&site));
    let (mut caller, mut far) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.us(10), site.door()));
    let invite = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    let answer = caller.asked(&invite);
    assert_refusal(&answer, 503, 152, "targets-down");
    caller.ask(&invite.ack(&answer));
    daemon.metrics_when("the verdict", |metrics| metrics.verdicts("refuse", "targets-down") == 1);
    assert!(far.recv_within(std::time::Duration::from_millis(1)).is_none(), "it went to another region");
}
