//! The last answer to a request that is no INVITE, kept without the lines that it has from the request.
//!
//! It is needed only if the request comes again (RFC 3261 17.2.2), and then those lines come with it. So a short text is kept instead
//! of a whole message. If what comes is not the same request, the text does not fit it, and nothing is made of it.

use std::hash::{BuildHasher, Hasher};

use foldhash::fast::FixedState;
use memchr::memchr;
use smallvec::SmallVec;

/// Shorter lines are not worth a reference. Those that we write ourselves into a request (Max-Forwards, Content-Length) are shorter too.
const SHORTEST: usize = 24;
/// Lines of a request that are looked at.
const LINES: usize = 64;
/// As many octets have room without an allocation while they are put together.
const USUAL: usize = 1024;
/// The first bit of a reference to a line. Without it the two octets are the length of a text that follows.
const LINE: u16 = 0x8000;

/// A request as it was forwarded, without our own rows.
#[derive(Clone, Copy, Default)]
pub(crate) struct RequestText<'a>(pub(crate) [&'a [u8]; 2]);

/// A final answer, without what its request says.
#[derive(Debug)]
pub(crate) struct LastAnswer(Box<[u8]>);

impl LastAnswer {
    /// Keeps an answer to a request.
    pub(crate) fn to(asked: RequestText<'_>, answer: &[u8]) -> Self {
        let known: arrayvec::ArrayVec<&[u8], LINES> =
            asked.0.into_iter().flat_map(head).filter(|line| line.len() >= SHORTEST).take(LINES).collect();
        let mut kept = SmallVec::new();
        kept.extend_from_slice(&check(answer).to_le_bytes());
        // Where the text that is no line of the request began.
        let (mut from, mut at) = (0, 0);
        for line in lines(answer) {
            let end = at + line.len();
            if known.contains(&line) {
                text(answer.get(from..at).unwrap_or_default(), &mut kept);
                kept.extend_from_slice(&LINE.to_be_bytes());
                kept.extend_from_slice(&check(line).to_le_bytes());
                from = end;
            }
            at = end;
        }
        text(answer.get(from..).unwrap_or_default(), &mut kept);
        Self(Box::from(kept.as_slice()))
    }

    /// The answer, for the same request. `asked`: as it came, with its Via stamped.
    pub(crate) fn again(&self, asked: &[u8]) -> Option<Vec<u8>> {
        let (whole, mut rest) = self.0.split_first_chunk()?;
        let mut answer = Vec::with_capacity(self.0.len() + 512);
        while let Some((mark, more)) = rest.split_first_chunk() {
            let mark = u16::from_be_bytes(*mark);
            if mark == LINE {
                let (line, more) = more.split_first_chunk()?;
                answer.extend_from_slice(head(asked).find(|known| check(known).to_le_bytes() == *line)?);
                rest = more;
            } else {
                let (text, more) = more.split_at_checked(mark.into())?;
                answer.extend_from_slice(text);
                rest = more;
            }
        }
        (check(&answer).to_le_bytes() == *whole).then_some(answer)
    }

    /// What is kept.
    pub(crate) fn into_octets(self) -> Box<[u8]> {
        self.0
    }

    /// The answer of which this was kept.
    pub(crate) fn of_octets(octets: Box<[u8]>) -> Self {
        Self(octets)
    }

    /// How long the kept text is.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Writes a text with its length.
fn text(mut text: &[u8], out: &mut SmallVec<[u8; USUAL]>) {
    while !text.is_empty() {
        let (first, rest) = text.split_at(text.len().min(usize::from(LINE - 1)));
        out.extend_from_slice(&u16::try_from(first.len()).unwrap_or_default().to_be_bytes());
        out.extend_from_slice(first);
        text = rest;
    }
}

/// The lines of a text, each with its end.
fn lines(mut text: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr(b'\n', text).map_or(text.len(), |at| at + 1);
        let (line, rest) = text.split_at(end);
        text = rest;
        (!line.is_empty()).then_some(line)
    })
}

/// The lines of a head.
fn head(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    lines(text).take_while(|line| *line != b"\r\n")
}

/// Tells one text from another. Nobody gains anything by two texts that it takes for one: both are of the same request.
#[expect(clippy::cast_possible_truncation, reason = "half of a hash is a hash")]
fn check(text: &[u8]) -> u32 {
    let mut hasher = FixedState::default().build_hasher();
    hasher.write(text);
    hasher.finish() as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAME: &str = "BYE sip:u@203.0.113.20 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1;rport=5070;branch=z9hG4bKb\r\n\
Route: <sip:203.0.113.10;lr;rf=00112233>\r\nFrom: <sip:+4989@trunk.example.net>;tag=t\r\nTo: <sip:+4930@eu.sip.example.com>;tag=u\r\n\
Call-ID: 1000-4711@192.0.2.1\r\nCSeq: 2 BYE\r\nContent-Length:0\r\n\r\n";
    const ANSWER: &str = "SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP 192.0.2.1;rport=5070;branch=z9hG4bKb\r\nCall-ID: 1000-4711@192.0.2.1\r\n\
From: <sip:+4989@trunk.example.net>;tag=t\r\nTo:  <sip:+4930@eu.sip.example.com>;tag=u\r\nCSeq: 2 BYE\r\nContent-Length: 0\r\n\r\n";

    fn forwarded() -> String {
        CAME.replace("Route: <sip:203.0.113.10;lr;rf=00112233>\r\n", "")
            .replace("Content-Length:0", "Max-Forwards: 69\r\nContent-Length: 0")
    }

    #[test]
    fn what_the_request_says_is_not_kept_and_comes_back_with_it() {
        let sent = forwarded();
        let kept = LastAnswer::to(RequestText([sent.as_bytes(), b""]), ANSWER.as_bytes());
        assert!(kept.len() < ANSWER.len() / 2 + 40, "{} of {}", kept.len(), ANSWER.len());
        assert_eq!(kept.again(CAME.as_bytes()).as_deref(), Some(ANSWER.as_bytes()));
        let shuffled = CAME.replace("CSeq: 2 BYE\r\n", "").replace("Via:", "CSeq: 2 BYE\r\nUser-Agent: x\r\nVia:");
        assert_eq!(kept.again(shuffled.as_bytes()).as_deref(), Some(ANSWER.as_bytes()), "the order does not matter");
        assert_eq!(kept.again(CAME.replace("1000-4711", "1001-4711").as_bytes()), None, "another request");
        assert_eq!(kept.again(b""), None);
    }

    #[test]
    fn any_octets_come_back() {
        let texts = ["", "\n", "\r\n\r\n", "no end", &"x".repeat(70_000), &format!("{}\r\n", "line ".repeat(20)).repeat(9)];
        for answer in texts {
            for asked in [CAME, "", answer] {
                let kept = LastAnswer::to(RequestText([asked.as_bytes(), b""]), answer.as_bytes());
                assert_eq!(kept.again(asked.as_bytes()).as_deref(), Some(answer.as_bytes()));
            }
        }
    }

    #[test]
    fn a_body_is_kept_whole() {
        let line = "a=rtpmap:101 telephone-event/8000\r\n";
        let (asked, answer) = (format!("{CAME}{line}"), format!("{ANSWER}{line}"));
        let kept = LastAnswer::to(RequestText([asked.as_bytes(), b""]), answer.as_bytes());
        assert_eq!(kept.again(CAME.as_bytes()).as_deref(), Some(answer.as_bytes()), "no relay changes it");
    }
}
