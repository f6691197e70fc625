//! Text from the wire, made harmless for a terminal.

/// The start line, made harmless for a terminal.
pub(super) fn first_line(bytes: &[u8]) -> String {
    let line = bytes.split(|&octet| matches!(octet, b'\r' | b'\n')).next().unwrap_or_default();
    plain(line)
}

/// Text from a message, without characters that would move a terminal's cursor.
pub(super) fn plain(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}
