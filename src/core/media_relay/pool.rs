//! The media relays of the served regions: which are there, and how they stand.
//!
//! A relay that does not answer is down at once; pings find out when it is back. This file only keeps what is known.
//! [`crate::core::media_relay`] decides which relay is asked, and the shell sends the question.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::config::{self, Config, MAX_RELAYS, RegionId, Transport};
use crate::core::health::FIRST_TRIAL;
use crate::core::io::{
    Failure, Health, Note, Output, RelayOutcome, RelayReply, RelayRequestId, RelayVerb, TargetStatus, Unanswered,
};
use crate::core::relay_request::RelayList;
use crate::fence::Networks;
use crate::sip::sdp;

/// All relays.
#[derive(Debug)]
pub(crate) struct Relays {
    pub(crate) rules: config::Health,
    pub(crate) entries: Vec<RelayState>,
    /// When the next ping is due.
    pub(crate) due: Option<Instant>,
    /// Whether pings have ended, because the daemon ends.
    resting: bool,
    /// The number of questions so far.
    pub(crate) numbered: u64,
}

#[derive(Debug)]
pub(crate) struct RelayState {
    pub(crate) region: RegionId,
    pub(crate) addr: SocketAddr,
    up: bool,
    since: Instant,
    heard: Option<Instant>,
    failure: Option<Failure>,
    /// The time between a failed ping and the next one.
    wait: Duration,
    /// When the next ping is due; `None`: one is under way, or none is wanted.
    pub(crate) next: Option<Instant>,
}

impl Relays {
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        let rules = config.health.clone();
        let mut relays = Self { rules, entries: Vec::new(), due: None, resting: false, numbered: 0 };
        relays.reconfigure(now, config);
        relays
    }

    /// Takes in another configuration. Relays that it names too keep what is known of them.
    pub(crate) fn reconfigure(&mut self, now: Instant, config: &Config) {
        self.rules.clone_from(&config.health);
        let mut before: HashMap<SocketAddr, RelayState> = self.entries.drain(..).map(|entry| (entry.addr, entry)).collect();
        for (region, of) in (0..).map(RegionId).zip(&config.regions).filter(|(_, region)| region.served || region.leaving) {
            for &addr in &of.relays {
                let fresh = || {
                    let (heard, failure, wait, next) = (None, None, FIRST_TRIAL, None);
                    RelayState { region, addr, up: true, since: now, heard, failure, wait, next }
                };
                let mut entry = before.remove(&addr).unwrap_or_else(fresh);
                entry.region = region;
                if entry.up {
                    entry.next = self.rules.interval.map(|interval| now + interval.min(FIRST_TRIAL));
                }
                self.entries.push(entry);
            }
        }
        self.arm();
    }

    /// Ends all pings, because the daemon ends.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
        self.arm();
    }

    /// When a ping is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// The relays of a region that are up, in the order to be asked: `first`, then the others, beginning at one that `chance`
    /// selects.
    pub(crate) fn up(&self, region: RegionId, chance: u64, first: Option<SocketAddr>) -> RelayList {
        let of_region = self.entries.iter().filter(|entry| entry.region == region && entry.up);
        let mut choice: RelayList = of_region.map(|entry| entry.addr).take(MAX_RELAYS).collect();
        let count = u64::try_from(choice.len()).unwrap_or(1).max(1);
        choice.rotate_left(usize::try_from(chance % count).unwrap_or(0));
        if let Some(at) = first.and_then(|first| choice.iter().position(|&addr| addr == first)) {
            let first = choice.remove(at);
            choice.insert(0, first);
        }
        choice
    }

    /// Whether a relay is up.
    pub(crate) fn is_up(&self, addr: SocketAddr) -> bool {
        self.entries.iter().any(|entry| entry.addr == addr && entry.up)
    }

    /// A number that tells one question from others with the same content.
    pub(crate) fn next_number(&mut self) -> [u8; 8] {
        self.numbered += 1;
        self.numbered.to_le_bytes()
    }

    /// How the relays stand.
    pub(crate) fn status(&self) -> impl Iterator<Item = TargetStatus> {
        self.entries.iter().map(|entry| {
            let &RelayState { region, addr, up, since, heard, failure, .. } = entry;
            let state = if up { Health::Up } else { Health::Down };
            TargetStatus { region, addr, transport: Transport::Udp, state, since, heard, failure, relay: true }
        })
    }

    /// Takes in the end of a question. Returns the description that replaces the one sent, if the relay gave one that is inside.
    pub(crate) fn ended(
        &mut self,
        now: Instant,
        config: &Config,
        id: RelayRequestId,
        reply: &Result<RelayReply, Unanswered>,
        out: &mut Vec<Output>,
    ) -> Option<Bytes> {
        let entry = self.entries.iter_mut().find(|entry| entry.addr == id.relay);
        let (region, networks) = match &entry {
            Some(entry) => (Some(entry.region), &config.region(entry.region).networks),
            // Gone in a reload: nothing that it says is inside any more.
            None => (None, &Networks::default()),
        };
        let (result, sdp) = match reply {
            Ok(RelayReply::Done(sdp)) if id.call.is_some() => match sdp {
                Some(sdp) if sdp::judge(sdp, |ip| networks.contains(ip)).is_ok() => (Some(RelayOutcome::Ok), Some(sdp.clone())),
                Some(_) => (Some(RelayOutcome::Outside), None),
                None => (Some(RelayOutcome::Error), None),
            },
            Ok(RelayReply::Done(_)) => (Some(RelayOutcome::Ok), None),
            Ok(RelayReply::Refused) => (Some(RelayOutcome::Error), None),
            Err(Unanswered::Silent | Unanswered::Unreachable) => (Some(RelayOutcome::Timeout), None),
            Err(Unanswered::Unasked) => (None, None),
        };
        if let (Some(region), Some(result)) = (region, result) {
            out.push(Output::Note(Note::RelayAsked { region, verb: id.verb, result }));
        }
        if let Some(entry) = entry {
            let was_up = entry.up;
            match reply {
                Ok(_) => entry.answered(now, out),
                Err(Unanswered::Silent) => entry.failed(now, Failure::Silent, id.verb, self.rules.back_off, out),
                Err(Unanswered::Unreachable) => {
                    entry.failed(now, Failure::Unreachable, id.verb, self.rules.back_off, out);
                }
                Err(Unanswered::Unasked) => {}
            }
            if entry.next.is_none() && (id.verb == RelayVerb::Ping || !was_up) {
                entry.next = if entry.up { self.rules.interval.map(|interval| now + interval) } else { Some(now + entry.wait) };
            }
            self.arm();
        }
        sdp
    }

    pub(crate) fn arm(&mut self) {
        let due = self.entries.iter().filter_map(|entry| entry.next).min();
        self.due = due.filter(|_| !self.resting);
    }
}

impl RelayState {
    /// Notes that the relay has answered, so it is there.
    fn answered(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.heard = Some(now);
        if !self.up {
            (self.up, self.since, self.next) = (true, now, None);
            out.push(Output::Note(Note::Relay { region: self.region, addr: self.addr, failure: None }));
        }
    }

    /// Notes that the relay has not answered: it is down. It is pinged a second later, and after each failure the time doubles.
    fn failed(&mut self, now: Instant, failure: Failure, verb: RelayVerb, back_off: Duration, out: &mut Vec<Output>) {
        self.failure = Some(failure);
        if self.up {
            (self.up, self.since, self.wait) = (false, now, FIRST_TRIAL);
            out.push(Output::Note(Note::Relay { region: self.region, addr: self.addr, failure: Some(failure) }));
        } else if verb == RelayVerb::Ping {
            self.wait = (self.wait * 2).min(back_off);
        } else {
            return;
        }
        self.next = Some(now + self.wait);
    }
}
