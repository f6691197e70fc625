//! From the numbers of one configuration to those of the next.
//!
//! Ids are places in a snapshot and mean nothing in another. What outlives a reload is renumbered by name; what has no name in the
//! new snapshot belongs to nobody.

use std::collections::HashMap;

use super::transaction::Transaction;
use crate::config::{Config, ProjectId, RegionId, TrunkId};

/// Where everything of the old configuration is in the new one.
#[derive(Debug)]
pub(super) struct Moved {
    regions: HashMap<RegionId, RegionId>,
    projects: HashMap<ProjectId, ProjectId>,
    trunks: HashMap<TrunkId, TrunkId>,
}

impl Moved {
    /// Compares by name: a trunk by its project's and its own.
    pub(super) fn between(old: &Config, new: &Config) -> Self {
        let regions =
            |config: &Config| config.regions.iter().map(|region| region.name.clone()).zip((0..).map(RegionId)).collect();
        let projects =
            |config: &Config| config.projects.iter().map(|project| project.name.clone()).zip((0..).map(ProjectId)).collect();
        let trunks = |config: &Config| {
            let name = |trunk: &crate::config::Trunk| (config.project(trunk.project).name.clone(), trunk.name.clone());
            config.trunks.iter().map(name).zip((0..).map(TrunkId)).collect()
        };
        Self {
            regions: joined(regions(old), &regions(new)),
            projects: joined(projects(old), &projects(new)),
            trunks: joined(trunks(old), &trunks(new)),
        }
    }

    /// Gives a transaction its new numbers. Regions stay as long as the daemon runs, so a region is always found.
    pub(super) fn renumber(&self, transaction: &mut Transaction) {
        transaction.region = self.regions.get(&transaction.region).copied().unwrap_or(transaction.region);
        if let Some(serving) = &mut transaction.serving {
            serving.region = self.regions.get(&serving.region).copied().unwrap_or(serving.region);
        }
        transaction.project = transaction.project.and_then(|project| self.projects.get(&project).copied());
        transaction.trunk = transaction.trunk.and_then(|trunk| self.trunks.get(&trunk).copied());
    }
}

fn joined<N: std::hash::Hash + Eq, I: std::hash::Hash + Eq + Copy>(old: HashMap<N, I>, new: &HashMap<N, I>) -> HashMap<I, I> {
    old.into_iter().filter_map(|(name, was)| new.get(&name).map(|&is| (was, is))).collect()
}
