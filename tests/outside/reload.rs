//! SIGHUP: listeners, regions and projects come and go; calls do not notice.

use std::net::{SocketAddr, UdpSocket};

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site, await_some};
use crate::refusals::assert_refusal;

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";
const QUICK: &str = "[timers]\nt1 = \"20ms\"\nt2 = \"100ms\"\nt4 = \"100ms\"\n";

fn plan(site: &Site, doors: &[SocketAddr]) -> Plan {
    let mut plan = Plan::new(site);
    let listen: Vec<_> = doors.iter().flat_map(|door| [format!("\"udp:{door}\""), format!("\"tcp:{door}\"")]).collect();
    plan.listen = format!("[{}]", listen.join(", "));
    plan.more.push_str(QUICK);
    plan
}

#[test]
fn a_listener_that_is_taken_away_finishes_its_calls_and_closes() {
    let site = Site::claim();
    let (old, new) = (site.door(), site.eu(2));
    let daemon = Daemon::start(&site, &plan(&site, &[old]));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), old), Leg::udp(site.eu(10), old));
    let mut stream = Leg::tcp(site.carrier(21), old);
    let asked = Ask::invite(URI, stream.addr, "tcp", site.carrier(21).ip());
    let ringing = Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip());
    caller.ask(&ringing);
    let rings = server.request("INVITE");
    stream.ask(&asked);
    let streamed = server.request("INVITE");
    for seen in [&rings, &streamed] {
        server.send(&seen.answer("180 Ringing", "callee", &[], ""));
    }
    caller.expect(180);
    stream.expect(180);

    daemon.reload(&site, &plan(&site, &[new]).text(&site));
    // There is a new door, and the old one takes no new calls.
    let mut other = Leg::udp(site.carrier(22), new);
    let refused = caller.asked(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    assert_refusal(&refused, 503, 161, "draining");
    other.ask(&Ask::invite(URI, other.addr, "udp", site.carrier(22).ip()));
    let seen = server.request("INVITE");
    assert!(seen.get("Via").contains(&new.to_string()), "{}", seen.get("Via"));
    // What is open is answered where it was asked.
    let media = sdp(site.eu(10).ip());
    let contact = format!("Contact: <sip:server@{}>", server.addr);
    server.send(&rings.answer("200 OK", "callee", &[&contact], &media));
    let up = caller.expect(200);
    assert_eq!(up.from, old);
    let mut dialog = Dialog::of_caller(&up, &caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    caller.ask(&dialog.next("BYE"));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    server.send(&streamed.answer("486 Busy Here", "callee", &[], ""));
    let busy = stream.expect(486);
    stream.ask(&asked.ack(&busy));
    // Then it closes, the connection too.
    assert!(stream.closed_within(crate::harness::PATIENCE));
    await_some("the old socket to close", || UdpSocket::bind(old).ok());
}

#[test]
fn regions_projects_and_addresses_come_and_go_without_a_trace() {
    let site = Site::claim();
    let usual = plan(&site, &[site.door()]).text(&site);
    let daemon = Daemon::start_with(&site, &usual);
    let mut caller = Leg::udp(site.carrier(20), site.door());
    let served = |caller: &mut Leg| {
        let uri = "sip:eu.sip.example.com";
        assert_eq!(caller.asked(&Ask::new("OPTIONS", uri, caller.addr, "udp")).code(), 200);
    };
    daemon.reload(&site, &usual);
    served(&mut caller);
    let series = |daemon: &Daemon| daemon.metrics().series().len();
    let (before, mut most) = (series(&daemon), 0);
    for round in 0..10 {
        let name = format!("r{round}");
        let mut other = plan(&site, &[site.door()]);
        other.serve = format!("[\"eu\", \"{name}\"]");
        let region = format!(
            "[region.{name}]\nhostname = \"{name}.sip.example.com\"\nlisten = [\"udp:{}\"]\nnetworks = [\"{}\"]\n\
             upstream = \"sip:{}\"\n",
            site.rival(1),
            Site::network(site.rival(0)),
            site.rival(10),
        );
        other.more.push_str(&region);
        other.project(&site, &format!("p{round}"), "pin = [\"eu\"]", "");
        daemon.reload(&site, &other.text(&site));
        let now = daemon.metrics();
        assert!(now.sum("ringfence_received_total", &[("region", &name)]) == 0 && now.text().contains(&name));
        assert!(!now.text().contains(&format!("\"r{}\"", round + 9)), "those before are gone");
        most = most.max(now.series().len());
        served(&mut caller);
    }
    assert!(most > before, "they had series of their own");
    // Once for what is leaving, once for it to have left; and the digest of the one before is told.
    daemon.reload(&site, &usual);
    await_some("the socket of the last region to close", || UdpSocket::bind(site.rival(1)).ok());
    daemon.reload(&site, &usual);
    assert_eq!(series(&daemon), before, "{}", daemon.metrics().text());
    // The caller's OPTIONS never ceased to be counted in one series.
    let methods = daemon.metrics().sum("ringfence_requests_total", &[("region", "eu"), ("method", "OPTIONS")]);
    assert_eq!(methods, 11);
}

#[test]
fn a_broken_file_changes_nothing_and_is_told_with_its_place() {
    let site = Site::claim();
    let text = plan(&site, &[site.door()]).text(&site);
    let daemon = Daemon::start_with(&site, &text);
    let admin = Plan::admin(&site);
    for (number, (broken, place, why)) in [
        (text.replace("pin = [\"eu\"]", "pin = [\"nowhere\"]"), true, "unknown region `nowhere`"),
        (text.replace("upstream", "upstraem"), true, "unknown key `upstraem`"),
        (text.replace("[admin]", "[admin"), true, ""),
        // Right in itself, and yet impossible: somebody else has that address.
        (text.replace(&admin.to_string(), &site.rival(9).to_string()), false, "in use"),
    ]
    .into_iter()
    .enumerate()
    {
        let taken = std::net::TcpListener::bind(site.rival(9)).unwrap();
        let before = daemon.reloads("failed");
        site.write("ringfence.toml", &broken);
        daemon.signal("HUP");
        await_some("the count", || (daemon.reloads("failed") > before).then_some(()));
        let log = daemon.log();
        // The log has a thread of its own, and may say it later than the count.
        let line = await_some("the log", || {
            daemon.log().lines().filter(|line| line.contains("nothing has changed")).nth(number).map(str::to_owned)
        });
        assert!(line.contains(why), "{why}: {line}");
        assert!(!place || line.contains("ringfence.toml:"), "{line}\n{log}");
        drop(taken);
    }
    assert_eq!((daemon.reloads("ok"), daemon.reloads("failed")), (0, 4));
    let mut caller = Leg::udp(site.carrier(20), site.door());
    assert_eq!(caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "udp")).code(), 200);
}
