//! Trunks that are known by their certificate.

use super::{HOST, Scene};
use crate::harness::message::sdp;
use crate::harness::{Ask, Dialog, Leg};

const SBC: &str = "sbc.carrier.example";

/// A project whose trunk has these keys.
fn scene(trunk: &str) -> Scene {
    Scene::new(|plan, site, _| {
        let carrier = crate::harness::Site::network(site.carrier(0));
        let trunk = trunk.replace("CARRIER", &format!("\"{carrier}\""));
        plan.projects = format!(
            "[project.acme]\npin = [\"eu\"]\n[project.acme.trunk.carrier]\nmedia = [\"{carrier}\"]\n{trunk}\n\
             certificates = [\"other.example\", \"{SBC}\"]\n"
        );
    })
}

fn code(leg: &mut Leg) -> u16 {
    let ask = Scene::options(leg);
    leg.asked(&ask).code()
}

#[test]
fn a_certificate_alone_admits_from_everywhere() {
    let scene = scene("outbound_networks = [CARRIER]");
    for (names, expected) in [
        (&[SBC][..], 200),
        (&["sip:sbc.carrier.example"], 200),
        (&["a.example", "b.example", "c.example", "d.example", "e.example", SBC], 200),
        (&["SBC.Carrier.Example"], 200),
        (&["*.carrier.example"], 403),
        (&["xsbc.carrier.example"], 403),
    ] {
        let paper = scene.authority.paper(names);
        assert_eq!(code(&mut scene.from(scene.site.stranger(7), Some(&paper))), expected, "{names:?}");
    }
    assert_eq!(code(&mut scene.from(scene.site.stranger(7), None)), 403, "none shown");
    assert_eq!(code(&mut scene.from(scene.site.carrier(7), None)), 403, "an address proves nothing here");
    let mut plain = Leg::udp(scene.site.carrier(7), scene.site.door());
    let ask = Ask::new("OPTIONS", &format!("sip:{HOST}"), plain.addr, "udp");
    assert_eq!(plain.asked(&ask).code(), 403);
}

#[test]
fn with_networks_both_must_hold() {
    let scene = scene("networks = [CARRIER]");
    let paper = scene.authority.paper(&[SBC]);
    assert_eq!(code(&mut scene.from(scene.site.carrier(7), Some(&paper))), 200);
    assert_eq!(code(&mut scene.from(scene.site.stranger(7), Some(&paper))), 403);
    assert_eq!(code(&mut scene.from(scene.site.carrier(7), None)), 403);
    let other = scene.authority.paper(&["nobody.example"]);
    assert_eq!(code(&mut scene.from(scene.site.carrier(7), Some(&other))), 403);
}

#[test]
fn its_calls_go_both_ways_where_networks_say_so() {
    let scene = scene("outbound_networks = [CARRIER]");
    let mut server = Leg::udp(scene.site.eu(10), scene.site.door());
    let paper = scene.authority.paper(&[SBC]);
    let mut caller = scene.from(scene.site.carrier(20), Some(&paper));
    let (mut dialog, mut callee) = {
        caller.ask(&Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "tls", scene.site.carrier(20).ip()));
        let seen = server.request("INVITE");
        let contact = format!("Contact: <sip:server@{}>", scene.site.eu(10));
        server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(scene.site.eu(10).ip())));
        let answer = caller.expect(200);
        let dialog = Dialog::of_caller(&answer, &caller);
        caller.ask(&dialog.ack());
        server.request("ACK");
        (dialog, Dialog::of_callee(&seen, "callee", &server))
    };
    server.ask(&callee.next("BYE"));
    let bye = caller.request("BYE");
    caller.send(&bye.answer("200 OK", "", &[], ""));
    // Inside a dialog the certificate counts too.
    let mut nobody = scene.from(scene.site.stranger(20), None);
    let mut ask = dialog.next("INFO");
    assert_eq!(nobody.asked(&ask).code(), 403);
    ask = dialog.next("INFO");
    caller.ask(&ask);
    server.expect(200);
    let info = server.request("INFO");
    server.send(&info.answer("200 OK", "", &[], ""));
    caller.expect(200);
    // From where no network says that requests may go back: the call stands, the server's BYE does not get there.
    let mut far = scene.from(scene.site.stranger(20), Some(&paper));
    far.ask(&Ask::invite(&format!("sip:1@{HOST}"), far.addr, "tls", scene.site.carrier(20).ip()));
    let seen = server.request("INVITE");
    let mut callee = Dialog::of_callee(&seen, "callee", &server);
    let contact = format!("Contact: <sip:server@{}>", scene.site.eu(10));
    server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(scene.site.eu(10).ip())));
    far.expect(200);
    let refused = server.asked(&callee.next("BYE"));
    assert!(refused.get("X-Ringfence").starts_with("171;"), "{}", refused.start);
}

#[test]
fn another_trunk_at_the_same_address_is_another_party() {
    let scene = Scene::new(|plan, site, _| {
        let carrier = crate::harness::Site::network(site.carrier(0));
        let trunk = |project: &str, name: &str| {
            format!(
                "[project.{project}]\npin = [\"eu\"]\n[project.{project}.trunk.carrier]\nmedia = [\"{carrier}\"]\n\
                 networks = [\"{carrier}\"]\ncertificates = [\"{name}\"]\n"
            )
        };
        plan.projects = trunk("acme", SBC) + &trunk("other", "other.example");
    });
    let mut server = Leg::udp(scene.site.eu(10), scene.site.door());
    let mut caller = scene.from(scene.site.carrier(20), Some(&scene.authority.paper(&[SBC])));
    let mut own = scene.from(scene.site.carrier(21), Some(&scene.authority.paper(&[SBC])));
    let mut other = scene.from(scene.site.carrier(22), Some(&scene.authority.paper(&["other.example"])));
    assert_eq!((code(&mut own), code(&mut other)), (200, 403), "connected, and told apart");
    let mut call = |contact: std::net::SocketAddr| {
        let mut invite = Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "tls", scene.site.carrier(20).ip());
        invite.rows[0] = format!("Contact: <sip:caller@{contact};transport=tls>");
        caller.ask(&invite);
        let seen = server.request("INVITE");
        let contact = format!("Contact: <sip:server@{}>", scene.site.eu(10));
        server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(scene.site.eu(10).ip())));
        let answer = caller.expect(200);
        caller.ask(&Dialog::of_caller(&answer, &caller).ack());
        server.request("ACK");
        Dialog::of_callee(&seen, "callee", &server)
    };
    let (mut to_own, mut to_other) = (call(own.addr), call(other.addr));
    server.ask(&to_own.next("BYE"));
    let bye = own.request("BYE");
    own.send(&bye.answer("200 OK", "", &[], ""));
    server.expect(200);
    // What the other trunk at this address has proved says nothing of this one. The caller's own connection will do.
    server.ask(&to_other.next("BYE"));
    let bye = caller.request("BYE");
    caller.send(&bye.answer("200 OK", "", &[], ""));
    server.expect(200);
    assert_eq!(code(&mut other), 403, "nothing came by its connection but the answer to its own question");
}
