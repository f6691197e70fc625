//! Calls that pass twice, through Kamailio on either side: the region's sends out by the trunk that a call came in by, and the carrier's
//! sends in again what came out. Both record their route.

use std::fmt::Write;
use std::net::SocketAddr;

use super::kamailio::Kamailio;
use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site};

const HOST: &str = "acme.eu.sip.example.com";
/// What the region's Kamailio sends out again.
const ABROAD: &str = "+353155501";
/// What the carrier's sends in again.
const HOME: &str = "+4930222";

struct Scene {
    site: Site,
    transport: &'static str,
    daemon: Daemon,
    region: SocketAddr,
    carrier: SocketAddr,
    _proxies: [Kamailio; 2],
}

/// The daemon between two proxies. Each hands it what comes from its own side; of what comes from the daemon it sends these numbers back,
/// and all others on to its telephone, at address 30.
fn scene(transport: &'static str) -> Scene {
    let site = Site::claim();
    let (region, carrier, door) = (site.eu(10), site.carrier(10), site.door());
    let mut plan = Plan::new(&site);
    plan.upstream = format!("\"sip:{region};transport={transport}\"");
    // What stands behind a server is judged like it. TCP calls from any port.
    plan.eu = format!("servers = [\"{}\", \"{}\", \"{}\"]\n", region.ip(), site.eu(20).ip(), site.eu(30).ip());
    // Nobody leads the media through the region: of a carrier's call that goes out again it stays with the carrier.
    plan.projects = plan.projects.replace("[project.acme]\n", "[project.acme]\nmedia = \"off\"\n");
    let network = Site::network(carrier);
    let _ = writeln!(plan.projects, "uri = \"sip:{carrier};transport={transport}\"\noutbound_networks = [\"{network}\"]");
    let daemon = Daemon::start(&site, &plan);
    let proxy = |name, addr, phone, number: &str, host: &str| {
        let script = format!(
            "if (src_ip != {ip} || $rU == \"{number}\") {{ $rd = \"{host}\"; $rp = $null; record_route(); \
             $du = \"sip:{door};transport={transport}\"; if (!t_relay()) {{ sl_reply_error(); }} exit; }}",
            ip = door.ip()
        );
        Kamailio::leading(&site, name, addr, (phone, transport), &script)
    };
    let region_proxy = proxy("region", region, site.eu(30), ABROAD, &format!("carrier.{HOST}"));
    let carrier_proxy = proxy("carrier", carrier, site.carrier(30), HOME, HOST);
    Scene { site, transport, daemon, region, carrier, _proxies: [region_proxy, carrier_proxy] }
}

/// One side of an answered call.
struct Party {
    leg: Leg,
    dialog: Dialog,
}

impl Party {
    /// Asks the other side for something that is no INVITE.
    fn asks(&mut self, method: &str, other: &mut Self) {
        self.leg.ask(&self.dialog.next(method));
        let seen = other.leg.request(method);
        other.leg.send(&seen.answer("200 OK", "", &[], ""));
        self.leg.expect(200);
    }

    /// Asks the other side for another description.
    fn changes(&mut self, other: &mut Self) {
        self.leg.ask(&self.dialog.next("INVITE").sdp(self.leg.addr.ip()));
        let seen = other.leg.request("INVITE");
        let contact = format!("Contact: <{}>", self.dialog.target);
        other.leg.send(&seen.answer("200 OK", "", &[&contact], &sdp(other.leg.addr.ip())));
        self.leg.expect(200);
        self.leg.ask(&self.dialog.ack());
        other.leg.request("ACK");
    }
}

impl Scene {
    /// A call of this number from one telephone by its proxy, to the other.
    fn call(&self, from: SocketAddr, by: SocketAddr, to: SocketAddr, to_by: SocketAddr, number: &str) -> [Party; 2] {
        let mut callee = Leg::server(self.transport, to, to_by);
        let mut caller = Leg::caller(self.transport, from, by);
        caller.ask(&Ask::invite(&format!("sip:{number}@{HOST}"), caller.addr, self.transport, caller.addr.ip()));
        let seen = callee.request("INVITE");
        assert_eq!(seen.all("Via").len(), 6, "two passes, each through two proxies and the daemon: {}", seen.start);
        let contact = format!("Contact: <sip:callee@{};transport={}>", callee.addr, self.transport);
        callee.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(to.ip())));
        let near = Dialog::of_caller(&caller.expect(200), &caller);
        caller.ask(&near.ack());
        callee.request("ACK");
        let far = Dialog::of_callee(&seen, "callee", &callee);
        [Party { leg: caller, dialog: near }, Party { leg: callee, dialog: far }]
    }
}

fn passes_twice(transport: &'static str) {
    let scene = scene(transport);
    let (site, region, carrier) = (&scene.site, scene.region, scene.carrier);
    for (from, by, to, number) in
        [(site.carrier(20), carrier, site.carrier(30), ABROAD), (site.eu(20), region, site.eu(30), HOME)]
    {
        for callee_hangs_up in [false, true] {
            let [mut caller, mut callee] = scene.call(from, by, to, by, number);
            for _ in 0..2 {
                caller.changes(&mut callee);
                caller.asks("INFO", &mut callee);
                callee.changes(&mut caller);
                callee.asks("INFO", &mut caller);
            }
            if callee_hangs_up {
                callee.asks("BYE", &mut caller);
            } else {
                caller.asks("BYE", &mut callee);
            }
        }
    }
    let metrics = scene.daemon.metrics();
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    assert_eq!(metrics.verdicts("accept", "in-region"), 8, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_responses_total", &[("code", "4xx")]), 0, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_responses_total", &[("code", "482")]), 0, "{}", metrics.text());
}

#[test]
fn kamailio_on_both_sides_sends_calls_back_over_udp() {
    passes_twice("udp");
}

#[test]
fn kamailio_on_both_sides_sends_calls_back_over_tcp() {
    passes_twice("tcp");
}
