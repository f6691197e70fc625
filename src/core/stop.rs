//! Why a message goes no further, for now or for good. Only says so; [`super::request`] and [`super::response`] act on it.

use crate::config::{NextHop, TrunkId};
use crate::core::io::{CallKey, DropCause, RelayRequest};
use crate::core::memory::refused_calls::RefusedCall;
use crate::core::relay_request::RelayList;
use crate::core::rules::refusal::{Answer, Refusal};

/// What becomes of a message that is not forwarded now.
#[derive(Debug)]
pub(crate) enum Stop {
    /// A rule refuses it.
    Refused(Refusal),
    /// It is answered here.
    Answered(Answer),
    /// It belongs to a call that was refused for good in the last minute, and gets the same answer.
    RefusedBefore(Box<RefusedCall>),
    /// It is thrown away without an answer.
    Dropped(DropCause),
    /// It cannot be decided yet, because something is not known yet.
    Waits(Pending),
}

impl From<Refusal> for Stop {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl From<Answer> for Stop {
    fn from(answer: Answer) -> Self {
        Self::Answered(answer)
    }
}

/// What a message waits for.
#[derive(Debug)]
pub(crate) enum Pending {
    /// The servers of this name, for a call of this trunk.
    Name(NextHop, TrunkId),
    /// An earlier message of its call.
    Behind(CallKey),
    /// The answer of a media relay.
    Relay(Box<RelayWait>),
}

/// A question to a relay that a message waits for.
#[derive(Debug)]
pub(crate) struct RelayWait {
    pub(crate) request: RelayRequest,
    /// The trunk of the call.
    pub(crate) trunk: Option<TrunkId>,
    /// The relays that have failed the message so far.
    pub(crate) tried: RelayList,
}
