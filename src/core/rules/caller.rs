//! Whether the requests of a server inside a new call can reach its caller. Refuses nothing: a call may do without them.

use std::net::SocketAddr;

use crate::config::{Transport, TrunkId};
use crate::core::rules::case::Case;
use crate::core::rules::side::Side;
use crate::core::rules::sides::Speaker;
use crate::core::view::View;
use crate::sip::Name;
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::{Host, Scheme, Uri};

impl View<'_> {
    /// The address to which a server would send its requests inside the call of this INVITE, if that is outside: the topmost Record-Route that
    /// the caller's side wrote, else its Contact (12.1.1). What a name resolves to is not known yet. A private address stands for where the
    /// INVITE came from.
    pub(crate) fn unreachable_caller(&self, case: &Case<'_, '_>, trunk: TrunkId) -> Option<SocketAddr> {
        let (message, networks) = (case.message, &self.config.trunk(trunk).networks);
        // Nearly always it is an address of the trunk's.
        match case.request.way_back {
            Some(Host::Address(ip)) if !networks.contains(ip) => {}
            _ => return None,
        }
        let first = |name| list::items(message, name).next().map(|item| message.slice(&item.span));
        let address = match first(Name::RecordRoute) {
            Some(route) => Address::route(route)?,
            None => Address::parse(first(Name::Contact)?)?,
        };
        let to = written(&Uri::parse(address.uri).ok()?)?;
        let project = Some(self.config.trunk(trunk).project);
        let called = case.region();
        let caller = Speaker { side: Side::Trunk, called, serving: called, project, trunk: Some(trunk) };
        let behind_nat = self.is_behind_nat(to.ip()) && networks.contains(case.arrival.from.ip());
        (!behind_nat && caller.fence(self.config, self.servers).admit(to).is_err()).then_some(to)
    }
}

/// The address of a URI that is written as one.
fn written(uri: &Uri<'_>) -> Option<SocketAddr> {
    let Some(Host::Address(ip)) = uri.reached() else { return None };
    let transport = if uri.scheme == Scheme::Sips { Transport::Tls } else { Transport::Udp };
    Some(SocketAddr::new(ip, uri.port.unwrap_or_else(|| transport.port())))
}
