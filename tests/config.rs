//! Configurations from outside: what is right loads, and what is wrong is named with its place.

use std::path::Path;

use ringfence::config::{self, Config};

fn loads(text: &str) -> Config {
    config::parse(Path::new("ringfence.toml"), text).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_examples_load() {
    let config = config::load(Path::new("deploy/ringfence.toml")).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(config.files.len(), 2);
    assert_eq!(config.regions.len(), 2);
    assert_eq!(config.projects.len(), 1);
    assert_eq!(config.listeners.len(), 2);
    assert_eq!(config.names, ["livekit.eu.internal", "livekit.us.internal", "acme.pstn.dublin.twilio.com"]);
    assert_eq!(config.digest.len(), 64);
}

#[test]
fn several_mistakes_at_once() {
    let _ = loads(
        "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nnetworks = [\"127.0.0.0/24\"]\nupstream = \"127.0.0.1\"\nlisten = [\"udp:127.0.0.1:5060\"]\n",
    );
    let error = config::parse(
        Path::new("ringfence.toml"),
        "serve = [\"eu\", \"uk\"]\ncolor = 1\n[region.eu]\nhostnam = \"eu.example.com\"\nnetworks = [\"10.0.0.1/24\"]\nlisten = [\"tls:127.0.0.1:5060\"]\nupstream = \"10.0.0.1\"\n",
    )
    .unwrap_err();
    println!("{error}");
    assert_eq!(error.mistakes.len(), 6);
}
