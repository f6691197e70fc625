//! A trunk behind NAT, or one that only its own connection reaches: whether requests to it need the place that its messages come from.
//! Reads messages and addresses; writes nothing.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::Transport;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::route_token::Origin;
use crate::core::routing::target::TargetSet;
use crate::core::rules::case::Case;
use crate::core::rules::side::Side;
use crate::core::view::View;
use crate::fence::{Fence, Fenced, is_private};
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::Host;
use crate::sip::{Message, Name, Response, SeveralRoutes};

impl View<'_> {
    /// Where a trunk's new request comes from, if its token must say it: the trunk came over TLS, or requests to it may go to an address
    /// that only itself can reach. What any carrier writes, a public address, costs its calls nothing.
    pub(crate) fn origin_of(&self, case: &Case<'_, '_>) -> Option<Origin> {
        let origin = case.origin();
        let needs = origin.transport == Transport::Tls || case.request.way_back.is_some_and(|host| self.may_be_behind_nat(host));
        needs.then_some(origin)
    }

    /// The same for the answer of a trunk. Its next hop is one of the Record-Routes behind ours. Ours is often a name, so that names say
    /// nothing there.
    pub(crate) fn is_answer_from_behind_nat(&self, message: &Message<'_>, answer: &Response<'_>) -> bool {
        let is_of_route = |host| matches!(host, Some(Host::Address(ip)) if self.is_behind_nat(ip));
        answer.contact.is_some_and(|host| self.may_be_behind_nat(host))
            || match answer.only_route {
                Ok(host) => is_of_route(host),
                Err(SeveralRoutes) => {
                    list::items(message, Name::RecordRoute).any(|item| is_of_route(route_host(message.slice(&item.span))))
                }
            }
    }

    /// Of a name it is not known yet.
    fn may_be_behind_nat(&self, host: Host<'_>) -> bool {
        match host {
            Host::Address(ip) => self.is_behind_nat(ip),
            Host::Name(_) => true,
        }
    }

    /// Whether an address is of a network of its own, which we cannot know: a private one, and of no region.
    pub(crate) fn is_behind_nat(&self, ip: IpAddr) -> bool {
        is_private(ip) && !self.config.regions.iter().any(|region| region.networks.contains(ip))
    }

    /// Where the trunk's messages of a dialog come from, for a request of the servers: as the token says, while that is the trunk's.
    pub(crate) fn origin_inside(&self, way: &RouteSet<'_>) -> Option<(Transport, Fenced)> {
        let origin = way.origin.filter(|_| way.speaks == Side::Servers)?;
        let trunk = self.config.trunk(way.vouched.trunk);
        let to = Fence::of_trunk(&trunk.networks, trunk.reach()).admit(origin.addr).ok()?;
        Some((origin.transport, to))
    }

    /// The same if its messages come by a connection over TLS: that very connection will do for a request of the servers, if that goes to
    /// the trunk.
    pub(crate) fn origin_over_tls(&self, way: &RouteSet<'_>, targets: &TargetSet) -> Option<Arc<Fenced>> {
        let (transport, to) = self.origin_inside(way)?;
        let trunk = self.config.trunk(way.vouched.trunk);
        let fence = Fence::of_trunk(&trunk.networks, trunk.reach());
        let goes_there = targets.iter().all(|target| fence.admit(target.fenced.addr()).is_ok());
        (transport == Transport::Tls && goes_there).then(|| Arc::new(to))
    }
}

fn route_host(value: &[u8]) -> Option<Host<'_>> {
    Address::route_uri(value)?.1.reached()
}
