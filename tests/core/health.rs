//! What a target does decides whether the next calls go there: by calls alone, without probes (those: `probes.rs`).

use std::time::Duration;

use ringfence::config::{NameId, Transport};
use ringfence::core::io::{Failure, Health, Input, Note};
use ringfence::dns::{Resolved, Server};

use crate::site::{SECOND, SERVER, Sent, Site, TRUNK, invite, named, request, respond};

const SECONDS: fn(u64) -> Duration = Duration::from_secs;

/// Two servers in order, no probes, and time enough to look at what is rising.
fn site() -> Site {
    Site::new(
        &crate::site::CONFIG
            .replace("per_source = \"50/s\"", "per_source = \"1000000/s\"")
            .replace("[health]", "[health]\nrise = \"100s\""),
    )
}

fn call(site: &mut Site, id: &str) -> Sent {
    site.from(TRUNK, &invite("acme.eu.sip.example.com", "10.1.0.20", id)).remove(1)
}

/// Places a call, answers it and says where it went first.
fn answered(site: &mut Site, id: &str, code: u16) -> String {
    let sent = call(site, id);
    let to = sent.to.to_string();
    site.from(&to, &respond(&sent, code, "u", ""));
    to
}

/// Every change of health: address, state, failure.
fn changes(site: &Site) -> Vec<(String, Health, Option<Failure>)> {
    let change = |note: &Note| match *note {
        Note::Health { addr, state, failure, .. } => Some((addr.to_string(), state, failure)),
        _ => None,
    };
    site.notes.iter().filter_map(change).collect()
}

fn down(failure: Failure) -> (String, Health, Option<Failure>) {
    (SERVER.to_owned(), Health::Down, Some(failure))
}

#[test]
fn a_503_with_retry_after_takes_it_out_for_so_long() {
    let mut site = site();
    let first = call(&mut site, "one");
    let sent = site.from(SERVER, &respond(&first, 503, "u", "Retry-After: 30 (maintenance);duration=60\r\n"));
    assert_eq!(sent[1].to, SECOND.parse().unwrap());
    assert_eq!(changes(&site), [down(Failure::Unavailable)]);
    for id in 0..29 {
        site.pass(SECONDS(1));
        assert_eq!(answered(&mut site, &format!("s{id}"), 486), SECOND, "after {id} s");
    }
    site.pass(SECONDS(1));
    assert_eq!(answered(&mut site, "trial", 200), SERVER);
    assert_eq!(changes(&site)[1..], [(SERVER.to_owned(), Health::Rising, None)]);
}

#[test]
fn nobody_is_left_alone_for_longer_than_five_minutes() {
    let mut site = site();
    let first = call(&mut site, "one");
    site.from(SERVER, &respond(&first, 503, "u", "Retry-After: 4000000000\r\n"));
    site.pass(SECONDS(299));
    assert_eq!(answered(&mut site, "two", 486), SECOND);
    site.pass(SECONDS(1));
    assert_eq!(answered(&mut site, "three", 486), SERVER);
}

#[test]
fn what_it_had_before_may_end_while_it_wants_no_calls() {
    let mut site = site();
    let ringing = call(&mut site, "one");
    let refused = call(&mut site, "two");
    site.from(SERVER, &respond(&refused, 503, "u", "Retry-After: 30\r\n"));
    site.from(SERVER, &respond(&ringing, 200, "u", ""));
    assert_eq!(answered(&mut site, "three", 486), SECOND, "still out");
}

#[test]
fn several_503_in_a_row_take_it_out_and_one_good_answer_between_does_not() {
    let mut site = site();
    for (id, code) in [(0, 503), (1, 503), (2, 486), (3, 503), (4, 503)] {
        assert_eq!(answered(&mut site, &format!("a{id}"), code), SERVER, "{id}");
    }
    assert_eq!(changes(&site), []);
    let sent = call(&mut site, "repeats");
    let busy = respond(&sent, 503, "u", "");
    assert_eq!(changes(&site), []);
    for _ in 0..3 {
        site.from(SERVER, &busy);
    }
    assert_eq!(changes(&site), [down(Failure::Unavailable)], "the third in a row; its repetitions are none");
    assert_eq!(answered(&mut site, "after", 486), SECOND);
}

#[test]
fn a_repeated_503_is_one() {
    let mut site = site();
    let sent = call(&mut site, "one");
    for _ in 0..5 {
        site.from(SERVER, &respond(&sent, 503, "u", ""));
    }
    assert_eq!(changes(&site), []);
}

#[test]
fn silence_takes_it_out_at_once() {
    let mut site = site();
    call(&mut site, "one");
    site.pass(Duration::from_millis(4010));
    assert_eq!(changes(&site), [down(Failure::Silent)]);
    assert_eq!(answered(&mut site, "two", 486), SECOND);
}

#[test]
fn silence_of_one_request_among_answers_only_counts() {
    let mut site = site();
    for (id, other) in [(0, 486), (1, 503)] {
        let silent = call(&mut site, &format!("s{id}"));
        assert_eq!(silent.to, SERVER.parse().unwrap());
        site.pass(SECONDS(2));
        // It speaks, but not of that one.
        answered(&mut site, &format!("o{id}"), other);
        assert_eq!(changes(&site), []);
        site.pass(Duration::from_millis(2010));
    }
    // One after the good answer, the 503, and one more.
    assert_eq!(changes(&site), [down(Failure::Silent)]);
}

#[test]
fn an_error_of_the_transport_takes_it_out_at_once() {
    let mut site = site();
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    assert_eq!(changes(&site), [down(Failure::Unreachable)]);
    assert_eq!(answered(&mut site, "two", 486), SECOND);
}

#[test]
fn any_other_answer_is_a_sign_of_life() {
    for code in [200, 302, 404, 408, 480, 487, 500, 504, 603] {
        let mut site = site();
        for id in 0..2 {
            answered(&mut site, &format!("a{id}"), 503);
        }
        answered(&mut site, "good", code);
        for id in 0..2 {
            answered(&mut site, &format!("b{id}"), 503);
        }
        assert_eq!(changes(&site), [], "{code}");
    }
}

#[test]
fn what_is_not_the_end_of_a_call_sets_no_failures_back() {
    for codes in [&[100][..], &[180], &[100, 183, 180]] {
        for rise in ["100s", "0s"] {
            let mut site = Site::new(&crate::site::CONFIG.replace("[health]", &format!("[health]\nrise = \"{rise}\"")));
            for id in 0..3 {
                let sent = call(&mut site, &format!("a{id}"));
                assert_eq!(sent.to, SERVER.parse().unwrap());
                for code in codes {
                    site.from(SERVER, &respond(&sent, *code, "u", ""));
                }
                site.from(SERVER, &respond(&sent, 503, "u", ""));
            }
            assert_eq!(changes(&site), [down(Failure::Unavailable)], "{codes:?}");
            // Nor does it bring back whoever says 503: the trial has to end well.
            site.pass(SECONDS(2));
            let trial = call(&mut site, "trial");
            assert_eq!(trial.to, SERVER.parse().unwrap());
            for code in codes {
                site.from(SERVER, &respond(&trial, *code, "u", ""));
            }
            site.from(SERVER, &respond(&trial, 503, "u", ""));
            assert_eq!(changes(&site).len(), 1, "{:?}", changes(&site));
            assert_eq!(answered(&mut site, "next", 486), SECOND);
        }
    }
    // An answer to a CANCEL says nothing of calls either.
    let mut site = site();
    for id in 0..3 {
        let text = invite("acme.eu.sip.example.com", "10.1.0.20", &format!("c{id}"));
        let sent = site.from(TRUNK, &text).remove(1);
        site.from(SERVER, &respond(&sent, 100, "u", ""));
        let cancel = request("CANCEL", "sip:x@acme.eu.sip.example.com", &format!("c{id}"));
        let cancel = site.from(TRUNK, &cancel.replace(&format!("z9hG4bKc{id}CANCEL"), &format!("z9hG4bKc{id}"))).remove(1);
        site.from(SERVER, &respond(&cancel, 200, "u", ""));
        site.from(SERVER, &respond(&sent, 503, "u", ""));
    }
    assert_eq!(changes(&site), [down(Failure::Unavailable)]);
}

#[test]
fn one_call_at_a_time_tries_it_again_less_and_less_often() {
    let mut site = site();
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    let mut trials = Vec::new();
    for step in 0..3000 {
        site.pass(Duration::from_millis(100));
        let sent = call(&mut site, &format!("t{step}"));
        if sent.to == SERVER.parse().unwrap() {
            trials.push(step + 1);
            let next = call(&mut site, &format!("n{step}"));
            assert_eq!(next.to, SECOND.parse().unwrap(), "one at a time");
            site.from(SECOND, &respond(&next, 486, "u", ""));
            let sent = site.input(Input::Failed(sent.attempt.unwrap())).remove(0);
            site.from(SECOND, &respond(&sent, 486, "u", ""));
        } else {
            site.from(SECOND, &respond(&sent, 486, "u", ""));
        }
    }
    let gaps: Vec<_> = trials.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert_eq!((trials[0], gaps), (10, vec![20, 40, 80, 160, 320, 600, 600, 600]), "tenths of a second; `back_off` is a minute");
    assert_eq!(changes(&site).len(), 1, "said once");
}

#[test]
fn it_comes_back_little_by_little() {
    let mut site = site();
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    site.pass(SECONDS(1));
    assert_eq!(answered(&mut site, "trial", 200), SERVER);
    let share =
        |site: &mut Site, name: &str| (0..500).filter(|id| answered(site, &format!("{name}{id}"), 486) == SERVER).count() / 5;
    let shares: Vec<_> = (0..10)
        .map(|at| {
            let share = share(&mut site, &format!("r{at}-"));
            site.pass(SECONDS(10));
            share
        })
        .collect();
    for (at, &share) in shares.iter().enumerate() {
        assert!(share.abs_diff((at * 10).max(10)) < 8, "a tenth at least, growing: {shares:?}");
    }
    assert_eq!(share(&mut site, "up"), 100);
    let states: Vec<_> = changes(&site).into_iter().map(|(_, state, _)| state).collect();
    assert_eq!(states, [Health::Down, Health::Rising, Health::Up]);
}

#[test]
fn one_failure_while_it_comes_back_is_enough() {
    let mut site = site();
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    site.pass(SECONDS(1));
    assert_eq!(answered(&mut site, "trial", 200), SERVER);
    site.pass(SECONDS(50));
    // Only its own failure counts: the other server goes on.
    let fails = |id: &u32| {
        let sent = call(&mut site, &format!("r{id}"));
        let to = sent.to.to_string();
        let code = if to == SERVER { 503 } else { 486 };
        site.from(&to, &respond(&sent, code, "u", ""));
        to == SERVER
    };
    let id = (0..100).find(fails).unwrap();
    assert_eq!(changes(&site).last(), Some(&down(Failure::Unavailable)), "{id}");
    // The wait it had, doubled.
    site.pass(Duration::from_millis(1900));
    assert_eq!(answered(&mut site, "early", 486), SECOND);
    site.pass(Duration::from_millis(200));
    assert_eq!(answered(&mut site, "again", 486), SERVER);
}

#[test]
fn rise_0_is_up_at_once() {
    let mut site = Site::new(&crate::site::CONFIG.replace("[health]", "[health]\nrise = \"0s\""));
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    site.pass(SECONDS(1));
    assert_eq!(answered(&mut site, "trial", 200), SERVER);
    assert_eq!(changes(&site)[1..], [(SERVER.to_owned(), Health::Up, None)]);
    assert_eq!(answered(&mut site, "next", 486), SERVER);
}

#[test]
fn when_all_look_down_one_is_tried_all_the_same() {
    let mut site = site();
    let first = call(&mut site, "one");
    let second = site.input(Input::Failed(first.attempt.unwrap())).remove(0);
    site.pass(Duration::from_millis(500));
    let end = site.input(Input::Failed(second.attempt.unwrap())).remove(0);
    assert_eq!(end.header("X-Ringfence").as_deref(), Some("152; reason=targets-down; region=eu"));
    // The trial of the first is due first.
    let sent = call(&mut site, "two");
    assert_eq!(sent.to, SERVER.parse().unwrap());
    let end = site.input(Input::Failed(sent.attempt.unwrap())).remove(0);
    assert_eq!(end.to, TRUNK.parse().unwrap(), "one, and no more");
    // As soon as it answers it has the calls.
    assert_eq!(answered(&mut site, "three", 200), SECOND, "whose trial is due first now");
    for id in 0..5 {
        assert_eq!(answered(&mut site, &format!("c{id}"), 486), SECOND);
    }
}

#[test]
fn what_waits_for_a_dead_one_goes_on_with_it() {
    let mut site = site();
    call(&mut site, "first");
    site.pass(SECONDS(2));
    let later: Vec<_> = (0..200).map(|id| call(&mut site, &format!("l{id}"))).collect();
    assert!(later.iter().all(|sent| sent.to == SERVER.parse().unwrap()));
    let known = site.start + Duration::from_millis(4004);
    let sent = site.pass(SECONDS(6));
    let to_server = sent.iter().filter(|sent| sent.to == SERVER.parse().unwrap()).map(|sent| sent.at).max().unwrap();
    assert!(site.start + to_server < known, "no word to it after that");
    let moved: Vec<_> =
        sent.iter().filter(|sent| sent.to == SECOND.parse().unwrap() && sent.line().starts_with("INVITE")).collect();
    let firsts: std::collections::BTreeMap<_, _> = moved.iter().rev().map(|sent| (sent.header("Call-ID"), sent.at)).collect();
    assert_eq!(firsts.len(), 201);
    let (earliest, latest) = (firsts.values().min().unwrap(), firsts.values().max().unwrap());
    assert!(*earliest >= SECONDS(4) && *latest <= Duration::from_millis(4512), "spread over T1: {earliest:?} to {latest:?}");
    assert!(latest.saturating_sub(*earliest) > Duration::from_millis(400));
}

#[test]
fn a_request_inside_a_dialog_tells_too() {
    let mut site = site();
    let seen = call(&mut site, "one");
    let answer = site.from(SERVER, &respond(&seen, 200, "u", "Contact: <sip:lk@10.1.0.5>\r\n")).remove(0);
    let route = answer.header("Record-Route").unwrap();
    let bye = request("BYE", "sip:lk@10.1.0.5", "one")
        .replace("Max-Forwards", &format!("Route: {route}\r\nMax-Forwards"))
        .replace("\r\nCall-ID", ";tag=u\r\nCall-ID");
    let sent = site.from(TRUNK, &bye).remove(0);
    assert_eq!(sent.to, SERVER.parse().unwrap());
    site.input(Input::Failed(sent.attempt.unwrap()));
    assert_eq!(changes(&site), [down(Failure::Unreachable)]);
}

#[test]
fn a_trunks_gateway_has_health_as_well() {
    let text = crate::site::CONFIG.replace("sip:acme.pstn.example.net:5080;transport=udp", "sip:gw.example.net");
    let mut site = Site::new(&text);
    let mut targets = Resolved::unknown(site.config.names.len());
    targets.set(NameId(0), crate::site::servers(&site.config.names[0], &["198.51.100.9", "198.51.100.10"]));
    site.input(Input::Resolved(std::sync::Arc::new(targets)));
    let first = site.from(SERVER, &invite("carrier.acme.eu.sip.example.com", "10.1.0.20", "one")).remove(1);
    site.input(Input::Failed(first.attempt.unwrap()));
    assert_eq!(changes(&site), [(first.to.to_string(), Health::Down, Some(Failure::Unreachable))]);
    // The same call would go there again, and others: health moves them all.
    for id in ["one", "two", "three", "four"] {
        let text = invite("carrier.acme.eu.sip.example.com", "10.1.0.20", id).replace("branch=z9hG4bK", "branch=z9hG4bKx");
        assert_ne!(site.from(SERVER, &text)[1].to, first.to, "{id}");
    }
    assert!(site.core.status(site.now).iter().all(|target| target.addr.ip().to_string().starts_with("10.")), "servers alone");
}

#[test]
fn the_status_says_what_is_known() {
    let mut site = site();
    let sent = call(&mut site, "one");
    site.pass(SECONDS(1));
    site.from(SERVER, &respond(&sent, 180, "u", ""));
    let heard = site.now;
    site.pass(SECONDS(1));
    let sent = call(&mut site, "two");
    site.input(Input::Failed(sent.attempt.unwrap()));
    let status = site.core.status(site.now);
    let of = |addr: &str| *status.iter().find(|target| target.addr == addr.parse().unwrap()).unwrap();
    let server = of(SERVER);
    assert_eq!((server.state, server.failure, server.heard), (Health::Down, Some(Failure::Unreachable), Some(heard)));
    assert_eq!((server.since, server.transport), (site.now, Transport::Udp));
    assert_eq!(site.config.region(server.region).name, "eu");
    assert_eq!((of(SECOND).state, of(SECOND).heard), (Health::Up, None));
    assert_eq!(site.config.region(of("10.2.0.5:5060").region).name, "uk");
    assert_eq!(status.len(), 3, "nobody's who is not served");
}

#[test]
fn what_stays_keeps_its_health_whatever_else_changes() {
    let mut site = Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:lk.eu.internal""#));
    named(&mut site, &[(0, 0, "10.1.0.5"), (1, 0, "10.1.0.6")]);
    let sent = call(&mut site, "one");
    site.input(Input::Failed(sent.attempt.unwrap()));
    let state = |site: &Site| site.core.status(site.now).iter().find(|t| t.addr == SERVER.parse().unwrap()).map(|t| t.state);
    // A name more, and another order.
    named(&mut site, &[(0, 0, "10.1.0.7"), (1, 0, "10.1.0.5")]);
    assert_eq!(state(&site), Some(Health::Down));
    // A reload under which every name has another number.
    let text =
        crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#"["sip:aa.eu.internal", "sip:lk.eu.internal"]"#);
    let config = ringfence::config::parse(std::path::Path::new("new.toml"), &text).unwrap_or_else(|error| panic!("{error}"));
    let mut targets = Resolved::unknown(config.names.len());
    let server = Server { rank: 0, weight: 0, transport: None, addresses: vec![SERVER.parse().unwrap()] };
    targets.set(NameId(0), Vec::new());
    targets.set(NameId(1), vec![server]);
    site.reload_with(config, targets);
    assert_eq!(state(&site), Some(Health::Down));
    // What is named no more is forgotten.
    named(&mut site, &[(0, 0, "10.1.0.7")]);
    assert_eq!(state(&site), None);
    named(&mut site, &[(0, 0, "10.1.0.5")]);
    assert_eq!(state(&site), Some(Health::Up));
}

#[test]
fn those_watched_are_bounded_and_the_rest_counts_as_up() {
    let mut site = Site::new(&crate::site::CONFIG.replace(r#"["10.1.0.5:5060", "10.1.0.6:5060"]"#, r#""sip:lk.eu.internal""#));
    let list: Vec<_> = (0..2000).map(|at| (at, 0, format!("10.1.{}.{}", at / 200, at % 200 + 1))).collect();
    let list: Vec<_> = list.iter().map(|(rank, weight, ip)| (*rank, *weight, ip.as_str())).collect();
    named(&mut site, &list);
    assert_eq!(site.core.status(site.now).len(), 1024);
    named(&mut site, &list[1500..]);
    named(&mut site, &list);
    let sent = call(&mut site, "one");
    assert_eq!(sent.to.to_string(), "10.1.0.1:5060");
}
