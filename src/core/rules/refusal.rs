//! What a refusal looks like on the wire, beside its code and phrase.
//!
//! No Contact, no Retry-After: nothing that invites another try.

use crate::config::{Config, RegionId};
use crate::core::rules::admit::Refusal;
use crate::reason::Reason;

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
