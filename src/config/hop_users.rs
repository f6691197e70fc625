//! Which regions and trunks send to a hop, and where each of them may send. For the commands and `/status`, which tell people.
//!
//! Calls do not use this: they ask the fence for a [`Fenced`](crate::fence::Fenced), and nothing here gives one away.

use std::fmt;
use std::net::SocketAddr;
use std::str::FromStr;

use super::hop::{self, Host};
use super::ids::{RegionId, TrunkId};
use super::next_hop::{Hop, NextHop};
use super::region::Listener;
use super::snapshot::Config;
use super::transport::Transport;
use crate::fence::Fence;

/// A hop as an operator writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// An IP address: nothing is looked up.
    Address {
        /// Its IP address and port; 5060, or 5061 over TLS, if none was written.
        addr: SocketAddr,
        /// The transport that was written; `None`: UDP, or TCP for large requests (RFC 3261 18.1.1).
        transport: Option<Transport>,
    },
    /// A host name: its servers are looked up (RFC 3263 4).
    Name(NextHop),
}

impl FromStr for Written {
    type Err = String;

    /// Reads a hop as it may stand in `upstream` or in a trunk's `uri`.
    fn from_str(text: &str) -> Result<Self, String> {
        let written = hop::upstream(text).or_else(|error| hop::uri(text).map_err(|_| error));
        let written = written.map_err(|error| format!("{}; right would be {}", error.wrong, error.right))?;
        Ok(match written.host {
            Host::Address(ip) => {
                let transport = written.over();
                let port = written.port.unwrap_or_else(|| transport.unwrap_or(Transport::Udp).port());
                Self::Address { addr: SocketAddr::new(ip, port), transport }
            }
            Host::Name(ref host) => Self::Name(written.next_hop(host)),
        })
    }
}

impl fmt::Display for NextHop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", if self.secure { "sips" } else { "sip" }, self.host)?;
        if let Some(port) = self.port {
            write!(f, ":{port}")?;
        }
        parameter(self.transport, f)
    }
}

impl fmt::Display for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => name.fmt(f),
            Self::Address { addr, transport } => {
                write!(f, "sip:{addr}")?;
                parameter(*transport, f)
            }
        }
    }
}

fn parameter(transport: Option<Transport>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match transport {
        Some(transport) => write!(f, ";transport={}", transport.token()),
        None => Ok(()),
    }
}

/// The region or trunk that a next hop belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// A server of this region (`upstream`): calls in go there.
    Region(RegionId),
    /// The carrier of this trunk (`uri`): calls out go there.
    Trunk(TrunkId),
}

impl Config {
    /// The uses of a hop: regions first, in the order of the files.
    pub fn uses(&self, written: &Written) -> Vec<Use> {
        let hop = match written {
            Written::Address { addr, transport } => Some(Hop::Address { addr: *addr, transport: *transport }),
            Written::Name(name) => self.name_id(name).map(Hop::Name),
        };
        let Some(hop) = hop else { return Vec::new() };
        let regions = (0..).map(RegionId).zip(&self.regions).filter(|(_, region)| region.upstream.contains(&hop));
        let trunks = (0..)
            .map(TrunkId)
            .zip(&self.trunks)
            .filter(|(_, trunk)| trunk.outbound().is_some_and(|outbound| outbound.hops.contains(&hop)));
        regions.map(|(id, _)| Use::Region(id)).chain(trunks.map(|(id, _)| Use::Trunk(id))).collect()
    }

    /// Whether an address is inside for that use.
    pub fn inside(&self, of: Use, addr: SocketAddr) -> bool {
        let fence = match of {
            Use::Region(id) => Some(self.region(id).fence()),
            Use::Trunk(id) => self.trunk(id).outbound().map(|outbound| Fence::of_outbound(&outbound.networks)),
        };
        fence.is_some_and(|fence| fence.admit(addr).is_ok())
    }

    /// Whether a region's listener can send to an address for calls of that use. A region that is not served here counts as
    /// having one, because the listeners of the daemon that serves it are not known here.
    pub fn leaves(&self, of: Use, transport: Option<Transport>, addr: SocketAddr) -> bool {
        let fits = |listener: &Listener| {
            listener.transport == transport.unwrap_or(Transport::Udp) && listener.addr.is_ipv4() == addr.is_ipv4()
        };
        match of {
            Use::Region(id) if !self.region(id).served => true,
            Use::Region(id) => self.listeners.iter().any(|listener| listener.region == id && fits(listener)),
            Use::Trunk(_) => self.listeners.iter().any(fits),
        }
    }

    /// The regions that an address is inside, whether they use it or not.
    pub(crate) fn regions_of(&self, addr: SocketAddr) -> Vec<RegionId> {
        let ids = (0..).map(RegionId).take(self.regions.len());
        ids.filter(|&id| self.inside(Use::Region(id), addr)).collect()
    }

    /// The name of a use, for people: `region eu`, `trunk twilio-ie of acme`.
    pub(crate) fn use_label(&self, of: Use) -> String {
        match of {
            Use::Region(id) => format!("region {}", self.region(id).name),
            Use::Trunk(id) => {
                let trunk = self.trunk(id);
                format!("trunk {} of {}", trunk.name, self.project(trunk.project).name)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn config() -> Config {
        let text = "serve = [\"eu\"]\n[region.eu]\nhostname = \"eu.example.com\"\nlisten = [\"udp:127.0.0.1:5060\"]\n\
             networks = [\"10.0.0.0/8\"]\nupstream = [\"sip:a.example.net\", \"10.0.0.1\"]\n[region.us]\n\
             hostname = \"us.example.com\"\nnetworks = [\"192.0.2.0/24\"]\nupstream = \"a.example.net\"\n[project.acme]\n\
             [project.acme.trunk.one]\nnetworks = [\"198.51.100.0/24\"]\nuri = \"sip:A.example.net;user=phone\"\n";
        super::super::parse(Path::new("test.toml"), text).unwrap()
    }

    #[test]
    fn a_name_belongs_to_all_who_write_it() {
        let config = config();
        let uses = |text: &str| {
            let uses = config.uses(&text.parse().unwrap());
            uses.into_iter().map(|of| config.use_label(of)).collect::<Vec<_>>()
        };
        assert_eq!(uses("sip:a.example.net"), ["region eu", "region us", "trunk one of acme"]);
        assert_eq!(uses("sip:10.0.0.1:5060"), ["region eu"]);
        assert_eq!(uses("a.example.net:5060"), Vec::<String>::new(), "another next hop: no SRV");
    }

    #[test]
    fn inside_is_what_the_fence_of_that_use_says() {
        let config = config();
        let uses = config.uses(&"a.example.net".parse().unwrap());
        let inside = |addr: &str| uses.iter().map(|&of| config.inside(of, addr.parse().unwrap())).collect::<Vec<_>>();
        assert_eq!(inside("10.9.9.9:5060"), [true, false, false]);
        assert_eq!(inside("198.51.100.7:5060"), [false, false, true]);
        assert_eq!(inside("10.9.9.9:0"), [false; 3], "never a destination");
        let leaves = |transport, addr: &str| {
            uses.iter().map(|&of| config.leaves(of, transport, addr.parse().unwrap())).collect::<Vec<_>>()
        };
        assert_eq!(leaves(None, "10.9.9.9:5060"), [true; 3]);
        assert_eq!(leaves(Some(Transport::Tcp), "10.9.9.9:5060"), [false, true, false], "nothing is known of us");
        assert_eq!(leaves(None, "[2001:db8::1]:5060"), [false, true, false]);
        assert_eq!(config.regions_of("192.0.2.1:5060".parse().unwrap()), [RegionId(1)]);
    }

    #[test]
    fn a_hop_is_shown_as_it_could_be_written() {
        for text in [
            "sip:a.example.net",
            "sips:a.example.net:5071",
            "sip:a.example.net:5070;transport=tcp",
            "sip:a;transport=tls",
            "sip:[2001:db8::1]:5060;transport=udp",
        ] {
            let written: Written = text.parse().unwrap();
            assert_eq!(written.to_string(), text);
        }
    }

    #[test]
    fn what_no_file_could_say_is_no_hop() {
        for wrong in ["", "sip:", "sip:a@b", "a b", "sips:a;transport=udp", "a.example.net:0", "sip:a;maddr=10.0.0.1", "[::1]:0"]
        {
            assert!(wrong.parse::<Written>().is_err(), "{wrong}");
        }
    }
}
