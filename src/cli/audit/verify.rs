//! `ringfence audit verify`: whether records are whole, told day by day.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, stdin, stdout};
use std::path::Path;

use serde_json::{Value, json};

use super::options::VerifyOptions;
use super::{chain, code, grouped, hex, keys, prove, told};
use crate::audit::day::Day;
use crate::audit::read::chain::{CheckedDay, Follows, NodeChain, Standing, latest_of, mark_unfinished};
use crate::audit::read::day_check::{CheckedLines, Finding, Findings, HeldTo, check_lines};
use crate::audit::read::line::ReadLine;
use crate::cli::color::{Colors, Tint};
use crate::cli::exit::NO_INPUT;
use crate::cli::output::{complain, print, shown};
use crate::cli::printable::{harmless_json, plain};

/// What was found in one directory.
struct VerifiedNode {
    directory: String,
    origin: String,
    key: String,
    /// Whether the key came with the record itself, and so proves nothing about who wrote it.
    own_key: bool,
    days: Vec<CheckedDay>,
}

/// Verifies and prints what was found.
pub(super) fn verify(options: &VerifyOptions) -> u8 {
    let keys = match keys(&options.key) {
        Ok(keys) => keys,
        Err(code) => return code,
    };
    if let Some(path) = &options.proof {
        return prove::check(path, &keys, options.json);
    }
    let (mut nodes, mut latest) = (Vec::new(), None);
    for path in &options.directories {
        let read = |chain| node(chain, options);
        let node = if path == Path::new("-") { lines_only().map(|node| (node, None)) } else { chain(path, &keys).and_then(read) };
        match node {
            Ok((node, day)) => {
                nodes.push(node);
                latest = latest.max(day);
            }
            Err(code) => return code,
        }
    }
    mark_unfinished(latest, nodes.iter_mut().flat_map(|node| &mut node.days));
    let standing = nodes.iter().flat_map(|node| &node.days).map(Standing::of).fold(Standing::default(), Standing::and);
    if options.json {
        print(&format!("{}\n", harmless_json(&as_json(&nodes, standing).to_string())));
    } else {
        print(&as_text(&nodes, standing, Colors::on(stdout().is_terminal())));
    }
    code(standing)
}

/// What was found, and the latest day that it shows to have begun.
fn node(mut chain: NodeChain, options: &VerifyOptions) -> Result<(VerifiedNode, Option<Day>), u8> {
    let days = &chain.directory.days;
    let (Some(&first), Some(&last)) = (days.first(), days.last()) else { return Err(NO_INPUT) };
    let range = options.since.unwrap_or(first)..=options.until.unwrap_or(last);
    let mut node = VerifiedNode {
        directory: shown(&chain.directory.path),
        origin: chain.verifier.name().to_owned(),
        key: chain.verifier.to_string(),
        own_key: options.key.is_empty(),
        days: Vec::new(),
    };
    while let Some(day) = chain.check_next(&range, &mut |_, _| ()).map_err(|error| super::unreadable(&error))? {
        // Of the others only the chain was held to anything: they are told if it is broken.
        if range.contains(&day.day) || day.findings.count > 0 {
            node.days.push(day);
        }
    }
    let latest = latest_of(&chain.directory, &node.days);
    Ok((node, latest))
}

/// The lines of one day on standard input: no checkpoint, but their form, order, seals, targets and root.
fn lines_only() -> Result<VerifiedNode, u8> {
    let nothing: Day = match "1970-01-01".parse() {
        Ok(day) => day,
        Err(error) => return Err(complain(&format!("{error}"), NO_INPUT)),
    };
    let held = HeldTo { day: nothing, checkpoint: None, previous: None, is_first: true };
    let mut day = None;
    let mut see = |line: &ReadLine<'_>, _: bool| day = day.or_else(|| Day::of_moment(line.at).ok());
    let checked = check_lines(&mut stdin().lock(), &held, &mut None, &mut see);
    let (mut lines, findings) = checked.map_err(|error| complain(&format!("standard input: {error}"), NO_INPUT))?;
    lines.of_other_days = 0;
    let day = CheckedDay {
        day: day.unwrap_or(nothing),
        lines: Some(lines),
        checkpoint: None,
        follows: Follows::Unknown,
        findings,
        unsigned: 0,
        hole: false,
        unfinished: false,
    };
    let (directory, origin) = ("standard input".to_owned(), "nothing is signed".to_owned());
    Ok(VerifiedNode { directory, origin, key: String::new(), own_key: false, days: vec![day] })
}

fn as_text(nodes: &[VerifiedNode], standing: Standing, colors: Colors) -> String {
    let mut out = String::new();
    for node in nodes {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{}", colors.text(Tint::Bold, plain(format!("{}  {}", node.directory, node.origin).as_bytes())));
        if node.own_key {
            let key = plain(node.key.as_bytes());
            let _ = writeln!(out, "by the key that lies beside it: compare it with one that you got elsewhere\n  {key}");
        }
        for day in &node.days {
            day_as_text(day, colors, &mut out);
        }
    }
    let first =
        nodes.iter().flat_map(|node| node.days.iter().map(move |day| (node, day))).find(|(_, day)| day.findings.count > 0);
    let sum = match (first, standing.gaps) {
        (Some((node, day)), _) => {
            let finding = first_of(&day.findings).map(told).unwrap_or_default();
            let place = plain(format!("{} {}", node.directory, day.day).as_bytes());
            colors.text(Tint::Red, format!("broken, first in {place}: {finding}"))
        }
        (None, true) => colors.text(Tint::Yellow, "whole, with gaps"),
        (None, false) => colors.text(Tint::Green, "whole"),
    };
    out.push_str(&sum);
    out.push('\n');
    out
}

/// The finding that is first in the file. What is wrong with a checkpoint comes after that.
fn first_of(findings: &Findings) -> Option<&Finding> {
    findings.told.iter().min_by_key(|finding| finding.lines.map_or((u64::MAX, 0), |(first, last)| (last, u64::MAX - first)))
}

fn day_as_text(day: &CheckedDay, colors: Colors, out: &mut String) {
    let signed = match (&day.checkpoint, day.follows) {
        (None, _) => "not signed".to_owned(),
        (Some(checkpoint), follows) => {
            let is_final = if checkpoint.is_final { "final" } else { "not final yet" };
            let follows = match follows {
                Follows::Nothing => ", the first day".to_owned(),
                Follows::Day(before) => format!(", follows {before}"),
                Follows::Absent => ", follows a day that is not here".to_owned(),
                Follows::Unknown => String::new(),
            };
            format!("signed, {is_final}{follows}")
        }
    };
    // Writing to a string cannot fail.
    let _ = match (&day.lines, &day.checkpoint) {
        (Some(lines), _) => {
            writeln!(out, "{}  {} records  {signed}\n  root {}", day.day, grouped(lines.records), hex(&lines.root))
        }
        (None, Some(of)) => {
            writeln!(out, "{}  {} records, not read or deleted  {signed}\n  root {}", day.day, grouped(of.size), hex(&of.root))
        }
        (None, None) => writeln!(out, "{}  {signed}", day.day),
    };
    for said in remarks(day) {
        let _ = writeln!(out, "  {}", colors.text(Tint::Yellow, said));
    }
    for finding in &day.findings.told {
        let _ = writeln!(out, "  {}", colors.text(Tint::Red, format!("broken: {}", told(finding))));
    }
    let more = day.findings.count.saturating_sub(day.findings.told.len() as u64);
    if more > 0 {
        let _ = writeln!(out, "  and {} more", grouped(more));
    }
}

/// What an auditor must know of a day that is not broken.
pub(super) fn remarks(day: &CheckedDay) -> Vec<String> {
    let mut out = day.lines.as_ref().map(remarks_on_lines).unwrap_or_default();
    let behind = day.lines.as_ref().map_or(0, |lines| lines.behind);
    if day.unfinished {
        out.push(format!(
            "the day is over, and its last checkpoint is not final: {}",
            match behind {
                0 => "records that followed it may be missing".to_owned(),
                behind => format!("the last {} records are signed by nobody, and more may be missing", grouped(behind)),
            }
        ));
    } else if behind > 0 && day.unsigned == 0 {
        out.push(format!("the last {} records stand behind the last checkpoint: they are not signed yet", grouped(behind)));
    }
    if day.unsigned > 0 {
        out.push(format!("{} records are signed by nobody: the day has no checkpoint", grouped(day.unsigned)));
    }
    if day.hole {
        let what = "its records are deleted, and those of a day before are there: retention deletes the oldest first";
        out.push(what.to_owned());
    }
    out
}

fn remarks_on_lines(lines: &CheckedLines) -> Vec<String> {
    let mut out = Vec::new();
    for gap in &lines.gaps {
        let span = [&gap.from, &gap.to].map(|moment| plain(moment.as_bytes()));
        let why = plain(gap.why.as_bytes());
        out.push(format!(
            "gap: {} records are missing from {} to {} ({why}), says line {}",
            grouped(gap.count),
            span[0],
            span[1],
            gap.line
        ));
    }
    let more = lines.gap_count.saturating_sub(lines.gaps.len() as u64);
    if more > 0 {
        out.push(format!("and {} more gaps; in all {} records are missing", grouped(more), grouped(lines.missing)));
    }
    for line in &lines.unclean {
        out.push(format!(
            "line {line}: the daemon starts, and had not closed the record before: what it had not written yet may be missing"
        ));
    }
    if lines.recovered > 0 {
        let times = if lines.recovered == 1 { "time" } else { "times" };
        out.push(format!(
            "{} {times} a daemon was killed, and the next one found all that waited to be written",
            grouped(lines.recovered)
        ));
    }
    if lines.torn {
        out.push("the last line has no end: it was being written".to_owned());
    }
    if lines.unjudged > 0 {
        let what = "records name a configuration that no record before them tells: nobody can judge them again";
        out.push(format!("{} {what}", grouped(lines.unjudged)));
    }
    if lines.of_other_days > 0 {
        out.push(format!("{} records say that they are of another day", grouped(lines.of_other_days)));
    }
    out
}

fn as_json(nodes: &[VerifiedNode], standing: Standing) -> Value {
    let directories: Vec<Value> = nodes
        .iter()
        .map(|node| {
            let days: Vec<Value> = node.days.iter().map(day_as_json).collect();
            json!({
                "directory": node.directory,
                "origin": node.origin,
                "key": node.key,
                "key_from_directory": node.own_key,
                "days": days,
            })
        })
        .collect();
    json!({ "whole": !standing.broken, "gaps": standing.gaps, "directories": directories })
}

pub(super) fn day_as_json(day: &CheckedDay) -> Value {
    let lines = day.lines.as_ref();
    let checkpoint = day.checkpoint.as_ref();
    let follows = match day.follows {
        Follows::Nothing => json!("nothing"),
        Follows::Day(before) => json!(before.to_string()),
        Follows::Absent => json!("absent"),
        Follows::Unknown => Value::Null,
    };
    let broken: Vec<Value> = day
        .findings
        .told
        .iter()
        .map(|finding| json!({ "first_line": finding.lines.map(|of| of.0), "last_line": finding.lines.map(|of| of.1), "what": finding.what }))
        .collect();
    let gaps = lines.map_or(&[][..], |lines| &lines.gaps);
    let gaps: Vec<Value> = gaps
        .iter()
        .map(|gap| json!({ "line": gap.line, "count": gap.count, "why": gap.why, "from": gap.from, "to": gap.to }))
        .collect();
    json!({
        "day": day.day.to_string(),
        "records": lines.map(|lines| lines.records),
        "root": lines.map(|lines| hex(&lines.root)),
        "checkpoint": checkpoint.map(|of| json!({ "size": of.size, "root": hex(&of.root), "final": of.is_final })),
        "follows": follows,
        "behind_checkpoint": lines.map(|lines| lines.behind),
        "torn": lines.map(|lines| lines.torn),
        "missing": lines.map(|lines| lines.missing),
        "gaps": gaps,
        "unfinished": day.unfinished,
        "unclean_ends": lines.map(|lines| lines.unclean_count),
        "recovered": lines.map(|lines| lines.recovered),
        "outside": lines.map(|lines| lines.outside),
        "unjudged": lines.map(|lines| lines.unjudged),
        "of_other_days": lines.map(|lines| lines.of_other_days),
        "broken_count": day.findings.count,
        "broken": broken,
    })
}
