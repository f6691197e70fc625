//! From hops to fenced targets, in the order to be tried.

use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

use arrayvec::ArrayVec;

use super::asked::{Asked, Unknown};
use super::keys::Keys;
use crate::config::{Config, Hop, NameId, NextHop, Transport};
use crate::dns::{Server, Targets};
use crate::fence::{Fence, Fenced};
use crate::sip::uri::{Host, Scheme, Uri};

/// Most attempts for one request: a caller does not wait for more.
pub(super) const MAX_ATTEMPTS: usize = 8;

/// The port of a hop that names none (RFC 3263 4.2).
const PORT: u16 = 5060;

/// One address to try.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// Where.
    pub(crate) fenced: Fenced,
    /// How. `None`: UDP, or TCP for what is too large for it.
    pub(crate) transport: Option<Transport>,
}

/// Targets in the order to be tried.
pub(crate) type TargetSet = ArrayVec<Target, MAX_ATTEMPTS>;

/// What a next hop comes to.
#[expect(clippy::large_enum_variant, reason = "moved once, on the stack, on the path of a call: a box would cost more")]
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// At least one address inside.
    Inside(TargetSet),
    /// Addresses, but all outside; the first of them.
    Outside(SocketAddr),
    /// No address at all.
    Nothing,
}

/// Resolves hops and passes every address through the fence.
pub(super) fn find(hops: &[Hop], targets: &Targets, fence: Fence<'_>) -> Found {
    let mut finding = Finding { fence, inside: TargetSet::new(), outside: None };
    for hop in hops {
        match *hop {
            Hop::Address { addr, transport } => finding.add(addr, transport),
            Hop::Name(name) => finding.servers(targets.servers(name)),
        }
    }
    finding.found()
}

/// What names resolve to, as far as it is known.
#[derive(Clone, Copy)]
pub(super) struct Book<'a> {
    pub(super) now: Instant,
    pub(super) config: &'a Config,
    /// Of the configuration's names.
    pub(super) targets: &'a Targets,
    /// Of names that were asked for.
    pub(super) asked: &'a Asked,
    pub(super) keys: &'a Keys,
}

/// Resolves the URI of a next hop inside a dialog: an address, a name of the configuration, or one that was asked for.
pub(super) fn find_uri(uri: &Uri<'_>, book: Book<'_>, fence: Fence<'_>) -> Result<Found, Unknown> {
    let transport = match uri.param("transport") {
        None => None,
        Some(Some(token)) => {
            match Transport::ALL.into_iter().find(|known| token.eq_ignore_ascii_case(known.token().as_bytes())) {
                Some(transport) => Some(transport),
                None => return Ok(Found::Nothing),
            }
        }
        Some(None) => return Ok(Found::Nothing),
    };
    // A sips URI may not be downgraded (RFC 5630), a tel URI has no host.
    let (Scheme::Sip, Some(host)) = (uri.scheme, uri.host) else { return Ok(Found::Nothing) };
    let host = match uri.param("maddr").flatten() {
        Some(maddr) => {
            match std::str::from_utf8(maddr).ok().and_then(|text| text.trim_matches(['[', ']']).parse::<IpAddr>().ok()) {
                Some(ip) => Host::Address(ip),
                None => Host::Name(maddr),
            }
        }
        None => host,
    };
    let mut finding = Finding { fence, inside: TargetSet::new(), outside: None };
    match host {
        Host::Address(ip) => finding.add(SocketAddr::new(ip, uri.port.unwrap_or(PORT)), transport),
        Host::Name(name) => {
            let Some(next_hop) = NextHop::of_host(name, uri.port, transport) else { return Ok(Found::Nothing) };
            let place = book.config.names.iter().position(|known| *known == next_hop);
            match place.and_then(|place| u32::try_from(place).ok()) {
                Some(place) => finding.servers(book.targets.servers(NameId(place))),
                None => match book.asked.get(book.now, book.keys, &next_hop) {
                    Some(servers) => finding.servers(servers),
                    None => return Err(Unknown(next_hop)),
                },
            }
        }
    }
    Ok(finding.found())
}

struct Finding<'a> {
    fence: Fence<'a>,
    inside: TargetSet,
    outside: Option<SocketAddr>,
}

impl Finding<'_> {
    fn add(&mut self, addr: SocketAddr, transport: Option<Transport>) {
        match self.fence.admit(addr) {
            // Beyond the most attempts nothing would be tried anyway.
            Ok(fenced) => drop(self.inside.try_push(Target { fenced, transport })),
            Err(outside) => drop(self.outside.get_or_insert(outside.0)),
        }
    }

    fn servers(&mut self, servers: &[Server]) {
        for server in servers {
            for &addr in &server.addresses {
                self.add(addr, server.transport);
            }
        }
    }

    fn found(self) -> Found {
        match (self.inside.is_empty(), self.outside) {
            (false, _) => Found::Inside(self.inside),
            (true, Some(outside)) => Found::Outside(outside),
            (true, None) => Found::Nothing,
        }
    }
}
