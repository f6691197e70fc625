//! The example files for carriers: whole configurations, which say when their networks were looked up.

#![expect(clippy::unwrap_used, reason = "a test may stop where an example is missing")]

use std::fs;
use std::path::PathBuf;

use ringfence::config;

use crate::secure::Folder;

/// Name and text of each example.
fn examples() -> Vec<(String, String)> {
    let mut paths: Vec<PathBuf> = fs::read_dir("deploy/examples").unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    let read = |path: &PathBuf| (path.file_name().unwrap().to_str().unwrap().to_owned(), fs::read_to_string(path).unwrap());
    paths.iter().map(read).collect()
}

#[test]
fn each_carrier_has_one() {
    let names: Vec<String> = examples().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["pbx-behind-nat.toml", "plivo.toml", "teams.toml", "telnyx.toml", "twilio.toml"]);
}

/// As they are they lack a key, and nothing else; with the two lines about it taken in, nothing is left to say.
#[test]
fn they_load() {
    let folder = Folder::new("examples");
    folder.certificate("eu", &["eu.sip.example.com", "acme.eu.sip.example.com"], 2090);
    folder.write("ringfence.key", "a key for this test alone");
    for (name, text) in examples() {
        // The authorities of the machine that runs the test do not matter.
        let text = text.replace("/etc/ssl/certs/ca-certificates.crt", "ca.pem");
        let loaded = |text: &str| {
            folder.write(&name, text);
            config::load(&folder.path(&name)).unwrap_or_else(|error| panic!("{name}: {error}"))
        };
        let warnings = loaded(&text).warnings;
        let said: Vec<&str> = warnings.iter().map(|warning| warning.wrong.as_str()).collect();
        assert!(matches!(said[..], [no_key] if no_key.starts_with("no [secret]")), "{name}: {said:?}");

        let with_key = text.replace("# [secret]", "[secret]").replace("# file = ", "file = ");
        let config = loaded(&with_key);
        assert_eq!(config.warnings, [], "{name}");
        assert!(config.secret.is_some(), "{name}");
        assert!(config.trunks.iter().all(|trunk| !trunk.networks.is_empty() && !trunk.media().is_empty()), "{name}");
    }
}

#[test]
fn they_say_when_a_carriers_networks_were_looked_up() {
    for (name, text) in examples() {
        let comments: String = text.lines().filter_map(|line| line.strip_prefix('#')).collect();
        if name == "pbx-behind-nat.toml" {
            continue;
        }
        assert!(comments.contains("against"), "{name}: nobody is asked to check them");
        let (_, date) = comments.split_once("looked up on ").unwrap_or_else(|| panic!("{name}: no date"));
        let date: String = date.chars().take(10).collect();
        let digits: Vec<bool> = date.chars().map(|c| c.is_ascii_digit()).collect();
        let shape = [true, true, true, true, false, true, true, false, true, true];
        assert_eq!(digits, shape, "{name}: {date}");
    }
}
