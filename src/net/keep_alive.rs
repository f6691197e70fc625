//! Keep-alives on a connection that we opened (RFC 5626 3.5.1, 4.4.1): a double CRLF, which the peer answers with one CRLF.
//!
//! They keep firewalls and address translators open, and find out early that the peer is gone. SIP does not say which peers answer them. So
//! each connection asks once. A peer that has answered once is kept alive, and its silence ends the connection. A peer that has not is
//! never asked again. Only says when; writes nothing.

use std::time::{Duration, Instant};

/// The silence after which the peer is asked.
const EVERY: Duration = Duration::from_secs(30);
/// How long an answer may take (RFC 5626 4.4.1).
const PATIENCE: Duration = Duration::from_secs(10);

/// What is known of one peer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum KeepAlive {
    /// It was not asked yet.
    #[default]
    Unasked,
    /// It was asked at this time. `before`: whether it has answered before.
    Asked { at: Instant, before: bool },
    /// It answers.
    Answers,
    /// It does not, and it need not.
    Silent,
}

/// What is to be done when the time has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeepAliveStep {
    /// Write a double CRLF.
    Ask,
    /// The peer answered before, and does not any more: it is gone.
    Gone,
}

impl KeepAlive {
    /// When [`KeepAlive::expire`] is to be called. `heard`: when the peer last said anything.
    pub(super) fn deadline(self, heard: Instant) -> Option<Instant> {
        match self {
            Self::Unasked | Self::Answers => Some(heard + EVERY),
            Self::Asked { at, .. } => Some(at + PATIENCE),
            Self::Silent => None,
        }
    }

    /// Goes on if the time has come.
    pub(super) fn expire(&mut self, now: Instant, heard: Instant) -> Option<KeepAliveStep> {
        if self.deadline(heard).is_none_or(|deadline| now < deadline) {
            return None;
        }
        match *self {
            Self::Unasked | Self::Answers => {
                *self = Self::Asked { at: now, before: *self == Self::Answers };
                Some(KeepAliveStep::Ask)
            }
            Self::Asked { before: true, .. } => Some(KeepAliveStep::Gone),
            Self::Asked { before: false, .. } | Self::Silent => {
                *self = Self::Silent;
                None
            }
        }
    }

    /// Whether an answer is due.
    pub(super) fn is_asked(self) -> bool {
        matches!(self, Self::Asked { .. })
    }

    /// The peer has said something. `answer`: it was one CRLF alone.
    pub(super) fn heard(&mut self, answer: bool) {
        if let Self::Asked { before, .. } = *self {
            *self = if answer || before { Self::Answers } else { Self::Unasked };
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_answers_is_asked_on_and_who_does_not_is_left_alone() {
        let start = Instant::now();
        let mut peer = KeepAlive::default();
        assert_eq!(peer.expire(start, start), None);
        let asked = start + EVERY;
        assert_eq!(peer.expire(asked, start), Some(KeepAliveStep::Ask));
        assert_eq!(peer.expire(asked, start), None);
        peer.heard(true);
        assert_eq!(peer, KeepAlive::Answers);
        assert_eq!(peer.expire(asked + EVERY, asked), Some(KeepAliveStep::Ask));
        // A message says that it is there as well.
        peer.heard(false);
        assert_eq!(peer.expire(asked + EVERY * 2, asked + EVERY), Some(KeepAliveStep::Ask));
        assert_eq!(peer.expire(asked + EVERY * 2 + PATIENCE, asked + EVERY), Some(KeepAliveStep::Gone));

        let mut peer = KeepAlive::default();
        assert_eq!(peer.expire(asked, start), Some(KeepAliveStep::Ask));
        assert_eq!(peer.expire(asked + PATIENCE, start), None);
        assert_eq!((peer, peer.deadline(start)), (KeepAlive::Silent, None));
        peer.heard(false);
        assert_eq!(peer.expire(asked + EVERY * 100, start), None);
    }
}
