//! The record on a clock that is moved by hand, through kills, midnights and what others did to its files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use serde_json::Value;

use super::*;
use crate::audit::calendar::moment;
use crate::audit::directory::DirectoryError;
use crate::audit::marks;
use crate::audit::record::{AuditFact, AuditRecord, CallName, EndFact, EndedBy};
use crate::audit::spool::Spool;
use crate::audit::tree::{MerkleTree, sha256};

mod files;
mod gaps;
mod kills;
mod spools;

/// 2026-11-25T00:00:00Z.
const DAY: u64 = 20_782 * 86_400_000_000;
const HOUR: u64 = 3_600_000_000;
const SLOTS: u64 = 64;

/// A directory and a spool of its own, and a clock.
struct AuditSite {
    folder: PathBuf,
    wall: u64,
    steady: Instant,
    keeping: Keeping,
    runs: u64,
}

/// A daemon as the record sees it.
struct Run {
    spool: Spool,
    journal: Journal,
}

impl AuditSite {
    fn new(name: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("ringfence-journal-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir(&folder).unwrap();
        let keeping = Keeping { retain: 730, numbers: AuditNumbers::Hmac, checkpoint: Duration::from_secs(600) };
        Self { folder, wall: DAY + 10 * HOUR, steady: Instant::now(), keeping, runs: 0 }
    }

    fn record(&self) -> PathBuf {
        self.folder.join("audit")
    }

    fn now(&self) -> Now {
        Now { steady: self.steady, wall: moment(self.wall) }
    }

    fn pass(&mut self, micros: u64) {
        self.wall += micros;
        self.steady += Duration::from_micros(micros);
    }

    /// Starts a daemon.
    fn start(&mut self) -> Run {
        self.try_start(&[7; 32]).unwrap()
    }

    fn try_start(&mut self, seed: &[u8; 32]) -> Result<Run, DirectoryError> {
        let directory = AuditDirectory::open(&self.record(), "eu.example.com/audit/a", seed)?;
        let place = self.folder.join("spool");
        let (mut spool, reader, found) = Spool::open(&place, SLOTS).unwrap();
        self.runs += 1;
        marks::keep(&place, self.runs, &[format!("\"digest\":\"{}\"", self.runs)]).unwrap();
        spool.begin(self.wall, self.runs);
        let parts = JournalParts {
            directory,
            keeping: self.keeping,
            reader,
            found,
            marks: Marks::new(&place),
            calls: hmac::Key::new(hmac::HMAC_SHA256, b"calls"),
            node: "a".to_owned(),
            standing: Arc::new(AuditStanding::new(spool.level())),
        };
        Ok(Run { spool, journal: Journal::new(parts) })
    }

    /// The lines of a day, each one checked to be where it says.
    fn lines(&self, day: &str) -> Vec<Value> {
        let text = std::fs::read_to_string(self.record().join(day).join("records.jsonl")).unwrap();
        assert!(text.is_empty() || text.ends_with('\n'));
        let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        for (n, line) in lines.iter().enumerate() {
            assert_eq!(line["n"], n, "{line}");
        }
        lines
    }

    /// The kinds of a day's lines, with what tells them apart.
    fn kinds(&self, day: &str) -> Vec<String> {
        let shown = |line: &Value| {
            let more = ["why", "seconds", "size", "digest"].iter().find_map(|key| line.get(*key));
            more.map_or_else(String::new, |more| format!(" {}", more.to_string().trim_matches('"')))
        };
        self.lines(day).iter().map(|line| format!("{}{}", line["kind"].as_str().unwrap(), shown(line))).collect()
    }

    /// The checkpoint of a day, which covers this many lines, verified.
    fn checkpoint(&self, day: &str) -> Checkpoint {
        let folder = self.record().join(day);
        let key: super::super::signed_note::NoteVerifier =
            std::fs::read_to_string(self.record().join("public.key")).unwrap().trim_end().parse().unwrap();
        let note = std::fs::read(folder.join("checkpoint")).unwrap();
        let checkpoint: Checkpoint = key.verify(&note).unwrap().parse().unwrap();
        let text = std::fs::read_to_string(folder.join("records.jsonl")).unwrap();
        let mut tree = MerkleTree::default();
        for line in text.split_inclusive('\n').take(usize::try_from(checkpoint.size).unwrap()) {
            tree.push(line.as_bytes());
        }
        assert_eq!((tree.size(), tree.root()), (checkpoint.size, checkpoint.root), "{day}");
        checkpoint
    }

    fn files(&self, folder: &Path) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(self.record().join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

impl Drop for AuditSite {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Run {
    /// The end of a call that lasted so many seconds: by these it is known again.
    fn write(&mut self, at: u64, seconds: u32) -> bool {
        let fact = AuditFact::End(EndFact {
            by: EndedBy::Caller,
            cause: None,
            seconds: Some(seconds),
            since_invite: None,
            code: Some(200),
        });
        let call = CallName::Joined(b"id\0tag");
        let record = AuditRecord { at, region: "eu", project: None, trunk: None, call, cut: false, fact };
        self.spool.write(at, |slot| record.encode(slot).0)
    }

    /// Steps until nothing more is to be done at once.
    fn settle(&mut self, site: &AuditSite) {
        while self.journal.step(site.now()).unwrap() {}
    }

    fn stop(mut self, site: &AuditSite) {
        self.journal.finish(site.now(), CloseReason::Stop).unwrap();
    }
}

#[test]
fn a_run_is_opened_sealed_and_closed_and_the_next_goes_on_in_the_same_file() {
    let mut site = AuditSite::new("run");
    let mut run = site.start();
    run.settle(&site);
    let begun = site.checkpoint("2026-11-25");
    assert_eq!((begun.size, begun.is_final), (2, false), "it is signed from its beginning, without a seal");
    assert!(run.write(site.wall, 1));
    run.settle(&site);
    site.pass(601_000_000);
    run.settle(&site);
    assert!(run.write(site.wall, 2));
    run.stop(&site);
    let day = "2026-11-25";
    let first = ["open start", "config 1", "end 1", "seal 3", "end 2", "close stop"];
    assert_eq!(site.kinds(day), first);
    let ended = site.checkpoint(day);
    assert_eq!((ended.size, ended.is_final, ended.previous), (6, true, None));

    let mut run = site.start();
    run.journal.begin(site.now()).unwrap();
    let told = run.journal.parts.standing.told().checkpoint.unwrap().0;
    assert_eq!(
        *told,
        *std::fs::read_to_string(site.record().join(day).join("checkpoint")).unwrap(),
        "the latest one is known at once"
    );
    run.settle(&site);
    assert!(!site.checkpoint(day).is_final, "it goes on");
    run.stop(&site);
    assert_eq!(site.kinds(day)[6..], ["open start", "config 2", "seal 8", "close stop"]);
    assert_eq!(site.lines(day)[0]["at"], "2026-11-25T10:00:00.000000Z");
    assert_eq!((&site.lines(day)[0]["spool"], &site.lines(day)[6]["spool"]), (&Value::Null, &"kept".into()));
    assert_eq!(site.files(Path::new("")), [day, "keys", "lock", "public.key"]);
}

#[test]
fn idle_hours_seal_nothing_twice() {
    let mut site = AuditSite::new("idle");
    let mut run = site.start();
    for _ in 0..50 {
        run.settle(&site);
        site.pass(700_000_000);
    }
    assert_eq!(site.kinds("2026-11-25"), ["open start", "config 1", "seal 2"]);
}

#[test]
fn midnight_ends_a_day_and_a_late_record_goes_to_the_new_one() {
    let mut site = AuditSite::new("midnight");
    site.wall = DAY + 24 * HOUR - 1_000_000;
    let mut run = site.start();
    run.settle(&site);
    run.write(site.wall, 1);
    let late = site.wall;
    site.pass(1_000_000);
    run.write(site.wall, 2);
    run.write(late, 3);
    run.settle(&site);
    let begun = site.checkpoint("2026-11-26");
    assert_eq!((begun.size, begun.is_final), (4, false), "a day is signed as it begins");
    // The next midnight comes without a record.
    site.pass(24 * HOUR);
    run.settle(&site);
    run.stop(&site);
    assert_eq!(site.kinds("2026-11-25"), ["open start", "config 1", "end 1", "close day"]);
    assert_eq!(site.kinds("2026-11-26"), ["open day", "config 1", "end 2", "end 3", "close day"]);
    assert_eq!(site.kinds("2026-11-27")[..2], ["open day", "config 1"]);
    let hash = |day: &str| sha256(&std::fs::read(site.record().join(day).join("checkpoint")).unwrap());
    for (day, before) in [("2026-11-26", "2026-11-25"), ("2026-11-27", "2026-11-26")] {
        let checkpoint = site.checkpoint(day);
        assert_eq!((checkpoint.previous, checkpoint.is_final), (Some(hash(before)), true));
        let previous = &site.lines(day)[0]["previous"];
        assert_eq!(
            (previous["day"].as_str(), previous["sha256"].as_str()),
            (Some(before), Some(&*super::super::line::hex(&hash(before))))
        );
    }
    assert_eq!(site.lines("2026-11-25")[3]["at"], "2026-11-25T23:59:59.999999Z", "a day's last line is of that day");
}

#[test]
fn a_day_that_nobody_ended_gets_its_checkpoint_at_the_next_start() {
    let mut site = AuditSite::new("after");
    let mut run = site.start();
    run.settle(&site);
    site.pass(2_000_000);
    run.write(site.wall, 1);
    run.write(site.wall, 2);
    drop(run);
    site.pass(50 * HOUR);
    let mut run = site.start();
    run.write(site.wall, 3);
    run.stop(&site);
    assert_eq!(site.kinds("2026-11-25"), ["open start", "config 1", "end 1", "end 2"], "no close: it was killed");
    assert!(site.checkpoint("2026-11-25").is_final);
    assert_eq!(site.kinds("2026-11-27"), ["open start", "config 2", "end 3", "close stop"]);
    assert!(!site.record().join("2026-11-26").exists());
}

#[test]
fn retention_deletes_records_and_keys_and_leaves_checkpoints() {
    let mut site = AuditSite::new("retention");
    site.keeping.retain = 1;
    site.wall = DAY + 3 * 24 * HOUR;
    let mut run = site.start();
    // From 28 November to 2 December.
    for day in 0..5 {
        run.write(site.wall, day);
        run.settle(&site);
        site.pass(24 * HOUR);
    }
    run.stop(&site);
    // It is 3 December now.
    for (day, kept) in
        [("2026-11-28", false), ("2026-11-29", false), ("2026-12-01", false), ("2026-12-02", true), ("2026-12-03", true)]
    {
        assert_eq!(site.record().join(day).join("records.jsonl").exists(), kept, "{day}");
        assert!(site.record().join(day).join("checkpoint").exists(), "{day}");
    }
    assert_eq!(site.files(Path::new("keys")), ["2026-12.key"]);
    let key = std::fs::read_to_string(site.record().join("keys/2026-12.key")).unwrap();
    assert!(key.len() == 65 && key.ends_with('\n'));

    // A reload with less takes effect at once.
    let mut run = site.start();
    run.settle(&site);
    let keeping = Keeping { retain: 0, ..site.keeping };
    run.journal.keep(keeping, hmac::Key::new(hmac::HMAC_SHA256, b"calls"), site.now());
    assert!(!site.record().join("2026-12-02/records.jsonl").exists());
    run.stop(&site);
}

/// A machine whose clock is three years ahead when it starts.
#[test]
fn a_clock_that_is_wrong_at_the_start_deletes_nothing() {
    let mut site = AuditSite::new("wrong-clock");
    site.keeping.retain = 30;
    let mut run = site.start();
    run.write(site.wall, 1);
    run.settle(&site);
    run.stop(&site);
    let right = site.wall;
    site.wall += 3 * 365 * 24 * HOUR;
    let mut run = site.start();
    run.settle(&site);
    run.stop(&site);
    site.wall = right;
    assert!(site.record().join("2026-11-25/records.jsonl").exists());
    assert_eq!(site.files(Path::new("keys")).len(), 1);
}

#[test]
fn a_clock_that_goes_back_reopens_no_day_and_one_that_leaps_deletes_nothing() {
    let mut site = AuditSite::new("clock");
    site.keeping.retain = 1;
    let mut run = site.start();
    run.write(site.wall, 1);
    run.settle(&site);
    site.pass(24 * HOUR);
    run.write(site.wall, 2);
    run.settle(&site);
    site.wall -= 30 * HOUR;
    run.write(site.wall, 3);
    run.settle(&site);
    run.stop(&site);
    let mut run = site.start();
    run.write(site.wall, 4);
    run.settle(&site);
    assert_eq!(site.kinds("2026-11-25").last().unwrap(), "close day");
    let of_26: Vec<String> = site.kinds("2026-11-26").into_iter().filter(|kind| kind.starts_with("end")).collect();
    assert_eq!(of_26, ["end 2", "end 3", "end 4"]);
    site.pass(400 * 24 * HOUR);
    run.settle(&site);
    assert!(site.record().join("2026-11-25/records.jsonl").exists());
}

fn moment_text(at: u64) -> String {
    crate::audit::line::moment(at)
}
