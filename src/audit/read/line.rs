//! One line as a record: its keys with their values, borrowed from the line.
//!
//! Refuses a key that stands twice and a value of another kind than its key has. A key that it does not know is passed over: later
//! versions may add some.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use super::tokens::{Token, Tokens, Wrong, texts};
use crate::audit::day::Day;
use crate::audit::tree::NodeHash;

/// What a line tells of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum LineKind {
    /// The daemon begins to write.
    Open,
    /// It ends, cleanly.
    Close,
    /// The configuration in force from here on.
    Config,
    /// A verdict.
    Verdict,
    /// The end of an INVITE transaction.
    Answer,
    /// The end of a call.
    End,
    /// Lines that are missing.
    Gap,
    /// A checkpoint was written.
    Seal,
}

impl LineKind {
    fn of(text: &str) -> Option<Self> {
        Some(match text {
            "open" => Self::Open,
            "close" => Self::Close,
            "config" => Self::Config,
            "verdict" => Self::Verdict,
            "answer" => Self::Answer,
            "end" => Self::End,
            "gap" => Self::Gap,
            "seal" => Self::Seal,
            _ => return None,
        })
    }
}

type Text<'l> = Option<Cow<'l, str>>;

/// A record.
#[derive(Debug)]
pub(crate) struct ReadLine<'l> {
    pub(crate) n: u64,
    pub(crate) at: &'l str,
    pub(crate) kind: LineKind,
    pub(crate) said: Said<'l>,
}

/// What a record says beside that. Absent is what it does not say.
#[derive(Debug, Default)]
pub(crate) struct Said<'l> {
    pub(crate) region: Text<'l>,
    pub(crate) project: Text<'l>,
    pub(crate) trunk: Text<'l>,
    pub(crate) call: Text<'l>,
    pub(crate) node: Text<'l>,
    pub(crate) version: Text<'l>,
    pub(crate) why: Text<'l>,
    pub(crate) spool: Text<'l>,
    pub(crate) previous: Option<&'l str>,
    pub(crate) digest: Text<'l>,
    pub(crate) part: Option<u64>,
    pub(crate) parts: Option<u64>,
    pub(crate) verdict: Text<'l>,
    pub(crate) id: Option<u64>,
    pub(crate) later: Option<bool>,
    pub(crate) direction: Text<'l>,
    pub(crate) method: Text<'l>,
    pub(crate) transport: Text<'l>,
    pub(crate) from: Text<'l>,
    pub(crate) to: Text<'l>,
    pub(crate) serving: Text<'l>,
    pub(crate) target: Text<'l>,
    pub(crate) media: Option<&'l str>,
    pub(crate) media_verdict: Text<'l>,
    pub(crate) relay: Text<'l>,
    pub(crate) config: Text<'l>,
    pub(crate) code: Option<u64>,
    pub(crate) by: Text<'l>,
    pub(crate) setup_ms: Option<u64>,
    pub(crate) seconds: Option<u64>,
    pub(crate) since_invite: Option<u64>,
    pub(crate) count: Option<u64>,
    pub(crate) size: Option<u64>,
    pub(crate) root: Text<'l>,
}

impl<'l> ReadLine<'l> {
    /// Reads a line without its line end.
    pub(crate) fn of(line: &'l [u8]) -> Result<Self, Wrong> {
        let mut read = Self::unread();
        read.read(line)?;
        Ok(read)
    }

    /// What a line is read into.
    pub(crate) fn unread() -> Self {
        Self { n: 0, at: "", kind: LineKind::Open, said: Said::default() }
    }

    /// Reads a line without its line end into one that was not read yet. A record is large: so it is not moved.
    pub(crate) fn read(&mut self, line: &'l [u8]) -> Result<(), Wrong> {
        let (mut tokens, mut place) = (Tokens::of(line)?, 0);
        // There is one place that asks for a token, so that it is taken apart there.
        while let Some((key, value)) = tokens.next()? {
            match (place, key) {
                (3, _) => {
                    self.said.take(self.kind, key, value)?;
                    continue;
                }
                (0, "n") => {
                    let Token::Number(n) = value else { return Err("has an \"n\" that is no number".into()) };
                    self.n = n;
                }
                (1, "at") => match value {
                    Token::Text(Cow::Borrowed(at)) if is_moment(at) => self.at = at,
                    _ => return Err("has an \"at\" that is no moment".into()),
                },
                (2, "kind") => {
                    let Token::Text(kind) = value else { return Err("has a \"kind\" that is no text".into()) };
                    self.kind = LineKind::of(&kind).ok_or_else(|| format!("is of a kind that is not known: {kind}"))?;
                }
                _ => break,
            }
            place += 1;
        }
        let missing = ["n", "at", "kind"].get(place);
        missing.map_or(Ok(()), |key| Err(format!("has no \"{key}\" where it should stand").into()))
    }

    /// The day that it is of.
    pub(crate) fn is_of(&self, day: &str) -> bool {
        self.at.starts_with(day)
    }

    /// The size and root of a seal.
    pub(crate) fn seal(&self) -> Result<(u64, NodeHash), Wrong> {
        let root = self.said.root.as_deref().and_then(unhex).ok_or("is a seal without a root")?;
        Ok((self.said.size.ok_or("is a seal without a size")?, root))
    }
}

/// Where a value goes.
enum Place<'s, 'l> {
    Text(&'s mut Text<'l>),
    Number(&'s mut Option<u64>),
    Flag(&'s mut Option<bool>),
    Nested(&'s mut Option<&'l str>),
    /// It stood at the beginning.
    Taken,
    /// Nobody asks for it.
    Nowhere,
}

impl<'l> Said<'l> {
    #[inline]
    fn take(&mut self, kind: LineKind, key: &str, value: Token<'l>) -> Result<(), Wrong> {
        let twice = match (self.place(kind, key), value) {
            (Place::Text(place), Token::Text(text)) => place.replace(text).is_some(),
            (Place::Number(place), Token::Number(number)) => place.replace(number).is_some(),
            (Place::Flag(place), Token::Flag(flag)) => place.replace(flag).is_some(),
            (Place::Nested(place), Token::Nested(nested)) => place.replace(nested).is_some(),
            (Place::Nowhere, _) => false,
            (Place::Taken, _) => true,
            (Place::Text(_), _) => return Err(format!("has a \"{key}\" that is no text").into()),
            (Place::Number(_), _) => return Err(format!("has a \"{key}\" that is no number").into()),
            (Place::Flag(_), _) => return Err(format!("has a \"{key}\" that is neither true nor false").into()),
            (Place::Nested(_), _) => return Err(format!("has a \"{key}\" that is no list or object").into()),
        };
        if twice { Err(format!("has \"{key}\" twice").into()) } else { Ok(()) }
    }

    /// The length stands beside each key because comparing that first is quicker.
    #[inline]
    fn place(&mut self, kind: LineKind, key: &str) -> Place<'_, 'l> {
        match (key.len(), key) {
            (6, "region") => Place::Text(&mut self.region),
            (7, "project") => Place::Text(&mut self.project),
            (5, "trunk") => Place::Text(&mut self.trunk),
            (4, "call") => Place::Text(&mut self.call),
            (4, "node") => Place::Text(&mut self.node),
            (7, "version") => Place::Text(&mut self.version),
            (3, "why") => Place::Text(&mut self.why),
            (5, "spool") => Place::Text(&mut self.spool),
            (6, "digest") => Place::Text(&mut self.digest),
            (7, "verdict") => Place::Text(&mut self.verdict),
            (9, "direction") => Place::Text(&mut self.direction),
            (9, "transport") => Place::Text(&mut self.transport),
            (6, "method") => Place::Text(&mut self.method),
            (7, "serving") => Place::Text(&mut self.serving),
            (6, "target") => Place::Text(&mut self.target),
            (13, "media_verdict") => Place::Text(&mut self.media_verdict),
            (5, "relay") => Place::Text(&mut self.relay),
            (6, "config") => Place::Text(&mut self.config),
            (4, "root") => Place::Text(&mut self.root),
            (4, "from") => Place::Text(&mut self.from),
            (2, "to") => Place::Text(&mut self.to),
            (2, "by") => Place::Text(&mut self.by),
            (4, "part") => Place::Number(&mut self.part),
            (5, "parts") => Place::Number(&mut self.parts),
            (5, "later") => Place::Flag(&mut self.later),
            (2, "id") => Place::Number(&mut self.id),
            (4, "code") => Place::Number(&mut self.code),
            (8, "setup_ms") => Place::Number(&mut self.setup_ms),
            (7, "seconds") => Place::Number(&mut self.seconds),
            (12, "since_invite") => Place::Number(&mut self.since_invite),
            (5, "count") => Place::Number(&mut self.count),
            (4, "size") => Place::Number(&mut self.size),
            (5, "media") => Place::Nested(&mut self.media),
            (8, "previous") if kind == LineKind::Open => Place::Nested(&mut self.previous),
            (1, "n") | (2, "at") | (4, "kind") => Place::Taken,
            _ => Place::Nowhere,
        }
    }

    /// The address of its target, which stands behind the transport.
    pub(crate) fn target(&self) -> Result<Option<SocketAddr>, Wrong> {
        let Some(text) = self.target.as_deref() else { return Ok(None) };
        let addr = text.split_once(':').and_then(|(_, addr)| addr.parse().ok());
        addr.map(Some).ok_or_else(|| Wrong::Owned(format!("has a target that is no address: {text}")))
    }

    /// The media addresses that it names.
    pub(crate) fn media(&self) -> Result<Vec<IpAddr>, Wrong> {
        let Some(list) = self.media else { return Ok(Vec::new()) };
        let ip = |text: Cow<'_, str>| text.parse().map_err(|_| Wrong::Owned(format!("has a media address that is none: {text}")));
        texts(list)?.into_iter().map(ip).collect()
    }

    /// Whether what it tells of was let through.
    pub(crate) fn passed(&self) -> bool {
        matches!(self.verdict.as_deref(), Some("accept" | "shadow"))
    }
}

/// A hash of 64 hexadecimal digits.
pub(crate) fn unhex(text: &str) -> Option<NodeHash> {
    let mut hash = [0; 32];
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    for (octet, pair) in hash.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| {
            let digit = pair.get(at).copied().filter(|digit| !digit.is_ascii_uppercase())?;
            char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
        };
        *octet = digit(0)? << 4 | digit(1)?;
    }
    Some(hash)
}

/// Whether a text is a moment as records have it: `2026-11-25T10:00:00.123456Z`.
fn is_moment(text: &str) -> bool {
    let form = b"0000-00-00T00:00:00.000000Z";
    let alike = |(&octet, &like): (&u8, &u8)| if like == b'0' { octet.is_ascii_digit() } else { octet == like };
    // All of them are looked at, because sixteen at once are as quick as one.
    let all = |text: &[u8; 27]| text.iter().zip(form).fold(true, |all, both| all & alike(both));
    text.as_bytes().try_into().is_ok_and(all) && Day::of_moment(text).is_ok()
}

/// Seconds since 1970 of a moment as records have it. `None`: it is none.
pub(crate) fn seconds_of(moment: &str) -> Option<i64> {
    let part = |from: usize, to: usize| moment.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    // Days of the Gregorian calendar, counted from a March: February, whose length varies, is the last month then.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + (month * 153 + 2) / 5 + day - 1;
    Some((days - 719_468) * 86_400 + part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BEGIN: &str = "{\"n\":7,\"at\":\"2026-11-25T10:00:00.123456Z\",\"kind\":\"verdict\"";

    fn wrong(rest: &str) -> String {
        ReadLine::of(format!("{BEGIN}{rest}}}").as_bytes()).err().unwrap_or_default().into_owned()
    }

    #[test]
    fn a_record_is_read() {
        let rest = ",\"region\":\"eu\",\"call\":\"00\",\"verdict\":\"accept\",\"id\":100,\"target\":\"udp:10.0.0.5:5060\",\
                    \"media\":[\"10.0.0.9\",\"2001:db8::9\"],\"unknown\":[{}],\"cut\":true";
        let line = format!("{BEGIN}{rest}}}");
        let read = ReadLine::of(line.as_bytes()).unwrap();
        assert_eq!((read.n, read.kind, read.is_of("2026-11-25"), read.is_of("2026-11-26")), (7, LineKind::Verdict, true, false));
        assert_eq!(read.said.target(), Ok(Some("10.0.0.5:5060".parse().unwrap())));
        assert_eq!(read.said.media().map(|media| media.len()), Ok(2));
        assert!(read.said.passed() && read.said.region.as_deref() == Some("eu") && read.said.project.is_none());
    }

    #[test]
    fn what_two_readers_could_take_differently_is_refused() {
        for (rest, says) in [
            (",\"region\":\"eu\",\"region\":\"us\"", "has \"region\" twice"),
            (",\"n\":8", "has \"n\" twice"),
            (",\"id\":1,\"id\":1", "has \"id\" twice"),
            (",\"\\u0069d\":1,\"id\":1", "has a key with an escape"),
            (",\"media\":[],\"media\":[]", "has \"media\" twice"),
            (",\"region\":1", "has a \"region\" that is no text"),
            (",\"id\":\"1\"", "has a \"id\" that is no number"),
            (",\"later\":1", "has a \"later\" that is neither true nor false"),
            (",\"media\":\"10.0.0.1\"", "has a \"media\" that is no list or object"),
        ] {
            assert_eq!(wrong(rest), says);
        }
        for line in [
            "{\"at\":\"2026-11-25T10:00:00.123456Z\",\"n\":7,\"kind\":\"verdict\"}",
            "{\"n\":7,\"at\":\"2026-11-25T10:00:00Z\",\"kind\":\"verdict\"}",
            "{\"n\":7,\"at\":\"2026-11-31T10:00:00.123456Z\",\"kind\":\"verdict\"}",
            "{\"n\":7,\"at\":\"2026-11-25T10:00:00.123456Z\",\"kind\":\"other\"}",
            "{\"n\":\"7\",\"at\":\"2026-11-25T10:00:00.123456Z\",\"kind\":\"verdict\"}",
            "{}",
        ] {
            assert!(ReadLine::of(line.as_bytes()).is_err(), "{line}");
        }
    }

    #[test]
    fn seconds_are_those_of_the_calendar() {
        for (moment, seconds) in [
            ("1970-01-01T00:00:00.000000Z", 0),
            ("2000-02-29T00:00:00.5", 951_782_400),
            ("2024-02-29T23:59:59", 1_709_251_199),
            ("2100-03-01T00:00:00", 4_107_542_400),
            ("1969-12-31T23:59:59", -1),
        ] {
            assert_eq!(seconds_of(moment), Some(seconds), "{moment}");
        }
    }

    #[test]
    fn hashes_are_of_64_digits() {
        assert_eq!(unhex(&"ab".repeat(32)), Some([0xab; 32]));
        assert!(["", "ab", &"AB".repeat(32), &"g0".repeat(32), &"é".repeat(32)].into_iter().all(|text| unhex(text).is_none()));
    }
}
