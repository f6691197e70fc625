//! Regions and their listeners. Each region is made once, when its certificate and its collector are known.

use std::net::SocketAddr;

use super::names::Names;
use crate::config::file;
use crate::config::ids::{ListenerId, RegionId};
use crate::config::references::{ReadRegion, RegionIds, references};
use crate::config::region::{Collector, Listener, MAX_RELAYS, Region, Tls};
use crate::config::report::{Read, Report, good, values};
use crate::config::transport::Transport;
use crate::config::value::Method;
use crate::fence::{Fence, Networks};

/// The other values that regions are made from.
struct Context<'c> {
    ids: &'c RegionIds<'c>,
    names: &'c mut Names,
    listeners: Vec<Listener>,
}

/// Makes the regions, each with its part of `secured` and `collectors`, and the listeners of the served ones.
pub(in crate::config) fn regions(
    read: &[ReadRegion<'_>],
    ids: &RegionIds<'_>,
    secured: Vec<Option<Tls>>,
    collectors: Vec<Option<Collector>>,
    names: &mut Names,
    report: &mut Report,
) -> (Vec<Region>, Vec<Listener>) {
    let mut context = Context { ids, names, listeners: Vec::new() };
    let own = secured.into_iter().zip(collectors);
    let regions = read.iter().zip(own).zip((0..).map(RegionId));
    let regions = regions.map(|((&read, own), id)| region(read, id, own, &mut context, report)).collect();
    (regions, context.listeners)
}

fn region(
    ReadRegion { file: region, served }: ReadRegion<'_>,
    id: RegionId,
    (tls, collector): (Option<Tls>, Option<Collector>),
    context: &mut Context<'_>,
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
        upstream.push(context.names.hop(&hop.value));
    }
    let nearest = good(&region.nearest).map(|names| references(names, context.ids, report)).unwrap_or_default();
    if nearest.contains(&id) {
        report.mistake(&name.place, format!("region `{}` is nearest to itself", name.value), "other regions in `nearest`");
    }
    let relays = relays(region, &networks, report);
    let hostname = good(&region.hostname).map(|hostname| hostname.value.clone()).unwrap_or_default();
    let methods: Vec<Method> = values(&region.methods);
    Region {
        name: name.value.clone(),
        hostname,
        served,
        leaving: false,
        networks,
        // Set when the trunks are known: a trunk's address is no server.
        servers: None,
        upstream,
        nearest,
        relays,
        advertise: good(&region.advertise).map(|advertise| advertise.value.clone()),
        register: methods.contains(&Method::Register),
        publish: methods.contains(&Method::Publish),
        realtime: good(&region.realtime).map(|realtime| realtime.value.as_str().into()),
        listeners: if served { bind(region, id, &mut context.listeners, report) } else { Vec::new() },
        tls,
        collector,
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

/// The sockets of a served region.
fn bind(region: &file::Region, id: RegionId, listeners: &mut Vec<Listener>, report: &mut Report) -> Vec<ListenerId> {
    let mut out = Vec::new();
    for listen in good(&region.listen).into_iter().flatten() {
        let (transport, addr) = listen.value;
        // A wildcard takes the port on every address of its family.
        let covers = |other: &Listener| {
            let (a, b) = (other.addr, addr);
            let wild = a.ip().is_unspecified() || b.ip().is_unspecified();
            other.transport == transport && a.port() == b.port() && a.is_ipv4() == b.is_ipv4() && (wild || a.ip() == b.ip())
        };
        if let Some(other) = listeners.iter().find(|other| covers(other)) {
            let whose = if other.region == id { "this region" } else { "another region" };
            let wrong = format!("{}:{addr} is taken by {}:{} of {whose}", transport.token(), transport.token(), other.addr);
            report.mistake(&listen.place, wrong, "another address or port");
        }
        if addr.ip().is_unspecified() && matches!(region.advertise, Ok(None)) {
            let wrong = format!("`{}` cannot stand in Via and Record-Route: the address that was called does", addr.ip());
            report.warning(&listen.place, wrong, "a fixed address, or `advertise` with what trunks and servers reach");
        }
        let Ok(next) = u16::try_from(listeners.len()) else {
            report.mistake(&listen.place, "more listeners than an id can count", "at most 65535");
            break;
        };
        out.push(ListenerId(next));
        listeners.push(Listener { region: id, transport, addr, leaving: false });
    }
    out
}
