//! The audit record of the built daemon: kills lose nothing, two daemons do not share one, and what a reload and a restart make of it.
//!
//! What must be in it is what telephones were told; nothing of the daemon's own says so.

use std::collections::BTreeSet;
use std::fs;
use std::net::{SocketAddr, TcpListener, UdpSocket};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::harness::{Ask, Daemon, Leg, Plan, Seen, Site, await_some, establish};

/// How often the daemon is killed.
const KILLS: usize = 12;

/// A site whose daemon keeps a record, with its spool in memory.
pub(crate) struct Audited {
    pub(crate) site: Site,
    spool: PathBuf,
}

impl Audited {
    pub(crate) fn claim() -> Self {
        let site = Site::claim();
        let spool = Path::new("/dev/shm").join(format!("ringfence-audit-{}-{}", std::process::id(), site.door().ip()));
        let _ = fs::remove_dir_all(&spool);
        fs::DirBuilder::new().mode(0o700).create(&spool).unwrap();
        site.write("audit.key", "the key of an audit record that only this test knows\n");
        Self { site, spool }
    }

    /// The configuration, with these keys in `[audit]`.
    pub(crate) fn plan(&self, keys: &str) -> Plan {
        let mut plan = Plan::new(&self.site);
        let spool = self.spool.join("spool");
        plan.more = format!(
            "[audit]\npath = \"audit\"\nsign = \"audit.key\"\nnumbers = \"plain\"\nspool = \"{}\"\n{keys}\n",
            spool.display()
        );
        plan
    }

    /// The lines of all days, in order.
    pub(crate) fn lines(&self) -> Vec<Value> {
        lines(&self.site.directory().join("audit"))
    }
}

impl Drop for Audited {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.spool);
    }
}

/// The lines of all days of a record, in order.
pub(crate) fn lines(record: &Path) -> Vec<Value> {
    let mut days: Vec<PathBuf> = fs::read_dir(record).unwrap().map(|entry| entry.unwrap().path()).collect();
    days.sort();
    let text = |day: &PathBuf| fs::read_to_string(day.join("records.jsonl")).unwrap_or_default();
    days.iter().flat_map(|day| text(day).lines().map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<_>>()).collect()
}

/// The users that verdicts of a record name, in order.
pub(crate) fn users(lines: &[Value]) -> Vec<String> {
    let user = |line: &Value| line["to"].as_str().map(str::to_owned);
    lines.iter().filter(|line| line["kind"] == "verdict").filter_map(user).collect()
}

/// A telephone that calls where it may not, again and again, each time another user, and notes whom it was told of.
pub(crate) struct Caller {
    socket: UdpSocket,
    addr: SocketAddr,
    next: u64,
    pub(crate) told: BTreeSet<String>,
}

impl Caller {
    pub(crate) fn new(addr: SocketAddr, door: SocketAddr) -> Self {
        let socket = UdpSocket::bind(addr).unwrap();
        socket.connect(door).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        Self { socket, addr, next: 0, told: BTreeSet::new() }
    }

    /// Calls once. Whether an answer came; it comes at once or not at all.
    pub(crate) fn call(&mut self) -> bool {
        let user = format!("user{}", self.next);
        self.next += 1;
        let ask = Ask::new("OPTIONS", &format!("sip:{user}@acme.us.sip.example.com"), self.addr, "udp");
        // Between two daemons nobody listens.
        if self.socket.send(&ask.bytes()).is_err() {
            return false;
        }
        loop {
            let mut answer = [0; 4096];
            let Ok(length) = self.socket.recv(&mut answer) else { return false };
            let answer = Seen::read(&answer[..length], self.addr);
            assert_eq!(answer.code(), 403, "{}", answer.start);
            let of = answer.get("To").split(['<', ':', '@']).nth(2).unwrap().to_owned();
            // One of a call before may be late.
            let own = of == user;
            self.told.insert(of);
            if own {
                return true;
            }
        }
    }
}

/// Verifies a record with the command, and returns how it ended and what it said.
pub(crate) fn verify(record: &Path) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ringfence"));
    let output = command.args(["audit", "verify"]).arg(record).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

#[test]
fn a_kill_loses_no_record_and_doubles_none() {
    let audited = Audited::claim();
    let text = audited.plan("checkpoint = \"1s\"").text(&audited.site);
    let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
    let done = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let calls = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                caller.call();
            }
        });
        for at in 0..KILLS {
            let mut daemon = Daemon::start_with(&audited.site, &text);
            // Some before anything was on the disk, some after, some in the middle of a checkpoint.
            std::thread::sleep(Duration::from_millis(150 + 173 * u64::try_from(at % 7).unwrap()));
            daemon.signal("KILL");
            daemon.wait();
        }
        done.store(true, Ordering::Relaxed);
        calls.join().unwrap();
    });
    let mut daemon = Daemon::start_with(&audited.site, &text);
    daemon.signal("INT");
    assert!(daemon.wait().success());

    let lines = audited.lines();
    let kept = users(&lines);
    let distinct: BTreeSet<String> = kept.iter().cloned().collect();
    assert_eq!(kept.len(), distinct.len(), "a record is there twice");
    let missing: Vec<&String> = caller.told.difference(&distinct).collect();
    println!("{KILLS} kills, {} calls told, {} records", caller.told.len(), kept.len());
    assert!(missing.is_empty(), "{} of {} calls are not in the record: {missing:?}", missing.len(), caller.told.len());
    assert!(caller.told.len() > 100, "too few calls to show anything: {}", caller.told.len());
    assert!(lines.iter().all(|line| line["kind"] != "gap"), "nothing was dropped");
    let opened = lines.iter().filter(|line| line["kind"] == "open" && line["why"] == "start").count();
    assert_eq!(opened, KILLS + 1);
    let kept = lines.iter().filter(|line| line["kind"] == "open" && line["spool"] == "kept").count();
    assert_eq!(kept, KILLS, "each one found what the one before had left");
    let (code, said) = verify(&audited.site.directory().join("audit"));
    assert_eq!(code, 0, "a kill loses nothing: {said}");
}

#[test]
fn a_hand_over_is_no_gap_and_every_verdict_is_a_record() {
    let audited = Audited::claim();
    let site = &audited.site;
    let text = audited.plan("").text(site);
    let (udp, tcp) = (UdpSocket::bind(site.door()).unwrap(), TcpListener::bind(site.door()).unwrap());
    let mut daemon = Daemon::start_on(site, &text, "old", (&udp, &tcp));
    let mut refused = Caller::new(site.carrier(21), site.door());
    while refused.told.len() < 30 {
        refused.call();
    }
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (mut dialog, _) = establish(site, &mut caller, &mut server);
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    let verdicts = daemon.metrics().sum("ringfence_verdicts_total", &[]);
    daemon.signal("TERM");
    assert!(daemon.wait().success());
    let mut next = Daemon::start_on(site, &text, "next", (&udp, &tcp));
    next.signal("INT");
    assert!(next.wait().success());
    let lines = audited.lines();
    let of = |kind: &str| lines.iter().filter(|line| line["kind"] == kind).collect::<Vec<_>>();
    assert_eq!(of("verdict").len() as u64, verdicts);
    let why: Vec<&Value> = of("close").iter().map(|line| &line["why"]).collect();
    assert_eq!(why, ["handover", "stop"]);
    let (answers, ends) = (of("answer"), of("end"));
    assert_eq!((answers.len(), &answers[0]["code"]), (1, &200.into()), "{answers:#?}");
    assert_eq!((ends.len(), &ends[0]["by"], &ends[0]["code"]), (1, &"caller".into(), &200.into()), "{ends:#?}");
    assert_eq!(answers[0]["call"], ends[0]["call"], "both name one call");
    let (code, said) = verify(&site.directory().join("audit"));
    assert_eq!(code, 0, "{said}");
}

#[test]
fn a_record_has_one_daemon_and_one_key() {
    let audited = Audited::claim();
    let plan = audited.plan("");
    let text = plan.text(&audited.site);
    let daemon = Daemon::start_with(&audited.site, &text);
    let refused = |text: &str| {
        let path = audited.site.write("other.toml", text);
        let output = Command::new(env!("CARGO_BIN_EXE_ringfence")).args(["run", "-c"]).arg(path).output().unwrap();
        (output.status.code(), String::from_utf8(output.stderr).unwrap())
    };
    // Everything but the record is its own.
    let other = text.replace(&audited.site.door().to_string(), &audited.site.eu(2).to_string());
    let other = other.replace(&format!("{}:9090", audited.site.door().ip()), &format!("{}:9090", audited.site.eu(2).ip()));
    let (code, said) = refused(&other);
    assert!(code == Some(69) && said.contains("audit: another daemon writes there"), "{code:?} {said}");
    let (code, said) = refused(&other.replace("path = \"audit\"", "path = \"another\""));
    assert!(code == Some(69) && said.contains("spool: another daemon has it"), "{code:?} {said}");
    audited.site.write("other.key", "another key of an audit record, as long as it must be\n");
    drop(daemon);
    let (code, said) = refused(&other.replace("audit.key", "other.key"));
    assert!(code == Some(69) && said.contains("public.key in it is of another key"), "{code:?} {said}");
}

#[test]
fn a_start_takes_calls_though_the_records_disk_hangs_or_fails() {
    let audited = Audited::claim();
    let record = audited.site.directory().join("audit");
    let trouble = |daemon: &Daemon| {
        let status: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
        status["audit"]["trouble"].as_str().map(str::to_owned)
    };
    let stop = |mut daemon: Daemon| {
        daemon.signal("INT");
        assert!(daemon.wait().success());
    };
    let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
    stop(Daemon::start(&audited.site, &audited.plan("")));

    // Whoever reads this waits for what is never written, as on a disk that hangs.
    let (key, hung) = (fs::read(record.join("public.key")).unwrap(), record.join("public.key"));
    fs::remove_file(&hung).unwrap();
    nix::unistd::mkfifo(&hung, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let daemon = Daemon::start(&audited.site, &audited.plan(""));
    assert!(caller.call());
    assert!(trouble(&daemon).unwrap().contains("does not answer"));
    assert!(daemon.log().contains("its disk does not answer"));
    // It does again.
    fs::write(&hung, &key).unwrap();
    await_some("the record to be written", || trouble(&daemon).is_none().then_some(()));
    stop(daemon);
    fs::remove_file(&hung).unwrap();
    fs::write(&hung, key).unwrap();

    // A disk that fails, for whatever cause.
    let lock = record.join("lock");
    fs::remove_file(&lock).unwrap();
    fs::create_dir(&lock).unwrap();
    let daemon = Daemon::start(&audited.site, &audited.plan(""));
    assert!(caller.call());
    assert!(trouble(&daemon).unwrap().contains("Is a directory"));
    fs::remove_dir(&lock).unwrap();
    await_some("the record to be written", || trouble(&daemon).is_none().then_some(()));
    stop(daemon);
    assert!(caller.told.is_subset(&users(&audited.lines()).into_iter().collect()));
    assert_eq!(verify(&record).0, 0);
}

#[test]
fn a_record_that_is_taken_away_under_the_daemon_is_begun_again_and_says_what_is_missing() {
    let audited = Audited::claim();
    let record = audited.site.directory().join("audit");
    let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
    let mut daemon = Daemon::start(&audited.site, &audited.plan("checkpoint = \"1s\""));
    let kept = |daemon: &Daemon| {
        daemon.metrics_when("records on the disk", |metrics| metrics.sum("ringfence_audit_behind_records", &[]) == 0);
    };
    assert!(caller.call());
    kept(&daemon);
    fs::rename(&record, record.with_file_name("taken")).unwrap();
    assert!(caller.call());
    await_some("a record", || fs::read_dir(&record).is_ok().then_some(()));
    kept(&daemon);
    daemon.signal("INT");
    assert!(daemon.wait().success());
    assert!(daemon.log().contains("somebody has taken it away"));
    assert_eq!(users(&audited.lines()), ["user1"]);
    let (code, said) = verify(&record);
    assert!(code == 2 && said.contains("(removed)"), "{said}");
}

#[test]
fn a_reload_takes_in_what_it_can_and_says_what_it_cannot() {
    let audited = Audited::claim();
    let mut daemon = Daemon::start(&audited.site, &audited.plan("checkpoint = \"1h\""));
    // A day is signed as it begins, and within the hour not again.
    let checkpoint = || Some(daemon.get("/audit/checkpoint")).filter(|answer| answer.0 == 200).map(|answer| answer.1);
    let first = await_some("the first checkpoint of the day", checkpoint);
    let mut caller = Caller::new(audited.site.carrier(20), audited.site.door());
    await_some("a call", || caller.call().then_some(()));
    daemon.reload(&audited.site, &audited.plan("checkpoint = \"1s\"").text(&audited.site));
    let note = await_some("another checkpoint", || checkpoint().filter(|note| *note != first));
    assert!(note.starts_with("eu.sip.example.com/audit/") && note.contains("\nday 20"), "{note}");
    assert!(!daemon.log().contains("next start"), "{}", daemon.log());
    daemon.reload(&audited.site, &audited.plan("").text(&audited.site).replace("path = \"audit\"", "path = \"elsewhere\""));
    await_some("a word about it", || daemon.log().contains("[audit] takes effect at the next start").then_some(()));
    await_some("a call", || caller.call().then_some(()));
    // Without the table the record that is kept goes on to be told everything.
    let text = audited.plan("").text(&audited.site);
    let (before, rest) = text.split_once("[audit]").unwrap();
    let behind = rest.split_once("\n[").map_or("", |(_, behind)| behind);
    daemon.reload(&audited.site, &format!("{before}{}", if behind.is_empty() { String::new() } else { format!("[{behind}") }));
    await_some("a call", || caller.call().then_some(()));
    let metrics = daemon.metrics_when("records on the disk", |metrics| {
        metrics.sum("ringfence_audit_records_total", &[("result", "kept")]) >= caller.told.len() as u64
    });
    assert_eq!(metrics.sum("ringfence_audit_records_total", &[("result", "dropped")]), 0);
    let status: Value = serde_json::from_str(&daemon.get("/status").1).unwrap();
    assert_eq!((&status["audit"]["trouble"], &status["audit"]["gaps"]), (&Value::Null, &0.into()), "{status:#}");
    assert!(daemon.get("/").1.contains("Audit record"));
    daemon.signal("INT");
    daemon.wait();
    let lines = audited.lines();
    let configs: BTreeSet<&str> =
        lines.iter().filter(|line| line["kind"] == "config").map(|line| line["digest"].as_str().unwrap()).collect();
    assert_eq!(configs.len(), 4, "each configuration that was in force is told");
    assert!(lines.iter().filter(|line| line["kind"] == "verdict").all(|line| line["call"].is_string()), "{lines:#?}");
    let judged: Vec<&str> =
        lines.iter().filter(|line| line["kind"] == "verdict").map(|line| line["config"].as_str().unwrap()).collect();
    assert!(judged.iter().all(|digest| configs.contains(digest)));
    let (code, said) = verify(&audited.site.directory().join("audit"));
    assert_eq!(code, 0, "{said}");
    assert!(!audited.site.directory().join("elsewhere").exists());
}
