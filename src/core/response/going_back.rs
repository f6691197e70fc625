//! A response on its way back to the asker: our Via is taken off, our Record-Route is signed again, and little else changes.

use memchr::memchr_iter;

use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::rewrite;
use crate::core::keys::Keys;
use crate::core::routing::route_token::{self, Origin, PARAM};
use crate::core::rules::side::Side;
use crate::sip::edit::Edit;
use crate::sip::list;
use crate::sip::{Message, Name, Response};

/// Edits a response on its way back. Our Via is taken off (16.7 step 3), X-Ringfence from outside is removed, and a relay's
/// description is put in. Nothing else changes here.
pub(crate) fn going_back(message: &Message<'_>, response: &Response<'_>, swap: &MediaSwap, reliable: bool, edit: &mut Edit) {
    edit.clear();
    match message.first(Name::Via) {
        // Nearly always it stands there alone.
        Some(header) if header.value() == response.via.span => edit.remove(header.row()),
        _ => list::items(message, Name::Via).take(1).for_each(|own| list::remove(message, &own, edit)),
    }
    for header in message.all(Name::Ringfence) {
        edit.remove(header.row());
    }
    rewrite::swap_media(message, swap, edit);
    if reliable {
        rewrite::measure(message, edit);
    }
}

/// Takes Retry-After off a final answer (20.33, 16.7 step 6). The server said it of itself. The caller would apply it to this node, and
/// so to the calls of others.
pub(crate) fn without_pause(message: &Message<'_>, edit: &mut Edit) {
    for header in message.all(Name::RetryAfter) {
        edit.remove(header.row());
    }
}

/// Signs our Record-Route again, for the side that asked (16.7 step 8): now the other tag of the dialog is known, each fork's its own.
/// All values of it that are there: two if the sides differ, wherever the next hop put them. Only a token that we signed for this very
/// request is signed again. `told`: the side that asked; where the answer came from, if a trunk answers; when the call was set up, if it is.
pub(crate) fn sign_again(
    keys: &Keys,
    told: (Side, Option<Origin>, Option<u32>),
    message: &Message<'_>,
    response: &Response<'_>,
    edit: &mut Edit,
) {
    let call_id = message.first(Name::CallId).map(|header| message.value(header)).unwrap_or_default();
    let (asker, answerer) = (response.from_tag, response.to_tag.unwrap_or_default());
    for header in message.all(Name::RecordRoute) {
        let value = message.value(header);
        for at in memchr_iter(b';', value) {
            let Some(found) = value.get(at.saturating_add(1)..).and_then(parameter) else { continue };
            if let Some(token) = route_token::answered(keys, found, told, call_id, asker, answerer) {
                let start = header.value().start.saturating_add(at).saturating_add(1 + PARAM.len() + 1);
                edit.splice(start..start.saturating_add(found.len()), &[&token]);
            }
        }
    }
}

/// The value of our parameter, if a text begins with it.
fn parameter(text: &[u8]) -> Option<&[u8]> {
    let (name, rest) = text.split_at_checked(PARAM.len())?;
    let value = rest.strip_prefix(b"=").filter(|_| name.eq_ignore_ascii_case(PARAM.as_bytes()))?;
    Some(route_token::first_in(value))
}
