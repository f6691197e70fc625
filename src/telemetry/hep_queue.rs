//! Copies of messages on their way to the region's collector. The queue is bounded and never blocks: if it is full, a copy is
//! counted and dropped. It knows no socket: `net` sends the copies.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::SystemTime;

use metrics::Counter;
use tokio::sync::mpsc;

use super::hep::{self, Envelope};
use super::metrics::Metrics;
use crate::closed_list::closed_list;
use crate::config::{Collector, Transport};
use crate::fence::Fenced;

/// Most messages that wait.
const MESSAGES: usize = 4096;
/// Most octets that wait, because the thread that sends them may be busy rendering a page.
const OCTETS: usize = 8 << 20;

closed_list! {
    /// The result for one copy.
    pub enum Copied {
        /// Handed to the system. UDP does not say whether it arrived.
        Sent = "sent",
        /// The queue was full.
        Full = "full",
        /// The system refused it, or it is longer than a datagram.
        Failed = "failed",
    }
}

/// The worker's end of the queue: accepts copies and never waits.
#[derive(Debug)]
pub struct HepQueue {
    queue: mpsc::Sender<Waiting>,
    octets: Arc<AtomicUsize>,
    full: Counter,
}

/// The other thread's end: hands out packets and counts their results.
#[derive(Debug)]
pub struct HepReceiver {
    queue: mpsc::Receiver<Waiting>,
    octets: Arc<AtomicUsize>,
    sent: Counter,
    failed: Counter,
}

#[derive(Debug)]
struct Waiting {
    to: Fenced,
    envelope: Envelope,
    message: Box<[u8]>,
}

/// An empty queue.
pub fn hep_queue(metrics: &Metrics) -> (HepQueue, HepReceiver) {
    let [sent, full, failed] = Copied::ALL.map(|result| metrics.hep(result.label()));
    for counter in [&sent, &full, &failed] {
        counter.increment(0);
    }
    let (sender, queue) = mpsc::channel(MESSAGES);
    let octets = Arc::new(AtomicUsize::new(0));
    (HepQueue { queue: sender, octets: Arc::clone(&octets), full }, HepReceiver { queue, octets, sent, failed })
}

impl HepQueue {
    /// Copies a message if there is room. Never waits.
    pub fn copy(&self, collector: &Collector, transport: Transport, from: SocketAddr, to: SocketAddr, message: &[u8]) {
        // A keep-alive is no message; a collector's own format, fed back, would go round for ever.
        if message.trim_ascii_start().is_empty() || message.starts_with(hep::MAGIC) {
            return;
        }
        // Only this thread adds, so that what is read here is never too small.
        let room = self.octets.load(Ordering::Relaxed).saturating_add(message.len()) <= OCTETS;
        match self.queue.try_reserve() {
            Ok(place) if room => {
                self.octets.fetch_add(message.len(), Ordering::Relaxed);
                let envelope = Envelope { transport, from, to, at: SystemTime::now(), node: collector.node };
                place.send(Waiting { to: collector.to, envelope, message: message.into() });
            }
            Ok(_) | Err(_) => self.full.increment(1),
        }
    }
}

impl HepReceiver {
    /// Writes the next packet into `packet` and returns its destination. `None`: no more will come.
    pub async fn next(&mut self, packet: &mut Vec<u8>) -> Option<Fenced> {
        loop {
            let Waiting { to, envelope, message } = self.queue.recv().await?;
            self.octets.fetch_sub(message.len(), Ordering::Relaxed);
            if hep::write(&envelope, &message, packet) {
                return Some(to);
            }
            self.failed.increment(1);
        }
    }

    /// Counts the result of the packet.
    pub fn done(&self, sent: bool) {
        if sent { &self.sent } else { &self.failed }.increment(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fence::{Fence, Networks};

    fn collector() -> Collector {
        let inside: Networks = ["10.0.0.0/8".parse::<ipnet::IpNet>().unwrap()].into_iter().collect();
        Collector { to: Fence::of_region(&inside).admit("10.0.0.9:9060".parse().unwrap()).unwrap(), node: 7 }
    }

    fn copy(copies: &HepQueue, message: &[u8]) {
        let (from, to) = ("10.0.0.1:5060".parse().unwrap(), "10.0.0.2:5060".parse().unwrap());
        copies.copy(&collector(), Transport::Udp, from, to, message);
    }

    fn counted(metrics: &Metrics, result: &str) -> u64 {
        let line = format!("ringfence_hep_packets_total{{result=\"{result}\"}} ");
        metrics.render().lines().find_map(|text| text.strip_prefix(&line)?.parse().ok()).unwrap()
    }

    #[tokio::test]
    async fn what_has_no_room_is_counted_and_what_left_makes_room() {
        let metrics = Metrics::new();
        let (copies, mut queued) = hep_queue(&metrics);
        for _ in 0..MESSAGES + 5 {
            copy(&copies, b"x");
        }
        assert_eq!(counted(&metrics, "full"), 5, "by number");
        let mut packet = Vec::new();
        for _ in 0..MESSAGES {
            assert_eq!(queued.next(&mut packet).await, Some(collector().to));
            queued.done(true);
        }
        let large = vec![b'x'; 60_000];
        for _ in 0..OCTETS / large.len() + 3 {
            copy(&copies, &large);
        }
        assert_eq!(counted(&metrics, "full"), 8, "by octets");
        queued.next(&mut packet).await.unwrap();
        queued.done(false);
        copy(&copies, &large);
        assert_eq!((counted(&metrics, "full"), counted(&metrics, "sent"), counted(&metrics, "failed")), (8, MESSAGES as u64, 1));
    }

    #[tokio::test]
    async fn keep_alives_and_its_own_format_are_no_messages() {
        let metrics = Metrics::new();
        let (copies, mut queued) = hep_queue(&metrics);
        for none in [&b""[..], b"\r\n\r\n", b"HEP3\0\x06"] {
            copy(&copies, none);
        }
        copy(&copies, &vec![b'x'; 66_000]);
        drop(copies);
        assert_eq!(queued.next(&mut Vec::new()).await, None);
        assert_eq!((counted(&metrics, "full"), counted(&metrics, "failed")), (0, 1), "one was longer than a datagram");
    }
}
