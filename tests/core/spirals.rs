//! A call that passes twice: a proxy of the region sends it out by the trunk that it came in by (RFC 3261 16.3 step 4, RFC 5393 4.2.1).
//! And the gateway that answers calls out, which speaks inside its dialogs alone.

use ringfence::core::io::Outcome;
use ringfence::reason::Reason;

use crate::site::{CONFIG, SERVER, Sent, Site, TRUNK, invite, respond};

const ACME: &str = "acme.eu.sip.example.com";
/// The gateway of calls out.
const FAR: &str = "198.51.100.9:5080";
const PROXY: &str = "<sip:10.1.0.5;lr>";
/// Ourselves, as the other pass sees us.
const OURS: &str = "192.0.2.1:5060";

/// What a proxy makes of a request: its Via, what it asks for, its Record-Route if it stays, and its Route taken off.
fn through(sent: &Sent, uri: Option<&str>, stays: bool) -> String {
    let text = sent.text();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let first = lines.next().unwrap();
    let method = first.split(' ').next().unwrap();
    let number = sent.header("CSeq").unwrap().replace(' ', "");
    let mut rows = vec![uri.map_or_else(|| first.to_owned(), |uri| format!("{method} {uri} SIP/2.0"))];
    rows.push(format!("Via: SIP/2.0/UDP {SERVER};branch=z9hG4bKproxy{number}"));
    rows.extend(stays.then(|| format!("Record-Route: {PROXY}")));
    for line in lines {
        let routes = line.strip_prefix("Route: ").map(|routes| routes.split(", ").filter(|route| *route != PROXY));
        match routes.map(Iterator::collect::<Vec<_>>) {
            Some(routes) if routes.is_empty() => {}
            Some(routes) => rows.push(format!("Route: {}", routes.join(", "))),
            None => rows.push(line.to_owned()),
        }
    }
    format!("{}\r\n\r\n{body}", rows.join("\r\n"))
}

/// A response as the proxy passes it on: its Via is off.
fn back(sent: &Sent) -> String {
    let text = sent.text();
    let via = text.lines().find(|line| line.starts_with("Via: ")).unwrap();
    text.replacen(&format!("{via}\r\n"), "", 1)
}

/// A request inside the call, by its route.
fn within(method: &str, cseq: u32, from: &str, route: &[String]) -> String {
    let (uri, ftag, ttag) =
        if from == TRUNK { ("sip:gw@198.51.100.9:5080", "fone", "far") } else { ("sip:trunk@198.51.100.7:5060", "far", "fone") };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKin{method}{cseq}\r\nRoute: {}\r\nFrom: <sip:a@b>;tag={ftag}\r\n\
         To: <sip:b@c>;tag={ttag}\r\nCall-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nContact: <sip:x@{from}>\r\nMax-Forwards: 70\r\n\
         Content-Length: 0\r\n\r\n",
        route.join(", ")
    )
}

fn say(site: &mut Site, from: &str, text: &str) -> Vec<Sent> {
    let arrival = site.arrival("192.0.2.1:5060", from);
    site.exactly(arrival, text.as_bytes())
}

/// What of this left for somebody.
fn to(sent: &[Sent], addr: &str, method: &str) -> Option<Sent> {
    sent.iter().find(|sent| sent.to == addr.parse().unwrap() && sent.line().starts_with(method)).cloned()
}

/// A call that has passed twice: the routes of the caller and of the far end.
fn call(site: &mut Site, stays: bool) -> (Vec<String>, Vec<String>) {
    let first = site.from(TRUNK, &invite(ACME, "10.1.0.20", "one")).remove(1);
    let again = through(&first, Some(&format!("sip:1@carrier.{ACME}")), stays);
    let second = to(&site.from(SERVER, &again), FAR, "INVITE").unwrap();
    let ok = site.from(FAR, &respond(&second, 200, "far", "Contact: <sip:gw@198.51.100.9:5080>\r\n")).remove(0);
    assert_eq!(ok.to, SERVER.parse().unwrap());
    let ok = site.from(SERVER, &back(&ok)).remove(0);
    assert_eq!(ok.to, TRUNK.parse().unwrap());
    let far = second.headers("Record-Route");
    (ok.headers("Record-Route").into_iter().rev().collect(), far)
}

/// Has each side of such a call send one request of every method. Hands over the method, who sent it, the other end, the sender's
/// routes, and what went out.
fn each_side(stays: bool, routes: usize, mut each: impl FnMut(&mut Site, &str, (&str, &str), &[String], &[Sent])) {
    for (from, end) in [(TRUNK, FAR), (FAR, TRUNK)] {
        let mut site = Site::usual();
        let (near, far) = call(&mut site, stays);
        assert_eq!((near.len(), far.len()), (routes, routes));
        let route = if from == TRUNK { &near } else { &far };
        for (cseq, method) in (1..).zip(METHODS) {
            let sent = say(&mut site, from, &within(method, cseq, from, route));
            each(&mut site, method, (from, end), route, &sent);
        }
    }
}

const METHODS: [&str; 7] = ["ACK", "INFO", "UPDATE", "INVITE", "REFER", "FOO", "BYE"];

#[test]
fn a_call_that_passes_twice_works_in_both_directions() {
    each_side(true, 3, |site, method, (from, end), _, sent| {
        let seen = to(sent, SERVER, method).unwrap_or_else(|| panic!("{method} from {from}: first pass: {:?}", site.outcome()));
        let sent = say(site, SERVER, &through(&seen, None, false));
        let seen = to(&sent, end, method).unwrap_or_else(|| panic!("{method} from {from}: {:?}", site.outcome()));
        assert_eq!(seen.header("Route"), None);
        if method != "ACK" {
            let answer = say(site, end, &respond(&seen, 200, "", &format!("Contact: <sip:x@{end}>\r\n"))).remove(0);
            assert_eq!(say(site, SERVER, &back(&answer)).remove(0).to, from.parse().unwrap());
        }
    });
}

#[test]
fn a_proxy_that_does_not_stay_leaves_both_our_routes_together() {
    each_side(false, 2, |site, method, (from, end), route, sent| {
        // The other pass is ourselves again, by a token of ours.
        let seen = to(sent, OURS, method).unwrap_or_else(|| panic!("{method} from {from}: first pass: {:?}", site.outcome()));
        assert_eq!(seen.headers("Route"), [route[1].clone()]);
        let sent = say(site, OURS, &seen.text());
        assert!(to(&sent, end, method).is_some(), "{method} from {from}: {:?}", site.outcome());
    });
}

#[test]
fn the_second_pass_judges_what_the_trunk_wrote() {
    let mut site = Site::usual();
    let (near, far) = call(&mut site, false);
    for (cseq, (from, route)) in (1..).zip([(TRUNK, near), (FAR, far)]) {
        for (more, method) in
            ["<sip:192.0.2.99;lr>", "<sip:10.1.0.5;lr;alias=192.0.2.99~5060~1>"].into_iter().zip(["INFO", "MESSAGE"])
        {
            let mut all = route.clone();
            all.extend([PROXY.to_owned(), more.to_owned()]);
            let seen = to(&say(&mut site, from, &within(method, cseq, from, &all)), OURS, method).unwrap();
            let sent = say(&mut site, OURS, &seen.text());
            assert!(sent[0].header("X-Ringfence").is_some_and(|row| row.starts_with("171")), "{from} {more}: {sent:?}");
            assert_eq!(sent.len(), 1, "{from} {more}");
        }
    }
}

#[test]
fn a_true_loop_is_found_whatever_its_rows() {
    let mut site = Site::usual();
    let (near, _) = call(&mut site, true);
    for (cseq, method) in (1..).zip(METHODS) {
        let text = within(method, cseq, TRUNK, &near);
        let seen = to(&say(&mut site, TRUNK, &text), SERVER, method).unwrap();
        // The proxy leads it to us by the path that it has had: in one row or in several.
        for joint in [", ", "\r\nRoute: "] {
            let looped = through(&seen, None, false).replace("Max-Forwards: ", &format!("Max-Forwards: 1{}", joint.len()));
            let looped = looped.replace(&format!("Route: {}", near[2]), &format!("Route: {}", near.join(joint)));
            let sent = say(&mut site, SERVER, &looped);
            assert!(to(&sent, FAR, method).is_none() && to(&sent, SERVER, method).is_none(), "{method}");
            if method != "ACK" {
                assert!(sent[0].line().starts_with("SIP/2.0 4"), "{}", sent[0].line());
            }
        }
        // From the trunk, in whose hands the token is good: what it leads is no path that it has not had.
        let vias: Vec<_> = seen.headers("Via").iter().map(|via| format!("Via: {via}\r\n")).collect();
        let own = text.lines().find(|line| line.starts_with("Via: ")).unwrap();
        let below =
            text.replace(&format!("{own}\r\n"), &format!("Via: SIP/2.0/UDP {TRUNK};branch=z9hG4bKloop{cseq}\r\n{}", vias[0]));
        let sent = say(&mut site, TRUNK, &below);
        let lines: Vec<_> = sent.iter().map(Sent::line).collect();
        assert!(
            lines.iter().all(|line| line == "SIP/2.0 482 Loop Detected") && lines.len() == usize::from(method != "ACK"),
            "{lines:?}"
        );
    }
}

/// A site whose trunk has gateways that signal from nowhere else.
fn gateways() -> (Site, Sent) {
    let text = CONFIG.replace("outbound_networks = [\"198.51.100.0/24\"]", "outbound_networks = [\"203.0.113.0/25\"]");
    let mut site = Site::new(&text.replace("acme.pstn.example.net:5080;transport=udp", "203.0.113.50"));
    let text = invite(&format!("carrier.{ACME}"), "10.1.0.20", "one").replace("198.51.100.7:5060", "10.1.0.5:5060");
    let seen = to(&site.from(SERVER, &text), GATEWAY, "INVITE").unwrap();
    (site, seen)
}

const GATEWAY: &str = "203.0.113.50:5060";

#[test]
fn the_gateway_that_answered_is_known_by_its_token() {
    let (mut site, seen) = gateways();
    site.from(GATEWAY, &respond(&seen, 200, "far", &format!("Contact: <sip:gw@{GATEWAY}>\r\n")));
    let route = seen.headers("Record-Route");
    let text = |method: &str, cseq, from| within(method, cseq, from, &route).replace("sip:trunk@198.51.100.7", "sip:lk@10.1.0.5");
    for (cseq, method) in (2..).zip(METHODS) {
        for from in [GATEWAY, "203.0.113.51:7000"] {
            let sent = say(&mut site, from, &text(method, cseq, from));
            let asked = to(&sent, SERVER, method).unwrap_or_else(|| panic!("{method} from {from}: {:?}", site.outcome()));
            if method != "ACK" {
                let answer = say(&mut site, SERVER, &respond(&asked, 200, "", "Contact: <sip:lk@10.1.0.5>\r\n"));
                assert_eq!(answer[0].to, from.parse().unwrap());
            }
        }
    }
    let forbidden = |site: &mut Site, from: &str, text: &str| {
        let sent = say(site, from, text);
        assert_eq!((sent.len(), sent[0].line().as_str()), (1, "SIP/2.0 403 Forbidden"), "{text}");
        assert!(sent[0].header("X-Ringfence").is_none() && sent[0].to == from.parse().unwrap());
        assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
    };
    let bye = text("BYE", 30, GATEWAY);
    forbidden(&mut site, GATEWAY, &bye.replace(&format!("Route: {}\r\n", route[0]), ""));
    forbidden(&mut site, GATEWAY, &bye.replace("one@trunk", "two@trunk"));
    forbidden(&mut site, GATEWAY, &bye.replace(";tag=fone", ";tag=other"));
    forbidden(&mut site, GATEWAY, &bye.replace(";tag=fone", "").replace("BYE", "INVITE"));
    forbidden(&mut site, GATEWAY, &bye.replace("Max-Forwards: 70", "Max-Forwards: x"));
    forbidden(&mut site, GATEWAY, &invite(ACME, "10.1.0.20", "two"));
    // Nobody else, whatever token it has found: beside the networks, or of another region's.
    for from in ["203.0.113.200:5060", "233.252.0.1:5060", "10.2.0.5:5060"] {
        forbidden(&mut site, from, &text("BYE", 31, from));
    }
}

#[test]
fn the_token_of_whoever_called_out_is_no_gateways() {
    let (mut site, seen) = gateways();
    let ok = site.from(GATEWAY, &respond(&seen, 200, "far", &format!("Contact: <sip:gw@{GATEWAY}>\r\n"))).remove(0);
    let bye = within("BYE", 2, TRUNK, &ok.headers("Record-Route")).replace(TRUNK, GATEWAY);
    let sent = say(&mut site, GATEWAY, &bye);
    assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden");
}
