//! The steps from a next hop to its servers: what was asked, what was found, and which records were used or why not. Plain data
//! for people and machines to read; decides nothing.

use std::fmt;
use std::time::Duration;

use super::record::{Alias, LookupFailure, Question, Record};
use crate::config::NextHop;

/// The steps of one resolution, as a tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// The next hop whose servers were looked up.
    pub next_hop: NextHop,
    /// The first steps, in order. [`Step::why`] says why each was made. Steps that follow from a record stand below that record.
    pub steps: Vec<Step>,
}

/// One question and its result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Why the question was asked.
    pub why: Why,
    /// The name and record type that were asked for.
    pub question: Question,
    /// The CNAMEs on the way, in order.
    pub aliases: Vec<Alias>,
    /// The result at their end.
    pub result: StepResult,
}

/// Why a question was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Neither port nor transport is written. The domain may say which transports it prefers (RFC 3263 4.1).
    Neither,
    /// The transport is written, the port is not. Asks for the servers of that transport (RFC 3263 4.2).
    TransportWritten,
    /// The port is written, so there is no NAPTR and no SRV (RFC 3263 4.2).
    PortWritten,
    /// No NAPTR record is usable. Asks for the servers of each transport that we speak (RFC 3263 4.1).
    NoNaptr,
    /// There is no SRV record. Uses the name itself, at port 5060 (RFC 3263 4.2).
    NoSrv,
    /// The record above names it.
    Record,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Neither => "neither port nor transport is written",
            Self::TransportWritten => "the transport is written",
            Self::PortWritten => "the port is written",
            Self::NoNaptr => "no usable NAPTR record",
            Self::NoSrv => "no SRV record: the name itself at port 5060",
            Self::Record => "named by the record above",
        })
    }
}

/// The result of a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StepResult {
    /// Records, in the order in which they are used.
    Records(Vec<Seen>),
    /// There is no such name. Holds how long that is valid, if the zone says so.
    NoName(Option<Duration>),
    /// The name has no such record. Holds how long that is valid, if the zone says so.
    NoRecord(Option<Duration>),
    /// There is no answer.
    Failed(LookupFailure),
    /// The answer is too old to be used, and there is no other.
    Expired,
    /// The answer has not come yet.
    Waiting,
}

/// A record as it was seen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// The record as it was answered.
    pub record: Record,
    /// Why it is not used. `None`: it is used.
    pub unused: Option<Unused>,
    /// The steps that follow from it: SRV from NAPTR, A and AAAA from SRV.
    pub steps: Vec<Step>,
}

/// Why a record is not used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unused {
    /// NAPTR: a record of another order comes first (RFC 3403 4.1).
    LaterOrder,
    /// NAPTR: a transport that we do not speak (SCTP, WebSocket).
    NotSpoken,
    /// NAPTR: TLS, for a `sip:` URI.
    Unasked,
    /// NAPTR: no TLS, for a `sips:` URI.
    Insecure,
    /// NAPTR: another service, or an unknown transport.
    Service,
    /// NAPTR: flags other than `s`.
    Flags,
    /// NAPTR: it has a regular expression, which SIP does not use.
    Regexp,
    /// The name in it is not valid, or is an address.
    BadName,
    /// SRV: target `.`, so the domain does not offer the service (RFC 2782).
    NoService,
    /// SRV: port 0.
    NoPort,
    /// Another record says the same.
    Duplicate,
    /// There are too many records.
    TooMany,
}

impl fmt::Display for Unused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::LaterOrder => "a lower order is used",
            Self::NotSpoken => "a transport that is not spoken here",
            Self::Unasked => "TLS, which takes a sips: URI",
            Self::Insecure => "without TLS, which a sips: URI does not go",
            Self::Service => "another service",
            Self::Flags => "flags other than \"s\"",
            Self::Regexp => "a regular expression, which SIP does not use",
            Self::BadName => "no usable name",
            Self::NoService => "the service is decidedly not there",
            Self::NoPort => "port 0 is no port",
            Self::Duplicate => "the same as one before",
            Self::TooMany => "beyond the bound",
        })
    }
}
