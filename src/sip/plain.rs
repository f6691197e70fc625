//! Writes a message with every row on one line and the version in capitals (RFC 3261 7.3.1, 7.1).
//!
//! Readers disagree about folded rows: some take a continuation for a row of its own. So no folded row leaves. Nothing else
//! changes.

use super::header::is_space;
use super::scan::{Message, Start};

/// Appends a message so that [`Message::is_plain`] holds for it, except for a quoted NUL. The message must have no fault.
pub(crate) fn straighten(message: &Message<'_>, out: &mut Vec<u8>) {
    match message.start() {
        Start::Request { uri, .. } => {
            out.extend_from_slice(message.slice(&(0..uri.end)));
            out.extend_from_slice(b" SIP/2.0\r\n");
        }
        Start::Response { .. } => {
            let rows = message.headers().first().map_or_else(|| message.head_end(), |header| header.row().start);
            out.extend_from_slice(b"SIP/2.0");
            out.extend_from_slice(message.slice(&(b"SIP/2.0".len()..rows)));
        }
    }
    for header in message.headers() {
        one_line(message.slice(&header.row()), |octet| matches!(octet, b'\r' | b'\n'), out);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(message.body());
}

/// Appends a text. Each line break becomes one space together with the white space around it; at the end it becomes nothing.
pub(super) fn one_line(text: &[u8], is_break: impl Fn(u8) -> bool, out: &mut Vec<u8>) {
    let mut pieces = text.split(|&octet| is_break(octet));
    out.extend_from_slice(trimmed_end(pieces.next().unwrap_or_default()));
    for piece in pieces {
        let first = piece.iter().position(|&octet| !is_space(octet)).unwrap_or(piece.len());
        let piece = trimmed_end(piece.get(first..).unwrap_or_default());
        if !piece.is_empty() {
            out.push(b' ');
            out.extend_from_slice(piece);
        }
    }
}

/// A text without the white space at its end.
fn trimmed_end(text: &[u8]) -> &[u8] {
    let end = text.iter().rposition(|&octet| !is_space(octet)).map_or(0, |last| last.saturating_add(1));
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn straightened(text: &str) -> String {
        let message = Message::datagram(text.as_bytes()).unwrap();
        assert_eq!(message.fault(), None);
        let mut out = Vec::new();
        straighten(&message, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn rows_become_lines() {
        let text = "INVITE sip:a@b sip/2.0\r\nSubject: x\r\n Content-Length: 0\r\nA:\r\n\t\r\n  b \r\n\tc \r\n \r\nB: \"\\\0\" \r\n\r\nx\r\n y";
        let expected = "INVITE sip:a@b SIP/2.0\r\nSubject: x Content-Length: 0\r\nA: b c\r\nB: \"\\\0\"\r\n\r\nx\r\n y";
        assert_eq!(straightened(text), expected);
        assert_eq!(straightened("Sip/2.0 200 O K\r\nA:\r\n b\r\n\r\n"), "SIP/2.0 200 O K\r\nA: b\r\n\r\n");
        assert_eq!(straightened("SIP/2.0 200\r\n\r\n"), "SIP/2.0 200\r\n\r\n");
    }

    #[test]
    fn what_is_plain() {
        let plain = |text: &str| Message::datagram(text.as_bytes()).unwrap().is_plain();
        for text in ["INVITE sip:a@b SIP/2.0\r\nA: b\r\n\r\nx\r\n \0", "SIP/2.0 200 OK\r\nA:\t b \r\n\r\n"] {
            assert!(plain(text), "{text}");
        }
        for text in [
            "INVITE sip:a@b sip/2.0\r\nA: b\r\n\r\n",
            "sip/2.0 200 SIP/2.0\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\nA: b\r\n c\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\nA: b\r\n \r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\nA: \"\\\0\"\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\nA: b\nB: c\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\r\nA: b\rc\r\n\r\n",
            "INVITE sip:a@b SIP/2.0\nA: b\r\n\r\n",
        ] {
            assert!(!plain(text), "{text}");
        }
    }
}
