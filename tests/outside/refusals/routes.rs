//! Requests inside dialogs that were never ours, or that want to leave: 170 and 171.

use super::{Scene, on_each_transport, refused};
use crate::harness::message::{fresh, sdp};
use crate::harness::{Ask, Dialog};

#[test]
fn a_preloaded_or_forged_route_is_170() {
    on_each_transport(|scene| {
        let door = scene.site.door();
        let routes = [
            format!("<sip:{};lr>", scene.site.us(10)),
            format!("<sip:{door};lr>"),
            format!("<sip:{door};lr>, <sip:{};lr>", scene.site.us(10)),
            format!("<sip:{door};lr;rf=0123456789abcdef0123456789abcdef>"),
        ];
        for route in &routes {
            let ask = scene.invite("acme.eu.sip.example.com").with(&format!("Route: {route}"));
            refused(scene, &ask, 403, 170, "forged-route");
            let to = format!("<sip:x@acme.eu.sip.example.com>;tag={}", fresh());
            let bye = Ask::new("BYE", "sip:x@acme.eu.sip.example.com", scene.caller.addr, scene.caller.transport());
            let bye = Ask { to, ..bye }.with(&format!("Route: {route}"));
            refused(scene, &bye, 403, 170, "forged-route");
        }
    });
}

/// Sets a call up through the scene and returns the caller's dialog.
fn talk(scene: &mut Scene) -> Dialog {
    let ask = scene.invite("acme.eu.sip.example.com");
    scene.caller.ask(&ask);
    let seen = scene.server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", scene.server.addr);
    scene.server.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(scene.site.eu(10).ip())));
    let dialog = Dialog::of_caller(&scene.caller.expect(200), &scene.caller);
    scene.caller.ask(&dialog.ack());
    scene.server.request("ACK");
    dialog
}

#[test]
fn a_dialog_target_outside_is_171() {
    on_each_transport(|scene| {
        let dialog = talk(scene);
        for method in ["BYE", "INFO", "INVITE"] {
            let mut moved = dialog.clone();
            moved.target = format!("sip:server@{}", scene.site.us(10));
            let mut ask = moved.next(method);
            if method == "INVITE" {
                ask = ask.sdp(scene.site.carrier(20).ip());
            }
            let code = if method == "INVITE" { 603 } else { 403 };
            refused(scene, &ask, code, 171, "foreign-dialog-target");
        }
        // An ACK cannot be refused: it ends here.
        let mut moved = dialog;
        moved.target = format!("sip:server@{}", scene.site.us(10));
        scene.caller.ask(&moved.ack());
        scene.nothing_upstream();
        let dropped = scene.daemon.metrics().sum("ringfence_dropped_total", &[("cause", "ack-target")]);
        assert!(dropped >= 1, "{dropped}");
    });
}

#[test]
fn no_bit_of_a_route_token_can_be_changed() {
    let mut scene = Scene::new("udp");
    let dialog = talk(&mut scene);
    let route = dialog.route[0].clone();
    let (head, params) = route.split_once(";lr").map_or_else(|| route.split_once(';').unwrap(), |(a, b)| (a, b));
    let token: Vec<usize> =
        route.char_indices().map(|(at, _)| at).filter(|&at| at >= head.len() && at < route.len() - 1).collect();
    assert!(params.len() > 10, "a token: {route}");
    let mut changed = 0;
    for at in token {
        let mut bytes = route.clone().into_bytes();
        if !bytes[at].is_ascii_alphanumeric()
            || route[..at].ends_with(';')
            || route[at..].starts_with("lr")
            || route[..=at].ends_with(";lr")
        {
            continue;
        }
        bytes[at] = if bytes[at] == b'0' { b'1' } else { b'0' };
        let mut forged = dialog.clone();
        forged.route[0] = String::from_utf8(bytes).unwrap();
        let answer = scene.caller.asked(&forged.next("BYE"));
        assert_eq!(answer.code(), 403, "{} was let through as {}", route, forged.route[0]);
        changed += 1;
    }
    assert!(changed > 8, "too few places tried in {route}");
    let mut honest = dialog;
    scene.caller.ask(&honest.next("BYE"));
    scene.server.request("BYE");
}
