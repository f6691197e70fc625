//! Days in UTC as numbers, so that they can be counted: which one a moment is in, which is how old, how one is named. Pure.

use std::time::{Duration, SystemTime};

use super::day::{Day, NotADay};
use crate::telemetry::timestamp;

/// µs of a day.
const MICROS: u64 = 86_400_000_000;

/// A day, in days since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct DayNumber(pub(crate) u64);

impl DayNumber {
    /// The day of a moment in µs since 1970.
    pub(crate) const fn of(micros: u64) -> Self {
        Self(micros / MICROS)
    }

    /// Its first µs.
    pub(crate) const fn begin(self) -> u64 {
        self.0.saturating_mul(MICROS)
    }

    /// Its last µs.
    pub(crate) const fn end(self) -> u64 {
        self.begin().saturating_add(MICROS - 1)
    }

    /// The day of a directory's name. `None`: it is none.
    pub(crate) fn named(name: &str) -> Option<Self> {
        let number = |from, to| name.get(from..to)?.parse::<u64>().ok();
        let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
        // Within a month of it; its name decides.
        let about = year.checked_sub(1970)? * 365 + year.checked_sub(1970)?.div_ceil(4) + month.checked_sub(1)? * 30 + day;
        let days = about.saturating_sub(40)..about + 40;
        days.map(Self).find(|of| of.name() == name)
    }

    /// `2026-11-25`.
    pub(crate) fn name(self) -> String {
        let mut name = timestamp::on(moment(self.begin()));
        name.truncate(10);
        name
    }

    /// The day as others name it.
    pub(crate) fn day(self) -> Result<Day, NotADay> {
        self.name().parse()
    }

    /// `2026-11`.
    pub(crate) fn month(self) -> String {
        let mut name = self.name();
        name.truncate(7);
        name
    }
}

/// The last day of a month by its name. `None`: it is no month.
pub(crate) fn last_of_month(month: &str) -> Option<DayNumber> {
    let first = DayNumber::named(&format!("{month}-01"))?;
    (first.0..first.0 + 31).rev().map(DayNumber).find(|day| day.month() == month)
}

/// µs since 1970. A clock before that says 0.
pub(crate) fn micros(moment: SystemTime) -> u64 {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// That moment on the wall clock.
pub(crate) fn moment(micros: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros)).unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_day_has_one_name_and_is_found_by_it() {
        for day in (0..40_000).step_by(13).chain([20_782, 59, 60, 789, 790]).map(DayNumber) {
            assert_eq!(DayNumber::named(&day.name()), Some(day), "{}", day.name());
        }
        assert_eq!(DayNumber::of(DayNumber(20_782).end()), DayNumber(20_782));
        assert_eq!(DayNumber::of(DayNumber(20_782).end() + 1), DayNumber(20_783));
        for name in ["", "keys", "2026-02-29", "2026-13-01", "2026-1-01", "2026-11-25x", "1969-12-31", "20é6-11-25"] {
            assert_eq!(DayNumber::named(name), None, "{name}");
        }
    }

    #[test]
    fn a_month_ends_on_its_last_day() {
        for (month, last) in
            [("2026-02", "2026-02-28"), ("2028-02", "2028-02-29"), ("2026-12", "2026-12-31"), ("2026-11", "2026-11-30")]
        {
            assert_eq!(last_of_month(month).map(DayNumber::name).as_deref(), Some(last));
        }
        assert_eq!(last_of_month("2026-13"), None);
    }
}
