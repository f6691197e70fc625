//! Resolves one next hop at once: for the commands, and for names that only a dialog knows. Remembers nothing.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

use super::answer::{Found, LONGEST, NEGATIVE};
use super::ask::{NameServers, ResolverError};
use super::record::{LookupFailure, Question};
use super::walk::{GIVE_UP, Known, Walk, walk};
use super::{Server, Trace};
use crate::config::{Dns, NextHop};

/// How long one resolution may take as a whole.
const WHOLE: Duration = Duration::from_secs(10);
/// Most questions for one resolution. Further ones count as failed.
const QUESTIONS: usize = 64;
/// Questions of one resolution that are under way at a time. Each holds a socket, and the owner of a domain may leave all unanswered.
const AT_ONCE: usize = 8;

/// Resolves next hops: each by itself, many at a time. It is cheap to clone. It needs a tokio runtime with I/O and time, and
/// always the same one.
#[derive(Clone, Debug)]
pub struct Lookup {
    servers: Arc<NameServers>,
    within: Duration,
}

/// What a next hop resolves to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// Its servers, sorted by rank. No fence has judged them yet.
    pub servers: Vec<Server>,
    /// How long that holds: the shortest time of all answers that led there, an hour at most; zero if there was none.
    pub ttl: Duration,
    /// The steps of the resolution.
    pub trace: Trace,
    /// There are no servers, but that is not certain: an important question was not answered.
    pub failed: bool,
    /// There are servers, but the domain may name others: a NAPTR or SRV question was not answered, and counts as "no such record".
    pub guessed: bool,
}

impl Lookup {
    /// A look-up that asks the name servers of a configuration.
    pub fn new(dns: &Dns) -> Result<Self, ResolverError> {
        Ok(Self { servers: Arc::new(NameServers::new(dns)?), within: WHOLE })
    }

    /// The same with another limit on the time of one resolution. What is known by then is the result.
    #[must_use]
    pub fn within(mut self, within: Duration) -> Self {
        self.within = within;
        self
    }

    /// Resolves a next hop.
    pub async fn resolve(&self, next_hop: &NextHop) -> Resolution {
        let mut asking =
            Asking { servers: &self.servers, until: Instant::now() + self.within, left: QUESTIONS, found: HashMap::new() };
        let mut confirmed = false;
        loop {
            let walk = walk(next_hop, |question| asking.known(question));
            let missing = asking.missing(&walk);
            if !missing.is_empty() {
                asking.ask(missing).await;
            } else if walk.servers.as_ref().is_some_and(|servers| !servers.is_empty()) && !walk.given_up.is_empty() && !confirmed
            {
                // Others were answered: what failed before them gets another chance before it counts as "no such record".
                confirmed = true;
                asking.ask(walk.given_up).await;
            } else {
                return asking.finish(walk);
            }
        }
    }
}

/// One resolution under way.
struct Asking<'l> {
    servers: &'l Arc<NameServers>,
    until: Instant,
    left: usize,
    found: HashMap<Question, Found>,
}

impl Asking<'_> {
    fn known(&self, question: &Question) -> Known<'_> {
        match self.found.get(question) {
            Some(Ok(set)) => Known::Answer(set),
            Some(Err(failure)) => Known::Never(GIVE_UP, Some(*failure)),
            None => Known::Never(0, None),
        }
    }

    fn missing(&self, walk: &Walk) -> Vec<Question> {
        walk.questions.iter().filter(|&question| !self.found.contains_key(question)).cloned().collect()
    }

    /// Asks all these questions, within the time and the number that are left.
    async fn ask(&mut self, questions: Vec<Question>) {
        let mut lookups = JoinSet::new();
        for question in questions {
            let failure = if self.left == 0 { LookupFailure::TooMany } else { LookupFailure::Silent };
            // Until it is answered: what the bounds cut off stays so. What had an answer keeps it.
            self.found.entry(question.clone()).or_insert(Err(failure));
            while lookups.len() >= AT_ONCE && self.take_one(&mut lookups).await {}
            if self.left == 0 || Instant::now() >= self.until {
                continue;
            }
            self.left -= 1;
            let servers = Arc::clone(self.servers);
            lookups.spawn(async move {
                let found = servers.ask(&question).await;
                (question, found)
            });
        }
        while self.take_one(&mut lookups).await {}
    }

    /// Waits for an answer, and takes it in. `false`: none is to come in time.
    async fn take_one(&mut self, lookups: &mut JoinSet<(Question, Found)>) -> bool {
        let Ok(Some(finished)) = tokio::time::timeout_at(self.until, lookups.join_next()).await else { return false };
        if let Ok((question, found)) = finished {
            self.found.insert(question, found);
        }
        true
    }

    fn finish(&self, walk: Walk) -> Resolution {
        let answers = || walk.questions.iter().filter_map(|question| self.found.get(question));
        let ttl = answers().filter_map(|found| Some(found.as_ref().ok()?.ttl(NEGATIVE))).min();
        let servers = walk.servers.unwrap_or_default();
        let failed = servers.is_empty() && answers().any(Result::is_err);
        let guessed = !servers.is_empty() && !walk.given_up.is_empty();
        Resolution { servers, ttl: ttl.unwrap_or_default().min(LONGEST), trace: walk.trace, failed, guessed }
    }
}
