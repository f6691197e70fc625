//! What the message thread says of a call for the audit record.
//!
//! It is raw: hashes are made where it is written down, because they take longer. `slot` says how it gets there, `record_line` how it reads.

use std::net::{IpAddr, SocketAddr};

use arrayvec::ArrayVec;

use crate::config::Transport;
pub use crate::core::io::EndedBy;
use crate::core::io::{Direction, Spoken, Verdict};
use crate::reason::Reason;

/// The method of a verdict of the gate, which has no transport. A request of SIP may call itself so too, but it came by one.
pub const REALTIME: &str = "REALTIME";
/// Most media addresses that a record tells.
pub const RECORD_MEDIA: usize = 8;

/// What the message thread says of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord<'a> {
    /// When, in microseconds since 1970.
    pub at: u64,
    /// The name of the region that was called.
    pub region: &'a str,
    /// The name of its project, if one is known.
    pub project: Option<&'a str>,
    /// The name of its trunk, if one is known.
    pub trunk: Option<&'a str>,
    /// What names the call.
    pub call: CallName<'a>,
    /// Whether something of it was too long and has been cut.
    pub cut: bool,
    /// What happened.
    pub fact: AuditFact<'a>,
}

/// What names a call: its Call-ID, and the tag of the party that began the dialog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallName<'a> {
    /// Both with an octet 0 between.
    Joined(&'a [u8]),
    /// The SHA-256 of that, because it is long.
    Digest([u8; 32]),
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AuditFact<'a> {
    /// A verdict on what opens something.
    Verdict(VerdictFact<'a>),
    /// An INVITE has its final answer.
    Answer(AnswerFact<'a>),
    /// A BYE has passed, or the daemon has sent one.
    End(EndFact<'a>),
}

/// A verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerdictFact<'a> {
    /// The verdict.
    pub verdict: Verdict,
    /// Its reason.
    pub reason: Reason,
    /// Whether its call has had a verdict before, one that let it pass.
    pub later: bool,
    /// The side that the request was to go to, if it is known.
    pub direction: Option<Direction>,
    /// The request's method.
    pub method: Option<&'a [u8]>,
    /// The address that it came from.
    pub source: Option<SocketAddr>,
    /// The transport that it came by.
    pub transport: Option<Transport>,
    /// The calling number, or the user part.
    pub from: Option<&'a [u8]>,
    /// The called number, or the user part.
    pub to: Option<&'a [u8]>,
    /// The country of the calling number, in two letters.
    pub from_country: Option<&'a str>,
    /// The country of the called number, in two letters.
    pub to_country: Option<&'a str>,
    /// Where it went.
    pub way: WayFact<'a>,
    /// The status code of its answer, if it was refused.
    pub code: Option<u16>,
    /// The SHA-256 of the configuration in force.
    pub config: [u8; 32],
}

/// The end of an INVITE transaction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AnswerFact<'a> {
    /// The side that the request went to.
    pub direction: Option<Direction>,
    /// The final status code; 0: the caller has cancelled.
    pub code: u16,
    /// The time from the INVITE to its final answer, in milliseconds.
    pub setup_ms: u32,
    /// Where it went, and the media of the answer.
    pub way: WayFact<'a>,
    /// How many targets were tried before the last one.
    pub retries: u16,
    /// The SHA-256 of the configuration in force.
    pub config: [u8; 32],
}

/// The end of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EndFact<'a> {
    /// Who has ended it.
    pub by: EndedBy,
    /// The cause that its Reason row says: protocol and cause.
    pub cause: Option<&'a [u8]>,
    /// The time since its set-up, in seconds, if it is known.
    pub seconds: Option<u32>,
    /// The time since its INVITE, in seconds, if only that is known.
    pub since_invite: Option<u32>,
    /// The code of the answer to the BYE. `None`: no answer came.
    pub code: Option<u16>,
}

/// Where a request went, with its media.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WayFact<'a> {
    /// The name of the region that serves it.
    pub serving: Option<&'a str>,
    /// The next hop.
    pub target: Option<(Transport, SocketAddr)>,
    /// The media addresses that the message names.
    pub media: ArrayVec<IpAddr, RECORD_MEDIA>,
    /// What was found of them. `None`: the message was not read for media.
    pub media_verdict: Option<Spoken>,
    /// The relay that the media goes through.
    pub relay: Option<SocketAddr>,
}
