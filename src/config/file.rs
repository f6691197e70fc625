//! The shape of the files, field by field, each value with its place. `reader` fills it.

use std::net::SocketAddr;
use std::time::Duration;

use ipnet::IpNet;

use super::audit::AuditNumbers;
use super::hop::Written;
use super::limits::Numbers;
use super::mode::{Media, Mode};
use super::number_limits::AllowedCaller;
use super::report::{Place, Placed, Read};
use super::transport::Transport;
use super::value::Method;
use crate::fence::ServerNet;
use crate::numbering::{Country, Numbering, TechPrefix};
use crate::reason::Profile;

/// The values that only the main file may have.
#[derive(Debug)]
pub(super) struct Main {
    pub(super) serve: Read<Vec<Placed<String>>>,
    pub(super) serve_place: Place,
    pub(super) global: Read<Placed<String>>,
    pub(super) include: Read<Vec<Placed<String>>>,
    pub(super) reject: Read<Placed<Profile>>,
    pub(super) emergency: Read<Vec<Placed<String>>>,
    pub(super) emergency_place: Place,
    pub(super) admin: Option<Admin>,
    pub(super) gate: Option<Gate>,
    pub(super) dns_servers: Read<Vec<Placed<SocketAddr>>>,
    pub(super) dns_stale: Read<Placed<Duration>>,
    pub(super) dns_vanish: Read<Placed<Duration>>,
    pub(super) limits: Limits,
    pub(super) timers: Timers,
    pub(super) health: Health,
    pub(super) hep: Option<Hep>,
    pub(super) metrics: Option<Metrics>,
    pub(super) log: Option<Log>,
    pub(super) audit: Option<Audit>,
    pub(super) secret: Read<Placed<String>>,
}

/// `[admin]`.
#[derive(Debug)]
pub(super) struct Admin {
    pub(super) listen: Read<Placed<SocketAddr>>,
    pub(super) hosts: Read<Vec<Placed<String>>>,
}

/// `[metrics]`.
#[derive(Debug)]
pub(super) struct Metrics {
    pub(super) projects: Read<Placed<u64>>,
}

/// `[log]`.
#[derive(Debug)]
pub(super) struct Log {
    pub(super) numbers: Read<Placed<Numbers>>,
    pub(super) refused: Read<Placed<u64>>,
}

/// `[gate]`.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) place: Place,
    pub(super) listen: Read<Placed<SocketAddr>>,
    pub(super) connections: Read<Placed<u64>>,
}

/// `[audit]`.
#[derive(Debug)]
pub(super) struct Audit {
    pub(super) place: Place,
    pub(super) path: Read<Placed<String>>,
    pub(super) sign: Read<Placed<String>>,
    pub(super) retain: Read<Placed<Duration>>,
    pub(super) numbers: Read<Placed<AuditNumbers>>,
    pub(super) checkpoint: Read<Placed<Duration>>,
    pub(super) spool: Read<Placed<String>>,
}

/// `[limits]`.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) memory: Read<Placed<u64>>,
    pub(super) transactions: Read<Placed<u64>>,
    pub(super) per_source: Read<Placed<u32>>,
    pub(super) sources: Read<Placed<u64>>,
    pub(super) repeats: Read<Placed<u64>>,
    pub(super) connections: Read<Placed<u64>>,
    pub(super) connections_per_source: Read<Placed<u64>>,
    pub(super) write_queue: Read<Placed<u64>>,
    pub(super) message: Read<Placed<u64>>,
    pub(super) idle: Read<Placed<Duration>>,
    pub(super) partial: Read<Placed<Duration>>,
    pub(super) connect: Read<Placed<Duration>>,
    pub(super) handshakes: Read<Placed<u64>>,
    pub(super) handshake: Read<Placed<Duration>>,
}

/// `[timers]`.
#[derive(Debug)]
pub(super) struct Timers {
    pub(super) t1: Read<Placed<Duration>>,
    pub(super) t2: Read<Placed<Duration>>,
    pub(super) t4: Read<Placed<Duration>>,
    pub(super) c: Read<Placed<Duration>>,
    pub(super) drain: Read<Placed<Duration>>,
    pub(super) try_for: Read<Placed<Duration>>,
}

/// `[health]`.
#[derive(Debug)]
pub(super) struct Health {
    pub(super) interval: Read<Placed<Duration>>,
    pub(super) fall: Read<Placed<u64>>,
    pub(super) back_off: Read<Placed<Duration>>,
    pub(super) rise: Read<Placed<Duration>>,
}

/// `[hep]`.
#[derive(Debug)]
pub(super) struct Hep {
    pub(super) place: Place,
    pub(super) servers: Read<Vec<Placed<SocketAddr>>>,
    pub(super) node: Read<Placed<u64>>,
}

/// `[region.*]`.
#[derive(Debug)]
pub(super) struct Region {
    pub(super) name: Placed<String>,
    pub(super) hostname: Read<Placed<String>>,
    pub(super) listen: Read<Vec<Placed<(Transport, SocketAddr)>>>,
    pub(super) advertise: Read<Placed<String>>,
    pub(super) networks: Read<Vec<Placed<IpNet>>>,
    pub(super) servers: Read<Vec<Placed<ServerNet>>>,
    pub(super) upstream: Read<Vec<Placed<Written>>>,
    pub(super) nearest: Read<Vec<Placed<String>>>,
    pub(super) relays: Read<Vec<Placed<SocketAddr>>>,
    pub(super) methods: Read<Vec<Placed<Method>>>,
    pub(super) realtime: Read<Placed<String>>,
    pub(super) tls: Option<Tls>,
}

/// `[region.*.tls]`.
#[derive(Debug)]
pub(super) struct Tls {
    pub(super) place: Place,
    pub(super) certificate: Read<Placed<String>>,
    pub(super) key: Read<Placed<String>>,
    pub(super) client_ca: Read<Placed<String>>,
    pub(super) client_auth: Read<Placed<bool>>,
    pub(super) upstream_ca: Read<Placed<String>>,
    pub(super) client_certificate: Read<Placed<String>>,
    pub(super) client_key: Read<Placed<String>>,
}

/// `[project.*]`.
#[derive(Debug)]
pub(super) struct Project {
    pub(super) name: Placed<String>,
    pub(super) pin: Read<Vec<Placed<String>>>,
    pub(super) pin_place: Place,
    pub(super) mode: Read<Placed<Mode>>,
    pub(super) media: Read<Placed<Media>>,
    pub(super) source_in_region: Read<Placed<bool>>,
    pub(super) reject: Read<Placed<Profile>>,
    /// Names of its trunks by which calls out to its own endpoint go, in order.
    pub(super) out: Read<Vec<Placed<String>>>,
    pub(super) out_place: Place,
    /// The keys of realtime servers whose tokens are its.
    pub(super) api_keys: Read<Vec<Placed<String>>>,
    pub(super) api_keys_place: Place,
    pub(super) trunks: Vec<Trunk>,
}

/// `[project.*.trunk.*]`.
#[derive(Debug)]
pub(super) struct Trunk {
    pub(super) name: Placed<String>,
    pub(super) networks: Read<Vec<Placed<IpNet>>>,
    pub(super) certificates: Read<Vec<Placed<String>>>,
    pub(super) media: Read<Vec<Placed<IpNet>>>,
    pub(super) uri: Read<Vec<Placed<Written>>>,
    pub(super) uri_place: Place,
    pub(super) advance: Read<Vec<Placed<u64>>>,
    pub(super) advance_place: Place,
    pub(super) ping: Read<Placed<Duration>>,
    pub(super) outbound_networks: Read<Vec<Placed<IpNet>>>,
    pub(super) outbound_place: Place,
    pub(super) countries: Read<Vec<Placed<Country>>>,
    pub(super) countries_place: Place,
    pub(super) callers: Read<Vec<Placed<AllowedCaller>>>,
    pub(super) callers_place: Place,
    pub(super) numbering: Read<Placed<Numbering>>,
    pub(super) strip: Read<Placed<TechPrefix>>,
    pub(super) refuses_emergency: Read<Placed<bool>>,
    pub(super) reject: Read<Placed<Profile>>,
}

/// Regions, from any file, and those projects that do not stand in tables of their own.
#[derive(Debug, Default)]
pub(super) struct Parts {
    pub(super) regions: Vec<Region>,
    pub(super) projects: Vec<Project>,
}
