//! From a host name to the endpoint it names.
//!
//! Compares names; knows nothing of listeners, sources or pins.

use std::collections::HashMap;
use std::hash::BuildHasher as _;

use foldhash::fast::RandomState;
use hashbrown::HashTable;
use hashbrown::hash_table::Entry;

use super::ids::{ProjectId, RegionId, TrunkId};
use super::project::{Project, Trunk};
use super::snapshot::Config;

/// What a host name stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Endpoint {
    /// A region's bare hostname: the source names the project.
    Region(RegionId),
    /// `<project>.<region hostname>`.
    Project(RegionId, ProjectId),
    /// `<trunk>.<project>.<region hostname>`: for calls out to that trunk.
    Trunk(RegionId, TrunkId),
    /// `<project>.<global hostname>`: any region may serve it.
    Global(ProjectId),
    /// None of ours, or one of ours with a label in front that is no project (or trunk) of ours.
    Unknown,
}

/// Every name served anywhere, by suffix. A project is found by its label's hash and told by the label that it holds itself.
#[derive(Debug, Default)]
pub struct Endpoints {
    regions: HashMap<Box<[u8]>, RegionId>,
    global: Option<Box<[u8]>>,
    projects: HashTable<ProjectId>,
    /// The trunks of projects that have many. Others are looked through.
    trunks: HashTable<TrunkId>,
    hasher: RandomState,
}

/// The longest name that DNS can carry in text form (RFC 1035 3.1).
const LONGEST: usize = 253;
/// The most trunks of a project that are looked through, one after the other.
const FEW: usize = 16;

impl Endpoints {
    /// None yet, with room for so many projects.
    pub(crate) fn with_room_for(projects: usize) -> Self {
        Self { projects: HashTable::with_capacity(projects), ..Self::default() }
    }

    /// Adds a region's hostname, lower case.
    pub(crate) fn add_region(&mut self, hostname: &str, region: RegionId) {
        self.regions.insert(hostname.as_bytes().into(), region);
    }

    /// Sets the global hostname, lower case.
    pub(crate) fn set_global(&mut self, hostname: &str) {
        self.global = Some(hostname.as_bytes().into());
    }

    /// Adds the last of these projects, by its label. `Err`: the one that has that label already.
    pub(crate) fn add_project(&mut self, projects: &[Project]) -> Result<(), ProjectId> {
        let (Some(last), Some(at)) = (projects.last(), projects.len().checked_sub(1)) else { return Ok(()) };
        let id = ProjectId(u32::try_from(at).unwrap_or(u32::MAX));
        let label = |id: &ProjectId| projects.get(id.0 as usize).map(|of| of.name.as_bytes()).unwrap_or_default();
        let hash = |of: &[u8]| self.hasher.hash_one(of);
        let same = |other: &ProjectId| label(other) == last.name.as_bytes();
        match self.projects.entry(hash(last.name.as_bytes()), same, |id| hash(label(id))) {
            Entry::Occupied(other) => Err(*other.get()),
            Entry::Vacant(place) => {
                place.insert(id);
                Ok(())
            }
        }
    }

    /// Adds the trunks of the last project, if they are many.
    pub(crate) fn add_trunks(&mut self, project: &Project, trunks: &[Trunk]) {
        let Some(many) = Some(project.trunks()).filter(|of| of.len() > FEW) else { return };
        let hash = |id: &TrunkId| trunks.get(id.0 as usize).map_or(0, |of| self.hasher.hash_one((of.project, &*of.name)));
        for id in many {
            self.trunks.insert_unique(hash(&id), id, hash);
        }
    }

    fn project(&self, label: &[u8], projects: &[Project]) -> Option<ProjectId> {
        let is = |id: &ProjectId| projects.get(id.0 as usize).is_some_and(|of| of.name.as_bytes() == label);
        self.projects.find(self.hasher.hash_one(label), is).copied()
    }

    fn trunk(&self, label: &[u8], project: ProjectId, config: &Config) -> Option<TrunkId> {
        let is = |id: &TrunkId| {
            let of = config.trunk(*id);
            of.project == project && of.name.as_bytes() == label
        };
        let mut own = config.project(project).trunks();
        if own.len() <= FEW {
            return own.find(is);
        }
        let name = std::str::from_utf8(label).ok()?;
        self.trunks.find(self.hasher.hash_one((project, name)), is).copied()
    }
}

impl Config {
    /// The region that a host name is an endpoint of. `None`: it is none's, or any region may serve it.
    pub(crate) fn region_of(&self, host: &[u8]) -> Option<RegionId> {
        match self.endpoint(host) {
            Endpoint::Region(region) | Endpoint::Project(region, _) | Endpoint::Trunk(region, _) => Some(region),
            Endpoint::Global(_) | Endpoint::Unknown => None,
        }
    }

    /// The global hostname, lower case.
    pub fn global(&self) -> Option<&str> {
        std::str::from_utf8(self.endpoints.global.as_deref()?).ok()
    }

    /// The project of a label, lower case.
    pub fn project_of(&self, label: &str) -> Option<ProjectId> {
        self.endpoints.project(label.as_bytes(), &self.projects)
    }

    /// The trunk of a project with this name, lower case.
    pub fn trunk_of(&self, project: ProjectId, name: &str) -> Option<TrunkId> {
        self.endpoints.trunk(name.as_bytes(), project, self)
    }

    /// What a host name from the wire stands for. Upper and lower case are the same (RFC 3261 19.1.4), and one trailing dot is
    /// ignored.
    pub fn endpoint(&self, host: &[u8]) -> Endpoint {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut lower = [0_u8; LONGEST];
        let Some(lower) = lower.get_mut(..host.len()) else { return Endpoint::Unknown };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.endpoint_of(lower).unwrap_or(Endpoint::Unknown)
    }

    fn endpoint_of(&self, host: &[u8]) -> Option<Endpoint> {
        let Endpoints { regions, global, .. } = &self.endpoints;
        let project = |label| self.endpoints.project(label, &self.projects);
        if let Some(&region) = regions.get(host) {
            return Some(Endpoint::Region(region));
        }
        let (first, rest) = split(host)?;
        if let Some(&region) = regions.get(rest) {
            return project(first).map(|project| Endpoint::Project(region, project));
        }
        if global.as_deref() == Some(rest) {
            return project(first).map(Endpoint::Global);
        }
        let (second, rest) = split(rest)?;
        let (&region, project) = (regions.get(rest)?, project(second)?);
        self.endpoints.trunk(first, project, self).map(|trunk| Endpoint::Trunk(region, trunk))
    }
}

fn split(host: &[u8]) -> Option<(&[u8], &[u8])> {
    let dot = memchr::memchr(b'.', host)?;
    Some((host.get(..dot)?, host.get(dot + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_by_suffix_and_label() {
        let region = "serve = [\"eu\"]\nglobal = \"sip.example.com\"\n[region.eu]\nhostname = \"eu.sip.example.com\"\n\
             networks = [\"10.0.0.0/8\"]\nlisten = [\"udp:127.0.0.1:5060\"]\nupstream = \"10.0.0.1\"\n";
        let trunk = |name: &str| format!("[project.acme.trunk.{name}]\nnetworks = [\"192.0.2.0/24\"]\n");
        for many in [false, true] {
            let mut text = format!("{region}[project.first]\n[project.acme]\n{}", trunk("twilio-ie"));
            if many {
                text.extend((0..100).map(|at| trunk(&format!("t{at}"))));
            }
            let config = crate::config::parse(std::path::Path::new("test.toml"), &text).unwrap();
            let (eu, acme, trunk) = (RegionId(0), ProjectId(1), TrunkId(0));
            for (host, found) in [
                ("eu.sip.example.com", Endpoint::Region(eu)),
                ("EU.sip.Example.com.", Endpoint::Region(eu)),
                ("acme.eu.sip.example.com", Endpoint::Project(eu, acme)),
                ("twilio-ie.acme.eu.sip.example.com", Endpoint::Trunk(eu, trunk)),
                ("t99.acme.eu.sip.example.com", if many { Endpoint::Trunk(eu, TrunkId(100)) } else { Endpoint::Unknown }),
                ("acme.sip.example.com", Endpoint::Global(acme)),
                ("nobody.eu.sip.example.com", Endpoint::Unknown),
                ("other.acme.eu.sip.example.com", Endpoint::Unknown),
                ("twilio-ie.first.eu.sip.example.com", Endpoint::Unknown),
                ("x.twilio-ie.acme.eu.sip.example.com", Endpoint::Unknown),
                ("sip.example.com", Endpoint::Unknown),
                ("", Endpoint::Unknown),
                (".", Endpoint::Unknown),
                (".eu.sip.example.com", Endpoint::Unknown),
            ] {
                assert_eq!(config.endpoint(host.as_bytes()), found, "{host}");
            }
            assert_eq!(config.endpoint(&[b'a'; 300]), Endpoint::Unknown);
        }
    }
}
