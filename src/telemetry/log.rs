//! How log lines look, how many there may be, and what may stand in them.
//!
//! Whatever a stranger can trigger is limited in rate; whatever a stranger wrote is escaped; user parts (names and numbers of
//! people) are shown at debug alone.

use std::fmt;
use std::io::IsTerminal;
use std::time::{Duration, Instant};

use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;

/// Starts logging to stderr: text on a terminal, JSON otherwise; `RUST_LOG` filters, `info` if it is not set. Does nothing if
/// the process logs already.
pub fn start() {
    let filter = EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).from_env_lossy();
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    // An error says that there is a subscriber already: tests, or a daemon inside another program.
    let _ = if std::io::stderr().is_terminal() { builder.try_init() } else { builder.json().flatten_event(true).try_init() };
}

/// Text from the wire, made harmless for a terminal and a line of log: control characters, line ends and what is not ASCII are
/// escaped, and it is cut after [`Escaped::LONGEST`] octets.
#[derive(Clone, Copy)]
pub struct Escaped<'a>(pub &'a [u8]);

impl Escaped<'_> {
    /// Octets shown at most.
    pub const LONGEST: usize = 256;
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.get(..Self::LONGEST).unwrap_or(self.0);
        write!(f, "{}", shown.escape_ascii())?;
        if shown.len() < self.0.len() { f.write_str("…") } else { Ok(()) }
    }
}

/// A URI from the wire whose user part is shown at debug alone; escaped.
#[derive(Clone, Copy)]
pub struct Redacted<'a>(pub &'a [u8]);

impl Redacted<'_> {
    fn write(&self, f: &mut fmt::Formatter<'_>, shown: bool) -> fmt::Result {
        let Self(uri) = *self;
        let colon = memchr::memchr(b':', uri);
        // The last `@`: what stands before it is a user part by any reading.
        let host = memchr::memrchr(b'@', uri);
        match (colon, host) {
            _ if shown => write!(f, "{}", Escaped(uri)),
            (Some(colon), Some(at)) if colon < at => {
                write!(f, "{}:…{}", Escaped(uri.get(..colon).unwrap_or_default()), Escaped(uri.get(at..).unwrap_or_default()))
            }
            (_, Some(at)) => write!(f, "…{}", Escaped(uri.get(at..).unwrap_or_default())),
            // A `tel:` URI is nothing but a number.
            (Some(colon), None) if uri.get(..colon).is_some_and(|scheme| scheme.eq_ignore_ascii_case(b"tel")) => {
                f.write_str("tel:…")
            }
            _ => write!(f, "{}", Escaped(uri)),
        }
    }
}

impl fmt::Display for Redacted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, tracing::enabled!(Level::DEBUG))
    }
}

/// So many lines of one kind a second; then a count of those that were suppressed.
#[derive(Debug)]
pub struct Limit {
    window: Option<Instant>,
    lines: u32,
    suppressed: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self::new()
    }
}

impl Limit {
    /// Lines of one kind in one second.
    pub const LINES: u32 = 5;
    const WINDOW: Duration = Duration::from_secs(1);

    /// A limit with nothing used up.
    pub const fn new() -> Self {
        Self { window: None, lines: 0, suppressed: 0 }
    }

    /// Whether a line may be written now: `Some(suppressed)` says how many were not since the last one.
    pub fn allow(&mut self, now: Instant) -> Option<u64> {
        if self.window.is_none_or(|start| now.saturating_duration_since(start) >= Self::WINDOW) {
            self.window = Some(now);
            self.lines = 0;
        }
        if self.lines >= Self::LINES {
            self.suppressed = self.suppressed.saturating_add(1);
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_from_the_wire_breaks_a_line() {
        let text = Escaped(b"a\r\nWARN forged\x1b[2J\0\xff\"").to_string();
        assert_eq!(text, "a\\r\\nWARN forged\\x1b[2J\\x00\\xff\\\"");
        let long = Escaped(&[b'a'; 1000]).to_string();
        assert!(long.len() < Escaped::LONGEST + 8 && long.ends_with('…'));
    }

    struct Shown<'a>(Redacted<'a>, bool);

    impl fmt::Display for Shown<'_> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            self.0.write(f, self.1)
        }
    }

    #[test]
    fn user_parts_are_not_shown() {
        for (uri, redacted) in [
            ("sip:+15551234@eu.sip.example.com;user=phone", "sip:…@eu.sip.example.com;user=phone"),
            ("sip:alice:secret@host", "sip:…@host"),
            ("sip:a@b@host", "sip:…@host"),
            ("sip:host:5060", "sip:host:5060"),
            ("tel:+15551234", "tel:…"),
            ("TEL:+15551234", "tel:…"),
            ("alice@host", "…@host"),
            ("@x:y", "…@x:y"),
        ] {
            assert_eq!(Shown(Redacted(uri.as_bytes()), false).to_string(), redacted);
            assert_eq!(Shown(Redacted(uri.as_bytes()), true).to_string(), uri);
        }
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
