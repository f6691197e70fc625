//! What a refusal looks like on the wire, beside its code and phrase.
//!
//! No Contact, no Retry-After: nothing that invites another try.

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::reason::{Profile, Reason};

/// A request that may not pass.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// Why.
    pub(crate) reason: Reason,
    /// Whose, if known.
    pub(crate) project: Option<ProjectId>,
    /// By which trunk, if known.
    pub(crate) trunk: Option<TrunkId>,
    /// The failing field and its value, for a person.
    pub(crate) detail: String,
}

impl Refusal {
    /// The answer profile: the trunk's, else the project's, else the file's.
    pub(crate) fn profile(&self, config: &Config) -> Profile {
        let project = self.project.map(|project| config.project(project).reject);
        self.trunk.map(|trunk| config.trunk(trunk).reject).or(project).unwrap_or(config.reject)
    }
}

/// Text from the wire, fit for a quoted string: printable ASCII without quotes, at most 96 octets.
pub(crate) fn shown(text: &[u8]) -> String {
    let plain = |&octet: &u8| if octet.is_ascii_graphic() && octet != b'"' && octet != b'\\' { char::from(octet) } else { '?' };
    text.iter().take(96).map(plain).collect()
}

/// The rows that explain a refusal: Reason (RFC 6432), Warning (RFC 3261 20.43) and X-Ringfence. None for an unknown source, which
/// learns nothing.
pub(crate) fn rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    if refusal.reason == Reason::UnknownSource {
        return Vec::new();
    }
    let region = config.region(region);
    let (id, reason) = (refusal.reason.id().to_string(), refusal.reason.token());
    [
        "Reason: Q.850;cause=21;text=\"",
        reason,
        "\"\r\nWarning: 399 ",
        &region.hostname,
        " \"",
        &refusal.detail,
        "\"\r\nX-Ringfence: ",
        &id,
        "; reason=",
        reason,
        "; region=",
        &region.name,
        "\r\n",
    ]
    .concat()
    .into_bytes()
}

/// The rows of a request of ours that ends something for the same reason: Reason by SIP's code and by Q.850's (RFC 3326), and
/// X-Ringfence.
pub(crate) fn bye_rows(config: &Config, region: RegionId, refusal: &Refusal) -> Vec<u8> {
    let (id, reason) = (refusal.reason.id().to_string(), refusal.reason.token());
    let region = &config.region(region).name;
    [
        "Reason: SIP;cause=488;text=\"",
        refusal.reason.phrase(),
        "\"\r\nReason: Q.850;cause=21;text=\"",
        reason,
        "\"\r\nX-Ringfence: ",
        &id,
        "; reason=",
        reason,
        "; region=",
        region,
        "\r\n",
    ]
    .concat()
    .into_bytes()
}
