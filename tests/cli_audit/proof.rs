//! One record proven without the others, a number found by its hash, and the scripts of the page, which need no program of ours.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

use crate::written::{WrittenNode, hex, three_days};
use crate::{audit, change, folder, name, records, text, verified};

#[test]
fn a_record_is_proven_without_the_others() {
    let path = folder("proof");
    three_days(&path, "n1", 1);
    let key = path.join("public.key");
    let file = path.join("proof.json");
    let call = "00000000000000000000000000000002";
    let output = audit(&["prove", "--call", call, name(&path)]);
    let proofs = text(&output.stdout).to_owned();
    assert_eq!((output.status.code(), proofs.lines().count()), (Some(0), 6), "three records on each of two days: {output:?}");
    assert!(!proofs.contains("00000000000000000000000000000001"));
    fs::write(&file, &proofs).unwrap();
    let check = |text_of: &str| {
        fs::write(&file, text_of).unwrap();
        let output = audit(&["verify", "--key", name(&key), "--proof", name(&file)]);
        (output.status.code().unwrap(), text(&output.stdout).to_owned())
    };
    let (code, said) = check(&proofs);
    assert_eq!((code, said.matches("proven: record ").count()), (0, 6), "{said}");
    assert!(said.contains("of the 11 of 2026-11-24 at eu.sip.example.com/audit/n1\n{\"n\":"), "{said}");
    let one = audit(&["prove", "--n", "2026-11-25:0", name(&path)]);
    assert_eq!(check(text(&one.stdout)).0, 0);
    let proof: Value = serde_json::from_slice(&one.stdout).unwrap();
    for (key, value) in [
        ("index", Value::from(1)),
        ("size", Value::from(12)),
        ("size", Value::Null),
        ("day", "2026-11-24".into()),
        ("record", proof["record"].as_str().unwrap().replace("0.1.0", "0.1.1").into()),
        ("path", Value::Array(proof["path"].as_array().unwrap()[1..].into())),
        ("path", "x".into()),
        ("path", vec!["AAAA"; 3].into()),
        ("checkpoint", proof["checkpoint"].as_str().unwrap().replace("\n11\n", "\n10\n").into()),
        ("checkpoint", "".into()),
    ] {
        let mut other = proof.clone();
        other[key] = value;
        let (code, said) = check(&other.to_string());
        assert!(code == 1 && said.starts_with("not proven: "), "{key}: {said}");
    }
    assert_eq!(check("{}").0, 1);
    assert_eq!(check("").0, 66);
    // What is not covered, not there or not itself.
    for (arguments, code) in [
        (["--n", "2026-11-26:7"], 1),
        (["--n", "2026-11-25:11"], 1),
        (["--n", "2026-11-01:0"], 1),
        (["--n", "2026-11-25:x"], 2),
        (["--call", "ff"], 1),
    ] {
        let output = audit(&[&["prove", name(&path)], &arguments[..]].concat());
        assert_eq!(output.status.code(), Some(code), "{output:?}");
    }
    change(&path, "2026-11-25", |lines| lines[3] = lines[3].replace("1234", "1235"));
    assert_eq!(audit(&["prove", "--n", "2026-11-25:0", name(&path)]).status.code(), Some(1));
}

#[test]
fn a_number_is_found_by_its_hash_as_long_as_there_is_a_key() {
    let path = folder("find");
    let mut node = WrittenNode::new(&path, "n1", 1);
    let key = ring_key();
    fs::create_dir_all(path.join("keys")).unwrap();
    fs::write(path.join("keys/2026-11.key"), format!("{}\n", "0b".repeat(32))).unwrap();
    let hashed = |number: &str| {
        let tag = ring::hmac::sign(&key, number.as_bytes());
        hex(&tag.as_ref()[..16])
    };
    let mut day = node.begin("2026-11-25", "start");
    for (from, to) in [("+15551234567", "+4930123456"), ("+4930123456", "+442071234567"), ("+15551234567", "+33123456789")] {
        let head = "\"region\":\"eu\",\"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":111";
        day.line("verdict", &format!("{head},\"from\":\"{}\",\"to\":\"{}\"", hashed(from), hashed(to)));
    }
    day.line("verdict", "\"region\":\"eu\",\"method\":\"INVITE\",\"verdict\":\"refuse\",\"id\":111,\"from\":\"+4930123456\"");
    node.end(day, "stop");
    let found = |number: &str| {
        let output = audit(&["find", "--number", number, name(&path)]);
        (output.status.code().unwrap(), text(&output.stdout).lines().count(), text(&output.stderr).to_owned())
    };
    assert_eq!(found("+49 30 123456"), (0, 3, String::new()));
    assert_eq!(found("+33123456789"), (0, 1, String::new()));
    assert_eq!((found("+9999").0, found("+9999").1), (1, 0));
    fs::remove_file(path.join("keys/2026-11.key")).unwrap();
    let (code, count, said) = found("+4930123456");
    assert!((code, count) == (0, 1) && said.contains("2026-11 has no key"), "{said}");
    fs::write(path.join("keys/2026-11.key"), "x\n").unwrap();
    assert_eq!(found("+4930123456").0, 66);
}

fn ring_key() -> ring::hmac::Key {
    ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &[0x0b; 32])
}

/// A script out of the page for auditors, in a file, and its lines.
fn script(folder: &Path, file: &str) -> (PathBuf, usize) {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/evidence.md")).unwrap();
    let (_, rest) = page.split_once(&format!("<!-- {file} -->\n```python\n")).unwrap();
    let (script, _) = rest.split_once("\n```\n").unwrap();
    let path = folder.join(file);
    fs::write(&path, script).unwrap();
    (path, script.lines().filter(|line| !line.is_empty()).count())
}

fn python(script: &Path, arguments: &[&Path]) -> Output {
    Command::new("python3").arg(script).args(arguments).output().unwrap()
}

#[test]
fn the_scripts_of_the_page_verify_what_the_program_verifies() {
    let path = folder("scripts");
    let (of_record, lines) = script(&path, "verify.py");
    assert!(lines <= 40, "{lines}");
    let (of_proof, lines) = script(&path, "proof.py");
    assert!(lines <= 20, "{lines}");
    let (record, other) = (path.join("record"), path.join("other"));
    three_days(&record, "n1", 1);
    three_days(&other, "n1", 2);
    let key = record.join("public.key");
    let output = python(&of_record, &[&record, &key]);
    let said = text(&output.stdout);
    assert!(output.status.success(), "{output:?}");
    assert_eq!(said, "2026-11-24 11 whole\n2026-11-25 11 whole\n2026-11-26 5 whole\n");
    assert!(!python(&of_record, &[&record, &other.join("public.key")]).status.success());
    let call = audit(&["prove", "--call", "00000000000000000000000000000002", name(&record)]);
    let proof = path.join("proof.json");
    fs::write(&proof, &call.stdout).unwrap();
    let output = python(&of_proof, &[&proof, &key]);
    assert!(output.status.success() && text(&output.stdout).lines().count() == 6, "{output:?}");
    assert!(!python(&of_proof, &[&proof, &other.join("public.key")]).status.success());
    let day = fs::read(records(&record, "2026-11-25")).unwrap();
    for line in text(&output.stdout).lines().skip(3) {
        assert!(text(&day).contains(line), "{line}");
    }
    for (from, to) in [("1234", "1235"), ("\"index\":6", "\"index\":5"), ("\"size\":11", "\"size\":10"), ("\\n11\\n", "\\n12\\n")]
    {
        let changed = text(&call.stdout).replace(from, to);
        assert!(changed != text(&call.stdout), "{from}");
        fs::write(&proof, changed).unwrap();
        assert!(!python(&of_proof, &[&proof, &key]).status.success(), "{from}");
    }
    // The scripts find what the program finds.
    let broken: [&dyn Fn(); 6] = [
        &|| change(&record, "2026-11-25", |lines| lines[3] = lines[3].replace("1234", "1235")),
        &|| change(&record, "2026-11-25", |lines| drop(lines.remove(3))),
        &|| change(&record, "2026-11-25", |lines| drop(lines.pop())),
        &|| change(&record, "2026-11-25", |lines| lines.push(lines[10].replace("\"n\":10", "\"n\":11"))),
        &|| fs::remove_dir_all(record.join("2026-11-25")).unwrap(),
        &|| assert!(fs::copy(other.join("2026-11-25/checkpoint"), record.join("2026-11-25/checkpoint")).is_ok()),
    ];
    for (at, how) in broken.iter().enumerate() {
        three_days(&record, "n1", 1);
        how();
        assert!(!python(&of_record, &[&record, &key]).status.success() && verified(&record).0 == 1, "{at}");
    }
    three_days(&record, "n1", 1);
    fs::remove_file(records(&record, "2026-11-24")).unwrap();
    let output = python(&of_record, &[&record, &key]);
    assert!(output.status.success() && text(&output.stdout).starts_with("2026-11-24 11 deleted\n"), "{output:?}");
}
