//! A restart with sockets that systemd holds: what comes while there is no process waits, and nothing open is lost.

use std::net::{TcpListener, UdpSocket};

use crate::harness::message::sdp;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Site, await_some};

const URI: &str = "sip:+4930222@acme.eu.sip.example.com";

/// Sockets as a socket unit binds them.
fn bind(site: &Site) -> (UdpSocket, TcpListener) {
    (UdpSocket::bind(site.door()).unwrap(), TcpListener::bind(site.door()).unwrap())
}

#[test]
fn the_next_process_takes_over_what_waits_and_the_old_one_ends_what_rings() {
    let site = Site::claim();
    let (udp, tcp) = bind(&site);
    let text = Plan::new(&site).text(&site);
    let mut old = Daemon::start_on(&site, &text, "old", (&udp, &tcp));
    let (mut caller, mut server) = (Leg::udp(site.carrier(20), site.door()), Leg::udp(site.eu(10), site.door()));
    let (contact, media) = (format!("Contact: <sip:server@{}>", server.addr), sdp(site.eu(10).ip()));
    caller.ask(&Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()));
    let rings = server.request("INVITE");
    server.send(&rings.answer("180 Ringing", "callee", &[], ""));
    caller.expect(180);

    old.signal("TERM");
    // What is new is not its any more: it says nothing.
    let left = |old: &Daemon| old.metrics().sum("ringfence_dropped_total", &[("region", "eu"), ("cause", "successor")]);
    let mut other = Leg::udp(site.carrier(22), site.door());
    await_some("something to be left", || {
        other.ask(&Ask::new("OPTIONS", "sip:eu.sip.example.com", other.addr, "udp"));
        (left(&old) > 0).then_some(())
    });
    let (new, before) = (Ask::invite(URI, caller.addr, "udp", site.carrier(20).ip()), left(&old));
    caller.ask(&new);
    await_some("the call to be left", || (left(&old) > before).then_some(()));
    // What rings is answered, and that is all that was waited for.
    server.send(&rings.answer("200 OK", "callee", &[&contact], &media));
    let mut dialog = Dialog::of_caller(&caller.expect(200), &caller);
    caller.ask(&dialog.ack());
    server.request("ACK");
    assert!(old.wait().success());
    // Nobody is there: this waits, as does a connection.
    caller.ask(&dialog.next("BYE"));
    let mut stream = Leg::tcp(site.carrier(21), site.door());
    stream.ask(&Ask::new("OPTIONS", "sip:eu.sip.example.com", stream.addr, "tcp"));
    let next = Daemon::start_on(&site, &text, "next", (&udp, &tcp));
    let bye = server.request("BYE");
    server.send(&bye.answer("200 OK", "", &[], ""));
    caller.expect(200);
    stream.expect(200);
    // The call that was left is placed by its repetition.
    caller.ask(&new);
    let seen = server.request("INVITE");
    server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
    let busy = caller.expect(486);
    caller.ask(&new.ack(&busy));
    server.request("ACK");
    assert!(!next.log().contains("WARN") && next.log().contains("passed by systemd"), "{}", next.log());
}

#[test]
fn sockets_and_listeners_that_do_not_match_are_told() {
    let site = Site::claim();
    let (udp, elsewhere) = (UdpSocket::bind(site.door()).unwrap(), TcpListener::bind(site.eu(7)).unwrap());
    let plan = Plan::new(&site);
    let mut daemon = Daemon::start_on(&site, &plan.text(&site), "ringfence", (&udp, &elsewhere));
    let log = daemon.log();
    let warned = |addr: String, what: &str| log.lines().any(|line| line.contains(&addr) && line.contains(what));
    assert!(warned(site.eu(7).to_string(), "belongs to no listener"), "{log}");
    assert!(warned(site.door().to_string(), "no socket was passed for this listener"), "{log}");
    for transport in ["udp", "tcp"] {
        let mut caller = Leg::caller(transport, site.carrier(20), site.door());
        assert_eq!(caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, transport)).code(), 200);
    }
    // A listener that a reload adds gets the socket that was passed for it: nobody else could bind it.
    let mut more = Plan::new(&site);
    more.listen = more.listen.replace(']', &format!(", \"tcp:{}\"]", site.eu(7)));
    daemon.reload(&site, &more.text(&site));
    let mut caller = Leg::tcp(site.carrier(21), site.eu(7));
    assert_eq!(caller.asked(&Ask::new("OPTIONS", "sip:eu.sip.example.com", caller.addr, "tcp")).code(), 200);
    // Asked for at the admin endpoint, the end is no restart: new calls are sent elsewhere.
    assert_eq!(daemon.post("/drain"), 202);
    assert!(daemon.wait().success());
}
