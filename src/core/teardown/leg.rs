//! Ending a leg as a telephone does (RFC 3261 13.2.2.4, 15): the ACK and the BYE, made of the message at hand.
//!
//! No dialog is remembered. Where a message does not say what a dialog would, the nearest thing that it says is taken; the fence
//! judges every next hop all the same.

use std::net::SocketAddr;

use crate::config::{ListenerId, RegionId, Transport};
use crate::core::context::Context;
use crate::core::forwarding::branch::{BYE_SLOT, Branch, NO_SLOT};
use crate::core::forwarding::local_names::OwnRows;
use crate::core::io::{Destination, Output, Peer, Send};
use crate::core::routing::egress::Egress;
use crate::core::routing::route_set::RouteSet;
use crate::core::routing::route_token;
use crate::core::routing::target::{self, Found, Order};
use crate::core::rules::case::Case;
use crate::fence::Fence;
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::{self, Uri};
use crate::sip::{Message, Method, Name};

/// How far a BYE's number is beyond the last one that was seen: what was sent since, PRACK or UPDATE, must be below.
const STEP: u32 = 1 << 16;
/// The highest `CSeq` number (8.1.1.5): for a side whose own numbers no message at hand shows.
const LAST: u32 = (1 << 31) - 1;

/// One leg of a call, as a message shows it: what a request inside it must carry (12.2.1.1).
#[derive(Clone, Debug)]
pub(crate) struct Leg<'a> {
    /// The remote target.
    pub(crate) uri: Vec<u8>,
    pub(crate) routes: Vec<&'a [u8]>,
    pub(crate) from: &'a [u8],
    pub(crate) to: &'a [u8],
    pub(crate) call_id: &'a [u8],
    /// The number of the INVITE that an ACK is for.
    pub(crate) cseq: u32,
    /// The number of a BYE.
    pub(crate) last: u32,
}

/// Why, and as whom it is said.
#[derive(Clone, Copy)]
pub(crate) struct Ending<'a> {
    pub(crate) region: RegionId,
    /// Whoever sent the request at hand: what our Via is called depends on which address that was sent to.
    pub(crate) peer: Peer,
    pub(crate) fence: Fence<'a>,
    /// The rows that explain it.
    pub(crate) rows: &'a [u8],
}

impl<'a> Leg<'a> {
    /// Towards whoever sent this answer, by the way that a request in the dialog would take from here. `sent` is the request as it
    /// went there, if it was one inside a dialog and is still at hand: then its Route is the way.
    pub(crate) fn of_answer(
        answer: &Message<'a>,
        sent: Option<&Message<'a>>,
        cseq: u32,
        is_ours: impl Fn(&Uri<'_>) -> bool,
    ) -> Option<Self> {
        // What stands above our own Record-Route was added behind us (16.6 step 4); the side of the caller has the rest.
        let behind_us = || {
            let all = values(answer, Name::RecordRoute);
            let ours = all.iter().position(|value| uri_of(value).is_some_and(|uri| is_ours(&uri)));
            all.into_iter().take(ours.unwrap_or(0)).rev().collect()
        };
        let routes = sent.map_or_else(behind_us, |sent| values(sent, Name::Route));
        let requested = sent.and_then(|sent| match sent.start() {
            crate::sip::Start::Request { uri, .. } => Some(sent.slice(uri)),
            crate::sip::Start::Response { .. } => None,
        });
        let to = answer.value(answer.first(Name::To)?);
        // 12.1.2: the Contact; without one, what was asked for.
        let uri = contact(answer).or(requested).or_else(|| Some(Address::parse(to)?.uri))?.to_vec();
        let from = answer.value(answer.first(Name::From)?);
        let call_id = answer.value(answer.first(Name::CallId)?);
        Some(Self { uri, routes, from, to, call_id, cseq, last: cseq.saturating_add(STEP).min(LAST) })
    }

    /// Towards the next hop of a request that is to go this way.
    pub(crate) fn of_route_set(route: &RouteSet<'a>, case: &Case<'_, 'a>) -> Option<Self> {
        let (message, cseq) = (case.message, case.request.cseq);
        let (uri, routes) = route.ahead(message, case.request);
        Some(Self {
            uri: uri.to_vec(),
            routes,
            from: message.value(message.first(Name::From)?),
            to: message.value(message.first(Name::To)?),
            call_id: case.request.call_id,
            cseq,
            last: cseq.saturating_add(STEP).min(LAST),
        })
    }

    /// Towards whoever sent this request, in a dialog whose other side has this tag: `to` is To as the answer or the request has it.
    pub(crate) fn of_asker(request: &Message<'a>, to: &'a [u8], asker: SocketAddr, transport: Transport) -> Option<Self> {
        let parameter = transport.parameter();
        let uri = contact(request).map_or_else(|| format!("sip:{asker}{parameter}").into_bytes(), <[u8]>::to_vec);
        Some(Self {
            uri,
            routes: values(request, Name::RecordRoute),
            from: to,
            to: request.value(request.first(Name::From)?),
            call_id: request.value(request.first(Name::CallId)?),
            cseq: LAST,
            last: LAST,
        })
    }

    fn write(&self, method: Method, cseq: u32, via: &[u8], rows: &[u8]) -> Vec<u8> {
        let (token, number) = (method.token().as_bytes(), cseq.to_string());
        let mut out = Vec::with_capacity(1024);
        for part in [token, b" ", &self.uri, b" SIP/2.0\r\n", via] {
            out.extend_from_slice(part);
        }
        for route in &self.routes {
            for part in [b"Route: ", *route, b"\r\n"] {
                out.extend_from_slice(part);
            }
        }
        for part in [
            b"From: ",
            self.from,
            b"\r\nTo: ",
            self.to,
            b"\r\nCall-ID: ",
            self.call_id,
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
}

impl Context<'_> {
    /// Acknowledges an answer in place of the party that asked: without a transaction, the same bytes each time that it comes.
    pub(crate) fn send_ack(&mut self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) {
        let near = self.towards(leg, ending, near);
        let nonce = self.keys.branch(&[b"ACK", leg.call_id, leg.from, leg.to, &leg.cseq.to_le_bytes()]);
        let via = self.via(ending, near.listener, Branch { shard: self.shard, slot: NO_SLOT, nonce, loop_hash: 0 });
        let bytes = leg.write(Method::Ack, leg.cseq, &via, b"");
        self.send(&near, bytes.into(), None);
    }

    /// Ends a leg by BYE, once; `false`: it was ended before.
    pub(crate) fn send_bye(&mut self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) -> bool {
        let nonce = self.keys.branch(&[b"BYE", leg.call_id, leg.from, leg.to]);
        if self.byes.knows(nonce) {
            return false;
        }
        let near = self.towards(leg, ending, near);
        let via = self.via(ending, near.listener, Branch { shard: self.shard, slot: BYE_SLOT, nonce, loop_hash: 0 });
        let bytes = leg.write(Method::Bye, leg.last, &via, ending.rows).into();
        let (to, transport, listener) = (Destination::Fenced(near.to), near.transport, near.listener);
        let send = Send { to, transport, tls_name: near.tls_name, listener, local: None, bytes, attempt: None };
        self.byes.begin(self.now, nonce, &send, &self.config.timers);
        self.out.push(Output::Send(send));
        true
    }

    /// A leg's own next hop (8.1.2), as far as it is inside and known without a look-up; else the one at hand.
    fn towards(&self, leg: &Leg<'_>, ending: Ending<'_>, near: &Egress) -> Egress {
        let next = leg.routes.first().map_or_else(|| Uri::parse(&leg.uri).ok(), |route| uri_of(route));
        let view = self.view();
        let order = Order::new(view.health, view.now, view.keys.choice(leg.call_id));
        let secure = uri::is_sips(&leg.uri);
        let found = next.map(|next| target::find_uri(&next, secure, view, ending.fence, order));
        let Some(Ok(Found::Inside(mut targets))) = found else { return near.clone() };
        view.choose(ending.region, near.listener, 0, &mut targets).unwrap_or_else(|| near.clone())
    }

    /// The peer of a request as a place for requests, if the fence of its side says so.
    pub(crate) fn egress_to(&self, peer: &Peer, fence: Fence<'_>) -> Option<Egress> {
        let to = fence.admit(peer.addr()).ok()?;
        let transport = self.config.listener(peer.listener()).transport;
        Some(Egress { to, transport, listener: peer.listener(), tls_name: None })
    }

    fn via(&self, ending: Ending<'_>, leaves: ListenerId, branch: Branch) -> Vec<u8> {
        let (arrived, called) = (ending.peer.listener(), ending.peer.local().ip());
        let own = OwnRows { config: self.config, names: self.local_names, arrived, called, leaves, secure: false };
        let mut via = Vec::with_capacity(128);
        own.write(branch, None, &mut via);
        via
    }

    /// Whether a URI is a Record-Route of ours in this call.
    pub(crate) fn is_ours(&self, region: RegionId, uri: &Uri<'_>, call_id: &[u8]) -> bool {
        let value = uri.param(route_token::PARAM).flatten();
        value.is_some_and(|value| self.tokens.verify(self.keys, region, value, call_id).is_some())
    }
}

fn values<'a>(message: &Message<'a>, name: Name) -> Vec<&'a [u8]> {
    list::items(message, name).map(|item| message.slice(&item.span)).collect()
}

fn contact<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    let item = list::items(message, Name::Contact).next()?;
    let uri = Address::parse(message.slice(&item.span))?.uri;
    // What stands in a Request-URI must be one (a Contact may be `*`).
    Uri::parse(uri).ok().filter(|uri| uri.headers.is_empty()).map(|_| uri)
}

fn uri_of(value: &[u8]) -> Option<Uri<'_>> {
    Uri::parse(Address::parse(value)?.uri).ok()
}
