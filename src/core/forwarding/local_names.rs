//! The names of our listeners in Via and Record-Route, and the listener that a request leaves by.

use std::net::{IpAddr, SocketAddr};

use crate::config::{Config, ListenerId, RegionId, Transport};
use crate::core::forwarding::branch::Branch;
use crate::core::routing::route_token::Token;

/// What a listener calls itself, in Via and Record-Route: `host:port`.
#[derive(Debug)]
pub(crate) struct LocalNames {
    fixed: Vec<Option<Box<[u8]>>>,
}

impl LocalNames {
    /// Names every listener that has a name of its own: an advertised one, or the address that it is bound to.
    pub(crate) fn of(config: &Config) -> Self {
        let name = |listener: &crate::config::Listener| {
            let port = listener.addr.port();
            let region = config.region(listener.region);
            let advertised = region.advertise.as_deref();
            // An advertised address speaks for the listeners of its family alone.
            let host = match advertised.map(|host| (host, host.parse::<IpAddr>().ok())) {
                Some((_, Some(ip))) if ip.is_ipv4() == listener.addr.is_ipv4() => SocketAddr::new(ip, port).to_string(),
                Some((host, None)) => format!("{host}:{port}"),
                // A peer that connects to this name checks the certificate against it (RFC 5922 7.3).
                None if listener.transport == Transport::Tls => format!("{}:{port}", region.hostname),
                _ if !listener.addr.ip().is_unspecified() => listener.addr.to_string(),
                _ => return None,
            };
            Some(host.into_bytes().into_boxed_slice())
        };
        Self { fixed: config.listeners.iter().map(name).collect() }
    }

    /// Writes the name of a listener. A listener bound to a wildcard address is named by the address that was called. If that
    /// address is of the other family, the name is the region's hostname.
    pub(crate) fn write(&self, config: &Config, id: ListenerId, called: IpAddr, out: &mut Vec<u8>) {
        if let Some(name) = self.fixed.get(usize::from(id.0)).and_then(Option::as_deref) {
            return out.extend_from_slice(name);
        }
        let listener = config.listener(id);
        let port = listener.addr.port();
        let text = if called.is_ipv4() == listener.addr.is_ipv4() {
            SocketAddr::new(called, port).to_string()
        } else {
            format!("{}:{port}", config.region(listener.region).hostname)
        };
        out.extend_from_slice(text.as_bytes());
    }

    /// The listener of a region that has this name.
    pub(crate) fn find(&self, config: &Config, region: RegionId, hostport: &[u8], transport: Transport) -> Option<ListenerId> {
        config.region(region).listeners.iter().copied().find(|&id| {
            config.listener(id).transport == transport
                && self
                    .fixed
                    .get(usize::from(id.0))
                    .and_then(Option::as_deref)
                    .is_some_and(|name| name.eq_ignore_ascii_case(hostport))
        })
    }
}

/// The names of the two listeners of one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OwnRows<'a> {
    pub(crate) config: &'a Config,
    pub(crate) names: &'a LocalNames,
    /// The listener that the request came to, and the address that was called.
    pub(crate) arrived: ListenerId,
    pub(crate) called: IpAddr,
    /// The listener to leave by.
    pub(crate) leaves: ListenerId,
    /// Whether the request goes on to a `sips:` URI: then our Record-Route is a `sips:` URI too (RFC 3261 16.6 step 4).
    pub(crate) secure: bool,
}

impl OwnRows<'_> {
    /// Writes our Via, and our Record-Route if there is a token. The Record-Route has one value, or two if the sides differ in
    /// transport or family (RFC 5658, RFC 6157 3.1.1). The upper value faces the next hop.
    pub(crate) fn write(&self, branch: Branch, token: Option<&Token>, out: &mut Vec<u8>) {
        let leaves = self.config.listener(self.leaves);
        out.extend_from_slice(b"Via: SIP/2.0/");
        out.extend_from_slice(leaves.transport.via().as_bytes());
        out.push(b' ');
        self.names.write(self.config, self.leaves, self.called, out);
        out.extend_from_slice(b";rport;branch=");
        out.extend_from_slice(&branch.text());
        out.extend_from_slice(b"\r\n");
        let Some(token) = token else { return };
        let arrived = self.config.listener(self.arrived);
        if leaves.transport != arrived.transport || leaves.addr.is_ipv4() != arrived.addr.is_ipv4() {
            self.record_route(self.leaves, leaves.transport, token, out);
            self.record_route(self.arrived, arrived.transport, token, out);
        } else {
            self.record_route(self.arrived, arrived.transport, token, out);
        }
    }

    fn record_route(&self, listener: ListenerId, transport: Transport, token: &Token, out: &mut Vec<u8>) {
        let sips = self.secure && transport == Transport::Tls;
        out.extend_from_slice(if sips { b"Record-Route: <sips:" } else { b"Record-Route: <sip:" });
        self.names.write(self.config, listener, self.called, out);
        if !sips {
            out.extend_from_slice(transport.parameter().as_bytes());
        }
        out.extend_from_slice(b";lr;rf=");
        out.extend_from_slice(token);
        out.extend_from_slice(b">\r\n");
    }
}
