//! Configurations from outside: what is right loads, and what is wrong is named with its place.

use std::path::{Path, PathBuf};
use std::time::Duration;

use proptest::prelude::*;
use ringfence::config::{self, Config, ConfigError, Endpoint, Location, Mistake, RegionId, Transport, TrunkId};

/// A small configuration without mistakes; the cases below replace one line of it.
const BASE: &str = r#"serve = ["eu"]
[region.eu]
hostname = "eu.example.com"
listen = ["udp:127.0.0.1:5060"]
networks = ["127.0.1.0/24"]
upstream = "127.0.1.1"
[region.us]
hostname = "us.example.com"
networks = ["127.0.2.0/24"]
[project.acme]
pin = ["eu"]
[project.acme.trunk.carrier]
networks = ["127.0.3.0/24"]
"#;

fn parse(text: &str) -> Result<Config, ConfigError> {
    config::parse(Path::new("ringfence.toml"), text)
}

fn loads(text: &str) -> Config {
    parse(text).unwrap_or_else(|error| panic!("{error}"))
}

fn mistakes(text: &str) -> Vec<Mistake> {
    parse(text).err().map(|error| error.mistakes).unwrap_or_default()
}

/// `BASE` with one line replaced; line 0 is in front of the first.
fn replaced(line: usize, with: &str) -> String {
    let mut lines: Vec<&str> = BASE.lines().collect();
    if line == 0 {
        lines.insert(0, with);
    } else {
        lines[line - 1] = with;
    }
    lines.join("\n") + "\n"
}

/// Checks that the replacement makes exactly one mistake, at this place, of this text, with these words.
#[track_caller]
fn wrong(line: usize, with: &str, place: &str, text: &str, wrong: &str, right: &str) {
    let source = replaced(line, with);
    let found = mistakes(&source);
    let [mistake] = found.as_slice() else { panic!("{with}: not one mistake but {found:#?}") };
    let drawn = mistake.to_string();
    assert_eq!(format!("{}:{}", mistake.line, mistake.column), place, "{drawn}");
    assert_eq!(mistake.text, text, "{drawn}");
    assert!(mistake.wrong.contains(wrong), "`{wrong}` is not said: {drawn}");
    assert!(mistake.right.contains(right), "`{right}` is not said: {drawn}");
}

/// A folder that is gone when the test ends.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str, files: &[(&str, &str)]) -> Self {
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        for (path, content) in files {
            let path = folder.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, content).unwrap();
        }
        Self(folder)
    }

    fn load(&self) -> Result<Config, ConfigError> {
        config::load(&self.0.join("main.toml"))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn the_examples_load() {
    let config = config::load(Path::new("deploy/ringfence.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.files.len(), 2);
    assert_eq!(config.regions.len(), 2);
    assert_eq!(config.projects.len(), 1);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.names, ["livekit.eu.internal", "livekit.us.internal", "acme.pstn.dublin.twilio.com"]);
    assert_eq!(config.limits.per_source, Some(200));
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = loads(BASE);
    assert_eq!(config.admin, None);
    assert_eq!(config.reject.policy, 603);
    assert_eq!(config.reject.capacity, 503);
    assert_eq!(config.dns.servers, []);
    assert_eq!(config.dns.stale, Duration::from_secs(3600));
    assert_eq!(config.limits.transactions, 100_000);
    assert_eq!(config.limits.per_source, None);
    assert_eq!(config.limits.sources, 65_536);
    assert_eq!(config.limits.repeats, 10_000);
    assert_eq!(config.limits.connections, 4096);
    assert_eq!(config.limits.connections_per_source, 128);
    assert_eq!(config.limits.write_queue, 256 * 1024);
    assert_eq!(config.limits.message, 65_535);
    assert_eq!(config.limits.idle, Duration::from_secs(120));
    assert_eq!(config.limits.partial, Duration::from_secs(10));
    assert_eq!(config.limits.connect, Duration::from_secs(2));
    assert_eq!(config.timers.t1, Duration::from_millis(500));
    assert_eq!(config.timers.t2, Duration::from_secs(4));
    assert_eq!(config.timers.t4, Duration::from_secs(5));
    assert_eq!(config.timers.c, Duration::from_secs(185));
    assert_eq!(config.timers.drain, Duration::from_secs(40));
    assert_eq!(config.secret, None);
    // The SHA-256 of BASE, as any other tool would say it: it must not depend on anything but the bytes.
    assert_eq!(config.digest, loads(BASE).digest);
    assert_ne!(config.digest, loads(&replaced(0, "# another")).digest);
    assert_eq!(config.digest.len(), 64);
}

#[test]
fn the_snapshot_says_what_the_file_says() {
    let config = loads(
        r#"
serve = ["eu"]
global = "SIP.example.com"
reject = "3cx"
[region.us]
hostname = "us.sip.example.com"
listen = ["udp:127.0.2.1:5060"]
[region.eu]
hostname = "EU.sip.example.com"
listen = ["udp:127.0.1.1:5060", "tcp:127.0.1.1:5060"]
advertise = "127.0.1.9"
networks = ["127.0.1.0/24", "::1/128"]
upstream = ["sip:pbx.eu.internal;transport=tcp", "127.0.1.7:5080", "pbx.eu.internal:5070", "[::1]:5090", "::1"]
nearest = ["us"]
methods = ["REGISTER"]
[project.acme]
pin = ["eu", "us"]
mode = "shadow"
media = "warn"
source = "in-region"
reject = { policy = 403, capacity = 480 }
[project.acme.trunk.out]
networks = ["127.0.3.0/24"]
media = ["127.0.4.0/24"]
uri = "sip:127.0.3.9:5062;edge=dublin;transport=udp"
reject = "teams"
[project.globex.trunk.in]
networks = ["127.0.3.0/28"]
[admin]
[dns]
servers = ["127.0.0.1", "[::1]:5353"]
stale = "10m"
[limits]
per_source = "50/s"
message = "16KiB"
[timers]
t1 = "100ms"
"#,
    );
    let [eu, us] = [RegionId(1), RegionId(0)];
    let region = config.region(eu);
    assert_eq!((region.name.as_str(), region.hostname.as_str(), region.served), ("eu", "eu.sip.example.com", true));
    assert_eq!(region.advertise.as_deref(), Some("127.0.1.9"));
    assert_eq!(region.nearest, [us]);
    assert!(region.register && !region.publish);
    assert_eq!(config.names, ["pbx.eu.internal"]);
    let hops: Vec<String> = region
        .upstream
        .iter()
        .map(|hop| match &hop.location {
            Location::Address(addr) => format!("{addr} {:?}", hop.transport),
            Location::Name { name, port } => format!("#{} {port:?} {:?}", name.0, hop.transport),
        })
        .collect();
    assert_eq!(
        hops,
        ["#0 None Some(Tcp)", "127.0.1.7:5080 None", "#0 Some(5070) None", "[::1]:5090 None", "[::1]:5060 None"],
        "a port is written or not, a name is resolved once"
    );
    // Sockets of served regions alone.
    assert!(!config.region(us).served && config.region(us).listeners.is_empty());
    assert_eq!(config.listeners.len(), 2);
    assert!(config.listeners.iter().all(|listener| listener.region == eu));
    assert_eq!(config.listener(region.listeners[1]).transport, Transport::Tcp);

    let Endpoint::Project(_, acme) = config.endpoints.find(b"acme.eu.sip.example.com") else { panic!("acme is not found") };
    assert_eq!(config.endpoints.find(b"acme.sip.example.com"), Endpoint::Global(acme));
    assert_eq!(config.endpoints.find(b"out.acme.us.sip.example.com"), Endpoint::Trunk(us, TrunkId(0)));
    let project = config.project(acme);
    assert_eq!(project.pin.as_deref(), Some([eu, us].as_slice()));
    assert_eq!((project.mode, project.media), (config::Mode::Shadow, config::Media::Warn));
    assert!(project.source_in_region);
    assert_eq!((project.reject.policy, project.reject.capacity), (403, 480));
    let trunk = config.trunk(project.trunks[0]);
    assert_eq!((trunk.reject.policy, trunk.reject.capacity), (403, 503));
    assert!(trunk.media.contains("127.0.4.1".parse().unwrap()) && !trunk.networks.contains("127.0.4.1".parse().unwrap()));
    let outbound = trunk.outbound.as_ref().unwrap();
    assert_eq!(outbound.hostpart, "127.0.3.9:5062;edge=dublin;transport=udp");
    assert_eq!(outbound.networks, trunk.networks, "the trunk's networks unless others are given");
    // The project without a profile has the file's.
    assert_eq!(config.projects[1].reject.policy, 600);
    assert_eq!(config.trunk(TrunkId(1)).reject.policy, 600);
    assert_eq!(config.sources.trunks("127.0.3.1".parse().unwrap()), [TrunkId(0), TrunkId(1)]);

    assert_eq!(config.admin, Some("127.0.0.1:9090".parse().unwrap()), "[admin] without listen");
    assert_eq!(config.dns.servers, ["127.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
    assert_eq!(config.dns.stale, Duration::from_secs(600));
    assert_eq!((config.limits.per_source, config.limits.message), (Some(50), 16 * 1024));
    assert_eq!(config.timers.t1, Duration::from_millis(100));
}

#[test]
fn toml_that_is_none() {
    wrong(1, "serve = [\"eu\"", "2:1", "", "missing comma", "expected");
    wrong(1, "serve =", "1:8", "", "", "expected");
    wrong(7, "[region.eu]", "7:9", "eu", "duplicate key", "once");
    let found = mistakes("serve = [\"eu\n[region.eu\n");
    assert_eq!(found.len(), 1, "what follows a syntax error is guesswork: {found:#?}");
}

#[test]
fn keys_that_are_unknown() {
    wrong(0, "colour = 1", "1:1", "colour", "unknown key `colour` at the top", "known keys: serve");
    wrong(0, "globl = \"example.com\"", "1:1", "globl", "unknown key", "did you mean `global`?");
    wrong(9, "network = [\"127.0.2.0/24\"]", "9:1", "network", "in [region.us]", "did you mean `networks`?");
    wrong(11, "pins = [\"eu\"]", "11:1", "pins", "in [project.acme]", "did you mean `pin`?");
    wrong(13, "networks = [\"127.0.3.0/24\"]\nmedai = []", "14:1", "medai", "[project.acme.trunk.carrier]", "`media`?");
    wrong(0, "timers = { t3 = \"1s\" }", "1:12", "t3", "in [timers]", "`t1`?");
    wrong(0, "reject = { policy = 603, capacity = 503, x = 1 }", "1:42", "x", "in [reject]", "policy, capacity");
    wrong(0, "secret = {}", "1:1", "secret", "without `file`", "file =");
}

#[test]
fn keys_that_later_work_will_use() {
    for key in ["audit", "relay"] {
        wrong(0, &format!("{key} = {{}}"), "1:1", key, "not supported yet", "leave it out");
    }
    wrong(9, "networks = []\ntls = {}", "10:1", "tls", "`region.us.tls` is not supported yet", "leave it out");
    wrong(13, "networks = [\"127.0.3.0/24\"]\ncountries = [\"IE\"]", "14:1", "countries", "not supported yet", "leave it out");
    wrong(11, "pin = [\"eu\"]\nmedia = \"relay\"", "12:9", "\"relay\"", "not supported yet", "`off`, `warn` or `enforce`");
    wrong(4, "listen = [\"tls:127.0.0.1:5061\"]", "4:11", "\"tls:127.0.0.1:5061\"", "not supported yet", "`udp:` or `tcp:`");
    wrong(6, "upstream = \"sips:127.0.1.1\"", "6:12", "\"sips:127.0.1.1\"", "not supported yet", "sip:host");
    wrong(6, "upstream = \"sip:127.0.1.1;transport=tls\"", "6:12", "\"sip:127.0.1.1;transport=tls\"", "not supported yet", "udp");
}

#[test]
fn types_that_are_wrong() {
    wrong(1, "serve = \"eu\"", "1:9", "\"eu\"", "must be an array of strings, not a string", "[\"…\"");
    wrong(1, "serve = [\"eu\", 7]", "1:16", "7", "must hold strings, not a number", "quotes");
    wrong(0, "global = true", "1:10", "true", "must be a string, not true or false", "a host name");
    wrong(0, "admin = \"127.0.0.1:9090\"", "1:9", "\"127.0.0.1:9090\"", "must be a table", "[admin]");
    wrong(0, "limits = { transactions = \"many\" }", "1:27", "\"many\"", "must be a number", "a whole number from 1");
    wrong(0, "timers = { t1 = 500 }", "1:17", "500", "must be a string, not a number", "`500ms`");
    wrong(0, "limits = { message = 2.5 }", "1:22", "2.5", "must be a string, not a decimal", "KiB");
    wrong(8, "hostname = { a = 1 }", "8:1", "hostname", "must be a string, not a table", "a host name");
}

#[test]
fn names_that_are_no_names() {
    wrong(10, "[project.Acme]\n[project.acme]", "10:10", "Acme", "upper case", "`acme`");
    wrong(10, "[project.a_b]\npin = [\"eu\"]\n[project.acme]", "10:10", "a_b", "host name", "DNS label");
    wrong(10, "[project.-a]\npin = [\"eu\"]\n[project.acme]", "10:10", "-a", "host name", "DNS label");
    wrong(12, "[project.acme.trunk.\"a.b\"]", "12:21", "\"a.b\"", "host name", "DNS label");
    wrong(7, "[region.\"u s\"]", "7:9", "\"u s\"", "no region name", "a token");
    wrong(8, "hostname = \"us.example.com.\"", "8:12", "\"us.example.com.\"", "ends with a dot", "`us.example.com`");
    wrong(8, "hostname = \"127.0.0.1\"", "8:12", "\"127.0.0.1\"", "is an address", "host name");
    wrong(8, "hostname = \"us..com\"", "8:12", "\"us..com\"", "no host name", "host name");
    wrong(0, "global = \"1.2.3\"", "1:10", "\"1.2.3\"", "no host name", "host name");
}

#[test]
fn names_of_regions_that_are_unknown() {
    wrong(1, "serve = [\"eu\", \"ue\"]", "1:16", "\"ue\"", "unknown region `ue`", "did you mean `eu`?");
    wrong(1, "serve = [\"eu\", \"uss\"]", "1:16", "\"uss\"", "unknown region `uss`", "did you mean `us`?");
    wrong(1, "serve = [\"eu\", \"eu\"]", "1:16", "\"eu\"", "stands twice", "once");
    wrong(1, "serve = []", "1:9", "[]", "no region is served", "serve = [\"eu\"]");
    wrong(1, "", "1:1", "", "`serve` is missing", "serve = [\"eu\"]");
    wrong(11, "pin = [\"asia\"]", "11:8", "\"asia\"", "unknown region `asia`", "one of: eu, us");
    wrong(11, "pin = []", "11:7", "[]", "an empty pin", "leave `pin` out");
    wrong(9, "nearest = [\"mars\"]", "9:12", "\"mars\"", "unknown region `mars`", "one of: eu, us");
    wrong(9, "nearest = [\"us\"]", "7:9", "us", "nearest to itself", "other regions");
}

#[test]
fn networks_and_addresses() {
    wrong(5, "networks = [\"127.0.1.1/24\"]", "5:13", "\"127.0.1.1/24\"", "bits beyond its length", "`127.0.1.0/24`");
    wrong(9, "networks = [\"127.0.2.1\"]", "9:13", "\"127.0.2.1\"", "not a network", "`127.0.2.1/32`");
    wrong(9, "networks = [\"127.0.2/24\"]", "9:13", "\"127.0.2/24\"", "not a network", "203.0.113.0/24");
    wrong(9, "networks = [\"127.0.2.0/33\"]", "9:13", "\"127.0.2.0/33\"", "not a network", "203.0.113.0/24");
    wrong(9, "networks = [\"::ffff:10.0.0.0/104\"]", "9:13", "\"::ffff:10.0.0.0/104\"", "IPv4 within IPv6", "`10.0.0.0/8`");
    let text = "\"127.0.1.64/26\"";
    wrong(9, &format!("networks = [{text}]"), "9:13", text, "overlaps `127.0.1.0/24` of region `eu`", "one region");
    wrong(9, "networks = [\"127.0.0.0/16\"]", "9:13", "\"127.0.0.0/16\"", "overlaps `127.0.1.0/24`", "one region");
    wrong(6, "upstream = \"127.0.2.1\"", "6:12", "\"127.0.2.1\"", "127.0.2.1 is outside region `eu`", "`networks`");
    wrong(6, "upstream = [\"127.0.1.1\", \"[::1]:5060\"]", "6:26", "\"[::1]:5060\"", "::1 is outside", "`networks`");
    wrong(4, "listen = [\"127.0.0.1:5060\"]", "4:11", "\"127.0.0.1:5060\"", "not a listener", "udp:203.0.113.10:5060");
    wrong(4, "listen = [\"udp:127.0.0.1\"]", "4:11", "\"udp:127.0.0.1\"", "not ADDRESS:PORT", "udp:203.0.113.10:5060");
    wrong(4, "listen = [\"udp:127.0.0.1:0\"]", "4:11", "\"udp:127.0.0.1:0\"", "port 0", "1 to 65535");
    wrong(4, "listen = [\"udp:224.0.0.1:5060\"]", "4:11", "\"udp:224.0.0.1:5060\"", "no address of one host", "udp:");
    wrong(8, "hostname = \"us.example.com\"\nadvertise = \"[::1]\"", "9:13", "\"[::1]\"", "brackets", "without brackets");
    wrong(0, "admin = { listen = \"9090\" }", "1:20", "\"9090\"", "not ADDRESS:PORT", "127.0.0.1:9090");
    wrong(0, "dns = { servers = [\"ns.example.com\"] }", "1:20", "\"ns.example.com\"", "not an address", "127.0.0.1:53");
}

#[test]
fn listeners_that_collide() {
    let twice = "listen = [\"udp:127.0.0.1:5060\", \"udp:127.0.0.1:5060\"]";
    wrong(4, twice, "4:33", "\"udp:127.0.0.1:5060\"", "taken by udp:127.0.0.1:5060 of this region", "another");
    let wild = "advertise = \"127.0.0.1\"\nlisten = [\"udp:127.0.0.1:5060\", \"udp:0.0.0.0:5060\"]";
    wrong(4, wild, "5:33", "\"udp:0.0.0.0:5060\"", "taken by udp:127.0.0.1:5060", "another");
    let both = BASE.replace("serve = [\"eu\"]", "serve = [\"eu\", \"us\"]").replace(
        "hostname = \"us.example.com\"",
        "hostname = \"us.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\nupstream = \"x.test\"",
    );
    let found = mistakes(&both);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].wrong.contains("of another region"), "{}", found[0]);
    loads(&replaced(4, "listen = [\"udp:127.0.0.1:5060\", \"tcp:127.0.0.1:5060\", \"udp:[::1]:5060\"]"));
}

#[test]
fn hops() {
    for (text, what) in [
        ("sip:bob@127.0.1.1", "user part"),
        ("sip:127.0.1.1?a=b", "headers"),
        ("sip:127.0.1.1;transport=pigeon", "no transport"),
        ("sip:127.0.1.1;transport=udp;transport=udp", "twice"),
        ("sip:127.0.1.1;maddr=127.0.2.1", "never obeyed"),
        ("sip:127.0.1.1;lr", "means nothing"),
        ("sip:127.0.1.1;;", "no URI parameter"),
        ("127.0.1.1:0", "port 0"),
        ("pbx.test:0", "port 0"),
        ("pbx.test:65536", "no host"),
        ("pbx.test:+5", "no host"),
        ("pbx.test:", "no host"),
        ("", "no host"),
        ("127.0.1.256", "no host"),
        ("[::ffff:127.0.1.1]:5060", "IPv4 within IPv6"),
        ("[fe80::1%1]:5060", "no host"),
    ] {
        wrong(6, &format!("upstream = \"{text}\""), "6:12", &format!("\"{text}\""), what, "");
    }
    let tcp = "\"sip:127.0.1.1;transport=tcp\"";
    wrong(6, &format!("upstream = {tcp}"), "6:12", tcp, "does not listen on TCP", "`tcp:` listener");
}

#[test]
fn what_a_served_region_needs() {
    for (line, key) in [(4, "listen"), (5, "networks"), (6, "upstream")] {
        wrong(line, "", "2:9", "eu", &format!("has no `{key}`"), key);
    }
    wrong(8, "", "7:9", "us", "has no `hostname`", "hostname");
    wrong(4, "listen = []", "2:9", "eu", "has no `listen`", "listen");
    wrong(13, "", "12:21", "carrier", "trunk `carrier` has no `networks`", "networks");
    // What is not served here needs neither.
    loads(&replaced(9, ""));
}

#[test]
fn hostnames_that_mean_two_things() {
    wrong(8, "hostname = \"EU.example.com\"", "8:12", "\"EU.example.com\"", "is the hostname of region `eu` too", "one");
    wrong(0, "global = \"eu.example.com\"", "1:10", "\"eu.example.com\"", "is the hostname of region `eu` too", "its own");
    wrong(8, "hostname = \"acme.eu.example.com\"", "10:10", "acme", "which is region `us`", "another name");
    wrong(8, "hostname = \"carrier.acme.eu.example.com\"", "12:21", "carrier", "which is region `us`", "another name");
    let global = BASE.replace("us.example.com", "acme.sip.test");
    let found = mistakes(&format!("global = \"sip.test\"\n{global}"));
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].wrong.contains("`acme` in front of the global hostname's"), "{}", found[0]);
    let long = format!("hostname = \"{}.test\"", ["a".repeat(60), "b".repeat(60), "c".repeat(60), "d".repeat(55)].join("."));
    wrong(8, &long, "10:10", "acme", "longer than 253", "shorter");
}

#[test]
fn rejects() {
    wrong(0, "reject = \"twillio\"", "1:10", "\"twillio\"", "no reject profile", "did you mean `twilio`?");
    wrong(0, "reject = \"nobody-at-all\"", "1:10", "\"nobody-at-all\"", "no reject profile", "`generic`");
    wrong(0, "reject = { policy = 302, capacity = 503 }", "1:21", "302", "out of bounds", "400 to 699");
    wrong(0, "reject = { policy = 603, capacity = 603 }", "1:37", "603", "out of bounds", "400 to 599");
    wrong(0, "reject = { policy = 407, capacity = 503 }", "1:21", "407", "challenges", "603");
    wrong(0, "reject = { policy = 603 }", "1:1", "reject", "one code alone", "capacity = 503");
}

#[test]
fn projects_and_trunks() {
    wrong(11, "mode = \"shadwo\"", "11:8", "\"shadwo\"", "not one of the choices", "`enforce` or `shadow`");
    wrong(11, "media = \"on\"", "11:9", "\"on\"", "not one of the choices", "`warn`");
    wrong(11, "source = \"inside\"", "11:10", "\"inside\"", "not one of the choices", "`any` or `in-region`");
    let trunk = |more: &str| format!("networks = [\"127.0.3.0/24\"]\n{more}");
    wrong(
        13,
        &trunk("uri = \"sip:127.0.4.1\""),
        "14:7",
        "\"sip:127.0.4.1\"",
        "outside the trunk's outbound",
        "outbound_networks",
    );
    wrong(13, &trunk("uri = \"carrier.test\""), "14:7", "\"carrier.test\"", "no SIP URI", "sip:");
    wrong(13, &trunk("outbound_networks = []"), "14:1", "outbound_networks", "without `uri`", "`uri`");
    let none = trunk("uri = \"sip:carrier.test\"\noutbound_networks = []");
    wrong(13, &none, "15:1", "outbound_networks", "no network", "may resolve to");
    let tcp = trunk("uri = \"sip:carrier.test;transport=tcp\"");
    wrong(13, &tcp, "14:7", "\"sip:carrier.test;transport=tcp\"", "`eu` does not listen on TCP", "`tcp:` listener");
    wrong(9, "methods = [\"INVITE\"]", "9:12", "\"INVITE\"", "cannot be listed", "`REGISTER` or `PUBLISH`");
}

#[test]
fn limits_and_timers() {
    let max = u64::MAX;
    for (given, column, text, what, right) in [
        ("limits = { transactions = 0 }", 27, "0".to_owned(), "out of bounds", "from 1 to"),
        ("limits = { sources = -1 }", 22, "-1".to_owned(), "out of bounds", "from 1 to"),
        ("limits = { per_source = \"200\" }", 25, "\"200\"".to_owned(), "not a rate", "`200/s`"),
        ("limits = { per_source = \"0/s\" }", 25, "\"0/s\"".to_owned(), "not a rate", "`200/s`"),
        ("limits = { message = \"1MiB\" }", 22, "\"1MiB\"".to_owned(), "1048576 octets are out of bounds", "65536"),
        ("limits = { message = \"64kb\" }", 22, "\"64kb\"".to_owned(), "not a size", "`256KiB`"),
        ("limits = { write_queue = 5 }", 26, "5".to_owned(), "out of bounds", "65536"),
        ("limits = { idle = \"31s\" }", 19, "\"31s\"".to_owned(), "out of bounds", "from `32s`"),
        ("limits = { connect = \"2 s\" }", 22, "\"2 s\"".to_owned(), "not a duration", "`500ms`"),
        ("timers = { t1 = \"0ms\" }", 17, "\"0ms\"".to_owned(), "out of bounds", "from `1ms`"),
        ("timers = { t2 = \"100ms\" }", 17, "\"100ms\"".to_owned(), "out of bounds", "from `500ms`"),
        ("timers = { c = \"-1s\" }", 16, "\"-1s\"".to_owned(), "not a duration", "`500ms`"),
        ("timers = { c = \"1w\" }", 16, "\"1w\"".to_owned(), "not a duration", "ms, s, m, h or d"),
        ("timers = { drain = \"99999d\" }", 20, "\"99999d\"".to_owned(), "too long", "36500d"),
        (&format!("timers = {{ drain = \"{max}d\" }}"), 20, format!("\"{max}d\""), "too long", "36500d"),
        ("dns = { stale = \"30d\" }", 17, "\"30d\"".to_owned(), "out of bounds", "to `7d`"),
    ] {
        wrong(0, given, &format!("1:{column}"), &text, what, right);
    }
    let config = loads(&replaced(0, "limits = { message = \"64KiB\", write_queue = 65536 }\ntimers = { t1 = \"2s\" }"));
    assert_eq!(config.limits.message, 65_535, "what a datagram holds");
    assert_eq!(config.limits.idle, Duration::from_secs(128), "64*T1 where the default would be shorter");
}

#[test]
fn several_mistakes_in_the_order_of_the_file() {
    let text =
        BASE.replace("127.0.1.0/24", "127.0.1.9/24").replace("pin = [\"eu\"]", "pin = [\"ue\"]\nx = 1").replace("udp:", "ftp:");
    let places: Vec<_> = mistakes(&text).iter().map(|mistake| (mistake.line, mistake.column)).collect();
    assert_eq!(places, [(4, 11), (5, 13), (11, 8), (12, 1)]);
}

#[test]
fn a_mistake_is_drawn_with_a_caret_under_the_text() {
    let error = parse(&replaced(1, "serve = [\"eu\", \"zz\"]")).unwrap_err();
    let drawn = "ringfence.toml:1:16: unknown region `zz`\n  |\n1 | serve = [\"eu\", \"zz\"]\n  |                ^^^^\n  = one of: eu, us";
    assert_eq!(error.to_string(), drawn);
    // What a terminal would obey is not printed, and a long line is cut around the text.
    let hostile = parse(&format!("# é\n{}x = \"\u{1b}[31m\"", " ".repeat(500))).unwrap_err().to_string();
    assert!(!hostile.contains('\u{1b}'), "{hostile}");
    assert!(hostile.lines().all(|line| line.chars().count() < 250), "{hostile}");
}

#[test]
fn warnings_are_no_mistakes() {
    let warned = |text: &str| {
        let config = loads(text);
        config.warnings.iter().map(|warning| format!("{}:{} {}", warning.line, warning.column, warning.wrong)).collect::<Vec<_>>()
    };
    let secret = "0:0 no [secret]: route tokens are signed with a key made at start";
    assert_eq!(warned(BASE), [secret]);
    let cases = [
        (0, "reject = { policy = 480, capacity = 503 }", "1:21 carriers try again elsewhere after 480"),
        (0, "timers = { c = \"3m\" }", "1:16 timer C of 3m is not above 3 minutes"),
        (11, "", "10:10 project `acme` is not pinned"),
        (13, "networks = [\"0.0.0.0/0\"]", "13:13 `0.0.0.0/0` lets almost everyone be trunk `carrier`'s networks"),
        (13, "networks = [\"127.0.3.0/24\"]\nmedia = [\"127.0.2.8/29\"]", "14:10 `127.0.2.8/29` is in region `us`"),
        (4, "listen = [\"udp:0.0.0.0:5060\"]", "4:11 `0.0.0.0` cannot stand in Via"),
    ];
    for (line, with, expected) in cases {
        let warnings = warned(&replaced(line, with));
        assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{with}: {warnings:#?}");
        assert_eq!(warnings.len(), 2, "{with}: {warnings:#?}");
    }
}

#[test]
fn includes() {
    let main = format!("include = [\"more/*.toml\", \"more/a.toml\", \"last.toml\"]\n{BASE}");
    let project = |name: &str| format!("[project.{name}]\npin = [\"eu\"]\n");
    let (a, b, c) = (project("a"), project("b"), project("c"));
    let files = [
        ("main.toml", main.as_str()),
        ("more/b.toml", &b),
        ("more/a.toml", &a),
        ("last.toml", &c),
        ("more/.x.toml", "="),
        ("more/n.txt", "="),
    ];
    let config = Folder::new("includes", &files).load().unwrap_or_else(|error| panic!("{error}"));
    let names: Vec<_> = config.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, ["main.toml", "a.toml", "b.toml", "last.toml"], "sorted, each once, hidden ones skipped");
    let names: Vec<_> = config.projects.iter().map(|project| project.name.as_str()).collect();
    assert_eq!(names, ["acme", "a", "b", "c"]);

    let found = |name: &str, include: &str, content: &str| {
        let main = format!("include = [\"{include}\"]\n{BASE}");
        let folder = Folder::new(name, &[("main.toml", main.as_str()), ("more/a.toml", content)]);
        let error = folder.load().unwrap_err();
        assert!(!error.unreadable);
        error
            .mistakes
            .into_iter()
            .map(|m| format!("{}:{}:{} {}", m.file.file_name().unwrap().display(), m.line, m.column, m.wrong))
            .collect::<Vec<_>>()
    };
    assert_eq!(found("twice", "more/*", "[region.eu]\nhostname = \"x.test\""), ["a.toml:1:9 region `eu` is defined twice"]);
    assert_eq!(found("again", "more/*", "[project.acme]\npin = [\"eu\"]"), ["a.toml:1:10 project `acme` is defined twice"]);
    assert_eq!(found("alone", "more/*", "serve = [\"eu\"]"), ["a.toml:1:1 `serve` belongs into the main file"]);
    assert_eq!(found("nested", "more/*", "include = [\"x\"]"), ["a.toml:1:1 `include` belongs into the main file"]);
    let [missing] = found("missing", "nothing.toml", "").try_into().unwrap();
    assert!(missing.starts_with("main.toml:1:12 ") && missing.contains("cannot be read"), "{missing}");
    let [folder] = found("folder", "m*/a.toml", "").try_into().unwrap();
    assert!(folder.starts_with("main.toml:1:12 ") && folder.contains("`*` in a folder"), "{folder}");
    let [nowhere] = found("nowhere", "none/*.toml", "").try_into().unwrap();
    assert!(nowhere.contains("none cannot be read"), "{nowhere}");
    let both = found("both", "more/*", "[project.b]\npin = [\"mars\"]\ny = 1");
    assert_eq!(both, ["a.toml:2:8 unknown region `mars`", "a.toml:3:1 unknown key `y` in [project.b]"]);

    wrong(0, "include = [\"x.toml\"]", "1:12", "\"x.toml\"", "includes nothing", "leave `include` out");
}

#[test]
fn the_route_key_is_a_file_of_its_own() {
    let main = format!("secret = {{ file = \"route.key\" }}\n{BASE}");
    let load = |name: &str, key: &str| Folder::new(name, &[("main.toml", main.as_str()), ("route.key", key)]).load();
    let key = load("key", "0123456789abcdef").unwrap_or_else(|error| panic!("{error}"));
    // The first 16 octets of `printf 0123456789abcdef | sha256sum`.
    let hex: String = key.secret.unwrap().0.iter().map(|octet| format!("{octet:02x}")).collect();
    assert_eq!(hex, "9f9f5111f7b27a781f1f1ddde5ebc2dd");
    assert!(key.warnings.is_empty(), "{:#?}", key.warnings);
    let short = load("short", "0123456789abcde").unwrap_err();
    assert_eq!((short.mistakes[0].line, short.mistakes[0].column), (1, 19));
    assert!(short.mistakes[0].wrong.contains("holds 15 octets"), "{short}");
    let absent = Folder::new("absent", &[("main.toml", main.as_str())]).load().unwrap_err();
    assert!(absent.mistakes[0].wrong.contains("cannot be read"), "{absent}");
}

#[test]
fn a_file_that_cannot_be_read_is_said_so() {
    let error = config::load(Path::new("no-such-file.toml")).unwrap_err();
    assert!(error.unreadable);
    assert!(error.to_string().starts_with("no-such-file.toml: cannot be read"), "{error}");
    assert!(config::load(Path::new("src")).unwrap_err().unreadable, "a folder is no file");
}

proptest! {
    /// Whatever an editor, a merge or a broken template makes of a file, loading ends with a snapshot or with mistakes that can
    /// be drawn and lie within the file.
    #[test]
    fn parsing_never_panics(edits in prop::collection::vec((any::<prop::sample::Index>(), 0_usize..8, edit()), 1..6)) {
        let mut text = FULL.to_owned();
        for (at, cut, insert) in edits {
            let boundary = |mut at: usize| { while !text.is_char_boundary(at) { at += 1; } at };
            let from = boundary(at.index(text.len() + 1));
            let to = boundary((from + cut).min(text.len()));
            text.replace_range(from..to, &insert);
        }
        if let Err(error) = parse(&text) {
            prop_assert!(!error.mistakes.is_empty());
            prop_assert!(!error.to_string().is_empty());
            for mistake in error.mistakes {
                prop_assert!(mistake.line <= text.split('\n').count(), "{}", mistake);
            }
        }
    }

    #[test]
    fn any_text_is_no_panic(text in "\\PC{0,200}|([a-z\\.\\[\\]=\" \n]{0,200})") {
        prop_assert!(parse(&text).is_err());
    }
}

const MEANINGFUL: &[&str] =
    &["\"", "[", "]", "\n", "=", ".", "/0", "::", "é", "\"\"\"", "99999999999999999999", "0/0", "{", "}", "-1", "ms", "#", "%1"];

/// Something to insert: often what has a meaning in the files.
fn edit() -> impl Strategy<Value = String> {
    prop_oneof![prop::sample::select(MEANINGFUL).prop_map(str::to_owned), "\\PC{0,3}"]
}

/// Every key, so that an edit may hit any of them. (No include and no secret: a mutated path would read other files.)
const FULL: &str = r#"serve = ["eu"]
global = "sip.test"
reject = { policy = 603, capacity = 503 }
[region.eu]
hostname = "eu.sip.test"
listen = ["udp:127.0.0.1:5060", "tcp:[::1]:5060"]
advertise = "127.0.0.1"
networks = ["127.0.1.0/24", "2001:db8::/32"]
upstream = ["sip:pbx.test:5060;transport=tcp", "127.0.1.1", "[2001:db8::1]:5070"]
nearest = ["us"]
methods = ["REGISTER", "PUBLISH"]
[region.us]
hostname = "us.sip.test"
networks = ["127.0.2.0/24"]
[project.acme]
pin = ["eu"]
mode = "enforce"
media = "enforce"
source = "any"
reject = "twilio"
[project.acme.trunk.carrier]
networks = ["127.0.3.0/24"]
media = ["127.0.4.0/24"]
uri = "sip:carrier.test;transport=udp"
outbound_networks = ["127.0.3.0/24"]
[admin]
listen = "127.0.0.1:9090"
[dns]
servers = ["127.0.0.1:53"]
stale = "1h"
[limits]
transactions = 100000
per_source = "200/s"
sources = 65536
message = "64KiB"
idle = "120s"
[timers]
t1 = "500ms"
c = "185s"
"#;

#[test]
fn the_full_file_loads() {
    loads(FULL);
}
