//! `/watch`, `/refused` and the list of `/status`, as an operator and his programs ask for them.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

fn invite(site: &Site, caller: &Leg, host: &str) -> Ask {
    Ask::invite(&format!("sip:+4930222@{host}.sip.example.com"), caller.addr, "udp", site.carrier(20).ip())
}

fn refuse(site: &Site, caller: &mut Leg) -> Ask {
    let ask = invite(site, caller, "acme.us");
    caller.ask(&ask);
    caller.expect(603);
    ask
}

fn json(daemon: &Daemon, path: &str) -> Value {
    let (code, body) = daemon.get(path);
    assert_eq!(code, 200, "{path}: {body}");
    serde_json::from_str(&body).unwrap()
}

/// What is kept once there is as much of it: it is taken in by another thread.
fn kept(daemon: &Daemon, path: &str, count: usize) -> Vec<Value> {
    await_some("what is kept", || {
        let refused = json(daemon, path)["refused"].as_array().unwrap().clone();
        (refused.len() == count).then_some(refused)
    })
}

#[test]
fn who_watches_sees_each_decision_as_the_log_has_it() {
    let site = Site::claim();
    let daemon = Daemon::start_logging(&site, &Plan::new(&site), "info,ringfence::decision=debug");
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut watch = daemon.watch("").unwrap();
    let ask = invite(&site, &caller, "acme.eu");
    caller.ask(&ask);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let answer = caller.expect(486);
    caller.ask(&ask.ack(&answer));
    let refused = refuse(&site, &mut caller);
    let lines = [watch.next(), watch.next()];
    assert_eq!([&lines[0]["call_id"], &lines[1]["call_id"]], [&ask.call_id, &refused.call_id]);
    assert_eq!(lines[0]["sent_to"], format!("udp:{}", site.eu(10)));
    let why = "Request-URI host acme.us.sip.example.com is an endpoint of region us, not eu";
    assert_eq!(lines[1]["why"], why);
    for line in lines {
        let id = line["call_id"].as_str().unwrap();
        let logged =
            await_some("its line in the log", || daemon.log().lines().find(|logged| logged.contains(id)).map(str::to_owned));
        let mut logged: Value = serde_json::from_str(&logged).unwrap();
        let mut line = line.clone();
        for key in ["level", "target", "message", "timestamp"] {
            logged.as_object_mut().unwrap().remove(key).unwrap();
        }
        let at = line.as_object_mut().unwrap().remove("timestamp").unwrap();
        assert!(at.as_str().is_some_and(|at| at.len() == 27 && at.ends_with('Z')), "{at}");
        assert_eq!(line, logged);
        assert!(!line.to_string().contains("4930222"), "{line}");
    }
}

#[test]
fn what_is_kept_of_a_refused_message_is_the_message_without_its_numbers() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let (first, last) = (refuse(&site, &mut caller), refuse(&site, &mut caller));
    let all = kept(&daemon, "/refused", 2);
    assert_eq!([&all[0]["call_id"], &all[1]["call_id"]], [&last.call_id, &first.call_id], "the newest first");
    let one = kept(&daemon, &format!("/refused?call_id={}", first.call_id.replace('@', "%40")), 1).remove(0);
    assert_eq!(one, all[1]);
    assert_eq!(one["listener"], format!("udp:{}", site.door()));
    assert_eq!((&one["id"], &one["source"]), (&110.into(), &site.carrier(20).to_string().into()));
    let message = BASE64_STANDARD.decode(one["message_base64"].as_str().unwrap()).unwrap();
    let sent = first.bytes();
    assert_eq!(message.len(), sent.len());
    let (message, sent) = (String::from_utf8(message).unwrap(), String::from_utf8(sent).unwrap());
    assert!(!message.contains("4930222") && message.starts_with("INVITE sip:+493xxxx@acme.us.sip.example.com "), "{message}");
    let differs = message.bytes().zip(sent.bytes()).filter(|(kept, sent)| kept != sent).all(|(kept, _)| kept == b'x');
    assert!(differs, "{message}\n{sent}");
    let counts = json(&daemon, "/refused");
    assert_eq!((&counts["kept"], &counts["limit"]), (&2.into(), &200.into()));
    let none = json(&daemon, "/refused?call_id=nobody");
    assert_eq!((&none["refused"], &none["kept"]), (&Value::Array(Vec::new()), &2.into()));
}

#[test]
fn a_kept_message_gets_the_same_verdict_again() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let kept = {
        let daemon = Daemon::start(&site, &plan);
        refuse(&site, &mut caller);
        kept(&daemon, "/refused", 1).remove(0)
    };
    // Another daemon, which remembers no call.
    let _daemon = Daemon::start(&site, &plan);
    caller.send(&BASE64_STANDARD.decode(kept["message_base64"].as_str().unwrap()).unwrap());
    let answer = caller.expect(603);
    assert_eq!(answer.get("X-Ringfence"), "110; reason=foreign-endpoint; region=eu");
    assert!(answer.get("Warning").ends_with(&format!(" \"{}\"", kept["why"].as_str().unwrap())), "{}", answer.get("Warning"));
}

#[test]
fn what_is_kept_has_its_bounds() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[log]\nrefused = 8\n");
    let daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut stranger = Leg::udp(site.stranger(66), site.door());
    let carriers = refuse(&site, &mut caller);
    let mut last = String::new();
    for _ in 0..3 {
        let ask = invite(&site, &stranger, "acme.eu");
        stranger.ask(&ask);
        stranger.expect(403);
        last = ask.call_id;
    }
    // An eighth is one: the last of the three.
    let all = await_some("the last stranger's", || Some(kept(&daemon, "/refused", 2)).filter(|all| all[0]["call_id"] == *last));
    assert_eq!(all[1]["call_id"], carriers.call_id, "a carrier's is not crowded out");
    // Of one that is too long what was decided is kept alone.
    let row = format!("X-Long: {}", "x".repeat(2000));
    let long = (0..5).fold(invite(&site, &caller, "acme.us"), |ask, _| ask.with(&row));
    caller.ask(&long);
    caller.expect(603);
    await_some("the long one's decision", || {
        let decisions = json(&daemon, "/status")["decisions"].as_array().unwrap().clone();
        (decisions.len() == 5 && decisions[0]["call_id"] == *long.call_id).then_some(())
    });
    let kept_long = kept(&daemon, "/refused", 3).remove(0);
    assert_eq!(kept_long["call_id"], *long.call_id);
    assert!(kept_long.get("message_base64").is_none(), "{kept_long}");
    for _ in 0..10 {
        last = refuse(&site, &mut caller).call_id;
    }
    let all = await_some("the last one's", || Some(kept(&daemon, "/refused", 8)).filter(|all| all[0]["call_id"] == *last));
    assert!(all.iter().all(|of| of["id"] == 110), "{all:?}");
    // Off: what was kept is gone, and nothing more is kept.
    daemon.reload(&site, &plan.text(&site).replace("refused = 8", "refused = 0"));
    refuse(&site, &mut caller);
    let none = json(&daemon, "/refused");
    assert_eq!(none, serde_json::json!({ "refused": [], "kept": 0, "limit": 0 }));
}

/// One trunk may be refused as often as it likes: what another's was refused for is told all the same.
#[test]
fn a_trunk_that_floods_leaves_room_for_others() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[log]\nrefused = 8\n");
    let rival = Site::network(site.rival(0));
    let project = format!(
        "[project.quiet]\npin = [\"eu\"]\n[project.quiet.trunk.rival]\nnetworks = [\"{rival}\"]\nmedia = [\"{rival}\"]\n"
    );
    plan.projects.push_str(&project);
    let daemon = Daemon::start(&site, &plan);
    let (mut loud, mut quiet) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.rival(20), site.door()));
    let asked = invite(&site, &quiet, "quiet.us");
    quiet.ask(&asked);
    quiet.expect(603);
    let mut last = String::new();
    for _ in 0..100 {
        last = refuse(&site, &mut loud).call_id;
    }
    await_some("the last one", || {
        json(&daemon, "/refused")["refused"].as_array().unwrap().iter().any(|of| of["call_id"] == *last).then_some(())
    });
    for (path, list) in [("/refused", "refused"), ("/status", "decisions")] {
        let all = json(&daemon, path)[list].as_array().unwrap().clone();
        assert!(all.iter().any(|of| of["call_id"] == *asked.call_id), "{path}: {all:#?}");
    }
}

#[test]
fn numbers_that_were_kept_whole_are_thrown_away_once_they_are_masked() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let plain = plan.text(&site) + "[log]\nnumbers = \"plain\"\n";
    let daemon = Daemon::start_with(&site, &plain);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = refuse(&site, &mut caller);
    let whole = kept(&daemon, "/refused", 1).remove(0);
    assert_eq!(BASE64_STANDARD.decode(whole["message_base64"].as_str().unwrap()).unwrap(), ask.bytes());
    assert!(whole["uri"].as_str().unwrap().contains("4930222"), "{whole}");
    daemon.reload(&site, &plan.text(&site));
    assert_eq!(json(&daemon, "/refused")["kept"], 0);
    assert_eq!(json(&daemon, "/status")["decisions"], Value::Array(Vec::new()));
}

#[test]
fn a_watcher_sees_what_it_asks_for_and_a_wrong_question_is_told_so() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.project(&site, "watcher", "pin = [\"us\"]\nmode = \"shadow\"", "");
    let daemon = Daemon::start(&site, &plan);
    let mut server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let first = invite(&site, &caller, "acme.us");
    let id = first.call_id.replace('@', "%40");
    let queries = [
        "?project=watcher".to_owned(),
        "?reason=110&reason=unknown-endpoint".to_owned(),
        "?verdict=shadow&verdict=accept".to_owned(),
        format!("?call_id={id}"),
        "?project=watcher&verdict=refuse".to_owned(),
    ];
    let mut watches = queries.map(|query| daemon.watch(&query).unwrap());
    caller.ask(&first);
    caller.expect(603);
    let shadow = invite(&site, &caller, "watcher.eu");
    caller.ask(&shadow);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&shadow.ack(&busy));
    let nobody = invite(&site, &caller, "nobody.eu");
    caller.ask(&nobody);
    caller.expect(404);
    let gone =
        Ask::invite("sip:+4930222@watcher.us.sip.example.com", caller.addr, "udp", site.us(20).ip()).with("Route: <sip:h;lr>");
    caller.ask(&gone);
    caller.expect(403);
    let ids = |watch: &mut crate::harness::Watch, count: usize| {
        (0..count)
            .map(|_| watch.next())
            .map(|line| format!("{} {}", line["id"], line["call_id"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    let [by_project, by_reason, by_verdict, by_call, by_both] = &mut watches;
    let forged = format!("170 {}", gone.call_id);
    assert_eq!(ids(by_project, 2), [format!("130 {}", shadow.call_id), forged.clone()]);
    assert_eq!(ids(by_reason, 2), [format!("110 {}", first.call_id), format!("111 {}", nobody.call_id)]);
    assert_eq!(ids(by_verdict, 1), [format!("130 {}", shadow.call_id)]);
    assert_eq!(ids(by_call, 1), [format!("110 {}", first.call_id)]);
    assert_eq!(ids(by_both, 1), [forged]);
    for (query, says) in [
        ("?proyect=acme", "unknown parameter `proyect`: /watch has project, reason, call_id and verdict"),
        ("?reason=foreign", "unknown reason `foreign`"),
        ("?verdict=", "unknown verdict ``: accept, refuse or shadow"),
    ] {
        let (code, body) = daemon.watch(query).unwrap_err();
        assert!(code == 400 && body.contains(says), "{query}: {code} {body}");
    }
    let (code, body) = daemon.get("/refused?project=acme");
    assert!(code == 400 && body.contains("/refused has call_id"), "{code} {body}");
    assert_eq!(daemon.post("/watch"), 405);
}

#[test]
fn eight_may_watch_and_a_place_is_free_again_once_one_has_gone() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut watches: Vec<_> = (0..8).map(|_| daemon.watch("").unwrap()).collect();
    let (code, body) = daemon.watch("").unwrap_err();
    assert!(code == 503 && body.starts_with("8 watch already"), "{code} {body}");
    assert_eq!(daemon.metrics().sum("ringfence_watchers", &[]), 8);
    drop(watches.pop());
    let mut ninth = await_some("a place", || daemon.watch("").ok());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = refuse(&site, &mut caller);
    assert_eq!(ninth.next()["call_id"], ask.call_id);
    for watch in &mut watches {
        assert_eq!(watch.next()["call_id"], ask.call_id);
    }
}

#[test]
fn who_reads_slowly_is_told_how_much_it_missed_and_no_call_waits() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.more.push_str("[log]\nrefused = 0\n");
    let daemon = Daemon::start_logging(&site, &plan, "warn");
    let mut slow = daemon.watch("").unwrap();
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let left_out = || daemon.metrics().sum("ringfence_unseen_decisions_total", &[("by", "watch")]);
    let mut asked = 0_u64;
    // Until the queue, and whatever the system holds of the stream, is full.
    while left_out() == 0 {
        for _ in 0..500 {
            refuse(&site, &mut caller);
            asked += 1;
        }
        assert!(asked < 100_000, "the system holds {asked} lines");
    }
    let missed = left_out();
    let mut read = 0;
    let told = loop {
        let line = slow.next();
        match line["left_out"].as_u64().unwrap() {
            0 => read += 1,
            told => break told,
        }
        // All that waits has been read: the next one tells.
        if read == asked - missed {
            refuse(&site, &mut caller);
        }
    };
    assert_eq!((told, read), (missed, asked - missed));
}

#[test]
fn a_stream_ends_with_the_daemon() {
    let site = Site::claim();
    let mut daemon = Daemon::start(&site, &Plan::new(&site));
    let mut watch = daemon.watch("").unwrap();
    assert_eq!(daemon.post("/drain"), 202);
    assert_eq!(watch.line(), None, "as a stream ends, not as a connection breaks");
    assert!(daemon.wait().success());
}

#[test]
fn the_page_and_status_list_what_was_refused_last_and_count_no_shadow_as_refused() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.project(&site, "watcher", "pin = [\"us\"]\nmode = \"shadow\"", "");
    let daemon = Daemon::start(&site, &plan);
    let _server = Leg::udp(site.eu(10), site.door());
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let shadow = invite(&site, &caller, "watcher.eu");
    caller.ask(&shadow);
    assert_eq!(caller.recv().code(), 100);
    let status = await_some("the decision", || {
        Some(json(&daemon, "/status")).filter(|status| status["decisions"].as_array().unwrap().len() == 1)
    });
    let decision = &status["decisions"][0];
    let why = "project watcher is pinned to us, not eu";
    for (key, value) in
        [("verdict", "shadow"), ("reason", "pinned-elsewhere"), ("project", "watcher"), ("trunk", "carrier"), ("why", why)]
    {
        assert_eq!(decision[key], value, "{decision}");
    }
    assert_eq!((&decision["call_id"], &decision["source"]), (&shadow.call_id.into(), &site.carrier(20).to_string().into()));
    assert_eq!(decision["from"], "sip:+493…@carrier.example.net");
    let hour = &status["hour"];
    assert_eq!((&hour["refused"], &hour["shadowed"][0]["count"]), (&Value::Array(Vec::new()), &1.into()), "{hour}");
    assert_eq!((&hour["minutes"][0]["refused"], &hour["minutes"][0]["shadow"]), (&0.into(), &1.into()), "{hour}");
    let (_, page) = daemon.get("/");
    assert!(page.contains(why) && page.contains("let pass (shadow)") && !page.contains("Refused projects"), "{page}");
    for _ in 0..30 {
        refuse(&site, &mut caller);
    }
    let decisions = await_some("the last twenty", || {
        let decisions = json(&daemon, "/status")["decisions"].as_array().unwrap().clone();
        // The other project's stays: it has a share.
        let refused = decisions.iter().filter(|of| of["id"] == 110).count();
        (refused == 19 && decisions[19]["project"] == "watcher").then_some(decisions)
    });
    assert!(decisions.is_sorted_by(|newer, older| newer["timestamp"].as_str() >= older["timestamp"].as_str()), "{decisions:?}");
}

#[test]
fn a_stream_on_which_nothing_happens_says_that_it_is_there() {
    let site = Site::claim();
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let mut watch = daemon.watch("").unwrap();
    // Ten seconds later, by the daemon's clock.
    assert_eq!(watch.chunk().as_deref(), Some("\n"));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let ask = refuse(&site, &mut caller);
    assert_eq!(watch.next()["call_id"], ask.call_id);
}
