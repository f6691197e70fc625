//! docs/guide.md followed word by word: the steps of its first part and of the variants of it, in order, by a shell, with what they
//! show. Each variant has a network of its own, so that they run beside each other.
//!
//! Of the steps only `cargo build` is left out: what is tested is built already.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::apart::apart;
use crate::harness::Site;
use crate::harness::process::Process;

/// The next block of a text.
fn block(text: &str) -> &str {
    text.split_once("```").unwrap().1.split_once('\n').unwrap().1.split_once("```").unwrap().0
}

/// The blocks behind a mark.
pub(super) fn blocks<'t>(text: &'t str, mark: &str) -> Vec<&'t str> {
    let blocks: Vec<&str> = text.split(mark).skip(1).map(block).collect();
    assert!(!blocks.is_empty(), "the guide has lost its {mark}");
    blocks
}

/// The steps with one of these marks, in the order of the text.
fn steps(text: &str, of: &[&str]) -> String {
    let mark = "<!-- step: ";
    for of in of {
        assert!(text.contains(&format!("{mark}{of} -->")), "the guide has lost its {of}");
    }
    let wanted = |rest: &&str| of.contains(&rest.split_once(" -->").unwrap().0);
    text.split(mark).skip(1).filter(wanted).map(block).collect()
}

/// Builds, configures, and follows the steps of one variant and those that its text names before; everything that they say.
fn follow(variant: &[&str], refused: usize) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let guide = fs::read_to_string(root.join("docs/guide.md")).unwrap();
    let steps = steps(&guide, &[&["make"], variant].concat());
    let site = Site::claim();
    let binary = Path::new(env!("CARGO_BIN_EXE_ringfence")).parent().unwrap().display();
    let path = super::path();
    // Whatever a step starts and no step ends is ended with the shell's group.
    let script = format!(
        "set -euo pipefail\ntrap 'trap - EXIT; kill 0' EXIT\ncargo() {{ echo \"cargo $*\"; }}\nexport PATH=\"{binary}:{path}\"\n{steps}trap - EXIT\necho followed\n"
    );
    let script = site.write("steps.sh", &script);
    std::os::unix::fs::symlink(root.join("deploy"), site.directory().join("deploy")).unwrap();
    let output = apart(|| {
        let mut shell = Process::start("guide", site.directory(), Command::new("timeout").arg("60").arg("bash").arg(script));
        let ended = shell.join();
        assert!(ended.success(), "{ended}: {}", shell.output());
        shell.output()
    });
    assert!(output.contains("cargo build --release"), "{output}");
    assert_eq!(output.lines().filter(|line| *line == "refused").count(), refused, "{output}");
    assert!(output.ends_with("followed\n"), "{output}");
    output
}

/// The same for a variant whose text says what a shell shows.
fn follow_and_compare(variant: &[&str], refused: usize) {
    let output = follow(variant, refused);
    let variant = variant.last().unwrap();
    let guide = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/guide.md")).unwrap();
    for shown in blocks(&guide, &format!("<!-- shows: {variant} -->")) {
        assert!(output.contains(shown), "the guide shows\n{shown}and a shell\n{output}");
    }
}

#[test]
fn the_first_region_in_ten_minutes() {
    follow_and_compare(&["first"], 2);
}

#[test]
fn the_same_with_kamailio() {
    follow_and_compare(&["kamailio"], 1);
}

#[test]
fn calls_over_tls() {
    follow_and_compare(&["certificate", "carrier", "tls"], 0);
}

#[test]
fn two_projects_at_one_carrier() {
    follow_and_compare(&["certificate", "carrier", "two"], 1);
}

#[test]
fn the_same_with_a_telephone() {
    let output = follow(&["baresip"], 0);
    let packets = output.lines().find_map(|line| line.strip_prefix("packets:")).unwrap();
    let packets: Vec<u32> = packets.split_whitespace().map(|count| count.parse().unwrap()).collect();
    assert!(matches!(packets[..], [sent, received] if sent > 10 && received > 10), "{output}");
}
