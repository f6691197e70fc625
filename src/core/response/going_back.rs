//! A response on its way back to the asker: our Via is taken off, and little else changes.

use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::rewrite;
use crate::sip::edit::Edit;
use crate::sip::list;
use crate::sip::{Message, Name};

/// Edits a response on its way back. Our Via is taken off (16.7 step 3), X-Ringfence from outside is removed, and a relay's
/// description is put in. Nothing else changes.
pub(crate) fn going_back(message: &Message<'_>, swap: &MediaSwap, reliable: bool, edit: &mut Edit) {
    edit.clear();
    match message.first(Name::Via) {
        // Nearly always it stands there alone.
        Some(header) if !message.value(header).contains(&b',') => edit.remove(header.row.clone()),
        _ => list::items(message, Name::Via).take(1).for_each(|own| list::remove(message, &own, edit)),
    }
    for header in message.all(Name::Ringfence) {
        edit.remove(header.row.clone());
    }
    rewrite::swap_media(message, swap, edit);
    if reliable {
        rewrite::measure(message, edit);
    }
}
