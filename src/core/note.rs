//! What is counted and logged: closed lists, and ids of the configuration in force. A note changes nothing.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::closed_list::closed_list;
use crate::config::{ProjectId, RegionId, Transport, TrunkId};
use crate::core::audit_note::{AnswerTold, EndTold, MediaNamed, RequestTold};
use crate::core::relay_request::{RelayOutcome, RelayVerb};
use crate::numbering::Country;
use crate::reason::Reason;
use crate::sip::{Fault, Method};

/// Something to be counted and logged. Ids are of the configuration in force.
#[derive(Clone, Debug, PartialEq)]
pub enum Note {
    /// A message arrived and had this outcome. It is the last note of each message.
    Arrived {
        /// The listener's region.
        region: RegionId,
        /// The transport by which the message came.
        transport: Transport,
        /// The method, if it is a request that could be read so far.
        method: Option<Method>,
        /// The status code, if it is a response that could be read so far.
        code: Option<u16>,
        /// What became of it.
        outcome: Outcome,
    },
    /// A verdict on a request.
    Verdict {
        /// The region whose listener was called.
        region: RegionId,
        /// The project, if one is known.
        project: Option<ProjectId>,
        /// The trunk, if one is known.
        trunk: Option<TrunkId>,
        /// The verdict.
        verdict: Verdict,
        /// The reason.
        reason: Reason,
        /// The failing field and its value, for a person: printable ASCII without quotes. `None`: the request passed every rule, or
        /// its source is a stranger, of which there is nothing to say but its address.
        why: Option<Arc<str>>,
        /// Of a call that passes: the address to which its servers would send their requests inside it, if that is outside.
        unreachable: Option<SocketAddr>,
        /// What the audit record is told beside it, if one is kept.
        told: Option<Box<RequestTold>>,
    },
    /// A number was read: the called one of a call out, the calling one of a call in.
    Number {
        /// The region whose listener was called.
        region: RegionId,
        /// Whether it is that of a call out.
        outbound: bool,
        /// Whose it is. `None`: nobody's that is known, or it is no number.
        country: Option<Country>,
    },
    /// An emergency number was called.
    Emergency {
        /// The region whose listener was called.
        region: RegionId,
        /// The project.
        project: ProjectId,
        /// The trunk that it goes out by.
        trunk: TrunkId,
    },
    /// A call came again after a final refusal, because the carrier retries.
    Repeat {
        /// The region whose listener was called.
        region: RegionId,
        /// The project, if one is known.
        project: Option<ProjectId>,
        /// The trunk, if one is known.
        trunk: Option<TrunkId>,
    },
    /// A response left: relayed or made here.
    Responded {
        /// The region whose listener was called.
        region: RegionId,
        /// Whether it came from a next hop. Otherwise we made it.
        relayed: bool,
        /// Its status code.
        code: u16,
    },
    /// The first response above 100 to an INVITE.
    Setup {
        /// The region whose listener was called.
        region: RegionId,
        /// The time from the INVITE to that response.
        after: Duration,
    },
    /// The first response of one of the region's servers to a request.
    Answered {
        /// The region.
        region: RegionId,
        /// The time from the first sending to that response.
        after: Duration,
    },
    /// A target's health has changed.
    Health {
        /// The region whose server it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// The transport by which calls reach it.
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
        /// The side that the message was to go to.
        direction: Direction,
        /// What the message says of its media.
        spoken: Spoken,
        /// The addresses that were judged, if there are any and an audit record is kept.
        named: Option<Box<MediaNamed>>,
    },
    /// An INVITE that opens a call has its final answer. Said only if an audit record is kept, and before the answer's verdict.
    CallAnswered(Box<AnswerTold>),
    /// A call has ended. Said only if an audit record is kept.
    CallEnded(Box<EndTold>),
    /// A relay was asked something.
    RelayAsked {
        /// The region whose relay it is.
        region: RegionId,
        /// The command.
        verb: RelayVerb,
        /// How the question ended.
        result: RelayOutcome,
    },
    /// A relay's health has changed.
    Relay {
        /// The region whose relay it is.
        region: RegionId,
        /// Its address.
        addr: SocketAddr,
        /// The failure, if it went down. `None`: it is up.
        failure: Option<Failure>,
    },
    /// The first offer of a new call went through a relay.
    MediaRelayed {
        /// The region that was called.
        region: RegionId,
    },
    /// A request was turned away, because its trunk has used up its share of something.
    ShareUsedUp {
        /// The region that was called.
        region: RegionId,
        /// The project and the trunk.
        whose: (Option<ProjectId>, Option<TrunkId>),
        /// What it has used up.
        share: Share,
    },
    /// A transaction was opened or released.
    Transactions {
        /// The region whose listener was called.
        region: RegionId,
        /// Whether it is an INVITE transaction.
        invite: bool,
        /// `true`: opened. `false`: released.
        opened: bool,
    },
}

closed_list! {
    /// What was decided.
    pub enum Verdict {
        /// The request may pass.
        Accept = "accept",
        /// The request is refused.
        Refuse = "refuse",
        /// A rule refuses the request, but the project is in shadow mode (or has `media = "warn"`), so the request passed.
        Shadow = "shadow",
    }
}

closed_list! {
    /// The side of a call that a message was to go to.
    pub enum Direction {
        /// To the region's servers.
        In = "in",
        /// To the trunk.
        Out = "out",
    }
}

closed_list! {
    /// Where a message wants its media.
    pub enum Spoken {
        /// The message names no media address.
        None = "none",
        /// All media addresses are inside.
        Inside = "inside",
        /// At least one media address is outside.
        Outside = "outside",
        /// The message holds something that cannot be checked.
        Unreadable = "unreadable",
    }
}

/// The health of one target or relay, as `/status`, `ringfence_upstream_up` and `ringfence_relay_up` show it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TargetStatus {
    /// The region whose server it is.
    pub region: RegionId,
    /// Its address. That region's fence passed it when it was learnt.
    pub addr: SocketAddr,
    /// The transport by which it is reached.
    pub transport: Transport,
    /// Whether calls go there.
    pub state: Health,
    /// When it came into this state.
    pub since: Instant,
    /// When it last answered.
    pub heard: Option<Instant>,
    /// The last failure, if there was one.
    pub failure: Option<Failure>,
    /// Whether it is a media relay: no SIP goes there.
    pub relay: bool,
}

/// The health of one gateway of a trunk that is asked whether it is there, as `ringfence_gateway_up` shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GatewayStatus {
    /// The region that asks it.
    pub region: RegionId,
    /// Its trunk.
    pub trunk: TrunkId,
    /// Its place in the trunk's `uri`.
    pub at: u8,
    /// Whether one of its addresses answers.
    pub is_up: bool,
}

closed_list! {
    /// Whether calls go to a target.
    pub enum Health {
        /// Calls go there.
        Up = "up",
        /// It was down and gets its share of calls little by little.
        Rising = "rising",
        /// No call goes there while another target is up.
        Down = "down",
    }
}

closed_list! {
    /// How a target failed.
    pub enum Failure {
        /// Nothing came back in time.
        Silent = "silent",
        /// The transport or ICMP reported that it cannot be reached.
        Unreachable = "unreachable",
        /// It answered 503, or 408 to OPTIONS.
        Unavailable = "unavailable",
    }
}

/// What became of one message that arrived. Exactly one for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// A request went on to a next hop.
    Forwarded,
    /// A request was answered here, without refusing a call: OPTIONS, CANCEL, 405, 483 …
    Answered(u16),
    /// A message was refused for this reason: it went no further, and its sender was told if possible.
    Refused(Reason),
    /// A response went back to where its request came from.
    Relayed,
    /// Ends here without an answer: a retransmission, an ACK for our own answer, a 100, or a response that ends a CANCEL.
    Absorbed,
    /// A stray response or ACK: it was read, but no transaction waits for it.
    Stray,
    /// It could not be read. A request is answered if possible.
    Malformed(Fault),
    /// Thrown away without an answer.
    Dropped(DropCause),
}

impl Outcome {
    /// Whether the message shows that its sender may speak here. An outcome that any sender may cause shows nothing.
    pub const fn is_admitted(self) -> bool {
        match self {
            Self::Forwarded | Self::Answered(_) | Self::Relayed => true,
            Self::Refused(reason) => !matches!(reason, Reason::UnknownSource),
            Self::Absorbed | Self::Stray | Self::Malformed(_) | Self::Dropped(_) => false,
        }
    }

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

closed_list! {
    /// Why a message was thrown away without an answer.
    pub enum DropCause {
        /// Its source sends too much (`per_source`).
        Flood = "flood",
        /// An ACK whose next hop is outside or unknown: an ACK cannot be refused.
        AckTarget = "ack-target",
        /// A keep-alive or something shorter than any message.
        Empty = "empty",
        /// A provisional response that nobody waits for, with media that is outside, cannot be read or cannot go through a relay.
        Media = "media",
        /// Too many messages wait already. The sender will retransmit it.
        Behind = "behind",
        /// A request that is left to the process that takes over the sockets: that process gets the retransmission.
        Successor = "successor",
    }
}

closed_list! {
    /// What each trunk has a share of.
    pub enum Share {
        /// Open transactions (`limits.transactions`).
        Transactions = "transactions",
        /// Octets that open and completed transactions hold (`limits.memory`).
        Memory = "memory",
        /// Names that are looked up for it, and calls that wait for names.
        Names = "names",
        /// Calls that wait for media relays.
        Relays = "relays",
        /// Requests a second inside dialogs.
        Pace = "pace",
    }
}
