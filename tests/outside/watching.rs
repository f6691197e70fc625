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
