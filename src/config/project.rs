//! A project and its trunks, as the snapshot holds them: small, because there may be a million. What most trunks lack, and what many
//! trunks have alike, stands behind one pointer.

use std::sync::Arc;
use std::time::Duration;

use super::ids::{NameId, ProjectId, RegionId, TrunkId};
use super::mode::{Media, Mode};
use super::next_hop::Hop;
use super::number_limits::NumberLimits;
use crate::fence::{Networks, canonical};
use crate::reason::Profile;
use crate::sip::uri::{Host, host_port};

/// Most trunks in `out`.
pub const MOST_WAYS_OUT: usize = 16;

/// A project (`[project.*]`): a customer with its pin, its rules and its trunks.
#[derive(Debug)]
pub struct Project {
    /// Its endpoint label, lower case.
    pub name: Box<str>,
    /// The regions its calls may use; `None`: unpinned.
    pub pin: Option<Arc<[RegionId]>>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// How media addresses are treated.
    pub media: Media,
    /// Whether sources must be inside the region too (`source = "in-region"`).
    pub source_in_region: bool,
    /// The answer profile if no trunk is known.
    pub reject: Profile,
    /// The trunks by which its servers' calls to its own endpoint go out, in order (`out`), at most [`MOST_WAYS_OUT`]. Empty: they go out by
    /// a trunk's own name alone.
    pub out: Box<[TrunkId]>,
    /// The first of its trunks, and how many there are: they stand side by side.
    pub(super) first_trunk: TrunkId,
    pub(super) trunk_count: u32,
}

impl Project {
    /// Its trunks, in the order of the files.
    pub fn trunks(&self) -> impl ExactSizeIterator<Item = TrunkId> + Clone + use<> {
        let TrunkId(first) = self.first_trunk;
        (0..self.trunk_count).map(move |at| TrunkId(first.saturating_add(at)))
    }
}

/// A carrier connection of a project.
#[derive(Debug)]
pub struct Trunk {
    /// The operator's name for it, lower case. Trunks of one name share it.
    pub name: Arc<str>,
    /// The project that it belongs to.
    pub project: ProjectId,
    /// The answer profile that makes this carrier stop.
    pub reject: Profile,
    /// The networks that it signals from. Empty: only its certificate says who it is.
    pub networks: Networks,
    /// `None`: only the networks that it signals from are known of it.
    pub(super) more: Option<Arc<More>>,
}

/// What most trunks lack, or have like others.
#[derive(Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct More {
    pub(super) certificates: Box<[Box<str>]>,
    pub(super) media: Networks,
    pub(super) outbound: Option<Outbound>,
    pub(super) reach: Networks,
    pub(super) numbers: Option<NumberLimits>,
}

impl Trunk {
    /// The certificate names, lower case, of which it must prove one. Empty: no certificate is needed. If `networks` is set too,
    /// both must match.
    pub fn certificates(&self) -> &[Box<str>] {
        self.more.as_deref().map(|more| &*more.certificates).unwrap_or_default()
    }

    /// The networks of its RTP, in addition to the region's networks.
    pub fn media(&self) -> &Networks {
        self.more.as_deref().map_or(&Networks::NONE, |more| &more.media)
    }

    /// The target of its outbound calls.
    pub fn outbound(&self) -> Option<&Outbound> {
        self.more.as_deref()?.outbound.as_ref()
    }

    /// What its calls may be by their numbers. `None`: nothing is said of it, so [`Config::plain_numbers`](super::Config) holds.
    pub fn numbers(&self) -> Option<&NumberLimits> {
        self.more.as_deref()?.numbers.as_ref()
    }

    /// Where requests inside its calls may go, beside `networks`: the networks of `outbound_networks`.
    pub fn reach(&self) -> &Networks {
        self.more.as_deref().map_or(&Networks::NONE, |more| &more.reach)
    }
}

/// The target of a trunk's outbound calls.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Outbound {
    /// The addresses or names of the carrier's gateways, to which calls out are sent, in the order to be tried.
    pub hops: Box<[Hop]>,
    /// Of each, the part of the Request-URI after the user, from the configured URI: `host[:port][;parameters]`. The scheme is the call's.
    pub hostparts: Box<[Box<str>]>,
    /// The only addresses that the hops may resolve to.
    pub networks: Networks,
    /// The answers of a gateway, before it rings, after which the next one is tried (`advance`), in order. 503 always is one.
    pub advance: Box<[u16]>,
    /// How often each gateway is asked whether it is there (`ping`). `None`: it is not asked.
    pub ping: Option<Duration>,
}

impl Outbound {
    /// Whether one of its gateways is called by this host, whatever its port.
    pub fn has_host(&self, host: &Host<'_>) -> bool {
        self.hostparts.iter().any(|hostpart| names_host(hostpart, host))
    }

    /// The hostpart of one of the gateways. Without that gateway: of the first.
    pub fn hostpart(&self, gateway: u8) -> &str {
        self.hostparts.get(usize::from(gateway)).or_else(|| self.hostparts.first()).map_or("", |hostpart| hostpart)
    }

    /// Its gateways, each with its place in `uri`.
    pub fn gateways(&self) -> impl Iterator<Item = (u8, Hop)> {
        (0..).zip(self.hops.iter().copied())
    }

    /// The names of its gateways.
    pub fn names(&self) -> impl Iterator<Item = NameId> {
        self.hops.iter().filter_map(|hop| if let Hop::Name(id) = *hop { Some(id) } else { None })
    }
}

/// Whether a gateway's hostpart names this host: names without case, addresses in any spelling.
pub(crate) fn names_host(hostpart: &str, host: &Host<'_>) -> bool {
    let of = hostpart.split(';').next().and_then(|hostport| host_port(hostport.as_bytes())).map(|(of, _)| of);
    match (of, host) {
        (Some(Host::Name(of)), Host::Name(name)) => of.eq_ignore_ascii_case(name),
        (Some(Host::Address(of)), Host::Address(ip)) => canonical(of) == canonical(*ip),
        _ => false,
    }
}
