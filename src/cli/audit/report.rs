//! `ringfence audit report`: what a period's records add up to, over any number of nodes, and what may be said of it.
//!
//! Verifies all that it counts. The sentence at its end is printed only if it is true.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Write as _;
use std::ops::RangeInclusive;

use serde_json::{Map, Value, json};

use super::options::ReportOptions;
use super::verify::day_as_json;
use super::{chain, code, grouped, keys, page, table, told};
use crate::audit::day::Day;
use crate::audit::read::chain::{CheckedDay, Follows, NodeChain, Standing, latest_of, mark_unfinished};
use crate::audit::read::line::seconds_of;
use crate::audit::read::totals::{CallCounts, OTHER, Totals};
use crate::cli::exit::NO_INPUT;
use crate::cli::output::{complain, print, shown};
use crate::cli::printable::{harmless_json, plain};
use crate::reason::Reason;

/// A period's records, added up.
pub(super) struct AuditReport {
    pub(super) period: String,
    pub(super) nodes: Vec<ReportedNode>,
    /// The counts by region and project.
    pub(super) rows: BTreeMap<(String, String), CallCounts>,
    pub(super) standing: Standing,
    /// For each region: the sentence that may be quoted, or why there is none.
    pub(super) sentences: BTreeMap<String, Result<String, String>>,
    /// Ends for which there is no answer in the records.
    pub(super) ends_without_answer: u64,
}

/// One node's part in it.
pub(super) struct ReportedNode {
    pub(super) directory: String,
    pub(super) origin: String,
    pub(super) key: String,
    pub(super) own_key: bool,
    pub(super) days: Vec<CheckedDay>,
}

impl ReportedNode {
    /// A sum over its days.
    pub(super) fn sum(&self, of: impl Fn(&crate::audit::read::day_check::CheckedLines) -> u64) -> u64 {
        self.days.iter().filter_map(|day| day.lines.as_ref()).map(of).fold(0, u64::saturating_add)
    }

    /// Texts that its days say, each once.
    pub(super) fn said(&self, of: impl Fn(&crate::audit::read::day_check::CheckedLines) -> &[String]) -> Vec<String> {
        let mut all: Vec<String> =
            self.days.iter().filter_map(|day| day.lines.as_ref()).flat_map(|lines| of(lines).to_vec()).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// Prints the report.
pub(super) fn report(options: &ReportOptions) -> u8 {
    let keys = match keys(&options.key) {
        Ok(keys) => keys,
        Err(code) => return code,
    };
    let chains: Result<Vec<NodeChain>, u8> = options.directories.iter().map(|path| chain(path, &keys)).collect();
    let report = match chains.and_then(|chains| added_up(chains, options)) {
        Ok(report) => report,
        Err(code) => return code,
    };
    let text = match options {
        ReportOptions { json: true, .. } => harmless_json(&report.as_json().to_string()) + "\n",
        ReportOptions { html: true, .. } => page::page(&report),
        ReportOptions { csv: true, .. } => table::csv(&report),
        _ => table::text(&report),
    };
    print(&text);
    code(report.standing)
}

fn added_up(mut chains: Vec<NodeChain>, options: &ReportOptions) -> Result<AuditReport, u8> {
    let range = &options.period.days;
    let begin = seconds_of(&format!("{}T00:00:00", range.start())).unwrap_or_default();
    let mut totals = Totals::new(begin);
    let new = |chain: &NodeChain| ReportedNode {
        directory: shown(&chain.directory.path),
        origin: chain.verifier.name().to_owned(),
        key: chain.verifier.to_string(),
        own_key: options.key.is_empty(),
        days: Vec::new(),
    };
    let mut nodes: Vec<ReportedNode> = chains.iter().map(new).collect();
    // Day by day over all nodes: so only the calls of one day wait for a record of another node.
    while let Some(day) = chains.iter().filter_map(NodeChain::next_day).min() {
        for (chain, node) in chains.iter_mut().zip(&mut nodes).filter(|(chain, _)| chain.next_day() == Some(day)) {
            let checked = chain.check_next(range, &mut |line, outside| totals.take(line, outside));
            if let Some(checked) = checked.map_err(|error| super::unreadable(&error))?.filter(|of| range.contains(&of.day)) {
                node.days.push(checked);
            }
        }
    }
    if let Some((node, other, day)) = twice(&nodes) {
        let what = format!("{node} and {other} have the same records of {day}: give each record once, or its calls count twice");
        return Err(complain(&plain(what.as_bytes()), NO_INPUT));
    }
    let latest = chains.iter().zip(&nodes).filter_map(|(chain, node)| latest_of(&chain.directory, &node.days)).max();
    mark_unfinished(latest, nodes.iter_mut().flat_map(|node| &mut node.days));
    let mut standing = nodes.iter().flat_map(|node| &node.days).map(Standing::of).fold(Standing::default(), Standing::and);
    // Whoever asks for a period wants all of it.
    standing.gaps |= nodes.iter().flat_map(|node| &node.days).any(|day| left_out(day, range).is_some());
    let rows = totals.rows();
    let mut report = AuditReport {
        period: options.period.text.clone(),
        nodes,
        rows,
        standing,
        sentences: BTreeMap::new(),
        ends_without_answer: totals.ends_without_answer(),
    };
    for (region, counts) in report.regions() {
        let sentence = report.sentence(&region, &counts, range);
        report.sentences.insert(region, sentence);
    }
    Ok(report)
}

/// The day of the period that comes before the first one of a record, and is not here.
fn left_out(day: &CheckedDay, range: &RangeInclusive<Day>) -> Option<Day> {
    let before = day.lines.as_ref().filter(|_| day.follows == Follows::Absent)?.before?;
    range.contains(&before).then_some(before)
}

/// Two directories that have the same records of a day: one may be a copy of the other, also an older one.
fn twice(nodes: &[ReportedNode]) -> Option<(&str, &str, Day)> {
    let mut seen = HashMap::new();
    let mut days = nodes.iter().flat_map(|node| node.days.iter().map(move |day| (node, day)));
    days.find_map(|(node, day)| {
        let first = day.lines.as_ref()?.first?;
        seen.insert((&node.key, first), node).map(|before| (before.directory.as_str(), node.directory.as_str(), day.day))
    })
}

impl AuditReport {
    /// The sums of each region that has a name.
    pub(super) fn regions(&self) -> BTreeMap<String, CallCounts> {
        let mut regions = BTreeMap::<String, CallCounts>::new();
        for ((region, _), counts) in self.rows.iter().filter(|((region, _), _)| !region.is_empty()) {
            regions.entry(region.clone()).or_default().add(counts);
        }
        regions
    }

    /// The sum of all.
    pub(super) fn all(&self) -> CallCounts {
        let mut all = CallCounts::default();
        self.rows.values().for_each(|counts| all.add(counts));
        all
    }

    pub(super) fn missing(&self) -> u64 {
        self.nodes.iter().map(|node| node.sum(|lines| lines.missing)).fold(0, u64::saturating_add)
    }

    pub(super) fn unclean(&self) -> u64 {
        self.nodes.iter().map(|node| node.sum(|lines| lines.unclean_count)).fold(0, u64::saturating_add)
    }

    /// What may be said of a region, or why it may not.
    fn sentence(&self, region: &str, counts: &CallCounts, range: &RangeInclusive<Day>) -> Result<String, String> {
        let days = || self.nodes.iter().flat_map(|node| node.days.iter().map(move |day| (node, day)));
        if counts.outside > 0 {
            return Err(format!(
                "{} records say that something was outside, when they are judged again",
                grouped(counts.outside)
            ));
        }
        if let Some((node, day)) = days().find(|(_, day)| day.findings.count > 0) {
            let first = day.findings.told.first().map(told).unwrap_or_default();
            return Err(format!("the record of {} in {} is broken: {first}", day.day, node.directory));
        }
        if let Some((node, day)) = days().find(|(_, day)| day.lines.as_ref().is_some_and(|lines| lines.unjudged > 0)) {
            return Err(format!("records of {} in {} name a configuration that no record tells", day.day, node.directory));
        }
        if let Some((node, day)) = days().find(|(_, day)| day.unsigned > 0) {
            return Err(format!("{} records of {} in {} are signed by nobody", grouped(day.unsigned), day.day, node.directory));
        }
        if let Some((node, day)) = days().find(|(_, day)| day.unfinished) {
            return Err(format!("{} in {} is over, and its last checkpoint is not final", day.day, node.directory));
        }
        if let Some((node, day)) = days().find(|(_, day)| day.lines.is_none() && day.checkpoint.is_some()) {
            return Err(format!("the records of {} in {} are deleted", day.day, node.directory));
        }
        if let Some((node, day, before)) = days().find_map(|(node, day)| Some((node, day, left_out(day, range)?))) {
            return Err(format!("the record in {} begins with {}, and {before} was before that", node.directory, day.day));
        }
        if days().next().is_none() {
            return Err(format!("there is no record from {} to {}", range.start(), range.end()));
        }
        let out = counts.out;
        let inward = counts.passed().saturating_sub(out);
        let mut text = format!(
            "Of {} accepted for region {region} none was sent to an address outside ",
            counted_as(inward, "call", "calls")
        );
        // Writing to a string cannot fail.
        let _ = match counts.elsewhere {
            0 => write!(text, "its networks"),
            by => {
                let served = counted_as(by, "was", "were");
                write!(text, "the networks of the region that served it ({served} served by another region)")
            }
        };
        if out > 0 {
            let calls = counted_as(out, "call", "calls");
            let _ = write!(text, ", and of {calls} from it none to an address outside the networks of its trunk");
        }
        let missing = self.missing();
        let _ = write!(text, ", as of these records; {} known to be missing.", counted_as(missing, "record is", "records are"));
        let behind = self.nodes.iter().map(|node| node.sum(|lines| lines.behind)).fold(0, u64::saturating_add);
        for (count, one, many) in [
            (
                counts.shadow,
                "call was let through although a rule refuses it, because the rule is only tried or only warns",
                "calls were let through although a rule refuses them, because the rule is only tried or only warns",
            ),
            (
                self.unclean(),
                "time a daemon did not close its record, and what it had not written yet may be missing",
                "times a daemon did not close its record, and what it had not written yet may be missing",
            ),
            (behind, "record is not signed yet", "records are not signed yet"),
        ] {
            if count > 0 {
                let _ = write!(text, " {}.", counted_as(count, one, many));
            }
        }
        Ok(text)
    }

    fn as_json(&self) -> Value {
        let nodes: Vec<Value> = self
            .nodes
            .iter()
            .map(|node| {
                json!({
                    "directory": node.directory,
                    "origin": node.origin,
                    "key": node.key,
                    "key_from_directory": node.own_key,
                    "versions": node.said(|lines| &lines.nodes),
                    "configurations": node.said(|lines| &lines.digests),
                    "days": node.days.iter().map(day_as_json).collect::<Vec<_>>(),
                })
            })
            .collect();
        let row = |((region, project), counts): (&(String, String), &CallCounts)| {
            let mut row = Map::new();
            row.insert("region".to_owned(), json!(region));
            row.insert("project".to_owned(), json!(project));
            for (key, value) in counted(counts) {
                row.insert(key.to_owned(), json!(value));
            }
            let refused = counts.refused.iter().zip(reasons()).filter(|&(&count, _)| count > 0);
            row.insert(
                "refused_by".to_owned(),
                refused.map(|(&count, reason)| (reason, json!(count))).collect::<Map<_, _>>().into(),
            );
            Value::Object(row)
        };
        let sentences: Map<String, Value> = self
            .sentences
            .iter()
            .map(|(region, sentence)| {
                let said = match sentence {
                    Ok(sentence) => json!({ "sentence": sentence }),
                    Err(why) => json!({ "why_not": why }),
                };
                (region.clone(), said)
            })
            .collect();
        json!({
            "period": self.period,
            "whole": !self.standing.broken,
            "gaps": self.standing.gaps,
            "missing": self.missing(),
            "unclean_ends": self.unclean(),
            "ends_without_answer": self.ends_without_answer,
            "nodes": nodes,
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "regions": sentences,
        })
    }
}

/// A count with what is counted.
fn counted_as(count: u64, one: &str, many: &str) -> String {
    format!("{} {}", grouped(count), if count == 1 { one } else { many })
}

/// The counts of a row by their names, as JSON and CSV have them.
pub(super) fn counted(counts: &CallCounts) -> [(&'static str, u64); 23] {
    [
        ("offered", counts.offered),
        ("accepted_here", counts.here),
        ("accepted_elsewhere", counts.elsewhere),
        ("refused", counts.refused()),
        ("shadow", counts.shadow),
        ("to_trunk", counts.out),
        ("answered", counts.answered),
        ("ended", counts.ended),
        ("seconds", counts.seconds),
        ("length_unknown", counts.without_length),
        ("end_unknown", counts.unknown()),
        ("media_inside", counts.inside),
        ("media_relayed", counts.relayed),
        ("media_warned", counts.warned),
        ("media_not_read", counts.not_read),
        ("media_none", counts.no_media),
        ("outside", counts.outside),
        ("other_verdicts", counts.others),
        ("minutes", counts.seconds / 60),
        ("realtime_accepted", counts.realtime.accepted),
        ("realtime_refused", counts.realtime.refused),
        ("realtime_shadow", counts.realtime.shadow),
        ("verdicts", counts.verdicts),
    ]
}

/// The reasons of refusals, as rows have them.
pub(super) fn reasons() -> impl Iterator<Item = String> {
    let known = Reason::ALL.into_iter().map(|reason| format!("{} {}", reason.id(), reason.token()));
    debug_assert_eq!(OTHER, Reason::ALL.len());
    known.chain(std::iter::once("another".to_owned()))
}
