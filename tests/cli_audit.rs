//! `ringfence audit` from outside: records that are whole, and records to which something was done.

#![expect(clippy::unwrap_used, reason = "a test may stop where the program cannot be started")]

#[path = "cli_audit/proof.rs"]
mod proof;
#[path = "cli_audit/report.rs"]
mod report;
#[path = "cli_audit/written.rs"]
mod written;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use ringfence::audit::tree::MerkleTree;
use serde_json::Value;
use written::{WrittenNode, hex, three_days};

fn folder(test: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-{}/{test}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn audit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("audit").args(arguments).output().unwrap()
}

fn text(octets: &[u8]) -> &str {
    std::str::from_utf8(octets).unwrap()
}

fn name(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The exit code and the last line: what verify comes to.
fn verified(path: &Path) -> (i32, String) {
    let output = audit(&["verify", name(path)]);
    let last = text(&output.stdout).lines().last().unwrap_or_else(|| text(&output.stderr)).to_owned();
    (output.status.code().unwrap(), last.replace(name(path), "DIR"))
}

fn json(arguments: &[&str]) -> Value {
    let output = audit(arguments);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

fn records(path: &Path, day: &str) -> PathBuf {
    path.join(day).join("records.jsonl")
}

/// Does something to a day's lines.
fn change(path: &Path, day: &str, how: impl Fn(&mut Vec<String>)) {
    let file = records(path, day);
    let mut lines: Vec<String> = fs::read_to_string(&file).unwrap().lines().map(|line| format!("{line}\n")).collect();
    how(&mut lines);
    fs::write(file, lines.concat()).unwrap();
}

#[test]
fn a_whole_record_is_told_day_by_day() {
    let path = folder("whole");
    three_days(&path, "n1", 1);
    let output = audit(&["verify", name(&path)]);
    let said = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{said}");
    for line in [
        "  eu.sip.example.com/audit/n1\n",
        "by the key that lies beside it",
        "2026-11-24  11 records  signed, final, the first day\n  root ",
        "2026-11-25  11 records  signed, final, follows 2026-11-24\n  root ",
        "2026-11-26  8 records  signed, not final yet, follows 2026-11-25\n  root ",
        "  the last 3 records stand behind the last checkpoint: they are not signed yet\n",
        "\nwhole\n",
    ] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let key = path.join("public.key");
    let by_key = audit(&["verify", "--key", name(&key), name(&path)]);
    assert!(by_key.status.success() && !text(&by_key.stdout).contains("beside it"), "{by_key:?}");
    let found = json(&["verify", "--json", "--key", text(&fs::read(&key).unwrap()).trim(), name(&path)]);
    assert_eq!((&found["whole"], &found["gaps"]), (&Value::Bool(true), &Value::Bool(false)));
    let day = &found["directories"][0]["days"][1];
    assert_eq!((&day["records"], &day["follows"], &day["checkpoint"]["final"]), (&11.into(), &"2026-11-24".into(), &true.into()));
    let lines = fs::read(records(&path, "2026-11-25")).unwrap();
    let mut tree = MerkleTree::default();
    lines.split_inclusive(|&octet| octet == b'\n').for_each(|line| tree.push(line));
    assert_eq!(day["root"], hex(&tree.root()).as_str());
}

#[test]
fn only_the_wanted_days_are_read_and_the_chain_is_held_for_all() {
    let path = folder("range");
    three_days(&path, "n1", 1);
    change(&path, "2026-11-24", |lines| lines[3] = lines[3].replace("1234", "1235"));
    let days = |arguments: &[&str]| {
        let found = json(&[&["verify", "--json", name(&path)], arguments].concat());
        let days =
            found["directories"][0]["days"].as_array().unwrap().iter().map(|day| day["day"].as_str().unwrap()[8..].to_owned());
        (days.collect::<Vec<_>>().join(" "), found["whole"].as_bool().unwrap())
    };
    assert_eq!(days(&[]), ("24 25 26".to_owned(), false));
    assert_eq!(days(&["--since", "2026-11-25"]), ("25 26".to_owned(), true));
    assert_eq!(days(&["--since", "2026-11-25", "--until", "2026-11-25"]), ("25".to_owned(), true));
    fs::remove_file(path.join("2026-11-24/checkpoint")).unwrap();
    assert_eq!(days(&["--since", "2026-11-25"]), ("24 25 26".to_owned(), false));
    assert_eq!(audit(&["verify", "--since", "2026-11-31", name(&path)]).status.code(), Some(2));
}

#[test]
fn each_octet_that_is_another_is_found_and_its_line_named() {
    let path = folder("flipped");
    three_days(&path, "n1", 1);
    let file = records(&path, "2026-11-25");
    let whole = fs::read(&file).unwrap();
    // The lines up to the seal, and those behind it, are told apart.
    let seal = 1 + whole.split(|&octet| octet == b'\n').position(|line| text(line).contains("\"seal\"")).unwrap();
    let lines_of = |octets: &[u8]| octets.split(|&octet| octet == b'\n').count() - 1;
    let count = lines_of(&whole);
    for at in 0..whole.len() {
        // Each third octet, in turn one of its bits: so each key and each value of each kind is met.
        if at % 3 != 0 {
            continue;
        }
        let mut other = whole.clone();
        other[at] ^= 1 << (at / 3 % 8);
        fs::write(&file, &other).unwrap();
        let line = 1 + lines_of(&whole[..at]);
        let (code, said) = verified(&path);
        assert_eq!(code, 1, "octet {at}, line {line}: {said}");
        let said = said.strip_prefix("broken, first in DIR 2026-11-25: ").unwrap_or_else(|| panic!("{said}"));
        let mut words = said.split(' ');
        let one = words.next() == Some("line");
        let first: usize = words.next().unwrap().parse().unwrap();
        let named = first..=if one { first } else { words.nth(1).unwrap().parse().unwrap() };
        // A line end that is none makes two lines one.
        assert!(named.contains(&line) || named.contains(&(line + 1)), "octet {at}, line {line}: {said}");
        let part = if line <= seal { 1..=seal } else { seal..=count };
        assert!(part.contains(named.start()) && part.contains(named.end()), "octet {at}, line {line}: {said}");
    }
    fs::write(&file, &whole).unwrap();
    assert_eq!(verified(&path), (0, "whole".to_owned()));
}

#[test]
fn each_octet_of_a_checkpoint_that_is_another_is_found() {
    let path = folder("checkpoint");
    three_days(&path, "n1", 1);
    for day in ["2026-11-24", "2026-11-26"] {
        let file = path.join(day).join("checkpoint");
        let whole = fs::read(&file).unwrap();
        for at in 0..whole.len() {
            let mut other = whole.clone();
            other[at] ^= 1 << (at % 8);
            fs::write(&file, &other).unwrap();
            let (code, said) = verified(&path);
            assert!(code == 1 && said.contains(day) && said.contains("checkpoint"), "{day}, octet {at}: {code} {said}");
        }
        fs::write(&file, &whole).unwrap();
    }
    assert_eq!(verified(&path).0, 0);
}

#[test]
fn what_is_done_to_a_day_is_named() {
    let path = folder("done");
    let broken = |how: &dyn Fn(&Path)| {
        three_days(&path, "n1", 1);
        how(&path);
        verified(&path)
    };
    let first = |what: &str| (1, format!("broken, first in DIR 2026-11-25: {what}"));
    let day = "2026-11-25";
    let lines = |how: &dyn Fn(&mut Vec<String>)| broken(&|path| change(path, day, how));
    assert_eq!(lines(&|lines| drop(lines.remove(3))), first("line 4 says that it is number 4; 3 would be right"));
    assert_eq!(lines(&|lines| lines.insert(3, lines[3].clone())), first("line 5 says that it is number 3; 4 would be right"));
    assert_eq!(lines(&|lines| lines.swap(3, 4)), first("line 4 says that it is number 4; 3 would be right"));
    assert_eq!(lines(&|lines| drop(lines.pop())), first("line 11 is missing: the checkpoint covers 11 lines, and there are 10"));
    let torn = lines(&|lines| lines[10].truncate(30));
    assert_eq!(torn, first("line 11 is missing: the checkpoint covers 11 lines, and there are 10"));
    let behind = lines(&|lines| lines.push(lines[10].replace("\"n\":10", "\"n\":11")));
    assert_eq!(behind, first("line 12 stands behind the day's final checkpoint"));
    assert_eq!(
        lines(&|lines| lines.push("{\"n\"".to_owned())),
        first("line 12 has no end, and stands behind the day's final checkpoint")
    );
    // Numbers put right again: then only the hashes know.
    let renumbered = lines(&|lines| {
        lines.remove(3);
        for (n, line) in lines.iter_mut().enumerate() {
            *line = format!("{{\"n\":{n}{}", line.split_once(',').map(|(_, rest)| format!(",{rest}")).unwrap());
        }
    });
    assert_eq!(renumbered, first("lines 1 to 5 are not what was sealed: line 5 says another root"));
    // A whole day, with what was signed of it.
    let gone = broken(&|path| fs::remove_dir_all(path.join(day)).unwrap());
    assert_eq!(gone.0, 1);
    assert!(gone.1.contains("2026-11-26: line 1 names 2026-11-25 as the day before; 2026-11-24 is"), "{gone:?}");
    // The last lines that nothing covers yet.
    let open = broken(&|path| change(path, "2026-11-26", |lines| lines[7].truncate(30)));
    assert_eq!(open, (2, "whole, with gaps".to_owned()));
    // What no reader may take in.
    for (octets, says) in [
        (&b"\xff\xfe\n"[..], "line 1 is no UTF-8"),
        (b"\n\n\n", "line 1 is no object of JSON"),
        (b"{\"n\":99999999999999999999999}\n", "line 1 has a number beyond 64 bits"),
        (b"", "lines 1 to 11 are missing: the checkpoint covers 11 lines, and there are 0"),
    ] {
        assert_eq!(broken(&|path| fs::write(records(path, day), octets).unwrap()), first(says));
    }
    let long = broken(&|path| fs::File::create(records(path, day)).unwrap().set_len(1 << 30).unwrap());
    assert_eq!(long, first("line 1 is longer than any line that is written: it is not read, nor is what follows it"));
}

/// Whoever takes the last checkpoint away can write what he likes into that day; and retention makes no hole.
#[test]
fn lines_that_nobody_has_signed_are_not_whole_and_nor_is_a_hole() {
    let path = folder("unsigned");
    three_days(&path, "n1", 1);
    fs::remove_file(path.join("2026-11-26/checkpoint")).unwrap();
    let output = audit(&["verify", name(&path)]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("8 records are signed by nobody: the day has no checkpoint\n"), "{output:?}");
    let report = json(&["report", "--period", "2026", "--json", name(&path)]);
    let why = report["regions"]["eu"]["why_not"].as_str().unwrap();
    assert!(why.starts_with("8 records of 2026-11-26 in ") && why.ends_with(" are signed by nobody"), "{report}");
    three_days(&path, "n1", 1);
    fs::remove_file(records(&path, "2026-11-25")).unwrap();
    let output = audit(&["verify", name(&path)]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(text(&output.stdout).contains("retention deletes the oldest first"), "{output:?}");
}

/// No clock is asked whether a day is over: other nodes' days say so, and moments in the record itself.
#[test]
fn a_day_that_is_over_must_have_ended() {
    let (path, other) = (folder("over"), folder("over-other"));
    three_days(&path, "n1", 1);
    let mut node = WrittenNode::new(&other, "n2", 2);
    let day = node.begin("2026-11-26", "start");
    node.end(day, "stop");
    let both = |kind: &[&str]| {
        let output = audit(&[kind, &[name(&path), name(&other)]].concat());
        (output.status.code().unwrap(), text(&output.stdout).to_owned())
    };
    let (code, said) = both(&["verify"]);
    assert!(code == 0 && said.contains("the last 3 records stand behind the last checkpoint: they are not signed yet"), "{said}");
    let day = node.begin("2026-11-27", "start");
    node.end(day, "stop");
    let what = "the day is over, and its last checkpoint is not final: the last 3 records are signed by nobody, and more may be missing\n";
    let (code, said) = both(&["verify"]);
    assert!(code == 2 && said.contains(what) && said.ends_with("\nwhole, with gaps\n"), "{said}");
    let (code, said) = both(&["report", "--period", "2026-11-26"]);
    assert!(code == 2 && said.contains(what) && said.contains("is over, and its last checkpoint is not final\n"), "{said}");
    let (code, said) = both(&["report", "--period", "2026-11-25"]);
    assert!(code == 0 && said.contains("none was sent"), "{said}");
    assert_eq!(verified(&path), (0, "whole".to_owned()));
    // A line behind the checkpoint is of the next day.
    change(&path, "2026-11-26", |lines| lines[7] = lines[7].replace("2026-11-26T10", "2026-11-27T00"));
    assert_eq!(verified(&path), (2, "whole, with gaps".to_owned()));
    // All that is there is signed, and nobody knows what followed.
    three_days(&path, "n1", 1);
    change(&path, "2026-11-26", |lines| lines.truncate(5));
    let (code, said) = both(&["verify"]);
    assert!(code == 2 && said.contains("not final: records that followed it may be missing\n"), "{said}");
}

/// Two nodes of one host name have keys of one name.
#[test]
fn the_key_is_the_one_that_has_signed() {
    let paths = [folder("one-name"), folder("other-name")];
    let mut keys = Vec::new();
    for (path, seed) in paths.iter().zip(1..) {
        three_days(path, "n1", seed);
        keys.push(fs::read_to_string(path.join("public.key")).unwrap().trim().to_owned());
    }
    assert_ne!(keys[0], keys[1]);
    for (first, second) in [(0, 1), (1, 0)] {
        let keys = ["--key", &keys[first], "--key", &keys[second]];
        let output = audit(&[&["verify"], &keys[..], &[name(&paths[0]), name(&paths[1])]].concat());
        assert_eq!(output.status.code(), Some(0), "{output:?}");
    }
}

#[test]
fn a_deleted_day_leaves_a_chain() {
    let path = folder("deleted");
    three_days(&path, "n1", 1);
    fs::remove_file(records(&path, "2026-11-24")).unwrap();
    fs::remove_file(records(&path, "2026-11-25")).unwrap();
    let output = audit(&["verify", name(&path)]);
    assert!(output.status.success(), "{output:?}");
    assert!(
        text(&output.stdout).contains("2026-11-25  11 records, not read or deleted  signed, final, follows 2026-11-24\n"),
        "{output:?}"
    );
    // A part of a record is one too, if its first days are left out.
    fs::remove_dir_all(path.join("2026-11-24")).unwrap();
    let output = audit(&["verify", name(&path)]);
    assert!(output.status.success() && text(&output.stdout).contains("follows a day that is not here"), "{output:?}");
}

#[test]
fn a_day_to_which_nothing_was_written_breaks_no_chain() {
    let path = folder("nothing");
    let mut node = WrittenNode::new(&path, "n1", 1);
    let nothing = |day: &str| {
        fs::create_dir(path.join(day)).unwrap();
        fs::write(records(&path, day), "").unwrap();
    };
    nothing("2026-11-23");
    fs::create_dir(path.join("2026-11-22")).unwrap();
    let day = node.begin("2026-11-24", "start");
    node.end(day, "stop");
    nothing("2026-11-25");
    let day = node.begin("2026-11-26", "start");
    node.end(day, "stop");
    assert_eq!(verified(&path), (0, "whole".to_owned()));
    // But a day that was emptied is one that is missing.
    let day = node.begin("2026-11-27", "start");
    node.end(day, "stop");
    fs::remove_file(path.join("2026-11-26/checkpoint")).unwrap();
    fs::write(records(&path, "2026-11-26"), "").unwrap();
    let (code, said) = verified(&path);
    assert!(code == 1 && said.contains("2026-11-27"), "{said}");
}

#[test]
fn a_foreign_key_verifies_nothing() {
    let path = folder("foreign");
    let other = folder("foreign-other");
    three_days(&path, "n1", 1);
    three_days(&other, "n1", 2);
    let key = other.join("public.key");
    let output = audit(&["verify", "--key", name(&key), name(&path)]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output.stdout).contains("broken: the checkpoint: no signature is by the key"), "{output:?}");
    // The days of another node do not fit in, though the key that lies there now is theirs.
    fs::copy(&key, path.join("public.key")).unwrap();
    fs::copy(other.join("2026-11-25/checkpoint"), path.join("2026-11-25/checkpoint")).unwrap();
    assert_eq!(verified(&path).0, 1);
}

#[test]
fn what_is_missing_is_said() {
    let path = folder("gaps");
    let mut node = WrittenNode::new(&path, "n1", 1);
    let mut day = node.begin("2026-11-25", "start");
    day.line("gap", "\"count\":12,\"from\":\"2026-11-25T10:00:01.000000Z\",\"to\":\"2026-11-25T10:00:02.000000Z\",\"why\":\"disk-full\\u001b[2J\"");
    node.end(day, "day");
    assert_eq!(verified(&path), (2, "whole, with gaps".to_owned()));
    let output = audit(&["verify", name(&path)]);
    let gap = "gap: 12 records are missing from 2026-11-25T10:00:01.000000Z to 2026-11-25T10:00:02.000000Z (disk-full\u{fffd}[2J), says line 3\n";
    assert!(text(&output.stdout).contains(gap), "{output:?}");
    // A daemon that was killed, and one that had closed.
    let mut node = WrittenNode::new(&path, "n1", 1);
    let mut day = node.begin("2026-11-25", "start");
    day.line("close", "\"why\":\"handover\"");
    node.open(&mut day, "start");
    node.end(day, "day");
    let day = node.begin("2026-11-26", "day");
    node.end(day, "stop");
    let day = node.begin("2026-11-27", "start");
    node.end(day, "day");
    assert_eq!(verified(&path), (0, "whole".to_owned()));
    let mut day = node.begin("2026-11-28", "day");
    node.open(&mut day, "start\",\"spool\":\"kept");
    node.end(day, "stop");
    assert_eq!(verified(&path), (0, "whole".to_owned()));
    assert!(text(&audit(&["verify", name(&path)]).stdout).contains("  1 time a daemon was killed, and the next one found all"));
    let mut day = node.begin("2026-11-29", "start");
    node.open(&mut day, "start");
    node.end(day, "stop");
    assert_eq!(verified(&path), (2, "whole, with gaps".to_owned()));
    assert!(
        text(&audit(&["verify", name(&path)]).stdout)
            .contains("  line 3: the daemon starts, and had not closed the record before")
    );
}

#[test]
fn what_was_sent_outside_is_found_though_it_is_signed() {
    let path = folder("outside");
    let with = |verdict: &str| {
        let mut node = WrittenNode::new(&path, "n1", 1);
        let mut day = node.begin("2026-11-25", "start");
        day.call(1);
        day.verdict(2, verdict);
        node.end(day, "stop");
        verified(&path)
    };
    let accept = "\"verdict\":\"accept\",\"id\":100,\"reason\":\"in-region\",\"direction\":\"in\",\"serving\":\"eu\"";
    let first = |what: &str| (1, format!("broken, first in DIR 2026-11-25: line 6 {what}"));
    assert_eq!(with(&format!("{accept},\"target\":\"udp:10.1.255.255:5060\"")).0, 0);
    let outside = first("has a target outside the networks of region eu: 203.0.113.9:5060");
    assert_eq!(with(&format!("{accept},\"target\":\"udp:203.0.113.9:5060\"")), outside);
    let said = format!("{accept},\"media\":[\"10.1.0.9\",\"203.0.113.9\"],\"media_verdict\":\"inside\"");
    assert_eq!(with(&said), first("says that its media is inside, and has an address outside: 203.0.113.9"));
    let unknown = format!("{accept},\"target\":\"udp:203.0.113.9:5060\"").replace("accept", "shadow");
    let mut node = WrittenNode::new(&path, "n1", 1);
    let mut day = node.begin("2026-11-25", "start");
    day.line("verdict", &format!("\"region\":\"eu\",\"project\":\"acme\",{unknown},\"config\":\"another\""));
    node.end(day, "stop");
    assert_eq!(verified(&path), (2, "whole, with gaps".to_owned()));
    assert!(
        text(&audit(&["verify", name(&path)]).stdout)
            .contains("  1 records name a configuration that no record before them tells")
    );
    let report = json(&["report", "--period", "2026", "--json", name(&path)]);
    assert!(
        report["regions"]["eu"]["why_not"].as_str().unwrap().contains("name a configuration that no record tells"),
        "{report}"
    );
    with(&said);
    let report = json(&["report", "--period", "2026", "--json", name(&path)]);
    assert_eq!((&report["rows"][0]["outside"], &report["whole"]), (&1.into(), &false.into()));
    assert!(report["regions"]["eu"]["why_not"].as_str().unwrap().contains("something was outside"), "{report}");
}

#[test]
fn what_cannot_be_read_is_no_record() {
    let path = folder("unreadable");
    assert_eq!(audit(&["verify", "/nowhere/at/all"]).status.code(), Some(66));
    assert_eq!(audit(&["verify", name(&path)]).status.code(), Some(66));
    let fresh = || {
        three_days(&path, "n1", 1);
        audit(&["verify", name(&path)]).status.code()
    };
    assert_eq!(fresh(), Some(0));
    fs::remove_file(path.join("public.key")).unwrap();
    assert_eq!(audit(&["verify", name(&path)]).status.code(), Some(66));
    for key in ["a+b+c", "nobody+00000000+AQ=="] {
        assert_eq!(audit(&["verify", "--key", key, name(&path)]).status.code(), Some(2), "{key}");
    }
    // Links and pipes, which could lead anywhere or block for ever.
    assert_eq!(fresh(), Some(0));
    let file = records(&path, "2026-11-25");
    fs::remove_file(&file).unwrap();
    std::os::unix::fs::symlink("/dev/zero", &file).unwrap();
    let output = audit(&["verify", name(&path)]);
    assert!(output.status.code() == Some(66) && text(&output.stderr).contains("is no plain file"), "{output:?}");
    fs::remove_file(&file).unwrap();
    nix_fifo(&file);
    assert_eq!(audit(&["verify", name(&path)]).status.code(), Some(66));
    assert_eq!(fresh(), Some(0));
    fs::write(path.join("2026-11-27"), "").unwrap();
    assert_eq!(audit(&["verify", name(&path)]).status.code(), Some(66));
    fs::remove_file(path.join("2026-11-27")).unwrap();
}

fn nix_fifo(path: &Path) {
    assert!(Command::new("mkfifo").arg(path).status().unwrap().success());
}

#[test]
fn a_packed_day_is_read_from_standard_input() {
    let path = folder("stdin");
    three_days(&path, "n1", 1);
    let run = |octets: &[u8]| {
        let mut child = Command::new(env!("CARGO_BIN_EXE_ringfence"))
            .args(["audit", "verify", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        child.stdin.take().unwrap().write_all(octets).unwrap();
        child.wait_with_output().unwrap()
    };
    let whole = fs::read(records(&path, "2026-11-25")).unwrap();
    let output = run(&whole);
    assert!(
        output.status.success() && text(&output.stdout).contains("2026-11-25  11 records  not signed\n  root "),
        "{output:?}"
    );
    let output = run(&whole[..whole.len() / 2]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let output = run(text(&whole).replace("1234", "1235").as_bytes());
    assert_eq!(output.status.code(), Some(1), "{output:?}");
}
