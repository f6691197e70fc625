//! Where a client may go: the answer of `/settings/regions`. Reads the configuration alone.

use serde_json::{Value, json};

use crate::config::{Config, ProjectId, RegionId};

/// The regions of a project as SDKs read them, the one that was asked (`here`, if it is known) first, then its `nearest`, then the others as they are written. A region
/// that has no `realtime` is left out: nobody can go there.
pub(crate) fn regions(config: &Config, here: Option<RegionId>, project: ProjectId) -> Value {
    let pin = config.project(project).pin.as_deref();
    let nearest = here.map(|here| config.region(here).nearest.iter().copied());
    let near = here.into_iter().chain(nearest.into_iter().flatten());
    let mut listed: Vec<RegionId> = Vec::new();
    for id in near.chain((0..).map(RegionId).take(config.regions.len())) {
        if !listed.contains(&id) && pin.is_none_or(|pin| pin.contains(&id)) {
            listed.push(id);
        }
    }
    let entry = |id: RegionId| {
        let region = config.region(id);
        // The distance is not measured: the order says it.
        Some(json!({ "region": region.name, "url": region.realtime.as_deref()?, "distance": "0" }))
    };
    json!({ "regions": listed.into_iter().filter_map(entry).collect::<Vec<_>>() })
}
