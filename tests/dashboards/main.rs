//! Holds what watches the daemon to the daemon: the rules of Prometheus and the dashboard of Grafana name metrics, labels and
//! label values that exist.
//!
//! `docs/metrics.md` is taken as true: `tests/docs.rs` holds it to the registry.

#![expect(clippy::unwrap_used, reason = "a test may stop where a file has not the shape that it reads")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

use ringfence::reason::{Class, Reason};

mod board;
mod grafana;
mod promql;
mod rules;

use promql::Query;
use rules::Rule;

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

type Labels = BTreeSet<String>;

fn labels<'t>(names: impl IntoIterator<Item = &'t str>) -> Labels {
    names.into_iter().map(str::to_owned).collect()
}

/// Every series that may be asked for, with its labels beside `instance` and `job`: what the daemon exposes and what is recorded.
fn series() -> BTreeMap<String, Labels> {
    let mut series = BTreeMap::from([("up".to_owned(), Labels::new())]);
    for line in read("docs/metrics.md").lines().filter(|line| line.starts_with("| `ringfence_")) {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let (name, kind) = (cells[1].trim_matches('`'), cells[2]);
        let of: Labels = cells[3].split_whitespace().map(|label| label.trim_matches('`').to_owned()).collect();
        if kind == "histogram" {
            series.insert(format!("{name}_sum"), of.clone());
            series.insert(format!("{name}_count"), of.clone());
            series.insert(format!("{name}_bucket"), of.into_iter().chain(["le".to_owned()]).collect());
        } else {
            series.insert(name.to_owned(), of);
        }
    }
    assert!(series.len() > 20, "{series:?}");
    let ours = ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds", "process_max_fds"];
    series.extend(ours.map(|name| (name.to_owned(), Labels::new())));
    for rule in rules("recording.yml") {
        let by = Query::read(&rule.expr).by;
        series.insert(rule.name, by.into_iter().filter(|label| label != "le").collect());
    }
    series
}

fn rules(file: &str) -> Vec<Rule> {
    let rules = rules::read(&read(&format!("deploy/prometheus/{file}")));
    assert!(rules.len() > 3, "{file}: {rules:?}");
    rules
}

/// Whether this may be the value of a label: a reason, or a word that the documentation of metrics gives in code type.
fn is_value(value: &str, documented: &str) -> bool {
    Reason::ALL.iter().any(|reason| reason.token() == value) || documented.contains(&format!("`{value}`"))
}

/// Panics unless everything that a query names exists; returns the labels that its result may have.
fn check(expr: &str, series: &BTreeMap<String, Labels>) -> Labels {
    let query = Query::read(expr);
    assert!(!query.selectors.is_empty(), "asks for nothing: {expr}");
    let documented = read("docs/metrics.md");
    let mut known = labels(["instance", "job"]);
    for selector in &query.selectors {
        let of = series.get(&selector.name).unwrap_or_else(|| panic!("no metric {}: {expr}", selector.name));
        for (label, value) in &selector.matchers {
            assert!(
                of.contains(label) || ["instance", "job"].contains(&label.as_str()),
                "{} has no {label}: {expr}",
                selector.name
            );
            let free = value.starts_with('$') || label == "job";
            for value in value.split('|').filter(|_| !free) {
                assert!(is_value(value, &documented), "{label} is never {value}: {expr}");
            }
        }
        known.extend(of.iter().cloned());
    }
    for label in &query.by {
        assert!(known.contains(label), "nothing has a label {label}: {expr}");
    }
    known
}

#[test]
fn rules_name_what_exists() {
    let series = series();
    for rule in rules("recording.yml").iter().chain(&rules("alerts.yml")) {
        let known = check(&rule.expr, &series);
        for text in rule.summary.split("$labels.").skip(1) {
            let label = text.split(' ').next().unwrap();
            assert!(known.contains(label), "{} speaks of {label}", rule.name);
        }
    }
}

#[test]
fn policy_refusals_are_those_of_every_policy_reason() {
    let policy: Labels = labels(Reason::ALL.iter().filter(|reason| reason.class() == Class::Policy).map(|reason| reason.token()));
    let rules = rules("recording.yml");
    let rule = rules.iter().find(|rule| rule.name == "region_project:ringfence_policy_refusals:rate15m").unwrap();
    let query = Query::read(&rule.expr);
    let (_, reasons) = query.selectors[0].matchers.iter().find(|(label, _)| label == "reason").unwrap();
    assert_eq!(labels(reasons.split('|')), policy);
}

#[test]
fn every_alert_has_two_tests_and_a_page() {
    let (tests, pages) = (read("deploy/prometheus/alerts_test.yml"), read("docs/alerts.md"));
    let alerts = rules("alerts.yml");
    for Rule { name, runbook, severity, .. } in &alerts {
        assert!(tests.contains(&format!("      - {{ alertname: {name}, ")), "{name} is not tested to stay silent");
        let (_, fires) =
            tests.split_once(&format!("      - alertname: {name}\n")).unwrap_or_else(|| panic!("{name} never fires"));
        assert!(fires.lines().nth(1).unwrap().trim() == "exp_alerts:" && fires.lines().nth(2).unwrap().contains("exp_labels"));
        assert_eq!(*runbook, format!("docs/alerts.md#{}", name.to_lowercase()));
        assert!(["page", "ticket"].contains(&severity.as_str()), "{name}: {severity}");
    }
    let described: Vec<&str> = pages.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(described, alerts.iter().map(|rule| rule.name.as_str()).collect::<Vec<_>>());
}

#[test]
fn the_dashboard_asks_for_what_exists() {
    let series = series();
    let mut asked = BTreeSet::new();
    for query in board::queries() {
        check(query, &series);
        asked.extend(Query::read(query).selectors.into_iter().map(|selector| selector.name));
    }
    // Whatever is measured is looked at somewhere: by itself, as a part of a histogram, or as it is recorded.
    let recorded: String = rules("recording.yml").into_iter().map(|rule| rule.expr).collect();
    let shown = |name: &str| asked.contains(name) || recorded.contains(name);
    for name in
        series.keys().filter(|name| name.starts_with("ringfence_") && !name.ends_with("_sum") && !name.ends_with("_count"))
    {
        assert!(shown(name), "{name} is on no panel");
    }
}

#[test]
fn the_dashboard_is_the_one_described() {
    let made = grafana::json();
    if read("deploy/grafana/ringfence.json") != made {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join("ringfence.json");
        fs::write(&path, made).unwrap();
        panic!("deploy/grafana/ringfence.json is not what tests/dashboards/board.rs describes: copy {}", path.display());
    }
}
