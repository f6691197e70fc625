//! What goes on in place of a session description that a media relay took. Says what; [`super::rewrite`] writes it.

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::reason::Reason;

/// What goes on instead of what was said.
#[derive(Debug, Default)]
pub(crate) enum MediaSwap {
    /// It goes on as it is: it says nothing of media, or its media goes through no relay.
    #[default]
    Not,
    /// Through this relay, with this description in that place.
    At(SocketAddr, Range<usize>, Bytes),
    /// It would go nowhere, but its project is in shadow mode.
    Shadow(Reason),
}

impl MediaSwap {
    /// What would have refused the message, if its project were not in shadow mode.
    pub(crate) fn shadow(&self) -> Option<Reason> {
        if let Self::Shadow(reason) = self { Some(*reason) } else { None }
    }
}
