//! Where something may be sent to before anybody has resolved or judged it: an address or a name.

use std::net::SocketAddr;

use super::ids::NameId;
use super::transport::Transport;
use super::value;

/// A place to send to that is not an address yet, or is one that the fence has still to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hop {
    /// Written as an address.
    Address {
        /// The IP address and port to send to.
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

impl NextHop {
    /// The next hop of a host name that somebody sent; `None` if it is none: letters, digits and hyphens in labels, as hosts have
    /// them, and no address in disguise.
    pub fn of_host(host: &[u8], port: Option<u16>, transport: Option<Transport>, secure: bool) -> Option<Self> {
        let host = std::str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?.to_ascii_lowercase();
        (value::is_hostname(&host) && !host.contains('_')).then_some(Self { host, port, transport, secure })
    }
}
