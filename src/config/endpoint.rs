//! From a host name to the endpoint it names.
//!
//! Compares names; knows nothing of listeners, sources or pins.

use std::collections::HashMap;

use super::ids::{ProjectId, RegionId, TrunkId};

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

/// Every name served anywhere, by suffix.
#[derive(Debug, Default)]
pub struct Endpoints {
    regions: HashMap<Box<[u8]>, RegionId>,
    global: Option<Box<[u8]>>,
    projects: HashMap<Box<[u8]>, ProjectId>,
    trunks: HashMap<(ProjectId, Box<[u8]>), TrunkId>,
}

/// The longest name that DNS can carry in text form (RFC 1035 3.1).
const LONGEST: usize = 253;

impl Endpoints {
    /// Adds a region's hostname, lower case.
    pub(crate) fn add_region(&mut self, hostname: &str, region: RegionId) {
        self.regions.insert(hostname.as_bytes().into(), region);
    }

    /// Sets the global hostname, lower case.
    pub(crate) fn set_global(&mut self, hostname: &str) {
        self.global = Some(hostname.as_bytes().into());
    }

    /// Adds a project's label, lower case.
    pub(crate) fn add_project(&mut self, label: &str, project: ProjectId) {
        self.projects.insert(label.as_bytes().into(), project);
    }

    /// Adds a trunk's label in front of its project's, lower case.
    pub(crate) fn add_trunk(&mut self, project: ProjectId, label: &str, trunk: TrunkId) {
        self.trunks.insert((project, label.as_bytes().into()), trunk);
    }

    /// The region that a host name is an endpoint of. `None`: it is none's, or any region may serve it.
    pub(crate) fn region_of(&self, host: &[u8]) -> Option<RegionId> {
        match self.find(host) {
            Endpoint::Region(region) | Endpoint::Project(region, _) | Endpoint::Trunk(region, _) => Some(region),
            Endpoint::Global(_) | Endpoint::Unknown => None,
        }
    }

    /// The global hostname, lower case.
    pub fn global(&self) -> Option<&str> {
        std::str::from_utf8(self.global.as_deref()?).ok()
    }

    /// The project of a label, lower case.
    pub fn project(&self, label: &str) -> Option<ProjectId> {
        self.projects.get(label.as_bytes()).copied()
    }

    /// What a host name from the wire stands for. Upper and lower case are the same (RFC 3261 19.1.4), and one trailing dot is
    /// ignored.
    pub fn find(&self, host: &[u8]) -> Endpoint {
        let host = host.strip_suffix(b".").unwrap_or(host);
        let mut lower = [0_u8; LONGEST];
        let Some(lower) = lower.get_mut(..host.len()) else { return Endpoint::Unknown };
        lower.copy_from_slice(host);
        lower.make_ascii_lowercase();
        self.find_lower(lower).unwrap_or(Endpoint::Unknown)
    }

    fn find_lower(&self, host: &[u8]) -> Option<Endpoint> {
        if let Some(&region) = self.regions.get(host) {
            return Some(Endpoint::Region(region));
        }
        let (first, rest) = split(host)?;
        if let Some(&region) = self.regions.get(rest) {
            return self.projects.get(first).map(|&project| Endpoint::Project(region, project));
        }
        if self.global.as_deref() == Some(rest) {
            return self.projects.get(first).map(|&project| Endpoint::Global(project));
        }
        let (second, rest) = split(rest)?;
        let (&region, &project) = (self.regions.get(rest)?, self.projects.get(second)?);
        self.trunks.get(&(project, first.into())).map(|&trunk| Endpoint::Trunk(region, trunk))
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
        let mut endpoints = Endpoints::default();
        let (eu, acme, trunk) = (RegionId(0), ProjectId(7), TrunkId(3));
        endpoints.add_region("eu.sip.example.com", eu);
        endpoints.set_global("sip.example.com");
        endpoints.add_project("acme", acme);
        endpoints.add_trunk(acme, "twilio-ie", trunk);
        for (host, found) in [
            ("eu.sip.example.com", Endpoint::Region(eu)),
            ("EU.sip.Example.com.", Endpoint::Region(eu)),
            ("acme.eu.sip.example.com", Endpoint::Project(eu, acme)),
            ("twilio-ie.acme.eu.sip.example.com", Endpoint::Trunk(eu, trunk)),
            ("acme.sip.example.com", Endpoint::Global(acme)),
            ("nobody.eu.sip.example.com", Endpoint::Unknown),
            ("other.acme.eu.sip.example.com", Endpoint::Unknown),
            ("x.twilio-ie.acme.eu.sip.example.com", Endpoint::Unknown),
            ("sip.example.com", Endpoint::Unknown),
            ("", Endpoint::Unknown),
            (".", Endpoint::Unknown),
            (".eu.sip.example.com", Endpoint::Unknown),
        ] {
            assert_eq!(endpoints.find(host.as_bytes()), found, "{host}");
        }
        assert_eq!(endpoints.find(&[b'a'; 300]), Endpoint::Unknown);
    }
}
