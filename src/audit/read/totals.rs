//! What records add up to, by region and project, over any number of nodes.
//!
//! Only counts what the records say. A call whose end nobody saw is counted as such; its length is not estimated.

use std::collections::{BTreeMap, HashMap};

use super::line::{LineKind, ReadLine, seconds_of};
use super::waiting::{Answered, CallKey, Ended, LengthSaid, RecentCalls, Waiting, call_key};
use crate::audit::record::REALTIME;
use crate::reason::Reason;

/// What was refused for no reason that is known here.
pub(crate) const OTHER: usize = Reason::ALL.len();

/// The counts of one project in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallCounts {
    /// All verdicts, of whatever.
    pub(crate) verdicts: u64,
    /// INVITEs that open a call and were judged: a call that is tried again is another one.
    pub(crate) offered: u64,
    /// Of these: accepted by the region itself, and by another one.
    pub(crate) here: u64,
    pub(crate) elsewhere: u64,
    /// Refused, by reason, in the order of `Reason::ALL`; the last: for another one. Some were accepted before: their answer was refused.
    pub(crate) refused: [u64; Reason::ALL.len() + 1],
    /// Let through although a rule refuses them.
    pub(crate) shadow: u64,
    /// Of the accepted and those: the ones that went out to the trunk.
    pub(crate) out: u64,
    /// Other verdicts on messages: on other requests, on requests inside calls, and on calls that were judged before.
    pub(crate) others: u64,
    /// Those of them that were answered.
    pub(crate) answered: u64,
    /// Of these: the ones whose end was seen, and how long those were.
    pub(crate) ended: u64,
    pub(crate) seconds: u64,
    /// Of those whose end was seen: the ones of which no record says how long they were.
    pub(crate) without_length: u64,
    /// Of the calls that were let through: what their INVITE said of media.
    pub(crate) no_media: u64,
    pub(crate) inside: u64,
    pub(crate) relayed: u64,
    pub(crate) not_read: u64,
    /// Messages that passed although their media was outside or unreadable.
    pub(crate) warned: u64,
    /// Realtime sessions: accepted, refused, and let through although a rule refuses them.
    pub(crate) realtime: RealtimeCounts,
    /// Records whose target or media was outside when it was judged again.
    pub(crate) outside: u64,
}

impl CallCounts {
    /// How many were refused.
    pub(crate) fn refused(&self) -> u64 {
        self.refused.iter().sum()
    }

    /// How many were let through.
    pub(crate) fn passed(&self) -> u64 {
        self.here + self.elsewhere + self.shadow
    }

    /// Answered calls whose end nobody saw.
    pub(crate) fn unknown(&self) -> u64 {
        self.answered.saturating_sub(self.ended)
    }

    /// The end of an answered call was seen. `seconds`: how long it was, if that is known.
    fn end(&mut self, seconds: Option<u32>) {
        self.ended += 1;
        self.seconds = self.seconds.saturating_add(seconds.unwrap_or_default().into());
        self.without_length += u64::from(seconds.is_none());
    }

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
            (&mut self.verdicts, other.verdicts),
            (&mut self.offered, other.offered),
            (&mut self.here, other.here),
            (&mut self.elsewhere, other.elsewhere),
            (&mut self.shadow, other.shadow),
            (&mut self.out, other.out),
            (&mut self.others, other.others),
            (&mut self.answered, other.answered),
            (&mut self.ended, other.ended),
            (&mut self.seconds, other.seconds),
            (&mut self.without_length, other.without_length),
            (&mut self.no_media, other.no_media),
            (&mut self.inside, other.inside),
            (&mut self.relayed, other.relayed),
            (&mut self.not_read, other.not_read),
            (&mut self.warned, other.warned),
            (&mut self.realtime.accepted, other.realtime.accepted),
            (&mut self.realtime.refused, other.realtime.refused),
            (&mut self.realtime.shadow, other.realtime.shadow),
            (&mut self.outside, other.outside),
        ];
        for (sum, more) in pairs {
            *sum = sum.saturating_add(more);
        }
        for (sum, more) in self.refused.iter_mut().zip(other.refused) {
            *sum = sum.saturating_add(more);
        }
    }
}

/// Verdicts on realtime sessions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct RealtimeCounts {
    pub(crate) accepted: u64,
    pub(crate) refused: u64,
    pub(crate) shadow: u64,
}

/// The counts, and the calls that are open.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Where the period begins, in seconds since 1970.
    begin: i64,
    counts: Vec<CallCounts>,
    /// The place of a project's counts, by region and project.
    places: HashMap<String, HashMap<String, usize>>,
    /// The latest region and project with their place: the next record is often of the same.
    latest: (String, String, usize),
    /// Answers without an end so far.
    answers: Waiting<Answered>,
    /// Ends without an answer so far: that may be in another node's record.
    ends: Waiting<Ended>,
    /// Calls that have failed lately. What the daemon ends of them is no call: an answer was refused, and its sender is told.
    failed: RecentCalls,
    /// Calls that were let through lately, and not to the region's own servers or only because a rule is being tried.
    not_here: RecentCalls,
    /// Ends that have no answer, certainly.
    strays: u64,
}

impl Totals {
    /// For a period that begins then, in seconds since 1970.
    pub(crate) fn new(begin: i64) -> Self {
        Self {
            begin,
            counts: Vec::new(),
            places: HashMap::new(),
            latest: (String::new(), String::new(), usize::MAX),
            answers: Waiting::default(),
            ends: Waiting::default(),
            failed: RecentCalls::default(),
            not_here: RecentCalls::default(),
            strays: 0,
        }
    }

    /// Takes in a record. `outside`: whether what it says was outside when it was judged again.
    pub(crate) fn take(&mut self, line: &ReadLine<'_>, outside: bool) {
        let said = &line.said;
        if !matches!(line.kind, LineKind::Verdict | LineKind::Answer | LineKind::End) {
            return;
        }
        let place = self.place(said.region.as_deref().unwrap_or_default(), said.project.as_deref().unwrap_or_default());
        let Some(counts) = self.counts.get_mut(place) else { return };
        counts.outside += u64::from(outside);
        match line.kind {
            LineKind::Verdict => {
                counts.verdicts += 1;
                match said.method.as_deref() {
                    Some("INVITE") => judged(counts, &mut self.not_here, line),
                    // A request of SIP may call itself so too, but it came by a transport.
                    Some(REALTIME) if said.transport.is_none() => realtime(&mut counts.realtime, said.verdict.as_deref()),
                    _ => counts.others += 1,
                }
            }
            LineKind::Answer => self.answer(place, line),
            LineKind::End => self.ended(place, line),
            _ => {}
        }
    }

    fn answer(&mut self, place: usize, line: &ReadLine<'_>) {
        let (said, call) = (&line.said, name(line));
        let Some(counts) = self.counts.get_mut(place).filter(|_| matches!(said.code, Some(200..=299))) else {
            // If it is tried once more, that is another call, which may be answered.
            if let Some(call) = call {
                self.failed.insert(call);
            }
            return;
        };
        counts.answered += 1;
        counts.warned += u64::from(warned(line));
        let Some(call) = call else { return };
        let setup_ms = said.setup_ms.and_then(|setup| u32::try_from(setup).ok());
        let answered = Answered { place: u32::try_from(place).unwrap_or(u32::MAX), at: self.since_begin(line), setup_ms };
        while let Some(end) = self.ends.take(&call) {
            if end.is_after(&answered) {
                return self.count_end(&answered, &end);
            }
            self.strays += 1;
        }
        self.answers.put(call, answered);
    }

    fn ended(&mut self, place: usize, line: &ReadLine<'_>) {
        let said = &line.said;
        let short = |seconds: Option<u64>| seconds.and_then(|seconds| u32::try_from(seconds).ok());
        let length = match (short(said.seconds), short(said.since_invite)) {
            (Some(seconds), _) => LengthSaid::Seconds(seconds),
            (None, Some(seconds)) => LengthSaid::SinceInvite(seconds),
            (None, None) => LengthSaid::Nothing,
        };
        let end = Ended { at: self.since_begin(line), length };
        let call = name(line);
        let of_daemon = said.by.as_deref() == Some("daemon");
        if let Some((call, answered)) = call.and_then(|call| Some((call, self.answers.take(&call)?))) {
            if of_daemon && length == LengthSaid::Nothing {
                // Of a fork whose answer was refused. The other one goes on.
                return self.answers.put(call, answered);
            }
            return self.count_end(&answered, &end);
        }
        if of_daemon && call.is_some_and(|call| self.failed.contains(&call)) {
            return;
        }
        if let LengthSaid::Seconds(seconds) | LengthSaid::SinceInvite(seconds) = length
            && i64::from(end.at) < i64::from(seconds)
        {
            // It was answered before the period. Its minutes are of this one, as far as anybody can say when they were.
            if let Some(counts) = self.counts.get_mut(place) {
                counts.answered += 1;
                counts.end(if let LengthSaid::Seconds(seconds) = length { Some(seconds) } else { None });
            }
        } else if let Some(call) = call {
            self.ends.put(call, end);
        } else {
            self.strays += 1;
        }
    }

    fn count_end(&mut self, answered: &Answered, end: &Ended) {
        if let Some(counts) = self.counts.get_mut(answered.place as usize) {
            counts.end(Some(end.length_after(answered)));
        }
    }

    /// When a record was made, in seconds since the period began.
    fn since_begin(&self, line: &ReadLine<'_>) -> i32 {
        let since = seconds_of(line.at).unwrap_or_default().saturating_sub(self.begin);
        i32::try_from(since).unwrap_or(if since < 0 { i32::MIN } else { i32::MAX })
    }

    fn place(&mut self, region: &str, project: &str) -> usize {
        if self.latest.0 == region && self.latest.1 == project && self.latest.2 < self.counts.len() {
            return self.latest.2;
        }
        let known = self.places.get(region).and_then(|projects| projects.get(project));
        let place = known.copied().unwrap_or_else(|| {
            let place = self.counts.len();
            self.counts.push(CallCounts::default());
            self.places.entry(region.to_owned()).or_default().insert(project.to_owned(), place);
            place
        });
        self.latest = (region.to_owned(), project.to_owned(), place);
        place
    }

    /// Ends for which there is no answer in the records: second BYEs, and calls whose answer is missing.
    pub(crate) fn ends_without_answer(&self) -> u64 {
        self.strays + self.ends.count()
    }

    /// The counts by region and project, in the order of their names.
    pub(crate) fn rows(&self) -> BTreeMap<(String, String), CallCounts> {
        let all = self.places.iter().flat_map(|(region, projects)| {
            projects.iter().map(move |(project, &place)| ((region.clone(), project.clone()), place))
        });
        all.filter_map(|(name, place)| self.counts.get(place).map(|counts| (name, counts.clone()))).collect()
    }
}

/// A verdict on an INVITE.
fn judged(counts: &mut CallCounts, not_here: &mut RecentCalls, line: &ReadLine<'_>) {
    let (said, warned) = (&line.said, warned(line));
    match (said.later == Some(true), said.passed()) {
        (false, _) => {
            let here = counts.here;
            opened(counts, line, warned);
            if let Some(call) = name(line).filter(|_| said.passed() && counts.here == here) {
                not_here.insert(call);
            }
        }
        // No server of the region took it, and another region's did.
        (true, true) if is_elsewhere(line) && counts.here > 0 && name(line).is_none_or(|call| not_here.insert(call)) => {
            counts.here -= 1;
            counts.elsewhere += 1;
        }
        // Its answer was refused, or no server took it. A request inside a call is served where the call is, and does not say where.
        (true, false) if said.serving.is_some() => count_refused(counts, line),
        (true, passed) => {
            counts.others += 1;
            counts.warned += u64::from(passed && warned);
        }
    }
}

/// The first verdict on an INVITE that opens a call.
fn opened(counts: &mut CallCounts, line: &ReadLine<'_>, warned: bool) {
    let said = &line.said;
    counts.offered += 1;
    match said.verdict.as_deref() {
        Some("accept") if is_elsewhere(line) => counts.elsewhere += 1,
        Some("accept") => counts.here += 1,
        Some("shadow") => counts.shadow += 1,
        _ => return count_refused(counts, line),
    }
    counts.out += u64::from(said.direction.as_deref() == Some("out"));
    let count = match said.media_verdict.as_deref() {
        _ if warned => &mut counts.warned,
        _ if said.relay.is_some() => &mut counts.relayed,
        Some("inside") => &mut counts.inside,
        Some(_) => &mut counts.no_media,
        None => &mut counts.not_read,
    };
    *count += 1;
}

fn realtime(counts: &mut RealtimeCounts, verdict: Option<&str>) {
    let count = match verdict {
        Some("accept") => &mut counts.accepted,
        Some("shadow") => &mut counts.shadow,
        _ => &mut counts.refused,
    };
    *count += 1;
}

/// Whether a call was accepted by another region's servers.
fn is_elsewhere(line: &ReadLine<'_>) -> bool {
    line.said.id == Some(Reason::Failover.id().into())
}

/// Whether a message's media was outside or unreadable.
fn warned(line: &ReadLine<'_>) -> bool {
    matches!(line.said.media_verdict.as_deref(), Some("outside" | "unreadable"))
}

fn count_refused(counts: &mut CallCounts, line: &ReadLine<'_>) {
    let known = Reason::ALL.iter().position(|reason| line.said.id == Some(reason.id().into()));
    if let Some(count) = counts.refused.get_mut(known.unwrap_or(OTHER)) {
        *count += 1;
    }
}

fn name(line: &ReadLine<'_>) -> Option<CallKey> {
    line.said.call.as_deref().and_then(call_key)
}

#[cfg(test)]
mod tests;
