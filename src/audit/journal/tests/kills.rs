//! Any order of records, pauses, kills, torn lines, stops and reloads: each record is there once, or counted by a gap.

use proptest::prelude::*;

use super::*;

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
