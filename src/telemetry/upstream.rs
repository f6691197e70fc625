//! `ringfence_upstream_up` and `ringfence_relay_up`: written at each scrape from the health of the targets, so that a target that
//! is gone has no series.
//!
//! The registry cannot do that, because a registered series stays. There are as many series as targets, which the core bounds.
//! Their labels are names of the configuration and addresses that a fence has passed.

use std::fmt::Write as _;

use crate::config::Config;
use crate::core::io::{Health, TargetStatus};

const UP: (&str, &str) = ("ringfence_upstream_up", "1 while calls go to a server of the region, 0 while it is down.");
const RELAY: (&str, &str) = ("ringfence_relay_up", "1 while media goes through a relay of the region, 0 while it is down.");

/// Appends the metrics to an exposition.
pub fn expose(config: &Config, targets: &[TargetStatus], text: &mut String) {
    for ((name, help), label, relay) in [(UP, "target", false), (RELAY, "relay", true)] {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
        for target in targets.iter().filter(|target| target.relay == relay) {
            // A region's name is a token: nothing in it needs an escape.
            let (region, transport) = (&config.region(target.region).name, target.transport.token());
            let up = u8::from(target.state != Health::Down);
            let _ = writeln!(text, "{name}{{region=\"{region}\",{label}=\"{transport}:{}\"}} {up}", target.addr);
        }
        text.push('\n');
    }
}
