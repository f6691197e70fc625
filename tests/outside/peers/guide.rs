//! docs/guide.md followed word by word: the steps of its first part, in order, by a shell, with what they show.
//!
//! Of the steps only `cargo build` is left out: what is tested is built already.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::apart::apart;
use crate::harness::Site;
use crate::harness::process::Process;

/// The blocks behind a mark.
fn blocks<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let block = |rest: &'t str| rest.split_once("```").unwrap().1.split_once('\n').unwrap().1.split_once("```").unwrap().0;
    text.split(mark).skip(1).map(block).collect()
}

#[test]
fn the_first_region_in_ten_minutes() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/guide.md")).unwrap();
    let (steps, shows) = (blocks(&guide, "<!-- step -->"), blocks(&guide, "<!-- shows -->"));
    assert!(steps.len() > 5 && !shows.is_empty(), "the guide has lost its marks");
    let site = Site::claim();
    let binary = Path::new(env!("CARGO_BIN_EXE_ringfence")).parent().unwrap().display();
    // Whatever a step starts and no step ends is ended with the shell's group.
    let script = format!(
        "set -euo pipefail\ntrap 'trap - EXIT; kill 0' EXIT\ncargo() {{ echo \"cargo $*\"; }}\nexport PATH=\"{binary}:$PATH\"\n{}trap - EXIT\necho followed\n",
        steps.concat()
    );
    let script = site.write("steps.sh", &script);
    std::os::unix::fs::symlink(root.join("deploy"), site.directory().join("deploy")).unwrap();
    let output = apart(|| {
        let mut shell = Process::start("guide", site.directory(), Command::new("timeout").arg("100").arg("bash").arg(script));
        let ended = shell.join();
        assert!(ended.success(), "{ended}: {}", shell.output());
        shell.output()
    });
    assert!(output.contains("cargo build --release"), "{output}");
    assert_eq!(output.lines().filter(|line| *line == "refused").count(), 2, "{output}");
    for shown in shows {
        assert!(output.contains(shown), "the guide shows\n{shown}and a shell\n{output}");
    }
    assert!(output.ends_with("followed\n"), "{output}");
}
