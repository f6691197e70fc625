//! Calls out by all three ways, with real carriers: gateways behind SRV records that ask for credentials, one that compares what the server
//! writes in three places, and ten thousand calls that should lead elsewhere, with a filter that counts every packet.

use std::fmt::Write;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use super::apart::apart;
use super::kamailio::Kamailio;
use super::nsd::Nsd;
use super::pjsip::Pjsip;
use super::secure::{above, secured};
use super::sipp::{Load, Server, Sipp};
use super::telephones::{is_answered, is_ended, is_held};
use super::{TCP, await_bound_in, run, zone};
use crate::harness::message::sdp;
use crate::harness::process::Process;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site, await_some};

const USER: (&str, &str) = ("pbx", "sesame");
const LOAD: Load = Load { calls: 60, rate: 20 };

/// Two gateways behind one name, each in front of its own telephones; each knows its own nonces alone.
struct Carriers {
    servers: [Server; 2],
    _gateways: [Kamailio; 2],
    _nsd: Nsd,
}

impl Carriers {
    fn start(site: &Site, judge: impl Fn(SocketAddr) -> String) -> Self {
        let gateways = [site.carrier(5), site.carrier(6)];
        let records = zone::servers("carrier", &[(0, 1, gateways[0]), (0, 1, gateways[1])]);
        let nsd = Nsd::serve(site, 60, &records);
        let servers = [20, 21].map(|last| Server::start(site, site.carrier(last)));
        let of = |at: usize| {
            let (name, next) = (["one", "two"][at], site.carrier([20, 21][at]));
            Kamailio::judging(site, name, gateways[at], (next, "udp"), USER, &judge(gateways[at]))
        };
        Self { servers, _gateways: [of(0), of(1)], _nsd: nsd }
    }

    /// Whether each of the two has taken some of the calls, and both together all.
    fn share(&self) {
        await_some("the calls of both gateways", || {
            let [one, two] = [0, 1].map(|at| self.servers[at].calls());
            (one > 0 && two > 0 && one + two == u64::from(LOAD.calls)).then_some(())
        });
    }
}

fn plan(site: &Site) -> Plan {
    let mut plan = Plan::new(site);
    let carrier = Site::network(site.carrier(0));
    plan.projects = plan.projects.replace("pin = [\"eu\"]", "pin = [\"eu\"]\nout = [\"carrier\"]");
    let _ = write!(
        plan.projects,
        "uri = \"sip:carrier.internal.example\"\noutbound_networks = [\"{carrier}\"]\ncountries = [\"IE\"]\n"
    );
    plan.more = format!("[dns]\nservers = [\"{}:5353\"]\n", site.eu(53).ip());
    plan
}

/// Sixty calls of a server's, each of which is asked for credentials once.
fn sixty(site: &Site, target: &str, row: &str, more: &[&str]) {
    sixty_by(site, site.door(), target, row, more);
}

/// The same, by this next hop.
fn sixty_by(site: &Site, next: SocketAddr, target: &str, row: &str, more: &[&str]) {
    let ends = (site.eu(10), next);
    let keys = [&["-key", "target", target, "-key", "row", row], more].concat();
    Sipp::caller_with(site, "caller_with_credentials", "udp", ends, LOAD, &keys).succeeds();
}

#[test]
fn sixty_of_sixty_calls_with_credentials_pass_over_two_gateways() {
    let site = Site::claim();
    let carriers = Carriers::start(&site, |_| String::new());
    let daemon = Daemon::start(&site, &plan(&site));
    sixty(&site, "acme.eu.sip.example.com", "Subject: by out", &[]);
    carriers.share();
    let metrics = daemon.metrics();
    assert_eq!(metrics.verdicts("accept", "in-region"), 120, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_responses_total", &[("code", "407"), ("direction", "out")]), 60, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_numbers_total", &[("country", "IE"), ("direction", "out")]), 120, "{}", metrics.text());
}

/// A gateway that lets a call pass only if Request-URI, To and the digest's `uri` are the same. livekit-sip makes the last of To.
#[test]
fn by_a_route_the_three_places_agree_that_a_strict_gateway_compares() {
    let site = Site::claim();
    let strict = "if ($adu != $ru || $tu != $ru) { sl_send_reply(\"403\", \"One of $adu $ru $tu Differs\"); exit; }";
    let carriers = Carriers::start(&site, |_| strict.to_owned());
    let daemon = Daemon::start(&site, &plan(&site));
    let target = "carrier.internal.example";
    let digest = ["-auth_uri", "+353155501@carrier.internal.example"];
    sixty(&site, target, "Route: <sip:carrier.acme.eu.sip.example.com;lr>", &digest);
    carriers.share();
    let metrics = daemon.metrics();
    assert_eq!(metrics.verdicts("accept", "in-region"), 120, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
}

/// The same through a Kamailio of the region, which writes the Route: what it adds (Via, Record-Route) changes none of the three places.
#[test]
fn a_kamailio_of_the_region_calls_out_by_a_route() {
    let site = Site::claim();
    let strict = "if ($adu != $ru || $tu != $ru) { sl_send_reply(\"403\", \"One of $adu $ru $tu Differs\"); exit; }";
    let carriers = Carriers::start(&site, |_| strict.to_owned());
    let kamailio = site.eu(11);
    let mut plan = plan(&site);
    plan.eu = format!("servers = [\"{}\", \"{}\"]", site.eu(10).ip(), kamailio.ip());
    let daemon = Daemon::start(&site, &plan);
    let route = "insert_hf(\"Route: <sip:carrier.acme.eu.sip.example.com;lr>\\r\\n\");";
    let _server = Kamailio::leading(&site, "server", kamailio, (site.door(), "udp"), route);
    let digest = ["-auth_uri", "+353155501@carrier.internal.example"];
    sixty_by(&site, kamailio, "carrier.internal.example", "Subject: by a proxy", &digest);
    carriers.share();
    let metrics = daemon.metrics();
    assert_eq!(metrics.verdicts("accept", "in-region"), 120, "{}", metrics.text());
    assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
}

/// PJSIP, as Asterisk has it, with its proxy as Route: a whole call, with credentials, by a gateway that compares. PJSIP leaves the port out
/// of To, so that is not compared.
#[test]
fn pjsip_calls_out_by_a_route_with_credentials() {
    let site = Site::claim();
    let (edge, phone) = (site.carrier(5), site.carrier(20));
    let mut plan = Plan::new(&site);
    let _ = writeln!(plan.projects, "uri = \"sip:{edge}\"");
    let _daemon = Daemon::start(&site, &plan);
    let strict = "if ($adu != $ru) { sl_send_reply(\"403\", \"$adu is not $ru\"); exit; }";
    let _carrier = Kamailio::judging(&site, "carrier", edge, (phone, "udp"), USER, strict);
    let mut trunk = Pjsip::start(&site, "trunk", (phone, "udp"), edge, &json!({}));
    let more = json!({ "credentials": USER, "through": "sip:carrier.acme.eu.sip.example.com;lr" });
    let mut server = Pjsip::start(&site, "server", (site.eu(10), "udp"), site.door(), &more);
    is_answered(&mut server, &mut trunk, 0, &format!("sip:+353155501@{edge}"));
    is_held(&mut trunk, &mut server, 0);
    is_ended(&mut trunk, &mut server, 0);
    // Somebody else's host.
    server.does(&format!("call sip:+353155501@{}", site.carrier(6)));
    server.tells("state 1 DISCONNECTED 603");
}

/// A carrier that demands a certificate of whoever calls, played by OpenSSL's server, which says whose it has seen.
#[test]
fn a_carrier_that_demands_our_certificate_gets_it() {
    let (site, authority, mut plan) = secured();
    let gateway = above(site.carrier(10));
    authority.paper(&[&gateway.ip().to_string()]).write(&site, "carrier");
    let _ = writeln!(plan.projects, "uri = \"sip:{gateway};transport=tls\"");
    let mut command = Command::new("openssl");
    command.args(["s_server", "-accept", &gateway.to_string(), "-Verify", "1", "-verify_return_error", "-CAfile", "ca.pem"]);
    command.args(["-cert", "carrier.pem", "-key", "carrier.key", "-naccept", "1"]);
    // It ends when its input does.
    let (input, _held) = std::io::pipe().unwrap();
    let mut carrier = Process::start_on("carrier", site.directory(), command.stdin(input), |log| log.try_clone().unwrap().into());
    await_bound_in("thread-self", &mut carrier, gateway, TCP.0, TCP.1);
    let _daemon = Daemon::start(&site, &plan);
    let mut server = Leg::udp(site.eu(10), site.door());
    server.ask(&Ask::invite("sip:+353155501@carrier.acme.eu.sip.example.com", server.addr, "udp", site.eu(20).ip()));
    let said = await_some("the call at OpenSSL's server", || {
        carrier.must_run();
        Some(carrier.output()).filter(|said| said.contains("INVITE sip:+353155501@"))
    });
    assert!(said.contains("Verify return code: 0 (ok)") || said.contains("verify return:1"), "{said}");
    assert!(said.contains("Client certificate"), "{said}");
}

/// From now on packets that leave this network for anywhere but these are counted, and dropped.
fn guard(networks: &[String]) {
    // Everything has a way out, so that what is sent there is sent.
    run("ip", &["route", "add", "default", "dev", "lo"], "");
    run("ip", &["-6", "route", "add", "default", "dev", "lo"], "");
    let table = format!(
        "table inet guard {{\n  counter outside {{ }}\n  chain sent {{\n    type filter hook output priority 0; policy accept;\n    \
             ip daddr {{ {} }} accept\n    counter name outside drop\n  }}\n}}\n",
        networks.join(", ")
    );
    run("nft", &["-f", "-"], &table);
}

/// How many have left.
fn left() -> u64 {
    let text = run("nft", &["list", "counter", "inet", "guard", "outside"], "");
    let (_, rest) = text.split_once("packets ").unwrap_or_else(|| panic!("no counter: {text}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// A place outside that no list of the configuration holds.
const PLACES: [&str; 12] = [
    "203.0.113.66",
    "203.0.113.66:5070",
    "203.0.113.66;transport=tcp",
    "[2001:db8::66]",
    "10.9.9.9;maddr=203.0.113.66",
    "evil.internal.example",
    "169.254.169.254:80",
    "255.255.255.255",
    "224.0.0.1;ttl=9",
    "0.0.0.0",
    "[::ffff:203.0.113.66]",
    "carrier.acme.us.sip.example.com",
];

/// The Request-URI and the Route of one hostile call.
fn hostile(number: usize, gateway: SocketAddr) -> (String, Option<String>) {
    let place = PLACES[number % PLACES.len()];
    let user = ["+353155501", "+353155501@x", "112", "+1;phone-context=+353", "sip:+353", ""][number / 12 % 6];
    let ours = ["carrier.acme.eu.sip.example.com", "acme.eu.sip.example.com", "other.acme.eu.sip.example.com"][number / 72 % 3];
    let (own, theirs) = (format!("sip:{user}@{ours}"), format!("sip:{user}@{place}"));
    match number / 216 % 12 {
        0 => (theirs, None),
        1 => (format!("{own};maddr={}", place.split(';').next().unwrap()), None),
        2 => (theirs, Some(format!("<sip:{ours};lr>"))),
        3 => (own, Some(format!("<sip:{place};lr>"))),
        4 => (own, Some(format!("<sip:{ours};lr>, <sip:{place};lr>"))),
        5 => (own, Some(format!("<sip:{place};lr>, <sip:{ours};lr>"))),
        6 => (theirs, Some(format!("<sip:{ours};lr;maddr=203.0.113.66>"))),
        7 => (format!("sip:{user}@{gateway};maddr=203.0.113.66"), Some(format!("<sip:{ours};lr>"))),
        8 => (format!("sip:{user}@{gateway}"), Some(format!("<sip:{ours};lr>\r\nRoute: <sip:{place};lr>"))),
        9 => (format!("sip:{user}@{gateway}"), Some(format!("<sip:x@{place}>;x=<sip:{ours};lr>"))),
        10 => (format!("sip:{user}@{gateway};transport=tcp;ttl=9"), Some(format!("<sip:{ours}>"))),
        // These pass, and the gateway leads elsewhere.
        _ => (format!("sip:+353155501@{ours}"), None),
    }
}

/// What the gateway answers to a call that it gets.
fn lure(number: usize) -> (&'static str, Vec<String>) {
    let place = PLACES[number % PLACES.len()];
    let contact = format!("Contact: <sip:callee@{place}>");
    match number / 12 % 4 {
        0 => ("302 Moved Temporarily", vec![contact]),
        1 => ("305 Use Proxy", vec![contact]),
        2 => ("200 OK", vec![contact]),
        _ => ("200 OK", vec![contact, format!("Record-Route: <sip:{place};lr>")]),
    }
}

#[test]
fn ten_thousand_calls_that_should_lead_elsewhere_send_nothing_there() {
    apart(|| {
        let site = Site::claim();
        let (mut plan, gateway) = (Plan::new(&site), site.carrier(10));
        let carrier = Site::network(site.carrier(0));
        plan.projects = plan.projects.replace("pin = [\"eu\"]", "pin = [\"eu\"]\nout = [\"carrier\", \"other\"]").replace(
            "media = [",
            &format!(
                "uri = \"sip:{gateway}\"\nping = \"10s\"\noutbound_networks = [\"{gateway_ip}/32\"]\nmedia = [",
                gateway_ip = gateway.ip()
            ),
        );
        let _ = write!(
            plan.projects,
            "[project.acme.trunk.other]\nnetworks = [\"{carrier}\"]\nuri = [\"sip:evil.internal.example\", \"sip:{gateway}\"]\n"
        );
        plan.more = format!("[dns]\nservers = [\"{}:5353\"]\n", site.eu(53).ip());
        let _nsd = Nsd::serve(&site, 60, &zone::addresses("evil", &["203.0.113.66".parse().unwrap()]));
        guard(&[Site::network(site.eu(0)), carrier, "127.0.0.0/16".into()]);
        // The guard sees what goes out.
        let own = std::net::UdpSocket::bind(site.stranger(1)).unwrap();
        let _ = own.send_to(b"x", "203.0.113.66:5060");
        assert_eq!(left(), 1, "the filter counts");
        let daemon = Daemon::start(&site, &plan);
        let (mut server, mut carrier) = (Leg::udp(site.eu(10), site.door()), Leg::udp(gateway, site.door()));
        let (mut refused, mut reached) = (0_u32, 0_u32);
        for number in 0..10_000 {
            let (uri, route) = hostile(number, gateway);
            let mut ask = Ask::invite(&uri, server.addr, "udp", site.eu(20).ip());
            if let Some(route) = route {
                ask = ask.with(&format!("Route: {route}"));
            }
            server.ask(&ask);
            loop {
                let seen = server.recv();
                if seen.get("Call-ID") != ask.call_id {
                    continue;
                }
                // What passed is at the gateway by now: it answers as it likes.
                if seen.code() == 100 {
                    let asked = called(&mut carrier, &ask.call_id);
                    let (status, rows) = lure(number);
                    let rows: Vec<&str> = rows.iter().map(String::as_str).collect();
                    let body = if status.starts_with('2') { sdp(gateway.ip()) } else { String::new() };
                    carrier.send(&asked.answer(status, "callee", &rows, &body));
                    reached += 1;
                    continue;
                }
                if seen.code() == 200 {
                    // Inside the call the server asks for what the gateway said.
                    let mut dialog = Dialog::of_caller(&seen, &server);
                    server.ask(&dialog.ack());
                    server.ask(&dialog.next("BYE"));
                    is_over(&mut server, &mut carrier);
                } else {
                    refused += 1;
                    server.ask(&ask.ack(&seen));
                }
                break;
            }
        }
        assert!(refused > 8_000 && reached > 500, "{refused} refused, {reached} at the gateway");
        assert_eq!(left(), 1, "no packet but our own went outside");
        let metrics = daemon.metrics();
        assert!(metrics.sum("ringfence_verdicts_total", &[("reason", "foreign-target")]) > 500, "{}", metrics.text());
        assert!(metrics.sum("ringfence_verdicts_total", &[("reason", "forged-route")]) > 500, "{}", metrics.text());
    });
}

/// The INVITE of a call at the gateway. What else comes there is answered.
fn called(gateway: &mut Leg, call_id: &str) -> Seen {
    loop {
        let seen = gateway.recv();
        match seen.method() {
            "INVITE" if seen.get("Call-ID") == call_id => return seen,
            "BYE" | "OPTIONS" | "CANCEL" => gateway.send(&seen.answer("200 OK", "gateway", &[], "")),
            _ => {}
        }
    }
}

/// Waits for the end of a BYE: it is refused, or, if the gateway's Contact is private, it goes to where the gateway's answer came from.
fn is_over(server: &mut Leg, gateway: &mut Leg) {
    await_some("the end of a BYE", || {
        if let Some(seen) = gateway.recv_within(Duration::ZERO).filter(|seen| seen.method() == "BYE") {
            gateway.send(&seen.answer("200 OK", "", &[], ""));
        }
        server
            .recv_within(Duration::from_millis(1))
            .filter(|seen| seen.code() >= 200 && seen.get("CSeq").ends_with("BYE"))
            .map(drop)
    });
}
