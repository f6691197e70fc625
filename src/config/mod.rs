//! The validated snapshot that every part reads. It cannot hold a contradiction: whoever has a [`Config`] may index it
//! without asking.
//!
//! [`load`] makes it from the operator's files or says everything that is wrong with them. This module reads files and
//! nothing else; it never resolves a name and never changes after loading.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::fence::{Fenced, Networks};
use crate::reason::Profile;
use crate::tls::{Certificate, Shown};

mod bounds;
mod build;
mod callers;
mod endpoint;
mod error;
mod file;
mod hep;
mod hop;
mod hop_users;
mod include;
mod leaving;
mod load;
mod overlap;
mod report;
mod secure;
mod table;
mod value;
mod warning;

pub use callers::{CallerTable, Callers};
pub use endpoint::{Endpoint, Endpoints};
pub use error::{ConfigError, Mistake};
pub use hop_users::{Use, Written};
pub use leaving::Needed;
pub use load::{load, parse};

/// Most media relays of a region.
pub const MAX_RELAYS: usize = 16;

/// Index of a region in [`Config::regions`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RegionId(pub u16);

/// Index of a project in [`Config::projects`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProjectId(pub u32);

/// Index of a trunk in [`Config::trunks`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TrunkId(pub u32);

/// Index of a listener in [`Config::listeners`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ListenerId(pub u16);

/// Index of a name in [`Config::names`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NameId(pub u32);

/// How a message travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Transport {
    /// One datagram, one message.
    Udp,
    /// A stream framed by Content-Length.
    Tcp,
    /// The same within TLS.
    Tls,
}

impl Transport {
    /// Every transport, in the order of the discriminants.
    pub const ALL: [Self; 3] = [Self::Udp, Self::Tcp, Self::Tls];

    /// As in metric labels and in the `transport` URI parameter: `udp`, `tcp`, `tls`.
    pub const fn token(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }

    /// As in Via: `UDP`, `TCP`, `TLS`.
    pub const fn via(self) -> &'static str {
        match self {
            Self::Udp => "UDP",
            Self::Tcp => "TCP",
            Self::Tls => "TLS",
        }
    }

    /// Whether the transport delivers or says that it did not: no retransmission timers (RFC 3261 17).
    pub const fn reliable(self) -> bool {
        matches!(self, Self::Tcp | Self::Tls)
    }

    /// The port of a hop that names none (RFC 3261 19.1.2).
    pub const fn port(self) -> u16 {
        if matches!(self, Self::Tls) { 5061 } else { 5060 }
    }

    /// The parameter of a `sip:` URI that names it; UDP goes without saying.
    pub const fn parameter(self) -> &'static str {
        match self {
            Self::Udp => "",
            Self::Tcp => ";transport=tcp",
            Self::Tls => ";transport=tls",
        }
    }
}

/// Everything the daemon was told, checked.
#[derive(Debug)]
pub struct Config {
    /// SHA-256 of the files as read, in hex: which configuration this is.
    pub digest: String,
    /// The files read, the main one first.
    pub files: Vec<PathBuf>,
    /// All regions of the file, served here or not.
    pub regions: Vec<Region>,
    /// All projects.
    pub projects: Vec<Project>,
    /// All trunks of all projects.
    pub trunks: Vec<Trunk>,
    /// The sockets of the served regions.
    pub listeners: Vec<Listener>,
    /// Every next hop with a name, without duplicates.
    pub names: Vec<NextHop>,
    /// Host names to endpoints.
    pub endpoints: Endpoints,
    /// Source addresses to trunks.
    pub caller_table: CallerTable,
    /// The answer profile where no trunk is known.
    pub reject: Profile,
    /// `/metrics`, `/healthz`, `/readyz`, `/status`.
    pub admin: Option<SocketAddr>,
    /// How names are resolved.
    pub dns: Dns,
    /// Every bound.
    pub limits: Limits,
    /// RFC 3261 timers.
    pub timers: Timers,
    /// How the health of targets is kept.
    pub health: Health,
    /// Signs route tokens. `None`: made at start, so dialogs do not survive a restart and cannot be shared by nodes.
    pub secret: Option<Secret>,
    /// What is allowed and yet probably not meant, in the order of the files.
    pub warnings: Vec<Mistake>,
}

/// A named place.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a different thing that the operator said")]
pub struct Region {
    /// The operator's name for it, as in metric labels.
    pub name: String,
    /// Its hostname, lower case.
    pub hostname: String,
    /// Whether this daemon listens for it.
    pub served: bool,
    /// Whether it was served by the snapshot before and is not by this one: what is open there may end, no call begins.
    pub leaving: bool,
    /// The networks inside it.
    pub networks: Networks,
    /// Its servers, in the order to be tried.
    pub upstream: Vec<Hop>,
    /// Regions for failover of unpinned projects, nearest first.
    pub nearest: Vec<RegionId>,
    /// Where its media relays are told what to do (rtpengine's ng protocol over UDP); all inside it, at most [`MAX_RELAYS`].
    pub relays: Vec<SocketAddr>,
    /// What Via and Record-Route carry instead of the listener's address: an IP address (IPv6 without brackets) or a name.
    pub advertise: Option<String>,
    /// Whether REGISTER is forwarded instead of refused with 405 (`methods`).
    pub register: bool,
    /// Whether PUBLISH is forwarded instead of refused with 405 (`methods`).
    pub publish: bool,
    /// Its sockets.
    pub listeners: Vec<ListenerId>,
    /// Its certificate, and whom it believes.
    pub tls: Option<Tls>,
    /// Who gets a copy of its messages.
    pub collector: Option<Collector>,
}

/// A region's certificate, and whom it believes (`[region.*.tls]`).
#[derive(Clone, Debug)]
pub struct Tls {
    /// What its certificate says.
    pub certificate: Certificate,
    /// For connections that are accepted; they choose among the certificates of all served regions.
    pub server: Arc<rustls::ServerConfig>,
    /// For connections that are opened; `None`: no roots are known, so none can be.
    pub client: Option<Arc<rustls::ClientConfig>>,
}

/// Who gets a copy of a region's messages (`[hep]`): somebody inside that region.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Collector {
    /// Where.
    pub to: Fenced,
    /// The number by which it knows this daemon.
    pub node: u32,
}

/// A place to send to that is not an address yet, or is one that the fence has still to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Written as an address.
    Address {
        /// Where.
        addr: SocketAddr,
        /// How. `None`: UDP, or TCP for large requests (RFC 3261 18.1.1).
        transport: Option<Transport>,
    },
    /// Written as a name: its servers stand in the targets.
    Name(NameId),
}

/// A next hop with a name: what RFC 3263 4 starts from.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    /// The host name, lower case, without a dot at the end.
    pub host: String,
    /// The port written, if any: then there is no SRV look-up.
    pub port: Option<u16>,
    /// The transport written, if any: then there is no NAPTR look-up.
    pub transport: Option<Transport>,
    /// Whether it is a `sips:` URI's: nothing but TLS will do.
    pub secure: bool,
}

/// A customer.
#[derive(Debug)]
pub struct Project {
    /// Its endpoint label, lower case.
    pub name: String,
    /// The regions its calls may use; `None`: unpinned.
    pub pin: Option<Vec<RegionId>>,
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// What is done about media addresses.
    pub media: Media,
    /// Whether sources must be inside the region too (`source = "in-region"`).
    pub source_in_region: bool,
    /// The answer profile where no trunk is known.
    pub reject: Profile,
    /// Its trunks.
    pub trunks: Vec<TrunkId>,
}

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Refuse.
    Enforce,
    /// Decide, count, log, refuse nothing.
    Shadow,
}

/// What is done about media addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Media {
    /// Nothing is read.
    Off,
    /// Read, counted, logged, let through.
    Warn,
    /// Outside is refused.
    Enforce,
    /// The same, and what passes is led through a relay of the called region.
    Relay,
}

/// A carrier connection of a project.
#[derive(Debug)]
pub struct Trunk {
    /// The operator's name for it, lower case.
    pub name: String,
    /// Whose it is.
    pub project: ProjectId,
    /// Where it signals from; empty: its certificate alone says who it is.
    pub networks: Networks,
    /// Names of which its client certificate must have one, lower case; empty: none is needed. With `networks` both must hold.
    pub certificates: Vec<String>,
    /// Where its RTP comes from, on top of the region's networks.
    pub media: Networks,
    /// Where its outbound calls go.
    pub outbound: Option<Outbound>,
    /// Where requests inside its calls may go beside `networks`: those that `outbound_networks` names.
    pub reach: Networks,
    /// What makes it stop.
    pub reject: Profile,
}

/// Where a trunk's outbound calls go.
#[derive(Debug)]
pub struct Outbound {
    /// The hop.
    pub hop: Hop,
    /// What follows the user part in the Request-URI sent, whose scheme is the call's: `host[:port][;parameters]` of the configured URI.
    pub hostpart: String,
    /// The only addresses that the hop may resolve to.
    pub networks: Networks,
}

/// A socket to bind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Whose calls arrive there.
    pub region: RegionId,
    /// How.
    pub transport: Transport,
    /// Where; may be a wildcard address.
    pub addr: SocketAddr,
    /// Whether only the snapshot before named it: it takes no new calls.
    pub leaving: bool,
}

/// How names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Dns {
    /// Servers to ask over UDP and TCP; empty: the system's.
    pub servers: Vec<SocketAddr>,
    /// How long an expired answer may serve while DNS is down.
    pub stale: Duration,
}

/// Every bound, with its behaviour when reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Open transactions; beyond: 160. Requests inside dialogs get a quarter more, so that calls can end while new ones are refused.
    pub transactions: usize,
    /// New requests of one source a second; beyond: 160, beyond twice as many: dropped. `None`: no bound for trunks and servers.
    pub per_source: Option<u32>,
    /// Sources whose rate is remembered; beyond: the longest unseen is forgotten.
    pub sources: usize,
    /// Refused calls remembered to recognise repeats; beyond: the oldest is forgotten.
    pub repeats: usize,
    /// Open stream connections; beyond: not accepted.
    pub connections: usize,
    /// Open stream connections of one source address; beyond: closed at once.
    pub connections_per_source: usize,
    /// Octets waiting to be written to one connection; beyond: the connection is closed.
    pub write_queue: usize,
    /// Octets of one message on a stream; beyond: 513 and close.
    pub message: usize,
    /// How long a stream connection may be silent.
    pub idle: Duration,
    /// How long a message may take to arrive whole on a stream.
    pub partial: Duration,
    /// How long connecting to an upstream may take.
    pub connect: Duration,
    /// TLS handshakes with clients under way; beyond: the oldest is given up.
    pub handshakes: usize,
    /// How long a TLS handshake may take.
    pub handshake: Duration,
}

/// RFC 3261 timers (17.1.1.1, appendix A).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Timers {
    /// Round-trip estimate.
    pub t1: Duration,
    /// Longest interval between retransmissions of a non-INVITE request and of an INVITE response.
    pub t2: Duration,
    /// How long a message stays in the network.
    pub t4: Duration,
    /// How long a forwarded INVITE may ring without a response (timer C, more than 3 minutes by 16.6 step 11).
    pub c: Duration,
    /// How long a draining daemon waits for its transactions.
    pub drain: Duration,
    /// How long an attempt may stay without any response while there is another target.
    pub try_for: Duration,
}

/// How the health of targets is kept (`[health]`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Health {
    /// The time between two OPTIONS to a target that is up; `None`: none are sent, calls alone tell.
    pub interval: Option<Duration>,
    /// Failures in a row that take a target out although something of it was heard meanwhile. Silence takes it out at once.
    pub fall: u32,
    /// The longest time between two trials of a target that is down; the first is a second, and each is twice the one before.
    pub back_off: Duration,
    /// The time over which a target that is back gets its full share of calls.
    pub rise: Duration,
}

/// The key that signs route tokens.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(pub [u8; 16]);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(..)")
    }
}

impl NextHop {
    /// The next hop of a host name that somebody sent; `None` if it is none: letters, digits and hyphens in labels, as hosts have
    /// them, and no address in disguise.
    pub fn of_host(host: &[u8], port: Option<u16>, transport: Option<Transport>, secure: bool) -> Option<Self> {
        let host = std::str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?.to_ascii_lowercase();
        (value::is_hostname(&host) && !host.contains('_')).then_some(Self { host, port, transport, secure })
    }
}

impl Config {
    /// The region of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn region(&self, id: RegionId) -> &Region {
        &self.regions[usize::from(id.0)]
    }

    /// The project of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn project(&self, id: ProjectId) -> &Project {
        &self.projects[id.0 as usize]
    }

    /// The trunk of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn trunk(&self, id: TrunkId) -> &Trunk {
        &self.trunks[id.0 as usize]
    }

    /// The host of a next hop's name.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn name(&self, id: NameId) -> &str {
        &self.names[id.0 as usize].host
    }

    /// The listener of an id.
    #[expect(clippy::indexing_slicing, reason = "ids are made by load alone, for this snapshot")]
    pub fn listener(&self, id: ListenerId) -> &Listener {
        &self.listeners[usize::from(id.0)]
    }

    /// The trunks that speak from this address, having shown this.
    pub fn callers<'a>(&'a self, ip: IpAddr, shown: Option<&'a Shown>) -> Callers<'a> {
        Callers::new(self, ip, shown)
    }

    /// Whether any server or trunk of the daemon's could speak from this address, having shown this.
    pub fn knows(&self, region: RegionId, ip: IpAddr, shown: Option<&Shown>) -> bool {
        self.region(region).networks.contains(ip) || !self.callers(ip, shown).is_empty()
    }
}
