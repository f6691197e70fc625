//! The header row `X-Ringfence`: what a forwarded call says about itself to the servers, and what a refusal says about itself.

use std::fmt::Write;

use crate::config::{Config, RegionId};
use crate::core::transaction::forwarded::CallFacts;
use crate::reason::Reason;

/// The row of a call that goes on to a region's servers, with its line end. `None` inside a dialog.
pub(crate) fn forwarded(config: &Config, call: &CallFacts) -> Option<String> {
    let serving = call.serving.as_ref()?;
    let accepted = if serving.region == call.region { Reason::InRegion } else { Reason::Failover };
    let mut row = row(config, serving.region, serving.shadow.unwrap_or(accepted));
    // Writing to a String does not fail.
    if let Some(project) = call.project {
        let _ = write!(row, "; project={}", config.project(project).name);
    }
    if let Some(trunk) = call.trunk {
        let _ = write!(row, "; trunk={}", config.trunk(trunk).name);
    }
    row.push_str(if serving.shadow.is_some() { "; verdict=shadow\r\n" } else { "\r\n" });
    Some(row)
}

/// The row of a refusal, with its line end.
pub(crate) fn refused(config: &Config, region: RegionId, reason: Reason) -> String {
    row(config, region, reason) + "\r\n"
}

fn row(config: &Config, region: RegionId, reason: Reason) -> String {
    // The number stands first: livekit-sip and others read a leading integer.
    format!("X-Ringfence: {}; reason={reason}; region={}", reason.id(), config.region(region).name)
}
