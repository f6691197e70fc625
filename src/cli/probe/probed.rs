//! The result of calling an endpoint. Holds it; draws nothing.

use std::net::SocketAddr;

use super::exchange::Story;
use crate::config::{Config, Transport};
use crate::dns::Step;

/// One address that was tried.
pub(super) struct Tried {
    pub(super) addr: SocketAddr,
    pub(super) transport: Transport,
    /// The result. `None`: the address is outside, and nothing was sent.
    pub(super) story: Option<Story>,
}

/// The whole result.
pub(super) struct Probed {
    pub(super) uri: String,
    pub(super) invite: bool,
    /// Whether certificates were checked.
    pub(super) believes: bool,
    pub(super) config: Option<Config>,
    /// How the name was resolved.
    pub(super) steps: Vec<Step>,
    /// Whether the name has no servers only because a look-up failed.
    pub(super) failed: bool,
    /// The addresses in the order tried. The last one decides.
    pub(super) tried: Vec<Tried>,
}

impl Probed {
    /// The result for the last address to which anything was sent.
    pub(super) fn story(&self) -> Option<&Story> {
        self.tried.iter().rev().find_map(|tried| tried.story.as_ref())
    }

    /// Whether the endpoint takes calls, as far as a probe can see. `None`: it sent no final answer.
    pub(super) fn takes(&self) -> Option<bool> {
        let story = self.story()?;
        let (code, ..) = story.answer.as_ref()?;
        let rang = story.cancelled && *code == 487 && story.provisional.iter().any(|(code, _)| *code > 100);
        Some(rang || (200..=299).contains(code))
    }
}
