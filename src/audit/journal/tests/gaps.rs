//! What was dropped is told, where it is missing, over kills too.

use super::*;

#[test]
fn what_was_dropped_is_told_at_its_place() {
    let mut site = AuditSite::new("gap");
    let mut run = site.start();
    run.settle(&site);
    site.pass(2_000_000);
    run.settle(&site);
    for at in 0..70 {
        assert_eq!(run.write(site.wall + u64::from(at), at), at < 64);
    }
    site.pass(1_000_000);
    run.settle(&site);
    run.write(site.wall, 100);
    run.spool.write(site.wall, |_| 0);
    run.spool.write(site.wall, |slot| {
        slot[..3].copy_from_slice(b"???");
        3
    });
    run.settle(&site);
    let kinds = site.kinds("2026-11-25");
    assert_eq!(kinds[65..], ["end 63", "gap slow-disk", "end 100", "gap too-long", "gap unreadable"]);
    let gap = &site.lines("2026-11-25")[66];
    assert_eq!((gap["count"].as_u64(), gap["from"].as_str()), (Some(6), Some("2026-11-25T10:00:02.000064Z")));
    assert_eq!(run.journal.parts.standing.dropped(), 6);
    run.stop(&site);

    // Nothing comes behind what was dropped, and the daemon is killed. Its beginning has a slot too.
    let mut run = site.start();
    for at in 0..65 {
        run.write(site.wall, at);
    }
    drop(run);
    let mut run = site.start();
    run.settle(&site);
    site.pass(2_000_000);
    run.settle(&site);
    run.stop(&site);
    let gaps = site.lines("2026-11-25").into_iter().filter(|line| line["kind"] == "gap" && line["why"] == "slow-disk");
    assert_eq!(gaps.map(|line| line["count"].as_u64().unwrap()).collect::<Vec<_>>(), [6, 2]);
}

#[test]
fn what_was_dropped_last_is_told_before_the_end() {
    let mut site = AuditSite::new("last-gap");
    let mut run = site.start();
    for at in 0..70 {
        run.write(site.wall, at);
    }
    drop(run);
    let run = site.start();
    run.stop(&site);
    let kinds = site.kinds("2026-11-25");
    assert_eq!(kinds[kinds.len() - 2..], ["gap slow-disk", "close stop"]);
    assert_eq!(site.lines("2026-11-25")[kinds.len() - 2]["count"], 7);
}

#[test]
fn a_gap_over_a_kill_begins_with_what_the_killed_daemon_dropped_first() {
    let mut site = AuditSite::new("gap-kill");
    let mut run = site.start();
    for at in 0..63 {
        run.write(site.wall, at);
    }
    let first = site.wall + 1;
    run.write(first, 64);
    drop(run);
    site.pass(HOUR);
    let mut run = site.start();
    run.write(site.wall, 65);
    run.settle(&site);
    run.stop(&site);
    let lines = site.lines("2026-11-25");
    let gaps: Vec<&Value> = lines.iter().filter(|line| line["kind"] == "gap").collect();
    assert_eq!((gaps.len(), &gaps[0]["count"]), (1, &2.into()));
    assert_eq!((gaps[0]["from"].as_str(), gaps[0]["to"].as_str()), (Some(&*moment_text(first)), Some(&*moment_text(site.wall))));
}
