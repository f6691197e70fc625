//! What others do to a record's files: half a line, foreign lines, another daemon, another key, nothing left.

use super::*;

#[test]
fn a_torn_line_is_cut_off() {
    let mut site = AuditSite::new("torn");
    let mut run = site.start();
    run.write(site.wall, 1);
    run.settle(&site);
    drop(run);
    // The power failed: there is no spool, and half a line.
    std::fs::remove_file(site.folder.join("spool")).unwrap();
    let file = std::fs::OpenOptions::new().append(true).open(site.record().join("2026-11-25/records.jsonl"));
    std::io::Write::write_all(&mut file.unwrap(), b"{\"n\":4,\"at\":\"2026-1").unwrap();
    let run = site.start();
    run.stop(&site);
    let kinds = site.kinds("2026-11-25");
    assert_eq!(kinds, ["open start", "config 1", "end 1", "open start", "config 2", "close stop"]);
    site.checkpoint("2026-11-25");
}

#[test]
fn what_others_wrote_is_left_as_it_is() {
    type Harm = fn(&str) -> String;
    let harms: [(&str, Harm); 3] = [
        ("a line that is none", |text| text.to_owned() + "hello\n"),
        ("a line that is another", |text| text.replace("\"seconds\":1", "\"seconds\":9")),
        ("a line that is gone", |text| text.lines().take(3).map(|line| line.to_owned() + "\n").collect()),
    ];
    for (what, harm) in harms {
        let mut site = AuditSite::new("harm");
        let mut run = site.start();
        run.write(site.wall, 1);
        run.stop(&site);
        let path = site.record().join("2026-11-25/records.jsonl");
        let harmed = harm(&std::fs::read_to_string(&path).unwrap());
        std::fs::write(&path, &harmed).unwrap();
        let mut run = site.start();
        run.write(site.wall, 2);
        let trouble = run.journal.step(site.now()).unwrap_err().to_string();
        assert!(trouble.contains("move ") && trouble.contains("2026-11-25"), "{what}: {trouble}");
        assert_eq!(run.journal.parts.standing.told().trouble, Some(trouble));
        assert_eq!(std::fs::read_to_string(&path).unwrap(), harmed, "{what}");
        // Somebody does what the log says.
        std::fs::rename(site.record().join("2026-11-25"), site.folder.join("aside")).unwrap();
        run.stop(&site);
        assert_eq!(site.kinds("2026-11-25"), ["open start", "config 2", "end 2", "close stop"], "{what}");
    }
}

#[test]
fn a_directory_has_one_daemon_and_one_key() {
    let mut site = AuditSite::new("taken");
    let run = site.start();
    let error = AuditDirectory::open(&site.record(), "eu.example.com/audit/a", &[7; 32]).unwrap_err();
    assert!(matches!(error, DirectoryError::Taken), "{error}");
    drop(run);
    let error = AuditDirectory::open(&site.record(), "eu.example.com/audit/a", &[8; 32]).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherKey(_)), "{error}");
    let renamed = AuditDirectory::open(&site.record(), "us.example.com/audit/b", &[7; 32]).unwrap();
    assert_eq!(renamed.verifier().name(), "eu.example.com/audit/a", "a record keeps its name");
    let mode = |path: &str| {
        let data = std::fs::metadata(site.record().join(path)).unwrap();
        std::os::unix::fs::PermissionsExt::mode(&data.permissions()) & 0o777
    };
    assert_eq!((mode(""), mode("keys"), mode("lock"), mode("public.key")), (0o700, 0o700, 0o600, 0o600));
}

#[test]
fn a_record_that_is_taken_away_is_begun_again_and_a_gap_counts_what_was_in_it() {
    for what in ["audit", "audit/2026-11-25", "audit/2026-11-25/records.jsonl"] {
        let mut site = AuditSite::new("gone");
        let mut run = site.start();
        run.write(site.wall, 1);
        run.write(site.wall, 2);
        run.settle(&site);
        site.pass(601_000_000);
        run.settle(&site);
        std::fs::rename(site.folder.join(what), site.folder.join("moved")).unwrap();
        run.write(site.wall, 3);
        site.pass(2_000_000);
        let trouble = run.journal.step(site.now()).unwrap_err();
        assert!(matches!(trouble, AuditTrouble::Gone { .. }), "{what}: {trouble}");
        assert!(run.journal.parts.standing.told().trouble.unwrap().contains("taken it away"));
        if what.ends_with("jsonl") {
            // Its checkpoint is still there and says that others were taken out.
            assert!(matches!(run.journal.step(site.now()).unwrap_err(), AuditTrouble::Foreign { .. }));
            continue;
        }
        run.settle(&site);
        assert_eq!(run.journal.parts.standing.told().trouble, None);
        run.stop(&site);
        let gap = &site.lines("2026-11-25")[2];
        assert_eq!((&gap["kind"], &gap["why"], &gap["count"]), (&"gap".into(), &"removed".into(), &5.into()), "{what}");
        assert_eq!(site.kinds("2026-11-25"), ["open day", "config 1", "gap removed", "end 3", "close stop"], "{what}");
        let key = std::fs::read_to_string(site.record().join("public.key")).unwrap();
        assert!(key.starts_with("eu.example.com/audit/a+"));
        assert_eq!(site.files(Path::new("keys")), ["2026-11.key"], "{what}");
        site.start().stop(&site);
        let opened = site.lines("2026-11-25").into_iter().rfind(|line| line["kind"] == "open").unwrap();
        assert_eq!(opened["spool"], "kept", "{what}");
    }
}

#[test]
fn a_key_that_is_gone_is_found_again_and_another_one_refused() {
    let mut site = AuditSite::new("public");
    let mut run = site.start();
    run.settle(&site);
    run.stop(&site);
    std::fs::remove_file(site.record().join("public.key")).unwrap();
    let error = AuditDirectory::open(&site.record(), "eu.example.com/audit/a", &[8; 32]).unwrap_err();
    assert!(matches!(error, DirectoryError::OtherKey(_)), "{error}");
    assert!(!site.record().join("public.key").exists());
    let renamed = AuditDirectory::open(&site.record(), "us.example.com/audit/b", &[7; 32]).unwrap();
    assert_eq!(renamed.verifier().name(), "eu.example.com/audit/a");
}
