//! `ringfence zone` from outside: the records that it prints, and what it leaves out.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use page::{block, read};

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("zone-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn zone(folder: &Path, config: &str, arguments: &[&str]) -> Output {
    std::fs::write(folder.join("ringfence.toml"), config).unwrap();
    std::fs::write(folder.join("ringfence.key"), "a key that only this test knows, long enough\n").unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.current_dir(folder).args(["zone", "-c", "ringfence.toml"]).args(arguments).output().unwrap()
}

/// The records, each without the spaces that align them.
fn records(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with([';', '$']));
    lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" ")).collect()
}

fn config(listen: &str, more: &str) -> String {
    format!(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nnetworks = [\"10.0.0.0/8\"]\nupstream = \"10.0.0.1\"\n\
         listen = [{listen}]\n{more}\n[project.at-192-0-2-2]\n"
    )
}

#[test]
fn the_page_shows_what_is_printed() {
    let output = zone(&folder("page"), block(&read("docs/configuration.md"), "<!-- example -->"), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert_eq!(String::from_utf8(output.stdout).unwrap(), block(&read("docs/commands.md"), "<!-- zone -->"));
}

#[test]
fn the_same_for_machines() {
    let output = zone(&folder("json"), block(&read("docs/configuration.md"), "<!-- example -->"), &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let zone: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&zone["ttl"], &zone["left_out"]), (&300.into(), &serde_json::json!([])));
    let records = zone["records"].as_array().unwrap();
    let of = |name: &str, kind: &str| records.iter().find(|of| of["name"] == name && of["type"] == kind).unwrap()["data"].clone();
    assert_eq!(of("eu.sip.example.com.", "A"), "203.0.113.10");
    assert_eq!(of("_sip._udp.eu.sip.example.com.", "SRV"), "10 10 5060 eu.sip.example.com.");
}

#[test]
fn addresses_that_take_not_everything_have_names_of_their_own() {
    let listen = "\"udp:192.0.2.1:5060\", \"udp:192.0.2.2:5070\", \"tcp:192.0.2.1:5060\", \"udp:[2001:db8::1]:5060\"";
    let output = zone(&folder("apart"), &config(listen, ""), &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let found = records(&output);
    for record in [
        "_sip._tcp.eu.example.com. SRV 10 10 5060 at-192-0-2-1.eu.example.com.",
        "_sip._udp.eu.example.com. SRV 10 10 5060 at-192-0-2-1.eu.example.com.",
        "_sip._udp.eu.example.com. SRV 10 10 5060 at-2001-db8--1.eu.example.com.",
        // Not the name of the project that is called so.
        "_sip._udp.eu.example.com. SRV 10 10 5070 at-192-0-2-2x.eu.example.com.",
        "at-192-0-2-2x.eu.example.com. A 192.0.2.2",
        "at-2001-db8--1.eu.example.com. AAAA 2001:db8::1",
        "eu.example.com. AAAA 2001:db8::1",
        "*.eu.example.com. NAPTR 10 20 \"s\" \"SIP+D2T\" \"\" _sip._tcp.eu.example.com.",
    ] {
        assert!(found.contains(&record.to_owned()), "{record}: {found:#?}");
    }
}

#[test]
fn what_is_advertised_is_what_is_found() {
    let listen = "\"udp:0.0.0.0:5060\", \"tcp:10.0.0.1:5060\"";
    let output = zone(&folder("address"), &config(listen, "advertise = \"192.0.2.9\""), &["--ttl", "60"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stdout).contains("\n$TTL 60\n"));
    assert!(records(&output).contains(&"eu.example.com. A 192.0.2.9".to_owned()), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("10.0.0.1"), "{output:?}");
    let output = zone(&folder("name"), &config(listen, "advertise = \"sbc.example.net\""), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(records(&output).contains(&"_sip._udp.eu.example.com. SRV 10 10 5060 sbc.example.net.".to_owned()), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("advertise is a name"), "{output:?}");
    let output = zone(&folder("wildcard"), &config(listen, ""), &[]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("left out udp:0.0.0.0:5060, a wildcard address"), "{output:?}");
    assert!(!String::from_utf8_lossy(&output.stdout).contains("_udp"), "{output:?}");
}

#[test]
fn a_whole_zone_holds_what_is_in_it() {
    let config = format!("global = \"sip.example.net\"\n{}", config("\"udp:192.0.2.1:5060\"", ""));
    let output =
        zone(&folder("whole"), &config, &["--zone", "Example.com", "--ns", "ns1.example.org", "--ns", "ns2.example.org"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    let found = records(&output);
    assert!(found[0].starts_with("example.com. SOA ns1.example.org. hostmaster.example.com. "), "{found:#?}");
    assert_eq!(found[1..3], ["example.com. NS ns1.example.org.", "example.com. NS ns2.example.org."]);
    assert!(found.iter().all(|record| record.split(' ').next().unwrap().ends_with("example.com.")), "{found:#?}");
    assert!(
        String::from_utf8_lossy(&output.stderr).contains("left out *.sip.example.net: it is not in example.com"),
        "{output:?}"
    );
    assert_eq!(zone(&folder("alone"), &config, &["--zone", "example.com"]).status.code(), Some(2), "without a name server");
}
