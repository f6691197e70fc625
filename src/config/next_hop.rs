//! A next hop before it is resolved or judged: an address or a name.

use std::net::SocketAddr;

use super::ids::NameId;
use super::transport::Transport;
use super::value;

/// A next hop: a name, or an address that the fence has not passed yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Hop {
    /// Written as an address.
    Address {
        /// The IP address and port to send to.
        addr: SocketAddr,
        /// The transport. `None`: UDP, or TCP for large requests (RFC 3261 18.1.1).
        transport: Option<Transport>,
    },
    /// Written as a name. Its servers stand among the resolved ones.
    Name(NameId),
}

/// A next hop with a name, from which the procedure of RFC 3263 4 starts.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct NextHop {
    /// The host name, lower case, without a dot at the end.
    pub host: String,
    /// The port written, if any: then there is no SRV look-up.
    pub port: Option<u16>,
    /// The transport written, if any: then there is no NAPTR look-up.
    pub transport: Option<Transport>,
    /// Whether it belongs to a `sips:` URI: then only TLS may be used.
    pub secure: bool,
}

impl NextHop {
    /// The next hop for a host name from the wire. `None`: the text is no host name (labels of letters, digits, hyphens and underscores,
    /// as in the configuration), or it is an address in another form.
    pub fn of_host(host: &[u8], port: Option<u16>, transport: Option<Transport>, secure: bool) -> Option<Self> {
        let host = std::str::from_utf8(host.strip_suffix(b".").unwrap_or(host)).ok()?.to_ascii_lowercase();
        value::is_name(&host).then_some(Self { host, port, transport, secure })
    }
}
