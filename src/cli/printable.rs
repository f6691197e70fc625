//! Text from the wire, made harmless for a terminal.

use std::fmt::Write as _;

/// The start line, made harmless for a terminal.
pub(super) fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|&octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    plain(line)
}

/// Text from a message, without characters that would move a terminal's cursor or turn the direction of what follows.
pub(super) fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if moves(c) { '\u{fffd}' } else { c }).collect()
}

/// The same for JSON, which still means the same: such characters can stand in its strings alone, and are escaped there.
pub(super) fn harmless_json(json: &str) -> String {
    let mut out = String::with_capacity(json.len());
    for c in json.chars() {
        if moves(c) && !c.is_ascii_whitespace() {
            // All of them have four hexadecimal digits at most. Writing to a string cannot fail.
            let _ = write!(out, "\\u{:04x}", u32::from(c));
        } else {
            out.push(c);
        }
    }
    out
}

/// Whether a terminal would obey a character.
fn moves(c: char) -> bool {
    // The marks of the bidirectional algorithm (UAX 9) turn text round that follows.
    c.is_control() || matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_moves_the_cursor_or_turns_the_text() {
        assert_eq!(plain("a\u{1b}[2J\u{9b}1m\u{202e}b".as_bytes()), "a\u{fffd}[2J\u{fffd}1m\u{fffd}b");
        let json = harmless_json("{\n\"a\": \"\u{9b}\u{202e}é\"}");
        assert_eq!(json, "{\n\"a\": \"\\u009b\\u202eé\"}");
    }
}
