//! Our own ACK and BYE: a leg is ended as a telephone ends it (RFC 3261 13.2.2.4, 15), once.
//!
//! The fence judges every next hop. No dialog is remembered. If a message at hand lacks something, the nearest thing that it has
//! is used instead.

use std::sync::Arc;

use bytes::Bytes;

use crate::config::{ListenerId, RegionId, Transport, TrunkId};
use crate::core::context::Context;
use crate::core::forwarding::branch::{Branch, NO_SLOT, OWN_SLOT};
use crate::core::forwarding::local_names::OwnRows;
use crate::core::io::{EndTold, Note, Output, Peer};
use crate::core::routing::egress::Egress;
use crate::core::routing::route_token;
use crate::core::routing::target::{self, Found, Order};
use crate::core::rules::sides::Speaker;
use crate::core::teardown::leg::{Leg, uri_of};
use crate::core::transaction::forwarded::attempt;
use crate::core::transaction::own_request::{LegOf, OwnKind, OwnRequest};
use crate::fence::Fence;
use crate::sip::Method;
use crate::sip::uri::Uri;

/// Why a leg is ended, and who we are in it.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) region: RegionId,
    /// The sender of the request at hand. The name in our Via depends on the address that this sender called.
    pub(crate) peer: Peer,
    /// The side that the leg leads to.
    pub(crate) side: Speaker,
    /// The rows that explain it.
    pub(crate) rows: &'a [u8],
    /// What is told of it, if an audit record is kept.
    pub(crate) end: Option<&'a EndTold>,
}

impl Context<'_> {
    /// Sends the ACK of an answer in place of the party that asked. There is no transaction: each repetition of the answer gets
    /// the same bytes.
    pub(crate) fn send_ack(&mut self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) {
        let near = self.towards(leg, ending, near);
        let nonce = self.keys.branch(&[b"ACK", leg.call_id, leg.from, leg.to, &leg.cseq.to_le_bytes()]);
        let via = self.via(ending, near.listener, Branch { slot: NO_SLOT, nonce, loop_hash: 0 });
        let bytes = write(leg, Method::Ack, leg.cseq, &via, b"");
        self.send(&near, bytes.into(), None);
    }

    /// Sends the BYE of a leg, once. `false`: it was sent before.
    pub(crate) fn send_bye(&mut self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) -> bool {
        let nonce = self.keys.branch(&[b"BYE", leg.call_id, leg.from, leg.to]);
        if self.own.knows(nonce) {
            return false;
        }
        let egress = self.towards(leg, ending, near);
        let via = self.via(ending, egress.listener, Branch { slot: OWN_SLOT, nonce, loop_hash: 0 });
        let bytes: Bytes = write(leg, Method::Bye, leg.last, &via, ending.rows).into();
        self.send(&egress, bytes.clone(), Some(attempt(OWN_SLOT, nonce)));
        let (now, timers) = (self.now, &self.config.timers);
        let Speaker { side, called, serving, trunk, .. } = ending.side;
        let leg = LegOf { side, region: called, serving, trunk };
        let end = ending.end.cloned().map(Box::new);
        let request = OwnRequest::new(OwnKind::Bye, egress, bytes, now, now + timers.t1 * 64, timers).of(leg, end);
        let told = self.own.begin(nonce, request);
        self.out.extend(told.map(|end| Output::Note(Note::CallEnded(end))));
        true
    }

    /// The egress to a leg's own next hop (8.1.2), if that is inside and known without a look-up. Otherwise `near`.
    fn towards(&self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) -> Egress {
        let next = leg.routes.first().map_or_else(|| Uri::parse(&leg.uri).ok(), |route| uri_of(route));
        let view = self.view();
        let order = Order::new(view.health, view.now, view.keys.choice(leg.call_id));
        let (trunk, fence) = (ending.side.trunk, ending.side.fence(self.config, self.servers));
        let found = next.map(|next| target::find_uri(&next, trunk, true, view, fence, order));
        let Some(Ok(Found::Inside(mut targets))) = found else { return near.clone() };
        let chosen = view.choose(ending.region, near.listener, 0, &mut targets);
        chosen.map_or_else(|| near.clone(), |egress| Egress { origin: near.origin.clone(), trunk, ..egress })
    }

    /// The egress to the peer of a request of a trunk's call, where its answers go, if the fence of its side passes its address.
    pub(crate) fn egress_to(&self, peer: &Peer, trunk: Option<TrunkId>, fence: Fence<'_>) -> Option<Egress> {
        let to = fence.admit(peer.answers()).ok()?;
        let transport = self.config.listener(peer.listener()).transport;
        let party = if transport == Transport::Tls { self.config.party_names(to.addr().ip(), trunk) } else { None };
        let (listener, origin) = (peer.listener(), (transport == Transport::Tls).then(|| Arc::new(to)));
        Some(Egress { to, transport, listener, tls_name: None, party, gateway: 0, in_dialog: true, origin, trunk })
    }

    fn via(&self, ending: Ending<'_>, leaves: ListenerId, branch: Branch) -> Vec<u8> {
        let (arrived, called) = (ending.peer.listener(), ending.peer.local().ip());
        let own = OwnRows { config: self.config, names: self.local_names, arrived, called, leaves, secure: false };
        let mut via = Vec::with_capacity(128);
        own.write(branch, None, &mut via);
        via
    }

    /// Whether a URI is a Record-Route of ours, as we put it into the request of this call from this asker.
    pub(crate) fn is_ours(&self, uri: &Uri<'_>, call_id: &[u8], asker: &[u8]) -> bool {
        let value = uri.param(route_token::PARAM).flatten();
        value.is_some_and(|value| route_token::is_of_request(self.keys, value, call_id, asker))
    }
}

/// The bytes of a request in a leg.
fn write(leg: &Leg<'_>, method: Method, cseq: u32, via: &[u8], rows: &[u8]) -> Vec<u8> {
    let (token, number) = (method.token().as_bytes(), cseq.to_string());
    let mut out = Vec::with_capacity(1024);
    for part in [token, b" ", &leg.uri, b" SIP/2.0\r\n", via] {
        out.extend_from_slice(part);
    }
    for route in &leg.routes {
        for part in [b"Route: ", *route, b"\r\n"] {
            out.extend_from_slice(part);
        }
    }
    for part in [
        b"From: ",
        leg.from,
        b"\r\nTo: ",
        leg.to,
        b"\r\nCall-ID: ",
        leg.call_id,
        b"\r\nCSeq: ",
        number.as_bytes(),
        b" ",
        token,
        b"\r\nMax-Forwards: 70\r\n",
        rows,
        b"Content-Length: 0\r\n\r\n",
    ] {
        out.extend_from_slice(part);
    }
    out
}
