//! Message boundaries in a byte stream (RFC 3261 18.3, RFC 5626 3.5.1).
//!
//! The parser that decides and forwards also scans the header section here: there is one opinion about where a message ends.

use bytes::{Buf, BytesMut};
use memchr::memmem;

use super::header::is_token;
use super::scan::{Fault, MAX_HEAD, Message};

/// Most octets that are skipped between two messages, double CRLFs not counted. Some peers send a NUL or a LF as keep-alive.
const MAX_JUNK: usize = 4096;

/// Cuts a stream into messages. Bounded: more than `limit` octets without a whole message is a fault.
#[derive(Debug)]
pub struct Framer {
    buffer: BytesMut,
    limit: usize,
    /// Octets at the front that were searched and hold no end of a header section.
    searched: usize,
    /// The length of the message at the front, once its header section is there.
    whole: Option<usize>,
    /// Whether the last thing before the front was a single CRLF between messages.
    half_ping: bool,
    /// Octets skipped since the last message.
    skipped: usize,
}

/// What stands at the front of the stream.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame {
    /// A whole message, cut off the stream.
    Message(BytesMut),
    /// A double CRLF between messages: answer with one CRLF (RFC 5626 3.5.1).
    Ping,
    /// The stream cannot be cut any further. The octets of the broken message are handed out, so that it can be answered. Then
    /// the connection must be closed.
    Broken(Fault, BytesMut),
}

impl Framer {
    /// A framer for messages up to `limit` octets.
    pub fn new(limit: usize) -> Self {
        Self { buffer: BytesMut::new(), limit, searched: 0, whole: None, half_ping: false, skipped: 0 }
    }

    /// Where received bytes are to be appended.
    pub fn buffer(&mut self) -> &mut BytesMut {
        &mut self.buffer
    }

    /// Whether nothing of a message has arrived: the connection is idle, not slow.
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Whether one CRLF alone came last, between messages. For who has asked for it this is the answer to a keep-alive, and no half of
    /// another one.
    pub fn take_pong(&mut self) -> bool {
        self.buffer.is_empty() && std::mem::take(&mut self.half_ping)
    }

    /// The next frame, or `None` until more bytes arrive. No octet is searched twice, so the work is linear in the stream's
    /// length.
    #[expect(clippy::should_implement_trait, reason = "an iterator would end; a stream only pauses")]
    pub fn next(&mut self) -> Option<Frame> {
        if self.whole.is_none() {
            loop {
                match *self.buffer {
                    [] | [b'\r'] => return None,
                    [b'\r', b'\n', ..] => {
                        self.buffer.advance(2);
                        if std::mem::take(&mut self.half_ping) {
                            return Some(Frame::Ping);
                        }
                        self.half_ping = true;
                        continue;
                    }
                    [octet, ..] if is_token(octet) => break self.half_ping = false,
                    [0 | b'\r' | b'\n' | b' ' | b'\t', ..] if self.skipped < MAX_JUNK => {
                        self.skipped = self.skipped.saturating_add(1);
                    }
                    // No SIP message begins like this: do not wait for the rest.
                    _ => return Some(self.broken(Fault::NotSip)),
                }
                self.buffer.advance(1);
                self.half_ping = false;
            }
            let from = self.searched.saturating_sub(3);
            let found = self.buffer.get(from..).and_then(|rest| memmem::find(rest, b"\r\n\r\n"));
            let head = found.map(|at| from.saturating_add(at).saturating_add(4));
            // The verdict must not depend on how much has arrived at once.
            if head.unwrap_or(self.buffer.len()) > MAX_HEAD.min(self.limit) {
                return Some(self.broken(Fault::HeadTooLong));
            }
            let Some(head) = head else {
                self.searched = self.buffer.len();
                return None;
            };
            match self.length(head) {
                Ok(whole) => self.whole = Some(whole),
                Err(fault) => return Some(self.broken(fault)),
            }
        }
        let whole = self.whole.filter(|&whole| whole <= self.buffer.len())?;
        self.whole = None;
        self.searched = 0;
        self.skipped = 0;
        Some(Frame::Message(self.buffer.split_to(whole)))
    }

    /// The length of the message whose header section is the first `head` octets.
    fn length(&self, head: usize) -> Result<usize, Fault> {
        let message = Message::head(self.buffer.get(..head).unwrap_or_default())?;
        if let Some(fault) = message.fault().filter(|fault| fault.breaks_framing()) {
            return Err(fault);
        }
        let length = message.content_length().ok_or(Fault::NoContentLength)?;
        head.checked_add(length).filter(|&whole| whole <= self.limit).ok_or(Fault::TooLarge)
    }

    fn broken(&mut self, fault: Fault) -> Frame {
        self.whole = None;
        self.searched = 0;
        Frame::Broken(fault, self.buffer.split())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: &str = "OPTIONS sip:a@b SIP/2.0\r\nl: 3\r\n\r\nabc";
    const TWO: &str = "OPTIONS sip:b@c SIP/2.0\r\nContent-Length: 0\r\n\r\n";

    fn frames(parts: &[&[u8]]) -> Vec<String> {
        let mut framer = Framer::new(65_535);
        let mut out = Vec::new();
        for part in parts {
            framer.buffer().extend_from_slice(part);
            while let Some(frame) = framer.next() {
                out.push(match frame {
                    Frame::Message(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
                    Frame::Ping => "ping".to_owned(),
                    Frame::Broken(fault, _) => fault.label().to_owned(),
                });
            }
        }
        out
    }

    #[test]
    fn one_line_end_is_an_answer_for_who_asked_and_half_a_question_for_others() {
        let mut framer = Framer::new(1000);
        framer.buffer().extend_from_slice(b"\r\n");
        assert_eq!(framer.next(), None);
        assert!(framer.take_pong() && !framer.take_pong());
        framer.buffer().extend_from_slice(b"\r\n");
        assert_eq!(framer.next(), None, "two answers are no question");
        framer.buffer().extend_from_slice(b"\r\n");
        assert_eq!(framer.next(), Some(Frame::Ping));
        assert!(!framer.take_pong());
    }

    #[test]
    fn every_split_gives_the_same_frames() {
        let text = format!("\r\n{ONE}\r\n\r\n{TWO}{ONE}\r\n\r\n\r\n\r\n{TWO}\r\n");
        let expected = [ONE, "ping", TWO, ONE, "ping", "ping", TWO];
        let bytes = text.as_bytes();
        assert_eq!(frames(&[bytes]), expected);
        assert_eq!(frames(&bytes.chunks(1).collect::<Vec<_>>()), expected);
        for at in 0..bytes.len() {
            assert_eq!(frames(&[&bytes[..at], &bytes[at..]]), expected, "split at {at}");
        }
    }

    #[test]
    fn what_keeps_a_connection_is_skipped() {
        let text = format!("\n{ONE}\r\n\0{TWO} \t\r\n\r{ONE}\0\r\n\r\n\n{TWO}");
        let expected = [ONE, TWO, ONE, "ping", TWO];
        assert_eq!(frames(&[text.as_bytes()]), expected);
        assert_eq!(frames(&text.as_bytes().chunks(1).collect::<Vec<_>>()), expected);
        let junk = |count: usize| "\0".repeat(count) + ONE;
        assert_eq!(frames(&[(junk(MAX_JUNK) + &junk(MAX_JUNK)).as_bytes()]), [ONE, ONE]);
        assert_eq!(frames(&[junk(MAX_JUNK + 1).as_bytes()])[0], "not-sip");
        assert_eq!(frames(&["\r\n\r\n".repeat(MAX_JUNK).as_bytes()]).len(), MAX_JUNK);
    }

    #[test]
    fn what_cannot_be_cut() {
        for (text, label) in [
            ("OPTIONS sip:a@b SIP/2.0\r\n\r\n", "no-content-length"),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: 99999999\r\n\r\n", "too-large"),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: x\r\n\r\n", "content-length"),
            ("OPTIONS sip:a@b SIP/2.0\r\nl: 1\r\nl: 1\r\n\r\n", "content-length"),
            ("OPTIONS sip:a@b SIP/2.0\r\nX: a\nl: 4\r\nl: 0\r\n\r\n", "bare-line-end"),
            ("HEP3\0\0\r\n\r\n\r\n", "not-sip"),
            ("\u{16}\u{3}\u{1}", "not-sip"),
        ] {
            assert_eq!(frames(&[text.as_bytes()])[0], label, "{text}");
        }
        assert_eq!(frames(&["X".repeat(40_000).as_bytes()])[0], "head-too-long");
        assert!(frames(&[b"HEP3\0\0"]).is_empty(), "a beginning that could become SIP is waited for");
    }
}
