//! Every message under `sip-fixtures` is read as its neighbour `NAME.expect` says.
//!
//! A neighbour has lines `key: value`. `result` is `ok` or the label of the fault; `code` is what a request with the fault is
//! answered with. The other keys are checked where they stand, and an empty value means that there is none. `source` and `note`
//! are for people.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use ringfence::sip::address::Address;
use ringfence::sip::uri::Host;
use ringfence::sip::{Fault, Message, Name, Request, Response, Start};

/// A message and what is expected of it.
pub(crate) struct Fixture {
    /// Folder and name, as in `valid/wsinv`.
    pub(crate) name: String,
    /// The message.
    pub(crate) bytes: Vec<u8>,
    expect: BTreeMap<String, String>,
}

impl Fixture {
    /// Whether the message is read without a fault.
    pub(crate) fn is_ok(&self) -> bool {
        self.expect.get("result").is_some_and(|result| result == "ok")
    }
}

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sip-fixtures").join(name)
}

/// All fixtures, in the order of their names.
pub(crate) fn all() -> &'static [Fixture] {
    static ALL: LazyLock<Vec<Fixture>> = LazyLock::new(|| {
        let mut fixtures: Vec<_> = ["valid", "invalid", "captured"].into_iter().flat_map(read_folder).collect();
        fixtures.sort_by(|one, other| one.name.cmp(&other.name));
        fixtures
    });
    &ALL
}

fn read_folder(name: &str) -> Vec<Fixture> {
    // Captured messages are an extra: a checkout may be without them.
    let Ok(entries) = fs::read_dir(folder(name)) else { return Vec::new() };
    let paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    for path in &paths {
        let other = path.with_extension(if extension(path) == "sip" { "expect" } else { "sip" });
        let known = matches!(extension(path), "sip" | "expect") && other.exists();
        assert!(known || extension(path) == "md", "{} has no neighbour", path.display());
    }
    paths.iter().filter(|path| extension(path) == "sip").map(|path| read_fixture(name, path)).collect()
}

fn extension(path: &Path) -> &str {
    path.extension().and_then(|text| text.to_str()).unwrap_or_default()
}

fn read_fixture(folder: &str, path: &Path) -> Fixture {
    let name = format!("{folder}/{}", path.file_stem().unwrap().to_str().unwrap());
    let text = fs::read_to_string(path.with_extension("expect")).unwrap();
    let mut expect = BTreeMap::new();
    for line in text.lines() {
        let (key, value) = line.split_once(':').unwrap_or_else(|| panic!("{name}: {line}"));
        let before = expect.insert(key.to_owned(), value.trim().to_owned());
        assert_eq!(before, None, "{name}: {key} stands twice");
    }
    Fixture { name, bytes: fs::read(path).unwrap(), expect }
}

/// What the message layer says about a message, under the keys of a neighbour.
fn facts(bytes: &[u8]) -> BTreeMap<&'static str, String> {
    let fault = |fault: Fault| BTreeMap::from([("result", fault.label().to_owned()), ("code", fault.code().to_string())]);
    let message = match Message::datagram(bytes) {
        Ok(message) => message,
        Err(found) => return fault(found),
    };
    let mut facts = BTreeMap::from([("result", "ok".to_owned()), ("body-length", message.body().len().to_string())]);
    let (via, method) = match message.start() {
        Start::Request { .. } => {
            let request = match Request::read(&message) {
                Ok(request) => request,
                Err(found) => return fault(found),
            };
            facts.insert("host", request.uri.host.map(|host| self::host(&host)).unwrap_or_default());
            facts.insert("port", request.uri.port.map(|port| port.to_string()).unwrap_or_default());
            facts.insert("user", text(request.uri.user.unwrap_or_default()));
            facts.insert("cseq", request.cseq.to_string());
            facts.insert("max-forwards", request.max_forwards.map(|hops| hops.to_string()).unwrap_or_default());
            assert_eq!(text(request.from_tag), tag(&message, Name::From));
            assert_eq!(text(request.to_tag.unwrap_or_default()), tag(&message, Name::To));
            (request.via, request.token)
        }
        Start::Response { .. } => {
            let response = match Response::read(&message) {
                Ok(response) => response,
                Err(found) => return fault(found),
            };
            facts.insert("status", response.code.to_string());
            (response.via, response.token)
        }
    };
    facts.insert("method", text(method));
    facts.insert("via-host", host(&via.host));
    facts.insert("branch", text(via.branch.unwrap_or_default()));
    facts.insert("call-id", message.first(Name::CallId).map(|header| text(message.value(header))).unwrap_or_default());
    facts.insert("from-tag", tag(&message, Name::From));
    facts.insert("to-tag", tag(&message, Name::To));
    facts
}

fn tag(message: &Message<'_>, name: Name) -> String {
    let address = message.first(name).and_then(|header| Address::parse(message.value(header)));
    address.and_then(|address| address.tag()).map(text).unwrap_or_default()
}

fn host(host: &Host<'_>) -> String {
    match host {
        Host::Name(name) => text(name),
        Host::Address(ip) => ip.to_string(),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn every_fixture_is_read_as_its_neighbour_says() {
    let mut wrong = Vec::new();
    for fixture in all() {
        let facts = facts(&fixture.bytes);
        assert!(fixture.expect.contains_key("result"), "{}: no result", fixture.name);
        for (key, expected) in &fixture.expect {
            match (key.as_str(), facts.get(key.as_str())) {
                ("source" | "note", _) => {}
                (_, Some(found)) if found == expected => {}
                (_, found) => wrong.push(format!("{}: {key}: {expected:?}, but {found:?}", fixture.name)),
            }
        }
    }
    assert!(wrong.is_empty(), "{} differences:\n{}", wrong.len(), wrong.join("\n"));
}

#[test]
fn the_conformance_sets_are_whole() {
    let fixtures = all();
    let count = |set: &str| {
        let of_set = |fixture: &&Fixture| fixture.expect.get("source").is_some_and(|from| from.starts_with(set));
        fixtures.iter().filter(of_set).count()
    };
    assert_eq!(count("RFC 4475 "), 49);
    assert_eq!(count("RFC 5118 "), 12);
}
