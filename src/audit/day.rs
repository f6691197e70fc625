//! A day of the record, as its directory is named: `2026-11-25`, in UTC.
//!
//! Only reads and writes that text; asks no clock.

use std::fmt;
use std::str::FromStr;

/// A day that is in the calendar.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day {
    year: u16,
    month: u8,
    of_month: u8,
}

/// A text that names no day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is no day: 2026-11-25 would be right")]
pub struct NotADay;

impl Day {
    /// The first ten octets of a moment (RFC 3339, UTC).
    pub fn of_moment(moment: &str) -> Result<Self, NotADay> {
        moment.get(..10).ok_or(NotADay)?.parse()
    }

    /// The month, as its key's file is named: `2026-11`.
    pub fn month(self) -> String {
        format!("{:04}-{:02}", self.year, self.month)
    }
}

impl FromStr for Day {
    type Err = NotADay;

    fn from_str(text: &str) -> Result<Self, NotADay> {
        let digits = |from: usize, to: usize| {
            let part = text.get(from..to).filter(|part| part.bytes().all(|octet| octet.is_ascii_digit()));
            part.and_then(|part| part.parse::<u16>().ok()).ok_or(NotADay)
        };
        let dashes = [4, 7].into_iter().all(|at| text.as_bytes().get(at) == Some(&b'-'));
        if text.len() != 10 || !dashes {
            return Err(NotADay);
        }
        let (year, month, day) = (digits(0, 4)?, digits(5, 7)?, digits(8, 10)?);
        let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
        let last = match month {
            2 if leap => 29,
            2 => 28,
            4 | 6 | 9 | 11 => 30,
            1..=12 => 31,
            _ => return Err(NotADay),
        };
        if !(1..=last).contains(&day) {
            return Err(NotADay);
        }
        let small = |value: u16| u8::try_from(value).map_err(|_| NotADay);
        Ok(Self { year, month: small(month)?, of_month: small(day)? })
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04}-{:02}-{:02}", self.year, self.month, self.of_month)
    }
}

impl fmt::Debug for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_one_of_the_calendar() {
        for right in ["2026-11-25", "2024-02-29", "0001-01-01", "9999-12-31"] {
            assert_eq!(right.parse::<Day>().map(|day| day.to_string()), Ok(right.to_owned()));
        }
        for wrong in
            ["2026-02-29", "2026-13-01", "2026-00-01", "2026-1-01", "2026-11-31", "+026-11-01", "2026-11-025", "", "2026/11/25"]
        {
            assert_eq!(wrong.parse::<Day>(), Err(NotADay), "{wrong}");
        }
        assert_eq!(Day::of_moment("2026-11-25T10:00:00.123456Z").map(Day::month), Ok("2026-11".to_owned()));
        assert!("2026-11-25".parse::<Day>().unwrap() < "2026-12-01".parse().unwrap());
    }
}
