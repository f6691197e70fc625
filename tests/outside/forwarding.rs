//! What the upstream sees of a call that may pass, and what the caller sees of its answers.

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

const URI: &str = "sip:+4930222;npdi;rn=+4930@acme.eu.sip.example.com;user=phone";

fn scene(change: impl Fn(&mut Plan)) -> (Site, Daemon, Leg, Leg) {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    change(&mut plan);
    let daemon = Daemon::start(&site, &plan);
    let caller = Leg::udp(site.carrier(20), site.door());
    let server = Leg::udp(site.eu(10), site.door());
    (site, daemon, caller, server)
}

#[test]
fn headers_are_edited_and_nothing_else() {
    let blind = |plan: &mut Plan| plan.projects = plan.projects.replace("pin =", "media = \"off\"\npin =");
    let (site, _daemon, mut caller, mut server) = scene(blind);
    let body: Vec<u8> = [b"--b\r\nContent-Type: application/sdp\r\n\r\n".as_slice(), sdp(site.carrier(20).ip()).as_bytes()]
        .concat()
        .into_iter()
        .chain(*b"\r\n--b\r\nContent-Type: application/octet-stream\r\n\r\n\x00\xff\n\r\x80\r\n--b--\r\n")
        .collect();
    let mut invite = Ask::new("INVITE", URI, caller.addr, "udp").with("Content-Type: multipart/mixed;boundary=b");
    for number in 0..5 {
        invite = invite.with(&format!("X-A: {number},  \"q, ;\"")).with("Subject : spaced  out ");
    }
    invite.body.clone_from(&body);
    caller.ask(&invite);
    let seen = server.request("INVITE");
    assert_eq!(seen.body, body, "the body is byte-identical");
    assert_eq!(seen.uri(), URI, "the Request-URI is not ours to change");
    assert_eq!(seen.all("Max-Forwards"), ["69"]);
    assert_eq!(seen.all("X-A").len(), 5);
    let raw = String::from_utf8_lossy(&seen.raw);
    assert!(raw.contains("Subject : spaced  out "), "rows that no rule reads are not rewritten: {raw}");
    for (name, want) in [("From", &invite.from), ("To", &invite.to), ("Call-ID", &invite.call_id), ("CSeq", &invite.cseq)] {
        assert_eq!(seen.all(name), [want.as_str()]);
    }
    let via = seen.all("Via");
    assert_eq!(via.len(), 2);
    assert!(via[0].starts_with(&format!("SIP/2.0/UDP {}", site.door())), "{}", via[0]);
    assert!(seen.branch().starts_with("z9hG4bK"));
    assert!(!via[0].contains(&invite.call_id));
    assert!(via[1].contains(&format!("received={}", caller.addr.ip())), "{}", via[1]);
    assert!(via[1].contains(&format!("rport={}", caller.addr.port())), "{}", via[1]);
    let route = seen.all("Record-Route");
    assert_eq!(route.len(), 1, "{raw}");
    assert!(route[0].starts_with(&format!("<sip:{}", site.door())) && route[0].contains(";lr"), "{}", route[0]);
    assert_eq!(seen.get("X-Ringfence"), "100; reason=in-region; region=eu; project=acme; trunk=carrier");
}

#[test]
fn a_ringfence_header_from_outside_is_removed_under_every_spelling() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    let spellings =
        ["X-Ringfence: 1", "x-ringfence : 2", "X-RINGFENCE\t:3", "X-Ringfence:\r\n 4; project=other", "X-rIngfence: 5,\r\n\t6"];
    for spelling in spellings {
        let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()).with(spelling).with("X-Ringfence: 7");
        caller.ask(&invite);
        let seen = server.request("INVITE");
        let ours = "100; reason=in-region; region=eu; project=acme; trunk=carrier";
        assert_eq!(seen.all("X-Ringfence"), [ours], "{spelling:?}");
        let contact = format!("Contact: <sip:server@{}>", server.addr);
        let media = sdp(site.eu(10).ip());
        server.send(&seen.answer("200 OK", "callee", &[&contact], &media));
        let mut dialog = Dialog::of_caller(&caller.expect(200), &caller);
        caller.ask(&dialog.ack().with(spelling));
        assert!(server.request("ACK").find("X-Ringfence").is_none_or(|value| value.starts_with("100;")), "{spelling:?}");
        caller.ask(&dialog.next("BYE").with(spelling));
        let bye = server.request("BYE");
        assert!(bye.find("X-Ringfence").is_none_or(|value| value.starts_with("100;")), "{spelling:?}");
        server.send(&bye.answer("200 OK", "", &[], ""));
        caller.expect(200);
    }
}

#[test]
fn a_header_name_with_a_control_octet_is_not_understood_by_anybody() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    for row in
        ["X-Ringfence\u{1}: 1", "X-Ringfence\u{b}: 1", "To\u{1}: <sip:x@y>", "X Ringfence: 1", "X-Ringfence\r: 1", "X\0: 1"]
    {
        let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()).with(row);
        assert_eq!(caller.asked(&invite).code(), 400, "{row:?}");
    }
    let good = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&good);
    assert_eq!(server.recv().get("Call-ID"), good.call_id, "none of them went on");
}

#[test]
fn max_forwards_is_counted_and_ends() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    for (sent, seen) in [("1", "0"), ("70", "69"), ("71", "70"), ("10", "9")] {
        let invite = Ask { max_forwards: sent.into(), ..Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()) };
        caller.ask(&invite);
        assert_eq!(server.request("INVITE").all("Max-Forwards"), [seen]);
    }
    let last = Ask { max_forwards: "0".into(), ..Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()) };
    assert_eq!(caller.asked(&last).code(), 483);
}

#[test]
fn an_absent_max_forwards_becomes_70() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    let text = String::from_utf8(invite.bytes()).unwrap().replace("Max-Forwards: 70\r\n", "");
    caller.send(text.as_bytes());
    assert_eq!(server.request("INVITE").all("Max-Forwards"), ["70"]);
}

#[test]
fn compact_folded_and_comma_joined_headers_are_understood_and_kept() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    let plain = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    let text = String::from_utf8(plain.bytes()).unwrap();
    let text = text.replace("\r\nVia: ", "\r\nv : ").replace("\r\nFrom: ", "\r\nf:\r\n ").replace("\r\nTo: ", "\r\nt:");
    let text =
        text.replace("\r\nCall-ID: ", "\r\ni: ").replace("\r\nContent-Length: ", "\r\nl:\r\n\t").replace("Content-Type", "c");
    let text =
        text.replace("Contact", "m").replace(";rport\r\n", ";rport, SIP / 2.0 / TCP\r\n far.example.net ; branch=z9hG4bKfar\r\n");
    caller.send(text.as_bytes());
    let seen = server.request("INVITE");
    assert_eq!(seen.body, plain.body);
    let raw = String::from_utf8_lossy(&seen.raw);
    assert!(raw.contains("far.example.net ; branch=z9hG4bKfar"), "{raw}");
    assert!(raw.contains(&format!("received={}", caller.addr.ip())), "{raw}");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    let via = busy.all("Via").concat();
    assert!(!via.contains(&site.door().to_string()) && via.contains("far.example.net"), "our Via is gone, theirs is not: {via}");
}

#[test]
fn unknown_methods_are_forwarded_and_record_routed() {
    let (_site, _daemon, mut caller, mut server) = scene(|_| {});
    for method in ["MESSAGE", "SUBSCRIBE", "NOTIFY", "REFER", "FOO"] {
        caller.ask(&Ask::new(method, URI, caller.addr, "udp"));
        let seen = server.request(method);
        if method != "MESSAGE" {
            assert!(seen.get("Record-Route").contains(";lr"), "{method}");
        }
        server.send(&seen.answer("202 Accepted", "callee", &[], ""));
        caller.expect(202);
    }
    // What belongs to a dialog and names none goes nowhere: some servers would find a tag where there is none.
    for method in ["BYE", "INFO", "PRACK", "UPDATE"] {
        caller.ask(&Ask::new(method, URI, caller.addr, "udp"));
        caller.expect(481);
    }
}

#[test]
fn register_and_publish_are_405_unless_the_region_lists_them() {
    let (_site, _daemon, mut caller, _server) = scene(|_| {});
    for method in ["REGISTER", "PUBLISH"] {
        let answer = caller.asked(&Ask::new(method, "sip:acme.eu.sip.example.com", caller.addr, "udp"));
        assert_eq!(answer.code(), 405);
        assert!(answer.get("Allow").contains("INVITE") && !answer.get("Allow").contains(method), "{}", answer.get("Allow"));
        // It goes nowhere, so its media is not judged.
        let described = Ask::new(method, "sip:acme.eu.sip.example.com", caller.addr, "udp").sdp("203.0.113.9".parse().unwrap());
        assert_eq!(caller.asked(&described).code(), 405, "{method}");
    }
    let (_site, _daemon, mut caller, mut server) = scene(|plan| plan.eu.push_str("methods = [\"REGISTER\"]\n"));
    caller.ask(&Ask::new("REGISTER", "sip:acme.eu.sip.example.com", caller.addr, "udp"));
    let seen = server.request("REGISTER");
    server.send(&seen.answer("200 OK", "registrar", &[], ""));
    caller.expect(200);
}

#[test]
fn options_to_our_own_name_is_answered_here() {
    let (_site, _daemon, mut caller, _server) = scene(|_| {});
    for uri in ["sip:eu.sip.example.com", "sip:acme.eu.sip.example.com", "sip:EU.sip.example.com"] {
        let answer = caller.asked(&Ask::new("OPTIONS", uri, caller.addr, "udp"));
        assert_eq!(answer.code(), 200, "{uri}");
    }
    let answer = caller.asked(&Ask::new("OPTIONS", "sip:nobody.eu.sip.example.com", caller.addr, "udp"));
    assert_eq!(answer.code(), 404, "the refusal's code for a name that is not served here");
    let answer = caller.asked(&Ask::new("OPTIONS", "sip:acme.us.sip.example.com", caller.addr, "udp"));
    assert_eq!(answer.code(), 403, "a policy refusal of anything but an INVITE");
}

#[test]
fn responses_come_back_whole_and_in_order() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&invite);
    let seen = server.request("INVITE");
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    let media = sdp(site.eu(10).ip());
    for (status, tag) in [("180 Ringing", "a"), ("183 Session Progress", "a"), ("200 OK", "a"), ("200 OK", "b")] {
        server.send(&seen.answer(status, tag, &[&contact, "X-Far: 1", "X-Far: 2"], if tag == "a" { &media } else { "" }));
        let back = caller.response();
        assert!(back.start.ends_with(status), "{} for {status}", back.start);
        assert!(back.get("To").ends_with(&format!("tag={tag}")));
        assert_eq!(back.all("X-Far"), ["1", "2"]);
        assert_eq!(back.all("Via").len(), 1);
        // Our own is signed again for the caller, in the same length; all else of it stays.
        let (told, asked) = (back.get("Record-Route"), seen.get("Record-Route"));
        assert_eq!((told.len(), told.split(";rf=").next()), (asked.len(), asked.split(";rf=").next()));
        assert!(asked.contains(";rf=06") && told.contains(";rf=07"), "{told}");
        assert_eq!(back.get("Contact"), &contact["Contact: ".len()..]);
    }
}

#[test]
fn a_proxy_require_that_we_do_not_know_is_420() {
    let (site, _daemon, mut caller, mut server) = scene(|_| {});
    let invite = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()).with("Proxy-Require: nothing-known, other");
    let answer = caller.asked(&invite);
    assert_eq!(answer.code(), 420);
    let unsupported = answer.get("Unsupported");
    assert!(unsupported.contains("nothing-known") && unsupported.contains("other"), "{unsupported}");
    let required = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()).with("Require: anything-at-all");
    caller.ask(&required);
    assert_eq!(server.recv().get("Call-ID"), required.call_id, "Require is between the ends");
}
