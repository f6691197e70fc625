//! The header row `X-Ringfence`: what a forwarded call says about itself to the servers, and what a refusal says about itself.

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::reason::Reason;
use crate::sip::number::write_decimal;

/// Appends the row of a call that goes on to the servers of `serving`, with its line end. `shadow`: the reason would have refused it.
pub(crate) fn forwarded(
    config: &Config,
    serving: RegionId,
    (reason, shadow): (Reason, bool),
    (project, trunk): (Option<ProjectId>, Option<TrunkId>),
    out: &mut Vec<u8>,
) {
    head(config, serving, reason, out);
    if let Some(project) = project {
        out.extend_from_slice(b"; project=");
        out.extend_from_slice(config.project(project).name.as_bytes());
    }
    if let Some(trunk) = trunk {
        out.extend_from_slice(b"; trunk=");
        out.extend_from_slice(config.trunk(trunk).name.as_bytes());
    }
    out.extend_from_slice(if shadow { b"; verdict=shadow\r\n" } else { b"\r\n" });
}

/// Appends the row of a refusal, with its line end.
pub(crate) fn refused(config: &Config, region: RegionId, reason: Reason, out: &mut Vec<u8>) {
    head(config, region, reason, out);
    out.extend_from_slice(b"\r\n");
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
