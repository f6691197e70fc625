//! From a next hop to its servers (RFC 3263 4.1 and 4.2, RFC 2782), by the answers that are known. Pure: asks no server and does
//! not know the time.
//!
//! A walk goes as far as the known answers allow. It names every question that matters, so that unanswered ones can be asked at
//! once. It is walked again when an answer comes. It ends within its bounds, whatever the records say.

use std::collections::{BTreeSet, HashSet};
use std::net::{IpAddr, SocketAddr};

use super::record::{Data, End, LookupFailure, Question, Record, RecordSet, RecordType, Srv, is_name};
use super::trace::{Seen, Step, StepResult, Trace, Unused, Why};
use super::{Server, naptr};
use crate::config::{NextHop, Transport};

/// Most servers of a next hop. Further ones are ignored.
pub(super) const SERVERS: usize = 32;
/// Most addresses of a server. Further ones are ignored.
pub(super) const ADDRESSES: usize = 32;
/// Most aliases followed from one name.
pub(super) const ALIASES: usize = 8;
/// Most questions of one walk.
pub(super) const QUESTIONS: usize = 128;
/// After this many failures without any answer, a NAPTR or SRV question counts as "no such record": some name servers fail for
/// these types alone.
pub(super) const GIVE_UP: u32 = 3;

/// What is known of the answer to a question.
#[derive(Clone, Copy, Debug)]
pub(super) enum Known<'k> {
    /// The answer, fresh or stale.
    Answer(&'k RecordSet),
    /// There was an answer, but it is too old to be used.
    Expired,
    /// There has never been an answer. Holds how many look-ups have failed, and how the last one failed.
    Never(u32, Option<LookupFailure>),
}

/// The result of a walk, complete or not.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Every question that matters, answered or not.
    pub(super) questions: BTreeSet<Question>,
    /// The servers, sorted by rank. `None`: not known yet.
    pub(super) servers: Option<Vec<Server>>,
    /// Questions that count as "no such record" because no server ever answered them.
    pub(super) given_up: Vec<Question>,
    /// The steps.
    pub(super) trace: Trace,
}

/// Walks from a next hop.
pub(super) fn walk<'k>(next_hop: &NextHop, known: impl Fn(&Question) -> Known<'k>) -> Walk {
    let mut walker = Walker {
        known,
        questions: BTreeSet::new(),
        given_up: Vec::new(),
        servers: Vec::new(),
        taken: HashSet::new(),
        targets: 0,
        settled: true,
        doubt: false,
    };
    let host = next_hop.host.as_str();
    // A sips URI always means TLS, whatever its `transport` says (RFC 3263 4.1, RFC 5630 3.1.1).
    let transport = if next_hop.secure { Some(Transport::Tls) } else { next_hop.transport };
    let steps = match (next_hop.port, transport) {
        (Some(port), transport) => {
            walker.addresses(host, port, Place { group: 0, priority: 0, weight: 0, transport }, Why::PortWritten)
        }
        (None, Some(transport)) if !next_hop.secure => {
            walker.services(&[transport], host, Why::TransportWritten, Some(transport))
        }
        (None, _) => walker.domain(host, next_hop.secure),
    };
    walker.finish(Trace { next_hop: next_hop.clone(), steps })
}

/// The rank of a server, and how it is reached.
#[derive(Clone, Copy)]
struct Place {
    group: usize,
    priority: u16,
    weight: u16,
    transport: Option<Transport>,
}

/// The result of a question, for the walk.
enum Level {
    /// Records of the type.
    Records(Vec<Record>),
    /// There are certainly no records, or the question was given up.
    Nothing,
    /// There are records, but none may be used, and nothing may be used instead.
    Dead,
    /// Not known yet.
    Waiting,
}

struct Walker<F> {
    known: F,
    questions: BTreeSet<Question>,
    given_up: Vec<Question>,
    servers: Vec<(Place, Vec<SocketAddr>)>,
    /// The servers that a rank has already.
    taken: HashSet<(usize, u16, SocketAddr, Option<Transport>)>,
    /// Servers looked at, with or without addresses.
    targets: usize,
    /// Whether all the steps that matter are known.
    settled: bool,
    /// Whether a question without an answer could still bring a server.
    doubt: bool,
}

impl<'k, F: Fn(&Question) -> Known<'k>> Walker<F> {
    /// Handles a next hop with neither port nor transport (RFC 3263 4.1).
    fn domain(&mut self, host: &str, secure: bool) -> Vec<Step> {
        let (mut step, level) = self.ask(host, RecordType::Naptr, Why::Neither);
        let records = match level {
            Level::Records(records) => records,
            Level::Nothing => Vec::new(),
            Level::Dead | Level::Waiting => return vec![step],
        };
        let (mut seen, mut first, mut found) = (Vec::new(), None, false);
        for choice in naptr::choose(&records, secure) {
            let (mut steps, mut unused) = (Vec::new(), None);
            match choice.way {
                Ok(way) => {
                    first = first.or(Some(way.transport));
                    let (srv, any) = self.service(&way.name, way.group, way.transport, Why::Record);
                    found |= any;
                    steps.push(srv);
                }
                Err(why) => unused = Some(why),
            }
            seen.push(Seen { record: choice.record, unused, steps });
        }
        if !seen.is_empty() {
            step.result = StepResult::Records(seen);
        }
        let mut steps = vec![step];
        match first {
            None if secure => steps.extend(self.services(&[Transport::Tls], host, Why::NoNaptr, Some(Transport::Tls))),
            // Both are looked up, UDP first (RFC 3263 4.1). TLS only if the URI or a NAPTR record asks for it.
            None => steps.extend(self.services(&[Transport::Udp, Transport::Tcp], host, Why::NoNaptr, None)),
            Some(transport) if !found => steps.extend(self.fall_back(host, Some(transport))),
            Some(_) => {}
        }
        steps
    }

    /// The servers for each of these transports. If there are none, the name itself.
    fn services(&mut self, transports: &[Transport], host: &str, why: Why, fall_back: Option<Transport>) -> Vec<Step> {
        let (mut steps, mut found) = (Vec::new(), false);
        for (group, &transport) in transports.iter().enumerate() {
            let (step, any) = self.service(&format!("{}.{host}", service(transport)), group, transport, why);
            steps.push(step);
            found |= any;
        }
        if !found {
            steps.extend(self.fall_back(host, fall_back));
        }
        steps
    }

    fn fall_back(&mut self, host: &str, transport: Option<Transport>) -> Vec<Step> {
        let port = transport.unwrap_or(Transport::Udp).port();
        self.addresses(host, port, Place { group: 0, priority: 0, weight: 0, transport }, Why::NoSrv)
    }

    /// The SRV records of a name. Also returns whether there are any, or could be.
    fn service(&mut self, name: &str, group: usize, transport: Transport, why: Why) -> (Step, bool) {
        let (mut step, level) = self.ask(name, RecordType::Srv, why);
        let records = match level {
            Level::Records(records) => records,
            Level::Nothing => return (step, false),
            Level::Dead | Level::Waiting => return (step, true),
        };
        let mut sorted: Vec<(&Srv, &Record)> = records.iter().filter_map(srv).collect();
        // Within a priority the answer's order stays. The selection goes by weight.
        sorted.sort_by_key(|(srv, _)| srv.priority);
        let mut seen = Vec::new();
        for (srv, record) in sorted {
            let unused = match srv.target.as_str() {
                "." => Some(Unused::NoService),
                target if !is_name(target) => Some(Unused::BadName),
                _ if srv.port == 0 => Some(Unused::NoPort),
                _ if self.targets >= SERVERS => Some(Unused::TooMany),
                _ => None,
            };
            let mut steps = Vec::new();
            if unused.is_none() {
                self.targets += 1;
                let place = Place { group, priority: srv.priority, weight: srv.weight, transport: Some(transport) };
                steps = self.addresses(&srv.target, srv.port, place, Why::Record);
            }
            seen.push(Seen { record: record.clone(), unused, steps });
        }
        step.result = StepResult::Records(seen);
        (step, true)
    }

    /// The addresses of one server: by family, then in the order of the answers (RFC 7984: one after the other).
    fn addresses(&mut self, name: &str, port: u16, place: Place, why: Why) -> Vec<Step> {
        let (mut steps, mut addresses, mut waits) = (Vec::new(), Vec::new(), false);
        for kind in RecordType::ADDRESSES {
            let (mut step, level) = self.ask(name, kind, why);
            match level {
                Level::Records(records) => {
                    let mut seen = Vec::new();
                    for record in records {
                        let unused = address(&record).and_then(|ip| {
                            let addr = SocketAddr::new(ip, port);
                            if addresses.len() >= ADDRESSES {
                                return Some(Unused::TooMany);
                            }
                            if !self.taken.insert((place.group, place.priority, addr, place.transport)) {
                                return Some(Unused::Duplicate);
                            }
                            addresses.push(addr);
                            None
                        });
                        seen.push(Seen { record, unused, steps: Vec::new() });
                    }
                    step.result = StepResult::Records(seen);
                }
                Level::Waiting => waits = true,
                Level::Nothing | Level::Dead => {}
            }
            steps.push(step);
        }
        // One family with addresses is enough.
        self.settled &= !waits || !addresses.is_empty();
        self.doubt |= waits;
        if !addresses.is_empty() {
            self.servers.push((place, addresses));
        }
        steps
    }

    /// The result of one question, through its aliases.
    fn ask(&mut self, name: &str, kind: RecordType, why: Why) -> (Step, Level) {
        let question = Question { name: name.to_owned(), kind };
        let mut step = Step { why, question: question.clone(), aliases: Vec::new(), result: StepResult::Waiting };
        let mut at = question;
        loop {
            if !self.questions.contains(&at) && self.questions.len() >= QUESTIONS {
                self.doubt = true;
                step.result = StepResult::Failed(LookupFailure::TooMany);
                return (step, Level::Dead);
            }
            self.questions.insert(at.clone());
            let set = match (self.known)(&at) {
                Known::Answer(set) => set,
                Known::Expired => {
                    step.result = StepResult::Expired;
                    return (step, Level::Dead);
                }
                Known::Never(failures, failure) => return self.never(step, at, failures, failure),
            };
            step.aliases.extend(set.aliases.iter().cloned());
            let (result, level) = match &set.end {
                End::Records(records) => (StepResult::Records(Vec::new()), Level::Records(records.clone())),
                End::NoName(ttl) => (StepResult::NoName(*ttl), Level::Nothing),
                End::NoRecord(ttl) => (StepResult::NoRecord(*ttl), Level::Nothing),
                End::Alias => {
                    let target = step.aliases.last().map(|alias| alias.target.clone()).unwrap_or_default();
                    let again = step.aliases.iter().any(|alias| alias.name == target);
                    if step.aliases.len() < ALIASES && !again && is_name(&target) {
                        at = Question { name: target, kind };
                        continue;
                    }
                    (StepResult::Failed(LookupFailure::Garbled), Level::Dead)
                }
            };
            step.result = result;
            return (step, level);
        }
    }

    fn never(&mut self, mut step: Step, at: Question, failures: u32, failure: Option<LookupFailure>) -> (Step, Level) {
        if let Some(failure) = failure.filter(|_| failures > 0) {
            step.result = StepResult::Failed(failure);
        }
        let level = match at.kind {
            // If one family fails, the addresses of the other are used. The same holds for servers.
            RecordType::A | RecordType::Aaaa if failures > 0 => {
                self.doubt = true;
                Level::Nothing
            }
            RecordType::Naptr | RecordType::Srv if failures >= GIVE_UP && failure != Some(LookupFailure::TooMany) => {
                self.given_up.push(at);
                Level::Nothing
            }
            RecordType::Naptr | RecordType::Srv => {
                self.settled = false;
                Level::Waiting
            }
            RecordType::A | RecordType::Aaaa => Level::Waiting,
        };
        (step, level)
    }

    fn finish(mut self, trace: Trace) -> Walk {
        self.servers.sort_by_key(|(place, _)| (place.group, place.priority));
        let (mut servers, mut rank, mut last) = (Vec::new(), 0, None);
        for (place, addresses) in self.servers {
            let this = (place.group, place.priority);
            if last.is_some_and(|last| last != this) {
                rank += 1;
            }
            last = Some(this);
            servers.push(Server { rank, weight: place.weight, transport: place.transport, addresses });
        }
        // It is certain that there is no server only when every question is answered.
        let finished = self.settled && !(servers.is_empty() && self.doubt);
        Walk { questions: self.questions, servers: finished.then_some(servers), given_up: self.given_up, trace }
    }
}

/// The labels of a transport's SRV records (RFC 3263 4.1).
fn service(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "_sip._udp",
        Transport::Tcp => "_sip._tcp",
        Transport::Tls => "_sips._tcp",
    }
}

fn srv(record: &Record) -> Option<(&Srv, &Record)> {
    match &record.data {
        Data::Srv(srv) => Some((srv, record)),
        Data::Naptr(_) | Data::Address(_) => None,
    }
}

fn address(record: &Record) -> Option<IpAddr> {
    match record.data {
        Data::Address(ip) => Some(ip),
        Data::Naptr(_) | Data::Srv(_) => None,
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod zone;
