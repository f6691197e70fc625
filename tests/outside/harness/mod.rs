//! What the scenarios share: addresses of their own, the daemon, raw telephones, and a reader of messages.
//!
//! Nothing here uses the crate: a fault in its parser must not hide itself from the tests.

pub(crate) mod daemon;
pub(crate) mod dialog;
pub(crate) mod leg;
pub(crate) mod message;
pub(crate) mod metrics;
pub(crate) mod plan;
pub(crate) mod process;
pub(crate) mod secure;
pub(crate) mod site;
pub(crate) mod watch;

use std::time::{Duration, Instant};

pub(crate) use daemon::Daemon;
pub(crate) use dialog::{Dialog, establish};
pub(crate) use leg::Leg;
pub(crate) use message::{Ask, Seen};
pub(crate) use plan::Plan;
pub(crate) use site::Site;
pub(crate) use watch::Watch;

/// How long anything that must happen may take before a test gives up. Far above what it takes: machines stall.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Asks `look` again and again until it finds something. For states that nobody announces: a listening port, a counter.
pub(crate) fn await_some<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(start.elapsed() < PATIENCE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
