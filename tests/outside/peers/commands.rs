//! `resolve`, `check --online` and `/status` against a real zone.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::nsd::Nsd;
use super::sipp::Server;
use super::{plan, zone};
use crate::harness::{Daemon, Plan, Site, await_some};

/// What a command printed, and its exit code.
fn ringfence(arguments: &[&str]) -> (String, i32) {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(arguments).output().unwrap();
    (String::from_utf8_lossy(&output.stdout).into_owned(), output.status.code().unwrap())
}

fn parsed(arguments: &[&str]) -> (Value, i32) {
    let (text, code) = ringfence(arguments);
    (serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")), code)
}

fn file(site: &Site, plan: &Plan) -> PathBuf {
    site.write("ringfence.key", "a key that only this test knows, long enough\n");
    site.write("ringfence.toml", &plan.text(site))
}

/// A zone with a name of each kind.
fn records(site: &Site) -> String {
    let port = site.port;
    let mut records = format!(
        "lk IN NAPTR 10 10 \"s\" \"SIP+D2U\" \"\" _sip._udp.lk\nmixed IN NAPTR 10 10 \"s\" \"SIP+D2T\" \"\" _sip._tcp.mixed\n\
         _sip._tcp.mixed IN SRV 1 30 {port} lk-10\n_sip._tcp.mixed IN SRV 1 10 {port} away\n_sip._tcp.mixed IN SRV 2 0 {port} lk-11\n"
    );
    records += &zone::servers("lk", &[(1, 10, site.eu(10)), (1, 30, site.eu(11))]);
    records += &zone::addresses("away", &[site.us(10).ip()]);
    records += &zone::addresses("nowhere", &["192.0.2.1".parse().unwrap()]);
    records
}

#[test]
fn resolve_shows_the_way_and_what_of_it_is_inside() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 60, &records(&site));
    let path = file(&site, &plan(&site, nsd.addr, "sip:mixed.internal.example"));
    let path = path.to_str().unwrap();
    let (found, code) = parsed(&["resolve", "-c", path, "sip:mixed.internal.example", "--json"]);
    assert_eq!((&found["outcome"], code), (&json!("some-outside"), 1), "{found:#}");
    assert_eq!(found["uses"], json!(["region eu"]), "{found:#}");
    let mark = |address: &str| {
        let list = found["addresses"].as_array().unwrap();
        let of = list.iter().find(|of| of["address"] == address).unwrap_or_else(|| panic!("no {address}: {found:#}"));
        (of["inside"].clone(), of["outside"].clone())
    };
    assert_eq!(mark(&site.eu(10).to_string()), (json!(["region eu"]), json!([])));
    assert_eq!(mark(&site.us(10).to_string()), (json!(["region us"]), json!(["region eu"])));
    let order = found["order"][0]["servers"].as_array().unwrap();
    let tried: Vec<_> =
        order.iter().map(|of| (of["rank"].clone(), of["transport"].clone(), of["addresses"][0].clone())).collect();
    let (first, second) = (site.eu(10).to_string(), site.eu(11).to_string());
    assert_eq!(tried, [(json!(0), json!("tcp"), json!(first)), (json!(1), json!("tcp"), json!(second))], "{found:#}");
    let (text, code) = ringfence(&["resolve", "-c", path, "sip:mixed.internal.example"]);
    assert_eq!(code, 1);
    for part in
        ["NAPTR", "SRV", "SIP+D2T", "_sip._tcp.mixed.internal.example", "60s", &first, &site.us(10).ip().to_string(), "outside"]
    {
        assert!(text.contains(part), "no {part}:\n{text}");
    }
}

#[test]
fn resolve_tells_the_outcome_by_its_exit_code() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 60, &records(&site));
    let path = file(&site, &plan(&site, nsd.addr, "sip:lk.internal.example"));
    let path = path.to_str().unwrap();
    let outcome = |name: &str| {
        let (found, code) = parsed(&["resolve", "-c", path, name, "--json"]);
        (found["outcome"].as_str().unwrap().to_owned(), code)
    };
    assert_eq!(outcome("lk.internal.example"), ("inside".to_owned(), 0));
    // Used by nobody in the file: inside some region is enough.
    assert_eq!(outcome("sip:away.internal.example:5060"), ("inside".to_owned(), 0));
    assert_eq!(outcome("nowhere.internal.example:5060"), ("outside".to_owned(), 3));
    assert_eq!(outcome("absent.internal.example"), ("nothing".to_owned(), 4));
    drop(nsd);
    assert_eq!(outcome("lk.internal.example"), ("failed".to_owned(), 5));
}

#[test]
fn check_online_says_of_every_name_what_is_outside() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 60, &records(&site));
    for (name, outcome, expected) in
        [("lk", "inside", 0), ("mixed", "some-outside", 1), ("nowhere", "outside", 1), ("absent", "nothing", 1)]
    {
        let path = file(&site, &plan(&site, nsd.addr, &format!("sip:{name}.internal.example")));
        let (found, code) = parsed(&["check", "-c", path.to_str().unwrap(), "--online", "--json"]);
        assert_eq!((code, &found["names"][0]["outcome"]), (expected, &json!(outcome)), "{found:#}");
        assert_eq!(found["names"].as_array().unwrap().len(), 1, "{found:#}");
    }
}

#[test]
fn status_shows_the_targets_and_why_one_is_down() {
    let site = Site::claim();
    let nsd = Nsd::serve(&site, 60, &records(&site));
    let mut servers = [10, 11].map(|last| Some(Server::start(&site, site.eu(last))));
    let mut plan = plan(&site, nsd.addr, "sip:lk.internal.example");
    plan.health = "interval = \"100ms\"\nrise = \"0s\"".into();
    let daemon = Daemon::start(&site, &plan);
    let status = || {
        let (code, text) = daemon.get("/status");
        assert_eq!(code, 200);
        serde_json::from_str::<Value>(&text).unwrap()
    };
    // Both heard of: the state of a target that nothing was sent to is up as well.
    let target = |last: u8, state: &str| {
        await_some(&format!("{} {state}", site.eu(last)), || {
            let status = status();
            let region = status["regions"].as_array()?.iter().find(|region| region["name"] == "eu")?.clone();
            let target = region["targets"].as_array()?.iter().find(|of| of["address"] == site.eu(last).to_string())?.clone();
            (target["state"] == state && !target["heard"].is_null()).then_some(target)
        })
    };
    for last in [10, 11] {
        let up = target(last, "up");
        assert_eq!((&up["transport"], &up["why"]), (&json!("udp"), &Value::Null), "{up:#}");
    }
    servers[0] = None;
    let down = target(10, "down");
    assert_eq!(down["why"], "unreachable", "{down:#}");
    assert!(down["since"].as_str().is_some_and(|at| at.ends_with('Z')) && down["heard_seconds"].is_u64(), "{down:#}");
    target(11, "up");
    servers[0] = Some(Server::start(&site, site.eu(10)));
    target(10, "up");
    let status = status();
    let name = &status["names"][0];
    assert_eq!((&name["name"], &name["state"]), (&json!("sip:lk.internal.example"), &json!("fresh")), "{status:#}");
    let weights: Vec<_> =
        name["servers"].as_array().unwrap().iter().map(|of| (of["rank"].clone(), of["weight"].clone())).collect();
    assert_eq!(weights, [(json!(0), json!(10)), (json!(0), json!(30))], "{status:#}");
    assert_eq!((&status["ready"], &status["draining"]), (&json!(true), &json!(false)));
}
