//! One way out: the fenced address, its transport, the listener, and the name that the server must prove. Only names it; sends
//! nothing.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use bytes::Bytes;

use crate::config::{Config, ListenerId, RegionId, Transport, TrunkId};
use crate::core::io::{Attempt, Destination, Send};
use crate::core::routing::place::{Gateway, Place};
use crate::core::routing::target::{Target, TargetSet};
use crate::core::view::View;
use crate::fence::Fenced;
use crate::tls::PartyNames;

/// Longer requests go over a stream if the region has one (RFC 3261 18.1.1). In bytes.
const DATAGRAM: usize = 1300;

/// The address that a request goes to, and how it gets there.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    pub(crate) to: Fenced,
    pub(crate) transport: Transport,
    /// The listener that it leaves by.
    pub(crate) listener: ListenerId,
    /// Over TLS: the name that the server must prove. `None`: it must prove its address.
    pub(crate) tls_name: Option<Arc<str>>,
    /// Over TLS, without a name: names of the party there, of which one will do.
    pub(crate) party: Option<PartyNames>,
    /// Of a call out: which of the trunk's gateways it goes to.
    pub(crate) gateway: u8,
    /// Whether it is a next hop inside a dialog.
    pub(crate) in_dialog: bool,
    /// Over TLS, towards the side that began the dialog: from where its connection came. That very connection will do too.
    pub(crate) origin: Option<Arc<Fenced>>,
    /// The trunk of the call, if it is one's.
    pub(crate) trunk: Option<TrunkId>,
}

impl Egress {
    fn to(target: Target, transport: Transport, listener: ListenerId) -> Self {
        let Target { fenced, tls_name, party, gateway, in_dialog, .. } = target;
        let (trunk, gateway) = (gateway.map(|gateway| gateway.trunk), gateway.map_or(0, |gateway| gateway.at));
        Self { to: fenced, transport, listener, tls_name, party, gateway, in_dialog, origin: None, trunk }
    }

    /// The same, for a call of this trunk. `origin`: from where the trunk's connection came, if the call began over TLS.
    pub(crate) fn of(self, trunk: Option<TrunkId>, origin: Option<&Arc<Fenced>>) -> Self {
        let origin = origin.filter(|_| self.transport == Transport::Tls).cloned();
        Self { origin, trunk, ..self }
    }

    /// The gateway that it leads to, if it is of a trunk's call.
    pub(crate) fn gateway(&self) -> Option<Gateway> {
        self.trunk.map(|trunk| Gateway { trunk, at: self.gateway })
    }

    /// Bytes that go by it.
    pub(crate) fn send(&self, bytes: Bytes, attempt: Option<Attempt>) -> Send {
        let Self { to, transport, listener, tls_name, party, in_dialog, origin, trunk, gateway: _ } = self.clone();
        let to = Destination::Fenced(to);
        let (local, instead) = (None, None);
        Send { to, transport, tls_name, party, in_dialog, origin, trunk, listener, local, bytes, attempt, instead }
    }

    /// The key under which the health of the other end is kept.
    pub(crate) fn place(&self) -> Place {
        (self.to.addr(), self.transport)
    }
}

impl View<'_> {
    /// The egress to the first of these targets that can be reached. That target is taken out of the set. If a target leaves the
    /// transport open, a large request goes by TCP first, and by UDP if no connection can be made.
    pub(crate) fn choose(&self, region: RegionId, prefer: ListenerId, length: usize, targets: &mut TargetSet) -> Option<Egress> {
        while !targets.is_empty() {
            let target = targets.remove(0);
            let to = target.fenced.addr();
            if target.transport.is_none()
                && length > DATAGRAM
                && self.no_stream.get(self.now, address_key(to)).is_none()
                && let Some(listener) = leave_by(self.config, region, prefer, Transport::Tcp, to)
            {
                let again = Target { transport: Some(Transport::Udp), by_datagram: true, ..target.clone() };
                // There is room: one was just taken out.
                targets.insert(0, again);
                return Some(Egress::to(target, Transport::Tcp, listener));
            }
            let transport = target.transport.unwrap_or(Transport::Udp);
            if let Some(listener) = leave_by(self.config, region, prefer, transport, to) {
                return Some(Egress::to(target, transport, listener));
            }
        }
        None
    }
}

/// The listener to leave by: the preferred one if it fits, else the first one of the region that fits. A listener that is leaving
/// is used only if there is no other.
pub(crate) fn leave_by(
    config: &Config,
    region: RegionId,
    preferred: ListenerId,
    transport: Transport,
    to: SocketAddr,
) -> Option<ListenerId> {
    let fits = |&id: &ListenerId| {
        let listener = config.listener(id);
        listener.transport == transport && listener.addr.is_ipv4() == to.is_ipv4()
    };
    let stays = |id: &ListenerId| !config.listener(*id).leaving;
    let mut fitting = std::iter::once(preferred).chain(config.region(region).listeners.iter().copied()).filter(fits);
    fitting.clone().find(stays).or_else(|| fitting.next())
}

/// A target's address as a key. Two addresses of one family never share a key. If two of different families ever did, the only
/// effect would be that large requests go in datagrams.
pub(crate) fn address_key(to: SocketAddr) -> u128 {
    let ip = match to.ip() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    ip.rotate_left(16) ^ u128::from(to.port())
}
