//! Requests inside a dialog: routes in every legal form, media checked as in the first request, and no way out.

use crate::harness::{Daemon, Dialog, Leg, Plan, Site, establish};

struct Call {
    site: Site,
    _daemon: Daemon,
    caller: Leg,
    server: Leg,
    near: Dialog,
    far: Dialog,
}

fn call() -> Call {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (near, far) = establish(&site, &mut caller, &mut server);
    Call { site, _daemon: daemon, caller, server, near, far }
}

#[test]
fn a_request_may_come_from_another_address_of_the_trunk() {
    let mut call = call();
    let mut elsewhere = Leg::udp(call.site.carrier(44), call.site.door());
    elsewhere.ask(&call.near.next("BYE"));
    let bye = call.server.request("BYE");
    call.server.send(&bye.answer("200 OK", "", &[], ""));
    elsewhere.expect(200);
}

#[test]
fn a_stolen_route_is_of_no_use_to_a_stranger_or_another_carrier() {
    let mut call = call();
    for thief in [call.site.stranger(1), call.site.us(10), call.site.rival(1)] {
        let mut leg = Leg::udp(thief, call.site.door());
        let answer = leg.asked(&call.near.next("BYE"));
        assert_eq!(answer.code(), 403, "{thief}");
    }
    assert!(call.server.recv_within(std::time::Duration::from_millis(1)).is_none(), "the call was ended by somebody else");
}

#[test]
fn a_strict_router_s_form_is_understood() {
    let mut call = call();
    // RFC 3261 16.4: our own Record-Route as the Request-URI, the target as the last Route.
    let target = call.near.target.clone();
    let ours = call.near.route[0].trim_matches(['<', '>']).to_owned();
    let mut bye = call.near.next("BYE");
    bye.uri = ours;
    bye.rows.retain(|row| !row.starts_with("Route:"));
    bye.rows.push(format!("Route: <{target}>"));
    call.caller.ask(&bye);
    let seen = call.server.request("BYE");
    assert_eq!(seen.uri(), target);
    assert!(seen.find("Route").is_none());
    call.server.send(&seen.answer("200 OK", "", &[], ""));
    call.caller.expect(200);
}

#[test]
fn media_that_moves_outside_is_refused_and_the_call_goes_on() {
    let mut call = call();
    let outside = call.site.us(20).ip();
    let reinvite = call.near.next("INVITE").sdp(outside);
    let answer = call.caller.asked(&reinvite);
    assert_eq!(answer.code(), 488, "an in-dialog refusal must not end a call that can go on: {}", answer.start);
    assert!(answer.get("X-Ringfence").starts_with("140; reason=foreign-media-offer"), "{}", answer.get("X-Ringfence"));
    call.caller.ask(&reinvite.ack(&answer));
    let back = call.far.next("INVITE").sdp(outside);
    let answer = call.server.asked(&back);
    assert_eq!(answer.code(), 488, "{}", answer.start);
    call.server.ask(&back.ack(&answer));
    call.caller.ask(&call.near.next("BYE"));
    let bye = call.server.request("BYE");
    call.server.send(&bye.answer("200 OK", "", &[], ""));
    call.caller.expect(200);
}

#[test]
fn the_route_is_ours_in_every_spelling_of_the_same_uri() {
    let mut call = call();
    let door = call.site.door();
    let plain = call.near.route[0].clone();
    let mut display = call.near.clone();
    display.route[0] = format!("\"Us, <here>\" {plain}");
    call.caller.ask(&display.next("INFO"));
    let info = call.server.request("INFO");
    assert!(info.find("Route").is_none(), "our own Route is removed");
    call.server.send(&info.answer("200 OK", "", &[], ""));
    call.caller.expect(200);
    assert!(plain.contains(&door.to_string()), "{plain}");
    call.near.cseq = display.cseq;
    call.caller.ask(&call.near.next("BYE"));
    call.server.request("BYE");
}
