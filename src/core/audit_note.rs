//! What the audit record is told: of a request beside its verdict, at the end of an INVITE, and at the end of a call. Only data; it is made only
//! if a record is kept.
//!
//! It holds what messages say, as they say it. What may be told of that is decided where the record is written.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use arrayvec::ArrayVec;

use crate::closed_list::closed_list;
use crate::config::{ProjectId, RegionId, Transport, TrunkId};
use crate::numbering::Country;

/// The media addresses that a message names: one more than is told, which shows that there are more.
pub type MediaNamed = ArrayVec<IpAddr, 9>;

/// A text of a message, as long as it is told, and an octet more, which shows that it is longer.
pub type ToldText = ArrayVec<u8, 65>;

/// What the audit record is told of a request beside its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestTold {
    /// The Call-ID, an octet 0, and the tag of the party that began the dialog.
    pub call: Box<[u8]>,
    /// The method's token.
    pub method: ToldText,
    /// Whether its call has had a verdict before, one that let it pass.
    pub later: bool,
    /// Whether it was to go out to the trunk, if that is known.
    pub outbound: Option<bool>,
    /// Who calls, by From.
    pub from: Option<PartyTold>,
    /// Who is called, by the Request-URI; of a response, by To.
    pub to: Option<PartyTold>,
    /// The region that serves it.
    pub serving: Option<RegionId>,
    /// The relay that its media goes through.
    pub relay: Option<SocketAddr>,
}

/// A party of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PartyTold {
    /// The number with its `+`; else the user part, without a password.
    pub text: ToldText,
    /// Whose number it is.
    pub country: Option<Country>,
}

/// The end of an INVITE that opens a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerTold {
    /// The region that was called.
    pub region: RegionId,
    /// Its project and trunk, if the configuration has them.
    pub whose: (Option<ProjectId>, Option<TrunkId>),
    /// As in [`RequestTold`].
    pub call: Box<[u8]>,
    /// Whether it went out to the trunk.
    pub outbound: bool,
    /// The final status code. 0: the caller has cancelled.
    pub code: u16,
    /// The time from the INVITE to it.
    pub after: Duration,
    /// The region that serves it. `None`: a reload has taken its server away.
    pub serving: Option<RegionId>,
    /// Where the last attempt went, or the one that was answered. `None`: as above.
    pub target: Option<(Transport, SocketAddr)>,
    /// The relay that its media goes through.
    pub relay: Option<SocketAddr>,
    /// The attempts before the last one.
    pub retries: usize,
}

/// The end of a call: a BYE that was answered, or that nobody answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndTold {
    /// The region that was called.
    pub region: RegionId,
    /// Its project and trunk, if the configuration has them.
    pub whose: (Option<ProjectId>, Option<TrunkId>),
    /// As in [`RequestTold`].
    pub call: Box<[u8]>,
    /// Who has ended it.
    pub by: EndedBy,
    /// The protocol and the cause of its first Reason row (RFC 3326).
    pub cause: Option<Box<[u8]>>,
    /// The seconds since its set-up, if its token says when that was.
    pub seconds: Option<u32>,
    /// The seconds since its INVITE, if the token says only that.
    pub since_invite: Option<u32>,
    /// The code of the answer to the BYE. `None`: nobody has answered.
    pub code: Option<u16>,
}

closed_list! {
    /// Who has ended a call.
    pub enum EndedBy {
        /// The party that began the dialog.
        Caller = "caller",
        /// The other party.
        Callee = "callee",
        /// The daemon.
        Daemon = "daemon",
    }
}
