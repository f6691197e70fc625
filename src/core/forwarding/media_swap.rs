//! What replaces a session description that a media relay took. Only says what; [`super::rewrite`] writes it.

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::reason::Reason;

/// What happens to the session description of a message.
#[derive(Debug, Default)]
pub(crate) enum MediaSwap {
    /// It stays as it is: it says nothing of media, or its media goes through no relay.
    #[default]
    Not,
    /// The media goes through this relay. The description (last) replaces the bytes in this range.
    At(SocketAddr, Range<usize>, Bytes),
    /// A rule refuses the message, but its project is in shadow mode.
    Shadow(Reason),
}

impl MediaSwap {
    /// The reason for which the message would have been refused if its project were not in shadow mode.
    pub(crate) fn shadow(&self) -> Option<Reason> {
        if let Self::Shadow(reason) = self { Some(*reason) } else { None }
    }
}
