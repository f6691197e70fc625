//! `ringfence check --online`: resolves every name of a configuration, and reports what is wrong with the results.

use std::fmt::Write as _;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use super::color::{Colors, Tint};
use super::resolve::{Outcome, Resolved, online};
use super::trace;
use crate::config::{Config, Written};
use crate::dns::Lookup;

/// Names that are resolved at a time. Each asks a few questions in parallel.
const AT_ONCE: usize = 16;

/// Resolves every name of a configuration, in order. `Err`: the exit code, because there are no name servers.
pub(super) fn resolve_all(config: &Arc<Config>) -> Result<Vec<Resolved>, u8> {
    if config.names.is_empty() {
        return Ok(Vec::new());
    }
    online(config, async |lookup| all(config, &lookup).await)
}

async fn all(config: &Arc<Config>, lookup: &Lookup) -> Vec<Resolved> {
    let mut resolved: Vec<(usize, Resolved)> = Vec::with_capacity(config.names.len());
    let mut under_way = JoinSet::new();
    for (at, name) in config.names.iter().enumerate() {
        if under_way.len() >= AT_ONCE {
            resolved.extend(under_way.join_next().await.and_then(Result::ok));
        }
        let (config, lookup, written) = (Arc::clone(config), lookup.clone(), Written::Name(name.clone()));
        under_way.spawn(async move { (at, Resolved::of(&config, &lookup, written).await) });
    }
    while let Some(finished) = under_way.join_next().await {
        resolved.extend(finished.ok());
    }
    resolved.sort_by_key(|(at, _)| *at);
    resolved.into_iter().map(|(_, of)| of).collect()
}

/// Whether every name has an address, and no address is outside for any use.
pub(super) fn all_fine(config: &Config, resolved: &[Resolved]) -> bool {
    resolved.iter().all(|of| of.outcome(config) == Outcome::Inside)
}

/// A line for each name, and a line for each of its uses for which an address is outside.
pub(super) fn text(config: &Config, resolved: &[Resolved], colors: Colors) -> String {
    let mut out = String::new();
    for of in resolved {
        let uses: Vec<_> = of.uses.iter().map(|&of| config.use_label(of)).collect();
        let addresses: usize = of.servers.iter().map(|server| server.addresses.len()).sum();
        let (tint, outcome) = match of.outcome(config) {
            Outcome::Inside => (Tint::Green, format!("inside, all {addresses}")),
            Outcome::SomeOutside => (Tint::Red, "partly outside".to_owned()),
            Outcome::Outside => (Tint::Red, "outside, all of it".to_owned()),
            Outcome::Nothing => (Tint::Red, "resolves to nothing".to_owned()),
            Outcome::Failed => {
                (Tint::Red, format!("DNS failed: {}", trace::failure(&of.steps).unwrap_or_else(|| "no answer".to_owned())))
            }
        };
        // Writing to a string cannot fail.
        let _ = writeln!(out, "name     {}  {}  {}", of.written, uses.join(", "), colors.text(tint, outcome));
        for &whose in &of.uses {
            let outside: Vec<_> = of.outside(config, whose).iter().map(ToString::to_string).collect();
            if !outside.is_empty() {
                let _ = writeln!(out, "outside  {}  {}", config.use_label(whose), outside.join(" "));
            }
        }
    }
    out
}

/// The same as JSON, for machines.
pub(super) fn json(config: &Config, resolved: &[Resolved]) -> Value {
    let name = |of: &Resolved| {
        let uses = of.uses.iter().map(|&whose| {
            let outside = of.outside(config, whose);
            json!({ "of": config.use_label(whose), "outside": outside.iter().map(ToString::to_string).collect::<Vec<_>>() })
        });
        let addresses = of.servers.iter().flat_map(|server| &server.addresses);
        json!({
            "name": of.written.to_string(),
            "outcome": of.outcome(config).label(),
            "failure": trace::failure(&of.steps),
            "addresses": addresses.map(ToString::to_string).collect::<Vec<_>>(),
            "uses": uses.collect::<Vec<_>>(),
        })
    };
    resolved.iter().map(name).collect()
}
