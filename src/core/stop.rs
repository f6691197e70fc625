//! Why a message goes no further, for now or for good. Only says so: [`super::request`] and [`super::response`] act on it.

use crate::config::NextHop;
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
    /// It belongs to a call that was refused for good a moment ago, and is told the same.
    RefusedBefore(Box<RefusedCall>),
    /// It is thrown away without a word.
    Dropped(DropCause),
    /// What becomes of it depends on something that is not known yet.
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
    /// What a name resolves to.
    Name(NextHop),
    /// An earlier message of its call.
    Behind(CallKey),
    /// What a relay says.
    Relay(Box<RelayWait>),
}

/// A question to a relay that a message waits for.
#[derive(Debug)]
pub(crate) struct RelayWait {
    pub(crate) request: RelayRequest,
    /// The relays that have failed the message so far.
    pub(crate) tried: RelayList,
}
