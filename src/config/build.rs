//! What the values mean together: regions, projects and trunks with their references resolved.
//!
//! Every rule that is broken is reported; where something is already reported, a stand-in takes its place so that the rest
//! can be checked. `load` throws the result away if anything was reported.

use std::collections::HashMap;
use std::net::SocketAddr;

use super::endpoint::Endpoints;
use super::file;
use super::hop::{Host, Written};
use super::report::{Place, Placed, Read, Report};
use super::table::nearest;
use super::value::Method;
use super::{Hop, Listener, ListenerId, NameId, NextHop, Project, ProjectId, Region, RegionId, Transport, Trunk, TrunkId};
use super::{MAX_RELAYS, Media, Mode, Outbound};
use crate::fence::{Fence, Networks};
use crate::reason::Profile;

/// What the snapshot is made of.
#[derive(Debug, Default)]
pub(super) struct Built {
    pub(super) regions: Vec<Region>,
    pub(super) projects: Vec<Project>,
    pub(super) trunks: Vec<Trunk>,
    pub(super) listeners: Vec<Listener>,
    pub(super) names: Names,
    pub(super) endpoints: Endpoints,
}

/// Next hops with a name, without duplicates.
#[derive(Debug, Default)]
pub(super) struct Names {
    pub(super) list: Vec<NextHop>,
    ids: HashMap<NextHop, NameId>,
}

impl Names {
    fn hop(&mut self, written: &Written) -> Hop {
        match (&written.host, written.address()) {
            (Host::Name(host), _) => Hop::Name(self.id(written.next_hop(host))),
            (Host::Address(ip), addr) => {
                Hop::Address { addr: addr.unwrap_or_else(|| SocketAddr::new(*ip, 0)), transport: written.over() }
            }
        }
    }

    fn id(&mut self, name: NextHop) -> NameId {
        let next = NameId(u32::try_from(self.list.len()).unwrap_or(u32::MAX));
        *self.ids.entry(name).or_insert_with_key(|name| {
            self.list.push(name.clone());
            next
        })
    }
}

/// A value that was given and good.
pub(super) fn good<T>(read: &Read<T>) -> Option<&T> {
    read.as_ref().ok().and_then(Option::as_ref)
}

fn values<T: Copy, C: FromIterator<T>>(read: &Read<Vec<Placed<T>>>) -> C {
    good(read).into_iter().flatten().map(|placed| placed.value).collect()
}

/// Builds what `main` and `parts` say.
pub(super) fn build(main: &file::Main, parts: &file::Parts, report: &mut Report) -> Built {
    let mut built = Built::default();
    let ids = region_ids(parts, report);
    let served = served(main, &ids, report);
    if parts.regions.len() > usize::from(u16::MAX) {
        report.mistake(&main.serve_place, "more regions than an id can count", "at most 65535");
        return built;
    }
    for (region, id) in parts.regions.iter().zip(0..) {
        let id = RegionId(id);
        let region = build_region(region, id, served.contains(&id), &ids, &mut built, report);
        built.regions.push(region);
    }
    let reject = good(&main.reject).map_or(Profile::GENERIC, |reject| reject.value);
    let mut projects: HashMap<&str, &Place> = HashMap::new();
    for (project, id) in parts.projects.iter().zip(0..) {
        if projects.insert(&project.name.value, &project.name.place).is_some() {
            let wrong = format!("project `{}` is defined twice", project.name.value);
            report.mistake(&project.name.place, wrong, "one [project.*] of that name over all files");
        }
        build_project(project, ProjectId(id), reject, &ids, &mut built, report);
    }
    if let Some(global) = good(&main.global) {
        built.endpoints.set_global(&global.value);
    }
    built
}

fn region_ids<'p>(parts: &'p file::Parts, report: &mut Report) -> HashMap<&'p str, RegionId> {
    let mut ids = HashMap::new();
    for (region, id) in parts.regions.iter().zip(0..) {
        // The first one holds; what the second lacks is not worth a word.
        if *ids.entry(region.name.value.as_str()).or_insert(RegionId(id)) != RegionId(id) {
            let wrong = format!("region `{}` is defined twice", region.name.value);
            report.mistake(&region.name.place, wrong, "one [region.*] of that name over all files");
        }
    }
    ids
}

fn served(main: &file::Main, ids: &HashMap<&str, RegionId>, report: &mut Report) -> Vec<RegionId> {
    match &main.serve {
        Ok(Some(names)) if names.is_empty() => {
            report.mistake(&main.serve_place, "no region is served", "at least one, for example serve = [\"eu\"]");
            Vec::new()
        }
        Ok(Some(names)) => references(names, ids, report),
        Ok(None) => {
            let right = "which regions this daemon listens for, for example serve = [\"eu\"]";
            report.mistake(&main.serve_place, "`serve` is missing", right);
            Vec::new()
        }
        Err(_) => Vec::new(),
    }
}

/// Names of regions to ids; unknown and repeated ones are reported.
fn references(names: &[Placed<String>], ids: &HashMap<&str, RegionId>, report: &mut Report) -> Vec<RegionId> {
    let mut out = Vec::new();
    for name in names {
        match ids.get(name.value.as_str()) {
            Some(id) if out.contains(id) => {
                report.mistake(&name.place, format!("region `{}` stands twice", name.value), "each region once");
            }
            Some(&id) => out.push(id),
            None => {
                let mut known: Vec<_> = ids.keys().copied().collect();
                known.sort_unstable();
                let right = match nearest(&name.value, known.iter().copied()) {
                    Some(meant) => format!("did you mean `{meant}`?"),
                    None if known.is_empty() => format!("define it: [region.{}]", name.value),
                    None => format!("one of: {}", known.join(", ")),
                };
                report.mistake(&name.place, format!("unknown region `{}`", name.value), right);
            }
        }
    }
    out
}

fn build_region(
    region: &file::Region,
    id: RegionId,
    served: bool,
    ids: &HashMap<&str, RegionId>,
    built: &mut Built,
    report: &mut Report,
) -> Region {
    let name = &region.name;
    let missing = |key: &str, right: &str, report: &mut Report| {
        report.mistake(&name.place, format!("region `{}` has no `{key}`", name.value), right.to_owned());
    };
    let empty = |read: &Read<Vec<_>>| matches!(read, Ok(None)) || good(read).is_some_and(Vec::is_empty);
    if matches!(region.hostname, Ok(None)) {
        missing("hostname", "hostname = \"eu.sip.example.com\"", report);
    }
    if served && empty(&region.networks) {
        missing("networks", "the networks inside it, for example networks = [\"203.0.113.0/24\"]", report);
    }
    if served && (matches!(region.listen, Ok(None)) || good(&region.listen).is_some_and(Vec::is_empty)) {
        missing("listen", "it is served here: listen = [\"udp:203.0.113.10:5060\", \"tcp:203.0.113.10:5060\"]", report);
    }
    if served && (matches!(region.upstream, Ok(None)) || good(&region.upstream).is_some_and(Vec::is_empty)) {
        missing("upstream", "its SIP servers, for example upstream = \"sip:livekit.eu.internal\"", report);
    }
    let networks: Networks = values(&region.networks);
    let listens = |on| {
        good(&region.listen).is_none_or(|listen| listen.iter().any(|listener| listener.value.0 == on || on == Transport::Udp))
    };
    let mut upstream = Vec::new();
    for hop in good(&region.upstream).into_iter().flatten() {
        if let Some(addr) = hop.value.address()
            && good(&region.networks).is_some()
            && Fence::of_region(&networks).admit(addr).is_err()
        {
            let wrong = format!("upstream {} is outside region `{}`", addr.ip(), name.value);
            report.mistake(&hop.place, wrong, "an address within the region's `networks`, or its network added to them");
        }
        if let Some(over) = hop.value.over().filter(|&over| served && !listens(over)) {
            let wrong = format!("an upstream over {0}, but region `{1}` does not listen on {0}", over.via(), name.value);
            let right = format!("a `{}:` listener beside it: requests in dialogs come back to it", over.token());
            report.mistake(&hop.place, wrong, right);
        }
        upstream.push(built.names.hop(&hop.value));
    }
    let nearest = good(&region.nearest).map(|names| references(names, ids, report)).unwrap_or_default();
    if nearest.contains(&id) {
        report.mistake(&name.place, format!("region `{}` is nearest to itself", name.value), "other regions in `nearest`");
    }
    let relays = relays(region, &networks, report);
    let hostname = good(&region.hostname).map(|hostname| hostname.value.clone()).unwrap_or_default();
    built.endpoints.add_region(&hostname, id);
    let methods: Vec<Method> = values(&region.methods);
    Region {
        name: name.value.clone(),
        hostname,
        served,
        leaving: false,
        networks,
        upstream,
        nearest,
        relays,
        advertise: good(&region.advertise).map(|advertise| advertise.value.clone()),
        register: methods.contains(&Method::Register),
        publish: methods.contains(&Method::Publish),
        listeners: if served { bind(region, id, built, report) } else { Vec::new() },
        tls: None,
        collector: None,
    }
}

/// The media relays of a region: inside it, each once.
fn relays(region: &file::Region, networks: &Networks, report: &mut Report) -> Vec<SocketAddr> {
    let mut out = Vec::new();
    for relay in good(&region.relays).into_iter().flatten() {
        if good(&region.networks).is_some() && Fence::of_region(networks).admit(relay.value).is_err() {
            let wrong = format!("relay {} is outside region `{}`", relay.value.ip(), region.name.value);
            report.mistake(&relay.place, wrong, "an address within the region's `networks`, or its network added to them");
        }
        if out.contains(&relay.value) {
            report.mistake(&relay.place, format!("relay {} stands twice", relay.value), "each relay once");
        } else if out.len() >= MAX_RELAYS {
            report.mistake(&relay.place, "more relays than a call would try", format!("at most {MAX_RELAYS} in a region"));
        } else {
            out.push(relay.value);
        }
    }
    out
}

/// A project whose media is to go through a relay needs one in every region served here that its calls may use.
fn needs_relays(project: &file::Project, pin: Option<&[RegionId]>, built: &Built, report: &mut Report) {
    let Some(media) = good(&project.media).filter(|media| media.value == Media::Relay) else { return };
    for (region, id) in built.regions.iter().zip(0..) {
        let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
        if used && region.relays.is_empty() {
            let wrong = format!("region `{}`, which project `{}` may use, has no `relay`", region.name, project.name.value);
            report.mistake(&media.place, wrong, "relay = [\"udp:10.20.0.5:2223\"] in that region");
        }
    }
}

/// The sockets of a served region.
fn bind(region: &file::Region, id: RegionId, built: &mut Built, report: &mut Report) -> Vec<ListenerId> {
    let mut out = Vec::new();
    for listen in good(&region.listen).into_iter().flatten() {
        let (transport, addr) = listen.value;
        // A wildcard takes the port on every address of its family.
        let covers = |other: &Listener| {
            let (a, b) = (other.addr, addr);
            let wild = a.ip().is_unspecified() || b.ip().is_unspecified();
            other.transport == transport && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (wild || a.ip() == b.ip())
        };
        if let Some(other) = built.listeners.iter().find(|other| covers(other)) {
            let whose = if other.region == id { "this region" } else { "another region" };
            let wrong = format!("{}:{addr} is taken by {}:{} of {whose}", transport.token(), transport.token(), other.addr);
            report.mistake(&listen.place, wrong, "another address or port");
        }
        if addr.ip().is_unspecified() && matches!(region.advertise, Ok(None)) {
            let wrong = format!("`{}` cannot stand in Via and Record-Route: the address that was called does", addr.ip());
            report.warning(&listen.place, wrong, "a fixed address, or `advertise` with what trunks and servers reach");
        }
        let Ok(next) = u16::try_from(built.listeners.len()) else {
            report.mistake(&listen.place, "more listeners than an id can count", "at most 65535");
            break;
        };
        out.push(ListenerId(next));
        built.listeners.push(Listener { region: id, transport, addr, leaving: false });
    }
    out
}

fn build_project(
    project: &file::Project,
    id: ProjectId,
    reject: Profile,
    ids: &HashMap<&str, RegionId>,
    built: &mut Built,
    report: &mut Report,
) {
    let pin = match &project.pin {
        Ok(Some(names)) if names.is_empty() => {
            let right = "the regions that its calls may use; leave `pin` out for a project that may use all";
            report.mistake(&project.pin_place, "an empty pin allows nothing", right);
            None
        }
        Ok(Some(names)) => Some(references(names, ids, report)),
        Ok(None) => {
            let wrong = format!("project `{}` is not pinned: its calls may use every region", project.name.value);
            report.warning(&project.name.place, wrong, "pin = [\"eu\"] if they must not");
            None
        }
        Err(_) => None,
    };
    needs_relays(project, pin.as_deref(), built, report);
    let reject = good(&project.reject).map_or(reject, |reject| reject.value);
    let mut trunks = Vec::new();
    for trunk in &project.trunks {
        let next = TrunkId(u32::try_from(built.trunks.len()).unwrap_or(u32::MAX));
        let trunk = build_trunk(trunk, id, reject, pin.as_deref(), built, report);
        built.endpoints.add_trunk(id, &trunk.name, next);
        built.trunks.push(trunk);
        trunks.push(next);
    }
    built.endpoints.add_project(&project.name.value, id);
    built.projects.push(Project {
        name: project.name.value.clone(),
        pin,
        mode: good(&project.mode).map_or(Mode::Enforce, |mode| mode.value),
        media: good(&project.media).map_or(Media::Enforce, |media| media.value),
        source_in_region: good(&project.source_in_region).is_some_and(|source| source.value),
        reject,
        trunks,
    });
}

fn build_trunk(
    trunk: &file::Trunk,
    project: ProjectId,
    reject: Profile,
    pin: Option<&[RegionId]>,
    built: &mut Built,
    report: &mut Report,
) -> Trunk {
    let name = &trunk.name;
    let empty = |networks: &Read<Vec<_>>| matches!(networks, Ok(None)) || good(networks).is_some_and(Vec::is_empty);
    let certified = !matches!(trunk.certificates, Ok(None));
    if good(&trunk.certificates).is_some_and(Vec::is_empty) {
        report.mistake(&name.place, "no certificate would do", "names as in certificates = [\"sbc.carrier.example\"]");
    }
    if empty(&trunk.networks) && !certified {
        let right = "where it signals from, for example networks = [\"192.0.2.0/28\"]";
        report.mistake(&name.place, format!("trunk `{}` has no `networks`", name.value), right);
    }
    let networks: Networks = values(&trunk.networks);
    let outbound = good(&trunk.uri).map(|uri| build_outbound(trunk, uri, &networks, pin, built, report));
    let anywhere = certified && empty(&trunk.networks);
    if anywhere && empty(&trunk.outbound_networks) {
        let wrong =
            format!("trunk `{}` may signal from everywhere, and no request inside its calls may go back there", name.value);
        report.warning(&name.place, wrong, "the carrier's networks, in `networks` or `outbound_networks`");
    }
    if matches!(trunk.uri, Ok(None)) && matches!(trunk.outbound_networks, Ok(Some(_))) && !anywhere {
        let right = "the carrier's `uri` beside it, or leave it out";
        report.mistake(&trunk.outbound_place, "`outbound_networks` without `uri` does nothing", right);
    }
    Trunk {
        name: name.value.clone(),
        project,
        networks,
        certificates: good(&trunk.certificates).into_iter().flatten().map(|placed| placed.value.clone()).collect(),
        media: values(&trunk.media),
        outbound,
        reach: values(&trunk.outbound_networks),
        reject: good(&trunk.reject).map_or(reject, |reject| reject.value),
    }
}

fn build_outbound(
    trunk: &file::Trunk,
    uri: &Placed<Written>,
    networks: &Networks,
    pin: Option<&[RegionId]>,
    built: &mut Built,
    report: &mut Report,
) -> Outbound {
    let outbound = match &trunk.outbound_networks {
        Ok(None) => networks.clone(),
        given => values(given),
    };
    let known = trunk.networks.is_ok() && trunk.outbound_networks.is_ok();
    if let Some(addr) = uri.value.address()
        && known
        && Fence::of_outbound(&outbound).admit(addr).is_err()
    {
        let wrong = format!("{} is outside the trunk's outbound networks", addr.ip());
        report.mistake(&uri.place, wrong, "its network in `outbound_networks` (the trunk's `networks` if absent)");
    }
    let unnamed =
        trunk.networks.is_ok() && matches!(trunk.outbound_networks, Ok(None)) && !matches!(trunk.certificates, Ok(None));
    if known && outbound.is_empty() && (good(&trunk.outbound_networks).is_some() || unnamed) {
        report.mistake(&trunk.outbound_place, "no network: no call could go out", "the networks that `uri` may resolve to");
    }
    if let Some(over) = uri.value.over().filter(|over| over.reliable()) {
        for (region, id) in built.regions.iter().zip(0..) {
            let used = region.served && pin.is_none_or(|pin| pin.contains(&RegionId(id)));
            let listens = |id: &ListenerId| built.listeners.get(usize::from(id.0)).is_some_and(|at| at.transport == over);
            if used && !region.listeners.is_empty() && !region.listeners.iter().any(listens) {
                let wrong = format!("a trunk over {0}, but region `{1}` does not listen on {0}", over.via(), region.name);
                let right = format!("a `{}:` listener in that region: requests in dialogs come back to it", over.token());
                report.mistake(&uri.place, wrong, right);
            }
        }
    }
    Outbound { hop: built.names.hop(&uri.value), hostpart: uri.value.hostpart.clone(), networks: outbound }
}
