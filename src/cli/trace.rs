//! The steps of a resolution, as a tree for people or as JSON. Only draws; the caller says what an address means.

use std::net::IpAddr;
use std::time::Duration;

use serde_json::{Value, json};

use super::color::{Colors, Tint};
use crate::dns::{Data, Record, Seen, Step, StepResult, Why};

/// A line, with the lines below it.
struct Branch {
    text: String,
    below: Vec<Self>,
}

/// Draws the steps. `mark` returns the remark for an address.
pub(super) fn tree(steps: &[Step], colors: Colors, mark: &dyn Fn(IpAddr) -> String) -> String {
    let branches: Vec<Branch> = steps.iter().map(|step| of_step(step, colors, mark)).collect();
    let mut out = String::new();
    draw(&branches, "", &mut out);
    out
}

fn draw(branches: &[Branch], before: &str, out: &mut String) {
    for (at, branch) in branches.iter().enumerate() {
        let last = at + 1 == branches.len();
        out.extend([before, if last { "└─ " } else { "├─ " }, &branch.text, "\n"]);
        draw(&branch.below, &format!("{before}{}", if last { "   " } else { "│  " }), out);
    }
}

fn of_step(step: &Step, colors: Colors, mark: &dyn Fn(IpAddr) -> String) -> Branch {
    let aliases = step.aliases.iter().map(|alias| Branch {
        text: format!("{}  CNAME {} → {}", seconds(alias.ttl), alias.name, alias.target),
        below: Vec::new(),
    });
    let (result, records) = match &step.result {
        StepResult::Records(records) => (String::new(), records.as_slice()),
        other => (format!(": {}", colors.text(Tint::Yellow, nothing(other))), &[][..]),
    };
    // A question below a record needs no reason: the record is the reason.
    let why = match step.why {
        Why::Record => String::new(),
        why => format!("  {}", colors.text(Tint::Dim, format!("({why})"))),
    };
    Branch {
        text: format!("{}{result}{why}", colors.text(Tint::Bold, &step.question)),
        below: aliases.chain(records.iter().map(|seen| of_record(seen, colors, mark))).collect(),
    }
}

fn of_record(seen: &Seen, colors: Colors, mark: &dyn Fn(IpAddr) -> String) -> Branch {
    let text = match (&seen.unused, &seen.record.data) {
        (Some(unused), _) => colors.text(Tint::Dim, format!("{}  not used: {unused}", shown(&seen.record))),
        (None, Data::Address(ip)) => format!("{}  {}", shown(&seen.record), mark(*ip)),
        (None, _) => shown(&seen.record),
    };
    Branch { text, below: seen.steps.iter().map(|step| of_step(step, colors, mark)).collect() }
}

/// A record as in a zone file, with the TTL in front.
fn shown(record: &Record) -> String {
    let data = match &record.data {
        Data::Naptr(naptr) => format!(
            "{} {} \"{}\" \"{}\" \"{}\" {}",
            naptr.order, naptr.preference, naptr.flags, naptr.services, naptr.regexp, naptr.replacement
        ),
        Data::Srv(srv) => format!("{} {} {} {}", srv.priority, srv.weight, srv.port, srv.target),
        Data::Address(ip) => ip.to_string(),
    };
    format!("{}  {data}", seconds(record.ttl))
}

fn seconds(ttl: Duration) -> String {
    format!("{}s", ttl.as_secs())
}

fn nothing(result: &StepResult) -> String {
    let holds = |ttl: &Option<Duration>| ttl.map_or_else(String::new, |ttl| format!(", TTL {}", seconds(ttl)));
    match result {
        StepResult::Records(_) => String::new(),
        StepResult::NoName(ttl) => format!("no such name{}", holds(ttl)),
        StepResult::NoRecord(ttl) => format!("no such record{}", holds(ttl)),
        StepResult::Failed(failure) => failure.to_string(),
        StepResult::Expired => "too old to serve, and there is no newer answer".to_owned(),
        StepResult::Waiting => "not answered yet".to_owned(),
    }
}

/// The first question that was not answered, and why.
pub(super) fn failure(steps: &[Step]) -> Option<String> {
    steps.iter().find_map(|step| match &step.result {
        StepResult::Failed(failure) => Some(format!("{}: {failure}", step.question)),
        StepResult::Records(records) => records.iter().find_map(|seen| failure(&seen.steps)),
        _ => None,
    })
}

/// The same steps as JSON, for machines.
pub(super) fn json(steps: &[Step]) -> Value {
    steps.iter().map(step_json).collect()
}

fn step_json(step: &Step) -> Value {
    let (result, ttl, records) = match &step.result {
        StepResult::Records(records) => ("records", None, records.as_slice()),
        StepResult::NoName(ttl) => ("no-name", *ttl, &[][..]),
        StepResult::NoRecord(ttl) => ("no-record", *ttl, &[][..]),
        StepResult::Failed(_) => ("failed", None, &[][..]),
        StepResult::Expired => ("expired", None, &[][..]),
        StepResult::Waiting => ("waiting", None, &[][..]),
    };
    let failure = match &step.result {
        StepResult::Failed(failure) => Some(failure.to_string()),
        _ => None,
    };
    let aliases = step.aliases.iter();
    let aliases = aliases.map(|alias| json!({ "name": alias.name, "target": alias.target, "ttl": alias.ttl.as_secs() }));
    json!({
        "type": step.question.kind.label(),
        "name": step.question.name,
        "why": step.why.to_string(),
        "aliases": aliases.collect::<Vec<_>>(),
        "result": result,
        "ttl": ttl.map(|ttl| ttl.as_secs()),
        "failure": failure,
        "records": records.iter().map(record_json).collect::<Vec<_>>(),
    })
}

fn record_json(seen: &Seen) -> Value {
    let data = match &seen.record.data {
        Data::Naptr(naptr) => json!({
            "order": naptr.order,
            "preference": naptr.preference,
            "flags": naptr.flags,
            "services": naptr.services,
            "regexp": naptr.regexp,
            "replacement": naptr.replacement,
        }),
        Data::Srv(srv) => {
            json!({ "priority": srv.priority, "weight": srv.weight, "port": srv.port, "target": srv.target })
        }
        Data::Address(ip) => json!({ "address": ip.to_string() }),
    };
    json!({
        "ttl": seen.record.ttl.as_secs(),
        "data": data,
        "unused": seen.unused.as_ref().map(ToString::to_string),
        "steps": json(&seen.steps),
    })
}
