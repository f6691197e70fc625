//! A region and its listeners, as the snapshot holds them.

use std::net::SocketAddr;
use std::sync::Arc;

use super::ids::{ListenerId, RegionId};
use super::next_hop::Hop;
use super::transport::Transport;
use crate::fence::{Fence, Fenced, Networks, ServerSet};
use crate::tls::{Calling, Certificate};

/// Most media relays of a region.
pub const MAX_RELAYS: usize = 16;

/// A region (`[region.*]`): the networks, servers and listeners that calls must not leave.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a different thing that the operator said")]
pub struct Region {
    /// The operator's name for it, as in metric labels.
    pub name: String,
    /// Its hostname, lower case.
    pub hostname: String,
    /// Whether this daemon listens for it.
    pub served: bool,
    /// Whether the snapshot before served it and this one does not. Open calls there may end, and no new call begins.
    pub leaving: bool,
    /// The networks inside it.
    pub networks: Networks,
    /// Where SIP may go inside it, and who is a server (`servers`). `None`: what `upstream` resolves to.
    pub servers: Option<ServerSet>,
    /// Its servers, in the order to be tried.
    pub upstream: Vec<Hop>,
    /// The regions for failover of unpinned projects, nearest first.
    pub nearest: Vec<RegionId>,
    /// The control addresses of its media relays (rtpengine's ng protocol over UDP). All are inside it, and there are at most
    /// [`MAX_RELAYS`].
    pub relays: Vec<SocketAddr>,
    /// The host in Via and Record-Route, instead of the listener's address: an IP address (IPv6 without brackets) or a name.
    pub advertise: Option<String>,
    /// Whether REGISTER is forwarded instead of refused with 405 (`methods`).
    pub register: bool,
    /// Whether PUBLISH is forwarded instead of refused with 405 (`methods`).
    pub publish: bool,
    /// Where realtime clients connect to, as SDKs take it: `wss://eu.rtc.example.com`.
    pub realtime: Option<Box<str>>,
    /// Its listeners, in the order of the file; empty if it is not served here.
    pub listeners: Vec<ListenerId>,
    /// Its certificate, and the roots that it trusts.
    pub tls: Option<Tls>,
    /// The receiver of copies of its messages.
    pub collector: Option<Collector>,
}

impl Region {
    /// What is inside for a new call to its servers, and for pings: its networks and, of these, its `servers` if it names any.
    pub fn fence(&self) -> Fence<'_> {
        match &self.servers {
            Some(servers) => Fence::of_servers(&self.networks, servers, &[]),
            None => Fence::of_region(&self.networks),
        }
    }
}

/// A region's certificate, and the roots that it trusts (`[region.*.tls]`).
#[derive(Clone, Debug)]
pub struct Tls {
    /// Its certificate's names and validity.
    pub certificate: Certificate,
    /// For accepted connections. They choose among the certificates of all served regions.
    pub server: Arc<rustls::ServerConfig>,
    /// For connections that we open. `None`: no roots are known, so we cannot open any.
    pub client: Option<Arc<Calling>>,
    /// What the certificate says that is shown to servers that ask for one. `None`: none is shown.
    pub shows: Option<Certificate>,
}

/// The receiver of copies of a region's messages (`[hep]`). It stands inside that region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Its address, which the region's fence has passed.
    pub to: Fenced,
    /// The number by which it knows this daemon.
    pub node: u32,
}

/// A socket to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// The region whose calls arrive there.
    pub region: RegionId,
    /// The transport that it takes messages over.
    pub transport: Transport,
    /// The address and port to bind; may be a wildcard address.
    pub addr: SocketAddr,
    /// Whether only the snapshot before named it. Then it takes no new calls.
    pub leaving: bool,
}
