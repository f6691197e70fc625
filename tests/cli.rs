//! The commands from outside: what they print and with which code they end.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// Runs the program with these arguments; its standard streams are pipes.
fn ringfence(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).args(arguments).output().unwrap()
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// The one object that the program printed.
fn json(output: &Output) -> serde_json::Value {
    let out = text(&output.stdout);
    assert!(out.ends_with("}\n") && out.lines().count() == 1, "{out}");
    serde_json::from_str(out).unwrap()
}

/// A file with mistakes: an unknown key and an unknown region.
fn broken(test: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("broken-{test}-{}.toml", std::process::id()));
    std::fs::write(&path, "serve = [\"eu\"]\ncolour = \"\\u001b\"\n").unwrap();
    path
}

#[test]
fn check_says_what_a_valid_file_means() {
    let output = ringfence(&["check", "-c", "deploy/ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    for line in [
        "deploy/ringfence.toml: valid, with 1 warning",
        "include  deploy/projects.d/acme.toml",
        "region   eu  served  eu.sip.example.com  udp:203.0.113.10:5060 tcp:203.0.113.10:5060",
        "region   us  known  us.sip.example.com",
        "project  acme  pinned to eu  mode enforce  media enforce",
        "trunk    twilio-ie  policy 603  capacity 503  out to acme.pstn.dublin.twilio.com",
        "admin    http://127.0.0.1:9090/metrics",
    ] {
        assert!(out.lines().any(|found| found.trim_end() == line), "no line `{line}` in\n{out}");
    }
    assert!(text(&output.stderr).starts_with("warning: deploy/ringfence.toml: no [secret]"), "{output:?}");
}

#[test]
fn check_names_every_mistake_and_ends_with_78() {
    let path = broken("text");
    let output = ringfence(&["check", "--config", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert_eq!(text(&output.stdout), "");
    let err = text(&output.stderr);
    assert!(
        err.contains(":1:10: unknown region `eu`\n  |\n1 | serve = [\"eu\"]\n  |          ^^^^\n  = define it: [region.eu]"),
        "{err}"
    );
    assert!(err.contains(":2:1: unknown key `colour`"), "{err}");
    assert!(err.trim_end().ends_with("2 mistakes"), "{err}");
    assert!(!err.contains('\u{1b}'), "no colour but on a terminal: {err}");
}

#[test]
fn check_as_json_is_one_object() {
    let output = ringfence(&["check", "--json", "-c", "deploy/ringfence.toml"]);
    assert_eq!(output.status.code(), Some(0));
    let valid = json(&output);
    assert_eq!(valid["valid"], true);
    assert_eq!(valid["digest"].as_str().map(str::len), Some(64));
    assert_eq!(valid["regions"][0]["listeners"][1], "tcp:203.0.113.10:5060");
    assert_eq!(valid["projects"], 1);
    assert!(valid["warnings"][0]["wrong"].as_str().unwrap().contains("no [secret]"), "{valid}");
    let path = broken("json");
    let output = ringfence(&["check", "--json", "-c", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(78));
    let broken = json(&output);
    assert_eq!(broken["valid"], false);
    let first = &broken["mistakes"][0];
    assert_eq!((&first["line"], &first["column"], &first["text"]), (&1.into(), &10.into(), &"\"eu\"".into()), "{broken}");
    assert_eq!(first["wrong"], "unknown region `eu`");
}

#[test]
fn a_missing_file_ends_with_66() {
    for command in ["check", "run"] {
        let output = ringfence(&[command, "-c", "no-such-file.toml"]);
        assert_eq!(output.status.code(), Some(66), "{command}");
        assert!(text(&output.stderr).contains("no-such-file.toml: cannot be read"), "{output:?}");
    }
}

#[test]
fn run_refuses_a_broken_file_with_78() {
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("run-{}.toml", std::process::id()));
    std::fs::write(&path, "serve = 1\n").unwrap();
    let output = ringfence(&["run", "-c", path.to_str().unwrap()]);
    std::fs::remove_file(&path).unwrap();
    assert_eq!(output.status.code(), Some(78), "{output:?}");
}

#[test]
fn help_documents_the_exit_codes_and_wrong_arguments_are_2() {
    let version = ringfence(&["--version"]);
    assert_eq!(text(&version.stdout), concat!("ringfence ", env!("CARGO_PKG_VERSION"), "\n"));
    for (command, codes) in [
        ("run", "66  FILE cannot be read"),
        ("check", "78  the configuration has mistakes"),
        ("demo", "1  a call did not end as expected"),
        ("resolve", "4  NAME resolves to nothing"),
    ] {
        let help = ringfence(&[command, "--help"]);
        assert!(text(&help.stdout).contains(codes), "{command}: {help:?}");
    }
    let help = ringfence(&["run", "--help"]);
    assert!(text(&help.stdout).contains("RUST_LOG=info,ringfence::decision=debug ringfence run"), "{help:?}");
    for arguments in [&["check", "-x"][..], &["resolve", "-c", "x"], &["dance"], &[]] {
        assert_eq!(ringfence(arguments).status.code(), Some(2), "{arguments:?}");
    }
}

#[test]
fn the_demonstration_shows_one_call_that_passes_and_three_that_do_not() {
    let output = ringfence(&["demo", "--once"]);
    let out = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    for line in [
        "  accepted: 100 in-region",
        "  refused: 110 foreign-endpoint",
        "  refused: 140 foreign-media-offer",
        "  refused: 130 pinned-elsewhere",
        "  SIP/2.0 603 Call Belongs To Another Region",
        "The us upstream received 0 packets.",
    ] {
        assert!(out.lines().any(|found| found == line), "no line `{line}` in\n{out}");
    }
    // Three arrows to the eu upstream, of one call: INVITE, ACK and BYE.
    assert_eq!(out.matches("│                     │── ").count(), 3, "{out}");
    assert!(!out.contains('\u{1b}'), "no colour but on a terminal: {out}");
}

/// Runs the program in a folder of its own with these files.
fn in_folder(test: &str, files: &[(&str, &str)], arguments: &[&str]) -> Output {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("cli-{test}-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    for (name, text) in files {
        std::fs::write(folder.join(name), text).unwrap();
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).current_dir(&folder).args(arguments).output().unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    output
}

const SMALL: &str = "serve = [\"eu\"]\nsecret.file = \"ringfence.key\"\n[region.eu]\nhostname = \"eu.example.com\"\n\
listen = [\"udp:127.77.1.1:5060\", \"tcp:127.77.1.1:5060\"]\nnetworks = [\"127.0.0.0/8\"]\nupstream = \"sip:a.example.net;transport=tcp\"\n\
[project.acme]\npin = [\"eu\"]\n[project.acme.trunk.one]\nnetworks = [\"192.0.2.0/24\"]\nmedia = [\"198.51.100.0/24\"]\n";
const KEY: (&str, &str) = ("ringfence.key", "a key that only this test knows, long enough");

#[test]
fn the_usual_file_need_not_be_named() {
    let output = in_folder("usual", &[("ringfence.toml", SMALL), KEY], &["check"]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let out = text(&output.stdout);
    assert!(out.starts_with("ringfence.toml: valid\n"), "{out}");
    assert!(
        out.contains("upstream eu  sip:a.example.net;transport=tcp\n")
            && out.contains("         signals from 192.0.2.0/24\n         media from 198.51.100.0/24\n"),
        "{out}"
    );
    if !Path::new("/etc/ringfence/ringfence.toml").exists() {
        for command in ["check", "run", "status", "zone"] {
            let output = in_folder("none", &[], &[command]);
            assert_eq!(output.status.code(), Some(66), "{output:?}");
            let said =
                "there is no ./ringfence.toml and no /etc/ringfence/ringfence.toml: -c FILE names another, and `ringfence init`";
            assert!(text(&output.stderr).contains(said), "{output:?}");
        }
    }
}

#[test]
fn check_here_says_what_this_machine_lacks() {
    let taken = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let file = SMALL
        .replace("\"udp:127.77.1.1:5060\"", &format!("\"udp:127.0.0.1:{port}\", \"udp:203.0.113.10:5060\""))
        .replace("127.0.0.0/8\"", "127.0.0.0/8\", \"203.0.113.0/24\"");
    let output = in_folder("here", &[("ringfence.toml", &file), KEY], &["check", "--here"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    let out = text(&output.stdout);
    assert!(out.contains("here     tcp:127.77.1.1:5060 of region eu  free\n"), "{out}");
    assert!(out.contains("here     key ringfence.key  every user of this machine may read it\n         = chmod o= "), "{out}");
    let lacks = "this machine has no address 203.0.113.10: behind NAT listen on the private address, and set `advertise = \"203.0.113.10\"`";
    assert!(out.contains(lacks), "{out}");
    assert!(
        out.contains(&format!("somebody has the port, maybe this daemon already: `ss -lnup 'sport = :{port}'` says who")),
        "{out}"
    );
    let output = in_folder("here-json", &[("ringfence.toml", &file), KEY], &["check", "--here", "--json"]);
    let found = json(&output);
    assert_eq!((&found["here"][0]["free"], &found["open_keys"]), (&false.into(), &serde_json::json!(["ringfence.key"])));
    assert!(found["here"][1]["right"].as_str().unwrap().starts_with("this machine has no address"), "{found}");
    // The daemon itself says the same.
    let output = in_folder("run", &[("ringfence.toml", &file), KEY], &["run"]);
    assert_eq!(output.status.code(), Some(69), "{output:?}");
    assert!(text(&output.stderr).contains("= somebody has the port, maybe this daemon already"), "{output:?}");
}

#[test]
fn check_here_says_what_an_audit_record_lacks() {
    let audit = "[audit]\npath = \"none/audit\"\nsign = \"audit.key\"\nspool = \"audit.spool\"\n";
    let file = format!("{SMALL}{audit}");
    let key = ("audit.key", "as long as a key of an audit record must be, or longer\n");
    // Where the tests are built is a disk; what is in no directory cannot be written by root either.
    let output = in_folder("here-audit", &[("ringfence.toml", &file), KEY, key], &["check", "--here"]);
    let out = text(&output.stdout);
    assert!(out.contains("\naudit    none/audit\n"), "{out}");
    assert!(out.contains("here     audit path none/audit  the user of this command cannot write in none: "), "{out}");
    assert!(out.contains("here     key audit.key  every user of this machine may read it"), "{out}");
    let file = file.replace("audit.spool", "/dev/shm/audit.spool").replace("none/audit", "audit");
    let output = in_folder("here-audit-right", &[("ringfence.toml", &file), KEY, key], &["check", "--here", "--json"]);
    assert_eq!(json(&output)["audit"], serde_json::json!([]), "{output:?}");
    let file = file.replace("/dev/shm/audit.spool", "/proc/audit.spool");
    let output = in_folder("here-audit-disk", &[("ringfence.toml", &file), KEY, key], &["check", "--here", "--json"]);
    let found = &json(&output)["audit"][0];
    assert_eq!((&found["what"], &found["wrong"]), (&"audit spool /proc/audit.spool".into(), &"/proc is on no tmpfs".into()));
    // No room either.
    let wrong = json(&output)["audit"][1]["wrong"].as_str().map(str::to_owned);
    assert!(wrong.unwrap().starts_with("/proc has room for 0 MiB, and it takes "), "{output:?}");
}

#[test]
fn a_number_is_told_as_a_trunk_reads_it() {
    let told = |arguments: &[&str]| {
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("number").args(arguments).output().unwrap();
        (output.status.code().unwrap(), text(&output.stdout).to_owned())
    };
    for (arguments, code, says) in [
        (&["+35312345678"][..], 0, "+35312345678  IE\n"),
        (&["sip:+35312345678;npdi@host;user=phone"], 0, "+35312345678  IE\n"),
        (&["tel:+353-1-234-5678"], 0, "+35312345678  IE\n"),
        (&["--numbering", "DE", "0035312345678"], 0, "+35312345678  IE\n"),
        (&["--strip", "99", "99+35312345678"], 0, "+35312345678  IE\n"),
        (&["+80012345678"], 0, "+80012345678  +800\n"),
        (&["112"], 0, "112  an emergency number"),
        (&["0035312345678"], 1, "0035312345678  no number as it stands"),
        (&["+99912345678"], 1, "+99912345678  nobody's that is known"),
        (&["--json", "+35312345678"], 0, "{\"kind\":\"number\",\"digits\":\"+35312345678\",\"country\":\"IE\"}\n"),
    ] {
        let (was, said) = told(arguments);
        assert!(was == code && said.starts_with(says), "{arguments:?}: {was} {said}");
    }
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(["number", "--numbering", "XX", "1"]).output().unwrap();
    assert!(output.status.code() == Some(2) && text(&output.stderr).contains("no way to read numbers"), "{output:?}");
}
