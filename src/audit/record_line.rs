//! A record of the message thread as a line: keyed hashes in place of what names a call, numbers as the operator wants them.

use ring::hmac;

use super::line::{AuditLine, hex};
use super::record::{AuditFact, AuditRecord, CallName, EndFact, REALTIME, VerdictFact, WayFact};
use crate::sip::Method;
use crate::telemetry::log;

/// How numbers are written.
#[derive(Clone, Copy, Debug)]
pub enum NumbersAs<'k> {
    /// As they were read.
    Plain,
    /// The first three digits of an international number.
    Mask,
    /// As the first 16 octets of their HMAC-SHA-256 with the key of the month.
    Hmac(&'k hmac::Key),
}

/// What makes hashes of what a record says.
#[derive(Clone, Copy, Debug)]
pub struct LineKeys<'k> {
    /// Names calls. The nodes of a region have the same.
    pub calls: &'k hmac::Key,
    /// How numbers are written.
    pub numbers: NumbersAs<'k>,
}

impl LineKeys<'_> {
    /// The name of a call in the record, in hexadecimal digits.
    pub fn call(&self, call: CallName<'_>) -> String {
        let mut context = hmac::Context::with_key(self.calls);
        match call {
            CallName::Joined(joined) => context.update(joined),
            CallName::Digest(digest) => context.update(&digest),
        }
        half(&context.sign())
    }

    /// A number, or the name that stands in its place, as it is written.
    pub fn number(&self, number: &[u8]) -> String {
        match self.numbers {
            NumbersAs::Plain => String::from_utf8_lossy(number).into_owned(),
            NumbersAs::Mask => format!("{}…", String::from_utf8_lossy(log::country(number))),
            NumbersAs::Hmac(key) => half(&hmac::sign(key, number)),
        }
    }
}

/// The first 16 octets of a hash, in hexadecimal digits.
fn half(tag: &hmac::Tag) -> String {
    hex(tag.as_ref().get(..16).unwrap_or_default())
}

impl AuditRecord<'_> {
    /// Appends its line. `n`: its number in the day.
    pub fn write_line(&self, n: u64, keys: &LineKeys<'_>, out: &mut Vec<u8>) {
        let kind = match self.fact {
            AuditFact::Verdict(_) => "verdict",
            AuditFact::Answer(_) => "answer",
            AuditFact::End(_) => "end",
        };
        let mut line = AuditLine::begin(out, n, self.at, kind);
        line.text("region", self.region);
        line.maybe("project", self.project);
        line.maybe("trunk", self.trunk);
        if !matches!(self.call, CallName::Joined([])) {
            line.text("call", &keys.call(self.call));
        }
        match &self.fact {
            AuditFact::Verdict(fact) => verdict(&mut line, fact, keys),
            AuditFact::Answer(fact) => {
                line.maybe("direction", fact.direction.map(crate::core::io::Direction::label));
                line.number("code", fact.code.into());
                line.number("setup_ms", fact.setup_ms.into());
                way(&mut line, &fact.way);
                line.number("retries", fact.retries.into());
                line.hex("config", &fact.config);
            }
            AuditFact::End(EndFact { by, cause, seconds, since_invite, code }) => {
                line.text("by", by.label());
                line.maybe("cause", cause.map(String::from_utf8_lossy).as_deref());
                number(&mut line, "seconds", *seconds);
                number(&mut line, "since_invite", *since_invite);
                number(&mut line, "code", *code);
            }
        }
        if self.cut {
            line.yes("cut");
        }
        line.end();
    }
}

fn verdict(line: &mut AuditLine<'_>, fact: &VerdictFact<'_>, keys: &LineKeys<'_>) {
    line.text("verdict", fact.verdict.label());
    line.number("id", fact.reason.id().into());
    line.text("reason", fact.reason.token());
    if fact.later {
        line.yes("later");
    }
    line.maybe("direction", fact.direction.map(crate::core::io::Direction::label));
    // One that is not known could hold anything, a telephone number too: it is `other`.
    let method = |method: &[u8]| match fact.transport {
        None if method == REALTIME.as_bytes() => REALTIME,
        _ => Method::of(method).token(),
    };
    line.maybe("method", fact.method.map(method));
    line.place("source", &[], fact.source);
    line.maybe("transport", fact.transport.map(crate::config::Transport::token));
    line.maybe("from", fact.from.map(|from| keys.number(from)).as_deref());
    line.maybe("to", fact.to.map(|to| keys.number(to)).as_deref());
    line.maybe("from_country", fact.from_country);
    line.maybe("to_country", fact.to_country);
    way(line, &fact.way);
    number(line, "code", fact.code);
    line.hex("config", &fact.config);
}

fn way(line: &mut AuditLine<'_>, way: &WayFact<'_>) {
    line.maybe("serving", way.serving);
    if let Some((transport, addr)) = way.target {
        line.place("target", &[transport.token(), ":"], Some(addr));
    }
    if !way.media.is_empty() {
        line.ips("media", &way.media);
    }
    line.maybe("media_verdict", way.media_verdict.map(crate::core::io::Spoken::label));
    line.place("relay", &[], way.relay);
}

fn number(line: &mut AuditLine<'_>, key: &str, value: Option<impl Into<u64>>) {
    if let Some(value) = value {
        line.number(key, value.into());
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;
    use crate::audit::record::{AnswerFact, EndedBy};
    use crate::config::Transport;
    use crate::core::io::{Direction, Spoken, Verdict};
    use crate::reason::Reason;

    fn line(call: CallName<'_>, fact: AuditFact<'_>, numbers: NumbersAs<'_>) -> String {
        let (calls, mut out) = (hmac::Key::new(hmac::HMAC_SHA256, b"calls"), Vec::new());
        let record = AuditRecord {
            at: 1_780_000_000_123_456,
            region: "eu",
            project: Some("acme"),
            trunk: Some("t"),
            call,
            cut: false,
            fact,
        };
        record.write_line(7, &LineKeys { calls: &calls, numbers }, &mut out);
        String::from_utf8(out).unwrap()
    }

    fn way() -> WayFact<'static> {
        WayFact {
            serving: Some("eu"),
            target: Some((Transport::Udp, "10.0.0.5:5060".parse().unwrap())),
            media: ["10.0.0.9".parse().unwrap(), "2001:db8::9".parse().unwrap()].into_iter().collect(),
            media_verdict: Some(Spoken::Inside),
            relay: None,
        }
    }

    /// The hash of "a@b", 0, "tag", and that of a number, as `openssl dgst -sha256 -hmac` makes them.
    const CALL: &str = "439428815ed29523d6516b9a6e2dbd30";

    #[test]
    fn keys_stand_in_their_order() {
        let call = CallName::Joined(b"a@b\0tag");
        let fact = VerdictFact {
            verdict: Verdict::Accept,
            reason: Reason::InRegion,
            later: false,
            direction: Some(Direction::In),
            method: Some(b"INVITE"),
            source: Some(SocketAddr::from(([192, 0, 2, 1], 5060))),
            transport: Some(Transport::Udp),
            from: Some(b"+15551234567"),
            to: Some(b"+4930123456"),
            from_country: Some("US"),
            to_country: Some("DE"),
            way: way(),
            code: None,
            config: [0xab; 32],
        };
        let shown = line(call, AuditFact::Verdict(fact.clone()), NumbersAs::Mask);
        let expected = format!(
            "{{\"n\":7,\"at\":\"2026-05-28T20:26:40.123456Z\",\"kind\":\"verdict\",\"region\":\"eu\",\"project\":\"acme\",\"trunk\":\"t\",\
             \"call\":\"{CALL}\",\"verdict\":\"accept\",\"id\":100,\"reason\":\"in-region\",\"direction\":\"in\",\"method\":\"INVITE\",\
             \"source\":\"192.0.2.1:5060\",\"transport\":\"udp\",\"from\":\"+155…\",\"to\":\"+493…\",\"from_country\":\"US\",\
             \"to_country\":\"DE\",\"serving\":\"eu\",\"target\":\"udp:10.0.0.5:5060\",\"media\":[\"10.0.0.9\",\"2001:db8::9\"],\
             \"media_verdict\":\"inside\",\"config\":\"{}\"}}\n",
            "ab".repeat(32)
        );
        assert_eq!(shown, expected);
        let fact =
            AnswerFact { direction: Some(Direction::Out), code: 200, setup_ms: 1234, way: way(), retries: 1, config: [0; 32] };
        let shown = line(call, AuditFact::Answer(fact), NumbersAs::Plain);
        assert!(shown.contains("\"direction\":\"out\",\"code\":200,\"setup_ms\":1234,\"serving\":\"eu\",\"target\""), "{shown}");
        assert!(shown.contains("\"retries\":1,\"config\":\"00"), "{shown}");
        let fact = EndFact { by: EndedBy::Callee, cause: Some(b"Q.850;16"), seconds: Some(61), since_invite: None, code: None };
        let shown = line(CallName::Joined(b""), AuditFact::End(fact), NumbersAs::Plain);
        assert!(shown.ends_with("\"trunk\":\"t\",\"by\":\"callee\",\"cause\":\"Q.850;16\",\"seconds\":61}\n"), "{shown}");
    }

    #[test]
    fn numbers_are_written_as_the_operator_wants_them() {
        let (calls, month) = (hmac::Key::new(hmac::HMAC_SHA256, b"calls"), hmac::Key::new(hmac::HMAC_SHA256, b"month"));
        let of = |numbers| LineKeys { calls: &calls, numbers }.number(b"+4930123456");
        assert_eq!(of(NumbersAs::Plain), "+4930123456");
        assert_eq!(of(NumbersAs::Mask), "+493…");
        assert_eq!(of(NumbersAs::Hmac(&month)), "f5d69b75e8292e52e3376085ad858c93");
        assert_eq!(LineKeys { calls: &calls, numbers: NumbersAs::Mask }.number(b"alice"), "…");
    }

    #[test]
    fn a_line_is_one_whatever_the_wire_says() {
        let fact =
            EndFact { by: EndedBy::Daemon, cause: Some(b"a\"\r\n\\\xff"), seconds: None, since_invite: None, code: Some(200) };
        let shown = line(CallName::Joined(b"x"), AuditFact::End(fact), NumbersAs::Plain);
        assert_eq!(shown.matches('\n').count(), 1, "{shown}");
        let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
        assert_eq!(read["cause"], "a\"\r\n\\\u{fffd}");
    }
}
