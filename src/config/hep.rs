//! `[hep]`: collectors of copies of messages. SIP messages are personal data, so that a collector must stand inside a region that is
//! served here, and gets the messages of that region alone.

use std::net::SocketAddr;

use super::build::{Built, good};
use super::report::{Place, Placed, Read, Report, Wrong};
use super::table::{Table, optional};
use super::{Collector, Transport, value};
use crate::fence::Fence;

/// The table as read.
#[derive(Debug)]
pub(super) struct Hep {
    place: Place,
    servers: Read<Vec<Placed<SocketAddr>>>,
    node: Read<Placed<u64>>,
}

/// Reads `[hep]`.
pub(super) fn read(top: &mut Table<'_>, report: &mut Report) -> Option<Hep> {
    let mut table = top.take("hep")?.table(report).ok()?;
    let hep = Hep {
        place: table.place.clone(),
        servers: optional(table.take("server").map(|server| server.one_or_more(report, server_of))),
        node: optional(table.take("node").map(|node| node.number(report, 0..=u64::from(u32::MAX)))),
    };
    table.close(report);
    Some(hep)
}

/// `udp:ADDRESS:PORT`.
fn server_of(text: &str) -> Result<SocketAddr, Wrong> {
    let right = "`udp:ADDRESS:PORT` of a HEP collector, for example `udp:10.20.0.9:9060`";
    match text.split_once(':') {
        Some(("udp", addr)) => value::socket(addr).map_err(|wrong| Wrong::new(wrong.wrong, right)),
        Some(("tcp" | "tls" | "http" | "https", _)) => {
            Err(Wrong::new(format!("`{text}`: HEP is sent over UDP alone, where a collector cannot make anybody wait"), right))
        }
        _ => Err(Wrong::new(format!("`{text}` is no collector"), right)),
    }
}

/// Gives each served region the collector inside it.
pub(super) fn build(hep: &Hep, built: &mut Built, report: &mut Report) {
    if matches!(hep.servers, Ok(None)) {
        report.mistake(&hep.place, "[hep] without `server`", "server = \"udp:10.20.0.9:9060\"");
    }
    let node = good(&hep.node).map_or(1, |node| u32::try_from(node.value).unwrap_or(u32::MAX));
    for server in good(&hep.servers).into_iter().flatten() {
        let addr = server.value;
        let covers = |ip: std::net::IpAddr| ip == addr.ip() || (ip.is_unspecified() && ip.is_ipv4() == addr.is_ipv4());
        let own = |at: &super::Listener| at.transport == Transport::Udp && at.addr.port() == addr.port() && covers(at.addr.ip());
        if built.listeners.iter().any(own) {
            report.mistake(&server.place, format!("{addr} is a listener of this daemon's"), "the collector's address");
            continue;
        }
        let unknown = built.regions.iter().any(|region| region.served && region.networks.is_empty());
        let mut served = built.regions.iter_mut().filter(|region| region.served);
        let inside = served.find_map(|region| Some((Fence::of_region(&region.networks).admit(addr).ok()?, region)));
        match inside {
            Some((_, region)) if region.collector.is_some() => {
                let wrong = format!("a second collector in region `{}`", region.name);
                report.mistake(&server.place, wrong, "one inside each region");
            }
            Some((to, region)) => region.collector = Some(Collector { to, node }),
            // A region whose networks are wrong has been told so.
            None if unknown => {}
            None => {
                let wrong = format!("collector {} is outside: copies of messages would leave their region", addr.ip());
                report.mistake(&server.place, wrong, "an address within the `networks` of a region that is served here");
            }
        }
    }
    for region in built.regions.iter().filter(|region| region.served && region.collector.is_none()) {
        let wrong =
            format!("region `{}` has no collector: its messages are not copied, and never to another region", region.name);
        report.warning(&hep.place, wrong, "a further `server` inside it");
    }
}
