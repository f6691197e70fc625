//! What watches the daemon, in a real Prometheus: it scrapes, its alerts fire, and the dashboard's questions have answers.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::prometheus::Prometheus;
use super::run;
use crate::harness::{Ask, Daemon, Leg, Plan, Site, await_some};

fn shipped(path: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy").join(path).display().to_string()
}

/// Title and expressions of every panel of the shipped dashboard.
fn panels() -> Vec<(String, Vec<String>)> {
    let board: Value = serde_json::from_str(&fs::read_to_string(shipped("grafana/ringfence.json")).unwrap()).unwrap();
    let expr = |target: &Value| target["expr"].as_str().unwrap().replace("$region", ".*").replace("$project", ".*");
    let panel = |panel: &Value| {
        let targets = panel["targets"].as_array()?;
        Some((panel["title"].as_str()?.to_owned(), targets.iter().map(expr).collect()))
    };
    board["panels"].as_array().unwrap().iter().filter_map(panel).collect()
}

#[test]
fn prometheus_scrapes_fires_and_answers_the_dashboard() {
    let site = Site::claim();
    let plan = Plan::new(&site);
    let daemon = Daemon::start(&site, &plan);
    let prometheus = Prometheus::scrape(&site);
    await_some("a scrape", || {
        let targets = prometheus.data("/api/v1/targets")?["activeTargets"].clone();
        (targets[0]["health"] == "up").then_some(())
    });
    let rules = await_some("every rule to be evaluated", || {
        let groups = prometheus.data("/api/v1/rules")?["groups"].clone();
        let rules: Vec<Value> = groups.as_array()?.iter().flat_map(|group| group["rules"].as_array().unwrap().clone()).collect();
        rules.iter().all(|rule| rule["health"] != "unknown").then_some(rules)
    });
    for rule in &rules {
        assert_eq!(rule["health"], "ok", "{rule:#}");
    }
    assert_eq!(prometheus.firing(), Vec::<String>::new());

    // A call that passes; a carrier that goes on after a final refusal; a mistake in the file.
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let mut server = Leg::udp(site.eu(10), site.door());
    super::reaches(&site, &mut caller, &mut server);
    let mut ask = Ask::invite("sip:1@acme.us.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    for number in 1..40 {
        if number == 3 {
            await_some("the first repeat in Prometheus", || prometheus.query("ringfence_repeats_total").pop());
        }
        ask = ask.again();
        ask.cseq = format!("{number} INVITE");
        let answer = caller.asked(&ask);
        assert_eq!(answer.code(), 603);
        caller.ask(&ask.ack(&answer));
    }
    site.write("ringfence.toml", "serve = [\"nowhere\"]\n");
    daemon.signal("HUP");

    // The rules as they are shipped: these two wait for nothing.
    let firing = ["RingfenceCarrierRetries", "RingfenceReloadFailed"];
    await_some("both alerts", || (prometheus.firing() == firing).then_some(()));
    let retries = prometheus.query("ALERTS{alertname=\"RingfenceCarrierRetries\", alertstate=\"firing\"}");
    assert_eq!((&retries[0]["metric"]["project"], &retries[0]["metric"]["trunk"]), (&"acme".into(), &"carrier".into()));

    // Every question of the dashboard is one, and those about what has just happened have an answer.
    let panels = panels();
    let empty = [
        "Shadow mode would refuse",
        "Malformed",
        "Look-ups",
        "Carriers' gateways",
        "Media relays",
        "Questions to relays",
        "Calls through relays",
        "Shares used up",
        "Numbers by country",
        "Emergency calls",
        "Requests sent again",
        "TLS handshakes that failed",
        "Copies for collectors",
        "Decisions that nobody was told of",
        "Thrown away without a word",
        "Audit records",
        "Audit records that wait for the disk",
        "Since the last checkpoint",
        "Realtime clients that ask",
        "Connections of reverse proxies",
        "Turned away by the gate",
        "Until the certificate ends",
    ];
    await_some("what the other panels show", || {
        let shows = |queries: &[String]| queries.iter().any(|query| !prometheus.query(query).is_empty());
        let silent: Vec<&str> = panels.iter().filter(|(_, queries)| !shows(queries)).map(|(title, _)| title.as_str()).collect();
        (silent == empty).then_some(())
    });
}

#[test]
fn promtool_agrees_with_the_rules_and_their_tests() {
    for scrape in ["prometheus/scrape.yml", "prometheus/scrape-kubernetes.yml"] {
        run("promtool", &["check", "config", &shipped(scrape)], "");
    }
    run(
        "promtool",
        &["check", "rules", "--lint-fatal", &shipped("prometheus/recording.yml"), &shipped("prometheus/alerts.yml")],
        "",
    );
    run("promtool", &["test", "rules", &shipped("prometheus/alerts_test.yml")], "");
}
