//! The form of log lines, how many there may be, and which text may stand in them.
//!
//! Lines that a stranger can cause are limited in rate. Text that a stranger wrote is escaped. User parts (names and numbers of
//! people) are shown only if the configuration says so.

use std::collections::HashMap;
use std::fmt;
use std::hash::Hash;
use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

use super::log_writer::{self, Flush};
use super::mask;
use crate::config::Numbers;

/// Starts logging to stderr: text on a terminal, otherwise JSON. `RUST_LOG` filters; the default is `info`. Keep the returned
/// value until the process ends. Does nothing if the process logs already.
pub fn start() -> io::Result<Flush> {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let terminal = io::stderr().is_terminal();
    let (lines, flush) = log_writer::start(io::stderr(), !terminal)?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(terminal).with_writer(lines);
    // An error says that there is a subscriber already: tests, or a daemon inside another program.
    let _ = if terminal { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
    Ok(flush)
}

/// Text from the wire, made harmless for a terminal and a log line. Control characters, line ends and everything that is not
/// ASCII are escaped. Spaces are escaped too, so that one field cannot look like two. The text is cut after `LONGEST`
/// octets.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Escaped<'_> {
    /// Most octets shown.
    pub(crate) const LONGEST: usize = 256;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..Self::LONGEST).unwrap_or(self.0);
        for (at, word) in shown.split(|&octet| octet == b' ').enumerate() {
            if at > 0 {
                f.write_str("\\x20")?;
            }
            write!(f, "{}", word.escape_ascii())?;
        }
        if shown.len() < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// A URI from the wire, escaped. Only the first three digits of an international number are shown, which tell its country. No
/// other user part is shown. [`Numbers::Plain`] shows everything. No filter of the log does.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a [u8], pub Numbers);

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(uri, numbers) = *self;
        let colon = memchr::memchr(b':', uri);
        // The last `@`: what stands before it is a user part by any reading.
        let host = memchr::memrchr(b'@', uri);
        let masked = |text: &[u8]| {
            let mut text = text.to_vec();
            mask::parameters(&mut text);
            Escaped(&text).to_string()
        };
        let is = |scheme: &[u8], of: &[&[u8]]| of.iter().any(|of| scheme.eq_ignore_ascii_case(of));
        match (colon, host) {
            _ if numbers == Numbers::Plain => write!(f, "{}", Escaped(uri)),
            (Some(colon), Some(at)) if colon < at => {
                let (scheme, rest) = uri.split_at_checked(colon + 1).unwrap_or_default();
                let host = uri.get(at..).unwrap_or_default();
                write!(f, "{}{}…{}", Escaped(scheme), Escaped(country(rest)), masked(host))
            }
            (_, Some(at)) => write!(f, "…{}", masked(uri.get(at..).unwrap_or_default())),
            // A `tel:` URI is nothing but a number.
            (Some(colon), None) if uri.get(..colon).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel")) => {
                write!(f, "tel:{}…", Escaped(country(uri.get(colon + 1..).unwrap_or_default())))
            }
            (Some(colon), None) if is(uri.get(..colon).unwrap_or_default(), &[b"sip", b"sips", b"urn"]) => {
                f.write_str(&masked(uri))
            }
            // Of another scheme nobody knows what is a number.
            (Some(colon), None) => write!(f, "{}:…", Escaped(uri.get(..colon).unwrap_or_default())),
            (None, None) => {
                let mut text = uri.to_vec();
                mask::spread_numbers(&mut text);
                write!(f, "{}", Escaped(&text))
            }
        }
    }
}

/// The plus and the first three digits of an international number (E.164: at least six digits). Empty for anything shorter or different.
pub(crate) fn country(user: &[u8]) -> &[u8] {
    match user {
        [b'+', digits @ ..] if digits.iter().take_while(|digit| digit.is_ascii_digit() || **digit == b'x').count() > 5 => {
            user.get(..4).unwrap_or_default()
        }
        _ => &[],
    }
}

/// A limit on the lines of one kind in a second. It counts the lines that were left out.
#[derive(Debug)]
pub struct Limit {
    window: Option<Instant>,
    most: u32,
    lines: u32,
    suppressed: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self::new()
    }
}

impl Limit {
    /// The limit for lines of one kind that have none of their own, in one second.
    pub(crate) const LINES: u32 = 5;
    const WINDOW: Duration = Duration::from_secs(1);

    /// A limit of which nothing is used.
    pub const fn new() -> Self {
        Self::of(Self::LINES)
    }

    /// A limit of `most` lines in one second.
    pub const fn of(most: u32) -> Self {
        Self { window: None, most, lines: 0, suppressed: 0 }
    }

    /// Whether a line may be written now. `Some(suppressed)`: it may, and this many were left out since the last one.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.window.is_none_or(|start| now.saturating_duration_since(start) >= Self::WINDOW) {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines >= self.most {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

/// The same for lines that several cause: none of them has more than three times what is free. So one alone has three quarters, and whoever
/// comes then still has room.
#[derive(Debug)]
pub(super) struct SharedLimit<T> {
    limit: Limit,
    held: HashMap<T, u32>,
}

impl<T: Eq + Hash> SharedLimit<T> {
    /// How many times what is free one may have.
    const TIMES: u32 = 3;

    pub(super) fn of(most: u32) -> Self {
        Self { limit: Limit::of(most), held: HashMap::new() }
    }

    /// Whether a line of `whose` may be written now, as [`Limit::allow`] says it. `None`: there is nobody to share with.
    pub(super) fn allow(&mut self, now: Instant, whose: Option<T>) -> Option<u64> {
        let limit = &mut self.limit;
        if limit.window.is_none_or(|start| now.saturating_duration_since(start) >= Limit::WINDOW) {
            self.held.clear();
        } else {
            let free = limit.most.saturating_sub(limit.lines);
            if whose.as_ref().and_then(|whose| self.held.get(whose)).is_some_and(|&held| held >= free.saturating_mul(Self::TIMES))
            {
                limit.suppressed = limit.suppressed.saturating_add(1);
                return None;
            }
        }
        let suppressed = limit.allow(now)?;
        if let Some(whose) = whose {
            *self.held.entry(whose).or_default() += 1;
        }
        Some(suppressed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_wire_breaks_a_line() {
        let text = Escaped(b"a\r\nWARN forged\x1b[2J\0\xff\"").to_string();
        assert_eq!(text, "a\\r\\nWARN\\x20forged\\x1b[2J\\x00\\xff\\\"");
        let long = Escaped(&[b'a'; 1000]).to_string();
        assert!(long.len() < Escaped::LONGEST + 8 && long.ends_with('…'));
    }

    #[test]
    fn user_parts_are_not_shown() {
        for (uri, redacted) in [
            ("sip:+15551234@eu.sip.example.com;user=phone", "sip:+155…@eu.sip.example.com;user=phone"),
            ("sip:+1555@host", "sip:…@host"),
            ("sip:+1555;secret@host", "sip:…@host"),
            ("sip:015551234@host", "sip:…@host"),
            ("sip:alice:secret@host", "sip:…@host"),
            ("sip:a@b@host", "sip:…@host"),
            ("sip:host:5060", "sip:host:5060"),
            ("tel:+15551234", "tel:+155…"),
            ("TEL:+15551234", "tel:+155…"),
            ("tel:5551234", "tel:…"),
            ("alice@host", "…@host"),
            ("sip:+15551234@h;otg=+4930123456;ttl=1", "sip:+155…@h;otg=+493xxxxxxx;ttl=1"),
            ("sip:h?Call-Info=4930123456", "sip:h?Call-Info=xxxxxxxxxx"),
            ("fax:+4930123456", "fax:…"),
            ("sip:x@h;rn=+1-202-555-0123", "sip:…@h;rn=+x-xxx-xxx-xxxx"),
            ("sip:x@h;phone-context=+12025550123", "sip:…@h;phone-context=+120xxxxxxxx"),
            ("sip:h;p=%31%32%30%32%35%35%35%30", "sip:h;p=%78%78%78%78%78%78%78%78"),
            ("4930123456", "xxxxxxxxxx"),
            ("@x:y", "…@x:y"),
        ] {
            assert_eq!(Redacted(uri.as_bytes(), Numbers::Mask).to_string(), redacted);
            assert_eq!(Redacted(uri.as_bytes(), Numbers::Plain).to_string(), uri);
        }
    }

    #[test]
    fn whoever_comes_after_a_flood_has_room() {
        let (mut limit, now) = (SharedLimit::of(200), Instant::now());
        let written =
            |limit: &mut SharedLimit<u8>, whose, at| (0..1000).filter(|_| limit.allow(at, Some(whose)).is_some()).count();
        assert_eq!(written(&mut limit, 1, now), 150);
        assert_eq!(written(&mut limit, 2, now), 38);
        assert_eq!(written(&mut limit, 1, now), 0);
        assert_eq!(written(&mut limit, 1, now + Duration::from_secs(1)), 150);
    }

    #[test]
    fn a_flood_writes_few_lines_and_says_how_many_it_did_not() {
        let (mut limit, start) = (Limit::new(), Instant::now());
        let written = (0..1000).filter(|_| limit.allow(start).is_some()).count();
        assert_eq!(written, Limit::LINES as usize);
        assert_eq!(limit.allow(start + Duration::from_millis(999)), None);
        assert_eq!(limit.allow(start + Duration::from_secs(1)), Some(996));
        assert_eq!(limit.allow(start + Duration::from_secs(1)), Some(0));
    }
}
