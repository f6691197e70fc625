//! Judges the hops behind the next hop of a trunk's request inside a dialog: further Routes, the Request-URI, and hosts that a
//! `maddr` hides.
//!
//! A proxy of the region would send on to these, wherever they lead. So each must be inside the region, or be ourselves by a token of
//! ours: what stands behind that is judged when the request comes back. A name is judged by all that it resolves to. Only judges.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Endpoint, NextHop, RegionId, Transport};
use crate::core::memory::name_cache::{Known, UnknownName};
use crate::core::routing::place::MAX_ATTEMPTS;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::route_token;
use crate::core::rules::case::Case;
use crate::core::rules::refusal::shown;
use crate::core::rules::trace::{Test, fenced_by};
use crate::core::view::View;
use crate::dns::Server;
use crate::fence::{Fence, canonical};
use crate::sip::uri::{Host, Scheme, Uri};

/// Most names behind a next hop that one request may have looked up.
const NAMES: usize = 4;

/// Why a request does not go on because of the hops behind its next hop.
pub(crate) enum Beyond {
    /// Something there is not inside. Holds a sentence for people.
    Outside(String),
    /// A name there has to be looked up.
    Unknown(UnknownName),
}

/// A host of a URI, with the port and the transport that go with it.
#[derive(Clone, Copy)]
struct Place<'a> {
    host: Host<'a>,
    port: Option<u16>,
    transport: Option<Transport>,
    sips: bool,
}

impl View<'_> {
    /// Judges what stands behind the next hop.
    pub(crate) fn behind(&self, case: &Case<'_, '_>, route: &RouteSet<'_>) -> Result<(), Beyond> {
        let serving = route.vouched.serving;
        let fence = Fence::of_behind(&self.config.region(serving).networks, self.servers.own());
        let mut names = 0;
        let odd = || Beyond::Outside("a parameter with an escaped name cannot be judged".to_owned());
        if route.next.escapes_a_name() {
            return Err(odd());
        }
        // By the `maddr` of the next hop it is reached, and by its host some send on.
        if let Some(host) = hidden(&route.next) {
            self.place(case, host, &route.next, fence, &mut names)?;
        }
        if let Some(alias) = route.next.param("alias") {
            alias_inside(alias, fence)?;
        }
        for uri in route.behind(case.message, case.request) {
            let Some(uri) = uri else { return Err(Beyond::Outside("what stands behind the next hop cannot be read".to_owned())) };
            if uri.escapes_a_name() {
                return Err(odd());
            }
            if self.comes_back(case, &uri) {
                return Ok(());
            }
            if let Some(alias) = uri.param("alias") {
                alias_inside(alias, fence)?;
            }
            // A tel URI says nothing of where a proxy would send it.
            let Some(host) = uri.host else {
                return Err(Beyond::Outside("a tel URI behind the next hop is not inside".to_owned()));
            };
            self.place(case, place(&uri, host), &uri, fence, &mut names)?;
            if let Some(maddr) = uri.maddr() {
                self.place(case, place(&uri, maddr), &uri, fence, &mut names)?;
            }
        }
        Ok(())
    }

    /// Whether a URI leads back to us by a token of this dialog.
    pub(crate) fn comes_back(&self, case: &Case<'_, '_>, uri: &Uri<'_>) -> bool {
        let Some(token) = uri.param(route_token::PARAM).flatten() else { return false };
        let ours = match uri.host {
            Some(Host::Address(ip)) if uri.param("maddr").is_none() => {
                let sips = uri.scheme == Scheme::Sips;
                let transport = if sips { Some(Transport::Tls) } else { transport(uri) };
                let port = uri.port.unwrap_or_else(|| transport.unwrap_or(Transport::Udp).port());
                self.servers.own().contains(&SocketAddr::new(canonical(ip), port))
            }
            // A global name may be another region's too.
            Some(Host::Name(name)) if uri.param("maddr").is_none() => {
                self.names_us(case.region(), name)
                    && !matches!(self.config.endpoint(name), Endpoint::Global(_))
                    && self.listens_at(uri.port)
            }
            _ => false,
        };
        ours && self.tokens.verify(self.keys, case.region(), token, case.request, case.now).is_some()
    }

    /// Whether one of our listeners has this port.
    fn listens_at(&self, port: Option<u16>) -> bool {
        port.is_none_or(|port| self.servers.own().iter().any(|own| own.port() == port))
    }

    /// Whether a host name is our own: an endpoint of the called region, a global one, or what a region advertises.
    pub(crate) fn names_us(&self, called: RegionId, name: &[u8]) -> bool {
        let advertised = |host: &str| name.strip_suffix(b".").unwrap_or(name).eq_ignore_ascii_case(host.as_bytes());
        match self.config.endpoint(name) {
            Endpoint::Region(at) | Endpoint::Project(at, _) | Endpoint::Trunk(at, _) => at == called,
            Endpoint::Global(_) => true,
            Endpoint::Unknown => self.config.region(called).advertise.as_deref().is_some_and(advertised),
        }
    }

    fn place(
        &self,
        case: &Case<'_, '_>,
        place: Place<'_>,
        uri: &Uri<'_>,
        fence: Fence<'_>,
        names: &mut usize,
    ) -> Result<(), Beyond> {
        let outside = |what: &str| Beyond::Outside(format!("{} behind the next hop {what}", shown(uri.hostport)));
        match place.host {
            Host::Address(ip) => {
                let transport = if place.sips { Some(Transport::Tls) } else { place.transport };
                let port = place.port.unwrap_or_else(|| transport.unwrap_or(Transport::Udp).port());
                let addr = SocketAddr::new(ip, port);
                if fence.admit(addr).is_err() {
                    return Err(Beyond::Outside(format!("{addr} behind the next hop is outside, or our own")));
                }
                case.trace.pass(Test::Targets, || (format!("{addr} behind the next hop"), fenced_by(ip, fence)));
                Ok(())
            }
            // Requests that name the region's endpoint still are led by their Route. A global one is judged by where it leads.
            Host::Name(name)
                if self.names_us(case.region(), name)
                    && !matches!(self.config.endpoint(name), Endpoint::Global(_))
                    && self.listens_at(place.port) =>
            {
                Ok(())
            }
            Host::Name(name) => {
                let next_hop = NextHop::of_host(name, place.port, place.transport, place.sips);
                let Some(next_hop) = next_hop else { return Err(outside("is no host name")) };
                if uri.param("transport").is_some() && place.transport.is_none() {
                    return Err(outside("has a transport that we cannot judge"));
                }
                let known = self.config.name_id(&next_hop).filter(|&id| self.resolved.is_known(id));
                let servers = if let Some(id) = known {
                    self.resolved.servers(id)
                } else {
                    *names += 1;
                    if *names > NAMES {
                        return Err(outside("is one name more than are looked up"));
                    }
                    // Several names may have to be waited for, one after the other.
                    match self.name_cache.get(self.now, self.keys, &next_hop, true) {
                        // As many as are kept: there may be more.
                        Known::Servers(servers) if servers.iter().any(|server| server.addresses.len() >= MAX_ATTEMPTS) => {
                            return Err(outside("has more addresses than are judged"));
                        }
                        Known::Servers(servers) => servers,
                        Known::Unanswered => return Err(outside("cannot be judged: no name server has answered")),
                        Known::Nothing => return Err(Beyond::Unknown(UnknownName(next_hop))),
                    }
                };
                let mut addresses = servers.iter().flat_map(|server: &Server| &server.addresses).peekable();
                let resolves = addresses.peek().is_some();
                if !resolves || addresses.any(|&addr| fence.admit(addr).is_err()) {
                    return Err(outside("does not resolve to addresses inside"));
                }
                case.trace.pass(Test::Targets, || {
                    (format!("{} behind the next hop", shown(name)), "resolves to addresses inside".to_owned())
                });
                Ok(())
            }
        }
    }
}

/// Kamailio's `alias=ADDRESS~PORT~PROTOCOL` on the Contact of a client behind NAT: a Kamailio sends on to it.
fn alias_inside(alias: Option<&[u8]>, fence: Fence<'_>) -> Result<(), Beyond> {
    let read = |alias: &[u8]| {
        let mut parts = std::str::from_utf8(alias).ok()?.split('~');
        let ip: IpAddr = parts.next()?.trim_matches(['[', ']']).parse().ok()?;
        Some(SocketAddr::new(ip, parts.next()?.parse().ok()?))
    };
    match alias.and_then(read) {
        Some(addr) if fence.admit(addr).is_ok() => Ok(()),
        Some(addr) => Err(Beyond::Outside(format!("alias {addr} behind the next hop is outside, or our own"))),
        None => Err(Beyond::Outside("an alias behind the next hop cannot be read".to_owned())),
    }
}

fn place<'a>(uri: &Uri<'a>, host: Host<'a>) -> Place<'a> {
    Place { host, port: uri.port, transport: transport(uri), sips: uri.scheme == Scheme::Sips }
}

fn transport(uri: &Uri<'_>) -> Option<Transport> {
    let token = uri.param("transport").flatten()?;
    Transport::ALL.into_iter().find(|known| token.eq_ignore_ascii_case(known.token().as_bytes()))
}

/// The host of a URI that is reached by its `maddr`.
fn hidden<'a>(uri: &Uri<'a>) -> Option<Place<'a>> {
    uri.host.filter(|_| uri.maddr().is_some()).map(|host| place(uri, host))
}
