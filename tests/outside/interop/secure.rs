//! TLS with other people's: OpenSSL's client, stunnel around `SIPp`, Kamailio before and behind, baresip at both ends, NSD for names.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::secure_phone::SecurePhone;
use super::sipp::{Load, Sipp, server_behind_tls};
use super::{await_tcp, zone};
use crate::harness::process::Process;
use crate::harness::secure::{Authority, Paper};
use crate::harness::{Ask, Daemon, Leg, Plan, Site};

const LOAD: Load = Load { calls: 10, rate: 20 };
const HOST: &str = "acme.eu.sip.example.com";
pub(super) const SBC: &str = "sbc.carrier.example";

/// The port above: where TLS is.
pub(super) fn above(addr: SocketAddr) -> SocketAddr {
    (addr.ip(), addr.port() + 1).into()
}

/// A site with certificates, and a plan with a TLS listener.
pub(super) fn secured() -> (Site, Authority, Plan) {
    let (site, authority) = (Site::claim(), Authority::new());
    site.write("ca.pem", &authority.pem());
    authority.paper(&["eu.sip.example.com", "*.eu.sip.example.com", &site.door().ip().to_string()]).write(&site, "eu");
    let mut plan = Plan::new(&site);
    plan.listen = format!("[\"udp:{0}\", \"tcp:{0}\", \"tls:{1}\"]", site.door(), above(site.door()));
    plan.eu = "tls = { certificate = \"eu.pem\", key = \"eu.key\", client_ca = \"ca.pem\", upstream_ca = \"ca.pem\" }".into();
    (site, authority, plan)
}

/// Whether OpenSSL's client comes to a connection that it verifies, and everything that it says of that.
fn openssl(site: &Site, arguments: &[&str]) -> (bool, String) {
    let door = above(site.door()).to_string();
    let output = Command::new("openssl")
        .args(["s_client", "-connect", &door, "-CAfile", "ca.pem", "-verify_return_error"])
        .args(arguments)
        .current_dir(site.directory())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[test]
fn openssl_sees_versions_names_and_what_is_asked_of_it() {
    let (site, authority, mut plan) = secured();
    authority.paper(&["us.sip.example.com"]).write(&site, "us");
    plan.serve = "[\"eu\", \"us\"]".into();
    plan.us = format!(
        "listen = [\"tls:{}\"]\ntls = {{ certificate = \"us.pem\", key = \"us.key\", client_ca = \"ca.pem\", client_auth = \"required\" }}",
        above(site.us(1))
    );
    let _daemon = Daemon::start(&site, &plan);
    let name = |name| ["-servername", name, "-verify_hostname", name];
    for (version, spoken) in [("-tls1_3", "TLSv1.3"), ("-tls1_2", "TLSv1.2")] {
        let (verified, said) = openssl(&site, &[&name(HOST)[..], &[version]].concat());
        assert!(verified && said.contains(&format!("New, {spoken}")), "{said}");
    }
    for version in ["-tls1_1", "-tls1"] {
        let (verified, said) = openssl(&site, &[&name(HOST)[..], &[version, "-cipher", "ALL:@SECLEVEL=0"]].concat());
        assert!(!verified && (said.contains("alert protocol version") || said.contains("alert handshake failure")), "{said}");
    }
    assert!(openssl(&site, &name("us.sip.example.com")).0, "another region's certificate, by its name");
    let (verified, said) = openssl(&site, &name("uk.sip.example.com"));
    assert!(!verified && said.contains("hostname mismatch"), "{said}");
    let (_, said) = openssl(&site, &name(HOST));
    assert!(said.contains("Acceptable client certificate CA names"), "{said}");
    // Where a certificate is required.
    let paper: Paper = authority.paper(&[SBC]);
    paper.write(&site, "sbc");
    let us = above(site.us(1)).to_string();
    let ask = |more: &[&str]| openssl(&site, &[&["-tls1_2", "-connect", &us], more].concat());
    assert!(!ask(&[]).0, "without one");
    let (verified, said) = ask(&["-cert", "sbc.pem", "-key", "sbc.key"]);
    assert!(verified, "{said}");
}

/// stunnel with one service.
fn stunnel(site: &Site, name: &str, accept: SocketAddr, settings: &str) -> Process {
    let config = format!("foreground = yes\npid =\nsyslog = no\n[{name}]\naccept = {accept}\n{settings}\nTIMEOUTclose = 0\n");
    let config = site.write(&format!("{name}.conf"), &config);
    let mut process = Process::start(name, site.directory(), Command::new("stunnel").env("PATH", super::path()).arg(config));
    await_tcp(&mut process, accept);
    process
}

#[test]
fn sipp_calls_within_stunnel_both_ways() {
    for (caller, server) in [("caller_hangs_up", "callee"), ("caller_is_turned_down", "callee_busy")] {
        let (site, authority, mut plan) = secured();
        let (inside, edge) = (site.eu(10), site.carrier(21));
        authority.paper(&[&inside.ip().to_string()]).write(&site, "pbx");
        authority.paper(&[SBC]).write(&site, "sbc");
        plan.upstream = format!("\"sip:{};transport=tls\"", above(inside));
        plan.projects = format!("{}certificates = [\"{SBC}\"]\n", plan.projects);
        let callee = server_behind_tls(&site, server, inside, LOAD);
        let settings = format!("connect = {inside}\ncert = pbx.pem\nkey = pbx.key\nsslVersionMin = TLSv1.2");
        let _behind = stunnel(&site, "behind", above(inside), &settings);
        let daemon = Daemon::start(&site, &plan);
        let settings = format!(
            "client = yes\nconnect = {}\nlocal = {}\nCAfile = ca.pem\nverifyChain = yes\ncheckHost = {HOST}\nsni = {HOST}\ncert = sbc.pem\nkey = sbc.key",
            above(site.door()),
            edge.ip()
        );
        let _before = stunnel(&site, "before", edge, &settings);
        let trunk = Sipp::caller(&site, caller, "tcp", (site.carrier(20), edge), LOAD);
        trunk.succeeds();
        callee.succeeds();
        let metrics = daemon.metrics();
        assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
        assert!(metrics.verdicts("accept", "in-region") >= 10);
        assert_eq!(metrics.sum("ringfence_received_total", &[("transport", "udp")]), 0);
        assert_eq!(metrics.sum("ringfence_received_total", &[("transport", "tcp")]), 0, "{}", metrics.text());
    }
}

#[test]
fn kamailio_calls_and_is_called_over_tls() {
    for (caller, server) in
        [("caller_hangs_up", "callee"), ("caller_hung_up", "callee_hangs_up"), ("caller_is_turned_down", "callee_busy")]
    {
        let (site, authority, mut plan) = secured();
        let (edge, inside, last) = (site.carrier(5), site.eu(10), site.eu(30));
        authority.paper(&[SBC, &edge.ip().to_string()]).write(&site, "carrier");
        authority.paper(&[&inside.ip().to_string()]).write(&site, "region");
        plan.upstream = format!("\"sip:{};transport=tls\"", above(inside));
        plan.projects = format!("{}certificates = [\"{SBC}\"]\n", plan.projects);
        // It asks no name server.
        plan.eu = format!("{}\nadvertise = \"{}\"\n", plan.eu, site.door().ip());
        let callee = Sipp::server(&site, server, "udp", last, LOAD);
        let _region = Kamailio::secured(&site, "region", inside, (last, "udp"));
        let daemon = Daemon::start(&site, &plan);
        let _carrier = Kamailio::secured(&site, "carrier", edge, (above(site.door()), "tls"));
        let trunk = Sipp::caller(&site, caller, "udp", (site.carrier(20), edge), LOAD);
        trunk.succeeds();
        callee.succeeds();
        let metrics = daemon.metrics();
        assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
        assert_eq!(metrics.sum("ringfence_received_total", &[("transport", "udp")]), 0, "{}", metrics.text());
    }
}

/// A daemon whose servers are two names, over TLS, that one address is behind.
fn named(site: &Site, mut plan: Plan) -> (Nsd, Daemon) {
    let port = site.port;
    let records = format!(
        "lk IN NAPTR 10 50 \"s\" \"SIP+D2U\" \"\" _sip._udp.lk\nlk IN NAPTR 20 50 \"s\" \"SIPS+D2T\" \"\" _sips._tcp.lk\n\
         _sips._tcp.lk IN SRV 0 0 {port} node\n_sips._tcp.other IN SRV 0 0 {port} node\n{}",
        zone::addresses("node", &[site.eu(10).ip()])
    );
    let nsd = Nsd::serve(site, 60, &records);
    plan.upstream = "[\"sips:lk.internal.example\", \"sip:other.internal.example;transport=tls\"]".into();
    plan.more = format!("[dns]\nservers = [\"{}\"]\n", nsd.addr);
    let daemon = Daemon::start(site, &plan);
    (nsd, daemon)
}

fn invite(site: &Site, caller: &Leg) -> Ask {
    Ask::invite(&format!("sip:1@{HOST}"), caller.addr, "udp", site.carrier(20).ip())
}

#[test]
fn two_names_of_one_address_are_two_connections() {
    let (site, authority, plan) = secured();
    let (_nsd, _daemon) = named(&site, plan);
    // One certificate would do for both.
    let both = authority.server(&authority.paper(&["lk.internal.example", "other.internal.example"]), false);
    let listener = std::net::TcpListener::bind(site.eu(10)).unwrap();
    let mut caller = Leg::udp(site.carrier(20), site.door());
    caller.ask(&invite(&site, &caller));
    let mut legs = Vec::new();
    for (name, answer) in [("lk.internal.example", "503 Service Unavailable"), ("other.internal.example", "486 Busy Here")] {
        let mut server = Leg::accepted(&listener, &both);
        let seen = server.request("INVITE");
        assert_eq!(server.peer().1.as_deref(), Some(name), "what SNI names");
        server.send(&seen.answer(answer, "b", &[], ""));
        server.request("ACK");
        legs.push(server);
    }
    assert_eq!(caller.response().code(), 486);
    // Each goes on with its own.
    caller.ask(&invite(&site, &caller));
    let seen = legs[0].request("INVITE");
    legs[0].send(&seen.answer("486 Busy Here", "b", &[], ""));
}

#[test]
fn a_server_proves_the_name_that_was_asked_for_and_not_what_dns_made_of_it() {
    let (site, authority, plan) = secured();
    let (_nsd, daemon) = named(&site, plan);
    let node = authority.server(&authority.paper(&["node.internal.example"]), false);
    let mut impostor = Leg::listen_tls(site.eu(10), &node);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    caller.ask(&invite(&site, &caller));
    assert!(impostor.shake().is_err() || impostor.closed_within(crate::harness::PATIENCE));
    daemon.metrics_when("a certificate for another name", |metrics| {
        metrics.sum("ringfence_tls_handshakes_total", &[("direction", "out"), ("result", "certificate")]) >= 1
    });
    assert!(daemon.log().contains("not valid for name lk.internal.example;"), "{}", daemon.log());
    assert!(caller.response().get("X-Ringfence").starts_with("152;"));
}

#[test]
fn baresip_calls_baresip() {
    let (site, authority, mut plan) = secured();
    let (phone, inside, door) = (site.carrier(20), site.eu(10), above(site.door()));
    // It finds the endpoint as anybody would, by its name.
    let records = format!("eu IN A {ip}\nacme.eu IN A {ip}\n_sips._tcp.acme.eu IN SRV 0 0 {} eu\n", door.port(), ip = door.ip());
    let nsd = Nsd::serve(&site, 60, &records);
    authority.paper(&["eu.internal.example", "*.eu.internal.example"]).write(&site, "eu");
    // It calls from whichever address the system picks, for signalling and media: its certificate alone says who it is.
    let carrier = Site::network(phone);
    plan.projects = format!(
        "[project.acme]\npin = [\"eu\"]\nmedia = \"off\"\n[project.acme.trunk.carrier]\ncertificates = [\"{SBC}\"]\n\
         outbound_networks = [\"{carrier}\"]\n"
    );
    plan.upstream = format!("\"sip:{};transport=tls\"", above(inside));
    let paper = authority.paper(&[&inside.ip().to_string()]);
    let mut callee = SecurePhone::start(&site, "pbx", inside, nsd.addr, &paper, None);
    let daemon = Daemon::start_with(&site, &plan.text(&site).replace("eu.sip.example.com", "eu.internal.example"));
    let paper = authority.paper(&[SBC]);
    let uri = "sip:pbx@acme.eu.internal.example";
    let mut caller = SecurePhone::start(&site, "phone", phone, nsd.addr, &paper, Some(uri));
    caller.says("Call established");
    callee.says("Call established");
    caller.end();
    callee.says("session closed");
    let metrics = daemon.metrics();
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_requests_total", &[("transport", "tls"), ("method", "BYE")]), 1);
}
