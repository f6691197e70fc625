//! The servers that a region names: within its networks, and no trunk's.

use crate::config::references::ReadRegion;
use crate::config::region::Region;
use crate::config::report::{Report, good};
use crate::fence::{Networks, ServerSet};

/// Gives each region the servers that its `servers` names. `signalling`: what the trunks signal from.
pub(in crate::config) fn servers(read: &[ReadRegion<'_>], regions: &mut [Region], signalling: &Networks, report: &mut Report) {
    for (of, region) in read.iter().zip(regions) {
        let Some(servers) = good(&of.file.servers) else { continue };
        let name = &region.name;
        if servers.is_empty() {
            let wrong = format!("no server of region `{name}`: nothing could be called");
            report.mistake(
                &of.file.name.place,
                wrong,
                "its SIP servers, or leave `servers` out: then it is what `upstream` resolves to",
            );
            continue;
        }
        for server in servers {
            if good(&of.file.networks).is_some() && !region.networks.covers(server.value.net) {
                let wrong = format!("server `{}` is outside region `{name}`", server.value);
                report.mistake(&server.place, wrong, "networks and addresses within the region's `networks`");
            }
        }
        let set = ServerSet::new(servers.iter().map(|server| server.value).collect(), signalling);
        for hop in good(&of.file.upstream).into_iter().flatten() {
            let Some(addr) = hop.value.address().filter(|addr| region.networks.contains(addr.ip()) && !set.listens(*addr)) else {
                continue;
            };
            let (wrong, right) = if signalling.contains(addr.ip()) {
                (
                    format!("upstream {} is an address of a trunk, and so no server", addr.ip()),
                    "an address of its own for the server",
                )
            } else {
                (format!("upstream {addr} is not in `servers` of region `{name}`"), "its address and port in `servers` too")
            };
            report.mistake(&hop.place, wrong, right);
        }
        region.servers = Some(set);
    }
}
