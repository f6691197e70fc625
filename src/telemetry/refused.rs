//! Messages that were refused or shadowed lately, with what was said of each, for an operator who asks why. In memory alone.
//!
//! The worker copies such a message into a bounded queue, as many a second as the log has lines at most, and never waits. The other thread
//! keeps it until newer ones need its place. If somebody asks, it masks the numbers in it and puts the decision into words. Of accepted
//! messages nothing is copied. Strangers have a share of the room, so that they cannot crowd out a carrier's messages. If there is no room left,
//! the oldest goes of the trunk that has the most places, so that no trunk crowds out another's.
//!
//! Of a decision without a message (no server took the call, and a timer says so) and of a message that is too long, what was decided is
//! kept alone.

use std::collections::{HashMap, VecDeque};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use metrics::Counter;
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use super::decided::{Decided, Facts, Ruled, Sharer};
use super::log::SharedLimit;
use super::mask::mask;
use super::metrics::Metrics;
use super::seen::Seen;
use crate::config::{Config, Numbers, Transport};
use crate::reason::Reason;

/// Most messages that wait for the other thread.
const WAITING: usize = 256;
/// Most messages that are copied in a second.
const COPIES: u32 = 200;
/// The longest message that is kept. A cut one would be judged differently, so a longer one is not kept at all.
const LONGEST: usize = 8 << 10;
/// Decisions that the page lists.
const LISTED: usize = 20;
/// Most of them that strangers caused.
const LISTED_STRANGERS: usize = 5;
/// Strangers' part of the messages that are kept: one in so many.
const STRANGERS: usize = 8;
/// Most messages in one answer.
const ANSWERED: usize = 20;

/// One decision on its way to the other thread. What it says is put into words there.
#[derive(Debug)]
struct Fresh {
    at: SystemTime,
    config: Arc<Config>,
    ruled: Ruled,
    facts: Facts,
    /// The message that names the call, or its beginning.
    bytes: Box<[u8]>,
    /// The listener that the message came to, if the message is whole and is to be kept.
    kept: Option<(Transport, SocketAddr)>,
}

/// The worker's end.
#[derive(Debug)]
pub struct RefusedQueue {
    queue: mpsc::Sender<Fresh>,
    limit: SharedLimit<Sharer>,
    left_out: Counter,
}

/// The other thread's end.
#[derive(Debug)]
pub struct RefusedReceiver(mpsc::Receiver<Fresh>);

/// Both ends of an empty queue.
pub fn refused_queue(metrics: &Metrics) -> (RefusedQueue, RefusedReceiver) {
    let (sender, queue) = mpsc::channel(WAITING);
    let left_out = metrics.unseen("refused");
    left_out.increment(0);
    (RefusedQueue { queue: sender, limit: SharedLimit::of(COPIES), left_out }, RefusedReceiver(queue))
}

impl RefusedQueue {
    /// Counts a decision that the log leaves out too.
    pub(super) fn leave_out(&self) {
        self.left_out.increment(1);
    }

    /// Hands over a decision that refused or shadowed a message, if there is room. Never waits. `bytes`: the message that names the call;
    /// it is the one that was seen, if one was.
    pub(super) fn keep(
        &mut self,
        config: &Arc<Config>,
        ruled: Ruled,
        facts: Facts,
        bytes: &[u8],
        seen: Option<&Seen<'_>>,
        now: Instant,
    ) {
        let place = self.limit.allow(now, ruled.sharer()).and_then(|_| self.queue.try_reserve().ok());
        let Some(place) = place else { return self.leave_out() };
        let kept = seen.filter(|seen| config.log.refused > 0 && seen.bytes.len() <= LONGEST);
        let kept = kept.map(|seen| (config.listener(seen.arrival.listener).transport, seen.arrival.local));
        let bytes = bytes.get(..LONGEST).unwrap_or(bytes).into();
        place.send(Fresh { at: SystemTime::now(), config: Arc::clone(config), ruled, facts, bytes, kept });
    }
}

impl RefusedReceiver {
    /// How many decisions wait.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.0.len()
    }

    /// Takes the next decision into what is kept. `false`: no more will come.
    pub(crate) async fn next(&mut self, kept: &std::sync::Mutex<RefusedRing>) -> bool {
        let Some(fresh) = self.0.recv().await else { return false };
        // It is whole between two calls, even if a task has panicked.
        kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(fresh);
        true
    }
}

/// What is kept. The oldest goes first. What a decision says is put into words if somebody asks for it.
#[derive(Debug)]
pub(crate) struct RefusedRing {
    limit: usize,
    numbers: Numbers,
    messages: Places,
    listed: Places,
}

/// A list in which each trunk has its share of the places. The newest stands last.
#[derive(Debug, Default)]
struct Places {
    kept: VecDeque<(Whose, Kept)>,
    /// How many places each trunk has, and the strangers together.
    held: HashMap<Whose, usize>,
}

/// Whose a decision is: a hash of the names of project and trunk, which outlasts a reload. The strangers' is `None`.
type Whose = Option<u64>;

/// One decision that is kept.
#[derive(Clone, Debug)]
enum Kept {
    /// As it came. Numbers are masked when it is put into words, and it is never shown as it is.
    Fresh(Arc<Fresh>),
    /// In words, because the configuration that it was decided by is in force no longer.
    Told(Arc<Told>),
}

/// A decision in words.
#[derive(Clone, Debug)]
struct Told {
    call_id: Box<[u8]>,
    decided: Map<String, Value>,
    /// Where the message came to, whether its numbers are masked, and the message, if it is kept.
    message: Option<(String, bool, Box<[u8]>)>,
}

impl Fresh {
    fn whose(&self) -> Whose {
        let Self { config, ruled, .. } = self;
        if ruled.reason == Reason::UnknownSource {
            return None;
        }
        let mut hash = DefaultHasher::new();
        ruled.project.map(|id| &config.project(id).name).hash(&mut hash);
        ruled.trunk.map(|id| &config.trunk(id).name).hash(&mut hash);
        Some(hash.finish())
    }

    fn told(&self) -> Told {
        let Self { at, config, ruled, facts, bytes, kept } = self;
        let decided = Decided::of(config, ruled, *facts, bytes);
        let message = kept.map(|(transport, local)| {
            let mut bytes = bytes.clone();
            if config.log.numbers == Numbers::Mask {
                mask(&mut bytes);
            }
            (format!("{}:{local}", transport.token()), config.log.numbers == Numbers::Mask, bytes)
        });
        Told { call_id: decided.said.call_id.unwrap_or_default().into(), decided: decided.object(*at), message }
    }
}

impl Kept {
    fn told(&self) -> Arc<Told> {
        match self {
            Self::Fresh(fresh) => Arc::new(fresh.told()),
            Self::Told(told) => Arc::clone(told),
        }
    }

    /// Whether it may be of this call: nothing is put into words for those that are not.
    fn may_be_of(&self, call_id: &[u8]) -> bool {
        match self {
            Self::Fresh(fresh) => memchr::memmem::find(&fresh.bytes, call_id).is_some(),
            Self::Told(_) => true,
        }
    }
}

impl RefusedRing {
    /// One that keeps nothing yet.
    pub(crate) fn new(config: &Config) -> Self {
        let (limit, numbers) = (config.log.refused, config.log.numbers);
        Self { limit, numbers, messages: Places::default(), listed: Places::default() }
    }

    /// Takes in another configuration. If numbers are masked from now on, what was kept with them is thrown away.
    pub(crate) fn configure(&mut self, config: &Config) {
        if config.log.numbers == Numbers::Mask && self.numbers == Numbers::Plain {
            *self = Self::new(config);
        }
        (self.limit, self.numbers) = (config.log.refused, config.log.numbers);
        self.messages.keep(self.limit);
        // What is kept as it came would hold its configuration.
        for (_, kept) in self.messages.kept.iter_mut().chain(&mut self.listed.kept) {
            *kept = Kept::Told(kept.told());
        }
    }

    fn take(&mut self, fresh: Fresh) {
        // It was on its way when numbers came to be masked.
        if fresh.config.log.numbers == Numbers::Plain && self.numbers == Numbers::Mask {
            return;
        }
        let (whose, fresh) = (fresh.whose(), Arc::new(fresh));
        for (list, most) in
            [(&mut self.messages, (self.limit, self.limit / STRANGERS)), (&mut self.listed, (LISTED, LISTED_STRANGERS))]
        {
            list.push(whose, Kept::Fresh(Arc::clone(&fresh)), most);
        }
    }

    /// The last decisions that refused or shadowed a message, the newest first.
    pub(crate) fn decisions(&self) -> Vec<Value> {
        self.listed.kept.iter().rev().map(|(_, kept)| kept.told().decided.clone().into()).collect()
    }

    /// The newest messages, or the newest of one call: each with what was said of it.
    pub(crate) fn messages(&self, call_id: Option<&[u8]>) -> Value {
        let told = |kept: &Kept| call_id.is_none_or(|id| kept.may_be_of(id)).then(|| kept.told());
        let wanted = |told: &Arc<Told>| call_id.is_none_or(|id| *told.call_id == *id);
        let shown = |told: Arc<Told>| {
            let mut object = told.decided.clone();
            if let Some((listener, masked, bytes)) = &told.message {
                object.insert("listener".to_owned(), listener.as_str().into());
                object.insert("masked".to_owned(), (*masked).into());
                object.insert("message_base64".to_owned(), BASE64_STANDARD.encode(bytes).into());
            }
            Value::Object(object)
        };
        let refused: Vec<Value> = self
            .messages
            .kept
            .iter()
            .rev()
            .map(|(_, kept)| kept)
            .filter_map(told)
            .filter(wanted)
            .take(ANSWERED)
            .map(shown)
            .collect();
        json!({ "refused": refused, "kept": self.messages.kept.len(), "limit": self.limit })
    }
}

impl Places {
    /// Appends to a list of at most `most`, of which at most `strangers` are strangers'.
    fn push(&mut self, whose: Whose, new: Kept, (most, strangers): (usize, usize)) {
        if most == 0 || whose.is_none() && strangers == 0 {
            return;
        }
        if whose.is_none() && self.held.get(&None).is_some_and(|&held| held >= strangers) {
            self.drop_oldest_of(None);
        }
        self.keep(most - 1);
        *self.held.entry(whose).or_default() += 1;
        self.kept.push_back((whose, new));
    }

    /// Makes room: the oldest goes if it is a stranger's, else the oldest of the trunk that has the most places.
    fn keep(&mut self, most: usize) {
        while self.kept.len() > most {
            if self.kept.front().is_some_and(|(whose, _)| whose.is_none()) {
                self.drop_oldest_of(None);
                continue;
            }
            let Some(whose) = self.held.iter().max_by_key(|(_, held)| **held).map(|(whose, _)| *whose) else { return };
            self.drop_oldest_of(whose);
        }
        if most == 0 {
            *self = Self::default();
        }
    }

    fn drop_oldest_of(&mut self, whose: Whose) {
        if let Some(at) = self.kept.iter().position(|(of, _)| *of == whose) {
            self.kept.remove(at);
        }
        if let Some(held) = self.held.get_mut(&whose) {
            *held -= 1;
            if *held == 0 {
                self.held.remove(&whose);
            }
        }
    }
}
