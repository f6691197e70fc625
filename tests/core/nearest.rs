//! A call that no server of its region takes: where it goes, who may send inside its dialog, and who never moves.

use std::sync::Arc;
use std::time::Duration;

use ringfence::config::NameId;
use ringfence::core::io::{DropCause, Input, Note, Outcome, Verdict};
use ringfence::dns::Resolved;
use ringfence::reason::Reason;

use crate::site::{CONFIG, Sent, Site, invite, request, respond, sdp, servers};

/// The trunk of `roamer`, a project that is not pinned.
const TRUNK: &str = "198.51.107.7:5060";
const EU: &str = "10.1.0.5:5060";
const UK: &str = "10.2.0.5:5060";
const US: &str = "10.3.0.5:5060";
const HOST: &str = "roamer.eu.sip.example.com";

/// Region eu with one server and two nearest regions, and a project of each kind.
fn config(upstream: &str) -> String {
    CONFIG.replace(
        r#"upstream = ["10.1.0.5:5060", "10.1.0.6:5060"]"#,
        &format!("upstream = {upstream}\nnearest = [\"uk\", \"us\"]"),
    ) + "
[project.roamer]
[project.roamer.trunk.carrier]
networks = [\"198.51.107.0/24\"]
media    = [\"203.0.113.0/24\"]
uri      = \"sip:198.51.107.9\"
outbound_networks = [\"198.51.107.0/24\"]
[project.homebody]
pin = [\"eu\", \"uk\"]
[project.homebody.trunk.carrier]
networks = [\"198.51.108.0/24\"]
[project.looker]
mode = \"shadow\"
source = \"in-region\"
[project.looker.trunk.carrier]
networks = [\"198.51.109.0/24\"]
"
}

fn site() -> Site {
    Site::new(&config("\"10.1.0.5\""))
}

fn resolve(site: &mut Site, addresses: &[&str]) {
    let mut targets = Resolved::unknown(site.config.names.len());
    for (id, name) in (0..).map(NameId).zip(&site.config.names) {
        targets.set(id, servers(name, addresses));
    }
    site.input(Input::Resolved(Arc::new(targets)));
}

fn verdicts(site: &Site) -> Vec<(Verdict, u16)> {
    let verdict = |note: &Note| match note {
        Note::Verdict { verdict, reason, .. } => Some((*verdict, reason.id())),
        _ => None,
    };
    site.notes.iter().filter_map(verdict).collect()
}

fn to(sent: &[Sent], addr: &str) -> Vec<String> {
    sent.iter().filter(|sent| sent.to == addr.parse().unwrap()).map(|sent| sent.line()[..11].to_owned()).collect()
}

/// A call that region uk serves, as its server saw it.
fn moved(site: &mut Site) -> Sent {
    let first = site.from(TRUNK, &invite(HOST, "203.0.113.9", "one")).remove(1);
    assert_eq!(first.to, EU.parse().unwrap());
    let sent = site.from(EU, &respond(&first, 503, "a", ""));
    assert_eq!((to(&sent, EU), to(&sent, UK)), (vec!["ACK sip:+49".to_owned()], vec!["INVITE sip:".to_owned()]));
    sent[1].clone()
}

/// The same, answered and acknowledged: the Record-Route.
fn established(site: &mut Site) -> String {
    let seen = moved(site);
    let ok = site.from(UK, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{UK}>\r\n")));
    assert_eq!((ok[0].to, ok[0].line()), (TRUNK.parse().unwrap(), "SIP/2.0 200 Phrase".to_owned()));
    let route = seen.header("Record-Route").unwrap();
    let ack = inside("ACK", &format!("sip:lk@{UK}"), &route, 1, TRUNK);
    assert_eq!(to(&site.from(TRUNK, &ack), UK), ["ACK sip:lk@"]);
    route
}

fn inside(method: &str, uri: &str, route: &str, cseq: u32, from: &str) -> String {
    let parties = ["<sip:+49891@trunk.example.net>;tag=fone", "<sip:+4930123@roamer.eu.sip.example.com>;tag=u"];
    let [a, b] = if from == TRUNK { parties } else { [parties[1], parties[0]] };
    format!(
        "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {from};branch=z9hG4bKin{method}{cseq}\r\nRoute: {route}\r\nFrom: {a}\r\nTo: {b}\r\n\
         Call-ID: one@trunk\r\nCSeq: {cseq} {method}\r\nMax-Forwards: 70\r\nContent-Length: 0\r\n\r\n"
    )
}

fn offer(text: &str, media: &str) -> String {
    let body = sdp(media);
    let length = format!("Content-Type: application/sdp\r\nContent-Length: {}", body.len());
    text.replace("Content-Length: 0", &length) + &body
}

#[test]
fn a_call_goes_to_the_nearest_region_and_says_so() {
    let mut site = site();
    let seen = moved(&mut site);
    assert_eq!(seen.headers("X-Ringfence"), ["101; reason=failover; region=uk; project=roamer; trunk=carrier"]);
    assert!(seen.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;"), "from the called region's listener");
    assert!(seen.text().ends_with(&sdp("203.0.113.9")));
    assert_eq!(verdicts(&site), [(Verdict::Accept, 100), (Verdict::Accept, 101)]);
    // The next of the nearest regions is no news.
    let sent = site.from(UK, &respond(&seen, 503, "b", ""));
    assert_eq!(to(&sent, US), ["INVITE sip:"]);
    assert_eq!(sent[1].headers("X-Ringfence"), ["101; reason=failover; region=us; project=roamer; trunk=carrier"]);
    assert_ne!(sent[1].header("Record-Route"), seen.header("Record-Route"));
    // All failed: the called region's answer, without a row of ours but its own.
    let end = site.from(US, &respond(&sent[1], 503, "c", ""));
    assert_eq!(end[1].line(), "SIP/2.0 503 Servers Of Region Unavailable");
    assert_eq!(end[1].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    assert_eq!((end[1].headers("Via").len(), end[1].header("Record-Route")), (1, None));
    assert_eq!(verdicts(&site), [(Verdict::Accept, 100), (Verdict::Accept, 101), (Verdict::Refuse, 152)]);
    site.from(TRUNK, &invite(HOST, "203.0.113.9", "one").replace("INVITE", "ACK"));
    site.pass(Duration::from_secs(40));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn other_methods_move_too_and_a_failed_transport_is_as_good_as_503() {
    let mut site = site();
    let first = site.from(TRUNK, &request("MESSAGE", &format!("sip:x@{HOST}"), "m")).remove(0);
    let sent = site.input(Input::Failed(first.attempt.unwrap()));
    assert_eq!((sent[0].to, &sent[0].line()[..7]), (UK.parse().unwrap(), "MESSAGE"));
    assert!(sent[0].header("Record-Route").is_none());
    let answer = site.from(UK, &respond(&sent[0], 202, "u", ""));
    assert_eq!(answer[0].line(), "SIP/2.0 202 Phrase");
}

#[test]
fn nobody_else_s_call_moves() {
    // A pinned project's stays, wherever its pin allows calls to.
    let mut site = site();
    let first = site.from("198.51.108.7:5060", &invite("homebody.eu.sip.example.com", "10.1.0.20", "zero")).remove(1);
    let end = site.from(EU, &respond(&first, 503, "a", ""));
    assert_eq!(end[1].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    // A call out goes to its trunk or nowhere.
    let out = site.from(EU, &invite("carrier.roamer.eu.sip.example.com", "10.1.0.20", "two")).remove(1);
    assert_eq!(out.to, "198.51.107.9:5060".parse().unwrap());
    let end = site.from("198.51.107.9:5060", &respond(&out, 503, "a", ""));
    assert_eq!(end[1].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    // Any answer but 503 is the answer.
    let first = site.from(TRUNK, &invite(HOST, "203.0.113.9", "three")).remove(1);
    let end = site.from(EU, &respond(&first, 500, "a", ""));
    assert_eq!(end[1].line(), "SIP/2.0 500 Phrase");
    // A call to uk has no nearest region.
    let call = invite("roamer.uk.sip.example.com", "203.0.113.9", "four");
    let first = site.to("192.0.2.2:5060", TRUNK, call.as_bytes()).remove(1);
    let end = site.to("192.0.2.2:5060", UK, respond(&first, 503, "a", "").as_bytes());
    assert_eq!(end[1].headers("X-Ringfence"), ["152; reason=targets-down; region=uk"]);
    // A request inside a dialog has its next hop.
    let route = established(&mut site);
    let bye = site.from(TRUNK, &inside("BYE", &format!("sip:lk@{UK}"), &route, 2, TRUNK)).remove(0);
    let end = site.from(UK, &respond(&bye, 503, "", ""));
    assert_eq!(end[0].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    assert_eq!(site.log.iter().filter(|sent| sent.to == US.parse().unwrap()).count(), 0);
}

#[test]
fn a_region_that_resolves_to_nothing_is_passed_by_and_one_outside_is_final() {
    let mut site = Site::new(&config("\"sip:eu.internal\""));
    resolve(&mut site, &[]);
    let sent = site.from(TRUNK, &invite(HOST, "203.0.113.9", "one"));
    assert_eq!((sent[0].line(), sent[1].to), ("SIP/2.0 100 Trying".to_owned(), UK.parse().unwrap()));
    assert_eq!(sent[1].headers("X-Ringfence"), ["101; reason=failover; region=uk; project=roamer; trunk=carrier"]);
    assert_eq!(verdicts(&site), [(Verdict::Accept, 101)], "it was never in the called region");
    // Not before it is known: what is not resolved yet is not down.
    site.input(Input::Resolved(Arc::new(Resolved::unknown(site.config.names.len()))));
    let told = site.from(TRUNK, &invite(HOST, "203.0.113.9", "early"));
    assert_eq!(told[0].headers("X-Ringfence"), ["151; reason=no-target; region=eu"]);
    resolve(&mut site, &[]);
    // The pinned one is told what it always was.
    let told = site.from("198.51.108.7:5060", &invite("homebody.eu.sip.example.com", "10.1.0.20", "two"));
    assert_eq!(told[0].headers("X-Ringfence"), ["151; reason=no-target; region=eu"]);
    // Outside is no failure: a name that points elsewhere must not move calls.
    resolve(&mut site, &["10.2.0.5"]);
    let told = site.from(TRUNK, &invite(HOST, "203.0.113.9", "three"));
    assert_eq!(told[0].headers("X-Ringfence"), ["150; reason=foreign-target; region=eu"]);
}

#[test]
fn each_region_s_servers_pass_that_region_s_fence() {
    let text = config("\"sip:eu.internal\"").replace("upstream = \"10.2.0.5\"", "upstream = \"sip:uk.internal\"");
    let mut site = Site::new(&text);
    // What uk's name resolves to is inside eu and us, never mind: it is outside uk.
    for (id, (uk, end)) in
        [(&["10.1.0.5", "10.3.0.5"][..], US), (&[], US), (&["10.3.0.5", "10.2.0.9"], "10.2.0.9:5060")].into_iter().enumerate()
    {
        let mut targets = Resolved::unknown(site.config.names.len());
        for (id, name) in (0..).map(NameId).zip(&site.config.names) {
            targets.set(id, servers(name, if name.host == "uk.internal" { uk } else { &[] }));
        }
        site.input(Input::Resolved(Arc::new(targets)));
        let sent = site.from(TRUNK, &invite(HOST, "203.0.113.9", &format!("to{id}")));
        assert_eq!((sent.len(), sent[1].to), (2, end.parse().unwrap()));
    }
}

#[test]
fn a_call_that_moved_keeps_where_its_trunk_speaks_from() {
    let mut site = site();
    let text = invite(HOST, "203.0.113.9", "one").replace("sip:trunk@198.51.100.7:5060", "sip:trunk@192.168.1.20");
    let first = site.from(TRUNK, &text).remove(1);
    let seen = site.from(EU, &respond(&first, 503, "a", "")).remove(1);
    let route = seen.header("Record-Route").unwrap();
    site.from(UK, &respond(&seen, 200, "u", &format!("Contact: <sip:lk@{UK}>\r\n")));
    let sent = site.from(UK, &inside("BYE", "sip:trunk@192.168.1.20", &route, 9, UK));
    assert_eq!((sent[0].to, site.outcome()), (TRUNK.parse().unwrap(), Outcome::Forwarded));
}

#[test]
fn the_dialog_belongs_to_the_region_that_serves_it() {
    let mut site = site();
    let route = established(&mut site);
    // From its servers to the trunk, and nowhere else.
    let bye = |cseq, uri: &str| inside("BYE", uri, &route, cseq, UK);
    let sent = site.from(UK, &bye(2, "sip:trunk@198.51.107.7:5060"));
    assert_eq!((sent.len(), sent[0].to, sent[0].header("Route")), (1, TRUNK.parse().unwrap(), None));
    assert_eq!(site.from(TRUNK, &respond(&sent[0], 200, "", ""))[0].to, UK.parse().unwrap());
    for elsewhere in ["sip:x@10.1.0.5", "sip:x@10.3.0.5", "sip:x@192.0.2.99"] {
        site.from(UK, &bye(3, elsewhere));
        assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget), "{elsewhere}");
        site.from(TRUNK, &inside("BYE", elsewhere, &route, 4, TRUNK));
        assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget), "{elsewhere}");
    }
    let own = inside("INFO", "sip:lk@10.2.0.5:5061", &route, 5, TRUNK);
    assert_eq!(to(&site.from(TRUNK, &own), "10.2.0.5:5061"), ["INFO sip:lk"], "a server of the region that serves");
    site.from(TRUNK, &inside("INFO", "sip:lk@10.2.0.9", &route, 6, TRUNK));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForeignDialogTarget), "inside it, and no server");
    // The called region's servers have no part in it, nor have those of another nearest region.
    for other in [EU, US] {
        let sent = site.from(other, &inside("BYE", "sip:trunk@198.51.107.7:5060", &route, 6, other));
        assert_eq!(sent[0].line(), "SIP/2.0 403 Forbidden", "{other}");
        assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
    }
}

#[test]
fn media_inside_the_dialog_is_judged_by_side() {
    let mut site = site();
    let route = established(&mut site);
    for (cseq, from, media, passes) in [
        // From the trunk as in the first INVITE: the called region, and the trunk's media.
        (10, TRUNK, "203.0.113.9", true),
        (11, TRUNK, "10.1.0.20", true),
        (12, TRUNK, "10.2.0.20", false),
        // From the servers: their own region alone.
        (13, UK, "10.2.0.20", true),
        (14, UK, "10.1.0.20", false),
        (15, UK, "203.0.113.9", false),
    ] {
        let uri = if from == TRUNK { "sip:lk@10.2.0.5" } else { "sip:trunk@198.51.107.7" };
        let text = inside("INVITE", uri, &route, cseq, from);
        let sent = site.from(from, &offer(&text, media));
        let (first, code) = (sent[0].line(), if passes { "SIP/2.0 100" } else { "SIP/2.0 488" });
        assert!(first.starts_with(code), "{media} from {from}: {first}");
        if passes {
            let refused = site.from(&sent[1].to.to_string(), &respond(&sent[1], 491, "", ""));
            assert_eq!((refused.len(), refused[1].to), (2, from.parse().unwrap()));
        }
        // Its ACK is for us, wherever it comes from.
        let ack = text.replace("INVITE sip", "ACK sip").replace(" INVITE\r", " ACK\r");
        assert!(site.from(from, &ack).is_empty(), "{media} from {from}");
        assert_eq!(site.outcome(), Outcome::Absorbed);
        site.pass(Duration::from_secs(100));
    }
    // A CANCEL brings the Route of its INVITE, and is known by it.
    let text = offer(&inside("INVITE", "sip:trunk@198.51.107.7", &route, 20, UK), "10.2.0.20");
    let sent = site.from(UK, &text);
    site.from(TRUNK, &respond(&sent[1], 180, "", ""));
    let cancel = inside("CANCEL", "sip:trunk@198.51.107.7", &route, 20, UK).replace("inCANCEL20", "inINVITE20");
    let lines: Vec<_> = site.from(UK, &cancel).iter().map(Sent::line).collect();
    assert_eq!(lines, ["SIP/2.0 200 OK", "CANCEL sip:trunk@198.51.107.7 SIP/2.0"]);
}

#[test]
fn a_server_of_a_nearest_region_is_a_stranger_without_such_a_dialog() {
    let mut site = site();
    let route = established(&mut site);
    let forbidden = |site: &mut Site, text: &str| {
        let sent = site.from(UK, text);
        assert_eq!((sent.len(), sent[0].line()), (1, "SIP/2.0 403 Forbidden".to_owned()), "{text}");
        assert_eq!(sent[0].header("X-Ringfence"), None);
        assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
    };
    forbidden(&mut site, &invite("carrier.roamer.eu.sip.example.com", "10.1.0.20", "out"));
    forbidden(&mut site, &invite(HOST, "10.1.0.20", "in"));
    forbidden(&mut site, &request("OPTIONS", "sip:eu.sip.example.com", "ping"));
    let bye = inside("BYE", "sip:trunk@198.51.107.7", &route, 2, UK);
    forbidden(&mut site, &bye.replace("one@trunk", "two@trunk"));
    forbidden(&mut site, &bye.replace("rf=06", "rf=07"));
    forbidden(&mut site, &bye.replace(";tag=fone", ""));
    // Not even told what is wrong with it.
    forbidden(&mut site, &bye.replace("Max-Forwards: 70", "Max-Forwards: x"));
    assert!(site.from(UK, &inside("ACK", "sip:trunk@198.51.107.7", "<sip:192.0.2.1;lr>", 1, UK)).is_empty());
    assert_eq!(site.outcome(), Outcome::Absorbed);
    // Nor may it flood.
    for _ in 0..100 {
        site.from(UK, &bye.replace("one@trunk", "two@trunk"));
    }
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Flood));
    // The dialog is not held to that.
    assert_eq!(site.from(UK, &bye)[0].to, TRUNK.parse().unwrap());
    // A token of a call that the called region serves does not make it known either.
    let first = site.from(TRUNK, &invite(HOST, "203.0.113.9", "home")).remove(1);
    let route = first.header("Record-Route").unwrap();
    site.from(UK, &inside("BYE", "sip:trunk@198.51.107.7", &route, 3, UK).replace("one@trunk", "home@trunk"));
    assert_eq!(site.outcome(), Outcome::Dropped(DropCause::Flood));
}

#[test]
fn a_pin_ends_the_dialogs_that_went_elsewhere_and_holds_at_once() {
    let mut site = site();
    let route = established(&mut site);
    let open = site.from(TRUNK, &invite(HOST, "203.0.113.9", "open")).remove(1);
    let pinned = config("\"10.1.0.5\"").replace("[project.roamer]\n", "[project.roamer]\npin = [\"eu\", \"uk\"]\n");
    site.reload(&pinned);
    site.from(TRUNK, &inside("BYE", "sip:lk@10.2.0.5", &route, 2, TRUNK));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute));
    site.from(UK, &inside("BYE", "sip:trunk@198.51.107.7", &route, 3, UK));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::UnknownSource));
    // A call that is under way does not move any more.
    let end = site.from(EU, &respond(&open, 503, "a", ""));
    assert_eq!(end[1].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    // The same for a region that is no longer among the nearest.
    site.reload(&config("\"10.1.0.5\"").replace("[\"uk\", \"us\"]", "[\"us\"]"));
    site.from(TRUNK, &inside("BYE", "sip:lk@10.2.0.5", &route, 4, TRUNK));
    assert_eq!(site.outcome(), Outcome::Refused(Reason::ForgedRoute));
    site.reload(&config("\"10.1.0.5\""));
    assert_eq!(site.from(TRUNK, &inside("BYE", "sip:lk@10.2.0.5", &route, 5, TRUNK))[0].to, UK.parse().unwrap());
}

#[test]
fn shadow_mode_keeps_its_verdict_and_moves_like_any_unpinned_project() {
    let mut site = site();
    let first = site.from("198.51.109.7:5060", &invite("looker.eu.sip.example.com", "10.1.0.20", "one")).remove(1);
    assert_eq!(
        first.headers("X-Ringfence"),
        [
            "121; reason=foreign-source; region=eu; project=looker; trunk=carrier; verdict=shadow; why=\"source 198.51.109.7 is outside region eu\""
        ]
    );
    let sent = site.from(EU, &respond(&first, 503, "a", ""));
    assert_eq!(
        sent[1].headers("X-Ringfence"),
        [
            "121; reason=foreign-source; region=uk; project=looker; trunk=carrier; verdict=shadow; why=\"source 198.51.109.7 is outside region eu\""
        ]
    );
    assert_eq!(verdicts(&site), [(Verdict::Shadow, 121), (Verdict::Accept, 101)]);
}

#[test]
fn attempts_are_bounded_and_some_are_kept_for_the_nearest() {
    let many: Vec<String> = (10..30).map(|last| format!("\"10.1.0.{last}\"")).collect();
    let mut site = Site::new(&config(&format!("[{}]", many.join(", "))));
    let mut last = site.from(TRUNK, &invite(HOST, "203.0.113.9", "one")).remove(1);
    let mut tried = vec![last.to.ip().to_string()];
    loop {
        let sent = site.from(&last.to.to_string(), &respond(&last, 503, "a", ""));
        if sent[1].line().starts_with("SIP/2.0") {
            break;
        }
        last = sent[1].clone();
        tried.push(last.to.ip().to_string());
    }
    assert_eq!(tried.len(), 8);
    assert_eq!(tried[6..], ["10.2.0.5", "10.3.0.5"]);
}

#[test]
fn a_cancelled_call_does_not_move() {
    let mut site = site();
    let first = site.from(TRUNK, &invite(HOST, "203.0.113.9", "one")).remove(1);
    let cancel = request("CANCEL", &format!("sip:x@{HOST}"), "one").replace("z9hG4bKoneCANCEL", "z9hG4bKone");
    site.from(TRUNK, &cancel);
    let end = site.from(EU, &respond(&first, 503, "a", ""));
    assert_eq!((end.len(), end[1].line()), (2, "SIP/2.0 487 Request Terminated".to_owned()));
}

fn place(site: &mut Site, id: &str) -> Sent {
    site.from(TRUNK, &invite(HOST, "203.0.113.9", id)).remove(1)
}

/// Region eu's one server is found to be down, by a call that is answered by uk then.
fn fallen(site: &mut Site) {
    let first = place(site, "first");
    let second = site.input(Input::Failed(first.attempt.unwrap())).remove(0);
    assert_eq!((first.to, second.to), (EU.parse().unwrap(), UK.parse().unwrap()));
    site.from(UK, &respond(&second, 200, "u", ""));
}

#[test]
fn silence_moves_a_call_after_try_for_and_those_that_wait_with_it() {
    let mut site = site();
    let first = place(&mut site, "one");
    assert_eq!(first.to, EU.parse().unwrap());
    site.pass(Duration::from_secs(1));
    place(&mut site, "two");
    let sent = site.pass(Duration::from_secs(3));
    assert_eq!(to(&sent, UK), ["INVITE sip:"], "after try_for");
    let sent = site.pass(Duration::from_millis(500));
    assert_eq!(to(&sent, UK).len(), 2, "the other within T1, and the first again: {sent:?}");
    assert_eq!(to(&sent, EU), Vec::<String>::new());
}

#[test]
fn a_region_that_is_down_costs_the_next_calls_nothing() {
    let mut site = Site::new(&config("\"10.1.0.5\"").replace("interval = \"0s\"", "interval = \"10s\""));
    fallen(&mut site);
    for id in ["a", "b", "c"] {
        let sent = place(&mut site, id);
        assert_eq!((sent.to, sent.header("X-Ringfence").unwrap()[..3].to_owned()), (UK.parse().unwrap(), "101".to_owned()));
    }
    assert_eq!(verdicts(&site)[2..], [(Verdict::Accept, 101); 3]);
    // A probe is answered: the region has its calls back.
    let probe = site.pass(Duration::from_secs(2)).into_iter().find(|sent| sent.to == EU.parse().unwrap()).unwrap();
    assert!(probe.line().starts_with("OPTIONS"), "no call tries what probes watch: {}", probe.line());
    site.from(EU, &respond(&probe, 200, "p", ""));
    site.pass(Duration::from_mins(2));
    assert_eq!(place(&mut site, "back").to, EU.parse().unwrap());
}

#[test]
fn without_probes_one_call_tries_the_region_and_the_others_do_not() {
    let mut site = site();
    fallen(&mut site);
    assert_eq!(place(&mut site, "a").to, UK.parse().unwrap());
    site.pass(Duration::from_secs(1));
    let trial = place(&mut site, "trial");
    assert_eq!(trial.to, EU.parse().unwrap());
    assert_eq!(place(&mut site, "b").to, UK.parse().unwrap());
    let ok = site.from(EU, &respond(&trial, 200, "t", ""));
    assert_eq!(ok[0].line(), "SIP/2.0 200 Phrase");
    site.pass(Duration::from_mins(2));
    assert_eq!(place(&mut site, "back").to, EU.parse().unwrap());
}

#[test]
fn where_all_is_down_one_server_of_the_called_region_is_tried_all_the_same() {
    let mut site = site();
    fallen(&mut site);
    let uk = place(&mut site, "one");
    let us = site.input(Input::Failed(uk.attempt.unwrap())).remove(0);
    assert_eq!((uk.to, us.to), (UK.parse().unwrap(), US.parse().unwrap()));
    let home = site.input(Input::Failed(us.attempt.unwrap())).remove(0);
    assert_eq!(home.to, EU.parse().unwrap());
    assert_eq!(home.headers("X-Ringfence"), ["100; reason=in-region; region=eu; project=roamer; trunk=carrier"]);
    let ok = site.from(EU, &respond(&home, 200, "u", ""));
    assert_eq!(ok[0].line(), "SIP/2.0 200 Phrase");
    // The dialog is the called region's.
    let route = home.header("Record-Route").unwrap();
    let bye = site.from(TRUNK, &inside("BYE", "sip:lk@10.1.0.5", &route, 2, TRUNK));
    assert_eq!(bye[0].to, EU.parse().unwrap());
    // Regions that look down are passed by, here both at once: nobody waits for what is known to be dead.
    site.from(EU, &respond(&bye[0], 200, "", ""));
    let first = place(&mut site, "two");
    assert_eq!(first.to, EU.parse().unwrap());
    let end = site.input(Input::Failed(first.attempt.unwrap()));
    assert_eq!(end[0].headers("X-Ringfence"), ["152; reason=targets-down; region=eu"]);
    // What is tried all the same has the whole time, not `try_for`.
    let last = place(&mut site, "three");
    assert_eq!(last.to, EU.parse().unwrap());
    let told = |sent: &Sent| sent.line().starts_with("SIP/2.0 503") && sent.header("Call-ID").unwrap() == "three@trunk";
    let end = site.pass(Duration::from_secs(31)).into_iter().find(told).unwrap();
    assert_eq!(end.at.as_secs(), 30);
}
