//! Which region's servers take a new call: the called region's, and after those the nearest regions', one after the other.
//!
//! Only the call of an unpinned project moves, and only one that comes in. Each region's servers pass that region's fence and no
//! other. This module chooses regions; it sends nothing and keeps no health.

use std::fmt::Write;

use super::target::{self, Found, MAX_ATTEMPTS, TargetSet};
use crate::config::{Config, Hop, ProjectId, RegionId, TrunkId};
use crate::dns::Targets;
use crate::fence::Fence;
use crate::reason::Reason;

/// Attempts in the called region, where others may follow: the rest of [`MAX_ATTEMPTS`] is kept for those.
const HERE: usize = MAX_ATTEMPTS - 2;

/// Where a new request is served.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Serving {
    /// The region whose servers are tried now.
    pub(crate) region: RegionId,
    /// How many of the called region's nearest ones have had their turn; `None`: the call does not move.
    passed: Option<usize>,
    /// What would have refused the call, did its project not only watch.
    shadow: Option<Reason>,
}

impl Serving {
    /// At the called region, to begin with. A call out goes to its trunk or nowhere; and while it is not known what the region's
    /// servers are nobody can say that they are down.
    pub(super) fn by(config: &Config, targets: &Targets, called: RegionId, outbound: bool, shadow: Option<Reason>) -> Self {
        let known = config.region(called).upstream.iter().all(|hop| match hop {
            Hop::Address { .. } => true,
            Hop::Name(name) => targets.is_known(*name),
        });
        Self { region: called, passed: (known && !outbound).then_some(0), shadow }
    }

    /// Keeps attempts back for the nearest regions, if the call may go there.
    pub(super) fn spare(&self, config: &Config, project: ProjectId, targets: &mut TargetSet) {
        if self.passed.is_some() && config.project(project).pin.is_none() && !config.region(self.region).nearest.is_empty() {
            targets.truncate(HERE);
        }
    }

    /// The next of the nearest regions that has a server inside, and its servers. Asked anew each time: since the call came in, its
    /// project may have been pinned, or be gone.
    pub(super) fn next(
        &mut self,
        config: &Config,
        targets: &Targets,
        called: RegionId,
        project: Option<ProjectId>,
    ) -> Option<(RegionId, TargetSet)> {
        let passed = self.passed.as_mut()?;
        if config.project(project?).pin.is_some() {
            return None;
        }
        while let Some(&region) = config.region(called).nearest.get(*passed) {
            *passed = passed.saturating_add(1);
            let there = config.region(region);
            if let Found::Inside(found) = target::find(&there.upstream, targets, Fence::of_region(&there.networks)) {
                return Some((region, found));
            }
        }
        None
    }

    /// What a forwarded request says about itself to the servers.
    pub(super) fn row(&self, config: &Config, called: RegionId, project: Option<ProjectId>, trunk: Option<TrunkId>) -> String {
        let accepted = if self.region == called { Reason::InRegion } else { Reason::Failover };
        let reason = self.shadow.unwrap_or(accepted);
        let mut row = format!("X-Ringfence: {}; reason={reason}; region={}", reason.id(), config.region(self.region).name);
        // Writing to a String does not fail.
        if let Some(project) = project {
            let _ = write!(row, "; project={}", config.project(project).name);
        }
        if let Some(trunk) = trunk {
            let _ = write!(row, "; trunk={}", config.trunk(trunk).name);
        }
        row.push_str(if self.shadow.is_some() { "; verdict=shadow\r\n" } else { "\r\n" });
        row
    }
}
