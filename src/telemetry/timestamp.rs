//! Moments for people and machines: how long ago, and when (RFC 3339, UTC).

use std::time::{Duration, Instant, SystemTime};

const DAY: u64 = 24 * 60 * 60;

/// One moment on both clocks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Now {
    pub(crate) steady: Instant,
    pub(crate) wall: SystemTime,
}

impl Now {
    /// Reads both clocks.
    pub(crate) fn read() -> Self {
        Self { steady: Instant::now(), wall: SystemTime::now() }
    }

    /// The time since that moment.
    pub(crate) fn since(&self, then: Instant) -> Duration {
        self.steady.saturating_duration_since(then)
    }

    /// That moment, to the second.
    pub(crate) fn at(&self, then: Instant) -> String {
        let wall = self.wall.checked_sub(self.since(then)).unwrap_or(SystemTime::UNIX_EPOCH);
        on(wall)
    }
}

/// That wall-clock time, to the second.
pub(crate) fn on(moment: SystemTime) -> String {
    rfc3339(moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs())
}

/// That wall-clock time, to the microsecond, as the lines of the log have it.
pub(crate) fn exactly(moment: SystemTime) -> String {
    let since = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut text = rfc3339(since.as_secs());
    text.truncate(text.len().saturating_sub(1));
    text.push('.');
    push_digits::<6>(&mut text, since.subsec_micros().into());
    text.push('Z');
    text
}

/// Appends the last `N` digits of a number.
fn push_digits<const N: usize>(text: &mut String, number: u64) {
    let (mut digits, mut rest) = ([b'0'; N], number);
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + u8::try_from(rest % 10).unwrap_or_default();
        rest /= 10;
    }
    text.push_str(std::str::from_utf8(&digits).unwrap_or_default());
}

/// Seconds since 1970 as `YYYY-MM-DDThh:mm:ssZ`.
fn rfc3339(seconds: u64) -> String {
    let (mut days, second) = (seconds / DAY, seconds % DAY);
    // A year or two too early, and in the far future some more.
    let mut year = 1970 + days / 366;
    while days >= days_before(year + 1) {
        year += 1;
    }
    days -= days_before(year);
    let mut month = 1;
    while days >= days_in(year, month) {
        days -= days_in(year, month);
        month += 1;
    }
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    let mut text = String::with_capacity("2026-11-25T10:00:00.000000Z".len());
    if year > 9999 {
        // No date of RFC 3339, and told all the same.
        text = year.to_string();
    } else {
        push_digits::<4>(&mut text, year);
    }
    for (mark, part) in ['-', '-', 'T', ':', ':'].into_iter().zip([month, days + 1, hour, minute, second]) {
        text.push(mark);
        push_digits::<2>(&mut text, part);
    }
    text.push('Z');
    text
}

/// The days from 1970 to the first of a year.
fn days_before(year: u64) -> u64 {
    let leaps = |before: u64| (before - 1) / 4 - (before - 1) / 100 + (before - 1) / 400;
    (year - 1970) * 365 + leaps(year) - leaps(1970)
}

fn days_in(year: u64, month: u64) -> u64 {
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    match month {
        2 if leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_calendar_is_right_at_its_edges() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_709_251_199, "2024-02-29T23:59:59Z"),
            (1_709_251_200, "2024-03-01T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(seconds), text);
        }
        // Each day of five centuries follows the one before.
        let (mut year, mut month, mut day) = (1970, 1, 1);
        for days in 0..182_622 {
            assert_eq!(rfc3339(days * DAY), format!("{year:04}-{month:02}-{day:02}T00:00:00Z"));
            day += 1;
            if day > days_in(year, month) {
                (month, day) = (month + 1, 1);
            }
            if month > 12 {
                (year, month) = (year + 1, 1);
            }
        }
    }

    #[test]
    fn a_moment_is_told_to_the_microsecond() {
        let moment = SystemTime::UNIX_EPOCH + Duration::new(951_782_400, 7_999);
        assert_eq!(exactly(moment), "2000-02-29T00:00:00.000007Z");
    }

    #[test]
    fn a_moment_is_told_on_both_clocks() {
        let now = Now { steady: Instant::now(), wall: SystemTime::UNIX_EPOCH + Duration::from_secs(100) };
        let then = now.steady.checked_sub(Duration::from_secs(40)).unwrap();
        assert_eq!((now.since(then), now.at(then)), (Duration::from_secs(40), "1970-01-01T00:01:00Z".to_owned()));
        let later = now.steady + Duration::from_secs(1);
        assert_eq!((now.since(later), now.at(later)), (Duration::ZERO, "1970-01-01T00:01:40Z".to_owned()));
    }
}
