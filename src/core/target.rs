//! From hops to fenced targets, in the order to be tried: as the hops stand, as their records say.

use std::net::{IpAddr, SocketAddr};
use std::ops::ControlFlow;

use arrayvec::ArrayVec;

use super::select::{self, Dice};
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
pub(super) fn find(hops: &[Hop], targets: &Targets, fence: Fence<'_>, dice: Dice) -> Found {
    let mut finding = Finding { fence, dice, inside: TargetSet::new(), outside: None };
    for hop in hops {
        let more = match *hop {
            Hop::Address { addr, transport } => finding.add(addr, transport),
            Hop::Name(name) => finding.servers(targets.servers(name)),
        };
        if more.is_break() {
            break;
        }
    }
    finding.found()
}

/// Resolves the URI of a next hop inside a dialog. Only what needs no waiting: an address, or a name of the configuration.
pub(super) fn find_uri(uri: &Uri<'_>, config: &Config, targets: &Targets, fence: Fence<'_>, dice: Dice) -> Found {
    let transport = match uri.param("transport") {
        None => None,
        Some(Some(token)) => {
            match Transport::ALL.into_iter().find(|known| token.eq_ignore_ascii_case(known.token().as_bytes())) {
                Some(transport) => Some(transport),
                None => return Found::Nothing,
            }
        }
        Some(None) => return Found::Nothing,
    };
    // A sips URI may not be downgraded (RFC 5630), a tel URI has no host.
    let (Scheme::Sip, Some(host)) = (uri.scheme, uri.host) else { return Found::Nothing };
    let host = match uri.param("maddr").flatten() {
        Some(maddr) => {
            match std::str::from_utf8(maddr).ok().and_then(|text| text.trim_matches(['[', ']']).parse::<IpAddr>().ok()) {
                Some(ip) => Host::Address(ip),
                None => Host::Name(maddr),
            }
        }
        None => host,
    };
    let port = uri.port.unwrap_or(PORT);
    let mut finding = Finding { fence, dice, inside: TargetSet::new(), outside: None };
    match host {
        Host::Address(ip) => drop(finding.add(SocketAddr::new(ip, port), transport)),
        Host::Name(name) => {
            let same = |known: &NextHop| {
                known.host.as_bytes().eq_ignore_ascii_case(name) && known.port == uri.port && known.transport == transport
            };
            let place = config.names.iter().position(same).and_then(|place| u32::try_from(place).ok());
            if let Some(place) = place {
                let _ = finding.servers(targets.servers(NameId(place)));
            }
        }
    }
    finding.found()
}

struct Finding<'a> {
    fence: Fence<'a>,
    dice: Dice,
    inside: TargetSet,
    outside: Option<SocketAddr>,
}

impl Finding<'_> {
    /// Takes in one address; `Break`: beyond the most attempts nothing would be tried anyway.
    fn add(&mut self, addr: SocketAddr, transport: Option<Transport>) -> ControlFlow<()> {
        match self.fence.admit(addr) {
            Ok(fenced) => {
                let target = Target { fenced, transport };
                // What two names or records say is tried once.
                if !self.inside.contains(&target) {
                    let _ = self.inside.try_push(target);
                }
            }
            Err(outside) => drop(self.outside.get_or_insert(outside.0)),
        }
        if self.inside.is_full() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    }

    fn servers(&mut self, servers: &[Server]) -> ControlFlow<()> {
        let mut dice = Dice::new(self.dice.roll().into());
        select::in_order(servers, &mut || dice.roll(), &mut |server| {
            server.addresses.iter().try_for_each(|&addr| self.add(addr, server.transport))
        })
    }

    fn found(self) -> Found {
        match (self.inside.is_empty(), self.outside) {
            (false, _) => Found::Inside(self.inside),
            (true, Some(outside)) => Found::Outside(outside),
            (true, None) => Found::Nothing,
        }
    }
}
