//! One line of the audit record as it is written: a compact object of JSON and a line end. Keys stand in the order in which they are told.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime};

use crate::telemetry::timestamp;

/// A line that is being written.
#[derive(Debug)]
pub(crate) struct AuditLine<'o> {
    out: &'o mut Vec<u8>,
}

impl<'o> AuditLine<'o> {
    /// Begins a line: its number in the day, when, and of what kind. `at`: microseconds since 1970.
    pub(crate) fn begin(out: &'o mut Vec<u8>, n: u64, at: u64, kind: &str) -> Self {
        let mut line = Self { out };
        line.written(b"{\"n\":");
        line.decimal(n);
        line.text("at", &moment(at));
        line.text("kind", kind);
        line
    }

    /// Adds a text.
    pub(crate) fn text(&mut self, key: &str, value: &str) {
        self.key(key);
        self.quoted(value);
    }

    /// Adds a text, if there is one.
    pub(crate) fn maybe(&mut self, key: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.text(key, value);
        }
    }

    /// Adds an address with its port, if there is one. `before` stands before it, in characters that stand for themselves.
    pub(crate) fn place(&mut self, key: &str, before: &[&str], value: Option<SocketAddr>) {
        let Some(place) = value else { return };
        self.key(key);
        self.written(b"\"");
        for text in before {
            self.written(text.as_bytes());
        }
        match place {
            SocketAddr::V4(place) => {
                self.ip(IpAddr::V4(*place.ip()));
                self.written(b":");
                self.decimal(place.port());
            }
            SocketAddr::V6(_) => self.written(place.to_string().as_bytes()),
        }
        self.written(b"\"");
    }

    /// Adds a number.
    pub(crate) fn number(&mut self, key: &str, value: u64) {
        self.key(key);
        self.decimal(value);
    }

    /// Adds `true`.
    pub(crate) fn yes(&mut self, key: &str) {
        self.key(key);
        self.out.extend_from_slice(b"true");
    }

    /// Adds a list of addresses.
    pub(crate) fn ips(&mut self, key: &str, values: &[IpAddr]) {
        self.key(key);
        self.out.push(b'[');
        for (at, value) in values.iter().enumerate() {
            self.written(if at > 0 { b",\"" } else { b"\"" });
            self.ip(*value);
            self.out.push(b'"');
        }
        self.out.push(b']');
    }

    /// Adds octets as hexadecimal digits.
    pub(crate) fn hex(&mut self, key: &str, octets: &[u8]) {
        self.key(key);
        self.out.push(b'"');
        push_hex(self.out, octets);
        self.out.push(b'"');
    }

    /// Adds an object with what `more` adds to it.
    pub(crate) fn object(&mut self, key: &str, more: impl FnOnce(&mut Self)) {
        self.key(key);
        self.out.push(b'{');
        let begin = self.out.len();
        more(self);
        // No comma before the first.
        if self.out.get(begin) == Some(&b',') {
            self.out.remove(begin);
        }
        self.out.push(b'}');
    }

    /// Adds keys with their values as they stand in an object of JSON.
    pub(crate) fn fields(&mut self, fields: &str) {
        self.out.push(b',');
        self.out.extend_from_slice(fields.as_bytes());
    }

    /// Ends the line.
    pub(crate) fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }

    /// Keys are ours: their characters stand for themselves.
    fn key(&mut self, key: &str) {
        self.written(b",\"");
        self.written(key.as_bytes());
        self.written(b"\":");
    }

    fn written(&mut self, octets: &[u8]) {
        self.out.extend_from_slice(octets);
    }

    fn decimal(&mut self, value: impl itoa::Integer) {
        self.written(itoa::Buffer::new().format(value).as_bytes());
    }

    fn ip(&mut self, ip: IpAddr) {
        let IpAddr::V4(ip) = ip else { return self.written(ip.to_string().as_bytes()) };
        for (at, octet) in ip.octets().into_iter().enumerate() {
            if at > 0 {
                self.out.push(b'.');
            }
            self.decimal(octet);
        }
    }

    /// What would change a terminal, or end a line for some readers, is escaped too.
    fn quoted(&mut self, text: &str) {
        // Nearly every text is of characters that stand for themselves.
        let plain = |octet: u8| matches!(octet, b' '..=b'~') && octet != b'"' && octet != b'\\';
        // Read to its end, many octets at a time.
        if text.bytes().fold(true, |all, octet| all & plain(octet)) {
            self.out.push(b'"');
            self.out.extend_from_slice(text.as_bytes());
            return self.out.push(b'"');
        }
        let begin = self.out.len();
        // A vector takes everything, and a text is always one of JSON.
        let written = serde_json::to_writer(&mut *self.out, text);
        debug_assert!(written.is_ok(), "a vector takes every text");
        if text.chars().any(is_unseen) {
            let quoted = String::from_utf8_lossy(&self.out.split_off(begin)).into_owned();
            for letter in quoted.chars() {
                if is_unseen(letter) {
                    self.out.extend_from_slice(format!("\\u{:04x}", u32::from(letter)).as_bytes());
                } else {
                    self.out.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
            }
        }
    }
}

/// Control characters, and those that end lines or turn the direction of text: all below U+10000.
fn is_unseen(letter: char) -> bool {
    letter.is_control()
        || matches!(letter, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}' | '\u{feff}')
}

/// A moment as a line has it, to the microsecond.
pub(crate) fn moment(at: u64) -> String {
    timestamp::exactly(SystemTime::UNIX_EPOCH + Duration::from_micros(at))
}

/// Octets as hexadecimal digits.
pub(crate) fn hex(octets: &[u8]) -> String {
    let mut digits = Vec::with_capacity(octets.len() * 2);
    push_hex(&mut digits, octets);
    String::from_utf8(digits).unwrap_or_default()
}

fn push_hex(out: &mut Vec<u8>, octets: &[u8]) {
    let digit = |half: u8| half + if half > 9 { b'a' - 10 } else { b'0' };
    let begin = out.len();
    out.resize(begin + octets.len() * 2, 0);
    let (pairs, _) = out.get_mut(begin..).unwrap_or_default().as_chunks_mut();
    for (pair, octet) in pairs.iter_mut().zip(octets) {
        *pair = [digit(octet >> 4), digit(octet & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_text_ends_a_line_or_changes_a_terminal() {
        let odd = "a\n\u{7f}\u{85}\u{9b}\u{2028}\u{202e}\u{feff}\"ü€😀";
        let mut out = Vec::new();
        let mut line = AuditLine::begin(&mut out, 0, 0, "x");
        line.text("key", odd);
        line.end();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(text.trim_end_matches('\n').chars().filter(|&letter| is_unseen(letter)).count(), 0, "{text}");
        assert!(text.contains(r"\u007f\u0085\u009b\u2028\u202e\ufeff"), "{text}");
        let read: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(read["key"], odd);
    }
}
