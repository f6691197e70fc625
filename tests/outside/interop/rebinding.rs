//! A name that is changed while calls run: to the outside, back, and to more servers.

use super::named::Named;
use super::sipp::Server;
use super::{call, plan, zone};
use crate::harness::{Daemon, Leg, Site, await_some};
use crate::refusals::assert_refusal;

/// Probes as often as may be: not one goes outside.
fn daemon(site: &Site, named: &Named, upstream: &str) -> Daemon {
    let mut plan = plan(site, named.addr, upstream);
    plan.health = "interval = \"50ms\"".into();
    plan.more.push_str("[timers]\ntry_for = \"500ms\"\n");
    Daemon::start(site, &plan)
}

#[test]
fn a_name_that_turns_to_the_outside_is_refused_and_heals_by_itself() {
    let site = Site::claim();
    let named = Named::serve(&site, 1, &zone::addresses("lk", &[site.eu(10).ip()]));
    let uri = format!("sip:lk.internal.example:{}", site.port);
    let abroad = Leg::udp(site.us(10), site.door());
    let server = Server::start(&site, site.eu(10));
    let daemon = daemon(&site, &named, &uri);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    for turn in 1..=2 {
        assert_eq!(call(&site, &mut caller).code(), 200);
        let change = "update delete lk.internal.example. A\nupdate add lk.internal.example. 1 A";
        named.update(&format!("{change} {}", site.us(10).ip()));
        let refused = await_some("the first refusal", || {
            let last = call(&site, &mut caller);
            // Until the TTL ends the call is where it was before.
            (last.code() != 200).then_some(last)
        });
        assert_refusal(&refused, 603, 150, "foreign-target");
        for _ in 0..10 {
            assert_refusal(&call(&site, &mut caller), 603, 150, "foreign-target");
        }
        assert_eq!(daemon.metrics().sum("ringfence_dns_outside_total", &[("region", "eu")]), turn, "once a change");
        named.update(&format!("{change} {}", site.eu(10).ip()));
        await_some("calls inside", || {
            let last = call(&site, &mut caller);
            (last.code() == 200).then_some(()).or_else(|| {
                assert_refusal(&last, 603, 150, "foreign-target");
                None
            })
        });
    }
    let told = daemon
        .log()
        .lines()
        .filter(|line| {
            line.contains("will not be used")
                && line.contains("lk.internal.example")
                && line.contains(&site.us(10).ip().to_string())
        })
        .count();
    assert_eq!(told, 2, "logged once a change, with name and address:\n{}", daemon.log());
    await_some("probes inside", || (server.probes() > 0).then_some(()));
    assert!(!abroad.octets_waiting(), "a packet left the region");
}

#[test]
fn a_server_that_is_added_gets_calls_and_one_that_is_removed_gets_none() {
    let site = Site::claim();
    let named = Named::serve(&site, 1, &zone::servers("lk", &[(1, 1, site.eu(10))]));
    let servers = [10, 11].map(|last| Server::start(&site, site.eu(last)));
    let _daemon = daemon(&site, &named, "sip:lk.internal.example");
    let mut caller = Leg::udp(site.carrier(20), site.door());
    assert_eq!(call(&site, &mut caller).code(), 200);
    named.update(&format!(
        "update add lk-11.internal.example. 1 A {}\nupdate add _sip._udp.lk.internal.example. 1 SRV 1 1 {} lk-11.internal.example.",
        site.eu(11).ip(),
        site.port
    ));
    await_some("calls at the second server", || {
        assert_eq!(call(&site, &mut caller).code(), 200);
        (servers[1].calls() > 0).then_some(())
    });
    named.update("update delete lk-10.internal.example. A");
    named.update(&format!("update delete _sip._udp.lk.internal.example. SRV 1 1 {} lk-10.internal.example.", site.port));
    let [first, _second] = servers;
    drop(first);
    // Silent where it was: a call that still goes there moves on.
    await_some("calls at the second server alone", || {
        let first = Leg::udp(site.eu(10), site.door());
        (0..10).for_each(|_| assert_eq!(call(&site, &mut caller).code(), 200));
        (!first.octets_waiting()).then_some(())
    });
}
