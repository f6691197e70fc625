//! The stream behind `/watch`: lines as they come, and an empty one if none has come for a while. Decides nothing.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use bytes::Bytes;
use hyper::body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::telemetry::watch::Watch;

/// After how long without a line an empty one is sent, so that a client that has gone is noticed.
const EMPTY: Duration = Duration::from_secs(10);
/// How long a client may take nothing. Then it is closed: it has one of few places.
const STALLED: Duration = Duration::from_secs(60);

/// The future that ends a stream.
type End = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The lines for one watcher, as the body of an answer.
pub(super) struct WatchBody {
    watch: Watch,
    empty: Interval,
    end: End,
    pulse: Pulse,
}

impl WatchBody {
    /// A body that ends with `end`, or with the daemon.
    pub(super) fn new(watch: Watch, pulse: Pulse, end: impl Future<Output = ()> + Send + 'static) -> Self {
        let mut empty = interval(EMPTY);
        empty.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { watch, empty, end: Box::pin(end), pulse }
    }
}

impl Body for WatchBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { watch, empty, end, pulse } = self.get_mut();
        pulse.beat();
        if end.as_mut().poll(context).is_ready() {
            return Poll::Ready(None);
        }
        let frame = |text: String| Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))));
        match watch.poll(context) {
            Poll::Ready(Some(line)) => {
                empty.reset();
                return frame(line.text());
            }
            Poll::Ready(None) => return Poll::Ready(None),
            Poll::Pending => {}
        }
        // The first one comes at once: the client knows then that it watches.
        if empty.poll_tick(context).is_ready() { frame("\n".to_owned()) } else { Poll::Pending }
    }
}

/// When a connection's stream was last asked for more, which happens only while its client reads. Never: it has no stream.
#[derive(Clone, Debug)]
pub(super) struct Pulse {
    begin: Instant,
    /// Seconds since `begin`, and one.
    last: Arc<AtomicU64>,
}

impl Pulse {
    pub(super) fn new() -> Self {
        Self { begin: Instant::now(), last: Arc::default() }
    }

    fn beat(&self) {
        self.last.store(self.begin.elapsed().as_secs().saturating_add(1), Ordering::Relaxed);
    }

    /// Whether its connection has a stream.
    pub(super) fn watches(&self) -> bool {
        self.last.load(Ordering::Relaxed) > 0
    }

    /// How long the connection may still last. `None`: not at all.
    pub(super) fn left(&self, without: Duration) -> Option<Duration> {
        let (elapsed, last) = (self.begin.elapsed(), self.last.load(Ordering::Relaxed));
        let until = if last == 0 { without } else { Duration::from_secs(last).saturating_add(STALLED) };
        until.checked_sub(elapsed).filter(|left| !left.is_zero())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_that_watches_lasts_as_long_as_its_client_reads() {
        let (bound, long_ago) = (Duration::from_secs(30), Duration::from_secs(1000));
        let pulse = Pulse::new();
        assert!(pulse.left(bound).is_some_and(|left| left <= bound));
        let begin = Instant::now().checked_sub(long_ago).unwrap();
        let old = Pulse { begin, last: Arc::default() };
        assert_eq!(old.left(bound), None, "it does not watch");
        old.beat();
        assert!(old.left(bound).is_some_and(|left| left > bound), "it watches, and its client reads");
        let stalled = Pulse { begin, last: Arc::new(AtomicU64::new(900)) };
        assert_eq!(stalled.left(bound), None, "its client has read nothing for more than a minute");
    }
}
