//! The header row `X-Ringfence`: what a forwarded call says about itself to the servers, and what a refusal says about itself.

use std::fmt::{self, Display, Formatter};
use std::io::Write;

use crate::config::{Config, ProjectId, RegionId, TrunkId};
use crate::reason::Reason;

/// Appends the row of a call that goes on to the servers of `serving`, with its line end. `shadow`: the reason would have refused it.
pub(crate) fn forwarded(
    config: &Config,
    serving: RegionId,
    (reason, shadow): (Reason, bool),
    (project, trunk): (Option<ProjectId>, Option<TrunkId>),
    out: &mut Vec<u8>,
) {
    // Writing to a Vec does not fail.
    let _ = write!(out, "{}", Head(config, serving, reason));
    if let Some(project) = project {
        let _ = write!(out, "; project={}", config.project(project).name);
    }
    if let Some(trunk) = trunk {
        let _ = write!(out, "; trunk={}", config.trunk(trunk).name);
    }
    out.extend_from_slice(if shadow { b"; verdict=shadow\r\n" } else { b"\r\n" });
}

/// The row of a refusal, with its line end.
pub(crate) fn refused(config: &Config, region: RegionId, reason: Reason) -> String {
    format!("{}\r\n", Head(config, region, reason))
}

/// What both begin with.
struct Head<'a>(&'a Config, RegionId, Reason);

impl Display for Head<'_> {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let &Self(config, region, reason) = self;
        // The number stands first: livekit-sip and others read a leading integer.
        write!(f, "X-Ringfence: {}; reason={reason}; region={}", reason.id(), config.region(region).name)
    }
}
