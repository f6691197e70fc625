//! Every refusal on the wire: code by profile, phrase, headers, one reply per request, nothing at any upstream.

mod routes;

use std::fmt::Write;
use std::time::Duration;

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site};

/// Whether an answer is the refusal that the contract describes.
pub(crate) fn assert_refusal(seen: &Seen, code: u16, id: u16, token: &str) {
    let text = String::from_utf8_lossy(&seen.raw);
    assert_eq!(seen.code(), code, "{text}");
    assert!(seen.phrase().len() > 3, "a phrase for a person: {text}");
    assert_eq!(seen.all("Reason"), [format!("Q.850;cause=21;text=\"{token}\"")], "{text}");
    let warning = seen.get("Warning");
    let sentence = warning.strip_prefix("399 eu.sip.example.com \"").and_then(|rest| rest.strip_suffix('"'));
    assert!(sentence.is_some_and(|sentence| sentence.len() > 10), "{text}");
    assert_eq!(seen.all("X-Ringfence"), [format!("{id}; reason={token}; region=eu")], "{text}");
    assert_final(seen);
}

/// What every refusal has in common, also one that discloses nothing.
fn assert_final(seen: &Seen) {
    let text = String::from_utf8_lossy(&seen.raw);
    assert!(seen.find("Contact").is_none(), "{text}");
    assert!(seen.find("Retry-After").is_none(), "{text}");
    assert!(seen.body.is_empty() && seen.get("Content-Length") == "0", "{text}");
    assert!(seen.get("To").contains(";tag="), "{text}");
    assert!(!(300..400).contains(&seen.code()), "{text}");
}

/// A daemon for `eu` and `us` with projects of every kind, and two carriers.
fn plan(site: &Site) -> Plan {
    let mut plan = Plan::new(site);
    plan.serve = "[\"eu\", \"us\"]".into();
    plan.us = format!("listen = [\"udp:{}\"]\n", site.us(1));
    let ap = Site::network(site.rival(0)).replace(".4.0/24", ".5.0/24");
    let ap_upstream = site.rival(0).to_string().replace(".4.0:", ".5.10:");
    plan.more =
        format!("[region.ap]\nhostname = \"ap.sip.example.com\"\nnetworks = [\"{ap}\"]\nupstream = \"sip:{ap_upstream}\"\n");
    plan.project(site, "abroad", "pin = [\"us\"]", "");
    plan.project(site, "local", "pin = [\"eu\"]\nsource = \"in-region\"", "");
    plan.project(site, "shady", "pin = [\"us\"]\nmode = \"shadow\"", "");
    plan.project(site, "warned", "pin = [\"eu\"]\nmedia = \"warn\"", "");
    plan.project(site, "blind", "pin = [\"eu\"]\nmedia = \"off\"", "");
    let rival = Site::network(site.rival(0));
    write!(plan.projects, "[project.rivals]\n[project.rivals.trunk.rival]\nnetworks = [\"{rival}\"]\n").unwrap();
    plan
}

struct Scene {
    site: Site,
    daemon: Daemon,
    caller: Leg,
    server: Leg,
    abroad: Leg,
}

impl Scene {
    fn new(transport: &str) -> Self {
        let site = Site::claim();
        let daemon = Daemon::start(&site, &plan(&site));
        let caller = Leg::caller(transport, site.carrier(20), site.door());
        let server = Leg::udp(site.eu(10), site.door());
        let abroad = Leg::udp(site.us(10), site.door());
        Self { site, daemon, caller, server, abroad }
    }

    fn invite(&self, host: &str) -> Ask {
        let uri = format!("sip:+4930222@{host}");
        Ask::invite(&uri, self.caller.addr, self.caller.transport(), self.site.carrier(20).ip())
    }

    /// The next thing that any upstream sees is a call sent now: nothing came to it before.
    fn nothing_upstream(&mut self) {
        let canary = self.invite("acme.eu.sip.example.com");
        self.caller.ask(&canary);
        let seen = self.server.recv();
        assert_eq!(seen.get("Call-ID"), canary.call_id, "something came before: {}", seen.start);
        self.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        let busy = self.caller.expect(486);
        self.caller.ask(&canary.ack(&busy));
        self.server.request("ACK");
        assert!(self.abroad.recv_within(Duration::from_millis(1)).is_none(), "the other region saw something");
    }
}

fn refused(scene: &mut Scene, ask: &Ask, code: u16, id: u16, token: &str) {
    scene.caller.ask(ask);
    let first = scene.caller.recv();
    assert_refusal(&first, code, id, token);
    // A retransmission gets the same bytes, and one reply only; then its ACK is absorbed.
    scene.caller.ask(ask);
    let again = scene.caller.any_within(Duration::from_secs(5)).expect("the same answer again");
    assert_eq!(again.raw, first.raw, "the same bytes");
    if ask.method == "INVITE" {
        scene.caller.ask(&ask.ack(&first));
    }
    scene.nothing_upstream();
}

fn on_each_transport(run: impl Fn(&mut Scene)) {
    for transport in ["udp", "tcp"] {
        println!("over {transport}");
        run(&mut Scene::new(transport));
    }
}

#[test]
fn another_regions_endpoint_is_110() {
    on_each_transport(|scene| {
        for host in ["acme.ap.sip.example.com", "ap.sip.example.com", "ACME.AP.SIP.EXAMPLE.COM", "acme.ap.sip.example.com:5060"] {
            let ask = scene.invite(host);
            refused(scene, &ask, 603, 110, "foreign-endpoint");
        }
        let verdicts = scene.daemon.metrics().verdicts("refuse", "foreign-endpoint");
        assert!(verdicts >= 4, "{verdicts}");
    });
}

#[test]
fn an_endpoint_of_nobody_is_111_and_404() {
    on_each_transport(|scene| {
        for host in ["nobody.eu.sip.example.com", "sip.example.com", "example.org", "x.acme.eu.sip.example.com", "198.51.100.7"] {
            let ask = scene.invite(host);
            refused(scene, &ask, 404, 111, "unknown-endpoint");
        }
    });
}

#[test]
fn a_bare_region_hostname_with_several_projects_behind_one_source_is_111() {
    let mut scene = Scene::new("udp");
    let ask = scene.invite("eu.sip.example.com");
    refused(&mut scene, &ask, 404, 111, "unknown-endpoint");
}

#[test]
fn a_bare_region_hostname_is_the_sources_only_project() {
    let site = Site::claim();
    let _daemon = Daemon::start(&site, &plan(&site));
    let (mut caller, mut server) = (Leg::udp(site.rival(20), site.door()), Leg::udp(site.eu(10), site.door()));
    caller.ask(&Ask::invite("sip:1@eu.sip.example.com", caller.addr, "udp", site.eu(20).ip()));
    let seen = server.request("INVITE");
    assert_eq!(seen.get("X-Ringfence"), "100; reason=in-region; region=eu; project=rivals; trunk=rival");
}

#[test]
fn our_own_name_on_another_listener_is_112() {
    on_each_transport(|scene| {
        for host in ["acme.us.sip.example.com", "us.sip.example.com"] {
            let ask = scene.invite(host);
            refused(scene, &ask, 603, 112, "wrong-listener");
        }
    });
}

#[test]
fn an_unknown_source_is_told_nothing() {
    for transport in ["udp", "tcp"] {
        let mut scene = Scene::new(transport);
        let mut stranger = Leg::caller(transport, scene.site.stranger(1), scene.site.door());
        let mut rival = Leg::caller(transport, scene.site.rival(1), scene.site.door());
        let media = scene.site.carrier(20).ip();
        let hosts = ["acme.eu.sip.example.com", "acme.ap.sip.example.com", "nobody.eu.sip.example.com", "example.org"];
        for host in hosts {
            let ask = Ask::invite(&format!("sip:1@{host}"), stranger.addr, transport, media);
            assert_bare(&stranger.asked(&ask));
        }
        for method in ["OPTIONS", "REGISTER", "BYE", "FOO"] {
            let ask = Ask::new(method, "sip:acme.eu.sip.example.com", stranger.addr, transport);
            assert_bare(&stranger.asked(&ask));
        }
        // A carrier, but none of this project's: the label and the source must match each other.
        let ask = Ask::invite("sip:1@acme.eu.sip.example.com", rival.addr, transport, media);
        assert_bare(&rival.asked(&ask));
        scene.nothing_upstream();
        assert!(scene.daemon.metrics().verdicts("refuse", "unknown-source") >= 5);
    }
}

fn assert_bare(seen: &Seen) {
    let text = String::from_utf8_lossy(&seen.raw);
    assert_eq!(seen.start, "SIP/2.0 403 Forbidden", "{text}");
    for name in ["X-Ringfence", "Reason", "Warning", "Server", "Allow"] {
        assert!(seen.find(name).is_none(), "{name} discloses: {text}");
    }
    assert_final(seen);
}

#[test]
fn a_source_outside_is_121_where_the_project_wants_sources_inside() {
    on_each_transport(|scene| {
        let ask = scene.invite("local.eu.sip.example.com");
        refused(scene, &ask, 603, 121, "foreign-source");
    });
}

#[test]
fn a_project_pinned_elsewhere_is_130_also_at_the_global_endpoint() {
    on_each_transport(|scene| {
        for host in ["abroad.eu.sip.example.com", "abroad.sip.example.com"] {
            let ask = scene.invite(host);
            refused(scene, &ask, 603, 130, "pinned-elsewhere");
        }
    });
}

#[test]
fn media_offered_from_outside_is_140() {
    on_each_transport(|scene| {
        let (inside, outside) = (scene.site.carrier(20).ip(), scene.site.us(20).ip());
        let good = sdp(inside);
        let sessions = [
            sdp(outside),
            format!("{good}c=IN IP4 {outside}\r\n"),
            format!("{good}m=video 40002 RTP/AVP 99\r\nc=IN IP4 {outside}\r\n"),
            format!("{good}a=rtcp:40001 IN IP4 {outside}\r\n"),
            format!("{good}a=candidate:1 1 UDP 2130706431 {outside} 40000 typ host\r\n"),
            sdp(outside).replace("IP4 127", "IP6 ::ffff:127"),
        ];
        for session in sessions {
            let ask = scene.invite("acme.eu.sip.example.com");
            let ask = Ask { rows: vec![ask.rows[0].clone()], ..ask }.session(&session);
            refused(scene, &ask, 603, 140, "foreign-media-offer");
        }
        let warning = {
            let ask = scene.invite("acme.eu.sip.example.com");
            let ask = Ask { rows: vec![ask.rows[0].clone()], ..ask }.sdp(outside);
            scene.caller.asked(&ask).get("Warning").to_owned()
        };
        assert!(warning.contains(&outside.to_string()) && warning.contains("c="), "names field and value: {warning}");
    });
}

#[test]
fn media_that_cannot_be_checked_is_142_and_488() {
    on_each_transport(|scene| {
        let good = sdp(scene.site.carrier(20).ip());
        let address = scene.site.carrier(20).ip().to_string();
        let sessions = [
            good.replace(&format!("c=IN IP4 {address}"), "c=IN IP4 media.example.com"),
            good.replace(&format!("c=IN IP4 {address}"), "c=IN IP4 010.0.0.1"),
            good.replace(&format!("c=IN IP4 {address}\r\n"), ""),
            good.replace(&format!("c=IN IP4 {address}"), "c=IN IP4 224.2.1.1/127"),
        ];
        for session in sessions {
            let ask = scene.invite("acme.eu.sip.example.com");
            let ask = Ask { rows: vec![ask.rows[0].clone()], ..ask }.session(&session);
            refused(scene, &ask, 488, 142, "unreadable-media");
        }
    });
}

#[test]
fn media_is_let_through_where_the_project_says_so() {
    let mut scene = Scene::new("udp");
    let outside = scene.site.us(20).ip();
    for (project, shadow) in [("warned", 1), ("blind", 0)] {
        let ask = scene.invite(&format!("{project}.eu.sip.example.com"));
        let ask = Ask { rows: vec![ask.rows[0].clone()], ..ask }.sdp(outside);
        scene.caller.ask(&ask);
        let seen = scene.server.request("INVITE");
        assert_eq!(seen.body, sdp(outside).as_bytes());
        let row = match project {
            "warned" => format!(
                "140; reason=foreign-media-offer; region=eu; project=warned; trunk=carrier; verdict=shadow; \
                 why=\"SDP c= address {outside} is outside\""
            ),
            _ => "100; reason=in-region; region=eu; project=blind; trunk=carrier".to_owned(),
        };
        assert_eq!(seen.all("X-Ringfence"), [row]);
        scene.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        scene.server.request("ACK");
        let busy = scene.caller.expect(486);
        scene.caller.ask(&ask.ack(&busy));
        let labels = [("project", project), ("verdict", "shadow"), ("reason", "foreign-media-offer")];
        let counted = scene.daemon.metrics().sum("ringfence_verdicts_total", &labels);
        assert_eq!(counted, shadow, "{project}: {counted}");
    }
}

#[test]
fn a_project_in_shadow_mode_is_counted_and_let_through() {
    let mut scene = Scene::new("udp");
    let ask = scene.invite("shady.eu.sip.example.com");
    scene.caller.ask(&ask);
    let seen = scene.server.request("INVITE");
    assert_eq!(seen.get("Call-ID"), ask.call_id);
    let row = "130; reason=pinned-elsewhere; region=eu; project=shady; trunk=carrier; verdict=shadow; \
               why=\"project shady is pinned to us, not eu\"";
    assert_eq!(seen.all("X-Ringfence"), [row]);
    scene.server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    scene.caller.expect(486);
    let metrics = scene.daemon.metrics();
    assert_eq!(metrics.verdicts("shadow", "pinned-elsewhere"), 1, "{}", metrics.text());
    assert_eq!(metrics.verdicts("refuse", "pinned-elsewhere"), 0);
}

#[test]
fn a_policy_refusal_of_anything_but_an_invite_is_403() {
    let mut scene = Scene::new("udp");
    for method in ["MESSAGE", "SUBSCRIBE", "REFER", "FOO"] {
        let ask = Ask::new(method, "sip:x@acme.ap.sip.example.com", scene.caller.addr, "udp");
        refused(&mut scene, &ask, 403, 110, "foreign-endpoint");
    }
}

#[test]
fn a_call_that_comes_again_after_a_refusal_is_the_same_to_us_and_counted() {
    on_each_transport(|scene| {
        let mut ask = scene.invite("acme.ap.sip.example.com");
        ask.via[0] = format!("{};x=1", ask.via[0]);
        let first = scene.caller.asked(&ask);
        scene.caller.ask(&ask.ack(&first));
        for number in 2..5 {
            // Another transaction of the same call: what a carrier that tries again sends.
            let mut again = ask.again();
            again.cseq = format!("{number} INVITE");
            let answer = scene.caller.asked(&again);
            assert_refusal(&answer, 603, 110, "foreign-endpoint");
        }
        let labels = [("region", "eu"), ("project", "acme"), ("trunk", "carrier")];
        scene.daemon.metrics_when("three repeats", |metrics| metrics.sum("ringfence_repeats_total", &labels) == 3);
        scene.nothing_upstream();
    });
}
