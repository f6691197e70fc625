//! The names by which parts of the files refer to regions, and the regions that they mean.

use std::collections::HashMap;

use super::file::{self, Main};
use super::ids::RegionId;
use super::report::{Placed, Report};

/// Most regions that are listed to somebody who named none of them.
const LISTED: usize = 20;

/// The regions by name.
pub(super) type RegionIds<'p> = HashMap<&'p str, RegionId>;

/// A region as read from the files, and whether `serve` names it.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadRegion<'p> {
    pub(super) file: &'p file::Region,
    /// Whether this daemon listens for it.
    pub(super) served: bool,
}

/// All regions in the order of their ids.
pub(super) fn regions<'p>(
    main: &Main,
    read: &'p [file::Region],
    ids: &RegionIds<'p>,
    report: &mut Report,
) -> Vec<ReadRegion<'p>> {
    let served = served(main, ids, report);
    let regions = read.iter().zip((0..).map(RegionId));
    regions.map(|(file, id)| ReadRegion { file, served: served.contains(&id) }).collect()
}

/// The ids of all regions. A region that is defined twice is reported.
pub(super) fn region_ids<'p>(read: &'p [file::Region], report: &mut Report) -> RegionIds<'p> {
    let mut ids = HashMap::new();
    for (region, id) in read.iter().zip(0..) {
        // The first one holds; what the second lacks is not worth a word.
        if *ids.entry(region.name.value.as_str()).or_insert(RegionId(id)) != RegionId(id) {
            let wrong = format!("region `{}` is defined twice", region.name.value);
            report.mistake(&region.name.place, wrong, "one [region.*] of that name over all files");
        }
    }
    ids
}

fn served(main: &Main, ids: &RegionIds<'_>, report: &mut Report) -> Vec<RegionId> {
    match &main.serve {
        Ok(Some(names)) if names.is_empty() => {
            report.mistake(&main.serve_place, "no region is served", "at least one, for example serve = [\"eu\"]");
            Vec::new()
        }
        Ok(Some(names)) => references(names, ids, report),
        Ok(None) => {
            let right = "which regions this daemon listens for, for example serve = [\"eu\"]";
            report.mistake(&main.serve_place, "`serve` is missing", right);
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// Names of regions to ids; unknown and repeated ones are reported.
pub(super) fn references(names: &[Placed<String>], ids: &RegionIds<'_>, report: &mut Report) -> Vec<RegionId> {
    let mut out = Vec::new();
    for name in names {
        match ids.get(name.value.as_str()) {
            Some(id) if out.contains(id) => {
                report.mistake(&name.place, format!("region `{}` stands twice", name.value), "each region once");
            }
            Some(&id) => out.push(id),
            None => {
                let mut known: Vec<_> = ids.keys().copied().collect();
                known.sort_unstable();
                // A guess would be taken on trust, and another region is another law.
                let right = if known.is_empty() {
                    format!("define it: [region.{}]", name.value)
                } else {
                    let more = known.len().saturating_sub(LISTED);
                    known.truncate(LISTED);
                    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
                    format!("one of: {}{more}", known.join(", "))
                };
                report.mistake(&name.place, format!("unknown region `{}`", name.value), right);
            }
        }
    }
    out
}
