//! A response as it goes back to the party that asked: our Via taken off, nothing else touched but what a rule names.

use crate::core::forwarding::media_swap::MediaSwap;
use crate::core::forwarding::rewrite;
use crate::sip::edit::Edit;
use crate::sip::list::{self, Item};
use crate::sip::{Message, Name};

/// A response as it goes back: our Via taken off (16.7 step 3), X-Ringfence from outside taken out, a relay's description put in;
/// nothing else touched.
pub(crate) fn going_back(message: &Message<'_>, swap: &MediaSwap, reliable: bool, edit: &mut Edit) {
    edit.clear();
    let own: Option<Item> = list::items(message, Name::Via).next();
    if let Some(own) = own {
        list::remove(message, &own, edit);
    }
    for header in message.all(Name::Ringfence) {
        edit.remove(header.row.clone());
    }
    rewrite::swap_media(message, swap, edit);
    if reliable {
        rewrite::measure(message, edit);
    }
}
