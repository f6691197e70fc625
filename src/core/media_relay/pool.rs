//! The media relays of the served regions: which are there, which call waits for one, what one said.
//!
//! A relay that does not answer is down at once; pings find out when it is back. Here is only what is known: who is asked what is
//! decided in [`crate::core::media_relay`], and sent by the shell.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::config::{self, Config, MAX_RELAYS, RegionId, Transport};
use crate::core::health::FIRST_TRIAL;
use crate::core::io::{
    CallKey, Failure, Health, Note, Output, RelayBody, RelayOutcome, RelayReply, RelayRequest, RelayRequestId, RelayVerb,
    TargetStatus, Unanswered,
};
use crate::core::keys::{Keyed, Keys};
use crate::core::state::Core;
use crate::fence::{Fence, Networks};
use crate::sip::sdp;

/// Calls that may wait for a relay at a time; beyond, a call is refused as if there were none.
const CALLS: usize = 512;
/// Messages that may wait behind those, of all calls and of one; beyond, they are dropped: their senders repeat them.
const BEHIND: usize = 512;
const BEHIND_ONE: usize = 16;

/// Relays of one region, in the order to be asked.
pub(crate) type Choice = ArrayVec<SocketAddr, MAX_RELAYS>;

/// All relays, and who waits for them.
#[derive(Debug)]
pub(crate) struct Relays {
    rules: config::Health,
    entries: Vec<RelayState>,
    waiting: HashMap<u128, Waiting, Keyed>,
    behind: usize,
    /// What the next message to be handed in has waited for.
    done: Option<Done>,
    /// When the next ping is due.
    due: Option<Instant>,
    /// No pings any more: the daemon ends.
    resting: bool,
    /// Questions that were numbered so far.
    numbered: u64,
}

#[derive(Debug)]
struct RelayState {
    region: RegionId,
    addr: SocketAddr,
    up: bool,
    since: Instant,
    heard: Option<Instant>,
    failure: Option<Failure>,
    /// How long after a failed ping the next one comes.
    wait: Duration,
    /// When the next ping is due; `None`: one is under way, or none is wanted.
    next: Option<Instant>,
}

/// A call one of whose messages waits.
#[derive(Debug)]
struct Waiting {
    cookie: u128,
    /// Relays that have failed it.
    tried: Choice,
    behind: usize,
}

/// What came of waiting.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) cookie: u128,
    pub(crate) relay: SocketAddr,
    /// What goes on instead; `None`: that relay failed.
    pub(crate) sdp: Option<Bytes>,
    pub(crate) tried: Choice,
}

impl Relays {
    pub(crate) fn new(now: Instant, config: &Config) -> Self {
        let (waiting, entries) = (HashMap::default(), Vec::new());
        let rules = config.health.clone();
        let mut relays = Self { rules, entries, waiting, behind: 0, done: None, due: None, resting: false, numbered: 0 };
        relays.reconfigure(now, config);
        relays
    }

    /// Another configuration: what is named still keeps what is known of it.
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

    /// The daemon ends: nobody is asked any more how they are.
    pub(crate) fn rest(&mut self) {
        self.resting = true;
        self.arm();
    }

    /// When a ping is due.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due
    }

    /// Calls one of whose messages waits.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Whether an earlier message of a call waits. There is mostly none at all.
    pub(crate) fn holds(&self, keys: &Keys, call_id: &[u8]) -> Option<CallKey> {
        let key = (!self.waiting.is_empty()).then(|| keys.waiting(call_id))?;
        self.waiting.contains_key(&key).then_some(CallKey(key))
    }

    /// A message is to wait behind; `false`: there is no room.
    pub(crate) fn queue(&mut self, call: CallKey) -> bool {
        let room = self.behind < BEHIND;
        let Some(waiting) = self.waiting.get_mut(&call.0).filter(|waiting| room && waiting.behind < BEHIND_ONE) else {
            return false;
        };
        waiting.behind += 1;
        self.behind += 1;
        true
    }

    /// A message begins to wait; `false`: there is no room.
    pub(crate) fn wait(&mut self, call: CallKey, cookie: u128, tried: Choice) -> bool {
        let room = self.waiting.len() < CALLS;
        if room {
            self.waiting.insert(call.0, Waiting { cookie, tried, behind: 0 });
        }
        room
    }

    /// What the message at hand has waited for, if it has.
    pub(crate) fn take_done(&mut self, cookie: u128) -> Option<Done> {
        self.done.take().filter(|done| done.cookie == cookie)
    }

    /// Whether the message at hand has waited: then it has been counted where that matters.
    pub(crate) fn has_waited(&self) -> bool {
        self.done.is_some()
    }

    /// The message at hand has been handled.
    pub(crate) fn forget_done(&mut self) {
        self.done = None;
    }

    /// The relays of a region that are up: `first` before the others, and those from a place on that chance decides.
    pub(crate) fn up(&self, region: RegionId, chance: u64, first: Option<SocketAddr>) -> Choice {
        let of_region = self.entries.iter().filter(|entry| entry.region == region && entry.up);
        let mut choice: Choice = of_region.map(|entry| entry.addr).take(MAX_RELAYS).collect();
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

    /// Tells one question from all others that are alike.
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

    /// A question has come to its end.
    fn ended(
        &mut self,
        now: Instant,
        config: &Config,
        exchange: RelayRequestId,
        reply: &Result<RelayReply, Unanswered>,
        out: &mut Vec<Output>,
    ) {
        let entry = self.entries.iter_mut().find(|entry| entry.addr == exchange.relay);
        let (region, networks) = match &entry {
            Some(entry) => (Some(entry.region), &config.region(entry.region).networks),
            // Gone in a reload: nothing that it says is inside any more.
            None => (None, &Networks::default()),
        };
        let (result, sdp) = match reply {
            Ok(RelayReply::Done(sdp)) if exchange.call.is_some() => match sdp {
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
            out.push(Output::Note(Note::RelayAsked { region, verb: exchange.ask, result }));
        }
        if let Some(entry) = entry {
            let was_up = entry.up;
            match reply {
                Ok(_) => entry.answered(now, out),
                Err(Unanswered::Silent) => entry.failed(now, Failure::Silent, exchange.ask, self.rules.back_off, out),
                Err(Unanswered::Unreachable) => {
                    entry.failed(now, Failure::Unreachable, exchange.ask, self.rules.back_off, out);
                }
                Err(Unanswered::Unasked) => {}
            }
            if entry.next.is_none() && (exchange.ask == RelayVerb::Ping || !was_up) {
                entry.next = if entry.up { self.rules.interval.map(|interval| now + interval) } else { Some(now + entry.wait) };
            }
            self.arm();
        }
        let Some(call) = exchange.call else { return };
        let Some(waiting) = self.waiting.get(&call.0).filter(|waiting| waiting.cookie == exchange.cookie) else { return };
        let mut tried = waiting.tried.clone();
        self.behind = self.behind.saturating_sub(waiting.behind);
        self.waiting.remove(&call.0);
        // There is room for all of a region; should a reload have changed them, the last one is asked twice.
        let _ = tried.try_push(exchange.relay);
        self.done = Some(Done { cookie: exchange.cookie, relay: exchange.relay, sdp, tried });
    }

    fn arm(&mut self) {
        let due = self.entries.iter().filter_map(|entry| entry.next).min();
        self.due = due.filter(|_| !self.resting);
    }
}

impl RelayState {
    /// Whatever it said: it is there.
    fn answered(&mut self, now: Instant, out: &mut Vec<Output>) {
        self.heard = Some(now);
        if !self.up {
            (self.up, self.since, self.next) = (true, now, None);
            out.push(Output::Note(Note::Relay { region: self.region, addr: self.addr, failure: None }));
        }
    }

    /// It said nothing: it is down, and asked again a second later, then half as often each time.
    fn failed(&mut self, now: Instant, failure: Failure, ask: RelayVerb, back_off: Duration, out: &mut Vec<Output>) {
        self.failure = Some(failure);
        if self.up {
            (self.up, self.since, self.wait) = (false, now, FIRST_TRIAL);
            out.push(Output::Note(Note::Relay { region: self.region, addr: self.addr, failure: Some(failure) }));
        } else if ask == RelayVerb::Ping {
            self.wait = (self.wait * 2).min(back_off);
        } else {
            return;
        }
        self.next = Some(now + self.wait);
    }
}

impl Core {
    /// A relay has answered, or has not.
    pub(crate) fn swap(
        &mut self,
        now: Instant,
        exchange: RelayRequestId,
        reply: &Result<RelayReply, Unanswered>,
        out: &mut Vec<Output>,
    ) {
        self.relays.ended(now, &self.config, exchange, reply, out);
    }

    /// Pings what is due.
    pub(crate) fn ping_relays(&mut self, now: Instant, out: &mut Vec<Output>) {
        let Self { relays, config, keys, .. } = self;
        if relays.due.is_none_or(|due| due > now) {
            return;
        }
        for entry in relays.entries.iter_mut().filter(|entry| entry.next.is_some_and(|next| next <= now)) {
            entry.next = None;
            let Ok(relay) = Fence::of_region(&config.region(entry.region).networks).admit(entry.addr) else { continue };
            relays.numbered += 1;
            let cookie = keys.exchange(&[RelayVerb::Ping.label().as_bytes(), &relays.numbered.to_le_bytes()]);
            let exchange = RelayRequestId { call: None, relay: entry.addr, ask: RelayVerb::Ping, cookie };
            out.push(Output::Relay(RelayRequest { relay, exchange, command: RelayBody::Ping }));
        }
        relays.arm();
    }
}
