//! Whether a request has come back to us unchanged (RFC 3261 16.3 step 4, RFC 5393 4.2).

use smallvec::SmallVec;

use crate::core::forwarding::branch::Branch;
use crate::core::state::Core;
use crate::sip::{Message, Name, Request, list, via};

impl Core {
    /// The loop hash of a request: all that routing looks at, and nothing that a hop adds. The whole route set is part of that: a call
    /// that passes twice comes with our Route on top each time, and with another path behind it (RFC 5393 4.2).
    pub(crate) fn loop_hash(&self, message: &Message<'_>, request: &Request<'_>) -> u32 {
        let cseq = request.cseq.to_le_bytes();
        let to_tag = request.to_tag.unwrap_or_default();
        let own = [request.uri_text, request.from_tag, to_tag, request.call_id, &cseq, request.token];
        // By the value, since a hop may join rows or split them.
        let routes = list::items(message, Name::Route).map(|item| message.slice(&item.span));
        let parts: SmallVec<[&[u8]; 12]> = own.into_iter().chain(routes).collect();
        self.keys.loop_hash(&parts)
    }

    /// Whether a request has come back with the same routing (RFC 3261 16.3 step 4, RFC 5393 4.2). Only our own hash proves that.
    /// It is computed only if some Via could be ours.
    pub(crate) fn is_looped(&self, message: &Message<'_>, request: &Request<'_>) -> bool {
        let below = request.further_vias.then(|| via::branches_below(message));
        let branches = request.via.branch.into_iter().chain(below.into_iter().flatten());
        let mut ours = branches.filter_map(Branch::read).peekable();
        if ours.peek().is_none() {
            return false;
        }
        let loop_hash = self.loop_hash(message, request);
        ours.any(|branch| branch.loop_hash == loop_hash)
    }
}
