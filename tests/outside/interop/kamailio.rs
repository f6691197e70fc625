//! Kamailio as a record-routing proxy that sends every new call to one place.

use std::net::SocketAddr;
use std::process::Command;

use super::{await_tcp, await_udp};
use crate::harness::Site;
use crate::harness::process::Process;

/// A running Kamailio.
pub(super) struct Kamailio {
    _process: Process,
}

impl Kamailio {
    /// Starts it at `addr` over UDP and TCP; new calls go to `next`. Returns when its ports are open.
    pub(super) fn start(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, ("1", ""))
    }

    /// The same, but it sends no 100: a call is lost with it only once it has been answered.
    pub(super) fn without_trying(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, ("0", ""))
    }

    /// One that also listens for TLS, on the port above, shows `NAME.pem`, and believes `ca.pem` and nobody else.
    pub(super) fn secured(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        let paper = format!("private_key = {name}.key\ncertificate = {name}.pem\nca_list = ca.pem\nmethod = TLSv1.2+\n");
        let settings = format!(
            "[server:default]\n{paper}verify_certificate = no\nrequire_certificate = no\n\
             [client:default]\n{paper}verify_certificate = yes\nrequire_certificate = yes\n"
        );
        let settings = site.write(&format!("{name}.tls"), &settings);
        let above = SocketAddr::new(addr.ip(), addr.port() + 1);
        let more = format!(
            "enable_tls=yes\nlisten=tls:{above}\nloadmodule \"tls.so\"\nmodparam(\"tls\", \"config\", \"{}\")\n",
            settings.display()
        );
        Self::run_with(site, name, addr, next, ("1", ""), &more)
    }

    /// The same as the first, but it adds its Record-Route to requests inside dialogs too (RFC 3261 16.6 step 4).
    pub(super) fn recording(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str)) -> Self {
        Self::run(site, name, addr, next, ("1", "record_route();"))
    }

    fn run(site: &Site, name: &str, addr: SocketAddr, next: (SocketAddr, &str), settings: (&str, &str)) -> Self {
        Self::run_with(site, name, addr, next, settings, "")
    }

    fn run_with(
        site: &Site,
        name: &str,
        addr: SocketAddr,
        (next, transport): (SocketAddr, &str),
        (trying, inside): (&str, &str),
        more: &str,
    ) -> Self {
        let config = include_str!("kamailio.cfg").replace("TRYING", trying).replace("INSIDE", inside).replace("# MORE\n", more);
        let config = config
            .replace("LISTEN", &addr.to_string())
            .replace("SOURCE", &addr.ip().to_string())
            .replace("NEXT_TRANSPORT", transport)
            .replace("NEXT", &next.to_string());
        let config = site.write(&format!("{name}.cfg"), &config);
        let run = site.directory().join(name);
        std::fs::create_dir_all(&run).unwrap();
        let mut command = Command::new("kamailio");
        command.args(["-DD", "-E", "-m", "64", "-M", "8", "-f"]).arg(config).arg("-Y").arg(&run).arg("-w").arg(&run);
        command.env("PATH", super::path());
        let mut process = Process::start(name, site.directory(), &mut command);
        await_udp(&mut process, addr);
        await_tcp(&mut process, addr);
        Self { _process: process }
    }
}
