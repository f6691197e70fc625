//! Things that are allowed but probably not meant.

use std::net::IpAddr;
use std::time::SystemTime;

use ipnet::IpNet;

use super::file;
use super::mode::Media;
use super::overlap::{huge, overlap};
use super::project::Trunk;
use super::report::{Place, Placed, Read, Report, good};
use crate::fence::ServerNet;
use crate::numbering::TABLE_DATE;
use crate::reason::Profile;

/// Reports things that the operator should look at again, apart from the projects. (`build` reports an unpinned project, and `bounds`
/// a short timer C.)
pub(super) fn check(main: &file::Main, regions: &[file::Region], report: &mut Report) {
    if matches!(main.secret, Ok(None)) {
        let wrong = "no [secret]: route tokens are signed with a key made at start";
        let right = "[secret] with `file`, or calls lose their route when the daemon restarts, and nodes cannot share them";
        report.warning(&Place { file: 0, span: None }, wrong, right);
    }
    if let Some(listen) =
        main.admin.as_ref().and_then(|admin| good(&admin.listen)).filter(|listen| listen.value.ip().is_unspecified())
    {
        let wrong =
            "[admin] listens at every address of this machine: everyone who reaches one can read calls and drain the daemon";
        report.warning(&listen.place, wrong, "an address that the operators' network alone reaches, for example 127.0.0.1:9090");
    }
    gate(main, regions, report);
    realtime_urls(regions, report);
    retried(&main.reject, report);
    for region in regions {
        wide(region, report);
    }
}

/// The same for a project.
pub(super) fn project(project: &file::Project, regions: &[file::Region], report: &mut Report) {
    retried(&project.reject, report);
    realtime(project, regions, report);
    if project.trunks.is_empty() && matches!(project.api_keys, Ok(None)) {
        let name = &project.name.value;
        let right =
            format!("[project.{name}.trunk.NAME] with the carrier's `networks`. If it is there, its project is spelt otherwise");
        report.warning(&project.name.place, format!("project `{name}` has no trunk: nobody may call for it"), right);
    }
    for trunk in &project.trunks {
        retried(&trunk.reject, report);
        without_media(project, trunk, regions, report);
        for (key, networks) in
            [("networks", &trunk.networks), ("media", &trunk.media), ("outbound_networks", &trunk.outbound_networks)]
        {
            for net in good(networks).into_iter().flatten() {
                if huge(net.value) {
                    let (net_of, name) = (net.value, &trunk.name.value);
                    let wrong = match key {
                        "networks" => format!("`{net_of}` lets almost everyone call as trunk `{name}`"),
                        "media" => format!("`{net_of}` lets media of trunk `{name}` be almost everywhere"),
                        _ => format!("`{net_of}` lets calls out by trunk `{name}` go almost everywhere"),
                    };
                    report.warning(&net.place, wrong, "the networks that the carrier publishes");
                    continue;
                }
                if !elsewhere(project, net, regions, report) && key == "networks" {
                    within(&trunk.name.value, net, regions, report);
                }
                if key == "outbound_networks" {
                    silent(project, trunk, net, regions, report);
                }
            }
        }
    }
}

/// Reports a gate that cannot be, and warns of one that answers nobody.
fn gate(main: &file::Main, regions: &[file::Region], report: &mut Report) {
    let Some(gate) = &main.gate else { return };
    let right = "listen = \"127.0.0.1:9100\", which the region's reverse proxies reach";
    if matches!(gate.listen, Ok(None)) {
        report.mistake(&gate.place, "[gate] without `listen`", right);
    }
    let Some(listen) = good(&gate.listen) else { return };
    let admin = main.admin.as_ref().map(|admin| good(&admin.listen).map_or(super::bounds::ADMIN, |listen| listen.value));
    let tcp = regions.iter().filter_map(|region| good(&region.listen)).flatten();
    let mut tcp = tcp.filter(|listener| listener.value.0.reliable()).map(|listener| listener.value.1);
    if admin == Some(listen.value) || tcp.any(|addr| addr == listen.value) {
        report.mistake(&listen.place, format!("{} is taken by another listener of this file", listen.value), "another port");
    }
    if listen.value.ip().is_unspecified() {
        let wrong = "[gate] listens at every address of this machine; it answers the reverse proxies of its regions alone";
        report.warning(&listen.place, wrong, "an address that they alone reach, for example 127.0.0.1:9100");
    }
    let served = good(&main.serve).map_or(0, Vec::len);
    let here = IpAddr::from([127, 0, 0, 1]);
    let is_known = |region: &file::Region| good(&region.networks).into_iter().flatten().any(|net| net.value.contains(&here));
    if listen.value.is_ipv4() && listen.value.ip().is_loopback() && listen.value.ip() != here && !regions.iter().any(is_known) {
        let wrong =
            format!("this machine asks {} from 127.0.0.1, and the gate does not take that for this machine", listen.value.ip());
        report.warning(&listen.place, wrong, "127.0.0.1 with a port of its own, or 127.0.0.1/32 in the region's `networks`");
    }
    if served > 1 && listen.value.ip().is_loopback() {
        let wrong = "several regions are served, and over the loopback the gate cannot tell whose reverse proxy asks";
        report.warning(
            &listen.place,
            wrong,
            "`/decide?region=NAME` in each reverse proxy, or an address that they reach from their networks",
        );
    }
}

/// Warns of places for realtime clients that lead nowhere else, or that a browser does not go to.
fn realtime_urls(regions: &[file::Region], report: &mut Report) {
    let all = || regions.iter().filter_map(|region| Some((&region.name.value, good(&region.realtime)?)));
    for (at, (name, url)) in all().enumerate() {
        if let Some((other, _)) = all().take(at).find(|(_, other)| other.value == url.value) {
            let wrong =
                format!("regions `{other}` and `{name}` have the same `realtime`: a client that one refuses comes back to it");
            report.warning(&url.place, wrong, "a host of its own for each region");
        }
        if url.value.starts_with("ws://") {
            let wrong = format!("`{}` is not encrypted: a page that came by https:// may not connect to it", url.value);
            report.warning(&url.place, wrong, "`wss://HOST`");
        }
    }
}

/// Warns of keys without a gate, and of a gate without keys. `key`: the place of the first key.
pub(super) fn keys_and_gate(gate: Option<&Place>, key: Option<&Place>, report: &mut Report) {
    match (gate, key) {
        (None, Some(key)) => {
            report.warning(key, "`api_keys` without [gate]: nobody asks whose a token is", "[gate] with `listen`");
        }
        (Some(gate), None) => {
            report.warning(
                gate,
                "no project has `api_keys`: the gate refuses every client",
                "api_keys = [\"…\"] in the projects",
            );
        }
        _ => {}
    }
}

/// Warns of a pinned project whose refused clients are not told where to go.
fn realtime(project: &file::Project, regions: &[file::Region], report: &mut Report) {
    if matches!(project.api_keys, Ok(None)) {
        return;
    }
    for name in good(&project.pin).into_iter().flatten() {
        let of = regions.iter().find(|region| region.name.value == name.value);
        if of.is_some_and(|region| matches!(region.realtime, Ok(None))) {
            let wrong = format!(
                "region `{}` has no `realtime`: clients of project `{}` that are refused elsewhere are not told to go there",
                name.value, project.name.value
            );
            report.warning(&name.place, wrong, "realtime = \"wss://…\" in that region, as its clients connect to it");
        }
    }
}

/// Warns of a carrier outside all regions whose media has no network: then its media may be inside the region alone, where it hardly is.
fn without_media(project: &file::Project, trunk: &file::Trunk, regions: &[file::Region], report: &mut Report) {
    let judged = good(&project.media).is_none_or(|media| matches!(media.value, Media::Enforce | Media::Relay));
    if !judged || !matches!(trunk.media, Ok(None)) {
        return;
    }
    let Some(networks) = good(&trunk.networks) else { return };
    let outside = |net: &Placed<IpNet>| {
        !huge(net.value) && !regions.iter().any(|region| overlap(net.value, good(&region.networks).map_or(&[], Vec::as_slice)))
    };
    if !networks.is_empty() && networks.iter().all(outside) {
        let name = &trunk.name.value;
        let wrong = format!("trunk `{name}` has no `media`: its calls are refused (140) unless their media is inside the region");
        let right =
            "media = [\"…\"] with the networks that the carrier's media comes from, or media = [] if it comes from the region";
        report.warning(&trunk.name.place, wrong, right);
    }
}

/// Warns of lists of countries that are held to an old table.
pub(super) fn old_table(trunks: &[Trunk], now: SystemTime, report: &mut Report) {
    let limited = |trunk: &Trunk| trunk.numbers().is_some_and(|numbers| numbers.countries.is_some() || numbers.callers.is_some());
    let (year, month, day) = TABLE_DATE;
    // A month more or less does not matter.
    let days = |years: u64| {
        u64::from(year).saturating_add(years).saturating_sub(1970) * 36525 / 100 + u64::from(month) * 30 + u64::from(day)
    };
    let today = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs() / 86400;
    if today > days(2) && trunks.iter().any(limited) {
        let wrong =
            format!("the table of countries is of {year}-{month:02}: newer area codes are nobody's, and refused by `countries`");
        report.warning(&Place { file: 0, span: None }, wrong, "a newer version of this program");
    }
}

/// Warns of a pinned project's trunk that lists addresses of a region outside the pin: they open the fence to that region.
/// Returns whether it did.
fn elsewhere(project: &file::Project, net: &Placed<IpNet>, regions: &[file::Region], report: &mut Report) -> bool {
    let Some(pin) = good(&project.pin) else { return false };
    let mut warned = false;
    for region in regions {
        let pinned = pin.iter().any(|name| name.value == region.name.value);
        let networks = good(&region.networks).map(Vec::as_slice).unwrap_or_default();
        if !pinned && overlap(net.value, networks) {
            let wrong = format!(
                "`{}` is in region `{}`, which the pin of project `{}` does not contain",
                net.value, region.name.value, project.name.value
            );
            report.warning(&net.place, wrong, "the carrier's networks without those of other regions");
            warned = true;
        }
    }
    warned
}

/// Warns of a trunk that signals from inside a region: its addresses are not servers', whatever `servers` and DNS say.
fn within(trunk: &str, net: &Placed<IpNet>, regions: &[file::Region], report: &mut Report) {
    for region in regions.iter().filter(|region| overlap(net.value, good(&region.networks).map_or(&[], Vec::as_slice))) {
        let wrong = format!("trunk `{trunk}` signals from `{}`, which is inside region `{}`", net.value, region.name.value);
        report.warning(&net.place, wrong, "meant so? No address of a trunk is a server: what it sends is the trunk's");
    }
}

/// Warns of addresses that calls out may go to and from which no side of a dialog could speak: no host has them, no listener takes their
/// family, or they are servers'. All other hosts there speak by the token of the call, also another project's trunk or a host of the region.
fn silent(project: &file::Project, trunk: &file::Trunk, net: &Placed<IpNet>, regions: &[file::Region], report: &mut Report) {
    if is_nobodys(net.value) {
        report.warning(&net.place, format!("nobody speaks from `{}`", net.value), "the gateways' own addresses");
        return;
    }
    let pin = good(&project.pin);
    let serves = |region: &&file::Region| pin.is_none_or(|pin| pin.iter().any(|name| name.value == region.name.value));
    let listeners = regions.iter().filter(serves).filter_map(|region| good(&region.listen)).flatten();
    let mut families = listeners.map(|listener| listener.value.1.is_ipv4()).peekable();
    if families.peek().is_some() && !families.any(|four| four == net.value.addr().is_ipv4()) {
        let family = if net.value.addr().is_ipv4() { "IPv4" } else { "IPv6" };
        let wrong =
            format!("no listener for project `{}` takes {family}: nobody could speak from `{}`", project.name.value, net.value);
        report.warning(&net.place, wrong, "a listener of that family, or the gateways' other addresses");
        return;
    }
    if good(&trunk.networks).into_iter().flatten().any(|own| own.value.contains(&net.value)) {
        return;
    }
    for region in regions {
        let upstream = good(&region.upstream).into_iter().flatten().filter_map(|hop| hop.value.address());
        let held = match good(&region.servers) {
            Some(servers) => servers.iter().any(|server| overlap(server.value.net, std::slice::from_ref(net))),
            None => upstream.into_iter().any(|addr| net.value.contains(&addr.ip())),
        };
        if held {
            let wrong =
                format!("`{}` holds servers of region `{}`: no gateway could speak from there", net.value, region.name.value);
            report.warning(&net.place, wrong, "the gateways' own addresses: what a server sends inside a call is the servers'");
        }
    }
}

/// Whether no host has these addresses: multicast, "this network", and what is reserved (RFC 6890).
fn is_nobodys(net: IpNet) -> bool {
    match net {
        IpNet::V4(net) => matches!(net.network().octets(), [0 | 224..=255, ..]),
        IpNet::V6(net) => net.network().is_multicast() || net.network().is_unspecified() && net.prefix_len() == 128,
    }
}

/// Warns of servers that are more than a region's SIP servers could be: without ports, more than 256 addresses (more than a /64), or all
/// of a network.
fn wide(region: &file::Region, report: &mut Report) {
    let networks = good(&region.networks).map_or(&[][..], Vec::as_slice);
    for server in good(&region.servers).into_iter().flatten() {
        let ServerNet { net, ports } = server.value;
        let unlimited = ports.is_none_or(|(first, last)| last.saturating_sub(first) > 1000);
        let many = net.prefix_len() < if net.addr().is_ipv4() { 24 } else { 64 };
        let several = |of: &IpNet| of.prefix_len() < of.max_prefix_len();
        let all = networks.iter().any(|of| several(&of.value) && net.contains(&of.value));
        if unlimited && (many || all) {
            let wrong = format!("`{}` makes every host there a SIP server, at every port", server.value);
            let right = "the servers' own addresses, or their ports behind it, for example `10.20.0.0/16:5060-5090`";
            report.warning(&server.place, wrong, right);
        }
    }
}

fn retried(reject: &Read<Placed<Profile>>, report: &mut Report) {
    let Some(reject) = good(reject) else { return };
    let code = reject.value.policy;
    if matches!(code, 408 | 480) || (500..600).contains(&code) {
        let wrong = format!("carriers try again elsewhere after {code}");
        report.warning(&reject.place, wrong, "603, or 403 where the carrier stops on it");
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use super::*;

    #[test]
    fn an_old_table_is_told_of_where_it_matters() {
        let text = |keys: &str| {
            format!(
                "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\nnetworks = [\"127.0.1.0/24\"]\n\
                 upstream = \"127.0.1.1\"\n[project.acme]\npin = [\"eu\"]\n[project.acme.trunk.t]\nnetworks = [\"127.0.3.0/24\"]\n{keys}"
            )
        };
        let warned = |keys: &str, years: u32| {
            let config = crate::config::parse(Path::new("test.toml"), &text(keys)).unwrap();
            let (year, ..) = TABLE_DATE;
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(31_556_952) * (u32::from(year) - 1970 + years);
            let mut report = Report::default();
            old_table(&config.trunks, now, &mut report);
            report.finish(&[]).1.len()
        };
        assert_eq!([warned("callers = [\"IN\"]", 1), warned("callers = [\"IN\"]", 4), warned("", 4)], [0, 1, 0]);
    }
}
