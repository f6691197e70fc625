//! What the core asks media relays, and what comes of it. A question goes to an address that the fence has passed.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::config::MAX_RELAYS;
use crate::fence::Fenced;

/// A call, as far as messages may not overtake each other: all that has one Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(pub(crate) u128);

/// A question to a media relay (rtpengine's ng protocol).
#[derive(Clone, Debug)]
pub struct RelayRequest {
    /// Where it goes: the fence of the relay's region has passed it.
    pub relay: Fenced,
    /// What its answer is known by.
    pub exchange: RelayRequestId,
    /// What is asked.
    pub command: RelayBody,
}

/// Names a question to a relay. The same message asks the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelayRequestId {
    /// The call whose message waits for the answer; `None`: none does.
    pub call: Option<CallKey>,
    /// Which relay.
    pub relay: SocketAddr,
    /// What is asked.
    pub ask: RelayVerb,
    /// The question's number. Nobody can guess it.
    pub cookie: u128,
}

/// What a relay can be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RelayVerb {
    /// To take an offer.
    Offer,
    /// To take the answer to an offer.
    Answer,
    /// To forget a call.
    Delete,
    /// Whether it is there.
    Ping,
}

impl RelayVerb {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Offer, Self::Answer, Self::Delete, Self::Ping];

    /// The command's name in the protocol, and the metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Offer => "offer",
            Self::Answer => "answer",
            Self::Delete => "delete",
            Self::Ping => "ping",
        }
    }
}

/// A question's content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayBody {
    /// An offer or an answer.
    Session {
        /// The relay's name for the call.
        call_id: Vec<u8>,
        /// The tag of whoever made the offer.
        from_tag: Vec<u8>,
        /// The tag of the other side, if it has one yet.
        to_tag: Option<Vec<u8>>,
        /// The session description.
        sdp: Vec<u8>,
    },
    /// The end of a call.
    Delete {
        /// The relay's name for the call.
        call_id: Vec<u8>,
    },
    /// Nothing but the question.
    Ping,
}

/// What a relay said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayReply {
    /// That it was done; with the session description to be sent on, if it was asked for one.
    Done(Option<Bytes>),
    /// That it was not done.
    Refused,
}

/// Why a relay has not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// Nothing that can be read came back in time.
    Silent,
    /// ICMP or the transport said that nothing gets there.
    Unreachable,
    /// It was not asked: the daemon ends.
    Unasked,
}

/// How a question to a relay ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RelayOutcome {
    /// Well.
    Ok,
    /// The relay refused.
    Error,
    /// No answer.
    Timeout,
    /// It answered with an address outside the region, or with what cannot be read.
    Outside,
}

impl RelayOutcome {
    /// All, in the order of the discriminants.
    pub const ALL: [Self; 4] = [Self::Ok, Self::Error, Self::Timeout, Self::Outside];

    /// The metric label.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Error => "error",
            Self::Timeout => "timeout",
            Self::Outside => "outside",
        }
    }
}

/// Relays of one region, in the order to be asked.
pub(crate) type RelayList = ArrayVec<SocketAddr, MAX_RELAYS>;

/// What came of a question, for the message that has waited for it.
#[derive(Debug)]
pub(crate) struct RelayAnswer {
    /// The question's number.
    pub(crate) cookie: u128,
    /// The relay that was asked.
    pub(crate) relay: SocketAddr,
    /// The description that goes on instead. `None`: that relay failed.
    pub(crate) sdp: Option<Bytes>,
    /// The relays that have failed the message so far.
    pub(crate) tried: RelayList,
}
