//! `ringfence_upstream_up`: written at each scrape from how the targets stand then, so that a target that is gone has no series.
//!
//! The registry cannot do that: what was registered there stays. As many series as targets, which the core bounds; their labels
//! are names of the configuration and addresses that a fence has passed.

use std::fmt::Write as _;

use crate::config::Config;
use crate::core::io::{Health, TargetStatus};

const NAME: &str = "ringfence_upstream_up";
const HELP: &str = "1 while calls go to a server of the region, 0 while it is down.";

/// Appends the metric to an exposition.
pub fn expose(config: &Config, targets: &[TargetStatus], text: &mut String) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "# HELP {NAME} {HELP}\n# TYPE {NAME} gauge");
    for target in targets {
        // A region's name is a token: nothing in it needs an escape.
        let (region, transport) = (&config.region(target.region).name, target.transport.token());
        let up = u8::from(target.state != Health::Down);
        let _ = writeln!(text, "{NAME}{{region=\"{region}\",target=\"{transport}:{}\"}} {up}", target.addr);
    }
    text.push('\n');
}
