//! `ringfence preflight` from outside: lists that keep a pin, and lists that do not, with a real daemon and a name server.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

#[expect(dead_code, reason = "what the program asks, and that a zone changes, is tested with the resolver")]
#[path = "shell_dns/server.rs"]
mod server;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::Arc;
use std::time::Duration;

use ringfence::net::Daemon;
use serde_json::Value;
use server::NameServer;

const ZONE: &str = "acme.eu.sip.example.com 60 A 127.55.1.1
other.eu.sip.example.com 60 A 127.55.1.1
eu.sip.example.com 60 A 127.55.1.1
carrier.acme.eu.sip.example.com 60 A 127.55.1.1
acme.us.sip.example.com 60 A 198.51.100.9
acme.sip.example.com 60 A 127.55.1.1
moved.eu.sip.example.com 60 A 203.0.113.9
elsewhere.example.net 60 A 203.0.113.9";

/// The configuration of a daemon for region eu at 127.55.1.1, in a file. Its name server has that zone.
fn file(server: &NameServer) -> PathBuf {
    let text = format!(
        "serve = [\"eu\"]\nglobal = \"sip.example.com\"\n[region.eu]\nhostname = \"eu.sip.example.com\"\nlisten = [\"udp:127.55.1.1:5060\"]\n\
         networks = [\"127.55.1.0/24\"]\nupstream = \"127.55.1.200\"\n[region.us]\nhostname = \"us.sip.example.com\"\n\
         networks = [\"198.51.100.0/24\"]\n[project.acme]\npin = [\"eu\"]\nreject = \"twilio\"\n[project.acme.trunk.carrier]\n\
         networks = [\"127.0.0.1/32\"]\n[project.other]\npin = [\"eu\"]\n[project.moved]\npin = [\"eu\"]\n[project.free]\n\
         [health]\ninterval = \"0s\"\n[dns]\nservers = [\"{}\"]\n",
        server.addr
    );
    let path =
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("preflight-{}-{}.toml", server.addr.port(), std::process::id()));
    std::fs::write(&path, &text).unwrap();
    path
}

fn preflight(path: &Path, arguments: &[&str]) -> Output {
    let config = ["preflight", "-c", path.to_str().unwrap()];
    Command::new(env!("CARGO_BIN_EXE_ringfence")).args(config).args(arguments).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

#[test]
fn each_entry_is_told_and_so_is_the_list() {
    let server = NameServer::start(ZONE);
    let path = file(&server);
    let told = |uri: &str, project: &str| {
        let output = preflight(&path, &["--project", project, "--json", uri]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let entry = found["entries"][0].clone();
        (entry["keeps"].as_str().unwrap().to_owned(), entry["why"].to_string(), output.status.code().unwrap())
    };
    for (uri, project, keeps, why, code) in [
        ("sip:acme.eu.sip.example.com", "acme", "yes", "[]", 0),
        ("acme.eu.sip.example.com;transport=udp", "acme", "yes", "[]", 0),
        ("sip:eu.sip.example.com", "acme", "yes", "[]", 0),
        ("sip:acme.us.sip.example.com", "acme", "no", "region us is none of region eu", 1),
        ("sip:acme.us.sip.example.com", "acme", "no", "198.51.100.9:5060 is in the networks of region us", 1),
        ("sip:acme.sip.example.com", "acme", "no", "any region may answer there", 1),
        ("sip:other.eu.sip.example.com", "acme", "no", "it is project other's, not acme's", 1),
        ("sip:elsewhere.example.net", "acme", "no", "somebody else's", 1),
        ("sip:moved.eu.sip.example.com", "moved", "no", "203.0.113.9:5060 is in the networks of no region", 1),
        ("sip:acme.eu.sip.example.com;maddr=203.0.113.9", "acme", "no", "`maddr` leads", 1),
        ("sip:127.55.1.1", "acme", "useless", "an address names no endpoint", 0),
        ("sip:203.0.113.9", "acme", "no", "203.0.113.9:5060 is in the networks of no region", 1),
        ("sip:carrier.acme.eu.sip.example.com", "acme", "useless", "a trunk's name is for calls out", 0),
        ("sip:free.eu.sip.example.com", "free", "useless", "it resolves to nothing", 0),
        ("sip:acme.us.sip.example.com", "free", "no", "it is project acme's", 1),
        ("tel:+4930123", "acme", "unknown", "it is no SIP URI", 2),
    ] {
        let (was, said, ended) = told(uri, project);
        assert!(was == keeps && said.contains(why) && ended == code, "{uri}: {was} {said} {ended}");
    }
}

#[test]
fn a_list_names_its_leak_and_when_the_carrier_uses_it() {
    let server = NameServer::start(ZONE);
    let path = file(&server);
    let output = preflight(&path, &["--project", "acme", "sip:acme.eu.sip.example.com", "sip:acme.sip.example.com"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(out(&output).starts_with("project acme, region eu\n1  sip:acme.eu.sip.example.com  keeps\n"), "{output:?}");
    let sum = "the list does not keep the pin: entry 2 leaks; the carrier uses it after 503, or if nobody answers\n";
    assert!(out(&output).ends_with(sum), "{output:?}");
    // From standard input, without what is no URI.
    let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["preflight", "-c", path.to_str().unwrap(), "--project", "acme", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"# at the carrier\n\n  sip:acme.eu.sip.example.com\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), out(&output).ends_with("the list keeps the pin\n")), (Some(0), true), "{output:?}");
    // Another region than the pin's may be asked for.
    let output = preflight(&path, &["--project", "acme", "--region", "us", "sip:acme.eu.sip.example.com"]);
    assert!(output.status.code() == Some(1) && out(&output).contains("region eu is none of region us"), "{output:?}");
    for (arguments, says) in [
        (&["--project", "nobody", "sip:a"][..], "no project is `nobody`"),
        (&["--project", "acme", "--region", "uk", "sip:a"], "no region is `uk` in the configuration; there are eu, us"),
    ] {
        let output = preflight(&path, arguments);
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.code() == Some(2) && said.contains(says), "{said}");
    }
}

#[test]
fn who_answers_is_asked_if_wanted() {
    let server = NameServer::start(ZONE);
    let path = file(&server);
    let daemon = Daemon::start(Arc::new(ringfence::config::load(&path).unwrap())).unwrap();
    assert!(daemon.ready(Duration::from_secs(10)), "{:?}", daemon.missing());
    let output = preflight(&path, &["--project", "acme", "--probe", "sip:acme.eu.sip.example.com"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(out(&output).contains("   answers 200, region eu\n"), "{output:?}");
    // Nobody is there.
    drop(daemon);
    let output = preflight(&path, &["--project", "acme", "--probe", "sip:acme.eu.sip.example.com"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(out(&output).contains("does not answer OPTIONS over udp"), "{output:?}");
    assert!(out(&output).ends_with("cannot tell whether the list keeps the pin: entry 1\n"), "{output:?}");
}
