//! `resolve`, `check --online`, `zone` and `/status` against real name servers, `probe` against real telephones, the manual and the
//! completions as their readers take them.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::sipp::{Load, Server, Sipp};
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

#[test]
fn a_zone_of_ours_is_accepted_and_leads_to_the_listeners() {
    let site = Site::claim();
    let mut own = Plan::new(&site);
    own.listen = format!("[\"udp:{}\", \"tcp:{}\", \"udp:{}\"]", site.eu(1), site.eu(1), site.eu(2));
    let text = own
        .text(&site)
        .replace("eu.sip.example.com", "eu.internal.example")
        .replace("\"sip.example.com\"", "\"internal.example\"");
    site.write("ringfence.key", "a key that only this test knows, long enough\n");
    let ours = site.write("ours.toml", &text);
    let ours = ours.to_str().unwrap();
    let (whole, code) = ringfence(&["zone", "-c", ours, "--zone", "internal.example", "--ns", "ns.example.net"]);
    assert_eq!(code, 0, "{whole}");
    let file = site.write("whole.zone", &whole);
    super::run("named-checkzone", &["-k", "fail", "-r", "fail", "-S", "fail", "internal.example", file.to_str().unwrap()], "");
    let (records, _) = ringfence(&["zone", "-c", ours]);
    let nsd = Nsd::serve(&site, 60, &records);
    // Whoever asks for NAPTR finds every listener, by the region's name, by a project's, and by the global one's.
    let asking = file_of(&site, nsd.addr);
    let ip = |last: u8| site.eu(last).ip().to_string();
    for name in ["eu.internal.example", "acme.eu.internal.example", "any.eu.internal.example", "acme.internal.example"] {
        let (found, code) = parsed(&["resolve", "--json", "-c", &asking, name]);
        assert_eq!((code, &found["outcome"]), (0, &json!("inside")), "{found:#}");
        let servers = found["order"][0]["servers"].as_array().unwrap();
        let mut told: Vec<(String, String)> = Vec::new();
        for server in servers {
            let transport = server["transport"].as_str().unwrap().to_owned();
            let addresses = server["addresses"].as_array().unwrap().iter();
            told.extend(addresses.map(|addr| (transport.clone(), addr.as_str().unwrap().to_owned())));
        }
        assert_eq!(told[0], ("tcp".to_owned(), format!("{}:{}", ip(1), site.port)), "what protects more comes first: {found:#}");
        told.sort();
        let expected = [("tcp", 1), ("udp", 1), ("udp", 2)];
        assert_eq!(
            told,
            expected.map(|(transport, last)| (transport.to_owned(), format!("{}:{}", ip(last), site.port))),
            "{found:#}"
        );
    }
    // And a probe by that name reaches the daemon.
    let _daemon = Daemon::start_with(
        &site,
        &text
            .replace("[project.acme]", "[project.here]\n[project.here.trunk.one]\nnetworks = [\"127.0.0.1/32\"]\n[project.acme]"),
    );
    let (found, code) = parsed(&["probe", "--json", "-c", &asking, "sip:here.eu.internal.example"]);
    assert_eq!((code, &found["tried"][0]["answer"]["code"]), (0, &json!(200)), "{found:#}");
}

/// A configuration with this name server.
fn file_of(site: &Site, dns: SocketAddr) -> String {
    let text = plan(site, dns, "sip:lk.internal.example").text(site);
    site.write("asking.toml", &text).to_str().unwrap().to_owned()
}

#[test]
fn a_probe_rings_and_hangs_up_through_other_people_s_software() {
    let site = Site::claim();
    let (edge, ringing, answering) = (site.eu(40), site.eu(10), site.eu(11));
    let sipp = Sipp::server(&site, "callee_rings", "udp", ringing, Load { calls: 1, rate: 1 });
    let kamailio = Kamailio::start(&site, "ringing", edge, (ringing, "udp"));
    let (found, code) = parsed(&["probe", "--json", "--invite", &format!("sip:1@{edge}")]);
    assert_eq!((code, &found["tried"][0]["answer"]["code"]), (0, &json!(487)), "{found:#}");
    sipp.succeeds();
    drop(kamailio);
    let server = Server::start(&site, answering);
    let _kamailio = Kamailio::start(&site, "answering", edge, (answering, "udp"));
    for transport in ["udp", "tcp"] {
        let (found, code) = parsed(&["probe", "--json", "--invite", "-t", transport, &format!("sip:1@{edge}")]);
        let tried = &found["tried"][0];
        assert_eq!((code, &tried["answer"]["code"], &tried["bye"]), (0, &json!(200), &json!(200)), "{found:#}");
        let (found, code) = parsed(&["probe", "--json", "-t", transport, &format!("sip:{edge}")]);
        assert_eq!((code, &found["tried"][0]["answer"]["code"]), (0, &json!(200)), "{found:#}");
    }
    drop(server);
}

#[test]
fn the_manual_and_the_completions_are_accepted() {
    let site = Site::claim();
    let folder = site.directory().join("man1");
    assert_eq!(ringfence(&["man", folder.to_str().unwrap()]).1, 0);
    let pages: Vec<PathBuf> = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(pages.len() > 8, "{pages:?}");
    for page in pages {
        let output = Command::new("man").env("MANWIDTH", "100").args(["--warnings", "-l"]).arg(&page).output().unwrap();
        assert!(output.status.success() && output.stderr.is_empty(), "{}: {output:?}", page.display());
        let shown = String::from_utf8(output.stdout).unwrap();
        let sections: Vec<&str> = shown.lines().filter(|line| line.starts_with(|c: char| c.is_ascii_uppercase())).collect();
        assert!(sections.contains(&"NAME") && sections.contains(&"SEE ALSO"), "{shown}");
        assert!(page.ends_with("ringfence.1") || sections.contains(&"EXIT STATUS"), "{shown}");
    }
    let (bash, _) = ringfence(&["completions", "bash"]);
    super::run("bash", &["-n"], &bash);
    let asked = "COMP_WORDS=(ringfence exp); COMP_CWORD=1; _ringfence ringfence exp ringfence; echo \"${COMPREPLY[*]}\"\n\
                 COMP_WORDS=(ringfence explain --l); COMP_CWORD=2; _ringfence ringfence --l explain; echo \"${COMPREPLY[*]}\"\n";
    assert_eq!(super::run("bash", &["--norc"], &format!("{bash}\n{asked}")), "explain\n--listener\n");
}
