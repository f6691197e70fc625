//! The realtime gate (`[gate]`), and the keys of the realtime servers: whose tokens a project's are.

use std::hash::{BuildHasher as _, RandomState};
use std::net::SocketAddr;

use hashbrown::HashTable;

use super::ids::ProjectId;

/// Most keys of a project.
pub(super) const MOST_API_KEYS: usize = 64;
/// Most connections of the gate if `connections` is absent, and what it may be.
pub(super) const GATE_CONNECTIONS: u64 = 1024;
pub(super) const GATE_CONNECTIONS_BOUNDS: std::ops::RangeInclusive<u64> = 16..=65_536;

/// Where reverse proxies ask whether a client may pass (`[gate]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gate {
    /// The address and port to listen on, by HTTP.
    pub listen: SocketAddr,
    /// Most connections at a time.
    pub connections: usize,
}

/// The keys of all projects, each once.
#[derive(Debug, Default)]
pub struct ApiKeys {
    /// In the order of the projects.
    list: Vec<(ProjectId, Box<str>)>,
    index: HashTable<u32>,
    hasher: RandomState,
}

impl ApiKeys {
    /// Adds a key of a project, which is none before one that has keys already. `Err`: the project that has it.
    pub(super) fn add(&mut self, project: ProjectId, key: &str) -> Result<(), ProjectId> {
        if let Some(owner) = self.find(key) {
            return Err(owner);
        }
        let Self { list, index, hasher } = self;
        let hash = hasher.hash_one(key);
        let at = u32::try_from(list.len()).unwrap_or(u32::MAX);
        list.push((project, key.into()));
        index.insert_unique(hash, at, |&at| list.get(at as usize).map_or(0, |(_, key)| hasher.hash_one(&**key)));
        Ok(())
    }

    /// The project of a key.
    pub(super) fn find(&self, key: &str) -> Option<ProjectId> {
        self.list.get(self.place(key)?).map(|(project, _)| *project)
    }

    /// The number of a key, in the order in which they were added.
    pub(super) fn place(&self, key: &str) -> Option<usize> {
        let is = |&at: &u32| self.list.get(at as usize).is_some_and(|(_, of)| **of == *key);
        self.index.find(self.hasher.hash_one(key), is).map(|&at| at as usize)
    }

    /// The keys of a project, in the order of the file.
    pub fn of(&self, project: ProjectId) -> impl Iterator<Item = &str> {
        let from = self.list.partition_point(|(of, _)| *of < project);
        self.list.iter().skip(from).take_while(move |(of, _)| *of == project).map(|(_, key)| &**key)
    }

    /// All keys, each with its project.
    pub(super) fn all(&self) -> impl Iterator<Item = (ProjectId, &str)> {
        self.list.iter().map(|(project, key)| (*project, &**key))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_one_projects() {
        let mut keys = ApiKeys::default();
        for (project, key) in [(1, "a"), (1, "b"), (4, "c")] {
            keys.add(ProjectId(project), key).unwrap();
        }
        assert_eq!(keys.add(ProjectId(5), "b"), Err(ProjectId(1)));
        assert_eq!(["a", "b", "c", "A", ""].map(|key| keys.find(key).map(|id| id.0)), [Some(1), Some(1), Some(4), None, None]);
        let of = |id| keys.of(ProjectId(id)).collect::<Vec<_>>();
        assert_eq!([of(0), of(1), of(4), of(5)], [vec![], vec!["a", "b"], vec!["c"], vec![]]);
    }
}
