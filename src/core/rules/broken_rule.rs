//! A rule that a message breaks though it passes: what the log, the metrics and the servers are told of it. Decides nothing.

use std::sync::Arc;

use crate::reason::Reason;

/// A rule that a message breaks though it passes, because its project is in shadow mode or only warns about media. Made only for such a
/// message, so a call that breaks no rule pays nothing for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct BrokenRule {
    /// The reason for which the message would have been refused.
    pub(crate) reason: Reason,
    /// The failing field and its value, in the words that a refusal has in `Warning`.
    pub(crate) why: Arc<str>,
}

impl BrokenRule {
    /// A broken rule, for a reason and in the words of a refusal.
    pub(crate) fn new(reason: Reason, why: impl Into<Arc<str>>) -> Self {
        Self { reason, why: why.into() }
    }
}
