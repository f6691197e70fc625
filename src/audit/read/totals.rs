//! What records add up to, by region and project, over any number of nodes.
//!
//! Only counts what the records say. A call whose end nobody saw is counted as such; its length is not estimated.

use std::collections::{BTreeMap, HashMap, VecDeque};

use super::line::{LineKind, ReadLine, seconds_of};
use crate::reason::Reason;

/// What was refused for no reason that is known here.
pub(crate) const OTHER: usize = Reason::ALL.len();

/// Calls that have failed lately and are remembered, because they may be tried once more, or their answer refused.
const FAILED_KEPT: usize = 4096;

/// The counts of one project in one region.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct CallCounts {
    /// Calls whose INVITE was judged.
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
    /// Other verdicts: on other requests, on requests inside calls, and on calls that were judged before.
    pub(crate) others: u64,
    /// Calls that were answered.
    pub(crate) answered: u64,
    /// Of these: the ones whose end was seen, and how long those were.
    pub(crate) ended: u64,
    pub(crate) seconds: u64,
    /// Ends that say no length.
    pub(crate) without_length: u64,
    /// Of the calls that were let through: what their INVITE said of media.
    pub(crate) no_media: u64,
    pub(crate) inside: u64,
    pub(crate) relayed: u64,
    pub(crate) not_read: u64,
    /// Messages that passed although their media was outside or unreadable.
    pub(crate) warned: u64,
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

    /// Adds others.
    pub(crate) fn add(&mut self, other: &Self) {
        let pairs = [
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

/// What is known of a call that is not over in the records so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CallSoFar {
    /// It was let through.
    Opened,
    /// It was refused, or answered otherwise than by 2xx. Whether it had been let through, and was not refused since.
    Failed(bool),
    /// It was answered.
    Answered(u32),
    /// It ended after that many seconds, if that is known. Its answer may be in another node's record.
    Ended(Option<u32>),
}

/// The counts, and the calls that are open.
#[derive(Debug)]
pub(crate) struct Totals {
    /// Where the period begins, in seconds since 1970.
    begin: i64,
    counts: Vec<CallCounts>,
    /// The place of a project's counts, by region and project.
    places: HashMap<String, HashMap<String, usize>>,
    calls: HashMap<[u8; 16], CallSoFar>,
    /// The calls that have failed lately, the oldest first.
    failed: VecDeque<[u8; 16]>,
}

impl Totals {
    /// For a period that begins then, in seconds since 1970.
    pub(crate) fn new(begin: i64) -> Self {
        Self { begin, counts: Vec::new(), places: HashMap::new(), calls: HashMap::new(), failed: VecDeque::new() }
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
        let warned = matches!(said.media_verdict.as_deref(), Some("outside" | "unreadable"));
        match line.kind {
            LineKind::Verdict if said.method.as_deref() == Some("INVITE") => self.judged(place, line, warned),
            LineKind::Verdict => counts.others += 1,
            LineKind::Answer if matches!(said.code, Some(200..=299)) => {
                counts.warned += u64::from(warned);
                self.answered(place, said.call.as_deref());
            }
            LineKind::Answer => {
                if let Some(call) = said.call.as_deref().and_then(call_name)
                    && self.calls.get(&call) == Some(&CallSoFar::Opened)
                {
                    self.fail(call, true);
                }
            }
            LineKind::End => self.ended(place, line),
            _ => {}
        }
    }

    /// A verdict on an INVITE. A call counts once, however often it is tried.
    fn judged(&mut self, place: usize, line: &ReadLine<'_>, warned: bool) {
        let said = &line.said;
        let Some(counts) = self.counts.get_mut(place) else { return };
        let call = said.call.as_deref().and_then(call_name);
        let so_far = call.and_then(|call| self.calls.get(&call).copied());
        let passed = said.passed();
        let later = said.later == Some(true);
        match so_far {
            None | Some(CallSoFar::Ended(_)) if !later => verdict(counts, line, warned),
            // No server of the region took it, and another region's did.
            Some(CallSoFar::Opened) if passed && is_elsewhere(line) && counts.here > 0 => {
                counts.here -= 1;
                counts.elsewhere += 1;
            }
            // Its answer was refused, or no server took it.
            Some(CallSoFar::Opened | CallSoFar::Failed(true)) if !passed => count_refused(counts, line),
            _ => {
                counts.others += 1;
                counts.warned += u64::from(passed && warned);
            }
        }
        match (call, so_far) {
            (Some(call), None | Some(CallSoFar::Failed(_))) if passed && !later => {
                self.calls.insert(call, CallSoFar::Opened);
            }
            (Some(call), None) if !passed && !later => self.fail(call, false),
            (Some(call), Some(CallSoFar::Opened | CallSoFar::Failed(true))) if !passed => self.fail(call, false),
            _ => {}
        }
    }

    /// Remembers that a call has failed, and forgets the oldest one that has.
    fn fail(&mut self, call: [u8; 16], was_let_through: bool) {
        self.calls.insert(call, CallSoFar::Failed(was_let_through));
        self.failed.push_back(call);
        if self.failed.len() > FAILED_KEPT
            && let Some(oldest) = self.failed.pop_front()
            && matches!(self.calls.get(&oldest), Some(CallSoFar::Failed(_)))
        {
            self.calls.remove(&oldest);
        }
    }

    fn answered(&mut self, place: usize, call: Option<&str>) {
        let Some(counts) = self.counts.get_mut(place) else { return };
        let Some(call) = call.and_then(call_name) else {
            counts.answered += 1;
            return;
        };
        match self.calls.get(&call) {
            // A call has one answer here. Others are to INVITEs inside it.
            Some(CallSoFar::Answered(_)) => {}
            Some(&CallSoFar::Ended(seconds)) => {
                self.calls.remove(&call);
                counts.answered += 1;
                count_end(counts, seconds);
            }
            None | Some(CallSoFar::Opened | CallSoFar::Failed(_)) => {
                counts.answered += 1;
                self.calls.insert(call, CallSoFar::Answered(u32::try_from(place).unwrap_or(u32::MAX)));
            }
        }
    }

    fn ended(&mut self, place: usize, line: &ReadLine<'_>) {
        let said = &line.said;
        let short = |seconds: Option<u64>| seconds.and_then(|seconds| u32::try_from(seconds).ok());
        let (seconds, since_invite) = (short(said.seconds), short(said.since_invite));
        let Some(call) = said.call.as_deref().and_then(call_name) else { return };
        if let Some(&CallSoFar::Answered(of)) = self.calls.get(&call) {
            self.calls.remove(&call);
            if let Some(counts) = self.counts.get_mut(of as usize) {
                count_end(counts, seconds);
            }
            return;
        }
        let began = seconds_of(line.at).zip(seconds.or(since_invite)).map(|(at, seconds)| at - i64::from(seconds));
        if began.is_some_and(|began| began < self.begin) {
            // It was answered before the period. Its minutes are of this one, as far as anybody can say when they were.
            if let Some(counts) = self.counts.get_mut(place) {
                counts.answered += 1;
                count_end(counts, seconds);
            }
        } else if !matches!(self.calls.get(&call), Some(CallSoFar::Ended(_))) {
            // A second BYE of the same call finds its own mark here, and counts for nothing.
            self.calls.insert(call, CallSoFar::Ended(seconds));
        }
    }

    fn place(&mut self, region: &str, project: &str) -> usize {
        if let Some(&place) = self.places.get(region).and_then(|projects| projects.get(project)) {
            return place;
        }
        let place = self.counts.len();
        self.counts.push(CallCounts::default());
        self.places.entry(region.to_owned()).or_default().insert(project.to_owned(), place);
        place
    }

    /// Ends for which there is no answer in the records: second BYEs, and calls whose answer is missing.
    pub(crate) fn ends_without_answer(&self) -> usize {
        self.calls.values().filter(|call| matches!(call, CallSoFar::Ended(_))).count()
    }

    /// The counts by region and project, in the order of their names.
    pub(crate) fn rows(&self) -> BTreeMap<(String, String), CallCounts> {
        let all = self.places.iter().flat_map(|(region, projects)| {
            projects.iter().map(move |(project, &place)| ((region.clone(), project.clone()), place))
        });
        all.filter_map(|(name, place)| self.counts.get(place).map(|counts| (name, counts.clone()))).collect()
    }
}

fn verdict(counts: &mut CallCounts, line: &ReadLine<'_>, warned: bool) {
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

/// Whether a call was accepted by another region's servers.
fn is_elsewhere(line: &ReadLine<'_>) -> bool {
    line.said.id == Some(Reason::Failover.id().into())
}

fn count_refused(counts: &mut CallCounts, line: &ReadLine<'_>) {
    let known = Reason::ALL.iter().position(|reason| line.said.id == Some(reason.id().into()));
    if let Some(count) = counts.refused.get_mut(known.unwrap_or(OTHER)) {
        *count += 1;
    }
}

fn count_end(counts: &mut CallCounts, seconds: Option<u32>) {
    counts.ended += 1;
    counts.seconds = counts.seconds.saturating_add(seconds.unwrap_or_default().into());
    counts.without_length += u64::from(seconds.is_none());
}

/// The name of a call as a record has it: 32 hexadecimal digits.
fn call_name(text: &str) -> Option<[u8; 16]> {
    let value = u128::from_str_radix(text, 16).ok().filter(|_| text.len() == 32 && !text.starts_with('+'))?;
    Some(value.to_be_bytes())
}

#[cfg(test)]
mod tests;
