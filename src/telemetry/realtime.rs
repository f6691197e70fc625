//! A verdict of the realtime gate on its way to everybody who is told of verdicts. Decides nothing.
//!
//! The gate has a thread of its own. The message thread tells its verdicts, beside those on calls: so there is one order of them, one share of
//! the log for each project, and one record.

use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use crate::config::{Config, ProjectId, RegionId};
use crate::core::io::Verdict;
use crate::reason::Reason;

/// A verdict of the gate.
#[derive(Clone, Debug)]
pub(crate) struct RealtimeVerdict {
    /// The configuration that it was decided by, whose ids are used. Only a name for it: the message thread is never the last to have one, and
    /// frees none.
    pub(crate) config: Weak<Config>,
    /// The region of the reverse proxy that asked.
    pub(crate) region: RegionId,
    /// The project of the token, if it is one of ours.
    pub(crate) project: Option<ProjectId>,
    /// What was decided.
    pub(crate) verdict: Verdict,
    /// The reason.
    pub(crate) reason: Reason,
    /// What was wrong, in words that hold nothing of the client's.
    pub(crate) why: Option<Arc<str>>,
    /// The status code of the answer, if it is refused.
    pub(crate) code: Option<u16>,
    /// The reverse proxy that asked.
    pub(crate) source: SocketAddr,
}
