//! One leg of a call as a message at hand shows it: what our own ACK and BYE in it must carry (RFC 3261 12.2.1.1).
//!
//! No dialog is remembered. If a message does not say what a dialog would know, the nearest thing that it says is used. The fence
//! still judges every next hop.

use std::net::SocketAddr;

use crate::config::Transport;
use crate::core::routing::route_set::RouteSet;
use crate::core::rules::case::Case;
use crate::sip::address::Address;
use crate::sip::list;
use crate::sip::uri::Uri;
use crate::sip::{Message, Name};

/// How far the number of our BYE is above the last `CSeq` number seen. A PRACK or UPDATE sent since then must have a lower
/// number.
const STEP: u32 = 1 << 16;
/// The highest `CSeq` number (8.1.1.5). Used for a side whose own numbers no message at hand shows.
const LAST: u32 = (1 << 31) - 1;

/// One leg of a call, as a message shows it: what a request inside it must carry (12.2.1.1).
#[derive(Clone, Debug)]
pub(crate) struct Leg<'a> {
    /// The remote target: the Request-URI to send to.
    pub(crate) uri: Vec<u8>,
    pub(crate) routes: Vec<&'a [u8]>,
    pub(crate) from: &'a [u8],
    pub(crate) to: &'a [u8],
    pub(crate) call_id: &'a [u8],
    /// The `CSeq` number of the INVITE, for an ACK.
    pub(crate) cseq: u32,
    /// The `CSeq` number for a BYE.
    pub(crate) last: u32,
}

impl<'a> Leg<'a> {
    /// The leg to the sender of this answer, along the path of a request in the dialog. `sent` is the request as it went there,
    /// if it was inside the dialog and is still at hand: then its Route is the path.
    pub(crate) fn of_answer(
        answer: &Message<'a>,
        sent: Option<&Message<'a>>,
        cseq: u32,
        is_ours: impl Fn(&Uri<'_>) -> bool,
    ) -> Option<Self> {
        // The values above our own Record-Route were added by hops behind us (16.6 step 4). The others belong to the caller's
        // side.
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

    /// The leg to the next hop of a request with this route set.
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

    /// The leg to the sender of this request. `to`: the To of the answer or the request, with the tag of the dialog's other side.
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
}

fn values<'a>(message: &Message<'a>, name: Name) -> Vec<&'a [u8]> {
    list::items(message, name).map(|item| message.slice(&item.span)).collect()
}

fn contact<'a>(message: &Message<'a>) -> Option<&'a [u8]> {
    let item = list::items(message, Name::Contact).next()?;
    let uri = Address::parse(message.slice(&item.span))?.uri;
    // A Request-URI must be a URI (a Contact may be `*`).
    Uri::parse(uri).ok().filter(|uri| uri.headers.is_empty()).map(|_| uri)
}

/// The URI of a Route or Record-Route value.
pub(crate) fn uri_of(value: &[u8]) -> Option<Uri<'_>> {
    Uri::parse(Address::route(value)?.uri).ok()
}
