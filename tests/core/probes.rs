//! OPTIONS to the region's servers: what they look like, when they are sent, what their answers mean, and what calls get of it.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::time::Duration;

use ringfence::config::Transport;
use ringfence::core::io::{Attempt, Failure, Health, Input, Note, Outcome};
use ringfence::sip::{Message, Request};

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, named, respond};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;
const THIRD: &str = "10.1.0.7:5060";

fn config() -> String {
    crate::site::CONFIG
        .replace("per_source = \"50/s\"", "per_source = \"1000000/s\"")
        .replace("interval = \"0s\"", "interval = \"10s\"")
}

/// Region eu behind one name with three servers of one rank.
fn three() -> Site {
    let mut site = Site::new(&config().replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:lk.eu.internal""#));
    named(&mut site, &[(0, 1, "10.1.0.5"), (0, 1, "10.1.0.6"), (0, 1, "10.1.0.7")]);
    site
}

fn is_probe(sent: &Sent) -> bool {
    sent.line().starts_with("OPTIONS")
}

fn call(site: &mut Site, id: &str) -> Sent {
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", id)).remove(1)
}

/// Lets time pass; servers answer probes with what is written for them, or not at all.
fn live(site: &mut Site, time: Duration, codes: &HashMap<SocketAddr, u16>) -> Vec<Sent> {
    let end = site.now + time;
    let mut all = Vec::new();
    while let Some(deadline) = site.core.deadline().filter(|&deadline| deadline <= end) {
        site.now = site.now.max(deadline);
        let sent = site.input(Input::Timeout);
        for sent in sent.iter().filter(|sent| is_probe(sent)) {
            if let Some(&code) = codes.get(&sent.to) {
                site.from(&sent.to.to_string(), &respond(sent, code, "p", ""));
                assert_eq!(site.outcome(), Outcome::Absorbed);
            }
        }
        all.extend(sent);
    }
    site.now = end;
    all
}

fn codes(list: &[(&str, u16)]) -> HashMap<SocketAddr, u16> {
    list.iter().map(|&(addr, code)| (addr.parse().unwrap(), code)).collect()
}

fn state(site: &Site, addr: &str) -> Option<Health> {
    site.core.status(site.now).into_iter().find(|target| target.addr == addr.parse().unwrap()).map(|target| target.state)
}

#[test]
fn each_target_is_asked_soon_after_the_start_by_a_request_that_stands_alone() {
    let mut site = Site::new(&config());
    let sent = site.pass(Duration::from_millis(1010));
    let mut first: BTreeMap<_, _> = BTreeMap::new();
    for sent in &sent {
        first.entry(sent.to.to_string()).or_insert(sent);
    }
    assert_eq!(
        first.keys().collect::<Vec<_>>(),
        [SERVER, SECOND, "10.2.0.5:5060"],
        "not the region that nobody serves, no trunk"
    );
    assert!(first[SERVER].at != first[SECOND].at, "not all at once");
    let probe = first[SERVER];
    assert_eq!(probe.line(), "OPTIONS sip:10.1.0.5:5060 SIP/2.0");
    assert!(probe.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;rport;branch=z9hG4bK"));
    assert!(probe.header("From").unwrap().starts_with("<sip:eu.sip.example.com>;tag="));
    assert_eq!(probe.header("To").as_deref(), Some("<sip:10.1.0.5:5060>"));
    assert_eq!(probe.header("CSeq").as_deref(), Some("1 OPTIONS"));
    assert_eq!(probe.header("Max-Forwards").as_deref(), Some("70"));
    assert_eq!(probe.header("Content-Length").as_deref(), Some("0"));
    let message = Message::datagram(&probe.bytes).unwrap();
    assert!(message.fault().is_none() && Request::read(&message).is_ok());
    assert_ne!(probe.header("Call-ID"), first[SECOND].header("Call-ID"));
    assert_eq!(site.core.transactions(), 0);
}

#[test]
fn they_come_at_the_interval_and_never_in_step() {
    let mut site = Site::new(&config());
    let sent = live(&mut site, SECONDS(1000), &codes(&[(SERVER, 200), (SECOND, 404), ("10.2.0.5:5060", 200)]));
    let times: Vec<_> = sent.iter().filter(|sent| sent.to == SERVER.parse().unwrap()).map(|sent| sent.at.as_millis()).collect();
    let gaps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.iter().all(|gap| (8000..=12_010).contains(gap)), "{gaps:?}");
    assert!(gaps.iter().min().unwrap() + 1000 < *gaps.iter().max().unwrap(), "jitter: {gaps:?}");
    assert_eq!((state(&site, SERVER), state(&site, SECOND)), (Some(Health::Up), Some(Health::Up)));
}

#[test]
fn a_silent_target_goes_down_and_its_trials_are_probes() {
    let mut site = three();
    let all = codes(&[(SERVER, 200), (SECOND, 200), (THIRD, 200)]);
    live(&mut site, SECONDS(30), &all);
    let mut rest = all.clone();
    rest.remove(&SERVER.parse().unwrap());
    let sent = live(&mut site, SECONDS(300), &rest);
    assert_eq!(state(&site, SERVER), Some(Health::Down));
    let to_it: Vec<_> = sent.iter().filter(|sent| sent.to == SERVER.parse().unwrap()).collect();
    let starts: BTreeMap<_, _> = to_it.iter().rev().map(|sent| (sent.headers("Via"), sent.at.as_millis())).collect();
    let mut starts: Vec<_> = starts.values().collect();
    starts.sort_unstable();
    let gaps: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0] + 50) / 100).collect();
    assert_eq!(gaps[..8], [50, 60, 80, 120, 200, 360, 640, 640], "4 s of waiting, then 1, 2, 4 … 60 s");
    for id in 0..50 {
        assert_ne!(call(&mut site, &format!("c{id}")).to, SERVER.parse().unwrap(), "never a call");
    }
    live(&mut site, SECONDS(70), &all);
    assert_eq!(state(&site, SERVER), Some(Health::Rising));
    live(&mut site, SECONDS(31), &all);
    assert_eq!(state(&site, SERVER), Some(Health::Up));
}

#[test]
fn a_probe_is_repeated_and_given_up_after_try_for() {
    let mut site = Site::new(&config());
    let sent = site.pass(SECONDS(6));
    let to_it: Vec<_> = sent.iter().filter(|sent| sent.to == SECOND.parse().unwrap()).collect();
    let same: Vec<_> = to_it
        .iter()
        .filter(|sent| sent.bytes == to_it[0].bytes)
        .map(|sent| sent.at.saturating_sub(to_it[0].at).as_millis())
        .collect();
    assert_eq!(same.iter().map(|time| (time + 50) / 100).collect::<Vec<_>>(), [0, 5, 15, 35]);
    let silent = |note: &&Note| matches!(note, Note::Health { state: Health::Down, failure: Some(Failure::Silent), .. });
    assert_eq!(site.notes.iter().filter(silent).count(), 3);
}

#[test]
fn what_speaks_of_no_service_counts_and_everything_else_is_alive() {
    for (code, alive) in
        [(200, true), (302, true), (404, true), (405, true), (481, true), (500, true), (603, true), (408, false), (503, false)]
    {
        let mut site = Site::new(&config());
        let server = codes(&[(SERVER, code), (SECOND, 200), ("10.2.0.5:5060", 200)]);
        live(&mut site, SECONDS(60), &server);
        assert_eq!(state(&site, SERVER), Some(if alive { Health::Up } else { Health::Down }), "{code}");
        let target = site.core.status(site.now)[0];
        assert_eq!(target.failure, (!alive).then_some(Failure::Unavailable));
    }
}

#[test]
fn a_provisional_answer_is_alive_and_the_final_one_still_counts() {
    let mut site = Site::new(&config().replace("[health]", "[health]\nfall = 1"));
    let probe = site.pass(SECONDS(1)).into_iter().find(|sent| sent.to == SERVER.parse().unwrap()).unwrap();
    site.from(SERVER, &respond(&probe, 100, "", ""));
    assert_eq!(site.outcome(), Outcome::Absorbed);
    let rest = site.pass(Duration::from_millis(600));
    assert!(!rest.iter().any(|sent| sent.to == SERVER.parse().unwrap()), "not repeated");
    assert_eq!(state(&site, SERVER), Some(Health::Up));
    site.from(SERVER, &respond(&probe, 503, "u", "Retry-After: 20\r\n"));
    assert_eq!(state(&site, SERVER), Some(Health::Down));
    let rest = live(&mut site, Duration::from_millis(19_900), &codes(&[(SECOND, 200), ("10.2.0.5:5060", 200)]));
    assert!(!rest.iter().any(|sent| sent.to == SERVER.parse().unwrap()), "left alone for as long as it asked");
    live(&mut site, Duration::from_millis(200), &codes(&[(SERVER, 200)]));
    assert_eq!(state(&site, SERVER), Some(Health::Rising));
}

#[test]
fn nobody_answers_for_a_target_who_was_not_asked() {
    let mut site = Site::new(&config());
    let probe = site.pass(SECONDS(1)).into_iter().find(|sent| sent.to == SERVER.parse().unwrap()).unwrap();
    let good = respond(&probe, 200, "p", "");
    let branch = good.split("branch=").nth(1).unwrap().split("\r\n").next().unwrap().to_owned();
    // Slot 8 digits after the cookie, then the nonce.
    let forged = good.replace(&branch, &[&branch[..15], "0123456789abcdef", &branch[31..]].concat());
    for text in [forged, good.replace("1 OPTIONS", "1 INVITE")] {
        site.from(SERVER, &text);
        assert_eq!(site.outcome(), Outcome::Stray);
    }
    assert!(site.core.status(site.now)[0].heard.is_none());
    for _ in 0..3 {
        site.from(SERVER, &good);
        assert_eq!(site.outcome(), Outcome::Absorbed, "repetitions too");
    }
    assert!(site.core.status(site.now)[0].heard.is_some());
    site.input(Input::Failed(probe.attempt.unwrap()));
    assert_eq!(state(&site, SERVER), Some(Health::Up), "what was answered has got there");
}

#[test]
fn a_probe_goes_the_way_that_calls_go() {
    let text = config()
        .replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#"["sip:10.1.0.5:5060;transport=tcp", "[2001:db8:e::5]:5060"]"#);
    let mut site = Site::new(&text);
    let sent = site.pass(SECONDS(4));
    let of = |addr: &str| sent.iter().filter(|sent| sent.to == addr.parse().unwrap()).collect::<Vec<_>>();
    let (stream, six, wild) = (of(SERVER), of("[2001:db8:e::5]:5060"), of("10.2.0.5:5060"));
    assert_eq!((stream.len(), stream[0].transport), (1, Transport::Tcp), "nothing is repeated on a stream");
    assert_eq!(stream[0].line(), "OPTIONS sip:10.1.0.5:5060;transport=tcp SIP/2.0");
    assert!(stream[0].header("Via").unwrap().starts_with("SIP/2.0/TCP 192.0.2.1:5060;"));
    assert_eq!(six[0].line(), "OPTIONS sip:[2001:db8:e::5]:5060 SIP/2.0");
    assert!(six[0].header("Via").unwrap().starts_with("SIP/2.0/UDP [2001:db8:e::1]:5060;"));
    assert!(wild[0].header("From").unwrap().starts_with("<sip:uk.sip.example.com>"));
    site.input(Input::Failed(stream[0].attempt.unwrap()));
    let target = site.core.status(site.now)[0];
    assert_eq!((target.transport, target.state, target.failure), (Transport::Tcp, Health::Down, Some(Failure::Unreachable)));
}

#[test]
fn a_wildcard_listener_goes_by_its_regions_name() {
    let mut site = Site::new(&config().replace(r#""udp:192.0.2.2:5060", "#, ""));
    let probe = site.pass(SECONDS(1)).into_iter().find(|sent| sent.to == "10.2.0.5:5060".parse().unwrap()).unwrap();
    assert!(probe.header("Via").unwrap().starts_with("SIP/2.0/UDP uk.sip.example.com:5070;"));
}

#[test]
fn the_nearest_regions_servers_are_asked_from_the_region_that_names_them() {
    let text = config()
        .replace("serve  = [\"eu\", \"uk\"]", "serve = [\"eu\"]")
        .replace("listen   = [\"udp:192.0.2.2:5060\", \"udp:0.0.0.0:5070\"]\n", "")
        .replace("upstream = [\"10.1.0.5", "nearest = [\"uk\"]\nupstream = [\"10.1.0.5");
    let mut site = Site::new(&text);
    let probe = site.pass(SECONDS(1)).into_iter().find(|sent| sent.to == "10.2.0.5:5060".parse().unwrap()).unwrap();
    assert!(probe.header("Via").unwrap().starts_with("SIP/2.0/UDP 192.0.2.1:5060;"));
    let status = site.core.status(site.now);
    let uk = status.iter().find(|target| target.addr == "10.2.0.5:5060".parse().unwrap()).unwrap();
    assert_eq!(site.config.region(uk.region).name, "uk");
}

#[test]
fn whoever_is_about_to_end_asks_nobody() {
    let mut site = Site::new(&config());
    site.pass(Duration::from_millis(1500));
    site.input(Input::Drain { successor: false });
    assert!(site.pass(SECONDS(100)).is_empty());
    assert_eq!(site.core.deadline(), None);
}

#[test]
fn a_reload_may_begin_and_end_it() {
    let mut site = Site::usual();
    assert!(site.pass(SECONDS(60)).is_empty());
    for (interval, asked) in [("10s", true), ("0s", false)] {
        let text = config().replace("interval = \"10s\"", &format!("interval = \"{interval}\""));
        site.reload(&text);
        named(&mut site, &[]);
        assert_eq!(site.pass(SECONDS(30)).iter().any(is_probe), asked);
    }
}

#[test]
fn a_name_that_turns_to_the_outside_is_refused_and_never_asked() {
    let mut site = Site::new(&config().replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:lk.eu.internal""#));
    named(&mut site, &[(0, 1, "10.1.0.5")]);
    let all = codes(&[(SERVER, 200), ("10.2.0.5:5060", 200)]);
    live(&mut site, SECONDS(30), &all);
    assert_eq!(call(&mut site, "before").to, SERVER.parse().unwrap());
    named(&mut site, &[(0, 1, "10.9.0.5"), (0, 1, "203.0.113.5")]);
    let sent = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "during"));
    assert_eq!((sent.len(), sent[0].header("X-Ringfence").as_deref()), (1, Some("150; reason=foreign-target; region=eu")));
    site.pass(SECONDS(120));
    let inside = |addr: &SocketAddr| addr.ip().to_string().starts_with("10.1.") || addr.ip().to_string().starts_with("10.2.");
    assert!(site.log.iter().all(|sent| inside(&sent.to) || sent.to == TRUNK.parse().unwrap()), "no probe, no call");
    named(&mut site, &[(0, 1, "10.1.0.5")]);
    let sent = site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", "after"));
    assert_eq!(sent[1].to, SERVER.parse().unwrap(), "healed by itself");
}

#[test]
fn no_attempt_of_a_call_is_taken_for_a_probe() {
    let mut site = three();
    let probes: std::collections::HashSet<Attempt> =
        site.pass(SECONDS(1)).iter().filter(|sent| is_probe(sent)).map(|sent| sent.attempt.unwrap()).collect();
    assert_eq!(probes.len(), 4);
    for id in 0..500 {
        assert!(!probes.contains(&call(&mut site, &format!("c{id}")).attempt.unwrap()));
    }
}

/// A thousand calls a second at three servers, one of which falls silent, and comes back.
#[test]
fn a_server_that_dies_under_load_costs_a_moment_and_no_call() {
    let mut site = three();
    let dead: SocketAddr = SECOND.parse().unwrap();
    let (dies, heals, ends) = (2000_u64, 12_000, 24_000);
    let is_dead = |at: u64| (dies..heals).contains(&at);
    let mut wire: BTreeMap<(u64, u64), Sent> = BTreeMap::new();
    let (mut order, mut placed, mut served_by_it) = (0, HashMap::new(), 0);
    let (mut answered, mut slowest) = (0_u64, 0);
    for at in 0..ends + 6000 {
        let now = site.start + Duration::from_millis(at);
        let mut sent = Vec::new();
        while let Some(deadline) = site.core.deadline().filter(|&deadline| deadline <= now) {
            site.now = site.now.max(deadline);
            sent.extend(site.input(Input::Timeout));
        }
        site.now = now;
        if at < ends {
            placed.insert(format!("k{at}@trunk"), at);
            sent.extend(site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", &format!("k{at}"))));
        }
        while let Some(entry) = wire.first_entry().filter(|entry| entry.key().0 <= at) {
            let seen = entry.remove();
            if seen.to == dead && is_dead(at) {
                continue;
            }
            let code = if is_probe(&seen) { 200 } else { 486 };
            served_by_it += u64::from(seen.to == dead && at > heals && !is_probe(&seen));
            sent.extend(site.from(&seen.to.to_string(), &respond(&seen, code, "u", "")));
        }
        for sent in sent {
            let silent = dies + 5000..heals;
            assert!(sent.to != dead || !silent.contains(&at) || is_probe(&sent), "at {at} ms to the dead one: {}", sent.line());
            if sent.to == TRUNK.parse().unwrap() {
                let id = sent.header("Call-ID").unwrap();
                if !sent.line().contains(" 100 ")
                    && let Some(began) = placed.remove(&id)
                {
                    assert_eq!(sent.line(), "SIP/2.0 486 Phrase", "no call fails");
                    answered += 1;
                    slowest = slowest.max(at - began);
                    let ack =
                        invite("acme.eu.sip.example.com", "10.1.0.20", id.split('@').next().unwrap()).replace("INVITE", "ACK");
                    site.from(TRUNK, &ack);
                }
            } else if !sent.line().starts_with("ACK") {
                order += 1;
                wire.insert((at + 5, order), sent);
            }
        }
    }
    assert_eq!((answered, placed.len()), (ends, 0));
    assert!(slowest <= 4000 + 500 + 20, "try_for and T1, and the wire: {slowest} ms");
    assert!(served_by_it > 100, "it has its calls again: {served_by_it}");
}

/// Gateways of a trunk with `ping`, of which one has a name.
fn gateways() -> Site {
    let text = crate::site::CONFIG.replace(
        "\"sip:acme.pstn.example.net:5080;transport=udp\"",
        "[\"sip:198.51.100.20;user=phone\", \"sip:gw.example.net:5080\"]\nping = \"60s\"",
    );
    Site::new(&text)
}

fn options(sent: &[Sent]) -> Vec<(String, String)> {
    sent.iter().filter(|sent| sent.line().starts_with("OPTIONS")).map(|sent| (sent.to.to_string(), sent.line())).collect()
}

fn up(site: &Site) -> Vec<(u8, bool)> {
    site.core.gateways().iter().map(|gateway| (gateway.at, gateway.is_up)).collect()
}

#[test]
fn a_trunks_gateways_are_asked_if_it_says_so() {
    let mut site = gateways();
    // The usual configuration pings no server.
    let sent = site.pass(Duration::from_secs(2));
    let mut asked = options(&sent);
    asked.sort();
    // Some were sent again meanwhile.
    asked.dedup();
    let expected = [
        ("198.51.100.20:5060", "OPTIONS sip:198.51.100.20;user=phone SIP/2.0"),
        ("198.51.100.9:5080", "OPTIONS sip:gw.example.net:5080 SIP/2.0"),
    ];
    assert_eq!(asked.iter().map(|(to, line)| (to.as_str(), line.as_str())).collect::<Vec<_>>(), expected);
    let one = sent.iter().find(|sent| sent.to.to_string() == "198.51.100.20:5060").unwrap().clone();
    assert_eq!(one.header("Contact").as_deref(), Some("<sip:192.0.2.1:5060>"));
    assert_eq!((one.fenced, one.trunk.as_deref()), (true, Some("carrier")));
    assert!(site.kept.iter().any(|name| name.host == "gw.example.net"), "its name is kept as for calls: {:?}", site.kept);
    // Any answer will do, and only its own address gives it.
    site.from("198.51.102.1:5060", &respond(&one, 404, "x", ""));
    site.from("198.51.100.20:5060", &respond(&one, 404, "g", ""));
    let sent = site.pass(Duration::from_secs(40));
    assert_eq!(up(&site), [(0, true), (1, false)]);
    assert!(options(&sent).iter().all(|(to, _)| to == "198.51.100.9:5080"), "{sent:#?}");
    let sent = site.pass(Duration::from_secs(40));
    assert!(options(&sent).iter().any(|(to, _)| to == "198.51.100.20:5060"), "about every minute: {sent:#?}");
    assert!(
        site.core.status(site.now).iter().all(|target| target.addr.ip().to_string() != "198.51.100.20"),
        "no server of the region"
    );
}

#[test]
fn a_gateway_that_does_not_answer_is_tried_last_and_not_left_out() {
    let mut site = gateways();
    let sent = site.pass(Duration::from_secs(2));
    let second = sent.iter().find(|sent| sent.to.to_string() == "198.51.100.9:5080").unwrap().clone();
    site.from("198.51.100.9:5080", &respond(&second, 200, "g", ""));
    site.pass(Duration::from_secs(30));
    assert_eq!(up(&site), [(0, false), (1, true)]);
    let host = "carrier.acme.eu.sip.example.com";
    let text = invite(host, "10.1.0.5", "call").replace("198.51.100.7:5060", SERVER);
    let sent = site.from(SERVER, &text);
    let first = sent.iter().find(|sent| sent.fenced).unwrap().clone();
    assert_eq!(first.to.to_string(), "198.51.100.9:5080");
    let sent = site.from("198.51.100.9:5080", &respond(&first, 503, "g", ""));
    assert!(
        sent.iter().any(|sent| sent.fenced && sent.line().starts_with("INVITE") && sent.to.to_string() == "198.51.100.20:5060")
    );
    // It answers again, and a ping finds that out.
    let asked = (0..100).find_map(|_| {
        let sent = site.pass(Duration::from_secs(1));
        sent.into_iter().find(|sent| sent.line().starts_with("OPTIONS") && sent.to.to_string() == "198.51.100.20:5060")
    });
    site.from("198.51.100.20:5060", &respond(&asked.unwrap(), 200, "g", ""));
    assert!(up(&site).contains(&(0, true)));
}

#[test]
fn no_gateway_outside_is_asked_and_none_after_the_drain_begins() {
    let text = crate::site::CONFIG.replace(
        "\"sip:acme.pstn.example.net:5080;transport=udp\"\noutbound_networks = [\"198.51.100.0/24\"]",
        "\"sip:gw.example.net\"\noutbound_networks = [\"203.0.113.0/30\"]\nping = \"10s\"",
    );
    assert!(text.contains("ping"), "{text}");
    let mut site = Site::new(&text);
    assert!(options(&site.pass(Duration::from_secs(60))).is_empty());
    assert_eq!(up(&site), [(0, false)]);
    let mut site = gateways();
    site.input(Input::Drain { successor: false });
    assert!(options(&site.pass(Duration::from_secs(200))).is_empty());
}
