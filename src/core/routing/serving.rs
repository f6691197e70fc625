//! Which region serves a call, and which others may still take it. Reads the configuration anew each time; sends nothing.

use crate::config::{Config, Hop, ProjectId, RegionId};
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::core::routing::target::{Target, TargetSet};
use crate::core::rules::broken_rule::BrokenRule;
use crate::dns::Resolved;
use crate::reason::Reason;

/// Most attempts in the called region if other regions may follow. The rest of [`MAX_ATTEMPTS`] is kept for those.
const HERE: usize = MAX_ATTEMPTS - 2;

/// The region that serves a new request.
#[derive(Clone, Debug)]
pub(crate) struct Serving {
    /// The region whose servers are tried now.
    pub(crate) region: RegionId,
    /// How many of the called region's nearest regions have had their turn. `None`: the call does not move.
    pub(crate) passed: Option<usize>,
    /// A server of the called region that looks down. It is tried if nobody else takes the call.
    pub(crate) aside: Option<Box<Target>>,
    /// The rule that the call breaks, if its project is in shadow mode.
    pub(crate) shadow: Option<Box<BrokenRule>>,
    /// Whether only TLS may be used.
    pub(crate) secure: bool,
    /// Whether the Request-URI stays as it came, whichever gateway gets it: a server named us in a Route.
    pub(crate) keeps_uri: bool,
}

impl Serving {
    /// At first the called region serves a call. A call out goes only to its trunk. If the servers of the called region are not
    /// known yet, the call does not move, because nobody can say that they are down.
    pub(crate) fn by(
        config: &Config,
        resolved: &Resolved,
        called: RegionId,
        outbound: bool,
        secure: bool,
        shadow: Option<Box<BrokenRule>>,
    ) -> Self {
        let known = config.region(called).upstream.iter().all(|hop| match hop {
            Hop::Address { .. } => true,
            Hop::Name(name) => resolved.is_known(*name),
        });
        Self { region: called, passed: (known && !outbound).then_some(0), aside: None, shadow, secure, keeps_uri: false }
    }

    /// A request that is served, and goes nowhere else any more.
    pub(crate) fn of(region: RegionId) -> Self {
        Self { region, passed: None, aside: None, shadow: None, secure: false, keeps_uri: false }
    }

    /// The regions that the call may still go to. They are looked up anew each time, because a reload may have pinned or removed
    /// the project.
    pub(crate) fn ahead<'c>(&self, config: &'c Config, called: RegionId, project: Option<ProjectId>) -> &'c [RegionId] {
        match (self.passed, project) {
            (Some(passed), Some(project)) if config.project(project).pin.is_none() => {
                config.region(called).nearest.get(passed..).unwrap_or_default()
            }
            _ => &[],
        }
    }

    /// Keeps attempts back for the nearest regions, if the call may go there.
    pub(crate) fn spare(&self, config: &Config, project: ProjectId, targets: &mut TargetSet) {
        if !self.ahead(config, self.region, Some(project)).is_empty() {
            targets.truncate(HERE);
        }
    }

    /// Why the call is accepted. The rule that it breaks, if there is one, is told instead.
    pub(crate) fn accepted(&self, called: RegionId) -> Reason {
        if self.region == called { Reason::InRegion } else { Reason::Failover }
    }
}
