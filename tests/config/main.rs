//! Configurations from outside: what is right loads, and what is wrong is named with its place.

use std::path::Path;
use std::time::Duration;

use ringfence::config::{self, Config, ConfigError, Endpoint, Hop, RegionId, Transport, TrunkId};

mod edits;
mod examples;
mod files;
mod gate;
mod many;
mod mistakes;
mod secure;

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

#[test]
fn the_examples_load() {
    let config = config::load(Path::new("deploy/ringfence.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.files.len(), 2);
    assert_eq!(config.regions.len(), 2);
    assert_eq!(config.projects.len(), 1);
    assert_eq!(config.listeners.len(), 2);
    let names: Vec<&str> = config.names.iter().map(|name| name.host.as_str()).collect();
    assert_eq!(names, ["livekit.eu.internal", "livekit.us.internal", "acme.pstn.dublin.twilio.com"]);
    assert_eq!(config.limits.per_source, 200);
}

#[test]
fn defaults_are_the_documented_ones() {
    let config = loads(BASE);
    assert_eq!(config.admin, None);
    assert_eq!(config.reject.policy, 603);
    assert_eq!(config.reject.capacity, 503);
    assert_eq!(config.dns.servers, []);
    assert_eq!(config.dns.stale, Duration::from_secs(3600));
    assert_eq!(config.dns.vanish, Duration::from_secs(30));
    assert_eq!(config.limits.memory, 1 << 30);
    assert_eq!(config.limits.transactions, 1_000_000);
    assert_eq!(config.limits.per_source, 200);
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
    // As any other tool says: SHA-256 of the bytes.
    assert_eq!(config.digest, "19124e3d2c91053e2c3727c0e5000842a7dfcdf07c16884814858e34ca7e6b8a");
    assert_ne!(config.digest, loads(&replaced(0, "# another")).digest);
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
vanish = "45s"
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
    let names: Vec<String> =
        config.names.iter().map(|name| format!("{} {:?} {:?}", name.host, name.port, name.transport)).collect();
    assert_eq!(names, ["pbx.eu.internal None Some(Tcp)", "pbx.eu.internal Some(5070) None"], "a port is written or not");
    let hops: Vec<String> = region
        .upstream
        .iter()
        .map(|hop| match *hop {
            Hop::Address { addr, transport } => format!("{addr} {transport:?}"),
            Hop::Name(name) => format!("#{}", name.0),
        })
        .collect();
    assert_eq!(hops, ["#0", "127.0.1.7:5080 None", "#1", "[::1]:5090 None", "[::1]:5060 None"],);
    // Sockets of served regions alone.
    assert!(!config.region(us).served && config.region(us).listeners.is_empty());
    assert_eq!(config.listeners.len(), 2);
    assert!(config.listeners.iter().all(|listener| listener.region == eu));
    assert_eq!(config.listener(region.listeners[1]).transport, Transport::Tcp);

    let Endpoint::Project(_, acme) = config.endpoint(b"acme.eu.sip.example.com") else { panic!("acme is not found") };
    assert_eq!(config.endpoint(b"acme.sip.example.com"), Endpoint::Global(acme));
    assert_eq!(config.endpoint(b"out.acme.us.sip.example.com"), Endpoint::Trunk(us, TrunkId(0)));
    let project = config.project(acme);
    assert_eq!(project.pin.as_deref(), Some([eu, us].as_slice()));
    assert_eq!((project.mode, project.media), (config::Mode::Shadow, config::Media::Warn));
    assert!(project.source_in_region);
    assert_eq!((project.reject.policy, project.reject.capacity), (403, 480));
    let trunk = config.trunk(project.trunks().next().unwrap());
    assert_eq!((trunk.reject.policy, trunk.reject.capacity), (403, 503));
    assert!(trunk.media().contains("127.0.4.1".parse().unwrap()) && !trunk.networks.contains("127.0.4.1".parse().unwrap()));
    let outbound = trunk.outbound().unwrap();
    assert_eq!(outbound.hostparts.iter().map(|of| &**of).collect::<Vec<_>>(), ["127.0.3.9:5062;edge=dublin;transport=udp"]);
    assert_eq!(outbound.networks, trunk.networks, "the trunk's networks unless others are given");
    // The project without a profile has the file's.
    assert_eq!(config.projects[1].reject.policy, 600);
    assert_eq!(config.trunk(TrunkId(1)).reject.policy, 600);
    assert_eq!(config.caller_table.trunks("127.0.3.1".parse().unwrap()).iter().collect::<Vec<_>>(), [TrunkId(0), TrunkId(1)]);

    assert_eq!(config.admin, Some("127.0.0.1:9090".parse().unwrap()), "[admin] without listen");
    assert_eq!(config.dns.servers, ["127.0.0.1:53".parse().unwrap(), "[::1]:5353".parse().unwrap()]);
    assert_eq!(config.dns.stale, Duration::from_secs(600));
    assert_eq!(config.dns.vanish, Duration::from_secs(45));
    assert_eq!((config.limits.per_source, config.limits.message), (50, 16 * 1024));
    assert_eq!(config.timers.t1, Duration::from_millis(100));
}

#[test]
fn warnings_are_no_mistakes() {
    let warned = |text: &str| {
        let config = loads(text);
        config.warnings.iter().map(|warning| format!("{}:{} {}", warning.line, warning.column, warning.wrong)).collect::<Vec<_>>()
    };
    let secret = "0:0 no [secret]: route tokens are signed with a key made at start";
    // Its carrier is outside, and so is its media.
    let media = "12:21 trunk `carrier` has no `media`: its calls are refused (140) unless their media is inside the region";
    assert_eq!(warned(BASE), [secret, media]);
    assert_eq!(warned(&format!("{BASE}media = []\n")), [secret], "said so");
    assert_eq!(warned(&BASE.replace("pin = [\"eu\"]", "pin = [\"eu\"]\nmedia = \"off\"")), [secret], "not judged");
    let out = |net: &str| format!("networks = [\"127.0.3.0/24\"]\nuri = \"sip:a.example.net\"\noutbound_networks = [\"{net}\"]");
    let wide = |net: &str| {
        format!("networks = [\"127.0.1.0/24\", \"10.0.0.0/8\", \"2001:db8::/32\"]\nservers = [\"127.0.1.1\", \"{net}\"]")
    };
    let cases = [
        (0, "reject = { policy = 480, capacity = 503 }", "1:21 carriers try again elsewhere after 480"),
        (0, "timers = { c = \"3m\" }", "1:16 timer C of 3m is not above 3 minutes"),
        (11, "", "10:10 project `acme` is not pinned"),
        (13, "networks = [\"0.0.0.0/0\"]", "13:13 `0.0.0.0/0` lets almost everyone call as trunk `carrier`"),
        (13, "networks = [\"127.0.3.0/24\"]\nmedia = [\"127.0.2.8/29\"]", "14:10 `127.0.2.8/29` is in region `us`"),
        (
            13,
            "networks = [\"127.0.3.0/24\"]\nmedia = [\"0.0.0.0/0\"]",
            "14:10 `0.0.0.0/0` lets media of trunk `carrier` be almost everywhere",
        ),
        (13, "networks = [\"192.0.2.0/24\"]", "12:21 trunk `carrier` has no `media`: its calls are refused (140)"),
        (0, "admin = { listen = \"0.0.0.0:9090\" }", "1:20 [admin] listens at every address of this machine"),
        (12, "[project.empty]\npin = [\"eu\"]\n[project.acme.trunk.carrier]", "12:10 project `empty` has no trunk"),
        (4, "listen = [\"udp:0.0.0.0:5060\"]", "4:11 `0.0.0.0` cannot stand in Via"),
        (
            13,
            "networks = [\"127.0.3.0/24\", \"127.0.1.64/26\"]",
            "13:29 trunk `carrier` signals from `127.0.1.64/26`, which is inside region `eu`",
        ),
        (13, &out("127.0.1.0/30"), "15:22 `127.0.1.0/30` holds servers of region `eu`"),
        (13, &out("224.0.1.0/24"), "15:22 nobody speaks from `224.0.1.0/24`"),
        (13, &out("0.0.0.0/32"), "15:22 nobody speaks from `0.0.0.0/32`"),
        (13, &out("255.255.255.255/32"), "15:22 nobody speaks from `255.255.255.255/32`"),
        (13, &out("240.0.0.0/8"), "15:22 nobody speaks from `240.0.0.0/8`"),
        (13, &out("ff00::/16"), "15:22 nobody speaks from `ff00::/16`"),
        (13, &out("::/128"), "15:22 nobody speaks from `::/128`"),
        (
            13,
            &out("2001:db8:9::/48"),
            "15:22 no listener for project `acme` takes IPv6: nobody could speak from `2001:db8:9::/48`",
        ),
        (6, "upstream = \"127.0.1.1\"\nservers = [\"127.0.1.0/24\"]", "7:12 `127.0.1.0/24` makes every host there a SIP server"),
        (5, &wide("10.1.0.0/16"), "6:25 `10.1.0.0/16` makes every host there a SIP server"),
        (
            5,
            &wide("[10::/64]:1-65535").replace("[10::/64]", "[2001:db8::/63]"),
            "6:25 `[2001:db8::/63]:1-65535` makes every host",
        ),
    ];
    for (line, with, expected) in cases {
        let of_media = |warning: &String| !expected.contains("has no `media`") && warning.contains("has no `media`");
        let warnings: Vec<String> = warned(&replaced(line, with)).into_iter().filter(|of| !of_media(of)).collect();
        assert!(warnings.iter().any(|warning| warning.starts_with(expected)), "{with}: {warnings:#?}");
        assert_eq!(warnings.len(), 2, "{with}: {warnings:#?}");
    }
}

/// Whoever has an address of `outbound_networks` speaks by the token of the call: another project's trunk too, and a host of the region that is no
/// server.
#[test]
fn gateways_that_speak_by_their_token() {
    let other = "[project.other]\npin = [\"eu\"]\n[project.other.trunk.b]\nnetworks = [\"127.0.4.0/24\"]\nmedia = []\n";
    for net in ["127.0.4.0/24", "127.0.3.0/25", "127.0.1.128/25", "203.0.113.0/24"] {
        let with = format!("networks = [\"127.0.3.0/24\"]\nuri = \"sip:a.example.net\"\noutbound_networks = [\"{net}\"]");
        let config = loads(&[&replaced(13, &format!("{with}\nmedia = []")), other].concat());
        assert_eq!(config.warnings.len(), 1, "{net}: {:#?}", config.warnings);
    }
}

/// What is as narrow as servers are is not warned of.
#[test]
fn servers_that_are_narrow_enough() {
    for servers in [
        "127.0.1.1\", \"127.0.1.0/25",
        "127.0.1.0/24:5060-5090",
        "127.0.1.1",
        "127.0.1.1\", \"10.1.0.0/16:5060",
        "127.0.1.1\", \"10.1.0.0/24",
    ] {
        let with = format!("networks = [\"127.0.1.0/24\", \"10.0.0.0/8\"]\nservers = [\"{servers}\"]");
        let config = loads(&format!("{}media = []\n", replaced(5, &with)));
        assert_eq!(config.warnings.len(), 1, "{servers}: {:#?}", config.warnings);
    }
}

#[test]
fn each_served_region_has_a_collector_of_its_own() {
    let two = BASE
        .replace("serve = [\"eu\"]", "serve = [\"eu\", \"us\"]")
        .replace("[\"127.0.2.0/24\"]", "[\"127.0.2.0/24\"]\nlisten = [\"udp:127.0.0.2:5060\"]\nupstream = \"127.0.2.1\"");
    let both = loads(&format!("hep = {{ server = [\"udp:127.0.2.9:9060\", \"udp:127.0.1.9:9061\"], node = 101 }}\n{two}"));
    let collectors: Vec<_> = both.regions.iter().map(|region| region.collector.unwrap()).collect();
    assert_eq!(collectors.iter().map(|of| of.to.addr().to_string()).collect::<Vec<_>>(), ["127.0.1.9:9061", "127.0.2.9:9060"]);
    assert!(collectors.iter().all(|of| of.node == 101));
    let one = loads(&format!("hep = {{ server = \"udp:127.0.1.9:9060\" }}\n{two}"));
    assert_eq!(one.regions.iter().map(|region| region.collector.map(|of| of.node)).collect::<Vec<_>>(), [Some(1), None]);
    let warned: Vec<_> = one.warnings.iter().filter(|warning| warning.wrong.contains("region `us` has no collector")).collect();
    assert_eq!(warned.len(), 1, "{:#?}", one.warnings);
}
