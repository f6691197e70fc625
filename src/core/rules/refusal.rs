//! A refusal, its profile, and the rows that explain it on the wire (RFC 3261 20.43, RFC 6432).
//!
//! No Contact and no Retry-After: nothing in it invites another try.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::io::Share;
use crate::core::rules::ringfence_row;
use crate::core::rules::side::Side;
use crate::core::rules::trace::{Failed, trunk_name};
use crate::reason::{Profile, Reason};

/// A message that may not pass. It cannot be made without the row of the test that failed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The reason, from the closed list.
    pub(crate) reason: Reason,
    /// The project of the call, if known.
    pub(crate) project: Option<ProjectId>,
    /// The trunk of the call, if known.
    pub(crate) trunk: Option<TrunkId>,
    /// The failing field and its value, for a person: in `Warning`, in the log and wherever else an operator reads.
    pub(crate) detail: Arc<str>,
    /// Whether it is about media alone: then a call whose dialog is up goes on as it was.
    pub(crate) ends_no_call: bool,
    /// The share of its trunk that is used up, if that is the reason.
    pub(crate) share: Option<Share>,
    /// The code of its answer to an INVITE, if it is not the profile's.
    code: Option<u16>,
    /// Whether the request goes to the trunk: then it is the trunk's gateways that fail.
    to_trunk: bool,
    /// Proof that the row of the failed test was written.
    _row: Failed,
}

impl Refusal {
    /// A refusal of a call of which neither project nor trunk is known.
    pub(crate) fn new(row: Failed, reason: Reason, detail: impl Into<Arc<str>>) -> Self {
        let (project, trunk, ends_no_call, share, code, to_trunk) = (None, None, false, None, None, false);
        Self { reason, project, trunk, detail: detail.into(), ends_no_call, share, code, to_trunk, _row: row }
    }

    /// The same refusal of a request that this side asks: what the servers ask goes to the trunk.
    pub(crate) fn asked_by(self, asks: Side) -> Self {
        Self { to_trunk: asks == Side::Servers, ..self }
    }

    /// The same refusal, with this code instead of the profile's.
    pub(crate) fn with_code(self, code: u16) -> Self {
        Self { code: Some(code), ..self }
    }

    /// The code of its answer to a new request.
    pub(crate) fn answer_code(&self, config: &Config, invite: bool) -> u16 {
        self.code.unwrap_or_else(|| self.profile(config).code(self.reason, invite))
    }

    /// The phrase of its answer.
    pub(crate) fn phrase(&self) -> &'static str {
        if self.to_trunk { self.reason.phrase_to_trunk() } else { self.reason.phrase() }
    }

    /// The same refusal, marked as one about media alone.
    pub(crate) fn of_media(self) -> Self {
        Self { ends_no_call: true, ..self }
    }

    /// The same refusal, because a share of the trunk is used up.
    pub(crate) fn beyond(self, share: Share) -> Self {
        Self { share: Some(share), ..self }
    }

    /// The same refusal, with the project and trunk of the call as far as they are known.
    pub(crate) fn of(self, project: Option<ProjectId>, trunk: Option<TrunkId>) -> Self {
        Self { project, trunk, ..self }
    }

    /// The answer profile: the trunk's, else the project's, else the file's.
    pub(crate) fn profile(&self, config: &Config) -> Profile {
        let project = self.project.map(|project| config.project(project).reject);
        self.trunk.map(|trunk| config.trunk(trunk).reject).or(project).unwrap_or(config.reject)
    }
}

/// A request that is answered here and goes no further, though no rule of a project refuses it.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) code: u16,
    /// The reason phrase.
    pub(crate) phrase: &'static str,
    /// Rows of its own, each with its line end.
    pub(crate) rows: Vec<u8>,
}

impl Answer {
    /// A 200: the request is in order.
    pub(crate) fn ok(rows: Vec<u8>) -> Self {
        Self { code: 200, phrase: "OK", rows }
    }

    /// An error answer. It cannot be made without the row of the test that the request failed.
    pub(crate) fn failed(_row: Failed, code: u16, phrase: &'static str) -> Self {
        Self { code, phrase, rows: Vec::new() }
    }

    /// The same answer with these rows.
    pub(crate) fn with(self, rows: impl Into<Vec<u8>>) -> Self {
        Self { rows: rows.into(), ..self }
    }
}

/// Text from the wire, made fit for a quoted string, of at most 96 octets: a blank stays a blank, and what is not printable ASCII, or would end the
/// string, is shown by its number as in a URI.
pub(crate) fn shown(text: &[u8]) -> String {
    let text = text.get(..96).unwrap_or(text);
    if let Ok(plain) = std::str::from_utf8(text)
        && text.iter().all(|octet| matches!(octet, b' '..=b'~') & !matches!(octet, b'"' | b'\\'))
    {
        return plain.to_owned();
    }
    let mut out = String::with_capacity(96);
    for &octet in text {
        match octet {
            b'"' | b'\\' => out.extend(['%', hex(octet >> 4), hex(octet)]),
            b' '..=b'~' => out.push(char::from(octet)),
            _ => out.extend(['%', hex(octet >> 4), hex(octet)]),
        }
    }
    out
}

/// The same without long numbers, for text that may hold whom somebody calls: of seven digits and more, however they are spread, each is an
/// `x`; of a URI no user part is shown. Addresses stay. What says why goes to servers, to the log and to whoever watches, and all of these have
/// the same words.
pub(crate) fn shown_without_numbers(text: &[u8]) -> String {
    const LONG: usize = 7;
    let shown = shown(text);
    let mut out = String::with_capacity(shown.len());
    // Words that belong to one number, if it is one, and their digits.
    let (mut run, mut digits) = (String::new(), 0);
    let flush = |run: &mut String, digits: &mut usize, out: &mut String| {
        let number = *digits >= LONG;
        out.extend(run.chars().map(|c| if number && c.is_ascii_digit() { 'x' } else { c }));
        run.clear();
        *digits = 0;
    };
    for word in shown.split_inclusive(' ') {
        let bare = word.trim_end();
        let address = bare.split_once('/').map_or(bare, |(address, _)| address);
        if address.parse::<IpAddr>().is_ok() || address.parse::<SocketAddr>().is_ok() {
            flush(&mut run, &mut digits, &mut out);
            out.push_str(word);
            continue;
        }
        let word = match word.rsplit_once('@') {
            Some((user, host)) => {
                let scheme = user.find(':').map_or("", |colon| user.get(..=colon).unwrap_or_default());
                format!("{scheme}…@{host}").replace('…', "...")
            }
            None => word.to_owned(),
        };
        let letters = bare.bytes().any(|octet| octet.is_ascii_alphabetic());
        let alone = letters && !bare.contains('%');
        if alone {
            flush(&mut run, &mut digits, &mut out);
        }
        digits += word.bytes().filter(u8::is_ascii_digit).count();
        // An escaped digit is a digit.
        digits += 2 * word.matches("%3").count();
        run.push_str(&word);
        if alone {
            flush(&mut run, &mut digits, &mut out);
        }
    }
    flush(&mut run, &mut digits, &mut out);
    out
}

/// The last four bits as a digit.
fn hex(bits: u8) -> char {
    char::from_digit(u32::from(bits & 0xf), 16).unwrap_or('0').to_ascii_uppercase()
}

/// The rows that explain a refusal: Reason (RFC 6432), Warning (RFC 3261 20.43) and X-Ringfence. A stranger gets none of them.
pub(crate) fn rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    if refusal.reason == Reason::UnknownSource {
        return Vec::new();
    }
    let (hostname, reason) = (&config.region(region).hostname, refusal.reason.token());
    let mut rows = Vec::with_capacity(256);
    let mut write = |parts: &[&str]| parts.iter().for_each(|part| rows.extend_from_slice(part.as_bytes()));
    write(&["Reason: Q.850;cause=21;text=\"", reason]);
    // The users of a server that calls out see this, and would blame their own servers.
    if let Some(trunk) = refusal.trunk.filter(|_| refusal.phrase() != refusal.reason.phrase()) {
        write(&[": gateways of ", &trunk_name(config, trunk)]);
    }
    write(&["\"\r\nWarning: 399 ", hostname, " \"", &refusal.detail, "\"\r\n"]);
    ringfence_row::refused(config, region, refusal.reason, &mut rows);
    rows
}

/// The rows of a BYE of ours that ends a leg for the same reason: Reason with SIP's code and with Q.850's (RFC 3326), and
/// X-Ringfence.
pub(crate) fn bye_rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    let (phrase, reason) = (refusal.phrase(), refusal.reason.token());
    let mut rows =
        ["Reason: SIP;cause=488;text=\"", phrase, "\"\r\nReason: Q.850;cause=21;text=\"", reason, "\"\r\n"].concat().into_bytes();
    ringfence_row::refused(config, region, refusal.reason, &mut rows);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_shown_as_one_and_not_which() {
        assert_eq!(shown_without_numbers(b"+4930123456 1 IN IP4 10.1.0.5"), "+xxxxxxxxxx x IN IP4 10.1.0.5");
        assert_eq!(shown_without_numbers(b"493012"), "493012");
        assert_eq!(shown_without_numbers(b"IN IP4 +49-30-123456"), "IN IP4 +xx-xx-xxxxxx");
        assert_eq!(shown_without_numbers(b"IN IP4 +49.30.123.456"), "IN IP4 +xx.xx.xxx.xxx");
        assert_eq!(shown_without_numbers(b"+49 (30) 123-456 Max"), "+xx (xx) xxx-xxx Max");
        assert_eq!(shown_without_numbers(b"%2B%34%39%33%30"), "%xB%xx%xx%xx%xx");
        assert_eq!(
            shown_without_numbers(b"IN IP4 sip:alice@h 10.1.0.5/127 [2001:db8::1]:5060"),
            "IN IP4 sip:...@h 10.1.0.5/127 [2001:db8::1]:5060"
        );
    }

    #[test]
    fn what_is_shown_can_be_read_and_ends_no_string() {
        assert_eq!(shown(b"IN IP4 10.1.0.5"), "IN IP4 10.1.0.5");
        assert_eq!(shown(b"a\tb\r\n\0\x7f"), "a%09b%0D%0A%00%7F");
        assert_eq!(shown(b"\"a\\b\""), "%22a%5Cb%22");
        assert_eq!(shown("é".as_bytes()), "%C3%A9");
        assert_eq!(shown(&[b' '; 200]).len(), 96);
        assert_eq!(shown(&[0; 200]).len(), 96 * 3);
    }
}
