//! The closed list of reasons, their numbers and tokens, and the answer each becomes on the wire.
//!
//! The same token stands in the log, the metric label, the audit record and the SIP answer. Numbers never change and are
//! never reused. This module decides nothing: it only says what a reason is called and how a carrier is told.

use std::fmt;

/// Why a request was accepted or refused. The discriminant is the published id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u16)]
pub enum Reason {
    /// Accepted: everything about the call is inside the region.
    InRegion = 100,
    /// Accepted, but served by another region (only an unpinned project, only when every upstream here is down).
    Failover = 101,
    /// The Request-URI names another region's endpoint.
    ForeignEndpoint = 110,
    /// The host is none of ours, or the project label in front of it is none of ours.
    UnknownEndpoint = 111,
    /// Our own hostname, but it came in on another region's listener.
    WrongListener = 112,
    /// No trunk of this project signals from this address.
    UnknownSource = 120,
    /// The source is outside the region and the project asks for in-region sources.
    ForeignSource = 121,
    /// The project's pin does not contain this region.
    PinnedElsewhere = 130,
    /// The called or calling number's country is not allowed here.
    ForeignNumber = 131,
    /// An address in the SDP offer is outside.
    ForeignMediaOffer = 140,
    /// An address in the SDP answer is outside.
    ForeignMediaAnswer = 141,
    /// Media must be checked and cannot be checked.
    UnreadableMedia = 142,
    /// Every resolved address of the next hop is outside.
    ForeignTarget = 150,
    /// The next hop resolves to nothing.
    NoTarget = 151,
    /// Every in-region target failed or timed out.
    TargetsDown = 152,
    /// A limit on rate or transactions is reached.
    Overloaded = 160,
    /// The daemon takes no more calls, because it is about to end.
    Draining = 161,
    /// An in-dialog request without a valid route token, or a preloaded Route.
    ForgedRoute = 170,
    /// An in-dialog request whose next hop is outside.
    ForeignDialogTarget = 171,
}

/// What a reason asks of the sender of the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Class {
    /// The request passes; the sender need not do anything.
    Accepted,
    /// Final: must not be retried anywhere. The code comes from the trunk's profile.
    Policy,
    /// May be retried at a sibling in the same region. The code comes from the trunk's profile.
    Capacity,
    /// Final, and the contract fixes the code.
    Fixed(u16),
}

impl Reason {
    /// Every reason, in the order of the numbers.
    pub const ALL: [Self; 19] = [
        Self::InRegion,
        Self::Failover,
        Self::ForeignEndpoint,
        Self::UnknownEndpoint,
        Self::WrongListener,
        Self::UnknownSource,
        Self::ForeignSource,
        Self::PinnedElsewhere,
        Self::ForeignNumber,
        Self::ForeignMediaOffer,
        Self::ForeignMediaAnswer,
        Self::UnreadableMedia,
        Self::ForeignTarget,
        Self::NoTarget,
        Self::TargetsDown,
        Self::Overloaded,
        Self::Draining,
        Self::ForgedRoute,
        Self::ForeignDialogTarget,
    ];

    /// The published number: as in `X-Ringfence` and in the documentation, 100 to 199.
    pub const fn id(self) -> u16 {
        self as u16
    }

    /// The published token, for example `foreign-endpoint`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::InRegion => "in-region",
            Self::Failover => "failover",
            Self::ForeignEndpoint => "foreign-endpoint",
            Self::UnknownEndpoint => "unknown-endpoint",
            Self::WrongListener => "wrong-listener",
            Self::UnknownSource => "unknown-source",
            Self::ForeignSource => "foreign-source",
            Self::PinnedElsewhere => "pinned-elsewhere",
            Self::ForeignNumber => "foreign-number",
            Self::ForeignMediaOffer => "foreign-media-offer",
            Self::ForeignMediaAnswer => "foreign-media-answer",
            Self::UnreadableMedia => "unreadable-media",
            Self::ForeignTarget => "foreign-target",
            Self::NoTarget => "no-target",
            Self::TargetsDown => "targets-down",
            Self::Overloaded => "overloaded",
            Self::Draining => "draining",
            Self::ForgedRoute => "forged-route",
            Self::ForeignDialogTarget => "foreign-dialog-target",
        }
    }

    /// What the reason asks of the sender of the request.
    pub const fn class(self) -> Class {
        match self {
            Self::InRegion | Self::Failover => Class::Accepted,
            Self::UnknownEndpoint => Class::Fixed(404),
            Self::UnknownSource | Self::ForgedRoute => Class::Fixed(403),
            Self::UnreadableMedia => Class::Fixed(488),
            Self::NoTarget | Self::TargetsDown | Self::Overloaded | Self::Draining => Class::Capacity,
            Self::ForeignEndpoint
            | Self::WrongListener
            | Self::ForeignSource
            | Self::PinnedElsewhere
            | Self::ForeignNumber
            | Self::ForeignMediaOffer
            | Self::ForeignMediaAnswer
            | Self::ForeignTarget
            | Self::ForeignDialogTarget => Class::Policy,
        }
    }

    /// The reason phrase of the status line. A person who reads a trace understands it at once.
    pub const fn phrase(self) -> &'static str {
        match self {
            Self::InRegion | Self::Failover => "OK",
            Self::ForeignEndpoint => "Call Belongs To Another Region",
            Self::UnknownEndpoint => "Endpoint Not Served Here",
            Self::WrongListener => "Endpoint Of Another Listener",
            Self::UnknownSource => "Forbidden",
            Self::ForeignSource => "Source Outside Region",
            Self::PinnedElsewhere => "Project Pinned To Another Region",
            Self::ForeignNumber => "Number Not Allowed In Region",
            Self::ForeignMediaOffer | Self::ForeignMediaAnswer => "Media Outside Region",
            Self::UnreadableMedia => "Media Cannot Be Checked",
            Self::ForeignTarget => "No Server Inside Region",
            Self::NoTarget => "No Server Found",
            Self::TargetsDown => "Servers Of Region Unavailable",
            Self::Overloaded => "Overloaded",
            Self::Draining => "Shutting Down",
            Self::ForgedRoute => "Route Not Issued Here",
            Self::ForeignDialogTarget => "Dialog Target Outside Region",
        }
    }

    /// The same for a request that goes to a trunk: what fails there is a gateway of the carrier's, and no server of the region.
    pub const fn phrase_to_trunk(self) -> &'static str {
        match self {
            Self::ForeignTarget => "Gateway Outside Networks Of Trunk",
            Self::NoTarget => "No Gateway Of Trunk Found",
            Self::TargetsDown => "Gateways Of Trunk Unavailable",
            _ => self.phrase(),
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.token())
    }
}

/// The codes that make one kind of carrier stop, and those that make it try a sibling.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Profile {
    /// The final answer to a policy refusal of an INVITE.
    pub policy: u16,
    /// The answer to a capacity refusal.
    pub capacity: u16,
}

impl Profile {
    /// 6xx stops Twilio, Telnyx, `OpenSIPS`, Oracle, Kamailio and Teams.
    pub(crate) const GENERIC: Self = Self { policy: 603, capacity: 503 };

    /// The profile of a published name (`generic`, `twilio`, `telnyx`, `thinktel`, `teams`, `3cx`).
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "generic" | "twilio" | "telnyx" => Self::GENERIC,
            "thinktel" | "teams" => Self { policy: 403, capacity: 503 },
            "3cx" => Self { policy: 600, capacity: 503 },
            _ => return None,
        })
    }

    /// The names that [`Profile::named`] knows.
    pub const NAMES: [&'static str; 6] = ["generic", "twilio", "telnyx", "thinktel", "teams", "3cx"];

    /// The status code of a refusal. A policy refusal of anything but an INVITE is always 403: a 6xx would speak for the user
    /// everywhere, and no carrier tries another route for these requests.
    pub const fn code(self, reason: Reason, invite: bool) -> u16 {
        match reason.class() {
            Class::Accepted => 200,
            Class::Fixed(code) => code,
            Class::Capacity => self.capacity,
            Class::Policy if invite => self.policy,
            Class::Policy => 403,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_and_tokens_are_unique_and_ordered() {
        assert!(Reason::ALL.windows(2).all(|pair| pair[0].id() < pair[1].id()));
        let mut tokens: Vec<_> = Reason::ALL.iter().map(|reason| reason.token()).collect();
        tokens.sort_unstable();
        tokens.dedup();
        assert_eq!(tokens.len(), Reason::ALL.len());
    }

    #[test]
    fn profiles_answer_as_the_contract_says() {
        let twilio = Profile::named("twilio").expect("a published name");
        assert_eq!(twilio.code(Reason::ForeignEndpoint, true), 603);
        assert_eq!(twilio.code(Reason::ForeignEndpoint, false), 403);
        assert_eq!(twilio.code(Reason::TargetsDown, true), 503);
        assert_eq!(twilio.code(Reason::UnknownEndpoint, true), 404);
        assert_eq!(twilio.code(Reason::UnreadableMedia, true), 488);
        assert_eq!(Profile::named("3cx").map(|profile| profile.policy), Some(600));
        assert_eq!(Profile::named("nobody"), None);
    }
}
