//! A report as a page: one file without a script, which can be read on a screen and on paper.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use super::report::{AuditReport, ReportedNode, reasons};
use super::table::{columns, name, realtime, sums};
use super::verify::remarks;
use super::{grouped, hex, told};
use crate::audit::read::totals::CallCounts;
use crate::cli::printable::plain;

const STYLE: &str = "
body { font: 15px/1.45 system-ui, sans-serif; color: #1a1a1a; background: #fff; margin: 2rem auto; max-width: 84rem; padding: 0 1rem }
h1 { font-size: 1.6rem; margin: 0 } h2 { font-size: 1.15rem; margin: 2.2rem 0 .6rem }
table { border-collapse: collapse; width: 100% } caption { text-align: left; color: #555; padding-bottom: .3rem }
th, td { border-bottom: 1px solid #ccc; padding: .3rem .5rem; text-align: left; vertical-align: bottom }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums }
td.number, tbody th { white-space: nowrap } thead th { font-weight: 600; font-size: .85rem; border-bottom: 2px solid #444 }
tr.all td, tr.all th { font-weight: 600; border-top: 2px solid #444 }
code { font: .8rem ui-monospace, monospace; overflow-wrap: anywhere }
blockquote { margin: 1rem 0; padding: .8rem 1rem; border-left: 4px solid #14683c; background: #f2f8f4; font-size: 1.05rem }
blockquote.not { border-color: #a4262c; background: #fbf1f1 } .bad { color: #a4262c; font-weight: 600 } .remark { color: #6b4c00 }
.wide { overflow-x: auto } ul { margin: .2rem 0; padding-left: 1.1rem }
@media print { @page { size: A4 landscape; margin: 12mm } body { margin: 0; max-width: none; font-size: 9.5pt; padding: 0 }
.wide { overflow: visible } th, td { padding: .15rem .3rem } code { font-size: 7pt } tr, blockquote { break-inside: avoid } }
";

/// The page.
pub(super) fn page(report: &AuditReport) -> String {
    let title = format!("Ringfence: record of calls, {}", report.period);
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (title) }
                p { (verdict(report)) }
                h2 { "Nodes" }
                @for node in &report.nodes { (of_node(node)) }
                h2 { "Calls" }
                (counts_of(report, columns))
                (sums_of(report))
                h2 { "Calls refused, by reason" }
                (refused(report))
                h2 { "Realtime sessions" }
                (counts_of(report, realtime))
                h2 { "What may be said" }
                @for (region, sentence) in &report.sentences {
                    @match sentence {
                        Ok(sentence) => { blockquote { (shown(sentence)) } }
                        Err(why) => { blockquote.not { "Of region " (shown(region)) " nothing can be said: " (shown(why)) } }
                    }
                }
                @if report.sentences.is_empty() { p { "Nothing: there is no call in these records." } }
                h2 { "Days" }
                @for node in &report.nodes { (days(node)) }
            }
        }
    };
    markup.into_string() + "\n"
}

fn shown(text: &str) -> String {
    plain(text.as_bytes())
}

fn verdict(report: &AuditReport) -> Markup {
    html! {
        @if report.standing.broken { span.bad { "The record is broken." } }
        @else if report.standing.gaps { span.remark { "The record is whole, with gaps." } }
        @else { "The record is whole." }
        " " (grouped(report.nodes.iter().map(|node| node.sum(|lines| lines.records)).sum())) " records of "
        (report.nodes.len()) @if report.nodes.len() == 1 { " node." } @else { " nodes." }
    }
}

/// A table with a row for each region and project.
fn counts_of(report: &AuditReport, columns: fn(&CallCounts) -> Vec<(&'static str, u64)>) -> Markup {
    let row = |label: String, counts: &CallCounts, class: &str| {
        html! {
            tr class=(class) {
                th scope="row" { (label) }
                @for (what, count) in columns(counts) {
                    td class={ "number" @if what == "outside" && count > 0 { " bad" } } { (grouped(count)) }
                }
            }
        }
    };
    html! {
        div.wide { table {
            thead { tr {
                th scope="col" { "region / project" }
                @for (what, _) in columns(&CallCounts::default()) { th.number scope="col" { (what) } }
            } }
            tbody {
                @for ((region, project), counts) in &report.rows { (row(name(region, project), counts, "")) }
                (row("all".to_owned(), &report.all(), "all"))
            }
        } }
    }
}

fn sums_of(report: &AuditReport) -> Markup {
    html! {
        ul {
            @for (what, count) in sums(report) { li class=(if count > 0 { "remark" } else { "" }) { (what) ": " (grouped(count)) } }
        }
        p { "Minutes are those of calls whose end was seen. " b { "outside" } " must be 0." }
    }
}

fn refused(report: &AuditReport) -> Markup {
    let all = report.all().refused;
    let used: Vec<(usize, String)> =
        reasons().enumerate().filter(|&(at, _)| all.get(at).is_some_and(|&count| count > 0)).collect();
    if used.is_empty() {
        return html! { p { "None." } };
    }
    html! {
        div.wide { table {
            thead { tr { th scope="col" { "region / project" } @for (_, reason) in &used { th.number scope="col" { (reason) } } } }
            tbody {
                @for ((region, project), counts) in &report.rows {
                    tr {
                        th scope="row" { (name(region, project)) }
                        @for &(at, _) in &used { td.number { (grouped(counts.refused.get(at).copied().unwrap_or_default())) } }
                    }
                }
            }
        } }
    }
}

fn of_node(node: &ReportedNode) -> Markup {
    let list = |what: &str, all: Vec<String>| {
        html! { @for said in all { br; (what) " " code { (shown(&said)) } } }
    };
    let last = node.days.iter().rev().find_map(|day| day.lines.as_ref().map(|lines| (day.day, lines.root)));
    html! {
        p {
            b { (shown(&node.origin)) } " in " code { (shown(&node.directory)) } ": " (node.days.len()) @if node.days.len() == 1 { " day, " } @else { " days, " }
            (grouped(node.sum(|lines| lines.records))) " records" br;
            "key " code { (shown(&node.key)) }
            @if node.own_key { span.remark { " It lies beside the record: compare it with one that you got elsewhere." } }
            (list("node", node.said(|lines| &lines.nodes)))
            (list("configuration", node.said(|lines| &lines.digests)))
            @if let Some((day, root)) = last { br; "root of " (day) " " code { (hex(&root)) } }
        }
    }
}

fn days(node: &ReportedNode) -> Markup {
    html! {
        table {
            caption { (shown(&node.origin)) " in " code { (shown(&node.directory)) } }
            thead { tr { th scope="col" { "day" } th.number scope="col" { "records" } th scope="col" { "root" } th scope="col" { "remarks" } } }
            tbody {
                @for day in &node.days {
                    @let root = day.lines.as_ref().map(|lines| lines.root).or_else(|| day.checkpoint.as_ref().map(|of| of.root));
                    tr {
                        th scope="row" { (day.day) }
                        td.number { @match &day.lines { Some(lines) => { (grouped(lines.records)) } None => { "deleted" } } }
                        td { @if let Some(root) = root { code { (hex(&root)) } } }
                        td {
                            @for said in remarks(day) { div.remark { (said) } }
                            @for finding in &day.findings.told { div.bad { (told(finding)) } }
                        }
                    }
                }
            }
        }
    }
}
