//! Reads the sources and holds them to the house rules that no compiler knows.
//!
//! Comments, texts and test modules do not count: only what is compiled into the daemon does. Every rule is shown to find what
//! it is for, so that none of them can pass by finding nothing.

#![expect(clippy::unwrap_used, reason = "a test may stop where a source cannot be read")]

use std::fs;
use std::path::{Path, PathBuf};

/// Lines above which a file is named, and those above which it fails.
const LONG: usize = 400;
const TOO_LONG: usize = 900;

/// What `core` and `sip` may not name: clocks, sockets, threads, tasks, files, chance, counters, logs.
const IMPURE: &[&str] = &[
    "tokio",
    "async",
    "await",
    "hyper",
    "hyper_util",
    "hickory_resolver",
    "nix",
    "libc",
    "socket2",
    "rand",
    "getrandom",
    "metrics",
    "metrics_exporter_prometheus",
    "tracing",
    "UdpSocket",
    "TcpStream",
    "TcpListener",
    "UnixStream",
    "UnixDatagram",
    "SystemTime",
    "elapsed",
    "File",
    "OpenOptions",
    "Mutex",
    "RwLock",
    "Condvar",
    "println",
    "eprintln",
    "print",
    "eprint",
    "dbg",
    "Resolver",
];

/// The same, as paths.
const IMPURE_PATHS: &[&[&str]] = &[
    &["std", "thread"],
    &["std", "fs"],
    &["std", "env"],
    &["std", "process"],
    &["Instant", "now"],
    &["crate", "net"],
    &["crate", "admin"],
    &["crate", "telemetry"],
    &["crate", "cli"],
    &["crate", "demo"],
];

/// What the message layer may not know beside: policy.
const POLICY: &[&[&str]] = &[&["crate", "core"], &["crate", "config"], &["crate", "reason"], &["crate", "dns"]];

/// The functions that give bytes to an address, or open a connection to one.
const RAW_SENDS: &[&str] =
    &["send_to", "try_send_to", "sendto", "sendmsg", "sendmmsg", "connect", "connect_timeout", "poll_send_to"];

/// A source file and the tokens of what it compiles to.
struct Source {
    path: PathBuf,
    text: String,
    tokens: Vec<String>,
}

impl Source {
    fn is_in(&self, folder: &str) -> bool {
        self.path.starts_with(folder)
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Every Rust file of a folder, by its path from the root, in order.
fn files(folder: &str) -> Vec<PathBuf> {
    let mut out = Vec::new();
    let mut open = vec![root().join(folder)];
    while let Some(folder) = open.pop() {
        let Ok(entries) = fs::read_dir(&folder) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                out.push(path.strip_prefix(root()).unwrap().to_owned());
            }
        }
    }
    out.sort();
    out
}

/// The sources without what tests them: `tests.rs` is a test module in a file of its own, and `tests` the folder of its parts.
fn sources() -> Vec<Source> {
    let read = |path: PathBuf| {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        let tokens = tokens(&text);
        Source { path, text, tokens }
    };
    let is_test = |path: &PathBuf| path.ends_with("tests.rs") || path.iter().any(|part| part == "tests");
    let sources: Vec<_> = files("src").into_iter().filter(|path| !is_test(path)).map(read).collect();
    assert!(sources.len() > 50, "the sources are there");
    sources
}

/// The identifiers and punctuation of a file, without comments, literals and its test module (which stands last: clippy's
/// `items_after_test_module`).
fn tokens(text: &str) -> Vec<String> {
    let mut out: Vec<String> = Vec::new();
    let chars: Vec<char> = text.chars().collect();
    let at = |index: usize| chars.get(index).copied().unwrap_or('\0');
    let mut i = 0;
    while i < chars.len() {
        let c = at(i);
        let raw = matches!((c, at(i + 1)), ('r', '"' | '#')) || (c == 'b' && at(i + 1) == 'r' && matches!(at(i + 2), '"' | '#'));
        if c == '/' && at(i + 1) == '/' {
            while i < chars.len() && at(i) != '\n' {
                i += 1;
            }
        } else if c == '/' && at(i + 1) == '*' {
            i += 2;
            while i < chars.len() && !(at(i) == '*' && at(i + 1) == '/') {
                i += 1;
            }
            i += 2;
        } else if raw {
            i += if c == 'b' { 2 } else { 1 };
            let hashes = chars.iter().skip(i).take_while(|&&c| c == '#').count();
            i += hashes + 1;
            while i < chars.len() && !(at(i) == '"' && (1..=hashes).all(|j| at(i + j) == '#')) {
                i += 1;
            }
            i += hashes + 1;
        } else if c == '"' {
            i += 1;
            while i < chars.len() && at(i) != '"' {
                i += if at(i) == '\\' { 2 } else { 1 };
            }
            i += 1;
        } else if c == '\'' && at(i + 1) == '\\' {
            i += 3;
            while i < chars.len() && at(i) != '\'' {
                i += 1;
            }
            i += 1;
        } else if c == '\'' && at(i + 2) == '\'' {
            i += 3;
        } else if c.is_alphanumeric() || c == '_' {
            let start = i;
            while at(i).is_alphanumeric() || at(i) == '_' {
                i += 1;
            }
            out.push(chars[start..i].iter().collect());
        } else if c == ':' && at(i + 1) == ':' {
            out.push("::".to_owned());
            i += 2;
        } else {
            if !c.is_whitespace() {
                out.push(c.to_string());
            }
            i += 1;
        }
    }
    let test = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    if let Some(end) = out.windows(test.len()).position(|window| window == test) {
        out.truncate(end);
    }
    out
}

/// Whether the tokens hold the path `a::b`, written out or through a tree (`use a::{x, b::c}`).
fn has_path(tokens: &[String], path: &[&str]) -> bool {
    let [parent, child] = path else { panic!("a path of two") };
    tokens.windows(3).enumerate().any(|(at, window)| {
        if window[0] != *parent || window[1] != "::" {
            return false;
        }
        if window[2] != "{" {
            return window[2] == *child;
        }
        let mut depth = 0;
        let mut first = false;
        for token in &tokens[at + 2..] {
            match token.as_str() {
                "{" => {
                    depth += 1;
                    first = depth == 1;
                }
                "}" => {
                    depth -= 1;
                    if depth == 0 {
                        return false;
                    }
                }
                "," => first = depth == 1,
                name => {
                    if std::mem::take(&mut first) && name == *child {
                        return true;
                    }
                }
            }
        }
        false
    })
}

fn has(tokens: &[String], name: &str) -> bool {
    tokens.iter().any(|token| token == name)
}

/// Whether something of that name is called: `x.name(`, `x::name(`.
fn calls(tokens: &[String], name: &str) -> bool {
    tokens.windows(3).any(|window| matches!(window[0].as_str(), "." | "::") && window[1] == name && window[2] == "(")
}

fn impurities(tokens: &[String]) -> Vec<String> {
    let names = IMPURE.iter().filter(|name| has(tokens, name)).map(|name| (*name).to_owned());
    let paths = IMPURE_PATHS.iter().filter(|path| has_path(tokens, path)).map(|path| path.join("::"));
    names.chain(paths).collect()
}

#[test]
fn the_rules_find_what_they_are_for() {
    for (text, expected) in [
        ("fn f() { let now = Instant::now(); }", "Instant::now"),
        ("use std::time::{Duration, Instant}; fn f(i: Instant) { i.elapsed(); }", "elapsed"),
        ("use std::{fs, io};", "std::fs"),
        ("use std::{io::{self, Read}, thread};", "std::thread"),
        ("use tokio::net::UdpSocket;", "tokio"),
        ("use crate::{net::Daemon};", "crate::net"),
        ("const TEXT: &str = r#\"//\"#; use tracing::info;", "tracing"),
        ("const C: char = '\"'; async fn f() {}", "async"),
    ] {
        assert!(impurities(&tokens(text)).contains(&expected.to_owned()), "{expected} in {text}");
    }
    for clean in [
        "// Instant::now() in a comment\nfn f() {}",
        "/* tokio */ fn f<'a>(text: &'a str) {}",
        "const TEXT: &str = \"use tokio::net; \\\" Instant::now()\";",
        "fn f() {}\n#[cfg(test)]\nmod tests { fn g() { Instant::now(); } }",
        "use std::{io, net::{fs, IpAddr}};",
        "fn f(now: Instant) {}",
    ] {
        assert_eq!(impurities(&tokens(clean)), Vec::<String>::new(), "{clean}");
    }
    assert!(calls(&tokens("socket.send_to(bytes, to)"), "send_to"));
    assert!(calls(&tokens("TcpStream::connect(to)"), "connect"));
    assert!(!calls(&tokens("fn connect(to: Fenced) {}"), "connect"));
}

#[test]
fn core_and_sip_are_pure() {
    for source in sources().iter().filter(|source| source.is_in("src/core") || source.is_in("src/sip")) {
        assert_eq!(impurities(&source.tokens), Vec::<String>::new(), "{}", source.path.display());
    }
}

#[test]
fn the_fence_and_the_reasons_are_pure() {
    for source in sources().iter().filter(|source| source.is_in("src/fence.rs") || source.is_in("src/reason.rs")) {
        assert_eq!(impurities(&source.tokens), Vec::<String>::new(), "{}", source.path.display());
    }
}

#[test]
fn the_message_layer_knows_no_policy() {
    for source in sources().iter().filter(|source| source.is_in("src/sip")) {
        for path in POLICY {
            assert!(!has_path(&source.tokens, path), "{} names {}", source.path.display(), path.join("::"));
        }
    }
}

#[test]
fn rsip_stays_in_the_demo() {
    let (demo, others): (Vec<_>, Vec<_>) =
        sources().into_iter().filter(|source| has(&source.tokens, "rsip")).partition(|source| source.is_in("src/demo"));
    assert!(!demo.is_empty(), "the demo uses it; if it does not any more, the dependency goes");
    assert!(others.is_empty(), "{:?}", others.iter().map(|source| &source.path).collect::<Vec<_>>());
}

#[test]
fn only_net_gives_bytes_to_addresses() {
    let mut found = Vec::new();
    // The demo's actors and `ringfence probe` are peers of a daemon, not part of one: telephones that call whomever their user names. So is
    // the client that asks a daemon by HTTP.
    let is_telephone = |path: &Path| {
        path.starts_with("src/demo") || [Path::new("src/cli/probe/wire.rs"), Path::new("src/cli/admin_client.rs")].contains(&path)
    };
    for source in sources().into_iter().filter(|source| !is_telephone(&source.path)) {
        for name in RAW_SENDS.iter().filter(|name| calls(&source.tokens, name)) {
            found.push(format!("{} {name}", source.path.display()));
        }
    }
    // The worker has one method that opens connections, and it takes a fenced address.
    // A relay's socket is connected when it is opened, to a fenced address too.
    found.retain(|place| place != "src/net/worker.rs connect");
    let expected =
        ["src/net/connect.rs connect", "src/net/hep.rs send_to", "src/net/rtpengine/client.rs connect", "src/net/udp.rs send_to"];
    assert_eq!(found, expected, "sendmsg is called by its bare name, see below");
    let bare: Vec<_> = sources()
        .into_iter()
        .filter(|source| {
            source.tokens.windows(2).any(|pair| RAW_SENDS.contains(&pair[0].as_str()) && pair[0] != "connect" && pair[1] == "(")
        })
        .map(|source| source.path)
        .filter(|path| !is_telephone(path))
        .collect();
    assert_eq!(bare, [Path::new("src/net/hep.rs"), Path::new("src/net/udp.rs")]);
}

#[test]
fn handshakes_run_beside_the_message_thread() {
    let sources = sources();
    let users = |name: &str| {
        let users = sources.iter().filter(|source| calls(&source.tokens, name));
        users.map(|source| source.path.display().to_string()).collect::<Vec<_>>()
    };
    // A session is made, goes through its handshake and proves somebody in one function of the daemon, which gets no worker.
    assert_eq!(users("shake"), ["src/cli/probe/wire.rs", "src/net/handshake.rs"]);
    for name in ["session", "proof"] {
        assert_eq!(users(name), ["src/net/handshake.rs"], "{name}");
    }
    let handshake = sources.iter().find(|source| source.is_in("src/net/handshake.rs")).unwrap();
    assert!(handshake.text.contains("spawn_on(beside(idle, start, from), threads)"));
}

#[test]
fn the_daemon_uses_no_telephone() {
    let users = sources().into_iter().filter(|source| has(&source.tokens, "Wire"));
    let mut users: Vec<_> = users.map(|source| source.path.display().to_string()).collect();
    users.sort();
    assert_eq!(users, ["src/cli/probe.rs", "src/cli/probe/exchange.rs", "src/cli/probe/wire.rs"]);
}

#[test]
fn a_destination_becomes_an_address_in_one_place() {
    let sources = sources();
    let unpacks: Vec<_> = sources
        .iter()
        .filter(|source| source.is_in("src/net") && has(&source.tokens, "Destination"))
        .map(|source| source.path.display().to_string())
        .collect();
    assert_eq!(unpacks, ["src/net/worker.rs"]);
    // A connection is opened to what the fence passed, and to nothing else; so is a relay's socket.
    let rtpengine = sources.iter().find(|source| source.is_in("src/net/rtpengine/client.rs")).unwrap();
    assert!(rtpengine.text.contains("fn open(relay: Fenced) -> io::Result<Self>"));
    let connect = sources.iter().find(|source| source.is_in("src/net/connect.rs")).unwrap();
    let text = connect.text.split_whitespace().collect::<Vec<_>>().join(" ");
    for signature in ["&mut self, listener: ListenerId, to: Fenced, tls_name:", "patience: Patience, to: Fenced, )"] {
        assert!(text.contains(signature), "{signature}");
    }
    // So is a copy of a message sent.
    let hep = sources.iter().find(|source| source.is_in("src/net/hep.rs")).unwrap();
    assert!(hep.text.contains("fn give(&mut self, packet: &[u8], to: Fenced)"));
}

#[test]
fn fenced_addresses_and_peers_have_one_maker() {
    for source in sources() {
        let tokens = &source.tokens;
        let made = |name: &str, next: &str| tokens.windows(2).any(|pair| pair[0] == name && pair[1] == next);
        let literal = made("Fenced", "{") && has(tokens, "addr");
        assert!(!literal || source.is_in("src/fence.rs"), "{} makes a Fenced", source.path.display());
        let peer = tokens.windows(3).any(|window| window[0] == "Peer" && window[1] == "::" && window[2] == "of");
        assert!(!peer || source.is_in("src/core"), "{} makes a Peer", source.path.display());
    }
}

#[test]
fn modules_say_what_they_are_for() {
    for path in files("src").into_iter().chain(files("tests")).chain(files("benches")) {
        let text = fs::read_to_string(root().join(&path)).unwrap();
        assert!(text.starts_with("//! "), "{} does not open with what it is for", path.display());
    }
}

#[test]
fn files_are_short() {
    let mut long = Vec::new();
    for path in files("src").into_iter().chain(files("tests")) {
        let lines = fs::read_to_string(root().join(&path)).unwrap().lines().count();
        assert!(lines <= TOO_LONG, "{} has {lines} lines: split it by meaning", path.display());
        if lines > LONG {
            long.push(format!("{} ({lines})", path.display()));
        }
    }
    if !long.is_empty() {
        eprintln!("longer than {LONG} lines: {}", long.join(", "));
    }
}

#[test]
fn unsafe_code_is_forbidden() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for source in sources() {
        assert!(!has(&source.tokens, "unsafe"), "{}", source.path.display());
    }
}

/// The modules that a file imports from or names by a path, as files: `use` trees and paths that begin with `crate`, `super` or a module
/// of its own. `all` are the files of the crate's sources.
fn imports(path: &Path, tokens: &[String], all: &[PathBuf]) -> Vec<PathBuf> {
    let own = segments(path);
    let mut found = Vec::new();
    let mut open: Vec<Vec<String>> = Vec::new();
    let mut at = 0;
    let begin = |at: usize, prefix: &[String], found: &mut Vec<PathBuf>| {
        let mut names: Vec<String> = prefix.to_vec();
        let mut end = at;
        while let Some(name) = tokens.get(end).filter(|name| is_name(name)) {
            names.push(name.clone());
            if tokens.get(end + 1).map(String::as_str) != Some("::") {
                break;
            }
            end += 2;
        }
        // What stands before a group is named by the group's members.
        if tokens.get(end).map(String::as_str) != Some("{") {
            found.extend(file_of(&own, &names, all));
        }
        (names, end)
    };
    let mut in_use = false;
    // `pub(super)` and `pub(in crate::x)` say who may see something, and import nothing.
    let is_visibility = |at: usize| {
        let before = |back: usize| at.checked_sub(back).and_then(|at| tokens.get(at)).map(String::as_str);
        before(1) == Some("(") && before(2) == Some("pub") || before(1) == Some("in") && before(2) == Some("(")
    };
    while at < tokens.len() {
        let token = tokens[at].as_str();
        let path_begins = at == 0 || !matches!(tokens[at - 1].as_str(), "::" | ".") && !is_visibility(at);
        match token {
            "use" => in_use = true,
            ";" => (in_use, open) = (false, Vec::new()),
            "{" if in_use => {}
            "}" if in_use => drop(open.pop()),
            _ if is_name(token) && path_begins && (in_use || matches!(token, "crate" | "super" | "self")) => {
                let prefix = open.last().cloned().unwrap_or_default();
                let (names, end) = begin(at, &prefix, &mut found);
                at = end;
                if in_use && tokens.get(at).map(String::as_str) == Some("{") {
                    open.push(names);
                }
            }
            _ => {}
        }
        at += 1;
    }
    found.retain(|file| file != path);
    found.sort();
    found.dedup();
    found
}

fn is_name(token: &str) -> bool {
    token.chars().all(|c| c.is_alphanumeric() || c == '_')
}

/// The module path of a file: `src/core/rules/case.rs` is core, rules, case.
fn segments(path: &Path) -> Vec<String> {
    let path = path.with_extension("");
    let names = path.iter().skip(1).map(|name| name.to_string_lossy().into_owned());
    names.filter(|name| name != "mod").collect()
}

/// The file that a path leads into: its longest beginning that is one.
fn file_of(own: &[String], names: &[String], all: &[PathBuf]) -> Option<PathBuf> {
    let mut absolute: Vec<String> = match names.first()?.as_str() {
        "crate" => Vec::new(),
        "self" => own.to_vec(),
        "super" => own[..own.len().saturating_sub(names.iter().take_while(|name| *name == "super").count())].to_vec(),
        child => [own, &[child.to_owned()]].concat(),
    };
    absolute.extend(names.iter().skip(1).filter(|name| *name != "super" && *name != "self").cloned());
    (1..=absolute.len()).rev().find_map(|length| all.iter().find(|file| segments(file) == absolute[..length]).cloned())
}

/// A circle of files that import each other, if there is one.
fn circle(edges: &[(PathBuf, Vec<PathBuf>)]) -> Option<Vec<PathBuf>> {
    let mut left: Vec<_> = edges.to_vec();
    // What imports nothing that is left is in no circle.
    loop {
        let names: Vec<PathBuf> = left.iter().map(|(name, _)| name.clone()).collect();
        let before = left.len();
        left.retain(|(_, to)| to.iter().any(|to| names.contains(to)));
        if left.len() == before {
            break;
        }
    }
    (!left.is_empty()).then(|| left.into_iter().map(|(name, _)| name).collect())
}

fn circle_in(folder: &str) -> Option<Vec<PathBuf>> {
    let sources = sources();
    let all: Vec<PathBuf> = sources.iter().map(|source| source.path.clone()).collect();
    let inside = |path: &Path| path.starts_with(folder) || path == Path::new(folder).with_extension("rs");
    let edges: Vec<_> = sources
        .iter()
        .filter(|source| inside(&source.path))
        .map(|source| {
            let mut to = imports(&source.path, &source.tokens, &all);
            to.retain(|to| inside(to));
            (source.path.clone(), to)
        })
        .collect();
    circle(&edges)
}

/// What rules and routing may not name: they read and return a value.
fn writes(tokens: &[String]) -> bool {
    let takes_itself = tokens.windows(3).any(|window| window == ["&", "mut", "self"]);
    takes_itself || has(tokens, "Output") || has(tokens, "Context")
}

/// The types that a file defines.
fn definitions(tokens: &[String]) -> Vec<String> {
    let kinds = ["struct", "enum", "union", "trait"];
    let named = |pair: &[String]| kinds.contains(&pair[0].as_str()) && is_name(&pair[1]);
    tokens.windows(2).filter(|pair| named(pair)).map(|pair| pair[1].clone()).collect()
}

#[test]
fn the_rules_of_the_core_find_what_they_are_for() {
    let all = ["src/core/mod.rs", "src/core/io.rs", "src/core/rules/case.rs", "src/core/rules/mod.rs", "src/core/state.rs"];
    let all: Vec<PathBuf> = all.iter().map(PathBuf::from).collect();
    for (path, text, expected) in [
        ("src/core/rules/case.rs", "use crate::core::io::{Arrival, Peer};", "src/core/io.rs"),
        ("src/core/rules/case.rs", "use crate::{config::Config, core::{rules::case::Case, state::Core}};", "src/core/state.rs"),
        ("src/core/rules/case.rs", "use super::super::state::Core;", "src/core/state.rs"),
        ("src/core/io.rs", "fn f(case: &super::rules::case::Case) {}", "src/core/rules/case.rs"),
        ("src/core/mod.rs", "mod io; pub use io::Input;", "src/core/io.rs"),
        ("src/core/io.rs", "use super::Core;", "src/core/mod.rs"),
    ] {
        assert_eq!(imports(Path::new(path), &tokens(text), &all), [PathBuf::from(expected)], "{text}");
    }
    assert!(imports(Path::new("src/core/io.rs"), &tokens("mod x; use std::io; fn f() { a.core::<u8>(); }"), &all).is_empty());
    assert!(imports(Path::new("src/core/io.rs"), &tokens("pub(super) fn f() {} pub(in crate::core) fn g() {}"), &all).is_empty());
    let edge = |from: &str, to: &[&str]| (PathBuf::from(from), to.iter().map(PathBuf::from).collect::<Vec<_>>());
    let ring = [edge("a", &["b"]), edge("b", &["c"]), edge("c", &["b"]), edge("d", &[])];
    assert_eq!(circle(&ring), Some(vec!["a".into(), "b".into(), "c".into()]), "what leads into one is named too");
    assert_eq!(circle(&[edge("a", &["b", "c"]), edge("b", &["c"]), edge("c", &[])]), None);
    assert!(writes(&tokens("impl A { fn f(&mut self) {} }")) && writes(&tokens("fn f(out: &mut Vec<Output>) {}")));
    assert!(!writes(&tokens("impl A { fn f(&self, out: &mut u8) {} } // &mut self, Output")));
    assert_eq!(definitions(&tokens("pub struct A; enum B {} impl Iterator for A { type Item = u8; } // struct C")), ["A", "B"]);
}

#[test]
fn no_import_circle_in_the_core_or_the_shell_around_it() {
    assert_eq!(circle_in("src/core"), None);
    assert_eq!(circle_in("src/net"), None);
}

#[test]
fn rules_and_routing_only_read() {
    let sources = sources();
    let readers = sources.iter().filter(|source| source.is_in("src/core/rules") || source.is_in("src/core/routing"));
    let writers: Vec<_> = readers.clone().filter(|source| writes(&source.tokens)).map(|source| &source.path).collect();
    assert_eq!(writers, Vec::<&PathBuf>::new());
    assert!(readers.count() > 10, "the folders are there");
}

#[test]
fn a_type_name_means_one_thing() {
    let mut seen: std::collections::BTreeMap<String, PathBuf> = std::collections::BTreeMap::new();
    for source in sources().iter().filter(|source| ["src/core", "src/net", "src/sip"].iter().any(|part| source.is_in(part))) {
        for name in definitions(&source.tokens) {
            if let Some(other) = seen.insert(name.clone(), source.path.clone()) {
                panic!("{name} is defined in {} and in {}", other.display(), source.path.display());
            }
        }
    }
    assert!(seen.len() > 150, "the definitions are found");
}
