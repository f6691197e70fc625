//! What the core asks media relays, and how they answer. A question goes only to an address that the fence has passed.

use std::net::SocketAddr;

use arrayvec::ArrayVec;
use bytes::Bytes;

use crate::closed_list::closed_list;
use crate::config::MAX_RELAYS;
use crate::fence::Fenced;

/// The key of a call whose messages may not overtake each other: a hash of the Call-ID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct CallKey(pub(crate) u128);

/// A question to a media relay (rtpengine's ng protocol).
#[derive(Clone, Debug)]
pub struct RelayRequest {
    /// The relay to ask. Its region's fence has passed the address.
    pub relay: Fenced,
    /// The id that the answer brings back.
    pub id: RelayRequestId,
    /// The command and its content.
    pub body: RelayBody,
}

/// Names a question to a relay. The same message asks the same question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct RelayRequestId {
    /// The call whose message waits for the answer. `None`: no message waits.
    pub call: Option<CallKey>,
    /// The address of the relay.
    pub relay: SocketAddr,
    /// The command.
    pub verb: RelayVerb,
    /// The question's number, which nobody can guess.
    pub cookie: u128,
}

closed_list! {
    /// The commands to a relay.
    pub enum RelayVerb {
        /// Take an offer.
        Offer = "offer",
        /// Take the answer to an offer.
        Answer = "answer",
        /// Forget a call.
        Delete = "delete",
        /// Say whether you are there.
        Ping = "ping",
    }
}

/// The content of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayBody {
    /// An offer or an answer.
    Session {
        /// The relay's name for the call.
        call_id: Vec<u8>,
        /// The tag of the party that made the offer.
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
    /// A ping, without content.
    Ping,
}

/// The answer of a relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RelayReply {
    /// The relay did it. Holds the new session description, if the command asks for one.
    Done(Option<Bytes>),
    /// The relay did not do it.
    Refused,
}

/// Why a question to a relay has no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unanswered {
    /// No answer that can be read came in time.
    Silent,
    /// ICMP or the transport reported that it cannot be reached.
    Unreachable,
    /// The question was not sent, because the daemon ends.
    Unasked,
}

closed_list! {
    /// How a question to a relay ended.
    pub enum RelayOutcome {
        /// The relay did it.
        Ok = "ok",
        /// The relay refused.
        Error = "error",
        /// No answer came.
        Timeout = "timeout",
        /// The answer has an address outside the region, or cannot be read.
        Outside = "outside",
    }
}

/// Relays of one region, in the order to be asked.
pub(crate) type RelayList = ArrayVec<SocketAddr, MAX_RELAYS>;

/// The result of a question, for the message that has waited for it.
#[derive(Debug)]
pub(crate) struct RelayAnswer {
    /// The question's number.
    pub(crate) cookie: u128,
    /// The relay that was asked.
    pub(crate) relay: SocketAddr,
    /// The description that replaces the message's own. `None`: that relay failed.
    pub(crate) sdp: Option<Bytes>,
    /// The relays that have failed the message so far.
    pub(crate) tried: RelayList,
}
