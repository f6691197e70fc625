//! Prints the result of `ringfence explain`, for people and for machines. Only draws.

use std::fmt::Write as _;

use serde_json::{Value, json};

use super::explained::{Decision, Explained, Target};
use crate::cli::color::{Colors, Tint};
use crate::cli::printable::{first_line, plain};
use crate::cli::resolve::Outcome;
use crate::cli::told;
use crate::core::rules::trace::{Mark, TraceRow};
use crate::reason::{Class, Reason};

/// The result as text, for people.
pub(super) fn as_text(explained: &Explained, colors: Colors) -> String {
    let mut out = String::new();
    let listener = explained.listener();
    let region = &explained.config.region(listener.region).name;
    // Writing to a string cannot fail.
    let _ = writeln!(
        out,
        "{}\nfrom {} to {}:{} of region {region}",
        colors.text(Tint::Bold, first_line(&explained.message.bytes)),
        explained.arrival.from,
        listener.transport.token(),
        listener.addr
    );
    for repair in &explained.message.repairs {
        let _ = writeln!(out, "{}  {repair}", colors.text(Tint::Yellow, "repaired"));
    }
    out.push('\n');
    for TraceRow { test, value, against, mark } in &explained.comparisons {
        let tint = match mark {
            Mark::Pass => Tint::Green,
            Mark::Fail => Tint::Red,
            Mark::Shadow => Tint::Yellow,
            Mark::Skipped => Tint::Dim,
        };
        let mark = colors.text(tint, format!("{:<10}", mark.label()));
        let _ = writeln!(out, "{:<8} {mark}  {value}\n{:<21}{}", test.label(), "", colors.text(Tint::Dim, against));
    }
    out += "\n";
    out += &match &explained.decision {
        Decision::Accepted { reason, shadow } => {
            let what = match (reason, shadow) {
                (Some(reason), Some(why)) => format!("accepted in shadow mode; otherwise refused: {}, {why}", named(*reason)),
                (Some(reason), None) => format!("accepted: {}", named(*reason)),
                (None, _) => "accepted".to_owned(),
            };
            colors.text(if shadow.is_some() { Tint::Yellow } else { Tint::Green }, what)
        }
        Decision::Refused { reason: Some(reason), why } => {
            let class = match reason.class() {
                Class::Capacity => "may be tried at a sibling in the same region",
                _ => "final: it may be tried nowhere else",
            };
            colors.text(Tint::Red, format!("refused: {}, {why}; {class}", named(*reason)))
        }
        Decision::Refused { reason: None, why } => colors.text(Tint::Red, format!("refused: {why}")),
        Decision::Unknown(what) => colors.text(Tint::Yellow, format!("cannot tell: it depends on {what}")),
    };
    out.push('\n');
    if let Decision::Refused { reason: Some(reason), .. } = &explained.decision
        && let Some(hint) = told::hint(reason.id().into())
    {
        let _ = writeln!(out, "({hint})");
    }
    if let Some(answer) = &explained.answer {
        let _ = write!(out, "\nthe answer\n{}", indented(answer));
    }
    if !explained.targets.is_empty() {
        out += "\nthe targets, in order\n";
    }
    for (at, target) in explained.targets.iter().enumerate() {
        let served = serving(explained, target);
        let _ = writeln!(out, "  {}  {}  {}{served}", at + 1, target.addr, target.transport.token());
    }
    if let Some(otherwise) = &explained.otherwise {
        let _ = writeln!(out, "  and if none of them takes it: {}", first_line(otherwise));
    }
    for of in &explained.names {
        let servers: Vec<_> = of.servers.iter().flat_map(|server| server.addresses.iter().map(ToString::to_string)).collect();
        let servers = if servers.is_empty() { "nothing".to_owned() } else { servers.join(" ") };
        let _ = writeln!(out, "\n{} resolves to {servers}", of.written);
    }
    out
}

fn named(reason: Reason) -> String {
    format!("{} {reason}", reason.id())
}

fn indented(bytes: &[u8]) -> String {
    let lines = bytes.split(|&octet| octet == b'\n').map(|line| plain(line.trim_ascii_end()));
    let mut lines: Vec<String> = lines.map(|line| format!("  {line}")).collect();
    while lines.last().is_some_and(|line| line.trim().is_empty()) {
        lines.pop();
    }
    lines.join("\n") + "\n"
}

/// The region that serves the call at this target, if the request says it.
fn serving(explained: &Explained, target: &Target) -> String {
    let regions = explained.config.regions_of(target.addr);
    let names: Vec<_> = regions.into_iter().map(|id| explained.config.region(id).name.as_str()).collect();
    if names.is_empty() { String::new() } else { format!("  region {}", names.join(", ")) }
}

/// The result as JSON, for machines. Later versions may add fields, but remove none.
pub(super) fn as_json(explained: &Explained) -> Value {
    let listener = explained.listener();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (verdict, reason, why) = match &explained.decision {
        Decision::Accepted { reason, shadow: Some(why) } => ("shadow", *reason, Some(why)),
        Decision::Accepted { reason, shadow: None } => ("accept", *reason, None),
        Decision::Refused { reason, why } => ("refuse", *reason, Some(why)),
        Decision::Unknown(what) => ("unknown", None, Some(what)),
    };
    let comparison =
        |of: &TraceRow| json!({ "test": of.test.label(), "result": of.mark.label(), "value": of.value, "against": of.against });
    let target = |of: &Target| {
        let regions = explained.config.regions_of(of.addr);
        json!({
            "address": of.addr.to_string(),
            "transport": of.transport.token(),
            "regions": regions.into_iter().map(|id| explained.config.region(id).name.clone()).collect::<Vec<_>>(),
            "request": text(&of.bytes),
        })
    };
    let answer = |bytes: &bytes::Bytes| json!({ "code": code(bytes), "text": text(bytes) });
    json!({
        "verdict": verdict,
        "reason": reason.map(|reason| json!({ "id": reason.id(), "token": reason.token() })),
        "why": why,
        "source": explained.arrival.from.to_string(),
        "listener": format!("{}:{}", listener.transport.token(), listener.addr),
        "region": explained.config.region(listener.region).name,
        "message": text(&explained.message.bytes),
        "repairs": explained.message.repairs,
        "tests": explained.comparisons.iter().map(comparison).collect::<Vec<_>>(),
        "answer": explained.answer.as_ref().map(answer),
        "targets": explained.targets.iter().map(target).collect::<Vec<_>>(),
        "otherwise": explained.otherwise.as_ref().map(answer),
        "names": explained.names.iter().map(|of| json!({
            "name": of.written.to_string(),
            "failed": of.outcome(&explained.config) == Outcome::Failed,
            "addresses": of.servers.iter().flat_map(|server| &server.addresses).map(ToString::to_string).collect::<Vec<_>>(),
        })).collect::<Vec<_>>(),
    })
}

/// The status code of a response.
fn code(bytes: &[u8]) -> Option<u16> {
    std::str::from_utf8(bytes.get(8..11)?).ok()?.parse().ok()
}
