//! What makes each carrier stop: the codes of the reject profiles.

use crate::harness::{Ask, Daemon, Leg, Plan, Site};
use crate::refusals::assert_refusal;

/// Profile, policy code, capacity code.
const PROFILES: [(&str, &str, u16, u16); 8] = [
    ("generic", "\"generic\"", 603, 503),
    ("twilio", "\"twilio\"", 603, 503),
    ("telnyx", "\"telnyx\"", 603, 503),
    ("thinktel", "\"thinktel\"", 403, 503),
    ("teams", "\"teams\"", 403, 503),
    ("threecx", "\"3cx\"", 600, 503),
    ("own", "{ policy = 404, capacity = 480 }", 404, 480),
    ("silent", "", 603, 503),
];

fn projects(site: &Site, plan: &mut Plan, pin: &str, on_trunk: bool) {
    for (name, reject, ..) in PROFILES {
        let reject = if reject.is_empty() { String::new() } else { format!("reject = {reject}") };
        let (project, trunk) = if on_trunk { ("", reject.as_str()) } else { (reject.as_str(), "") };
        plan.project(site, name, &format!("pin = [\"{pin}\"]\n{project}"), trunk);
    }
}

#[test]
fn a_policy_refusal_has_the_profiles_code() {
    for on_trunk in [false, true] {
        let site = Site::claim();
        let mut plan = Plan::new(&site);
        projects(&site, &mut plan, "us", on_trunk);
        let _daemon = Daemon::start(&site, &plan);
        let mut caller = Leg::udp(site.carrier(20), site.door());
        for (name, _, policy, _) in PROFILES {
            let uri = format!("sip:1@{name}.eu.sip.example.com");
            let invite = Ask::invite(&uri, caller.addr, "udp", site.carrier(20).ip());
            assert_refusal(&caller.asked(&invite), policy, 130, "pinned-elsewhere");
            let other = Ask::new("MESSAGE", &uri, caller.addr, "udp");
            assert_refusal(&caller.asked(&other), 403, 130, "pinned-elsewhere");
        }
    }
}

#[test]
fn a_capacity_refusal_has_the_profiles_code() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    projects(&site, &mut plan, "eu", true);
    let _daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    for (name, _, _, capacity) in PROFILES {
        // Nobody listens at the upstream: the port answers with an ICMP error.
        let uri = format!("sip:1@{name}.eu.sip.example.com");
        let invite = Ask::invite(&uri, caller.addr, "udp", site.carrier(20).ip());
        let answer = caller.asked(&invite);
        assert_refusal(&answer, capacity, 152, "targets-down");
        caller.ask(&invite.ack(&answer));
    }
}

#[test]
fn the_files_default_holds_where_nothing_else_is_said() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    plan.top = "reject = \"3cx\"\n".into();
    plan.project(&site, "abroad", "pin = [\"us\"]", "");
    let _daemon = Daemon::start(&site, &plan);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let invite = Ask::invite("sip:1@abroad.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
    assert_refusal(&caller.asked(&invite), 600, 130, "pinned-elsewhere");
}
