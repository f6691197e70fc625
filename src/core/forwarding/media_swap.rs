//! What replaces a session description that a media relay took. Only says what; [`super::rewrite`] writes it.

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::core::rules::broken_rule::BrokenRule;

/// What happens to the session description of a message.
#[derive(Debug, Default)]
pub(crate) enum MediaSwap {
    /// It stays as it is: it says nothing of media, or its media goes through no relay.
    #[default]
    Not,
    /// The media goes through this relay. The description (last) replaces the bytes in this range.
    At(SocketAddr, Range<usize>, Bytes),
    /// A rule refuses the message, but its project is in shadow mode.
    Shadow(Box<BrokenRule>),
}

impl MediaSwap {
    /// The rule that the message breaks, if its project is in shadow mode.
    pub(crate) fn shadow(&self) -> Option<Box<BrokenRule>> {
        if let Self::Shadow(broken) = self { Some(broken.clone()) } else { None }
    }
}
