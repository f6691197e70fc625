//! Zones written as text, for the tests of the walk.

use std::collections::HashMap;
use std::time::Duration;

use super::*;
use crate::dns::record::{Alias, Naptr};

/// What is known, each line one thing: `NAME TYPE data…`, where the type may also be `CNAME`; `NAME TYPE none`, `NAME TYPE
/// waiting`, `NAME TYPE expired`, `NAME TYPE failed N`. What is not mentioned does not exist.
#[derive(Debug)]
pub(super) struct Zone(pub(super) HashMap<Question, Fact>);

#[derive(Clone, Debug)]
pub(super) enum Fact {
    Answer(RecordSet),
    Expired,
    Never(u32),
}

pub(super) static NO_NAME: RecordSet = RecordSet { aliases: Vec::new(), end: End::NoName(None) };
pub(super) const TTL: Duration = Duration::from_secs(300);

impl Zone {
    pub(super) fn of(text: &str) -> Self {
        let mut facts: HashMap<Question, Fact> = HashMap::new();
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let words: Vec<&str> = line.split_whitespace().collect();
            let name = words[0].to_owned();
            let kinds: Vec<RecordType> =
                RecordType::ALL.into_iter().filter(|kind| [kind.label(), "CNAME"].contains(&words[1])).collect();
            for kind in kinds {
                let question = Question { name: name.clone(), kind };
                let number = |at: usize| words[at].parse().unwrap();
                let data = match (words[1], words[2]) {
                    ("CNAME", target) => {
                        let alias = Alias { name: name.clone(), target: target.to_owned(), ttl: TTL };
                        facts.insert(question, Fact::Answer(RecordSet { aliases: vec![alias], end: End::Alias }));
                        continue;
                    }
                    (_, "none") => {
                        facts.insert(question, Fact::Answer(RecordSet { aliases: Vec::new(), end: End::NoRecord(None) }));
                        continue;
                    }
                    (_, "waiting") => {
                        facts.insert(question, Fact::Never(0));
                        continue;
                    }
                    (_, "failed") => {
                        facts.insert(question, Fact::Never(words[3].parse().unwrap()));
                        continue;
                    }
                    (_, "expired") => {
                        facts.insert(question, Fact::Expired);
                        continue;
                    }
                    ("NAPTR", _) => Data::Naptr(Naptr {
                        order: number(2),
                        preference: number(3),
                        flags: words[4].trim_matches('"').to_owned(),
                        services: words[5].trim_matches('"').to_owned(),
                        regexp: words[6].trim_matches('"').to_owned(),
                        replacement: words[7].to_owned(),
                    }),
                    ("SRV", _) => {
                        Data::Srv(Srv { priority: number(2), weight: number(3), port: number(4), target: words[5].to_owned() })
                    }
                    (_, ip) => Data::Address(ip.parse().unwrap()),
                };
                let fact = facts
                    .entry(question)
                    .or_insert_with(|| Fact::Answer(RecordSet { aliases: Vec::new(), end: End::Records(Vec::new()) }));
                let Fact::Answer(RecordSet { end: End::Records(records), .. }) = fact else { panic!("{line}") };
                records.push(Record { ttl: TTL, data });
            }
        }
        Self(facts)
    }

    pub(super) fn walk(&self, from: &str) -> Walk {
        let (host, transport) = from.split_once('/').map_or((from, None), |(host, transport)| (host, Some(transport)));
        let secure = transport == Some("sips");
        let transport =
            transport.filter(|_| !secure).map(|token| Transport::ALL.into_iter().find(|known| known.token() == token).unwrap());
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, Some(port.parse().unwrap())));
        walk(&NextHop { host: host.to_owned(), port, transport, secure }, |question| match self.0.get(question) {
            None => Known::Answer(&NO_NAME),
            Some(Fact::Answer(set)) => Known::Answer(set),
            Some(Fact::Expired) => Known::Expired,
            Some(Fact::Never(failures)) => Known::Never(*failures, (*failures > 0).then_some(LookupFailure::Silent)),
        })
    }
}

/// `rank weight transport addresses`, one server after the other; `unfinished` if it cannot be said.
pub(super) fn servers(walk: &Walk) -> Vec<String> {
    let Some(servers) = &walk.servers else { return vec!["unfinished".to_owned()] };
    let line = |server: &Server| {
        let addresses: Vec<String> = server.addresses.iter().map(ToString::to_string).collect();
        let transport = server.transport.map_or("any", Transport::token);
        format!("{} {} {transport} {}", server.rank, server.weight, addresses.join(","))
    };
    servers.iter().map(line).collect()
}

pub(super) fn asked(walk: &Walk) -> Vec<String> {
    walk.questions.iter().map(ToString::to_string).collect()
}

/// Every record of the trace that is not used, and why.
pub(super) fn unused(walk: &Walk) -> Vec<Unused> {
    fn of(steps: &[Step], out: &mut Vec<Unused>) {
        for step in steps {
            if let StepResult::Records(seen) = &step.result {
                for seen in seen {
                    out.extend(seen.unused);
                    of(&seen.steps, out);
                }
            }
        }
    }
    let mut out = Vec::new();
    of(&walk.trace.steps, &mut out);
    out
}
