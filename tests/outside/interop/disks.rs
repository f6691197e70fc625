//! Disks that are full and disks that hang, below the audit record: calls go on, and what was not kept is said.
//!
//! The full one is a tmpfs of 4 MB, the other one ext4 in a file that is frozen. Both are mounted where the test alone sees them. Needs root.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::apart::with_mounts;
use super::run;
use crate::audit::{Audited, Caller, lines, users, verify};
use crate::harness::{Daemon, await_some};

/// More than the spool holds.
const MANY: usize = 66_500;

/// The record's directory, made.
fn record(audited: &Audited) -> (PathBuf, String) {
    let path = audited.site.directory().join("audit");
    fs::create_dir(&path).unwrap();
    let text = path.to_str().unwrap().to_owned();
    (path, text)
}

fn behind(daemon: &Daemon) -> u64 {
    daemon.metrics_when("a count", |_| true).sum("ringfence_audit_behind_records", &[])
}

#[test]
fn a_full_disk_is_waited_for_and_what_had_no_room_is_told() {
    let audited = Audited::claim();
    with_mounts(|| {
        let (path, mount) = record(&audited);
        run("mount", &["-t", "tmpfs", "-o", "size=4m", "tmpfs", &mount], "");
        let mut daemon = Daemon::start(&audited.site, &audited.plan(""));
        let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
        let calls = |caller: &mut Caller, count: usize| {
            let before = caller.told.len();
            while caller.told.len() < before + count {
                caller.call();
            }
        };
        calls(&mut caller, 50);
        await_some("the first records", || (behind(&daemon) == 0).then_some(()));
        let filler = path.join("filler");
        // As much as there is room for.
        assert!(fs::write(&filler, vec![7; 5 << 20]).is_err());
        calls(&mut caller, 3000);
        await_some("a word about the disk", || daemon.log().contains("audit record cannot be written").then_some(()));
        assert!(behind(&daemon) >= 3000);
        let status: serde_json::Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
        assert!(status["audit"]["trouble"].as_str().unwrap().contains("No space left"), "{status:#}");
        fs::remove_file(&filler).unwrap();
        await_some("the disk to be used again", || (behind(&daemon) == 0).then_some(()));
        let kept: std::collections::BTreeSet<String> = users(&lines(&path)).into_iter().collect();
        assert!(caller.told.is_subset(&kept), "nothing is lost as long as the spool has room");
        assert!(lines(&path).iter().all(|line| line["kind"] != "gap"));

        // Now for longer than the spool has room.
        assert!(fs::write(&filler, vec![7; 5 << 20]).is_err());
        calls(&mut caller, MANY);
        let dropped = await_some("drops", || {
            let metrics = daemon.metrics_when("a count", |_| true);
            Some(metrics.sum("ringfence_audit_records_total", &[("result", "dropped")])).filter(|&count| count > 0)
        });
        // The record of this many calls has no room on such a disk.
        run("mount", &["-o", "remount,size=64m", &mount], "");
        fs::remove_file(&filler).unwrap();
        await_some("the disk to be used again", || (behind(&daemon) == 0).then_some(()));
        daemon.signal("INT");
        assert!(daemon.wait().success());
        let lines = lines(&path);
        let gaps: Vec<u64> =
            lines.iter().filter(|line| line["kind"] == "gap").map(|line| line["count"].as_u64().unwrap()).collect();
        let why = lines.iter().find(|line| line["kind"] == "gap").map(|line| line["why"].clone());
        assert_eq!((gaps.iter().sum::<u64>(), why), (dropped, Some("disk-full".into())), "{gaps:?}");
        let kept = users(&lines).len();
        assert!(kept as u64 + dropped >= caller.told.len() as u64, "{kept} kept, {dropped} dropped, {} told", caller.told.len());
        let (code, said) = verify(&path);
        assert_eq!(code, 2, "{said}");
        run("umount", &[&mount], "");
    });
}

#[test]
fn a_disk_that_hangs_holds_no_call_up() {
    let audited = Audited::claim();
    with_mounts(|| {
        let (path, mount) = record(&audited);
        let image = audited.site.write("image", "");
        fs::File::options().write(true).open(&image).unwrap().set_len(48 << 20).unwrap();
        run("mkfs.ext4", &["-q", image.to_str().unwrap()], "");
        run("mount", &["-o", "loop", image.to_str().unwrap(), &mount], "");
        let mut daemon = Daemon::start(&audited.site, &audited.plan("checkpoint = \"1s\""));
        let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
        let longest = |caller: &mut Caller, time: Duration| {
            let (begin, mut longest, mut silent) = (Instant::now(), Duration::ZERO, 0);
            while begin.elapsed() < time {
                let before = Instant::now();
                if !caller.call() {
                    silent += 1;
                }
                longest = longest.max(before.elapsed());
            }
            (longest, silent)
        };
        let before = longest(&mut caller, Duration::from_secs(2));
        run("fsfreeze", &["--freeze", &mount], "");
        let frozen = longest(&mut caller, Duration::from_secs(8));
        let behind = behind(&daemon);
        run("fsfreeze", &["--unfreeze", &mount], "");
        println!("an answer took {before:?} before, {frozen:?} while the disk was frozen; {behind} records waited");
        assert!(behind > 500, "the disk was not frozen: {behind} behind");
        // A telephone waits 20 ms for its answer here.
        assert!(frozen.1 <= before.1 + 5, "answers were late while the disk was frozen: {frozen:?}, before {before:?}");
        daemon.signal("INT");
        assert!(daemon.wait().success());
        let kept: std::collections::BTreeSet<String> = users(&lines(&path)).into_iter().collect();
        assert!(caller.told.is_subset(&kept), "a disk that hangs loses nothing as long as the spool has room");
        let (code, said) = verify(&path);
        assert_eq!(code, 0, "{said}");
        run("umount", &[&mount], "");
    });
}
