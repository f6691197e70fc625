//! What is to be told of an endpoint that was called. Holds; draws nothing.

use std::net::SocketAddr;

use super::exchange::Story;
use crate::config::{Config, Transport};
use crate::dns::Step;

/// One address that was tried.
pub(super) struct Tried {
    pub(super) addr: SocketAddr,
    pub(super) transport: Transport,
    /// What came of it; `None`: it is outside, and nothing was sent.
    pub(super) story: Option<Story>,
}

/// All that is to be told.
pub(super) struct Probed {
    pub(super) uri: String,
    pub(super) invite: bool,
    pub(super) config: Option<Config>,
    /// How the name was resolved.
    pub(super) steps: Vec<Step>,
    /// The name could not be resolved, and that is not certain.
    pub(super) failed: bool,
    /// In their order; the last one is what counts.
    pub(super) tried: Vec<Tried>,
}

impl Probed {
    /// What came of the last address that anything was sent to.
    pub(super) fn story(&self) -> Option<&Story> {
        self.tried.iter().rev().find_map(|tried| tried.story.as_ref())
    }

    /// Whether it takes calls, as far as a probe can see; `None`: it said nothing final.
    pub(super) fn takes(&self) -> Option<bool> {
        let story = self.story()?;
        let (code, ..) = story.answer.as_ref()?;
        let rang = story.cancelled && *code == 487 && story.provisional.iter().any(|(code, _)| *code > 100);
        Some(rang || (200..=299).contains(code))
    }
}
