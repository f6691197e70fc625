//! A trunk behind NAT, or one that only its own connection reaches: whether requests to it need the place that its messages come from.
//! Reads messages and addresses; writes nothing.

use std::net::IpAddr;

use crate::config::Transport;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::route_token::Origin;
use crate::core::rules::case::Case;
use crate::core::rules::side::Side;
use crate::core::view::View;
use crate::fence::{Fence, Fenced, is_private};
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::{Host, Uri};
use crate::sip::{Message, Name};

impl View<'_> {
    /// Where a trunk's new request comes from, if its token must say it: the trunk came over TLS, or requests to it may go to an address
    /// that only itself can reach. What any carrier writes, a public address, costs its calls nothing.
    pub(crate) fn origin_of(&self, case: &Case<'_, '_>) -> Option<Origin> {
        let origin = case.origin();
        let message = case.message;
        // Whoever stands first behind us (RFC 3261 12.1.1).
        let first = || match list::items(message, Name::RecordRoute).next() {
            Some(item) => self.may_be_behind_nat(Address::route(message.slice(&item.span))),
            None => self.has_contact_behind_nat(message),
        };
        (origin.transport == Transport::Tls || first()).then_some(origin)
    }

    /// The same for the answer of a trunk. Its next hop is one of the Record-Routes behind ours.
    pub(crate) fn is_answer_from_behind_nat(&self, answer: &Message<'_>) -> bool {
        let mut routes = list::items(answer, Name::RecordRoute);
        let literal = |uri: &Uri<'_>| matches!(uri.host, Some(Host::Address(ip)) if self.is_behind_nat(ip));
        let route = |item: list::Item| Uri::parse(Address::route(answer.slice(&item.span))?.uri).ok();
        self.has_contact_behind_nat(answer) || routes.any(|item| route(item).is_some_and(|uri| literal(&uri)))
    }

    fn has_contact_behind_nat(&self, message: &Message<'_>) -> bool {
        let contact = list::items(message, Name::Contact).next();
        contact.is_some_and(|item| self.may_be_behind_nat(Address::parse(message.slice(&item.span))))
    }

    /// Of a name it is not known yet.
    fn may_be_behind_nat(&self, address: Option<Address<'_>>) -> bool {
        match address.and_then(|address| Uri::parse(address.uri).ok()).and_then(|uri| uri.host) {
            Some(Host::Address(ip)) => self.is_behind_nat(ip),
            Some(Host::Name(_)) => true,
            None => false,
        }
    }

    /// Whether an address is of a network of its own, which we cannot know: a private one, and of no region.
    pub(crate) fn is_behind_nat(&self, ip: IpAddr) -> bool {
        is_private(ip) && !self.config.regions.iter().any(|region| region.networks.contains(ip))
    }

    /// Where the trunk's messages of a dialog come from, for a request of the servers: as the token says, while that is the trunk's.
    pub(crate) fn origin_inside(&self, way: &RouteSet<'_>) -> Option<(Transport, Fenced)> {
        let origin = way.vouched.origin.filter(|_| way.speaks == Some(Side::Servers))?;
        let trunk = self.config.trunk(way.vouched.trunk);
        let to = Fence::of_trunk(&trunk.networks, &trunk.reach).admit(origin.addr).ok()?;
        Some((origin.transport, to))
    }
}
