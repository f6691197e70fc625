//! A refusal, its profile, and the rows that explain it on the wire (RFC 3261 20.43, RFC 6432).
//!
//! No Contact and no Retry-After: nothing in it invites another try.

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::io::Share;
use crate::core::rules::ringfence_row;
use crate::core::rules::trace::Failed;
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
    /// The failing field and its value, for a person.
    pub(crate) detail: String,
    /// Whether it is about media alone: then a call whose dialog is up goes on as it was.
    pub(crate) ends_no_call: bool,
    /// The share of its trunk that is used up, if that is the reason.
    pub(crate) share: Option<Share>,
    /// Proof that the row of the failed test was written.
    _row: Failed,
}

impl Refusal {
    /// A refusal of a call of which neither project nor trunk is known.
    pub(crate) fn new(row: Failed, reason: Reason, detail: impl Into<String>) -> Self {
        Self { reason, project: None, trunk: None, detail: detail.into(), ends_no_call: false, share: None, _row: row }
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

/// Text from the wire, made fit for a quoted string: printable ASCII without quotes, at most 96 octets.
pub(crate) fn shown(text: &[u8]) -> String {
    let plain = |&octet: &u8| if octet.is_ascii_graphic() && octet != b'"' && octet != b'\\' { char::from(octet) } else { '?' };
    text.iter().take(96).map(plain).collect()
}

/// The rows that explain a refusal: Reason (RFC 6432), Warning (RFC 3261 20.43) and X-Ringfence. A stranger gets none of them.
pub(crate) fn rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    if refusal.reason == Reason::UnknownSource {
        return Vec::new();
    }
    let (hostname, reason) = (&config.region(region).hostname, refusal.reason.token());
    let row = ringfence_row::refused(config, region, refusal.reason);
    let warning = ["\"\r\nWarning: 399 ", hostname, " \"", &refusal.detail, "\"\r\n"].concat();
    ["Reason: Q.850;cause=21;text=\"", reason, &warning, &row].concat().into_bytes()
}

/// The rows of a BYE of ours that ends a leg for the same reason: Reason with SIP's code and with Q.850's (RFC 3326), and
/// X-Ringfence.
pub(crate) fn bye_rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    let (phrase, reason) = (refusal.reason.phrase(), refusal.reason.token());
    let row = ringfence_row::refused(config, region, refusal.reason);
    ["Reason: SIP;cause=488;text=\"", phrase, "\"\r\nReason: Q.850;cause=21;text=\"", reason, "\"\r\n", &row]
        .concat()
        .into_bytes()
}
