//! How a worker takes in another configuration: between two messages, by exchange. Everything that takes time is made before and
//! dropped afterwards, on another thread.

use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::accept;
use super::sockets::{Bound, Opened};
use super::udp::Udp;
use super::worker::{Drain, Worker};
use crate::config::{ListenerId, Needed};
use crate::core::Change;
use crate::core::io::Send;
use crate::telemetry::Handles;

/// Another configuration, ready to take effect. After the exchange it holds the former one.
#[derive(Debug)]
pub(super) struct Reload {
    pub(super) change: Change,
    pub(super) handles: Handles,
    /// The new sockets that its listeners need.
    pub(super) bound: Vec<(ListenerId, Bound)>,
    /// Its number in the audit record, if one is kept.
    pub(super) mark: Option<u64>,
    /// How long the exchange kept the worker from its messages.
    pub(super) took: Duration,
}

/// The facts that the successor of this configuration must know.
#[derive(Debug)]
pub(super) struct InUse {
    pub(super) needed: Needed,
    /// The listeners whose sockets are open.
    pub(super) open: Vec<ListenerId>,
}

impl Worker {
    /// The regions and listeners in use.
    pub(super) fn in_use(&self) -> InUse {
        let mut needed = self.core.needed();
        needed.listeners.extend(self.sockets.leaving().map(|(id, _)| id));
        for connection in self.streams.all() {
            needed.listeners.push(connection.listener.get());
            needed.regions.push(connection.region.get());
        }
        InUse { needed, open: self.sockets.open().collect() }
    }

    /// Takes in the first sockets.
    pub(super) fn begin(&mut self, bound: Vec<(ListenerId, Bound)>) -> io::Result<()> {
        let opened = self.open(bound).map_err(|(_, error)| error)?;
        let config = Arc::clone(&self.config);
        let missing = self.sockets.exchange(&config.listeners, |_| None, opened, Instant::now());
        missing.map_err(|_| io::ErrorKind::NotFound.into())
    }

    fn open(&self, bound: Vec<(ListenerId, Bound)>) -> Result<Vec<(ListenerId, Opened)>, (ListenerId, io::Error)> {
        let worker = self.me.upgrade();
        let open = |(id, bound)| {
            let opened = match (bound, &worker) {
                (Bound::Udp(socket), _) => Udp::new(socket).map(|socket| Opened::Udp(Rc::new(socket))),
                (Bound::Tcp(socket), Some(worker)) => accept::listen(worker, id, socket),
                // The worker is being dropped.
                (Bound::Tcp(_), None) => Ok(Opened::Closed),
            };
            opened.map(|opened| (id, opened)).map_err(|error| (id, error))
        };
        bound.into_iter().map(open).collect()
    }

    /// Puts another configuration into effect. `Err`: nothing has changed.
    pub(super) fn reload(&mut self, now: Instant, mut reload: Box<Reload>) -> Result<Box<Reload>, String> {
        let begin = Instant::now();
        let config = Arc::clone(reload.change.config());
        let opened = self.open(std::mem::take(&mut reload.bound));
        let opened = opened.map_err(|(id, error)| format!("{}: {error}", config.listener(id).addr))?;
        let change = &reload.change;
        let end = now + config.timers.drain;
        self.sockets
            .exchange(&config.listeners, |id| change.listener(id), opened, end)
            .map_err(|id| format!("{} has just closed: reload once more", config.listener(id).addr))?;
        self.streams.renumber(&config, change);
        self.rtpengine.reconfigure(change);
        self.recorder.configure(&config, &mut reload.handles, reload.mark);
        self.config = config;
        let renumber = |send: &mut Send| reload.change.renumber(send).is_some();
        self.streams.renumber_queued(renumber);
        self.core.reconfigure(now, &mut reload.change, &mut self.out);
        self.streams.leave_outside(now, &self.core);
        self.follow(now, None);
        self.aimed();
        reload.took = begin.elapsed();
        Ok(reload)
    }

    /// Whether there is anything to check from time to time.
    pub(super) fn has_chores(&self) -> bool {
        self.drain == Some(Drain::HandOver) || self.sockets.leaving().next().is_some()
    }

    /// Closes sockets and connections that are leaving, if nothing waits for them any more or their time is over.
    pub(super) fn sweep(&mut self, now: Instant) {
        let leaving: Vec<_> = self.sockets.leaving().collect();
        for (id, end) in leaving {
            if self.core.is_needed(id) && now < end {
                continue;
            }
            self.sockets.close(id);
            for connection in self.streams.all().filter(|connection| connection.listener.get() == id) {
                connection.close();
            }
        }
    }
}
