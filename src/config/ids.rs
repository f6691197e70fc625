//! The numbers of regions, projects, trunks, listeners and names: indices into one snapshot. `load` makes them for that snapshot.
//! In another snapshot they mean nothing.

/// Index of a region in [`Config::regions`](super::Config::regions).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(pub u16);

/// Index of a project in [`Config::projects`](super::Config::projects).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(pub u32);

/// Index of a trunk in [`Config::trunks`](super::Config::trunks).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u32);

/// Index of a listener in [`Config::listeners`](super::Config::listeners).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Index of a name in [`Config::names`](super::Config::names).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);
