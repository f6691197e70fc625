//! Media in every message of a call between two `SIPp`s: the table of `docs/media.md` on the wire, alone and with Kamailio on both sides.

use std::net::IpAddr;

use super::apart::apart;
use super::between::{BACK, IN, OUT, Scene, Way};
use super::capture::{Capture, Packet};
use super::ladder::{End, Ladder};
use crate::harness::metrics::Metrics;

const UNREADABLE: &str = "media.example.com";

/// The table of `docs/media.md`: the message, and what each side gets if its media is outside or unreadable.
fn documented() -> Vec<[String; 3]> {
    let (_, table) = include_str!("../../../docs/media.md").split_once("<!-- messages -->").unwrap();
    let rows = table.trim_start().lines().take_while(|line| line.starts_with('|')).skip(2);
    let cells = |row: &str| row.trim_matches('|').split('|').map(|cell| cell.trim().replace('`', "")).collect::<Vec<_>>();
    rows.map(|row| cells(row).try_into().unwrap()).collect()
}

/// A call up to a message with this media, and what must come of it.
fn refused(scene: &Scene, way: Way, message: &str, media: &str, expected: &str) -> Ladder {
    use End::{Callee, Caller};
    let (asker, answerer) = (way.asker, way.asker.other());
    let (asks, answers) = (scene.inside(way, asker), scene.inside(way, answerer));
    let reason = reason(message, media);
    let mut call = scene.ladder();
    let method = message.rsplit([' ', '-']).next().unwrap();
    match message {
        "INVITE" => call.sends(Caller, "INVITE", media),
        "180" | "reliable 183" | "200" | "200 with an offer" => {
            call.passes(Caller, "INVITE", if message.ends_with("offer") { "" } else { &asks });
            call.sends(Callee, message.trim_start_matches("reliable ").split(' ').next().unwrap(), media);
        }
        "ACK" => {
            call.passes(Caller, "INVITE", "");
            call.passes(Callee, "200", &answers);
            call.sends(Caller, "ACK", media);
        }
        "PRACK" | "200 to PRACK" => {
            call.passes(Caller, "INVITE", &asks);
            call.passes(Callee, "183", &answers);
            if message == "PRACK" {
                call.sends(Caller, "PRACK", media);
            } else {
                call.passes(Caller, "PRACK", &asks);
                call.sends(Callee, "200 to PRACK", media);
            }
        }
        _ => {
            begun(&mut call, &scene.inside(way, Caller), &scene.inside(way, Callee));
            if message.starts_with("200") {
                call.passes(asker, method, &asks);
                call.sends(answerer, if method == "INVITE" { "200" } else { message }, media);
            } else {
                call.sends(asker, method, media);
            }
        }
    }
    let parts = |end: &str| -> Vec<&str> {
        let of = expected.split("; ").find_map(|part| part.strip_prefix(end)?.strip_prefix(": "));
        of.map(|of| of.split(", ").collect()).unwrap_or_default()
    };
    for (end, name) in [(asker, "asker"), (answerer, "answerer")] {
        for what in parts(name) {
            match what {
                "ACK" => call.told(end, "ACK", ""),
                "BYE" => {
                    call.told(end, "BYE", reason);
                    call.sends(end, "200 to BYE", "");
                }
                "CANCEL" => {
                    call.told(end, "CANCEL", reason);
                    call.sends(end, "200 to CANCEL", "");
                    call.sends(end, "487", "");
                    call.told(end, "ACK", "");
                }
                code => {
                    call.told(end, code, reason);
                    if method == "INVITE" || ["reliable 183", "200", "200 with an offer"].contains(&message) {
                        call.sends(end, "ACK to it", "");
                    }
                }
            }
        }
    }
    match message {
        "180" => {
            call.passes(Callee, "200", &answers);
            call.passes(Caller, "ACK", "");
        }
        "PRACK" => {
            call.passes(Caller, "PRACK", "");
            call.passes(Callee, "200 to PRACK", "");
            call.passes(Callee, "200", "");
            call.passes(Caller, "ACK", "");
        }
        // It has a call to end that was never answered.
        "200 to PRACK" => {
            call.passes(Callee, "487", "");
            call.told(Callee, "ACK", "");
            call.sends(Caller, "ACK to 487", "");
        }
        _ => {}
    }
    if ["180", "PRACK", "UPDATE", "re-INVITE", "INFO"].contains(&message) {
        ended(&mut call, asker);
    }
    // Kamailio would answer for itself.
    if scene.kamailios.is_empty() {
        call.settles(Caller);
        call.settles(Callee);
    }
    call
}

/// As `X-Ringfence` has it.
fn reason(message: &str, media: &str) -> &'static str {
    match message {
        _ if media == UNREADABLE => "142; reason=unreadable-media",
        "INVITE" | "PRACK" | "UPDATE" | "re-INVITE" | "INFO" => "140; reason=foreign-media-offer",
        _ => "141; reason=foreign-media-answer",
    }
}

/// A call is answered.
fn begun(call: &mut Ladder, caller: &str, callee: &str) {
    call.passes(End::Caller, "INVITE", caller);
    call.passes(End::Callee, "180", "");
    call.passes(End::Callee, "200", callee);
    call.passes(End::Caller, "ACK", "");
}

fn ended(call: &mut Ladder, by: End) {
    call.passes(by, "BYE", "");
    call.passes(by.other(), "200 to BYE", "");
}

/// Plays the cells of these messages of the table, and looks at what was counted.
fn cells(scene: &Scene, way: Way, wanted: impl Fn(&str) -> bool) {
    let table = documented();
    let rows: Vec<_> = table.iter().filter(|[message, ..]| wanted(message)).collect();
    assert!(!rows.is_empty());
    for [message, outside, unreadable] in rows {
        for (media, expected) in [(scene.outside().as_str(), outside), (UNREADABLE, unreadable)] {
            println!("{way:?}: {message}, {media}");
            let call = refused(scene, way, message, media, expected);
            let before = scene.play(way, &call);
            counted(scene, way, message, media, &before);
        }
    }
}

fn counted(scene: &Scene, way: Way, message: &str, media: &str, before: &Metrics) {
    let after = scene.daemon.metrics();
    let result = if media == UNREADABLE { "unreadable" } else { "outside" };
    let answers = message.contains(|octet: char| octet.is_ascii_digit());
    let trunk = way.trunk_calls == ((way.asker == End::Caller) != answers);
    let direction = if trunk { "in" } else { "out" };
    let of = |metrics: &Metrics, direction| {
        metrics.sum("ringfence_media_checked_total", &[("region", "eu"), ("direction", direction), ("result", result)])
    };
    assert_eq!(of(&after, direction) - of(before, direction), 1, "{message} {media}: {direction} {result}");
    let (_, reason) = reason(message, media).split_once('=').unwrap();
    let refusals = |metrics: &Metrics| metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]);
    let verdicts = u64::from(message != "180");
    assert_eq!(after.verdicts("refuse", reason) - before.verdicts("refuse", reason), verdicts, "{message} {media}");
    assert_eq!(refusals(&after) - refusals(before), verdicts, "{message} {media}: and nothing else");
}

#[test]
fn the_tables_cells_between_a_trunk_that_calls_and_a_server() {
    cells(&Scene::new(), IN, |_| true);
}

#[test]
fn the_tables_cells_between_a_server_that_calls_and_a_trunk() {
    cells(&Scene::new(), OUT, |_| true);
}

#[test]
fn the_tables_cells_inside_a_call_from_its_callee() {
    cells(&Scene::new(), BACK, |message| message.contains("UPDATE") || message.contains("re-INVITE") || message == "INFO");
}

/// A call in which both sides say all that they can, inside: no body changes, nothing is refused.
fn served(scene: &Scene, way: Way, late: bool) {
    use End::{Callee, Caller};
    let (caller, callee) = (scene.inside(way, Caller), scene.inside(way, Callee));
    let mut call = scene.ladder();
    if late {
        call.passes(Caller, "INVITE", "");
        call.passes(Callee, "180", "");
        call.passes(Callee, "200", &callee);
        call.passes(Caller, "ACK", &caller);
    } else {
        call.passes(Caller, "INVITE", &caller);
        call.passes(Callee, "183", &callee);
        call.passes(Caller, "PRACK", &caller);
        call.passes(Callee, "200 to PRACK", &callee);
        call.passes(Caller, "UPDATE", &caller);
        call.passes(Callee, "200 to UPDATE", &callee);
        call.passes(Callee, "200", "");
        call.passes(Caller, "ACK", "");
    }
    for (asker, asks, answers) in [(Caller, &caller, &callee), (Callee, &callee, &caller)] {
        call.passes(asker, "UPDATE", asks);
        call.passes(asker.other(), "200 to UPDATE", answers);
        // On hold, which names no address.
        call.passes(asker, "INVITE", "0.0.0.0");
        call.passes(asker.other(), "200", "0.0.0.0");
        call.passes(asker, "ACK", "");
        call.passes(asker, "INVITE", "");
        call.passes(asker.other(), "200", answers);
        call.passes(asker, "ACK", asks);
    }
    ended(&mut call, Callee);
    scene.play(way, &call);
    let metrics = scene.daemon.metrics();
    let result = |result| metrics.sum("ringfence_media_checked_total", &[("result", result)]);
    assert_eq!((result("outside"), result("unreadable")), (0, 0));
    assert_eq!(result("inside"), if late { 14 } else { 18 });
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
}

#[test]
fn all_that_is_inside_passes_as_it_came() {
    for (way, late) in [(IN, false), (IN, true), (OUT, false), (OUT, true)] {
        println!("{way:?}, late offer: {late}");
        served(&Scene::new(), way, late);
    }
}

#[test]
fn proxies_on_both_sides_pass_what_is_inside() {
    for late in [false, true] {
        served(&Scene::between_proxies(), IN, late);
    }
}

#[test]
fn both_legs_end_through_proxies_on_both_sides() {
    let scene = Scene::between_proxies();
    cells(&scene, IN, |message| message != "INVITE");
    cells(&scene, BACK, |message| message.contains("re-INVITE"));
}

/// How many messages of the daemon's named the address outside, and how many of the telephones'.
fn named(scene: &Scene, packets: &[Packet]) -> (usize, usize) {
    let (door, outside) = (scene.site.door().ip(), scene.site.us(20).ip());
    assert!(packets.iter().all(|packet| IpAddr::from(packet.to) != outside && IpAddr::from(packet.from) != outside));
    let (ours, theirs): (Vec<_>, Vec<_>) = packets.iter().partition(|packet| IpAddr::from(packet.from) == door);
    let count = |packets: &[&Packet]| packets.iter().filter(|packet| packet.names(outside)).count();
    assert!(ours.iter().any(|packet| packet.is("sip")), "the daemon was seen");
    (count(&ours), count(&theirs))
}

#[test]
fn no_packet_of_the_daemons_names_an_address_outside() {
    apart(|| {
        let scene = Scene::new();
        let capture = Capture::start(&scene.site);
        cells(&scene, IN, |message| message != "INFO");
        let (ours, theirs) = named(&scene, &capture.packets());
        assert_eq!(ours, 0);
        assert!(theirs >= 12, "{theirs} were said");
    });
    apart(|| {
        let scene = Scene::checking("off");
        let capture = Capture::start(&scene.site);
        let mut call = scene.ladder();
        begun(&mut call, &scene.outside(), &scene.outside());
        ended(&mut call, End::Caller);
        scene.play(IN, &call);
        assert_eq!(named(&scene, &capture.packets()), (2, 2), "unchecked, the same capture sees them");
    });
}
