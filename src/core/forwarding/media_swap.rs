//! What goes on in place of a session description that a media relay took. Says what; [`super::rewrite`] writes it.

use std::net::SocketAddr;
use std::ops::Range;

use bytes::Bytes;

use crate::core::rules::media::Ruling;
use crate::reason::Reason;

/// What goes on instead of what was said.
#[derive(Debug, Default)]
pub(crate) enum MediaSwap {
    /// It goes on as it is: it says nothing of media, or its media goes through no relay.
    #[default]
    Not,
    /// Through this relay, with this description in that place.
    At(SocketAddr, Range<usize>, Bytes),
    /// It would go nowhere, but its project only watches.
    Shadow(Reason),
    /// It goes nowhere. The failing field and its value, for a person.
    Denied(Reason, String),
}

impl MediaSwap {
    /// What would have refused it, did its project not only watch.
    pub(crate) fn shadow(&self) -> Option<Reason> {
        if let Self::Shadow(reason) = self { Some(*reason) } else { None }
    }

    /// The same as a ruling on the media.
    pub(crate) fn ruling(&self) -> Ruling {
        match self {
            Self::Not | Self::At(..) => Ruling::Pass,
            Self::Shadow(reason) => Ruling::Shadow(*reason),
            Self::Denied(reason, detail) => Ruling::Foreign(*reason, detail.clone()),
        }
    }
}
