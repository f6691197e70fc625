//! Telephones with real media: what is inside is heard, in both directions, and of what is not no packet leaves.
//!
//! Each telephone has a network of its own; all that goes between them and the daemon passes the test's, and is captured there.

use std::net::{Ipv4Addr, SocketAddr};

use super::apart::apart;
use super::baresip::Phone;
use super::capture::{Capture, Packet};
use super::nsd::Nsd;
use super::wires::{Room, Wire, forwards};
use crate::harness::{Daemon, Plan, Site};

const DOOR: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 10);
const TRUNK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// An address outside, of one of the two as well.
const OUTSIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 66);

const HOME: Wire = ("home", DOOR, SERVER);
const AWAY: Wire = ("trunk", Ipv4Addr::new(198, 51, 100, 1), TRUNK);
const ABROAD: Wire = ("abroad", Ipv4Addr::new(192, 0, 2, 1), OUTSIDE);

struct Scene {
    daemon: Daemon,
    server: Phone,
    trunk: Phone,
    capture: Capture,
    _rooms: [Room; 2],
    _nsd: Nsd,
}

impl Scene {
    /// The daemon, a telephone for the region's server and one for the trunk.
    fn new(site: &Site, media: &str, ice: bool, wires: [&[Wire]; 2]) -> Self {
        Self::by(site, media, ice, wires, "")
    }

    /// The same, and the server's calls have this Route.
    fn by(site: &Site, media: &str, ice: bool, wires: [&[Wire]; 2], outbound: &str) -> Self {
        forwards();
        let rooms = [Room::wired(site, "server-room", wires[0]), Room::wired(site, "trunk-room", wires[1])];
        let dns = SocketAddr::from((DOOR, 5353));
        let nsd = Nsd::serve_at(site, dns, 60, &format!("acme.eu IN A {DOOR}\ncarrier.acme.eu IN A {DOOR}\n"));
        let daemon = Daemon::start_with(site, &configuration(site, media));
        let capture = Capture::start(site);
        let server = Phone::start(site, &rooms[0], "server", SERVER, dns, ice, outbound);
        let trunk = Phone::start(site, &rooms[1], "trunk", TRUNK, dns, ice, "");
        Self { daemon, server, trunk, capture, _rooms: rooms, _nsd: nsd }
    }

    /// The trunk calls the server.
    fn comes(&mut self) {
        self.trunk.dials("sip:server@acme.eu.internal.example:5060");
    }

    /// The server calls the trunk.
    fn goes(&mut self) {
        self.server.dials("sip:trunk@carrier.acme.eu.internal.example:5060");
    }

    /// A call that was dialled is set up, both hear each other, and the trunk hangs up.
    fn is_heard(&mut self) {
        for phone in [&mut self.server, &mut self.trunk] {
            phone.tells("CALL_ESTABLISHED");
        }
        for phone in [&self.server, &self.trunk] {
            phone.hears();
        }
        self.trunk.hangs_up();
        for phone in [&mut self.server, &mut self.trunk] {
            phone.tells("CALL_CLOSED");
            phone.forgets();
        }
    }
}

/// Region eu with its server, project acme with a trunk that takes calls too.
fn configuration(site: &Site, media: &str) -> String {
    let admin = Plan::admin(site);
    format!(
        r#"
serve = ["eu"]
[region.eu]
hostname = "eu.internal.example"
listen   = ["udp:{DOOR}:5060"]
networks = ["10.20.0.0/16"]
upstream = "sip:{SERVER}:5060"
[project.acme]
pin   = ["eu"]
media = "{media}"
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["198.51.100.0/24"]
uri      = "sip:{TRUNK}:5060"
outbound_networks = ["198.51.100.0/24"]
[admin]
listen = "{admin}"
[secret]
file = "ringfence.key"
[health]
interval = "0s"
"#
    )
}

fn is_outside(addr: Ipv4Addr) -> bool {
    let inside = |net: [u8; 3]| addr.octets()[..3] == net;
    !(addr.is_loopback() || inside([10, 20, 1]) || inside([198, 51, 100]))
}

/// How many packets went to an address outside or came from there, and how many of the daemon's name one.
fn leaks(packets: &[Packet]) -> (usize, usize) {
    let left = packets.iter().filter(|packet| is_outside(packet.from) || is_outside(packet.to)).count();
    let named = packets.iter().filter(|packet| packet.from == DOOR && packet.names(OUTSIDE.into())).count();
    assert!(packets.iter().any(|packet| packet.from == DOOR && packet.is("sip")), "the daemon was seen");
    (left, named)
}

fn audio(packets: &[Packet], from: Ipv4Addr, to: Ipv4Addr) -> usize {
    packets.iter().filter(|packet| packet.is_audio() && (packet.from, packet.to) == (from, to)).count()
}

/// The server's telephone calls the carrier by the carrier's own name, and the daemon by a Route.
#[test]
fn a_telephone_calls_out_by_its_outbound_route() {
    let site = Site::claim();
    apart(|| {
        // It adds `;lr` itself.
        let route = "sip:carrier.acme.eu.internal.example:5060";
        let mut scene = Scene::by(&site, "enforce", false, [&[HOME], &[AWAY]], route);
        scene.server.dials(&format!("sip:trunk@{TRUNK}"));
        scene.is_heard();
        let metrics = scene.daemon.metrics();
        assert_eq!(metrics.verdicts("accept", "in-region"), 1, "{}", metrics.text());
        // A Request-URI that is no gateway of that trunk.
        scene.server.dials("sip:trunk@192.0.2.66");
        scene.server.tells("CALL_CLOSED");
        assert_eq!(scene.daemon.metrics().verdicts("refuse", "foreign-target"), 1);
        assert_eq!(leaks(&scene.capture.packets()), (0, 0));
    });
}

#[test]
fn telephones_inside_hear_each_other() {
    for ice in [false, true] {
        let site = Site::claim();
        apart(|| {
            let mut scene = Scene::new(&site, "enforce", ice, [&[HOME], &[AWAY]]);
            scene.comes();
            scene.is_heard();
            scene.goes();
            scene.is_heard();
            let metrics = scene.daemon.metrics();
            assert_eq!(metrics.verdicts("accept", "in-region"), 2, "{}", metrics.text());
            assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0);
            let packets = scene.capture.packets();
            assert_eq!(leaks(&packets), (0, 0), "ICE: {ice}");
            for (from, to) in [(SERVER, TRUNK), (TRUNK, SERVER)] {
                let heard = audio(&packets, from, to);
                assert!(heard > 20, "{heard} from {from} to {to}, ICE: {ice}");
            }
            assert_eq!(packets.iter().any(|packet| packet.is("stun")), ice);
        });
    }
}

#[test]
fn a_trunk_that_offers_an_address_outside_too_gets_no_call() {
    let site = Site::claim();
    apart(|| {
        let mut scene = Scene::new(&site, "enforce", true, [&[HOME], &[AWAY, ABROAD]]);
        scene.comes();
        assert_eq!(scene.trunk.tells("CALL_CLOSED"), "603 Media Outside Region");
        let metrics = scene.daemon.metrics();
        assert_eq!(metrics.verdicts("refuse", "foreign-media-offer"), 1, "{}", metrics.text());
        let packets = scene.capture.packets();
        assert_eq!(leaks(&packets), (0, 0));
        assert!(!packets.iter().any(|packet| packet.is_audio() || packet.is("stun")), "no media at all");
        assert!(!packets.iter().any(|packet| packet.is("udp") && packet.to == SERVER), "nor anything to the server");
        assert!(packets.iter().any(|packet| packet.from == TRUNK && packet.names(OUTSIDE.into())), "it was offered");
    });
}

#[test]
fn a_server_that_answers_with_an_address_outside_too_has_its_call_ended() {
    let site = Site::claim();
    apart(|| {
        let mut scene = Scene::new(&site, "enforce", true, [&[HOME, ABROAD], &[AWAY]]);
        scene.comes();
        assert_eq!(scene.trunk.tells("CALL_CLOSED"), "603 Media Outside Region");
        scene.server.tells("CALL_ESTABLISHED");
        scene.server.tells("CALL_CLOSED");
        let metrics = scene.daemon.metrics();
        assert_eq!(metrics.verdicts("refuse", "foreign-media-answer"), 1, "{}", metrics.text());
        let packets = scene.capture.packets();
        assert_eq!(leaks(&packets), (0, 0));
        assert_eq!(audio(&packets, TRUNK, SERVER), 0, "the trunk has no answer");
    });
}

#[test]
fn without_the_check_an_address_outside_is_told_and_sent_to() {
    let site = Site::claim();
    apart(|| {
        let mut scene = Scene::new(&site, "off", true, [&[HOME], &[AWAY, ABROAD]]);
        scene.comes();
        scene.is_heard();
        let (left, named) = leaks(&scene.capture.packets());
        assert!(left > 0 && named > 0, "the same capture sees what leaves: {left} packets, {named} messages");
    });
}
