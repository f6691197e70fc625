//! Questions and records as plain data: what we ask a name server, and what we use of its answers.
//!
//! Texts come from the wire: names are lower case and without a dot at the end, and anything not printable is escaped. No address
//! from here is inside yet.

use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::closed_list::closed_list;

closed_list! {
    /// The record types that RFC 3263 needs.
    #[derive(PartialOrd, Ord)]
    pub enum RecordType {
        /// Transports that a domain prefers (RFC 3403).
        Naptr = "NAPTR",
        /// Servers of a service (RFC 2782).
        Srv = "SRV",
        /// IPv4 addresses.
        A = "A",
        /// IPv6 addresses.
        Aaaa = "AAAA",
    }
}

impl RecordType {
    /// The types that hold addresses, in the order in which the families are tried.
    pub const ADDRESSES: [Self; 2] = [Self::A, Self::Aaaa];
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.label())
    }
}

/// A question to a name server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Question {
    /// The name, lower case, without a dot at the end.
    pub name: String,
    /// The type of the records that are asked for.
    pub kind: RecordType,
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// A record of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// How long it holds, as the answer said.
    pub ttl: Duration,
    /// Its content, by type.
    pub data: Data,
}

/// The content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Data {
    /// NAPTR: a transport that the domain offers.
    Naptr(Naptr),
    /// SRV: a server of a service.
    Srv(Srv),
    /// A or AAAA: an address of a server.
    Address(IpAddr),
}

/// A NAPTR record (RFC 3403 4.1).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Naptr {
    /// The order. Only the lowest order with a usable record counts.
    pub order: u16,
    /// The preference. Among records of one order, lower ones are tried first.
    pub preference: u16,
    /// `s`: an SRV look-up follows.
    pub flags: String,
    /// `SIP+D2U` and its like (RFC 3263 4.1).
    pub services: String,
    /// Empty for SIP: a record with an expression is not used.
    pub regexp: String,
    /// The name of the SRV records; `.` is the empty name.
    pub replacement: String,
}

/// An SRV record (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Records with a lower priority are tried first.
    pub priority: u16,
    /// Its share among the records of this priority.
    pub weight: u16,
    /// The server's port; a record with port 0 is not used.
    pub port: u16,
    /// The server's name. `.`: the domain says that it does not offer the service.
    pub target: String,
}

/// A CNAME on the way to the records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alias {
    /// The name that was asked for, lower case.
    pub name: String,
    /// The name that it points to.
    pub target: String,
    /// How long it holds.
    pub ttl: Duration,
}

/// Why there is no answer to a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LookupFailure {
    /// No name server answered in time.
    Silent,
    /// The name server refused to answer (REFUSED).
    Refused,
    /// The name server could not find an answer (SERVFAIL).
    ServerFailed,
    /// The name server answered with another error code: NOTIMP, FORMERR …
    Code,
    /// No name server could be reached.
    Unreachable,
    /// The answer does not fit the question: broken, forged, cut off, or an endless chain of aliases.
    Garbled,
    /// The question was not asked, because there were too many.
    TooMany,
}

impl fmt::Display for LookupFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Silent => "no answer in time",
            Self::Refused => "refused by the name server",
            Self::ServerFailed => "the name server failed (SERVFAIL)",
            Self::Code => "the name server answered with an error",
            Self::Unreachable => "no name server could be reached",
            Self::Garbled => "no usable answer",
            Self::TooMany => "not asked: too many questions",
        })
    }
}

/// An answer to a question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct RecordSet {
    /// The aliases on the way, in order.
    pub(super) aliases: Vec<Alias>,
    /// What stands at the end of the aliases.
    pub(super) end: End,
}

/// What stands at the end of an answer's aliases.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// Records of the type asked for; at least one.
    Records(Vec<Record>),
    /// There is no such name. Holds how long that is valid, if the zone says so.
    NoName(Option<Duration>),
    /// The name has no such record. Holds how long that is valid, if the zone says so.
    NoRecord(Option<Duration>),
    /// The answer ends with an alias. The alias's target is another question.
    Alias,
}

impl RecordSet {
    /// How long the answer holds: the shortest time of all its parts. An answer without records holds no longer than `negative`.
    pub(super) fn ttl(&self, negative: Duration) -> Duration {
        let end = match &self.end {
            End::Records(records) => records.iter().map(|record| record.ttl).min(),
            End::NoName(ttl) | End::NoRecord(ttl) => Some(ttl.unwrap_or(negative).min(negative)),
            End::Alias => None,
        };
        self.aliases.iter().map(|alias| alias.ttl).chain(end).min().unwrap_or(negative)
    }

    /// Whether the answer has anything that calls use.
    pub(super) fn serves(&self) -> bool {
        matches!(self.end, End::Records(_) | End::Alias)
    }
}

/// Whether a text from the wire can be looked up: labels of letters, digits, `-` and `_`, and not an address in another form.
pub(super) fn is_name(text: &str) -> bool {
    let label = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'-' || c == b'_')
    };
    text.len() <= 253 && text.split('.').all(label) && text.parse::<IpAddr>().is_err()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_can_be_asked_for() {
        let longest = format!("{0}.{0}.{0}.{1}", "a".repeat(63), "b".repeat(61));
        for name in ["a", "a.example.net", "_sip._udp.example.net", "10.0.0.1.example.net", "1", &longest] {
            assert!(is_name(name), "{name}");
        }
        let (label, long) = ("a".repeat(64), format!("{longest}c"));
        for text in ["", ".", "a..b", ".a", "a.", "10.0.0.1", "::1", "a b", "a\\.b", "ä.example", "a/b", &label, &long] {
            assert!(!is_name(text), "{text}");
        }
    }

    #[test]
    fn an_answer_holds_as_long_as_the_shortest_of_its_parts() {
        let seconds = Duration::from_secs;
        let alias = |ttl| Alias { name: "a".into(), target: "b".into(), ttl: seconds(ttl) };
        let record = |ttl| Record { ttl: seconds(ttl), data: Data::Address([10, 0, 0, 1].into()) };
        for (aliases, end, expected) in [
            (vec![], End::Records(vec![record(60), record(50)]), 50),
            (vec![alias(40)], End::Records(vec![record(60)]), 40),
            (vec![alias(400)], End::Alias, 400),
            (vec![], End::NoName(None), 30),
            (vec![], End::NoRecord(Some(seconds(86_400))), 30),
            (vec![alias(3)], End::NoName(Some(seconds(5))), 3),
        ] {
            assert_eq!(RecordSet { aliases, end }.ttl(seconds(30)), seconds(expected));
        }
    }
}
