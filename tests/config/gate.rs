//! The realtime gate: where it listens, where clients go, and whose a key is.

use super::{loads, parse, replaced};

fn wrong(text: &str) -> Vec<String> {
    let found = parse(text).err().map(|error| error.mistakes).unwrap_or_default();
    found.iter().map(|of| format!("{}:{} {}; {}", of.line, of.column, of.wrong, of.right)).collect()
}

fn warned(text: &str) -> Vec<String> {
    loads(text).warnings.iter().map(|of| format!("{}:{} {}", of.line, of.column, of.wrong)).collect()
}

/// `BASE` with a gate, its project's keys, and where clients of `eu` go.
fn gated() -> String {
    replaced(0, "gate = { listen = \"127.0.0.1:9100\" }")
        .replace("[region.us]", "realtime = \"wss://eu.rtc.example.com\"\n[region.us]")
        .replace("pin = [\"eu\"]", "pin = [\"eu\"]\napi_keys = [\"APIacme\", \"APIacme2\"]")
}

#[test]
fn a_key_is_one_projects() {
    let config = loads(&gated());
    let gate = config.gate.as_ref().unwrap();
    assert_eq!((gate.listen, gate.connections), ("127.0.0.1:9100".parse().unwrap(), 1024));
    let project = |key: &str| config.project_of_key(key).map(|id| &*config.project(id).name);
    assert_eq!(["APIacme", "APIacme2", "apiacme", "APIacme3", ""].map(project), [Some("acme"), Some("acme"), None, None, None]);
    assert_eq!(config.regions[0].realtime.as_deref(), Some("wss://eu.rtc.example.com"));
    assert!(!warned(&gated()).iter().any(|warning| warning.contains("gate") || warning.contains("api_keys")));

    let both = format!("{}[project.other]\npin = [\"eu\"]\napi_keys = [\"APIother\", \"APIacme2\"]\n", gated());
    assert_eq!(
        wrong(&both),
        [
            "14:24 the key `APIacme2` of project `acme` is project `other`'s too; each key under one project: a token would have two pins",
            "19:25 the key `APIacme2` of project `other` is project `acme`'s too; each key under one project: a token would have two pins",
        ]
    );
    let twice = gated().replace("\"APIacme2\"", "\"APIacme\"");
    assert_eq!(wrong(&twice), ["14:24 `APIacme` stands twice in `api_keys`; each key once"]);
}

#[test]
fn values_that_are_none() {
    for (old, new, expected) in [
        ("\"127.0.0.1:9100\"", "\"9100\"", "1:19 `9100` is not ADDRESS:PORT"),
        ("listen = \"127.0.0.1:9100\"", "connections = 64", "1:1 [gate] without `listen`"),
        ("\"127.0.0.1:9100\" ", "\"127.0.0.1:9100\", connections = 8 ", "1:51 `gate.connections` is out of bounds"),
        ("\"127.0.0.1:9100\" ", "\"127.0.0.1:9100\", port = 8 ", "1:37 unknown key `port` in [gate]"),
        ("wss://eu", "https://eu", "8:12 `https://eu.rtc.example.com` is no `wss://` URL"),
        ("wss://eu.rtc.example.com", "wss://", "8:12 `wss://` names no host"),
        (
            "example.com\"\n[region.us]",
            "example.com:0\"\n[region.us]",
            "8:12 `wss://eu.rtc.example.com:0` has a port that is none",
        ),
        (
            "example.com\"\n[region.us]",
            "example.com?x\"\n[region.us]",
            "8:12 `wss://eu.rtc.example.com?x` has a user, a query or a fragment",
        ),
        ("[\"APIacme\", \"APIacme2\"]", "[]", "14:1 `api_keys` has 0 keys"),
        ("\"APIacme2\"", "\"API acme\"", "14:24 `API acme` is no key"),
        ("\"APIacme2\"", "\"\"", "14:24 `` is no key"),
    ] {
        let text = gated().replace(old, new);
        assert_ne!(text, gated(), "{old}");
        let found = wrong(&text);
        assert!(matches!(&found[..], [one] if one.starts_with(expected)), "{new}: {found:#?}");
    }
    for url in ["ws://127.0.0.1:7880", "wss://[2001:db8::1]:443/x", "wss://rtc.example.com/livekit"] {
        loads(&gated().replace("wss://eu.rtc.example.com", url));
    }
    let admin = gated().replace("gate = {", "admin = { listen = \"127.0.0.1:9100\" }\ngate = {");
    assert!(wrong(&admin)[0].contains("127.0.0.1:9100 is taken by another listener of this file"), "{:?}", wrong(&admin));
    let listener = gated().replace("\"udp:127.0.0.1:5060\"", "\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:9100\"");
    assert!(wrong(&listener)[0].contains("is taken by another listener of this file"));
}

#[test]
fn what_is_probably_not_meant() {
    let has = |text: &str, warning: &str| {
        let found = warned(text);
        assert!(found.iter().any(|of| of.contains(warning)), "{warning}: {found:#?}");
    };
    has(
        &gated().replace("gate = { listen = \"127.0.0.1:9100\" }\n", ""),
        "`api_keys` without [gate]: nobody asks whose a token is",
    );
    has(&replaced(0, "gate = { listen = \"127.0.0.1:9100\" }"), "no project has `api_keys`: the gate refuses every client");
    has(&gated().replace("realtime = \"wss://eu.rtc.example.com\"\n", ""), "region `eu` has no `realtime`");
    has(&gated().replace("127.0.0.1:9100", "0.0.0.0:9100"), "[gate] listens at every address of this machine");
    let two = gated().replace("serve = [\"eu\"]", "serve = [\"eu\", \"us\"]").replace(
        "hostname = \"us.example.com\"",
        "hostname = \"us.example.com\"\nlisten = [\"udp:127.0.0.2:5060\"]\nupstream = \"127.0.2.1\"",
    );
    has(&two, "over the loopback the gate cannot tell whose reverse proxy asks");
    has(&gated().replace("127.0.0.1:9100", "127.0.0.2:9100"), "this machine asks 127.0.0.2 from 127.0.0.1");
    let places = |url: &str| {
        gated().replace("hostname = \"us.example.com\"", &format!("hostname = \"us.example.com\"\nrealtime = \"{url}\""))
    };
    has(&places("wss://eu.rtc.example.com"), "regions `eu` and `us` have the same `realtime`");
    has(&places("ws://us.rtc.example.com"), "`ws://us.rtc.example.com` is not encrypted");
    // A project of realtime clients alone needs no trunk.
    let without = format!("{}[project.web]\npin = [\"eu\"]\napi_keys = [\"APIweb\"]\n", gated());
    assert!(!warned(&without).iter().any(|warning| warning.contains("has no trunk")));
}
