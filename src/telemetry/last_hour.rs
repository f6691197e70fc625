//! The last hour, minute by minute. It is read from the metrics, so it costs nothing while messages are handled.
//!
//! It is bounded: sixty minutes. Each has complete sums by region, verdict and reason, and the largest rows by project and by
//! trunk (256 of each at most). Smaller rows of that minute are only in the sums.

use std::cmp::Reverse;
use std::collections::{HashMap, VecDeque};
use std::time::Duration;

/// Minutes that are kept.
pub(crate) const MINUTES: u64 = 60;
/// Rows by project, and by trunk, that one minute keeps.
const ROWS: usize = 256;

/// Counts by labels.
type Counts<const N: usize> = HashMap<[Box<str>; N], u64>;

/// The last hour of one daemon.
#[derive(Debug, Default)]
pub struct LastHour {
    /// The counts at the last look.
    before: Seen,
    minutes: VecDeque<(u64, Seen)>,
}

#[derive(Debug, Default)]
struct Seen {
    /// By region, verdict, reason.
    verdicts: Counts<3>,
    /// By region, project, verdict, reason; accepted requests are left out.
    refused: Counts<4>,
    /// By region, project, trunk.
    repeats: Counts<3>,
}

/// The decisions of one minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Minute {
    /// How many whole minutes ago it began. 0 is the present minute.
    pub ago: u64,
    /// Requests that were accepted.
    pub accepted: u64,
    /// Requests that were refused.
    pub refused: u64,
    /// Requests that passed only because their project is in shadow mode.
    pub shadow: u64,
}

/// The sums of the hour, the largest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// The minutes with at least one decision, the oldest first.
    pub minutes: Vec<Minute>,
    /// Decisions by region, verdict and reason.
    pub verdicts: Vec<([Box<str>; 3], u64)>,
    /// Decisions by region, project, verdict (`refuse` or `shadow`) and reason.
    pub refused: Vec<([Box<str>; 4], u64)>,
    /// Repeats of refused calls by region, project and trunk.
    pub repeats: Vec<([Box<str>; 3], u64)>,
}

impl LastHour {
    /// Takes in an exposition. What has been added since the last one counts for the present minute. `elapsed`: the time since
    /// the daemon started.
    pub fn look(&mut self, elapsed: Duration, exposition: &str) {
        let number = minute(elapsed);
        let seen = Seen::read(exposition);
        self.forget(number);
        if self.minutes.back().is_none_or(|&(newest, _)| newest < number) {
            self.minutes.push_back((number, Seen::default()));
        }
        if let Some((_, present)) = self.minutes.back_mut() {
            add(&mut present.verdicts, &seen.verdicts, &self.before.verdicts);
            add(&mut present.refused, &seen.refused, &self.before.refused);
            add(&mut present.repeats, &seen.repeats, &self.before.repeats);
            cut(&mut present.refused);
            cut(&mut present.repeats);
        }
        self.before = seen;
    }

    /// The sums of the hour up to now.
    pub fn summary(&self, elapsed: Duration) -> Summary {
        let present = minute(elapsed);
        let (mut verdicts, mut refused, mut repeats) = (Counts::new(), Counts::new(), Counts::new());
        let mut minutes = Vec::new();
        let kept = self.minutes.iter().filter(|(number, _)| number.saturating_add(MINUTES) > present);
        for (number, seen) in kept {
            add(&mut verdicts, &seen.verdicts, &Counts::new());
            add(&mut refused, &seen.refused, &Counts::new());
            add(&mut repeats, &seen.repeats, &Counts::new());
            let of = |wanted: &str| {
                seen.verdicts.iter().filter(|([_, verdict, _], _)| &**verdict == wanted).map(|(_, count)| count).sum()
            };
            let (accepted, refused, shadow) = (of("accept"), of("refuse"), of("shadow"));
            let ago = present.saturating_sub(*number);
            let minute = Minute { ago, accepted, refused, shadow };
            if minute != (Minute { ago, ..Minute::default() }) {
                minutes.push(minute);
            }
        }
        Summary { minutes, verdicts: ranked(verdicts), refused: ranked(refused), repeats: ranked(repeats) }
    }

    fn forget(&mut self, present: u64) {
        while self.minutes.front().is_some_and(|(number, _)| number.saturating_add(MINUTES) <= present) {
            self.minutes.pop_front();
        }
    }
}

fn minute(elapsed: Duration) -> u64 {
    elapsed.as_secs() / 60
}

impl Seen {
    /// The counts of an exposition, without those at 0.
    fn read(exposition: &str) -> Self {
        let mut seen = Self::default();
        for line in exposition.lines() {
            if let Some((labels, count)) = series(line, "ringfence_verdicts_total") {
                let [region, verdict, reason] = ["region", "verdict", "reason"].map(|key| label(labels, key));
                if &*verdict != "accept" {
                    let key = [region.clone(), label(labels, "project"), verdict.clone(), reason.clone()];
                    *seen.refused.entry(key).or_default() += count;
                }
                *seen.verdicts.entry([region, verdict, reason]).or_default() += count;
            } else if let Some((labels, count)) = series(line, "ringfence_repeats_total") {
                *seen.repeats.entry(["region", "project", "trunk"].map(|key| label(labels, key))).or_default() += count;
            }
        }
        seen
    }
}

/// The labels and the value of a line, if it is of this metric and not 0.
fn series<'l>(line: &'l str, metric: &str) -> Option<(&'l str, u64)> {
    let (labels, count) = line.strip_prefix(metric)?.strip_prefix('{')?.split_once("} ")?;
    count.parse().ok().filter(|&count| count > 0).map(|count| (labels, count))
}

/// The value of one label. Our values are names of the configuration and tokens, which have no quote and no backslash.
fn label(labels: &str, key: &str) -> Box<str> {
    let named = labels.split(',').find_map(|label| label.strip_prefix(key)?.strip_prefix("=\"")?.strip_suffix('"'));
    named.unwrap_or_default().into()
}

/// Adds what has been counted since `before`. If a reload removes series, a sum may be less than it was. Then the counts since
/// the last look, a minute at most, are lost.
fn add<const N: usize>(sums: &mut Counts<N>, now: &Counts<N>, before: &Counts<N>) {
    for (key, count) in now {
        let new = count.saturating_sub(before.get(key).copied().unwrap_or_default());
        if new > 0 {
            *sums.entry(key.clone()).or_default() += new;
        }
    }
}

fn cut<const N: usize>(counts: &mut Counts<N>) {
    if counts.len() > ROWS {
        *counts = ranked(std::mem::take(counts)).into_iter().take(ROWS).collect();
    }
}

fn ranked<const N: usize>(counts: Counts<N>) -> Vec<([Box<str>; N], u64)> {
    let mut rows: Vec<_> = counts.into_iter().collect();
    rows.sort_unstable_by(|(a, m), (b, n)| (Reverse(m), a).cmp(&(Reverse(n), b)));
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdicts(rows: &[(&str, &str, &str, u64)]) -> String {
        let line = |(project, verdict, reason, count): &(&str, &str, &str, u64)| {
            format!(
                "ringfence_verdicts_total{{region=\"eu\",project=\"{project}\",verdict=\"{verdict}\",reason=\"{reason}\"}} {count}\n"
            )
        };
        format!("# TYPE ringfence_verdicts_total counter\n{}other{{a=\"b\"}} 7\n", rows.iter().map(line).collect::<String>())
    }

    fn at(minute: u64) -> Duration {
        Duration::from_secs(minute * 60 + 30)
    }

    fn shown<const N: usize>(rows: &[([Box<str>; N], u64)]) -> Vec<String> {
        rows.iter().map(|(key, count)| format!("{} {count}", key.join(" "))).collect()
    }

    #[test]
    fn an_hour_holds_what_was_new_in_each_of_its_minutes() {
        let mut hour = LastHour::default();
        hour.look(at(0), &verdicts(&[("acme", "accept", "in-region", 5), ("none", "refuse", "unknown-source", 0)]));
        let second =
            [("acme", "accept", "in-region", 6), ("b", "accept", "in-region", 1), ("acme", "refuse", "foreign-number", 2)];
        hour.look(at(3), &verdicts(&second));
        hour.look(at(3), &(verdicts(&second) + "ringfence_repeats_total{region=\"eu\",project=\"acme\",trunk=\"t\"} 4\n"));
        let summary = hour.summary(at(4));
        assert_eq!(
            summary.minutes,
            [Minute { ago: 4, accepted: 5, ..Minute::default() }, Minute { ago: 1, accepted: 2, refused: 2, shadow: 0 },]
        );
        assert_eq!(shown(&summary.verdicts), ["eu accept in-region 7", "eu refuse foreign-number 2"]);
        assert_eq!(shown(&summary.refused), ["eu acme refuse foreign-number 2"]);
        assert_eq!(shown(&summary.repeats), ["eu acme t 4"]);
        // The first minute is over an hour old, then the second.
        assert_eq!(hour.summary(at(59)).minutes.len(), 2);
        assert_eq!(shown(&hour.summary(at(60)).verdicts), ["eu accept in-region 2", "eu refuse foreign-number 2"]);
        hour.look(at(63), &verdicts(&second));
        assert_eq!(hour.summary(at(63)), Summary::default());
        assert_eq!(hour.minutes.len(), 1, "and it is forgotten");
    }

    #[test]
    fn a_minute_keeps_the_largest_rows_and_every_sum() {
        let names: Vec<String> = (0..1000).map(|at| format!("p{at}")).collect();
        let rows: Vec<_> = (1..).zip(&names).map(|(count, name)| (name.as_str(), "refuse", "pinned-elsewhere", count)).collect();
        let mut hour = LastHour::default();
        hour.look(at(0), &verdicts(&rows));
        let summary = hour.summary(at(0));
        assert_eq!(summary.refused.len(), ROWS);
        assert_eq!(shown(&summary.refused[..1]), ["eu p999 refuse pinned-elsewhere 1000"]);
        assert_eq!(shown(&summary.verdicts), ["eu refuse pinned-elsewhere 500500"]);
    }
}
