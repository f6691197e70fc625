//! Log lines on their way to standard error: a bounded queue, and a thread that writes. Logging never blocks. If the reader is
//! too slow, lines are lost, and a later line says how many.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::time::Duration;

use tracing_subscriber::fmt::MakeWriter;

/// Most lines that wait.
const LINES: usize = 4096;
/// How long the process waits at its end for the last lines to be written, because their reader may have stopped.
const FLUSH: Duration = Duration::from_secs(1);

enum Item {
    Line(Box<[u8]>),
    /// Reports that everything before this has been written.
    Flush(SyncSender<()>),
}

/// Accepts log lines.
#[derive(Clone)]
pub(super) struct LogWriter {
    queue: SyncSender<Item>,
    lost: Arc<AtomicU64>,
}

/// If dropped, it waits until everything logged so far is written.
#[must_use = "dropped at once it waits for nothing"]
#[derive(Debug)]
pub struct Flush(SyncSender<Item>);

impl Drop for Flush {
    fn drop(&mut self) {
        let (done, written) = sync_channel(1);
        // With no room nobody reads, and there is nothing to wait for.
        if self.0.try_send(Item::Flush(done)).is_ok() {
            let _ = written.recv_timeout(FLUSH);
        }
    }
}

impl std::fmt::Debug for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Item")
    }
}

/// A queue with a thread that writes it to `out`. `json`: the thread's own lines are JSON.
pub(super) fn start(out: impl Write + Send + 'static, json: bool) -> io::Result<(LogWriter, Flush)> {
    let (queue, taken) = sync_channel(LINES);
    let lost = Arc::new(AtomicU64::new(0));
    let lines = LogWriter { queue: queue.clone(), lost: Arc::clone(&lost) };
    std::thread::Builder::new().name("ringfence-log".to_owned()).spawn(move || write(out, &taken, &lost, json))?;
    Ok((lines, Flush(queue)))
}

fn write(mut out: impl Write, taken: &Receiver<Item>, lost: &AtomicU64, json: bool) {
    // Nothing can be said of an error: this is where it would be.
    for item in taken {
        match item {
            Item::Line(line) => drop(out.write_all(&line)),
            Item::Flush(done) => drop(done.try_send(())),
        }
        let lost = lost.swap(0, Ordering::Relaxed);
        if lost > 0 {
            let _ = if json {
                writeln!(out, "{{\"level\":\"WARN\",\"message\":\"log lines lost: nobody reads them in time\",\"lost\":{lost}}}")
            } else {
                writeln!(out, "WARN log lines lost: nobody reads them in time lost={lost}")
            };
        }
        let _ = out.flush();
    }
}

impl<'a> MakeWriter<'a> for LogWriter {
    type Writer = &'a Self;

    fn make_writer(&'a self) -> Self::Writer {
        self
    }
}

/// The subscriber writes each line at once.
impl Write for &LogWriter {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if self.queue.try_send(Item::Line(line.into())).is_err() {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A writer that writes nothing until it is released.
    struct Held(Arc<Mutex<Vec<u8>>>);

    impl Write for Held {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_and_what_is_lost_is_told() {
        let written = Arc::new(Mutex::new(Vec::new()));
        let held = written.lock().unwrap();
        let (lines, flush) = start(Held(Arc::clone(&written)), true).unwrap();
        let more = 100;
        for at in 0..LINES + more {
            (&lines).write_all(format!("{at}\n").as_bytes()).unwrap();
        }
        drop(held);
        // There is room for this once the first lines are written.
        while lines.queue.try_send(Item::Line(Box::from(*b"last\n"))).is_err() {
            std::thread::yield_now();
        }
        // The queue may be full again, and then nobody would wait for it at the end.
        let (done, flushed) = sync_channel(1);
        lines.queue.send(Item::Flush(done)).unwrap();
        flushed.recv().unwrap();
        drop(flush);
        let text = String::from_utf8(written.lock().unwrap().clone()).unwrap();
        assert!(text.starts_with("0\n"), "{text}");
        // Those that are not there are counted, and no other.
        let lost: usize =
            text.split("\"lost\":").skip(1).map(|rest| rest.split('}').next().unwrap().parse::<usize>().unwrap()).sum();
        let left = text.lines().filter(|line| line.parse::<usize>().is_ok()).count();
        // Those that waited for room for the last one were not lines.
        assert!(left <= LINES + 1 && lost >= more - 1 && text.contains("last\n"), "{left} written, {lost} lost");
    }
}
