//! Regions, projects and trunks, made from the values of the files, with their references resolved.
//!
//! Every broken rule is reported. A value that is reported already is replaced by a stand-in, so that the rest can be checked.
//! `load` throws the result away if anything was reported.

use std::path::Path;
use std::time::SystemTime;

use self::names::Names;
use super::endpoint::Endpoints;
use super::file::{Main, Parts};
use super::ids::{ProjectId, RegionId};
use super::next_hop::NextHop;
use super::project::{Project, Trunk};
use super::region::{Listener, Region};
use super::report::{Report, good};
use super::{hep, references, secure};
use crate::fence::Networks;
use crate::reason::Profile;

mod names;
mod projects;
mod regions;
mod servers;

/// The parts of the snapshot.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) regions: Vec<Region>,
    pub(super) projects: Vec<Project>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) listeners: Vec<Listener>,
    /// The networks that all trunks signal from.
    pub(super) signalling: Networks,
    pub(super) names: Vec<NextHop>,
    pub(super) endpoints: Endpoints,
    /// The contents of the certificate files, in the order of the regions.
    pub(super) certificates: Vec<Vec<u8>>,
}

/// Builds what `main` and `parts` say. Files of certificates are looked for in `folder`.
pub(super) fn build(main: &Main, parts: &Parts, folder: &Path, now: SystemTime, report: &mut Report) -> Built {
    let ids = references::region_ids(parts, report);
    let read = references::regions(main, parts, &ids, report);
    if read.len() > usize::from(u16::MAX) {
        report.mistake(&main.serve_place, "more regions than an id can count", "at most 65535");
        return Built::default();
    }
    let secured = secure::read(&read, &parts.projects, folder, now, report);
    let collectors = hep::collectors(main.hep.as_ref(), &read, report);
    let mut names = Names::default();
    let (mut regions, listeners) = regions::regions(&read, &ids, secured.tls, collectors, &mut names, report);
    let reject = good(&main.reject).map_or(Profile::GENERIC, |reject| reject.value);
    let (ids, trunks) = (&ids, Vec::new());
    let mut context = projects::Context { ids, regions: &regions, listeners: &listeners, names: &mut names, trunks };
    let projects = projects::projects(parts, reject, &mut context, report);
    let trunks = context.trunks;
    let signalling = trunks.iter().flat_map(|trunk: &Trunk| trunk.networks.nets()).collect::<Networks>();
    servers::servers(&read, &mut regions, &signalling, report);
    let endpoints = endpoints(main, &regions, &projects, &trunks);
    Built { regions, projects, trunks, listeners, signalling, names: names.list, endpoints, certificates: secured.files }
}

fn endpoints(main: &Main, regions: &[Region], projects: &[Project], trunks: &[Trunk]) -> Endpoints {
    let mut endpoints = Endpoints::default();
    for (region, id) in regions.iter().zip((0..).map(RegionId)) {
        endpoints.add_region(&region.hostname, id);
    }
    for (project, id) in projects.iter().zip((0..).map(ProjectId)) {
        endpoints.add_project(&project.name, id);
        for &trunk in &project.trunks {
            if let Some(of) = trunks.get(trunk.0 as usize) {
                endpoints.add_trunk(id, &of.name, trunk);
            }
        }
    }
    if let Some(global) = good(&main.global) {
        endpoints.set_global(&global.value);
    }
    endpoints
}
