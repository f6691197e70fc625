//! `/`: the object of `/status` as a page for people. It is made from that object alone, so that both say the same.
//!
//! No script, and nothing from other hosts. The one style sheet is allowed by its hash. `maud` escapes every value. Long lists
//! are cut here; `/status` has them whole.

use std::sync::LazyLock;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hyper::header::HeaderValue;
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use super::html::{Cell, Tone, ago, count, list, rows, state, table, text};
use crate::telemetry::last_hour::MINUTES;

/// The query string of a page that reloads itself.
pub(super) const REFRESH: &str = "refresh";
/// The time between two reloads, in seconds.
const SECONDS: u64 = 15;
/// Most rows of one table, and most networks of one region, that are shown.
const SHOWN: usize = 40;

/// One day, in seconds.
const DAY: u64 = 86_400;

const STYLE: &str = include_str!("page.css");

/// The Content-Security-Policy: what a browser may do with the page.
pub(super) static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = BASE64_STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    // Base64 is visible ASCII; should it ever not be, nothing is allowed.
    HeaderValue::from_str(&policy).unwrap_or(HeaderValue::from_static("default-src 'none'"))
});

/// The page of a `/status` object.
pub(super) fn page(status: &Value, refresh: bool) -> String {
    let served: Vec<&Value> = rows(&status["regions"]).filter(|region| region["served"] == true).collect();
    let names = served.iter().map(|region| text(&region["name"])).collect::<Vec<_>>().join(", ");
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width,initial-scale=1";
                // Without this, a browser asks for an icon.
                link rel="icon" href="data:,";
                @if refresh { meta http-equiv="refresh" content=(SECONDS); }
                title { (readiness(status).1) " · Ringfence " (names) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Ringfence " small { (names) } }
                    (ready(status))
                    @if refresh { a href="/" { "Stop refreshing" } } @else { a href={ "/?" (REFRESH) } { "Refresh every " (SECONDS) " s" } }
                }
                main {
                    (facts(status))
                    (hour(&status["hour"]))
                    (decisions(&status["decisions"]))
                    @for region in &served { (of_region(region)) }
                    (audit_record(&status["audit"]))
                    (known(status))
                    (names_table(&status["names"]))
                    (configuration(&status["configuration"]))
                }
                footer { p { "As of this moment, from " a href="/status" { code { "/status" } } "; counts since the start are in " a href="/metrics" { code { "/metrics" } } "." } }
            }
        }
    };
    page.into_string()
}

fn readiness(status: &Value) -> (Tone, &'static str) {
    match (status["ready"] == true, status["draining"] == true) {
        (_, true) => (Tone::Warn, "Draining"),
        (true, _) => (Tone::Good, "Ready"),
        (false, _) => (Tone::Bad, "Not ready"),
    }
}

fn ready(status: &Value) -> Markup {
    let (tone, word) = readiness(status);
    let missing: Vec<_> = rows(&status["missing"]).map(text).filter(|what| what != "draining").collect();
    html! {
        span class={ "state pill " (tone.class()) } { span aria-hidden="true" { (tone.sign()) " " } (word) }
        @if !missing.is_empty() { span { (missing.join("; ")) } }
        @for trouble in rows(&status["troubles"]) { span.trouble { (text(trouble)) } }
    }
}

fn facts(status: &Value) -> Markup {
    let configuration = &status["configuration"];
    let hour = &status["hour"];
    let sum = |key: &str| rows(&hour["minutes"]).filter_map(|minute| minute[key].as_u64()).sum::<u64>();
    let states: Vec<_> =
        rows(&status["regions"]).flat_map(|region| rows(&region["targets"])).map(|of| text(&of["state"])).collect();
    let up = states.iter().filter(|state| *state != "down").count();
    html! {
        section aria-label="At a glance" {
            dl.facts {
                div { dt { "Accepted (1 h)" } dd.big { (count(sum("accepted"))) } }
                div { dt { "Refused (1 h)" } dd.big { (count(sum("refused"))) } }
                @if sum("shadow") > 0 { div { dt { "Shadow (1 h)" } dd.big { (count(sum("shadow"))) } } }
                div { dt { "Targets taking calls" } dd.big { (up) " of " (states.len()) } }
                div { dt { "Up for" } dd { (ago(&status["uptime_seconds"])) } }
                div { dt { "Configured" } dd { (ago(&configuration["loaded_seconds"])) " ago" } }
                @if let Some(reload) = status["last_reload"].as_object() {
                    div { dt { "Last reload" } dd {
                        @let (tone, word) = if reload["ok"] == true { (Tone::Good, "took effect") } else { (Tone::Bad, "failed, nothing changed") };
                        span class={ "state " (tone.class()) } { span aria-hidden="true" { (tone.sign()) " " } (word) } " " (text(&reload["at"]))
                    } }
                }
                div { dt { "Projects, trunks" } dd { (text(&configuration["projects"])) ", " (text(&configuration["trunks"])) } }
                div { dt { "Version" } dd { (text(&status["version"])) } }
            }
        }
    }
}

fn hour(hour: &Value) -> Markup {
    let verdicts = rows(&hour["verdicts"]).map(|row| {
        let (tone, word) = match row["verdict"].as_str() {
            Some("accept") => (Tone::Good, "accepted"),
            Some("shadow") => (Tone::Warn, "let pass (shadow)"),
            _ => (Tone::Bad, "refused"),
        };
        let reason = html! { span.soft { (text(&row["id"])) } " " (text(&row["reason"])) };
        vec![Cell::plain(&row["region"]), Cell::state(tone, word), Cell::of(reason), Cell::number(&row["count"])]
    });
    let by_project = |key: &str| {
        let row = |row: &Value| {
            let count = Cell::number(&row["count"]);
            vec![Cell::plain(&row["project"]), Cell::plain(&row["region"]), Cell::plain(&row["reason"]), count]
        };
        rows(&hour[key]).map(row).collect::<Vec<_>>()
    };
    let repeats = rows(&hour["repeats"]).map(|row| {
        vec![Cell::plain(&row["trunk"]), Cell::plain(&row["project"]), Cell::plain(&row["region"]), Cell::number(&row["count"])]
    });
    let more = |key: &str| hour[key].as_u64().unwrap_or_default();
    html! {
        section aria-labelledby="hour" {
            h2 id="hour" { "The last hour" }
            (chart(hour))
            (table("Verdicts by reason", &["Region", "Verdict", "Reason", "#Count"], verdicts, SHOWN, 0))
            (table("Refused projects", &["Project", "Region", "Reason", "#Count"], by_project("refused"), SHOWN, more("refused_more")))
            (table("Let pass in shadow mode", &["Project", "Region", "Would be refused for", "#Count"], by_project("shadowed"), SHOWN, more("shadowed_more")))
            (table("Calls that came again after a final refusal", &["Trunk", "Project", "Region", "#Count"], repeats, SHOWN, more("repeats_more")))
            @if rows(&hour["repeats"]).next().is_some() {
                p.soft { "The carrier retries what it was told not to: its " code { "reject" } " profile does not make it stop." }
            }
        }
    }
}

/// The last decisions that refused a message, or let it pass in shadow mode, with why.
fn decisions(decisions: &Value) -> Markup {
    let shown = rows(decisions).map(|of| {
        let (tone, word) = if of["verdict"] == "shadow" { (Tone::Warn, "let pass (shadow)") } else { (Tone::Bad, "refused") };
        let reason = html! { span.soft { (text(&of["id"])) } " " (text(&of["reason"])) };
        // To the second, and without the year.
        let at = text(&of["timestamp"]).replace('T', " ");
        let whose = match (of["project"].as_str(), of["trunk"].as_str()) {
            (Some(project), Some(trunk)) => format!("{project}, {trunk}"),
            (project, trunk) => project.or(trunk).unwrap_or("–").to_owned(),
        };
        let number = |key: &str| {
            let uri = text(&of[key]);
            let user = uri.split_once(':').map_or(uri.as_str(), |(_, rest)| rest);
            html! { span.code.whole { (user.rsplit_once('@').map_or(user, |(user, _)| user)) } }
        };
        vec![
            Cell::of(html! { span.whole { (at.get(5..19).unwrap_or(&at)) } }),
            Cell::state(tone, word),
            Cell::of(reason),
            Cell::plain(&of["why"]),
            Cell::of(whose),
            Cell::of(html! { span.code.whole { (text(&of["source"])) } }),
            Cell::of(html! { (number("from")) " → " (number("to")) }),
        ]
    });
    let columns = ["At (UTC)", "Verdict", "Reason", "Why", "Project, trunk", "Source", "From → to"];
    let table = table("The newest first, without a call's numbers", &columns, shown, SHOWN, 0);
    html! {
        @if rows(decisions).next().is_some() {
            section aria-labelledby="decisions" {
                h2 id="decisions" { "What was refused last, and what only shadow mode let pass" }
                (table)
            }
        }
    }
}

/// A chart minute by minute: what passed above the line, refused below it. Above, what only shadow mode let pass stands on what was accepted.
fn chart(hour: &Value) -> Markup {
    let minutes: Vec<[u64; 4]> = rows(&hour["minutes"])
        .map(|minute| ["ago", "accepted", "shadow", "refused"].map(|key| minute[key].as_u64().unwrap_or_default()))
        .collect();
    let most = |of: fn(&[u64; 4]) -> u64| minutes.iter().map(of).max().unwrap_or_default();
    let (most_up, most_down) = (most(|&[_, accepted, shadow, _]| accepted.saturating_add(shadow)), most(|minute| minute[3]));
    let whole = most_up.saturating_add(most_down);
    if whole == 0 {
        return html! { p.soft { "No decision yet." } };
    }
    // Ten units a minute; one scale for both sides, on which whatever there is can be seen.
    let height = |of: u64| if of == 0 { 0 } else { (of.saturating_mul(80) / whole).max(2) };
    // Two that stand on each other may both be small.
    let above = |&[_, accepted, shadow, _]: &[u64; 4]| height(accepted) + height(shadow);
    let axis = minutes.iter().map(above).max().unwrap_or_default() + 1;
    let accepted = format!("up to {} accepted", count(most(|minute| minute[1])));
    let (shadow, refused) = (most(|minute| minute[2]), format!("up to {} refused", count(most_down)));
    let shadow = if shadow > 0 { format!(", and up to {} that only shadow mode let pass", count(shadow)) } else { String::new() };
    let label = format!("Decisions by the minute over the last hour: {accepted}{shadow}, above the line; {refused}, below");
    html! {
        svg viewBox="0 0 600 88" preserveAspectRatio="none" role="img" aria-label=(label) {
            @for [ago, accepted, shadow, refused] in minutes {
                @let x = (MINUTES - 1).saturating_sub(ago) * 10 + 1;
                @let (up, passed, down) = (height(accepted), height(shadow), height(refused));
                @if up > 0 { rect.accepted x=(x) y=(axis - up) width="8" height=(up) {} }
                @if passed > 0 { rect.shadow x=(x) y=(axis.saturating_sub(up + passed)) width="8" height=(passed) {} }
                @if down > 0 { rect.refused x=(x) y=(axis + 1) width="8" height=(down) {} }
            }
            line.axis x1="0" x2="600" y1=(axis) y2=(axis) {}
        }
        p.scale aria-hidden="true" {
            span { "an hour ago" }
            span { "a minute: " (accepted) (shadow) ", above; " (refused) ", below" }
            span { "now" }
        }
    }
}

fn of_region(region: &Value) -> Markup {
    html! {
        section aria-label={ "Region " (text(&region["name"])) } {
            h2 { "Region " (text(&region["name"])) }
            dl {
                div { dt { "Hostname" } dd { code { (text(&region["hostname"])) } } }
                div { dt { "Listeners" } dd { (list(&region["listeners"], SHOWN)) } }
                div { dt { "Networks inside" } dd { (list(&region["networks"], SHOWN)) } }
                @if rows(&region["servers"]).next().is_some() { div { dt { "Servers" } dd { (list(&region["servers"], SHOWN)) } } }
                @if rows(&region["nearest"]).next().is_some() { div { dt { "Nearest" } dd { (list(&region["nearest"], SHOWN)) } } }
                (certificate(&region["tls"]))
            }
            @if region["targets"].is_null() {
                p.bad { "The message thread did not say how the targets stand." }
            } @else {
                (targets("Targets", &region["targets"]))
                (targets("Relays", &region["relays"]))
            }
        }
    }
}

/// A table of servers with their health. Those that take no calls come first.
fn targets(caption: &str, targets: &Value) -> Markup {
    let mut targets: Vec<&Value> = rows(targets).collect();
    targets.sort_by_key(|target| ["down", "rising"].iter().position(|state| target["state"] == *state).unwrap_or(usize::MAX));
    let cells = targets.into_iter().map(|target| {
        let tone = match target["state"].as_str() {
            Some("up") => Tone::Good,
            Some("rising") => Tone::Warn,
            _ => Tone::Bad,
        };
        let heard = if target["heard_seconds"].is_null() { "never".to_owned() } else { ago(&target["heard_seconds"]) + " ago" };
        vec![
            Cell::code(&format!("{}:{}", text(&target["transport"]), text(&target["address"]))),
            Cell::state(tone, &text(&target["state"])),
            Cell::of(ago(&target["since_seconds"])),
            Cell::of(heard),
            Cell::plain(&target["why"]),
        ]
    });
    table(caption, &["Address", "State", "Since", "Last heard", "Last failure"], cells, SHOWN, 0)
}

/// The names in a region's certificate, and how long it is valid.
fn certificate(tls: &Value) -> Markup {
    let Some(left) = tls["ends_in_seconds"].as_u64() else { return html! {} };
    let tone = match left / DAY {
        0..7 => Tone::Bad,
        7..21 => Tone::Warn,
        _ => Tone::Good,
    };
    let word = if left == 0 { "has ended".to_owned() } else { format!("ends in {}", ago(&tls["ends_in_seconds"])) };
    html! {
        div {
            dt { "Certificate" }
            dd {
                (state(tone, &word)) br;
                (text(&tls["ends"])) br;
                (list(&tls["names"], SHOWN))
            }
        }
    }
}

/// How the audit record stands, if one is kept.
fn audit_record(audit: &Value) -> Markup {
    if audit.is_null() {
        return html! {};
    }
    let number = |key: &str| audit[key].as_u64().unwrap_or_default();
    let (tone, word) = match (audit["trouble"].is_null(), number("dropped")) {
        (false, _) => (Tone::Bad, "not written"),
        (true, 0) => (Tone::Good, "kept"),
        (true, _) => (Tone::Warn, "kept, with gaps"),
    };
    html! {
        section aria-labelledby="audit" {
            h2 id="audit" { "Audit record" }
            dl {
                div { dt { "State" } dd { (state(tone, word)) } }
                @if !audit["trouble"].is_null() { div { dt { "Why" } dd.bad { (text(&audit["trouble"])) } } }
                div { dt { "Records kept" } dd { (count(number("kept"))) } }
                div { dt { "Waiting for the disk" } dd { (count(number("behind"))) } }
                div { dt { "Dropped" } dd { (count(number("dropped"))) } }
                div { dt { "Day" } dd { (text(&audit["day"])) ", " (count(number("lines"))) " lines" } }
                div { dt { "Last checkpoint" } dd {
                    @if audit["checkpoint"].is_null() { "none yet" } @else { (text(&audit["checkpoint"])) ", " a href="/audit/checkpoint" { code { "/audit/checkpoint" } } }
                } }
            }
        }
    }
}

/// Regions that are in the configuration but not served here.
fn known(status: &Value) -> Markup {
    let others = rows(&status["regions"]).filter(|region| region["served"] != true).map(|region| {
        let targets = rows(&region["targets"]);
        let down = targets.clone().filter(|target| target["state"] == "down").count();
        let total = targets.count();
        let takes = if total == 0 { "–".to_owned() } else { format!("{} of {total} take calls", total - down) };
        vec![Cell::plain(&region["name"]), Cell::code(&text(&region["hostname"])), Cell::of(takes)]
    });
    let mut others = others.peekable();
    if others.peek().is_none() {
        return html! {};
    }
    html! {
        section aria-labelledby="elsewhere" {
            h2 id="elsewhere" { "Regions served elsewhere" }
            (table("Known, so that their calls can be told so", &["Region", "Hostname", "Targets"], others, SHOWN, 0))
        }
    }
}

fn names_table(names: &Value) -> Markup {
    if rows(names).next().is_none() {
        return html! {};
    }
    let mut names: Vec<&Value> = rows(names).collect();
    names.sort_by_key(|name| ["fresh", "unasked"].iter().position(|state| name["state"] == *state).map_or(0, |at| at + 1));
    let cells = names.into_iter().map(|name| {
        let tone = match name["state"].as_str() {
            Some("fresh" | "unasked") => Tone::Good,
            Some("stale" | "vanished" | "unknown") => Tone::Warn,
            _ => Tone::Bad,
        };
        // A trunk's name is looked up when a call goes out by it.
        let word = if name["state"] == "unasked" { "not asked for".to_owned() } else { text(&name["state"]) };
        let addresses: Vec<&Value> = rows(&name["servers"]).flat_map(|server| rows(&server["addresses"])).collect();
        let outside = addresses.iter().filter(|of| rows(&of["outside"]).next().is_some()).count();
        let addresses = html! {
            (addresses.len())
            @if outside > 0 { ", " span.bad { (outside) " outside" } }
        };
        vec![
            Cell::code(&text(&name["name"])),
            Cell::of(rows(&name["uses"]).map(text).collect::<Vec<_>>().join(", ")),
            Cell::state(tone, &word),
            Cell::of(addresses),
            Cell::plain(&name["failure"]),
        ]
    });
    html! {
        section aria-labelledby="names" {
            h2 id="names" { "Names" }
            (table("What next hops resolve to", &["Name", "Used by", "State", "Addresses", "Last failure"], cells, SHOWN, 0))
        }
    }
}

fn configuration(configuration: &Value) -> Markup {
    html! {
        section aria-labelledby="configuration" {
            h2 id="configuration" { "Configuration" }
            dl {
                div { dt { "Loaded" } dd { (text(&configuration["loaded"])) } }
                div { dt { "SHA-256" } dd { code { (text(&configuration["digest"])) } } }
                div { dt { "Files" } dd { (list(&configuration["files"], SHOWN)) } }
            }
        }
    }
}

#[cfg(test)]
mod tests;
