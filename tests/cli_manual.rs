//! `ringfence --help`, `man` and `completions` from outside: every command and option says what it does.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

use std::path::Path;
use std::process::Command;

fn ringfence(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(arguments).output().unwrap();
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that `--help` lists.
fn commands() -> Vec<String> {
    let help = ringfence(&["--help"]);
    let (_, list) = help.split_once("Commands:\n").unwrap();
    let (list, _) = list.split_once("\n\n").unwrap();
    let lines = list.lines().filter_map(|line| {
        let mut words = line.split_whitespace();
        let name = words.next()?;
        assert!(words.next().is_some(), "{name} says nothing");
        Some(name.to_owned())
    });
    lines.filter(|name| name != "help").collect()
}

#[test]
fn every_command_has_examples_exit_codes_and_words_for_its_options() {
    let commands = commands();
    assert!(commands.len() >= 9, "{commands:?}");
    let inner = ["verify", "report", "prove", "find"].map(|of| format!("audit {of}"));
    for command in commands.iter().chain(&inner) {
        let words: Vec<&str> = command.split(' ').collect();
        let help = ringfence(&[&words[..], &["--help"]].concat());
        assert!(help.contains("\nExamples:\n") && help.contains("\nExit codes:\n"), "{help}");
        assert!(help.contains(&format!("ringfence {command}")), "{help}");
        let lines: Vec<&str> = help.lines().collect();
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| line.starts_with("  -") || line.starts_with("      --")) {
            assert!(lines[at + 1].starts_with("          "), "{command}: {line} says nothing");
        }
        let short = ringfence(&[&words[..], &["-h"]].concat());
        assert!(short.contains("Exit codes:") && !short.contains("Examples:"), "{short}");
    }
}

#[test]
fn every_command_has_a_page() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("man-{}/share/man1", std::process::id()));
    assert_eq!(ringfence(&["man", folder.to_str().unwrap()]), "");
    let mut pages: Vec<String> =
        std::fs::read_dir(&folder).unwrap().map(|of| of.unwrap().file_name().into_string().unwrap()).collect();
    pages.sort();
    let mut expected: Vec<String> = commands().iter().map(|command| format!("ringfence-{command}.1")).collect();
    expected.extend(["verify", "report", "prove", "find"].map(|of| format!("ringfence-audit-{of}.1")));
    expected.push("ringfence.1".to_owned());
    expected.sort();
    assert_eq!(pages, expected);
    for page in pages.iter().filter(|page| *page != "ringfence.1") {
        let text = std::fs::read_to_string(folder.join(page)).unwrap();
        assert!(text.contains(".SH \"EXIT STATUS\"\n") && text.contains(".SH EXAMPLES\n"), "{text}");
    }
    assert_eq!(ringfence(&["man"]), std::fs::read_to_string(folder.join("ringfence.1")).unwrap());
    let occupied = folder.join("ringfence.1");
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("man").arg(occupied).output().unwrap();
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}

#[test]
fn every_shell_has_completions() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let text = ringfence(&["completions", shell]);
        for word in commands().iter().map(String::as_str).chain(["--listener", "--invite", "--diff"]) {
            assert!(text.contains(word.trim_start_matches('-')), "{shell} knows no {word}");
        }
    }
}

#[test]
fn the_page_lists_every_exit_code() {
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/commands.md")).unwrap();
    let (_, table) = page.split_once("<!-- exit codes -->\n").unwrap();
    let table: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
    for command in commands() {
        let help = ringfence(&[&command, "-h"]);
        let (_, codes) = help.split_once("Exit codes:\n").unwrap();
        let codes = codes
            .lines()
            .filter_map(|line| line.split_whitespace().next()?.parse::<u8>().ok())
            .filter(|code| ![0, 2].contains(code));
        for code in codes {
            let row = table.iter().find(|row| row.starts_with(&format!("| {code} |"))).unwrap_or_else(|| panic!("no {code}"));
            assert!(row.contains(&format!("`{command}`")), "{row} says nothing of {command}");
        }
    }
}
