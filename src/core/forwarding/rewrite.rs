//! The bytes of a forwarded request, and of what a proxy makes itself for an attempt: CANCEL, ACK, the next attempt.
//!
//! Everything is a splice over received bytes. The body changes only if a relay's description replaces it (RFC 3261 16.6 step 1).

use std::net::SocketAddr;

use crate::core::forwarding::media_swap::MediaSwap;
use crate::sip::edit::Edit;
use crate::sip::number::decimal;
use crate::sip::scan::Start;
use crate::sip::{Message, Method, Name, Request};

/// The edits of every forwarded request: Via stamped, Max-Forwards and Max-Breadth counted, X-Ringfence from outside removed.
pub(crate) fn common(message: &Message<'_>, request: &Request<'_>, source: SocketAddr, edit: &mut Edit) {
    request.via.stamp(source, edit);
    match (message.first(Name::MaxForwards), request.max_forwards) {
        (Some(header), Some(hops)) => {
            let mut digits = [0; 3];
            edit.splice(header.value(), &[decimal_text(hops.saturating_sub(1), &mut digits)]);
        }
        _ => edit.insert(message.head_end(), &[b"Max-Forwards: 70\r\n"]),
    }
    // RFC 5393 5.3.3: every proxied request carries one, and none asks for more than we would start with.
    match message.first(Name::MaxBreadth) {
        Some(header) if decimal(message.value(header), 60).is_some() => {}
        Some(header) => edit.splice(header.value(), &[b"60"]),
        None => edit.insert(message.head_end(), &[b"Max-Breadth: 60\r\n"]),
    }
    for header in message.all(Name::Ringfence) {
        edit.remove(header.row());
    }
}

/// Writes Content-Length as a stream needs it (16.6 step 9): in its one plain spelling, whatever came.
pub(crate) fn measure(message: &Message<'_>, edit: &mut Edit) {
    let Some(header) = message.first(Name::ContentLength) else {
        let length = edit.length_of(&message.body_range()).to_string();
        return edit.insert(message.head_end(), &[b"Content-Length: ", length.as_bytes(), b"\r\n"]);
    };
    let name = header.row().start..header.value().start;
    if message.slice(&name) != b"Content-Length: " {
        edit.splice(name, &[b"Content-Length: "]);
    }
    let value = message.value(header);
    if value.len() > 1 && value.starts_with(b"0") && !edit.touches(&header.value()) {
        edit.splice(header.value(), &[message.body().len().to_string().as_bytes()]);
    }
    let end = header.value().end..header.row().end;
    if message.slice(&end) != b"\r\n" {
        edit.splice(end, &[b"\r\n"]);
    }
}

/// Puts a relay's session description in the place of the one that came, and its length into Content-Length. A body changes
/// nowhere else. If there is no Content-Length, the end of the datagram tells the length, or [`measure`] adds one.
pub(crate) fn swap_media(message: &Message<'_>, swap: &MediaSwap, edit: &mut Edit) {
    let MediaSwap::At(_, place, sdp) = swap else { return };
    edit.splice(place.clone(), &[sdp]);
    if let Some(header) = message.first(Name::ContentLength) {
        let length = edit.length_of(&message.body_range()).to_string();
        edit.splice(header.value(), &[length.as_bytes()]);
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

/// Where our rows go: before the first Via, or before the first Record-Route if that stands higher (16.6 step 4).
pub(crate) fn own_rows_place(message: &Message<'_>) -> usize {
    let via = message.first(Name::Via).map_or_else(|| message.head_end(), |header| header.row().start);
    message.first(Name::RecordRoute).map_or(via, |header| header.row().start.min(via))
}

/// Writes a request that belongs to a sent one: its CANCEL (9.1), or the ACK of a final response other than 2xx (17.1.1.3). It
/// has the same Request-URI, topmost Via, Route, From, Call-ID and `CSeq` number. An ACK has the To of the response.
pub(crate) fn companion(sent: &[u8], method: Method, to: Option<&[u8]>, rows: &[u8], out: &mut Vec<u8>) -> Option<()> {
    let message = Message::datagram(sent).ok()?;
    let Start::Request { uri, .. } = message.start() else { return None };
    let token = method.token().as_bytes();
    out.extend_from_slice(token);
    out.push(b' ');
    out.extend_from_slice(message.slice(uri));
    out.extend_from_slice(b" SIP/2.0\r\n");
    // The first Via row is our own, with one value.
    out.extend_from_slice(message.slice(&message.first(Name::Via)?.row()));
    for route in message.all(Name::Route) {
        out.extend_from_slice(message.slice(&route.row()));
    }
    out.extend_from_slice(message.slice(&message.first(Name::From)?.row()));
    out.extend_from_slice(to.unwrap_or(message.slice(&message.first(Name::To)?.row())));
    out.extend_from_slice(message.slice(&message.first(Name::CallId)?.row()));
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
