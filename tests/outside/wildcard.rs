//! A listener on every address: answers leave from the one that was called.

use crate::harness::{Ask, Daemon, Leg, Plan, Site};

#[test]
fn answers_and_forwarded_requests_leave_from_the_address_that_was_called() {
    let site = Site::claim();
    let mut plan = Plan::new(&site);
    let port = {
        let free = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        free.local_addr().unwrap().port()
    };
    plan.listen = format!("[\"udp:0.0.0.0:{port}\"]");
    plan.eu = format!("advertise = \"{}\"\n", site.eu(1).ip());
    let _daemon = Daemon::start(&site, &plan);
    for last in [1, 2, 3] {
        let door = std::net::SocketAddr::new(site.eu(last).ip(), port);
        let mut caller = Leg::udp(site.carrier(20), door);
        let answer = caller.asked(&Ask::new("OPTIONS", "sip:acme.eu.sip.example.com", caller.addr, "udp"));
        assert_eq!((answer.code(), answer.from), (200, door));
        let mut server = Leg::udp(site.eu(10), door);
        let ask = Ask::invite("sip:1@acme.eu.sip.example.com", caller.addr, "udp", site.carrier(20).ip());
        caller.ask(&ask);
        let seen = server.request("INVITE");
        assert!(!seen.get("Via").contains("0.0.0.0"), "{}", seen.get("Via"));
        server.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        let busy = caller.expect(486);
        assert_eq!(busy.from, door);
        caller.ask(&ask.ack(&busy));
        server.request("ACK");
    }
}
