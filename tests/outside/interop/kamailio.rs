//! Kamailio as a record-routing proxy that sends every new call to one place.

use std::net::SocketAddr;
use std::process::Command;

use super::wires::Room;
use super::{TCP, UDP, await_bound_in};
use crate::harness::Site;
use crate::harness::process::Process;

/// A running Kamailio.
pub(super) struct Kamailio {
    _process: Process,
}

/// What one does beyond the usual.
#[derive(Clone, Copy)]
struct Manner<'a> {
    /// Whether it sends a 100.
    trying: bool,
    /// What it does with requests inside dialogs before they go on.
    inside: &'a str,
    /// What it does with new requests before they go on.
    new: &'a str,
    /// More settings.
    more: &'a str,
    /// Where it runs, if not where the test does.
    room: Option<&'a Room>,
}

const USUAL: Manner<'_> = Manner { trying: true, inside: "", new: "", more: "", room: None };

impl Kamailio {
    /// Starts it at `addr` over UDP and TCP; new calls go to `next`. Returns when its ports are open.
    pub(super) fn start(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, USUAL)
    }

    /// The same, but it sends no 100: a call is lost with it only once it has been answered.
    pub(super) fn without_trying(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, Manner { trying: false, ..USUAL })
    }

    /// One that also listens for TLS, on the port above, shows `NAME.pem`, and believes `ca.pem` and nobody else.
    pub(super) fn secured(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        let more = tls(site, name, addr);
        Self::run(site, name, addr, next, Manner { more: &more, ..USUAL })
    }

    /// The same in a room.
    pub(super) fn secured_in(room: &Room, site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        let more = tls(site, name, addr);
        Self::run(site, name, addr, next, Manner { more: &more, room: Some(room), ..USUAL })
    }

    /// The same as the first, but it adds its Record-Route to requests inside dialogs too (RFC 3261 16.6 step 4).
    pub(super) fn recording(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, Manner { inside: "record_route();", ..USUAL })
    }

    /// The same as the first, but it wants credentials of whoever calls: this user's, with this password.
    pub(super) fn demanding(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str), user: (&str, &str)) -> Self {
        Self::judging(site, name, addr, next, user, "")
    }

    /// The same, and these lines of its script look at calls with credentials.
    pub(super) fn judging(
        site: &Site,
        name: &str,
        addr: SocketAddr,
        next: (SocketAddr, &str),
        (user, password): (&str, &str),
        judge: &str,
    ) -> Self {
        let demand = format!(
            "if (is_method(\"INVITE\")) {{ if (!pv_auth_check(\"carrier.example\", \"{password}\", \"0\", \"0\") || $au != \"{user}\") \
             {{ proxy_challenge(\"carrier.example\", \"0\"); exit; }} {judge} consume_credentials(); }}"
        );
        Self::run(site, name, addr, next, Manner { new: &demand, more: "loadmodule \"auth.so\"\n", ..USUAL })
    }

    /// The same as the first, but these lines of its script say first where new calls go.
    pub(super) fn leading(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str), script: &str) -> Self {
        Self::run(site, name, addr, next, Manner { new: script, ..USUAL })
    }

    fn run(site: &Site, name: &str, addr: SocketAddr, (next, transport): (SocketAddr, &str), manner: Manner<'_>) -> Self {
        let Manner { trying, inside, new, more, room } = manner;
        let config = include_str!("kamailio.cfg").replace("TRYING", if trying { "1" } else { "0" }).replace("INSIDE", inside);
        let config = config.replace("  NEW\n", &format!("  {new}\n")).replace("# MORE\n", more);
        let config = config
            .replace("LISTEN", &addr.to_string())
            .replace("SOURCE", &addr.ip().to_string())
            .replace("NEXT_TRANSPORT", transport)
            .replace("NEXT", &next.to_string());
        let config = site.write(&format!("{name}.cfg"), &config);
        let run = site.directory().join(name);
        std::fs::create_dir_all(&run).unwrap();
        let mut command = room.map_or_else(|| Command::new("kamailio"), |room| room.command("kamailio"));
        command.args(["-DD", "-E", "-m", "64", "-M", "8", "-f"]).arg(config).arg("-Y").arg(&run).arg("-w").arg(&run);
        command.env("PATH", super::path());
        let mut process = Process::start(name, site.directory(), &mut command);
        let network = room.map_or_else(|| "thread-self".to_owned(), Room::process);
        for (table, state) in [UDP, TCP] {
            await_bound_in(&network, &mut process, addr, table, state);
        }
        Self { _process: process }
    }
}

/// Settings for TLS.
fn tls(site: &Site, name: &str, addr: SocketAddr) -> String {
    let paper = format!("private_key = {name}.key\ncertificate = {name}.pem\nca_list = ca.pem\nmethod = TLSv1.2+\n");
    let settings = format!(
        "[server:default]\n{paper}verify_certificate = no\nrequire_certificate = no\n\
         [client:default]\n{paper}verify_certificate = yes\nrequire_certificate = yes\n"
    );
    let settings = site.write(&format!("{name}.tls"), &settings);
    let above = SocketAddr::new(addr.ip(), addr.port() + 1);
    format!(
        "enable_tls=yes\nlisten=tls:{above}\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", \"{}\")\n",
        settings.display()
    )
}
