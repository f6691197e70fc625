//! A server over TLS whose address moves to another host while calls go on, and one that a firewall forgets: what is lost with the
//! connection goes once more on a fresh one and arrives.
//!
//! The server is a pair of Kamailios with one address and one certificate, each in a network of its own, as operators keep them behind a
//! virtual address. A telephone stands behind both.

use std::net::{Ipv4Addr, SocketAddr};

use super::apart::apart;
use super::kamailio::Kamailio;
use super::run;
use super::wires::Room;
use crate::harness::message::sdp;
use crate::harness::secure::Authority;
use crate::harness::{Ask, Daemon, Dialog, Leg, Plan, Seen, Site, await_some};

const DOOR: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 1);
const SERVER: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 10);
const PHONE: Ipv4Addr = Ipv4Addr::new(10, 20, 1, 30);
const TRUNK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 20);
/// Each host's wire: its name, and the address at our end.
const HOSTS: [(&str, Ipv4Addr); 2] = [("first", DOOR), ("second", Ipv4Addr::new(10, 20, 1, 2))];

struct Scene {
    daemon: Daemon,
    caller: Leg,
    callee: Leg,
    _hosts: [(Room, Kamailio); 2],
}

/// Packets for the server's address go to this host, and the other has no wire. Nobody is told.
fn moves_to(host: usize) {
    let (here, gone) = (HOSTS[host].0, HOSTS[1 - host].0);
    run("ip", &["link", "set", gone, "down"], "");
    run("ip", &["link", "set", here, "up"], "");
    run("ip", &["route", "replace", &format!("{SERVER}/32"), "dev", here], "");
}

impl Scene {
    fn new(site: &Site) -> Self {
        let authority = Authority::new();
        site.write("ca.pem", &authority.pem());
        authority.paper(&["eu.internal.example", "*.eu.internal.example", &DOOR.to_string()]).write(site, "eu");
        let hosts = HOSTS.map(|(name, here)| {
            let room = Room::wired(site, &format!("{name}-room"), &[(name, here, SERVER)]);
            authority.paper(&[&SERVER.to_string()]).write(site, name);
            let kamailio = Kamailio::secured_in(&room, site, name, (SERVER, 5060).into(), ((PHONE, 5060).into(), "udp"));
            (room, kamailio)
        });
        for addr in [PHONE, TRUNK] {
            run("ip", &["address", "add", &format!("{addr}/32"), "dev", "lo"], "");
        }
        moves_to(0);
        let daemon = Daemon::start_with(site, &configuration(site));
        let door = SocketAddr::from((DOOR, 5060));
        let (caller, callee) = (Leg::udp((TRUNK, 5060).into(), door), Leg::udp((PHONE, 5060).into(), (SERVER, 5060).into()));
        Self { daemon, caller, callee, _hosts: hosts }
    }

    /// A request of a call comes to the telephone. An ACK has no answer: one that has arrived may come again.
    fn comes(&mut self, method: &str, call_id: &str) -> Seen {
        loop {
            let seen = self.callee.recv();
            if (seen.method(), seen.get("Call-ID")) == (method, call_id) {
                return seen;
            }
            assert_eq!(seen.method(), "ACK", "{}", String::from_utf8_lossy(&seen.raw));
        }
    }

    fn calls(&mut self) -> (Ask, Seen) {
        let invite = Ask::invite("sip:+4930222@acme.eu.internal.example", self.caller.addr, "udp", TRUNK.into());
        self.caller.ask(&invite);
        let seen = self.comes("INVITE", &invite.call_id);
        (invite, seen)
    }

    fn is_answered(&mut self) -> Dialog {
        let (_, seen) = self.calls();
        let contact = format!("Contact: <sip:callee@{}>", self.callee.addr);
        self.callee.send(&seen.answer("200 OK", "callee", &[&contact], &sdp(PHONE.into())));
        Dialog::of_caller(&self.caller.expect(200), &self.caller)
    }

    fn is_acknowledged(&mut self, dialog: &Dialog) {
        self.caller.ask(&dialog.ack());
        self.comes("ACK", &dialog.call_id);
    }

    fn is_hung_up(&mut self, dialog: &mut Dialog) {
        self.caller.ask(&dialog.next("BYE"));
        let bye = self.comes("BYE", &dialog.call_id);
        self.callee.send(&bye.answer("200 OK", "", &[], ""));
        self.caller.expect(200);
    }

    /// Something goes on although the connection dies that was kept for it, and nobody counts the server as down.
    fn in_spite<T>(&mut self, dies: &mut impl FnMut(), goes_on: impl FnOnce(&mut Self) -> T) -> T {
        // Another call opens one.
        let (invite, seen) = self.calls();
        self.callee.send(&seen.answer("486 Busy Here", "callee", &[], ""));
        let busy = self.caller.expect(486);
        self.caller.ask(&invite.ack(&busy));
        self.comes("ACK", &invite.call_id);
        let repeated = |scene: &Self| scene.daemon.metrics().sum("ringfence_resent_total", &[("transport", "tls")]);
        let before = repeated(self);
        dies();
        let of = goes_on(self);
        assert!(repeated(self) > before, "it went once more");
        let metrics = self.daemon.metrics();
        assert_eq!(metrics.sum("ringfence_upstream_up", &[("region", "eu")]), 1, "{}", metrics.text());
        assert_eq!(metrics.sum("ringfence_verdicts_total", &[("verdict", "refuse")]), 0, "{}", metrics.text());
        of
    }

    /// A whole call. Before its INVITE, its ACK and its BYE each, the connection to the server dies.
    fn call_while(&mut self, mut dies: impl FnMut()) {
        let mut dialog = self.in_spite(&mut dies, Self::is_answered);
        self.in_spite(&mut dies, |scene| scene.is_acknowledged(&dialog));
        self.in_spite(&mut dies, |scene| scene.is_hung_up(&mut dialog));
    }
}

/// Region eu with its server, project acme with a trunk.
fn configuration(site: &Site) -> String {
    let admin = Plan::admin(site);
    format!(
        r#"
serve = ["eu"]
[region.eu]
hostname  = "eu.internal.example"
listen    = ["udp:{DOOR}:5060", "tls:{DOOR}:5061"]
advertise = "{DOOR}"
networks  = ["10.20.0.0/16"]
upstream  = "sip:{SERVER}:5061;transport=tls"
servers   = ["{SERVER}", "{PHONE}"]
tls = {{ certificate = "eu.pem", key = "eu.key", client_ca = "ca.pem", upstream_ca = "ca.pem" }}
[project.acme]
pin = ["eu"]
[project.acme.trunk.carrier]
networks = ["198.51.100.0/24"]
media    = ["198.51.100.0/24"]
[admin]
listen = "{admin}"
[secret]
file = "ringfence.key"
[health]
interval = "0s"
"#
    )
}

#[test]
fn a_server_whose_address_moves_loses_nothing() {
    let site = Site::claim();
    apart(|| {
        let mut scene = Scene::new(&site);
        let mut host = 0;
        for _ in 0..2 {
            scene.call_while(|| {
                host = 1 - host;
                moves_to(host);
            });
        }
    });
}

/// The local ports of our connections to the server.
fn ports() -> Vec<String> {
    let text = run("ss", &["-Htn", "state", "established", "dst", &SERVER.to_string(), "dport", "=", "5061"], "");
    let port = |line: &str| line.split_whitespace().find_map(|word| word.strip_prefix(&format!("{DOOR}:")).map(str::to_owned));
    text.lines().filter_map(port).collect()
}

#[test]
fn a_firewall_that_forgets_a_connection_loses_nothing() {
    let site = Site::claim();
    apart(|| {
        let mut scene = Scene::new(&site);
        run(
            "nft",
            &["-f", "-"],
            "table inet test {\n  set forgotten { type inet_service; }\n  chain received {\n    type filter hook input priority 0; \
             policy accept;\n    tcp sport 5061 tcp dport @forgotten drop\n  }\n  chain sent {\n    type filter hook postrouting priority 0; \
             policy accept;\n    tcp dport 5061 tcp sport @forgotten drop\n  }\n}\n",
        );
        scene.call_while(|| {
            let open = await_some("a connection", || Some(ports()).filter(|open| !open.is_empty()));
            run("nft", &["add", "element", "inet", "test", "forgotten", &format!("{{ {} }}", open.join(", "))], "");
        });
    });
}
