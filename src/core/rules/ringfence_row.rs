//! The header row `X-Ringfence`: what a forwarded call says about itself to the servers, and what a refusal says about itself.

use std::fmt::Write;

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::reason::Reason;

/// The row of a call that goes on to the servers of `serving`, with its line end. `shadow`: the reason would have refused it.
pub(crate) fn forwarded(
    config: &Config,
    serving: RegionId,
    (reason, shadow): (Reason, bool),
    (project, trunk): (Option<ProjectId>, Option<TrunkId>),
) -> String {
    let mut row = row(config, serving, reason);
    // Writing to a String does not fail.
    if let Some(project) = project {
        let _ = write!(row, "; project={}", config.project(project).name);
    }
    if let Some(trunk) = trunk {
        let _ = write!(row, "; trunk={}", config.trunk(trunk).name);
    }
    row.push_str(if shadow { "; verdict=shadow\r\n" } else { "\r\n" });
    row
}

/// The row of a refusal, with its line end.
pub(crate) fn refused(config: &Config, region: RegionId, reason: Reason) -> String {
    row(config, region, reason) + "\r\n"
}

fn row(config: &Config, region: RegionId, reason: Reason) -> String {
    // The number stands first: livekit-sip and others read a leading integer.
    format!("X-Ringfence: {}; reason={reason}; region={}", reason.id(), config.region(region).name)
}
