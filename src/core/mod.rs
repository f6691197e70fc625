//! The pure heart: an event and the time in, actions out.
//!
//! No socket, clock, thread, task, file, random source, metrics call or log in here. After each input the outputs are drained
//! before the next one (see [`io`]).

use std::sync::Arc;
use std::time::Instant;

use crate::config::Config;
use crate::dns::Targets;
use io::{Input, Output};

pub mod io;

/// One shard of the proxy: its transactions, timers and bounded memories.
#[derive(Debug)]
pub struct Core {}

impl Core {
    /// A core with nothing in it. `seed` keys its hashes and branches; `shard` (0 to 35) stands in its branches.
    pub fn new(config: Arc<Config>, targets: Arc<Targets>, seed: [u8; 16], shard: u8, now: Instant) -> Self {
        let _ = (config, targets, seed, shard, now);
        todo!()
    }

    /// Takes in one event and appends what follows from it to `out`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>, out: &mut Vec<Output>) {
        let _ = (now, input, out);
        todo!()
    }

    /// When [`Input::Timeout`] is due next.
    pub fn deadline(&self) -> Option<Instant> {
        todo!()
    }

    /// Open transactions.
    pub fn transactions(&self) -> usize {
        todo!()
    }
}
