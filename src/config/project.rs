//! A project and its trunks, as the snapshot holds them.

use super::ids::{ProjectId, RegionId, TrunkId};
use super::mode::{Media, Mode};
use super::next_hop::Hop;
use crate::fence::Networks;
use crate::reason::Profile;

/// A project (`[project.*]`): a customer with its pin, its rules and its trunks.
#[derive(Debug)]
pub struct Project {
    /// Its endpoint label, lower case.
    pub name: String,
    /// The regions its calls may use; `None`: unpinned.
    pub pin: Option<Vec<RegionId>>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// What is done about media addresses.
    pub media: Media,
    /// Whether sources must be inside the region too (`source = "in-region"`).
    pub source_in_region: bool,
    /// The answer profile where no trunk is known.
    pub reject: Profile,
    /// Its trunks, in the order of the files.
    pub trunks: Vec<TrunkId>,
}

/// A carrier connection of a project.
#[derive(Debug)]
pub struct Trunk {
    /// The operator's name for it, lower case.
    pub name: String,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// Where it signals from; empty: its certificate alone says who it is.
    pub networks: Networks,
    /// Names of which its client certificate must have one, lower case; empty: none is needed. With `networks` both must hold.
    pub certificates: Vec<String>,
    /// Where its RTP comes from, on top of the region's networks.
    pub media: Networks,
    /// Where its outbound calls go.
    pub outbound: Option<Outbound>,
    /// Where requests inside its calls may go beside `networks`: those that `outbound_networks` names.
    pub reach: Networks,
    /// What makes it stop.
    pub reject: Profile,
}

/// Where a trunk's outbound calls go.
#[derive(Debug)]
pub struct Outbound {
    /// Where calls out are sent: the carrier's address or name.
    pub hop: Hop,
    /// What follows the user part in the Request-URI sent, whose scheme is the call's: `host[:port][;parameters]` of the configured URI.
    pub hostpart: String,
    /// The only addresses that the hop may resolve to.
    pub networks: Networks,
}
