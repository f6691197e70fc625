//! Regions, projects and trunks, made from the values of the files, with their references resolved.
//!
//! Every broken rule is reported. A value that is reported already is replaced by a stand-in, so that the rest can be checked.
//! `load` throws the result away if anything was reported. Projects are taken in one by one, and what was read of each is dropped.

use std::path::Path;
use std::time::SystemTime;

use self::names::Names;
use self::shared::Shared;
use super::caller_table::CallerTable;
use super::endpoint::Endpoints;
use super::file::{self, Main};
use super::gate::ApiKeys;
use super::ids::{RegionId, TrunkId};
use super::next_hop::NextHop;
use super::number_limits::NumberLimits;
use super::overlap::{self, Suffixes};
use super::project::{Project, Trunk};
use super::references::{self, ReadRegion, RegionIds};
use super::region::{Listener, Region};
use super::report::{Place, Report, good};
use super::{hep, secure, warning};
use crate::fence::Networks;
use crate::numbering::EmergencyNumbers;
use crate::reason::Profile;

mod names;
mod projects;
mod regions;
mod servers;
mod shared;

pub use names::NameIndex;

/// The parts of the snapshot.
#[derive(Debug)]
pub(super) struct Built {
    pub(super) regions: Vec<Region>,
    pub(super) projects: Vec<Project>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) listeners: Vec<Listener>,
    /// The networks that all trunks signal from.
    pub(super) signalling: Networks,
    pub(super) names: Vec<NextHop>,
    pub(super) name_index: NameIndex,
    pub(super) endpoints: Endpoints,
    pub(super) api_keys: ApiKeys,
    pub(super) caller_table: CallerTable,
    /// The contents of the certificate files, in the order of the regions.
    pub(super) certificates: Vec<Vec<u8>>,
    pub(super) plain_numbers: NumberLimits,
}

/// Makes a snapshot: first of the regions, then of each project.
#[derive(Debug)]
pub(super) struct Builder<'p> {
    files: &'p [file::Region],
    read: Vec<ReadRegion<'p>>,
    ids: RegionIds<'p>,
    suffixes: Suffixes<'p>,
    offers: secure::Offers,
    certificates: Vec<Vec<u8>>,
    regions: Vec<Region>,
    listeners: Vec<Listener>,
    names: Names,
    reject: Profile,
    plain_numbers: NumberLimits,
    projects: Vec<Project>,
    trunks: Vec<Trunk>,
    endpoints: Endpoints,
    api_keys: ApiKeys,
    /// Where the gate is spoken of.
    gate: Option<Place>,
    /// Where each of them stands.
    api_key_places: Vec<Place>,
    shared: Shared,
}

impl<'p> Builder<'p> {
    /// Makes the regions that `main` and the files say. Files of certificates are looked for in `folder`. Room is made for as many
    /// projects as `expected`. `None`: there are more regions than an id can count, which is reported.
    pub(super) fn new(
        main: &'p Main,
        files: &'p [file::Region],
        folder: &Path,
        expected: usize,
        report: &mut Report,
    ) -> Option<Self> {
        let ids = references::region_ids(files, report);
        let read = references::regions(main, files, &ids, report);
        if read.len() > usize::from(u16::MAX) {
            report.mistake(&main.serve_place, "more regions than an id can count", "at most 65535");
            return None;
        }
        overlap::networks(files, report);
        let suffixes = Suffixes::of(main, files, report);
        warning::check(main, files, report);
        let secured = secure::read(&read, folder, SystemTime::now(), report);
        let collectors = hep::collectors(main.hep.as_ref(), &read, report);
        let mut names = Names::default();
        let (regions, listeners) = regions::regions(&read, &ids, secured.tls, collectors, &mut names, report);
        let mut endpoints = Endpoints::with_room_for(expected);
        for (region, id) in regions.iter().zip((0..).map(RegionId)) {
            endpoints.add_region(&region.hostname, id);
        }
        if let Some(global) = good(&main.global) {
            endpoints.set_global(&global.value);
        }
        let reject = good(&main.reject).map_or(Profile::GENERIC, |reject| reject.value);
        let (projects, trunks, shared) = (Vec::with_capacity(expected), Vec::with_capacity(expected), Shared::default());
        let (offers, certificates) = (secured.offers, secured.files);
        Some(Self {
            files,
            read,
            ids,
            suffixes,
            offers,
            certificates,
            regions,
            listeners,
            names,
            reject,
            plain_numbers: plain_numbers(main, report),
            projects,
            trunks,
            endpoints,
            api_keys: ApiKeys::default(),
            gate: main.gate.as_ref().map(|gate| gate.place.clone()),
            api_key_places: Vec::new(),
            shared,
        })
    }

    /// The parts of the snapshot, when every project is taken in.
    pub(super) fn finish(self, report: &mut Report) -> Built {
        let Self {
            read,
            certificates,
            mut regions,
            listeners,
            names,
            mut projects,
            mut trunks,
            endpoints,
            api_keys,
            api_key_places,
            gate,
            plain_numbers,
            ..
        } = self;
        projects.shrink_to_fit();
        trunks.shrink_to_fit();
        let caller_table = CallerTable::of(trunks.iter().map(|trunk: &Trunk| &trunk.networks));
        let each = caller_table.one_of_each().filter_map(|TrunkId(at)| trunks.get(at as usize));
        let signalling = each.flat_map(|trunk| trunk.networks.nets()).collect::<Networks>();
        let certified = (0..).map(TrunkId).zip(trunks.iter().map(Trunk::certificates));
        let caller_table = caller_table.certified(certified);
        warning::old_table(&trunks, SystemTime::now(), report);
        warning::keys_and_gate(gate.as_ref(), api_key_places.first(), report);
        servers::servers(&read, &mut regions, &signalling, report);
        secure::endpoints(&read, &regions, &projects, report);
        let Names { list: mut names, index: name_index } = names;
        names.shrink_to_fit();
        Built {
            regions,
            projects,
            trunks,
            listeners,
            signalling,
            names,
            name_index,
            endpoints,
            api_keys,
            caller_table,
            certificates,
            plain_numbers,
        }
    }
}

/// How numbers are read where a trunk says nothing of it, with the file's emergency numbers.
fn plain_numbers(main: &Main, report: &mut Report) -> NumberLimits {
    let mut limits = NumberLimits::default();
    if let Some(list) = good(&main.emergency) {
        match EmergencyNumbers::new(list.iter().map(|number| &*number.value)) {
            Ok(numbers) => limits.rules.emergency = numbers,
            Err(error) => {
                report.mistake(&main.emergency_place, error.to_string(), "fewer numbers");
            }
        }
    }
    limits
}
