//! `[hep]`: collectors of copies of messages. SIP messages are personal data. So a collector must stand inside a served region,
//! and gets the messages of that region alone.

use std::net::{IpAddr, SocketAddr};

use super::file::Hep;
use super::references::ReadRegion;
use super::region::Collector;
use super::report::{Report, Wrong, good, values};
use super::table::{Table, optional};
use super::transport::Transport;
use super::value;
use crate::fence::{Fence, Networks};

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

/// The collector of each region. A served region has the one that is inside it.
pub(super) fn collectors(hep: Option<&Hep>, regions: &[ReadRegion<'_>], report: &mut Report) -> Vec<Option<Collector>> {
    let mut collectors = vec![None; regions.len()];
    let Some(hep) = hep else { return collectors };
    if matches!(hep.servers, Ok(None)) {
        report.mistake(&hep.place, "[hep] without `server`", "server = \"udp:10.20.0.9:9060\"");
    }
    let node = good(&hep.node).map_or(1, |node| u32::try_from(node.value).unwrap_or(u32::MAX));
    let networks: Vec<Networks> = regions.iter().map(|region| values(&region.file.networks)).collect();
    let unknown = regions.iter().zip(&networks).any(|(region, networks)| region.served && networks.is_empty());
    for server in good(&hep.servers).into_iter().flatten() {
        let addr = server.value;
        if is_listener(addr, regions) {
            report.mistake(&server.place, format!("{addr} is a listener of this daemon's"), "the collector's address");
            continue;
        }
        let mut served = regions.iter().zip(&networks).zip(&mut collectors).filter(|((region, _), _)| region.served);
        let inside = served.find_map(|((region, networks), collector)| {
            Some((Fence::of_region(networks).admit(addr).ok()?, &region.file.name.value, collector))
        });
        match inside {
            Some((_, name, Some(_))) => {
                let wrong = format!("a second collector in region `{name}`");
                report.mistake(&server.place, wrong, "one inside each region");
            }
            Some((to, _, collector)) => *collector = Some(Collector { to, node }),
            // A region whose networks are wrong has been told so.
            None if unknown => {}
            None => {
                let wrong = format!("collector {} is outside: copies of messages would leave their region", addr.ip());
                report.mistake(&server.place, wrong, "an address within the `networks` of a region that is served here");
            }
        }
    }
    for (region, _) in regions.iter().zip(&collectors).filter(|(region, collector)| region.served && collector.is_none()) {
        let name = &region.file.name.value;
        let wrong = format!("region `{name}` has no collector: its messages are not copied, and never to another region");
        report.warning(&hep.place, wrong, "a further `server` inside it");
    }
    collectors
}

/// Whether a datagram to this address would come back to this daemon.
fn is_listener(addr: SocketAddr, regions: &[ReadRegion<'_>]) -> bool {
    let covers = |ip: IpAddr| ip == addr.ip() || (ip.is_unspecified() && ip.is_ipv4() == addr.is_ipv4());
    let listeners = regions.iter().filter(|region| region.served).filter_map(|region| good(&region.file.listen)).flatten();
    listeners
        .map(|listen| listen.value)
        .any(|(transport, at)| transport == Transport::Udp && at.port() == addr.port() && covers(at.ip()))
}
