//! `ringfence_upstream_up`, `ringfence_relay_up` and `ringfence_gateway_up`: written at each scrape from the health of the targets, so that a target that
//! is gone has no series.
//!
//! The registry cannot do that, because a registered series stays. There are as many series as targets, which the core bounds.
//! Their labels are names of the configuration and addresses that a fence has passed.

use std::fmt::Write as _;

use crate::config::Config;
use crate::core::io::{GatewayStatus, Health, TargetStatus};

const UP: (&str, &str) = ("ringfence_upstream_up", "1 while calls go to a server of the region, 0 while it is down.");
const RELAY: (&str, &str) = ("ringfence_relay_up", "1 while media goes through a relay of the region, 0 while it is down.");
const GATEWAY: (&str, &str) = ("ringfence_gateway_up", "1 while a gateway of a trunk with `ping` answers, 0 while it does not.");

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

/// Appends the metric of the gateways that are asked whether they are there.
pub fn expose_gateways(config: &Config, gateways: &[GatewayStatus], text: &mut String) {
    let (name, help) = GATEWAY;
    let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} gauge");
    for gateway in gateways {
        let trunk = config.trunk(gateway.trunk);
        let (region, project) = (&config.region(gateway.region).name, &config.project(trunk.project).name);
        let uri = trunk.outbound().map_or("", |outbound| outbound.hostpart(gateway.at));
        // A hostpart holds no line end; what else would end the label is escaped.
        let uri = uri.replace('\\', "\\\\").replace('"', "\\\"");
        let up = u8::from(gateway.is_up);
        let labels = format!("region=\"{region}\",project=\"{project}\",trunk=\"{}\",gateway=\"{uri}\"", trunk.name);
        let _ = writeln!(text, "{name}{{{labels}}} {up}");
    }
    text.push('\n');
}
