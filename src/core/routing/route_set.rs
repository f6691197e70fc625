//! The route set of a request inside a dialog: our Route values taken off, and the next hop (RFC 3261 16.4, 16.6 step 6).
//!
//! A Route is input. It says where to go only if our signed token proves that we let this dialog through. The fence still judges
//! the address.

use std::time::Instant;

use smallvec::SmallVec;

use crate::config::RegionId;
use crate::core::keys::Keys;
use crate::core::routing::call_time::CallTime;
use crate::core::routing::route_token::{self, Origin, Proof, Token, Tokens, Vouched};
use crate::core::rules::side::Side;
use crate::sip::address::Address;
use crate::sip::edit::Edit;
use crate::sip::list::{self, Item};
use crate::sip::uri::Uri;
use crate::sip::{Message, Method, Name, Request};

/// Most Route values of one request.
const MAX_ROUTES: usize = 64;
/// As many have room without an allocation.
const USUAL_ROUTES: usize = 4;

/// The path of a request inside a dialog.
#[derive(Debug)]
pub(crate) struct RouteSet<'a> {
    /// What the token vouches for: the trunk, and the region whose servers have the call.
    pub(crate) vouched: Vouched,
    /// The side of the dialog that the token was given to, which is the one that sends the request.
    pub(crate) speaks: Side,
    /// Whether that side began the dialog.
    pub(crate) began: bool,
    /// When the call began.
    pub(crate) time: CallTime,
    /// Where the trunk's messages come from, if the token says it.
    pub(crate) origin: Option<Origin>,
    /// The token that was brought.
    token: &'a [u8],
    /// The URI of the next hop.
    pub(crate) next: Uri<'a>,
    /// The host and port in our second Route value, if there are two: the listener to leave by.
    pub(crate) leave_by: Option<&'a [u8]>,
    /// Whether the next hop is a Route that stays in the request.
    loose: bool,
    removed: SmallVec<[Item; USUAL_ROUTES]>,
    /// The new Request-URI, if it changes.
    request_uri: Option<&'a [u8]>,
    /// The new last Route: the Request-URI, if the next hop is a strict router.
    last_route: Option<&'a [u8]>,
}

/// Reads the route set. `None`: no valid token of ours leads the request.
pub(crate) fn read<'a>(
    keys: &Keys,
    tokens: &Tokens,
    region: RegionId,
    message: &Message<'a>,
    request: &Request<'a>,
    now: Instant,
) -> Option<RouteSet<'a>> {
    let verify = |uri: &Uri<'a>| {
        let value = uri.param(route_token::PARAM).flatten()?;
        Some((value, tokens.verify(keys, region, value, request, now)?))
    };
    let mut routes: SmallVec<[(Item, &'a [u8], Uri<'a>); USUAL_ROUTES]> = SmallVec::new();
    for item in list::items(message, Name::Route) {
        let (text, uri) = Address::route_uri(message.slice(&item.span))?;
        if routes.len() >= MAX_ROUTES {
            return None;
        }
        routes.push((item, text, uri));
    }
    let mut removed = SmallVec::new();
    let (mut proof, mut request_uri, mut leave_by) = (None, None, None);
    // A strict router put our Record-Route into the Request-URI; what it displaced is the last Route (16.4).
    if let Some(verified) = verify(&request.uri) {
        let (item, text, _) = routes.pop()?;
        proof = Some(verified);
        request_uri = Some(text);
        removed.push(item);
    }
    // Our values stand on top: one, or two if the sides differ. Both have the same signature. A value of ours with another
    // signature is of the call's second pass here, and is the next hop.
    while let Some(verified) = routes.first().and_then(|(_, _, uri)| verify(uri)) {
        if proof.is_some_and(|(_, before)| before != verified.1) {
            break;
        }
        let (item, _, uri) = routes.remove(0);
        if proof.replace(verified).is_some() {
            leave_by = Some(uri.hostport);
        }
        removed.push(item);
    }
    let (token, Proof { vouched, speaks, began, time, origin }) = proof?;
    let (mut last_route, mut loose) = (None, false);
    let next = if routes.is_empty() {
        request_uri.map_or_else(|| Some(request.uri.clone()), |text| Uri::parse(text).ok())?
    } else {
        let (item, text, uri) = routes.remove(0);
        if uri.param("lr").is_none() {
            last_route = Some(request_uri.unwrap_or(request.uri_text));
            request_uri = Some(text);
            removed.push(item);
        } else {
            loose = true;
        }
        uri
    };
    Some(RouteSet { vouched, speaks, began, time, origin, token, next, leave_by, loose, removed, request_uri, last_route })
}

impl<'a> RouteSet<'a> {
    /// The Request-URI and the Route values that the forwarded request has.
    pub(crate) fn ahead(&self, message: &Message<'a>, request: &Request<'a>) -> (&'a [u8], Vec<&'a [u8]>) {
        let left = list::items(message, Name::Route).filter(|item| !self.removed.contains(item));
        let routes = left.map(|item| message.slice(&item.span)).chain(self.last_route).collect();
        (self.request_uri.unwrap_or(request.uri_text), routes)
    }

    /// The token of our Record-Route in a request inside the dialog. Only a NOTIFY from the side that answered gets one: it may
    /// begin a dialog of its own (a fork of a SUBSCRIBE or REFER), with the path of the NOTIFY (RFC 6665 4.3, 4.4.1). Its
    /// receiver is the side that asked, and both tags are known. No other request changes a route set.
    pub(crate) fn records(&self, keys: &Keys, request: &Request<'_>, from: Origin) -> Option<Token> {
        let asks = (request.method == Method::Notify).then(|| self.speaks.other())?;
        let origin = (asks == Side::Servers).then_some(from);
        route_token::answered(keys, self.token, (asks, origin, None), request.call_id, request.to_tag?, request.from_tag)
    }

    /// What stands behind the next hop, in the order in which it would be reached. `None`: a URI that cannot be read.
    pub(crate) fn behind<'s>(
        &'s self,
        message: &'s Message<'a>,
        request: &'s Request<'a>,
    ) -> impl Iterator<Item = Option<Uri<'a>>> + use<'s, 'a> {
        let left = list::items(message, Name::Route).filter(|item| !self.removed.contains(item)).skip(usize::from(self.loose));
        let routes = left.map(|item| Some(Address::route_uri(message.slice(&item.span))?.1));
        let last = self.loose.then(|| self.request_uri.unwrap_or(request.uri_text));
        routes.chain(self.last_route.into_iter().chain(last).map(|uri| Uri::parse(uri).ok()))
    }

    /// Changes the Request-URI and the Route rows to these.
    pub(crate) fn edit(&self, message: &Message<'_>, request_uri: std::ops::Range<usize>, edit: &mut Edit) {
        list::remove_many(message, &self.removed, edit);
        if let Some(uri) = self.request_uri {
            edit.splice(request_uri, &[uri]);
        }
        if let Some(uri) = self.last_route {
            edit.insert(message.head_end(), &[b"Route: <", uri, b">\r\n"]);
        }
    }
}
