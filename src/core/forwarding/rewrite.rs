//! The bytes of a forwarded request and of what a proxy makes itself for an attempt: CANCEL, ACK, the next attempt.
//!
//! Everything is a splice over received bytes; the body is never touched (RFC 3261 16.6 step 1), but for a relay's description.

use std::net::{IpAddr, SocketAddr};

use bytes::Bytes;

use crate::config::{Config, ListenerId, RegionId, Transport};
use crate::core::forwarding::branch::Branch;
use crate::core::media_relay::MediaSwap;
use crate::core::transaction::Token;
use crate::sip::edit::Edit;
use crate::sip::number::decimal;
use crate::sip::scan::Start;
use crate::sip::{Message, Method, Name, Request};

/// Memory reused from message to message.
#[derive(Debug, Default)]
pub(crate) struct Work {
    pub(crate) edit: Edit,
    pub(crate) buffer: Vec<u8>,
    /// What goes on of the response at hand.
    pub(crate) swap: MediaSwap,
}

impl Work {
    /// Applies the pending edit and hands out the result.
    pub(crate) fn apply(&mut self, source: &[u8]) -> Bytes {
        self.buffer.clear();
        self.edit.apply(source, &mut self.buffer);
        Bytes::copy_from_slice(&self.buffer)
    }
}

/// What a listener calls itself, in Via and Record-Route: `host:port`.
#[derive(Debug)]
pub(crate) struct Names {
    fixed: Vec<Option<Box<[u8]>>>,
}

impl Names {
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
                // Whoever comes back here checks the certificate against what it was told (RFC 5922 7.3).
                None if listener.transport == Transport::Tls => format!("{}:{port}", region.hostname),
                _ if !listener.addr.ip().is_unspecified() => listener.addr.to_string(),
                _ => return None,
            };
            Some(host.into_bytes().into_boxed_slice())
        };
        Self { fixed: config.listeners.iter().map(name).collect() }
    }

    /// The name of a listener. One bound to a wildcard address is called by the address that was called, or by its region's
    /// hostname if that is of the other family.
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

    /// The listener of a region that is called so.
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

/// Who is called what in one attempt.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a> {
    pub(crate) config: &'a Config,
    pub(crate) names: &'a Names,
    /// The listener that was called, and by which address.
    pub(crate) arrived: ListenerId,
    pub(crate) called: IpAddr,
    /// The listener to leave by.
    pub(crate) leaves: ListenerId,
    /// Whether the request goes on to a `sips:` URI: then our Record-Route is one (RFC 3261 16.6 step 4).
    pub(crate) secure: bool,
}

impl Sides<'_> {
    /// Our Via, and our Record-Route if there is a token: one value, or two where the sides differ in transport or family (RFC 5658,
    /// RFC 6157 3.1.1); the upper one faces the next hop.
    pub(crate) fn head(&self, branch: Branch, token: Option<&Token>, out: &mut Vec<u8>) {
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

/// The edits of every forwarded request: Via stamped, Max-Forwards and Max-Breadth counted, X-Ringfence from outside removed.
pub(crate) fn common(message: &Message<'_>, request: &Request<'_>, source: SocketAddr, edit: &mut Edit) {
    request.via.stamp(source, edit);
    match (message.first(Name::MaxForwards), request.max_forwards) {
        (Some(header), Some(hops)) => {
            let mut digits = [0; 3];
            edit.splice(header.value.clone(), &[decimal_text(hops.saturating_sub(1), &mut digits)]);
        }
        _ => edit.insert(message.head_end(), &[b"Max-Forwards: 70\r\n"]),
    }
    // RFC 5393 5.3.3: every proxied request carries one, and none asks for more than we would start with.
    match message.first(Name::MaxBreadth) {
        Some(header) if decimal(message.value(header), 60).is_some() => {}
        Some(header) => edit.splice(header.value.clone(), &[b"60"]),
        None => edit.insert(message.head_end(), &[b"Max-Breadth: 60\r\n"]),
    }
    for header in message.all(Name::Ringfence) {
        edit.remove(header.row.clone());
    }
}

/// Adds Content-Length where it is missing: a stream needs it (16.6 step 9).
pub(crate) fn measure(message: &Message<'_>, edit: &mut Edit) {
    if message.first(Name::ContentLength).is_none() {
        let length = edit.length_of(&message.body_range()).to_string();
        edit.insert(message.head_end(), &[b"Content-Length: ", length.as_bytes(), b"\r\n"]);
    }
}

/// Puts a relay's session description into the place of what came, and its length into Content-Length. The one place where a body
/// changes; where there is no Content-Length the datagram's end tells, or [`measure`].
pub(crate) fn anchor(message: &Message<'_>, swap: &MediaSwap, edit: &mut Edit) {
    let MediaSwap::At(_, place, sdp) = swap else { return };
    edit.splice(place.clone(), &[sdp]);
    if let Some(header) = message.first(Name::ContentLength) {
        let length = edit.length_of(&message.body_range()).to_string();
        edit.splice(header.value.clone(), &[length.as_bytes()]);
    }
}

fn decimal_text(value: u8, digits: &mut [u8; 3]) -> &[u8] {
    *digits = [b'0' + value / 100, b'0' + value / 10 % 10, b'0' + value % 10];
    let blank = if value >= 100 {
        0
    } else if value >= 10 {
        1
    } else {
        2
    };
    digits.get(blank..).unwrap_or_default()
}

/// Where our rows go: before the first Via, and before the first Record-Route should that stand higher (16.6 step 4).
pub(crate) fn head_place(message: &Message<'_>) -> usize {
    let via = message.first(Name::Via).map_or_else(|| message.head_end(), |header| header.row.start);
    message.first(Name::RecordRoute).map_or(via, |header| header.row.start.min(via))
}

/// A request that belongs to one that was sent: a CANCEL (9.1) or the ACK of a final response that is not 2xx (17.1.1.3). The same
/// Request-URI, topmost Via, Route, From, Call-ID and `CSeq` number; To is the response's for an ACK.
pub(crate) fn companion(sent: &[u8], method: Method, to: Option<&[u8]>, rows: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let message = Message::datagram(sent).ok()?;
    let Start::Request { uri, .. } = message.start() else { return None };
    let token = method.token().as_bytes();
    out.extend_from_slice(token);
    out.push(b' ');
    out.extend_from_slice(message.slice(uri));
    out.extend_from_slice(b" SIP/2.0\r\n");
    // The first Via row is our own, with one value.
    out.extend_from_slice(message.slice(&message.first(Name::Via)?.row));
    for route in message.all(Name::Route) {
        out.extend_from_slice(message.slice(&route.row));
    }
    out.extend_from_slice(message.slice(&message.first(Name::From)?.row));
    out.extend_from_slice(to.unwrap_or(message.slice(&message.first(Name::To)?.row)));
    out.extend_from_slice(message.slice(&message.first(Name::CallId)?.row));
    let cseq = message.value(message.first(Name::CSeq)?);
    let digits = cseq.iter().take_while(|octet| octet.is_ascii_digit()).count();
    out.extend_from_slice(b"CSeq: ");
    out.extend_from_slice(cseq.get(..digits)?);
    out.push(b' ');
    out.extend_from_slice(token);
    out.extend_from_slice(b"\r\nMax-Forwards: 70\r\n");
    out.extend_from_slice(rows);
    out.extend_from_slice(b"Content-Length: 0\r\n\r\n");
    Some(())
}
