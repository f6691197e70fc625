//! Which NAPTR records of a domain count, and in which order (RFC 3263 4.1, RFC 3403 4.1). Pure.

use super::record::{Data, Naptr, Record, is_name};
use super::trace::Unused;
use crate::config::Transport;

/// Most records of one answer that are used.
pub(super) const USED: usize = 16;

/// A record, and the decision about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Choice {
    /// The record.
    pub(super) record: Record,
    /// The way that it gives, or why it is not used.
    pub(super) way: Result<Way, Unused>,
}

/// Where a usable record leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Way {
    /// All ways of a lower group come before those of a higher one. Groups are not the record's preference, but 0, 1, 2 …
    pub(super) group: usize,
    /// The transport of its service field.
    pub(super) transport: Transport,
    /// The name of the SRV records.
    pub(super) name: String,
}

/// Sorts records by order and preference, and says of each whether it is used. `secure`: for a `sips:` URI, for which only TLS is
/// used.
pub(super) fn choose(records: &[Record], secure: bool) -> Vec<Choice> {
    let mut sorted: Vec<(&Naptr, &Record)> = records.iter().filter_map(naptr).collect();
    sorted.sort_by_key(|(naptr, _)| (naptr.order, naptr.preference));
    // Once a rule matches, no later order is looked at (RFC 3403 4.1).
    let order = sorted.iter().find(|(naptr, _)| usable(naptr, secure).is_ok()).map(|(naptr, _)| naptr.order);
    let mut used: Vec<(u16, Way)> = Vec::new();
    let mut choices = Vec::new();
    for (naptr, record) in sorted {
        let way = usable(naptr, secure).and_then(|(transport, name)| {
            if Some(naptr.order) != order {
                return Err(Unused::LaterOrder);
            }
            if used.iter().any(|(_, way)| way.transport == transport && way.name == name) {
                return Err(Unused::Duplicate);
            }
            if used.len() >= USED {
                return Err(Unused::TooMany);
            }
            let group = match used.last() {
                Some((preference, last)) if *preference == naptr.preference => last.group,
                Some((_, last)) => last.group + 1,
                None => 0,
            };
            let way = Way { group, transport, name };
            used.push((naptr.preference, way.clone()));
            Ok(way)
        });
        choices.push(Choice { record: record.clone(), way });
    }
    choices
}

fn naptr(record: &Record) -> Option<(&Naptr, &Record)> {
    match &record.data {
        Data::Naptr(naptr) => Some((naptr, record)),
        Data::Srv(_) | Data::Address(_) => None,
    }
}

fn usable(naptr: &Naptr, secure: bool) -> Result<(Transport, String), Unused> {
    let transport = match naptr.services.to_ascii_uppercase().as_str() {
        "SIPS+D2T" if secure => Transport::Tls,
        // TLS is used only if the operator asks for it: it may not be set up here. Without it, the other records are used.
        "SIPS+D2T" => return Err(Unused::Unasked),
        "SIP+D2U" | "SIP+D2T" if secure => return Err(Unused::Insecure),
        "SIP+D2U" => Transport::Udp,
        "SIP+D2T" => Transport::Tcp,
        "SIP+D2S" | "SIPS+D2S" | "SIP+D2W" | "SIPS+D2W" => return Err(Unused::NotSpoken),
        _ => return Err(Unused::Service),
    };
    if !naptr.flags.eq_ignore_ascii_case("s") {
        return Err(Unused::Flags);
    }
    if !naptr.regexp.is_empty() {
        return Err(Unused::Regexp);
    }
    if !is_name(&naptr.replacement) {
        return Err(Unused::BadName);
    }
    Ok((transport, naptr.replacement.clone()))
}
