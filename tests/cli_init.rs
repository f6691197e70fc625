//! `ringfence init` from outside: what it writes, and what it says of answers that cannot be right.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const ALL: [&str; 16] = [
    "--region",
    "eu",
    "--hostname",
    "EU.sip.example.com",
    "--address",
    "203.0.113.10",
    "--network",
    "203.0.113.0/24",
    "--server",
    "203.0.113.5:5060",
    "--project",
    "acme",
    "--carrier",
    "twilio-ie",
    "--carrier-network",
    "54.171.127.192/30",
];

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("init-{test}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    folder
}

fn init(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    command.arg("init").args(arguments).arg("--directory").arg(folder).output().unwrap()
}

/// The options with one value instead of another.
fn with(option: &str, value: &str) -> Vec<String> {
    let mut all: Vec<String> = ALL.map(str::to_owned).to_vec();
    let at = all.iter().position(|of| of == option).unwrap();
    value.clone_into(&mut all[at + 1]);
    all
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn what_it_writes_is_right_and_runs() {
    let folder = folder("right");
    let output = init(&folder, &ALL);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{output:?}");
    let (file, key) = (folder.join("ringfence.toml"), folder.join("ringfence.key"));
    let out = text(&output.stdout);
    assert!(out.contains("ringfence.toml: valid\n"), "no warning: {out}");
    assert!(out.ends_with(&format!("ringfence run -c {}\n", file.display())), "{out}");
    assert_eq!(fs::metadata(&key).unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(&key).unwrap().len(), 32);
    let written = fs::read_to_string(&file).unwrap();
    assert!(
        written.contains("hostname = \"eu.sip.example.com\"") && written.contains("# carriers call acme.eu.sip.example.com"),
        "{written}"
    );
    assert!(written.lines().all(|line| line.chars().count() <= 140), "{written}");
    assert!(written.contains("\nmedia = [\"54.171.127.192/30\"]"), "as it signals, if nothing else is said: {written}");
    // Nothing is overwritten unasked.
    let again = init(&folder, &ALL);
    assert_eq!(again.status.code(), Some(2), "{again:?}");
    assert!(text(&again.stderr).contains("is there already: --force overwrites it"), "{again:?}");
    let before = fs::read(&key).unwrap();
    assert_eq!(init(&folder, &[&ALL[..], &["--force"]].concat()).status.code(), Some(0));
    assert_eq!(fs::read(&key).unwrap(), before, "the key is kept: other nodes may have it too");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn ipv6_and_a_server_by_name_are_as_good() {
    let folder = folder("six");
    let six = [
        "--region",
        "eu",
        "--hostname",
        "eu.sip.example.com",
        "--address",
        "2001:db8::10",
        "--server",
        "livekit.eu.internal",
        "--project",
        "acme",
        "--carrier",
        "one",
        "--carrier-network",
        "2001:db8:5::/48",
    ];
    let output = init(&folder, &six);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), ""), "{output:?}");
    let written = fs::read_to_string(folder.join("ringfence.toml")).unwrap();
    assert!(written.contains("udp:[2001:db8::10]:5060") && written.contains("networks = [\"2001:db8::/64\"]"), "{written}");
    fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn what_cannot_be_right_is_said_with_what_would_be() {
    for (option, value, says) in [
        ("--network", "10.0.0.0/8", "10.0.0.0/8 does not hold 203.0.113.10, where the daemon listens: add 203.0.113.10/32"),
        ("--server", "10.20.0.5:5060", "If it is in the region: --network 203.0.113.0/24 --network 10.20.0.5/32"),
        ("--address", "carrier", "an address would be right, for example 203.0.113.10"),
        ("--address", "0.0.0.0", "an address of this machine would be right"),
        ("--network", "203.0.113.7/24", "`203.0.113.7/24` has bits behind its prefix: 203.0.113.0/24 would be right"),
        ("--carrier-network", "here", "`here` is no network: 203.0.113.0/24 would be right"),
        ("--hostname", "two words", "a host name would be right"),
        ("--hostname", "eu", "a host name would be right"),
        ("--hostname", "a_b.example.com", "a host name would be right"),
        ("--project", "a b", "a name of letters, digits and hyphens would be right, for example acme"),
    ] {
        let folder = folder("wrong");
        let all = with(option, value);
        let output = init(&folder, &all.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert!(
            text(&output.stderr).contains(&format!("{option} {value}: ")) && text(&output.stderr).contains(says),
            "{output:?}"
        );
        assert!(!folder.exists(), "nothing is written");
    }
}

#[test]
fn without_a_terminal_what_is_missing_is_listed() {
    let folder = folder("missing");
    let output = init(&folder, &["--region", "eu", "--address", "203.0.113.10"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let said = "missing, and asked for at a terminal:\n  --hostname\n  --server\n  --project\n  --carrier\n  --carrier-network\n";
    assert!(text(&output.stderr).contains(said), "{output:?}");
    // The networks follow from the address: they need not be given.
    let output = init(&folder, &["--region", "eu"]);
    assert!(!text(&output.stderr).contains("--network\n"), "{output:?}");
}

#[test]
fn a_folder_that_cannot_be_written_to_is_named() {
    let output = init(Path::new("/proc/ringfence"), &ALL);
    assert_eq!(output.status.code(), Some(66), "{output:?}");
    assert!(
        text(&output.stderr).contains("/proc/ringfence: ") && text(&output.stderr).contains("a folder that you may write to"),
        "{output:?}"
    );
}

#[test]
fn at_a_terminal_it_asks_and_asks_again() {
    let folder = folder("asks");
    // `script` gives it a terminal. The answers: a name that is none first, then what is asked for, or nothing where the default will do.
    let answers =
        "a b\neu\n\n203.0.113.10\n203.0.113.0/24\n10.0.0.1\n\n10.0.0.2:5060\nmaybe\nyes\nacme\ntwilio-ie\n54.171.127.192/30\n\n";
    let line = format!("{} init --directory {}", env!("CARGO_BIN_EXE_ringfence"), folder.display());
    let mut child = Command::new("script")
        .args(["--quiet", "--return", "--echo", "never", "--command", &line, "/dev/null"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    std::io::Write::write_all(child.stdin.as_mut().unwrap(), answers.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{out}");
    assert!(
        out.contains("Name of the region: ") && out.contains("  a name of letters, digits and hyphens would be right"),
        "{out}"
    );
    assert!(
        out.contains("[eu.sip.example.com]: ")
            && out.contains("10.0.0.1 is outside these networks. Is 10.0.0.1/32 inside the region too?"),
        "{out}"
    );
    let written = fs::read_to_string(folder.join("ringfence.toml")).unwrap();
    assert!(written.contains("networks = [\"203.0.113.0/24\", \"10.0.0.2/32\"]"), "{written}");
    assert!(written.contains("\nmedia = [\"54.171.127.192/30\"]"), "an empty answer means as it signals: {written}");
    assert!(fs::read_to_string(folder.join("ringfence.toml")).unwrap().contains("[project.acme.trunk.twilio-ie]"));
    fs::remove_dir_all(&folder).unwrap();
}
