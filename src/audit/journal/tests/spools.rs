//! Spools that are old, copied, damaged or another record's: nothing is cut, and what is missing is counted.

use super::*;

#[test]
fn a_spool_cuts_no_other_record() {
    let mut site = AuditSite::new("moved");
    let mut run = site.start();
    run.write(site.wall, 1);
    run.settle(&site);
    site.pass(5_000_000);
    run.write(site.wall, 2);
    run.settle(&site);
    drop(run);
    // Another directory, with a longer file of that day.
    let other = AuditSite { folder: site.folder.join("other"), ..AuditSite::new("unused") };
    std::fs::create_dir(&other.folder).unwrap();
    let mut other = other;
    let mut run = other.start();
    for at in 10..20 {
        run.write(other.wall, at);
    }
    run.stop(&other);
    let before = other.lines("2026-11-25");
    std::fs::copy(site.folder.join("spool"), other.folder.join("spool")).unwrap();
    let run = other.start();
    run.stop(&other);
    assert_eq!(other.lines("2026-11-25")[..before.len()], before);
}

/// Keeps what the record holds now, and says that no later start may change it.
fn only_appended(site: &AuditSite, before: &[Value]) -> Vec<Value> {
    let lines = site.lines("2026-11-25");
    assert_eq!(lines[..before.len()], *before);
    lines[before.len()..].to_vec()
}

#[test]
fn an_old_spool_cuts_no_line_and_what_waits_in_it_is_counted() {
    let mut site = AuditSite::new("old-spool");
    let mut run = site.start();
    run.write(site.wall, 1);
    run.settle(&site);
    site.pass(2_000_000);
    run.settle(&site);
    // These may be in the file already.
    run.write(site.wall, 2);
    run.write(site.wall, 3);
    drop(run);
    let (first, place) = (site.folder.join("first"), site.folder.join("spool"));
    std::fs::rename(&place, &first).unwrap();
    // Fewer records than wait in the first spool: their number does not tell that they are others.
    let mut run = site.start();
    run.write(site.wall, 10);
    run.settle(&site);
    drop(run);
    std::fs::rename(&first, &place).unwrap();
    let before = site.lines("2026-11-25");
    let mut run = site.start();
    run.write(site.wall, 20);
    run.settle(&site);
    let after = only_appended(&site, &before);
    assert_eq!((&after[0]["why"], &after[0]["count"]), (&"killed".into(), &2.into()));
    assert_eq!((&after[1]["kind"], &after[1]["spool"]), (&"open".into(), &Value::Null));
    assert_eq!(after.last().unwrap()["seconds"], 20);
    // From now on it is the record's own again.
    site.pass(2_000_000);
    run.settle(&site);
    drop(run);
    let before = site.lines("2026-11-25");
    site.start().stop(&site);
    assert_eq!(only_appended(&site, &before)[0]["spool"], "kept");
}

#[test]
fn a_copy_of_the_spool_from_before_cuts_no_line() {
    let mut site = AuditSite::new("copied-spool");
    let mut run = site.start();
    run.settle(&site);
    let (copy, place) = (site.folder.join("copy"), site.folder.join("spool"));
    std::fs::copy(&place, &copy).unwrap();
    for at in 0..5 {
        run.write(site.wall, at);
    }
    run.settle(&site);
    drop(run);
    let before = site.lines("2026-11-25");
    std::fs::rename(&copy, &place).unwrap();
    site.start().stop(&site);
    assert_eq!(only_appended(&site, &before)[0]["spool"], Value::Null);
}

#[test]
fn a_spool_of_another_start_of_the_machine_cuts_no_line() {
    let mut site = AuditSite::new("other-boot");
    let mut run = site.start();
    run.settle(&site);
    run.write(site.wall, 1);
    run.settle(&site);
    drop(run);
    let spool = std::fs::OpenOptions::new().write(true).open(site.folder.join("spool")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&spool, &[9; 16], 1536).unwrap();
    let before = site.lines("2026-11-25");
    site.start().stop(&site);
    let after = only_appended(&site, &before);
    assert_eq!((&after[0]["why"], &after[0]["count"]), (&"killed".into(), &1.into()));
    assert_eq!((&after[1]["kind"], &after[1]["spool"]), (&"open".into(), &Value::Null));
}

/// What another program does to a spool that no daemon has.
fn write_over(site: &AuditSite, at: u64, octets: &[u8]) {
    let spool = std::fs::OpenOptions::new().write(true).open(site.folder.join("spool")).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&spool, octets, at).unwrap();
}

#[test]
fn what_was_damaged_at_the_end_of_the_spool_is_counted() {
    let mut site = AuditSite::new("damaged");
    let mut run = site.start();
    run.settle(&site);
    site.pass(2_000_000);
    run.settle(&site);
    for at in 0..3 {
        run.write(site.wall, at);
    }
    drop(run);
    // All that waits, and free places behind it.
    write_over(&site, 4096 + 1024, &[9; 5 * 1024]);
    let before = site.lines("2026-11-25");
    site.start().stop(&site);
    let after = only_appended(&site, &before);
    assert_eq!((&after[0]["why"], &after[0]["count"]), (&"killed".into(), &5.into()));
    assert_eq!((&after[1]["kind"], &after[1]["spool"]), (&"open".into(), &Value::Null));
    site.start().stop(&site);
    assert_eq!(site.lines("2026-11-25").iter().rev().find(|line| line["kind"] == "open").unwrap()["spool"], "kept");
}

#[test]
fn a_spool_without_a_position_counts_what_is_not_in_the_file() {
    let mut site = AuditSite::new("unplaced");
    let mut run = site.start();
    run.write(site.wall, 1);
    run.write(site.wall, 2);
    run.settle(&site);
    site.pass(2_000_000);
    run.settle(&site);
    // Of the last moment in the file, and later.
    let last = site.wall - 2_000_000;
    for at in [last, site.wall, site.wall + 1] {
        run.write(at, 9);
    }
    drop(run);
    write_over(&site, 512, &[9; 700]);
    let before = site.lines("2026-11-25");
    site.start().stop(&site);
    let after = only_appended(&site, &before);
    assert_eq!((&after[0]["why"], &after[0]["count"]), (&"killed".into(), &3.into()));
    assert_eq!((&after[1]["kind"], &after[1]["spool"]), (&"open".into(), &Value::Null));
    assert_eq!(after[0]["from"], moment_text(last));
}
