//! PJSIP as the trunk, in front of the daemon, and as the region's server, behind it: calls in and out, from both ends of each. And
//! sippy between the daemon and a server, as a back-to-back user agent: two dialogs of each call.

use std::fmt::Write;
use std::net::SocketAddr;

use serde_json::json;

use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::pjsip::Pjsip;
use super::secure::{SBC, above, secured};
use super::{await_udp, python, zone};
use crate::harness::process::Process;
use crate::harness::{Daemon, Plan, Site};

const IN: &str = "sip:+4930222@acme.eu.sip.example.com";
const OUT: &str = "sip:+353155501@carrier.acme.eu.sip.example.com";

/// A plan in which the trunk of the project takes calls at this place.
fn reached(mut plan: Plan, site: &Site, gateway: &str) -> Plan {
    let carrier = Site::network(site.carrier(0));
    let _ = write!(plan.projects, "uri = \"sip:{gateway}\"\noutbound_networks = [\"{carrier}\"]\n");
    plan
}

/// A call is answered: `caller` calls, `callee` rings for a moment. To both it is the call of this number.
pub(super) fn is_answered(caller: &mut Pjsip, callee: &mut Pjsip, number: usize, uri: &str) {
    caller.does(&format!("call {uri}"));
    callee.tells(&format!("incoming {number}"));
    callee.does(&format!("ring {number}"));
    caller.tells(&format!("state {number} EARLY 180"));
    callee.does(&format!("answer {number}"));
    for phone in [caller, callee] {
        phone.tells(&format!("state {number} CONFIRMED"));
        phone.tells(&format!("media {number} flows"));
    }
}

/// A call is put on hold by one side, and goes on: two re-INVITEs.
pub(super) fn is_held(by: &mut Pjsip, other: &mut Pjsip, number: usize) {
    by.does(&format!("hold {number}"));
    by.tells(&format!("media {number} held-here"));
    other.tells(&format!("media {number} held-there"));
    by.does(&format!("resume {number}"));
    for phone in [by, other] {
        phone.tells(&format!("media {number} flows"));
    }
}

/// A call is hung up by one side.
pub(super) fn is_ended(by: &mut Pjsip, other: &mut Pjsip, number: usize) {
    by.does(&format!("hang_up {number}"));
    for phone in [by, other] {
        phone.tells(&format!("state {number} DISCONNECTED"));
    }
}

/// A call is given up while it rings (CANCEL).
fn is_given_up(caller: &mut Pjsip, callee: &mut Pjsip, number: usize, uri: &str) {
    caller.does(&format!("call {uri}"));
    callee.tells(&format!("incoming {number}"));
    callee.does(&format!("ring {number}"));
    caller.tells(&format!("state {number} EARLY 180"));
    is_ended(caller, callee, number);
}

/// A whole call, and the one that a blind transfer makes of it: both sides change it, the callee sends the caller on (REFER, and NOTIFY
/// of what comes of it) and hangs up, and the caller hangs up the second.
fn whole(caller: &mut Pjsip, callee: &mut Pjsip, first: usize, uri: &str) {
    is_answered(caller, callee, first, uri);
    is_held(caller, callee, first);
    is_held(callee, caller, first);
    caller.does(&format!("digit {first} 5"));
    callee.tells(&format!("digit {first} 5"));
    callee.does(&format!("digit {first} 6"));
    caller.tells(&format!("digit {first} 6"));
    let second = first + 1;
    callee.does(&format!("transfer {first} {uri}"));
    caller.tells(&format!("transfer {first} {second}"));
    callee.tells(&format!("incoming {second}"));
    callee.does(&format!("ring {second}"));
    callee.does(&format!("answer {second}"));
    callee.tells(&format!("transferred {first} 200 True"));
    is_ended(callee, caller, first);
    for phone in [&mut *caller, &mut *callee] {
        phone.tells(&format!("state {second} CONFIRMED"));
    }
    is_ended(caller, callee, second);
}

/// How the two speak with the daemon.
struct Manner {
    /// The trunk's transport, and the server's.
    transports: [&'static str; 2],
    /// Whether the trunk writes an address into Contact that nobody can reach.
    private: bool,
    /// Whether the server is known by a name, and its certificate is for that alone; its Contact has its address all the same.
    named: bool,
}

/// Over these transports, with addresses that are what they seem.
fn over(trunk: &'static str, server: &'static str) -> Manner {
    Manner { transports: [trunk, server], private: false, named: false }
}

/// Whole calls in and out.
fn calls(Manner { transports, private, named }: Manner) {
    let (site, authority, plan) = secured();
    let place = |addr, transport| if transport == "tls" { above(addr) } else { addr };
    let ends = [place(site.carrier(20), transports[0]), place(site.eu(10), transports[1])];
    let mut plan = reached(plan, &site, &format!("{};transport={}", ends[0], transports[0]));
    let server_host = if named { "pbx.internal.example".to_owned() } else { ends[1].ip().to_string() };
    plan.upstream = format!("\"sip:{server_host}:{};transport={}\"", ends[1].port(), transports[1]);
    let nsd = named.then(|| Nsd::serve(&site, 60, &zone::addresses("pbx", &[ends[1].ip()])));
    if let Some(nsd) = &nsd {
        plan.more = format!("[dns]\nservers = [\"{}\"]\n", nsd.addr);
    }
    if transports[0] == "tls" {
        let _ = writeln!(plan.projects, "certificates = [\"{SBC}\"]");
    }
    // PJSIP asks no name server.
    let _ = write!(plan.eu, "\nadvertise = \"{}\"\n", site.door().ip());
    if transports[1] != "udp" {
        // It writes the port that it calls out from into Contact.
        let _ = writeln!(plan.eu, "servers = [\"{}\"]", ends[1].ip());
    }
    let daemon = Daemon::start(&site, &plan);
    // The trunk's certificate has its name, and its Contact its address.
    let papers = [SBC.to_owned(), server_host];
    let [mut trunk, mut server] = [("trunk", 0), ("server", 1)].map(|(name, end)| {
        // Provisional answers are acknowledged (PRACK).
        let mut more = json!({ "reliable": true });
        if transports[end] == "tls" {
            authority.paper(&[&papers[end]]).write(&site, name);
            more["papers"] = json!([format!("{name}.pem"), format!("{name}.key"), "ca.pem"]);
        }
        if private && name == "trunk" {
            more["shown"] = "192.168.1.20".into();
        }
        Pjsip::start(&site, name, (ends[end], transports[end]), place(site.door(), transports[end]), &more)
    });
    whole(&mut trunk, &mut server, 0, IN);
    whole(&mut server, &mut trunk, 2, OUT);
    is_given_up(&mut trunk, &mut server, 4, IN);
    is_given_up(&mut server, &mut trunk, 5, OUT);
    let metrics = daemon.metrics();
    assert_eq!(metrics.verdicts("accept", "in-region"), 6, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    let requests = |method| metrics.sum("ringfence_requests_total", &[("method", method)]);
    // Each call in or out: one INVITE, the one of the transfer, four of holds, and one that is given up. More if the machine stalls.
    for (method, count) in [("INVITE", 14), ("PRACK", 6), ("INFO", 4), ("REFER", 2), ("NOTIFY", 4), ("BYE", 4), ("CANCEL", 2)] {
        assert!(requests(method) >= count, "{method}: {}", metrics.text());
    }
    for transport in ["udp", "tcp", "tls"] {
        let received = metrics.sum("ringfence_received_total", &[("transport", transport)]);
        assert_eq!(received > 0, transports.contains(&transport), "{transport}: {}", metrics.text());
    }
}

#[test]
fn pjsip_calls_and_is_called_over_udp() {
    calls(over("udp", "udp"));
}

#[test]
fn pjsip_calls_and_is_called_over_tcp() {
    calls(over("tcp", "tcp"));
}

#[test]
fn pjsip_calls_and_is_called_over_tls() {
    calls(over("tls", "tls"));
}

#[test]
fn pjsip_calls_from_one_transport_to_another() {
    calls(over("udp", "tcp"));
    calls(over("tls", "udp"));
}

#[test]
fn pjsip_with_a_certificate_for_its_name_alone_serves() {
    calls(Manner { named: true, ..over("udp", "tls") });
}

#[test]
fn pjsip_behind_nat_calls_and_is_hung_up_on() {
    for transport in ["udp", "tcp", "tls"] {
        calls(Manner { private: true, ..over(transport, "udp") });
    }
}

/// A server calls out by a gateway that demands credentials, once without them and once with. Returns the gateway, which goes on.
fn is_called_with_credentials(site: &Site, daemon: &Daemon, edge: SocketAddr) -> Kamailio {
    let phone = site.carrier(20);
    let carrier = Kamailio::demanding(site, "carrier", edge, (phone, "udp"), ("pbx", "open sesame"));
    let mut trunk = Pjsip::start(site, "trunk", (phone, "udp"), edge, &json!({}));
    let credentials = json!({ "credentials": ["pbx", "open sesame"] });
    let mut server = Pjsip::start(site, "server", (site.eu(10), "udp"), site.door(), &credentials);
    is_answered(&mut server, &mut trunk, 0, OUT);
    is_held(&mut trunk, &mut server, 0);
    is_ended(&mut trunk, &mut server, 0);
    let metrics = daemon.metrics();
    assert_eq!(metrics.sum("ringfence_responses_total", &[("code", "407"), ("direction", "in")]), 1, "{}", metrics.text());
    carrier
}

#[test]
fn pjsip_calls_out_with_credentials() {
    let site = Site::claim();
    let edge = site.carrier(5);
    let plan = reached(Plan::new(&site), &site, &edge.to_string());
    let daemon = Daemon::start(&site, &plan);
    let _carrier = is_called_with_credentials(&site, &daemon, edge);
    // A call that comes without them gets no further.
    let mut server = Pjsip::start(&site, "server", (site.eu(10), "udp"), site.door(), &json!({}));
    server.does(&format!("call {OUT}"));
    server.tells("state 0 DISCONNECTED 407");
}

/// Nobody is at the first gateway. The second one demands credentials, and gets the call again with them.
#[test]
fn pjsip_calls_out_with_credentials_by_the_second_gateway() {
    let site = Site::claim();
    let (nobody, edge) = (site.carrier(6), site.carrier(5));
    let mut plan = Plan::new(&site);
    plan.projects = plan.projects.replace("media = [", &format!("uri = [\"sip:{nobody}\", \"sip:{edge}\"]\nmedia = ["));
    let daemon = Daemon::start(&site, &plan);
    let _carrier = is_called_with_credentials(&site, &daemon, edge);
}

/// Sippy at `addr`, from where every call goes on to `next`.
fn sippy(site: &Site, addr: SocketAddr, next: SocketAddr) -> Process {
    let mut command = python();
    let (ip, port) = (addr.ip().to_string(), addr.port().to_string());
    command.args(["-m", "sippy.b2bua_simple", "-f", "-l", &ip, "-p", &port, "-n", &next.to_string()]);
    let mut process = Process::start("sippy", site.directory(), &mut command);
    await_udp(&mut process, addr);
    process
}

#[test]
fn sippy_takes_calls_for_pjsip() {
    let site = Site::claim();
    let (trunk, region, server) = (site.carrier(20), site.eu(10), site.eu(30));
    let daemon = Daemon::start(&site, &Plan::new(&site));
    let _sippy = sippy(&site, region, server);
    let mut trunk = Pjsip::start(&site, "trunk", (trunk, "udp"), site.door(), &json!({}));
    let mut server = Pjsip::start(&site, "server", (server, "udp"), region, &json!({}));
    is_answered(&mut trunk, &mut server, 0, IN);
    is_held(&mut trunk, &mut server, 0);
    is_held(&mut server, &mut trunk, 0);
    is_ended(&mut server, &mut trunk, 0);
    is_answered(&mut trunk, &mut server, 1, IN);
    is_ended(&mut trunk, &mut server, 1);
    let metrics = daemon.metrics();
    assert_eq!(metrics.verdicts("accept", "in-region"), 2, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_requests_total", &[("method", "BYE")]), 2);
}
