//! A region whose servers are dead: an unpinned project's calls are served by the nearest region, a pinned one's by nobody.

use super::call;
use super::sipp::{self, Load};
use crate::harness::{Daemon, Leg, Plan, Site};
use crate::refusals::assert_refusal;

const LOAD: Load = Load { calls: 10, rate: 20 };

/// Region `eu` without a living server, `us` the nearest; project `acme` with this pin.
fn daemon(site: &Site, pin: &str) -> Daemon {
    let mut plan = Plan::new(site);
    plan.eu = "nearest = [\"us\"]\n".into();
    plan.projects = plan.projects.replace("pin = [\"eu\"]\n", pin);
    Daemon::start(site, &plan)
}

#[test]
fn an_unpinned_projects_calls_talk_and_end_in_the_nearest_region() {
    for scenarios in [("caller_hangs_up", "callee"), ("caller_hung_up", "callee_hangs_up"), ("caller_gives_up", "callee_rings")] {
        println!("{scenarios:?}");
        let site = Site::claim();
        let daemon = daemon(&site, "");
        sipp::run_at(&site, scenarios, ("udp", "udp"), site.us(10), LOAD);
        let metrics = daemon.metrics();
        assert_eq!(metrics.verdicts("accept", "failover"), 10, "{}", metrics.text());
        assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    }
}

#[test]
fn the_nearest_regions_server_is_told() {
    let site = Site::claim();
    let _daemon = daemon(&site, "");
    let mut server = Leg::udp(site.us(10), site.door());
    let seen = super::reaches(&site, &mut Leg::udp(site.carrier(20), site.door()), &mut server);
    assert_eq!(seen.all("X-Ringfence"), ["101; reason=failover; region=us; project=acme; trunk=carrier"]);
}

#[test]
fn a_pinned_projects_call_goes_nowhere_else() {
    let site = Site::claim();
    let _daemon = daemon(&site, "pin = [\"eu\"]\n");
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let silent = Leg::udp(site.us(10), site.door());
    for _ in 0..5 {
        assert_refusal(&call(&site, &mut caller), 503, 152, "targets-down");
    }
    assert!(!silent.octets_waiting(), "a pinned project's call left its region");
}
