//! How long `ringfence audit` takes for a day of many records, and how much memory.
//!
//! Run with `cargo bench --bench audit_read`, or with `-- RECORDS` (10000000 if not said, some 4.4 GB on the disk). The records are three for each
//! call, written by the format alone; they are deleted at the end.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints what it has measured, and may stop")]

#[path = "../../tests/cli_audit/written.rs"]
mod written;

use std::fs::{self, File};
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use written::WrittenNode;

/// Lines that are held before they are written.
const BATCH: usize = 4 << 20;

/// Ticks of a second, by which the kernel counts times (`getconf CLK_TCK`).
const TICKS: f64 = 100.0;

/// Writes a day with that many records and a seal after each 100 000 calls. Returns its octets.
fn write(path: &Path, records: u64) -> u64 {
    let node = WrittenNode::new(path, "n1", 1);
    let folder = path.join("2026-11-25");
    fs::create_dir_all(&folder).unwrap();
    let mut file = BufWriter::new(File::create(folder.join("records.jsonl")).unwrap());
    let mut day = node.begin("2026-11-25", "start");
    let (mut call, mut octets) = (0, 0);
    while day.tree.size() < records {
        day.call(call);
        call += 1;
        if call % 100_000 == 0 {
            day.seal();
        }
        if day.text.len() > BATCH {
            octets += day.text.len() as u64;
            file.write_all(&day.text).unwrap();
            day.text.clear();
        }
    }
    day.line("close", "\"why\":\"stop\"");
    file.write_all(&day.text).unwrap();
    file.flush().unwrap();
    fs::write(folder.join("checkpoint"), node.checkpoint(&day, true)).unwrap();
    octets + day.text.len() as u64
}

/// Runs a command, and tells its time and the most memory that it had.
fn run(records: u64, what: &str, arguments: &[&str]) {
    let start = Instant::now();
    let mut child =
        Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("audit").args(arguments).stdout(Stdio::null()).spawn().unwrap();
    let (mut peak, mut ticks) = (0, 0);
    let status = loop {
        let stat = fs::read_to_string(format!("/proc/{}/stat", child.id())).unwrap_or_default();
        // proc_pid_stat(5): utime and stime, counted behind the name in brackets.
        let times = stat.rsplit(')').next().unwrap_or_default().split(' ').skip(12).take(2);
        ticks = ticks.max(times.filter_map(|time| time.parse::<u64>().ok()).sum());
        let status = fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<u64>().ok());
        peak = peak.max(most.unwrap_or_default());
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    let took = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "it is told to two digits")]
    let rate = records as f64 / took / 1e6;
    #[expect(clippy::cast_precision_loss, reason = "it is told to two digits")]
    let cpu = ticks as f64 / TICKS;
    let memory = peak / 1024;
    println!("{what:<8} {took:>6.1} s  {rate:>5.2} million records/s  {cpu:>6.1} s of CPU  {memory:>5} MB  {status}");
}

fn main() {
    let said = std::env::args().skip(1).find_map(|argument| argument.parse().ok());
    let records: u64 = said.unwrap_or(10_000_000);
    let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("audit-read-{}", std::process::id()));
    let octets = write(&path, records);
    println!("{records} records, {} octets each", octets / records);
    let folder = path.to_str().unwrap();
    run(records, "verify", &["verify", folder]);
    run(records, "report", &["report", "--period", "2026-11", folder]);
    run(records, "prove", &["prove", "--n", "2026-11-25:1234", folder]);
    fs::remove_dir_all(path).unwrap();
}
