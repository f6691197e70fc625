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
    /// How media addresses are treated.
    pub media: Media,
    /// Whether sources must be inside the region too (`source = "in-region"`).
    pub source_in_region: bool,
    /// The answer profile if no trunk is known.
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
    /// The networks that it signals from. Empty: only its certificate says who it is.
    pub networks: Networks,
    /// The certificate names, lower case, of which it must prove one. Empty: no certificate is needed. If `networks` is set too,
    /// both must match.
    pub certificates: Vec<String>,
    /// The networks of its RTP, in addition to the region's networks.
    pub media: Networks,
    /// The target of its outbound calls.
    pub outbound: Option<Outbound>,
    /// Where requests inside its calls may go, beside `networks`: the networks of `outbound_networks`.
    pub reach: Networks,
    /// The answer profile that makes this carrier stop.
    pub reject: Profile,
}

/// The target of a trunk's outbound calls.
#[derive(Debug)]
pub struct Outbound {
    /// The carrier's address or name, to which calls out are sent.
    pub hop: Hop,
    /// The part of the Request-URI after the user, from the configured URI: `host[:port][;parameters]`. The scheme is the call's.
    pub hostpart: String,
    /// The only addresses that the hop may resolve to.
    pub networks: Networks,
}
