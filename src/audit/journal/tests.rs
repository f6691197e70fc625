//! The record on a clock that is moved by hand, through kills, midnights and what others did to its files.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::audit::calendar::moment;
use crate::audit::directory::DirectoryError;
use crate::audit::marks;
use crate::audit::record::{AuditFact, AuditRecord, CallName, EndFact, EndedBy};
use crate::audit::spool::Spool;
use crate::audit::tree::{MerkleTree, sha256};

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

/// What may happen to a daemon with a record.
#[derive(Clone, Debug)]
enum Event {
    Records(u8),
    Step,
    Pass(u32),
    Kill,
    /// Killed while it wrote a line.
    Torn,
    Stop,
    Reload,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        4 => (1..9_u8).prop_map(Event::Records),
        4 => Just(Event::Step),
        // Up to seven hours.
        3 => (1..25_000_000_u32).prop_map(Event::Pass),
        1 => Just(Event::Pass(600_000)),
        2 => Just(Event::Kill),
        1 => Just(Event::Torn),
        1 => Just(Event::Stop),
        1 => Just(Event::Reload),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    /// Whenever it is killed, each record is there once and in order, or counted by a gap; and every checkpoint verifies.
    #[test]
    fn nothing_is_lost_and_nothing_is_there_twice(events in proptest::collection::vec(event(), 1..40)) {
        let mut site = AuditSite::new("any");
        let mut run = Some(site.start());
        let (mut next, mut kept, mut dropped) = (0_u32, Vec::new(), Vec::new());
        for event in events {
            let mut daemon = match run.take() {
                Some(run) => run,
                None => site.start(),
            };
            match event {
                Event::Records(count) => for _ in 0..count {
                    if daemon.write(site.wall, next) { kept.push(u64::from(next)) } else { dropped.push(moment_text(site.wall)) }
                    next += 1;
                },
                Event::Step => daemon.settle(&site),
                Event::Pass(millis) => site.pass(u64::from(millis) * 1000),
                Event::Reload => {
                    site.runs += 1;
                    marks::keep(&site.folder.join("spool"), site.runs, &[format!("\"digest\":\"{}\"", site.runs)]).unwrap();
                    daemon.spool.mark(SystemTime::UNIX_EPOCH + Duration::from_micros(site.wall), site.runs);
                }
                Event::Kill => continue,
                Event::Torn => {
                    drop(daemon);
                    let last = DayNumber::of(site.wall).name();
                    let path = site.record().join(last).join("records.jsonl");
                    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).open(path) {
                        std::io::Write::write_all(&mut file, b"{\"n\":7,\"at").unwrap();
                    }
                    continue;
                }
                Event::Stop => {
                    daemon.stop(&site);
                    continue;
                }
            }
            run = Some(daemon);
        }
        drop(run);
        let run = site.start();
        run.stop(&site);
        let (mut found, mut told, mut to) = (Vec::new(), 0, String::new());
        for day in site.files(Path::new("")).iter().filter(|name| name.starts_with("2026")) {
            if !site.record().join(day).join("checkpoint").exists() {
                prop_assert!(site.lines(day).is_empty());
                continue;
            }
            let checkpoint = site.checkpoint(day);
            prop_assert!(checkpoint.is_final && checkpoint.size == site.lines(day).len() as u64, "{day}: {checkpoint:?}");
            for line in site.lines(day) {
                match line["kind"].as_str().unwrap() {
                    "end" => found.push(line["seconds"].as_u64().unwrap()),
                    "gap" => {
                        let text = |key: &str| line[key].as_str().unwrap().to_owned();
                        let count = usize::try_from(line["count"].as_u64().unwrap()).unwrap();
                        // It is about these, and begins where the one before ended at the earliest.
                        let of = &dropped[told..told + count];
                        prop_assert!(to <= text("from") && text("from") <= of[0] && of[count - 1] == text("to"), "{line} {of:?} {to}");
                        (told, to) = (told + count, text("to"));
                    }
                    _ => {}
                }
            }
        }
        prop_assert_eq!(found, kept);
        prop_assert_eq!(told, dropped.len());
    }
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

fn moment_text(at: u64) -> String {
    super::super::line::moment(at)
}
