//! A report as text for a terminal, and as values with commas between.

use std::fmt::Write as _;

use super::report::{AuditReport, counted, reasons};
use super::verify::remarks;
use super::{grouped, hex, told};
use crate::audit::read::totals::CallCounts;
use crate::cli::printable::plain;

/// What a report says of calls for people, in its order.
pub(super) fn columns(counts: &CallCounts) -> Vec<(&'static str, u64)> {
    vec![
        ("offered", counts.offered),
        ("accepted here (100)", counts.here),
        ("accepted elsewhere (101)", counts.elsewhere),
        ("refused", counts.refused()),
        ("shadow", counts.shadow),
        ("answered", counts.answered),
        ("minutes", counts.seconds / 60),
        ("length unknown", counts.without_length),
        ("end unknown", counts.unknown()),
        ("media inside", counts.inside),
        ("media relayed", counts.relayed),
        ("media warned", counts.warned),
        ("media not read", counts.not_read),
        ("no media in the INVITE", counts.no_media),
        ("outside", counts.outside),
    ]
}

/// What it says of realtime sessions.
pub(super) fn realtime(counts: &CallCounts) -> Vec<(&'static str, u64)> {
    let counts = &counts.realtime;
    vec![("realtime accepted", counts.accepted), ("realtime refused", counts.refused), ("realtime shadow", counts.shadow)]
}

/// Who is in a row.
pub(super) fn name(region: &str, project: &str) -> String {
    let or = |name: &str, none: &str| if name.is_empty() { none.to_owned() } else { plain(name.as_bytes()) };
    format!("{} / {}", or(region, "no region"), or(project, "no project"))
}

/// As text.
pub(super) fn text(report: &AuditReport) -> String {
    let mut out = format!("period {}\n", report.period);
    // Writing to a string cannot fail.
    for node in &report.nodes {
        let _ = writeln!(out, "\n{}  {}", plain(node.directory.as_bytes()), plain(node.origin.as_bytes()));
        let whence = if node.own_key { " (from the directory: compare it with one that you got elsewhere)" } else { "" };
        let _ = writeln!(out, "  key {}{whence}", plain(node.key.as_bytes()));
        for said in node.said(|lines| &lines.nodes) {
            let _ = writeln!(out, "  node {}", plain(said.as_bytes()));
        }
        for digest in node.said(|lines| &lines.digests) {
            let _ = writeln!(out, "  configuration {}", plain(digest.as_bytes()));
        }
        for day in &node.days {
            let _ = match &day.lines {
                Some(lines) => writeln!(out, "  {}  {} records  root {}", day.day, grouped(lines.records), hex(&lines.root)),
                None => writeln!(out, "  {}  deleted", day.day),
            };
            for said in remarks(day) {
                let _ = writeln!(out, "    {said}");
            }
            for finding in &day.findings.told {
                let _ = writeln!(out, "    broken: {}", told(finding));
            }
        }
    }
    for ((region, project), counts) in &report.rows {
        let _ = writeln!(out, "\n{}", name(region, project));
        row(counts, &mut out);
    }
    let _ = writeln!(out, "\nall");
    row(&report.all(), &mut out);
    for (what, count) in sums(report) {
        let _ = writeln!(out, "  {what:<30} {:>14}", grouped(count));
    }
    for (region, sentence) in &report.sentences {
        let _ = match sentence {
            Ok(sentence) => writeln!(out, "\n{}", plain(sentence.as_bytes())),
            Err(why) => {
                writeln!(out, "\nOf region {} nothing can be said: {}", plain(region.as_bytes()), plain(why.as_bytes()))
            }
        };
    }
    out
}

/// What is not of one row: it is of a node, and so of all that it serves.
pub(super) fn sums(report: &AuditReport) -> [(&'static str, u64); 3] {
    [
        ("gaps: records missing", report.missing()),
        ("unclean ends", report.unclean()),
        ("ends without an answer", report.ends_without_answer),
    ]
}

fn row(counts: &CallCounts, out: &mut String) {
    for (what, count) in columns(counts) {
        let _ = writeln!(out, "  {what:<30} {:>14}", grouped(count));
        if what == "refused" {
            for (reason, &count) in reasons().zip(&counts.refused).filter(|&(_, &count)| count > 0) {
                let _ = writeln!(out, "    {reason:<28} {:>14}", grouped(count));
            }
        }
    }
    for (what, count) in realtime(counts) {
        let _ = writeln!(out, "  {what:<30} {:>14}", grouped(count));
    }
}

/// As values with commas between (RFC 4180).
pub(super) fn csv(report: &AuditReport) -> String {
    let mut head: Vec<String> = ["period", "region", "project"].map(str::to_owned).into();
    head.extend(counted(&CallCounts::default()).map(|(key, _)| key.to_owned()));
    head.extend(reasons().map(|reason| format!("refused {reason}")));
    head.extend(["missing", "unclean_ends"].map(str::to_owned));
    let mut rows = vec![head];
    for ((region, project), counts) in &report.rows {
        let mut row = vec![report.period.clone(), region.clone(), project.clone()];
        row.extend(counted(counts).map(|(_, count)| count.to_string()));
        row.extend(counts.refused.map(|count| count.to_string()));
        // A gap is of a node, and so of each row.
        row.extend([report.missing(), report.unclean()].map(|count| count.to_string()));
        rows.push(row);
    }
    rows.iter().map(|row| row.iter().map(|value| quoted(value)).collect::<Vec<_>>().join(",") + "\r\n").collect()
}

/// A value that no program takes for a formula or for several values.
fn quoted(value: &str) -> String {
    let value = plain(value.as_bytes());
    let formula = value.starts_with(['=', '+', '-', '@']);
    if formula || value.contains(['"', ',', '\n', '\r']) {
        format!("\"{}{}\"", if formula { "'" } else { "" }, value.replace('"', "\"\""))
    } else {
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_value_is_two_values_or_a_formula() {
        assert_eq!(
            ["eu", "a,b", "a\"b", "=1+1", "-1", "a\nb"].map(quoted),
            ["eu", "\"a,b\"", "\"a\"\"b\"", "\"'=1+1\"", "\"'-1\"", "a\u{fffd}b"]
        );
    }
}
