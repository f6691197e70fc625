//! Holds the documentation to the program: what it lists, shows and promises is read from it and compared.

#![expect(clippy::unwrap_used, reason = "a test may stop where the documentation has not the shape that it reads")]

mod page;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use page::{block, read};
use ringfence::config::{
    AuditNumbers, Config, ListenerId, Mistake, Numbers, ProjectId, RegionId, Transport, TrunkId, load, parse,
};
use ringfence::core::Core;
use ringfence::core::io::{Arrival, Destination, GatewayStatus, Health, Input, Outcome, Output, Share, TargetStatus, Verdict};
use ringfence::dns::Resolved;
use ringfence::reason::{Class, Profile, Reason};
use ringfence::sip::{Fault, Method};
use ringfence::telemetry::{Direction, Handles, Metrics, audit_counts, certificates, memory, upstream};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The cells of every row of the tables in a text, without backticks around.
fn rows(text: &str) -> Vec<Vec<String>> {
    let row = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect();
    text.lines().filter(|line| line.starts_with('|') && !line.starts_with("|---")).map(row).collect()
}

fn code(cell: &str) -> Option<&str> {
    cell.strip_prefix('`')?.strip_suffix('`')
}

/// Names that begin so in a text.
fn names(text: &str, prefix: &str) -> BTreeSet<String> {
    let name = |at: usize| text[at..].chars().take_while(|c| c.is_ascii_lowercase() || *c == '_').collect::<String>();
    text.match_indices(prefix).map(|(at, _)| name(at)).filter(|name| name.len() > prefix.len()).collect()
}

/// A folder with a key whose content is known, so that To-tags are too. Written once: tests run beside each other.
static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("docs-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ringfence.key"), "a key for the documentation alone").unwrap();
    fs::write(folder.join("audit.key"), "another key, for the documentation alone").unwrap();
    folder
});

fn loaded(text: &str) -> Config {
    parse(&FOLDER.join("ringfence.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

/// The example that opens `docs/configuration.md`.
fn example() -> String {
    block(&read("docs/configuration.md"), "<!-- example -->").to_owned()
}

#[test]
fn the_example_loads_without_a_warning() {
    let config = loaded(&example());
    assert_eq!(config.warnings, []);
    assert!(config.secret.is_some() && config.admin.is_some());
    assert_eq!((config.regions.len(), config.projects.len(), config.trunks.len()), (2, 1, 1));
}

/// Every key of the file stands in it, some as options; with these nothing but the certificates is missing.
#[test]
fn the_examples_options_are_right_but_for_their_files() {
    fs::create_dir_all(FOLDER.join("projects.d")).unwrap();
    let option =
        |line: &str| line.strip_prefix("# ").filter(|text| text.starts_with('[') || text.contains(" = ")).map(str::to_owned);
    let text: Vec<_> = example().lines().map(|line| option(line).unwrap_or_else(|| line.to_owned())).collect();
    for key in known("") {
        let (plain, table) = (format!("{key} = "), format!("[{key}"));
        assert!(text.iter().any(|line| line.starts_with(&plain) || line.starts_with(&table)), "the example has no `{key}`");
    }
    fs::write(FOLDER.join("options.toml"), text.join("\n")).unwrap();
    let error = load(&FOLDER.join("options.toml")).unwrap_err();
    assert!(error.mistakes.iter().all(|mistake| mistake.wrong.contains(".pem: cannot be read")), "{error}");
}

/// What the example's daemon sends for a request from its trunk: to whom, and what.
fn asked(request: &str) -> Vec<(SocketAddr, String)> {
    asked_of(&example(), request)
}

/// The same of a daemon with another configuration.
fn asked_of(text: &str, request: &str) -> Vec<(SocketAddr, String)> {
    let config = Arc::new(loaded(text));
    let targets = Arc::new(Resolved::unknown(config.names.len()));
    let now = Instant::now();
    let local = config.listener(ListenerId(0)).addr;
    let mut core = Core::new(config, targets, [7; 16], now);
    let arrival =
        Arrival { listener: ListenerId(0), from: "54.171.127.193:5060".parse().unwrap(), local, connection: None, shown: None };
    let mut out = Vec::new();
    core.handle(now, Input::Message { arrival, bytes: request.as_bytes() }, &mut out);
    let sent = |output: &Output| match output {
        Output::Send(send) => {
            let to = match send.to {
                Destination::Peer(peer) => peer.addr(),
                Destination::Fenced(fenced) => fenced.addr(),
            };
            Some((to, String::from_utf8_lossy(&send.bytes).into_owned()))
        }
        _ => None,
    };
    out.iter().filter_map(sent).collect()
}

fn wire(text: &str) -> String {
    text.replace('\n', "\r\n") + "\r\n"
}

#[test]
fn the_refusal_is_what_the_wire_carries() {
    let page = read("docs/refusals.md");
    let request = wire(block(&page, "<!-- request -->"));
    let sent = asked(&request);
    assert_eq!(sent.len(), 1, "one answer and nothing to anybody else: {sent:#?}");
    assert_eq!(sent[0].0, "54.171.127.193:5060".parse().unwrap());
    assert_eq!(sent[0].1, wire(block(&page, "<!-- answer -->")));
}

#[test]
fn the_accepted_row_is_what_the_server_is_told() {
    let page = read("docs/refusals.md");
    let request = wire(block(&page, "<!-- request -->")).replace("acme.us.", "acme.eu.");
    let sent = asked(&request);
    assert_eq!(sent.len(), 2, "100 and the INVITE: {sent:#?}");
    assert_eq!(sent[1].0, "10.20.0.5:5060".parse().unwrap());
    let row = block(&page, "<!-- accepted -->").trim();
    assert!(sent[1].1.lines().any(|line| line == row), "{}", sent[1].1);
}

#[test]
fn the_page_shows_what_a_server_is_told_in_shadow_mode() {
    let page = read("docs/refusals.md");
    let request = wire(block(&page, "<!-- request -->"));
    let text = example().replace("mode = \"enforce\"", "mode = \"shadow\"");
    let sent = asked_of(&text, &request);
    let row = block(&page, "<!-- shadow -->").trim();
    assert!(sent[1].1.lines().any(|line| line == row), "{}", sent[1].1);
}

#[test]
fn profiles_are_the_ones_built_in() {
    let table = rows(&read("docs/refusals.md"));
    for name in Profile::NAMES {
        let row = table.iter().find(|row| row[0].starts_with(&format!("`{name}`"))).unwrap_or_else(|| panic!("no {name}"));
        let profile = Profile::named(name).unwrap();
        assert_eq!(row[1..3], [profile.policy.to_string(), profile.capacity.to_string()], "{name}");
    }
}

/// A section of docs/configuration.md: its rows but for the heading's.
fn section(name: &str) -> Vec<Vec<String>> {
    let text = read("docs/configuration.md");
    let heading = format!("\n## {name}\n");
    let (_, rest) = text.split_once(&heading).unwrap_or_else(|| panic!("no {heading}"));
    rows(rest.split_once("\n## ").map_or(rest, |(section, _)| section)).split_off(1)
}

/// The keys that a table knows: an unknown one is answered with all of them.
fn known(table: &str) -> BTreeSet<String> {
    let error = parse(&FOLDER.join("ringfence.toml"), &format!("{table}qqqqqqqqqqqqqqqq = 1\n")).unwrap_err();
    let said = |mistake: &Mistake| mistake.right.strip_prefix("known keys: ").map(str::to_owned);
    let keys = error.mistakes.iter().find_map(said).unwrap_or_else(|| panic!("{table}: {error}"));
    keys.split(", ").map(str::to_owned).collect()
}

#[test]
fn every_key_is_described_and_no_other() {
    for (heading, table) in [
        ("The file", ""),
        ("`reject`", "[reject]\n"),
        ("`[region.NAME]`", "[region.eu]\n"),
        ("`[region.NAME.tls]`", "[region.eu.tls]\n"),
        ("`[project.NAME]`", "[project.acme]\n"),
        ("`[project.NAME.trunk.NAME]`", "[project.acme.trunk.carrier]\n"),
        ("`[admin]`", "[admin]\n"),
        ("`[audit]`", "[audit]\n"),
        ("`[dns]`", "[dns]\n"),
        ("`[limits]`", "[limits]\n"),
        ("`[timers]`", "[timers]\n"),
        ("`[health]`", "[health]\n"),
        ("`[hep]`", "[hep]\n"),
        ("`[metrics]`", "[metrics]\n"),
        ("`[log]`", "[log]\n"),
        ("`[secret]`", "[secret]\n"),
    ] {
        let described: BTreeSet<_> = section(heading).iter().map(|row| code(&row[0]).unwrap().to_owned()).collect();
        assert_eq!(described, known(table), "{heading}");
    }
    // A table that the file may have has a section, so that the list above is whole.
    let text = read("docs/configuration.md");
    for key in known("") {
        let described = text.contains(&format!("\n## `[{key}")) || text.contains(&format!("\n## `{key}`\n"));
        let plain = ["serve", "global", "include", "emergency"].contains(&key.as_str());
        assert!(described != plain, "`{key}` is a table without a section, or the other way round");
    }
}

#[test]
fn described_defaults_are_the_real_ones() {
    let smallest = read("README.md");
    let Config { limits, timers, health, dns, metrics, log, .. } = loaded(block(&smallest, "<!-- smallest -->"));
    let whole = |of: Duration| format!("{}s", of.as_secs());
    let millis = |of: Duration| if of.subsec_millis() == 0 { whole(of) } else { format!("{}ms", of.as_millis()) };
    let kib = |octets: usize| format!("{}KiB", octets.div_ceil(1024));
    let limits = [
        ("memory", format!("{}GiB", limits.memory >> 30)),
        ("transactions", limits.transactions.to_string()),
        ("per_source", format!("{}/s", limits.per_source)),
        ("sources", limits.sources.to_string()),
        ("repeats", limits.repeats.to_string()),
        ("connections", limits.connections.to_string()),
        ("connections_per_source", limits.connections_per_source.to_string()),
        ("write_queue", kib(limits.write_queue)),
        ("message", kib(limits.message)),
        ("idle", whole(limits.idle)),
        ("partial", whole(limits.partial)),
        ("connect", whole(limits.connect)),
        ("handshakes", limits.handshakes.to_string()),
        ("handshake", whole(limits.handshake)),
    ];
    let timers = [
        ("t1", millis(timers.t1)),
        ("t2", millis(timers.t2)),
        ("t4", millis(timers.t4)),
        ("c", millis(timers.c)),
        ("drain", millis(timers.drain)),
        ("try_for", millis(timers.try_for)),
    ];
    let health = [
        ("interval", millis(health.interval.unwrap())),
        ("fall", health.fall.to_string()),
        ("back_off", millis(health.back_off)),
        ("rise", millis(health.rise)),
    ];
    for (heading, defaults) in [("`[limits]`", &limits[..]), ("`[timers]`", &timers), ("`[health]`", &health)] {
        let described: BTreeMap<_, _> = section(heading).into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
        let real: BTreeMap<_, _> = defaults.iter().map(|(key, value)| (format!("`{key}`"), value.clone())).collect();
        assert_eq!(described, real, "{heading}");
    }
    assert_eq!(section("`[metrics]`")[0][1], metrics.projects.to_string());
    assert_eq!((section("`[log]`")[0][1].as_str(), log.numbers), ("`\"mask\"`", Numbers::Mask));
    assert_eq!(section("`[log]`")[1][1], log.refused.to_string());
    let audited = format!("{}\n{}", block(&smallest, "<!-- smallest -->"), "[audit]\npath = \"audit\"\nsign = \"audit.key\"");
    let audit = loaded(&audited).audit.unwrap();
    let days = |of: Duration| format!("{}d", of.as_secs() / 86_400);
    let real = [
        ("path", "must be given".to_owned()),
        ("sign", "must be given".to_owned()),
        ("retain", days(audit.retain)),
        ("numbers", "`\"hmac\"`".to_owned()),
        ("checkpoint", format!("{}m", audit.checkpoint.as_secs() / 60)),
        ("spool", format!("`\"{}\"`", audit.spool.display())),
    ];
    let described: Vec<_> = section("`[audit]`").into_iter().map(|row| (row[0].clone(), row[1].clone())).collect();
    assert_eq!(described, real.map(|(key, value)| (format!("`{key}`"), value)));
    assert_eq!(audit.numbers, AuditNumbers::Hmac);
    assert_eq!((section("`[dns]`")[1][1].as_str(), dns.stale), ("1h", Duration::from_secs(3600)));
    assert_eq!((section("`[dns]`")[2][1].as_str(), dns.vanish), ("30s", Duration::from_secs(30)));
}

#[test]
fn every_reason_is_described_and_no_other() {
    let text = read("docs/reasons.md");
    let described: Vec<(String, String, String)> = rows(&text)
        .into_iter()
        .filter(|row| row[0].parse::<u16>().is_ok())
        .map(|row| (row[0].clone(), code(&row[1]).unwrap().to_owned(), row[2].clone()))
        .collect();
    let answer = |reason: Reason| match reason.class() {
        Class::Accepted => "accepted".to_owned(),
        Class::Policy => "policy".to_owned(),
        Class::Capacity => "capacity".to_owned(),
        Class::Fixed(code) => code.to_string(),
    };
    let expected: Vec<_> =
        Reason::ALL.into_iter().map(|reason| (reason.id().to_string(), reason.token().to_owned(), answer(reason))).collect();
    assert_eq!(described, expected);
}

/// Name to type and labels, as `docs/metrics.md` says.
fn documented_metrics() -> BTreeMap<String, (String, BTreeSet<String>)> {
    let text = read("docs/metrics.md");
    let metrics = rows(&text).into_iter().filter_map(|row| {
        let name = code(&row[0]).filter(|name| name.starts_with("ringfence_"))?.to_owned();
        let labels = row[2].split_whitespace().map(|label| code(label).unwrap().to_owned()).collect();
        Some((name, (row[1].clone(), labels)))
    });
    metrics.collect()
}

#[test]
fn every_metric_is_described_and_no_other() {
    let mut registered = BTreeSet::new();
    for entry in fs::read_dir(root().join("src/telemetry")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            // The tests of a file.
            continue;
        }
        let text = fs::read_to_string(path).unwrap();
        let quoted = text.split('"').filter(|text| names(text, "ringfence_").contains(*text));
        registered.extend(quoted.map(str::to_owned));
    }
    assert_eq!(documented_metrics().into_keys().collect::<BTreeSet<_>>(), registered);
}

#[test]
fn types_and_labels_are_the_exposed_ones() {
    let config = Arc::new(loaded(&example().replace("# relay = ", "relay = ")));
    let metrics = Arc::new(Metrics::new());
    let mut handles = Handles::new(Arc::clone(&metrics), Arc::clone(&config));
    let region = RegionId(0);
    assert!(config.region(region).served);
    handles.arrived(region, Transport::Udp, Some(Method::Invite), None, Outcome::Malformed(Fault::Via));
    handles.response(region, Direction::Out, 200);
    handles.repeat(region, Some(ProjectId(0)), Some(TrunkId(0)));
    handles.number(region, true, Some("IE".parse().unwrap()));
    handles.emergency(region, ProjectId(0), TrunkId(0));
    handles.share_used_up(region, (Some(ProjectId(0)), Some(TrunkId(0))), Share::Transactions);
    handles.verdict(region, Some(ProjectId(0)), Verdict::Accept, Reason::InRegion, 1);
    handles.decided(Duration::from_micros(20));
    handles.setup(region, Duration::from_millis(20));
    handles.answered(region, Duration::from_millis(2));
    metrics.lookups("A", "ok").increment(1);
    metrics.outside("eu").increment(1);
    metrics.hep("sent").increment(1);
    metrics.stale("eu").set(1.0);
    metrics.vanished("eu").increment(1);
    metrics.config("digest", true);
    metrics.unseen("watch").increment(1);
    metrics.watchers(1);
    metrics.gate_connections(1);
    metrics.gate_turned_away("full").increment(0);
    metrics.ready(true);
    let mut exposed = metrics.render();
    let (addr, since) = ("10.20.0.5:5060".parse().unwrap(), Instant::now());
    let (transport, state) = (Transport::Udp, Health::Up);
    upstream::expose(
        &config,
        &[false, true].map(|relay| TargetStatus { region, addr, transport, state, since, heard: None, failure: None, relay }),
        &mut exposed,
    );
    upstream::expose_gateways(&config, &[GatewayStatus { region, trunk: TrunkId(0), at: 0, is_up: true }], &mut exposed);
    memory::expose(1 << 20, &mut exposed);
    let counts = audit_counts::AuditCounts { kept: 2, dropped: 0, behind: 1, checkpoint: Some(1_780_000_000) };
    audit_counts::expose(&counts, &mut exposed);
    certificates::expose([("eu", std::time::SystemTime::now())], &mut exposed);
    let mut found: BTreeMap<String, (String, BTreeSet<String>)> = BTreeMap::new();
    for line in exposed.lines().filter(|line| line.starts_with("# TYPE ringfence_")) {
        let mut words = line.split(' ').skip(2);
        found.insert(words.next().unwrap().to_owned(), (words.next().unwrap().to_owned(), BTreeSet::new()));
    }
    for line in exposed.lines().filter(|line| line.starts_with("ringfence_")) {
        let (series, _) = line.rsplit_once(' ').unwrap();
        let (name, labels) = series.split_once('{').unwrap_or((series, ""));
        let base = ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let name = base.filter(|base| found.contains_key(*base)).unwrap_or(name);
        let keys = labels.trim_end_matches('}').split("\",").filter_map(|label| label.split_once("=\"")).map(|(key, _)| key);
        let metric = found.get_mut(name).unwrap_or_else(|| panic!("{line} has no TYPE"));
        metric.1.extend(keys.filter(|key| *key != "le").map(str::to_owned));
    }
    assert_eq!(found, documented_metrics());
}

/// The files and folders that CONTRIBUTING's map names, by path.
fn mapped() -> Vec<PathBuf> {
    let text = read("CONTRIBUTING.md");
    let mut open: Vec<String> = Vec::new();
    let mut out = Vec::new();
    for line in block(&text, "<!-- map -->").lines().filter(|line| !line.trim().is_empty()) {
        let depth = (line.len() - line.trim_start().len()) / 2;
        let name = line.split_whitespace().next().unwrap();
        open.truncate(depth);
        assert_eq!(open.len(), depth, "{line}");
        open.push(name.trim_end_matches('/').to_owned());
        let path: PathBuf = open.iter().collect();
        assert_eq!(root().join(&path).is_dir(), name.ends_with('/'), "{}", path.display());
        out.push(path);
    }
    out
}

fn below(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let path = folder.join(entry.unwrap().file_name());
        if root().join(&path).is_dir() {
            below(&path, out);
        }
        out.push(path);
    }
}

#[test]
fn the_map_is_true() {
    let mapped = mapped();
    assert!(mapped.len() > 60);
    for path in &mapped {
        assert!(root().join(path).exists(), "{} is in the map and not in the tree", path.display());
    }
    let mut all = Vec::new();
    below(Path::new("src"), &mut all);
    for path in all {
        let missing = !mapped.contains(&path);
        assert!(!missing || !root().join(&path).is_dir(), "{} is not in the map", path.display());
        if missing {
            eprintln!("not in the map: {}", path.display());
        }
    }
}

#[test]
fn links_lead_somewhere() {
    let mut texts = vec![PathBuf::from("README.md"), "CONTRIBUTING.md".into(), "CHANGELOG.md".into(), "SECURITY.md".into()];
    below(Path::new("docs"), &mut texts);
    for path in texts.iter().filter(|path| path.extension().is_some_and(|extension| extension == "md")) {
        let text = read(path.to_str().unwrap());
        for link in text.split("](").skip(1).map(|rest| rest.split(')').next().unwrap()) {
            if link.starts_with("https://") {
                continue;
            }
            let (file, heading) = link.split_once('#').map_or((link, None), |(file, heading)| (file, Some(heading)));
            let target = if file.is_empty() { root().join(path) } else { root().join(path).parent().unwrap().join(file) };
            assert!(target.exists(), "{} links to {link}", path.display());
            if let Some(heading) = heading {
                let found = fs::read_to_string(&target).unwrap().lines().any(|line| {
                    let plain = |c: char| if c == ' ' { Some('-') } else { (c.is_alphanumeric() || c == '-').then_some(c) };
                    line.starts_with('#')
                        && line.trim_start_matches('#').trim().to_lowercase().chars().filter_map(plain).collect::<String>()
                            == heading
                });
                assert!(found, "{} links to {link}", path.display());
            }
        }
    }
}
