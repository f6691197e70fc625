//! Reads a next hop: an upstream, or a trunk's outbound URI.
//!
//! Resolves nothing and judges no address; the fence does that.

use std::net::{IpAddr, SocketAddr};

use super::next_hop::NextHop;
use super::report::Wrong;
use super::transport::Transport;
use super::value::{is_name, literal, plain};

/// A next hop as written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Written {
    pub(super) host: Host,
    pub(super) port: Option<u16>,
    pub(super) transport: Option<Transport>,
    /// Whether it is a `sips:` URI.
    pub(super) secure: bool,
    /// `host[:port][;parameters]`, for a Request-URI.
    pub(super) hostpart: String,
}

/// The host of a next hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Host {
    Address(IpAddr),
    /// Lower case.
    Name(String),
}

impl Written {
    /// Its address and port, if it is written as an address.
    pub(super) fn address(&self) -> Option<SocketAddr> {
        match self.host {
            Host::Address(ip) => {
                Some(SocketAddr::new(ip, self.port.unwrap_or_else(|| self.over().unwrap_or(Transport::Udp).port())))
            }
            Host::Name(_) => None,
        }
    }

    /// The next hop with this name as its host. A `sips:` URI means TLS, whatever its `transport` says.
    pub(super) fn next_hop(&self, host: &str) -> NextHop {
        let transport = if self.secure { None } else { self.transport };
        NextHop { host: host.to_owned(), port: self.port, transport, secure: self.secure }
    }

    /// The transport that the URI means. For `sips:` it is TLS, whatever its `transport` says.
    pub(super) fn over(&self) -> Option<Transport> {
        if self.secure { Some(Transport::Tls) } else { self.transport }
    }
}

const UPSTREAM: &str = "`sip:host[:port][;transport=udp|tcp|tls]`, `sips:host[:port]`, `host:port` or an address, for example `sip:livekit.eu.internal`";
const TRANSPORTS: &str = "`transport=udp`, `transport=tcp` or `transport=tls`";
const URI: &str = "`sip:host[:port][;parameters]` or `sips:…`, for example `sip:acme.pstn.example.com`";

/// Reads an upstream: a SIP URI without a user, or a host with or without a port. `transport` is the only parameter allowed,
/// because a message goes to an upstream with its own Request-URI.
pub(super) fn upstream(text: &str) -> Result<Written, Wrong> {
    let (rest, secure) = strip_scheme(text).unwrap_or((text, false));
    let (written, other) = read(text, rest, secure, UPSTREAM)?;
    match other {
        Some(name) => Err(Wrong::new(format!("parameter `{name}` means nothing for an upstream"), UPSTREAM)),
        None => Ok(written),
    }
}

/// A trunk's outbound URI: a SIP URI without a user.
pub(super) fn uri(text: &str) -> Result<Written, Wrong> {
    match strip_scheme(text) {
        Some((rest, secure)) => read(text, rest, secure, URI).map(|(written, _)| written),
        None => Err(Wrong::new(format!("`{text}` is no SIP URI"), URI)),
    }
}

/// The text after the scheme, and whether the scheme is `sips:`.
fn strip_scheme(text: &str) -> Option<(&str, bool)> {
    let after = |scheme: &str| text.split_at_checked(scheme.len()).filter(|(start, _)| start.eq_ignore_ascii_case(scheme));
    let rest = after("sips:").map(|(_, rest)| (rest, true));
    rest.or_else(|| after("sip:").map(|(_, rest)| (rest, false)))
}

/// The hop, and the first parameter beside `transport`, if any.
fn read<'t>(text: &str, rest: &'t str, secure: bool, right: &str) -> Result<(Written, Option<&'t str>), Wrong> {
    if rest.contains('@') {
        return Err(Wrong::new(format!("`{text}` has a user part; a call brings its own"), right));
    }
    if rest.contains('?') {
        return Err(Wrong::new(format!("`{text}` has headers"), right));
    }
    let (hostport, parameters) = rest.split_once(';').map_or((rest, None), |(host, rest)| (host, Some(rest)));
    let (host, port) =
        host_and_port(hostport).ok_or_else(|| Wrong::new(format!("`{hostport}` is no host or host:port"), right))?;
    if let Host::Address(ip) = host {
        plain(SocketAddr::new(ip, port.unwrap_or(5060)), right)?;
    } else if port == Some(0) {
        return Err(Wrong::new("port 0 is no port", "a port from 1 to 65535"));
    }
    let (mut transport, mut other) = (None, None);
    for parameter in parameters.into_iter().flat_map(|list| list.split(';')) {
        let (name, value) = parameter.split_once('=').map_or((parameter, None), |(name, value)| (name, Some(value)));
        if name.is_empty() || !parameter.bytes().all(is_parameter) {
            return Err(Wrong::new(format!("`;{parameter}` is no URI parameter"), right));
        }
        match name.to_ascii_lowercase().as_str() {
            "transport" if transport.is_some() => return Err(Wrong::new("`transport` stands twice", right)),
            "transport" => transport = Some(read_transport(value.unwrap_or_default())?),
            "maddr" => return Err(Wrong::new("`maddr` is never obeyed", "the address itself as the host")),
            _ => other = other.or(Some(name)),
        }
    }
    if secure && transport == Some(Transport::Udp) {
        return Err(Wrong::new("`sips:` over UDP cannot be", "`sips:` without `transport`: it means TLS"));
    }
    Ok((Written { host, port, transport, secure, hostpart: rest.to_owned() }, other))
}

fn read_transport(value: &str) -> Result<Transport, Wrong> {
    match value.to_ascii_lowercase().as_str() {
        "udp" => Ok(Transport::Udp),
        "tcp" => Ok(Transport::Tcp),
        "tls" => Ok(Transport::Tls),
        "ws" | "wss" | "sctp" => Err(Wrong::new(format!("`transport={value}` is not supported"), TRANSPORTS)),
        _ => Err(Wrong::new(format!("`{value}` is no transport"), TRANSPORTS)),
    }
}

fn host_and_port(text: &str) -> Option<(Host, Option<u16>)> {
    if let Some((ip, port)) = literal(text) {
        return Some((Host::Address(ip), port));
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port.bytes().all(|c| c.is_ascii_digit()).then(|| port.parse().ok())??)),
        None => (text, None),
    };
    let lower = host.to_ascii_lowercase();
    is_name(&lower).then_some((Host::Name(lower), port))
}

/// Whether an octet may stand in a URI parameter without an escape, or is `%` or `=` (RFC 3261 25.1: paramchar).
fn is_parameter(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"-_.!~*'()[]/:&+$%=".contains(&c)
}
