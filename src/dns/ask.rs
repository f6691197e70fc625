//! Asks name servers one question and reads the answer. No other file speaks DNS.
//!
//! The servers are asked one after the other, beginning with the one that answered last. hickory keeps nothing: no cache, no
//! hosts file, no search list. A record is used only if it belongs to the question, directly or by the aliases of the same
//! answer.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolverOpts};
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::xfer::{DnsHandle, FirstAnswer};
use hickory_resolver::net::{DnsError, NetError, NoRecords};
use hickory_resolver::proto::op::{DnsRequestOptions, Query, ResponseCode};
use hickory_resolver::proto::rr::{self, Name, RData};
use hickory_resolver::{NameServerPool, PoolContext, TlsConfig};

use super::answer::{Found, LONGEST};
use super::record::{Alias, Data, End, LookupFailure, Naptr, Question, Record, RecordSet, RecordType, Srv};
use super::walk::{ADDRESSES, ALIASES, SERVERS};
use crate::config::Dns;

/// How long one server has for an answer, and how often each is asked.
const TIMEOUT: Duration = Duration::from_secs(2);
const ROUNDS: usize = 2;
/// The time after which one look-up ends in any case.
const WHOLE: Duration = Duration::from_secs(10);
/// The size that fits into one datagram on any path, in octets.
const PAYLOAD: u16 = 1232;
/// Most NAPTR records of one answer. If there are more, the best are kept.
const RULES: usize = 64;

/// The system's resolver configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("the system's resolver configuration cannot be used ({0}); name servers in [dns] instead")]
pub struct ResolverError(String);

/// The name servers of a configuration.
pub(super) struct NameServers {
    /// One pool for each server: in a common pool the error of one server would end the question.
    servers: Vec<NameServerPool<TokioRuntimeProvider>>,
    /// The one that answered last.
    first: AtomicUsize,
}

impl std::fmt::Debug for NameServers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NameServers").field("servers", &self.servers.len()).finish_non_exhaustive()
    }
}

impl NameServers {
    pub(super) fn new(dns: &Dns) -> Result<Self, ResolverError> {
        let unusable = |error: NetError| ResolverError(error.to_string());
        let servers: Vec<NameServerConfig> = if dns.servers.is_empty() {
            // Only the servers: search lists and hosts files have no say in where calls go.
            let (config, _) = hickory_resolver::system_conf::read_system_conf().map_err(unusable)?;
            config.name_servers().to_vec()
        } else {
            let server = |server: &std::net::SocketAddr| {
                let connections = [ConnectionConfig::udp(), ConnectionConfig::tcp()].map(|mut connection| {
                    connection.port = server.port();
                    connection
                });
                NameServerConfig::new(server.ip(), true, connections.into())
            };
            dns.servers.iter().map(server).collect()
        };
        let mut options = ResolverOpts::default();
        options.timeout = TIMEOUT;
        options.case_randomization = true;
        let context = Arc::new(PoolContext::new(options, TlsConfig::new().map_err(unusable)?));
        let provider = TokioRuntimeProvider::default();
        let pool = |server| NameServerPool::from_config([server], Arc::clone(&context), provider.clone());
        Ok(Self { servers: servers.into_iter().map(pool).collect(), first: AtomicUsize::new(0) })
    }

    /// Asks until a server answers.
    pub(super) async fn ask(&self, question: &Question) -> Found {
        if let Some(end) = special(question) {
            return Ok(RecordSet { aliases: Vec::new(), end });
        }
        tokio::time::timeout(WHOLE, self.ask_each(question)).await.unwrap_or(Err(LookupFailure::Silent))
    }

    async fn ask_each(&self, question: &Question) -> Found {
        // Label by label, as octets: what reads a text refuses a hyphen at the start of a label.
        let name = Name::from_labels(question.name.split('.').map(str::as_bytes)).map_err(|_| LookupFailure::Garbled)?;
        let first = self.first.load(Ordering::Relaxed);
        let mut failure = LookupFailure::Unreachable;
        let all = self.servers.iter().enumerate().cycle().skip(first);
        for (index, server) in all.take(ROUNDS * self.servers.len()) {
            // A server that answers nothing at all may hold up the others no longer than this.
            let asked = tokio::time::timeout(2 * TIMEOUT, ask_one(server, name.clone(), question)).await;
            match asked.unwrap_or(Err(LookupFailure::Silent)) {
                Ok(set) => {
                    self.first.store(index, Ordering::Relaxed);
                    return Ok(set);
                }
                Err(why) => failure = why,
            }
        }
        Err(failure)
    }
}

async fn ask_one(server: &NameServerPool<TokioRuntimeProvider>, name: Name, question: &Question) -> Found {
    let kind = match question.kind {
        RecordType::Naptr => rr::RecordType::NAPTR,
        RecordType::Srv => rr::RecordType::SRV,
        RecordType::A => rr::RecordType::A,
        RecordType::Aaaa => rr::RecordType::AAAA,
    };
    let mut options = DnsRequestOptions::default();
    options.use_edns = true;
    options.edns_payload_len = PAYLOAD;
    match server.lookup(Query::query(name, kind), options).first_answer().await {
        Ok(response) => {
            let negative = response.negative_ttl().map(seconds);
            // An authoritative "none" comes with the zone's SOA; without it the end of the aliases is another server's matter.
            let none = match response.response_code {
                ResponseCode::NXDomain => Some(End::NoName(negative)),
                _ => negative.map(|ttl| End::NoRecord(Some(ttl))),
            };
            read(question, &response.answers, none)
        }
        Err(error) => negative(&error).map(|end| RecordSet { aliases: Vec::new(), end }),
    }
}

/// Reads "no such name" and "no such record" as answers. Any other error says nothing about the name.
fn negative(error: &NetError) -> Result<End, LookupFailure> {
    match error {
        NetError::Dns(DnsError::NoRecordsFound(none)) => {
            let ttl = none.negative_ttl.map(seconds);
            match none.response_code {
                ResponseCode::NXDomain => Ok(End::NoName(ttl)),
                // A referral is a server that does not know, not a name without records.
                ResponseCode::NoError if is_referral(none) => Err(LookupFailure::Garbled),
                ResponseCode::NoError => Ok(End::NoRecord(ttl)),
                code => Err(failed(code)),
            }
        }
        NetError::Dns(DnsError::ResponseCode(code)) => Err(failed(*code)),
        NetError::Timeout | NetError::Busy => Err(LookupFailure::Silent),
        NetError::Io(_) | NetError::NoConnections => Err(LookupFailure::Unreachable),
        _ => Err(LookupFailure::Garbled),
    }
}

fn is_referral(none: &NoRecords) -> bool {
    none.soa.is_none() && none.ns.is_some()
}

fn failed(code: ResponseCode) -> LookupFailure {
    match code {
        ResponseCode::Refused => LookupFailure::Refused,
        ResponseCode::ServFail => LookupFailure::ServerFailed,
        _ => LookupFailure::Code,
    }
}

/// Reads the answers to the question, from alias to alias. `none`: what the server says if no record stands at the end.
fn read(question: &Question, answers: &[rr::Record], none: Option<End>) -> Found {
    let mut aliases: Vec<Alias> = Vec::new();
    let mut at = question.name.clone();
    loop {
        let here = || answers.iter().filter(|record| text(&record.name) == at);
        let mut records: Vec<Record> = here().filter_map(|record| of_type(question.kind, record)).collect();
        if !records.is_empty() {
            keep_best(&mut records);
            return Ok(RecordSet { aliases, end: End::Records(records) });
        }
        let alias = here().find_map(|record| match &record.data {
            RData::CNAME(target) => Some((text(&target.0), seconds(record.ttl))),
            _ => None,
        });
        let Some((target, ttl)) = alias else { break };
        if aliases.len() >= ALIASES || target == at || aliases.iter().any(|alias| alias.name == target) {
            return Err(LookupFailure::Garbled);
        }
        aliases.push(Alias { name: std::mem::replace(&mut at, target.clone()), target, ttl });
    }
    match none {
        Some(end) => Ok(RecordSet { aliases, end }),
        None if !aliases.is_empty() => Ok(RecordSet { aliases, end: End::Alias }),
        // Answers, but to another question.
        None => Err(LookupFailure::Garbled),
    }
}

/// Keeps those of too many records that are tried first. Among equals it keeps always the same ones, even if the server rotates
/// its answers. The order of the answer stays.
fn keep_best(records: &mut Vec<Record>) {
    let most = match records.first().map(|record| &record.data) {
        Some(Data::Naptr(_)) => RULES,
        Some(Data::Srv(_)) => SERVERS,
        Some(Data::Address(_)) | None => ADDRESSES,
    };
    if records.len() <= most {
        return;
    }
    let all = std::mem::take(records);
    let mut best: Vec<_> = all.iter().map(place).collect();
    best.sort_unstable();
    best.dedup();
    let mut best: HashSet<_> = best.into_iter().take(most).collect();
    records.extend(all.iter().filter(|record| best.remove(&place(record))).cloned());
}

/// The rank of a record among others of its type.
fn place(record: &Record) -> (u16, u16, &str, &str, Option<IpAddr>) {
    match &record.data {
        Data::Naptr(naptr) => (naptr.order, naptr.preference, &naptr.services, &naptr.replacement, None),
        Data::Srv(srv) => (srv.priority, srv.port, "", &srv.target, None),
        Data::Address(ip) => (0, 0, "", "", Some(*ip)),
    }
}

fn of_type(kind: RecordType, record: &rr::Record) -> Option<Record> {
    let data = match (kind, &record.data) {
        (RecordType::A, RData::A(v4)) => Data::Address(IpAddr::V4(v4.0)),
        (RecordType::Aaaa, RData::AAAA(v6)) => Data::Address(IpAddr::V6(v6.0)),
        (RecordType::Srv, RData::SRV(srv)) => {
            Data::Srv(Srv { priority: srv.priority, weight: srv.weight, port: srv.port, target: text(&srv.target) })
        }
        (RecordType::Naptr, RData::NAPTR(naptr)) => Data::Naptr(Naptr {
            order: naptr.order,
            preference: naptr.preference,
            flags: naptr.flags.escape_ascii().to_string(),
            services: naptr.services.escape_ascii().to_string(),
            regexp: naptr.regexp.escape_ascii().to_string(),
            replacement: text(&naptr.replacement),
        }),
        _ => return None,
    };
    Some(Record { ttl: seconds(record.ttl), data })
}

/// A name of the wire, lower case and without the dot at its end; `.` for the empty one. What cannot stand in a name is escaped
/// (RFC 1035 5.1).
fn text(name: &Name) -> String {
    let mut text = String::new();
    for label in name {
        if !text.is_empty() {
            text.push('.');
        }
        for &octet in label {
            match octet {
                b'-' | b'_' | b'*' => text.push(char::from(octet)),
                octet if octet.is_ascii_alphanumeric() => text.push(char::from(octet.to_ascii_lowercase())),
                // Writing to a string cannot fail.
                octet => drop(write!(text, "\\{octet:03}")),
            }
        }
    }
    if text.is_empty() { ".".to_owned() } else { text }
}

fn seconds(ttl: u32) -> Duration {
    Duration::from_secs(ttl.into())
}

/// Names that no server is asked for (RFC 6761 6.3, 6.4; RFC 7686).
fn special(question: &Question) -> Option<End> {
    let last = question.name.rsplit('.').next().unwrap_or_default();
    let address = |ip| End::Records(vec![Record { ttl: LONGEST, data: Data::Address(ip) }]);
    match (last, question.kind) {
        ("localhost", RecordType::A) => Some(address(Ipv4Addr::LOCALHOST.into())),
        ("localhost", RecordType::Aaaa) => Some(address(Ipv6Addr::LOCALHOST.into())),
        ("localhost", _) => Some(End::NoRecord(None)),
        ("invalid" | "onion", _) => Some(End::NoName(None)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use hickory_resolver::proto::rr::rdata;

    use super::*;

    fn name(text: &str) -> Name {
        Name::from_ascii(text).unwrap()
    }

    fn a(owner: &str, last: u8) -> rr::Record {
        rr::Record::from_rdata(name(owner), 60, RData::A(rdata::A::new(10, 0, 0, last)))
    }

    fn cname(owner: &str, target: &str) -> rr::Record {
        rr::Record::from_rdata(name(owner), 60, RData::CNAME(rdata::CNAME(name(target))))
    }

    fn asked(answers: &[rr::Record], none: Option<End>) -> Found {
        read(&Question { name: "a.example".to_owned(), kind: RecordType::A }, answers, none)
    }

    fn addresses(found: Found) -> Vec<u8> {
        let Ok(RecordSet { end: End::Records(records), .. }) = found else { panic!("{found:?}") };
        let last = |record: &Record| match record.data {
            Data::Address(IpAddr::V4(ip)) => ip.octets()[3],
            _ => panic!("{record:?}"),
        };
        records.iter().map(last).collect()
    }

    #[test]
    fn only_what_belongs_to_the_question_is_taken() {
        let (chain, far) = (cname("A.Example.", "b.example."), cname("b.example.", "c.example."));
        assert_eq!(addresses(asked(&[a("a.example.", 1), a("x.example.", 2)], None)), [1]);
        assert_eq!(
            addresses(asked(&[a("c.example.", 3), far.clone(), chain.clone(), a("x.example.", 2)], None)),
            [3],
            "in any order"
        );
        assert_eq!(asked(&[a("x.example.", 2)], None), Err(LookupFailure::Garbled));
        assert_eq!(asked(&[], None), Err(LookupFailure::Garbled));
        let set = asked(&[chain.clone(), far], None).unwrap();
        assert_eq!((set.aliases.len(), set.end), (2, End::Alias));
        let set = asked(&[chain], Some(End::NoName(None))).unwrap();
        assert_eq!((set.aliases[0].target.as_str(), set.end), ("b.example", End::NoName(None)));
    }

    #[test]
    fn aliases_that_do_not_end_are_no_answer() {
        assert_eq!(asked(&[cname("a.example.", "a.example.")], None), Err(LookupFailure::Garbled));
        assert_eq!(
            asked(&[cname("a.example.", "b.example."), cname("b.example.", "a.example.")], None),
            Err(LookupFailure::Garbled)
        );
        let mut chain = vec![cname("a.example.", "0.example.")];
        chain.extend((0..200).map(|n| cname(&format!("{n}.example."), &format!("{}.example.", n + 1))));
        assert_eq!(asked(&chain, None), Err(LookupFailure::Garbled));
    }

    #[test]
    fn of_too_many_the_same_are_kept_in_the_order_of_the_answer() {
        let answers: Vec<rr::Record> = (0..=255).rev().map(|last| a("a.example.", last)).collect();
        let kept = addresses(asked(&answers, None));
        assert_eq!(kept, (0..32).rev().collect::<Vec<u8>>());
        let same = [vec![a("a.example.", 9); 40], answers].concat();
        assert_eq!(addresses(asked(&same, None)), [vec![9], (10..32).rev().collect(), (0..9).rev().collect()].concat());
    }

    #[test]
    fn texts_of_the_wire_are_made_harmless() {
        assert_eq!(text(&name("A.Example.")), "a.example");
        assert_eq!(text(&Name::root()), ".");
        let wild = Name::from_labels([&b"\x1b[2J\n"[..], b"a.b", b"\xff"]).unwrap();
        let shown = text(&wild);
        assert!(shown.bytes().all(|c| c.is_ascii_graphic()), "{shown}");
        assert!(!super::super::record::is_name(&shown));
    }

    #[test]
    fn names_that_no_server_is_asked_for() {
        let end = |name: &str, kind| special(&Question { name: name.to_owned(), kind });
        assert!(matches!(end("localhost", RecordType::A), Some(End::Records(_))));
        assert!(matches!(end("a.localhost", RecordType::Aaaa), Some(End::Records(_))));
        assert_eq!(end("_sip._udp.localhost", RecordType::Srv), Some(End::NoRecord(None)));
        assert_eq!(end("x.invalid", RecordType::A), Some(End::NoName(None)));
        assert_eq!(end("localhost.example", RecordType::A), None);
    }
}
