//! Dialogs that cross two and three proxies: Kamailio as the region's server, as the carrier's edge, and both at once.

use super::kamailio::Kamailio;
use super::sipp::{Load, Sipp};
use crate::harness::{Daemon, Plan, Site};

const LOAD: Load = Load { calls: 10, rate: 20 };
const SCENARIOS: [(&str, &str); 3] =
    [("caller_hangs_up", "callee"), ("caller_hung_up", "callee_hangs_up"), ("caller_is_turned_down", "callee_busy")];

#[test]
fn the_peers_agree_without_the_daemon() {
    for transport in ["udp", "tcp"] {
        for (caller, server) in SCENARIOS {
            let site = Site::claim();
            let callee = Sipp::server(&site, server, transport, site.eu(10), LOAD);
            let _kamailio = Kamailio::start(&site, "alone", site.door(), (site.eu(10), transport));
            let trunk = Sipp::caller(&site, caller, transport, (site.carrier(20), site.door()), LOAD);
            trunk.succeeds();
            callee.succeeds();
        }
    }
}

/// Calls from `SIPp` to `SIPp`; `before` and `behind` say where a Kamailio stands.
fn calls(before: bool, behind: bool, transport: &str) {
    for (caller, server) in SCENARIOS {
        println!("{caller} over {transport}, Kamailio before: {before}, behind: {behind}");
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        plan.upstream = format!("\"sip:{};transport={transport}\"", site.eu(10));
        let (phone, edge, inside) = (site.carrier(20), site.carrier(5), site.eu(10));
        let last = if behind { site.eu(30) } else { inside };
        let _region = behind.then(|| Kamailio::start(&site, "region", inside, (last, transport)));
        let callee = Sipp::server(&site, server, transport, last, LOAD);
        let daemon = Daemon::start(&site, &plan);
        let _carrier = before.then(|| Kamailio::start(&site, "carrier", edge, (site.door(), transport)));
        let first = if before { edge } else { site.door() };
        let trunk = Sipp::caller(&site, caller, transport, (phone, first), LOAD);
        trunk.succeeds();
        callee.succeeds();
        let metrics = daemon.metrics();
        assert!(metrics.verdicts("accept", "in-region") >= 10);
        let refused = metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]);
        assert_eq!(refused, 0, "{}", metrics.text());
    }
}

#[test]
fn kamailio_is_the_regions_server() {
    calls(false, true, "udp");
    calls(false, true, "tcp");
}

#[test]
fn kamailio_is_the_carriers_edge() {
    calls(true, false, "udp");
    calls(true, false, "tcp");
}

#[test]
fn kamailio_stands_on_both_sides() {
    calls(true, true, "udp");
    calls(true, true, "tcp");
}
