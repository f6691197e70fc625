//! The header row `X-Ringfence`: what a forwarded call says about itself to the servers, and what a refusal says about itself.

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::core::rules::broken_rule::BrokenRule;
use crate::reason::Reason;
use crate::sip::number::write_decimal;

/// Most octets of the words in `why`.
const WORDS: usize = 256;

/// Appends the row of a call that goes on to the servers of `serving`, with its line end. `shadow`: the rule that it breaks, which is told
/// instead of why it was accepted.
pub(crate) fn forwarded(
    config: &Config,
    serving: RegionId,
    (accepted, shadow): (Reason, Option<&BrokenRule>),
    (project, trunk): (Option<ProjectId>, Option<TrunkId>),
    out: &mut Vec<u8>,
) {
    head(config, serving, shadow.map_or(accepted, |broken| broken.reason), out);
    if let Some(project) = project {
        out.extend_from_slice(b"; project=");
        out.extend_from_slice(config.project(project).name.as_bytes());
    }
    if let Some(trunk) = trunk {
        out.extend_from_slice(b"; trunk=");
        out.extend_from_slice(config.trunk(trunk).name.as_bytes());
    }
    if let Some(broken) = shadow {
        out.extend_from_slice(b"; verdict=shadow; why=\"");
        quote(&broken.why, out);
        out.push(b'"');
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends the row of a refusal, with its line end.
pub(crate) fn refused(config: &Config, region: RegionId, reason: Reason, out: &mut Vec<u8>) {
    head(config, region, reason, out);
    out.extend_from_slice(b"\r\n");
}

/// Appends words as the inside of a quoted string (RFC 3261 25.1). Whatever a reader could take for its end, for a line end or for no ASCII
/// becomes a question mark: the words come from us, and text from the wire in them was escaped when they were made.
fn quote(words: &str, out: &mut Vec<u8>) {
    let octets = words.bytes().take(WORDS);
    out.extend(octets.map(|octet| if matches!(octet, b' '..=b'~') && !matches!(octet, b'"' | b'\\') { octet } else { b'?' }));
}

/// What both begin with.
fn head(config: &Config, region: RegionId, reason: Reason, out: &mut Vec<u8>) {
    // The number stands first: livekit-sip and others read a leading integer.
    out.extend_from_slice(b"X-Ringfence: ");
    write_decimal(u32::from(reason.id()), out);
    out.extend_from_slice(b"; reason=");
    out.extend_from_slice(reason.token().as_bytes());
    out.extend_from_slice(b"; region=");
    out.extend_from_slice(config.region(region).name.as_bytes());
}
