//! What was refused lately: calls, to recognise one that comes again, and requests whose ACK has not come yet.
//!
//! A refusal keeps no transaction. This is all that is remembered of it, for a minute and within a bound.

use std::net::IpAddr;
use std::sync::Arc;

use crate::config::{Config, ProjectId, TrunkId};
use crate::core::rules::refusal::Refusal;
use crate::reason::Reason;

/// The answer to a refused call. If the carrier retries all the same, the call gets the same answer again.
#[derive(Clone, Debug)]
pub(crate) struct RefusedCall {
    /// The status code.
    pub(crate) code: u16,
    /// The reason of the refusal.
    pub(crate) reason: Reason,
    /// The phrase of its answer.
    pub(crate) phrase: &'static str,
    /// The project of the call, if known.
    pub(crate) project: Option<ProjectId>,
    /// The trunk of the call, if known.
    pub(crate) trunk: Option<TrunkId>,
    /// The address that it came from. Another trunk is not told what this one was told.
    pub(crate) source: IpAddr,
    /// The failing field and its value, as it was told then.
    pub(crate) why: Arc<str>,
    /// The rows that explain it.
    pub(crate) rows: Box<[u8]>,
    /// A hash of the refused request: its branch, sent-by and `CSeq`. The same request again is a retransmission, not a repeat.
    pub(crate) request: u128,
}

impl RefusedCall {
    /// The code of a refusal and the rows that explain it, for this request.
    pub(crate) fn of(refusal: &Refusal, code: u16, rows: Vec<u8>, request: u128, source: IpAddr) -> Self {
        let &Refusal { reason, project, trunk, .. } = refusal;
        let (phrase, why) = (refusal.phrase(), Arc::clone(&refusal.detail));
        Self { code, reason, phrase, project, trunk, source, why, rows: rows.into_boxed_slice(), request }
    }

    /// Whether a source may be told the same: the one that was told, or another address of its trunk.
    pub(crate) fn is_of(&self, config: &Config, source: IpAddr) -> bool {
        self.source == source || self.trunk.is_some_and(|trunk| config.trunk(trunk).networks.contains(source))
    }
}
