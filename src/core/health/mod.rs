//! What is known of each target: whether calls go there, and when it is tried again.
//!
//! It only keeps states; other files send calls and pings. Health is kept for each address and transport, never for a name: one
//! address says nothing about another one behind the same name. [`crate::core::health::watched`] says which targets are watched.
//! A target that is not watched always counts as up.

pub(crate) mod options_ping;
mod watched;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant};

use smallvec::SmallVec;

use crate::config::{self, Config, RegionId, TrunkId};
use crate::core::io::{Failure, GatewayStatus, Health, Note, Output, TargetStatus};
use crate::core::routing::place::{Gateway, Place};
use crate::core::routing::srv_order::Dice;

/// The time between a target going down and its first trial.
pub(crate) const FIRST_TRIAL: Duration = Duration::from_secs(1);
/// The longest time that a server may ask us not to send to it (`Retry-After`).
const LONGEST_LEAVE: Duration = Duration::from_secs(300);
/// The least share of its calls that a rising target gets, in percent.
const LEAST_SHARE: u32 = 10;

/// All targets that are watched.
#[derive(Debug)]
pub(crate) struct Healths {
    pub(crate) rules: config::Health,
    /// How long we wait for an answer.
    pub(crate) try_for: Duration,
    pub(crate) entries: Vec<Entry>,
    pub(crate) places: HashMap<Place, usize, foldhash::fast::RandomState>,
    /// How many targets are not up. If none, the order of targets needs no look-up of health.
    pub(crate) unwell: usize,
    /// The time at which each entry next wants something, with the entry's index.
    pub(crate) due: BTreeSet<(Instant, usize)>,
    /// Targets that went down because they cannot be reached: the attempts to them have to go on elsewhere.
    fallen: Vec<Place>,
    /// Whether pings have ended, because the daemon ends.
    pub(crate) resting: bool,
    /// Spreads probes in time.
    pub(crate) dice: Dice,
    /// Probes sent so far.
    pub(crate) probes: u64,
    /// The gateways that are asked whether they are there, each with the region that asks.
    pub(crate) asked: Vec<(Gateway, RegionId)>,
    /// When the shell is told next that their names are in use.
    pub(crate) names_due: Option<Instant>,
}

/// One target.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) place: Place,
    /// Over TLS: the name that the target must prove. If several names lead to it, the first one.
    pub(crate) tls_name: Option<Arc<str>>,
    /// The region whose server it is. For a trunk: a region whose calls go there.
    pub(crate) region: RegionId,
    /// The served region that pings leave from. `None`: it is a trunk's target without `ping`.
    pub(crate) from: Option<RegionId>,
    /// Of a trunk's target: the trunk, whose fence judges it.
    pub(crate) trunk: Option<TrunkId>,
    /// The gateways that are asked whether they are there, and whose address it is. The first one is asked.
    pub(crate) gateways: SmallVec<[Gateway; 1]>,
    /// How often it is pinged, if its trunk says so.
    pub(crate) every: Option<Duration>,
    pub(crate) state: Health,
    pub(crate) since: Instant,
    pub(crate) heard: Option<Instant>,
    pub(crate) failure: Option<Failure>,
    /// Failures in a row.
    failures: u32,
    /// The time between a failed trial and the next one.
    wait: Duration,
    /// When it may be tried again, while it is down.
    pub(crate) trial: Instant,
    /// While it is down: the time of the last failure that counted. A result of anything sent earlier is ignored.
    told: Instant,
    /// Whether it asked by `Retry-After` to be left alone until the trial.
    asked: bool,
    /// When it was pinged last.
    pub(crate) pinged: Option<Instant>,
    /// Whether that ping still waits for an answer.
    pub(crate) waits: bool,
    /// When the next probe is due.
    pub(crate) next: Option<Instant>,
    /// The time under which it stands in [`Healths::due`].
    pub(crate) armed: Option<Instant>,
}

/// What a target's health means for the order of targets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is tried in its turn.
    Fit,
    /// It is tried after the fit ones.
    Behind,
    /// It is down, and one call may find out whether it still is.
    Trial,
    /// It is tried only if there is no other target. Its trial is due at this time.
    Down(Instant),
}

impl Entry {
    /// A target of which nothing is known yet.
    pub(crate) fn new(place: Place, region: RegionId, from: Option<RegionId>, now: Instant) -> Self {
        Self {
            place,
            tls_name: None,
            region,
            from,
            trunk: None,
            gateways: SmallVec::new(),
            every: None,
            state: Health::Up,
            since: now,
            heard: None,
            failure: None,
            failures: 0,
            wait: FIRST_TRIAL,
            trial: now,
            told: now,
            asked: false,
            pinged: None,
            waits: false,
            next: None,
            armed: None,
        }
    }

    /// When it wants something.
    fn deadline(&self, rise: Duration) -> Option<Instant> {
        let risen = (self.state == Health::Rising).then(|| self.since + rise);
        [risen, self.next].into_iter().flatten().min()
    }

    /// Begins a trial, by a call or a ping, that may take `time`. If nothing comes of it, the next trial comes all the same.
    pub(crate) fn begin_trial(&mut self, now: Instant, time: Duration) {
        self.trial = now + self.wait.max(time);
        self.asked = false;
    }
}

impl Healths {
    /// Watches nothing yet.
    pub(crate) fn new(config: &Config, seed: u64) -> Self {
        Self {
            rules: config.health.clone(),
            try_for: config.timers.try_for,
            entries: Vec::new(),
            places: HashMap::default(),
            unwell: 0,
            due: BTreeSet::new(),
            fallen: Vec::new(),
            resting: false,
            dice: Dice::new(seed),
            probes: 0,
            asked: Vec::new(),
            names_due: None,
        }
    }

    /// When the first entry wants something.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.due.first().map(|&(at, _)| at).into_iter().chain(self.names_due).min()
    }

    /// The health of the gateways that are asked. One without any address does not answer.
    pub(crate) fn gateways(&self) -> impl Iterator<Item = GatewayStatus> {
        let up = |gateway| self.entries.iter().any(|entry| entry.state != Health::Down && entry.gateways.contains(&gateway));
        self.asked.iter().map(move |&(gateway, region)| GatewayStatus {
            region,
            trunk: gateway.trunk,
            at: gateway.at,
            is_up: up(gateway),
        })
    }

    /// The health of the regions' servers.
    pub(crate) fn status(&self) -> Vec<TargetStatus> {
        let status = |entry: &Entry| {
            let &Entry { place: (addr, transport), region, state, since, heard, failure, .. } = entry;
            TargetStatus { region, addr, transport, state, since, heard, failure, relay: false }
        };
        self.entries.iter().filter(|entry| entry.trunk.is_none()).map(status).collect()
    }

    /// How a target stands in the order. If it is rising, chance decides.
    pub(crate) fn standing(&self, now: Instant, place: Place, dice: &Dice) -> Standing {
        if self.unwell == 0 {
            return Standing::Fit;
        }
        let Some(entry) = self.find(place) else { return Standing::Fit };
        match entry.state {
            Health::Up => Standing::Fit,
            Health::Rising => {
                let risen = now.saturating_duration_since(entry.since).as_millis().saturating_mul(100);
                let share = u32::try_from(risen / self.rules.rise.as_millis().max(1)).unwrap_or(100);
                if dice.below(100) < share.max(LEAST_SHARE) { Standing::Fit } else { Standing::Behind }
            }
            Health::Down if entry.trial <= now && !self.is_probed(entry) => Standing::Trial,
            Health::Down => Standing::Down(entry.trial),
        }
    }

    /// Whether a target is watched: it is named, and inside.
    pub(crate) fn is_watched(&self, place: Place) -> bool {
        self.places.contains_key(&place)
    }

    /// Whether a target is down.
    pub(crate) fn is_down(&self, place: Place) -> bool {
        self.unwell > 0 && self.find(place).is_some_and(|entry| entry.state == Health::Down)
    }

    /// Notes that a call is being sent there. If the target is down and its trial is due, this call is the trial, and no other
    /// call is.
    pub(crate) fn launched(&mut self, now: Instant, place: Place) {
        if self.unwell == 0 {
            return;
        }
        let Some(&at) = self.places.get(&place) else { return };
        if self.entries.get(at).is_none_or(|entry| self.is_probed(entry)) {
            return;
        }
        let time = self.try_for;
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.state == Health::Down && entry.trial <= now) {
            entry.begin_trial(now, time);
        }
    }

    /// Notes a final answer to a request that was sent at `sent`. The answer does not say that the server is unavailable.
    pub(crate) fn alive(&mut self, now: Instant, place: Place, sent: Instant, out: &mut Vec<Output>) {
        self.heard(now, place, sent, true, out);
    }

    /// Notes another sign of life after a request that was sent at `sent`. The target is there, but a 503 may still follow. So failures in a
    /// row stay in a row.
    pub(crate) fn speaks(&mut self, now: Instant, place: Place, sent: Instant, out: &mut Vec<Output>) {
        self.heard(now, place, sent, false, out);
    }

    fn heard(&mut self, now: Instant, place: Place, sent: Instant, ends: bool, out: &mut Vec<Output>) {
        let Some(&at) = self.places.get(&place) else { return };
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.heard = Some(now);
        if ends {
            entry.failures = 0;
        }
        if entry.state != Health::Down {
            return;
        }
        // A target that refused new calls may still answer earlier ones. But if a silent target answers, it is back.
        let earlier = sent < entry.since || entry.asked && now < entry.trial;
        if entry.failure == Some(Failure::Unavailable) && (earlier || !ends) {
            return;
        }
        let state = if self.rules.rise.is_zero() { Health::Up } else { Health::Rising };
        self.turn(now, at, state, out);
    }

    /// Notes a 503 to what was sent at `sent` (for a ping also a 408). The server may have said for how long (`Retry-After`; RFC
    /// 3261 21.5.4).
    pub(crate) fn unavailable(
        &mut self,
        now: Instant,
        place: Place,
        sent: Instant,
        leave: Option<Duration>,
        out: &mut Vec<Output>,
    ) {
        let Some(&at) = self.places.get(&place) else { return };
        let Some(entry) = self.entries.get_mut(at) else { return };
        entry.heard = Some(now);
        let Some(leave) = leave.filter(|leave| !leave.is_zero()) else {
            return self.failed(now, place, sent, Failure::Unavailable, out);
        };
        entry.failure = Some(Failure::Unavailable);
        entry.asked = true;
        if entry.state == Health::Up {
            entry.wait = FIRST_TRIAL;
        }
        entry.trial = now + leave.min(LONGEST_LEAVE);
        entry.next = entry.next.map(|_| entry.trial);
        if entry.state == Health::Down {
            return self.arm(at);
        }
        self.turn(now, at, Health::Down, out);
    }

    /// Notes that what was sent at `sent` had no success.
    pub(crate) fn failed(&mut self, now: Instant, place: Place, sent: Instant, failure: Failure, out: &mut Vec<Output>) {
        let Some(&at) = self.places.get(&place) else { return };
        let (longest, fall) = (self.rules.back_off, self.rules.fall);
        let probed = self.entries.get(at).is_some_and(|entry| self.is_probed(entry));
        let Some(entry) = self.entries.get_mut(at) else { return };
        // A message that was sent before the last change says nothing about the time after it.
        if sent < entry.since {
            return;
        }
        // While it is down, each trial counts once. If pings are the trials, a call that went there for lack of other targets is
        // no trial.
        if entry.state == Health::Down && (sent < entry.told || probed && entry.pinged != Some(sent)) {
            return;
        }
        entry.failure = Some(failure);
        let longer = (entry.wait * 2).min(longest);
        match entry.state {
            Health::Up => {
                entry.failures += 1;
                let unheard = entry.heard.is_none_or(|heard| heard <= sent);
                let at_once = unheard && failure != Failure::Unavailable;
                if !at_once && entry.failures < fall {
                    return;
                }
                entry.wait = FIRST_TRIAL;
            }
            Health::Rising => entry.wait = longer,
            Health::Down => {
                entry.wait = longer;
                entry.told = now;
                entry.trial = now + longer;
                entry.next = entry.next.map(|_| entry.trial);
                return self.arm(at);
            }
        }
        entry.trial = now + entry.wait;
        entry.told = now;
        entry.asked = false;
        entry.next = entry.next.map(|_| entry.trial);
        if failure != Failure::Unavailable {
            self.fallen.push(place);
        }
        self.turn(now, at, Health::Down, out);
    }

    /// Notes that connections to it were made and ended, and nothing came back. One party's messages may cause that although the
    /// server is well. So a ping finds out, once a second at most.
    pub(crate) fn suspect(&mut self, now: Instant, place: Place) {
        let Some(&at) = self.places.get(&place) else { return };
        let probed = self.entries.get(at).is_some_and(|entry| self.is_probed(entry));
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| probed && entry.state != Health::Down && !entry.waits) {
            let earliest = entry.pinged.map_or(now, |pinged| now.max(pinged + FIRST_TRIAL));
            entry.next = Some(entry.next.map_or(earliest, |next| next.min(earliest)));
        }
        self.arm(at);
    }

    /// Sets a target up if it has been rising long enough.
    pub(crate) fn risen(&mut self, now: Instant, at: usize, out: &mut Vec<Output>) {
        let rise = self.rules.rise;
        if self.entries.get(at).is_some_and(|entry| entry.state == Health::Rising && entry.since + rise <= now) {
            self.turn(now, at, Health::Up, out);
        }
    }

    /// Takes out one target that went down because it cannot be reached.
    pub(crate) fn fallen(&mut self) -> Option<Place> {
        self.fallen.pop()
    }

    fn turn(&mut self, now: Instant, at: usize, state: Health, out: &mut Vec<Output>) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        self.unwell = self.unwell + usize::from(state != Health::Up) - usize::from(entry.state != Health::Up);
        entry.state = state;
        entry.since = now;
        entry.failures = 0;
        let (addr, transport) = entry.place;
        let failure = entry.failure.filter(|_| state == Health::Down);
        out.push(Output::Note(Note::Health { region: entry.region, addr, transport, state, failure }));
        self.arm(at);
    }

    /// Sets the clock for an entry. Call it after every change.
    pub(crate) fn arm(&mut self, at: usize) {
        let Some(entry) = self.entries.get_mut(at) else { return };
        let deadline = entry.deadline(self.rules.rise);
        if deadline == entry.armed {
            return;
        }
        if let Some(before) = std::mem::replace(&mut entry.armed, deadline) {
            self.due.remove(&(before, at));
        }
        self.due.extend(deadline.map(|deadline| (deadline, at)));
    }

    /// Whether pings, not calls, find out if a down target is back.
    pub(crate) fn is_probed(&self, entry: &Entry) -> bool {
        entry.from.is_some() && entry.every.or(self.rules.interval).is_some() && !self.resting
    }

    fn find(&self, place: Place) -> Option<&Entry> {
        self.entries.get(*self.places.get(&place)?)
    }

    /// A target that wants something now.
    pub(crate) fn next_due(&self, now: Instant) -> Option<usize> {
        self.due.first().filter(|&&(when, _)| when <= now).map(|&(_, at)| at)
    }

    /// Notes the answer to a ping. `provisional`: the target is there; whether it takes calls will be known later.
    pub(crate) fn ping_answered(&mut self, now: Instant, place: Place, sent: Instant, provisional: bool, out: &mut Vec<Output>) {
        if provisional {
            return self.speaks(now, place, sent, out);
        }
        self.alive(now, place, sent, out);
        self.ping_ended(now, place, sent);
    }

    /// Notes that a ping of a target failed.
    pub(crate) fn ping_failed(&mut self, now: Instant, place: Place, sent: Instant, failure: Failure, out: &mut Vec<Output>) {
        self.failed(now, place, sent, failure, out);
        self.ping_ended(now, place, sent);
    }

    /// Ends a ping: nothing more will come of it. The next ping comes in its time.
    pub(crate) fn ping_ended(&mut self, now: Instant, place: Place, sent: Instant) {
        let Some(&at) = self.places.get(&place) else { return };
        let interval = self.interval(self.entries.get(at).and_then(|entry| entry.every));
        if let Some(entry) = self.entries.get_mut(at).filter(|entry| entry.waits && entry.pinged == Some(sent)) {
            entry.waits = false;
            let next = if entry.state == Health::Down { entry.trial } else { sent + interval };
            entry.next = Some(next.max(now));
        }
        self.arm(at);
    }

    /// Ends a ping that can no longer be answered, because its listener is gone.
    pub(crate) fn ping_gone(&mut self, now: Instant, place: Place) {
        let pinged = self.places.get(&place).and_then(|&at| self.entries.get(at)?.pinged);
        if let Some(sent) = pinged {
            self.ping_ended(now, place, sent);
        }
    }

    /// The time to the next ping: up to a fifth more or less than configured, so that not all nodes ask a server at once.
    /// `every`: what its trunk says.
    pub(crate) fn interval(&self, every: Option<Duration>) -> Duration {
        let interval = every.or(self.rules.interval).unwrap_or(Duration::from_secs(3600));
        interval * (800 + self.dice.below(401)) / 1000
    }

    /// Whether a ping that was sent then still waits for an answer.
    pub(crate) fn awaits(&self, place: Place, sent: Instant) -> bool {
        self.find(place).is_some_and(|entry| entry.waits && entry.pinged == Some(sent))
    }
}
