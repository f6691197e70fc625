//! One way out of here: the fenced address, how it is reached, from which listener, and what it must prove. Only names it; nothing
//! is sent.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::{Config, ListenerId, RegionId, Transport};
use crate::core::routing::place::Place;
use crate::core::routing::target::{Target, TargetSet};
use crate::core::view::View;
use crate::fence::Fenced;

/// Requests longer than this go over a stream where the region has one (RFC 3261 18.1.1).
const DATAGRAM: usize = 1300;

/// Where a request goes, and how.
#[derive(Clone, Debug)]
pub(crate) struct Egress {
    pub(crate) to: Fenced,
    pub(crate) transport: Transport,
    /// The listener that it leaves by.
    pub(crate) listener: ListenerId,
    /// Over TLS: the name that the server must prove. `None`: its address.
    pub(crate) tls_name: Option<Arc<str>>,
}

impl Egress {
    /// What the health of the other end is kept under.
    pub(crate) fn place(&self) -> Place {
        (self.to.addr(), self.transport)
    }
}

impl View<'_> {
    /// The first of these targets that can be reached, how, and from which listener. It is taken out of the set. A large request for
    /// a target that leaves the transport open goes by TCP first, and by UDP if that fails.
    pub(crate) fn choose(&self, region: RegionId, prefer: ListenerId, length: usize, targets: &mut TargetSet) -> Option<Egress> {
        while !targets.is_empty() {
            let target = targets.remove(0);
            let to = target.fenced.addr();
            if target.transport.is_none()
                && length > DATAGRAM
                && self.no_stream.get(self.now, address_key(to)).is_none()
                && let Some(listener) = leave_by(self.config, region, prefer, Transport::Tcp, to)
            {
                let again = Target { transport: Some(Transport::Udp), ..target.clone() };
                // There is room: one was just taken out.
                let _ = targets.try_insert(0, again);
                return Some(Egress { to: target.fenced, transport: Transport::Tcp, listener, tls_name: target.tls_name });
            }
            let transport = target.transport.unwrap_or(Transport::Udp);
            if let Some(listener) = leave_by(self.config, region, prefer, transport, to) {
                return Some(Egress { to: target.fenced, transport, listener, tls_name: target.tls_name });
            }
        }
        None
    }
}

/// The listener to leave by: the preferred one if it fits, else the region's first that does; one that is leaving if there is no
/// other.
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

/// A target's address as a key. Two addresses never share one in a family. If two ever did across families, a large request would
/// only go in datagrams.
pub(crate) fn address_key(to: SocketAddr) -> u128 {
    let ip = match to.ip() {
        IpAddr::V4(ip) => u128::from(u32::from(ip)),
        IpAddr::V6(ip) => u128::from(ip),
    };
    ip.rotate_left(16) ^ u128::from(to.port())
}
