//! `ringfence check --diff` from outside: what it says of two configurations, and with which code it ends.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

mod page;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use page::{block, read};
use serde_json::{Value, json};

const OLD: &str = r#"
serve = ["eu"]
[region.eu]
hostname = "eu.sip.example.com"
listen = ["udp:203.0.113.10:5060", "tcp:203.0.113.10:5060"]
networks = ["203.0.113.0/24", "10.20.0.0/16"]
upstream = ["10.20.0.5:5060"]
[region.us]
hostname = "us.sip.example.com"
networks = ["198.51.100.0/24"]
[project.acme]
pin = ["eu"]
[project.acme.trunk.carrier]
networks = ["54.171.127.192/30", "192.0.2.0/24"]
[project.gone]
[secret]
file = "KEY"
"#;

fn write(test: &str, name: &str, text: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("diff-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("a.key"), "a key that only this test knows, long enough\n").unwrap();
    std::fs::write(folder.join("b.key"), "another key that only this test knows, long enough\n").unwrap();
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path
}

fn diff(test: &str, old: &str, new: &str, arguments: &[&str]) -> Output {
    let (old, new) =
        (write(test, "old.toml", &old.replace("KEY", "a.key")), write(test, "new.toml", &new.replace("KEY", "a.key")));
    Command::new(env!("CARGO_BIN_EXE_ringfence")).args(["check", "--diff"]).args([old, new]).args(arguments).output().unwrap()
}

fn out(output: &Output) -> &str {
    std::str::from_utf8(&output.stdout).unwrap()
}

/// A new configuration in which much is otherwise.
fn new() -> String {
    OLD.replace("\"tcp:203.0.113.10:5060\"", "\"udp:203.0.113.11:5060\"")
        .replace("pin = [\"eu\"]", "pin = [\"us\"]\nmode = \"shadow\"")
        .replace("192.0.2.0/24", "192.0.3.0/24")
        .replace("[project.gone]", "[project.new]\n[project.new.trunk.one]\nnetworks = [\"192.0.2.1/32\"]")
        .replace("KEY", "b.key")
        + "[limits]\nper_source = \"100/s\"\n[region.uk]\nhostname = \"uk.sip.example.com\"\nnetworks = [\"10.30.0.0/16\"]\n"
}

#[test]
fn the_page_shows_what_is_printed() {
    let old = block(&read("docs/configuration.md"), "<!-- example -->").replace("ringfence.key", "KEY");
    let new = old.replace(", \"tcp:203.0.113.10:5060\"", "").replace("pin = [\"eu\"]", "pin = [\"us\"]")
        + "[project.acme.trunk.second]\nnetworks = [\"192.0.2.0/24\"]\n";
    assert_eq!(out(&diff("page", &old, &new, &[])), block(&read("docs/commands.md"), "<!-- diff -->"));
}

#[test]
fn nothing_is_said_as_such() {
    // The order of tables and of networks says nothing.
    let same = OLD.replace("\"203.0.113.0/24\", \"10.20.0.0/16\"", "\"10.20.0.0/17\", \"10.20.128.0/17\", \"203.0.113.0/24\"");
    let output = diff("same", OLD, &same, &[]);
    assert_eq!((output.status.code(), out(&output)), (Some(0), "nothing\n"), "{output:?}");
    let output = diff("same-json", OLD, &same, &["--json"]);
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), &found["changes"], &found["consequences"]), (Some(0), &json!([]), &json!([])), "{found}");
    let warned: Vec<&str> = found["warnings"].as_array().unwrap().iter().filter_map(|of| of["wrong"].as_str()).collect();
    assert!(warned.contains(&"project `gone` has no trunk: nobody may call for it"), "those of the new file: {warned:?}");
}

#[test]
fn each_thing_is_told_field_by_field() {
    let output = diff("text", OLD, &new(), &[]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let names = |line: &str| line.split("known as ").map(|part| part.get(8..).unwrap_or_default().to_owned()).collect::<Vec<_>>();
    let lines: Vec<&str> = out(&output).lines().collect();
    let secret = lines.iter().position(|line| *line == "changed setting secret").unwrap();
    assert_eq!(names(lines[secret + 1]).len(), 3, "{output:?}");
    assert!(!out(&output).contains("a key that only"), "{output:?}");
    let told: Vec<&str> = lines.iter().enumerate().filter(|(at, _)| *at != secret + 1).map(|(_, line)| *line).collect();
    assert_eq!(
        told.join("\n"),
        "changed setting limits.per_source\n        value: 200/s → 100/s\nchanged setting secret\n\
         changed region eu\n        listen: -tcp:203.0.113.10:5060 +udp:203.0.113.11:5060\nadded   region uk\n\
         changed project acme\n        pin: eu → us\n        mode: enforce → shadow\nremoved project gone\nadded   project new\n\
         changed trunk carrier of acme\n        networks: -192.0.2.0/24 +192.0.3.0/24\nadded   trunk one of new\n\
         → requests inside calls that are up become 170 forged-route, on this node and on others with the former key\n\
         → tcp:203.0.113.10:5060 takes no new calls: they become 161 draining until its open ones have ended, and it closes\n\
         → calls of acme to eu.sip.example.com still pass, and count as shadow 130 pinned-elsewhere\n\
         → calls of acme that its rules refuse pass from now on, and count as shadow\n\
         → calls of acme from 192.0.2.0/24 become 120 unknown-source\n\
         → calls from 192.0.3.0/24 are acme's from now on\n\
         → calls of gone become 111 unknown-endpoint\n\
         → calls from 192.0.2.1/32 to new are accepted from now on\n\
         3 added, 1 removed, 5 changed"
    );
}

#[test]
fn the_same_for_machines() {
    let output = diff("json", OLD, &new(), &["--json"]);
    assert_eq!(output.status.code(), Some(3), "{output:?}");
    let found: Value = serde_json::from_slice(&output.stdout).unwrap();
    let changes = found["changes"].as_array().unwrap();
    let of = |kind: &str, name: &str| changes.iter().find(|of| of["kind"] == kind && of["name"] == name).unwrap().clone();
    let listen = json!({ "field": "listen", "removed": ["tcp:203.0.113.10:5060"], "added": ["udp:203.0.113.11:5060"] });
    assert_eq!(of("region", "eu"), json!({ "kind": "region", "name": "eu", "change": "changed", "fields": [listen] }));
    assert_eq!(of("project", "acme")["fields"][0], json!({ "field": "pin", "old": "eu", "new": "us" }));
    assert_eq!(of("project", "gone"), json!({ "kind": "project", "name": "gone", "change": "removed", "fields": [] }));
}

#[test]
fn a_file_with_mistakes_is_no_configuration() {
    let output = diff("broken", OLD, "colour = 1\n", &[]);
    assert_eq!((output.status.code(), out(&output)), (Some(78), ""), "{output:?}");
    let output = diff("broken-json", OLD, "colour = 1\n", &["--json"]);
    assert_eq!(output.status.code(), Some(78));
    assert!(out(&output).starts_with("{\"valid\":false"), "{output:?}");
    let with_config = diff("both", OLD, OLD, &["-c", "deploy/ringfence.toml"]);
    assert_eq!(with_config.status.code(), Some(2), "{with_config:?}");
}

#[test]
fn what_a_change_means_for_calls() {
    let said = |test: &str, old: &str, new: &str| -> Vec<String> {
        let output = diff(&format!("means-{test}"), old, new, &["--json"]);
        let found: Value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
        let text = |of: &Value| format!("{}: {}", of["of"].as_str().unwrap(), of["text"].as_str().unwrap());
        found["consequences"].as_array().unwrap().iter().map(text).collect()
    };
    let media = OLD.replace("[project.gone]", "[project.gone]\nmedia = \"off\"");
    assert_eq!(said("media", OLD, &media), ["project gone: calls of gone with media outside pass from now on"]);
    assert_eq!(
        said("media-back", &media, OLD),
        ["project gone: calls of gone with media outside are refused from now on (140, 141, 142)"]
    );
    let source = OLD.replace("[project.gone]", "[project.gone]\nsource = \"in-region\"");
    assert_eq!(said("source", OLD, &source), ["project gone: calls of gone from outside the region become 121 foreign-source"]);
    let keys = |text: &str, of: &str, keys: &str| {
        text.replace(&format!("[project.{of}]"), &format!("[project.{of}]\napi_keys = [{keys}]"))
    };
    let (one, other) = (keys(OLD, "acme", "\"APIa\", \"APIb\""), keys(OLD, "gone", "\"APIb\", \"APIc\""));
    assert_eq!(
        said("keys", &one, &other),
        [
            "project acme: realtime clients with a token of APIa are refused from now on (401)",
            "project acme: tokens of APIb are gone's from now on",
            "project gone: tokens of APIc are gone's from now on",
        ]
    );
    let narrow = OLD.replace("\"10.20.0.0/16\"", "\"10.20.0.0/17\"");
    assert_eq!(
        said("narrow", OLD, &narrow),
        [
            "region eu: 10.20.0.0/16 is outside from now on: nothing is sent there (150 foreign-target), and media there becomes 140 \
          foreign-media-offer"
        ]
    );
    assert_eq!(
        said("wider", &narrow, OLD),
        ["region eu: 10.20.0.0/16 is inside from now on: calls and their media may go there"]
    );
    let shadow = |text: &str| text.replace("[project.acme]", "[project.acme]\nmode = \"shadow\"");
    let pinned = shadow(OLD).replace("pin = [\"eu\"]", "pin = [\"us\"]");
    assert_eq!(
        said("shadow", &shadow(OLD), &pinned),
        ["project acme: calls of acme to eu.sip.example.com still pass, and count as shadow 130 pinned-elsewhere"]
    );
    assert_eq!(said("unpinned", &pinned, &shadow(OLD)), ["project acme: calls of acme to eu.sip.example.com pass from now on"]);
    let with_media = OLD.replace("\"192.0.2.0/24\"]", "\"192.0.2.0/24\"]\nmedia = [\"198.51.100.0/24\"]");
    assert_eq!(
        said("media-of-trunk", &with_media, OLD),
        [
            "trunk carrier of acme: calls of trunk carrier of acme with media at 198.51.100.0/24 become 140 foreign-media-offer, unless it is inside \
          the region"
        ]
    );
    let none = OLD.replace("serve = [\"eu\"]", "serve = [\"eu\", \"us\"]").replace(
        "networks = [\"198.51.100.0/24\"]",
        "networks = [\"198.51.100.0/24\"]\nlisten = [\"udp:198.51.100.1:5060\"]\nupstream = \"198.51.100.5\"",
    );
    assert_eq!(said("serves", OLD, &none), ["region us: calls to us.sip.example.com are taken from now on"]);
    let moved = OLD.replace("us.sip.example.com", "usa.sip.example.com");
    assert_eq!(said("moved", OLD, &moved), ["region us: calls to us.sip.example.com become 111 unknown-endpoint"]);
}
