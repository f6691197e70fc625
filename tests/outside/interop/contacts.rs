//! A dialog whose other side is a name that only its Contact tells: resolved, fenced, awaited by nobody else.

use super::nsd::Nsd;
use super::{invite, zone};
use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};
use crate::refusals::assert_refusal;

struct Scene {
    site: Site,
    _daemon: Daemon,
    nsd: Nsd,
    caller: Leg,
    server: Leg,
}

impl Scene {
    /// A daemon whose upstream is an address; names for Contacts stand in the zone alone.
    fn new() -> Self {
        let site = Site::claim();
        let records = format!(
            "{}{}{}{}_sip._udp.desk IN SRV 1 1 {} phone\n",
            zone::addresses("phone", &[site.eu(11).ip()]),
            zone::addresses("trunk", &[site.carrier(30).ip()]),
            zone::addresses("abroad", &[site.us(10).ip()]),
            zone::addresses("mixed", &[site.us(10).ip(), site.eu(11).ip()]),
            site.port
        );
        let nsd = Nsd::serve(&site, 60, &records);
        let mut plan = Plan::new(&site);
        // The server answers with the phone's Contact.
        plan.eu = format!("servers = [\"{}\", \"{}\"]", site.eu(10).ip(), site.eu(11).ip());
        plan.more = format!("[dns]\nservers = [\"{}\"]\n", nsd.addr);
        let daemon = Daemon::start(&site, &plan);
        let caller = Leg::udp(site.carrier(20), site.door());
        let server = Leg::udp(site.eu(10), site.door());
        Self { site, _daemon: daemon, nsd, caller, server }
    }

    /// An INVITE is answered with this Contact; the ACK is still to be sent. Both sides' dialogs.
    fn answered(&mut self, ask: &Ask, contact: &str) -> (Dialog, Dialog) {
        self.caller.ask(ask);
        let seen = self.server.request("INVITE");
        let contact = format!("Contact: <sip:callee@{contact}>");
        self.server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(self.site.eu(10).ip())));
        let near = Dialog::of_caller(&self.caller.expect(200), &self.caller);
        (near, Dialog::of_callee(&seen, "callee", &self.server))
    }

    fn invite(&self) -> Ask {
        invite(&self.site, &self.caller)
    }
}

#[test]
fn requests_follow_a_contact_by_its_name() {
    let mut scene = Scene::new();
    let port = scene.site.port;
    let mut phone = Leg::udp(scene.site.eu(11), scene.site.door());
    let abroad = Leg::udp(scene.site.us(10), scene.site.door());
    for contact in
        [format!("phone.internal.example:{port}"), "desk.internal.example".into(), format!("MIXED.internal.example:{port}")]
    {
        println!("{contact}");
        let ask = scene.invite();
        let (mut near, _) = scene.answered(&ask, &contact);
        scene.caller.ask(&near.ack());
        assert!(phone.request("ACK").uri().ends_with(&contact), "the Request-URI stays as it was");
        let change = near.next("INVITE").sdp(scene.site.carrier(20).ip());
        scene.caller.ask(&change);
        let seen = phone.request("INVITE");
        let row = format!("Contact: <sip:callee@{contact}>");
        phone.send(&seen.answer("200 OK", "", &[&row], &sdp(scene.site.eu(10).ip())));
        scene.caller.expect(200);
        scene.caller.ask(&near.ack());
        phone.request("ACK");
        scene.caller.ask(&near.next("BYE"));
        let bye = phone.request("BYE");
        phone.send(&bye.answer("200 OK", "", &[], ""));
        scene.caller.expect(200);
    }
    assert!(!abroad.octets_waiting(), "a packet left the region");
}

#[test]
fn the_callee_hangs_up_by_the_callers_name() {
    let mut scene = Scene::new();
    let mut trunk = Leg::udp(scene.site.carrier(30), scene.site.door());
    let mut ask = scene.invite();
    ask.rows[0] = format!("Contact: <sip:caller@trunk.internal.example:{}>", scene.site.port);
    let contact = scene.server.addr.to_string();
    let (near, mut far) = scene.answered(&ask, &contact);
    scene.caller.ask(&near.ack());
    scene.server.request("ACK");
    scene.server.ask(&far.next("BYE"));
    let bye = trunk.request("BYE");
    trunk.send(&bye.answer("200 OK", "", &[], ""));
    scene.server.expect(200);
}

#[test]
fn a_name_outside_is_171_to_either_side() {
    let mut scene = Scene::new();
    let contact = format!("abroad.internal.example:{}", scene.site.port);
    let abroad = Leg::udp(scene.site.us(10), scene.site.door());
    let mut ask = scene.invite();
    ask.rows[0] = format!("Contact: <sip:caller@{contact}>");
    let (mut near, mut far) = scene.answered(&ask, &contact);
    scene.caller.ask(&near.ack());
    assert_refusal(&scene.caller.asked(&near.next("BYE")), 403, 171, "foreign-dialog-target");
    assert_refusal(&scene.server.asked(&far.next("BYE")), 403, 171, "foreign-dialog-target");
    assert!(!abroad.octets_waiting(), "a packet left the region");
}

#[test]
fn a_name_that_nobody_knows_is_151() {
    let mut scene = Scene::new();
    let ask = scene.invite();
    let (mut near, _) = scene.answered(&ask, "nobody.internal.example");
    scene.caller.ask(&near.ack());
    assert_refusal(&scene.caller.asked(&near.next("BYE")), 503, 151, "no-target");
}

#[test]
fn while_dns_is_silent_one_waits_and_the_others_talk() {
    let mut scene = Scene::new();
    let mut other = Leg::udp(scene.site.carrier(21), scene.site.door());
    scene.nsd.signal("STOP");
    // The wait is bounded: on a machine that stalls for as long the calls between may all come after it.
    let talked = (0..5).any(|turn| {
        let ask = scene.invite();
        let (mut near, _) = scene.answered(&ask, &format!("phone-{turn}.internal.example:{}", scene.site.port));
        scene.caller.ask(&near.ack());
        scene.caller.ask(&near.next("BYE"));
        super::reaches(&scene.site, &mut other, &mut scene.server);
        let waits = !scene.caller.octets_waiting();
        if waits {
            assert_refusal(&scene.caller.response(), 503, 151, "no-target");
        }
        waits
    });
    assert!(talked, "no call was placed while a name was awaited");
    scene.nsd.signal("CONT");
    let mut phone = Leg::udp(scene.site.eu(11), scene.site.door());
    let ask = scene.invite();
    let (near, _) = scene.answered(&ask, &format!("phone.internal.example:{}", scene.site.port));
    scene.caller.ask(&near.ack());
    phone.request("ACK");
}
