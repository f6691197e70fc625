//! What is counted and logged: closed lists, and ids of the configuration in force. Nothing follows from a note.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::config::{ProjectId, RegionId, Transport, TrunkId};
use crate::core::relay_request::{RelayOutcome, RelayVerb};
use crate::reason::Reason;
use crate::sip::{Fault, Method};

/// Something to be counted and logged. Ids are of the configuration in force.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Note {
    /// A message arrived and ended so. The last note of each message.
    Arrived {
        /// The listener's region.
        region: RegionId,
        /// How it came.
        transport: Transport,
        /// The method of a request that could be read that far.
        method: Option<Method>,
        /// The code of a response that could be read that far.
        code: Option<u16>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A verdict on a request.
    Verdict {
        /// The region.
        region: RegionId,
        /// The project, where one is known.
        project: Option<ProjectId>,
        /// The trunk, where one is known.
        trunk: Option<TrunkId>,
        /// What was decided.
        verdict: Verdict,
        /// Why.
        reason: Reason,
    },
    /// A call came again after a final refusal: the carrier retries.
    Repeat {
        /// The region.
        region: RegionId,
        /// The project, where one is known.
        project: Option<ProjectId>,
        /// The trunk, where one is known.
        trunk: Option<TrunkId>,
    },
    /// A response left: relayed or made here.
    Responded {
        /// The region.
        region: RegionId,
        /// Whether it came from a next hop (otherwise it was made here).
        relayed: bool,
        /// Its code.
        code: u16,
    },
    /// The first response above 100 to an INVITE came so long after it.
    Setup {
        /// The region.
        region: RegionId,
        /// INVITE to that response.
        after: Duration,
    },
    /// A server of the region gave its first response to a request, so long after it was sent there.
    Answered {
        /// The region.
        region: RegionId,
        /// The first sending to that response.
        after: Duration,
    },
    /// A target's health has changed.
    Health {
        /// The region whose server it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// How it is reached.
        transport: Transport,
        /// Whether calls go there from now on.
        state: Health,
        /// What failed, if it went down.
        failure: Option<Failure>,
    },
    /// A message was judged by the media that it speaks of.
    Media {
        /// The region that was called.
        region: RegionId,
        /// To which side it was to go.
        direction: Direction,
        /// What it says.
        spoken: Spoken,
    },
    /// A relay was asked something.
    RelayAsked {
        /// The region whose relay it is.
        region: RegionId,
        /// What.
        verb: RelayVerb,
        /// How that ended.
        result: RelayOutcome,
    },
    /// A relay's health has changed.
    Relay {
        /// The region whose relay it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// What failed, if it went down; `None`: it is up.
        failure: Option<Failure>,
    },
    /// The first offer of a new call was led through a relay.
    MediaRelayed {
        /// The region that was called.
        region: RegionId,
    },
    /// A transaction was opened or released.
    Transactions {
        /// The region.
        region: RegionId,
        /// Whether it is an INVITE's.
        invite: bool,
        /// Opened or released.
        opened: bool,
    },
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It may pass.
    Accept,
    /// It may not.
    Refuse,
    /// It may not, but the project is in shadow mode (or `media = "warn"`): it passed.
    Shadow,
}

impl Verdict {
    /// Every verdict, for metric tables.
    pub const ALL: [Self; 3] = [Self::Accept, Self::Refuse, Self::Shadow];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Refuse => "refuse",
            Self::Shadow => "shadow",
        }
    }
}

/// To which side of a call a message was to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To the region's servers.
    In,
    /// To the trunk.
    Out,
}

impl Direction {
    /// Both, in the order of the discriminants.
    pub const ALL: [Self; 2] = [Self::In, Self::Out];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::In => "in",
            Self::Out => "out",
        }
    }
}

/// What a message says of where media is to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Spoken {
    /// Nothing.
    None,
    /// All of it inside.
    Inside,
    /// Some of it outside.
    Outside,
    /// Something that cannot be checked.
    Unreadable,
}

impl Spoken {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::None, Self::Inside, Self::Outside, Self::Unreadable];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Inside => "inside",
            Self::Outside => "outside",
            Self::Unreadable => "unreadable",
        }
    }
}

/// A target or a relay as it stands: what `/status`, `ringfence_upstream_up` and `ringfence_relay_up` show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// The region whose server it is.
    pub region: RegionId,
    /// Its address. Passed by that region's fence when it was learnt.
    pub addr: SocketAddr,
    /// How it is reached.
    pub transport: Transport,
    /// Whether calls go there.
    pub state: Health,
    /// Since when.
    pub since: Instant,
    /// When anything was heard of it last.
    pub heard: Option<Instant>,
    /// What failed last, if anything did.
    pub failure: Option<Failure>,
    /// Whether it is a media relay: no SIP goes there.
    pub relay: bool,
}

/// Whether calls go to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing speaks against it.
    Up,
    /// It was down and gets its share of calls little by little.
    Rising,
    /// No call goes there while another target is up.
    Down,
}

impl Health {
    /// As in `/status` and the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Rising => "rising",
            Self::Down => "down",
        }
    }
}

/// How a target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Nothing came back in time.
    Silent,
    /// The transport or ICMP said that nothing gets there.
    Unreachable,
    /// It answered 503, or 408 to OPTIONS.
    Unavailable,
}

impl Failure {
    /// As in `/status` and the log.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Unreachable => "unreachable",
            Self::Unavailable => "unavailable",
        }
    }
}

/// What became of one message that arrived. Exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A request went on to a next hop.
    Forwarded,
    /// A request was answered here, without refusing a call: OPTIONS, CANCEL, 405, 483 …
    Answered(u16),
    /// A message was refused for this reason: it went no further, and whoever can be told was told.
    Refused(Reason),
    /// A response went back to where its request came from.
    Relayed,
    /// Taken in without a word: a retransmission, an ACK for our own answer, a 100, a response that ends a CANCEL.
    Absorbed,
    /// Understood, but nobody waits for it: a stray response or ACK.
    Stray,
    /// Not understood. Requests are answered where they can be.
    Malformed(Fault),
    /// Thrown away without a word.
    Dropped(DropCause),
}

impl Outcome {
    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Forwarded => "forwarded",
            Self::Answered(_) => "answered",
            Self::Refused(_) => "refused",
            Self::Relayed => "relayed",
            Self::Absorbed => "absorbed",
            Self::Stray => "stray",
            Self::Malformed(_) => "malformed",
            Self::Dropped(_) => "dropped",
        }
    }
}

/// Why a message was thrown away without a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropCause {
    /// Its source sends too much (`per_source`).
    Flood,
    /// An ACK whose next hop is outside or unknown: an ACK cannot be refused.
    AckTarget,
    /// A keep-alive or something shorter than any message.
    Empty,
    /// A provisional response whose media is outside, cannot be read or cannot be led through a relay, and that nobody waits for.
    Media,
    /// Too many messages wait for relays: whoever sent it will send it again.
    Behind,
    /// A request left to the process that takes the sockets over: it gets the repetition.
    Successor,
}

impl DropCause {
    /// Every cause, for metric tables.
    pub const ALL: [Self; 6] = [Self::Flood, Self::AckTarget, Self::Empty, Self::Media, Self::Behind, Self::Successor];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::AckTarget => "ack-target",
            Self::Empty => "empty",
            Self::Media => "media",
            Self::Behind => "behind",
            Self::Successor => "successor",
        }
    }
}
