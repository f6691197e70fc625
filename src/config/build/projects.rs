//! Projects and their trunks, checked against the regions that they may use.

use std::collections::HashMap;

use super::names::Names;
use crate::config::file::{self, Parts};
use crate::config::hop::Written;
use crate::config::ids::{ListenerId, ProjectId, RegionId, TrunkId};
use crate::config::mode::{Media, Mode};
use crate::config::project::{Outbound, Project, Trunk};
use crate::config::references::{RegionIds, references};
use crate::config::region::{Listener, Region};
use crate::config::report::{Place, Placed, Read, Report, good, values};
use crate::fence::{Fence, Networks};
use crate::reason::Profile;

/// The other values that projects are made from.
pub(in crate::config) struct Context<'c> {
    pub(in crate::config) ids: &'c RegionIds<'c>,
    pub(in crate::config) regions: &'c [Region],
    pub(in crate::config) listeners: &'c [Listener],
    pub(in crate::config) names: &'c mut Names,
    /// The trunks of all projects so far.
    pub(in crate::config) trunks: Vec<Trunk>,
}

/// Makes the projects. `reject`: the profile of a project that names none.
pub(in crate::config) fn projects(
    parts: &Parts,
    reject: Profile,
    context: &mut Context<'_>,
    report: &mut Report,
) -> Vec<Project> {
    let mut seen: HashMap<&str, &Place> = HashMap::new();
    let mut out = Vec::new();
    for (project, id) in parts.projects.iter().zip((0..).map(ProjectId)) {
        if seen.insert(&project.name.value, &project.name.place).is_some() {
            let wrong = format!("project `{}` is defined twice", project.name.value);
            report.mistake(&project.name.place, wrong, "one [project.*] of that name over all files");
        }
        out.push(build_project(project, id, reject, context, report));
    }
    out
}

/// Reports a project whose media needs a relay that is missing: every served region that its calls may use needs one.
fn needs_relays(project: &file::Project, pin: Option<&[RegionId]>, regions: &[Region], report: &mut Report) {
    let Some(media) = good(&project.media).filter(|media| media.value == Media::Relay) else { return };
    for (region, id) in regions.iter().zip(0..) {
        let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
        if used && region.relays.is_empty() {
            let wrong = format!("region `{}`, which project `{}` may use, has no `relay`", region.name, project.name.value);
            report.mistake(&media.place, wrong, "relay = [\"udp:10.20.0.5:2223\"] in that region");
        }
    }
}

fn build_project(
    project: &file::Project,
    id: ProjectId,
    reject: Profile,
    context: &mut Context<'_>,
    report: &mut Report,
) -> Project {
    let pin = match &project.pin {
        Ok(Some(names)) if names.is_empty() => {
            let right = "the regions that its calls may use; leave `pin` out for a project that may use all";
            report.mistake(&project.pin_place, "an empty pin allows nothing", right);
            None
        }
        Ok(Some(names)) => Some(references(names, context.ids, report)),
        Ok(None) => {
            let wrong = format!("project `{}` is not pinned: its calls may use every region", project.name.value);
            report.warning(&project.name.place, wrong, "pin = [\"eu\"] if they must not");
            None
        }
        Err(_) => None,
    };
    needs_relays(project, pin.as_deref(), context.regions, report);
    let reject = good(&project.reject).map_or(reject, |reject| reject.value);
    let mut trunks = Vec::new();
    for trunk in &project.trunks {
        let next = TrunkId(u32::try_from(context.trunks.len()).unwrap_or(u32::MAX));
        let trunk = build_trunk(trunk, id, reject, pin.as_deref(), context, report);
        context.trunks.push(trunk);
        trunks.push(next);
    }
    Project {
        name: project.name.value.clone(),
        pin,
        mode: good(&project.mode).map_or(Mode::Enforce, |mode| mode.value),
        media: good(&project.media).map_or(Media::Enforce, |media| media.value),
        source_in_region: good(&project.source_in_region).is_some_and(|source| source.value),
        reject,
        trunks,
    }
}

fn build_trunk(
    trunk: &file::Trunk,
    project: ProjectId,
    reject: Profile,
    pin: Option<&[RegionId]>,
    context: &mut Context<'_>,
    report: &mut Report,
) -> Trunk {
    let name = &trunk.name;
    let empty = |networks: &Read<Vec<_>>| matches!(networks, Ok(None)) || good(networks).is_some_and(Vec::is_empty);
    let certified = !matches!(trunk.certificates, Ok(None));
    if good(&trunk.certificates).is_some_and(Vec::is_empty) {
        report.mistake(&name.place, "no certificate would do", "names as in certificates = [\"sbc.carrier.example\"]");
    }
    if empty(&trunk.networks) && !certified {
        let right = "where it signals from, for example networks = [\"192.0.2.0/28\"]";
        report.mistake(&name.place, format!("trunk `{}` has no `networks`", name.value), right);
    }
    let networks: Networks = values(&trunk.networks);
    let outbound = good(&trunk.uri).map(|uri| build_outbound(trunk, uri, &networks, pin, context, report));
    let anywhere = certified && empty(&trunk.networks);
    if anywhere && empty(&trunk.outbound_networks) {
        let wrong =
            format!("trunk `{}` may signal from everywhere, and no request inside its calls may go back there", name.value);
        report.warning(&name.place, wrong, "the carrier's networks, in `networks` or `outbound_networks`");
    }
    if matches!(trunk.uri, Ok(None)) && matches!(trunk.outbound_networks, Ok(Some(_))) && !anywhere {
        let right = "the carrier's `uri` beside it, or leave it out";
        report.mistake(&trunk.outbound_place, "`outbound_networks` without `uri` does nothing", right);
    }
    Trunk {
        name: name.value.clone(),
        project,
        networks,
        certificates: good(&trunk.certificates).into_iter().flatten().map(|placed| placed.value.clone()).collect(),
        media: values(&trunk.media),
        outbound,
        reach: values(&trunk.outbound_networks),
        reject: good(&trunk.reject).map_or(reject, |reject| reject.value),
    }
}

fn build_outbound(
    trunk: &file::Trunk,
    uri: &Placed<Written>,
    networks: &Networks,
    pin: Option<&[RegionId]>,
    context: &mut Context<'_>,
    report: &mut Report,
) -> Outbound {
    let outbound = match &trunk.outbound_networks {
        Ok(None) => networks.clone(),
        given => values(given),
    };
    let known = trunk.networks.is_ok() && trunk.outbound_networks.is_ok();
    if let Some(addr) = uri.value.address()
        && known
        && Fence::of_outbound(&outbound).admit(addr).is_err()
    {
        let wrong = format!("{} is outside the trunk's outbound networks", addr.ip());
        report.mistake(&uri.place, wrong, "its network in `outbound_networks` (the trunk's `networks` if absent)");
    }
    let unnamed =
        trunk.networks.is_ok() && matches!(trunk.outbound_networks, Ok(None)) && !matches!(trunk.certificates, Ok(None));
    if known && outbound.is_empty() && (good(&trunk.outbound_networks).is_some() || unnamed) {
        report.mistake(&trunk.outbound_place, "no network: no call could go out", "the networks that `uri` may resolve to");
    }
    if let Some(over) = uri.value.over().filter(|over| over.reliable()) {
        for (region, id) in context.regions.iter().zip(0..) {
            let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
            let listens = |id: &ListenerId| context.listeners.get(usize::from(id.0)).is_some_and(|at| at.transport == over);
            if used && !region.listeners.is_empty() && !region.listeners.iter().any(listens) {
                let wrong = format!("a trunk over {0}, but region `{1}` does not listen on {0}", over.via(), region.name);
                let right = format!("a `{}:` listener in that region: requests in dialogs come back to it", over.token());
                report.mistake(&uri.place, wrong, right);
            }
        }
    }
    Outbound { hop: context.names.hop(&uri.value), hostpart: uri.value.hostpart.clone(), networks: outbound }
}
