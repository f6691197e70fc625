//! Whether what a server will send inside a new call can reach its caller. Refuses nothing: the call may do without.

use std::net::{IpAddr, SocketAddr};

use crate::config::{RegionId, Transport, TrunkId};
use crate::core::rules::side::Side;
use crate::core::rules::sides::Speaker;
use crate::core::view::View;
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::{Host, Scheme, Uri};
use crate::sip::{Message, Name};

impl View<'_> {
    /// The address to which a server would send what it sends inside the call of this INVITE, if that is outside: the topmost Record-Route that
    /// the caller's side wrote, else its Contact (12.1.1). What a name resolves to is not known yet.
    pub(crate) fn unreachable_caller(&self, message: &Message<'_>, called: RegionId, trunk: TrunkId) -> Option<SocketAddr> {
        let first = |name| list::items(message, name).next().map(|item| message.slice(&item.span));
        let address = match first(Name::RecordRoute) {
            Some(route) => Address::route(route)?,
            None => Address::parse(first(Name::Contact)?)?,
        };
        let to = written(&Uri::parse(address.uri).ok()?)?;
        let project = Some(self.config.trunk(trunk).project);
        let caller = Speaker { side: Side::Trunk, called, serving: called, project, trunk: Some(trunk) };
        caller.fence(self.config, self.servers).admit(to).is_err().then_some(to)
    }
}

/// The address of a URI that is written as one.
fn written(uri: &Uri<'_>) -> Option<SocketAddr> {
    let ip = match uri.param("maddr").flatten() {
        Some(maddr) => std::str::from_utf8(maddr).ok()?.trim_matches(['[', ']']).parse::<IpAddr>().ok()?,
        None => match uri.host? {
            Host::Address(ip) => ip,
            Host::Name(_) => return None,
        },
    };
    let transport = if uri.scheme == Scheme::Sips { Transport::Tls } else { Transport::Udp };
    Some(SocketAddr::new(ip, uri.port.unwrap_or_else(|| transport.port())))
}
