//! The README held to the program: what it configures, shows and measures is what the built binary takes, prints and `docs` says.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

mod page;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use page::{block, read};

fn ringfence(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// A folder of this test's own with the README's configuration, a key whose content is known, and the request that it speaks of.
fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("front-door-{test}-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("ringfence.toml"), block(&read("README.md"), "<!-- smallest -->")).unwrap();
    fs::write(folder.join("ringfence.key"), "a key for the documentation alone").unwrap();
    fs::write(folder.join("invite.txt"), block(&read("docs/refusals.md"), "<!-- request -->")).unwrap();
    folder
}

fn explain(folder: &Path, more: &[&str]) -> Output {
    let (config, invite) = (folder.join("ringfence.toml"), folder.join("invite.txt"));
    let arguments = ["explain", "-c", config.to_str().unwrap(), "--source", "54.171.127.193:5060", invite.to_str().unwrap()];
    ringfence(&[&arguments, more].concat())
}

#[test]
fn the_smallest_configuration_loads_without_a_warning() {
    let config = folder("smallest").join("ringfence.toml");
    let lines = fs::read_to_string(&config).unwrap().lines().filter(|line| !line.is_empty()).count();
    assert!(lines <= 12, "it is said to be small: {lines} lines");
    let output = ringfence(&["check", "-c", config.to_str().unwrap()]);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""));
}

#[test]
fn the_first_commands_run_as_they_stand() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("front-door-first-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let readme = read("README.md");
    let line = |start: &str| readme.lines().find(|line| line.starts_with(start)).unwrap().split('#').next().unwrap().to_owned();
    for command in [line("ringfence init "), line("ringfence check "), "ringfence check --here".to_owned()] {
        let words: Vec<&str> = command.split_whitespace().skip(1).collect();
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(&words).current_dir(&folder).output().unwrap();
        assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{command}: {output:?}");
    }
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn the_answer_is_the_one_on_the_wire() {
    let output = explain(&folder("answer"), &["--json"]);
    let explained: serde_json::Value = serde_json::from_str(text(&output.stdout)).unwrap();
    let shown = block(&read("README.md"), "<!-- answer -->").replace('\n', "\r\n") + "\r\n";
    assert_eq!(explained["answer"]["text"], shown, "{explained:#}");
    assert_eq!(explained["targets"], serde_json::json!([]), "nothing to anybody else");
}

#[test]
fn explain_says_what_is_shown() {
    let output = explain(&folder("explain"), &[]);
    let mut lines = text(&output.stdout).lines();
    for line in block(&read("README.md"), "<!-- explained -->").lines() {
        assert!(lines.any(|found| found == line), "no `{line}`, or not there, in\n{}", text(&output.stdout));
    }
}

#[test]
fn the_demo_prints_what_is_shown() {
    let readme = read("README.md");
    assert!(readme.contains("\ncargo run --release -- demo\n"));
    let output = ringfence(&["demo", "--once"]);
    let shown = block(&readme, "<!-- demo -->");
    assert!(text(&output.stdout).contains(shown), "{}", text(&output.stdout));
}

#[test]
fn what_was_measured_stands_on_the_page_too() {
    let (readme, page) = (read("README.md"), read("docs/benchmarks.md"));
    let (_, shown) = readme.split_once("\n## Benchmark\n").unwrap();
    let (shown, _) = shown.split_once("\n## ").unwrap();
    let rows: Vec<&str> = shown.lines().filter(|line| line.starts_with("| ")).collect();
    assert!(rows.len() >= 4, "{rows:?}");
    for row in rows {
        assert!(page.lines().any(|line| line == row), "{row}");
    }
}

#[test]
fn it_stays_a_front_door() {
    let readme = read("README.md");
    let lines = readme.lines().count();
    assert!(lines <= 155, "{lines} lines: what is longer than a sentence belongs into docs/");
    assert!(readme.contains("`tests/run`"));
}
